// The page of `linnet compare --html` in a browser: it is complete, runs nothing, and its plots are drawn. Skipped where there is no Chromium.
#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "cli/compare_page.h"
#include "cli/data/image.h"
#include "pictures_util.h"
#include "temp_folder.h"

namespace linnet::cli {
namespace {

namespace fs = std::filesystem;

/// What a command prints.
std::string Printed(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  char part[4096];
  while (pipe && fgets(part, sizeof part, pipe)) out += part;
  if (pipe) pclose(pipe);
  return out;
}

std::string Browser() {
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
    std::string path = Printed(std::string("command -v ") + name + " 2>/dev/null");
    if (!path.empty()) return path.substr(0, path.find('\n'));
  }
  return {};
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(CliComparePage, IsDrawnByABrowser) {
  const std::string browser = Browser();
  if (browser.empty()) GTEST_SKIP() << "there is no Chromium to open the page with";
  LINNET_NEEDS_PICTURES;   // of the screen
  quantize::Comparison comparison;
  comparison.first_ns = 3e6, comparison.second_ns = 1e6;
  for (int i = 0; i < 3; ++i) {
    quantize::ValueComparison row;
    row.name = i == 0 ? "<script>alert(1)</script>\"&" : "value_" + std::to_string(i);
    row.op = "Conv";
    for (int k = 0; k < 1000; ++k) {
      const float exact = static_cast<float>(k % 97) * 0.1f - 3, rounded = exact + 0.01f * static_cast<float>(k % 3 + i * 20);
      row.first.Add(&exact, 1);
      row.second.Add(&rounded, 1);
      row.agreement.signal += exact * exact, row.agreement.noise += (exact - rounded) * (exact - rounded), ++row.agreement.count;
    }
    row.has_range = true;
    row.range = {-3, 6};
    row.first_ns = 1e6, row.second_ns = 3e5 * (i + 1);
    row.first_weights = 4000, row.second_weights = 1000;
    comparison.values.push_back(std::move(row));
  }
  const std::string folder = NewTempFolder("linnet_page");
  std::ofstream(folder + "/page.html") << ComparePage("a.onnx", "b.onnx", comparison);
  const std::string common = "timeout 60 " + browser + " --headless --no-sandbox --disable-gpu --user-data-dir=" + folder + "/profile ";
  const std::string dom = Printed(common + "--dump-dom file://" + folder + "/page.html 2>" + folder + "/log");
  // As the browser understood it: three bars of errors, six of times, a histogram and a row a value; the name is text.
  ASSERT_NE(dom.find("</html>"), std::string::npos) << "the browser gave nothing";
  EXPECT_EQ(CountOf(dom, "<script"), 0u);
  EXPECT_NE(dom.find("&lt;script&gt;"), std::string::npos);
  EXPECT_EQ(CountOf(dom, "class=\"histogram\""), 3u);
  EXPECT_EQ(CountOf(dom, "<tr>"), 4u);
  const size_t errors = dom.find("id=\"sqnr\""), times = dom.find("id=\"time\"");
  ASSERT_TRUE(errors != std::string::npos && times != std::string::npos);
  EXPECT_EQ(CountOf(dom.substr(errors, dom.find("</svg>", errors) - errors), "<rect"), 3u);
  EXPECT_EQ(CountOf(dom.substr(times, dom.find("</svg>", times) - times), "<rect"), 6u);
  // And on the screen: bars and histograms in the models' two colours.
  Printed(common + "--hide-scrollbars --window-size=1200,1600 --screenshot=" + folder + "/page.png file://" + folder + "/page.html 2>/dev/null");
  Result<Image> screen = LoadImage(folder + "/page.png");
  ASSERT_TRUE(screen.ok()) << screen.status().message();
  int64_t blue = 0, orange = 0;
  for (size_t i = 0; i + 2 < screen->rgb.size(); i += 3) {
    auto is = [&](int r, int g, int b) {
      return abs(screen->rgb[i] - r) < 6 && abs(screen->rgb[i + 1] - g) < 6 && abs(screen->rgb[i + 2] - b) < 6;
    };
    blue += is(0x48, 0x78, 0xcf);
    orange += is(0xe0, 0x7b, 0x39);
  }
  EXPECT_GT(blue, 10000);
  EXPECT_GT(orange, 10000);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace linnet::cli
