// Bias correction: channel means of the float model and of the model quantized so far, layer by layer.
#include <algorithm>
#include <map>
#include <set>

#include "passes/patterns.h"
#include "quantize/equalize.h"

namespace linnet::quantize {
namespace {

/// Steps in which layers are corrected; in longer models neighbours share one.
constexpr size_t kStepsMax = 64;

using Means = std::map<std::string, std::vector<double>>;   // by the node's name

/// Means of the channels (axis 1) of what the nodes called `names` make.
Result<Means> Measure(const Graph& graph, const std::vector<std::string>& names, Samples* samples, const std::vector<int64_t>& which, int threads) {
  std::map<std::string, ValueId> by_name;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (graph.node(id).alive) by_name.emplace(graph.node(id).name, graph.node(id).outputs[0]);
  }
  std::vector<ValueId> values;
  for (const std::string& name : names) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) return Internal("the quantized model has no node ", Quote(name));
    values.push_back(found->second);
  }
  LINNET_ASSIGN(std::unique_ptr<GraphRunner> runner, GraphRunner::Make(graph, values, threads));
  Means sums;
  std::map<std::string, int64_t> counts;
  for (int64_t index : which) {
    LINNET_ASSIGN(std::vector<Datum> sample, samples->Load(index));
    LINNET_ASSIGN(std::vector<Datum> results, runner->Run(sample));
    for (size_t i = 0; i < names.size(); ++i) {
      const Tensor& y = results[graph.outputs().size() + i].tensor;
      const Shape& shape = y.shape();
      if (y.dtype() != DType::kFloat || !y.has_data() || shape.rank() < 2) continue;
      const int64_t channels = shape[1], inner = shape.Product(2, shape.rank());
      std::vector<double>& sum = sums[names[i]];
      sum.resize(static_cast<size_t>(channels), 0);
      for (int64_t at = 0; at < y.elements(); ++at) sum[static_cast<size_t>(at / inner % channels)] += y.as<float>()[at];
      counts[names[i]] += shape[0] * inner;
    }
  }
  for (auto& [name, sum] : sums) {
    for (double& value : sum) value /= static_cast<double>(std::max<int64_t>(counts[name], 1));
  }
  return sums;
}

/// Adds to the bias of a node, which gets one where it has none. False where the bias is no row of a number a channel.
Result<bool> AddToBias(Graph& graph, NodeId id, const std::vector<double>& shift) {
  const int64_t channels = static_cast<int64_t>(shift.size());
  const ValueId old = graph.node(id).inputs.size() > 2 ? graph.node(id).inputs[2] : kNoValue;
  const Tensor* bias = old == kNoValue ? nullptr : ConstantOf(graph, old);
  if (old != kNoValue && (!bias || bias->elements() != channels)) return false;
  float beta = 1;
  if (graph.node(id).op == "Gemm") {
    LINNET_ASSIGN(beta, graph.node(id).Float("beta", 1));
  }
  if (beta == 0) return false;
  LINNET_ASSIGN(Tensor sum, Tensor::Allocate(DType::kFloat, bias ? bias->shape() : Shape{channels}));
  for (int64_t c = 0; c < channels; ++c) {
    const double was = bias ? bias->as<float>()[c] : 0;
    sum.mutable_as<float>()[c] = static_cast<float>(was + shift[static_cast<size_t>(c)] / beta);
  }
  const ValueId made = graph.AddConstant(graph.FreshName(old == kNoValue ? graph.node(id).name + "_bias" : graph.value(old).name), std::move(sum));
  if (old != kNoValue || graph.node(id).inputs.size() > 2) {
    graph.SetInput(id, 2, made);
  } else {
    graph.AddNodeInput(id, made);
  }
  return true;
}

}  // namespace

Result<int> CorrectBiases(OnnxModel* prepared, const NodePrecisions& nodes, const RangeTable& ranges, const StaticOptions& options,
                          Samples* samples, const std::vector<int64_t>& which, int threads, Watch watch) {
  Graph& graph = prepared->graph;
  // Layers are found again in the quantized graph by their nodes' names; means are of what the products make, before activations.
  std::set<std::string> taken;
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    Node& node = graph.mutable_node(id);
    if (!node.alive) continue;
    if (node.name.empty() || taken.contains(node.name)) node.name = graph.FreshName(graph.value(node.outputs[0]).name);
    taken.insert(node.name);
  }
  LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
  std::vector<NodeId> layers;
  std::vector<std::string> names;
  for (NodeId id : order) {
    const Node& node = graph.node(id);
    const bool has_bias = node.Is("Conv") || node.Is("Gemm") || node.Is("ConvTranspose");
    if (nodes[static_cast<size_t>(id)] == Precision::kFloat || !has_bias || RoleOf(graph, node) != Role::kMatrix) continue;
    layers.push_back(id);
    names.push_back(node.name);
  }
  LINNET_ASSIGN(Means expected, Measure(graph, names, samples, which, threads));
  StaticOptions plain = options;
  plain.format = Format::kQdq;   // whose products' results can be looked at
  const size_t steps = std::min(kStepsMax, layers.size());
  int corrected = 0;
  for (size_t step = 0; step < steps; ++step) {
    watch("correcting biases", static_cast<int64_t>(step), static_cast<int64_t>(steps));
    const size_t begin = layers.size() * step / steps, end = layers.size() * (step + 1) / steps;
    OnnxModel quantized{graph.Clone(), prepared->info};
    LINNET_TRY(QuantizeStatic(&quantized, nodes, ranges, plain));
    const std::vector<std::string> some(names.begin() + static_cast<ptrdiff_t>(begin), names.begin() + static_cast<ptrdiff_t>(end));
    LINNET_ASSIGN(Means got, Measure(quantized.graph, some, samples, which, threads));
    for (size_t i = begin; i < end; ++i) {
      const auto want = expected.find(names[i]), have = got.find(names[i]);
      if (want == expected.end() || have == got.end() || want->second.size() != have->second.size()) continue;
      std::vector<double> shift(want->second.size());
      bool finite = true;
      for (size_t c = 0; c < shift.size(); ++c) {
        shift[c] = want->second[c] - have->second[c];
        finite = finite && shift[c] - shift[c] == 0;
      }
      if (!finite) continue;
      LINNET_ASSIGN(bool done, AddToBias(graph, layers[i], shift));
      corrected += done;
    }
  }
  return corrected;
}

}  // namespace linnet::quantize
