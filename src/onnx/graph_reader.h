// GraphProto to Graph: names to value ids, outer values to captures, calls of functions to their bodies.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "onnx/functions.h"
#include "onnx/tensor_reader.h"
#include "onnx/type_reader.h"

namespace linnet::onnx {

/// Gives input `id` a default, whose type says what the declared one leaves open; fails when they differ.
Status SetDefault(Graph& graph, ValueId id, Tensor contents);

class GraphReader {
 public:
  GraphReader(Context& context, int64_t ir_version, const Opsets& opsets, const FunctionTable& functions)
      : context_(context), ir_version_(ir_version), opsets_(opsets), functions_(functions) {}

  Status ReadRoot(std::string_view message, Graph& graph);

 private:
  struct Scope;

  /// An attribute given to a call: its message, and the scope its own references and graphs belong to.
  struct Argument {
    std::string_view message;
    Scope* scope;
  };
  /// One call being expanded.
  struct Frame {
    const Function* function;
    std::string prefix;  ///< of the names of values inside
    std::unordered_map<std::string_view, Argument> attributes;
  };
  struct Named {
    ValueId id = kNoValue;
    bool awaited = false;  ///< an output of a function that its body has yet to produce
  };
  /// The names visible in a graph or a function body. A body's values live in the graph of the call, but its names are
  /// its own, and it sees none outside.
  struct Scope {
    Graph& graph;
    Scope* outer;        ///< the scope around this subgraph; null for the root graph and function bodies
    const Frame* frame;  ///< the call this is part of, or null
    int64_t depth;       ///< of the graph; the root has 1
    Scope* home;         ///< the scope of the graph itself
    std::unordered_map<std::string_view, Named> names = {};
    std::vector<ValueId> captured = {};  ///< outer values, matching graph.captures
    std::unordered_set<ValueId> default_inputs = {};  ///< of home: inputs with a default, which are no plain constants
    std::unordered_set<std::string> made_names = {};  ///< of home: names of values from function bodies
    int64_t next_name = 0;

    bool is_body() const { return home != this; }
  };
  /// The parts of a GraphProto, which come in any order.
  struct GraphView {
    std::string_view name;
    std::vector<std::string_view> nodes, initializers, sparse_initializers, inputs, outputs, value_infos;
  };
  /// An AttributeProto before its meaning is known.
  struct AttributeView;

  Status ReadGraph(std::string_view message, Scope& scope);
  GraphView ReadGraphView(std::string_view message);
  Status ReadInputsAndInitializers(const GraphView& view, Scope& scope);
  Status ReadTypes(const std::vector<std::string_view>& value_infos, Scope& scope);
  Status ReadOutputs(const GraphView& view, Scope& scope);

  /// Makes a value of every node's outputs, and constants of Constant nodes.
  Status DeclareOutputs(const std::vector<std::string_view>& nodes, Scope& scope);
  Status ReadNodes(const std::vector<std::string_view>& nodes, Scope& scope);
  Status ReadNode(const NodeView& node, Scope& scope);
  Status DoubledName(std::string_view name, const NodeView& node, const std::vector<std::string_view>& nodes,
                     const Scope& scope);
  Result<Tensor> ConstantContents(const NodeView& node, Scope& scope);
  Status Expand(const NodeView& node, const Function& function, Scope& scope);
  Status PassAttributes(const NodeView& node, const Function& function, Scope& scope, Scope& body, Frame& frame);

  /// The value a name means in `scope`, captured from outer graphs where needed. kNoValue for an input that a call
  /// of a function leaves out.
  Result<ValueId> Resolve(std::string_view name, Scope& scope);
  Result<int> Version(std::string_view domain, const Scope& scope) const;
  Result<ValueId> NewValue(std::string_view name, Scope& scope);
  bool IsConstantNode(const NodeView& node) const {
    return node.op == "Constant" && node.domain.empty() && !functions_.Find(node);
  }

  /// Reads an attribute as part of a node in `scope`; captures of its graphs are appended to `captures`. An attribute
  /// without a payload (monostate) refers to one its call does not give.
  Result<Attribute> ReadAttribute(std::string_view message, Scope& scope, std::vector<ValueId>& captures);
  AttributeView ReadAttributeView(std::string_view message);
  Result<Attribute::Payload> MakePayload(const AttributeView& view, Scope& scope, std::vector<ValueId>& captures);
  Result<Tensor> ReadAttributeTensor(std::string_view message, bool sparse, const Scope& scope);
  Result<std::shared_ptr<Graph>> ReadSubgraph(std::string_view message, Scope& scope, std::vector<ValueId>& captures);

  Context& context_;
  const int64_t ir_version_;
  const Opsets& opsets_;
  const FunctionTable& functions_;
  int64_t nodes_ = 0;
};

}  // namespace linnet::onnx
