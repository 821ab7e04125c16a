// The ring of input rows of an 8-bit depthwise convolution: how many, how long, and how many channels of them at a time.
#pragma once

#include <algorithm>

#include "base/memory.h"
#include "kernels/int8/int8_depthwise.h"

namespace linnet {

struct DepthwiseRing {
  explicit DepthwiseRing(const DepthwiseInt8& c)
      : rows((c.kernel_h - 1) * c.dilation_h + 1), pixels((c.out_w - 1) * c.stride_w + (c.kernel_w - 1) * c.dilation_w + 1) {
    constexpr int64_t kBytes = 24 << 10;     // most of a first-level cache
    constexpr double kPixelsMax = 1 << 19;   // of a ring that is worth it
    const int64_t channels = RoundUp(c.channels, 8), taps = c.kernel_h * c.kernel_w;
    if (static_cast<double>(rows) * static_cast<double>(pixels) > kPixelsMax) {
      rows = 0;
      copies = taps;
      width = std::min(channels, int64_t{64});
    } else {
      copies = rows * pixels;
      width = std::min(std::max(kBytes / (copies * 2) / 8 * 8, int64_t{16}), channels);
    }
    table_bytes = RoundUp((taps + 1 + rows) * 8, int64_t{64});
  }
  int64_t rows;        ///< 0: no ring, the taps of each pixel are copied
  int64_t pixels, width, table_bytes;
  int64_t copies = 0;  ///< pixels of scratch
};

}  // namespace linnet
