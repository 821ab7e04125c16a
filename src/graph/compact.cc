// Graph::Compacted: what a graph still says, under dense ids.
#include "graph/graph.h"

namespace linnet {

Result<Graph> Graph::Compacted() const {
  Graph out(symbols_);
  out.name = name;
  out.fresh_names_ = fresh_names_;
  std::vector<ValueId> moved(values_.size(), kNoValue);
  auto move = [&](ValueId id) {
    if (id == kNoValue) return kNoValue;
    ValueId& to = moved[static_cast<size_t>(id)];
    if (to != kNoValue) return to;
    const Value& from = value(id);
    to = out.AddValue(from.name, from.type);
    if (from.is_constant) out.SetConstant(to, from.constant);
    out.SetType(to, from.type);
    return to;
  };
  for (ValueId id : inputs) out.AddInput(move(id));
  for (ValueId id : captures) out.captures.push_back(move(id));
  LINNET_ASSIGN(std::vector<NodeId> order, Order());
  for (NodeId id : order) {
    Node node = nodes_[static_cast<size_t>(id)];
    for (std::vector<ValueId>* list : {&node.inputs, &node.outputs, &node.captures}) {
      for (ValueId& value : *list) value = move(value);
    }
    node.use_slots_.clear();
    for (Attribute& attribute : node.attributes) {
      auto compact = [](std::shared_ptr<Graph>& graph) -> Status {
        LINNET_ASSIGN(Graph inner, graph->Compacted());
        graph = std::make_shared<Graph>(std::move(inner));
        return Status();
      };
      if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute.payload)) LINNET_TRY(compact(*one));
      if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute.payload)) {
        for (std::shared_ptr<Graph>& graph : *many) LINNET_TRY(compact(graph));
      }
    }
    LINNET_TRY(out.AddNode(std::move(node)).TakeStatus());
  }
  for (ValueId id : outputs_) out.AddOutput(move(id));
  return out;
}

}  // namespace linnet
