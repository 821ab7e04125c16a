// Equalisation changes no number and makes weights easier to quantize; corrected biases bring channels' means back.
#include "quantize/equalize.h"
#include "quantize_test_util.h"

namespace linnet::quantize {
namespace {

/// Convolutions whose channels differ in size by up to a thousand, and a Gemm behind. `between` stands behind the first.
OnnxModel Uneven(const std::string& between = "Relu-13(a)") {
  OnnxModel model = Model("graph g (x: float[1,3,8,8], w1: float[8,3,3,3], b1: float[8], w2: float[8,1,3,3], b2: float[8], w3: float[8,8,1,1], w4: float[8,10], c4: float[10]) -> (z) {\n"
                          "  zero = const float[]{0}\n  six = const float[]{6}\n"
                          "  a = Conv-13(x, w1, b1) {pads=[1, 1, 1, 1]} @first\n"
                          "  r = " + between + "\n"
                          "  d = Conv-13(r, w2, b2) {group=8, pads=[1, 1, 1, 1]} @depthwise\n"
                          "  s = Relu-13(d)\n"
                          "  p = Conv-13(s, w3) @project\n"
                          "  q = GlobalAveragePool-13(p)\n"
                          "  f = Flatten-13(q)\n"
                          "  z = Gemm-13(f, w4, c4) @last\n"
                          "}\n", 13);
  Graph& graph = model.graph;
  for (size_t i = 1; i < graph.inputs.size(); ++i) {
    const ValueId id = graph.inputs[i];
    Tensor tensor = Random(graph.value(id).type.shape, i, 0.3f);
    const int64_t channels = tensor.shape()[0], inner = tensor.elements() / channels;
    for (int64_t at = 0; at < tensor.elements() && i <= 5; ++at) tensor.mutable_as<float>()[at] *= static_cast<float>(std::pow(2.5, static_cast<double>(at / inner % 8 * (i <= 2 ? 1 : i <= 4 ? -1 : 0))));
    graph.SetConstant(id, std::move(tensor));
  }
  EXPECT_TRUE(Prepare(&model, 13).ok());
  return model;
}

StaticOptions PerTensor() {
  StaticOptions options;
  options.per_channel = false;
  return options;
}

TEST(QuantizeEqualize, SameNumbersAndBetterWeights) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  OnnxModel model = Uneven();
  OnnxModel equal{model.graph.Clone(), model.info};
  Result<int> pairs = EqualizeLayers(&equal.graph);
  ASSERT_TRUE(pairs.ok()) << pairs.status().message();
  EXPECT_EQ(*pairs, 2);   // Flatten may move channels: Gemm's inputs are left alone
  ASSERT_TRUE(Verify(equal.graph).ok());
  EXPECT_GE(SqnrOf(model.graph, equal.graph, &samples), 110);
  const double before = SqnrOf(model.graph, Quantized({model.graph.Clone(), model.info}, PerTensor(), &samples).quantized.graph, &samples);
  const double after = SqnrOf(model.graph, Quantized(std::move(equal), PerTensor(), &samples).quantized.graph, &samples);
  EXPECT_GE(after, before + 6);
}

TEST(QuantizeEqualize, WhatCannotBeScaledIsLeft) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  struct {
    const char* between;
    int pairs;
  } const cases[] = {{"Relu-13(a)", 2},       {"LeakyRelu-13(a) {alpha=0.2}", 2}, {"Clip-13(a, zero)", 2}, {"Identity-13(a)", 2},
                     {"Clip-13(a, zero, six)", 1}, {"Sigmoid-13(a)", 1},          {"Add-13(a, a)", 1}};
  for (const auto& c : cases) {
    OnnxModel model = Uneven(c.between);
    OnnxModel equal{model.graph.Clone(), model.info};
    Result<int> pairs = EqualizeLayers(&equal.graph);
    ASSERT_TRUE(pairs.ok()) << pairs.status().message();
    EXPECT_EQ(*pairs, c.pairs) << c.between;
    EXPECT_GE(SqnrOf(model.graph, equal.graph, &samples), 110) << c.between;
  }
}

TEST(QuantizeCorrect, MeansComeBack) {
  RandomSamples samples({1, 3, 8, 8}, 12);
  OnnxModel model = Uneven();
  StaticOptions options = PerTensor();
  Built built = Quantized({model.graph.Clone(), model.info}, options, &samples);
  OnnxModel corrected{built.prepared.graph.Clone(), built.prepared.info};
  Result<int> layers = CorrectBiases(&corrected, built.nodes, built.ranges, options, &samples, kFour, 1, kQuiet);
  ASSERT_TRUE(layers.ok()) << layers.status().message();
  EXPECT_EQ(*layers, 4);   // the projection gets a bias
  ASSERT_TRUE(QuantizeStatic(&corrected, built.nodes, built.ranges, options).ok());
  // The mean of each output over the samples: nearer to the float model's.
  auto means = [&](const Graph& graph) {
    Result<std::unique_ptr<GraphRunner>> runner = GraphRunner::Make(graph, {}, 1);
    std::vector<double> sums(10, 0);
    for (int64_t i : kFour) {
      std::vector<Datum> out = (*runner)->Run(*samples.Load(i)).value();
      for (size_t c = 0; c < 10; ++c) sums[c] += out[0].tensor.as<float>()[c] / 4;
    }
    return sums;
  };
  const std::vector<double> want = means(model.graph), plain = means(built.quantized.graph), got = means(corrected.graph);
  double before = 0, after = 0;
  for (size_t c = 0; c < 10; ++c) before += std::pow(plain[c] - want[c], 2), after += std::pow(got[c] - want[c], 2);
  EXPECT_LT(after, 0.1 * before);
  EXPECT_GE(SqnrOf(model.graph, corrected.graph, &samples), SqnrOf(model.graph, built.quantized.graph, &samples));
}

/// Counts how often samples are loaded, each of which is a run of a model at most.
class CountedSamples : public RandomSamples {
 public:
  using RandomSamples::RandomSamples;
  Result<std::vector<Datum>> Load(int64_t index) override {
    ++loads;
    return RandomSamples::Load(index);
  }
  int loads = 0;
};

/// Means of the channels of what the node called `name` makes.
std::vector<double> MeansOf(const Graph& graph, const std::string& name, RandomSamples* samples) {
  ValueId made = kNoValue;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (graph.node(id).alive && graph.node(id).name == name) made = graph.node(id).outputs[0];
  }
  EXPECT_NE(made, kNoValue) << name;
  Result<std::unique_ptr<GraphRunner>> runner = GraphRunner::Make(graph, std::vector<ValueId>{made}, 1);
  std::vector<double> sums;
  int64_t inner = 1;
  for (int64_t i : kFour) {
    const Tensor y = (*runner)->Run(*samples->Load(i)).value().back().tensor;
    inner = y.shape().Product(2, y.shape().rank());
    sums.resize(static_cast<size_t>(y.shape()[1]), 0);
    for (int64_t at = 0; at < y.elements(); ++at) sums[static_cast<size_t>(at / inner % y.shape()[1])] += y.as<float>()[at];
  }
  for (double& sum : sums) sum /= static_cast<double>(inner * 4);
  return sums;
}

// What the definition says of layers corrected one after another: in the end each has the float model's means, to half a step of its bias,
// whatever lies between them.
TEST(QuantizeCorrect, EveryLayerHasTheMeansBehindBranches) {
  OnnxModel model = Model("graph g (x: float[1,3,8,8], w1: float[8,3,3,3], b1: float[8], w2: float[8,8,3,3], w3: float[8,8,1,1], w4: float[6,16,3,3], b4: float[6], w5: float[6,5,2,2], w6: float[96,4], c6: float[4]) -> (y, p) {\n"
                          "  a = Conv-13(x, w1, b1) {pads=[1, 1, 1, 1]} @first\n"
                          "  r = Relu-13(a)\n"
                          "  b = Conv-13(r, w2) {pads=[1, 1, 1, 1]} @left\n"
                          "  m = Relu-13(b)\n"
                          "  c = Conv-13(r, w3) @right\n"
                          "  t = Add-13(m, r)\n"
                          "  u = Concat-13(t, c) {axis=1}\n"
                          "  d = Conv-13(u, w4, b4) {pads=[1, 1, 1, 1], strides=[2, 2]} @joined\n"
                          "  e = Relu-13(d)\n"
                          "  p = ConvTranspose-13(e, w5) {strides=[2, 2]} @wide\n"
                          "  f = Flatten-13(e)\n"
                          "  y = Gemm-13(f, w6, c6) {beta=0.5} @last\n"
                          "}\n", 13);
  MakeWeights(&model);
  CountedSamples samples({1, 3, 8, 8}, 12);
  const StaticOptions options = PerTensor();
  Built built = Quantized({model.graph.Clone(), model.info}, options, &samples);
  OnnxModel corrected{built.prepared.graph.Clone(), built.prepared.info};
  samples.loads = 0;
  Result<int> layers = CorrectBiases(&corrected, built.nodes, built.ranges, options, &samples, kFour, 1, kQuiet);
  ASSERT_TRUE(layers.ok()) << layers.status().message();
  EXPECT_EQ(*layers, 6);
  EXPECT_EQ(samples.loads, 8);   // however many layers: the float model's run and the quantized one's
  ASSERT_TRUE(QuantizeStatic(&corrected, built.nodes, built.ranges, options).ok());
  double before = 0, after = 0;
  for (const char* name : {"first", "left", "right", "joined", "wide", "last"}) {
    const std::vector<double> want = MeansOf(built.prepared.graph, name, &samples), got = MeansOf(corrected.graph, name, &samples),
                              plain = MeansOf(built.quantized.graph, name, &samples);
    for (size_t c = 0; c < want.size(); ++c) {
      EXPECT_NEAR(got[c], want[c], 1e-3) << name << " " << c;   // a step of a bias is at most 2e-4 here
      before += std::pow(plain[c] - want[c], 2), after += std::pow(got[c] - want[c], 2);
    }
  }
  EXPECT_LT(after, 1e-3 * before);
}

}  // namespace
}  // namespace linnet::quantize
