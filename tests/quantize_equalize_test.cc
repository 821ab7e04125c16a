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

}  // namespace
}  // namespace linnet::quantize
