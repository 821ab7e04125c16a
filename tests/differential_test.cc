// Random quantized models, some of each kind, and those in fuzz/corpus/differential on which sides once disagreed: all sides agree
// (fuzz/check.h). LINNET_SEED makes other models; fuzz/differential.cc runs many and reduces what it finds.
#include <filesystem>

#include "base/file.h"
#include "fuzz/check.h"
#include "fuzz/error_bounds.h"
#include "fuzz/quantized_models.h"
#include "reference_test_util.h"

namespace linnet {
namespace {

namespace fs = std::filesystem;

void CheckSome(std::span<const QuantizedKind> kinds) {
  constexpr int kCases = 12;
  PeerOfTests();
  for (const QuantizedKind& kind : kinds) {
    int ran = 0;
    for (int i = 0; i < kCases; ++i) {
      Choices choices(static_cast<uint32_t>(i) + SeedShift());
      const Example example = MakeExample(kind, choices);
      const Verdict verdict = CheckOnAllSides(example, i == 0);
      EXPECT_EQ(verdict.differs, "") << kind.name << ", case " << i << "\n" << Shown(example);
      ran += verdict.ran;
    }
    EXPECT_GE(ran, kCases / 2) << kind.name;
  }
}

TEST(Differential, OperatorsOnIntegers) { CheckSome(QuantizedOperators()); }
TEST(Differential, OperatorsBetweenDequantizeAndQuantize) { CheckSome(QuantizedPatterns()); }

TEST(Differential, FoundBefore) {
  int files = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(LINNET_SOURCE_DIR) / "fuzz" / "corpus" / "differential")) {
    Result<MappedFile::Ref> text = MappedFile::Open(entry.path().string());
    ASSERT_TRUE(text.ok()) << text.status().message();
    Result<Example> example = ExampleOf((*text)->bytes());
    ASSERT_TRUE(example.ok()) << entry.path() << ": " << example.status().message();
    const Verdict verdict = CheckOnAllSides(*example, true);
    EXPECT_EQ(verdict.differs, "") << entry.path();
    EXPECT_TRUE(verdict.ran) << entry.path();
    ++files;
  }
  EXPECT_GT(files, 0);
}

// What is compared can differ: a wrong output is seen, one within a step is not.
TEST(Differential, BoundsFollowTheSteps) {
  Result<Example> example = ExampleOf(R"(graph (x: uint8[2] = uint8[2]{3, 200}) -> (y) {
      s = const float[]{0.5}
      t = const float[]{0.25}
      a = DequantizeLinear-21(x, s)
      q = QuantizeLinear-21(a, t)
      b = DequantizeLinear-21(q, t)
      y = QuantizeLinear-21(b, s)
    })");
  ASSERT_TRUE(example.ok()) << example.status().message();
  EXPECT_EQ(CheckOnAllSides(*example, true).differs, "");
  EXPECT_EQ(TextOf(*ExampleOf(TextOf(*example))), TextOf(*example));
  const uint8_t right[] = {3, 128}, next[] = {4, 127}, wrong[] = {5, 128};
  const Tensor expected = Tensor::Of<uint8_t>({2}, right);
  EXPECT_EQ(Difference(Tensor::Of<uint8_t>({2}, next), expected, {0, 1}), "");
  EXPECT_NE(Difference(Tensor::Of<uint8_t>({2}, wrong), expected, {0, 1}), "");
}

// Weights that a DequantizeLinear makes do not leave what is behind a convolution without a bound: a step is seen there.
TEST(Differential, ConvolutionsOfDequantizedWeightsHaveBounds) {
  for (const char* op : {"Conv", "ConvTranspose"}) {
    Result<Example> example = ExampleOf(std::string(R"(graph (x: uint8[1,1,2,2] = uint8[1,1,2,2]{3, 200, 7, 9}) -> (y) {
        s = const float[]{0.5}
        w = const int8[1,1,1,1]{-3}
        a = DequantizeLinear-21(x, s)
        b = DequantizeLinear-21(w, s)
        c = )") + op + R"(-21(a, b)
        y = QuantizeLinear-21(c, s)
      })");
    ASSERT_TRUE(example.ok()) << example.status().message();
    KnownValues values;
    const Graph& graph = example->graph;
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      const std::string& name = graph.value(id).name;
      if (graph.is_constant(id)) values[id] = graph.value(id).constant;
      if (name == "x") values[id] = example->feeds[0];
      if (name == "a") values[id] = Tensor::Of<float>({1, 1, 2, 2}, std::vector<float>{1.5, 100, 3.5, 4.5});
      if (name == "b") values[id] = Tensor::Of<float>({1, 1, 1, 1}, std::vector<float>{-1.5});
      if (name == "c") values[id] = Tensor::Of<float>({1, 1, 2, 2}, std::vector<float>{-2.25, -150, -5.25, -6.75});
      if (name == "y") values[id] = Tensor::Of<uint8_t>({1, 1, 2, 2}, std::vector<uint8_t>{0, 0, 0, 0});
    }
    EXPECT_EQ(ErrorBounds(graph, values, 1e-5)[static_cast<size_t>(graph.outputs()[0])], 1) << op;
  }
}

}  // namespace
}  // namespace linnet
