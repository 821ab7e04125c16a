// What stands where products of 16-bit operands would be, in a build without them (LINNET_BF16, LINNET_FP16). No model that needs them
// gets past ReducedFormat (ops/precision.h), so none of this is called.
#include "kernels/half/half_conv.h"

namespace linnet {

const HalfKernels& PickHalf(HalfFormat, CpuLevel) {
  static constexpr HalfKernels kNone = {};
  return kNone;
}
void PackPanelsHalf(HalfFormat, const float*, int64_t, int64_t, int64_t, int64_t, float, int64_t, int64_t, void*) {}
int64_t GemmHalfScratchBytes(const HalfKernels&, int64_t, int64_t, int64_t) { return 0; }
void RunGemmHalf(const HalfKernels&, const GemmHalf&, int64_t, int64_t, int64_t, int64_t, void*) {}
GemmGrain GemmGrainHalf(const HalfKernels&, int64_t, int64_t, int64_t, int) { return {1, 1}; }
const GemmF32Kernels& GemmHalfAsF32(HalfFormat, CpuLevel level) { return PickGemmF32(level); }

void PackConvHalf(HalfFormat, const float*, int64_t, int64_t, int64_t, float*, void*) {}
int64_t ConvHalfScratchBytes(const HalfKernels&, const ConvF32&) { return 0; }
void RunConvHalf(const HalfKernels&, const ConvF32&, int64_t, int64_t, int64_t, int64_t, void*) {}
GemmGrain ConvGrainHalf(const HalfKernels&, const ConvF32&, int) { return {1, 1}; }

}  // namespace linnet
