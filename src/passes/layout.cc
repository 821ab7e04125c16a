// layout: moves the transposes around channels-last operators until they meet and cancel.
//
//     Conv → ToChannelsFirst → Relu → ToChannelsLast → Conv      becomes      Conv → Relu → Conv
//
// Every ToChannelsFirst sinks below its readers as far as they can work channels-last: element by element operators as
// they are, operators with an axis with the axis renumbered, broadcast constants permuted. A ToChannelsLast of a
// ToChannelsFirst is nothing. Only values of known rank take part.
#include <algorithm>
#include <set>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

/// Where axis `axis` of a channels-first tensor lies channels-last: N C S1 S2 → N S1 S2 C.
int64_t LastAxis(int64_t axis, int rank) { return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1; }

/// The same for a shape.
Shape LastShape(const Shape& first) {
  if (!first.has_rank() || first.rank() < 3) return first;
  Shape out = first;
  for (int d = 0; d < first.rank(); ++d) out[static_cast<int>(LastAxis(d, first.rank()))] = first[d];
  return out;
}

class Layout {
 public:
  explicit Layout(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) NameTranspose(id);
    // Sinking makes new nodes behind the old ones, so one walk in order moves each transpose all the way down.
    for (NodeId id : order) {
      if (!graph_.node(id).alive) continue;
      if (Status status = Visit(id); !status.ok()) return std::move(status).At(graph_.node(id).Label(graph_));
    }
    return Status();
  }

 private:
  /// ONNX Transposes that are exactly these permutations get their names.
  void NameTranspose(NodeId id) {
    Node& node = graph_.mutable_node(id);
    if (!node.Is("Transpose")) return;
    Result<std::vector<int64_t>> perm = node.Ints("perm");
    if (!perm.ok() || perm->size() < 3) return;
    int rank = static_cast<int>(perm->size());
    const Shape& shape = graph_.value(node.inputs[0]).type.shape;
    if (shape.has_rank() && shape.rank() != rank) return;
    bool last = true, first = true;
    for (int d = 0; d < rank; ++d) {
      int64_t axis = (*perm)[static_cast<size_t>(d)];
      // perm[d] is the input axis that output axis d shows.
      int64_t to_last = d == 0 ? 0 : d == rank - 1 ? 1 : d + 1;
      int64_t to_first = d == 0 ? 0 : d == 1 ? rank - 1 : d - 1;
      last = last && axis == to_last;
      first = first && axis == to_first;
    }
    if (!last && !first) return;
    node.domain = "linnet";
    node.version = 1;
    node.op = last ? "ToChannelsLast" : "ToChannelsFirst";
    node.attributes.clear();
  }

  bool IsFirst(ValueId id) const {
    const Node* node = id == kNoValue ? nullptr : Producer(graph_, id);
    return node && node->Is("ToChannelsFirst", "linnet");
  }
  ValueId Source(ValueId id) const { return Producer(graph_, id)->inputs[0]; }

  Status Visit(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.inputs.empty() || node.outputs.empty() || node.outputs[0] == kNoValue) return Status();
    if (node.Is("ToChannelsLast", "linnet")) {
      if (!IsFirst(node.inputs[0])) return Status();
      ValueId source = Source(node.inputs[0]);
      graph_.ReplaceUses(node.outputs[0], source);
      graph_.RemoveNode(id);
      return Status();
    }
    bool any = false;
    for (ValueId input : node.inputs) any = any || IsFirst(input);
    if (!any) return Status();
    const Shape& shape = graph_.value(node.outputs[0]).type.shape;
    int rank = shape.rank();
    if (IsUnaryElementwise(node) && IsFirst(node.inputs[0])) return Sink(id, {0});
    if (IsBroadcasting(node)) {
      std::vector<int> all;
      for (size_t i = 0; i < node.inputs.size(); ++i) all.push_back(static_cast<int>(i));
      return SinkBroadcasting(id, all);
    }
    if (node.domain.empty() && node.op.starts_with("Reduce")) return SinkReduce(id);
    if (rank < 3) return Status();
    if (IsQuantized(node)) return SinkQuantized(id);
    if (node.Is("Concat")) return SinkConcat(id);
    if (node.Is("Softmax") || node.Is("LogSoftmax") || node.Is("Hardmax")) {
      return node.version >= 13 ? SinkAxis(id, -1) : Status();
    }
    if (node.Is("Split")) return SinkAxis(id, 0);
    if (node.Is("ShuffleChannels", "linnet")) return SinkAxis(id, 1);
    if (node.Is("Pad")) return SinkPad(id);
    if (node.Is("Slice")) return SinkSlice(id);
    if (node.Is("DepthToSpace") || node.Is("SpaceToDepth")) return SinkBlocks(id);
    return Status();
  }

  /// Rewrites `id` to work channels-last: the listed inputs are replaced by the sources of their transposes, and each
  /// output gets a ToChannelsFirst behind it that takes over its value.
  Status Sink(NodeId id, const std::vector<int>& inputs) {
    for (int i : inputs) graph_.SetInput(id, i, Source(graph_.node(id).inputs[static_cast<size_t>(i)]));
    Node node = graph_.node(id);
    std::vector<ValueId> outputs = node.outputs;
    for (ValueId& out : node.outputs) {
      if (out == kNoValue) continue;
      Type type = graph_.value(out).type;
      type.shape = LastShape(type.shape);
      out = graph_.AddValue(graph_.FreshName(graph_.value(out).name), type);
    }
    std::vector<ValueId> inner = node.outputs;
    LINNET_TRY(ReplaceNode(graph_, id, std::move(node)));
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] == kNoValue) continue;
      Node back;
      back.op = "ToChannelsFirst";
      back.domain = "linnet";
      back.version = 1;
      back.name = graph_.value(outputs[i]).name;
      back.inputs = {inner[i]};
      back.outputs = {outputs[i]};
      LINNET_TRY(graph_.AddNode(std::move(back)).TakeStatus());
    }
    return Status();
  }

  /// Of an operator whose inputs `operands` are broadcast against each other.
  Status SinkBroadcasting(NodeId id, const std::vector<int>& operands) {
    const Node& node = graph_.node(id);
    int rank = -1;
    for (int i : operands) {
      const ValueId input = node.inputs[static_cast<size_t>(i)];
      if (IsFirst(input)) rank = graph_.value(input).type.shape.rank();
    }
    if (rank < 3 || graph_.value(node.outputs[0]).type.shape.rank() != rank) return Status();
    std::vector<int> sunk;
    std::vector<std::pair<int, ValueId>> permuted;
    for (int i : operands) {
      ValueId input = node.inputs[static_cast<size_t>(i)];
      if (input == kNoValue) return Status();
      const Type& type = graph_.value(input).type;
      if (IsFirst(input)) {
        if (type.shape.rank() != rank) return Status();
        sunk.push_back(i);
        continue;
      }
      if (type.shape.is_static() && type.shape.elements() == 1 && type.shape.rank() <= 1) continue;  // scalars fit any layout
      const Tensor* constant = ConstantOf(graph_, input);
      if (constant && type.shape.is_static() && type.shape.rank() <= rank && constant->dtype() != DType::kString) {
        permuted.emplace_back(i, input);
        continue;
      }
      // A run-time operand of the same rank can be transposed; it is worth it when it is the smaller one.
      if (type.shape.rank() != rank || !Small(type.shape)) return Status();
      permuted.emplace_back(i, input);
    }
    for (auto [index, value] : permuted) {
      const Tensor* constant = ConstantOf(graph_, value);
      if (constant) {
        LINNET_ASSIGN(Tensor moved, Permuted(*constant, rank));
        graph_.SetInput(id, index, graph_.AddConstant(graph_.FreshName(graph_.value(value).name), std::move(moved)));
      } else {
        Type type = graph_.value(value).type;
        type.shape = LastShape(type.shape);
        LINNET_ASSIGN(ValueId last, graph_.AddNode("ToChannelsLast", "linnet", 1, {value}, {}, type, graph_.value(value).name));
        graph_.SetInput(id, index, last);
      }
    }
    return Sink(id, sunk);
  }

  /// Transposing costs nothing when all spatial dimensions are 1.
  static bool Small(const Shape& shape) {
    for (int d = 2; d < shape.rank(); ++d) {
      if (shape[d] != 1) return false;
    }
    return true;
  }

  /// A broadcast constant, right-aligned with N C S..., as it is right-aligned with N S... C.
  Result<Tensor> Permuted(const Tensor& tensor, int rank) {
    Shape full = Shape::OfRank(rank);
    int shift = rank - tensor.shape().rank();
    for (int d = 0; d < rank; ++d) full[d] = d < shift ? 1 : tensor.shape()[d - shift];
    Shape last = LastShape(full);
    if (tensor.elements() <= 1) return tensor.Reshaped(last);
    LINNET_ASSIGN(Tensor out, Tensor::Allocate(tensor.dtype(), last));
    size_t bytes = DTypeBytes(tensor.dtype());
    int64_t channels = full[1], spatial = full.Product(2, rank);
    for (int64_t n = 0; n < full[0]; ++n) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t s = 0; s < spatial; ++s) {
          const auto* from = tensor.as<std::byte>() + static_cast<size_t>((n * channels + c) * spatial + s) * bytes;
          auto* to = out.mutable_as<std::byte>() + static_cast<size_t>((n * spatial + s) * channels + c) * bytes;
          std::copy_n(from, bytes, to);
        }
      }
    }
    return out;
  }

  /// Replaces attribute `axis` (default `fallback`) by its channels-last number.
  Status RenumberAxis(NodeId id, int64_t fallback, int rank) {
    LINNET_ASSIGN(int64_t axis, graph_.node(id).Int("axis", fallback));
    LINNET_ASSIGN(int normal, NormalizeAxis(axis, rank));
    graph_.mutable_node(id).Set("axis", LastAxis(normal, rank));
    return Status();
  }

  static bool IsQuantized(const Node& node) {
    if (node.domain == "com.microsoft") return node.op.starts_with("QLinear");
    return node.Is("QuantizeLinear") || node.Is("DequantizeLinear");
  }

  /// Operators on 8-bit tensors, whose scales and zero points are single numbers, or lie along an attribute `axis`.
  Status SinkQuantized(NodeId id) {
    const Node& node = graph_.node(id);
    const std::string op = node.op;
    const int rank = graph_.value(node.outputs[0]).type.shape.rank();
    auto is_first = [&](size_t i) { return i < node.inputs.size() && IsFirst(node.inputs[i]); };
    if (op == "QuantizeLinear" || op == "DequantizeLinear") {
      const Type& scale = graph_.value(node.inputs[1]).type;
      if (!is_first(0) || !scale.shape.is_static() || node.Has("block_size") || scale.shape.rank() > 1) return Status();
      if (scale.shape.elements() != 1) LINNET_TRY(RenumberAxis(id, 1, rank));
      return Sink(id, {0});
    }
    if (op == "QLinearSigmoid" || op == "QLinearLeakyRelu") return is_first(0) ? Sink(id, {0}) : Status();
    if (op == "QLinearAdd" || op == "QLinearMul") return SinkBroadcasting(id, {0, 3});
    if (op == "QLinearGlobalAveragePool" || op == "QLinearAveragePool") {
      LINNET_ASSIGN(int64_t last, node.Int("channels_last", 0));
      if (!is_first(0) || last != 0) return Status();
      graph_.mutable_node(id).Set("channels_last", int64_t{1});
      return Sink(id, {0});
    }
    if (op == "QLinearConcat") {
      std::vector<int> sunk;
      for (size_t i = 2; i < node.inputs.size(); i += 3) {
        if (!is_first(i)) return Status();
        sunk.push_back(static_cast<int>(i));
      }
      LINNET_TRY(RenumberAxis(id, 1, rank));
      return Sink(id, sunk);
    }
    return Status();
  }

  /// Blocks of pixels and channels have operators of their own.
  Status SinkBlocks(NodeId id) {
    Node& node = graph_.mutable_node(id);
    if (!IsFirst(node.inputs[0]) || graph_.value(node.inputs[0]).type.shape.rank() != 4) return Status();
    node.domain = "linnet";
    node.version = 1;
    return Sink(id, {0});
  }

  Status SinkConcat(NodeId id) {
    const Node& node = graph_.node(id);
    int rank = graph_.value(node.outputs[0]).type.shape.rank();
    std::vector<int> all;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!IsFirst(node.inputs[i])) return Status();
      all.push_back(static_cast<int>(i));
    }
    LINNET_TRY(RenumberAxis(id, 1, rank));
    return Sink(id, all);
  }

  Status SinkAxis(NodeId id, int64_t fallback) {
    if (!IsFirst(graph_.node(id).inputs[0])) return Status();
    int rank = graph_.value(graph_.node(id).inputs[0]).type.shape.rank();
    if (rank < 3) return Status();
    LINNET_TRY(RenumberAxis(id, fallback, rank));
    return Sink(id, {0});
  }

  /// Constant `pads` (begins, then ends) renumbered; with an axes input it stays as it is.
  Status SinkPad(NodeId id) {
    const Node& node = graph_.node(id);
    int rank = graph_.value(node.inputs[0]).type.shape.rank();
    if (!IsFirst(node.inputs[0]) || node.version < 11 || node.inputs.size() < 2 || node.inputs.size() > 3) return Status();
    std::optional<std::vector<int64_t>> pads = IntsOf(graph_, node.inputs[1]);
    if (!pads || pads->size() != static_cast<size_t>(2 * rank)) return Status();
    std::vector<int64_t> moved(pads->size());
    for (int d = 0; d < rank; ++d) {
      size_t to = static_cast<size_t>(LastAxis(d, rank));
      moved[to] = (*pads)[static_cast<size_t>(d)];
      moved[to + static_cast<size_t>(rank)] = (*pads)[static_cast<size_t>(d + rank)];
    }
    graph_.SetInput(id, 1, graph_.AddConstant(graph_.FreshName("pads"), Tensor::Ints(moved)));
    return Sink(id, {0});
  }

  Status SinkSlice(NodeId id) {
    const Node& node = graph_.node(id);
    int rank = graph_.value(node.inputs[0]).type.shape.rank();
    if (!IsFirst(node.inputs[0]) || node.version < 10 || node.inputs.size() < 4 || node.inputs[3] == kNoValue) return Status();
    std::optional<std::vector<int64_t>> axes = IntsOf(graph_, node.inputs[3]);
    if (!axes) return Status();
    for (int64_t& axis : *axes) {
      LINNET_ASSIGN(int normal, NormalizeAxis(axis, rank));
      axis = LastAxis(normal, rank);
    }
    graph_.SetInput(id, 3, graph_.AddConstant(graph_.FreshName("axes"), Tensor::Ints(*axes)));
    return Sink(id, {0});
  }

  /// Reductions that keep dimensions; and those over all spatial axes without keeping them, whose result [N, C] has one
  /// layout.
  Status SinkReduce(NodeId id) {
    const Node& node = graph_.node(id);
    if (!IsFirst(node.inputs[0])) return Status();
    int rank = graph_.value(node.inputs[0]).type.shape.rank();
    LINNET_ASSIGN(int64_t keep, node.Int("keepdims", 1));
    std::optional<std::vector<int64_t>> axes = AxesOf(graph_, node, 1);
    if (!axes || axes->empty() || rank < 3) return Status();
    std::set<int> spatial;
    for (int64_t& axis : *axes) {
      LINNET_ASSIGN(int normal, NormalizeAxis(axis, rank));
      if (normal >= 2) spatial.insert(normal);
      axis = LastAxis(normal, rank);
    }
    const bool all_spatial = static_cast<int>(spatial.size()) == rank - 2 && spatial.size() == axes->size();
    if (!keep && !all_spatial) return Status();
    if (node.Has("axes")) {
      graph_.mutable_node(id).Set("axes", *axes);
    } else {
      graph_.SetInput(id, 1, graph_.AddConstant(graph_.FreshName("axes"), Tensor::Ints(*axes)));
    }
    if (keep) return Sink(id, {0});
    graph_.SetInput(id, 0, Source(graph_.node(id).inputs[0]));
    return Status();
  }

  Graph& graph_;
};

}  // namespace

Status MoveLayouts(Graph& graph, const PassContext& context) {
  LINNET_TRY(ForEachGraph(graph, [](Graph& g) { return Layout(g).Run(); }));
  // Transposes nobody reads any more would look like further readers to the fusions that follow.
  return RemoveDeadCode(graph, context);
}

}  // namespace linnet
