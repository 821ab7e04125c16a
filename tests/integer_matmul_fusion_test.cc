// fuse_integer_matmul and the layout of 8-bit operators: the graphs they make, and the same numbers with and without them.
#include "passes_test_util.h"

namespace linnet {
namespace {

/// As dynamic quantization writes a linear layer.
constexpr char kLinear[] = R"(
graph g (x: float[B,S,8], r: float[B,S,4]) -> (y) {
  w = const int8[8,4]{1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4, 3, 2}
  ws = const float[4]{0.5, 0.25, 0.125, 1}
  wz = const int8[4]{0, 1, 2, -3}
  b = const float[4]{1, 2, 3, 4}
  q, s, z = DynamicQuantizeLinear-11(x)
  sums = MatMulInteger-10(q, w, z, wz)
  real = Cast-13(sums) {to=1}
  scale = Mul-14(s, ws)
  scaled = Mul-14(real, scale)
  biased = Add-14(b, scaled)
  added = Add-14(biased, r)
  y = Relu-14(added)
})";

TEST(FuseIntegerMatMul, TakesScalesAndWhatFollows) {
  std::string text = Optimized(kLinear, "fuse_integer_matmul");
  EXPECT_NE(text.find("scaled: float[B,S,4] = linnet:MatMulIntegerToFloat-1(q, w, s, ws, z, wz)"), std::string::npos) << text;
  text = Optimized(kLinear, "");
  EXPECT_NE(text.find("y: float[B,S,4] = linnet:MatMulIntegerToFloat-1(q, w, s, ws, z, wz, b, r) {activation=\"Relu\"}"), std::string::npos)
      << text;
  for (const char* gone : {"Cast", "Mul-", "Add-", "Relu-"}) EXPECT_EQ(text.find(gone), std::string::npos) << text;
}

TEST(FuseIntegerMatMul, KeepsTheNumbers) {
  for (int64_t rows : {1, 2, 7, 30}) ExpectSameNumbers(kLinear, {{2, rows, 8}, {2, rows, 4}});
}

/// Sums that somebody else reads stay.
TEST(FuseIntegerMatMul, LeavesSharedSums) {
  std::string graph = kLinear;
  graph.replace(graph.find("-> (y)"), 6, "-> (y, sums)");
  EXPECT_EQ(Optimized(graph, "fuse_integer_matmul").find("linnet:"), std::string::npos);
}

/// A classifier of so many columns, as dynamic quantization writes it.
std::string ClassifierText(int64_t columns, const std::string& axis) {
  std::string weights, bias;
  for (int64_t i = 0; i < 8 * columns; ++i) weights += (i > 0 ? ", " : "") + std::to_string(i * 37 % 255 - 127);
  for (int64_t i = 0; i < columns; ++i) bias += (i > 0 ? ", " : "") + std::to_string(i % 7 - 3);
  const std::string n = std::to_string(columns);
  return R"(
graph g (x: float[B,S,8]) -> (y) {
  b = const float[)" + n + "]{" + bias + R"(}
  w = const int8[8,)" + n + "]{" + weights + R"(}
  ws = const float[]{0.01}
  wz = const int8[]{0}
  q, s, z = DynamicQuantizeLinear-11(x)
  sums = MatMulInteger-10(q, w, z, wz)
  real = Cast-13(sums) {to=1}
  scale = Mul-14(s, ws)
  scaled = Mul-14(real, scale)
  biased = Add-14(b, scaled)
  y = LogSoftmax-13(biased) {axis=)" + axis + R"(}
})";
}

TEST(FuseLogSoftmax, BecomesPartOfTheProduct) {
  for (const char* axis : {"-1", "2"}) {
    const std::string text = Optimized(ClassifierText(20, axis), "");
    EXPECT_EQ(text.find("LogSoftmax"), std::string::npos) << text;
    EXPECT_NE(text.find("log_softmax=1"), std::string::npos) << text;
  }
  for (const char* axis : {"0", "1"}) {
    EXPECT_NE(Optimized(ClassifierText(20, axis), "").find("LogSoftmax"), std::string::npos);
  }
}

TEST(FuseLogSoftmax, KeepsTheNumbers) {
  for (int64_t columns : {1, 20, 1100, 2100}) {
    for (int64_t rows : {1, 16, 37}) ExpectSameNumbers(ClassifierText(columns, "-1"), {{2, rows, 8}});
  }
}

/// As dynamic quantization writes a convolution: one scale of the image, one of the weights; behind it a bias, a residual and an
/// activation.
std::string ConvText(const std::string& scale, const std::string& group) {
  return R"(
graph g (x: float[N,4,9,7], r: float[N,4,9,7]) -> (y) {
  w = const uint8[4,)" + std::string(group == "4" ? "1,3,3" : "4,1,1") + R"(]{1, 250, 3, 240, 5, 26, 7, 28, 9, 110, 11, 112, 13, 114, 15, 116)" +
         (group == "4" ? ", 17, 200, 19, 2, 21, 22, 23, 24, 25, 126, 127, 128, 129, 30, 31, 32, 33, 34, 35, 36" : "") + R"(}
  wz = const uint8[]{121}
  ws = const float[]{0.0078125}
  bias = const float[1,4,1,1]{1, -2, 3, 0.25}
  each = const float[1,4,1,1]{0.5, 0.25, 0.125, 2}
  q, s, z = DynamicQuantizeLinear-11(x)
  both = Mul-14(s, ws)
  sums = ConvInteger-10(q, w, z, wz) {group=)" + group + (group == "4" ? ", pads=[1, 1, 1, 1]" : "") + R"(}
  real = Cast-13(sums) {to=1}
  scaled = Mul-14(real, )" + scale + R"()
  biased = Add-14(scaled, bias)
  pooled = MaxPool-12(r) {kernel_shape=[3, 3], pads=[1, 1, 1, 1]}
  added = Add-14(pooled, biased)
  y = Relu-14(added)
})";
}

TEST(FuseIntegerConv, TakesItsScaleAndWhatFollows) {
  for (const char* scale : {"both", "each"}) {
    const std::string text = Optimized(ConvText(scale, "1"), "");
    EXPECT_NE(text.find("linnet:ConvIntegerToFloat-1("), std::string::npos) << text;
    EXPECT_NE(text.find("activation=\"Relu\""), std::string::npos) << text;
    for (const char* gone : {"Cast", "Add-", "Relu-", "ConvInteger-"}) EXPECT_EQ(text.find(gone), std::string::npos) << text;
  }
}

TEST(FuseIntegerConv, KeepsTheNumbers) {
  for (const char* scale : {"both", "each"}) {
    for (const char* group : {"1", "4"}) {
      for (int64_t images : {1, 3}) ExpectSameNumbers(ConvText(scale, group), {{images, 4, 9, 7}, {images, 4, 9, 7}});
    }
  }
}

/// Sums that somebody else reads stay.
TEST(FuseIntegerConv, LeavesSharedSums) {
  std::string graph = ConvText("both", "1");
  graph.replace(graph.find("-> (y)"), 6, "-> (y, sums)");
  EXPECT_EQ(Optimized(graph, "").find("ConvIntegerToFloat"), std::string::npos);
}

/// Between two convolutions 8-bit tensors keep their channels last.
constexpr char kImages[] = R"(
graph g (x: float[1,2,H,W]) -> (y) {
  s = const float[]{0.02}
  z = const uint8[]{128}
  w = const int8[2,2,1,1]{50, -30, 20, 70}
  ws = const float[2]{0.01, 0.02}
  wz = const int8[2]{0, 0}
  q = QuantizeLinear-13(x, s, z)
  a = QLinearConv-10(q, s, z, w, ws, wz, s, z)
  b = com.microsoft:QLinearSigmoid-1(a, s, z, s, z)
  c = com.microsoft:QLinearAdd-1(b, s, z, a, s, z, s, z)
  d = com.microsoft:QLinearConcat-1(s, z, c, s, z, a, s, z) {axis=1}
  e = com.microsoft:QLinearAveragePool-1(d, s, z, s, z) {kernel_shape=[2, 2]}
  f = com.microsoft:QLinearGlobalAveragePool-1(e, s, z, s, z)
  y = DequantizeLinear-13(f, s, z)
})";

TEST(LayoutOfBytes, MovesThroughQuantizedOperators) {
  const std::string text = Optimized(kImages, "layout");
  // One before the convolution, one at the very end.
  const size_t first = text.find("linnet:ToChannelsLast"), last = text.find("linnet:ToChannelsFirst");
  ASSERT_NE(first, std::string::npos) << text;
  ASSERT_NE(last, std::string::npos) << text;
  EXPECT_EQ(text.find("linnet:ToChannelsLast", first + 1), std::string::npos) << text;
  EXPECT_EQ(text.find("linnet:ToChannelsFirst", last + 1), std::string::npos) << text;
  EXPECT_LT(text.find("DequantizeLinear"), last) << text;
  EXPECT_NE(text.find("{axis=3}"), std::string::npos) << text;
}

TEST(LayoutOfBytes, KeepsTheNumbers) {
  for (int64_t size : {2, 3, 9}) ExpectSameNumbers(kImages, {{1, 2, size, size + 1}});
}

}  // namespace
}  // namespace linnet
