// The static rewriting: Q and DQ around quantized nodes, integer weights, int32 biases.
//
//     x ── Q ── DQ ── Conv ── Q ── DQ ── ...       every value next to a quantized node becomes integers and back once;
//     w(s8) ── DQ ──┘ │                            readers of a value that quantized nodes make all read it back
//     b(s32) ── DQ ───┘
//
// Values that must hold the same codes (a pool's input and output, a Concat's inputs and output) form a group with one
// range. The activation behind a convolution or sum lies between the node and its Q; a Relu goes where the codes end at 0
// anyway.
#include <math.h>

#include <algorithm>
#include <map>
#include <set>

#include "passes/patterns.h"
#include "quantize/edit.h"
#include "quantize/plan.h"
#include "quantize/prepare.h"
#include "quantize/qoperator.h"
#include "quantize/region.h"
#include "quantize/share_scales.h"

namespace linnet::quantize {
namespace {

/// Inputs of a Concat whose ranges differ by more than this keep their own: one range would cost them bits.
constexpr double kConcatRangesRatio = 2;

class StaticRewriter {
 public:
  StaticRewriter(Graph& graph, int opset, const NodePrecisions& nodes, const RangeTable& ranges, const StaticOptions& options)
      : edit_(graph, opset), graph_(graph), nodes_(nodes), ranges_(ranges), options_(options), one_scale_(WeightsWithOneScale(graph, nodes, options)) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    FindRegions(order);
    LINNET_TRY(FindValues(order));
    GroupValues(order);
    ChooseAll();
    DropActivations();
    // Weights first: their bias needs the input's scale, which is known by the value that still is the input.
    for (NodeId id : order) {
      const Role role = HasIntegers(id) ? RoleOf(graph_, graph_.node(id)) : Role::kNone;
      if (role == Role::kMatrix) LINNET_TRY(QuantizeMatrix(id).At(graph_.node(id).Label(graph_)));
      if (role == Role::kRecurrent) LINNET_TRY(QuantizeRecurrent(id).At(graph_.node(id).Label(graph_)));
    }
    for (NodeId id : order) {
      if (Active(id)) LINNET_TRY(QuantizeConstants(id));
    }
    for (NodeId id : order) {
      if (HasIntegers(id) && IsTable(graph_, graph_.node(id))) LINNET_TRY(QuantizeTable(id).At(graph_.node(id).Label(graph_)));
    }
    for (const auto& [value, place] : values_) LINNET_TRY(Insert(value));
    return Status();
  }

 private:
  struct Held {
    Range range;
    Precision precision = Precision::kInt8;
    std::optional<DType> type;     ///< asked for by an override
    std::optional<bool> symmetric;
    ValueId group = kNoValue;      ///< the value whose entry has the group's range and parameters
    Params params;
    ValueId scale = kNoValue, zero = kNoValue;
  };

  struct WeightEntry {
    Params params;
    ValueId read = kNoValue;
  };

  Precision PrecisionOf(NodeId id) const {
    return id != kNoNode && id < static_cast<NodeId>(nodes_.size()) && graph_.node(id).alive ? nodes_[static_cast<size_t>(id)] : Precision::kFloat;
  }
  /// Whether its weights become integers.
  bool HasIntegers(NodeId id) const { return PrecisionOf(id) != Precision::kFloat; }
  /// Whether its activations do.
  bool Quantized(NodeId id) const { return PrecisionOf(id) >= Precision::kInt8; }

  /// Quantized by itself, not a part of what follows another node.
  bool Active(NodeId id) const { return Quantized(id) && !inside_.contains(id); }

  /// Where a quantized node's result is rounded: behind the activations that follow it.
  void FindRegions(const std::vector<NodeId>& order) {
    for (NodeId id : order) {
      const Role role = Quantized(id) ? RoleOf(graph_, graph_.node(id)) : Role::kNone;
      if ((role != Role::kMatrix && role != Role::kPair) || inside_.contains(id)) continue;
      Region region = RegionBehind(graph_, graph_.node(id).outputs[0]);
      if (region.nodes.empty()) continue;
      // A sum's activation is left to itself, but for the Relu, which costs nothing.
      const bool relu = region.nodes.size() == 1 && RoleOf(graph_, graph_.node(region.nodes[0])) == Role::kActivation;
      if (!relu && (role == Role::kPair || options_.format == Format::kQOperator)) continue;
      inside_.insert(region.nodes.begin(), region.nodes.end());
      if (relu) relus_[id] = region.nodes[0];
      exits_[id] = region.exit;
      made_by_integers_.insert(region.exit);
    }
  }
  /// Whether some quantized node reads a value as an activation.
  bool ReadAsIntegers(ValueId id) const {
    return std::any_of(graph_.value(id).uses.begin(), graph_.value(id).uses.end(),
                       [&](const Use& use) { return activation_inputs_.contains({use.node, use.index}); });
  }

  Status FindValues(const std::vector<NodeId>& order) {
    for (NodeId id : order) {
      if (!Active(id)) continue;
      const Node& node = graph_.node(id);
      const std::vector<ValueId> activations = ActivationsOf(graph_, node);
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const bool activation = std::find(activations.begin(), activations.end(), node.inputs[i]) != activations.end();
        if (activation) activation_inputs_.insert({id, static_cast<int>(i)});
      }
    }
    for (NodeId id : order) {
      if (!Active(id) || ByWeights(RoleOf(graph_, graph_.node(id)))) continue;
      const Precision precision = nodes_[static_cast<size_t>(id)];
      const Node& node = graph_.node(id);
      for (ValueId in : ActivationsOf(graph_, node)) {
        if (!graph_.is_constant(in)) LINNET_TRY(Hold(in, precision));
      }
      const auto exit = exits_.find(id);
      // An operator on integers rounds its result whoever reads it; but for Gemm's, which may be real.
      const bool rounds = options_.format == Format::kQOperator && precision == Precision::kInt8 && RoleOf(graph_, node) == Role::kMatrix && node.op != "Gemm";
      if (exit != exits_.end()) {
        if (rounds || ReadAsIntegers(exit->second)) LINNET_TRY(Hold(exit->second, precision));
        continue;
      }
      for (ValueId out : node.outputs) {
        if (out == kNoValue) continue;
        made_by_integers_.insert(out);
        if (rounds || ReadAsIntegers(out)) LINNET_TRY(Hold(out, precision));
      }
    }
    return Status();
  }

  Status Hold(ValueId id, Precision precision) {
    auto [place, is_new] = values_.try_emplace(id);
    Held& held = place->second;
    held.precision = std::max(held.precision, precision);
    if (!is_new) return Status();
    held.group = id;
    const Override* asked = OverrideFor(id);
    if (asked) {
      held.type = asked->type;
      held.symmetric = asked->symmetric;
      if (asked->type && DTypeBits(*asked->type) == 16) held.precision = Precision::kInt16;
      if (asked->range) {
        held.range = *asked->range;
        return Status();
      }
    }
    auto range = ranges_.find(graph_.value(id).name);
    if (range == ranges_.end()) return InvalidArgument("the calibration table has no range for ", Quote(graph_.value(id).name));
    held.range = range->second;
    return Status();
  }

  const Override* OverrideOf(const std::string& name) const {
    const auto found = options_.overrides.find(name);
    return found == options_.overrides.end() ? nullptr : &found->second;
  }
  /// Of an activation: asked for by its name, or by that of the node that makes it.
  const Override* OverrideFor(ValueId id) const {
    if (options_.overrides.empty()) return nullptr;
    if (const Override* own = OverrideOf(graph_.value(id).name)) return own;
    NodeId producer = graph_.value(id).producer;
    for (const auto& [node, exit] : exits_) {
      if (exit == id) producer = node;   // an activation's result is that of the product before it
    }
    return producer == kNoNode ? nullptr : OverrideOf(graph_.node(producer).name);
  }
  /// The options of a node's weights, its input `input`.
  StaticOptions WeightOptionsOf(NodeId id, size_t input) const {
    StaticOptions out;
    out.weights = options_.weights, out.per_channel = options_.per_channel, out.symmetric_weights = options_.symmetric_weights;
    out.reduced_weights = options_.reduced_weights;
    // Operators on integers have a scale a channel at every opset.
    if (!edit_.scales_by_axis() && (options_.format == Format::kQdq || !Quantized(id))) out.per_channel = false;
    if (one_scale_.contains(graph_.node(id).inputs[input])) out.per_channel = false;
    if (options_.overrides.empty()) return out;
    const Override *node = OverrideOf(graph_.node(id).name), *own = OverrideOf(graph_.value(graph_.node(id).inputs[input]).name);
    for (const Override* asked : {node, own}) {
      if (!asked) continue;
      out.per_channel = asked->per_channel.value_or(out.per_channel);
      out.symmetric_weights = asked->symmetric.value_or(out.symmetric_weights);
    }
    if (own && own->type && DTypeBits(*own->type) == 8) out.weights = *own->type;
    return out;
  }

  ValueId GroupOf(ValueId id) {
    Held& held = values_.at(id);
    return held.group == id ? id : held.group = GroupOf(held.group);
  }
  void Join(ValueId a, ValueId b) {
    a = GroupOf(a), b = GroupOf(b);
    if (a == b) return;
    Held &to = values_.at(std::min(a, b)), &from = values_.at(std::max(a, b));
    from.group = std::min(a, b);
    to.range = {std::min(to.range.low, from.range.low), std::max(to.range.high, from.range.high)};
    to.precision = std::max(to.precision, from.precision);
    if (!to.type) to.type = from.type;
    if (!to.symmetric) to.symmetric = from.symmetric;
  }

  void GroupValues(const std::vector<NodeId>& order) {
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      const Role role = Active(id) ? RoleOf(graph_, node) : Role::kNone;
      if (role == Role::kMove && values_.contains(node.inputs[0])) {
        for (ValueId out : node.outputs) {
          if (values_.contains(out)) Join(node.inputs[0], out);
        }
      }
    }
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (!Active(id) || RoleOf(graph_, node) != Role::kConcat || !values_.contains(node.outputs[0])) continue;
      const double whole = Width(node.outputs[0]);
      for (ValueId in : node.inputs) {
        if (values_.contains(in) && whole <= kConcatRangesRatio * Width(in)) Join(in, node.outputs[0]);
      }
    }
  }
  double Width(ValueId id) {
    const Range& range = values_.at(GroupOf(id)).range;
    return std::max(range.high, 0.0) - std::min(range.low, 0.0);
  }

  DType TypeOf(Precision precision) const {
    if (precision == Precision::kInt8) return IsSigned(options_.activations) ? DType::kInt8 : DType::kUint8;
    return IsSigned(options_.activations) ? DType::kInt16 : DType::kUint16;
  }
  void ChooseAll() {
    for (auto& [id, held] : values_) {
      if (held.group != id) continue;
      // 16 bits that something else in the group needs stay.
      const bool asked = held.type && (held.precision == Precision::kInt8 || DTypeBits(*held.type) == 16);
      held.params = ChooseParams(held.range, asked ? *held.type : TypeOf(held.precision), held.symmetric.value_or(options_.symmetric_activations));
    }
  }
  const Params& ParamsFor(ValueId id) { return values_.at(GroupOf(id)).params; }

  /// Relu and Clip whose work the saturation of their output's codes does.
  void DropActivations() {
    for (const auto& [id, activation] : relus_) {
      const ValueId made = graph_.node(id).outputs[0], out = graph_.node(activation).outputs[0];
      if (!values_.contains(out) || !Saturates(graph_.node(activation), ParamsFor(out))) continue;
      std::string name = graph_.value(out).name;
      graph_.RemoveNode(activation);
      graph_.ReplaceUses(out, made);
      graph_.Rename(out, graph_.FreshName(name));
      graph_.Rename(made, std::move(name));
      values_[made] = values_.at(out);
      values_.at(made).group = GroupOf(out);  // `out` stays as the group's entry; nothing reads it any more
      made_by_integers_.insert(made);
    }
  }
  bool Saturates(const Node& node, const Params& params) const {
    double low = -INFINITY, high = INFINITY;
    if (node.op == "Relu") {
      low = 0;
    } else {
      for (size_t i = 1; i < node.inputs.size(); ++i) {
        if (node.inputs[i] == kNoValue) continue;
        std::optional<float> bound = ScalarOf(graph_, node.inputs[i]);
        if (!bound) return false;
        (i == 1 ? low : high) = *bound;
      }
    }
    const Range codes = params.Expressed();
    const double half = 0.5 * params.scales[0];
    return codes.low >= low - half && codes.high <= high + half;
  }

  static Result<int64_t> OutputChannels(const Node& node, const Shape& w) {
    LINNET_ASSIGN(int64_t group, node.Int("group", 1));
    LINNET_ASSIGN(int64_t transposed, node.Int("transB", 0));
    if (node.op == "Conv") return w[0];
    if (node.op == "ConvTranspose") return w[1] * group;
    return w[transposed != 0 ? 0 : w.rank() - 1];
  }

  static Result<Tensor> Scaled(const Tensor& x, float factor) {
    if (factor == 1) return x;
    LINNET_ASSIGN(Tensor out, Tensor::Allocate(DType::kFloat, x.shape()));
    for (int64_t i = 0; i < x.elements(); ++i) out.mutable_as<float>()[i] = x.as<float>()[i] * factor;
    return out;
  }

  Status QuantizeMatrix(NodeId id) {
    const std::vector<ValueId> inputs = graph_.node(id).inputs;
    const Tensor* constant = ConstantOf(graph_, inputs[1]);
    if (!constant) return Status();  // MatMul of two activations
    LINNET_ASSIGN(float alpha, graph_.node(id).Float("alpha", 1));
    LINNET_ASSIGN(float beta, graph_.node(id).Float("beta", 1));
    const bool gemm = graph_.node(id).op == "Gemm";
    LINNET_ASSIGN(Tensor w, Scaled(*constant, gemm ? alpha : 1));
    const StaticOptions asked = WeightOptionsOf(id, 1);
    const bool integers = Quantized(id) && values_.contains(inputs[0]);   // the sums, with the bias among them
    const int axis = asked.per_channel ? ChannelAxis(graph_.node(id), w.shape()) : -1;
    const Tensor* bias_constant = inputs.size() > 2 && inputs[2] != kNoValue ? ConstantOf(graph_, inputs[2]) : nullptr;
    Tensor bias;
    if (bias_constant && integers) {
      LINNET_ASSIGN(bias, Scaled(*bias_constant, gemm ? beta : 1));
    }
    LINNET_ASSIGN(int64_t channels, OutputChannels(graph_.node(id), w.shape()));
    const bool fits = bias.has_data() && bias.elements() == channels;  // C of Gemm may be broadcast
    const float x_scale = integers ? ParamsFor(inputs[0]).scales[0] : 1;
    LINNET_ASSIGN(QuantizedTensor weights, QuantizeWeights(w, axis, asked.weights, asked.symmetric_weights, asked.reduced_weights));
    if (fits) {
      const Params before = weights.params;
      FitBias(bias, x_scale, &weights.params);
      if (!(before == weights.params)) {
        LINNET_ASSIGN(weights.integers, QuantizeTensor(w, weights.params));
      }
    }
    if (graph_.node(id).op == "Conv") KeepKernelSums(w, &weights);
    const Params params = weights.params;
    LINNET_TRY(ReadWeights(id, 1, axis, std::move(weights), gemm && alpha != 1));
    if (gemm) {
      graph_.mutable_node(id).Unset("alpha");
      if (bias.has_data()) graph_.mutable_node(id).Unset("beta");
    }
    if (!bias.has_data()) return Status();
    if (!fits) {
      graph_.SetInput(id, 2, graph_.AddConstant(graph_.FreshName(graph_.value(inputs[2]).name), std::move(bias)));
      return Status();
    }
    LINNET_ASSIGN(QuantizedTensor whole, QuantizeBias(bias.Reshaped(Shape{bias.elements()}), x_scale, params));
    LINNET_ASSIGN(ValueId bias_read, edit_.Dequantized(graph_.value(inputs[2]).name, std::move(whole)));
    graph_.SetInput(id, 2, bias_read);
    return Status();
  }

  /// Lets a node read its weights from integers, which it shares with others that have the same ones; not where they are its `own`.
  Status ReadWeights(NodeId id, int input, int axis, QuantizedTensor weights, bool own) {
    const ValueId constant = graph_.node(id).inputs[static_cast<size_t>(input)];
    WeightEntry& shared = weights_[{constant, axis}];
    if (shared.read == kNoValue || !(shared.params == weights.params) || own) {
      shared.params = weights.params;
      LINNET_ASSIGN(shared.read, edit_.Dequantized(graph_.value(constant).name, std::move(weights)));
    }
    graph_.SetInput(id, input, shared.read);
    return Status();
  }

  /// W and R, which lie as [directions, rows, depth].
  Status QuantizeRecurrent(NodeId id) {
    for (int input : {1, 2}) {
      const Tensor* w = edit_.FloatConstant(graph_.node(id).inputs[static_cast<size_t>(input)]);
      if (!w || w->shape().rank() != 3) continue;
      const StaticOptions asked = WeightOptionsOf(id, static_cast<size_t>(input));
      const int axis = asked.per_channel && edit_.scales_by_axis() ? 1 : -1;
      LINNET_ASSIGN(QuantizedTensor weights, QuantizeWeights(*w, axis, asked.weights, asked.symmetric_weights));
      LINNET_TRY(ReadWeights(id, input, axis, std::move(weights), false));
    }
    return Status();
  }

  /// Constant operands of sums, products and Concat.
  Status QuantizeConstants(NodeId id) {
    const Role role = RoleOf(graph_, graph_.node(id));
    const bool product = graph_.node(id).op == "MatMul";
    if (role != Role::kPair && role != Role::kConcat && !product) return Status();
    for (size_t i = 0; i < graph_.node(id).inputs.size(); ++i) {
      const ValueId in = graph_.node(id).inputs[i];
      const Tensor* constant = ConstantOf(graph_, in);
      if (!constant || constant->dtype() != DType::kFloat || !constant->has_data()) continue;
      LINNET_ASSIGN(QuantizedTensor whole,
                    QuantizeWeights(*constant, -1, TypeOf(nodes_[static_cast<size_t>(id)]), options_.symmetric_activations));
      LINNET_ASSIGN(ValueId read, edit_.Dequantized(graph_.value(in).name, std::move(whole)));
      graph_.SetInput(id, static_cast<int>(i), read);
    }
    return Status();
  }

  Status QuantizeTable(NodeId id) {
    const DType dtype = nodes_[static_cast<size_t>(id)] == Precision::kInt16 ? TypeOf(Precision::kInt16) : options_.weights;
    return edit_.QuantizeTable(id, dtype, options_.per_channel, options_.symmetric_weights).TakeStatus();
  }

  /// Q and DQ behind a value.
  Status Insert(ValueId id) {
    const std::vector<Use> uses = graph_.value(id).uses;
    if (uses.empty()) return Status();
    Held& group = values_.at(GroupOf(id));
    const std::string whole_name = graph_.value(id).name, name = ShortName(whole_name);
    if (group.scale == kNoValue) {
      group.scale = graph_.AddConstant(graph_.FreshName(name + "_scale"), group.params.ScaleTensor());
      group.zero = graph_.AddConstant(graph_.FreshName(name + "_zero"), group.params.ZeroTensor());
    }
    const Type type = graph_.value(id).type;
    LINNET_ASSIGN(ValueId integers, edit_.Add("QuantizeLinear", {id, group.scale, group.zero}, {}, Type::Tensor(group.params.dtype, type.shape),
                                           name + "_quantized"));
    LINNET_ASSIGN(ValueId read, edit_.Add("DequantizeLinear", {integers, group.scale, group.zero}, {}, type, name + "_dequantized"));
    const bool made_by_integers = made_by_integers_.contains(id);
    for (const Use& use : uses) {
      if (use.node == kNoNode) {
        if (!made_by_integers) continue;
        graph_.SetOutput(use.index, read);
        graph_.Rename(id, graph_.FreshName(whole_name + "_float"));
        graph_.Rename(read, whole_name);
      } else if (use.index < static_cast<int>(graph_.node(use.node).inputs.size()) &&
                 (made_by_integers || activation_inputs_.contains({use.node, use.index}))) {
        graph_.SetInput(use.node, use.index, read);
      }
    }
    return Status();
  }
  Edit edit_;
  Graph& graph_;
  const NodePrecisions& nodes_;
  const RangeTable& ranges_;
  const StaticOptions& options_;
  const std::set<ValueId> one_scale_;   ///< weights without a scale a channel
  std::map<ValueId, Held> values_;
  std::set<std::pair<NodeId, int>> activation_inputs_;   ///< of quantized nodes
  std::set<NodeId> inside_;                              ///< nodes between a quantized node and the rounding of its result
  std::map<NodeId, ValueId> exits_;                      ///< what leaves them, by the node
  std::map<NodeId, NodeId> relus_;                       ///< by node, the lone Relu or Clip behind it
  std::set<ValueId> made_by_integers_;
  std::map<std::pair<ValueId, int>, WeightEntry> weights_;
};

}  // namespace

Status QuantizeStatic(OnnxModel* model, const NodePrecisions& nodes, const RangeTable& ranges, const StaticOptions& options) {
  bool wide = std::find(nodes.begin(), nodes.end(), Precision::kInt16) != nodes.end();
  for (const auto& [name, asked] : options.overrides) wide = wide || (asked.type && DTypeBits(*asked.type) == 16);
  if (wide) LINNET_TRY(RaiseOpset(model, kOpsetSmallAndWide));
  LINNET_TRY(StaticRewriter(model->graph, OpsetOf(*model), nodes, ranges, options).Run());
  LINNET_ASSIGN(model->graph, model->graph.Compacted());
  return options.format == Format::kQOperator ? ToQOperator(model).TakeStatus() : Status();
}

}  // namespace linnet::quantize
