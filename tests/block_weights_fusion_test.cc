// fuse_block_weights: which products with weights in blocks read codes, and the same numbers with and without.
#include "passes_test_util.h"

namespace linnet {
namespace {

/// `count` codes within [low, high].
std::string Codes(int count, int low, int high, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::string out;
  for (int i = 0; i < count; ++i) out += (i ? ", " : "") + std::to_string(low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1)));
  return out;
}
std::string Scales(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += (i ? ", " : "") + std::to_string(0.01 * (1 + i % 7));
  return out;
}

/// A product of 40 rows, in blocks of 16 the last of which is short, with 5 columns.
std::string MatMul(const std::string& type, int low, int high, bool zeros, const std::string& more = "") {
  return "graph g (x: float[B,40]) -> (y) {\n  w = const " + type + "[40,5]{" + Codes(200, low, high, 1) + "}\n  s = const float[3,5]{" + Scales(15) + "}\n" +
         (zeros ? "  z = const " + type + "[3,5]{" + Codes(15, low, high, 2) + "}\n" : "") +
         "  d = DequantizeLinear-21(w, s" + (zeros ? ", z" : "") + ") {axis=0, block_size=16" + more + "}\n  y = MatMul-13(x, d)\n}\n";
}

TEST(FuseBlockWeights, ReadsCodes) {
  struct {
    const char* type;
    int low, high;
  } const types[] = {{"int4", -8, 7}, {"uint4", 0, 15}, {"int8", -128, 127}, {"uint8", 0, 255}};
  for (const auto& t : types) {
    for (bool zeros : {false, true}) {
      const std::string text = MatMul(t.type, t.low, t.high, zeros);
      EXPECT_NE(Optimized(text, "").find("com.microsoft:MatMulNBits-1(x,"), std::string::npos) << t.type << zeros << Optimized(text, "");
      for (int64_t rows : {1, 3, 9}) ExpectSameNumbers(text, {{rows, 40}});
    }
  }
  const std::string gemm = "graph g (x: float[B,32]) -> (y) {\n  w = const int4[6,32]{" + Codes(192, -8, 7, 3) + "}\n  s = const float[6,2]{" + Scales(12) +
                           "}\n  c = const float[1,6]{1, 2, 3, 4, 5, 6}\n  d = DequantizeLinear-21(w, s) {axis=-1, block_size=16}\n"
                           "  y = Gemm-13(x, d, c) {transB=1}\n}\n";
  EXPECT_NE(Optimized(gemm, "").find("com.microsoft:MatMulNBits-1(x,"), std::string::npos) << Optimized(gemm, "");
  for (int64_t rows : {1, 9}) ExpectSameNumbers(gemm, {{rows, 32}});
}

TEST(FuseBlockWeights, LeavesWhatTheOperatorCannotSay) {
  auto left = [](std::string text, const std::string& from, const std::string& to) {
    text.replace(text.find(from), from.size(), to);
    return Optimized(text, "").find("MatMulNBits") == std::string::npos;
  };
  const std::string text = MatMul("int4", -8, 7, false);
  EXPECT_TRUE(left(text, "block_size=16", "block_size=15"));          // no power of two
  EXPECT_TRUE(left(text, "-> (y)", "-> (y, d)"));                     // the floats are asked for
}

}  // namespace
}  // namespace linnet
