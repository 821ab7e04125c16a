// ConvInteger and QLinearConv: convolution of 8-bit integers with zero points, exact in 32 bits.
//
//     ConvInteger   y = conv(x - x_zero_point, w - w_zero_point)                                            int32
//     QLinearConv   y = saturate(round(x_scale w_scale / y_scale (that + b)) + y_zero_point)                8 bits
//
// Both have one version (10) and channels first. Padding holds the zero point, so it adds nothing. Weights may have a zero
// point and scale for every output channel. Sums wrap where 32 bits do not hold them. One plane of output (image, channel)
// is summed at a time: every tap of every input channel adds a scaled, shifted run of each row.
#include <cmath>

#include "ops/conv_helpers.h"

namespace linnet {
namespace {

constexpr uint32_t kBytes = Mask(DType::kInt8) | Mask(DType::kUint8);

template <bool kQuantized>
struct IntegerConv {
  ConvAttributes attributes;
  // Where the inputs are; -1: there is none.
  static constexpr int kX = 0, kW = kQuantized ? 3 : 1, kXZero = 2, kWZero = kQuantized ? 5 : 3;
  static constexpr int kXScale = 1, kWScale = 4, kYScale = 6, kYZero = 7, kBias = 8;

  struct Bound {
    Window window;
    int64_t worker_bytes = 0;
  };

  Status Parse(const Node& node) { return attributes.Parse(node); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kQuantized ? 8 : 2, kQuantized ? 9 : 4));
    LINNET_TRY(c.CheckType(kX, kBytes));
    LINNET_TRY(c.CheckType(kW, kBytes));
    LINNET_TRY(CheckSameType(c, {kX, kXZero}));
    LINNET_TRY(CheckSameType(c, {kW, kWZero}));
    LINNET_ASSIGN(Shape y, attributes.Infer(c.shape(kX), c.shape(kW), Layout::kChannelsFirst, nullptr));
    const int64_t out_c = c.shape(kW).has_rank() ? c.shape(kW)[0] : kUnknownDim;
    LINNET_TRY(CheckLength(c, kXZero, 1));
    LINNET_TRY(CheckLength(c, kWZero, out_c));
    if constexpr (!kQuantized) {
      return c.SetOutput(0, DType::kInt32, y);
    } else {
      for (int i : {kXScale, kWScale, kYScale}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
      LINNET_TRY(c.CheckType(kYZero, kBytes));
      LINNET_TRY(c.CheckType(kBias, Mask(DType::kInt32)));
      for (int i : {kXScale, kYScale, kYZero}) LINNET_TRY(CheckLength(c, i, 1));
      LINNET_TRY(CheckLength(c, kWScale, out_c));
      LINNET_TRY(CheckVector(c, kBias, "bias", out_c));
      return c.SetOutput(0, c.dtype(kYZero), y);
    }
  }

  /// One number, or as many as there are output channels.
  static Status CheckLength(const InferContext& c, int i, int64_t channels) {
    if (!c.has_input(i) || !c.shape(i).is_static()) return Status();
    const Shape& shape = c.shape(i);
    if (shape.rank() <= 1 && (shape.elements() == 1 || !IsKnownDim(channels) || shape.elements() == channels)) return Status();
    return InvalidModel("input ", i, " has shape ", ToString(shape), " where one number or [", channels, "] is expected");
  }

  Status Prepare(PrepareContext& c) {
    if constexpr (kQuantized) {
      for (int i : {kXScale, kWScale, kYScale}) {
        if (!c.is_constant(i) || !c.shape(i).is_static()) continue;
        for (int64_t k = 0; k < c.shape(i).elements(); ++k) {
          const float scale = c.data<float>(i)[k];
          if (!(scale > 0) || !std::isfinite(scale)) return InvalidModel("input ", i, " has scale ", scale);
        }
      }
    }
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    LINNET_TRY(attributes.Infer(c.shape(kX), c.shape(kW), Layout::kChannelsFirst, &b.window).TakeStatus());
    if (c.output_shape(0).elements() == 0) return Status();
    b.worker_bytes = RoundUp(b.window.out_pixels() * 4, kAlignment);
    c.Scratch(b.worker_bytes * c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    if (c.output_shape(0).elements() == 0) return Status();
    return ForType<kBytes>(c.input_dtype(kX), [&]<class X>() -> Status {
      return ForType<kBytes>(c.input_dtype(kW), [&]<class W>() -> Status {
        if constexpr (!kQuantized) {
          return Planes<X, W>(c, [&](int64_t plane, int64_t, const uint32_t* sums, int64_t n) {
            int32_t* y = c.out<int32_t>(0) + plane * n;
            for (int64_t i = 0; i < n; ++i) y[i] = static_cast<int32_t>(sums[i]);
          });
        } else {
          return ForType<kBytes>(c.output_dtype(0), [&]<class Y>() -> Status {
            const float in_out = *c.in<float>(kXScale);
            const float zero = static_cast<float>(*c.in<Y>(kYZero));
            return Planes<X, W>(c, [&](int64_t plane, int64_t channel, const uint32_t* sums, int64_t n) {
              const float scale = in_out * Each<float>(c, kWScale, channel) / *c.in<float>(kYScale);
              Y* y = c.out<Y>(0) + plane * n;
              for (int64_t i = 0; i < n; ++i) y[i] = Quantize<Y>(static_cast<float>(static_cast<int32_t>(sums[i])) * scale, zero);
            });
          });
        }
      });
    });
  }

  template <class Y>
  static Y Quantize(float value, float zero) {
    constexpr float kLow = std::numeric_limits<Y>::min(), kHigh = std::numeric_limits<Y>::max();
    const float v = std::nearbyint(value) + zero;
    return v >= kHigh ? std::numeric_limits<Y>::max() : v > kLow ? static_cast<Y>(v) : std::numeric_limits<Y>::min();
  }

  /// Element `channel` of input i, or its only one; 0 when it is not given.
  template <class T>
  static T Each(RunContext& c, int i, int64_t channel) {
    if (!c.has_input(i)) return T();
    return c.in<T>(i)[c.input_shape(i).elements() == 1 ? 0 : channel];
  }

  /// Calls finish(plane, output channel, sums, pixels) for every plane of the output.
  template <class X, class W, class Finish>
  Status Planes(RunContext& c, Finish&& finish) const {
    const Bound& b = c.params<Bound>();
    const Window& window = b.window;
    const int64_t out_c = c.output_shape(0)[1], in_c = c.input_shape(kX)[1], group_in = in_c / attributes.groups;
    const int64_t group_out = out_c / attributes.groups, pixels = window.out_pixels(), taps = window.taps();
    const int32_t x_zero = Each<X>(c, kXZero, 0);
    double plane_ns = static_cast<double>(pixels) * static_cast<double>(group_in * taps) / 2;
    return c.ParallelFor(c.output_shape(0)[0] * out_c, 1, plane_ns, [&](int64_t begin, int64_t end, int worker) {
      uint32_t* sums = reinterpret_cast<uint32_t*>(c.scratch() + worker * b.worker_bytes);
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t image = plane / out_c, channel = plane % out_c, first = channel / group_out * group_in;
        const int32_t w_zero = Each<W>(c, kWZero, channel);
        int32_t bias = 0;
        if constexpr (kQuantized) bias = c.has_input(kBias) ? c.in<int32_t>(kBias)[channel] : 0;
        for (int64_t i = 0; i < pixels; ++i) sums[i] = static_cast<uint32_t>(bias);
        for (int64_t k = 0; k < group_in; ++k) {
          const X* x = c.in<X>(kX) + (image * in_c + first + k) * window.in_pixels();
          const W* w = c.in<W>(kW) + (channel * group_in + k) * taps;
          AddChannel(window, x, x_zero, w, w_zero, sums);
        }
        finish(plane, channel, sums, pixels);
      }
    });
  }

  /// Adds all taps of one input channel to a plane.
  template <class X, class W>
  static void AddChannel(const Window& window, const X* x, int32_t x_zero, const W* w, int32_t w_zero, uint32_t* sums) {
    BoxCounter taps;   // over the kernel
    taps.rank = window.rank;
    for (int i = 0; i < window.rank; ++i) taps.begin[i] = 0, taps.end[i] = window.axes[i].kernel;
    const int64_t* tap = taps.at;
    for (bool more = taps.Start(); more; more = taps.Next()) {
      const int32_t weight = static_cast<int32_t>(*w++) - w_zero;
      if (weight == 0) continue;
      BoxCounter outputs = taps;   // over the output positions whose input lies inside
      outputs.rank = window.rank;
      for (int i = 0; i < window.rank; ++i) {
        const WindowAxis& axis = window.axes[i];
        const int64_t shift = axis.pad - tap[i] * axis.dilation;   // input position = output * stride - shift
        outputs.begin[i] = shift > 0 ? DivUp(shift, axis.stride) : 0;
        outputs.end[i] = axis.in + shift > 0 ? std::min(axis.out, (axis.in + shift - 1) / axis.stride + 1) : 0;
      }
      const int last = window.rank - 1;
      const WindowAxis& row = window.axes[last];
      const int64_t run_begin = outputs.begin[last], run_end = outputs.end[last];
      if (run_begin >= run_end) continue;
      outputs.rank = last;   // rows: the last axis is walked here
      for (bool rows = outputs.Start(); rows; rows = outputs.Next()) {
        int64_t from = 0, to = 0;
        for (int i = 0; i < last; ++i) {
          const WindowAxis& axis = window.axes[i];
          from = from * axis.in + outputs.at[i] * axis.stride + tap[i] * axis.dilation - axis.pad;
          to = to * axis.out + outputs.at[i];
        }
        const X* in = x + from * row.in + tap[last] * row.dilation - row.pad;
        uint32_t* out = sums + to * row.out;
        for (int64_t o = run_begin; o < run_end; ++o) {
          out[o] += static_cast<uint32_t>((static_cast<int32_t>(in[o * row.stride]) - x_zero) * weight);
        }
      }
    }
  }
};

}  // namespace

LINNET_OP(ConvInteger, 10, IntegerConv<false>);
LINNET_OP(QLinearConv, 10, IntegerConv<true>);

}  // namespace linnet
