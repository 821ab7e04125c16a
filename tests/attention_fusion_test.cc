// fuse_attention and shape_arithmetic: the graphs they make, and the same numbers with and without them.
#include <string.h>

#include "passes_test_util.h"

namespace linnet {
namespace {

/// As PyTorch exports an encoder layer's attention.
constexpr char kEncoder[] = R"(
graph g (q: float[B,S,4,16], k: float[B,T,4,16], v: float[B,T,4,8], mask: float[B,1,1,T]) -> (y) {
  eight = const float[]{4}
  qh = Transpose-13(q) {perm=[0, 2, 1, 3]}
  kt = Transpose-13(k) {perm=[0, 2, 3, 1]}
  vh = Transpose-13(v) {perm=[0, 2, 1, 3]}
  raw = MatMul-13(qh, kt)
  scaled = Div-14(raw, eight)
  masked = Add-14(scaled, mask)
  p = Softmax-13(masked) {axis=-1}
  o = MatMul-13(p, vh)
  y = Transpose-13(o) {perm=[0, 2, 1, 3]}
})";

/// A decoder's: keys come from a cache, the scale is split over Q and K, the mask has two dimensions.
constexpr char kDecoder[] = R"(
graph g (q: float[1,2,S,16], k: float[1,2,T,16], v: float[1,2,T,16], mask: float[S2,T2]) -> (o) {
  half = const float[]{0.5}
  qs = Mul-14(q, half)
  kt = Transpose-13(k) {perm=[0, 1, 3, 2]}
  ks = Mul-14(half, kt)
  raw = MatMul-13(qs, ks)
  masked = Add-14(mask, raw)
  p = Softmax-13(masked) {axis=3}
  o = MatMul-13(p, v)
})";

size_t CountOf(const std::string& text, std::string_view word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

TEST(FuseAttention, FoldsScaleMaskAndTranspositions) {
  std::string text = Optimized(kEncoder, "fuse_attention");
  EXPECT_NE(text.find("y: float[B,S,4,8] = linnet:Attention-1(q, k, v, mask) {scale=0.25, q_axis=1, k_axis=1, v_axis=1, y_axis=1}"),
            std::string::npos)
      << text;
  EXPECT_EQ(CountOf(text, "Transpose") + CountOf(text, "MatMul"), 0u) << text;
  text = Optimized(kDecoder, "fuse_attention");
  EXPECT_NE(text.find("linnet:Attention-1(q, k, v, mask) {scale=0.25, q_axis=2, k_axis=2, v_axis=2, y_axis=2}"), std::string::npos)
      << text;
}

TEST(FuseAttention, KeepsTheNumbers) {
  for (int64_t queries : {1, 3, 40}) {
    for (int64_t keys : {1, 5, 16, 70}) {
      ExpectSameNumbers(kEncoder, {{2, queries, 4, 16}, {2, keys, 4, 16}, {2, keys, 4, 8}, {2, 1, 1, keys}});
      ExpectSameNumbers(kDecoder, {{1, 2, queries, 16}, {1, 2, keys, 16}, {1, 2, keys, 16}, {queries, keys}});
      // A mask that says one thing for all keys, or makes several rows of one query.
      ExpectSameNumbers(kDecoder, {{1, 2, queries, 16}, {1, 2, keys, 16}, {1, 2, keys, 16}, {queries, 1}});
      ExpectSameNumbers(kDecoder, {{1, 2, 1, 16}, {1, 2, keys, 16}, {1, 2, keys, 16}, {4, keys}});
    }
  }
}

/// kEncoder with sizes for which there may be tiles.
std::string Wide() {
  std::string text = kEncoder;
  for (const char* size : {"[B,S,4,16]", "[B,T,4,16]", "[B,T,4,8]"}) {
    text.replace(text.find(size), std::string(size).size(), std::string(size).substr(0, 7) + "32]");
  }
  return text;
}

TEST(FuseAttention, KeepsTheNumbersOfWideHeads) {
  for (int64_t queries : {31, 32, 70}) {
    for (int64_t keys : {32, 45, 96}) {
      ExpectSameNumbers(Wide(), {{2, queries, 4, 32}, {2, keys, 4, 32}, {2, keys, 4, 32}, {2, 1, 1, keys}});
    }
  }
}

/// A number that is not finite changes those rows that it reaches, with any number of threads.
TEST(FuseAttention, KeepsWhatIsNotFinite) {
  for (int which : {0, 1, 2}) {
    std::vector<Tensor> inputs;
    for (const Shape& shape : {Shape{1, 80, 4, 32}, Shape{1, 40, 4, 32}, Shape{1, 40, 4, 32}, Shape{1, 1, 1, 40}}) {
      Result<Tensor> tensor = Tensor::Allocate(DType::kFloat, shape);
      ASSERT_TRUE(tensor.ok());
      float* numbers = tensor->mutable_as<float>();
      for (int64_t i = 0; i < tensor->elements(); ++i) numbers[i] = static_cast<float>(i * 37 % 101 - 50) / 64;
      if (static_cast<int>(inputs.size()) == which) numbers[37 * 128 + 5] = -INFINITY;
      inputs.push_back(std::move(*tensor));
    }
    PipelineOptions without, with;
    without.level = kOptimizeNothing;
    const std::vector<float> expected = Outputs(Parsed(Wide()), inputs, without, DetectedCpuLevel(), 1);
    const std::vector<float> one = Outputs(Parsed(Wide()), inputs, with, DetectedCpuLevel(), 1);
    const std::vector<float> many = Outputs(Parsed(Wide()), inputs, with, DetectedCpuLevel(), 9);
    ASSERT_EQ(expected.size(), one.size());
    EXPECT_EQ(memcmp(one.data(), many.data(), one.size() * sizeof(float)), 0);
    for (size_t i = 0; i < one.size(); ++i) {
      if (std::isfinite(expected[i])) {
        ASSERT_NEAR(one[i], expected[i], 4e-6) << which << " " << i;
      } else {
        ASSERT_FALSE(std::isfinite(one[i])) << which << " " << i;
      }
    }
  }
}

TEST(FuseAttention, StaysOutOfGraphsForOnnxFiles) {
  Graph graph = Parsed(kEncoder);
  PassContext context;
  context.table = &OpTable::BuiltIn();
  PipelineOptions options;
  options.plain_onnx = true;
  ASSERT_TRUE(RunPipeline(graph, context, options).ok());
  EXPECT_EQ(PrintGraph(graph).find("linnet:"), std::string::npos) << PrintGraph(graph);
}

TEST(FuseAttention, LeavesWhatItMustNotTouch) {
  // The probabilities are an output; the scores have another reader; Softmax runs along queries.
  std::string shown = Optimized(R"(
graph g (q: float[1,2,S,16], k: float[1,2,T,16], v: float[1,2,T,16]) -> (o, p) {
  kt = Transpose-13(k) {perm=[0, 1, 3, 2]}
  raw = MatMul-13(q, kt)
  p = Softmax-13(raw) {axis=-1}
  o = MatMul-13(p, v)
})", "fuse_attention");
  EXPECT_EQ(shown.find("linnet:Attention"), std::string::npos) << shown;
  std::string columns = Optimized(R"(
graph g (q: float[1,2,S,16], k: float[1,2,T,16], v: float[1,2,T,16]) -> (o) {
  kt = Transpose-13(k) {perm=[0, 1, 3, 2]}
  raw = MatMul-13(q, kt)
  p = Softmax-13(raw) {axis=2}
  o = MatMul-13(p, v)
})", "fuse_attention");
  EXPECT_EQ(columns.find("linnet:Attention"), std::string::npos) << columns;
}

TEST(ShapeArithmetic, WritesTargetsDown) {
  // Two dimensions of the input itself, then one of another value beside a symbol that both have.
  std::string text = Optimized(R"(
graph g (x: float[N,seq,256], w: float[N,4,seq,64]) -> (a, b) {
  zero = const int64[]{0}
  one = const int64[]{1}
  axes = const int64[1]{0}
  heads = const int64[2]{4, 64}
  width = const int64[1]{256}
  s = Shape-13(x)
  n = Gather-13(s, zero) {axis=0}
  l = Gather-13(s, one) {axis=0}
  n1 = Unsqueeze-13(n, axes)
  l1 = Unsqueeze-13(l, axes)
  target = Concat-13(n1, l1, heads) {axis=0}
  a = Reshape-13(x, target)
  back = Concat-13(n1, l1, width) {axis=0}
  t = Transpose-13(w) {perm=[0, 2, 1, 3]}
  b = Reshape-13(t, back)
})", "final_dead_code");
  EXPECT_EQ(CountOf(text, "Shape-13("), 0u) << text;
  EXPECT_EQ(CountOf(text, "Concat"), 0u) << text;
  EXPECT_NE(text.find("int64[4]{0, 0, 4, 64}"), std::string::npos) << text;
  EXPECT_NE(text.find("int64[3]{0, 0, 256}"), std::string::npos) << text;
  EXPECT_NE(text.find("a: float[N,seq,4,64]"), std::string::npos) << text;
  EXPECT_NE(text.find("b: float[N,seq,256]"), std::string::npos) << text;
}

TEST(ShapeArithmetic, LeavesWhatIsNotSettled) {
  // Two dimensions of another value of other symbols: neither a copy nor one -1.
  std::string text = Optimized(R"(
graph g (x: float[...], r: float[P,Q]) -> (a) {
  target = Shape-13(r)
  a = Reshape-13(x, target)
})", "final_dead_code");
  EXPECT_EQ(CountOf(text, "Shape-13("), 1u) << text;
  // Arithmetic on a symbol is not followed.
  text = Optimized(R"(
graph g (x: float[N,4]) -> (a) {
  two = const int64[1]{2}
  four = const int64[1]{4}
  axes = const int64[1]{0}
  zero = const int64[]{0}
  s = Shape-13(x)
  n = Gather-13(s, axes) {axis=0}
  half = Div-14(n, two)
  target = Concat-13(half, four, two) {axis=0}
  a = Reshape-13(x, target)
})", "final_dead_code");
  EXPECT_EQ(CountOf(text, "Div"), 1u) << text;
}

TEST(FuseAttention, DropoutThatDropsNothingIsInNobodysWay) {
  auto encoder = [](const char* training, const char* ratio) {
    std::string text = kEncoder;
    const std::string_view softmax = "  p = Softmax-13(masked) {axis=-1}\n";
    text.replace(text.find(softmax), softmax.size(), std::string("  training = const bool[]{") + training +
                 "}\n  ratio = const float[]{" + ratio + "}\n  kept = Softmax-13(masked) {axis=-1}\n  p, _ = Dropout-13(kept, ratio, training)\n");
    return Optimized(text, "fuse_attention");
  };
  EXPECT_EQ(CountOf(encoder("false", "0.5"), "Dropout"), 0u);
  EXPECT_EQ(CountOf(encoder("false", "0.5"), "Softmax"), 0u);
  EXPECT_EQ(CountOf(encoder("true", "0.5"), "Dropout"), 1u);
  EXPECT_EQ(CountOf(encoder("true", "0"), "Dropout"), 0u);
}

TEST(ShapeArithmetic, NumbersBecomeConstants) {
  std::string text = Optimized(R"(
graph g (x: float[3,N]) -> (y) {
  zero = const int64[]{0}
  s = Shape-13(x)
  three = Gather-13(s, zero) {axis=0}
  y = Cast-13(three) {to=1}
})", "final_dead_code");
  EXPECT_EQ(CountOf(text, "Shape-13("), 0u) << text;
}

}  // namespace
}  // namespace linnet
