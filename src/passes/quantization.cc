// Reading QuantizeLinear and DequantizeLinear nodes.
#include "passes/quantization.h"

#include <cmath>

#include "ops/convert.h"

namespace linnet {
namespace {

/// Fills scales and zeros from inputs 1 and 2 of `node`; false when they are not known, or not usable.
bool ReadParameters(const Graph& graph, const Node& node, DType type, Quantization* out) {
  const Tensor* scale = node.inputs.size() > 1 ? ConstantOf(graph, node.inputs[1]) : nullptr;
  if (!scale || !scale->has_data() || scale->dtype() != DType::kFloat || scale->shape().rank() > 1 || scale->elements() < 1) return false;
  out->scale = node.inputs[1];
  out->type = type;
  out->scales.assign(scale->as<float>(), scale->as<float>() + scale->elements());
  for (float s : out->scales) {
    if (!(s > 0) || !std::isfinite(s)) return false;
  }
  out->zeros.assign(out->scales.size(), 0);
  if (node.inputs.size() > 2 && node.inputs[2] != kNoValue) {
    const Tensor* zero = ConstantOf(graph, node.inputs[2]);
    if (!zero || !zero->has_data() || zero->dtype() != type || zero->elements() != scale->elements()) return false;
    out->zero = node.inputs[2];
    for (size_t i = 0; i < out->zeros.size(); ++i) out->zeros[i] = LoadInteger(type, zero->data(), static_cast<int64_t>(i));
  }
  Result<int64_t> axis = node.Int("axis", 1), block = node.Int("block_size", 0);
  if (!axis.ok() || !block.ok() || *block != 0) return false;
  const int rank = graph.value(node.inputs[0]).type.shape.rank();
  out->axis = *axis < 0 && rank >= 0 ? *axis + rank : *axis;
  return true;
}

}  // namespace

bool IsByte(DType type) { return type == DType::kInt8 || type == DType::kUint8; }

int64_t Quantization::Stored(float real) const {
  const int64_t low = type == DType::kInt8 ? -128 : 0, high = type == DType::kInt8 ? 127 : 255;
  const float v = std::nearbyint(real / scales[0]) + static_cast<float>(zeros[0]);
  return v >= static_cast<float>(high) ? high : v > static_cast<float>(low) ? static_cast<int64_t>(v) : low;
}

std::optional<Dequantized> DequantizedFrom(const Graph& graph, ValueId id) {
  const Node* node = Producer(graph, id);
  if (!node || !node->Is("DequantizeLinear") || node->inputs.size() < 2 || node->inputs[0] == kNoValue) return std::nullopt;
  Dequantized out;
  out.node = node;
  out.q = node->inputs[0];
  const DType type = graph.value(out.q).type.dtype;
  if (!IsByte(type) && type != DType::kInt32) return std::nullopt;
  Result<int64_t> output = node->Int("output_dtype", 0);
  if (!output.ok() || (*output != 0 && *output != static_cast<int64_t>(DType::kFloat))) return std::nullopt;
  if (!ReadParameters(graph, *node, type, &out.quantization)) return std::nullopt;
  return out;
}

std::optional<Dequantized> ByteOperand(const Graph& graph, ValueId id) {
  std::optional<Dequantized> from = id == kNoValue ? std::nullopt : DequantizedFrom(graph, id);
  return from && IsByte(from->quantization.type) && from->quantization.per_tensor() ? from : std::nullopt;
}

std::optional<Dequantized> ByteWeights(const Graph& graph, ValueId id, int64_t axis) {
  std::optional<Dequantized> from = id == kNoValue ? std::nullopt : DequantizedFrom(graph, id);
  if (!from || !IsByte(from->quantization.type)) return std::nullopt;
  const Shape& shape = graph.value(from->q).type.shape;
  if (shape.is_static() && shape.elements() == 0) return std::nullopt;   // products of nothing are not worth kernels
  return from->quantization.per_tensor() || from->quantization.axis == axis ? from : std::nullopt;
}

std::optional<std::vector<double>> RealBias(const Graph& graph, ValueId id, int64_t count) {
  const std::optional<Dequantized> from = DequantizedFrom(graph, id);
  const Tensor* tensor = ConstantOf(graph, from ? from->q : id);
  if (!tensor || !tensor->has_data() || tensor->elements() != count) return std::nullopt;
  if (!from) {
    if (tensor->dtype() != DType::kFloat) return std::nullopt;
    return std::vector<double>(tensor->as<float>(), tensor->as<float>() + count);
  }
  const Quantization& q = from->quantization;
  if (q.type != DType::kInt32 || (!q.per_tensor() && q.scales.size() != static_cast<size_t>(count))) return std::nullopt;
  std::vector<double> real;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const size_t at = q.per_tensor() ? 0 : i;
    real.push_back(static_cast<double>(tensor->as<int32_t>()[i] - q.zeros[at]) * q.scales[at]);
  }
  return real;
}

std::optional<Quantization> QuantizationBy(const Graph& graph, const Node& node) {
  if (!node.Is("QuantizeLinear") || node.inputs.size() < 2 || node.inputs[0] == kNoValue || node.outputs.size() != 1) return std::nullopt;
  const Type& from = graph.value(node.inputs[0]).type;
  const DType type = graph.value(node.outputs[0]).type.dtype;
  if (!from.is_tensor() || from.dtype != DType::kFloat || !IsByte(type)) return std::nullopt;
  Result<int64_t> precision = node.Int("precision", 0);
  if (!precision.ok() || (*precision != 0 && *precision != static_cast<int64_t>(DType::kFloat))) return std::nullopt;
  Quantization out;
  if (!ReadParameters(graph, node, type, &out) || !out.per_tensor()) return std::nullopt;
  return out;
}

std::optional<Steps> StepsBy(const Graph& graph, const Node& node) {
  const Node* quantize = node.Is("DequantizeLinear") && node.inputs.size() > 1 ? Producer(graph, node.inputs[0]) : nullptr;
  if (!quantize || !quantize->Is("QuantizeLinear") || quantize->inputs.size() < 2) return std::nullopt;
  const Type& x = graph.value(quantize->inputs[0]).type;
  const DType type = graph.value(node.inputs[0]).type.dtype;
  if (!x.is_tensor() || x.dtype != DType::kFloat || (type != DType::kInt16 && type != DType::kUint16)) return std::nullopt;
  Result<int64_t> precision = quantize->Int("precision", 0), output = node.Int("output_dtype", 0);
  if (!precision.ok() || (*precision != 0 && *precision != static_cast<int64_t>(DType::kFloat))) return std::nullopt;
  if (!output.ok() || (*output != 0 && *output != static_cast<int64_t>(DType::kFloat))) return std::nullopt;
  Quantization to, from;
  if (!ReadParameters(graph, *quantize, type, &to) || !ReadParameters(graph, node, type, &from)) return std::nullopt;
  if (!to.per_tensor() || !to.SameAs(from)) return std::nullopt;
  return Steps{quantize->inputs[0], to.scales[0], static_cast<float>((type == DType::kInt16 ? -32768 : 0) - to.zeros[0])};
}

bool HasQuantization(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    if (graph.node(id).Is("QuantizeLinear") || graph.node(id).Is("DequantizeLinear")) return true;
  }
  return false;
}

Result<ValueId> ZeroPoint(Graph& graph, const Quantization& quantization) {
  if (quantization.zero != kNoValue) return quantization.zero;
  const Tensor& scale = graph.value(quantization.scale).constant;
  LINNET_ASSIGN(Tensor zeros, Tensor::Allocate(quantization.type, scale.shape()));
  memset(zeros.mutable_data(), 0, static_cast<size_t>(zeros.bytes()));
  return graph.AddConstant(graph.FreshName("zero_point"), std::move(zeros));
}

Status AppendOperand(Graph& graph, const Dequantized& from, Node* node) {
  node->inputs.push_back(from.q);
  return AppendOutput(graph, from.quantization, node);
}

Status AppendOutput(Graph& graph, const Quantization& y, Node* node) {
  LINNET_ASSIGN(ValueId zero, ZeroPoint(graph, y));
  node->inputs.push_back(y.scale);
  node->inputs.push_back(zero);
  return Status();
}

}  // namespace linnet
