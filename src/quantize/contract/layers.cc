// Layers of a graph, and the order in which they are left exact.
#include "quantize/contract/layers.h"

#include <algorithm>

#include "passes/patterns.h"

namespace linnet::quantize {
namespace {

/// What a result takes beside its products, and rounding it for a layer of other precision, in multiply-adds.
constexpr double kResult = 16, kRounding = 16;

/// Size `i` of a value's shape, from the end where negative, or of all; what is not known counts as 1.
double SizeOf(const Graph& graph, ValueId id, int i) {
  const Shape& shape = graph.value(id).type.shape;
  if (i < 0) i += static_cast<int>(shape.rank());
  return i >= 0 && i < shape.rank() ? static_cast<double>(std::max<int64_t>(shape[i], 1)) : 1;
}
double SizeOf(const Graph& graph, ValueId id) {
  double size = 1;
  for (int i = 0; id != kNoValue && i < graph.value(id).type.shape.rank(); ++i) size *= SizeOf(graph, id, i);
  return size;
}

/// About how long a node takes, in multiply-adds, of which moving a result takes some.
double TimeOf(const Graph& graph, const Node& node) {
  double results = 0;
  for (ValueId out : node.outputs) results += out == kNoValue ? 0 : SizeOf(graph, out);
  const ValueId x = InputOf(node, 0), w = InputOf(node, 1);
  double products = 0;
  if (node.Is("Conv")) products = results * SizeOf(graph, w) / SizeOf(graph, w, 0);
  if (node.Is("ConvTranspose")) products = SizeOf(graph, x) * SizeOf(graph, w) / SizeOf(graph, w, 0);
  if (node.Is("MatMul")) products = results * SizeOf(graph, x, -1);
  if (node.Is("Gemm")) products = results * SizeOf(graph, w) / SizeOf(graph, node.outputs[0], -1);
  return products + kResult * results;
}

}  // namespace

Result<std::vector<Layer>> LayersOf(const Graph& graph, const NodePrecisions& nodes) {
  LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
  std::vector<Layer> layers(1);   // before all others
  std::vector<size_t> layer_of(static_cast<size_t>(graph.node_count()), 0);
  for (NodeId id : order) {
    const size_t i = static_cast<size_t>(id);
    const Node& node = graph.node(id);
    const bool taken = nodes[i] != Precision::kFloat;
    const Role role = RoleOf(graph, node);
    const bool begins = role == Role::kMatrix || ByWeights(role) || node.Is("LSTM") || node.Is("GRU") || node.Is("RNN");
    auto for_producers = [&](auto&& f) {
      for (ValueId in : node.inputs) {
        const NodeId producer = in == kNoValue ? kNoNode : graph.value(in).producer;
        if (producer != kNoNode) f(in, layer_of[static_cast<size_t>(producer)]);
      }
    };
    if (taken && begins) {
      layer_of[i] = layers.size();
      layers.emplace_back();
    } else {
      for_producers([&](ValueId, size_t layer) { layer_of[i] = std::max(layer_of[i], layer); });
    }
    for_producers([&](ValueId in, size_t other) {
      if (other == layer_of[i]) return;
      const double rounding = kRounding * SizeOf(graph, in);
      layers[other].beside[layer_of[i]] += rounding, layers[layer_of[i]].beside[other] += rounding;
    });
    Layer& layer = layers[layer_of[i]];
    layer.number = layer_of[i];
    if (!taken) continue;
    if (layer.nodes.empty()) {
      const auto made = std::find_if(node.outputs.begin(), node.outputs.end(), [](ValueId out) { return out != kNoValue; });
      layer.name = node.name.empty() && made != node.outputs.end() ? graph.value(*made).name : node.name;
    }
    layer.nodes.push_back(id);
    layer.time += TimeOf(graph, node);
    const ValueId w = InputOf(node, 1);
    if (begins && w != kNoValue && graph.value(w).is_constant) layer.weights += SizeOf(graph, w);
  }
  if (layers[0].nodes.empty()) layers.erase(layers.begin());
  return layers;
}

void OrderByTime(std::vector<Layer>* layers, size_t first) {
  std::map<size_t, double> rounding;   // what leaving a layer in float adds: rounding beside those on integers, less that beside the others
  for (const Layer& layer : *layers) {
    for (const auto& [other, cost] : layer.beside) rounding[layer.number] += cost;
  }
  auto leave = [&](const Layer& layer) {
    for (const auto& [other, cost] : layer.beside) rounding[other] -= 2 * cost;
  };
  auto worth = [&](const Layer& layer) {
    constexpr double kLeast = 0.05;   // of the time: a layer between others that are in float costs something all the same
    return layer.error / std::max({layer.time + rounding[layer.number], kLeast * layer.time, 1.0});
  };
  for (size_t next = 0; next < layers->size(); ++next) {
    const auto rest = layers->begin() + static_cast<ptrdiff_t>(next);
    if (next >= first) {
      const auto best = std::max_element(rest, layers->end(), [&](const Layer& a, const Layer& b) { return worth(a) < worth(b); });
      std::rotate(rest, best, best + 1);
    }
    leave(*rest);
  }
}

void OrderByWeights(std::vector<Layer>* layers) {
  auto worth = [](const Layer& layer) { return layer.error / std::max(layer.weights, 1.0); };
  std::stable_sort(layers->begin(), layers->end(), [&](const Layer& a, const Layer& b) { return worth(a) > worth(b); });
}

void OrderByError(std::vector<Layer>* layers) {
  std::stable_sort(layers->begin(), layers->end(), [](const Layer& a, const Layer& b) { return a.error > b.error; });
}

}  // namespace linnet::quantize
