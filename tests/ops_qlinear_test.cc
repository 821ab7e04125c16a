// 8-bit operators at their edges: clamps, nothing to sum, what they refuse.
#include <cmath>

#include "ops_test_util.h"

namespace linnet {
namespace {

/// linnet:QLinearConv of one pixel whose sums are 0, 10, 20, ...: x = 10 times w = 0, 1, 2, ...
OpCall Ramp(int64_t channels, bool is_signed) {
  OpCall call("QLinearConv", 1, "linnet");
  std::vector<int8_t> w;
  for (int64_t i = 0; i < channels; ++i) w.push_back(static_cast<int8_t>(i));
  call.In<uint8_t>({1, 1, 1, 1}, {10}).In<float>(Shape::OfRank(0), {1}).In<uint8_t>(Shape::OfRank(0), {0});
  call.In<int8_t>({channels, 1, 1, 1}, w).In<float>(Shape::OfRank(0), {1}).In<int8_t>(Shape::OfRank(0), {0});
  call.In<float>(Shape::OfRank(0), {1});
  if (is_signed) {
    call.In<int8_t>(Shape::OfRank(0), {-50});
  } else {
    call.In<uint8_t>(Shape::OfRank(0), {5});
  }
  return call;
}

TEST(QLinearConv, ClampsItsOutput) {
  const int64_t channels = 30;
  for (const std::vector<int>& constants : {std::vector<int>{}, std::vector<int>{1, 2, 3, 4, 5, 6, 7}}) {
    const auto plain = Values<uint8_t>(Ramp(channels, false).RunFed(1, constants)[0]);
    const auto clamped = Values<uint8_t>(Ramp(channels, false).Set("q_min", int64_t{40}).Set("q_max", int64_t{200}).RunFed(1, constants)[0]);
    const auto negative = Values<int8_t>(Ramp(channels, true).Set("q_min", int64_t{-20}).Set("q_max", int64_t{100}).RunFed(1, constants)[0]);
    for (int64_t i = 0; i < channels; ++i) {
      EXPECT_EQ(plain[static_cast<size_t>(i)], std::min<int64_t>(10 * i + 5, 255));
      EXPECT_EQ(clamped[static_cast<size_t>(i)], std::clamp<int64_t>(10 * i + 5, 40, 200));
      EXPECT_EQ(negative[static_cast<size_t>(i)], std::clamp<int64_t>(10 * i - 50, -20, 100));
    }
  }
  EXPECT_NE(Ramp(4, false).Set("q_min", int64_t{9}).Set("q_max", int64_t{8}).Error(), "");
  EXPECT_NE(Ramp(4, false).Set("q_min", int64_t{256}).Error(), "");
}

TEST(QLinearConv, RefusesWhatDoesNotFit) {
  OpCall call = Ramp(4, false);
  call.In<int32_t>({3}, {1, 2, 3});
  EXPECT_NE(call.Error().find("bias"), std::string::npos) << call.Error();
}

// Inputs 9 to 13: what is added, its scale and zero point, and those of the sum.
TEST(QLinearConv, AddsBytes) {
  auto with = [](const Shape& shape, int64_t count) {
    OpCall call = Ramp(20, false);   // 5 + min(10 i, 250), of scale 1 and zero point 5
    call.In<int32_t>({20}, std::vector<int32_t>(20, 0)).In<uint8_t>(shape, std::vector<uint8_t>(static_cast<size_t>(count), 30));
    call.In<float>(Shape::OfRank(0), {2}).In<uint8_t>(Shape::OfRank(0), {20}).In<float>(Shape::OfRank(0), {4}).In<uint8_t>(Shape::OfRank(0), {1});
    return call;
  };
  for (const std::vector<int>& constants : {std::vector<int>{}, std::vector<int>{1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13}}) {
    const auto sums = Values<uint8_t>(with({1, 1, 1, 20}, 20).RunFed(1, constants)[0]);
    const auto bounded = Values<uint8_t>(with({1, 1, 1, 20}, 20).Set("q_min", int64_t{8}).Set("q_max", int64_t{60}).RunFed(1, constants)[0]);
    for (int64_t i = 0; i < 20; ++i) {
      // 1 (min(5 + 10 i, 255) - 5) + 2 (30 - 20), in steps of 4 from 1 on.
      const double real = static_cast<double>(std::min<int64_t>(10 * i, 250)) + 20;
      const auto wanted = static_cast<int64_t>(std::nearbyint(real / 4)) + 1;
      EXPECT_EQ(sums[static_cast<size_t>(i)], wanted);
      EXPECT_EQ(bounded[static_cast<size_t>(i)], std::clamp<int64_t>(wanted, 8, 60));
    }
  }
  EXPECT_NE(with({1, 1, 1, 19}, 19).Error().find("input 9 has shape"), std::string::npos);
}

TEST(MatMulInteger, NothingToSum) {
  OpCall call("MatMulInteger", 10);
  call.In<uint8_t>({2, 0}, {}).In<int8_t>({0, 3}, {}).In<uint8_t>(Shape::OfRank(0), {7}).In<int8_t>({3}, {1, 2, 3});
  for (const std::vector<int>& constants : {std::vector<int>{}, std::vector<int>{1}}) {
    EXPECT_EQ(Values<int32_t>(call.RunFed(1, constants)[0]), std::vector<int32_t>(6, 0));
  }
}

/// A zero point for each row of a, which the packed products do not have.
TEST(MatMulInteger, ZeroPointsOfRows) {
  OpCall call("MatMulInteger", 10);
  call.In<uint8_t>({2, 2}, {1, 2, 3, 4}).In<int8_t>({2, 1}, {1, -1}).In<uint8_t>({2}, {1, 2});
  for (const std::vector<int>& constants : {std::vector<int>{}, std::vector<int>{1}, std::vector<int>{1, 2}}) {
    EXPECT_EQ(Values<int32_t>(call.RunFed(1, constants)[0]), (std::vector<int32_t>{-1, -1}));
  }
}

TEST(QGemm, RefusesWhatDoesNotFit) {
  auto base = [] {
    OpCall call("QGemm", 1, "com.microsoft");
    call.In<uint8_t>({1, 2}, {3, 4}).In<float>(Shape::OfRank(0), {1}).In<uint8_t>(Shape::OfRank(0), {0});
    call.In<int8_t>({2, 2}, {1, 0, 0, 1}).In<float>(Shape::OfRank(0), {1}).In<int8_t>(Shape::OfRank(0), {0});
    return call;
  };
  EXPECT_EQ(Values<float>(base().Run()), (std::vector<float>{3, 4}));
  EXPECT_EQ(Values<float>(base().In<int32_t>({2}, {10, 20}).Run()), (std::vector<float>{13, 24}));
  EXPECT_EQ(Values<uint8_t>(base().Skip().In<float>(Shape::OfRank(0), {0.5f}).In<uint8_t>(Shape::OfRank(0), {1}).Run()),
            (std::vector<uint8_t>{7, 9}));
  EXPECT_NE(base().In<int32_t>({3}, {1, 2, 3}).Error(), "");
  EXPECT_NE(base().Skip().In<float>(Shape::OfRank(0), {0.5f}).Error(), "");
}

TEST(QLinearConcat, RefusesWhatDoesNotFit) {
  OpCall call("QLinearConcat", 1, "com.microsoft");
  call.Set("axis", int64_t{1});
  call.In<float>(Shape::OfRank(0), {1}).In<uint8_t>(Shape::OfRank(0), {0});
  call.In<uint8_t>({1, 2}, {1, 2}).In<float>(Shape::OfRank(0), {1}).In<uint8_t>(Shape::OfRank(0), {0});
  EXPECT_EQ(Values<uint8_t>(call.Run()), (std::vector<uint8_t>{1, 2}));
  call.In<uint8_t>({2, 2}, {1, 2, 3, 4}).In<float>(Shape::OfRank(0), {1}).In<uint8_t>(Shape::OfRank(0), {0});
  EXPECT_NE(call.Error().find("joined"), std::string::npos) << call.Error();
}

/// Scales that are no scales.
TEST(QLinearAdd, RefusesScales) {
  for (float scale : {0.0f, -1.0f, INFINITY, NAN}) {
    OpCall call("QLinearAdd", 1, "com.microsoft");
    call.In<uint8_t>({1}, {1}).In<float>(Shape::OfRank(0), {1}).In<uint8_t>(Shape::OfRank(0), {0});
    call.In<uint8_t>({1}, {1}).In<float>(Shape::OfRank(0), {scale}).In<uint8_t>(Shape::OfRank(0), {0});
    call.In<float>(Shape::OfRank(0), {1}).In<uint8_t>(Shape::OfRank(0), {0});
    EXPECT_NE(call.Error().find("scale"), std::string::npos);
  }
}

}  // namespace
}  // namespace linnet
