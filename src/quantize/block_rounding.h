// Blocks of weights as integers of few bits: the scale and zero point of each, chosen without data.
#pragma once

#include <stdint.h>

#include "base/dtype.h"

namespace linnet::quantize {

enum class BlockRounding : uint8_t {
  kExtremes,       ///< the extremes of the block are the ends of the codes
  kSquares,        ///< the range is shrunk and the scale fitted by least squares, whatever leaves the least squared error
  kHalfQuadratic,  ///< Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", 2023
};

/// weight = (code - zero) scale. Of signed types the zero is 0; of unsigned ones a code, or with real zero points any number.
struct Block {
  float scale = 1;
  float zero = 0;
};

/// `values` are finite, `count` of them `stride` apart; `dtype` is one of kInt4, kUint4, kInt8, kUint8. Squares are never worse than the
/// extremes in squared error, half-quadratic is never worse in the sum of |error|^0.7, which forgives outliers.
Block FitBlock(const float* values, int64_t count, int64_t stride, DType dtype, BlockRounding rounding, bool real_zero = false);

/// The code of a value: rounded, saturated.
int64_t CodeOf(float value, const Block& block, DType dtype);

}  // namespace linnet::quantize
