// Small vector helpers every kernel needs: tails that never touch a byte outside the buffer, NaN-aware min
// and max.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target
// (kernels/dispatch.h).
#if defined(LINNET_KERNELS_VEC_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_VEC_INL_H_
#undef LINNET_KERNELS_VEC_INL_H_
#else
#define LINNET_KERNELS_VEC_INL_H_
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using VF32 = hn::Vec<F32>;

/// The first n < Lanes(d) elements at p, the other lanes 0. Reads nothing else. float, int32 and other 4-byte
/// types.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadTail(D d, const T* p, size_t n) {
  static_assert(sizeof(T) == 4);
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  return hn::MaskedLoad(hn::FirstN(d, n), d, p);
#else
  // Masked loads of the 128-bit targets read whole registers.
  alignas(16) T lanes[hn::MaxLanes(d)] = {};
  for (size_t i = 0; i < n; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
#endif
}

/// Writes the first n < Lanes(d) lanes of v to p and nothing else.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreTail(hn::Vec<D> v, D d, T* p, size_t n) {
  static_assert(sizeof(T) == 4);
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
  hn::BlendedStore(v, hn::FirstN(d, n), d, p);
#else
  alignas(16) T lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < n; ++i) p[i] = lanes[i];
#endif
}

/// The first min(left, Lanes(d)) elements at p, for loops that end in a tail; StoreSome likewise.
template <class D, class T = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> LoadSome(D d, const T* p, size_t left) {
  return HWY_LIKELY(left >= hn::Lanes(d)) ? hn::LoadU(d, p) : LoadTail(d, p, left);
}
template <class D, class T = hn::TFromD<D>>
HWY_INLINE void StoreSome(hn::Vec<D> v, D d, T* p, size_t left) {
  if (HWY_LIKELY(left >= hn::Lanes(d))) {
    hn::StoreU(v, d, p);
  } else {
    StoreTail(v, d, p, left);
  }
}

/// The smaller, the larger; NaN when either is NaN.
template <class V>
HWY_INLINE V MinNaN(V a, V b) {
#if HWY_ARCH_ARM_A64
  if constexpr (std::is_same_v<V, VF32>) return V(vminq_f32(a.raw, b.raw));
#endif
#if HWY_ARCH_X86
  return hn::IfThenElse(hn::IsNaN(a), a, hn::Min(a, b));
#else
  return hn::IfThenElse(hn::Lt(a, b), a, hn::IfThenElse(hn::IsNaN(a), a, b));
#endif
}
template <class V>
HWY_INLINE V MaxNaN(V a, V b) {
#if HWY_ARCH_ARM_A64
  if constexpr (std::is_same_v<V, VF32>) return V(vmaxq_f32(a.raw, b.raw));
#endif
#if HWY_ARCH_X86
  return hn::IfThenElse(hn::IsNaN(a), a, hn::Max(a, b));
#else
  return hn::IfThenElse(hn::Gt(a, b), a, hn::IfThenElse(hn::IsNaN(a), a, b));
#endif
}

/// As Min(bound, x) and Max(bound, x), and NaN where x is NaN: for clamping to a bound that is not NaN.
template <class V>
HWY_INLINE V AtMost(V bound, V x) {
#if HWY_ARCH_X86
  return hn::Min(bound, x);  // minps yields its second operand when either is NaN
#elif HWY_ARCH_ARM_A64
  return MinNaN(bound, x);
#else
  return hn::IfThenElse(hn::Gt(x, bound), bound, x);
#endif
}
template <class V>
HWY_INLINE V AtLeast(V bound, V x) {
#if HWY_ARCH_X86
  return hn::Max(bound, x);
#elif HWY_ARCH_ARM_A64
  return MaxNaN(bound, x);
#else
  return hn::IfThenElse(hn::Lt(x, bound), bound, x);
#endif
}

/// As Div and Sqrt, rounded once on every target. ARMv7's vectors only estimate, and lose quotients by what is
/// large: there lanes are divided one by one.
#if HWY_ARCH_ARM_V7
template <class V>
HWY_INLINE V Quotient(V a, V b) {
  const hn::DFromV<V> d;
  alignas(16) float lanes[hn::MaxLanes(d)], divisors[hn::MaxLanes(d)];
  hn::Store(a, d, lanes);
  hn::Store(b, d, divisors);
  for (size_t i = 0; i < hn::MaxLanes(d); ++i) lanes[i] /= divisors[i];
  return hn::Load(d, lanes);
}
template <class V>
HWY_INLINE V SquareRoot(V v) {
  const hn::DFromV<V> d;
  alignas(16) float lanes[hn::MaxLanes(d)];
  hn::Store(v, d, lanes);
  for (float& lane : lanes) lane = __builtin_sqrtf(lane);
  return hn::Load(d, lanes);
}
#else
template <class V>
HWY_INLINE V Quotient(V a, V b) {
  return hn::Div(a, b);
}
template <class V>
HWY_INLINE V SquareRoot(V v) {
  return hn::Sqrt(v);
}
#endif

/// All lanes of v joined by op(a, b), pairs of halves first: a fixed order for a given vector length.
template <class D, class Op>
HWY_INLINE float FoldLanes(D d, hn::Vec<D> v, const Op& op) {
  if constexpr (hn::MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    return FoldLanes(half, op(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), op);
  } else {
    v = op(v, hn::Shuffle1032(v));
    return hn::GetLane(op(v, hn::Shuffle2301(v)));
  }
}

struct AddOp {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Add(a, b);
  }
};
struct MulOp {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return hn::Mul(a, b);
  }
};
struct MinOp {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return MinNaN(a, b);
  }
};
struct MaxOp {
  template <class V>
  HWY_INLINE V operator()(V a, V b) const {
    return MaxNaN(a, b);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
