// Narrow floating-point formats against their definitions: every code, every midpoint between neighbours.
#include "base/float_types.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace linnet {
namespace {

TEST(FloatTypes, Float16KnownValues) {
  EXPECT_EQ(ToFloat(Float16{0x3c00}), 1.0f);
  EXPECT_EQ(ToFloat(Float16{0xc000}), -2.0f);
  EXPECT_EQ(ToFloat(Float16{0x7bff}), 65504.0f);
  EXPECT_EQ(ToFloat(Float16{0x0001}), 0x1p-24f);
  EXPECT_EQ(ToFloat(Float16{0x0400}), 0x1p-14f);
  EXPECT_EQ(ToFloat(Float16{0xfc00}), -INFINITY);
  EXPECT_TRUE(std::isnan(ToFloat(Float16{0x7e01})));
  EXPECT_EQ(ToFloat16(65519.0f).bits, 0x7bff);
  EXPECT_EQ(ToFloat16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(ToFloat16(0x1p-25f).bits, 0);
  EXPECT_EQ(ToFloat16(0x1.8p-25f).bits, 1);
  EXPECT_EQ(ToFloat16(-0.0f).bits, 0x8000);
  EXPECT_EQ(ToFloat16(NAN).bits & 0x7e00, 0x7e00);
}

TEST(FloatTypes, Float16RoundsToNearestEven) {
  for (uint32_t code = 0; code < 0x7c00; ++code) {
    const float value = ToFloat(Float16{static_cast<uint16_t>(code)});
    ASSERT_EQ(ToFloat16(value).bits, code);
    ASSERT_EQ(ToFloat16(-value).bits, code | 0x8000);
    if (code + 1 == 0x7c00) break;
    const float next = ToFloat(Float16{static_cast<uint16_t>(code + 1)}), middle = (value + next) / 2;
    ASSERT_EQ(ToFloat16(middle).bits, code + (code & 1)) << code;
    ASSERT_EQ(ToFloat16(std::nextafter(middle, value)).bits, code) << code;
    ASSERT_EQ(ToFloat16(std::nextafter(middle, next)).bits, code + 1) << code;
  }
}

TEST(FloatTypes, Bfloat16) {
  EXPECT_EQ(ToFloat(Bfloat16{0x3f80}), 1.0f);
  EXPECT_EQ(ToBfloat16(FloatOfBits(0x3f808000)).bits, 0x3f80);
  EXPECT_EQ(ToBfloat16(FloatOfBits(0x3f808001)).bits, 0x3f81);
  EXPECT_EQ(ToBfloat16(FloatOfBits(0x3f818000)).bits, 0x3f82);
  EXPECT_EQ(ToBfloat16(std::numeric_limits<float>::max()).bits, 0x7f80);
  EXPECT_EQ(ToBfloat16(-INFINITY).bits, 0xff80);
  EXPECT_TRUE(std::isnan(ToFloat(ToBfloat16(FloatOfBits(0x7f800001)))));
}

TEST(FloatTypes, RoundToOddAvoidsDoubleRounding) {
  // Just above a midpoint of float16 by less than a float's resolution.
  const double value = 1.0 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(ToFloat16(static_cast<float>(value)).bits, 0x3c00);
  EXPECT_EQ(ToFloat16(RoundToOdd(value)).bits, 0x3c01);
  EXPECT_EQ(ToFloat16(RoundToOdd(-value)).bits, 0xbc01);
  EXPECT_EQ(RoundToOdd(0.5), 0.5f);
  EXPECT_TRUE(std::isnan(RoundToOdd(NAN)));
}

struct SmallCase {
  DType dtype;
  int codes;           ///< positive ones, special values included
  float largest, least;
};

class SmallFloats : public testing::TestWithParam<SmallCase> {};

TEST_P(SmallFloats, RoundsToNearestEven) {
  const SmallCase& t = GetParam();
  std::vector<float> values;
  for (int code = 0; code < t.codes; ++code) {
    const float value = SmallFloatToFloat(t.dtype, static_cast<uint8_t>(code));
    if (std::isfinite(value)) values.push_back(value);
  }
  EXPECT_EQ(values[0], 0.0f);
  EXPECT_EQ(values[1], t.least);
  EXPECT_EQ(values.back(), t.largest);
  for (size_t code = 0; code < values.size(); ++code) {
    EXPECT_EQ(FloatToSmallFloat(t.dtype, values[code], true), code);
    if (code > 0) {
      EXPECT_EQ(SmallFloatToFloat(t.dtype, FloatToSmallFloat(t.dtype, -values[code], false)), -values[code]);
    }
    if (code + 1 == values.size()) break;
    ASSERT_LT(values[code], values[code + 1]);
    const float middle = (values[code] + values[code + 1]) / 2;
    EXPECT_EQ(FloatToSmallFloat(t.dtype, middle, true), code + (code & 1));
    EXPECT_EQ(FloatToSmallFloat(t.dtype, std::nextafter(middle, INFINITY), true), code + 1);
    EXPECT_EQ(FloatToSmallFloat(t.dtype, std::nextafter(middle, 0.0f), true), code);
  }
  EXPECT_EQ(SmallFloatToFloat(t.dtype, FloatToSmallFloat(t.dtype, 1e30f, true)), t.largest);
  EXPECT_EQ(SmallFloatToFloat(t.dtype, FloatToSmallFloat(t.dtype, -INFINITY, true)), -t.largest);
}

// Largest and least values: "FP8 Formats for Deep Learning" (2022), its fnuz relatives, and OCP MX 1.0.
INSTANTIATE_TEST_SUITE_P(Formats, SmallFloats,
                         testing::Values(SmallCase{DType::kFloat8e4m3fn, 128, 448, 0x1p-9f},
                                         SmallCase{DType::kFloat8e4m3fnuz, 128, 240, 0x1p-10f},
                                         SmallCase{DType::kFloat8e5m2, 128, 57344, 0x1p-16f},
                                         SmallCase{DType::kFloat8e5m2fnuz, 128, 57344, 0x1p-17f},
                                         SmallCase{DType::kFloat4e2m1, 8, 6, 0.5f}),
                         [](const auto& info) { return std::string(DTypeName(info.param.dtype)); });

TEST(FloatTypes, Float8SpecialValues) {
  EXPECT_EQ(FloatToSmallFloat(DType::kFloat8e4m3fn, -0.0f, true), 0x80);
  EXPECT_EQ(FloatToSmallFloat(DType::kFloat8e4m3fnuz, -0.0f, true), 0);
  EXPECT_EQ(FloatToSmallFloat(DType::kFloat8e5m2fnuz, -1e-30f, true), 0);
  EXPECT_EQ(FloatToSmallFloat(DType::kFloat8e5m2, INFINITY, false), 0x7c);
  EXPECT_EQ(FloatToSmallFloat(DType::kFloat8e5m2, -1e30f, false), 0xfc);
  EXPECT_EQ(FloatToSmallFloat(DType::kFloat8e4m3fn, 1e30f, false), 0x7f);
  EXPECT_EQ(FloatToSmallFloat(DType::kFloat8e4m3fnuz, -1e30f, false), 0x80);
  EXPECT_TRUE(std::isnan(SmallFloatToFloat(DType::kFloat8e4m3fn, 0xff)));
  EXPECT_TRUE(std::isnan(SmallFloatToFloat(DType::kFloat8e5m2fnuz, 0x80)));
  EXPECT_EQ(SmallFloatToFloat(DType::kFloat8e5m2, 0xfc), -INFINITY);
}

TEST(FloatTypes, Float8e8m0) {
  EXPECT_EQ(SmallFloatToFloat(DType::kFloat8e8m0, 127), 1.0f);
  EXPECT_EQ(SmallFloatToFloat(DType::kFloat8e8m0, 0), 0x1p-127f);
  EXPECT_TRUE(std::isnan(SmallFloatToFloat(DType::kFloat8e8m0, 255)));
  auto cast = [](float value, bool saturate, E8m0Rounding rounding) {
    return FloatToSmallFloat(DType::kFloat8e8m0, value, saturate, rounding);
  };
  EXPECT_EQ(cast(1.0f, true, E8m0Rounding::kUp), 127);
  EXPECT_EQ(cast(1.01f, true, E8m0Rounding::kUp), 128);
  EXPECT_EQ(cast(1.99f, true, E8m0Rounding::kDown), 127);
  EXPECT_EQ(cast(1.5f, true, E8m0Rounding::kNearest), 128);
  EXPECT_EQ(cast(1.49f, true, E8m0Rounding::kNearest), 127);
  EXPECT_EQ(cast(3e38f, true, E8m0Rounding::kUp), 254);
  EXPECT_EQ(cast(3e38f, false, E8m0Rounding::kUp), 255);
}

}  // namespace
}  // namespace linnet
