// What stands where products of bfloat16 operands would be, in a build without them (LINNET_BF16). No model that needs them
// gets past IsReduced (ops/precision.h), so none of this is called.
#include "kernels/bf16/bf16_conv.h"

namespace linnet {

const Bf16Kernels& PickBf16(CpuLevel) {
  static constexpr Bf16Kernels kNone = {};
  return kNone;
}
void PackPanelsBf16(const float*, int64_t, int64_t, int64_t, int64_t, float, int64_t, int64_t, void*) {}
int64_t GemmBf16ScratchBytes(const Bf16Kernels&, int64_t, int64_t, int64_t) { return 0; }
void RunGemmBf16(const Bf16Kernels&, const GemmBf16&, int64_t, int64_t, int64_t, int64_t, void*) {}
GemmGrain GemmGrainBf16(const Bf16Kernels&, int64_t, int64_t, int64_t, int) { return {1, 1}; }
const GemmF32Kernels& GemmBf16AsF32(CpuLevel level) { return PickGemmF32(level); }

void PackConvBf16(const float*, int64_t, int64_t, int64_t, float*, void*) {}
int64_t ConvBf16ScratchBytes(const Bf16Kernels&, const ConvF32&) { return 0; }
void RunConvBf16(const Bf16Kernels&, const ConvF32&, int64_t, int64_t, int64_t, int64_t, void*) {}
GemmGrain ConvGrainBf16(const Bf16Kernels&, const ConvF32&, int) { return {1, 1}; }

}  // namespace linnet
