// Graph edits that keep use lists right, and the topological order.
#include "graph/graph.h"

#include <algorithm>
#include <queue>

namespace linnet {

// Use lists -------------------------------------------------------------------------------------------------------
// Every reading place knows its position in the value's list, so removal is O(1): the last use moves into the gap.

int32_t& Graph::UseSlot(const Use& use) {
  if (use.node == kNoNode) return output_slots_[static_cast<size_t>(use.index)];
  return nodes_[static_cast<size_t>(use.node)].use_slots_[static_cast<size_t>(use.index)];
}

void Graph::AddUse(ValueId value, NodeId node, int32_t index) {
  ++edits_;
  if (value == kNoValue) return;
  std::vector<Use>& uses = values_[static_cast<size_t>(value)].uses;
  UseSlot({node, index}) = static_cast<int32_t>(uses.size());
  uses.push_back({node, index});
}

void Graph::DropUse(ValueId value, NodeId node, int32_t index) {
  ++edits_;
  if (value == kNoValue) return;
  std::vector<Use>& uses = values_[static_cast<size_t>(value)].uses;
  int32_t slot = UseSlot({node, index});
  uses[static_cast<size_t>(slot)] = uses.back();
  UseSlot(uses.back()) = slot;
  uses.pop_back();
}

// Values ----------------------------------------------------------------------------------------------------------

bool Graph::is_input(ValueId id) const {
  int32_t hint = value(id).input_hint;
  if (hint < 0) return false;
  if (static_cast<size_t>(hint) < inputs.size() && inputs[static_cast<size_t>(hint)] == id) return true;
  return std::find(inputs.begin(), inputs.end(), id) != inputs.end();
}

ValueId Graph::AddValue(std::string value_name, const Type& type) {
  Value value;
  value.name = std::move(value_name);
  value.type = type;
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size()) - 1;
}

ValueId Graph::AddInput(std::string value_name, const Type& type) {
  ValueId id = AddValue(std::move(value_name), type);
  AddInput(id);
  return id;
}

void Graph::AddInput(ValueId id) {
  values_[static_cast<size_t>(id)].input_hint = static_cast<int32_t>(inputs.size());
  inputs.push_back(id);
}

ValueId Graph::AddCapture(std::string value_name, const Type& type) {
  ValueId id = AddValue(std::move(value_name), type);
  captures.push_back(id);
  return id;
}

ValueId Graph::AddConstant(std::string value_name, Tensor contents) {
  ValueId id = AddValue(std::move(value_name));
  SetConstant(id, std::move(contents));
  return id;
}

void Graph::SetConstant(ValueId id, Tensor contents) {
  ++edits_;
  Value& value = values_[static_cast<size_t>(id)];
  value.type = contents.type();
  value.constant = std::move(contents);
  value.is_constant = true;
}

void Graph::ClearConstant(ValueId id) {
  ++edits_;
  Value& value = values_[static_cast<size_t>(id)];
  value.constant = Tensor();
  value.is_constant = false;
}

void Graph::DropContents(ValueId id) {
  ++edits_;
  Tensor& constant = values_[static_cast<size_t>(id)].constant;
  constant = Tensor::View(constant.dtype(), constant.shape(), nullptr);
}

void Graph::AddOutput(ValueId id) {
  outputs_.push_back(id);
  output_slots_.push_back(0);
  AddUse(id, kNoNode, static_cast<int32_t>(outputs_.size()) - 1);
}

void Graph::SetOutput(int index, ValueId value) {
  ValueId& output = outputs_[static_cast<size_t>(index)];
  DropUse(output, kNoNode, index);
  output = value;
  AddUse(value, kNoNode, index);
}

std::string Graph::FreshName(std::string_view hint) { return Cat(hint, "/", fresh_names_++); }

// Nodes -----------------------------------------------------------------------------------------------------------

Result<NodeId> Graph::AddNode(Node node) {
  ++edits_;
  NodeId id = static_cast<NodeId>(nodes_.size());
  for (const std::vector<ValueId>* list : {&node.inputs, &node.outputs, &node.captures}) {
    for (ValueId value : *list) {
      if (value < kNoValue || value >= value_count()) return Internal("value id ", value, " does not exist");
    }
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    Value& out = values_[static_cast<size_t>(node.outputs[i])];
    if (out.producer != kNoNode || out.is_constant) {
      return InvalidModel("value ", Quote(out.name), " is produced twice");
    }
    out.producer = id;
    out.output_index = static_cast<int32_t>(i);
  }
  node.use_slots_.assign(node.inputs.size() + node.captures.size(), 0);
  nodes_.push_back(std::move(node));
  const Node& added = nodes_.back();
  for (size_t i = 0; i < added.inputs.size(); ++i) AddUse(added.inputs[i], id, static_cast<int32_t>(i));
  for (size_t i = 0; i < added.captures.size(); ++i) {
    AddUse(added.captures[i], id, static_cast<int32_t>(added.inputs.size() + i));
  }
  return id;
}

Result<ValueId> Graph::AddNode(std::string_view op, std::string_view domain, int version,
                               std::vector<ValueId> node_inputs, std::vector<Attribute> attributes, const Type& type,
                               std::string_view name_hint) {
  Node node;
  node.name = std::string(name_hint);   // before a value is added: the hint may be the name of one
  ValueId out = AddValue(FreshName(name_hint), type);
  node.op = std::string(op);
  node.domain = std::string(domain);
  node.version = version;
  node.inputs = std::move(node_inputs);
  node.attributes = std::move(attributes);
  node.outputs = {out};
  LINNET_TRY(AddNode(std::move(node)).TakeStatus());
  return out;
}

void Graph::RemoveNode(NodeId id) {
  Node& node = nodes_[static_cast<size_t>(id)];
  if (!node.alive) return;
  ++edits_;
  for (size_t i = 0; i < node.inputs.size(); ++i) DropUse(node.inputs[i], id, static_cast<int32_t>(i));
  for (size_t i = 0; i < node.captures.size(); ++i) {
    DropUse(node.captures[i], id, static_cast<int32_t>(node.inputs.size() + i));
  }
  for (ValueId out : node.outputs) {
    if (out != kNoValue) values_[static_cast<size_t>(out)].producer = kNoNode;
  }
  node.alive = false;
  node.inputs.clear();
  node.captures.clear();
  node.outputs.clear();
  node.attributes.clear();
  node.use_slots_.clear();
}

void Graph::SetInput(NodeId id, int index, ValueId value) {
  ValueId& input = nodes_[static_cast<size_t>(id)].inputs[static_cast<size_t>(index)];
  DropUse(input, id, index);
  input = value;
  AddUse(value, id, index);
}

void Graph::AddNodeInput(NodeId id, ValueId value) {
  Node& node = nodes_[static_cast<size_t>(id)];
  // Captures are numbered after the inputs, so they move up by one.
  for (size_t i = 0; i < node.captures.size(); ++i) {
    DropUse(node.captures[i], id, static_cast<int32_t>(node.inputs.size() + i));
  }
  node.inputs.push_back(value);
  node.use_slots_.push_back(0);
  AddUse(value, id, static_cast<int32_t>(node.inputs.size()) - 1);
  for (size_t i = 0; i < node.captures.size(); ++i) {
    AddUse(node.captures[i], id, static_cast<int32_t>(node.inputs.size() + i));
  }
}

void Graph::AddNodeCapture(NodeId id, ValueId value) {
  Node& node = nodes_[static_cast<size_t>(id)];
  node.captures.push_back(value);
  node.use_slots_.push_back(0);
  AddUse(value, id, static_cast<int32_t>(node.inputs.size() + node.captures.size()) - 1);
}

void Graph::ReplaceUses(ValueId from, ValueId to) {
  if (from == to) return;
  std::vector<Use> uses = std::move(values_[static_cast<size_t>(from)].uses);
  values_[static_cast<size_t>(from)].uses.clear();
  for (const Use& use : uses) {
    if (use.node == kNoNode) {
      outputs_[static_cast<size_t>(use.index)] = to;
    } else {
      Node& node = nodes_[static_cast<size_t>(use.node)];
      size_t index = static_cast<size_t>(use.index);
      (index < node.inputs.size() ? node.inputs[index] : node.captures[index - node.inputs.size()]) = to;
    }
    AddUse(to, use.node, use.index);
  }
}

std::vector<Graph*> Graph::Subgraphs(const Node& node) {
  std::vector<Graph*> graphs;
  for (const Attribute& attribute : node.attributes) {
    if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute.payload)) graphs.push_back(one->get());
    if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute.payload)) {
      for (const std::shared_ptr<Graph>& graph : *many) graphs.push_back(graph.get());
    }
  }
  return graphs;
}

// Order -----------------------------------------------------------------------------------------------------------

Result<std::vector<NodeId>> Graph::Order() const {
  size_t count = nodes_.size();
  std::vector<NodeId> order;
  order.reserve(count);
  // Most graphs are stored in order.
  bool in_order = true;
  for (size_t i = 0; i < count && in_order; ++i) {
    const Node& node = nodes_[i];
    if (!node.alive) continue;
    order.push_back(static_cast<NodeId>(i));
    for (const auto* ids : {&node.inputs, &node.captures}) {
      for (ValueId id : *ids) in_order = in_order && (id == kNoValue || value(id).producer < static_cast<NodeId>(i));
    }
  }
  if (in_order) return order;
  order.clear();
  std::vector<int32_t> waiting(count, 0);
  size_t alive = 0;
  // A min-heap keeps ids ascending where the graph leaves a choice.
  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<NodeId>> ready;
  auto inputs_of = [](const Node& node, auto&& each) {
    for (ValueId id : node.inputs) each(id);
    for (ValueId id : node.captures) each(id);
  };
  for (size_t i = 0; i < count; ++i) {
    if (!nodes_[i].alive) continue;
    ++alive;
    inputs_of(nodes_[i], [&](ValueId id) {
      if (id != kNoValue && value(id).producer != kNoNode) ++waiting[i];
    });
    if (waiting[i] == 0) ready.push(static_cast<NodeId>(i));
  }
  while (!ready.empty()) {
    NodeId id = ready.top();
    ready.pop();
    order.push_back(id);
    for (ValueId out : node(id).outputs) {
      if (out == kNoValue) continue;
      for (const Use& use : value(out).uses) {
        if (use.node != kNoNode && --waiting[static_cast<size_t>(use.node)] == 0) ready.push(use.node);
      }
    }
  }
  if (order.size() == alive) return order;
  // Every waiting node waits for another one, so walking from reader to producer must come around.
  NodeId at = kNoNode;
  for (size_t i = 0; i < count && at == kNoNode; ++i) {
    if (nodes_[i].alive && waiting[i] > 0) at = static_cast<NodeId>(i);
  }
  std::vector<bool> seen(count, false);
  while (at != kNoNode) {
    seen[static_cast<size_t>(at)] = true;
    ValueId awaited = kNoValue;
    inputs_of(node(at), [&](ValueId id) {
      NodeId producer = id == kNoValue ? kNoNode : value(id).producer;
      if (producer != kNoNode && waiting[static_cast<size_t>(producer)] > 0) awaited = id;
    });
    if (awaited == kNoValue) break;
    NodeId producer = value(awaited).producer;
    if (seen[static_cast<size_t>(producer)]) {
      return InvalidModel("the graph has a cycle: ", node(at).Label(*this), " reads ", Quote(value(awaited).name),
                          ", which ", producer == at ? "it produces itself" : Cat("depends on it through ", node(producer).Label(*this)));
    }
    at = producer;
  }
  return Internal("ordering lost a node");
}

Graph Graph::Clone() const {
  Graph copy(symbols_);
  copy.name = name;
  copy.inputs = inputs;
  copy.captures = captures;
  copy.values_ = values_;
  copy.nodes_ = nodes_;
  copy.outputs_ = outputs_;
  copy.output_slots_ = output_slots_;
  copy.fresh_names_ = fresh_names_;
  for (size_t i = 0; i < copy.nodes_.size(); ++i) {
    for (Attribute& attribute : copy.nodes_[i].attributes) {
      if (auto* one = std::get_if<std::shared_ptr<Graph>>(&attribute.payload)) {
        *one = std::make_shared<Graph>((*one)->Clone());
      }
      if (auto* many = std::get_if<std::vector<std::shared_ptr<Graph>>>(&attribute.payload)) {
        for (auto& graph : *many) graph = std::make_shared<Graph>(graph->Clone());
      }
    }
  }
  return copy;
}

}  // namespace linnet
