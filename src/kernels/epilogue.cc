// Activations applied to rows of results while they are still in the first-level cache.
#include "kernels/epilogue.h"

#if !defined(LINNET_ACTIVATIONS)
#define LINNET_ACTIVATIONS 0xFFFFFFFFu   // a bit for each Activation
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/epilogue.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/math-inl.h"
#include "kernels/tiles/steps-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

template <class Function>
HWY_INLINE void ForRows(float* c, int64_t row_stride, int64_t rows, int64_t columns, Function function) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < rows; ++r, c += row_stride) {
    int64_t i = 0;
#if defined(LINNET_SMALL)
    // One copy of the function for whole vectors and what is left.
    for (; i < columns; i += lanes) {
      const size_t count = static_cast<size_t>(columns - i < lanes ? columns - i : lanes);
      const VF32 y = function(columns - i < lanes ? LoadTail(d, c + i, count) : hn::LoadU(d, c + i));
      if (columns - i < lanes) {
        StoreTail(y, d, c + i, count);
      } else {
        hn::StoreU(y, d, c + i);
      }
    }
    continue;
#endif
    for (; i + lanes <= columns; i += lanes) hn::StoreU(function(hn::LoadU(d, c + i)), d, c + i);
    const size_t rest = static_cast<size_t>(columns - i);
    if (rest != 0) StoreTail(function(LoadTail(d, c + i, rest)), d, c + i, rest);
  }
}

/// The same for a function that takes four vectors at once, wherever in the rows they lie; `function` gives their results
/// in place.
template <class Function>
HWY_INLINE void ForFours(float* c, int64_t row_stride, int64_t rows, int64_t columns, Function function) {
  const F32 d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), whole = columns / lanes * lanes, back = row_stride - whole;
  float *next = c, *end = c + whole;
  auto take = [&]() HWY_ATTR {
    float* at = next;
    next += lanes;
    const bool ends = next == end;
    next += ends ? back : 0;
    end += ends ? row_stride : 0;
    return at;
  };
  int64_t left = rows * (columns / lanes);
  for (; left >= 4; left -= 4) {
    float *const p0 = take(), *const p1 = take(), *const p2 = take(), *const p3 = take();
    VF32 x[4] = {hn::LoadU(d, p0), hn::LoadU(d, p1), hn::LoadU(d, p2), hn::LoadU(d, p3)};
    function(x);
    hn::StoreU(x[0], d, p0), hn::StoreU(x[1], d, p1), hn::StoreU(x[2], d, p2), hn::StoreU(x[3], d, p3);
  }
  for (; left > 0; --left) {
    float* const p = take();
    VF32 x[1] = {hn::LoadU(d, p)};
    function(x);
    hn::StoreU(x[0], d, p);
  }
  const size_t rest = static_cast<size_t>(columns - whole);
  for (int64_t r = 0; rest != 0 && r < rows; ++r) {
    float* const p = c + r * row_stride + whole;
    VF32 x[1] = {LoadTail(d, p, rest)};
    function(x);
    StoreTail(x[0], d, p, rest);
  }
}

template <int kCount>
HWY_INLINE void Sigmoids(VF32 (&x)[kCount]) {
  const F32 d;
  VF32 over[kCount];
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) over[i] = hn::Set(d, 1.0f);
  DivideByOnePlusExp<false>(d, x, over);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) x[i] = over[i];
}

/// kPlain: alpha is 1.
template <bool kPlain, int kCount>
HWY_INLINE void Swishes(VF32 (&x)[kCount], VF32 alpha) {
  const F32 d;
  VF32 at[kCount];
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) at[i] = kPlain ? x[i] : hn::Mul(alpha, x[i]);
  DivideByOnePlusExp<true>(d, at, x);
}

void ActivateRows(const Epilogue& e, float* c, int64_t row_stride, int64_t rows, int64_t columns) {
  // Rows without gaps are one: masked stores at their ends would keep the loads of the next waiting.
  if (row_stride == columns) columns *= rows, rows = 1;
  const F32 d;
  const VF32 zero = hn::Zero(d), one = hn::Set(d, 1.0f), alpha = hn::Set(d, e.alpha),
             beta = hn::Set(d, e.beta);
#define LINNET_FOR(expression) \
  return ForRows(c, row_stride, rows, columns, [&](VF32 x) HWY_ATTR { return (expression); })
  // A reduced build has those that its configuration names (ops/activation_helpers.cc refuses the others).
#define LINNET_CASE(name)  \
  case Activation::name:   \
    if constexpr ((LINNET_ACTIVATIONS >> static_cast<int>(Activation::name) & 1) == 0) return
  switch (e.activation) {
    case Activation::kNone:
      return;
    LINNET_CASE(kRelu);
      LINNET_FOR(AtLeast(zero, x));
    LINNET_CASE(kClip);
      LINNET_FOR(AtMost(beta, AtLeast(alpha, x)));
    LINNET_CASE(kLeakyRelu);
      LINNET_FOR(hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, x), x));
    LINNET_CASE(kHardSigmoid);
      LINNET_FOR(AtMost(one, AtLeast(zero, hn::MulAdd(alpha, x, beta))));
    LINNET_CASE(kHardSwish);
      LINNET_FOR(HardSwishOf(x));
    LINNET_CASE(kElu);
      LINNET_FOR(hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, Expm1NonPos(d, hn::Min(x, zero))), x));
    LINNET_CASE(kSelu);
      LINNET_FOR(hn::Mul(
          beta, hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, Expm1NonPos(d, hn::Min(x, zero))), x)));
    LINNET_CASE(kSigmoid);
      return ForFours(c, row_stride, rows, columns, [&](auto& x) HWY_ATTR { Sigmoids(x); });
    LINNET_CASE(kTanh);
      LINNET_FOR(Tanh(d, x));
    LINNET_CASE(kSilu);
      if (e.alpha == 1.0f) return ForFours(c, row_stride, rows, columns, [&](auto& x) HWY_ATTR { Swishes<true>(x, alpha); });
      return ForFours(c, row_stride, rows, columns, [&](auto& x) HWY_ATTR { Swishes<false>(x, alpha); });
    LINNET_CASE(kGelu);
      LINNET_FOR(Gelu(d, x));
    LINNET_CASE(kGeluTanh);
      LINNET_FOR(GeluTanh(d, x));
    LINNET_CASE(kSoftplus);
      LINNET_FOR(Softplus(d, x));
    LINNET_CASE(kMish);
      LINNET_FOR(Mish(d, x));
    LINNET_CASE(kSteps);
      if (QuickSteps(e.alpha)) return ForRows(c, row_stride, rows, columns, StepsOf<true>(e.alpha, e.beta));
      return ForRows(c, row_stride, rows, columns, StepsOf<false>(e.alpha, e.beta));
  }
#undef LINNET_CASE
#undef LINNET_FOR
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
