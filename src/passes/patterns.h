// Small questions that passes ask of a graph.
#pragma once

#include <math.h>

#include <optional>
#include <span>
#include <string_view>

#include "graph/graph.h"

namespace linnet {

/// The live node that produces `id`, or null.
inline const Node* Producer(const Graph& graph, ValueId id) {
  if (id == kNoValue || graph.value(id).producer == kNoNode) return nullptr;
  return &graph.node(graph.value(id).producer);
}

/// Input `i` of a node, kNoValue where it is left out or behind the last.
inline ValueId InputOf(const Node& node, size_t i) { return i < node.inputs.size() ? node.inputs[i] : kNoValue; }

/// True when exactly one place reads `id`, and that place is a node.
inline bool ReadOnce(const Graph& graph, ValueId id) {
  return graph.value(id).uses.size() == 1 && graph.value(id).uses[0].node != kNoNode;
}

/// The node that makes `id` for one reader alone, when it is an `op` of ONNX; null otherwise.
inline const Node* SoleProducer(const Graph& graph, ValueId id, std::string_view op) {
  const Node* node = Producer(graph, id);
  return node && node->Is(op) && ReadOnce(graph, id) ? node : nullptr;
}

/// The contents of a constant that no caller can replace, or null.
inline const Tensor* ConstantOf(const Graph& graph, ValueId id) {
  if (!graph.is_constant(id) || graph.is_input(id)) return nullptr;
  return &graph.value(id).constant;
}

/// The value of a constant with one element, as a float.
std::optional<float> ScalarOf(const Graph& graph, ValueId id);

/// The bounds of an ONNX Clip, infinities where there are none; nullopt where they are no constants.
struct ClipBounds {
  float low = -INFINITY, high = INFINITY;
};
std::optional<ClipBounds> ClipBoundsOf(const Graph& graph, const Node& node);

/// The elements of a constant int32 or int64 list.
std::optional<std::vector<int64_t>> IntsOf(const Graph& graph, ValueId id);

/// The four constant lists of a Slice with inputs, all as long, axes counted from 0: starts, ends, axes, steps; nullopt where one is no
/// constant, or the rank is not known.
struct SliceCuts {
  std::vector<int64_t> lists[4];
};
std::optional<SliceCuts> SliceCutsOf(const Graph& graph, const Node& node);

/// The attributes `axes` or input `index`, whichever the node's version has; nullopt when unknown or absent.
std::optional<std::vector<int64_t>> AxesOf(const Graph& graph, const Node& node, size_t index);

/// The node input other than `id` of a two-input node that reads `id`; kNoValue when there is none.
ValueId OtherInput(const Node& node, ValueId id);

/// True for operators that work element by element on one tensor, whatever its layout (further inputs are scalars or
/// parameters that stay as they are).
bool IsUnaryElementwise(const Node& node);
/// True for operators that broadcast two or more tensors element by element.
bool IsBroadcasting(const Node& node);

/// Replaces `node` by one that computes the same outputs: removes it, then adds `replacement` with its outputs.
Status ReplaceNode(Graph& graph, NodeId node, Node replacement);

}  // namespace linnet
