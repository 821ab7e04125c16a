// fuse_recurrent_weights: LSTM, GRU and RNN whose weights are dequantized read the bytes themselves.
//
//     LSTM(x, DequantizeLinear(W, ...), DequantizeLinear(R, ...), ...)    becomes   linnet:LSTM(x, W, R, ..., scales, zero points)
//
// of float32, W or R or both of 8 bits with one scale, one a direction or one a row; in the new node each row of each direction
// has its own. Folded, such weights would take 4 bytes each, and be read so at every step.
#include <string.h>

#include <algorithm>

#include "ops/recurrent_helpers.h"
#include "passes/pass.h"
#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

class RecurrentFuser {
 public:
  RecurrentFuser(Graph& graph, const PassContext& context) : graph_(graph), context_(context) {}

  Status Run() {
    LINNET_ASSIGN(const std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (node.Is("LSTM") || node.Is("GRU") || node.Is("RNN")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  /// Where weight `i` of a node comes from, if the new node can say that; nullopt otherwise.
  std::optional<Dequantized> Bytes(const Node& node, size_t i) const {
    std::optional<Dequantized> from = node.inputs[i] == kNoValue ? std::nullopt : DequantizedFrom(graph_, node.inputs[i]);
    if (!from || !IsByte(from->quantization.type)) return std::nullopt;
    const Tensor* bytes = ConstantOf(graph_, from->q);
    const Quantization& q = from->quantization;
    if (!bytes || !bytes->has_data() || bytes->shape().rank() != 3) return std::nullopt;
    if (!q.per_tensor() && q.axis != 0 && q.axis != 1) return std::nullopt;
    if (!q.per_tensor() && static_cast<int64_t>(q.scales.size()) != bytes->shape()[static_cast<int>(q.axis)]) return std::nullopt;
    return from;
  }

  Status Visit(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.inputs.size() < 3 || node.inputs[0] == kNoValue || graph_.value(node.inputs[0]).type.dtype != DType::kFloat) return Status();
    const std::optional<Dequantized> weights[] = {Bytes(node, 1), Bytes(node, 2)};
    if ((!weights[0] && !weights[1]) || !context_.table->Find("linnet", node.op, 1).ok()) return Status();
    for (size_t i : {1, 2}) {
      if (!weights[i - 1] && !ConstantOf(graph_, node.inputs[i])) return Status();
    }
    Node made;
    made.op = node.op;
    made.domain = "linnet";
    made.version = 1;
    made.name = node.name;
    made.attributes = node.attributes;
    made.inputs = node.inputs;
    made.outputs = node.outputs;
    made.inputs.resize(static_cast<size_t>(RecurrentAttributes::ScaleOf(2) + 2), kNoValue);
    for (int weight : {1, 2}) {
      const std::optional<Dequantized>& from = weights[weight - 1];
      if (!from) continue;
      const size_t scale = static_cast<size_t>(RecurrentAttributes::ScaleOf(weight));
      made.inputs[static_cast<size_t>(weight)] = from->q;
      LINNET_TRY(AddRows(*from, &made.inputs[scale], &made.inputs[scale + 1]));
    }
    while (made.inputs.back() == kNoValue) made.inputs.pop_back();
    return ReplaceNode(graph_, id, std::move(made));
  }

  /// Scales and zero points of all rows of [directions, rows, columns].
  Status AddRows(const Dequantized& from, ValueId* scale, ValueId* zero) {
    const Quantization& q = from.quantization;
    const std::string name = graph_.value(from.q).name;
    const Shape shape{graph_.value(from.q).constant.shape()[0], graph_.value(from.q).constant.shape()[1]};
    LINNET_ASSIGN(Tensor scales, Tensor::Allocate(DType::kFloat, shape));
    LINNET_ASSIGN(Tensor zeros, Tensor::Allocate(q.type, shape));
    for (int64_t i = 0; i < shape.elements(); ++i) {
      const size_t at = static_cast<size_t>(q.per_tensor() ? 0 : q.axis == 0 ? i / shape[1] : i % shape[1]);
      scales.mutable_as<float>()[i] = q.scales[at];
      zeros.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(q.zeros[at]);
    }
    *scale = graph_.AddConstant(graph_.FreshName(name + "_scales"), std::move(scales));
    if (std::any_of(q.zeros.begin(), q.zeros.end(), [](int64_t z) { return z != 0; })) {
      *zero = graph_.AddConstant(graph_.FreshName(name + "_zeros"), std::move(zeros));
    }
    return Status();
  }

  Graph& graph_;
  const PassContext& context_;
};

}  // namespace

Status FuseRecurrentWeights(Graph& graph, const PassContext& context) {
  bool quantized = false;
  LINNET_TRY(ForEachGraph(graph, [&](Graph& each) -> Status {
    quantized = quantized || HasQuantization(each);
    return Status();
  }));
  if (!quantized) return Status();
  // Weights may have been transposed between their quantization and their reader: move_quantization made that a move of bytes.
  LINNET_TRY(FoldConstants(graph, context));
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    LINNET_TRY(RecurrentFuser(each, context).Run());
    return RemoveDeadCode(each, context);
  });
}

}  // namespace linnet
