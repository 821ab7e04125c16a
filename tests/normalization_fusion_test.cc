// recognize_normalization: the nodes it finds in formulas, the same numbers with and without it, and what it leaves alone.
#include "passes_test_util.h"

namespace linnet {
namespace {

constexpr char kLayerNorm[] = R"(
graph g (x: float[B,S,6]) -> (y) {
  two = const float[]{2}
  eps = const float[]{1e-05}
  scale = const float[6]{1, 2, -1, 0.5, 3, 1}
  bias = const float[6]{0, 1, 2, 3, 4, 5}
  mean = ReduceMean-13(x) {axes=[-1]}
  d = Sub-14(x, mean)
  sq = Pow-15(d, two)
  var = ReduceMean-13(sq) {axes=[2]}
  ve = Add-14(var, eps)
  sd = Sqrt-13(ve)
  n = Div-14(d, sd)
  s = Mul-14(n, scale)
  y = Add-14(s, bias)
})";

/// The square as a product, the axes as an input, a reciprocal, no bias, two dimensions.
constexpr char kNoBias[] = R"(
graph g (x: float[B,3,4]) -> (y) {
  axes = const int64[2]{-2, -1}
  eps = const float[]{0.001}
  scale = const float[3,4]{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
  mean = ReduceMean-18(x, axes)
  d = Sub-14(x, mean)
  sq = Mul-14(d, d)
  var = ReduceMean-18(sq, axes)
  ve = Add-14(eps, var)
  sd = Sqrt-13(ve)
  r = Reciprocal-13(sd)
  n = Mul-14(r, d)
  y = Mul-14(scale, n)
})";

constexpr char kRmsNorm[] = R"(
graph g (x: float[B,S,4]) -> (y) {
  one = const float[]{1}
  two = const float[]{2}
  eps = const float[]{1e-06}
  scale = const float[4]{1, 2, 3, 4}
  sq = Pow-15(x, two)
  ms = ReduceMean-13(sq) {axes=[-1]}
  me = Add-14(ms, eps)
  rt = Sqrt-13(me)
  r = Div-14(one, rt)
  n = Mul-14(x, r)
  y = Mul-14(scale, n)
})";

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(RecognizeNormalization, FindsTheFormulas) {
  std::string norm = Optimized(kLayerNorm, "recognize_normalization");
  EXPECT_NE(norm.find("LayerNormalization-17(x, scale, bias) {axis=2, epsilon=0.00001}"), std::string::npos) << norm;
  EXPECT_EQ(norm.find("ReduceMean"), std::string::npos) << norm;
  norm = Optimized(kNoBias, "recognize_normalization");
  EXPECT_NE(norm.find("LayerNormalization-17(x, scale) {axis=1, epsilon=0.001}"), std::string::npos) << norm;
  norm = Optimized(kRmsNorm, "recognize_normalization");
  EXPECT_NE(norm.find("RMSNormalization-23(x, scale) {axis=2, epsilon=1e-06}"), std::string::npos) << norm;
}

TEST(RecognizeNormalization, KeepsTheNumbers) {
  ExpectSameNumbers(kLayerNorm, {Shape{2, 5, 6}});
  ExpectSameNumbers(kNoBias, {Shape{7, 3, 4}});
  ExpectSameNumbers(kRmsNorm, {Shape{3, 2, 4}});
}

TEST(RecognizeNormalization, LeavesWhatItMustNotTouch) {
  const std::string layer_norms[] = {
      Replaced(kLayerNorm, "-> (y)", "-> (y, sd)"),                          // an inner value that is asked for
      Replaced(kLayerNorm, "{axes=[-1]}", "{axes=[1]}"),                     // not the mean of what is normalised
      Replaced(kLayerNorm, "two = const float[]{2}", "two = const float[]{3}"),
  };
  for (const std::string& text : layer_norms) {
    EXPECT_EQ(Optimized(text, "recognize_normalization").find("LayerNormalization"), std::string::npos) << text;
  }
  const std::string rms_norms[] = {
      Replaced(kRmsNorm, "one = const float[]{1}", "one = const float[]{2}"),
      Replaced(kRmsNorm, "{axes=[-1]}", "{axes=[1]}"),                       // not the last dimension
      Replaced(kRmsNorm, "scale = const float[4]{1, 2, 3, 4}", "scale = const float[1]{3}"),
  };
  for (const std::string& text : rms_norms) {
    EXPECT_EQ(Optimized(text, "recognize_normalization").find("Normalization"), std::string::npos) << text;
  }
  // Differences from something else than the mean: the rest is the root mean square's formula, with a product.
  std::string other = Replaced(kLayerNorm, "Sub-14(x, mean)", "Sub-14(mean, x)");
  EXPECT_EQ(Optimized(other, "recognize_normalization").find("LayerNormalization"), std::string::npos);
  ExpectSameNumbers(other, {Shape{2, 3, 6}});
}

}  // namespace
}  // namespace linnet
