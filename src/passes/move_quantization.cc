// move_quantization: brings QuantizeLinear and DequantizeLinear next to what computes.
//
//     f → Reshape → Q        becomes   f → Q → Reshape       values are quantized where they are made
//     DQ → Transpose → g     becomes   Transpose → DQ → g    and are real numbers again where they are used
//     f, g → Concat → Q      becomes   f → Q, g → Q → Concat
//     DQ → Q                 vanishes  where both mean the same numbers
//     Q → DQ                 becomes   linnet:Steps, of 16 bits, which no operator computes with; what it would not change vanishes
//
// What lies between then moves bytes. Nothing is rounded differently: these operators only move elements, or (MaxPool)
// choose among them in an order that quantization keeps.
#include <math.h>

#include <algorithm>

#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

bool OneOf(const Node& node, std::initializer_list<std::string_view> names) {
  if (!node.domain.empty()) return false;
  for (std::string_view name : names) {
    if (node.op == name) return true;
  }
  return false;
}

/// True when `node` moves the elements of its first input and makes no others.
bool Moves(const Graph& graph, const Node& node) {
  if (node.inputs.empty() || node.inputs[0] == kNoValue || node.outputs.empty() || node.outputs[0] == kNoValue) return false;
  if (OneOf(node, {"DepthToSpace", "Flatten", "Gather", "Identity", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose",
                   "Unsqueeze"})) {
    return node.op != "Reshape" || node.version >= 5;
  }
  if (node.Is("Pad")) return node.version >= 13;
  if (node.Is("MaxPool")) {
    return node.version >= 12 && (node.outputs.size() == 1 || node.outputs[1] == kNoValue || graph.value(node.outputs[1]).uses.empty());
  }
  if (node.Is("Resize")) {
    Result<std::string> mode = node.String("mode", "nearest"), where = node.String("coordinate_transformation_mode", "half_pixel");
    return node.version >= 11 && mode.ok() && *mode == "nearest" && where.ok() && *where != "tf_crop_and_resize";
  }
  return false;
}

/// True when it may make more elements than it reads.
bool Repeats(const Graph& graph, const Node& node) {
  if (node.op != "Resize" && node.op != "Gather") return false;
  const Shape &in = graph.value(node.inputs[0]).type.shape, &out = graph.value(node.outputs[0]).type.shape;
  return !in.is_static() || !out.is_static() || out.elements() > in.elements();
}

Type Retyped(Type type, DType dtype) {
  type.dtype = dtype;
  return type;
}

class Mover {
 public:
  Mover(Graph& graph, const PassContext& context) : graph_(graph), context_(context) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (size_t i = order.size(); i-- > 0;) {
      if (graph_.node(order[i]).Is("QuantizeLinear")) LINNET_TRY(Hoist(order[i]));
    }
    LINNET_ASSIGN(order, graph_.Order());
    for (size_t i = 0; i < order.size(); ++i) {
      if (graph_.node(order[i]).Is("DequantizeLinear")) LINNET_TRY(Sink(order[i], &order));
    }
    LINNET_ASSIGN(order, graph_.Order());
    for (NodeId id : order) Cancel(id);
    if (!context_.table->Find("linnet", "Steps", 1).ok()) return Status();
    LINNET_ASSIGN(order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).alive) LINNET_TRY(Join(id));
    }
    return Status();
  }

 private:
  /// Moves a QuantizeLinear up as far as it goes.
  Status Hoist(NodeId start) {
    std::vector<NodeId> work = {start};
    while (!work.empty()) {
      const NodeId id = work.back();
      work.pop_back();
      const Node quantize = graph_.node(id);
      const std::optional<Quantization> to = QuantizationBy(graph_, quantize);
      if (!to || !ReadOnce(graph_, quantize.inputs[0])) continue;
      const NodeId above = graph_.value(quantize.inputs[0]).producer;
      if (above == kNoNode) continue;
      Node moved = graph_.node(above);
      const bool joins = moved.Is("Concat") && moved.version >= 4;
      if (!joins && (!Moves(graph_, moved) || moved.op == "Split")) continue;
      // Quantizing before a choice is more work unless something that computes takes it in.
      if (!joins && (!Producer(graph_, moved.inputs[0]) || !OnlyQuantized(moved.inputs[0]))) continue;
      const DType byte = graph_.value(quantize.outputs[0]).type.dtype;
      if (moved.Is("Pad") && !PadBytes(*to, false, &moved)) continue;
      graph_.RemoveNode(id);
      graph_.RemoveNode(above);
      const size_t count = joins ? moved.inputs.size() : 1;
      for (size_t i = 0; i < count; ++i) {
        const ValueId from = moved.inputs[i];
        Node each = quantize;
        each.name.clear();
        each.inputs[0] = from;
        each.outputs = {graph_.AddValue(graph_.FreshName(graph_.value(from).name), Retyped(graph_.value(from).type, byte))};
        moved.inputs[i] = each.outputs[0];
        LINNET_ASSIGN(NodeId added, graph_.AddNode(std::move(each)));
        work.push_back(added);
      }
      moved.outputs = {quantize.outputs[0]};
      LINNET_TRY(graph_.AddNode(std::move(moved)).TakeStatus());
    }
    return Status();
  }

  /// Whether all that reads `id` quantizes it, or moves it for what does.
  bool OnlyQuantized(ValueId id, bool moves = true) const {
    const std::vector<Use>& uses = graph_.value(id).uses;
    return std::all_of(uses.begin(), uses.end(), [&](const Use& use) {
      if (use.node == kNoNode) return false;
      const Node& node = graph_.node(use.node);
      return node.Is("QuantizeLinear") || (moves && Moves(graph_, node) && std::all_of(node.outputs.begin(), node.outputs.end(), [&](ValueId out) {
        return out == kNoValue || OnlyQuantized(out, false);
      }));
    });
  }

  /// Moves a DequantizeLinear below the readers that only move; what it becomes is added to `order`.
  Status Sink(NodeId id, std::vector<NodeId>* order) {
    if (!graph_.node(id).alive || graph_.node(id).outputs.empty()) return Status();
    const ValueId out = graph_.node(id).outputs[0];
    std::optional<Dequantized> from = DequantizedFrom(graph_, out);
    if (!from || !IsByte(from->quantization.type)) return Status();
    const std::vector<Use> uses = graph_.value(out).uses;
    for (const Use& use : uses) {
      if (use.node == kNoNode || use.index != 0) continue;
      const Node mover = graph_.node(use.node);
      // An embedding is looked up before it is made real.
      if (!Moves(graph_, mover) || (Repeats(graph_, mover) && !ConstantOf(graph_, from->q))) continue;
      Node bytes = mover;
      if (mover.Is("Pad") && (!from->quantization.per_tensor() || !PadBytes(from->quantization, true, &bytes))) continue;
      int64_t axis = from->quantization.axis;
      if (!from->quantization.per_tensor()) {
        Result<std::vector<int64_t>> perm = mover.Ints("perm");
        if (mover.op != "Transpose" || !perm.ok() || perm->empty()) continue;
        axis = std::find(perm->begin(), perm->end(), axis) - perm->begin();
      }
      LINNET_TRY(SinkBelow(use.node, std::move(bytes), graph_.node(id), from->q, axis, order));
    }
    if (graph_.value(out).uses.empty()) graph_.RemoveNode(id);
    return Status();
  }

  /// Lets a Pad add borders of bytes. False when its value is not known, or (`exact`) no byte means just that.
  bool PadBytes(const Quantization& q, bool exact, Node* pad) {
    std::optional<float> value = 0.0f;
    if (pad->inputs.size() > 2 && pad->inputs[2] != kNoValue) value = ScalarOf(graph_, pad->inputs[2]);
    Result<std::string> mode = pad->String("mode", "constant");
    if (!mode.ok() || !value) return false;
    if (*mode != "constant") return true;
    const int64_t code = q.Stored(*value);
    if (exact && static_cast<float>(code - q.zeros[0]) * q.scales[0] != *value) return false;
    Result<Tensor> byte = Tensor::Allocate(q.type, Shape(std::initializer_list<int64_t>{}));
    if (!byte.ok()) return false;
    *byte->mutable_as<uint8_t>() = static_cast<uint8_t>(code);
    pad->inputs.resize(std::max<size_t>(pad->inputs.size(), 3), kNoValue);
    pad->inputs[2] = graph_.AddConstant(graph_.FreshName("border"), std::move(*byte));
    return true;
  }

  Status SinkBelow(NodeId id, Node mover, const Node& dequantize, ValueId q, int64_t axis, std::vector<NodeId>* order) {
    const DType byte = graph_.value(q).type.dtype;
    const std::vector<ValueId> outputs = mover.outputs;
    mover.inputs[0] = q;
    std::vector<Datum> folded;
    if (const Tensor* constant = ConstantOf(graph_, q); constant && mover.inputs.size() == 1) {
      const Datum input = Datum::Of(*constant);
      Result<std::vector<Datum>> moved = Evaluate(*context_.table, mover, {&input, 1}, context_.budget, constant->bytes());
      if (moved.ok()) folded = std::move(*moved);
    }
    graph_.RemoveNode(id);
    for (size_t o = 0; o < outputs.size(); ++o) {
      if (outputs[o] == kNoValue) continue;
      const std::string name = graph_.FreshName(graph_.value(outputs[o]).name);
      ValueId moved;
      if (!folded.empty()) {
        moved = graph_.AddConstant(name, folded[o].tensor);
      } else {
        moved = graph_.AddValue(name, Retyped(graph_.value(outputs[o]).type, byte));
      }
      mover.outputs[o] = moved;
      Node below = dequantize;
      below.name.clear();
      below.inputs[0] = moved;
      below.outputs = {outputs[o]};
      if (below.Has("axis") || axis != 1) below.Set("axis", axis);
      LINNET_ASSIGN(NodeId added, graph_.AddNode(std::move(below)));
      order->push_back(added);
    }
    return folded.empty() ? graph_.AddNode(std::move(mover)).TakeStatus() : Status();
  }

  /// Takes out a QuantizeLinear that undoes a DequantizeLinear.
  void Cancel(NodeId id) {
    const Node& node = graph_.node(id);
    std::optional<Quantization> to = QuantizationBy(graph_, node);
    if (!to) return;
    std::optional<Dequantized> from = DequantizedFrom(graph_, node.inputs[0]);
    if (!from || !from->quantization.SameAs(*to)) return;
    const ValueId out = node.outputs[0];
    for (ValueId output : graph_.outputs()) {
      if (output == out) return;
    }
    graph_.ReplaceUses(out, from->q);
    graph_.RemoveNode(id);
  }

  /// Makes linnet:Steps of a DequantizeLinear and the QuantizeLinear before it.
  Status Join(NodeId id) {
    std::optional<Steps> steps = StepsBy(graph_, graph_.node(id));
    if (!steps) return Status();
    const ValueId out = graph_.node(id).outputs[0];
    const std::vector<ValueId>& outputs = graph_.outputs();
    if (OnSteps(steps->x, *steps, 0) && std::find(outputs.begin(), outputs.end(), out) == outputs.end()) {
      graph_.ReplaceUses(out, steps->x);
      graph_.RemoveNode(id);
      return Status();
    }
    while (Bounds(steps->x, *steps)) steps->x = Producer(graph_, steps->x)->inputs[0];
    Node node;
    node.op = "Steps";
    node.domain = "linnet";
    node.version = 1;
    node.name = graph_.value(out).name;
    node.Set("alpha", steps->alpha);
    node.Set("beta", steps->beta);
    node.inputs = {steps->x};
    node.outputs = {out};
    return ReplaceNode(graph_, id, std::move(node));
  }

  /// Whether `id` has numbers only that `steps` leaves as they are: it made them, and others moved them.
  bool OnSteps(ValueId id, const Steps& steps, int depth) const {
    const Node* node = id == kNoValue ? nullptr : Producer(graph_, id);
    if (!node || depth > kMovesMax) return false;
    if (node->Is("Steps", "linnet")) {
      Result<float> alpha = node->Float("alpha", 1), beta = node->Float("beta", 0);
      return alpha.ok() && beta.ok() && *alpha == steps.alpha && *beta == steps.beta;
    }
    if (Moves(graph_, *node)) return OnSteps(node->inputs[0], steps, depth + 1);
    return node->Is("Concat") && std::all_of(node->inputs.begin(), node->inputs.end(),
                                             [&](ValueId input) { return OnSteps(input, steps, depth + 1); });
  }

  /// Whether a Relu or Clip makes `id`, for one reader, and bounds what the steps bound anyway.
  bool Bounds(ValueId id, const Steps& steps) const {
    const Node* node = Producer(graph_, id);
    const bool relu = node && node->Is("Relu");
    if (!node || !(relu || node->Is("Clip"))) return false;
    const std::vector<Use>& uses = graph_.value(id).uses;   // the QuantizeLinear's, and those of DequantizeLinears made Steps
    for (const Use& use : uses) {
      if (use.node == kNoNode || !(graph_.node(use.node).Is("QuantizeLinear"))) return false;
    }
    const std::optional<ClipBounds> clip = relu ? std::nullopt : ClipBoundsOf(graph_, *node);
    if (!relu && !clip) return false;
    const double low = relu ? 0 : clip->low, high = relu ? INFINITY : clip->high;
    return low <= high && low / steps.alpha < steps.beta + 0.25 && high / steps.alpha > steps.beta + 65534.75;
  }

  /// So many nodes between two places that are quantized alike.
  static constexpr int kMovesMax = 16;

  Graph& graph_;
  const PassContext& context_;
};

}  // namespace

Status MoveQuantization(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    if (!HasQuantization(each)) return Status();
    LINNET_TRY(Mover(each, context).Run());
    return RemoveDeadCode(each, context);
  });
}

}  // namespace linnet
