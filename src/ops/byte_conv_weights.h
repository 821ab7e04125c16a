// The constants of an 8-bit convolution with channels last: weights as its kernels read them, and what belongs to each of their columns.
#pragma once

#include <string.h>

#include "kernels/int8/int8_conv.h"
#include "kernels/int8/int8_depthwise.h"
#include "ops/conv_helpers.h"
#include "ops/convert.h"
#include "ops/integer_product.h"

namespace linnet {

/// The weights as one convolution's kernels read them.
struct ByteConvWeights {
  ByteConvWeights(const Shape& shape, int64_t groups)
      : out_c(shape[0]), group_in(shape[1]), groups(groups), taps(shape.Product(2, shape.rank())),
        depthwise(group_in == 1 && out_c == groups),
        columns(depthwise ? RoundUp(out_c, kPanelColumns) : ConvColumns(out_c, groups)) {}
  int64_t out_c, group_in, groups, taps;
  bool depthwise;
  int64_t columns;   ///< of the arrays of offsets and scales

  /// Fails when the packed size overflows.
  Result<int64_t> PackedBytes() const {
    int64_t bytes;
    if (!CheckedMul(group_in * taps + 8, columns + kPanelColumns * groups, &bytes) || bytes > kElementsMax) {
      return LimitReached("packing ", out_c, " x ", group_in, " x ", taps, " weights overflows");
    }
    return RoundUp(depthwise ? PackedDepthwiseSizeInt8(out_c, taps) * 2
                             : PackedConvSizeInt8(out_c, group_in * groups, groups, taps), kAlignment);
  }
  /// Room that Pack needs besides.
  int64_t temporary_bytes() const {
    return RoundUp(depthwise ? out_c * 4 : taps == 1 ? 0 : out_c / groups * group_in * taps, kAlignment);
  }
  /// `zeros`: of the weights as they are, one for all or one a channel; only depthwise weights are packed with them.
  void Pack(const void* weights, DType dtype, const IntegerProduct::Columns& zeros, void* temporary, void* out) const {
    const bool is_signed = dtype == DType::kInt8;
    if (!depthwise) return PackConvInt8(weights, is_signed, out_c, group_in * groups, groups, taps, temporary, out);
    int32_t* each = static_cast<int32_t*>(temporary);
    for (int64_t i = 0; i < out_c; ++i) {
      each[i] = zeros.data ? static_cast<int32_t>(LoadInteger(zeros.dtype, zeros.data, zeros.count > 1 ? i : 0)) : 0;
    }
    PackDepthwiseInt8(weights, is_signed, each, out_c, taps, static_cast<int16_t*>(out));
  }
  /// Where channel i is in the arrays.
  int64_t ColumnOf(int64_t i) const {
    const int64_t group_out = out_c / groups;
    return depthwise ? i : i / group_out * (columns / groups) + i % group_out;
  }
};

/// What does not depend on the image: a number for each column of the weights, and what depthwise kernels prepare.
struct ByteConvColumns {
  ByteConvColumns(const ByteConvWeights& weights, int64_t prepared_bytes)
      : step(RoundUp(weights.columns * 4, kAlignment)), bytes(kHead + 4 * step + prepared_bytes) {}

  bool& any_zero(std::byte* at) const { return *reinterpret_cast<bool*>(at); }   ///< whether a column has a zero point
  int32_t* zeros(std::byte* at) const { return reinterpret_cast<int32_t*>(at + kHead); }
  int32_t* offsets(std::byte* at) const { return reinterpret_cast<int32_t*>(at + kHead + step); }
  float* scales(std::byte* at) const { return reinterpret_cast<float*>(at + kHead + 2 * step); }
  float* biases(std::byte* at) const { return reinterpret_cast<float*>(at + kHead + 3 * step); }
  std::byte* prepared(std::byte* at) const { return at + kHead + 4 * step; }

  static constexpr int64_t kHead = kAlignment;
  int64_t step, bytes;
};

}  // namespace linnet
