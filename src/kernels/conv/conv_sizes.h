// What every convolution of two spatial dimensions says of its sizes; one of one dimension has height 1.
#pragma once

#include <stdint.h>

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

}  // namespace linnet
