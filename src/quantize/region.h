// The elementwise operators behind a convolution or matrix product that are computed before its result is rounded.
#pragma once

#include <vector>

#include "graph/graph.h"

namespace linnet::quantize {

/// What follows `made` by itself: nodes that work element by element on it, on each other and on constants (Relu, Sigmoid and
/// Mul of Swish, HardSwish ...), and the one value that leaves them. Without such nodes `exit` is `made`. Rounding `made`
/// itself would cost what the activation throws away: Swish keeps next to nothing of the negative half.
struct Region {
  std::vector<NodeId> nodes;
  ValueId exit = kNoValue;
};
Region RegionBehind(const Graph& graph, ValueId made);

}  // namespace linnet::quantize
