// The house rules, as a test: who may include whom, what the runtime layers keep out, how long a file may be.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Layers = std::set<std::string>;

const fs::path kSource = fs::path(LINNET_SOURCE_DIR) / "src";

/// Which layers each layer may include besides itself. The same table is in CONTRIBUTING.md.
const std::map<std::string, Layers>& Allowed() {
  static const std::map<std::string, Layers> table = {
      {"base", {}},
      {"kernels", {"base"}},
      {"graph", {"base"}},
      {"run", {"base", "graph"}},
      {"ops", {"base", "kernels", "graph", "run"}},
      {"passes", {"base", "graph", "run", "ops"}},
      {"compile", {"base", "graph", "run", "ops"}},
      {"onnx", {"base", "graph"}},
      {"ort", {"base", "graph", "onnx"}},
      {"format", {"base", "graph", "run"}},
      {"fixed", {"base", "graph", "run", "ops", "format"}},
      {"providers", {"base", "graph", "run", "ops"}},
      {"quantize", {"base", "graph", "run", "ops", "passes", "compile", "onnx", "ort"}},
      {"api", {"base", "kernels", "graph", "run", "ops", "passes", "compile", "onnx", "ort", "format", "fixed", "providers", "quantize"}},
      {"cli", {"base", "kernels", "graph", "run", "ops", "passes", "compile", "onnx", "ort", "format", "providers", "quantize", "api"}},
  };
  return table;
}

/// Layers that go onto a phone: no exceptions, no RTTI, none of the heavy parts of the standard library.
const Layers kRuntime = {"base", "kernels", "graph", "run", "ops", "compile", "format", "fixed"};

struct SourceFile {
  fs::path path;
  std::string layer, text;
  std::vector<std::string> lines;
};

const std::vector<SourceFile>& Sources() {
  static const std::vector<SourceFile> files = [] {
    std::vector<SourceFile> out;
    for (const auto& entry : fs::recursive_directory_iterator(kSource)) {
      std::string extension = entry.path().extension().string();
      if (extension != ".cc" && extension != ".h") continue;
      SourceFile file;
      file.path = fs::relative(entry.path(), kSource);
      file.layer = file.path.begin()->string();
      std::ifstream in(entry.path());
      std::stringstream text;
      text << in.rdbuf();
      file.text = text.str();
      std::stringstream again(file.text);
      for (std::string line; std::getline(again, line);) file.lines.push_back(line);
      out.push_back(std::move(file));
    }
    std::sort(out.begin(), out.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
    return out;
  }();
  return files;
}

TEST(Structure, EveryLayerIncludesOnlyWhatItMay) {
  ASSERT_GT(Sources().size(), 50u);
  for (const SourceFile& file : Sources()) {
    auto allowed = Allowed().find(file.layer);
    ASSERT_NE(allowed, Allowed().end()) << file.path << " is in no known layer";
    for (const std::string& line : file.lines) {
      if (!line.starts_with("#include \"")) continue;
      std::string target = line.substr(10, line.find('"', 10) - 10);
      std::string layer = target.substr(0, target.find('/'));
      if (!Allowed().contains(layer) || layer == file.layer) continue;
      EXPECT_TRUE(allowed->second.contains(layer)) << file.path << " includes " << target;
    }
  }
}

TEST(Structure, RuntimeLayersKeepHeavyPartsOut) {
  const char* const kForbidden[] = {"#include <iostream>", "#include <sstream>", "#include <fstream>", "#include <locale>",
                                    "#include <regex>",    "#include <thread>",  "#include <filesystem>",
                                    "#include <iomanip>",  "dynamic_cast<",      "typeid("};
  for (const SourceFile& file : Sources()) {
    if (!kRuntime.contains(file.layer)) continue;
    bool exceptions_on = false;  // between #if defined(__cpp_exceptions) and #else or #endif
    for (const std::string& line : file.lines) {
      if (line.starts_with("#")) exceptions_on = line == "#if defined(__cpp_exceptions)";
      if (exceptions_on || line.find("//") < line.find_first_not_of(" ") + 2) continue;
      for (const char* word : kForbidden) EXPECT_EQ(line.find(word), std::string::npos) << file.path << ": " << line;
      EXPECT_FALSE(line.find(" throw ") != std::string::npos || line.find(" try {") != std::string::npos)
          << file.path << ": " << line;
    }
  }
}

TEST(Structure, FoldersStaySmall) {
  constexpr int kFilesMax = 40;   // ops/ has one file per operator
  std::map<std::string, int> files;
  for (const SourceFile& file : Sources()) ++files[file.path.parent_path().string()];
  for (const auto& [folder, count] : files) {
    if (folder == "ops") continue;
    EXPECT_LE(count, kFilesMax) << folder << " wants folders of its own";
  }
}

TEST(Structure, EnvironmentIsReadInOnePlace) {
  for (const SourceFile& file : Sources()) {
    // The terminal's own conventions (TERM, LANG) are not Linnet's switches.
    if (file.path == fs::path("base/knobs.cc") || file.path == fs::path("cli/terminal.cc")) continue;
    EXPECT_EQ(file.text.find("getenv("), std::string::npos) << file.path;
  }
}

TEST(Structure, EveryFileSaysWhatItIs) {
  for (const SourceFile& file : Sources()) {
    ASSERT_FALSE(file.lines.empty()) << file.path;
    EXPECT_TRUE(file.lines[0].starts_with("// ") && file.lines[0].size() > 15) << file.path << ": " << file.lines[0];
  }
}

TEST(Structure, FilesStaySmall) {
  constexpr size_t kLinesMax = 450;
  for (const SourceFile& file : Sources()) EXPECT_LE(file.lines.size(), kLinesMax) << file.path;
}

}  // namespace
