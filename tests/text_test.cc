// Escaping of untrusted names in messages.
#include "base/text.h"

#include <gtest/gtest.h>

namespace linnet {
namespace {

TEST(Quote, KeepsPlainTextAndUtf8) { EXPECT_EQ(Quote("größe/0"), "'größe/0'"); }

TEST(Quote, EscapesControlAndInvalidBytes) {
  EXPECT_EQ(Quote(std::string_view("a\n\x1b[31m\xff\0", 9)), "'a\\n\\x1b[31m\\xff\\x00'");
}

TEST(Quote, CutsLongText) {
  std::string quoted = Quote(std::string(70000, 'x'));
  EXPECT_LT(quoted.size(), 200u);
  EXPECT_NE(quoted.find("70000 bytes"), std::string::npos);
}

}  // namespace
}  // namespace linnet
