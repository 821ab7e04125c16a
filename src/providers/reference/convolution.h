// The sum that all convolutions share.
#pragma once

#include "providers/reference/window.h"

namespace linnet::reference {

/// y[n][m][o] = sum over the channels of m's group and the taps of o of x[n][channel][tap] w[m][channel][tap]. Taps in the
/// padding add nothing.
template <class T>
Array<T> Convolve(const Array<T>& x, const Array<T>& w, const Window& window, int64_t groups) {
  Array<T> y(window.Output(x.shape[0], w.shape[0]));
  const int64_t in_pixels = window.in().elements(), out_pixels = window.out().elements(), taps_all = window.kernel().elements();
  const int64_t channels = w.shape[1], per_group = w.shape[0] / groups;
  // All output channels of a group are summed side by side, which needs their weights for one tap side by side.
  Array<T> by_tap(Shape{groups, channels * taps_all, per_group});
  ForEachIndex(by_tap.shape,
               [&](const Index& i, int64_t at) { by_tap[at] = w[(i[0] * per_group + i[2]) * channels * taps_all + i[1]]; });
  ForEachIndex(window.out(), [&](const Index& o, int64_t pixel) {
    const std::vector<Window::Tap> taps = window.Taps(o);
    for (int64_t n = 0; n < x.shape[0]; ++n) {
      for (int64_t g = 0; g < groups; ++g) {
        std::vector<T> sums(U(per_group), T{0});
        for (int64_t k = 0; k < channels; ++k) {
          const T* image = x.data.data() + (n * x.shape[1] + g * channels + k) * in_pixels;
          for (const Window::Tap& tap : taps) {
            const T* weights = by_tap.data.data() + ((g * channels + k) * taps_all + tap.kernel) * per_group;
            for (int64_t m = 0; m < per_group; ++m)
              sums[U(m)] = Plus(sums[U(m)], Times(image[tap.in], weights[m]));
          }
        }
        for (int64_t m = 0; m < per_group; ++m)
          y[(n * w.shape[0] + g * per_group + m) * out_pixels + pixel] = sums[U(m)];
      }
    }
  });
  return y;
}

/// Adds bias[channel] to images [N, C, ...].
template <class T>
void AddBias(Array<T>* y, const std::vector<T>& bias) {
  ForEachIndex(y->shape, [&](const Index& index, int64_t at) { (*y)[at] = Plus((*y)[at], bias[U(index[1])]); });
}

}  // namespace linnet::reference
