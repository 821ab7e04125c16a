// Small questions that passes ask of a graph.
#include "passes/patterns.h"

namespace linnet {

std::optional<float> ScalarOf(const Graph& graph, ValueId id) {
  const Tensor* tensor = ConstantOf(graph, id);
  if (!tensor || !tensor->has_data() || tensor->elements() != 1) return std::nullopt;
  switch (tensor->dtype()) {
    case DType::kFloat: return *tensor->as<float>();
    case DType::kDouble: return static_cast<float>(*tensor->as<double>());
    case DType::kInt64: return static_cast<float>(*tensor->as<int64_t>());
    case DType::kInt32: return static_cast<float>(*tensor->as<int32_t>());
    case DType::kInt8: return *tensor->as<int8_t>();
    case DType::kUint8: return *tensor->as<uint8_t>();
    default: return std::nullopt;
  }
}

std::optional<ClipBounds> ClipBoundsOf(const Graph& graph, const Node& node) {
  ClipBounds bounds;
  if (node.version < 11) {
    Result<float> min = node.Float("min", bounds.low), max = node.Float("max", bounds.high);
    if (!min.ok() || !max.ok()) return std::nullopt;
    return ClipBounds{*min, *max};
  }
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    if (node.inputs[i] == kNoValue) continue;
    std::optional<float> bound = ScalarOf(graph, node.inputs[i]);
    if (!bound) return std::nullopt;
    (i == 1 ? bounds.low : bounds.high) = *bound;
  }
  return bounds;
}

std::optional<std::vector<int64_t>> IntsOf(const Graph& graph, ValueId id) {
  const Tensor* tensor = ConstantOf(graph, id);
  if (!tensor || tensor->shape().rank() > 1) return std::nullopt;
  std::vector<int64_t> out;
  for (int64_t i = 0; i < tensor->elements(); ++i) {
    if (tensor->dtype() == DType::kInt64) {
      out.push_back(tensor->as<int64_t>()[i]);
    } else if (tensor->dtype() == DType::kInt32) {
      out.push_back(tensor->as<int32_t>()[i]);
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::optional<SliceCuts> SliceCutsOf(const Graph& graph, const Node& node) {
  if (!node.Is("Slice") || node.version < 10 || node.inputs.size() < 3) return std::nullopt;
  SliceCuts cuts;
  for (size_t i = 0; i < 4; ++i) {
    const ValueId id = i + 1 < node.inputs.size() ? node.inputs[i + 1] : kNoValue;
    if (id != kNoValue) {
      std::optional<std::vector<int64_t>> list = IntsOf(graph, id);
      if (!list) return std::nullopt;
      cuts.lists[i] = std::move(*list);
    } else {
      for (size_t k = 0; k < cuts.lists[0].size(); ++k) cuts.lists[i].push_back(i == 2 ? static_cast<int64_t>(k) : 1);
    }
    if (cuts.lists[i].size() != cuts.lists[0].size()) return std::nullopt;
  }
  const int rank = graph.value(node.inputs[0]).type.shape.rank();
  for (int64_t& axis : cuts.lists[2]) {
    if (axis < 0) axis += rank;
    if (rank < 0 || axis < 0 || axis >= rank) return std::nullopt;
  }
  return cuts;
}

std::optional<std::vector<int64_t>> AxesOf(const Graph& graph, const Node& node, size_t index) {
  if (node.Has("axes")) {
    Result<std::vector<int64_t>> axes = node.Ints("axes");
    if (!axes.ok()) return std::nullopt;
    return std::move(*axes);
  }
  if (index < node.inputs.size() && node.inputs[index] != kNoValue) return IntsOf(graph, node.inputs[index]);
  return std::nullopt;
}

ValueId OtherInput(const Node& node, ValueId id) {
  if (node.inputs.size() != 2) return kNoValue;
  if (node.inputs[0] == id) return node.inputs[1];
  return node.inputs[1] == id ? node.inputs[0] : kNoValue;
}

namespace {

template <size_t n>
bool OneOf(const Node& node, const char* const (&names)[n]) {
  if (!node.domain.empty()) return false;
  for (const char* name : names) {
    if (node.op == name) return true;
  }
  return false;
}

}  // namespace

bool IsUnaryElementwise(const Node& node) {
  if (node.Is("LookupTable", "linnet") || node.Is("Steps", "linnet")) return true;
  static constexpr const char* kNames[] = {
      "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Clip", "Cos",
      "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN",
      "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign",
      "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu"};
  return OneOf(node, kNames);
}

bool IsBroadcasting(const Node& node) {
  static constexpr const char* kNames[] = {"Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal",
                                           "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min",
                                           "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"};
  // Before version 7 broadcasting was asked for by attributes and aligned at an axis.
  return OneOf(node, kNames) && !node.Has("axis") && !node.Has("broadcast");
}

Status ReplaceNode(Graph& graph, NodeId node, Node replacement) {
  graph.RemoveNode(node);
  return graph.AddNode(std::move(replacement)).TakeStatus();
}

}  // namespace linnet
