// What tests of quantization share: a small network, random samples, and how far two models are apart.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "graph/verify.h"
#include "passes_test_util.h"
#include "quantize/calibration/calibration.h"
#include "quantize/prepare.h"
#include "quantize/quantize.h"

namespace linnet::quantize {
inline Tensor Random(const Shape& shape, uint64_t seed, float deviation = 1) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  Tensor tensor = Tensor::Allocate(DType::kFloat, shape).value();
  for (int64_t i = 0; i < tensor.elements(); ++i) tensor.mutable_as<float>()[i] = normal(random);
  return tensor;
}

/// Samples of random numbers for one input.
class RandomSamples : public Samples {
 public:
  RandomSamples(Shape shape, int64_t count) : shape_(shape), count_(count) {}
  int64_t size() const override { return count_; }
  Result<std::vector<Datum>> Load(int64_t index) override {
    return std::vector<Datum>{Datum::Of(Random(shape_, static_cast<uint64_t>(1000 + index)))};
  }

 private:
  Shape shape_;
  int64_t count_;
};

inline constexpr auto kQuiet = [](const char*, int64_t, int64_t) {};
inline const std::vector<int64_t> kFour = {0, 1, 2, 3};

inline OnnxModel Model(std::string_view text, int opset) {
  OnnxModel model;
  model.graph = Parsed(text);
  model.info.opsets = {{"", opset}};
  return model;
}

/// Inputs behind the first become random constants.
inline void MakeWeights(OnnxModel* model) {
  for (size_t i = 1; i < model->graph.inputs.size(); ++i) {
    const ValueId id = model->graph.inputs[i];
    model->graph.SetConstant(id, Random(model->graph.value(id).type.shape, i, 0.3f));
  }
}

/// A small network with weights as inputs of the text, made constants here.
inline OnnxModel Network(int opset = 13) {
  const std::string v = std::to_string(opset);
  OnnxModel model = Model("graph g (x: float[1,3,8,8], w1: float[8,3,3,3], b1: float[8], w2: float[8,1,3,3], w3: float[8,8,1,1], w4: float[128,10], c4: float[10]) -> (y) {\n"
                          "  a = Conv-" + v + "(x, w1, b1) {pads=[1, 1, 1, 1]} @first\n"
                          "  r = Relu-" + v + "(a)\n"
                          "  d = Conv-" + v + "(r, w2) {group=8, pads=[1, 1, 1, 1]} @depthwise\n"
                          "  s = Sigmoid-" + v + "(d)\n"
                          "  m = Mul-" + v + "(d, s)\n"
                          "  p = Conv-" + v + "(m, w3) @project\n"
                          "  t = Add-" + v + "(p, r)\n"
                          "  q = MaxPool-" + v + "(t) {kernel_shape=[2, 2], strides=[2, 2]}\n"
                          "  f = Flatten-" + v + "(q)\n"
                          "  z = Gemm-" + v + "(f, w4, c4) @last\n"
                          "  y = Softmax-" + v + "(z) {axis=1}\n"
                          "}\n", opset);
  MakeWeights(&model);
  return model;
}

/// A bidirectional LSTM.
inline OnnxModel Lstm() {
  OnnxModel model = Model("graph g (x: float[6,2,20], w: float[2,32,20], r: float[2,32,8], b: float[2,64]) -> (y) {\n"
                          "  y = LSTM-14(x, w, r, b) {direction=\"bidirectional\", hidden_size=8}\n"
                          "}\n", 14);
  MakeWeights(&model);
  EXPECT_TRUE(Prepare(&model, 14).ok());
  return model;
}

/// A convolution, 'conv', whose result two GRUs read, which have R in common.
inline OnnxModel Recurrent() {
  OnnxModel model = Model("graph g (x: float[6,2,20], w: float[24,20,1], w1: float[1,36,24], r: float[1,36,12], w2: float[1,36,24]) -> (y) {\n"
                          "  t = Transpose-14(x) {perm=[1, 2, 0]}\n"
                          "  c = Conv-14(t, w) @conv\n"
                          "  z = Transpose-14(c) {perm=[2, 0, 1]}\n"
                          "  _, a = GRU-14(z, w1, r) {hidden_size=12} @one\n"
                          "  _, b = GRU-14(z, w2, r) {hidden_size=12} @two\n"
                          "  y = Add-14(a, b)\n"
                          "}\n", 14);
  MakeWeights(&model);
  return model;
}

struct Built {
  OnnxModel prepared, quantized;
  RangeTable ranges;
  NodePrecisions nodes;
};

/// `opset`: 0, or that of the result.
inline Built Quantized(OnnxModel model, const StaticOptions& options, RandomSamples* samples, int opset = 0) {
  Built built;
  built.prepared = std::move(model);
  auto run = [&]() -> Status {
    LINNET_TRY(Prepare(&built.prepared, opset > 0 ? opset : kOpsetPerChannel, opset > 0));
    LINNET_ASSIGN(built.nodes, ChooseNodes(built.prepared.graph, options));
    LINNET_ASSIGN(std::unique_ptr<Calibration> calibration,
                  Calibration::Make(built.prepared.graph, ValuesToObserve(built.prepared.graph, built.nodes), 1));
    LINNET_TRY(Calibrate(calibration.get(), samples, kFour, kQuiet));
    LINNET_ASSIGN(built.ranges, calibration->Choose({Calibrator::kLikely, 99.9, options.activations, options.symmetric_activations}));
    built.quantized = {built.prepared.graph.Clone(), built.prepared.info};
    LINNET_TRY(QuantizeStatic(&built.quantized, built.nodes, built.ranges, options));
    return Verify(built.quantized.graph);
  };
  Status status = run();
  EXPECT_TRUE(status.ok()) << status.message();
  return built;
}

inline int CountOf(const Graph& graph, std::string_view op) {
  int count = 0;
  for (NodeId id = 0; id < graph.node_count(); ++id) count += graph.node(id).Is(op);
  return count;
}

inline double SqnrOf(const Graph& a, const Graph& b, RandomSamples* samples) {
  auto run = [&]() -> Result<double> {
    LINNET_ASSIGN(std::unique_ptr<GraphRunner> first, GraphRunner::Make(a, {}, 1));
    LINNET_ASSIGN(std::unique_ptr<GraphRunner> second, GraphRunner::Make(b, {}, 1));
    LINNET_ASSIGN(std::vector<Agreement> agreements, CompareOutputs(first.get(), second.get(), samples, {8, 9, 10, 11}, kQuiet));
    return agreements[0].SqnrDb();
  };
  Result<double> db = run();
  EXPECT_TRUE(db.ok()) << db.status().message();
  return db.ok() ? *db : -INFINITY;
}

}  // namespace linnet::quantize
