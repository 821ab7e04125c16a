// Lowers ONNX's image operators, which have channels first, to Linnet's, which have channels last.
//
//     y = Conv(x, w, b)    becomes    y = ToChannelsFirst(linnet:Conv(ToChannelsLast(x), w, b))
//
// Attributes, other inputs and the version stay as they are. The layout pass later moves the two transpositions and
// cancels most of them. Nodes whose image has no known rank are left alone; pools among them run as they are.
#include "passes/passes.h"

namespace linnet {
namespace {

struct Rule {
  const char* op;
  int rank_input;          ///< the rank of this input may stand in for that of the image; -1: none
  const char* rank_list;   ///< or the length of this attribute plus 2
  int rank_max = kMaxRank; ///< images of more dimensions stay as they are
};

constexpr Rule kRules[] = {
    {"AveragePool", -1, "kernel_shape"},
    {"Conv", 1, "kernel_shape"},
    {"ConvInteger", 1, "kernel_shape", 4},
    {"ConvTranspose", 1, "kernel_shape"},
    {"GlobalAveragePool", -1, nullptr},
    {"GlobalLpPool", -1, nullptr},
    {"GlobalMaxPool", -1, nullptr},
    {"LpPool", -1, "kernel_shape"},
    {"MaxPool", -1, "kernel_shape"},
    {"QLinearConv", 3, "kernel_shape", 4},
    {"Resize", -1, nullptr},
    {"Upsample", -1, nullptr},
};

const Rule* FindRule(const Node& node) {
  if (!node.domain.empty() && node.domain != "ai.onnx") return nullptr;
  for (const Rule& rule : kRules) {
    if (node.op == rule.op) return &rule;
  }
  return nullptr;
}

int RankOf(const Graph& graph, ValueId id) {
  if (id == kNoValue) return -1;
  const Type& type = graph.value(id).type;
  return type.is_tensor() ? type.shape.rank() : -1;
}

/// The rank of the node's image, or -1.
int ImageRank(const Graph& graph, const Node& node, const Rule& rule) {
  if (int rank = RankOf(graph, node.inputs[0]); rank >= 0) return rank;
  if (int rank = RankOf(graph, node.outputs[0]); rank >= 0) return rank;
  if (rule.rank_input >= 0 && static_cast<size_t>(rule.rank_input) < node.inputs.size()) {
    if (int rank = RankOf(graph, node.inputs[static_cast<size_t>(rule.rank_input)]); rank >= 0) return rank;
  }
  if (!rule.rank_list) return -1;
  Result<std::vector<int64_t>> list = node.Ints(rule.rank_list);
  return list.ok() && !list->empty() ? static_cast<int>(list->size()) + 2 : -1;
}

bool Applies(const Graph& graph, const Node& node, const Rule& rule) {
  if (node.inputs.empty() || node.outputs.empty() || node.inputs[0] == kNoValue || node.outputs[0] == kNoValue) return false;
  // MaxPool's Indices are positions in a channels-first tensor.
  for (size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != kNoValue && !graph.value(node.outputs[i]).uses.empty()) return false;
  }
  int rank = ImageRank(graph, node, rule);
  return rank >= 3 && rank <= rule.rank_max;
}

Type ChannelsLast(const Type& type) {
  Type out = type;
  int rank = type.shape.rank();
  if (!type.is_tensor() || rank < 3) return out;
  for (int i = 2; i < rank; ++i) out.shape[i - 1] = type.shape[i];
  out.shape[rank - 1] = type.shape[1];
  return out;
}

Status Lower(Graph& graph, NodeId id, std::vector<ValueId>* lasts) {
  Node node = graph.node(id);
  const ValueId x = node.inputs[0], y = node.outputs[0];
  graph.RemoveNode(id);

  if (lasts->size() <= static_cast<size_t>(x)) lasts->resize(static_cast<size_t>(x) + 1, kNoValue);
  ValueId& last = (*lasts)[static_cast<size_t>(x)];
  if (last == kNoValue) {
    std::string hint = graph.value(x).name;
    LINNET_ASSIGN(last, graph.AddNode("ToChannelsLast", "linnet", 1, {x}, {}, ChannelsLast(graph.value(x).type), hint));
  }

  Node inner;
  inner.name = std::move(node.name);
  inner.domain = "linnet";
  inner.op = std::move(node.op);
  inner.version = node.version;
  inner.attributes = std::move(node.attributes);
  inner.inputs = std::move(node.inputs);
  inner.inputs[0] = last;
  const ValueId result = graph.AddValue(graph.FreshName(graph.value(y).name), ChannelsLast(graph.value(y).type));
  inner.outputs = {result};
  LINNET_TRY(graph.AddNode(std::move(inner)).TakeStatus());

  Node back;
  back.domain = "linnet";
  back.op = "ToChannelsFirst";
  back.version = 1;
  back.inputs = {result};
  back.outputs = {y};
  return graph.AddNode(std::move(back)).TakeStatus();
}

}  // namespace

Status Resolve(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, [](Graph& each) -> Status {
    std::vector<ValueId> lasts;   // by value: itself with channels last
    const int count = each.node_count();
    for (NodeId id = 0; id < count; ++id) {
      const Node& node = each.node(id);
      const Rule* rule = node.alive ? FindRule(node) : nullptr;
      if (rule && Applies(each, node, *rule)) LINNET_TRY(Lower(each, id, &lasts));
    }
    return Status();
  });
}

}  // namespace linnet
