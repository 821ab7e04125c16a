// What liblinnet.so exports: the functions of the public headers, all of them and nothing else.
#include <gtest/gtest.h>
#include <stdio.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace {

#if defined(_WIN32)
#define LINNET_NEEDS_NM GTEST_SKIP() << "a table of dynamic symbols is what ELF has"
#else
#define LINNET_NEEDS_NM (void)0
#endif

std::set<std::string> Exported(const std::string& library) {
  std::set<std::string> names;
  FILE* nm = popen(("nm -D --defined-only " + library).c_str(), "r");
  char line[4096];
  while (nm && fgets(line, sizeof line, nm)) {
    std::stringstream words(line);
    std::string address, type, name;
    words >> address >> type >> name;
    if (type != "A") names.insert(name);  // "A": the version itself
  }
  if (nm) pclose(nm);
  return names;
}

std::set<std::string> Declared(std::initializer_list<const char*> headers) {
  std::set<std::string> names;
  for (const char* header : headers) {
    std::ifstream file(std::string(LINNET_SOURCE_DIR "/include/linnet/") + header);
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::regex function("LINNET_API [A-Za-z0-9_ *]*?(Linnet[A-Za-z0-9]+)\\(");
    for (std::sregex_iterator at(text.begin(), text.end(), function), end; at != end; ++at) names.insert((*at)[1]);
  }
  return names;
}

TEST(ApiExports, TheDeclaredFunctionsAndNothingElse) {
  LINNET_NEEDS_NM;
  std::set<std::string> declared = Declared({"linnet.h", "linnet_extend.h"});
  ASSERT_GT(declared.size(), 100u);
  EXPECT_EQ(Exported(LINNET_SHARED_LIBRARY), declared);
}

#ifdef LINNET_QUANTIZE_LIBRARY
TEST(ApiExports, TheLibraryThatQuantizesHasItsOwnToo) {
  LINNET_NEEDS_NM;
  EXPECT_EQ(Exported(LINNET_QUANTIZE_LIBRARY), Declared({"linnet.h", "linnet_extend.h", "linnet_quantize.h"}));
}
#endif

}  // namespace
