// The model-local functions of a file, and how many nodes their expansion would make.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "onnx/node_view.h"

namespace linnet::onnx {

/// A FunctionProto. Its nodes stay bytes: every call reads them anew.
struct Function {
  std::string_view name, domain, overload;
  std::vector<std::string_view> inputs, outputs, nodes;
  std::vector<std::string_view> defaults;  ///< AttributeProto messages of attributes that have a default
  Opsets opsets;
  int64_t nodes_expanded = 0;  ///< what one call becomes, at least 1
  int depth = 0;               ///< longest chain of calls below it, itself included
};

class FunctionTable {
 public:
  explicit FunctionTable(Context& context) : context_(context) {}

  Status Add(std::string_view message);
  bool empty() const { return functions_.empty(); }
  const Function* Find(const NodeView& node) const;

  /// Refuses functions that reach themselves, chains of calls that are too long, and a model whose `graph` would have
  /// more nodes than the limit. To be called once all are added and before anything is expanded.
  Status Check(std::string_view graph);

 private:
  /// What a list of nodes, with those in its subgraphs, consists of.
  struct Contents {
    int64_t nodes = 0;                       ///< that are not calls
    std::unordered_map<int, int64_t> calls;  ///< function index → number of calls
  };
  Status CountNode(std::string_view message, int64_t depth, Contents& contents);
  Status CountGraph(std::string_view message, int64_t depth, Contents& contents);
  int64_t Expanded(const Contents& contents) const;

  Context& context_;
  std::deque<Function> functions_;  // addresses stay
  std::unordered_map<std::string, int> index_;
};

}  // namespace linnet::onnx
