// What tests of bfloat16 kernels share.
#pragma once

#include <vector>

#include "base/float_types.h"
#include "guarded.h"
#include "kernels/bf16/bf16_gemm.h"

namespace linnet {

/// Those of every level that this machine has, and the emulated tiles.
inline std::vector<const Bf16Kernels*> AllBf16Kernels() {
  std::vector<const Bf16Kernels*> all;
  for (CpuLevel level : FloatLevels()) all.push_back(&PickBf16(level));
  if (const Bf16Kernels* emulated = EmulatedTilesBf16(DetectedCpuLevel())) all.push_back(emulated);
  for (CpuLevel level : {CpuLevel::kAmx, CpuLevel::kI8mm}) {
    if (Supports(DetectedCpuLevel(), level)) all.push_back(&PickBf16(level));
  }
  return all;
}

inline double RoundedToBf16(float x) { return ToFloat(ToBfloat16(x)); }

}  // namespace linnet
