// What a graph consists of and what running it costs: operators, parameters, multiply-accumulates.
#pragma once

#include <map>
#include <span>
#include <string>

#include "graph/graph.h"

namespace linnet::cli {

struct GraphCounts {
  std::map<std::string, int64_t> operators;   ///< "Conv", "ai.onnx.ml:Scaler" → nodes, subgraphs included
  int64_t nodes = 0;
  int64_t parameters = 0;                     ///< elements of all constants; one that is shared counts once
  int64_t constant_bytes = 0;                 ///< of those whose contents are in the graph
};
GraphCounts Count(const Graph& graph);

struct MacCounts {
  double total = 0;
  std::map<std::string, double> by_op;
  int64_t unknown = 0;                        ///< matrix operators whose shapes are not known
  bool in_body = false;                       ///< some lie in a subgraph, which is counted as if it ran once
};
/// Multiply-accumulates of convolutions, matrix products, attention and recurrent operators of a graph with inferred types. Bias
/// and elementwise work are not counted, nor is padding subtracted.
MacCounts CountMacs(const Graph& graph);

/// The least that one step must do.
struct StepCost {
  double macs = 0;                            ///< where Winograd's tiles are taken, theirs
  double bytes = 0;                           ///< its inputs read and its outputs written, once each
  double weight_bytes = 0;                    ///< of those, constants
  double walked_bytes = 0, walks = 0;         ///< recurrent weights, and how often they are read after the first time
  bool of_bytes = false;                      ///< its multiply-adds are of 8-bit numbers
};
struct StepValue {
  const Type* type = nullptr;                 ///< null: missing
  bool constant = false;
};
/// From the shapes that a step of this node runs on. Operators that pick from their input are charged for what they pick.
StepCost CostOf(const Node& node, std::span<const StepValue> inputs, std::span<const StepValue> outputs);

}  // namespace linnet::cli
