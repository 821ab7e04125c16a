// Accumulating rows and columns of float: the loops of reductions, moments and softmax.
//
// Per-target header (see vec-inl.h). Accumulation order: kernels/reduce.h.
#if defined(LINNET_KERNELS_REDUCE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_REDUCE_INL_H_
#undef LINNET_KERNELS_REDUCE_INL_H_
#else
#define LINNET_KERNELS_REDUCE_INL_H_
#endif

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
/// About the mean, which is `shift`.
struct CenteredSquares : Values {
  static HWY_INLINE VF32 Add(F32, VF32 acc, VF32 x, VF32 shift) {
    const VF32 centered = hn::Sub(x, shift);
    return hn::MulAdd(centered, centered, acc);
  }
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
constexpr size_t kColumnVectors = 4;

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

// Columns [0, count) of x, count <= kVectors * Lanes; `shift` and `out` have as many. Even rows and odd ones are summed apart: narrow
// blocks wait less.
template <class A, size_t kVectors>
HWY_INLINE void FoldColumnBlock(const float* x, int64_t stride, int64_t n, size_t count, const float* shift,
                                float* out) {
  const F32 d;
  const typename A::Join join;
  const size_t lanes = hn::Lanes(d), full = count / lanes, left = count % lanes;
  VF32 total[kVectors], acc[2][kVectors], s[kVectors];
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
    for (size_t v = 0; v < kVectors; ++v) acc[0][v] = acc[1][v] = A::Start(d);
    const float* row = x + i * stride;
    // One vector may be incomplete.
    auto add = [&](VF32 (&to)[kVectors]) HWY_ATTR {
      LINNET_UNROLL
      for (size_t v = 0; v < kVectors; ++v) {
        to[v] = A::Add(d, to[v], kVectors > 1 || full == kVectors ? hn::LoadU(d, row + v * lanes) : LoadTail(d, row, left), s[v]);
      }
      row += stride;
    };
    int64_t j = i;
    for (; j + 2 <= end; j += 2) {
      add(acc[0]);
      add(acc[1]);
    }
    if (j < end) add(acc[0]);
    LINNET_UNROLL
    for (size_t v = 0; v < kVectors; ++v) total[v] = join(total[v], join(acc[0][v], acc[1][v]));
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
#if !defined(LINNET_SMALL)
  for (; c + 2 * lanes <= columns; c += 2 * lanes) FoldColumnBlock<A, 2>(x + c, stride, n, 2 * lanes, shift_at(c), out + c);
#endif
  for (; c + lanes <= columns; c += lanes)
    FoldColumnBlock<A, 1>(x + c, stride, n, lanes, shift_at(c), out + c);
  if (c < columns) FoldColumnBlock<A, 1>(x + c, stride, n, columns - c, shift_at(c), out + c);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
