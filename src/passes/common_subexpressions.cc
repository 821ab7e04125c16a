// common_subexpressions: nodes that compute the same thing from the same values become one.
#include <string.h>

#include <unordered_map>

#include "passes/passes.h"

namespace linnet {
namespace {

/// Bytes that are equal exactly when two nodes compute the same. Empty when the node must not be merged.
std::string KeyOf(const Node& node) {
  std::string key = Cat(node.domain, ":", node.op, "-", node.version, "(");
  for (ValueId input : node.inputs) key += Cat(input, ",");
  for (ValueId output : node.outputs) key += output == kNoValue ? "_" : "o";
  for (const Attribute& attribute : node.attributes) {
    key += Cat(";", attribute.name, "=", attribute.payload.index(), ":");
    auto raw = [&key](const void* data, size_t bytes) { key.append(static_cast<const char*>(data), bytes); };
    if (auto* i = std::get_if<int64_t>(&attribute.payload)) raw(i, sizeof *i);
    else if (auto* f = std::get_if<float>(&attribute.payload)) raw(f, sizeof *f);
    else if (auto* s = std::get_if<std::string>(&attribute.payload)) key += Cat(s->size(), ":", *s);
    else if (auto* is = std::get_if<std::vector<int64_t>>(&attribute.payload)) raw(is->data(), is->size() * sizeof(int64_t));
    else if (auto* fs = std::get_if<std::vector<float>>(&attribute.payload)) raw(fs->data(), fs->size() * sizeof(float));
    else if (auto* t = std::get_if<Tensor>(&attribute.payload)) {
      if (t->dtype() == DType::kString || t->bytes() > 1024) return "";
      key += ToString(t->type());
      raw(t->data(), static_cast<size_t>(t->bytes()));
    } else {
      return "";
    }
  }
  return key;
}

Status MergeIn(Graph& graph, const PassContext& context) {
  LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
  std::unordered_map<std::string, NodeId> seen;
  for (NodeId id : order) {
    const Node& node = graph.node(id);
    if (!node.captures.empty()) continue;
    LINNET_ASSIGN(const OpDef* def, context.table->Find(node.domain, node.op, node.version));
    if (def->random) continue;
    std::string key = KeyOf(node);
    if (key.empty()) continue;
    auto [at, is_new] = seen.emplace(std::move(key), id);
    if (is_new) continue;
    std::vector<ValueId> from = node.outputs, to = graph.node(at->second).outputs;
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i] != kNoValue) graph.ReplaceUses(from[i], to[i]);
    }
    graph.RemoveNode(id);
  }
  return Status();
}

}  // namespace

Status MergeCommonSubexpressions(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& g) { return MergeIn(g, context); });
}

}  // namespace linnet
