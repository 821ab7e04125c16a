// Graphs and nodes as they are lent to callbacks of the C API.
#pragma once

#include <deque>
#include <unordered_map>

#include "api/c_api.h"

/// A graph under a custom pass, for the length of its callback.
struct LinnetGraph {
  explicit LinnetGraph(linnet::Graph& graph) : graph(graph) {}
  LinnetNode* Lend(linnet::NodeId id);
  LinnetGraph* LendBody(linnet::Graph& body);

  linnet::Graph& graph;
  std::vector<linnet::NodeId> order;                      ///< as of the last LinnetGraphCounts
  std::unordered_map<linnet::NodeId, LinnetNode> nodes;   ///< addresses stay
  std::deque<LinnetGraph> bodies;
};

namespace linnet::api {

/// `body(node)` for a lent node.
template <class Body>
LinnetCode WithNode(const LinnetNode* node, Body&& body) noexcept {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(node);
    if (!node->node().alive) return InvalidArgument("the node was removed");
    return body(node->node());
  });
}

/// The same for a node that may be edited.
template <class Body>
LinnetCode EditNode(LinnetNode* node, Body&& body) noexcept {
  return WithNode(node, [&](const Node&) -> Status {
    if (!node->owner) return InvalidArgument("only passes may edit nodes");
    return body(node->owner->graph.mutable_node(node->id));
  });
}

/// A tensor of a graph as a value.
Status GiveTensor(const Tensor& tensor, LinnetValue** out);

}  // namespace linnet::api
