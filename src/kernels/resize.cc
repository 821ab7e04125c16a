// Resizing: each output row first combines whole input rows, then combines pixels of that one row. Where a pixel is one
// number it goes the other way: input rows are resized once each, with gathers, and output rows combine those.
#include "kernels/resize.h"

#include <string.h>

#include "hwy/cache_control.h"

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
      sum = hn::Add(hn::Mul(LoadSome(d, x + index[t] * stride + i, left), hn::Set(d, weight[t])), sum);
    }
    StoreSome(sum, d, out + i, left);
  }
}

HWY_INLINE void CopyPixel(const float* x, int64_t n, float* out) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::LoadU(d, x + i), d, out + i);
  if (i < n) StoreTail(LoadTail(d, x + i, static_cast<size_t>(n - i)), d, out + i, static_cast<size_t>(n - i));
}

void Fill(float value, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = value;
}

// One input row of an image of one channel at the output's width. No column lies outside.
template <int64_t kTaps>
HWY_INLINE void ResizeRow(const ResizeAxis& cols, const float* row, int64_t width, float* out) {
  const F32 d;
  const hn::RebindToSigned<F32> di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t x = 0;
  auto add = [&](VF32 sum, VF32 weight, hn::Vec<decltype(di)> index) HWY_ATTR {
    const VF32 value = hn::GatherIndex(d, row, index);
    return hn::Add(hn::Mul(hn::IfThenZeroElse(hn::Eq(weight, hn::Zero(d)), value), weight), sum);
  };
  for (; x + lanes <= width; x += lanes) {
    const int32_t* index = cols.index + x * kTaps;
    const float* weight = cols.weight + x * kTaps;
    VF32 sum = hn::Zero(d);
    if constexpr (kTaps == 1) {
      sum = hn::GatherIndex(d, row, hn::LoadU(di, index));
    } else if constexpr (kTaps == 2) {
      hn::Vec<decltype(di)> i0, i1;
      VF32 w0, w1;
      hn::LoadInterleaved2(di, index, i0, i1);
      hn::LoadInterleaved2(d, weight, w0, w1);
      sum = add(add(sum, w0, i0), w1, i1);
    } else {
      hn::Vec<decltype(di)> i0, i1, i2, i3;
      VF32 w0, w1, w2, w3;
      hn::LoadInterleaved4(di, index, i0, i1, i2, i3);
      hn::LoadInterleaved4(d, weight, w0, w1, w2, w3);
      sum = add(add(add(add(sum, w0, i0), w1, i1), w2, i2), w3, i3);
    }
    hn::StoreU(sum, d, out + x);
  }
  for (; x < width; ++x) {
    const int32_t* index = cols.index + x * kTaps;
    if constexpr (kTaps == 1) {
      out[x] = row[index[0]];
    } else {
      Combine(row, 1, index, cols.weight + x * kTaps, kTaps, 1, out + x);
    }
  }
}

// Nearest, where every input column is taken twice.
void DoubleRow(const ResizeAxis&, const float* row, int64_t width, float* out) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t x = 0;
  for (; x + 2 * lanes <= width; x += 2 * lanes) {
    const VF32 v = hn::LoadU(d, row + x / 2);
    hn::StoreInterleaved2(v, v, d, out + x);
  }
  for (; x < width; ++x) out[x] = row[x / 2];
}

using RowFn = void(const ResizeAxis& cols, const float* row, int64_t width, float* out);

// What resizes the rows of an image of one channel; null where the other way must do.
RowFn* RowOf(const ResizeArgs& args) {
  if (args.channels != 1 || (args.rows.weight && args.rows.taps > kResizePlaneTaps)) return nullptr;
  bool doubles = true;
  for (int64_t x = 0; x < args.out_width; ++x) {
    if (args.cols.index[x * args.cols.taps] < 0) return nullptr;
    doubles = doubles && args.cols.index[x * args.cols.taps] == x / 2;
  }
  if (!args.cols.weight) return doubles ? DoubleRow : ResizeRow<1>;
  return args.cols.taps == 2 ? ResizeRow<2> : args.cols.taps == 4 ? ResizeRow<4> : nullptr;
}

HWY_INLINE VF32 CombineRows(F32 d, const float* const* rows, const float* weights, int64_t count, int64_t i, size_t left) {
  VF32 sum = hn::Zero(d);
  for (int64_t t = 0; t < count; ++t) sum = hn::Add(hn::Mul(LoadSome(d, rows[t] + i, left), hn::Set(d, weights[t])), sum);
  return sum;
}

void ResizePlane(const ResizeArgs& args, RowFn* resize_row, int64_t begin, int64_t end) {
  const F32 d;
  const int64_t width = args.out_width, taps = args.rows.taps, lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t holds[kResizePlaneTaps] = {-1, -1, -1, -1};   // the input row in each slot of the scratch
  auto slot_of = [&](int64_t row) {
    int64_t slot = 0;
    while (slot < taps && holds[slot] != row) ++slot;
    return slot;
  };
  for (int64_t y = begin; y < end; ++y) {
    float* out = args.out + y * width;
    const int32_t* rows = args.rows.index + y * taps;
    if (rows[0] < 0) {
      Fill(args.extrapolation, width, out);
      continue;
    }
    if (!args.rows.weight) {
      if (y > begin && rows[0] == rows[-1]) {
        CopyPixel(out - width, width, out);
      } else {
        resize_row(args.cols, args.x + rows[0] * args.in_width, width, out);
      }
      continue;
    }
    const float* from[kResizePlaneTaps];
    float weights[kResizePlaneTaps];
    bool needed[kResizePlaneTaps] = {};
    int64_t count = 0;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t slot = slot_of(rows[t]);
      if (args.rows.weight[y * taps + t] != 0 && slot < taps) needed[slot] = true;
    }
    for (int64_t t = 0; t < taps; ++t) {
      const float weight = args.rows.weight[y * taps + t];
      if (weight == 0) continue;
      int64_t slot = slot_of(rows[t]);
      if (slot == taps) {
        slot = 0;
        while (needed[slot]) ++slot;
        resize_row(args.cols, args.x + rows[t] * args.in_width, width, args.scratch + slot * width);
        holds[slot] = rows[t];
        needed[slot] = true;
      }
      from[count] = args.scratch + slot * width;
      weights[count++] = weight;
    }
    int64_t i = 0;
    if (args.out_is_far && reinterpret_cast<uintptr_t>(out) % (hn::Lanes(d) * sizeof(float)) == 0) {
      for (; i + lanes <= width; i += lanes) hn::Stream(CombineRows(d, from, weights, count, i, hn::Lanes(d)), d, out + i);
    }
    for (; i < width; i += lanes) {
      const size_t left = static_cast<size_t>(width - i);
      StoreSome(CombineRows(d, from, weights, count, i, left), d, out + i, left);
    }
  }
  if (args.out_is_far) hwy::FlushStream();
}

}  // namespace

void Resize(const ResizeArgs& args, int64_t begin, int64_t end) {
  if (RowFn* resize_row = RowOf(args)) return ResizePlane(args, resize_row, begin, end);
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
    if (args.rows.weight == nullptr && y > begin && rows[0] == rows[-1]) {
      CopyPixel(out - out_row, out_row, out);
      continue;
    }
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
