// Decimal text to numbers and back.
#include "base/number_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace linnet {
namespace {

TEST(NumberText, Parses) {
  EXPECT_EQ(*ParseNumber("3.14"), 3.14);
  EXPECT_EQ(*ParseNumber(" 1000 "), 1000);
  EXPECT_EQ(*ParseNumber("1e-5"), 1e-5);
  EXPECT_EQ(*ParseNumber("1E8"), 1e8);
  EXPECT_EQ(*ParseNumber("-.5"), -0.5);
  EXPECT_EQ(*ParseNumber("5."), 5);
  EXPECT_EQ(*ParseNumber("0.000123"), 0.000123);
  EXPECT_EQ(*ParseNumber("00012300"), 12300);
  EXPECT_TRUE(std::signbit(*ParseNumber("-0")));
  EXPECT_EQ(*ParseNumber("+INF"), INFINITY);
  EXPECT_EQ(*ParseNumber("-inf"), -INFINITY);
  EXPECT_TRUE(std::isnan(*ParseNumber("NaN")));
  EXPECT_EQ(*ParseNumber("1e999999999999"), INFINITY);
  EXPECT_EQ(*ParseNumber("1e-999999999999"), 0);
  EXPECT_EQ(*ParseNumber("9007199254740993"), 9007199254740992.0);
  // 2^-1074 and a float midpoint, which must round once.
  EXPECT_EQ(*ParseNumber("4.9406564584124654e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(*ParseFloat("1.00000005960464477539062500001"), std::nextafter(1.0f, 2.0f));
  EXPECT_EQ(*ParseNumber("1" + std::string(3000, '0') + "e-3000"), 1);
  EXPECT_EQ(*ParseNumber("0." + std::string(3000, '0') + "1e3001"), 1);
}

TEST(NumberText, RefusesOtherText) {
  for (const char* text : {"", " ", "-", ".", "e5", "1e", "1e+", "1.2.3", "0x10", "12a", "Hello World!", "1 2", "infin"}) {
    EXPECT_FALSE(ParseNumber(text).ok()) << text;
  }
}

TEST(NumberText, FormatsShortest) {
  EXPECT_EQ(FormatNumber(0.1f), "0.1");
  EXPECT_EQ(FormatNumber(0.1), "0.1");
  EXPECT_EQ(FormatNumber(314.15926), "314.15926");
  EXPECT_EQ(FormatNumber(-2.5), "-2.5");
  EXPECT_EQ(FormatNumber(1.0f), "1");
  EXPECT_EQ(FormatNumber(0.0f), "0");
  EXPECT_EQ(FormatNumber(-0.0f), "-0");
  EXPECT_EQ(FormatNumber(1000000.0f), "1000000");
  EXPECT_EQ(FormatNumber(0.00001), "0.00001");
  EXPECT_EQ(FormatNumber(1e-7f), "1e-07");
  EXPECT_EQ(FormatNumber(1.5e300), "1.5e+300");
  EXPECT_EQ(FormatNumber(NAN), "NaN");
  EXPECT_EQ(FormatNumber(-INFINITY), "-INF");
  for (double value : {1.0 / 3, 5e-324, 1.7976931348623157e308, 123456789012345680.0}) {
    EXPECT_EQ(*ParseNumber(FormatNumber(value)), value);
  }
}

}  // namespace
}  // namespace linnet
