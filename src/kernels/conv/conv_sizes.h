// What every convolution of two spatial dimensions says of its sizes; one of one dimension has height 1.
#pragma once

#include <stdint.h>

#include <algorithm>

namespace linnet {

/// Sizes, kernel, strides, dilations and groups are >= 1 and below 2^30; pads are below it and may be negative. out_h and out_w
/// need not agree with the rest.
struct ConvSizes {
  int64_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  int64_t out_h = 1, out_w = 1, out_c = 1;
  int64_t groups = 1;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;

  int64_t pixels() const { return batch * out_h * out_w; }
  /// Whether an output pixel is made of the input pixel at its place alone.
  bool pointwise() const {
    return kernel_h == 1 && kernel_w == 1 && stride_h == 1 && stride_w == 1 && groups == 1 && pad_top == 0 && pad_left == 0 &&
           out_h == in_h && out_w == in_w;
  }
};

/// What one axis of a convolution says of its taps.
struct ConvAxis {
  int64_t in, out, kernel, stride, dilation, pad;

  /// The outputs for which a tap lies inside of the input: [begin, end).
  int64_t begin(int64_t tap) const {
    const int64_t before = pad - tap * dilation;
    return before > 0 ? std::min(out, (before + stride - 1) / stride) : 0;
  }
  int64_t end(int64_t tap) const {
    const int64_t last = in - 1 + pad - tap * dilation;   // that an output's first tap may be at
    return std::max(begin(tap), last < 0 ? 0 : std::min(out, last / stride + 1));
  }
  /// How many taps of an output lie inside, in the mean of all outputs.
  double mean_taps() const {
    int64_t inside = 0;
    for (int64_t tap = 0; tap < kernel; ++tap) inside += end(tap) - begin(tap);
    return out > 0 ? static_cast<double>(inside) / static_cast<double>(out) : 0;
  }
  /// A tap that lies inside for all outputs, or -1.
  int64_t whole_tap() const {
    for (int64_t tap = 0; tap < kernel; ++tap) {
      if (begin(tap) == 0 && end(tap) == out) return tap;
    }
    return -1;
  }
};

}  // namespace linnet
