// What operators that pool say to the kernels of pools.
#pragma once

#include "kernels/pool/pool.h"
#include "ops/window_helpers.h"

namespace linnet {

/// The most rows that windows of a linnet:ConvPool reach over, so that what strips hold, and finding out how much that is, stays small.
inline constexpr int64_t kConvPoolWindowMax = 1024;

/// Sizes and windows of up to three spatial dimensions; those that are missing are the leading ones.
inline void SetWindow(const Window& window, PoolArgs* args) {
  for (int i = 0; i < window.rank; ++i) {
    const WindowAxis& axis = window.axes[i];
    const int k = 3 - window.rank + i;
    args->in[k] = axis.in, args->out_dims[k] = axis.out, args->kernel[k] = axis.kernel, args->stride[k] = axis.stride;
    args->dilation[k] = axis.dilation, args->pad_begin[k] = axis.pad, args->pad_end[k] = axis.pad_end;
  }
}

}  // namespace linnet
