// The resolve pass: image operators become channels-last ones between two transpositions; everything else stays.
#include <gtest/gtest.h>

#include "graph/text.h"
#include "graph/verify.h"
#include "passes/passes.h"

namespace linnet {
namespace {

/// The graph after the pass, as text; types of new values included.
std::string Resolved(std::string_view text) {
  Result<Graph> graph = ParseGraph(text);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  if (!graph.ok()) return "";
  Status status = Resolve(*graph, PassContext());
  EXPECT_TRUE(status.ok()) << status.message();
  return PrintGraph(*graph);
}

/// Both texts as the printer writes them, names of new values numbered in order.
void ExpectResolved(std::string_view before, std::string_view after) {
  Result<Graph> wanted = ParseGraph(after);
  ASSERT_TRUE(wanted.ok()) << wanted.status().message();
  EXPECT_EQ(Resolved(before), PrintGraph(*wanted));
}

TEST(Resolve, ConvKeepsItsOutputAndItsAttributes) {
  ExpectResolved(R"(
graph g (x: float[1,3,N,8], w: float[4,3,3,3]) -> (y) {
  y: float[1,4,N,8] = Conv-11(x, w) {pads=[1, 1, 1, 1]} @layer
})",
                 R"(
graph g (x: float[1,3,N,8], w: float[4,3,3,3]) -> (y) {
  "x/0": float[1,N,8,3] = linnet:ToChannelsLast-1(x) @x
  "y/1": float[1,N,8,4] = linnet:Conv-11("x/0", w) {pads=[1, 1, 1, 1]} @layer
  y: float[1,4,N,8] = linnet:ToChannelsFirst-1("y/1")
})");
}

TEST(Resolve, OneTranspositionServesAllReaders) {
  std::string text = Resolved(R"(
graph g (x: float[1,3,8,8], w: float[4,3,1,1]) -> (a, b) {
  a: float[1,4,8,8] = Conv-11(x, w)
  b: float[1,3,4,4] = MaxPool-12(x) {kernel_shape=[2, 2], strides=[2, 2]}
})");
  size_t first = text.find("ToChannelsLast");
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("ToChannelsLast", first + 1), std::string::npos) << text;
}

TEST(Resolve, RankMayComeFromWeightsOrKernel) {
  for (const char* text : {"graph g (x: float[...], w: float[4,3,3]) -> (y) {\n  y = Conv-11(x, w)\n}",
                           "graph g (x: float[...]) -> (y) {\n  y = AveragePool-11(x) {kernel_shape=[2]}\n}"}) {
    EXPECT_NE(Resolved(text).find("ToChannelsLast"), std::string::npos) << text;
  }
}

TEST(Resolve, LeavesWhatItCannotLower) {
  for (const char* text : {
           "graph g (x: float[...]) -> (y) {\n  y = GlobalAveragePool-1(x)\n}",
           "graph g (x: float[...], w: float[...]) -> (y) {\n  y = Conv-11(x, w)\n}",
           "graph g (x: float[2,3]) -> (y) {\n  y = Relu-14(x)\n}",
           "graph g (x: float[2,3], s: float[2]) -> (y) {\n  y = Resize-10(x, s)\n}",
           "graph g (x: float[1,3,8,8]) -> (y, i) {\n  y, i = MaxPool-12(x) {kernel_shape=[2, 2]}\n}",
           "graph g (x: float[1,3,8,8]) -> (y) {\n  y = custom:Conv-1(x)\n}",
       }) {
    EXPECT_EQ(Resolved(text).find("linnet:"), std::string::npos) << text;
  }
}

TEST(Resolve, IndicesNobodyReadsDoNotHinder) {
  std::string text = Resolved(
      "graph g (x: float[1,3,8,8]) -> (y) {\n  y: float[1,3,7,7], i = MaxPool-12(x) {kernel_shape=[2, 2]}\n}");
  EXPECT_NE(text.find("linnet:MaxPool-12"), std::string::npos) << text;
}

TEST(Resolve, ReachesSubgraphs) {
  std::string text = Resolved(R"(
graph g (c: bool[], x: float[1,3,8,8]) -> (y) {
  y = If-16(c) {then_branch=graph then () captures (u: float[1,3,8,8] = x) -> (v) {
    v: float[1,3,1,1] = GlobalMaxPool-1(u)
  }, else_branch=graph else () captures (u: float[1,3,8,8] = x) -> (v) {
    v = Identity-16(u)
  }}
})");
  EXPECT_NE(text.find("linnet:GlobalMaxPool-1"), std::string::npos) << text;
}

TEST(Resolve, TheResultIsAValidGraph) {
  Result<Graph> graph = ParseGraph(R"(
graph g (x: float[1,3,8,8], w: float[4,3,3,3], v: float[2,4,1,1]) -> (z, y) {
  y = Conv-11(x, w)
  r = Relu-14(y)
  z = Conv-11(r, v)
})");
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  ASSERT_TRUE(Resolve(*graph, PassContext()).ok());
  Status status = Verify(*graph);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(graph->value(graph->outputs()[1]).name, "y");
}

}  // namespace
}  // namespace linnet
