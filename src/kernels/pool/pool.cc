// Average and Lp pooling: for each output pixel and block of channels, one walk over the taps of the window that lie in the
// image.
#include "kernels/pool/pool.h"

#include <math.h>

#include <algorithm>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool/pool.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/pool/taps.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

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
HWY_INLINE VF32 AddTap(F32 d, VF32 acc, VF32 x, int64_t p) {
  if constexpr (kKind == PoolKind::kAverage) return hn::Add(acc, x);
  return p == 2 ? hn::MulAdd(x, x, acc) : hn::Add(acc, PowerOfAbs(d, x, p));
}
template <PoolKind kKind>
HWY_INLINE VF32 FinishTaps(F32 d, VF32 acc, const Window& window) {
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
  for (size_t v = 0; v < kVectors; ++v) acc[v] = hn::Zero(d);
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

template <PoolKind kKind>
void Pool(const PoolArgs& args, int64_t begin, int64_t end) {
  const int64_t channels = args.channels, lanes = hn::Lanes(F32());
  const int64_t strides[3] = {args.in[1] * args.in[2] * channels, args.in[2] * channels, channels};
  Window window;
  window.p = args.p;
  for (int axis = 0; axis < 3; ++axis) window.step[axis] = strides[axis] * args.dilation[axis];
  constexpr int64_t kNearFloats = 96 << 10;
  const bool far = strides[0] > kNearFloats && args.dilation[1] == 1 && args.out_dims[0] == 1;
  // Pixels [whole0, whole1) have all their columns inside.
  const int64_t reach = (args.kernel[2] - 1) * args.dilation[2], room = args.in[2] - 1 - reach + args.pad_begin[2];
  const int64_t whole0 = (args.pad_begin[2] + args.stride[2] - 1) / args.stride[2];
  const int64_t whole1 = room < 0 ? 0 : std::min(args.out_dims[2], room / args.stride[2] + 1);
  // Backwards: of an image that a cache does not hold, it has what was written last.
  for (int64_t row = end; row-- > begin;) {
    const int64_t image = row / args.out_dims[1] / args.out_dims[0];
    const Taps z = TapsOf(args, 0, row / args.out_dims[1] % args.out_dims[0]);
    const Taps y = TapsOf(args, 1, row % args.out_dims[1]);
    float* out = static_cast<float*>(args.out) + row * args.out_dims[2] * channels;
    // Rows that the row of the output above reads and this one does not: caches follow few streams as short as a window's.
    window.ahead_rows = far && row > begin && y.count > 0 ? std::min(args.stride[1], y.first) : 0;
    window.ahead_row = strides[1], window.ahead_pixels = std::min(args.stride[2], args.kernel[2]), window.ahead_pixel = channels;
    for (int64_t pixel = 0; pixel < args.out_dims[2]; ++pixel, out += channels) {
      const bool whole = pixel >= whole0 && pixel < whole1;
      const Taps x = whole ? Taps{pixel * args.stride[2] - args.pad_begin[2], args.kernel[2], args.kernel[2]} : TapsOf(args, 2, pixel);
      const int64_t taps = z.count * y.count * x.count;
      const int64_t divisor = args.count_include_pad ? z.padded * y.padded * x.padded : taps;
      window.x = static_cast<const float*>(args.x);
      if (taps > 0)
        window.x += image * args.in[0] * strides[0] + z.first * strides[0] + y.first * strides[1] +
                    x.first * channels;
      window.ahead = window.ahead_rows > 0 && whole ? window.x - window.ahead_rows * strides[1] : nullptr;
      window.count[0] = z.count, window.count[1] = y.count, window.count[2] = x.count;
      if constexpr (kKind == PoolKind::kAverage) window.factor = divisor > 0 ? 1.0f / static_cast<float>(divisor) : 0.0f;
      int64_t c = 0;
      for (; c + 4 * lanes <= channels; c += 4 * lanes) PoolChannels<kKind, 4>(window, c, 4 * lanes, out);
      for (; c + 2 * lanes <= channels; c += 2 * lanes) PoolChannels<kKind, 2>(window, c, 2 * lanes, out);
      for (; c < channels; c += lanes) PoolChannels<kKind, 1>(window, c, channels - c, out);
    }
  }
}

}  // namespace

PoolFn* PoolOf(PoolKind kind) {
  return kind == PoolKind::kAverage ? Pool<PoolKind::kAverage> : kind == PoolKind::kLp ? Pool<PoolKind::kLp> : nullptr;
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
