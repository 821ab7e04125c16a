// Printing and parsing graphs: what prints parses, and prints the same.
#include "graph/text.h"

#include <gtest/gtest.h>

#include "graph/verify.h"

namespace linnet {
namespace {

/// `text` parsed, verified and printed again.
std::string Reprint(std::string_view text) {
  Result<Graph> graph = ParseGraph(text);
  if (!graph.ok()) return std::string(graph.status().message());
  Status status = Verify(*graph);
  if (!status.ok()) return std::string(status.message());
  return PrintGraph(*graph);
}

void ExpectSame(std::string_view text) { EXPECT_EQ(Reprint(text), text); }

TEST(GraphText, NodesConstantsTypesAttributes) {
  ExpectSame(R"(graph g (x: float[1,3,N], k: int64[] = int64[]{3}) -> (y, t) {
  t: float[1,3,N] = Relu-14(x)
  w = const float[2,2]{1, 2.5, -3, 0.00001}
  a, _, "b c" = linnet:Split-1(t, w, _, k) {axis=-1, ratio=0.5, one=1.0, pads=[1, -2], scales=[1.0, 2.5], mode="same", keys=["a", "\x00\n\"\\"]} @layer1/split
  y = Sum-13(a, "b c")
}
)");
}

TEST(GraphText, EveryKindOfType) {
  ExpectSame(R"(graph (a: float[...], b: int4[?,"1",batch.size], c: seq(int64[3]), d: optional(bool[]), e: optional(seq(string[...])), f: map(string,float), g: seq(map(int64,double)), h) -> () {
}
)");
}

TEST(GraphText, EveryKindOfAttribute) {
  ExpectSame(R"(graph () -> (y) {
  y = Odd-1() {ints=[], floats=floats[], strings=strings[], nan=NaN, inf=-INF, tensor=int64[2]{1, 2}, tensors=tensors[bool[1]{true}, string[1]{"x"}], none=tensors[], graphs=graphs[graph () -> () {
  }, graph () -> () {
  }], type=type(seq(float[2])), "a b"=9223372036854775807}
}
)");
}

TEST(GraphText, EveryElementType) {
  ExpectSame(R"(graph () -> (v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13) {
  v0 = const float[5]{0.1, NaN, 0x7fc00001, -INF, -0}
  v1 = const double[2]{0.1, 1.7976931348623157e+308}
  v2 = const float16[3]{0.099975586, 65504, 0x7e01}
  v3 = const bfloat16[2]{1, 3.3895314e+38}
  v4 = const complex64[2]{1, -1, 0.5, 2}
  v5 = const int4[3]{-8, 7, 1}
  v6 = const uint2[5]{0, 1, 2, 3, 1}
  v7 = const float4e2m1[3]{0.5, -6, 4}
  v8 = const float8e4m3fn[2]{448, NaN}
  v9 = const uint64[1]{18446744073709551615}
  v10 = const int64[1]{-9223372036854775808}
  v11 = const int8[2,1]{-128, 127}
  v12 = const string[0]{}
  v13 = const float8e8m0[1]{2}
}
)");
}

TEST(GraphText, SubgraphsShowWhatTheyCapture) {
  ExpectSame(R"(graph (c: bool[], x: float[2]) -> (y) {
  y: float[2] = If-16(c) {then_branch=graph then () captures (x: float[2] = x) -> (u) {
    u = Loop-16() {body=graph () captures (deep = x) -> (d) {
      d = Neg-13(deep)
    }}
  }, else_branch=graph else () captures (z: float[2] = x) -> (z) {
  }}
}
)");
}

TEST(GraphText, LinesMayComeInAnyOrder) {
  EXPECT_EQ(Reprint("graph g(x) -> (y) { # comment\n y = Relu-14(t) t = Neg-13(x) }"),
            "graph g (x) -> (y) {\n  t = Neg-13(x)\n  y = Relu-14(t)\n}\n");
}

TEST(GraphText, LargeConstantsAreCut) {
  Result<Graph> graph = ParseGraph("graph () -> (a, b) { a = const int8[2]{1,2} b = const int8[3]{1,2,3} }");
  ASSERT_TRUE(graph.ok());
  PrintOptions options;
  options.elements_max = 2;
  std::string text = PrintGraph(*graph, options);
  EXPECT_EQ(text, "graph () -> (a, b) {\n  a = const int8[2]{1, 2}\n  b = const int8[3]{...}\n}\n");
  EXPECT_EQ(Reprint(text), "3:13: contents that were cut when printed");
}

TEST(GraphText, DoubledNamesAreToldApart) {
  Graph graph;
  ValueId x = graph.AddInput("x", Type());
  graph.AddOutput(graph.AddNode("Neg", "", 13, {x}, {}, Type(), "x").value());
  graph.Rename(graph.outputs()[0], "x");
  EXPECT_EQ(PrintGraph(graph), "graph (x) -> (x_0) {\n  x_0 = Neg-13(x) @x\n}\n");
}

TEST(GraphText, ErrorsSayWhere) {
  struct Case {
    const char* text;
    const char* error;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"", "1:1: expected 'graph' before the end"},
           {"graph (x) -> (y) {\n}", "1:15: nothing defines 'y'"},
           {"graph (x) -> () {\n  x = Neg-13(x)\n}", "2:3: 'x' is defined twice"},
           {"graph (x: flot[2]) -> () {}", "1:11: no element type 'flot'"},
           {"graph () -> () { c = const int8[2]{1} }", "1:28: 1 values where 2 are needed"},
           {"graph () -> () { c = const int8[2]{1, 300} }", "1:39: '300' is no int8"},
           {"graph () -> () { c = Neg(c) }", "1:25: expected '-' before '(c) }'"},
           {"graph () -> () { c = Neg-1() {a=[1, \"b\"]} }", "1:40: a list of different kinds"},
           {"graph () -> () { c = Neg-1() {a=\"b} }", "1:33: text in quotes that does not end"},
           {"graph () -> () {} x", "1:19: text after the graph"},
           {"graph (x: float[1,1,1,1,1,1,1,1,1]) -> () {}", "1:33: more than 8 dimensions"},
       }) {
    EXPECT_EQ(Reprint(c.text), c.error) << c.text;
  }
}

TEST(GraphText, SurvivesEveryPrefixAndChangedByte) {
  const std::string text = R"(graph g (x: float[1,N] = float[1,1]{1}) -> (y) {
  y, _ = d:If-16(x) {g=graph () captures (u: seq(float[2]) = x) -> (u) {}, a=[1.5], s="\x41", t=int4[2]{1, 2}} @n
})";
  ASSERT_EQ(Reprint(text).substr(0, 5), "graph");
  for (size_t i = 0; i < text.size(); ++i) {
    EXPECT_FALSE(ParseGraph(text.substr(0, i)).ok());
    for (char c : {'\0', '"', '{', '(', '9', '-', '\xff'}) {
      std::string changed = text;
      changed[i] = c;
      Result<Graph> graph = ParseGraph(changed);
      if (graph.ok()) (void)PrintGraph(*graph);
    }
  }
}

TEST(GraphText, BoundsNesting) {
  std::string text = "graph () -> () {}";
  for (int i = 0; i < 100; ++i) text = "graph () -> () { = If-1() {b=" + text + "} }";
  Result<Graph> graph = ParseGraph(text);
  ASSERT_FALSE(graph.ok());
  EXPECT_NE(graph.status().message().find("nested deeper than 32"), std::string::npos);
}

}  // namespace
}  // namespace linnet
