// The layout_edges pass: first convolutions that read channels first, resizes behind the transpose; the graph after it and
// the numbers. And blocks of pixels in the layout pass.
#include <algorithm>

#include "passes_test_util.h"

namespace linnet {
namespace {

bool Has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string FirstConv(int64_t channels, int64_t kernel, int64_t out, const std::string& x, const std::string& attributes) {
  return "graph g (x: float[" + x + "]) -> (y) {\n" + WeightsText("w", out, channels, kernel, kernel) +
         "  c = Conv-13(x, w) {" + attributes + "}\n  y = Relu-14(c)\n}\n";
}

TEST(LayoutEdges, FirstConvolutionsReadChannelsFirst) {
  const char* stride2 = "pads=[1, 1, 1, 1], strides=[2, 2]";
  EXPECT_FALSE(Has(Optimized(FirstConv(3, 3, 8, "1,3,20,22", stride2), ""), "ToChannelsLast"));
  EXPECT_FALSE(Has(Optimized(FirstConv(2, 5, 8, "N,2,H,W", "pads=[2, 2, 2, 2]"), ""), "ToChannelsLast"));
  // What is no row copy anyway, has many channels, or may be computed in tiles.
  EXPECT_TRUE(Has(Optimized(FirstConv(3, 1, 8, "1,3,20,22", ""), ""), "ToChannelsLast"));
  EXPECT_TRUE(Has(Optimized(FirstConv(5, 3, 8, "1,5,20,22", stride2), ""), "ToChannelsLast"));
  EXPECT_TRUE(Has(Optimized(FirstConv(3, 3, 8, "1,3,20,22", "pads=[1, 1, 1, 1]"), ""), "ToChannelsLast"));
}

TEST(LayoutEdges, FirstConvolutionsKeepTheirNumbers) {
  for (int64_t channels : {2, 3, 4}) {
    for (int64_t out : {8, 70}) {   // few and many outputs find their rows in different ways
      const std::string c = std::to_string(channels);
      ExpectSameNumbers(FirstConv(channels, 3, out, "N," + c + ",H,W", "pads=[1, 0, 2, 1], strides=[2, 2]"), {Shape{2, channels, 37, 41}});
      ExpectSameNumbers(FirstConv(channels, 5, out, "1," + c + ",12,13", "pads=[2, 2, 2, 2], dilations=[1, 2]"), {Shape{1, channels, 12, 13}});
    }
  }
}

TEST(Layout, BlocksOfPixelsAreChannelsLast) {
  for (const char* op : {"DepthToSpace-13(c) {blocksize=2}", "DepthToSpace-13(c) {blocksize=2, mode=\"CRD\"}", "SpaceToDepth-13(c) {blocksize=2}"}) {
    const std::string channels = op[0] == 'D' ? "3" : "48";
    const std::string text = "graph g (x: float[N,5,6,10]) -> (y) {\n" + WeightsText("w", 12, 5, 3, 3) + WeightsText("v", 7, std::stoi(channels), 3, 3) +
                             "  c = Conv-13(x, w) {pads=[1, 1, 1, 1]}\n  d = " + op + "\n  y = Conv-13(d, v)\n}\n";
    const std::string made = Optimized(text, "layout");
    EXPECT_EQ(CountOf(made, "ToChannelsLast"), 1) << made;
    EXPECT_EQ(CountOf(made, op[0] == 'D' ? "linnet:DepthToSpace" : "linnet:SpaceToDepth"), 1) << made;
    ExpectSameNumbers(text, {Shape{2, 5, 6, 10}});
  }
}

/// A mean of all pixels that keeps no axes is the same in either layout; others are not.
TEST(Layout, ReductionsOfAllPixelsReadChannelsLast) {
  for (const char* reduce : {"ReduceMean-13(c) {axes=[2, 3], keepdims=0}", "ReduceMax-13(c) {axes=[-1, 2], keepdims=0}",
                             "ReduceMean-13(c) {axes=[2, 3]}", "ReduceSum-13(c, a) {keepdims=0}", "ReduceMean-13(c) {axes=[3], keepdims=0}",
                             "ReduceMean-13(c) {axes=[1, 2, 3], keepdims=0}", "ReduceL2-13(c) {axes=[1, 3], keepdims=0}"}) {
    SCOPED_TRACE(reduce);
    const std::string text = "graph g (x: float[N,5,6,7]) -> (y) {\n" + WeightsText("w", 12, 5, 3, 3) + "  a = const int64[2]{3, 2}\n" +
                             "  c = Conv-13(x, w) {pads=[1, 1, 1, 1]}\n  y = " + reduce + "\n}\n";
    const bool pixels = !Has(reduce, "axes=[3]") && !Has(reduce, "[1");
    EXPECT_EQ(CountOf(Optimized(text, "layout"), "ToChannelsFirst"), !pixels || !Has(reduce, "keepdims") ? 1 : 0);
    ExpectSameNumbers(text, {Shape{2, 5, 6, 7}});
  }
}

TEST(LayoutEdges, BlocksReadChannelsFirst) {
  const std::string text = "graph g (x: float[N,3,160,160]) -> (y) {\n" + WeightsText("w", 16, 3, 3, 3) + WeightsText("d", 16, 1, 3, 3) +
                           WeightsText("p", 8, 16, 1, 1) +
                           "  a = Conv-13(x, w) {pads=[1, 1, 1, 1], strides=[2, 2]}\n  b = Relu-14(a)\n"
                           "  e = Conv-13(b, d) {pads=[1, 1, 1, 1], group=16}\n  f = Relu-14(e)\n  y = Conv-13(f, p)\n}\n";
  const std::string made = Optimized(text, "");
  EXPECT_TRUE(Has(made, "ConvBlock") && Has(made, "expand_channels_first=1")) << made;
  EXPECT_FALSE(Has(made, "ToChannelsLast")) << made;
  ExpectSameNumbers(text, {Shape{2, 3, 160, 160}});
}

/// Conv, a shuffle of its 12 channels by `parts`, `perm` and `whole`, `then` of it, Conv.
std::string Shuffled(const std::string& n, const std::string& parts, const std::string& perm, const std::string& whole, const std::string& then,
                     int64_t channels) {
  return "graph g (x: float[" + n + ",5,6,7]) -> (y) {\n" + WeightsText("w", 12, 5, 3, 3) + WeightsText("v", 4, channels, 1, 1) +
         "  parts = const int64[" + std::to_string(1 + std::count(parts.begin(), parts.end(), ',')) + "]{" + parts + "}\n  whole = const int64[" +
         std::to_string(1 + std::count(whole.begin(), whole.end(), ',')) + "]{" + whole + "}\n  c = Conv-13(x, w) {pads=[1, 1, 1, 1]}\n" +
         "  a = Reshape-13(c, parts)\n  b = Transpose-13(a) {perm=[" + perm + "]}\n  s = Reshape-13(b, whole)\n" + then +
         "  y = Conv-13(d, v)\n}\n";
}

TEST(Layout, ShufflesOfChannelsAreChannelsLast) {
  const std::string identity = "  d = Relu-14(s)\n";
  const std::string halves = "  one = const int64[1]{1}\n  low = const int64[1]{0}\n  middle = const int64[1]{6}\n  high = const int64[1]{12}\n"
                             "  f = Slice-13(s, low, middle, one)\n  h = Slice-13(s, middle, high, one)\n  d = Add-14(f, h)\n";
  const std::string gathers = "  zero = const int64[]{0}\n  last = const int64[]{-1}\n  f = Gather-13(s, zero) {axis=0}\n"
                              "  h = Gather-13(s, last) {axis=0}\n  d = Mul-14(f, h)\n";
  struct Case {
    std::string text;
    int shuffles;
    int64_t batch;
  };
  for (const auto& [text, shuffles, batch] :
       {Case{Shuffled("N", "0, 2, 6, 6, 7", "0, 2, 1, 3, 4", "0, 12, 6, 7", identity, 12), 1, 3}, {Shuffled("2", "2, 3, 4, 42", "0, 2, 1, 3", "2, 12, 6, 7", identity, 12), 1, 2},
        {Shuffled("1", "4, 3, 42", "1, 0, 2", "1, 12, 6, 7", identity, 12), 1, 1}, {Shuffled("2", "2, 2, 6, 6, 7", "0, 2, 1, 3, 4", "2, 12, 6, 7", halves, 6), 2, 2},
        {Shuffled("1", "6, 2, 42", "1, 0, 2", "2, -1, 6, 6, 7", gathers, 6), 2, 1}, {Shuffled("1", "1, 4, 3, 6, 7", "0, 2, 1, 3, 4", "1, 12, 6, 7", halves, 6), 1, 1}}) {
    const std::string made = Optimized(text, "");
    EXPECT_EQ(CountOf(made, "linnet:ShuffleChannels"), shuffles) << made;
    EXPECT_EQ(CountOf(made, "Transpose-"), 0) << made;
    EXPECT_EQ(CountOf(made, "ToChannels"), 2) << made;
    ExpectSameNumbers(text, {Shape{batch, 5, 6, 7}});
  }
  // Pixels that change places with channels, or rows of the batch, are no shuffles.
  for (const std::string& text : {Shuffled("1", "12, 6, 7", "1, 0, 2", "1, 12, 6, 7", identity, 12), Shuffled("2", "2, 12, 42", "1, 0, 2", "2, 12, 6, 7", identity, 12),
                                  Shuffled("1", "3, 4, 42", "1, 0, 2", "1, 12, 7, 6", identity, 12)}) {
    EXPECT_EQ(CountOf(Optimized(text, ""), "linnet:ShuffleChannels"), 0);
    ExpectSameNumbers(text, {Shape{text.find("[2,5") == std::string::npos ? 1 : 2, 5, 6, 7}});
  }
}

std::string Upsampled(const std::string& attributes, const std::string& sizes) {
  return "graph g (x: float[2,5,9,11]) -> (y) {\n" + WeightsText("w", 6, 5, 1, 1) + "  sizes = const int64[4]{2, 6, " + sizes +
         "}\n  c = Conv-13(x, w)\n  y = Resize-13(c, _, _, sizes) {" + attributes + "}\n}\n";
}

TEST(LayoutEdges, ResizeToABiggerImageFollowsTheTranspose) {
  const std::string made = Optimized(Upsampled("mode=\"linear\"", "36, 44"), "");
  EXPECT_LT(made.find("ToChannelsFirst"), made.find(" = Resize")) << made;
  EXPECT_TRUE(Has(Optimized(Upsampled("mode=\"linear\"", "5, 6"), ""), "linnet:Resize"));
  EXPECT_TRUE(Has(Optimized("graph g (x: float[2,5,9,11]) -> (y) {\n  s = const float[4]{1, 1, 0.5, 0.5}\n"
                            "  y = Resize-13(x, _, s) {mode=\"linear\"}\n}\n", ""), " = Resize"));
  for (const char* attributes : {"mode=\"linear\"", "mode=\"cubic\"", "mode=\"nearest\"", "mode=\"linear\", coordinate_transformation_mode=\"align_corners\""}) {
    ExpectSameNumbers(Upsampled(attributes, "36, 44"), {Shape{2, 5, 9, 11}});
    ExpectSameNumbers(Upsampled(attributes, "9, 70"), {Shape{2, 5, 9, 11}});
    ExpectSameNumbers(Upsampled(attributes, "31, 11"), {Shape{2, 5, 9, 11}});
  }
}

}  // namespace
}  // namespace linnet
