// What the convolutions share: attributes and output shape, and a convolution of any rank and element type.
#pragma once

#include "kernels/conv/conv.h"
#include "ops/activation_helpers.h"
#include "ops/scalar_helpers.h"
#include "ops/window_helpers.h"

namespace linnet {

struct ConvAttributes {
  WindowAttributes window;
  int64_t groups = 1;

  Status Parse(const Node& node);
  /// The output's shape; `x` in `layout`, weights [out_c, in_c / groups, kernel...]. Fills `fitted` (may be null) when
  /// the rank of x is known. Unknown sizes pass, contradictions fail.
  Result<Shape> Infer(const Shape& x, const Shape& weights, Layout layout, Window* fitted) const;
};

/// Sizes and window of a convolution of two spatial dimensions.
inline void SetWindow(const Window& window, ConvF32* c) {
  const WindowAxis &h = window.axes[0], &w = window.axes[1];
  c->in_h = h.in, c->in_w = w.in, c->out_h = h.out, c->out_w = w.out;
  c->kernel_h = h.kernel, c->kernel_w = w.kernel;
  c->stride_h = h.stride, c->stride_w = w.stride;
  c->dilation_h = h.dilation, c->dilation_w = w.dilation;
  c->pad_top = h.pad, c->pad_left = w.pad;
}

/// Fails unless input i, when given, is a vector of `length` numbers as far as known.
Status CheckVector(const InferContext& c, int i, std::string_view what, int64_t length);

/// How threads share a convolution. Where they have pixels enough for full tiles of a 1x1 convolution, blocks are of a
/// tile's height or a thread's share of the pixels and of all panels, so that what a thread reads is what it wrote the step
/// before, and lies in its cache; so also where the kernel proposes parts of the panels though the weights are few.
GemmGrain ConvGrain(const GemmF32Kernels& kernels, const ConvF32& conv, int threads);

/// Steps through all positions of a box, last dimension fastest.
struct BoxCounter {
  int rank = 0;
  int64_t begin[kSpatialMax], end[kSpatialMax], at[kSpatialMax];
  /// True when the box has a position; `at` is then the first.
  bool Start() {
    for (int i = 0; i < rank; ++i) {
      if (begin[i] >= end[i]) return false;
      at[i] = begin[i];
    }
    return true;
  }
  bool Next() {
    for (int i = rank - 1; i >= 0; --i) {
      if (++at[i] < end[i]) return true;
      at[i] = begin[i];
    }
    return false;
  }
};

/// The shape with channels last of an image that has them first.
inline Shape WithChannelsLast(const Shape& first) {
  Shape last = first;
  for (int d = 2; d < first.rank(); ++d) last[d - 1] = first[d];
  if (first.rank() > 2) last[first.rank() - 1] = first[1];
  return last;
}

/// The taps of a window at flat output pixel `pixel` that lie inside, over axes [0, rank).
inline BoxCounter TapsAt(const Window& window, int rank, int64_t pixel, int64_t* out_position) {
  BoxCounter taps;
  taps.rank = rank;
  for (int i = rank - 1; i >= 0; --i) {
    const WindowAxis& axis = window.axes[i];
    out_position[i] = pixel % axis.out;
    pixel /= axis.out;
    taps.begin[i] = axis.FirstTap(out_position[i]);
    taps.end[i] = axis.EndTap(out_position[i]);
  }
  return taps;
}

/// Channels-last convolution by the definition, for any rank and float type. Weights are packed as
/// [group][tap][in_c / groups][out_c / groups] of the type sums are made in.
template <class T>
struct ConvAny {
  using W = Wide<T>;
  const Window* window;
  int64_t in_c, out_c, groups;
  const T* input;
  const W* packed;
  const T* bias;       ///< may be null
  const T* residual;   ///< may be null
  T* output;
  FusedActivation activation;

  static int64_t PackedCount(int64_t out_c, int64_t group_in, int64_t taps) { return out_c * group_in * taps; }

  static void Pack(const T* weights, int64_t out_c, int64_t group_in, int64_t groups, int64_t taps, W* out) {
    int64_t group_out = out_c / groups;
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        for (int64_t i = 0; i < group_in; ++i) {
          for (int64_t o = 0; o < group_out; ++o) {
            *out++ = Widen(weights[((g * group_out + o) * group_in + i) * taps + tap]);
          }
        }
      }
    }
  }

  /// Output pixels [begin, end) of all images; `sums` has out_c elements.
  void Run(int64_t begin, int64_t end, W* sums) const {
    const int64_t in_pixels = window->in_pixels(), out_pixels = window->out_pixels(), taps = window->taps();
    const int64_t group_in = in_c / groups, group_out = out_c / groups;
    for (int64_t p = begin; p < end; ++p) {
      for (int64_t o = 0; o < out_c; ++o) sums[o] = bias ? Widen(bias[o]) : W(0);
      const T* image = input + p / out_pixels * in_pixels * in_c;
      int64_t at[kSpatialMax];
      BoxCounter box = TapsAt(*window, window->rank, p % out_pixels, at);
      for (bool more = box.Start(); more; more = box.Next()) {
        int64_t pixel = 0, tap = 0;
        for (int i = 0; i < window->rank; ++i) {
          const WindowAxis& axis = window->axes[i];
          pixel = pixel * axis.in + at[i] * axis.stride - axis.pad + box.at[i] * axis.dilation;
          tap = tap * axis.kernel + box.at[i];
        }
        for (int64_t g = 0; g < groups; ++g) {
          const T* x = image + pixel * in_c + g * group_in;
          const W* w = packed + (g * taps + tap) * group_in * group_out;
          W* sum = sums + g * group_out;
          for (int64_t i = 0; i < group_in; ++i, w += group_out) {
            const W v = Widen(x[i]);
            for (int64_t o = 0; o < group_out; ++o) sum[o] += v * w[o];
          }
        }
      }
      for (int64_t o = 0; o < out_c; ++o) {
        W y = sums[o] + (residual ? Widen(residual[p * out_c + o]) : W(0));
        output[p * out_c + o] = Narrow<T>(Activate(activation, y));
      }
    }
  }
};

}  // namespace linnet
