// What passes ask of QuantizeLinear and DequantizeLinear.
#pragma once

#include <optional>

#include "passes/patterns.h"

namespace linnet {

/// How a tensor of 8-bit integers (biases: 32 bits) stands for real numbers: real = scale (q - zero). Scales and zero
/// points are constants: one for the tensor, or one per index of `axis`.
struct Quantization {
  ValueId scale = kNoValue;
  ValueId zero = kNoValue;        ///< kNoValue: 0
  DType type = DType::kUndefined;
  std::vector<float> scales;
  std::vector<int64_t> zeros;     ///< as many as scales
  int64_t axis = 1;               ///< from the front where the rank is known

  bool per_tensor() const { return scales.size() == 1; }
  /// The same numbers, whatever the values are called.
  bool SameAs(const Quantization& other) const {
    return type == other.type && scales == other.scales && zeros == other.zeros && (per_tensor() || axis == other.axis);
  }
  /// saturate(round(real / scale) + zero) with the first scale, as QuantizeLinear computes it. `real` may be infinite.
  int64_t Stored(float real) const;
};

/// True for int8 and uint8.
bool IsByte(DType type);

/// A DequantizeLinear to float, without blocks, and what it reads.
struct Dequantized {
  const Node* node = nullptr;
  ValueId q = kNoValue;
  Quantization quantization;
};
/// The DequantizeLinear that makes `id`; nullopt when that is made otherwise.
std::optional<Dequantized> DequantizedFrom(const Graph& graph, ValueId id);

/// Of those, an operand of 8 bits with one scale,
std::optional<Dequantized> ByteOperand(const Graph& graph, ValueId id);
/// and a matrix or filter of 8 bits with one scale, or one per index of `axis`.
std::optional<Dequantized> ByteWeights(const Graph& graph, ValueId id, int64_t axis);

/// The real numbers of a constant bias of so many: floats, or 32-bit integers that a DequantizeLinear makes real with one scale, or one for each.
std::optional<std::vector<double>> RealBias(const Graph& graph, ValueId id, int64_t count);

/// What a QuantizeLinear of floats to 8 bits, one scale for the tensor, does; nullopt for others.
std::optional<Quantization> QuantizationBy(const Graph& graph, const Node& node);

/// What is left of numbers that a QuantizeLinear to 16 bits and the DequantizeLinear `node` behind it pass on: linnet:Steps of `x`.
struct Steps {
  ValueId x = kNoValue;
  float alpha = 1, beta = 0;
};
std::optional<Steps> StepsBy(const Graph& graph, const Node& node);

/// True when the graph itself, not its subgraphs, quantizes or dequantizes something.
bool HasQuantization(const Graph& graph);

/// The zero point as a value: made, with the shape of the scales, where it was left out.
Result<ValueId> ZeroPoint(Graph& graph, const Quantization& quantization);

/// Appends tensor, scale and zero point to the inputs of an operator on integers,
Status AppendOperand(Graph& graph, const Dequantized& from, Node* node);
/// or scale and zero point of its output.
Status AppendOutput(Graph& graph, const Quantization& y, Node* node);

}  // namespace linnet
