// The ring of input rows of an 8-bit depthwise convolution: how many, how long, and how many channels of them at a time.
#pragma once

#include <algorithm>

#include "base/memory.h"
#include "kernels/depthwise_int8.h"

namespace linnet {

struct DepthwiseRing {
  explicit DepthwiseRing(const DepthwiseInt8& c)
      : rows((c.kernel_h - 1) * c.dilation_h + 1), pixels((c.out_w - 1) * c.stride_w + (c.kernel_w - 1) * c.dilation_w + 1) {
    constexpr int64_t kBytes = 24 << 10;   // most of a first-level cache
    const int64_t fit = kBytes / (rows * pixels * 2) / 8 * 8;
    width = std::min(std::max(fit, int64_t{16}), RoundUp(c.channels, 8));
    table_bytes = RoundUp((c.kernel_h * c.kernel_w + 1 + rows) * 8, int64_t{64});
  }
  int64_t rows, pixels, width, table_bytes;
};

}  // namespace linnet
