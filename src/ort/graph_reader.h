// A graph of a .ort file to Graph: names to value ids, outer values to captures.
#pragma once

#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ort/values.h"

namespace linnet::ort {

class GraphReader {
 public:
  /// Of `info` the IR version and the imported operators count.
  GraphReader(Context& context, const ModelInfo& info) : context_(context), info_(info) {}

  Status ReadRoot(const fbs::Graph& from, Graph& graph);

 private:
  struct Scope {
    Graph& graph;
    Scope* outer;                                      ///< around this subgraph; null for the root
    int64_t depth;                                     ///< the root has 1
    std::unordered_map<std::string_view, ValueId> names = {};
    std::vector<ValueId> captured = {};                ///< outer values, matching graph.captures
    std::unordered_set<ValueId> default_inputs = {};   ///< inputs with a default, which are no plain constants
  };
  using Types = std::unordered_map<std::string_view, const fbs::Type*>;

  Status ReadGraph(const fbs::Graph& from, Scope& scope);
  Status ReadInputsAndInitializers(const fbs::Graph& from, const Types& types, Scope& scope);
  Status DeclareOutputs(const fbs::Graph& from, Scope& scope);
  Status ReadNode(const fbs::Node& from, Scope& scope);
  Result<Attribute> ReadAttribute(const fbs::Attribute& from, Scope& scope, std::vector<ValueId>& captures);
  Result<Attribute::Payload> ReadPayload(const fbs::Attribute& from, Scope& scope, std::vector<ValueId>& captures);
  Result<std::shared_ptr<Graph>> ReadSubgraph(const fbs::Graph& from, Scope& scope, std::vector<ValueId>& captures);

  Result<ValueId> NewValue(std::string_view name, Scope& scope);
  /// The value a name means in `scope`, captured from outer graphs where needed.
  Result<ValueId> Resolve(std::string_view name, Scope& scope);

  Context& context_;
  const ModelInfo& info_;
  int64_t nodes_ = 0;
};

}  // namespace linnet::ort
