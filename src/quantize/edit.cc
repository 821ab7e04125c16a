// Adding nodes and selecting them.
#include "quantize/edit.h"

#include <algorithm>

#include "passes/patterns.h"
#include "quantize/dynamic.h"

namespace linnet::quantize {
namespace {

bool Matches(const Graph& graph, const Node& node, const std::string& pattern) {
  if (node.name == pattern || node.op == pattern) return true;
  return std::any_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId id) { return id != kNoValue && graph.value(id).name == pattern; });
}

bool MatchesAny(const Graph& graph, const Node& node, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return Matches(graph, node, pattern); });
}

/// A node of the graph or of a body in it.
bool AnyMatches(const Graph& graph, const std::string& pattern) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (!graph.node(id).alive) continue;
    if (Matches(graph, graph.node(id), pattern)) return true;
    for (const Graph* inner : Graph::Subgraphs(graph.node(id))) {
      if (AnyMatches(*inner, pattern)) return true;
    }
  }
  return false;
}

}  // namespace

int OpsetOf(const OnnxModel& model) {
  for (const auto& [domain, version] : model.info.opsets) {
    if (domain.empty()) return static_cast<int>(version);
  }
  return 0;
}

std::string ShortName(const std::string& name) {
  constexpr size_t kBytesMax = 32;
  if (name.size() <= kBytesMax) return name;
  size_t begin = name.size() - kBytesMax;
  while (begin < name.size() && (static_cast<unsigned char>(name[begin]) & 0xc0) == 0x80) ++begin;  // whole characters
  return name.substr(begin);
}

Result<ValueId> Edit::Add(std::string_view op, std::vector<ValueId> inputs, std::vector<Attribute> attributes, const Type& type,
                          std::string_view hint) {
  LINNET_ASSIGN(ValueId out, graph_.AddNode(op, "", opset_, std::move(inputs), std::move(attributes), type, hint));
  graph_.mutable_node(graph_.value(out).producer).name = graph_.value(out).name;
  return out;
}

Status Edit::AddFor(std::string_view op, std::vector<ValueId> inputs, ValueId out, std::string name, std::vector<Attribute> attributes,
                    std::string_view domain) {
  Node node;
  node.op = std::string(op);
  node.domain = std::string(domain);
  node.version = domain.empty() ? opset_ : 1;
  node.name = std::move(name);
  node.inputs = std::move(inputs);
  node.outputs = {out};
  node.attributes = std::move(attributes);
  return graph_.AddNode(std::move(node)).TakeStatus();
}

const Tensor* Edit::FloatConstant(ValueId id) const {
  const Tensor* tensor = id == kNoValue ? nullptr : ConstantOf(graph_, id);
  return tensor && tensor->dtype() == DType::kFloat && tensor->has_data() && tensor->elements() > 0 ? tensor : nullptr;
}

Result<ValueId> Edit::Dequantized(std::string name, QuantizedTensor tensor) {
  name = ShortName(name);
  const Shape shape = tensor.integers.shape();
  std::vector<ValueId> inputs = {graph_.AddConstant(graph_.FreshName(name + "_quantized"), std::move(tensor.integers)),
                                 graph_.AddConstant(graph_.FreshName(name + "_scale"), tensor.params.ScaleTensor())};
  if (tensor.params.dtype != DType::kInt32) inputs.push_back(ZeroPoint(name, tensor.params));
  std::vector<Attribute> attributes;
  if (tensor.params.axis >= 0) attributes.push_back({"axis", static_cast<int64_t>(tensor.params.axis)});
  return Add("DequantizeLinear", std::move(inputs), std::move(attributes), Type::Tensor(DType::kFloat, shape), name + "_dequantized");
}

ValueId Edit::ZeroPoint(std::string_view name, const Params& params) {
  const bool zero = std::all_of(params.zeros.begin(), params.zeros.end(), [](int32_t z) { return z == 0; });
  if (!zero) return graph_.AddConstant(graph_.FreshName(Cat(name, "_zero")), params.ZeroTensor());
  const std::pair<DType, int64_t> key = {params.dtype, params.axis < 0 ? -1 : static_cast<int64_t>(params.zeros.size())};
  auto [place, is_new] = zeros_.try_emplace(key, kNoValue);
  if (is_new) place->second = graph_.AddConstant(graph_.FreshName("zero_point"), params.ZeroTensor());
  return place->second;
}

bool IsTable(const Graph& graph, const Node& node) {
  constexpr int64_t kElementsMin = 1024;
  if (!node.Is("Gather") || node.inputs.size() != 2) return false;
  const Tensor* table = ConstantOf(graph, node.inputs[0]);
  const Result<int64_t> axis = node.Int("axis", 0);
  return table && table->dtype() == DType::kFloat && table->has_data() && axis.ok() && *axis == 0 && table->shape().rank() == 2 &&
         table->elements() >= kElementsMin && graph.value(node.outputs[0]).type.shape.has_rank();
}

Result<bool> Edit::QuantizeTable(NodeId id, DType dtype, bool per_column, bool symmetric) {
  if (!IsTable(graph_, graph_.node(id))) return false;
  const std::vector<ValueId> inputs = graph_.node(id).inputs;
  const ValueId out = graph_.node(id).outputs[0];
  const Type type = graph_.value(out).type;
  per_column = per_column && scales_by_axis();
  LINNET_ASSIGN(QuantizedTensor whole, QuantizeWeights(graph_.value(inputs[0]).constant, per_column ? 1 : -1, dtype, symmetric));
  const std::string name = ShortName(graph_.value(inputs[0]).name), node_name = graph_.node(id).name;
  const ValueId integers = graph_.AddConstant(graph_.FreshName(name + "_quantized"), std::move(whole.integers));
  const ValueId scale = graph_.AddConstant(graph_.FreshName(name + "_scale"), whole.params.ScaleTensor());
  const ValueId zero = ZeroPoint(name, whole.params);
  LINNET_ASSIGN(ValueId rows, Add("Gather", {integers, inputs[1]}, {{"axis", int64_t{0}}}, Type::Tensor(dtype, type.shape), node_name + "_integer"));
  graph_.RemoveNode(id);
  std::vector<Attribute> attributes;
  if (per_column) attributes.push_back({"axis", static_cast<int64_t>(type.shape.rank() - 1)});
  LINNET_TRY(AddFor("DequantizeLinear", {rows, scale, zero}, out, node_name, std::move(attributes)));
  return true;
}

Status Selection::Check(const Graph& graph) const {
  for (const std::vector<std::string>* list : {&include, &exclude}) {
    for (const std::string& pattern : *list) {
      if (!AnyMatches(graph, pattern)) return InvalidArgument("no node, operator or value is called ", Quote(pattern));
    }
  }
  return Status();
}

bool Selection::Takes(const Graph& graph, const Node& node) const {
  return node.alive && (include.empty() || MatchesAny(graph, node, include)) && !MatchesAny(graph, node, exclude);
}

}  // namespace linnet::quantize
