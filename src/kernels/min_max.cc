// The range of an array: four vectors at a time.
#include "kernels/min_max.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/min_max.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// x where it is smaller (larger) and not NaN, else `bound`.
HWY_INLINE VF32 Lower(VF32 x, VF32 bound) {
#if HWY_ARCH_X86
  return hn::Min(x, bound);  // minps yields its second operand when either is NaN
#else
  return hn::IfThenElse(hn::Lt(x, bound), x, bound);
#endif
}
HWY_INLINE VF32 Upper(VF32 x, VF32 bound) {
#if HWY_ARCH_X86
  return hn::Max(x, bound);
#else
  return hn::IfThenElse(hn::Gt(x, bound), x, bound);
#endif
}

void MinMax(const float* x, int64_t n, float* low, float* high) {
  const F32 d;
  constexpr int kVectors = 4;
  constexpr int64_t kLanes = HWY_LANES(float);
  VF32 least[kVectors], most[kVectors];
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) least[v] = hn::Set(d, *low), most[v] = hn::Set(d, *high);
  int64_t i = 0;
  for (; i + kVectors * kLanes <= n; i += kVectors * kLanes) {
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const VF32 value = hn::LoadU(d, x + i + v * kLanes);
      least[v] = Lower(value, least[v]);
      most[v] = Upper(value, most[v]);
    }
  }
  LINNET_UNROLL
  for (int v = 1; v < kVectors; ++v) least[0] = Lower(least[v], least[0]), most[0] = Upper(most[v], most[0]);
  HWY_ALIGN float lows[hn::MaxLanes(F32())], highs[hn::MaxLanes(F32())];
  hn::Store(least[0], d, lows);
  hn::Store(most[0], d, highs);
  for (int64_t k = 0; k < kLanes; ++k) {
    if (lows[k] < *low) *low = lows[k];
    if (highs[k] > *high) *high = highs[k];
  }
  for (; i < n; ++i) {
    if (x[i] < *low) *low = x[i];
    if (x[i] > *high) *high = x[i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

MinMaxFn* PickMinMax(CpuLevel level) { return LINNET_PICK(level, MinMax); }

}  // namespace linnet
#endif
