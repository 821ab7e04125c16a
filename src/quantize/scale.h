// Scales and zero points: chosen from a range of real numbers or from weights, and numbers quantized by them.
#pragma once

#include <vector>

#include "graph/tensor.h"
#include "ops/quantize_helpers.h"

namespace linnet::quantize {

/// An interval of real numbers, both ends finite, low <= high.
struct Range {
  double low = 0, high = 0;
};

/// real = (integer - zero) * scale: one pair for a tensor (axis -1), or one for each index of `axis`.
struct Params {
  DType dtype = DType::kUint8;
  bool reduced = false;   ///< integers of 8 bits use 7 of them: -64 to 64, or 0 to 127
  int axis = -1;
  std::vector<float> scales;
  std::vector<int32_t> zeros;

  bool operator==(const Params&) const = default;
  /// ONNX's forms: a scalar, or a list along the axis.
  Tensor ScaleTensor() const;
  Tensor ZeroTensor() const;
  /// The integers that there are.
  IntegerRange Codes() const;
  /// The real numbers that pair `i` can express.
  Range Expressed(size_t i = 0) const;
};

/// The parameters for `range`, widened to contain 0, which is always exact. Symmetric: the zero point is 0 (128 and 32768
/// for the unsigned types) and the lowest code of signed types stays unused. An empty range (0, 0) gets scale 1. Scales are
/// positive normal floats, whatever the range. `dtype` has 4, 8 or 16 bits. Reduced: as Params has it; the zero point of symmetric
/// uint8 is 64.
Params ChooseParams(const Range& range, DType dtype, bool symmetric, bool reduced = false);

/// A weight as integers. `axis` -1: one scale for all. Fails where a weight is not finite. `x` holds floats.
struct QuantizedTensor {
  Tensor integers;
  Params params;
};
Result<QuantizedTensor> QuantizeWeights(const Tensor& x, int axis, DType dtype, bool symmetric, bool reduced = false);

/// round-half-even(x / scale) + zero, saturated, as QuantizeLinear has it.
Result<Tensor> QuantizeTensor(const Tensor& x, const Params& params);

/// Rounds some of the integers of a convolution's weights `x` the other way, so that the sum of each kernel's taps is off by half a step at
/// most: neighbouring pixels are alike, and what kernels make of an even picture is then the most exact. Those are that were nearest to
/// the middle between two integers.
void KeepKernelSums(const Tensor& x, QuantizedTensor* weights);

/// A float bias as int32 with zero point 0 and scale `input_scale * weights.scales[c]`. Where a bias would not fit into 30
/// bits, the weight's scale is raised first, so that it does: quantize the weights by `weights` afterwards.
void FitBias(const Tensor& bias, float input_scale, Params* weights);
Result<QuantizedTensor> QuantizeBias(const Tensor& bias, float input_scale, const Params& weights);

}  // namespace linnet::quantize
