// fuse_integer_tables: what lies between a DequantizeLinear and a QuantizeLinear and works element by element on that one
// tensor becomes a table of 256 bytes.
//
//     DQ → Mul(0.5) → Tanh → Q          DQ → (x, Sigmoid) → Mul → Q          DQ → Q with other parameters
//
// The table is made by running the nodes on every byte there is, so the answers are those of the graph as it was.
#include <string.h>

#include <algorithm>

#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

/// Formulas have few nodes; a longer chain is still cut into tables at its QuantizeLinears.
constexpr size_t kNodesMax = 16;

class Tables {
 public:
  Tables(Graph& graph, const PassContext& context) : graph_(graph), context_(context) {}

  Status Run() {
    if (!context_.table->Find("linnet", "LookupTable", 1).ok()) return Status();
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).Is("QuantizeLinear")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  Status Visit(NodeId id) {
    const Node quantize = graph_.node(id);
    if (!QuantizationBy(graph_, quantize)) return Status();
    nodes_.clear();
    source_ = kNoValue;
    if (!Collect(quantize.inputs[0]) || source_ == kNoValue) return Status();
    // Nobody else may read what the nodes make.
    for (NodeId inner : nodes_) {
      for (const Use& use : graph_.value(graph_.node(inner).outputs[0]).uses) {
        if (use.node != id && std::find(nodes_.begin(), nodes_.end(), use.node) == nodes_.end()) return Status();
      }
    }
    std::optional<Dequantized> from = DequantizedFrom(graph_, source_);
    LINNET_ASSIGN(Tensor table, Tensor::Allocate(graph_.value(quantize.outputs[0]).type.dtype, Shape({256})));
    bool made = false;
    LINNET_TRY(Fill(*from->node, quantize, &table, &made));
    if (!made) return Status();

    const bool same_type = graph_.value(from->q).type.dtype == table.dtype();
    bool identity = same_type;
    for (int i = 0; i < 256; ++i) identity = identity && table.as<uint8_t>()[i] == i;
    const ValueId out = quantize.outputs[0];
    const std::vector<ValueId>& outputs = graph_.outputs();
    if (identity && std::find(outputs.begin(), outputs.end(), out) == outputs.end()) {
      graph_.ReplaceUses(out, from->q);
      graph_.RemoveNode(id);
    } else {
      Node look;
      look.domain = "linnet";
      look.op = "LookupTable";
      look.version = 1;
      look.name = quantize.name;
      look.inputs = {from->q, graph_.AddConstant(graph_.FreshName("table"), std::move(table))};
      look.outputs = {out};
      LINNET_TRY(ReplaceNode(graph_, id, std::move(look)));
    }
    for (size_t i = nodes_.size(); i-- > 0;) graph_.RemoveNode(nodes_[i]);   // readers first
    return Status();
  }

  /// Gathers the nodes that make `id` from `source_`, producers first; false when there is more to it.
  bool Collect(ValueId id) {
    if (id == kNoValue || ScalarOf(graph_, id)) return true;
    if (id == source_) return true;
    if (std::optional<Dequantized> from = DequantizedFrom(graph_, id)) {
      if (source_ != kNoValue || !IsByte(from->quantization.type) || !from->quantization.per_tensor() || ConstantOf(graph_, from->q)) return false;
      source_ = id;
      return true;
    }
    const Node* node = Producer(graph_, id);
    if (!node || node->outputs.size() != 1 || !(IsUnaryElementwise(*node) || IsBroadcasting(*node))) return false;
    const NodeId at = graph_.value(id).producer;
    if (std::find(nodes_.begin(), nodes_.end(), at) != nodes_.end()) return true;
    const Type& type = graph_.value(id).type;
    if (!type.is_tensor() || type.dtype != DType::kFloat) return false;
    const Node copy = *node;
    for (ValueId input : copy.inputs) {
      if (!Collect(input)) return false;
    }
    // A scalar constant may still have more dimensions than what it meets.
    if (source_ != kNoValue && graph_.value(source_).type.shape.rank() != type.shape.rank()) return false;
    if (nodes_.size() == kNodesMax) return false;
    nodes_.push_back(at);
    return true;
  }

  Status Fill(const Node& dequantize, const Node& quantize, Tensor* table, bool* made) {
    std::vector<std::pair<ValueId, Datum>> known;
    auto compute = [&](const Node& node) -> Result<Datum> {
      std::vector<Datum> inputs;
      for (ValueId id : node.inputs) {
        inputs.emplace_back();
        if (id == kNoValue) continue;
        auto at = std::find_if(known.begin(), known.end(), [&](const auto& each) { return each.first == id; });
        inputs.back() = at != known.end() ? at->second : Datum::Of(graph_.value(id).constant);
      }
      LINNET_ASSIGN(std::vector<Datum> outputs, Evaluate(*context_.table, node, inputs, context_.budget));
      return outputs[0];
    };
    LINNET_ASSIGN(Tensor bytes, Tensor::Allocate(graph_.value(dequantize.inputs[0]).type.dtype, Shape({256})));
    for (int i = 0; i < 256; ++i) bytes.mutable_as<uint8_t>()[i] = static_cast<uint8_t>(i);
    known.emplace_back(dequantize.inputs[0], Datum::Of(std::move(bytes)));
    std::vector<const Node*> all = {&dequantize};
    for (NodeId id : nodes_) all.push_back(&graph_.node(id));
    all.push_back(&quantize);
    for (const Node* node : all) {
      Result<Datum> value = compute(*node);
      if (!value.ok() || value->tensor.elements() != 256) return Status();
      known.emplace_back(node->outputs[0], std::move(*value));
    }
    const Tensor& last = known.back().second.tensor;
    if (last.dtype() != table->dtype()) return Status();
    memcpy(table->mutable_data(), last.data(), 256);
    *made = true;
    return Status();
  }

  Graph& graph_;
  const PassContext& context_;
  std::vector<NodeId> nodes_;      ///< of the formula, producers first
  ValueId source_ = kNoValue;      ///< the dequantized tensor
};

}  // namespace

Status FuseIntegerTables(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    if (!HasQuantization(each)) return Status();
    LINNET_TRY(Tables(each, context).Run());
    return RemoveDeadCode(each, context);
  });
}

}  // namespace linnet
