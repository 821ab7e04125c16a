// What stands where Winograd's products would be, in a build whose configuration does not name them. Conv refuses a model that
// needs them when it is prepared, so none of this is called.
#include "kernels/conv/winograd.h"

namespace linnet {

const WinogradF32Kernels& PickWinogradF32(CpuLevel) {
  static constexpr WinogradF32Kernels kNone = {};
  return kNone;
}
int64_t WinogradScratchBytes(const WinogradF32Kernels&, const GemmF32Kernels&, const ConvF32&, WinogradWay) { return 0; }
void StartWinogradF32(void*) {}
void RunWinogradF32(const WinogradF32Kernels&, const GemmF32Kernels&, const ConvF32&, WinogradWay, int64_t, int64_t, int64_t, int64_t, void*) {}
GemmGrain WinogradGrainF32(const WinogradF32Kernels&, const GemmF32Kernels&, const ConvF32&, WinogradWay, int) { return {1, 1}; }

}  // namespace linnet
