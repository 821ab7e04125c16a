// Cross-layer equalisation: pairs of layers, the largest weight of each channel, and the factors between them.
#include "quantize/equalize.h"

#include <math.h>

#include <algorithm>

#include "passes/patterns.h"

namespace linnet::quantize {
namespace {

constexpr int kSweepsMax = 20;
/// Sweeps end when no factor is further from 1.
constexpr double kSettled = 1e-3;
/// A channel whose weights are next to nothing does not make another's huge.
constexpr double kFactorMax = 1024;

/// A layer whose weights are its own.
struct Layer {
  NodeId node = kNoNode;
  Tensor weights, bias;   ///< copies; the bias may be missing
  int64_t outputs = 0, inputs = 0, inner = 1;
  int64_t group = 1;
  bool gemm = false, transposed = false;
  bool changed = false;

  /// Calls body(element) for the weights that make output channel i, or that read input channel i.
  template <class Body>
  void ForOutput(int64_t i, Body&& body) const {
    if (gemm) {
      for (int64_t k = 0; k < inputs; ++k) body(transposed ? i * inputs + k : k * outputs + i);
      return;
    }
    const int64_t row = inputs / group * inner;
    for (int64_t k = 0; k < row; ++k) body(i * row + k);
  }
  template <class Body>
  void ForInput(int64_t i, Body&& body) const {
    if (gemm) {
      for (int64_t k = 0; k < outputs; ++k) body(transposed ? k * inputs + i : i * outputs + k);
      return;
    }
    const int64_t in = inputs / group, out = outputs / group, of = i / in;
    for (int64_t o = of * out; o < (of + 1) * out; ++o) {
      for (int64_t k = 0; k < inner; ++k) body((o * in + i % in) * inner + k);
    }
  }
};

struct Pair {
  size_t first, second;   ///< layers
};

class Equalizer {
 public:
  explicit Equalizer(Graph& graph) : graph_(graph) {}

  Result<int> Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    std::vector<int> place(static_cast<size_t>(graph_.node_count()), -1);
    for (NodeId id : order) {
      Layer layer;
      LINNET_ASSIGN(bool is_layer, Read(id, &layer));
      if (!is_layer) continue;
      place[static_cast<size_t>(id)] = static_cast<int>(layers_.size());
      layers_.push_back(std::move(layer));
    }
    std::vector<Pair> pairs;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const NodeId next = Next(graph_.node(layers_[i].node).outputs[0]);
      const int second = next == kNoNode ? -1 : place[static_cast<size_t>(next)];
      if (second >= 0 && layers_[static_cast<size_t>(second)].inputs == layers_[i].outputs) pairs.push_back({i, static_cast<size_t>(second)});
    }
    double furthest = INFINITY;
    for (int sweep = 0; sweep < kSweepsMax && furthest > kSettled; ++sweep) {
      furthest = 0;
      for (const Pair& pair : pairs) furthest = std::max(furthest, Balance(layers_[pair.first], layers_[pair.second]));
    }
    for (Layer& layer : layers_) {
      if (!layer.changed) continue;
      Put(layer.node, 1, std::move(layer.weights));
      if (layer.bias.has_data()) Put(layer.node, 2, std::move(layer.bias));
    }
    return static_cast<int>(pairs.size());
  }

 private:
  /// The contents of a float constant, copied, if this node alone reads it.
  Result<Tensor> OwnCopy(ValueId id) const {
    const Tensor* constant = id == kNoValue ? nullptr : ConstantOf(graph_, id);
    if (!constant || constant->dtype() != DType::kFloat || !constant->has_data() || graph_.value(id).uses.size() != 1) return Tensor();
    LINNET_ASSIGN(Tensor out, Tensor::Allocate(DType::kFloat, constant->shape()));
    std::copy_n(constant->as<float>(), constant->elements(), out.mutable_as<float>());
    return out;
  }

  Result<bool> Read(NodeId id, Layer* layer) const {
    const Node& node = graph_.node(id);
    if (!node.Is("Conv") && !node.Is("Gemm")) return false;
    layer->node = id;
    layer->gemm = node.op == "Gemm";
    LINNET_ASSIGN(layer->weights, OwnCopy(node.inputs[1]));
    if (!layer->weights.has_data()) return false;
    const bool biased = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
    if (biased) {
      LINNET_ASSIGN(layer->bias, OwnCopy(node.inputs[2]));
    }
    const Shape& w = layer->weights.shape();
    if (layer->gemm) {
      LINNET_ASSIGN(int64_t transposed_a, node.Int("transA", 0));
      LINNET_ASSIGN(int64_t transposed, node.Int("transB", 0));
      if (transposed_a != 0 || w.rank() != 2) return false;
      layer->transposed = transposed != 0;
      layer->outputs = w[layer->transposed ? 0 : 1];
      layer->inputs = w[layer->transposed ? 1 : 0];
    } else {
      LINNET_ASSIGN(layer->group, node.Int("group", 1));
      if (w.rank() < 3 || layer->group < 1 || w[0] % layer->group != 0) return false;
      layer->outputs = w[0];
      layer->inputs = w[1] * layer->group;
      layer->inner = w.Product(2, w.rank());
    }
    return !biased || (layer->bias.has_data() && layer->bias.elements() == layer->outputs);
  }

  /// The convolution or Gemm that alone reads `made`, across what commutes with positive factors of channels.
  NodeId Next(ValueId made) const {
    for (;;) {
      const std::vector<Use>& uses = graph_.value(made).uses;
      if (uses.size() != 1 || uses[0].node == kNoNode || uses[0].index != 0) return kNoNode;
      const Node& node = graph_.node(uses[0].node);
      if (node.Is("Conv") || node.Is("Gemm")) return uses[0].node;
      if (!Commutes(node)) return kNoNode;
      made = node.outputs[0];
    }
  }
  bool Commutes(const Node& node) const {
    if (node.outputs.size() != 1) return false;
    for (const char* op : {"Relu", "LeakyRelu", "Identity", "MaxPool", "AveragePool", "GlobalAveragePool"}) {
      if (node.Is(op)) return true;
    }
    // A Relu by another name.
    return node.Is("Clip") && node.version >= 11 && (node.inputs.size() < 3 || node.inputs[2] == kNoValue) && node.inputs.size() > 1 &&
           ScalarOf(graph_, node.inputs[1]) == 0.0f;
  }

  static double Largest(const Layer& layer, int64_t channel, bool output) {
    double most = 0;
    auto look = [&](int64_t at) { most = std::max(most, static_cast<double>(fabsf(layer.weights.as<float>()[at]))); };
    output ? layer.ForOutput(channel, look) : layer.ForInput(channel, look);
    return most;
  }

  /// Gives how far the furthest factor was from 1.
  static double Balance(Layer& first, Layer& second) {
    double furthest = 0;
    for (int64_t i = 0; i < first.outputs; ++i) {
      const double a = Largest(first, i, true), b = Largest(second, i, false);
      if (!(a > 0) || !(b > 0) || !isfinite(a) || !isfinite(b)) continue;
      const double factor = std::clamp(sqrt(a / b), 1 / kFactorMax, kFactorMax);   // sqrt(a b) is what both become
      furthest = std::max(furthest, fabs(factor - 1));
      auto scale = [](Tensor& tensor, int64_t at, double by) { tensor.mutable_as<float>()[at] = static_cast<float>(tensor.as<float>()[at] * by); };
      first.ForOutput(i, [&](int64_t at) { scale(first.weights, at, 1 / factor); });
      if (first.bias.has_data()) scale(first.bias, i, 1 / factor);
      second.ForInput(i, [&](int64_t at) { scale(second.weights, at, factor); });
    }
    first.changed = second.changed = true;
    return furthest;
  }

  void Put(NodeId id, int input, Tensor contents) {
    const std::string name = graph_.value(graph_.node(id).inputs[static_cast<size_t>(input)]).name;
    graph_.SetInput(id, input, graph_.AddConstant(graph_.FreshName(name), std::move(contents)));
  }

  Graph& graph_;
  std::vector<Layer> layers_;
};

}  // namespace

Result<int> EqualizeLayers(Graph* graph) { return Equalizer(*graph).Run(); }

}  // namespace linnet::quantize
