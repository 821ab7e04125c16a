// MaxPool, AveragePool and LpPool: one number for every window of an image, channel by channel.
//
// Versions differ only by attributes that appear later (count_include_pad 7, dilations and ceil_mode 10 to 19) and types.
// ONNX's operators have channels first; their twins in the linnet domain, which the resolve pass makes, have channels
// last. Both run here: a channels-first image is as many images of one channel. MaxPool with Indices stays channels first.
//
//     MaxPool       the largest; NaN when one is NaN. A window of padding only gives -infinity (the lowest integer) and
//                   index -1.
//     AveragePool   the mean over what lies inside; with count_include_pad over the padding too, but not over what a
//                   window of ceil_mode covers beyond it. A window without elements gives 0.
//     LpPool        (sum |x|^p)^(1/p)
//
// Float32, and bytes' maxima, with channels last and up to three spatial dimensions run on kernels/pool/pool.h.
#include "kernels/pool/pool.h"

#include <cmath>
#include <limits>

#include "ops/conv_helpers.h"
#include "ops/pool_helpers.h"

namespace linnet {
namespace {

template <PoolKind kind, Layout layout>
struct Pool {
  WindowAttributes window;
  bool count_padding = false;
  bool column_major = false;   ///< order of Indices
  double p = 2;

  struct Bound {
    Window window;
    int64_t images = 0, channels = 0, outputs = 0;
    int64_t worker_bytes = 0;
    bool vectors = false;   ///< on kernels/pool/pool.h
    PoolArgs args;
  };
  PoolFn* kernel = nullptr;          ///< of floats
  PoolFn* max_of_bytes[2] = {};      ///< unsigned, signed

  static constexpr uint32_t kTypes =
      kind == PoolKind::kMax ? kAnyFloat | Mask(DType::kInt8) | Mask(DType::kUint8) : kAnyFloat;

  Status Parse(const Node& node) {
    LINNET_TRY(window.Parse(node));
    if (window.kernel_shape.empty()) return InvalidModel("attribute kernel_shape is missing");
    if (kind == PoolKind::kAverage) {
      LINNET_ASSIGN(int64_t include, node.Int("count_include_pad", 0));
      count_padding = include != 0;
    }
    if (kind == PoolKind::kMax) {
      LINNET_ASSIGN(int64_t order, node.Int("storage_order", 0));
      if (order != 0 && order != 1) return InvalidModel("attribute storage_order is ", order);
      column_major = order == 1;
    }
    if (kind == PoolKind::kLp) LINNET_TRY(ParseP(node));
    return Status();
  }

  /// Version 1 of LpPool has a float p.
  Status ParseP(const Node& node) {
    if (node.IsFloat("p")) {
      LINNET_ASSIGN(p, node.Float("p", 2));
    } else {
      LINNET_ASSIGN(int64_t integer, node.Int("p", 2));
      p = static_cast<double>(integer);
    }
    if (!(p > 0) || p > 1e6) return InvalidModel("attribute p is ", p);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kTypes));
    const Shape& x = c.shape(0);
    LINNET_TRY(CheckImage(x));
    Shape y = Shape::OfRank(window.rank() + 2);
    if (x.has_rank()) {
      Window fitted;
      LINNET_TRY(window.Fit(x, layout, nullptr, 0, &fitted));
      int64_t spatial[kSpatialMax];
      for (int i = 0; i < fitted.rank; ++i) spatial[i] = fitted.axes[i].out;
      y = ImageShape(layout, x[0], x[ChannelAxis(layout, x.rank())], {spatial, static_cast<size_t>(fitted.rank)});
    }
    if (kind == PoolKind::kMax && c.has_output(1)) {
      if (layout == Layout::kChannelsLast) return Unsupported("Indices with channels last");
      LINNET_TRY(c.SetOutput(1, DType::kInt64, y));
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  Status Prepare(PrepareContext& c) {
    if constexpr (kind != PoolKind::kMax) {
      kernel = PickPool(kind, c.cpu());
    } else {
      kernel = PickMaxPool(PoolElement::kFloat, c.cpu());
      max_of_bytes[0] = PickMaxPool(PoolElement::kUint8, c.cpu());
      max_of_bytes[1] = PickMaxPool(PoolElement::kInt8, c.cpu());
    }
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape& x = c.shape(0);
    LINNET_TRY(window.Fit(x, layout, nullptr, 0, &b.window));
    int64_t channels = x[ChannelAxis(layout, x.rank())];
    b.images = layout == Layout::kChannelsFirst ? x[0] * channels : x[0];
    b.channels = layout == Layout::kChannelsFirst ? 1 : channels;
    b.outputs = b.images * b.channels == 0 ? 0 : b.images * b.channels * b.window.out_pixels();
    b.worker_bytes = RoundUp(b.channels * static_cast<int64_t>(sizeof(double)), kAlignment);
    const bool whole = kind != PoolKind::kLp || (p >= 1 && p == std::floor(p));
    const bool known = c.dtype(0) == DType::kFloat || (kind == PoolKind::kMax && DTypeBits(c.dtype(0)) == 8);
    b.vectors = layout == Layout::kChannelsLast && known && b.window.rank <= 3 && whole && x.elements() > 0 && b.outputs > 0;
    if (b.vectors) {
      BindVectors(&b);
    } else {
      c.Scratch(b.worker_bytes * c.threads());
    }
    return Status();
  }

  void BindVectors(Bound* b) const {
    PoolArgs& args = b->args;
    args.channels = b->channels;
    SetWindow(b->window, &args);
    args.count_include_pad = count_padding;
    args.p = static_cast<int64_t>(p);
  }

  Status RunVectors(RunContext& c, const Bound& b) const {
    PoolArgs args = b.args;
    args.x = c.input(0);
    args.out = c.output(0);
    const DType dtype = c.input_dtype(0);
    PoolFn* pool = dtype == DType::kFloat ? kernel : max_of_bytes[dtype == DType::kInt8];
    double taps = 1;
    for (int i = 0; i < 3; ++i) taps *= static_cast<double>(std::min(args.kernel[i], args.in[i]));
    double row_ns = static_cast<double>(args.out_dims[2] * args.channels) * taps / (dtype == DType::kFloat ? 8 : 32);
    return c.ParallelFor(b.images * args.out_dims[0] * args.out_dims[1], 1, row_ns,
                         [&](int64_t begin, int64_t end, int) { pool(args, begin, end); });
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.outputs == 0) return Status();
    if (b.vectors) return RunVectors(c, b);
    return ForType<kTypes>(c.input_dtype(0), [&]<class T>() -> Status {
      const int64_t out_pixels = b.window.out_pixels();
      int64_t taps = 1;   // an upper bound of those inside
      for (int i = 0; i < b.window.rank; ++i) taps *= std::min(b.window.axes[i].kernel, b.window.axes[i].in + 1);
      double pixel_ns = static_cast<double>(taps) * (5 + static_cast<double>(b.channels) * 0.5);
      return c.ParallelFor(b.images * out_pixels, 1, pixel_ns, [&](int64_t begin, int64_t end, int worker) {
        auto* sums = reinterpret_cast<Wide<T>*>(c.scratch() + worker * b.worker_bytes);
        for (int64_t i = begin; i < end; ++i) {
          int64_t* index = kind == PoolKind::kMax && c.has_output(1) ? c.out<int64_t>(1) + i * b.channels : nullptr;
          T* y = c.has_output(0) ? c.out<T>(0) + i * b.channels : nullptr;
          Pixel(b, c.in<T>(0), i / out_pixels, i % out_pixels, sums, y, index);
        }
      });
    });
  }

  template <class T>
  void Pixel(const Bound& b, const T* x, int64_t image, int64_t pixel, Wide<T>* sums, T* y, int64_t* index) const {
    using W = Wide<T>;
    const int64_t channels = b.channels, first = image * b.window.in_pixels();
    for (int64_t k = 0; k < channels; ++k) sums[k] = kind == PoolKind::kMax ? static_cast<W>(Lowest<T>()) : W(0);
    if (index) *index = -1;
    int64_t at[kSpatialMax];
    BoxCounter box = TapsAt(b.window, b.window.rank, pixel, at);
    double count = 0;
    bool any = false;
    for (bool more = box.Start(); more; more = box.Next()) {
      int64_t from = 0;
      for (int i = 0; i < b.window.rank; ++i) {
        const WindowAxis& axis = b.window.axes[i];
        from = from * axis.in + at[i] * axis.stride - axis.pad + box.at[i] * axis.dilation;
      }
      const T* in = x + (first + from) * channels;
      if (index && (!any || Widen(in[0]) > sums[0] || (IsNan(Widen(in[0])) && !IsNan(sums[0])))) {
        *index = first + (column_major ? ColumnMajor(b.window, from) : from);
      }
      Accumulate(in, channels, !any, sums);
      any = true;
      ++count;
    }
    if (kind == PoolKind::kAverage && count_padding) count = PaddedCount(b.window, at);
    if (kind == PoolKind::kAverage && count == 0) count = 1;
    for (int64_t k = 0; k < channels && y; ++k) {
      W v = sums[k];
      if (kind == PoolKind::kAverage) v = v / static_cast<W>(count);
      if (kind == PoolKind::kLp) v = Root(v);
      y[k] = Narrow<T>(v);
    }
  }

  template <class W>
  static bool IsNan(W v) { return v != v; }

  template <class T>
  void Accumulate(const T* in, int64_t channels, bool first, Wide<T>* sums) const {
    using W = Wide<T>;
    if constexpr (kind == PoolKind::kMax) {
      if (first) {
        for (int64_t k = 0; k < channels; ++k) sums[k] = Widen(in[k]);
      } else {
        for (int64_t k = 0; k < channels; ++k) {
          W v = Widen(in[k]);
          sums[k] = v > sums[k] || v != v ? v : sums[k];
        }
      }
    } else if constexpr (kind == PoolKind::kAverage) {
      for (int64_t k = 0; k < channels; ++k) sums[k] += Widen(in[k]);
    } else if (p == 2) {
      for (int64_t k = 0; k < channels; ++k) sums[k] += Widen(in[k]) * Widen(in[k]);
    } else if (p == 1) {
      for (int64_t k = 0; k < channels; ++k) sums[k] += std::abs(Widen(in[k]));
    } else {
      for (int64_t k = 0; k < channels; ++k) sums[k] += std::pow(std::abs(Widen(in[k])), static_cast<W>(p));
    }
  }

  template <class W>
  W Root(W sum) const {
    return p == 2 ? std::sqrt(sum) : p == 1 ? sum : std::pow(sum, static_cast<W>(1 / p));
  }

  template <class T>
  static double Lowest() {
    if constexpr (std::is_integral_v<T>) return static_cast<double>(std::numeric_limits<T>::lowest());
    return -std::numeric_limits<double>::infinity();
  }

  /// Taps of the window at output position `at` that lie inside the input or its padding.
  static double PaddedCount(const Window& window, const int64_t* at) {
    double count = 1;
    for (int i = 0; i < window.rank; ++i) {
      const WindowAxis& axis = window.axes[i];
      int64_t room = axis.in + axis.pad_end - (at[i] * axis.stride - axis.pad);
      count *= static_cast<double>(std::min(axis.kernel, DivUp(room, axis.dilation)));
    }
    return count;
  }

  /// A row-major pixel number as the number it has when the first dimension is the fastest.
  static int64_t ColumnMajor(const Window& window, int64_t pixel) {
    int64_t stride = window.in_pixels(), out = 0;
    for (int i = window.rank - 1; i >= 0; --i) {
      stride /= window.axes[i].in;
      out += pixel % window.axes[i].in * stride;
      pixel /= window.axes[i].in;
    }
    return out;
  }
};

}  // namespace

LINNET_OP(MaxPool, 1, Pool<PoolKind::kMax, Layout::kChannelsFirst>);
LINNET_OP(AveragePool, 1, Pool<PoolKind::kAverage, Layout::kChannelsFirst>);
LINNET_OP(LpPool, 1, Pool<PoolKind::kLp, Layout::kChannelsFirst>);
LINNET_INTERNAL_OP(MaxPool, 1, Pool<PoolKind::kMax, Layout::kChannelsLast>);
LINNET_INTERNAL_OP(AveragePool, 1, Pool<PoolKind::kAverage, Layout::kChannelsLast>);
LINNET_INTERNAL_OP(LpPool, 1, Pool<PoolKind::kLp, Layout::kChannelsLast>);

}  // namespace linnet
