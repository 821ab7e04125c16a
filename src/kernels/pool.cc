// Pooling: for each output pixel and block of channels, one walk over the taps of the window that lie in the
// image.
#include "kernels/pool.h"

#include <math.h>

#include <algorithm>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

#ifndef LINNET_POOL_WINDOW
#define LINNET_POOL_WINDOW
namespace linnet {
namespace {

// The taps of a window along one axis that lie in the image: `count` from input index `first`, `step` apart.
struct Taps {
  int64_t first, count, padded;  // padded: taps inside the padded image
};
Taps TapsOf(const PoolArgs& args, int axis, int64_t out_index) {
  const int64_t step = args.dilation[axis], kernel = args.kernel[axis];
  const int64_t at = out_index * args.stride[axis] - args.pad_begin[axis];
  // Taps k with at + k step < bound.
  auto below = [&](int64_t bound) {
    const int64_t k = at >= bound ? 0 : (bound - at + step - 1) / step;
    return k < kernel ? k : kernel;
  };
  const int64_t begin = below(0), end = below(args.in[axis]);
  return {at + begin * step, end - begin, below(args.in[axis] + args.pad_end[axis])};
}

}  // namespace
}  // namespace linnet
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

struct Window {
  const float* x;  // the first tap
  int64_t count[3];
  int64_t step[3];  // floats from tap to tap
  float factor;     // of the sum in an average
  int64_t p;
  const float* ahead;   // null: nothing is asked for
  int64_t ahead_rows, ahead_row, ahead_pixels, ahead_pixel;
};

HWY_INLINE VF32 PowerOfAbs(F32 d, VF32 x, int64_t p) {
  VF32 base = hn::Abs(x), power = hn::Set(d, 1.0f);
  for (; p > 0; p >>= 1) {
    if (p & 1) power = hn::Mul(power, base);
    base = hn::Mul(base, base);
  }
  return power;
}

template <PoolKind kKind>
HWY_INLINE VF32 Start(F32 d) {
  return kKind == PoolKind::kMax ? hn::Set(d, -__builtin_inff()) : hn::Zero(d);
}
template <PoolKind kKind>
HWY_INLINE VF32 AddTap(F32 d, VF32 acc, VF32 x, int64_t p) {
#if HWY_ARCH_X86
  // maxps yields its second operand when either is NaN: one of these is NaN then, and otherwise they are the same but for zeros of two signs.
  if constexpr (kKind == PoolKind::kMax) return hn::Or(hn::Max(acc, x), hn::Max(x, acc));
#endif
  if constexpr (kKind == PoolKind::kMax) return MaxNaN(acc, x);
  if constexpr (kKind == PoolKind::kAverage) return hn::Add(acc, x);
  return p == 2 ? hn::MulAdd(x, x, acc) : hn::Add(acc, PowerOfAbs(d, x, p));
}
template <PoolKind kKind>
HWY_INLINE VF32 FinishTaps(F32 d, VF32 acc, const Window& window) {
  if constexpr (kKind == PoolKind::kMax) return acc;
  if constexpr (kKind == PoolKind::kAverage) return hn::Mul(acc, hn::Set(d, window.factor));
  if (window.p == 1) return acc;
  if (window.p == 2) return SquareRoot(acc);
  HWY_ALIGN float lanes[hn::MaxLanes(F32())];
  hn::Store(acc, d, lanes);
  for (float& lane : lanes) lane = powf(lane, 1.0f / static_cast<float>(window.p));
  return hn::Load(d, lanes);
}

// kVectors whole vectors of channels from `channel`, or one incomplete vector of `left` channels.
template <PoolKind kKind, size_t kVectors>
HWY_INLINE void PoolChannels(const Window& window, int64_t channel, size_t left, float* out) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  const bool whole = kVectors > 1 || left >= lanes;
  VF32 acc[kVectors];
  LINNET_UNROLL
  for (size_t v = 0; v < kVectors; ++v) acc[v] = Start<kKind>(d);
  const float* plane = window.x + channel;
  // What the same window reads anew a row further up.
  if (window.ahead) {
    for (int64_t y = 0; y < window.ahead_rows; ++y) {
      const char* row = reinterpret_cast<const char*>(window.ahead + channel + y * window.ahead_row);
      for (int64_t x = 0; x < window.ahead_pixels; ++x, row += window.ahead_pixel * 4) {
        for (size_t byte = 0; byte < kVectors * lanes * 4; byte += 64) __builtin_prefetch(row + byte, 0, 2);
      }
    }
  }
  for (int64_t z = 0; z < window.count[0]; ++z, plane += window.step[0]) {
    const float* row = plane;
    for (int64_t y = 0; y < window.count[1]; ++y, row += window.step[1]) {
      const float* tap = row;
      for (int64_t x = 0; x < window.count[2]; ++x, tap += window.step[2]) {
        LINNET_UNROLL
        for (size_t v = 0; v < kVectors; ++v) {
          acc[v] = AddTap<kKind>(d, acc[v], whole ? hn::LoadU(d, tap + v * lanes) : LoadTail(d, tap, left),
                                 window.p);
        }
      }
    }
  }
  LINNET_UNROLL
  for (size_t v = 0; v < kVectors; ++v) {
    const VF32 result = FinishTaps<kKind>(d, acc[v], window);
    whole ? hn::StoreU(result, d, out + channel + v * lanes) : StoreTail(result, d, out + channel, left);
  }
}

constexpr int64_t kSeparateColumns = 64;

// Whether a maximum takes fewer taps as that of columns, each of which serves several pixels of the row, and then that of the columns.
bool TakesColumnsFirst(const PoolArgs& args) {
  const int64_t rows = args.kernel[1], columns = args.kernel[2];
  return args.kernel[0] == 1 && (columns - 1) * args.dilation[2] < kSeparateColumns &&
         rows * std::min(args.stride[2], columns) + columns < rows * columns;
}

// kVectors vectors of channels of outputs [pixel0, pixel1) of a row, which read columns [column0, column1) of the rows from `x` on.
template <size_t kVectors>
HWY_INLINE void MaxOfColumns(const PoolArgs& args, const float* x, int64_t rows, int64_t row_step, int64_t pixel0, int64_t pixel1,
                             int64_t column0, int64_t column1, float* out) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  HWY_ALIGN float columns[kSeparateColumns * kVectors * hn::MaxLanes(F32())];
  VF32 acc[kVectors];
  float* to = columns;
  for (int64_t column = column0; column < column1; ++column, to += kVectors * lanes) {
    const float* tap = x + column * args.channels;
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) acc[v] = hn::LoadU(d, tap + v * lanes);
    for (int64_t y = 1; y < rows; ++y) {
      tap += row_step;
      LINNET_UNROLL
      for (size_t v = 0; v < kVectors; ++v) acc[v] = AddTap<PoolKind::kMax>(d, acc[v], hn::LoadU(d, tap + v * lanes), 1);
    }
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) hn::Store(acc[v], d, to + v * lanes);
  }
  for (int64_t pixel = pixel0; pixel < pixel1; ++pixel) {
    const Taps taps = TapsOf(args, 2, pixel);
    const float* tap = columns + (taps.first - column0) * static_cast<int64_t>(kVectors * lanes);
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) acc[v] = Start<PoolKind::kMax>(d);
    for (int64_t i = 0; i < taps.count; ++i, tap += args.dilation[2] * static_cast<int64_t>(kVectors * lanes)) {
      LINNET_UNROLL
      for (size_t v = 0; v < kVectors; ++v) acc[v] = AddTap<PoolKind::kMax>(d, acc[v], hn::Load(d, tap + v * lanes), 1);
    }
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(acc[v], d, out + pixel * args.channels + v * lanes);
  }
}

// The whole vectors of channels of a row of outputs, whose windows' rows begin at `x`.
void MaxOfRow(const PoolArgs& args, const float* x, int64_t rows, int64_t row_step, float* out) {
  const int64_t lanes = hn::Lanes(F32()), whole = args.channels / lanes * lanes, reach = (args.kernel[2] - 1) * args.dilation[2];
  const int64_t piece = (kSeparateColumns - 1 - reach) / args.stride[2] + 1;
  for (int64_t pixel = 0; pixel < args.out_dims[2]; pixel += piece) {
    const int64_t end = std::min(args.out_dims[2], pixel + piece);
    const int64_t column0 = std::clamp<int64_t>(pixel * args.stride[2] - args.pad_begin[2], 0, args.in[2]);
    const int64_t column1 = std::clamp<int64_t>((end - 1) * args.stride[2] - args.pad_begin[2] + reach + 1, column0, args.in[2]);
    int64_t c = 0;
    for (; c + 4 * lanes <= whole; c += 4 * lanes) MaxOfColumns<4>(args, x + c, rows, row_step, pixel, end, column0, column1, out + c);
    for (; c < whole; c += lanes) MaxOfColumns<1>(args, x + c, rows, row_step, pixel, end, column0, column1, out + c);
  }
}

#if !defined(LINNET_SMALL)
constexpr bool kWalksSquares = true;
#else
constexpr bool kWalksSquares = false;
#endif

// As two and three taps added to nothing. AVX-512 looks for NaN in pairs: maxps keeps that of its second operand.
HWY_INLINE VF32 MaxOf(F32 d, VF32 a, VF32 b) {
#if HWY_TARGET == HWY_AVX3
  const VF32 nan = hn::Set(d, __builtin_nanf(""));
  return VF32{_mm512_mask_max_ps(nan.raw, _mm512_cmp_ps_mask(a.raw, a.raw, _CMP_ORD_Q), a.raw, b.raw)};
#else
  return AddTap<PoolKind::kMax>(d, a, b, 1);
#endif
}
HWY_INLINE VF32 MaxOf(F32 d, VF32 a, VF32 b, VF32 c) {
#if HWY_TARGET == HWY_AVX3
  const VF32 nan = hn::Set(d, __builtin_nanf(""));
  return VF32{_mm512_mask_max_ps(nan.raw, _mm512_cmp_ps_mask(a.raw, b.raw, _CMP_ORD_Q), _mm512_max_ps(a.raw, b.raw), c.raw)};
#else
  return AddTap<PoolKind::kMax>(d, AddTap<PoolKind::kMax>(d, a, b, 1), c, 1);
#endif
}

// `count` neighbouring maxima of squares of kSide x kSide, kStep apart, whose rows begin at rows[]: kVectors vectors of channels, or one
// incomplete one of `left`. A column that the next square has too is not read again.
template <size_t kVectors, size_t kSide, size_t kStep>
HWY_INLINE void MaxOfSquares(const float* const* rows, int64_t channels, int64_t count, size_t left, float* out) {
  const F32 d;
  constexpr size_t kKept = kSide - kStep;
  const size_t lanes = hn::Lanes(d);
  const bool whole = kVectors > 1 || left >= lanes;
  const float *row0 = rows[0], *row1 = rows[1], *row2 = rows[kSide - 1];
  auto load = [&](const float* p) HWY_ATTR { return whole ? hn::LoadU(d, p) : LoadTail(d, p, left); };
  auto column = [&](int64_t at) HWY_ATTR {
    if constexpr (kSide == 2) return MaxOf(d, load(row0 + at), load(row1 + at));
    if constexpr (kSide == 3) return MaxOf(d, load(row0 + at), load(row1 + at), load(row2 + at));
  };
  VF32 kept[kKept + 1][kVectors];
  LINNET_UNROLL
  for (size_t v = 0; v < kVectors; ++v) {
    LINNET_UNROLL
    for (size_t k = 0; k < kKept; ++k) kept[k][v] = column(static_cast<int64_t>(k) * channels + static_cast<int64_t>(v * lanes));
  }
  int64_t at = static_cast<int64_t>(kKept) * channels;
  for (int64_t pixel = 0; pixel < count; ++pixel, at += static_cast<int64_t>(kStep) * channels, out += channels) {
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) {
      VF32 c[kSide];
      LINNET_UNROLL
      for (size_t k = 0; k < kSide; ++k) {
        if (k < kKept) c[k] = kept[k][v];
        if (k >= kKept) c[k] = column(at + static_cast<int64_t>(k - kKept) * channels + static_cast<int64_t>(v * lanes));
      }
      const VF32 largest = kSide == 2 ? MaxOf(d, c[0], c[1]) : MaxOf(d, c[0], c[1], c[kSide - 1]);
      whole ? hn::StoreU(largest, d, out + v * lanes) : StoreTail(largest, d, out, left);
      LINNET_UNROLL
      for (size_t k = 0; k < kKept; ++k) kept[k][v] = c[k + kStep];
    }
  }
}

template <size_t kSide, size_t kStep>
void MaxOfSquares(const float* const* rows, int64_t channels, int64_t count, float* out) {
  const int64_t lanes = hn::Lanes(F32());
  const float* from[3] = {rows[0], rows[1], rows[2]};
  for (int64_t c = 0; c < channels;) {
    const int64_t left = channels - c, done = left >= 4 * lanes ? 4 * lanes : left >= 2 * lanes ? 2 * lanes : lanes;
    if (left >= 4 * lanes) {
      MaxOfSquares<4, kSide, kStep>(from, channels, count, static_cast<size_t>(left), out + c);
    } else if (left >= 2 * lanes) {
      MaxOfSquares<2, kSide, kStep>(from, channels, count, static_cast<size_t>(left), out + c);
    } else {
      MaxOfSquares<1, kSide, kStep>(from, channels, count, static_cast<size_t>(left), out + c);
    }
    for (const float*& row : from) row += done;
    c += done;
  }
}

using SquaresFn = void(const float* const* rows, int64_t channels, int64_t count, float* out);
SquaresFn* SquaresOf(const PoolArgs& args) {
  const int64_t side = args.kernel[2], step = args.stride[2];
  if (!kWalksSquares || args.kernel[0] != 1 || args.kernel[1] != side || args.dilation[1] != 1 || args.dilation[2] != 1) return nullptr;
  return side == 2 && step == 2 ? MaxOfSquares<2, 2> : side == 3 && step == 1 ? MaxOfSquares<3, 1> : side == 3 && step == 2 ? MaxOfSquares<3, 2> : nullptr;
}

template <PoolKind kKind>
void Pool(const PoolArgs& args, int64_t begin, int64_t end) {
  const int64_t channels = args.channels, lanes = hn::Lanes(F32());
  const int64_t strides[3] = {args.in[1] * args.in[2] * channels, args.in[2] * channels, channels};
  Window window;
  window.p = args.p;
  for (int axis = 0; axis < 3; ++axis) window.step[axis] = strides[axis] * args.dilation[axis];
  constexpr int64_t kNearFloats = 96 << 10;
  const bool far = strides[0] > kNearFloats && args.dilation[1] == 1 && args.out_dims[0] == 1;
  SquaresFn* squares = kKind == PoolKind::kMax ? SquaresOf(args) : nullptr;
  const bool separate = kKind == PoolKind::kMax && !squares && TakesColumnsFirst(args);
  // Pixels [whole0, whole1) have all their columns inside.
  const int64_t reach = (args.kernel[2] - 1) * args.dilation[2], room = args.in[2] - 1 - reach + args.pad_begin[2];
  const int64_t whole0 = (args.pad_begin[2] + args.stride[2] - 1) / args.stride[2];
  const int64_t whole1 = room < 0 ? 0 : std::min(args.out_dims[2], room / args.stride[2] + 1);
  // Backwards: of an image that a cache does not hold, it has what was written last.
  for (int64_t row = end; row-- > begin;) {
    const int64_t image = row / args.out_dims[1] / args.out_dims[0];
    const Taps z = TapsOf(args, 0, row / args.out_dims[1] % args.out_dims[0]);
    const Taps y = TapsOf(args, 1, row % args.out_dims[1]);
    float* out = args.out + row * args.out_dims[2] * channels;
    // Rows that the row of the output above reads and this one does not: caches follow few streams as short as a window's.
    window.ahead_rows = far && row > begin && y.count > 0 ? std::min(args.stride[1], y.first) : 0;
    window.ahead_row = strides[1], window.ahead_pixels = std::min(args.stride[2], args.kernel[2]), window.ahead_pixel = channels;
    int64_t first_channel = 0;
    if (kKind == PoolKind::kMax && separate && z.count == 1 && y.count > 0) {
      const float* x = args.x + (image * args.in[0] + z.first) * strides[0] + y.first * strides[1];
      MaxOfRow(args, x, y.count, window.step[1], out);
      first_channel = channels / lanes * lanes;
      if (first_channel == channels) continue;
    }
    const bool walk = squares && z.count == 1 && y.count > 0 && whole0 < whole1;
    if (walk) {
      const float* x = args.x + (image * args.in[0] + z.first) * strides[0] + y.first * strides[1] + (whole0 * args.stride[2] - args.pad_begin[2]) * channels;
      const float* rows[3];   // one that lies outside is another once more
      for (int64_t i = 0; i < 3; ++i) rows[i] = x + std::min(i, y.count - 1) * strides[1];
      squares(rows, channels, whole1 - whole0, out + whole0 * channels);
    }
    for (int64_t pixel = 0; pixel < args.out_dims[2]; ++pixel, out += channels) {
      const bool whole = pixel >= whole0 && pixel < whole1;
      if (whole && walk) {
        out += (whole1 - 1 - pixel) * channels;
        pixel = whole1 - 1;
        continue;
      }
      const Taps x = whole ? Taps{pixel * args.stride[2] - args.pad_begin[2], args.kernel[2], args.kernel[2]} : TapsOf(args, 2, pixel);
      const int64_t taps = z.count * y.count * x.count;
      const int64_t divisor = args.count_include_pad ? z.padded * y.padded * x.padded : taps;
      window.x = args.x;
      if (taps > 0)
        window.x += image * args.in[0] * strides[0] + z.first * strides[0] + y.first * strides[1] +
                    x.first * channels;
      window.ahead = window.ahead_rows > 0 && whole ? window.x - window.ahead_rows * strides[1] : nullptr;
      window.count[0] = z.count, window.count[1] = y.count, window.count[2] = x.count;
      if constexpr (kKind == PoolKind::kAverage) window.factor = divisor > 0 ? 1.0f / static_cast<float>(divisor) : 0.0f;
      int64_t c = first_channel;
      for (; c + 4 * lanes <= channels; c += 4 * lanes) PoolChannels<kKind, 4>(window, c, 4 * lanes, out);
      for (; c + 2 * lanes <= channels; c += 2 * lanes) PoolChannels<kKind, 2>(window, c, 2 * lanes, out);
      for (; c < channels; c += lanes) PoolChannels<kKind, 1>(window, c, channels - c, out);
    }
  }
}

}  // namespace

PoolFn* PoolOf(PoolKind kind) {
  switch (kind) {
    case PoolKind::kMax:
      return Pool<PoolKind::kMax>;
    case PoolKind::kAverage:
      return Pool<PoolKind::kAverage>;
    case PoolKind::kLp:
      return Pool<PoolKind::kLp>;
  }
  return nullptr;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

PoolFn* PickPool(PoolKind kind, CpuLevel level) {
  return LINNET_PICK(level, PoolOf)(kind);
}

}  // namespace linnet
#endif  // HWY_ONCE
