// Max pooling of floats and bytes. Where windows of neighbouring pixels share taps, or pixels have few channels, the maxima of a row of
// windows' columns come first, as a line of whole vectors whatever a pixel's channels are; a pixel's maximum is that of columns of the line.
#include <algorithm>
#include <limits>
#include <type_traits>

#include "base/memory.h"
#include "kernels/dispatch.h"
#include "kernels/pool/pool.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool/pool_max.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/pool/taps.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// NaN where either is. AVX-512 looks for it in the first, or in two at once: maxps keeps that of its second operand.
template <class V>
HWY_INLINE V Largest(V a, V b) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (std::is_same_v<V, VF32>) {
    return VF32{_mm512_mask_max_ps(hn::Set(F32(), __builtin_nanf("")).raw, _mm512_cmp_ps_mask(a.raw, a.raw, _CMP_ORD_Q), a.raw, b.raw)};
  }
#endif
  if constexpr (!std::is_same_v<hn::TFromV<V>, float>) return hn::Max(a, b);
#if HWY_ARCH_X86
  // maxps yields its second operand when either is NaN: one of these is NaN then, and otherwise they are the same but for zeros of two signs.
  else return hn::Or(hn::Max(a, b), hn::Max(b, a));
#else
  else return MaxNaN(a, b);
#endif
}
template <class V>
HWY_INLINE V Largest(V a, V b, V c) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (std::is_same_v<V, VF32>) {
    const VF32 nan = hn::Set(F32(), __builtin_nanf(""));
    return VF32{_mm512_mask_max_ps(nan.raw, _mm512_cmp_ps_mask(a.raw, b.raw, _CMP_ORD_Q), _mm512_max_ps(a.raw, b.raw), c.raw)};
  }
#endif
  return Largest(Largest(a, b), c);
}

// Elements `step` apart along each of three axes.
struct Grid {
  int64_t count[3], step[3];
};

// out[i] = the largest of the grid's elements from x + i on, for kVectors vectors.
template <size_t kVectors, class D, class T = hn::TFromD<D>>
HWY_INLINE void LargestOf(D d, const T* x, const Grid& grid, T* out) {
  const size_t lanes = hn::Lanes(d);
  hn::Vec<D> most[kVectors];
  LINNET_UNROLL
  for (size_t v = 0; v < kVectors; ++v) most[v] = hn::LoadU(d, x + v * lanes);
  for (int64_t z = 0; z < grid.count[0]; ++z, x += grid.step[0]) {
    const T* row = x;
    for (int64_t y = 0; y < grid.count[1]; ++y, row += grid.step[1]) {
      const T* tap = row;
      for (int64_t k = 0; k < grid.count[2]; ++k, tap += grid.step[2]) {
        LINNET_UNROLL
        for (size_t v = 0; v < kVectors; ++v) most[v] = Largest(hn::LoadU(d, tap + v * lanes), most[v]);
      }
    }
  }
  LINNET_UNROLL
  for (size_t v = 0; v < kVectors; ++v) hn::StoreU(most[v], d, out + v * lanes);
}

// The same for i < n; touches nothing else.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void LargestOf(D d, const T* x, const Grid& grid, int64_t n, T* out) {
  const int64_t lanes = hn::Lanes(d);
  if constexpr (hn::MaxLanes(D()) > 1) {
    if (n < lanes) return LargestOf(hn::Half<D>(), x, grid, n, out);
  }
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) LargestOf<4>(d, x + i, grid, out + i);
  for (; i + lanes <= n; i += lanes) LargestOf<1>(d, x + i, grid, out + i);
  if (i < n) LargestOf<1>(d, x + n - lanes, grid, out + n - lanes);   // overlaps the one before
}

// Maxima of kTaps (0: `taps`) columns of a line, for `pixels` pixels `step` columns apart. A vector may be read behind the line.
template <size_t kTaps, class D, class T = hn::TFromD<D>>
HWY_INLINE void LargestColumns(D d, const T* line, int64_t pixels, int64_t step, int64_t taps, int64_t tap_step, int64_t channels, T* out) {
  const int64_t lanes = hn::Lanes(d);
  auto largest = [&](const T* tap) HWY_ATTR {
    auto most = hn::LoadU(d, tap);
    if constexpr (kTaps != 0) {
      LINNET_UNROLL
      for (size_t k = 1; k < kTaps; ++k) most = Largest(hn::LoadU(d, tap + static_cast<int64_t>(k) * tap_step), most);
    } else {
      for (int64_t k = 1; k < taps; ++k) most = Largest(hn::LoadU(d, tap + k * tap_step), most);
    }
    return most;
  };
  for (int64_t pixel = 0; pixel < pixels; ++pixel, line += step, out += channels) {
    if (channels >= lanes) {
      int64_t c = 0;
      for (; c + lanes <= channels; c += lanes) hn::StoreU(largest(line + c), d, out + c);
      if (c < channels) hn::StoreU(largest(line + channels - lanes), d, out + channels - lanes);
    } else if ((pixels - pixel) * channels >= lanes) {
      hn::StoreU(largest(line), d, out);   // what lies behind is written by the next pixels
    } else {
      HWY_ALIGN T last[hn::MaxLanes(D())];
      hn::Store(largest(line), d, last);
      memcpy(out, last, static_cast<size_t>(channels) * sizeof(T));
    }
  }
}
template <class D, class T = hn::TFromD<D>>
void LargestColumns(D d, const T* line, int64_t pixels, int64_t step, int64_t taps, int64_t tap_step, int64_t channels, T* out) {
  if constexpr (hn::MaxLanes(D()) * sizeof(T) > 16) {
    if (channels <= static_cast<int64_t>(hn::Lanes(d)) / 2) return LargestColumns(hn::Half<D>(), line, pixels, step, taps, tap_step, channels, out);
  }
  if (taps == 2) return LargestColumns<2>(d, line, pixels, step, taps, tap_step, channels, out);
  if (taps == 3) return LargestColumns<3>(d, line, pixels, step, taps, tap_step, channels, out);
  LargestColumns<0>(d, line, pixels, step, taps, tap_step, channels, out);
}

// `count` neighbouring maxima of squares of kSide x kSide, kStep apart, whose rows begin at rows[]: kVectors vectors of channels. A column
// that the next square has too is not read again.
template <size_t kSide, size_t kStep, size_t kVectors, class D, class T = hn::TFromD<D>>
HWY_INLINE void LargestOfSquares(D d, const T* const* rows, int64_t c, int64_t channels, int64_t count, T* out) {
  using V = hn::Vec<D>;
  constexpr size_t kKept = kSide - kStep;
  const size_t lanes = hn::Lanes(d);
  const T *row0 = rows[0] + c, *row1 = rows[1] + c, *row2 = rows[kSide - 1] + c;
  out += c;
  auto column = [&](int64_t at) HWY_ATTR {
    if constexpr (kSide == 2) return Largest(hn::LoadU(d, row0 + at), hn::LoadU(d, row1 + at));
    if constexpr (kSide == 3) return Largest(hn::LoadU(d, row0 + at), hn::LoadU(d, row1 + at), hn::LoadU(d, row2 + at));
  };
  V kept[kKept + 1][kVectors];
  LINNET_UNROLL
  for (size_t v = 0; v < kVectors; ++v) {
    LINNET_UNROLL
    for (size_t k = 0; k < kKept; ++k) kept[k][v] = column(static_cast<int64_t>(k) * channels + static_cast<int64_t>(v * lanes));
  }
  int64_t at = static_cast<int64_t>(kKept) * channels;
  for (int64_t pixel = 0; pixel < count; ++pixel, at += static_cast<int64_t>(kStep) * channels, out += channels) {
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) {
      V columns[kSide];
      LINNET_UNROLL
      for (size_t k = 0; k < kSide; ++k) {
        if (k < kKept) columns[k] = kept[k][v];
        if (k >= kKept) columns[k] = column(at + static_cast<int64_t>(k - kKept) * channels + static_cast<int64_t>(v * lanes));
      }
      hn::StoreU(kSide == 2 ? Largest(columns[0], columns[1]) : Largest(columns[0], columns[1], columns[kSide - 1]), d, out + v * lanes);
      LINNET_UNROLL
      for (size_t k = 0; k < kKept; ++k) kept[k][v] = columns[k + kStep];
    }
  }
}

template <size_t kSide, size_t kStep, class D, class T = hn::TFromD<D>>
void LargestOfSquares(D d, const T* const* rows, int64_t channels, int64_t count, T* out) {
  const int64_t lanes = hn::Lanes(d);
  if constexpr (hn::MaxLanes(D()) > 1) {
    if (channels < lanes) return LargestOfSquares<kSide, kStep>(hn::Half<D>(), rows, channels, count, out);
  }
  int64_t c = 0;
  for (; c + 4 * lanes <= channels; c += 4 * lanes) LargestOfSquares<kSide, kStep, 4>(d, rows, c, channels, count, out);
  if (c + 2 * lanes <= channels) LargestOfSquares<kSide, kStep, 2>(d, rows, c, channels, count, out), c += 2 * lanes;
  if (c + lanes <= channels) LargestOfSquares<kSide, kStep, 1>(d, rows, c, channels, count, out), c += lanes;
  if (c < channels) LargestOfSquares<kSide, kStep, 1>(d, rows, channels - lanes, channels, count, out);
}

template <class T>
using SquaresFn = void(hn::ScalableTag<T> d, const T* const* rows, int64_t channels, int64_t count, T* out);
template <class T>
SquaresFn<T>* SquaresOf(const PoolArgs& args) {
#if !defined(LINNET_SMALL)
  const int64_t side = args.kernel[2], step = args.stride[2];
  if (args.kernel[0] != 1 || args.kernel[1] != side || args.dilation[1] != 1 || args.dilation[2] != 1) return nullptr;
  if (side == 2 && step == 2) return LargestOfSquares<2, 2, hn::ScalableTag<T>>;
  if (side == 3 && step == 1) return LargestOfSquares<3, 1, hn::ScalableTag<T>>;
  if (side == 3 && step == 2) return LargestOfSquares<3, 2, hn::ScalableTag<T>>;
#endif
  return nullptr;
}

template <class T>
constexpr T Lowest() {
  return std::is_same_v<T, float> ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
}

template <class T>
class MaxPool {
 public:
  explicit MaxPool(const PoolArgs& args) : a_(args), reach_((args.kernel[2] - 1) * args.dilation[2]) {
    // As many channels of a pixel's columns as the line holds, and as many pixels.
    const int64_t wanted = std::min((a_.out_dims[2] - 1) * a_.stride[2] + reach_ + 1, 4 * (reach_ + 1) + 3 * a_.stride[2]);
    channels_ = a_.channels;
    if (channels_ * wanted > kLine) channels_ = std::max<int64_t>(kLanes, kLine / wanted / kLanes * kLanes);
    channels_ = std::min(channels_, a_.channels);
    squares_ = SquaresOf<T>(a_);
    whole0_ = std::min(a_.out_dims[2], DivUp(a_.pad_begin[2], a_.stride[2]));
    const int64_t room = a_.in[2] - 1 - reach_ + a_.pad_begin[2];
    whole1_ = room < 0 ? whole0_ : std::clamp(room / a_.stride[2] + 1, whole0_, a_.out_dims[2]);
    pixels_ = kLine / channels_ <= reach_ ? 0 : std::min(a_.out_dims[2], (kLine / channels_ - reach_ - 1) / a_.stride[2] + 1);
  }

  // The output row: its windows' rows are those of `rows`, from x on.
  void Row(const T* x, const Grid& rows, T* out) {
    if (squares_) return RowOfSquares(x, rows, out);
    if (pixels_ == 0 || (a_.channels >= kLanes && a_.stride[2] > reach_)) return ByPixels(x, rows, 0, a_.out_dims[2], out);
    for (int64_t c = 0; c < a_.channels; c += channels_) {
      const int64_t channels = std::min(channels_, a_.channels - c);
      for (int64_t pixel = 0; pixel < a_.out_dims[2]; pixel += pixels_) {
        const int64_t count = std::min(pixels_, a_.out_dims[2] - pixel);
        FillLine(x + c, rows, pixel * a_.stride[2] - a_.pad_begin[2], (count - 1) * a_.stride[2] + reach_ + 1, channels);
        T* to = out + pixel * a_.channels + c;
        const bool whole = channels == a_.channels;
        if (whole && a_.stride[2] == 1) {
          NeighboursOf(count * channels, a_.dilation[2] * channels, to);
        } else if (whole) {
          LargestColumns(D(), line_, count, a_.stride[2] * channels, a_.kernel[2], a_.dilation[2] * channels, channels, to);
        } else {
          for (int64_t i = 0; i < count; ++i) {
            LargestOf(D(), line_ + i * a_.stride[2] * channels, {{1, 1, a_.kernel[2]}, {0, 0, a_.dilation[2] * channels}}, channels,
                      to + i * a_.channels);
          }
        }
      }
    }
  }

 private:
  using D = hn::ScalableTag<T>;
  static constexpr int64_t kLanes = HWY_LANES(T), kLine = (16 << 10) / static_cast<int64_t>(sizeof(T));

  void ByPixels(const T* x, Grid grid, int64_t begin, int64_t end, T* out) const {
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      const Taps taps = TapsOf(a_, 2, pixel);
      grid.count[2] = taps.count, grid.step[2] = a_.dilation[2] * a_.channels;
      if (taps.count == 0) {
        std::fill_n(out + pixel * a_.channels, a_.channels, Lowest<T>());
      } else {
        LargestOf(D(), x + taps.first * a_.channels, grid, a_.channels, out + pixel * a_.channels);
      }
    }
  }

  void RowOfSquares(const T* x, const Grid& grid, T* out) const {
    const T* first = x + (whole0_ * a_.stride[2] - a_.pad_begin[2]) * a_.channels;
    const T* rows[3];   // one that lies outside is another once more
    for (int64_t i = 0; i < 3; ++i) rows[i] = first + std::min(i, grid.count[1] - 1) * grid.step[1];
    ByPixels(x, grid, 0, whole0_, out);
    if (whole0_ < whole1_) squares_(D(), rows, a_.channels, whole1_ - whole0_, out + whole0_ * a_.channels);
    ByPixels(x, grid, whole1_, a_.out_dims[2], out);
  }

  // out[i] = the largest of a window's columns from the line's element i on, i < n. Where there are many, maxima of 2, 4, 8 ... of them
  // take the line's place first, and two of those, which may have columns in common, are a window.
  void NeighboursOf(int64_t n, int64_t step, T* out) {
    constexpr int64_t kFew = 6;
    const int64_t taps = a_.kernel[2];
    if (taps <= kFew) return LargestOf(D(), line_, {{1, 1, taps}, {0, 0, step}}, n, out);
    int64_t span = 1;
    for (; span * 2 < taps; span *= 2) {
      const int64_t needed = n + (taps - 2 * span) * step;
      for (int64_t i = 0; i < needed; i += kLanes) {
        hn::Store(Largest(hn::LoadU(D(), line_ + i + span * step), hn::Load(D(), line_ + i)), D(), line_ + i);
      }
    }
    LargestOf(D(), line_, {{1, 1, 2}, {0, 0, (taps - span) * step}}, n, out);
  }

  // Maxima of `count` columns from column `first` on; those outside the image are lower than all.
  void FillLine(const T* x, const Grid& rows, int64_t first, int64_t count, int64_t channels) {
    const int64_t begin = std::clamp<int64_t>(first, 0, a_.in[2]), end = std::clamp<int64_t>(first + count, begin, a_.in[2]);
    T* to = line_;
    auto outside = [&](int64_t columns) HWY_ATTR {
      for (int64_t i = 0; i < columns * channels; i += kLanes) hn::StoreU(hn::Set(D(), Lowest<T>()), D(), to + i);
      to += columns * channels;
    };
    const int64_t before = std::clamp<int64_t>(-first, 0, count);
    outside(before);
    if (channels == a_.channels) {
      if (begin < end) LargestOf(D(), x + begin * channels, rows, (end - begin) * channels, to);
      to += (end - begin) * channels;
    } else {
      for (int64_t column = begin; column < end; ++column, to += channels) LargestOf(D(), x + column * a_.channels, rows, channels, to);
    }
    outside(count - before - (end - begin));
  }

  const PoolArgs& a_;
  const int64_t reach_;   // columns from a window's first to its last
  SquaresFn<T>* squares_;
  int64_t whole0_, whole1_;   // pixels [whole0_, whole1_) have all their columns inside
  int64_t channels_, pixels_;
  HWY_ALIGN T line_[kLine + kLanes];   // vectors may be read and written behind what it holds
};

template <class T>
void MaxPoolRun(const PoolArgs& args, int64_t begin, int64_t end) {
  MaxPool<T> pool(args);
  const int64_t row_step = args.in[2] * args.channels, plane_step = args.in[1] * row_step, line = args.out_dims[2] * args.channels;
  // Backwards: of an image that a cache does not hold, it has what was written last.
  for (int64_t row = end; row-- > begin;) {
    const Taps y = TapsOf(args, 1, row % args.out_dims[1]), z = TapsOf(args, 0, row / args.out_dims[1] % args.out_dims[0]);
    const int64_t image = row / args.out_dims[1] / args.out_dims[0];
    T* out = static_cast<T*>(args.out) + row * line;
    if (z.count == 0 || y.count == 0) {
      std::fill_n(out, line, Lowest<T>());
      continue;
    }
    const T* x = static_cast<const T*>(args.x) + (image * args.in[0] + z.first) * plane_step + y.first * row_step;
    pool.Row(x, {{z.count, y.count, 1}, {plane_step * args.dilation[0], row_step * args.dilation[1], 0}}, out);
  }
}

}  // namespace

PoolFn* MaxPoolOf(PoolElement element) {
  switch (element) {
    case PoolElement::kFloat:
      return MaxPoolRun<float>;
    case PoolElement::kUint8:
      return MaxPoolRun<uint8_t>;
    case PoolElement::kInt8:
      return MaxPoolRun<int8_t>;
  }
  return nullptr;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

PoolFn* PickMaxPool(PoolElement element, CpuLevel level) { return LINNET_PICK(level, MaxPoolOf)(element); }

}  // namespace linnet
#endif  // HWY_ONCE
