// Growing the region of elementwise nodes behind a value.
#include "quantize/region.h"

#include <algorithm>

#include "passes/patterns.h"

namespace linnet::quantize {
namespace {

constexpr const char* kElementwise[] = {"Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",
                                        "Elu",  "Gelu", "Mish",      "Swish",   "Softplus",    "Erf",  "Mul",  "Add", "Div"};
/// Gelu is five nodes, behind a bias.
constexpr size_t kNodesMax = 6;

bool Contains(const std::vector<ValueId>& values, ValueId id) { return std::find(values.begin(), values.end(), id) != values.end(); }

/// Whether `id` is a bias of the product that makes `made`: MatMul has none of its own.
bool IsBias(const Graph& graph, ValueId id, ValueId made) {
  const Node* product = Producer(graph, made);
  const Tensor *bias = ConstantOf(graph, id), *w = product && product->Is("MatMul") ? ConstantOf(graph, product->inputs[1]) : nullptr;
  return bias && w && w->shape().rank() == 2 && bias->shape().rank() == 1 && bias->elements() == w->shape()[1];
}

bool MayJoin(const Graph& graph, const Node& node, const std::vector<ValueId>& inside) {
  if (!node.domain.empty() || node.outputs.size() != 1 || !node.captures.empty()) return false;
  if (std::none_of(std::begin(kElementwise), std::end(kElementwise), [&](const char* op) { return node.op == op; })) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId in) {
    if (in == kNoValue || Contains(inside, in)) return true;
    // A constant that makes the result larger would be a broadcast, not an elementwise step.
    if (inside.size() == 1 && node.op == "Add" && IsBias(graph, in, inside[0])) return true;
    return graph.is_constant(in) && graph.value(in).constant.elements() == 1;
  });
}

}  // namespace

Region RegionBehind(const Graph& graph, ValueId made) {
  Region best{{}, made}, growing{{}, made};
  std::vector<ValueId> inside = {made};
  while (growing.nodes.size() < kNodesMax) {
    NodeId next = kNoNode;
    for (ValueId id : inside) {
      for (const Use& use : graph.value(id).uses) {
        if (use.node == kNoNode || !MayJoin(graph, graph.node(use.node), inside)) continue;
        if (std::find(growing.nodes.begin(), growing.nodes.end(), use.node) == growing.nodes.end()) next = use.node;
      }
    }
    if (next == kNoNode) break;
    growing.nodes.push_back(next);
    inside.push_back(graph.node(next).outputs[0]);
    // Whole when one value alone is read from outside.
    int exits = 0;
    for (ValueId id : inside) {
      const std::vector<Use>& uses = graph.value(id).uses;
      const bool leaves = uses.empty() || std::any_of(uses.begin(), uses.end(), [&](const Use& use) {
                            return use.node == kNoNode ||
                                   std::find(growing.nodes.begin(), growing.nodes.end(), use.node) == growing.nodes.end();
                          });
      if (!leaves) continue;
      ++exits;
      growing.exit = id;
    }
    if (exits == 1 && growing.exit != made) best = growing;
  }
  return best;
}

}  // namespace linnet::quantize
