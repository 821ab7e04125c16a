// The constants of an 8-bit convolution with channels last: weights as its kernels read them, and what belongs to each of their columns.
#pragma once

#include <string.h>

#include <algorithm>

#include "kernels/int8/int8_conv.h"
#include "kernels/int8/int8_depthwise.h"
#include "ops/conv_helpers.h"
#include "ops/convert.h"
#include "ops/integer_product.h"

namespace linnet {

/// The weights as one convolution's kernels read them. Groups of fewer than 16 outputs, which would leave the rest of a panel empty, are
/// joined: each output reads the channels of `joined` groups, with zeros for those of others. It takes as many products, and every pixel
/// is gathered for them once.
struct ByteConvWeights {
  /// `join`: 1, or JoinedGroups.
  ByteConvWeights(const Shape& shape, int64_t all_groups, int64_t join)
      : out_c(shape[0]), joined(join), own_in(shape[1]), group_in(own_in * joined), groups(all_groups / joined), taps(shape.Product(2, shape.rank())),
        depthwise(IsDepthwise(shape, all_groups)), columns(depthwise ? RoundUp(out_c, kPanelColumns) : ConvColumns(out_c, groups)) {}
  static bool IsDepthwise(const Shape& shape, int64_t groups) { return shape[1] == 1 && shape[0] == groups; }
  static int64_t JoinedGroups(const Shape& shape, int64_t groups) {
    if (IsDepthwise(shape, groups)) return 1;
    int64_t most = std::clamp<int64_t>(kPanelColumns / std::max<int64_t>(shape[0] / groups, 1), 1, groups);
    while (groups % most != 0) --most;
    return most;
  }
  int64_t out_c, joined, own_in, group_in, groups, taps;
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
  int64_t temporary_bytes() const { return RoundUp(depthwise ? out_c * 4 : ordered_bytes() + (joined > 1 ? out_c * group_in * taps : 0), kAlignment); }
  /// `zeros`: of the weights as they are, one for all or one a channel; only depthwise and joined ones are packed with them.
  void Pack(const void* weights, DType dtype, const IntegerProduct::Columns& zeros, void* temporary, void* out) const {
    const bool is_signed = dtype == DType::kInt8;
    auto zero = [&](int64_t i) { return zeros.data ? static_cast<int32_t>(LoadInteger(zeros.dtype, zeros.data, zeros.count > 1 ? i : 0)) : 0; };
    if (!depthwise) {
      if (joined > 1) {
        uint8_t* wide = static_cast<uint8_t*>(temporary) + ordered_bytes();
        const int64_t own = own_in * taps, group_out = out_c / (groups * joined);
        for (int64_t i = 0; i < out_c; ++i) {
          uint8_t* row = wide + i * group_in * taps;
          memset(row, zero(i), static_cast<size_t>(group_in * taps));
          memcpy(row + i / group_out % joined * own, static_cast<const uint8_t*>(weights) + i * own, static_cast<size_t>(own));
        }
        weights = wide;
      }
      return PackConvInt8(weights, is_signed, out_c, group_in * groups, groups, taps, temporary, out);
    }
    int32_t* each = static_cast<int32_t*>(temporary);
    for (int64_t i = 0; i < out_c; ++i) each[i] = zero(i);
    PackDepthwiseInt8(weights, is_signed, each, out_c, taps, static_cast<int16_t*>(out));
  }
  /// Where channel i is in the arrays.
  int64_t ColumnOf(int64_t i) const {
    const int64_t group_out = out_c / groups;
    return depthwise ? i : i / group_out * (columns / groups) + i % group_out;
  }

  /// The sizes of a convolution of image `x`.
  void SetSizes(const Window& window, const Shape& x, ConvInt8* conv) const {
    const WindowAxis line;   // height of a 1-D image
    const WindowAxis& h = window.rank >= 2 ? window.axes[window.rank - 2] : line;
    const WindowAxis& v = window.axes[window.rank - 1];
    conv->batch = x[0], conv->in_c = x[x.rank() - 1], conv->out_c = out_c, conv->groups = groups;
    conv->in_h = window.rank >= 2 ? h.in : 1, conv->in_w = v.in;
    conv->out_h = window.rank >= 2 ? h.out : 1, conv->out_w = v.out;
    conv->kernel_h = h.kernel, conv->kernel_w = v.kernel, conv->stride_h = h.stride, conv->stride_w = v.stride;
    conv->dilation_h = h.dilation, conv->dilation_w = v.dilation, conv->pad_top = h.pad, conv->pad_left = v.pad;
  }

 private:
  int64_t ordered_bytes() const { return taps == 1 ? 0 : out_c / groups * group_in * taps; }
};

/// The same convolution, as depthwise kernels have it.
inline DepthwiseInt8 DepthwiseOf(const ConvInt8& conv) {
  DepthwiseInt8 d;
  d.input = conv.input, d.input_signed = conv.input_signed;
  d.input_zero = conv.input_signed ? static_cast<int8_t>(conv.input_zero) : conv.input_zero;
  d.batch = conv.batch, d.in_h = conv.in_h, d.in_w = conv.in_w, d.out_h = conv.out_h, d.out_w = conv.out_w;
  d.channels = conv.out_c;
  d.kernel_h = conv.kernel_h, d.kernel_w = conv.kernel_w, d.stride_h = conv.stride_h, d.stride_w = conv.stride_w;
  d.dilation_h = conv.dilation_h, d.dilation_w = conv.dilation_w, d.pad_top = conv.pad_top, d.pad_left = conv.pad_left;
  d.packed = static_cast<const int16_t*>(conv.packed);
  d.finish = conv.finish;
  return d;
}

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
