// Vector helpers of the 8-bit kernels: products of 16-bit pairs, and rounding to bytes.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_INT8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_INT8_INL_H_
#undef LINNET_KERNELS_INT8_INL_H_
#else
#define LINNET_KERNELS_INT8_INL_H_
#endif

#include <stdint.h>

#include "hwy/highway.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

using I16 = hn::ScalableTag<int16_t>;
using I32 = hn::ScalableTag<int32_t>;

/// Lane i is a[2 i] b[2 i] + a[2 i + 1] b[2 i + 1], exact (but for -2^15 everywhere, which bytes do not reach).
template <class V16>
HWY_INLINE auto PairProducts(V16 a, V16 b) {
  const hn::RepartitionToWide<hn::DFromV<V16>> d32;
#if HWY_ARCH_X86
  auto unused = hn::Zero(d32);
  return hn::ReorderWidenMulAccumulate(d32, a, b, hn::Zero(d32), unused);
#elif HWY_ARCH_WASM
  return hn::Vec<decltype(d32)>{wasm_i32x4_dot_i16x8(a.raw, b.raw)};
#else
  auto high = hn::Zero(d32);
  const auto low = hn::ReorderWidenMulAccumulate(d32, a, b, hn::Zero(d32), high);
  return hn::Add(hn::ConcatEven(d32, high, low), hn::ConcatOdd(d32, high, low));
#endif
}

/// zero + round(min(max(t, low), high)), halves to even; NaN as `low`. The bounds are integers.
HWY_INLINE hn::Vec<I32> RoundedBytes(VF32 t, VF32 low, VF32 high, hn::Vec<I32> zero) {
#if HWY_ARCH_X86
  t = hn::Min(hn::Max(t, low), high);  // of a NaN and a number both yield the second operand
#else
  t = hn::IfThenElse(hn::Gt(t, low), t, low);
  t = hn::Min(t, high);
#endif
  return hn::Add(hn::NearestInt(t), zero);
}

/// Stores lanes that are in T's range.
template <class T>
HWY_INLINE void StoreBytes(hn::Vec<I32> v, T* to) {
  const hn::Rebind<T, I32> d8;
  hn::StoreU(hn::DemoteTo(d8, v), d8, to);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
