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

/// How many taps of an output lie inside of the input, in the mean of all outputs along one axis.
inline double MeanTaps(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad) {
  int64_t inside = 0;
  for (int64_t tap = 0; tap < kernel; ++tap) {
    const int64_t before = pad - tap * dilation, last = in - 1 + before;
    const int64_t begin = before > 0 ? (before + stride - 1) / stride : 0, end = last < 0 ? 0 : std::min(out, last / stride + 1);
    inside += std::max<int64_t>(0, end - begin);
  }
  return out > 0 ? static_cast<double>(inside) / static_cast<double>(out) : 0;
}

}  // namespace linnet
