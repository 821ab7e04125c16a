// Rewriting graphs: what gets QuantizeLinear, what stays, and how near the numbers remain.
#include <gtest/gtest.h>

#include "onnx/reader.h"
#include "onnx/writer.h"
#include "quantize/contract/layers.h"
#include "quantize/contract/search.h"
#include "quantize/dynamic.h"
#include "quantize/edit.h"
#include "quantize/share_scales.h"
#include "quantize_test_util.h"

namespace linnet::quantize {
namespace {

TEST(QuantizeStatic, NumbersStayNear) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  struct {
    DType activations, weights;
    bool per_channel, symmetric;
    double db;
  } const cases[] = {{DType::kUint8, DType::kInt8, true, false, 25},  {DType::kInt8, DType::kInt8, true, false, 25},
                     {DType::kInt8, DType::kInt8, true, true, 20},    {DType::kUint8, DType::kUint8, false, false, 22},
                     {DType::kUint16, DType::kInt8, true, false, 30}, {DType::kInt16, DType::kInt8, true, true, 30}};
  for (const auto& c : cases) {
    StaticOptions options;
    options.activations = c.activations;
    options.weights = c.weights;
    options.per_channel = c.per_channel;
    options.symmetric_activations = c.symmetric;
    Built built = Quantized(Network(), options, &samples);
    EXPECT_GE(SqnrOf(built.prepared.graph, built.quantized.graph, &samples), c.db)
        << DTypeName(c.activations) << " " << DTypeName(c.weights) << " " << c.per_channel << c.symmetric;
    // The written file computes the same.
    std::string bytes;
    Status status = WriteOnnx(built.quantized, bytes);
    ASSERT_TRUE(status.ok()) << status.message();
    Result<OnnxModel> again = ReadOnnxBytes(std::as_bytes(std::span<const char>(bytes)));
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(SqnrOf(built.quantized.graph, again->graph, &samples), INFINITY);
  }
}

TEST(QuantizeStatic, EveryProductReadsIntegersAndActivationsComeBeforeRounding) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  Built built = Quantized(Network(), {}, &samples);
  const Graph& graph = built.quantized.graph;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.Is("Conv") && !node.Is("Gemm")) continue;
    for (ValueId in : node.inputs) {
      const NodeId producer = graph.value(in).producer;
      ASSERT_NE(producer, kNoNode) << node.name;
      EXPECT_TRUE(graph.node(producer).Is("DequantizeLinear")) << node.name << " reads " << graph.value(in).name;
    }
  }
  // x, the first Relu, Swish's product, the projection, the sum, its pool and Flatten are rounded; the end is not.
  EXPECT_EQ(CountOf(graph, "QuantizeLinear"), 7);
  EXPECT_EQ(CountOf(graph, "Relu"), 0);   // u8 codes from 0 on do its work
  EXPECT_EQ(CountOf(graph, "Sigmoid"), 1);
  EXPECT_EQ(graph.value(graph.outputs()[0]).name, "y");
  // The bias's scale is the product of the input's and the weight's.
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (node.name != "first") continue;
    const Node& x = graph.node(graph.value(node.inputs[0]).producer);
    const Node& w = graph.node(graph.value(node.inputs[1]).producer);
    const Node& b = graph.node(graph.value(node.inputs[2]).producer);
    EXPECT_EQ(graph.value(b.inputs[0]).type.dtype, DType::kInt32);
    for (int c = 0; c < 8; ++c) {
      EXPECT_EQ(graph.value(b.inputs[1]).constant.as<float>()[c],
                *graph.value(x.inputs[1]).constant.as<float>() * graph.value(w.inputs[1]).constant.as<float>()[c]);
    }
  }
}

/// A layer of a transformer as exporters spell it: LayerNormalization, and a Gelu between two products with biases.
constexpr char kLayer[] = R"(graph g (x: float[2,6,16], scale: float[16], shift: float[16], w1: float[16,32], b1: float[32], w2: float[32,16], b2: float[16]) -> (z) {
  one = const float[]{1}
  two = const float[]{2}
  half = const float[]{0.5}
  root = const float[]{1.4142135}
  eps = const float[]{1e-05}
  mean = ReduceMean-13(x) {axes=[-1]}
  d = Sub-14(x, mean)
  sq = Pow-15(d, two)
  var = ReduceMean-13(sq) {axes=[-1]}
  ve = Add-14(var, eps)
  sd = Sqrt-13(ve)
  n = Div-14(d, sd)
  s = Mul-14(n, scale)
  norm = Add-14(s, shift)
  m1 = MatMul-13(norm, w1) @first
  h = Add-14(b1, m1)
  e = Div-14(h, root)
  f = Erf-13(e)
  g = Add-14(f, one)
  hg = Mul-14(h, g)
  a = Mul-14(hg, half)
  m2 = MatMul-13(a, w2) @second
  y = Add-14(m2, b2)
  z = Add-14(y, x)
})";

TEST(QuantizeStatic, FormulasAreRoundedOnlyAtTheirEnds) {
  RandomSamples samples({2, 6, 16}, 12);
  for (int opset : {0, 16, 17}) {
    OnnxModel model = Model(kLayer, 16);
    MakeWeights(&model);
    Built built = Quantized(std::move(model), {}, &samples, opset);
    const Graph& graph = built.quantized.graph;
    EXPECT_EQ(CountOf(graph, "LayerNormalization"), opset == 16 ? 0 : 1);
    EXPECT_EQ(OpsetOf(built.quantized), opset == 16 ? 16 : 17);
    if (opset == 16) continue;
    EXPECT_EQ(CountOf(graph, "QuantizeLinear"), 2);   // what the products read
    EXPECT_GE(SqnrOf(built.prepared.graph, graph, &samples), 30);
  }
}

TEST(QuantizeStatic, WhatIsLeftOfABatchNormalizationIsAConvolution) {
  OnnxModel model = Model("graph g (x: float[1,3,8,8], w1: float[8,3,3,3], s: float[1,12,1,1], t: float[12,1,1], w2: float[6,12,3,3], u: float[3,1,1]) -> (y) {\n"
                          "  grow = const int64[8]{0, 0, 0, 0, 0, 1, 0, 0}\n"
                          "  above = Mul-14(x, u)\n"
                          "  in = Add-14(above, u)\n"
                          "  a = Conv-11(in, w1) {pads=[1, 1, 1, 1]}\n"
                          "  wide = Pad-13(x, grow)\n"
                          "  c = Concat-13(a, wide) {axis=1}\n"
                          "  m = Mul-14(c, s)\n"
                          "  n = Add-14(t, m) @shifted\n"
                          "  r = Relu-14(n)\n"
                          "  y = Conv-11(r, w2)\n"
                          "}\n", 14);
  MakeWeights(&model);
  ASSERT_TRUE(Prepare(&model, 14).ok());
  OnnxModel made{model.graph.Clone(), model.info};
  Status status = MakeConvolutions(&made.graph);
  ASSERT_TRUE(status.ok()) << status.message();
  status = Verify(made.graph);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(CountOf(made.graph, "Conv"), 3);
  EXPECT_EQ(CountOf(made.graph, "Mul") + CountOf(made.graph, "Add"), 2);   // those of the picture
  RandomSamples samples({1, 3, 8, 8}, 12);
  EXPECT_GE(SqnrOf(model.graph, made.graph, &samples), 120);
  EXPECT_GE(SqnrOf(model.graph, Quantized(std::move(made), {}, &samples).quantized.graph, &samples), 25);
}

/// Products of weights with few and with many rows, for 64 channels each.
OnnxModel Shared(std::vector<float> factors) {
  OnnxModel model = Model("graph g (x: float[1,64,8,8], w1: float[64,1,3,3], w2: float[64,64,1,1], w3: float[64,1,3,3]) -> (y) {\n"
                          "  a = Conv-13(x, w1) {group=64, pads=[1, 1, 1, 1]} @few\n"
                          "  b = Conv-13(a, w2) @many\n"
                          "  y = Conv-13(b, w3) {group=64} @unlike\n"
                          "}\n", 13);
  MakeWeights(&model);
  for (size_t i = 1; i < 4; ++i) {   // a largest weight of 1 each, times a factor of the channel
    Tensor w = Random(model.graph.value(model.graph.inputs[i]).type.shape, i);
    const int64_t each = w.elements() / 64;
    for (int64_t c = 0; c < 64; ++c) {
      float most = 0, factor = i == 3 ? factors[static_cast<size_t>(c)] : 1;
      for (int64_t k = 0; k < each; ++k) most = std::max(most, std::fabs(w.as<float>()[c * each + k]));
      for (int64_t k = 0; k < each; ++k) w.mutable_as<float>()[c * each + k] *= factor / most;
    }
    model.graph.SetConstant(model.graph.inputs[i], std::move(w));
  }
  return model;
}

TEST(QuantizeStatic, WeightsShareAScaleWhereThatCostsNothing) {
  RandomSamples samples({1, 64, 8, 8}, 12);
  std::vector<float> unlike(64, 0.01f);
  unlike[5] = 1;
  Built built = Quantized(Shared(unlike), {}, &samples);
  std::map<std::string, int> scales;
  const Graph& graph = built.quantized.graph;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (!graph.node(id).Is("Conv")) continue;
    const Node& read = graph.node(graph.value(graph.node(id).inputs[1]).producer);
    scales[graph.node(id).name] = static_cast<int>(graph.value(read.inputs[1]).constant.elements());
  }
  // 5,248 bytes and 3 * 256 of scales are more than 27 % of their floats. Channels that are alike lose nothing by one scale, nine weights
  // each or 64; where one is a hundred times the others it would take their digits.
  EXPECT_EQ(scales, (std::map<std::string, int>{{"few", 1}, {"many", 1}, {"unlike", 64}}));
  EXPECT_GE(SqnrOf(built.prepared.graph, graph, &samples), 30);
}

TEST(QuantizeStatic, WeightsShareAScaleAmongThoseThatAreIntegers) {
  // 576, 4,096 and 4,608 bytes, of which all together take 26.7 % of their floats with 64, 64 and 8 scales, the first two 28.1 %.
  OnnxModel model = Model("graph g (x: float[1,64,8,8], a: float[64,1,3,3], b: float[64,64,1,1], c: float[8,64,3,3]) -> (y) {\n"
                          "  p = Conv-13(x, a) {group=64, pads=[1, 1, 1, 1]} @a\n"
                          "  q = Conv-13(p, b) @b\n"
                          "  y = Conv-13(q, c) {pads=[1, 1, 1, 1]} @c\n}\n", 13);
  MakeWeights(&model);
  for (size_t i = 1; i <= 3; ++i) {   // channels that are alike
    Tensor tensor = Random(model.graph.value(model.graph.inputs[i]).type.shape, i, 0.1f);
    for (int64_t at = 0; at < tensor.elements(); at += 9) tensor.mutable_as<float>()[at] = 0.5f;
    model.graph.SetConstant(model.graph.inputs[i], std::move(tensor));
  }
  ASSERT_TRUE(Prepare(&model, 13).ok());
  const Graph& graph = model.graph;
  const NodePrecisions all = ChooseNodes(graph, {}).value();
  auto shared = [&](const std::string& in_float) {
    NodePrecisions nodes = all;
    for (NodeId id = 0; id < graph.node_count(); ++id) {
      if (graph.node(id).alive && in_float.find(graph.node(id).name) != std::string::npos) nodes[static_cast<size_t>(id)] = Precision::kFloat;
    }
    return WeightsWithOneScale(graph, nodes, {}).size();
  };
  EXPECT_EQ(shared(""), 0u);
  EXPECT_EQ(shared("c"), 1u);
  EXPECT_EQ(shared("bc"), 0u);   // measured alone it keeps what it has in the whole
}

TEST(QuantizeStatic, OperatorsOnIntegers) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  StaticOptions options;
  options.format = Format::kQOperator;
  Built built = Quantized(Network(), options, &samples);
  const Graph& graph = built.quantized.graph;
  std::map<std::string, int> count;
  for (NodeId id = 0; id < graph.node_count(); ++id) ++count[graph.node(id).op];
  EXPECT_EQ(count, (std::map<std::string, int>{{"QuantizeLinear", 1}, {"QLinearConv", 3}, {"QLinearSigmoid", 1}, {"QLinearMul", 1}, {"QLinearAdd", 1},
                                               {"MaxPool", 1}, {"Flatten", 1}, {"QGemm", 1}, {"Softmax", 1}}));
  EXPECT_GE(SqnrOf(built.prepared.graph, graph, &samples), 20);
  // Not far from what Q and DQ around the same nodes give, and the file is read again.
  std::string bytes;
  Status status = WriteOnnx(built.quantized, bytes);
  ASSERT_TRUE(status.ok()) << status.message();
  Result<OnnxModel> again = ReadOnnxBytes(std::as_bytes(std::span<const char>(bytes)));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_TRUE(IsQuantized(again->graph));
  EXPECT_EQ(SqnrOf(graph, again->graph, &samples), INFINITY);
}

TEST(QuantizeStatic, SelectionsAndSigns) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  StaticOptions options;
  options.exclude = {"depthwise"};
  Built built = Quantized(Network(), options, &samples);
  int float_convolutions = 0;
  for (NodeId id = 0; id < built.quantized.graph.node_count(); ++id) {
    const Node& node = built.quantized.graph.node(id);
    float_convolutions += node.Is("Conv") && built.quantized.graph.is_constant(node.inputs[1]);
  }
  EXPECT_EQ(float_convolutions, 1);
  options.exclude = {"nobody"};
  OnnxModel model = Network();
  ASSERT_TRUE(Prepare(&model, 13).ok());
  Result<NodePrecisions> nodes = ChooseNodes(model.graph, options);
  ASSERT_FALSE(nodes.ok());
  EXPECT_NE(nodes.status().message().find("'nobody'"), std::string_view::npos);
  // With symmetric codes the Relu's zeros lie in the middle: it stays.
  StaticOptions symmetric;
  symmetric.activations = DType::kInt8;
  symmetric.symmetric_activations = true;
  EXPECT_EQ(CountOf(Quantized(Network(), symmetric, &samples).quantized.graph, "Relu"), 1);
}

TEST(QuantizeStatic, RefusesWhatItCannotDo) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  Built built = Quantized(Network(), {}, &samples);
  Status again = Prepare(&built.quantized, 13);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.message().find("quantized already"), std::string_view::npos);
  RangeTable fewer = built.ranges;
  fewer.erase("x");
  Status missing = QuantizeStatic(&built.prepared, built.nodes, fewer, {});
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.message().find("'x'"), std::string_view::npos);
  OnnxModel nothing = Model("graph g (x: float[2]) -> (y) {\n  y = Relu-13(x)\n}\n", 13);
  EXPECT_FALSE(ChooseNodes(nothing.graph, {}).ok());
}

TEST(QuantizeContract, SpendsPrecisionOnlyWhereItIsNeeded) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  OnnxModel prepared = Network();
  ASSERT_TRUE(Prepare(&prepared, 13).ok());
  StaticOptions options;
  NodePrecisions nodes = ChooseNodes(prepared.graph, options).value();
  auto calibration = Calibration::Make(prepared.graph, ValuesToObserve(prepared.graph, nodes), 1);
  ASSERT_TRUE(calibration.ok());
  ASSERT_TRUE(Calibrate(calibration->get(), &samples, kFour, kQuiet).ok());
  Judge judge(prepared.graph, &samples, {}, 1);
  const Calibrator calibrators[] = {Calibrator::kMinMax};
  Sensitivities known;
  double last = -INFINITY;
  size_t exceptions = 0;
  for (double db : {10.0, 34.0, 48.0, 60.0}) {
    Floor floor;
    floor.sqnr_db = db;
    Result<Decision> decision = ChooseCalibrator(prepared, nodes, options, **calibration, {}, calibrators, floor, &judge, kFour, kQuiet);
    ASSERT_TRUE(decision.ok()) << decision.status().message();
    auto make = [&](const NodePrecisions& candidate) -> Result<OnnxModel> {
      OnnxModel made{prepared.graph.Clone(), prepared.info};
      LINNET_TRY(QuantizeStatic(&made, candidate, decision->ranges, options));
      return made;
    };
    if (!decision->met) {
      const Maker makers[] = {make};
      ASSERT_TRUE(SearchLayers(prepared, makers, true, floor, &judge, kFour, &known, kQuiet, &*decision).ok());
    }
    const size_t now = decision->by_weights.size() + 100 * decision->in_float.size();
    EXPECT_GE(now, exceptions) << db;
    exceptions = now;
    if (!decision->met) continue;
    EXPECT_GE(decision->score.sqnr_db, db);
    // It holds for the model that is made of it.
    OnnxModel made{prepared.graph.Clone(), prepared.info};
    ASSERT_TRUE(QuantizeStatic(&made, decision->nodes, decision->ranges, options).ok());
    Result<Score> score = judge.Of(made.graph, kFour);
    ASSERT_TRUE(score.ok());
    EXPECT_GE(score->sqnr_db, db);
    last = db;
  }
  EXPECT_GE(last, 34);
  EXPECT_GT(exceptions, 0u);
}

// Two layers, of which the larger errs more, and less for each of its weights: a floor between both keeps the smaller one in integers.
TEST(QuantizeContract, WhateverMeetsTheFloorIsFound) {
  RandomSamples samples({4, 32}, 12);
  OnnxModel model = Model("graph g (x: float[4,32], w1: float[32,32], w2: float[32,1]) -> (y) {\n"
                          "  a = MatMul-13(x, w1) @large\n"
                          "  less = const float[1]{0.3}\n"
                          "  l = Mul-13(x, less)\n"
                          "  b = MatMul-13(l, w2) @small\n"
                          "  y = Add-13(a, b)\n"
                          "}\n", 13);
  MakeWeights(&model);
  Built built = Quantized(std::move(model), {}, &samples);
  auto make = [&](const NodePrecisions& candidate) -> Result<OnnxModel> {
    OnnxModel made{built.prepared.graph.Clone(), built.prepared.info};
    LINNET_TRY(QuantizeStatic(&made, candidate, built.ranges, {}));
    return made;
  };
  Judge judge(built.prepared.graph, &samples, {}, 1);
  double db[2];   // large and small, with weights alone as integers
  for (int i = 0; i < 2; ++i) {
    NodePrecisions alone(built.nodes.size(), Precision::kFloat);
    for (NodeId id = 0; id < built.prepared.graph.node_count(); ++id) {
      if (built.prepared.graph.node(id).name == (i == 0 ? "large" : "small")) alone[static_cast<size_t>(id)] = Precision::kWeights;
    }
    Result<OnnxModel> made = make(alone);
    ASSERT_TRUE(made.ok());
    db[i] = judge.Of(made->graph, kFour)->sqnr_db;
  }
  ASSERT_GT(db[1], db[0] + 4);
  Floor floor;
  floor.sqnr_db = (db[0] + db[1]) / 2;
  const Maker makers[] = {make};
  Sensitivities known;
  Decision decision;
  decision.nodes = built.nodes;
  ASSERT_TRUE(SearchLayers(built.prepared, makers, true, floor, &judge, kFour, &known, kQuiet, &decision).ok());
  EXPECT_TRUE(decision.met);
  EXPECT_GE(decision.score.sqnr_db, floor.sqnr_db);
  EXPECT_EQ(decision.in_float, std::vector<std::string>{"large"});
}

// A chain a -> b -> c -> d of equal layers, of which c errs most: what lies beside layers in float needs no rounding there.
TEST(QuantizeContract, LayersBesideThoseInFloatCostLess) {
  auto chain = [] {
    std::vector<Layer> layers(4);
    for (size_t i = 0; i < 4; ++i) {
      layers[i].name = std::string(1, static_cast<char>('a' + i)), layers[i].number = i, layers[i].error = 1, layers[i].time = 10;
      if (i > 0) layers[i].beside[i - 1] = layers[i - 1].beside[i] = 5;
    }
    layers[2].error = 3;
    return layers;
  };
  auto order = [](const std::vector<Layer>& layers) {
    std::string out;
    for (const Layer& layer : layers) out += layer.name;
    return out;
  };
  std::vector<Layer> layers = chain();
  OrderByTime(&layers, 0);
  EXPECT_EQ(order(layers), "cdba");   // d: 1 / (10 + 5 - 10); b: 1 / (10 + 5 + 5 - 10), and behind it a
  layers = chain();
  layers[0].error = 1.5;              // first, and beside it b
  layers[0].time = layers[1].time = 1;
  OrderByTime(&layers, 1);
  EXPECT_EQ(order(layers), "abcd");
  layers = chain();
  for (size_t i = 0; i < 4; ++i) layers[i].weights = static_cast<double>(4 * i + 1);
  OrderByWeights(&layers);
  EXPECT_EQ(order(layers), "acbd");   // 1, 3 / 9, 1 / 5, 1 / 13
  OrderByError(&layers);
  EXPECT_EQ(order(layers), "cabd");
}

TEST(QuantizeDynamic, ProductsRunAsIntegers) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  for (DType weights : {DType::kInt8, DType::kUint8}) {
    OnnxModel prepared = Network(), quantized = Network();
    ASSERT_TRUE(Prepare(&prepared, 13).ok());
    ASSERT_TRUE(Prepare(&quantized, 13).ok());
    DynamicOptions options;
    options.weights = weights;
    Result<int> changed = QuantizeDynamic(&quantized, options);
    ASSERT_TRUE(changed.ok()) << changed.status().message();
    EXPECT_EQ(*changed, 1);
    EXPECT_EQ(CountOf(quantized.graph, "MatMulInteger"), 1);
    EXPECT_EQ(CountOf(quantized.graph, "Gemm"), 0);
    EXPECT_GE(SqnrOf(prepared.graph, quantized.graph, &samples), 30);
  }
}

TEST(QuantizeDynamic, AsOperators) {
  RandomSamples samples({1, 3, 8, 8}, 12), sequences({6, 2, 20}, 12);
  for (DType weights : {DType::kInt8, DType::kUint8}) {
    for (bool per_channel : {true, false}) {
      DynamicOptions options;
      options.weights = weights, options.per_channel = per_channel, options.format = Format::kQOperator;
      OnnxModel prepared = Network(), lstm = Lstm();
      ASSERT_TRUE(Prepare(&prepared, 13).ok());
      OnnxModel quantized{prepared.graph.Clone(), prepared.info}, quantized_lstm{lstm.graph.Clone(), lstm.info};
      ASSERT_TRUE(QuantizeDynamic(&quantized, options).ok());
      ASSERT_TRUE(QuantizeDynamic(&quantized_lstm, options).ok());
      EXPECT_EQ(CountOf(quantized.graph, "Gemm") + CountOf(quantized.graph, "MatMulInteger") + CountOf(quantized_lstm.graph, "LSTM"), 0);
      EXPECT_TRUE(IsQuantized(quantized.graph) && IsQuantized(quantized_lstm.graph));
      EXPECT_GE(SqnrOf(prepared.graph, quantized.graph, &samples), 30);
      EXPECT_GE(SqnrOf(lstm.graph, quantized_lstm.graph, &sequences), 30) << DTypeName(weights) << per_channel;
    }
  }
}

TEST(QuantizeDynamic, BodiesToo) {
  RandomSamples samples({4, 4}, 12);
  const char* const text =
      "graph g (x: float[4,4]) -> (y) {\n"
      "  s = ReduceSum-13(x) {keepdims=0}\n"
      "  zero = const float[]{0}\n"
      "  c = Greater-13(s, zero)\n"
      "  y: float[4,3] = If-13(c) {then_branch=graph t () captures (u: float[4,4] = x) -> (a) {\n"
      "    w = const float[4,3]{0.5, -1, 0.25, 2, 0.1, -0.3, 1, 0.9, -0.7, 0.33, -2, 1.5}\n"
      "    a: float[4,3] = MatMul-13(u, w) @yes\n"
      "  }, else_branch=graph e () captures (u: float[4,4] = x) -> (b) {\n"
      "    v = const float[4,3]{1, 0.2, -0.4, 0.6, -0.8, 1.2, -1.4, 1.6, 0.3, -0.5, 0.7, -0.9}\n"
      "    b: float[4,3] = MatMul-13(u, v) @no\n"
      "  }}\n"
      "}\n";
  for (bool dynamic : {true, false}) {
    OnnxModel prepared = Model(text, 13);
    ASSERT_TRUE(Prepare(&prepared, 13).ok());
    Result<NodePrecisions> outside = ChooseNodes(prepared.graph, {});   // static quantization says what does reach them
    ASSERT_FALSE(outside.ok());
    EXPECT_NE(outside.status().message().find("--mode dynamic"), std::string_view::npos) << outside.status().message();
    OnnxModel quantized{prepared.graph.Clone(), prepared.info};
    WeightOptions weights;
    weights.weights = DType::kInt8;
    weights.selection.include = {"yes", "no"};
    Result<int> changed = dynamic ? QuantizeDynamic(&quantized, {}) : QuantizeWeightsOnly(&quantized, weights);
    ASSERT_TRUE(changed.ok()) << changed.status().message();
    EXPECT_EQ(*changed, 2);
    EXPECT_TRUE(IsQuantized(quantized.graph));
    ASSERT_TRUE(Verify(quantized.graph).ok());
    std::string bytes;
    ASSERT_TRUE(WriteOnnx(quantized, bytes).ok());
    Result<OnnxModel> again = ReadOnnxBytes(std::as_bytes(std::span<const char>(bytes)));
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_GE(SqnrOf(prepared.graph, again->graph, &samples), 30) << dynamic;
  }
}

TEST(QuantizeWeights, FourAndEightBits) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  OnnxModel prepared = Network();
  ASSERT_TRUE(Prepare(&prepared, 21).ok());
  double eight = 0, plain = 0;
  using enum BlockRounding;
  for (auto [weights, rounding, db] : {std::tuple{DType::kInt8, kSquares, 30.0}, {DType::kUint4, kExtremes, 12.0}, {DType::kUint4, kSquares, 12.0},
                                       {DType::kUint4, kHalfQuadratic, 12.0}, {DType::kInt4, kSquares, 12.0}}) {
    OnnxModel quantized{prepared.graph.Clone(), prepared.info};
    WeightOptions options;
    options.weights = weights;
    options.rounding = rounding;
    Result<int> changed = QuantizeWeightsOnly(&quantized, options);
    ASSERT_TRUE(changed.ok()) << changed.status().message();
    EXPECT_EQ(*changed, weights == DType::kInt8 ? 4 : 1);
    const double got = SqnrOf(prepared.graph, quantized.graph, &samples);
    EXPECT_GE(got, db) << DTypeName(weights);
    if (weights == DType::kInt8) eight = got;
    if (rounding == kExtremes) plain = got;
    std::string bytes;
    EXPECT_TRUE(WriteOnnx(quantized, bytes).ok());
  }
  EXPECT_GT(eight, plain);
  // The same blocks as an operator compute the same; 8 bits in blocks are nearer than 4.
  for (DType weights : {DType::kInt4, DType::kUint4, DType::kInt8, DType::kUint8}) {
    OnnxModel qdq{prepared.graph.Clone(), prepared.info}, qoperator{prepared.graph.Clone(), prepared.info};
    WeightOptions options;
    options.weights = weights;
    options.selection.include = {"Gemm"};
    ASSERT_TRUE(QuantizeWeightsOnly(&qdq, options).ok());
    options.format = Format::kQOperator;
    Result<int> changed = QuantizeWeightsOnly(&qoperator, options);
    ASSERT_TRUE(changed.ok()) << changed.status().message();
    EXPECT_EQ(*changed, 1);
    ASSERT_TRUE(Verify(qoperator.graph).ok());
    EXPECT_GE(SqnrOf(prepared.graph, qoperator.graph, &samples), DTypeBits(weights) == 8 ? 37 : 12) << DTypeName(weights);
    if (DTypeBits(weights) == 8) continue;   // those of kQdq have a scale a channel
    EXPECT_GE(SqnrOf(qdq.graph, qoperator.graph, &samples), 100) << DTypeName(weights);
  }
  OnnxModel none{prepared.graph.Clone(), prepared.info};
  EXPECT_FALSE(QuantizeWeightsOnly(&none, {DType::kInt4, 24}).ok());
}

TEST(QuantizeHalf, InputsAndOutputsKeepTheirTypes) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  for (auto [to, opset, db] : {std::tuple{DType::kFloat16, 13, 50.0}, {DType::kBfloat16, 22, 30.0}}) {
    OnnxModel prepared = Network();
    ASSERT_TRUE(Prepare(&prepared, opset).ok());
    OnnxModel half{prepared.graph.Clone(), prepared.info};
    HalfOptions options;
    options.to = to;
    options.keep.exclude = {"project"};
    Result<int> changed = ConvertToHalf(&half, options);
    ASSERT_TRUE(changed.ok()) << changed.status().message();
    EXPECT_EQ(half.graph.value(half.graph.outputs()[0]).type.dtype, DType::kFloat);
    EXPECT_EQ(half.graph.value(half.graph.outputs()[0]).name, "y");
    const double got = SqnrOf(prepared.graph, half.graph, &samples);
    EXPECT_GE(got, db);
    EXPECT_LT(got, 120);
    for (NodeId id = 0; id < half.graph.node_count(); ++id) {
      const Node& node = half.graph.node(id);
      if (node.name != "project" && node.name != "first") continue;
      EXPECT_EQ(half.graph.value(node.outputs[0]).type.dtype, node.name == "first" ? to : DType::kFloat);
    }
  }
}

/// Rows of a table, and a product behind them.
OnnxModel Embedding() {
  OnnxModel model = Model("graph g (ids: int64[1,5], table: float[64,32], w: float[32,16]) -> (y) {\n"
                          "  rows = Gather-13(table, ids) {axis=0} @embed\n"
                          "  t = Tanh-13(rows)\n"
                          "  y = MatMul-13(t, w) @product\n"
                          "}\n", 13);
  MakeWeights(&model);
  EXPECT_TRUE(Prepare(&model, 13).ok());
  return model;
}

/// Ids from 0 to 63.
class Ids : public Samples {
 public:
  int64_t size() const override { return 16; }
  Result<std::vector<Datum>> Load(int64_t index) override {
    Tensor ids = Tensor::Allocate(DType::kInt64, {1, 5}).value();
    for (int64_t i = 0; i < 5; ++i) ids.mutable_as<int64_t>()[i] = (index * 13 + i * 7) % 64;
    return std::vector<Datum>{Datum::Of(ids)};
  }
};

TEST(QuantizeTables, RowsAreIntegersInEveryMode) {
  Ids samples;
  const OnnxModel plain = Embedding();
  OnnxModel in_weights = Embedding(), in_blocks = Embedding(), in_static = Embedding(), wide = Embedding(), without = Embedding();
  EXPECT_EQ(QuantizeWeightsOnly(&in_weights, {DType::kInt8}).value(), 2);
  EXPECT_EQ(QuantizeWeightsOnly(&in_blocks, {DType::kUint4}).value(), 2);
  StaticOptions options;
  auto quantize = [&](OnnxModel* model) -> Status {
    LINNET_ASSIGN(NodePrecisions nodes, ChooseNodes(model->graph, options));
    LINNET_ASSIGN(std::unique_ptr<Calibration> calibration, Calibration::Make(model->graph, ValuesToObserve(model->graph, nodes), 1));
    std::vector<int64_t> which = {0, 1, 2, 3};
    LINNET_TRY(Calibrate(calibration.get(), &samples, which, kQuiet));
    LINNET_ASSIGN(RangeTable ranges, calibration->Choose({}));
    return QuantizeStatic(model, nodes, ranges, options);
  };
  Status status = quantize(&in_static);
  ASSERT_TRUE(status.ok()) << status.message();
  options.activations = DType::kUint16;
  status = quantize(&wide);
  ASSERT_TRUE(status.ok()) << status.message();
  options.activations = DType::kUint8, options.exclude = {"embed"};
  ASSERT_TRUE(quantize(&without).ok());
  struct {
    const OnnxModel* model;
    DType table;
    double db;
  } const cases[] = {{&in_weights, DType::kInt8, 35}, {&in_blocks, DType::kUint8, 18}, {&in_static, DType::kInt8, 30}, {&wide, DType::kUint16, 35},
                     {&without, DType::kFloat, 30}};
  for (const auto& c : cases) {
    const Graph& graph = c.model->graph;
    ASSERT_TRUE(Verify(graph).ok());
    int gathers = 0;
    for (NodeId id = 0; id < graph.node_count(); ++id) {
      if (!graph.node(id).Is("Gather")) continue;
      ++gathers;
      EXPECT_EQ(graph.value(graph.node(id).inputs[0]).type.dtype, c.table);
    }
    EXPECT_EQ(gathers, 1);
    auto first = GraphRunner::Make(plain.graph, {}, 1), second = GraphRunner::Make(graph, {}, 1);
    ASSERT_TRUE(first.ok() && second.ok());
    Result<std::vector<Agreement>> agreements = CompareOutputs(first->get(), second->get(), &samples, {8, 9, 10, 11}, kQuiet);
    ASSERT_TRUE(agreements.ok()) << agreements.status().message();
    EXPECT_GE((*agreements)[0].SqnrDb(), c.db) << DTypeName(c.table);
  }
}

}  // namespace
}  // namespace linnet::quantize
