// Passes: graph → better graph. Each is one file; pipeline.cc is the recipe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "ops/registry.h"

namespace linnet {

/// What float32 products with constant weights are computed on.
enum class Precision : uint8_t {
  kFloat32,
  kBfloat16,   ///< operands rounded to bfloat16, sums in float32, where it pays (ops/precision.h)
  kFloat16,    ///< operands rounded to float16, products of 64 elements summed in it where the processor can
};

struct PassContext {
  const OpTable* table = nullptr;
  MemoryBudget* budget = nullptr;
  Precision precision = Precision::kFloat32;
};

/// One rewrite of a graph and its subgraphs. Runs until it changes nothing more on its own; keeps the graph valid.
struct Pass {
  const char* name;         ///< for --after=NAME and for switching it off
  const char* sentence;     ///< what it does
  Status (*run)(Graph& graph, const PassContext& context);
  int level;                ///< runs from this optimisation level on; 0 cannot be switched off
  bool plain = true;        ///< keeps to ONNX's operators and to versions the model may use; others end in a graph of our own
};

/// A pass that a user of the library brings; the graph is verified after it.
struct CustomPass {
  std::string name;
  Status (*run)(void* user, Graph& graph, const PassContext& context);
  void* user = nullptr;
};

enum OptimizationLevel : int {
  kOptimizeNothing = 0,     ///< lowering only
  kOptimizeBasic = 1,       ///< rewrites that do not change any rounding
  kOptimizeAll = 2,         ///< fusions and layouts
};

struct PipelineOptions {
  int level = kOptimizeAll;
  std::vector<std::string> disabled;                 ///< pass names
  std::string stop_after;                            ///< a pass name: the passes behind it are left out
  bool plain_onnx = false;                           ///< only passes that are `plain`: the graph can be written as ONNX
  std::vector<CustomPass> custom;                    ///< run after the built-in simplifications, before fusion
  void (*watch)(void* user, const Graph& graph) = nullptr;  ///< sees the graph with types, at first and after each pass
  void* watch_user = nullptr;
};

/// The built-in passes in the order they run.
const std::vector<Pass>& BuiltInPasses();

/// Runs the recipe; types of all values are inferred afterwards. Fails when an option names no pass.
Status RunPipeline(Graph& graph, const PassContext& context, const PipelineOptions& options);

/// Watches inference walk over one graph (not its subgraphs), node by node in order.
class InferVisitor {
 public:
  virtual ~InferVisitor() = default;
  /// Before `node` is inferred: may give it other inputs that are constants or inferred already. `facts` by value.
  virtual Status Before(NodeId node, const std::vector<Fact>& facts) = 0;
  /// When its outputs' types are known: may add constants and make later nodes read them instead.
  virtual Status After(NodeId node, const std::vector<Fact>& facts) = 0;
};

/// Sets the type of every value as far as it follows from the graph's inputs (symbols included), subgraphs too.
Status InferTypes(Graph& graph, const PassContext& context, InferVisitor* visitor = nullptr);

/// Calls `edit` for `graph` and, innermost first, for every subgraph below it.
template <class Edit>
Status ForEachGraph(Graph& graph, Edit&& edit) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (!graph.node(id).alive || graph.node(id).attributes.empty()) continue;
    for (Graph* inner : Graph::Subgraphs(graph.node(id))) LINNET_TRY(ForEachGraph(*inner, edit));
  }
  return edit(graph);
}

}  // namespace linnet
