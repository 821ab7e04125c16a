// Reductions of rows and columns of float: one accumulation loop each, completed by what joins, transforms
// and finishes.
#include "kernels/reduce.h"

#include <math.h>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

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

#if !defined(LINNET_SMALL)
// As many whole vectors of rows of two to four elements without gaps as there are; returns how many rows. Elements are joined in the
// order in which FoldLanes joins those of a row.
template <class A>
int64_t FoldShortRows(const float* x, int64_t rows, int64_t n, float* out) {
  const F32 d;
  const typename A::Join join;
  const int64_t lanes = hn::Lanes(d);
  auto one = [&](VF32 v) HWY_ATTR { return A::Add(d, A::Start(d), v, hn::Zero(d)); };
  int64_t r = 0;
  for (; r + lanes <= rows; r += lanes, x += lanes * n) {
    VF32 a, b, c, e, folded;
    if (n == 2) {
      hn::LoadInterleaved2(d, x, a, b);
      folded = join(one(a), one(b));
    } else if (n == 3) {
      hn::LoadInterleaved3(d, x, a, b, c);
      folded = join(join(one(a), one(c)), one(b));
    } else {
      hn::LoadInterleaved4(d, x, a, b, c, e);
      folded = join(join(one(a), one(c)), join(one(b), one(e)));
    }
    hn::StoreU(folded, d, out + r);
  }
  return r;
}
#endif

template <Reduction kReduction>
void Rows(const float* x, int64_t row_stride, int64_t rows, int64_t n, float* out) {
#if !defined(LINNET_SMALL)
  if (n >= 2 && n <= 4 && row_stride == n) {
    const int64_t done = FoldShortRows<typename AccumulationOf<kReduction>::type>(x, rows, n, out);
    for (int64_t r = 0; r < done; ++r) out[r] = Finish<kReduction>(out[r], n);
    x += done * n, rows -= done, out += done;
  }
#endif
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

template <Reduction reduction>
ReduceRowsFn* PickReduceRows(CpuLevel level) {
  return LINNET_PICK(level, Rows<reduction>);
}
template <Reduction reduction>
ReduceColumnsFn* PickReduceColumns(CpuLevel level) {
  return LINNET_PICK(level, Columns<reduction>);
}
#define LINNET_REDUCTION(reduction)                                              \
  template ReduceRowsFn* PickReduceRows<Reduction::reduction>(CpuLevel level);   \
  template ReduceColumnsFn* PickReduceColumns<Reduction::reduction>(CpuLevel level)
LINNET_REDUCTION(kSum);
LINNET_REDUCTION(kMean);
LINNET_REDUCTION(kMax);
LINNET_REDUCTION(kL1);
LINNET_REDUCTION(kL2);
#undef LINNET_REDUCTION

}  // namespace linnet
#endif  // HWY_ONCE
