// Bias correction: channel means of the float model and of the quantized model, which is computed once, layer by layer, each corrected
// before what follows it runs.
#include <math.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "passes/patterns.h"
#include "quantize/equalize.h"

namespace linnet::quantize {
namespace {

/// What values between layers may take, of all samples together; with less room fewer samples correct the layers that follow.
constexpr int64_t kHeldBytesMax = int64_t{256} << 20;

/// Sums of each channel (axis 1) of a value in one sample, and of how many numbers each.
struct ChannelSums {
  std::vector<double> sums;
  int64_t count = 0;
};

ChannelSums SumsOf(const Tensor& y) {
  ChannelSums out;
  const Shape& shape = y.shape();
  if (y.dtype() != DType::kFloat || !y.has_data() || shape.rank() < 2 || y.elements() == 0) return out;
  const int64_t channels = shape[1], inner = shape.Product(2, shape.rank());
  out.sums.resize(static_cast<size_t>(channels), 0);
  const float* next = y.as<float>();
  for (int64_t row = 0; row < shape[0] * channels; ++row, next += inner) {
    double& sum = out.sums[static_cast<size_t>(row % channels)];
    for (int64_t i = 0; i < inner; ++i) sum += next[i];
  }
  out.count = shape[0] * inner;
  return out;
}

/// What is to be added to each channel so that its mean over the first `samples` is `want`'s; empty where the two cannot be compared.
std::vector<double> ShiftsOf(const std::vector<ChannelSums>& want, const std::vector<ChannelSums>& have, size_t samples) {
  std::vector<double> shifts(have[0].sums.size(), 0);
  int64_t count = 0;
  for (size_t s = 0; s < samples; ++s) {
    if (want[s].sums.size() != shifts.size() || have[s].sums.size() != shifts.size() || want[s].count != have[s].count) return {};
    for (size_t c = 0; c < shifts.size(); ++c) shifts[c] += want[s].sums[c] - have[s].sums[c];
    count += have[s].count;
  }
  for (double& shift : shifts) {
    shift /= static_cast<double>(std::max<int64_t>(count, 1));
    if (!isfinite(shift)) return {};
  }
  return shifts;
}

/// A quantized graph computed in parts, each up to the next of some values, whose channels are shifted before anything reads them: by
/// the time a part runs, all that lies before it has been corrected, and no node runs twice.
class Parts {
 public:
  /// `ends` in the order of the graph. `graph` must outlive this.
  Parts(const Graph& graph, std::vector<ValueId> ends) : graph_(graph), ends_(std::move(ends)), made_(static_cast<size_t>(graph.value_count()), kNever) {
    for (size_t part = 0; part < ends_.size(); ++part) Collect(part);
    for (size_t part = 0; part < ends_.size(); ++part) {
      for (ValueId id : reads_[part]) last_use_[id] = part;
    }
  }

  /// Loads the samples, of which each part takes as many as are left.
  Status Load(Samples* samples, const std::vector<int64_t>& which) {
    std::vector<ValueId> inputs = graph_.inputs;
    std::erase_if(inputs, [&](ValueId id) { return graph_.is_constant(id); });
    for (int64_t index : which) {
      LINNET_ASSIGN(std::vector<Datum> sample, samples->Load(index));
      if (sample.size() != inputs.size()) return InvalidArgument("the model has ", inputs.size(), " inputs, the sample ", sample.size());
      std::map<ValueId, Datum>& held = held_.emplace_back();
      for (size_t i = 0; i < inputs.size(); ++i) {
        if (last_use_.contains(inputs[i])) held.emplace(inputs[i], std::move(sample[i]));
      }
      if (!Fits()) break;
    }
    return Status();
  }

  /// Runs a part for each sample; gives sums of its end's channels. `Shift` must follow before the next.
  Result<std::vector<ChannelSums>> Run(size_t part, int threads) {
    std::vector<ValueId> outputs = {ends_[part]};
    for (ValueId id : makes_[part]) {
      const auto used = last_use_.find(id);
      if (id != ends_[part] && used != last_use_.end() && used->second > part) outputs.push_back(id);
    }
    LINNET_ASSIGN(Graph own, Extract(part, outputs));
    LINNET_ASSIGN(std::unique_ptr<GraphRunner> runner, GraphRunner::Make(own, {}, threads));
    std::vector<ChannelSums> sums;
    for (size_t s = 0; s < held_.size(); ++s) {   // fewer when they grow too large
      std::map<ValueId, Datum>& held = held_[s];
      std::vector<Datum> inputs;
      for (ValueId id : reads_[part]) inputs.push_back(held.at(id));
      LINNET_ASSIGN(std::vector<Datum> made, runner->Run(inputs));
      sums.push_back(SumsOf(made[0].tensor));
      for (size_t i = 0; i < outputs.size(); ++i) held[outputs[i]] = std::move(made[i]);
      std::erase_if(held, [&](const auto& one) {
        const auto used = last_use_.find(one.first);
        return used == last_use_.end() || used->second <= part;
      });
      Fits();
    }
    sums.resize(held_.size());
    return sums;
  }

  /// Adds to the channels of a part's end.
  void Shift(size_t part, const std::vector<double>& shifts) {
    for (std::map<ValueId, Datum>& held : held_) {
      const auto found = held.find(ends_[part]);
      if (found == held.end()) continue;
      Tensor& y = found->second.tensor;
      const int64_t channels = y.shape()[1], inner = y.shape().Product(2, y.shape().rank());
      float* next = y.mutable_as<float>();
      for (int64_t row = 0; row < y.shape()[0] * channels; ++row, next += inner) {
        const float shift = static_cast<float>(shifts[static_cast<size_t>(row % channels)]);
        for (int64_t i = 0; i < inner; ++i) next[i] += shift;
      }
    }
  }

  size_t samples() const { return held_.size(); }

 private:
  static constexpr size_t kNever = SIZE_MAX;

  /// The nodes that a part has to compute and the values that it finds.
  void Collect(size_t part) {
    std::set<NodeId> nodes;
    std::set<ValueId> reads;
    std::vector<ValueId> open = {ends_[part]}, makes;
    auto visit = [&](ValueId id) {
      if (id != kNoValue && !graph_.is_constant(id)) open.push_back(id);
    };
    while (!open.empty()) {
      const ValueId id = open.back();
      open.pop_back();
      const NodeId producer = graph_.value(id).producer;
      if (producer == kNoNode || made_[static_cast<size_t>(id)] < part) {
        reads.insert(id);
        continue;
      }
      if (!nodes.insert(producer).second) continue;
      for (ValueId in : graph_.node(producer).inputs) visit(in);
      for (ValueId in : graph_.node(producer).captures) visit(in);
    }
    for (NodeId id : nodes) {
      if (graph_.node(id).Is("DequantizeLinear")) continue;   // done again where it is read: codes take a quarter of the room
      for (ValueId out : graph_.node(id).outputs) {
        if (out == kNoValue) continue;
        made_[static_cast<size_t>(out)] = part;
        makes.push_back(out);
      }
    }
    nodes_.push_back(std::move(nodes));
    reads_.emplace_back(reads.begin(), reads.end());
    makes_.push_back(std::move(makes));
  }

  Result<Graph> Extract(size_t part, const std::vector<ValueId>& outputs) const {
    Graph own = graph_.Clone();
    for (size_t i = 0; i < outputs.size() || i < graph_.outputs().size(); ++i) {
      const ValueId id = outputs[std::min(i, outputs.size() - 1)];
      i < graph_.outputs().size() ? own.SetOutput(static_cast<int>(i), id) : own.AddOutput(id);
    }
    for (NodeId id = 0; id < graph_.node_count(); ++id) {
      if (!nodes_[part].contains(id)) own.RemoveNode(id);
    }
    own.inputs.clear();
    for (ValueId id : reads_[part]) {
      own.AddInput(id);
      // What the graph does not know of a value is what it is.
      const Datum& first = held_[0].at(id);
      if (own.value(id).type.kind == Kind::kUnknown) own.SetType(id, first.type.is_tensor() ? Type::Tensor(first.type.dtype, Shape()) : first.type);
    }
    return own.Compacted();
  }

  /// Lets go of samples until the others fit; false where some went.
  bool Fits() {
    int64_t bytes = 0;
    size_t fit = 0;
    for (; fit < held_.size(); ++fit) {
      for (const auto& [id, datum] : held_[fit]) bytes += datum.tensor.bytes();
      if (fit > 0 && bytes > kHeldBytesMax) break;
    }
    const bool all = fit == held_.size();
    held_.resize(fit);
    return all;
  }

  const Graph& graph_;
  std::vector<ValueId> ends_;
  std::vector<size_t> made_;                  ///< by value, the part that makes it
  std::vector<std::set<NodeId>> nodes_;       ///< by part
  std::vector<std::vector<ValueId>> reads_, makes_;
  std::map<ValueId, size_t> last_use_;        ///< by value that a later part finds, the last
  std::vector<std::map<ValueId, Datum>> held_;   ///< by sample
};

/// What the nodes called `names` make.
Result<std::vector<ValueId>> ResultsOf(const Graph& graph, const std::vector<std::string>& names) {
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
  return values;
}

/// What a constant scale is that `id` is dequantized by, of a channel.
std::optional<float> ScaleOf(const Graph& graph, ValueId id, size_t channel) {
  const Node* read = Producer(graph, id);
  const Tensor* scales = read && read->Is("DequantizeLinear") ? ConstantOf(graph, read->inputs[1]) : nullptr;
  if (!scales || scales->dtype() != DType::kFloat || scales->elements() < 1) return std::nullopt;
  return scales->as<float>()[scales->elements() == 1 ? 0 : channel % static_cast<size_t>(scales->elements())];
}

/// What a layer's result gains when `shifts` are added to its bias, a row `was` before (or nothing): biases are whole multiples of the
/// sums' scale.
std::vector<double> Gained(const Graph& quantized, ValueId end, const Tensor* was, double beta, const std::vector<double>& shifts) {
  const Node& node = quantized.node(quantized.value(end).producer);
  std::vector<double> gained = shifts;
  for (size_t c = 0; c < shifts.size(); ++c) {
    const std::optional<float> x = ScaleOf(quantized, node.inputs[0], 0), w = ScaleOf(quantized, node.inputs[1], c);
    if (!x || !w) continue;
    const double step = static_cast<double>(*x) * *w, bias = was ? was->as<float>()[c] * beta : 0;
    gained[c] = (nearbyint((bias + shifts[c]) / step) - nearbyint(bias / step)) * step;
  }
  return gained;
}

/// Adds to the bias of a node, which counts `beta` times, and which gets one where it has none. False where the bias is no row of a number a channel.
Result<bool> AddToBias(Graph& graph, NodeId id, const std::vector<double>& shift, float beta) {
  const int64_t channels = static_cast<int64_t>(shift.size());
  const ValueId old = graph.node(id).inputs.size() > 2 ? graph.node(id).inputs[2] : kNoValue;
  const Tensor* bias = old == kNoValue ? nullptr : ConstantOf(graph, old);
  if (old != kNoValue && (!bias || bias->elements() != channels)) return false;
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
  std::vector<ValueId> made;
  for (NodeId id : layers) made.push_back(graph.node(id).outputs[0]);
  std::vector<std::vector<ChannelSums>> expected(layers.size());   // by layer and sample
  {
    LINNET_ASSIGN(std::unique_ptr<GraphRunner> reference, GraphRunner::Make(graph, made, threads));
    for (int64_t index : which) {
      LINNET_ASSIGN(std::vector<Datum> sample, samples->Load(index));
      LINNET_ASSIGN(std::vector<Datum> results, reference->Run(sample));
      for (size_t i = 0; i < layers.size(); ++i) expected[i].push_back(SumsOf(results[graph.outputs().size() + i].tensor));
    }
  }
  StaticOptions plain = options;
  plain.format = Format::kQdq;   // whose products' results can be looked at
  OnnxModel quantized{graph.Clone(), prepared->info};
  LINNET_TRY(QuantizeStatic(&quantized, nodes, ranges, plain));
  LINNET_ASSIGN(std::vector<ValueId> ends, ResultsOf(quantized.graph, names));
  Parts parts(quantized.graph, ends);
  LINNET_TRY(parts.Load(samples, which));
  int corrected = 0;
  for (size_t i = 0; i < layers.size(); ++i) {
    watch("correcting biases", static_cast<int64_t>(i), static_cast<int64_t>(layers.size()));
    LINNET_ASSIGN(std::vector<ChannelSums> have, parts.Run(i, threads));
    const std::vector<double> shifts = ShiftsOf(expected[i], have, have.size());
    if (shifts.empty()) continue;
    const ValueId bias = InputOf(graph.node(layers[i]), 2);
    const Tensor* was = bias == kNoValue ? nullptr : ConstantOf(graph, bias);
    LINNET_ASSIGN(float beta, graph.node(layers[i]).Float("beta", 1));   // Gemm's
    LINNET_ASSIGN(bool done, AddToBias(graph, layers[i], shifts, beta));
    if (!done) continue;
    parts.Shift(i, Gained(quantized.graph, ends[i], was, beta, shifts));
    ++corrected;
  }
  return corrected;
}

}  // namespace linnet::quantize
