// simplify: removes nodes that change nothing and merges neighbours that move data twice.
#include <algorithm>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

bool IsIdentityPermutation(const std::vector<int64_t>& perm) {
  for (size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

/// The permutation of a Transpose of a value of known rank; empty when it is not known or not valid.
std::vector<int64_t> PermutationOf(const Graph& graph, const Node& node) {
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  if (!shape.has_rank()) return {};
  Result<std::vector<int64_t>> perm = node.Ints("perm");
  if (!perm.ok()) return {};
  if (perm->empty()) {
    for (int i = shape.rank() - 1; i >= 0; --i) perm->push_back(i);
  }
  if (perm->size() != static_cast<size_t>(shape.rank())) return {};
  for (int64_t axis : *perm) {
    if (axis < 0 || axis >= shape.rank()) return {};
  }
  return std::move(*perm);
}

/// Takes `node` out: whoever read its first output reads `input`.
void Bypass(Graph& graph, NodeId node, ValueId input) {
  ValueId out = graph.node(node).outputs[0];
  graph.ReplaceUses(out, input);
  graph.RemoveNode(node);
}

/// A Slice of a Slice along other axes is one Slice.
Status MergeSlices(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const Node* before = Producer(graph, node.inputs[0]);
  if (!before || !before->Is("Slice")) return Status();
  std::optional<SliceCuts> second = SliceCutsOf(graph, node), all = SliceCutsOf(graph, *before);
  if (!second || !all) return Status();
  for (int64_t axis : second->lists[2]) {
    if (std::find(all->lists[2].begin(), all->lists[2].end(), axis) != all->lists[2].end()) return Status();
  }
  Node merged;
  merged.op = "Slice";
  merged.version = node.version;
  merged.name = node.name;
  merged.inputs = {before->inputs[0]};
  merged.outputs = node.outputs;
  for (size_t i = 0; i < 4; ++i) {
    std::vector<int64_t>& list = all->lists[i];
    list.insert(list.end(), second->lists[i].begin(), second->lists[i].end());
    merged.inputs.push_back(graph.AddConstant(graph.FreshName("cut"), Tensor::Ints(list)));
  }
  graph.RemoveNode(id);
  return graph.AddNode(std::move(merged)).TakeStatus();
}

Status SimplifyNode(Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (!node.domain.empty() || node.inputs.empty() || node.inputs[0] == kNoValue || node.outputs.empty() ||
      node.outputs[0] == kNoValue) {
    return Status();
  }
  ValueId input = node.inputs[0];
  const Type& type = graph.value(input).type;
  if (node.op == "Identity") {
    Bypass(graph, id, input);
  } else if (node.op == "Dropout") {
    bool mask = node.outputs.size() > 1 && node.outputs[1] != kNoValue && !graph.value(node.outputs[1]).uses.empty();
    bool inference = true;
    if (node.version >= 12 && node.inputs.size() > 2 && node.inputs[2] != kNoValue) {   // training_mode
      const Tensor* training = ConstantOf(graph, node.inputs[2]);
      inference = training && training->dtype() == DType::kBool && training->has_data() && training->elements() == 1 && *training->as<uint8_t>() == 0;
      inference = inference || ScalarOf(graph, InputOf(node, 1)) == 0.0f;   // as PyTorch exports a rate of 0
    }
    if (inference && node.version < 7) {
      LINNET_ASSIGN(int64_t is_test, node.Int("is_test", 0));
      inference = is_test != 0;
    }
    if (!mask && inference) Bypass(graph, id, input);
  } else if (node.op == "Cast") {
    LINNET_ASSIGN(int64_t to, node.version < 6 ? Result<int64_t>(int64_t{0}) : node.Int("to", 0));
    if (type.is_tensor() && type.dtype != DType::kUndefined && to == static_cast<int64_t>(type.dtype)) Bypass(graph, id, input);
  } else if (node.op == "Transpose") {
    std::vector<int64_t> perm = PermutationOf(graph, node);
    if (perm.empty()) return Status();
    if (IsIdentityPermutation(perm)) {
      Bypass(graph, id, input);
      return Status();
    }
    const Node* before = Producer(graph, input);
    if (!before || !before->Is("Transpose")) return Status();
    std::vector<int64_t> first = PermutationOf(graph, *before);
    if (first.size() != perm.size()) return Status();
    for (int64_t& axis : perm) axis = first[static_cast<size_t>(axis)];
    ValueId source = before->inputs[0];
    graph.SetInput(id, 0, source);
    graph.mutable_node(id).Set("perm", perm);
    if (IsIdentityPermutation(perm)) Bypass(graph, id, source);
  } else if (node.op == "Reshape" && node.inputs.size() == 2) {
    // The first of two Reshapes is undone by the second, unless the second copies dimensions (0) of its input.
    const Node* before = Producer(graph, input);
    std::optional<std::vector<int64_t>> shape = IntsOf(graph, node.inputs[1]);
    bool moves_only = before && before->domain.empty() && !before->inputs.empty() && before->inputs[0] != kNoValue &&
                      (before->op == "Reshape" || before->op == "Flatten" || before->op == "Squeeze" || before->op == "Unsqueeze");
    if (!moves_only || !shape) return Status();
    for (int64_t dim : *shape) {
      if (dim == 0) return Status();
    }
    graph.SetInput(id, 0, before->inputs[0]);
  } else if (node.op == "Slice") {
    return MergeSlices(graph, id);
  }
  return Status();
}

}  // namespace

Status Simplify(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [](Graph& g) -> Status {
    LINNET_ASSIGN(std::vector<NodeId> order, g.Order());
    for (NodeId id : order) {
      if (!g.node(id).alive) continue;
      if (Status status = SimplifyNode(g, id); !status.ok()) return std::move(status).At(g.node(id).Label(g));
    }
    return Status();
  });
}

}  // namespace linnet
