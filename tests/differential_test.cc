// Random quantized models, some of each kind, and those in fuzz/corpus/differential on which sides once disagreed: all sides agree
// (fuzz/check.h). LINNET_SEED makes other models; fuzz/differential.cc runs many and reduces what it finds.
#include <filesystem>

#include "base/file.h"
#include "fuzz/check.h"
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

}  // namespace
}  // namespace linnet
