// The fuse_concats and fuse_channel_scales passes: convolutions that write slices, and those that scale their weights.
#include "passes_test_util.h"

namespace linnet {
namespace {

/// Three convolutions of one image, one of them in tiles, one of every channel alone, and what reads their Concat.
std::string Branches(int64_t a, int64_t b, const std::string& last, const std::string& more = "") {
  return "graph g (x: float[N,16,H,W]) -> (y) {\n" + more + WeightsText("wa", a, 16, 1, 1) + WeightsText("wb", b, 16, 3, 3) +
         WeightsText("wc", 16, 1, 3, 3) +
         "  p = Conv-13(x, wa)\n  q = Conv-13(x, wb) {pads=[1, 1, 1, 1]}\n  r = Relu-14(q)\n"
         "  s = Conv-13(x, wc) {pads=[1, 1, 1, 1], group=16}\n  " + last + "\n}\n";
}

TEST(FuseConcats, ConvolutionsWriteSlices) {
  const std::string text = Branches(16, 32, "c = Concat-13(p, r, s) {axis=1}\n  y = MaxPool-12(c) {kernel_shape=[2, 2]}");
  const std::string made = Optimized(text, "");
  EXPECT_EQ(CountOf(made, " = Concat"), 0) << made;
  EXPECT_EQ(CountOf(made, "slice_channels=64"), 3) << made;
  ExpectSameNumbers(text, {Shape{2, 16, 17, 19}});
  // Slices that do not begin at multiples of a register's width.
  ExpectSameNumbers(Branches(5, 21, "c = Concat-13(r, p, s) {axis=1}\n  y = MaxPool-12(c) {kernel_shape=[2, 2]}"), {Shape{1, 16, 9, 30}});
  ExpectSameNumbers(Branches(7, 64, "c = Concat-13(s, r, p) {axis=1}\n  y = Sigmoid-13(c)"), {Shape{3, 16, 28, 28}});
}

TEST(FuseConcats, CopiesWhatWasThereBefore) {
  for (const char* last : {"u = Conv-13(q, we)\n  c = Concat-13(q, u) {axis=1}\n  y = MaxPool-12(c) {kernel_shape=[2, 2]}",
                           "u = Conv-13(q, we)\n  c = Concat-13(q, u, q) {axis=1}\n  y = MaxPool-12(c) {kernel_shape=[2, 2]}",
                           "c = Concat-13(r, s) {axis=1}\n  u = Conv-13(c, wd)\n  d = Concat-13(c, u) {axis=1}\n"
                           "  y = MaxPool-12(d) {kernel_shape=[2, 2]}"}) {
    const std::string text = Branches(5, 16, last, WeightsText("wd", 7, 32, 1, 1) + WeightsText("we", 9, 16, 1, 1));
    EXPECT_EQ(CountOf(Optimized(text, ""), " = Concat"), 0) << last;
    ExpectSameNumbers(text, {Shape{2, 16, 17, 19}});
  }
  // A long way of the network: t is read by the pool as well, u only by the Concat.
  const std::string net = "graph g (x: float[N,8,H,W]) -> (y) {\n" + WeightsText("wa", 24, 8, 3, 3) + WeightsText("wb", 40, 24, 3, 3) +
                          WeightsText("wt", 40, 24, 2, 2) + WeightsText("wy", 4, 48, 3, 3) +
                          "  a = Conv-13(x, wa) {pads=[1, 1, 1, 1]}\n  t = Relu-14(a)\n  m = MaxPool-12(t) {kernel_shape=[2, 2], strides=[2, 2]}\n"
                          "  b = Conv-13(m, wb) {pads=[1, 1, 1, 1]}\n  u = ConvTranspose-11(b, wt) {strides=[2, 2]}\n"
                          "  c = Concat-13(u, t) {axis=1}\n  y = Conv-13(c, wy) {pads=[1, 1, 1, 1]}\n}\n";
  const std::string made = Optimized(net, "");
  EXPECT_EQ(CountOf(made, " = Concat"), 0) << made;
  EXPECT_EQ(CountOf(made, "linnet:ConcatInto"), 1) << made;
  ExpectSameNumbers(net, {Shape{2, 8, 16, 20}});
}

TEST(FuseConcats, LeavesWhatOthersReadWhatComesLaterAndOtherAxes) {
  for (const char* last : {"c = Concat-13(r, q, r) {axis=1}\n  y = MaxPool-12(c) {kernel_shape=[2, 2]}",
                           "c = Concat-13(p, p) {axis=2}\n  y = MaxPool-12(c) {kernel_shape=[2, 2]}",
                           "t = Tanh-13(r)\n  c = Concat-13(p, t) {axis=1}\n  y = MaxPool-12(c) {kernel_shape=[2, 2]}"}) {
    const std::string text = Branches(16, 16, last);
    EXPECT_EQ(CountOf(Optimized(text, ""), "slice_channels"), 0) << last;
    ExpectSameNumbers(text, {Shape{2, 16, 8, 8}});
  }
}

/// A block that excites its channels: `scale` makes s of x.
std::string Excited(const std::string& x, const std::string& scale, const std::string& rest, int64_t out = 24) {
  return "graph g (x: float[" + x + "], f: float[" + x + "]) -> (y) {\n" + WeightsText("wd", 40, 1, 3, 3) + WeightsText("w", out, 40, 1, 1) +
         "  d = Conv-13(x, wd) {pads=[1, 1, 1, 1], group=40}\n" + scale + "  m = Mul-13(s, d)\n" + rest + "\n}\n";
}
const char kPooled[] = "  a = GlobalAveragePool-1(d)\n  s = Sigmoid-13(a)\n";

TEST(FuseChannelScales, WeightsAreScaledInsteadOfTheImage) {
  for (const char* rest : {"  y = Conv-13(m, w)", "  c = Conv-13(m, w)\n  y = HardSwish-14(c)",
                           "  b = const float[24]{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}\n"
                           "  y = Conv-13(m, w, b)"}) {
    const std::string text = Excited("N,40,14,15", kPooled, rest);
    const std::string made = Optimized(text, "");
    EXPECT_EQ(CountOf(made, "linnet:ScaledConv"), 1) << made;
    EXPECT_EQ(CountOf(made, " = Mul"), 0) << made;
    ExpectSameNumbers(text, {Shape{3, 40, 14, 15}, Shape{3, 40, 14, 15}});
  }
  // A residual, and one scale for all images.
  ExpectSameNumbers(Excited("2,40,14,15", kPooled, "  c = Conv-13(m, w)\n  y = Add-14(c, f)", 40), {Shape{2, 40, 14, 15}, Shape{2, 40, 14, 15}});
  const std::string shared = "  r = ReduceMean-13(d) {axes=[0, 2, 3]}\n  s = Sigmoid-13(r)\n";
  const std::string text = Excited("3,40,14,15", shared, "  y = Conv-13(m, w)");
  EXPECT_EQ(CountOf(Optimized(text, ""), "linnet:ScaledConv"), 1);
  ExpectSameNumbers(text, {Shape{3, 40, 14, 15}, Shape{3, 40, 14, 15}});
}

TEST(FuseChannelScales, SmallImagesAndOtherProductsStay) {
  EXPECT_EQ(CountOf(Optimized(Excited("1,40,4,5", kPooled, "  y = Conv-13(m, w)"), ""), "ScaledConv"), 0);
  EXPECT_EQ(CountOf(Optimized(Excited("1,40,H,W", kPooled, "  y = Conv-13(m, w)"), ""), "ScaledConv"), 0);
  EXPECT_EQ(CountOf(Optimized(Excited("1,40,14,15", "  s = Sigmoid-13(f)\n", "  y = Conv-13(m, w)"), ""), "ScaledConv"), 0);
  EXPECT_EQ(CountOf(Optimized(Excited("1,40,14,15", kPooled, "  c = Conv-13(m, w)\n  y = Concat-13(c, m) {axis=1}"), ""), "ScaledConv"), 0);
}

}  // namespace
}  // namespace linnet
