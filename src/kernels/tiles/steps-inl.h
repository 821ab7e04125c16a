// Numbers rounded to 16-bit multiples of a scale: what QuantizeLinear and DequantizeLinear make of them, one after the other.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_STEPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_STEPS_INL_H_
#undef LINNET_KERNELS_STEPS_INL_H_
#else
#define LINNET_KERNELS_STEPS_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
/// Whether StepsOf<true> serves a scale.
inline bool QuickSteps(float scale) { return WideDivision::Serves(scale); }
#else
inline bool QuickSteps(float) { return false; }
// Never asked.
class WideDivision {
 public:
  HWY_INLINE explicit WideDivision(float) {}
  template <class V>
  HWY_INLINE V operator()(V v) const { return v; }
};
#endif

/// Pointwise::kSteps of a vector. kQuick: without a division, the same bits.
template <bool kQuick>
class StepsOf {
 public:
  HWY_INLINE StepsOf(float scale, float low)
      : scale_(hn::Set(F32(), scale)), low_(hn::Set(F32(), low)), high_(hn::Set(F32(), low + 65535)), divide_(scale) {
    // Bounds before the division do as well: what is a rounding error beyond one is nearest to it.
    if (kQuick) low_ = hn::Mul(low_, scale_), high_ = hn::Mul(high_, scale_);
  }
  HWY_INLINE VF32 operator()(VF32 x) const {
    VF32 steps;
    if constexpr (kQuick) {
      steps = hn::Round(VF32{divide_(Bounded(x).raw)});   // braces: not every compiler takes parentheses for members
    } else {
      steps = Bounded(hn::Round(Quotient(x, scale_)));
    }
    // Adding 0 makes the zero of small negative numbers that of the integer 0.
    return hn::IfThenElseZero(hn::Eq(x, x), hn::MulAdd(steps, scale_, hn::Zero(F32())));
  }

 private:
  HWY_INLINE VF32 Bounded(VF32 x) const { return hn::Min(hn::Max(x, low_), high_); }

  VF32 scale_, low_, high_;
  WideDivision divide_;
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
