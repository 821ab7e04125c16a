// Choosing what is quantized.
#include "quantize/plan.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "passes/patterns.h"
#include "quantize/edit.h"
#include "quantize/region.h"

namespace linnet::quantize {
namespace {

struct RoleRow {
  const char* op;
  Role role;
};
constexpr RoleRow kRoles[] = {
    {"Conv", Role::kMatrix},       {"ConvTranspose", Role::kMatrix}, {"Gemm", Role::kMatrix},
    {"MatMul", Role::kMatrix},     {"Add", Role::kPair},             {"Mul", Role::kPair},
    {"Concat", Role::kConcat},     {"Relu", Role::kActivation},      {"Clip", Role::kActivation},
    {"MaxPool", Role::kMove},      {"Reshape", Role::kMove},         {"Transpose", Role::kMove},
    {"Flatten", Role::kMove},      {"Squeeze", Role::kMove},         {"Unsqueeze", Role::kMove},
    {"Slice", Role::kMove},        {"Split", Role::kMove},           {"Gather", Role::kMove},
    {"DepthToSpace", Role::kMove}, {"SpaceToDepth", Role::kMove},    {"Expand", Role::kMove},
    {"Tile", Role::kMove},         {"Pad", Role::kMove},             {"Identity", Role::kMove},
    {"Resize", Role::kMove},       {"AveragePool", Role::kUnary},    {"GlobalAveragePool", Role::kUnary},
    {"ReduceMean", Role::kUnary},  {"Sigmoid", Role::kUnary},        {"HardSigmoid", Role::kUnary},
    {"HardSwish", Role::kUnary},   {"LeakyRelu", Role::kUnary},      {"Softmax", Role::kUnary},
    {"LayerNormalization", Role::kUnary},
    {"LSTM", Role::kRecurrent},    {"GRU", Role::kRecurrent},        {"RNN", Role::kRecurrent},
};

bool IsFloatTensor(const Graph& graph, ValueId id) {
  return id != kNoValue && graph.value(id).type.is_tensor() && graph.value(id).type.dtype == DType::kFloat;
}

bool IsWeight(const Graph& graph, ValueId id) {
  const Tensor* tensor = ConstantOf(graph, id);
  return tensor && tensor->dtype() == DType::kFloat && tensor->has_data() && tensor->elements() > 0;
}

/// Padding with anything but zeros would need that number among the codes.
bool PadsWithCodes(const Graph& graph, const Node& node) {
  if (node.inputs.size() < 3 || node.inputs[2] == kNoValue) return true;
  std::optional<float> value = ScalarOf(graph, node.inputs[2]);
  return value && *value == 0;
}

bool Matches(const Graph& graph, const Node& node, const std::string& pattern) {
  if (node.name == pattern || node.op == pattern) return true;
  return std::any_of(node.outputs.begin(), node.outputs.end(),
                     [&](ValueId id) { return id != kNoValue && graph.value(id).name == pattern; });
}

/// By node: whether a node of `seeds` lies above it (or, `upwards`, below it).
std::vector<char> Reached(const Graph& graph, const std::vector<NodeId>& order, const std::vector<char>& seeds, bool upwards) {
  std::vector<char> reached(seeds.size(), 0);
  auto visit = [&](NodeId id) {
    const Node& node = graph.node(id);
    bool any = false;
    if (upwards) {
      for (ValueId out : node.outputs) {
        if (out == kNoValue) continue;
        for (const Use& use : graph.value(out).uses) {
          any = any || (use.node != kNoNode && (seeds[static_cast<size_t>(use.node)] || reached[static_cast<size_t>(use.node)]));
        }
      }
    } else {
      for (ValueId in : node.inputs) {
        const NodeId producer = in == kNoValue ? kNoNode : graph.value(in).producer;
        any = any || (producer != kNoNode && (seeds[static_cast<size_t>(producer)] || reached[static_cast<size_t>(producer)]));
      }
    }
    reached[static_cast<size_t>(id)] = any;
  };
  if (upwards) {
    for (auto id = order.rbegin(); id != order.rend(); ++id) visit(*id);
  } else {
    for (NodeId id : order) visit(id);
  }
  return reached;
}

}  // namespace

Role RoleOf(const Graph& graph, const Node& node) {
  if (!node.alive || !node.domain.empty() || node.inputs.empty() || node.outputs.empty()) return Role::kNone;
  const auto* row = std::find_if(std::begin(kRoles), std::end(kRoles), [&](const RoleRow& r) { return node.op == r.op; });
  if (row == std::end(kRoles)) return Role::kNone;
  for (ValueId out : node.outputs) {
    if (out != kNoValue && !IsFloatTensor(graph, out)) return Role::kNone;  // MaxPool's indices among others
  }
  if (!IsFloatTensor(graph, node.inputs[0])) return Role::kNone;
  switch (row->role) {
    case Role::kMatrix: {
      if (node.inputs.size() < 2 || !IsFloatTensor(graph, node.inputs[1])) return Role::kNone;
      if (node.op == "MatMul") return node.inputs[0] == node.inputs[1] ? Role::kNone : Role::kMatrix;
      if (!IsWeight(graph, node.inputs[1])) return Role::kNone;
      if (node.op != "Gemm") return Role::kMatrix;
      // alpha and beta are folded into constants; transA would have to be moved.
      Result<int64_t> transposed = node.Int("transA", 0);
      const bool bias = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
      return transposed.ok() && *transposed == 0 && (!bias || IsWeight(graph, node.inputs[2])) ? Role::kMatrix : Role::kNone;
    }
    case Role::kPair:
      if (node.inputs.size() != 2 || !IsFloatTensor(graph, node.inputs[1])) return Role::kNone;
      return graph.is_constant(node.inputs[0]) && graph.is_constant(node.inputs[1]) ? Role::kNone : Role::kPair;
    case Role::kMove:
      if (node.op == "Gather" && graph.is_constant(node.inputs[0])) return IsTable(graph, node) ? Role::kTable : Role::kNone;
      if (node.op == "Resize") {
        // What is interpolated between two numbers lies between them; cubics go beyond, and crops have a number of their own.
        Result<std::string> mode = node.String("mode", "nearest"), where = node.String("coordinate_transformation_mode", "half_pixel");
        return mode.ok() && where.ok() && *mode != "cubic" && *where != "tf_crop_and_resize" ? Role::kMove : Role::kUnary;
      }
      return node.op != "Pad" || PadsWithCodes(graph, node) ? Role::kMove : Role::kNone;
    case Role::kRecurrent: return node.inputs.size() > 2 && (IsWeight(graph, node.inputs[1]) || IsWeight(graph, node.inputs[2])) ? row->role : Role::kNone;
    default: return row->role;
  }
}

/// Every override names a node or a value, and asks for what can be.
static Status CheckOverrides(const Graph& graph, const StaticOptions& options) {
  for (const auto& [name, override] : options.overrides) {
    bool found = false;
    for (NodeId id = 0; id < graph.node_count(); ++id) found = found || (graph.node(id).alive && graph.node(id).name == name);
    for (ValueId id = 0; id < graph.value_count(); ++id) found = found || graph.value(id).name == name;
    if (!found) return InvalidArgument("no node or value is called ", Quote(name));
    if (override.type && DTypeBits(*override.type) != 8 && DTypeBits(*override.type) != 16) {
      return InvalidArgument("the override for ", Quote(name), " asks for ", DTypeName(*override.type), "; types have 8 or 16 bits");
    }
    if (override.range && !(override.range->low <= override.range->high && std::isfinite(override.range->low) && std::isfinite(override.range->high))) {
      return InvalidArgument("the override for ", Quote(name), " gives no range: two numbers, the lower first");
    }
  }
  return Status();
}

static bool Excluded(const Graph& graph, const Node& node, const StaticOptions& options) {
  auto asks = [&](const std::string& name) {
    const auto found = options.overrides.find(name);
    return found != options.overrides.end() && found->second.exclude;
  };
  return !options.overrides.empty() && (asks(node.name) || std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId out) {
    return out != kNoValue && asks(graph.value(out).name);
  }));
}

/// Why there is nothing: what there is instead.
static Status NothingToQuantize(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive || node.inputs.empty() || !node.domain.empty()) continue;
    const DType dtype = node.inputs[0] == kNoValue ? DType::kUndefined : graph.value(node.inputs[0]).type.dtype;
    const bool product = node.op == "Conv" || node.op == "ConvTranspose" || node.op == "Gemm" || node.op == "MatMul";
    if (product && dtype != DType::kFloat && IsFloating(dtype)) {
      return InvalidArgument("the model computes in ", DTypeName(dtype), " (", node.Label(graph), "); give the float32 model it was made from");
    }
  }
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (graph.node(id).alive && !Graph::Subgraphs(graph.node(id)).empty()) {
      return InvalidArgument("the model has no operator that static quantization could work on outside of ", graph.node(id).Label(graph),
                             ", whose body stays in float; --mode dynamic, weights, fp16 and bf16 reach into it");
    }
  }
  return InvalidArgument("the model has no operator that static quantization could work on");
}

Result<NodePrecisions> ChooseNodes(const Graph& graph, const StaticOptions& options) {
  LINNET_TRY(CheckOverrides(graph, options));
  LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
  const size_t count = static_cast<size_t>(graph.node_count());
  std::vector<char> used_include(options.include.size(), 0), used_exclude(options.exclude.size(), 0);
  std::vector<char> wanted(count, 0), matrix(count, 0), by_weights(count, 0);
  for (NodeId id : order) {
    const Node& node = graph.node(id);
    bool in = options.include.empty(), out = Excluded(graph, node, options);
    for (size_t i = 0; i < options.include.size(); ++i) {
      if (!Matches(graph, node, options.include[i])) continue;
      in = true;
      used_include[i] = 1;
    }
    for (size_t i = 0; i < options.exclude.size(); ++i) {
      if (!Matches(graph, node, options.exclude[i])) continue;
      out = true;
      used_exclude[i] = 1;
    }
    const Role role = RoleOf(graph, node);
    wanted[static_cast<size_t>(id)] = in && !out && role != Role::kNone;
    matrix[static_cast<size_t>(id)] = wanted[static_cast<size_t>(id)] && role == Role::kMatrix;
    by_weights[static_cast<size_t>(id)] = ByWeights(role);
  }
  for (size_t i = 0; i < used_include.size(); ++i) {
    if (!used_include[i]) return InvalidArgument("no node, operator or value is called ", Quote(options.include[i]));
  }
  for (size_t i = 0; i < used_exclude.size(); ++i) {
    if (!used_exclude[i]) return InvalidArgument("no node, operator or value is called ", Quote(options.exclude[i]));
  }
  const std::vector<char> below = Reached(graph, order, matrix, false), above = Reached(graph, order, matrix, true);
  NodePrecisions precisions(count, Precision::kFloat);
  const bool wide = DTypeBits(options.activations) == 16;
  int chosen = 0;
  for (NodeId id : order) {
    const size_t i = static_cast<size_t>(id);
    if (!wanted[i]) continue;
    if (!matrix[i] && !by_weights[i] && options.include.empty() && !(below[i] && above[i])) continue;
    precisions[i] = wide ? Precision::kInt16 : Precision::kInt8;
    ++chosen;
  }
  if (chosen == 0) return NothingToQuantize(graph);
  return precisions;
}

std::vector<ValueId> ActivationsOf(const Graph& graph, const Node& node) {
  switch (RoleOf(graph, node)) {
    case Role::kNone:
    case Role::kTable:
    case Role::kRecurrent: return {};
    case Role::kMatrix:
      if (node.op == "MatMul" && !IsWeight(graph, node.inputs[1])) return {node.inputs[0], node.inputs[1]};
      return {node.inputs[0]};
    case Role::kPair: return {node.inputs[0], node.inputs[1]};
    case Role::kConcat: return node.inputs;
    default: return {node.inputs[0]};
  }
}

std::vector<ValueId> ValuesToObserve(const Graph& graph, const NodePrecisions& nodes) {
  std::vector<char> seen(static_cast<size_t>(graph.value_count()), 0);
  std::vector<ValueId> values;
  auto add = [&](ValueId id) {
    if (id == kNoValue || graph.is_constant(id) || seen[static_cast<size_t>(id)]) return;
    seen[static_cast<size_t>(id)] = 1;
    values.push_back(id);
  };
  for (NodeId id = 0; id < static_cast<NodeId>(nodes.size()); ++id) {
    if (nodes[static_cast<size_t>(id)] == Precision::kFloat) continue;
    if (ByWeights(RoleOf(graph, graph.node(id)))) continue;
    for (ValueId in : ActivationsOf(graph, graph.node(id))) add(in);
    for (ValueId out : graph.node(id).outputs) add(out);
    if (RoleOf(graph, graph.node(id)) == Role::kMatrix) add(RegionBehind(graph, graph.node(id).outputs[0]).exit);
  }
  return values;
}

}  // namespace linnet::quantize
