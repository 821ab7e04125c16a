// Float32 weights of a convolution in the order the kernels read.
#pragma once

#include <string.h>

#include <algorithm>

#include "kernels/conv/conv.h"
#include "kernels/conv/depthwise.h"
#include "kernels/conv/winograd.h"
#include "ops/for_type.h"
#include "ops/packed_weights.h"
#include "ops/window_helpers.h"

namespace linnet {

/// Float32 weights cut into one matrix per tap of the spatial dimensions before the last two.
struct ConvWeights {
  ConvWeights(const Shape& shape, int64_t groups)
      : out_c(shape[0]), group_in(shape[1]), groups(groups), rank(shape.rank() - 2) {
    kernel_w = shape[rank + 1];
    kernel_h = rank >= 2 ? shape[rank] : 1;
    outer_taps = rank > 2 ? shape.Product(2, rank) : 1;
    depthwise = rank <= 2 && group_in == 1 && out_c == groups;
    matrix_floats = depthwise ? PackedDepthwiseSizeF32(out_c, kernel_h, kernel_w)
                              : PackedConvSizeF32(out_c, group_in * groups, groups, kernel_h, kernel_w);
  }
  int64_t out_c, group_in, groups, kernel_h, kernel_w, outer_taps, matrix_floats;
  int rank;
  bool depthwise;

  int64_t packed_bytes() const { return outer_taps * matrix_floats * 4; }
  /// Bytes that Pack needs besides.
  int64_t slice_bytes() const { return outer_taps == 1 ? 0 : out_c * group_in * kernel_h * kernel_w * 4; }
  void Pack(const float* weights, float* packed, float* slice) const {
    if (depthwise) return PackDepthwiseF32(weights, out_c, kernel_h, kernel_w, packed);
    int64_t pixels = kernel_h * kernel_w;
    for (int64_t tap = 0; tap < outer_taps; ++tap) {
      const float* from = weights;
      if (outer_taps > 1) {
        for (int64_t i = 0; i < out_c * group_in; ++i) {
          memcpy(slice + i * pixels, weights + (i * outer_taps + tap) * pixels, static_cast<size_t>(pixels) * 4);
        }
        from = slice;
      }
      PackConvF32(from, out_c, group_in * groups, groups, kernel_h, kernel_w, packed + tap * matrix_floats);
    }
  }
};

/// Whether a convolution can be computed by Winograd's tiles.
inline bool MayTile(const ConvWeights& weights, const WindowAttributes& window) {
  auto all_one = [](const std::vector<int64_t>& list) {
    return std::all_of(list.begin(), list.end(), [](int64_t x) { return x == 1; });
  };
  return weights.rank == 2 && weights.kernel_h == 3 && weights.kernel_w == 3 && weights.groups == 1 && all_one(window.strides);
}

/// How a convolution that may be computed so suits weights and output (channels last; its sizes may be unknown). Follows from these alone, so
/// that it is the same on every machine.
inline WinogradWay WayOf(const Shape& weights, const Shape& output, int64_t dilation_h, int64_t dilation_w) {
  ConvSizes c;
  c.in_c = weights[1], c.out_c = weights[0], c.dilation_h = dilation_h, c.dilation_w = dilation_w;
  auto size = [&](int axis) { return output.rank() == 4 ? output[axis] : kUnknownDim; };
  c.batch = size(0), c.out_h = size(1), c.out_w = size(2);
  return ChooseWinograd(c);
}

/// Element types of convolutions that are not done on packed panels; float32 for weights of no elements, which are not packed.
inline constexpr uint32_t kAnyWeights = kComputedWeights ? kAnyFloat : kAnyFloat & ~Mask(DType::kFloat);

inline bool HasZero(const Shape& shape) {
  for (int64_t dim : shape) {
    if (dim == 0) return true;
  }
  return false;
}

}  // namespace linnet
