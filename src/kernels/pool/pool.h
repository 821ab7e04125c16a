// Max, average and Lp pooling of images with channels last: of floats, maxima of bytes too.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

enum class PoolKind : uint8_t {
  kMax,      ///< NaN when any element of the window is; -infinity, or the lowest byte, for a window of padding alone
  kAverage,  ///< 0 for a window of padding alone
  kLp,       ///< (sum |x|^p)^(1/p)
};

/// One window per output pixel, over [batch][depth][height][width][channels]. 2-D pooling has depth 1, 1-D
/// also height 1: the defaults below. Axis order in arrays: depth, height, width.
struct PoolArgs {
  const void* x = nullptr;
  void* out = nullptr;
  int64_t channels = 0;
  int64_t in[3] = {1, 1, 1};
  int64_t out_dims[3] = {1, 1, 1};
  int64_t kernel[3] = {1, 1, 1};
  int64_t stride[3] = {1, 1, 1};
  int64_t dilation[3] = {1, 1, 1};
  int64_t pad_begin[3] = {0, 0, 0};
  int64_t pad_end[3] = {0, 0, 0};  ///< only read with count_include_pad
  bool count_include_pad = false;  ///< average over taps inside the padded image instead of inside the image
  int64_t p = 2;                   ///< kLp: >= 1
};

/// Computes the output rows [begin, end) of batch * out_dims[0] * out_dims[1], each of out_dims[2] pixels.
/// Taps outside the image do not exist. x and out do not overlap. Dimensions >= 1, pads >= 0; sums are in
/// float in the order of taps. A global average is PickReduceColumns(Reduction::kMean) over the pixels
/// (kernels/reduce.h).
using PoolFn = void(const PoolArgs& args, int64_t begin, int64_t end);
PoolFn* PickPool(PoolKind kind, CpuLevel level);   ///< of floats; null for kMax

enum class PoolElement : uint8_t { kFloat, kUint8, kInt8 };
PoolFn* PickMaxPool(PoolElement element, CpuLevel level);

}  // namespace linnet
