// Reductions of rows and columns of float: one accumulation loop each, completed by what joins, transforms
// and finishes.
#include "kernels/reduce.h"

#include <math.h>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/math-inl.h"
#include "kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// What is accumulated: acc = Join(acc, f(x)).
template <class JoinOp, bool kIsSum>
struct Accumulation {
  using Join = JoinOp;
  static constexpr bool kSums = kIsSum;
};
struct Values : Accumulation<AddOp, true> {
  static HWY_INLINE VF32 Start(F32 d) { return hn::Zero(d); }
  static HWY_INLINE VF32 Add(F32, VF32 acc, VF32 x, VF32) { return hn::Add(acc, x); }
};
struct Magnitudes : Values {
  static HWY_INLINE VF32 Add(F32, VF32 acc, VF32 x, VF32) { return hn::Add(acc, hn::Abs(x)); }
};
struct Squares : Values {
  static HWY_INLINE VF32 Add(F32, VF32 acc, VF32 x, VF32) { return hn::MulAdd(x, x, acc); }
};
struct Exponentials : Values {
  static HWY_INLINE VF32 Add(F32 d, VF32 acc, VF32 x, VF32 shift) {
    return hn::Add(acc, Exp(d, hn::Sub(x, shift)));
  }
};
struct Products : Accumulation<MulOp, false> {
  static HWY_INLINE VF32 Start(F32 d) { return hn::Set(d, 1.0f); }
  static HWY_INLINE VF32 Add(F32, VF32 acc, VF32 x, VF32) { return hn::Mul(acc, x); }
};
struct Largest : Accumulation<MaxOp, false> {
  static HWY_INLINE VF32 Start(F32 d) { return hn::Set(d, -__builtin_inff()); }
  static HWY_INLINE VF32 Add(F32, VF32 acc, VF32 x, VF32) { return MaxNaN(acc, x); }
};
struct Smallest : Accumulation<MinOp, false> {
  static HWY_INLINE VF32 Start(F32 d) { return hn::Set(d, __builtin_inff()); }
  static HWY_INLINE VF32 Add(F32, VF32 acc, VF32 x, VF32) { return MinNaN(acc, x); }
};

constexpr int64_t kRowBlock = 4096;
constexpr int64_t kColumnRun = 256;
constexpr size_t kColumnVectors = hn::MaxLanes(F32()) >= 16 ? 4 : 8;

template <class A>
float FoldRun(const float* x, int64_t n, float shift) {
  const F32 d;
  const typename A::Join join;
  const int64_t lanes = hn::Lanes(d);
  const VF32 s = hn::Set(d, shift);
  VF32 a0 = A::Start(d), a1 = a0, a2 = a0, a3 = a0;
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    a0 = A::Add(d, a0, hn::LoadU(d, x + i), s);
    a1 = A::Add(d, a1, hn::LoadU(d, x + i + lanes), s);
    a2 = A::Add(d, a2, hn::LoadU(d, x + i + 2 * lanes), s);
    a3 = A::Add(d, a3, hn::LoadU(d, x + i + 3 * lanes), s);
  }
  for (; i + lanes <= n; i += lanes) a0 = A::Add(d, a0, hn::LoadU(d, x + i), s);
  if (i < n) {
    const size_t left = static_cast<size_t>(n - i);
    a1 = hn::IfThenElse(hn::FirstN(d, left), A::Add(d, a1, LoadTail(d, x + i, left), s), a1);
  }
  return FoldLanes(d, join(join(a0, a1), join(a2, a3)), join);
}

template <class A>
float FoldRow(const float* x, int64_t n, float shift) {
  if (!A::kSums || n <= kRowBlock) return FoldRun<A>(x, n, shift);
  double sum = 0;
  for (int64_t i = 0; i < n; i += kRowBlock)
    sum += double{FoldRun<A>(x + i, n - i < kRowBlock ? n - i : kRowBlock, shift)};
  return static_cast<float>(sum);
}

// Columns [0, count) of x, count <= kVectors * Lanes; `shift` and `out` have as many.
template <class A, size_t kVectors>
HWY_INLINE void FoldColumnBlock(const float* x, int64_t stride, int64_t n, size_t count, const float* shift,
                                float* out) {
  const F32 d;
  const typename A::Join join;
  const size_t lanes = hn::Lanes(d), full = count / lanes, left = count % lanes;
  VF32 total[kVectors], acc[kVectors], s[kVectors];
  LINNET_UNROLL
  for (size_t v = 0; v < kVectors; ++v) {
    total[v] = A::Start(d);
    s[v] = shift == nullptr ? total[v]
           : v < full       ? hn::LoadU(d, shift + v * lanes)
                            : LoadTail(d, shift + v * lanes, left);
  }
  for (int64_t i = 0; i < n; i += kColumnRun) {
    const int64_t end = n - i < kColumnRun ? n : i + kColumnRun;
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) acc[v] = A::Start(d);
    const float* row = x + i * stride;
    if (full == kVectors) {
      for (int64_t j = i; j < end; ++j, row += stride) {
        LINNET_UNROLL
        for (size_t v = 0; v < kVectors; ++v) acc[v] = A::Add(d, acc[v], hn::LoadU(d, row + v * lanes), s[v]);
      }
    } else {  // one vector, not full
      for (int64_t j = i; j < end; ++j, row += stride)
        acc[0] = A::Add(d, acc[0], LoadTail(d, row, left), s[0]);
    }
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) total[v] = join(total[v], acc[v]);
  }
  if (full == kVectors) {
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(total[v], d, out + v * lanes);
  } else {
    StoreTail(total[0], d, out, left);
  }
}

template <class A>
void FoldColumns(const float* x, int64_t stride, int64_t n, int64_t columns, const float* shift, float* out) {
  const int64_t lanes = hn::Lanes(F32()), block = kColumnVectors * lanes;
  int64_t c = 0;
  auto shift_at = [&](int64_t at) { return shift == nullptr ? nullptr : shift + at; };
  for (; c + block <= columns; c += block) {
    FoldColumnBlock<A, kColumnVectors>(x + c, stride, n, block, shift_at(c), out + c);
  }
  for (; c + lanes <= columns; c += lanes)
    FoldColumnBlock<A, 1>(x + c, stride, n, lanes, shift_at(c), out + c);
  if (c < columns) FoldColumnBlock<A, 1>(x + c, stride, n, columns - c, shift_at(c), out + c);
}

template <Reduction kReduction>
struct AccumulationOf {
  using type = Values;
};
template <>
struct AccumulationOf<Reduction::kMax> {
  using type = Largest;
};
template <>
struct AccumulationOf<Reduction::kMin> {
  using type = Smallest;
};
template <>
struct AccumulationOf<Reduction::kProd> {
  using type = Products;
};
template <>
struct AccumulationOf<Reduction::kL1> {
  using type = Magnitudes;
};
template <>
struct AccumulationOf<Reduction::kL2> {
  using type = Squares;
};
template <>
struct AccumulationOf<Reduction::kSumSquare> {
  using type = Squares;
};

template <Reduction kReduction>
HWY_INLINE float Finish(float sum, int64_t n) {
  if constexpr (kReduction == Reduction::kMean) return sum / static_cast<float>(n);
  if constexpr (kReduction == Reduction::kL2) return sqrtf(sum);
  if constexpr (kReduction == Reduction::kLogSum) return logf(sum);
  return sum;
}

template <Reduction kReduction>
void Rows(const float* x, int64_t row_stride, int64_t rows, int64_t n, float* out) {
  for (int64_t r = 0; r < rows; ++r, x += row_stride) {
    out[r] = Finish<kReduction>(FoldRow<typename AccumulationOf<kReduction>::type>(x, n, 0), n);
  }
}

template <Reduction kReduction>
void Columns(const float* x, int64_t stride, int64_t n, int64_t columns, float* out) {
  FoldColumns<typename AccumulationOf<kReduction>::type>(x, stride, n, columns, nullptr, out);
  for (int64_t c = 0; c < columns; ++c) out[c] = Finish<kReduction>(out[c], n);
}

// log(sum exp(x - m)) + m with m the largest; infinite and NaN m are the result themselves.
HWY_INLINE float FinishShifted(float sum, float shift) {
  return isfinite(shift) ? logf(sum) + shift : shift;
}

void LogSumExpRows(const float* x, int64_t row_stride, int64_t rows, int64_t n, float* out) {
  for (int64_t r = 0; r < rows; ++r, x += row_stride) {
    const float shift = FoldRow<Largest>(x, n, 0);
    out[r] = isfinite(shift) ? FinishShifted(FoldRow<Exponentials>(x, n, shift), shift) : shift;
  }
}

void LogSumExpColumns(const float* x, int64_t stride, int64_t n, int64_t columns, float* out) {
  constexpr int64_t kBlock = 128;
  float shift[kBlock];
  for (int64_t c = 0; c < columns; c += kBlock) {
    const int64_t count = columns - c < kBlock ? columns - c : kBlock;
    FoldColumns<Largest>(x + c, stride, n, count, nullptr, shift);
    FoldColumns<Exponentials>(x + c, stride, n, count, shift, out + c);
    for (int64_t i = 0; i < count; ++i) out[c + i] = FinishShifted(out[c + i], shift[i]);
  }
}

// In the order of Reduction.
ReduceRowsFn* const kRows[kReductionCount] = {
    Rows<Reduction::kSum>,  Rows<Reduction::kMean>,     Rows<Reduction::kMax>, Rows<Reduction::kMin>,
    Rows<Reduction::kProd>, Rows<Reduction::kL1>,       Rows<Reduction::kL2>,  Rows<Reduction::kLogSum>,
    LogSumExpRows,          Rows<Reduction::kSumSquare>};
ReduceColumnsFn* const kColumns[kReductionCount] = {
    Columns<Reduction::kSum>,      Columns<Reduction::kMean>,   Columns<Reduction::kMax>,
    Columns<Reduction::kMin>,      Columns<Reduction::kProd>,   Columns<Reduction::kL1>,
    Columns<Reduction::kL2>,       Columns<Reduction::kLogSum>, LogSumExpColumns,
    Columns<Reduction::kSumSquare>};

}  // namespace

ReduceRowsFn* ReduceRows(Reduction reduction) {
  return kRows[static_cast<int>(reduction)];
}
ReduceColumnsFn* ReduceColumns(Reduction reduction) {
  return kColumns[static_cast<int>(reduction)];
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const char* ReductionName(Reduction reduction) {
  static constexpr const char* kNames[kReductionCount] = {"Sum", "Mean", "Max",    "Min",       "Prod",
                                                          "L1",  "L2",   "LogSum", "LogSumExp", "SumSquare"};
  return kNames[static_cast<int>(reduction)];
}

ReduceRowsFn* PickReduceRows(Reduction reduction, CpuLevel level) {
  return LINNET_PICK(level, ReduceRows)(reduction);
}
ReduceColumnsFn* PickReduceColumns(Reduction reduction, CpuLevel level) {
  return LINNET_PICK(level, ReduceColumns)(reduction);
}

}  // namespace linnet
#endif  // HWY_ONCE
