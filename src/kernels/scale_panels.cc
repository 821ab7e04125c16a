// Rows of packed panels times a vector: a load, a multiplication and a store for each register of a row.
#include "kernels/scale_panels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/scale_panels.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/gemm.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

void ScalePanels(const float* panels, int64_t k, int64_t count, const float* scale, float* out) {
  const F32 d;
  constexpr int64_t kLanes = HWY_LANES(float);
  for (int64_t p = 0; p < count; ++p) {
    for (int64_t i = 0; i < k; ++i, panels += kPanelColumns, out += kPanelColumns) {
      const VF32 factor = hn::Set(d, scale[i]);
      LINNET_UNROLL
      for (int64_t j = 0; j < kPanelColumns; j += kLanes) {
        hn::StoreU(hn::Mul(hn::LoadU(d, panels + j), factor), d, out + j);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

ScalePanelsFn* PickScalePanels(CpuLevel level) { return LINNET_PICK(level, ScalePanels); }

}  // namespace linnet
#endif
