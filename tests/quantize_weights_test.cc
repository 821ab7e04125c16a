// Weights that are integers where the node computes in float, the bytes that are counted of weights, and which samples decide.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "onnx/writer.h"
#include "ort/reader.h"
#include "quantize/dynamic.h"
#include "quantize/recipe.h"
#include "quantize_test_util.h"
#include "temp_folder.h"

namespace linnet::quantize {
namespace {

/// The constant that a node's input is dequantized from, or an empty tensor.
Tensor CodesOf(const Graph& graph, const Node& node, size_t input) {
  const NodeId producer = graph.value(node.inputs[input]).producer;
  if (producer == kNoNode || !graph.node(producer).Is("DequantizeLinear")) return Tensor();
  return graph.value(graph.node(producer).inputs[0]).constant;
}

TEST(QuantizeStatic, RecurrentOperatorsReadIntegerWeights) {
  RandomSamples samples({6, 2, 20}, 12);
  for (const char* excluded : {"", "two"}) {
    for (Format format : {Format::kQdq, Format::kQOperator}) {
      StaticOptions options;
      options.format = format;
      for (const char* name : {"w", "w1", "w2", "r"}) options.overrides[name].per_channel = true;   // however alike the rows are
      if (*excluded) options.exclude = {excluded};
      Built built = Quantized(Recurrent(), options, &samples);
      const Graph& graph = built.quantized.graph;
      EXPECT_GE(SqnrOf(built.prepared.graph, graph, &samples), 30) << excluded;
      int seen = 0;
      for (NodeId id = 0; id < graph.node_count(); ++id) {
        const Node& node = graph.node(id);
        if (!node.Is("GRU")) continue;
        ++seen;
        for (size_t input : {1u, 2u}) {
          // Largest of a row over 127 is the step: no weight is further than half of it from what was.
          const Tensor codes = CodesOf(graph, node, input);
          ASSERT_EQ(codes.has_data(), node.name != excluded) << node.name;
          if (!codes.has_data()) continue;
          EXPECT_EQ(codes.dtype(), DType::kInt8);
          const Node& dequantize = graph.node(graph.value(node.inputs[input]).producer);
          EXPECT_EQ(dequantize.Int("axis", -1).value(), 1);
          const Tensor from = Random(codes.shape(), input == 2 ? 3 : node.name == "one" ? 2 : 4, 0.3f);
          const int64_t depth = codes.shape()[2];
          for (int64_t row = 0; row < codes.shape()[1]; ++row) {
            float largest = 0;
            for (int64_t k = 0; k < depth; ++k) largest = std::max(largest, std::fabs(from.as<float>()[row * depth + k]));
            for (int64_t k = 0; k < depth; ++k) {
              EXPECT_NEAR(codes.as<int8_t>()[row * depth + k] * (largest / 127), from.as<float>()[row * depth + k], largest / 254 * 1.001f);
            }
          }
        }
      }
      EXPECT_EQ(seen, 2);
      // w, W twice and R once in 8 bits with a scale a row and the zero points of 24 and of 36 rows once; or one W and R twice.
      const ConstantBytes counted = CountConstants(graph), before = CountConstants(built.prepared.graph);
      const int64_t conv = 24 * 20, w = 36 * 24, r = 36 * 12;
      EXPECT_EQ(before.reals.bytes, 4 * (conv + 2 * w + r));
      EXPECT_EQ(before.integers.floats, 0);
      EXPECT_EQ(counted.integers.floats, 4 * (*excluded ? conv + w + r : conv + 2 * w + r));
      EXPECT_EQ(counted.integers.bytes, counted.integers.floats / 4 + 5 * 24 + 4 * 36 * (*excluded ? 2 : 3) + 36);
      EXPECT_EQ(counted.reals.bytes, *excluded ? 4 * (w + r) : 0);
      EXPECT_EQ(counted.reals.floats, counted.reals.bytes);
    }
  }
}

TEST(QuantizeStatic, AModelOfAnLstmAlone) {
  RandomSamples samples({6, 2, 20}, 12);
  Built built = Quantized(Lstm(), {}, &samples);
  EXPECT_EQ(CountOf(built.quantized.graph, "DequantizeLinear"), 2);
  EXPECT_EQ(CountOf(built.quantized.graph, "QuantizeLinear"), 0);
  EXPECT_GE(SqnrOf(built.prepared.graph, built.quantized.graph, &samples), 30);
}

TEST(QuantizeWeights, BytesOfEveryMode) {
  // Products of [128, 10] (Gemm) and convolutions of 8 x 3 x 3 x 3, 8 x 3 x 3 and 8 x 8 weights.
  const int64_t gemm = 1280, convolutions = 216 + 72 + 64;
  OnnxModel prepared = Network();
  ASSERT_TRUE(Prepare(&prepared, 21).ok());
  auto counted = [&](auto&& quantize) {
    OnnxModel made{prepared.graph.Clone(), prepared.info};
    EXPECT_TRUE(quantize(&made).ok());
    return CountConstants(made.graph);
  };
  for (Format format : {Format::kQdq, Format::kQOperator}) {
    DynamicOptions dynamic;
    dynamic.format = format;
    const ConstantBytes one = counted([&](OnnxModel* model) { return QuantizeDynamic(model, dynamic); });
    EXPECT_EQ(one.integers.floats, 4 * gemm);
    EXPECT_EQ(one.integers.bytes, gemm + 4 * 10);   // a zero point that is 0 is left out
    EXPECT_EQ(one.reals.bytes, 4 * convolutions);
    const ConstantBytes four = counted([&](OnnxModel* model) { return QuantizeWeightsOnly(model, {.format = format}); });
    EXPECT_EQ(four.integers.floats, 4 * gemm);      // blocks of 32
    EXPECT_EQ(four.integers.bytes, gemm / 2 + gemm / 32 * 4 + (format == Format::kQdq ? gemm / 32 / 2 : 0));
  }
  const ConstantBytes half = counted([&](OnnxModel* model) { return ConvertToHalf(model, {}); });
  EXPECT_EQ(half.integers.bytes, 0);
  EXPECT_EQ(half.reals.bytes, 2 * (gemm + convolutions));
  EXPECT_EQ(half.reals.floats, 4 * (gemm + convolutions));
}

/// Every fourth sample, which is held out, has small numbers, the others large ones.
class EasySamples : public RandomSamples {
 public:
  explicit EasySamples(int64_t count) : RandomSamples({1, 3, 8, 8}, count) {}
  Result<std::vector<Datum>> Load(int64_t index) override {
    return std::vector<Datum>{Datum::Of(Random({1, 3, 8, 8}, static_cast<uint64_t>(1000 + index), index % 4 == 3 ? 0.3f : 8))};
  }
};

TEST(QuantizeRecipe, TheWorstOfWhatIsHeldOutDecidesToo) {
  const std::string folder = NewTempFolder("linnet_recipe"), in = folder + "/in.onnx", out = folder + "/out.onnx";
  std::string bytes;
  ASSERT_TRUE(WriteOnnx(Network(), bytes).ok());
  ASSERT_TRUE(WriteFileAtomically(in, [&](Sink& sink) { return sink.Append(bytes); }).ok());
  for (int64_t count : {4, 12}) {   // one held out, and three
    EasySamples samples(count);
    Recipe recipe;
    recipe.threads = 1;
    recipe.min_sqnr_db = 24;
    Result<FloatModel> model = OpenFloatModel(in, recipe);
    ASSERT_TRUE(model.ok()) << model.status().message();
    const Graph reference = model->model.graph.Clone();
    Outcome outcome;
    const Status done = QuantizeModel(std::move(*model), out, recipe, &samples, {}, kQuiet, &outcome);
    const bool learned = std::any_of(outcome.notes.begin(), outcome.notes.end(), [](const std::string& note) { return note.starts_with("of 3 samples held out, 1 decided too"); });
    EXPECT_EQ(learned, count == 12);   // half at least must stay that decided nothing
    if (!learned) continue;
    ASSERT_TRUE(done.ok()) << done.message();
    // The file keeps what is promised, on what was held out.
    Result<OnnxModel> written = ReadModelFile(out);
    ASSERT_TRUE(written.ok());
    auto first = GraphRunner::Make(reference, {}, 1), second = GraphRunner::Make(written->graph, {}, 1);
    ASSERT_TRUE(first.ok() && second.ok());
    std::vector<int64_t> held;
    for (int64_t i = 3; i < count; i += 4) held.push_back(i);
    EXPECT_EQ(outcome.held, held);
    EXPECT_GE((*CompareOutputs(first->get(), second->get(), &samples, held, kQuiet))[0].SqnrDb(), 24);
  }
  std::filesystem::remove_all(folder);
}

TEST(QuantizeStatic, LayersInFloatMayHaveIntegerWeights) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  StaticOptions by_channel;
  for (const char* name : {"w1", "w2", "w3", "w4"}) by_channel.overrides[name].per_channel = true;   // or some would share a scale
  Built built = Quantized(Network(), by_channel, &samples);
  NodePrecisions nodes = built.nodes;
  for (Precision& precision : nodes) precision = precision == Precision::kFloat ? precision : Precision::kWeights;
  OnnxModel made{built.prepared.graph.Clone(), built.prepared.info};
  ASSERT_TRUE(QuantizeStatic(&made, nodes, {}, by_channel).ok());   // no range is asked for
  ASSERT_TRUE(Verify(made.graph).ok());
  EXPECT_EQ(CountOf(made.graph, "QuantizeLinear"), 0);
  EXPECT_EQ(CountOf(made.graph, "DequantizeLinear"), 4);
  // As --mode weights does it.
  OnnxModel weights{built.prepared.graph.Clone(), built.prepared.info};
  WeightOptions options;
  options.weights = DType::kInt8;
  ASSERT_TRUE(QuantizeWeightsOnly(&weights, options).ok());
  EXPECT_EQ(SqnrOf(weights.graph, made.graph, &samples), INFINITY);
}

}  // namespace
}  // namespace linnet::quantize
