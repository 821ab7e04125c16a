// Resizing: each output row first combines whole input rows, then combines pixels of that one row.
#include "kernels/resize.h"

#include <string.h>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/resize.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// out[i] = sum over taps of weight[t] * x[index[t] * stride + i], 0 <= i < n.
HWY_INLINE void Combine(const float* x, int64_t stride, const int32_t* index, const float* weight,
                        int64_t taps, int64_t n, float* out) {
  const F32 d;
  for (int64_t i = 0; i < n; i += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - i);
    VF32 sum = hn::Zero(d);
    for (int64_t t = 0; t < taps; ++t) {
      if (weight[t] == 0) continue;
      sum = hn::MulAdd(LoadSome(d, x + index[t] * stride + i, left), hn::Set(d, weight[t]), sum);
    }
    StoreSome(sum, d, out + i, left);
  }
}

HWY_INLINE void CopyPixel(const float* x, int64_t n, float* out) {
  const F32 d;
  for (int64_t i = 0; i < n; i += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - i);
    StoreSome(LoadSome(d, x + i, left), d, out + i, left);
  }
}

void Fill(float value, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = value;
}

}  // namespace

void Resize(const ResizeArgs& args, int64_t begin, int64_t end) {
  const int64_t channels = args.channels, in_row = args.in_width * channels,
                out_row = args.out_width * channels;
  for (int64_t y = begin; y < end; ++y) {
    float* out = args.out + y * out_row;
    const int32_t* rows = args.rows.index + y * args.rows.taps;
    if (rows[0] < 0) {
      Fill(args.extrapolation, out_row, out);
      continue;
    }
    const float* row = args.x + rows[0] * in_row;
    if (args.rows.weight != nullptr) {
      Combine(args.x, in_row, rows, args.rows.weight + y * args.rows.taps, args.rows.taps, in_row,
              args.scratch);
      row = args.scratch;
    }
    const int32_t* cols = args.cols.index;
    const float* weight = args.cols.weight;
    for (int64_t x = 0; x < args.out_width; ++x, cols += args.cols.taps, out += channels) {
      if (cols[0] < 0) {
        Fill(args.extrapolation, channels, out);
      } else if (weight == nullptr) {
        CopyPixel(row + cols[0] * channels, channels, out);
      } else {
        Combine(row, channels, cols, weight + x * args.cols.taps, args.cols.taps, channels, out);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

ResizeFn* PickResize(CpuLevel level) {
  return LINNET_PICK(level, Resize);
}

}  // namespace linnet
#endif  // HWY_ONCE
