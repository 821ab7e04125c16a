// Opsets: raised and lowered models compute the same, what has no other form is refused by name, and quantized models keep to what an
// opset has.
#include <gtest/gtest.h>

#include "onnx/reader.h"
#include "onnx/writer.h"
#include "quantize/dynamic.h"
#include "quantize/edit.h"
#include "quantize_test_util.h"

namespace linnet::quantize {
namespace {

TEST(QuantizeRaise, OldOperatorsComputeTheSame) {
  struct {
    const char* text;
    int from, to;
    Shape shape;
  } const cases[] = {
      {"y = Softmax-11(x) {axis=1}", 11, 13, {2, 3, 4}},
      {"y = Softmax-9(x)", 9, 13, {2, 3, 4}},
      {"y = Clip-9(x) {min=-0.5, max=0.25}", 9, 13, {2, 3, 4}},
      {"y = Pad-9(x) {mode=\"constant\", pads=[0, 1, 0, 1, 0, 2], value=1.5}", 9, 13, {2, 3, 4}},
      {"y = Slice-9(x) {axes=[1], starts=[1], ends=[3]}", 9, 13, {2, 3, 4}},
      {"y = Unsqueeze-11(x) {axes=[0]}", 11, 13, {2, 3, 4}},
      {"y = Squeeze-11(x) {axes=[0]}", 11, 13, {1, 3, 4}},
      {"y = ReduceSum-11(x) {axes=[1], keepdims=0}", 11, 13, {2, 3, 4}},
      {"y = ReduceMean-13(x) {axes=[1], keepdims=0}", 13, 21, {2, 3, 4}},
      {"y, z = Split-11(x) {axis=1, split=[1, 2]}", 11, 13, {2, 3, 4}},
      {"y, z = Split-13(x) {axis=2}", 13, 21, {2, 3, 4}},
      {"y, z = TopK-9(x) {k=2}", 9, 13, {2, 3, 4}},
      {"s = const float[4]{1, 1, 2, 3}\n  y = Upsample-9(x, s) {mode=\"nearest\"}", 9, 13, {1, 2, 3, 4}},
      {"y = Upsample-7(x) {mode=\"linear\", scales=[1.0, 1.0, 2.0, 2.0]}", 7, 13, {1, 2, 3, 4}},
      {"s = const float[4]{1, 1, 2, 0.5}\n  y = Resize-10(x, s) {mode=\"linear\"}", 10, 13, {1, 2, 4, 4}},
      {"s = const float[4]{1, 1, 1.5, 2}\n  y = Resize-10(x, s) {mode=\"nearest\"}", 10, 13, {1, 2, 7, 9}},
      {"s = const float[4]{1, 1, 0.5, 0.7}\n  y = Resize-10(x, s) {mode=\"nearest\"}", 10, 13, {1, 2, 7, 9}},
      {"y = Dropout-10(x) {ratio=0.5}", 10, 13, {2, 3, 4}},
  };
  for (const auto& c : cases) {
    const std::string text = Cat("graph g (x: ", ToString(Type::Tensor(DType::kFloat, c.shape)), ") -> (y) {\n  ", c.text, "\n}\n");
    OnnxModel model = Model(text, c.from);
    PassContext context;
    context.table = &OpTable::BuiltIn();
    ASSERT_TRUE(InferTypes(model.graph, context).ok()) << c.text;
    Status status = RaiseOpset(&model, c.to);
    ASSERT_TRUE(status.ok()) << c.text << ": " << status.message();
    ASSERT_TRUE(Verify(model.graph).ok()) << c.text;
    for (NodeId id = 0; id < model.graph.node_count(); ++id) {
      if (!model.graph.node(id).alive) continue;
      EXPECT_EQ(model.graph.node(id).version, c.to) << c.text;
    }
    PipelineOptions plain;
    plain.level = kOptimizeNothing;
    const std::vector<Tensor> input = {Random(c.shape, 5)};
    EXPECT_EQ(Outputs(Parsed(text), input, plain, DetectedCpuLevel(), 1), Outputs(std::move(model.graph), input, plain, DetectedCpuLevel(), 1)) << c.text;
  }
}

TEST(QuantizeRaise, RefusesWhatHasNoNewerForm) {
  // Rows are enlarged and columns shrunk: no one rounding of newer versions says both.
  OnnxModel model = Model("graph g (x: float[1,2,7,9]) -> (y) {\n  s = const float[4]{1, 1, 1.5, 0.7}\n  y = Resize-10(x, s) {mode=\"nearest\"}\n}\n", 10);
  Status status = RaiseOpset(&model, 13);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("version 10"), std::string_view::npos) << status.message();
}

struct Lowering {
  const char* text;
  int from, to;
  Shape shape;
};
std::string TextOf(const Lowering& c) { return Cat("graph g (x: ", ToString(Type::Tensor(DType::kFloat, c.shape)), ") -> (y) {\n  ", c.text, "\n}\n"); }
/// The model of `c` in the older version.
Result<OnnxModel> Lowered(const Lowering& c) {
  OnnxModel model = Model(TextOf(c), c.from);
  PassContext context;
  context.table = &OpTable::BuiltIn();
  LINNET_TRY(InferTypes(model.graph, context));
  LINNET_TRY(LowerOpset(&model, c.to));
  LINNET_TRY(Verify(model.graph));
  LINNET_TRY(InferTypes(model.graph, context));
  return model;
}

TEST(QuantizeLower, NewOperatorsComputeTheSame) {
  const Lowering cases[] = {
      {"y = Softmax-13(x)", 13, 12, {2, 3, 4}},
      {"y = Softmax-13(x) {axis=1}", 13, 11, {2, 3, 4}},
      {"y = LogSoftmax-17(x) {axis=-3}", 17, 10, {2, 3, 4}},
      {"y = Softmax-13(x) {axis=1}", 13, 11, {2, 3, 1}},
      {"a = const int64[1]{-3}\n  y = Squeeze-13(x, a)", 13, 10, {1, 3, 4}},
      {"y = Squeeze-21(x)", 21, 10, {1, 3, 4}},
      {"a = const int64[2]{0, -1}\n  y = Unsqueeze-13(x, a)", 13, 10, {2, 3, 4}},
      {"a = const int64[1]{1}\n  y = ReduceSum-13(x, a) {keepdims=0}", 13, 11, {2, 3, 4}},
      {"a = const int64[1]{-1}\n  y = ReduceMean-18(x, a)", 18, 10, {2, 3, 4}},
      {"y = ReduceMax-18(x) {noop_with_empty_axes=0}", 18, 12, {2, 3, 4}},
      {"s = const int64[2]{1, 2}\n  y, z = Split-13(x, s) {axis=-2}", 13, 10, {2, 3, 4}},
      {"y, z = Split-18(x) {axis=1, num_outputs=2}", 18, 13, {2, 3, 4}},
      {"y, z = Split-18(x) {axis=1, num_outputs=2}", 18, 11, {2, 3, 4}},
      {"y = Concat-13(x, x) {axis=-1}", 13, 10, {2, 3, 4}},
      {"l = const float[]{-0.5}\n  h = const float[]{0.25}\n  y = Clip-13(x, l, h)", 13, 10, {2, 3, 4}},
      {"l = const float[]{-0.5}\n  y = Clip-13(x, l)", 13, 11, {2, 3, 4}},
      {"p = const int64[6]{0, 1, 0, 1, 0, 2}\n  v = const float[]{1.5}\n  y = Pad-13(x, p, v)", 13, 10, {2, 3, 4}},
      {"p = const int64[2]{1, 2}\n  a = const int64[1]{-1}\n  y = Pad-18(x, p, _, a)", 18, 13, {2, 3, 4}},
      {"y = HardSwish-14(x)", 14, 13, {2, 3, 4}},
      {"s = const float[4]{1, 1, 2, 3}\n  y = Resize-13(x, _, s) {coordinate_transformation_mode=\"asymmetric\", mode=\"nearest\", nearest_mode=\"floor\"}", 13, 10, {1, 2, 3, 4}},
      {"s = const float[4]{1, 1, 0.5, 0.7}\n  y = Resize-13(x, _, s) {coordinate_transformation_mode=\"asymmetric\", mode=\"linear\"}", 13, 10, {1, 2, 7, 9}},
      {"s = const int64[4]{1, 2, 5, 9}\n  y = Resize-19(x, _, _, s) {mode=\"linear\", antialias=0}", 19, 11, {1, 2, 3, 4}},
      {"y = AveragePool-19(x) {kernel_shape=[2, 2], dilations=[1, 1]}", 19, 11, {1, 2, 3, 4}},
      {"k = const int64[1]{2}\n  y, z = TopK-11(x, k) {largest=1}", 11, 10, {2, 3, 4}},
      {"w = const float[3,2]{1, 2, 3, 4, 5, 6}\n  y = Gemm-13(x, w)", 13, 10, {2, 3}},
      {"s = const int64[2]{4, -1}\n  y = Reshape-14(x, s) {allowzero=0}", 14, 13, {2, 3, 4}},
  };
  PipelineOptions plain;
  plain.level = kOptimizeNothing;
  for (const Lowering& c : cases) {
    Result<OnnxModel> model = Lowered(c);
    ASSERT_TRUE(model.ok()) << c.text << ": " << model.status().message();
    EXPECT_EQ(OpsetOf(*model), c.to);
    for (NodeId id = 0; id < model->graph.node_count(); ++id) {
      if (model->graph.node(id).alive) {
        EXPECT_EQ(model->graph.node(id).version, c.to) << c.text;
      }
    }
    const std::vector<Tensor> input = {Random(c.shape, 5)};
    const std::vector<float> expected = Outputs(Parsed(TextOf(c)), input, plain, DetectedCpuLevel(), 1);
    const std::vector<float> got = Outputs(std::move(model->graph), input, plain, DetectedCpuLevel(), 1);
    ASSERT_EQ(expected.size(), got.size()) << c.text;
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-6) << c.text;
  }
}

TEST(QuantizeLower, NormalizationByItsFormula) {
  for (const char* bias : {"", ", b"}) {
    const std::string text = Cat("s = const float[3,4]{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}\n  b = const float[3,4]{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}\n"
                                 "  y = LayerNormalization-17(x, s", bias, ") {axis=1}");
    const Lowering c{text.c_str(), 17, 12, {2, 3, 4}};
    Result<OnnxModel> model = Lowered(c);
    ASSERT_TRUE(model.ok()) << model.status().message();
    const std::vector<Tensor> input = {Random(c.shape, 5)};
    const std::vector<float> expected = Outputs(Parsed(TextOf(c)), input, {}, DetectedCpuLevel(), 1);
    const std::vector<float> got = Outputs(std::move(model->graph), input, {}, DetectedCpuLevel(), 1);
    ASSERT_EQ(expected.size(), got.size());
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-4);
  }
}

TEST(QuantizeLower, RefusesByNameWhatAnOpsetHasNot) {
  struct {
    Lowering lowering;
    const char* what;
  } const cases[] = {
      {{"y = Gelu-20(x)", 20, 17, {2, 3}}, "opset 17 has no Gelu"},
      {{"y = Trilu-14(x)", 14, 13, {3, 3}}, "opset 13 has no Trilu"},
      {{"y = Round-11(x)", 11, 10, {3, 3}}, "opset 10 has no Round"},
      {{"n = Shape-13(x)\n  y = Squeeze-13(x, n)", 13, 12, {1}}, "axes must be constant"},
      {{"y = Resize-13(x, _, x) {mode=\"linear\"}", 13, 10, {4}}, "version 10"},
      {{"y = DepthToSpace-13(x) {blocksize=2, mode=\"CRD\"}", 13, 10, {1, 4, 2, 2}}, "'CRD'"},
      {{"z = Shape-13(x)\n  y = Max-13(z, z)", 13, 11, {2, 3}}, "Max of int64"},
  };
  for (const auto& c : cases) {
    Result<OnnxModel> model = Lowered(c.lowering);
    ASSERT_FALSE(model.ok()) << c.lowering.text;
    EXPECT_NE(model.status().message().find(c.what), std::string_view::npos) << model.status().message();
  }
}

/// What DequantizeLinear, Clip and Q had not yet.
void ExpectFits(const OnnxModel& model, int opset, const std::string& what) {
  EXPECT_EQ(OpsetOf(model), opset) << what;
  const Graph& graph = model.graph;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive || !node.domain.empty()) continue;
    EXPECT_EQ(node.version, opset) << what << " " << node.op;
    if (node.Is("QuantizeLinear") || node.Is("DequantizeLinear")) {
      if (opset < 13) {
        EXPECT_FALSE(node.Has("axis")) << what;
      }
      if (opset < 13) {
        EXPECT_EQ(graph.value(node.inputs[1]).type.shape.rank(), 0) << what;
      }
    }
    if (node.Is("Clip") && opset < 12) {
      EXPECT_EQ(graph.value(node.inputs[0]).type.dtype, DType::kFloat) << what;
    }
    if (node.Is("Clip") && opset < 11) {
      EXPECT_EQ(node.inputs.size(), 1u) << what;
    }
    if (node.Is("MaxPool") && opset < 12) {
      EXPECT_EQ(graph.value(node.inputs[0]).type.dtype, DType::kFloat) << what;
    }
  }
}

TEST(QuantizeOpset, QuantizedModelsKeepToWhatAnOpsetHas) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  for (int from : {11, 13, 21}) {
    for (int opset : {10, 11, 12, 13, 17}) {
      for (Format format : {Format::kQdq, Format::kQOperator}) {
        for (bool symmetric : {false, true}) {
          const std::string what = Cat(from, " to ", opset, format == Format::kQdq ? " qdq" : " qoperator", symmetric ? " symmetric s8" : "");
          StaticOptions options;
          options.format = format;
          options.symmetric_activations = symmetric;
          options.activations = symmetric ? DType::kInt8 : DType::kUint8;
          for (const char* name : {"w1", "w2", "w3"}) {   // or some would share a scale
            if (format == Format::kQOperator) options.overrides[name].per_channel = true;
          }
          Built built = Quantized(Network(from), options, &samples, opset);
          ExpectFits(built.quantized, opset, what);
          EXPECT_GE(SqnrOf(built.prepared.graph, built.quantized.graph, &samples), 18) << what;
          // Operators on integers keep a scale a channel.
          int by_channel = 0;
          for (NodeId id = 0; id < built.quantized.graph.node_count(); ++id) {
            const Node& node = built.quantized.graph.node(id);
            by_channel += node.Is("QLinearConv") && built.quantized.graph.value(node.inputs[4]).type.shape.rank() == 1;
          }
          EXPECT_EQ(by_channel, format == Format::kQdq ? 0 : 3) << what;
        }
      }
    }
  }
}

TEST(QuantizeOpset, WeightsAndDynamicToo) {
  RandomSamples samples({1, 3, 8, 8}, 12), sequences({6, 2, 20}, 12);
  for (int opset : {10, 11, 12}) {
    OnnxModel network = Network(), lstm = Lstm();
    ASSERT_TRUE(Prepare(&network, opset, true).ok());
    ASSERT_TRUE(LowerOpset(&lstm, opset).ok());
    for (bool dynamic : {false, true}) {
      if (dynamic && opset < kOpsetDynamic) continue;
      for (const auto& [plain, data] : {std::pair{&network, &samples}, {&lstm, &sequences}}) {
        OnnxModel quantized{plain->graph.Clone(), plain->info};
        ASSERT_TRUE((dynamic ? QuantizeDynamic(&quantized, {}) : QuantizeWeightsOnly(&quantized, {DType::kInt8})).ok());
        ExpectFits(quantized, opset, Cat(opset, dynamic));
        EXPECT_GE(SqnrOf(plain->graph, quantized.graph, data), 25) << opset << dynamic;
      }
    }
  }
}

}  // namespace
}  // namespace linnet::quantize
