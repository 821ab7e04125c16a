// Graph: what a model means. Values, nodes, constants, subgraphs; no file format, no machine.
//
//     Graph ── values[ValueId]   name, type, constant contents, producer, uses
//           ── nodes[NodeId]     domain:op-version, attributes, inputs, outputs, captures
//           ── inputs, outputs   ValueIds
//           ── captures          values a subgraph takes from its surroundings
//
// * Values and nodes have stable ids; removed nodes stay as tombstones (`alive == false`) until the graph is dropped.
// * A node input may be kNoValue: an optional input that is left out. A node output too.
// * A subgraph is an attribute of its node (If, Loop, Scan ...). It never reaches outside: what it reads from the outer
//   graph enters through `Graph::captures` (values inside), matched one to one with `Node::captures` (values outside,
//   all subgraph attributes concatenated in attribute order). Captures count as uses of the node. A captured value that is
//   a constant outside has the same constant inside.
// * A constant is a value with contents and no producer. A graph input may have contents too: its default, which holds
//   until a caller feeds that input.
// * Editing keeps the use lists right; Verify (verify.h) checks everything else. Order() is a topological order.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/stable_vector.h"
#include "graph/node.h"

namespace linnet {

/// One place that reads a value: input `index` of `node` (captures follow the inputs), or output `index` of the graph
/// when `node` is kNoNode.
struct Use {
  NodeId node;
  int32_t index;
};

struct Value {
  std::string name;
  Type type;
  Tensor constant;             ///< contents; without data (and not empty) they live only in packed weights
  bool is_constant = false;
  NodeId producer = kNoNode;   ///< kNoNode for inputs, captures, constants
  int32_t output_index = 0;    ///< which output of the producer
  std::vector<Use> uses;
  int32_t input_hint = -1;     ///< where Graph::inputs may list it; -1: it does not
};

/// What a model file says about itself besides the graph.
struct ModelInfo {
  int64_t ir_version = 0;
  std::string producer_name, producer_version, domain, graph_name, doc_string;
  int64_t model_version = 0;
  std::vector<std::pair<std::string, int64_t>> opsets;            ///< domain ("" = ai.onnx) → version
  std::vector<std::pair<std::string, std::string>> metadata;
};

class Graph {
 public:
  /// `symbols` is shared with the parent graph; a root graph makes its own.
  explicit Graph(std::shared_ptr<SymbolTable> symbols) : symbols_(std::move(symbols)) {}
  Graph() : Graph(std::make_shared<SymbolTable>()) {}
  Graph(Graph&&) = default;
  Graph& operator=(Graph&&) = default;

  std::string name;
  std::vector<ValueId> inputs;     ///< declared order; filled through AddInput, entries may be taken out
  std::vector<ValueId> captures;   ///< subgraphs only; filled through AddCapture

  // Reading -----------------------------------------------------------------------------------------------------
  int value_count() const { return static_cast<int>(values_.size()); }
  int node_count() const { return static_cast<int>(nodes_.size()); }
  const Value& value(ValueId id) const { return values_[static_cast<size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes_[static_cast<size_t>(id)]; }
  const std::vector<ValueId>& outputs() const { return outputs_; }
  SymbolTable& symbols() const { return *symbols_; }
  const std::shared_ptr<SymbolTable>& shared_symbols() const { return symbols_; }
  bool is_constant(ValueId id) const { return id != kNoValue && value(id).is_constant; }
  bool is_input(ValueId id) const;
  /// Live nodes, producers before consumers, otherwise in order of id. Fails naming a value on a cycle.
  Result<std::vector<NodeId>> Order() const;
  /// The subgraphs of a node in attribute order.
  static std::vector<Graph*> Subgraphs(const Node& node);

  // Editing -----------------------------------------------------------------------------------------------------
  ValueId AddValue(std::string value_name, const Type& type = {});
  ValueId AddInput(std::string value_name, const Type& type);
  void AddInput(ValueId id);
  ValueId AddCapture(std::string value_name, const Type& type);
  ValueId AddConstant(std::string value_name, Tensor contents);
  void AddOutput(ValueId id);

  /// Adds a node; each output that is not kNoValue must have no producer yet (fails otherwise, as do ids out of range).
  Result<NodeId> AddNode(Node node);
  /// As above for a new node with fresh outputs: inputs, attributes, one output of `type`; returns that output.
  Result<ValueId> AddNode(std::string_view op, std::string_view domain, int version, std::vector<ValueId> node_inputs,
                          std::vector<Attribute> attributes, const Type& type, std::string_view name_hint);
  /// Makes `node` dead and removes its uses. Its outputs keep no producer.
  void RemoveNode(NodeId id);
  void SetInput(NodeId id, int index, ValueId value);
  void AddNodeInput(NodeId id, ValueId value);
  /// Adds a captured value to a node that has a subgraph (the caller adds the matching capture inside).
  void AddNodeCapture(NodeId id, ValueId value);
  void SetOutput(int index, ValueId value);
  /// Every use of `from` (graph outputs included) reads `to` instead.
  void ReplaceUses(ValueId from, ValueId to);
  void SetConstant(ValueId id, Tensor contents);  ///< the value must have no producer
  void ClearConstant(ValueId id);
  /// Lets a constant's contents go while it stays a constant of its type: its readers hold them in their own layout.
  void DropContents(ValueId id);
  void SetType(ValueId id, const Type& type) { values_[static_cast<size_t>(id)].type = type; }
  void Rename(ValueId id, std::string value_name) { values_[static_cast<size_t>(id)].name = std::move(value_name); }
  /// Attributes, name, op, domain and version may be edited freely; inputs, outputs and captures only through the calls above.
  Node& mutable_node(NodeId id) {
    ++edits_;
    return nodes_[static_cast<size_t>(id)];
  }
  /// Grows with every edit but SetType and Rename: equal before and after a pass, the pass changed nothing.
  uint64_t edits() const { return edits_; }
  /// A value name that no value has yet, starting with `hint`.
  std::string FreshName(std::string_view hint);

  /// A deep copy (tensors stay shared).
  Graph Clone() const;
  /// The graph without tombstones and without values nobody reads or makes, subgraphs too: ids become dense, nodes stand
  /// in topological order. Fails on a cycle.
  Result<Graph> Compacted() const;

 private:
  void AddUse(ValueId value, NodeId node, int32_t index);
  void DropUse(ValueId value, NodeId node, int32_t index);
  int32_t& UseSlot(const Use& use);

  std::shared_ptr<SymbolTable> symbols_;
  StableVector<Value> values_;   ///< references to values and nodes hold while others are added
  StableVector<Node> nodes_;
  std::vector<ValueId> outputs_;
  std::vector<int32_t> output_slots_;
  int64_t fresh_names_ = 0;
  uint64_t edits_ = 0;
};

/// A whole model: the root graph and what the file says about itself.
struct OnnxModel {
  Graph graph;
  ModelInfo info;
};

/// Structural limits on what a file may contain. `Hostile()` is the profile of the `untrusted` option.
struct GraphLimits {
  int64_t nodes = 1'000'000;         ///< after functions are expanded
  int64_t attributes_per_node = 256;
  int64_t graph_depth = 32;
  int64_t message_depth = 100;       ///< protobuf's own limit; 32 graphs fit into it
  int64_t functions = 10'000;
  int64_t name_bytes = 4096;
  int64_t file_bytes = int64_t{1} << 40;
  static GraphLimits Hostile() {
    GraphLimits limits;
    limits.file_bytes = int64_t{2} << 30;
    return limits;
  }
};

}  // namespace linnet
