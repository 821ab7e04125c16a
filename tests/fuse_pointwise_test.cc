// Elementwise operators as programs: what becomes one, and that the numbers stay.
#include "passes_test_util.h"

#include "ops/pointwise_function.h"

namespace linnet {
namespace {

std::string Fused(std::string_view text) { return Optimized(text, ""); }

TEST(FusePointwise, AChainWithTwoReadersInsideIsOneNode) {
  // u is read twice, both times by what becomes part of the group.
  const char* text = R"(graph g (x: float[N,7,9], y: float[N,7,9], b: float[9]) -> (z) {
  half = const float[]{0.5}
  u = Add-13(x, b)
  e = Exp-13(u)
  s = Sub-13(e, y)
  t = Tanh-13(u)
  m = Mul-13(s, t)
  c = Clip-6(m) {min=-1.5, max=2.25}
  z = Mul-13(c, half)
})";
  const std::string graph = Fused(text);
  EXPECT_EQ(CountOf(graph, "linnet:Pointwise"), 1) << graph;
  EXPECT_EQ(CountOf(graph, "Exp-13") + CountOf(graph, "Tanh-13") + CountOf(graph, "Mul-13"), 0) << graph;
  EXPECT_TRUE(CountOf(graph, "\"Clip v4 alpha=-1.5 beta=2.25\"") == 1 && CountOf(graph, " 0.5\"") == 1) << graph;
  ExpectSameNumbers(text, {Shape{3, 7, 9}, Shape{3, 7, 9}, Shape{9}});
  ExpectSameNumbers(text, {Shape{1, 7, 9}, Shape{1, 7, 9}, Shape{9}});
}

TEST(FusePointwise, EveryOperatorOfTheTable) {
  const char* text = R"(graph g (x: float[5,33], y: float[5,33]) -> (z) {
  a = Abs-13(x)
  one = const float[]{1.25}
  p = Add-13(a, one)
  l = Log-13(p)
  q = Sqrt-13(p)
  r = Reciprocal-13(p)
  pw = Pow-15(p, y)
  m1 = Max-13(l, q)
  m2 = Min-13(r, pw)
  d = Div-13(m1, p)
  s = Sum-13(d, m2)
  pr = PRelu-16(s, y)
  ge = Gelu-20(pr) {approximate="tanh"}
  el = Elu-6(ge) {alpha=0.75}
  se = Selu-6(el)
  hs = HardSigmoid-6(se) {alpha=0.3, beta=0.45}
  le = LeakyRelu-16(x)
  sh = Shrink-9(le) {lambd=0.25, bias=0.125}
  z = Sub-14(hs, sh)
})";
  const std::string graph = Fused(text);
  EXPECT_EQ(CountOf(graph, "linnet:Pointwise"), 1) << graph;
  EXPECT_EQ(CountOf(graph, "= linnet:") + CountOf(graph, "= const"), 1) << graph;
  ExpectSameNumbers(text, {Shape{5, 33}, Shape{5, 33}});
}

TEST(FusePointwise, WhatIsReadElsewhereOrSmallerStaysOutside) {
  // e is an output as well; k is a vector that every row would compute again.
  const char* text = R"(graph g (x: float[64,300], k: float[300]) -> (z, e) {
  e = Exp-13(x)
  n = Neg-13(e)
  w = Sigmoid-13(k)
  z = Mul-13(n, w)
})";
  const std::string graph = Fused(text);
  EXPECT_EQ(CountOf(graph, "linnet:Pointwise"), 1) << graph;
  EXPECT_EQ(CountOf(graph, "= Exp-13") + CountOf(graph, "= Sigmoid-13"), 2) << graph;
  ExpectSameNumbers(text, {Shape{64, 300}, Shape{300}});
}

TEST(FusePointwise, ShortRunsAreWalkedTogether) {
  const char* short_rows = R"(graph g (x: float[40,28,8], b: float[8]) -> (y) {
  y = Add-13(x, b)
})";
  EXPECT_EQ(CountOf(Fused(short_rows), "linnet:Pointwise"), 1);
  ExpectSameNumbers(short_rows, {Shape{40, 28, 8}, Shape{8}});
  const char* long_rows = R"(graph g (x: float[40,512], b: float[512]) -> (y) {
  y = Add-13(x, b)
})";
  EXPECT_EQ(CountOf(Fused(long_rows), "linnet:Pointwise"), 0);
  const char* outer = R"(graph g (x: float[2,3,5,7], b: float[3,1,7]) -> (y) {
  y = Mul-13(x, b)
})";
  EXPECT_EQ(CountOf(Fused(outer), "linnet:Pointwise"), 1);
  ExpectSameNumbers(outer, {Shape{2, 3, 5, 7}, Shape{3, 1, 7}});
}

TEST(FusePointwise, NothingElseIsTouched) {
  // Integers, versions that broadcast otherwise, unknown dimensions, bounds that are inputs.
  for (const char* text : {"graph g (x: int32[4,5], y: int32[4,5]) -> (z) {\n  a = Add-13(x, y)\n  z = Mul-13(a, y)\n}\n",
                           "graph g (x: float[4,5], y: float[4]) -> (z) {\n  a = Add-6(x, y) {broadcast=1, axis=0}\n  z = Add-6(a, y) {broadcast=1, axis=0}\n}\n",
                           "graph g (x: float[4,300], l: float[]) -> (z) {\n  a = Clip-13(x, l)\n  z = Clip-13(a, l)\n}\n"}) {
    EXPECT_EQ(CountOf(Fused(text), "linnet:Pointwise"), 0) << Fused(text);
  }
}

TEST(FusePointwise, LongChainsAreCutIntoPrograms) {
  std::string text = "graph g (v0: float[3,5]) -> (v1000) {\n  k = const float[]{1.001}\n";
  for (int i = 0; i < 1000; ++i) text += "  v" + std::to_string(i + 1) + (i % 2 ? " = Mul-13(v" : " = Sub-13(v") + std::to_string(i) + ", k)\n";
  text += "}\n";
  const int programs = CountOf(Fused(text), "linnet:Pointwise");
  EXPECT_GT(programs, 15);
  EXPECT_LT(programs, 100);
  ExpectSameNumbers(text, {Shape{3, 5}});
}

TEST(FusePointwise, ProgramsAsTextComeBack) {
  PointwiseProgram program;
  const char* lines[] = {"Add x0 -0.25", "Mul v0 x2", "Clip v1 alpha=-1 beta=INF", "LeakyRelu v2 alpha=0.01", "MulAdd v3 x1 1e-12"};
  for (const char* line : lines) ASSERT_TRUE(ParseInstruction(line, &program).ok()) << line;
  EXPECT_EQ(program.input_count, 3);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(FormatInstruction(program, i), lines[i]);
}

TEST(FusePointwise, WrongProgramsAreRefusedWithTheirText) {
  for (const char* line : {"", "Add", "Add x0", "Add x0 v0", "Add x0 x8", "Frobnicate x0", "Add x0 one", "Relu x", "Relu v", "Relu x0 gamma=1",
                           "Relu x0 alpha", "Relu x0 alpha=z", "Relu x99999999999999999999", "Relu x-1", "Add x0 x1 x2"}) {
    PointwiseProgram program;
    const Status status = ParseInstruction(line, &program);
    EXPECT_FALSE(status.ok()) << line;
    EXPECT_FALSE(status.message().empty());
  }
  PointwiseProgram program;
  for (int i = 0; i < kPointwiseInstructionsMax; ++i) ASSERT_TRUE(ParseInstruction("Relu x0", &program).ok());
  EXPECT_FALSE(ParseInstruction("Relu x0", &program).ok());
  PointwiseProgram constants;
  for (int i = 0; i < kPointwiseConstantsMax; ++i) ASSERT_TRUE(ParseInstruction("Add x0 " + std::to_string(i), &constants).ok());
  EXPECT_TRUE(ParseInstruction("Mul x0 15", &constants).ok());
  EXPECT_FALSE(ParseInstruction("Add x0 16", &constants).ok());
}

TEST(FusePointwise, NodesThatDoNotFitTheirProgramAreRefused) {
  for (const char* node : {"linnet:Pointwise-1(x) {program=[\"Add x0 x1\"]}", "linnet:Pointwise-1(x, x) {program=[\"Relu x0\"]}",
                           "linnet:Pointwise-1(x)", "linnet:Pointwise-1(x) {program=3}"}) {
    Graph graph = Parsed(std::string("graph g (x: float[4]) -> (y) {\n  y = ") + node + "\n}\n");
    PassContext context;
    context.table = &OpTable::BuiltIn();
    EXPECT_FALSE(RunPipeline(graph, context, PipelineOptions()).ok()) << node;
  }
}

}  // namespace
}  // namespace linnet
