// Resizing: each output row first combines whole input rows, then combines pixels of that one row. Where a pixel is one
// number it goes the other way: input rows are resized once each, with gathers or from
// one register, and output rows combine those.
#include "kernels/resize.h"

#include <string.h>

#include "hwy/cache_control.h"

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/resize.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

#if !defined(LINNET_SMALL)
constexpr int64_t kFewTaps = 4;

// out[i] = sum of weight[t] * from[t][i], 0 <= i < n, over t < kTaps; past the caches where `out` is far.
template <size_t kTaps, bool kFar = false>
HWY_INLINE void CombineFew(const float* const* from, const float* weight, int64_t n, float* out) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  VF32 w[kTaps];
  LINNET_UNROLL
  for (size_t t = 0; t < kTaps; ++t) w[t] = hn::Set(d, weight[t]);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    VF32 sum = hn::Mul(hn::LoadU(d, from[0] + i), w[0]);
    LINNET_UNROLL
    for (size_t t = 1; t < kTaps; ++t) sum = hn::Add(hn::Mul(hn::LoadU(d, from[t] + i), w[t]), sum);
    kFar ? hn::Stream(sum, d, out + i) : hn::StoreU(sum, d, out + i);
  }
  if (i == n) return;
  const size_t left = static_cast<size_t>(n - i);
  VF32 sum = hn::Mul(LoadTail(d, from[0] + i, left), w[0]);
  LINNET_UNROLL
  for (size_t t = 1; t < kTaps; ++t) sum = hn::Add(hn::Mul(LoadTail(d, from[t] + i, left), w[t]), sum);
  StoreTail(sum, d, out + i, left);
}
#endif

// out[i] = sum over taps of weight[t] * x[index[t] * stride + i], 0 <= i < n.
HWY_INLINE void Combine(const float* x, int64_t stride, const int32_t* index, const float* weight,
                        int64_t taps, int64_t n, float* out) {
  const F32 d;
#if !defined(LINNET_SMALL)
  if (taps == 2 && weight[0] != 0 && weight[1] != 0) {
    const float* from[2] = {x + index[0] * stride, x + index[1] * stride};
    return CombineFew<2>(from, weight, n, out);
  }
  if (taps <= kFewTaps) {
    const float* from[kFewTaps];
    float some[kFewTaps];
    int64_t count = 0;
    for (int64_t t = 0; t < taps; ++t) {
      from[count] = x + index[t] * stride;
      some[count] = weight[t];
      count += weight[t] != 0;
    }
    if (count == 1) return CombineFew<1>(from, some, n, out);
    if (count == 2) return CombineFew<2>(from, some, n, out);
    if (count == 4) return CombineFew<4>(from, some, n, out);
  }
#endif
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

using I32 = hn::RebindToSigned<F32>;
using VI32 = hn::Vec<I32>;

// The columns and weights of a vector of outputs, by taps.
template <int64_t kTaps>
HWY_INLINE void LoadTaps(const ResizeAxis& cols, int64_t x, VI32 (&index)[4], VF32 (&weight)[4]) {
  const F32 d;
  const I32 di;
  const int32_t* from = cols.index + x * kTaps;
  const float* by = cols.weight + x * kTaps;
  if constexpr (kTaps == 1) {
    index[0] = hn::LoadU(di, from);
  } else if constexpr (kTaps == 2) {
    hn::LoadInterleaved2(di, from, index[0], index[1]);
    hn::LoadInterleaved2(d, by, weight[0], weight[1]);
  } else {
    hn::LoadInterleaved4(di, from, index[0], index[1], index[2], index[3]);
    hn::LoadInterleaved4(d, by, weight[0], weight[1], weight[2], weight[3]);
  }
}

// A tap of weight 0 is not there, whatever its value.
HWY_INLINE VF32 AddColumn(VF32 sum, VF32 weight, VF32 value) {
  const F32 d;
  return hn::Add(hn::Mul(hn::IfThenZeroElse(hn::Eq(weight, hn::Zero(d)), value), weight), sum);
}

// What is left of a row.
template <int64_t kTaps>
HWY_INLINE void ResizeRest(const ResizeArgs& args, const float* row, int64_t x, float* out) {
  for (; x < args.out_width; ++x) {
    const int32_t* index = args.cols.index + x * kTaps;
    if constexpr (kTaps == 1) {
      out[x] = row[index[0]];
    } else {
      Combine(row, 1, index, args.cols.weight + x * kTaps, kTaps, 1, out + x);
    }
  }
}

// One input row of an image of one channel at the output's width. No column lies outside.
template <int64_t kTaps>
void ResizeRow(const ResizeArgs& args, const float* row, const float*, float* out) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t x = 0;
  for (; x + lanes <= args.out_width; x += lanes) {
    VI32 index[4];
    VF32 weight[4], sum = hn::Zero(d);
    LoadTaps<kTaps>(args.cols, x, index, weight);
    if constexpr (kTaps == 1) sum = hn::GatherIndex(d, row, index[0]);
    LINNET_UNROLL
    for (int64_t t = 0; t < kTaps && kTaps > 1; ++t) sum = AddColumn(sum, weight[t], hn::GatherIndex(d, row, index[t]));
    hn::StoreU(sum, d, out + x);
  }
  ResizeRest<kTaps>(args, row, x, out);
}

#if !defined(LINNET_SMALL)
// Where the vector of inputs begins that holds the columns of the vector of outputs at x, if one does.
HWY_INLINE int64_t WindowOf(const ResizeArgs& args, int64_t x) {
  const int64_t last = args.in_width - static_cast<int64_t>(hn::Lanes(F32())), first = args.cols.index[x * args.cols.taps];
  return first < last ? first : last;
}

// Whether every vector of outputs is made of one vector of inputs.
bool InWindows(const ResizeArgs& args) {
  const I32 di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(di)), taps = args.cols.taps;
  if (args.in_width < lanes) return false;
  for (int64_t x = 0; x + lanes <= args.out_width; x += lanes) {
    const int32_t first = static_cast<int32_t>(WindowOf(args, x)), behind = first + static_cast<int32_t>(lanes);
    for (int64_t t = 0; t < taps; ++t) {
      const VI32 index = hn::LoadU(di, args.cols.index + x * taps + t * lanes);
      if (!hn::AllTrue(di, hn::And(hn::Gt(index, hn::Set(di, first - 1)), hn::Lt(index, hn::Set(di, behind))))) return false;
    }
  }
  return true;
}

// For ResizeInWindows, once for all rows: by vectors of outputs and taps, places in the window and weights.
template <int64_t kTaps>
void PrepareWindows(const ResizeArgs& args, float* table) {
  const F32 d;
  const I32 di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t x = 0; x + lanes <= args.out_width; x += lanes) {
    VI32 index[4];
    VF32 weight[4];
    LoadTaps<kTaps>(args.cols, x, index, weight);
    const VI32 first = hn::Set(di, static_cast<int32_t>(WindowOf(args, x)));
    for (int64_t t = 0; t < kTaps; ++t, table += 2 * lanes) {
      hn::StoreU(hn::BitCast(d, hn::Sub(index[t], first)), d, table);
      if (kTaps > 1) hn::StoreU(weight[t], d, table + lanes);
    }
  }
}

template <int64_t kTaps>
void ResizeInWindows(const ResizeArgs& args, const float* row, const float* table, float* out) {
  const F32 d;
  const I32 di;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t x = 0;
  for (; x + lanes <= args.out_width; x += lanes) {
    const VF32 window = hn::LoadU(d, row + WindowOf(args, x));
    VF32 sum = hn::Zero(d);
    LINNET_UNROLL
    for (int64_t t = 0; t < kTaps; ++t, table += 2 * lanes) {
      const VF32 value = hn::TableLookupLanes(window, hn::IndicesFromVec(d, hn::BitCast(di, hn::LoadU(d, table))));
      sum = kTaps == 1 ? value : AddColumn(sum, hn::LoadU(d, table + lanes), value);
    }
    hn::StoreU(sum, d, out + x);
  }
  ResizeRest<kTaps>(args, row, x, out);
}
#endif

// Nearest, where every input column is taken twice.
void DoubleRow(const ResizeArgs& args, const float* row, const float*, float* out) {
  const F32 d;
  const int64_t width = args.out_width;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t x = 0;
  for (; x + 2 * lanes <= width; x += 2 * lanes) {
    const VF32 v = hn::LoadU(d, row + x / 2);
    hn::StoreInterleaved2(v, v, d, out + x);
  }
  for (; x < width; ++x) out[x] = row[x / 2];
}

// What resizes the rows of an image of one channel, and what makes its table; null where the other way must do.
struct RowWay {
  void (*resize)(const ResizeArgs& args, const float* row, const float* table, float* out) = nullptr;
  void (*prepare)(const ResizeArgs& args, float* table) = nullptr;
};
template <int64_t kTaps>
RowWay RowWayOf(const ResizeArgs& args) {
#if !defined(LINNET_SMALL)
  if (InWindows(args)) return {ResizeInWindows<kTaps>, PrepareWindows<kTaps>};
#endif
  return {ResizeRow<kTaps>};
}
RowWay RowWayOf(const ResizeArgs& args) {
  if (args.channels != 1 || (args.rows.weight && args.rows.taps > kResizePlaneTaps)) return {};
  bool doubles = true;
  for (int64_t x = 0; x < args.out_width; ++x) {
    if (args.cols.index[x * args.cols.taps] < 0) return {};
    doubles = doubles && args.cols.index[x * args.cols.taps] == x / 2;
  }
  if (!args.cols.weight) return doubles ? RowWay{DoubleRow} : RowWayOf<1>(args);
  if (args.cols.taps == 2) return RowWayOf<2>(args);
  if (args.cols.taps == 4) return RowWayOf<4>(args);
  return {};
}

HWY_INLINE VF32 CombineRows(F32 d, const float* const* rows, const float* weights, int64_t count, int64_t i, size_t left) {
  VF32 sum = hn::Zero(d);
  for (int64_t t = 0; t < count; ++t) sum = hn::Add(hn::Mul(LoadSome(d, rows[t] + i, left), hn::Set(d, weights[t])), sum);
  return sum;
}

void ResizePlane(const ResizeArgs& args, const RowWay& way, int64_t begin, int64_t end) {
  const F32 d;
  const int64_t width = args.out_width, taps = args.rows.taps, lanes = static_cast<int64_t>(hn::Lanes(d));
  float* table = args.scratch + ResizeKeptFloats(args);
  if (way.prepare) way.prepare(args, table);
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
        way.resize(args, args.x + rows[0] * args.in_width, table, out);
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
        way.resize(args, args.x + rows[t] * args.in_width, table, args.scratch + slot * width);
        holds[slot] = rows[t];
        needed[slot] = true;
      }
      from[count] = args.scratch + slot * width;
      weights[count++] = weight;
    }
    const bool aligned = reinterpret_cast<uintptr_t>(out) % (hn::Lanes(d) * sizeof(float)) == 0;
#if !defined(LINNET_SMALL)
    if (count == 2 && (aligned || !args.out_is_far)) {
      args.out_is_far ? CombineFew<2, true>(from, weights, width, out) : CombineFew<2>(from, weights, width, out);
      continue;
    }
#endif
    int64_t i = 0;
    if (args.out_is_far && aligned) {
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
  if (const RowWay way = RowWayOf(args); way.resize) return ResizePlane(args, way, begin, end);
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
