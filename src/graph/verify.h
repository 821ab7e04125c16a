// Verify: whether a graph keeps the rules that everything after reading relies on.
#pragma once

#include "graph/graph.h"

namespace linnet {

/// Checks, in `graph` and every subgraph: ids are in range; each value has at most one origin (producer, constant, input,
/// capture) and, when it is read, has one; use lists name exactly the places that read; a constant's type is that of its
/// contents; captures match their nodes' subgraphs one to one; there is no cycle; nesting stays within
/// `limits.graph_depth`. Linear in the size of the graph; the failure names the value and the nodes.
Status Verify(const Graph& graph, const GraphLimits& limits = {});

}  // namespace linnet
