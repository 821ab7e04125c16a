// What tests of kernels with 16-bit operands share.
#pragma once

#include <algorithm>
#include <vector>

#include "base/float_types.h"
#include "guarded.h"
#include "kernels/half/half_gemm.h"

namespace linnet {

/// Those of every level that this machine has, and the emulated tiles.
inline std::vector<const HalfKernels*> AllHalfKernels(HalfFormat format) {
  std::vector<const HalfKernels*> all;
  for (CpuLevel level : FloatLevels()) all.push_back(&PickHalf(format, level));
  const HalfKernels* emulated = EmulatedTilesBf16(DetectedCpuLevel());
  if (emulated && format == HalfFormat::kBfloat16) all.push_back(emulated);
  for (CpuLevel level : {CpuLevel::kAmx, CpuLevel::kDotprod, CpuLevel::kI8mm}) {
    if (!Supports(DetectedCpuLevel(), level)) continue;
    const HalfKernels* kernels = &PickHalf(format, level);
    if (std::find(all.begin(), all.end(), kernels) == all.end()) all.push_back(kernels);
  }
  return all;
}

inline std::vector<const HalfKernels*> AllHalfKernels() {
  std::vector<const HalfKernels*> all = AllHalfKernels(HalfFormat::kBfloat16);
  for (const HalfKernels* kernels : AllHalfKernels(HalfFormat::kFloat16)) all.push_back(kernels);
  return all;
}

inline float RoundedTo(HalfFormat format, float x) { return format == HalfFormat::kBfloat16 ? ToFloat(ToBfloat16(x)) : ToFloat(ToFloat16(x)); }

/// How far a sum of `depth` products may be off, relative to the sum of their magnitudes: of float32 sums, below what rounding the
/// operands once more would change; of float16 sums of up to 64 (N. Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
inline double SumTolerance(const HalfKernels& kernels, int64_t depth) {
  const bool float16_sums = kernels.format == HalfFormat::kFloat16 && kernels.block_bytes == 2;
  return float16_sums ? static_cast<double>(std::min<int64_t>(depth, 64)) * 0x1p-11 + 1e-6 : 1e-6;
}

}  // namespace linnet
