// Softmax in three walks over a row or a block of columns: the largest, the exponentials and their sum, the division.
#include "kernels/softmax.h"

#include <math.h>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

struct PlainMax {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Max(a, b);
  }
};

// The largest element, or anything when there is a NaN: the sum is NaN then whatever is subtracted.
HWY_INLINE float Largest(const float* x, int64_t n) {
  const F32 d;
  const int64_t lanes = hn::Lanes(d);
  const VF32 none = hn::Set(d, -__builtin_inff());
  VF32 a = none, b = none;
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    a = hn::Max(a, hn::LoadU(d, x + i));
    b = hn::Max(b, hn::LoadU(d, x + i + lanes));
  }
  for (; i < n; i += lanes) {
    const size_t left = static_cast<size_t>(n - i);
    a = hn::Max(a, hn::IfThenElse(hn::FirstN(d, left), LoadSome(d, x + i, left), none));
  }
  return FoldLanes(d, hn::Max(a, b), PlainMax());
}

// z = scale x + mask.
HWY_INLINE void ScaleAndMask(const float* x, const float* mask, float scale, int64_t n, float* z) {
  const F32 d;
  for (int64_t i = 0; i < n; i += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - i);
    const VF32 v = hn::MulAdd(LoadSome(d, x + i, left), hn::Set(d, scale), LoadSome(d, mask + i, left));
    StoreSome(v, d, z + i, left);
  }
}

// Sum of exp(scale x - shift); stores the terms unless kLogarithm. With kAsks it asks for `next`, n floats, meanwhile: many long rows
// come from beyond the second-level cache.
template <bool kLogarithm, bool kAsks = false>
float SumExp(const float* x, float scale, float shift, int64_t n, float* out, const float* next = nullptr) {
  const F32 d;
  const int64_t lanes = hn::Lanes(d);
  const VF32 s = hn::Set(d, scale), t = hn::Set(d, shift);
  VF32 a = hn::Zero(d), b = a;
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    for (int64_t ahead = 0; kAsks && ahead < 2 * lanes; ahead += 16) __builtin_prefetch(next + i + ahead);
    const VF32 e0 = ExpFlush(d, hn::MulSub(hn::LoadU(d, x + i), s, t));
    const VF32 e1 = ExpFlush(d, hn::MulSub(hn::LoadU(d, x + i + lanes), s, t));
    if constexpr (!kLogarithm) {
      hn::StoreU(e0, d, out + i);
      hn::StoreU(e1, d, out + i + lanes);
    }
    a = hn::Add(a, e0);
    b = hn::Add(b, e1);
  }
  for (; i < n; i += lanes) {
    const size_t left = static_cast<size_t>(n - i);
    const VF32 e = ExpFlush(d, hn::MulSub(LoadSome(d, x + i, left), s, t));
    if constexpr (!kLogarithm) StoreSome(e, d, out + i, left);
    a = hn::Add(a, hn::IfThenElseZero(hn::FirstN(d, left), e));
  }
  return FoldLanes(d, hn::Add(a, b), AddOp());
}

// out = (scale x - shift) - offset, in this order: the difference of large numbers comes first.
HWY_INLINE void ScaleAndShift(const float* x, float scale, float shift, float offset, int64_t n, float* out) {
  const F32 d;
  const VF32 s = hn::Set(d, scale), t = hn::Set(d, shift), o = hn::Set(d, offset);
  const int64_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const VF32 a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + i + lanes);
    hn::StoreU(hn::Sub(hn::MulSub(a, s, t), o), d, out + i);
    hn::StoreU(hn::Sub(hn::MulSub(b, s, t), o), d, out + i + lanes);
  }
  for (; i < n; i += lanes) {
    const size_t left = static_cast<size_t>(n - i);
    StoreSome(hn::Sub(hn::MulSub(LoadSome(d, x + i, left), s, t), o), d, out + i, left);
  }
}

constexpr int64_t kLongRow = 1024;

template <bool kLogarithm>
void Rows(const SoftmaxRowsArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* z = args.x + r * args.x_stride;
    float* out = args.out + r * args.out_stride;
    float scale = args.scale;
    if (args.mask != nullptr) {
      ScaleAndMask(z, args.mask + r * args.mask_stride, scale, args.n, out);
      z = out;
      scale = 1;
    } else if (scale < 0) {  // the largest of z is not at the largest of x
      ScaleAndShift(z, scale, 0, 0, args.n, out);
      z = out;
      scale = 1;
    }
    const float most = Largest(z, args.n) * scale;
    const bool asks = r + 1 < args.rows && args.n >= kLongRow;
    const float sum = asks ? SumExp<kLogarithm, true>(z, scale, most, args.n, out, args.x + (r + 1) * args.x_stride)
                           : SumExp<kLogarithm>(z, scale, most, args.n, out);
    if constexpr (kLogarithm) {
      ScaleAndShift(z, scale, most, logf(sum), args.n, out);
    } else {
      ScaleAndShift(out, 1 / sum, 0, 0, args.n, out);
    }
  }
}

// `count` columns, kVectors whole vectors or one incomplete.
template <bool kLogarithm, size_t kVectors>
HWY_INLINE void ColumnBlock(const float* x, int64_t stride, int64_t n, size_t count, float* out) {
  const F32 d;
  const size_t lanes = hn::Lanes(d);
  auto load = [&](const float* p, size_t v)
                  HWY_ATTR { return kVectors > 1 ? hn::LoadU(d, p + v * lanes) : LoadSome(d, p, count); };
  auto store = [&](VF32 value, float* p, size_t v) HWY_ATTR {
    kVectors > 1 ? hn::StoreU(value, d, p + v * lanes) : StoreSome(value, d, p, count);
  };
  VF32 most[kVectors], sum[kVectors];
  for (size_t v = 0; v < kVectors; ++v) most[v] = hn::Set(d, -__builtin_inff()), sum[v] = hn::Zero(d);
  for (int64_t i = 0; i < n; ++i) {
    for (size_t v = 0; v < kVectors; ++v) most[v] = hn::Max(most[v], load(x + i * stride, v));
  }
  for (int64_t i = 0; i < n; ++i) {
    for (size_t v = 0; v < kVectors; ++v) {
      const VF32 e = ExpFlush(d, hn::Sub(load(x + i * stride, v), most[v]));
      if constexpr (!kLogarithm) store(e, out + i * stride, v);
      sum[v] = hn::Add(sum[v], e);
    }
  }
  for (size_t v = 0; v < kVectors; ++v) {
    sum[v] = kLogarithm ? Log(d, sum[v]) : Quotient(hn::Set(d, 1.0f), sum[v]);
  }
  for (int64_t i = 0; i < n; ++i) {
    for (size_t v = 0; v < kVectors; ++v) {
      if constexpr (kLogarithm) {
        store(hn::Sub(hn::Sub(load(x + i * stride, v), most[v]), sum[v]), out + i * stride, v);
      } else {
        store(hn::Mul(load(out + i * stride, v), sum[v]), out + i * stride, v);
      }
    }
  }
}

template <bool kLogarithm>
void Columns(const float* x, int64_t stride, int64_t n, int64_t columns, float* out) {
  constexpr size_t kVectors = 4;
  const int64_t lanes = hn::Lanes(F32());
  int64_t c = 0;
  for (; c + static_cast<int64_t>(kVectors) * lanes <= columns; c += kVectors * lanes) {
    ColumnBlock<kLogarithm, kVectors>(x + c, stride, n, kVectors * lanes, out + c);
  }
  for (; c < columns; c += lanes)
    ColumnBlock<kLogarithm, 1>(x + c, stride, n, static_cast<size_t>(columns - c), out + c);
}

// Rows as columns of a block that stays in the first-level cache, and back.
template <bool kLogarithm>
void Narrow(const float* x, int64_t n, int64_t rows, float* out) {
  constexpr int64_t kRows = 64;
  const F32 d;
  const int64_t lanes = hn::Lanes(d);
  HWY_ALIGN float block[kSoftmaxNarrow * kRows];
  for (int64_t row = 0; row < rows; row += kRows, x += kRows * n, out += kRows * n) {
    const int64_t count = rows - row < kRows ? rows - row : kRows;
    const bool pairs = n == 2 && count == kRows;
    if (pairs) {
      for (int64_t r = 0; r < kRows; r += lanes) {
        VF32 a, b;
        hn::LoadInterleaved2(d, x + 2 * r, a, b);
        hn::Store(a, d, block + r);
        hn::Store(b, d, block + kRows + r);
      }
    } else {
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t i = 0; i < n; ++i) block[i * kRows + r] = x[r * n + i];
      }
    }
    Columns<kLogarithm>(block, kRows, n, count, block);
    if (pairs) {
      for (int64_t r = 0; r < kRows; r += lanes) {
        hn::StoreInterleaved2(hn::Load(d, block + r), hn::Load(d, block + kRows + r), d, out + 2 * r);
      }
    } else {
      for (int64_t r = 0; r < count; ++r) {
        for (int64_t i = 0; i < n; ++i) out[r * n + i] = block[i * kRows + r];
      }
    }
  }
}

}  // namespace

void LogSumPart(const float* x, int64_t x_stride, int64_t rows, int64_t n, float* most, float* sum) {
  for (int64_t r = 0; r < rows; ++r, x += x_stride) {
    most[r] = Largest(x, n);
    sum[r] = SumExp<true>(x, 1, most[r] == -__builtin_inff() ? 0 : most[r], n, nullptr);
  }
}
void LogSumShift(float* x, int64_t x_stride, int64_t rows, int64_t n, const float* most, const float* log_sum) {
  for (int64_t r = 0; r < rows; ++r, x += x_stride) ScaleAndShift(x, 1, most[r], log_sum[r], n, x);
}

SoftmaxRowsFn* SoftmaxRows(bool logarithm) {
  return logarithm ? Rows<true> : Rows<false>;
}
SoftmaxColumnsFn* SoftmaxColumns(bool logarithm) {
  return logarithm ? Columns<true> : Columns<false>;
}
SoftmaxNarrowFn* SoftmaxNarrow(bool logarithm) {
  return logarithm ? Narrow<true> : Narrow<false>;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

LogSumPartFn* PickLogSumPart(CpuLevel level) {
  return LINNET_PICK(level, LogSumPart);
}
LogSumShiftFn* PickLogSumShift(CpuLevel level) {
  return LINNET_PICK(level, LogSumShift);
}
void LogSumTotal(const float* most, const float* sum, int64_t parts, int64_t stride, float* all_most, float* log_sum) {
  float largest = most[0], total = 0;
  for (int64_t i = 1; i < parts; ++i) largest = most[i * stride] > largest ? most[i * stride] : largest;
  for (int64_t i = 0; i < parts; ++i) {
    const float s = sum[i * stride];
    if (s != 0) total += s * expf(most[i * stride] - largest);
  }
  *all_most = largest;
  *log_sum = logf(total);
}

SoftmaxRowsFn* PickSoftmaxRows(bool logarithm, CpuLevel level) {
  return LINNET_PICK(level, SoftmaxRows)(logarithm);
}
SoftmaxColumnsFn* PickSoftmaxColumns(bool logarithm, CpuLevel level) {
  return LINNET_PICK(level, SoftmaxColumns)(logarithm);
}
SoftmaxNarrowFn* PickSoftmaxNarrow(bool logarithm, CpuLevel level) {
  return LINNET_PICK(level, SoftmaxNarrow)(logarithm);
}

}  // namespace linnet
#endif  // HWY_ONCE
