// Windows that slide over images: where each output's taps are.
#pragma once

#include "providers/reference/call.h"

namespace linnet::reference {

/// One spatial axis. Output o sees inputs o * stride - pad + t * dilation, 0 <= t < kernel.
struct WindowAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0, pad_end = 0;
};

/// The spatial axes of images [N, C, D1, D2, ...].
struct Window {
  std::vector<WindowAxis> axes;

  /// From attributes kernel_shape (or `kernel`, the shape of weights [M, C, k1, k2, ...]), strides, dilations, pads, auto_pad
  /// and ceil_mode.
  static Window Of(const Call& c, const Shape& image, const Shape* kernel);

  Shape in() const { return Sizes(&WindowAxis::in); }
  Shape out() const { return Sizes(&WindowAxis::out); }
  Shape kernel() const { return Sizes(&WindowAxis::kernel); }
  /// [batch, channels, output sizes ...]
  Shape Output(int64_t batch, int64_t channels) const;

  struct Tap {
    int64_t kernel, in;   ///< offsets within the kernel and within one channel of the image
  };
  /// The taps of the output at `o` that lie inside the image.
  std::vector<Tap> Taps(const Index& o) const;

 private:
  Shape Sizes(int64_t WindowAxis::*member) const;
};

}  // namespace linnet::reference
