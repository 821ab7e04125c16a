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
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  float* at[4];
  int waiting = 0;
  for (int64_t r = 0; r < rows; ++r, c += row_stride) {
    int64_t i = 0;
    for (; i + lanes <= columns; i += lanes) {
      at[waiting++] = c + i;
      if (waiting < 4) continue;
      waiting = 0;
      VF32 x[4] = {hn::LoadU(d, at[0]), hn::LoadU(d, at[1]), hn::LoadU(d, at[2]), hn::LoadU(d, at[3])};
      function(x);
      LINNET_UNROLL
      for (int k = 0; k < 4; ++k) hn::StoreU(x[k], d, at[k]);
    }
    if (i < columns) {
      const size_t rest = static_cast<size_t>(columns - i);
      VF32 x[1] = {LoadTail(d, c + i, rest)};
      function(x);
      StoreTail(x[0], d, c + i, rest);
    }
  }
  for (int k = 0; k < waiting; ++k) {
    VF32 x[1] = {hn::LoadU(d, at[k])};
    function(x);
    hn::StoreU(x[0], d, at[k]);
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
