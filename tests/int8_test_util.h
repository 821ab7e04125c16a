// What tests of the 8-bit kernels share.
#pragma once

#include <vector>

#include "base/cpu.h"
#include "kernels/int8/int8_gemm.h"

namespace linnet {

/// Levels this machine can run whose integer kernels differ.
inline std::vector<CpuLevel> IntegerLevels() {
  std::vector<CpuLevel> levels;
  for (CpuLevel level : {CpuLevel::kSse4, CpuLevel::kAvx2, CpuLevel::kAvxVnni, CpuLevel::kAvx512, CpuLevel::kAvx512Vnni,
                         CpuLevel::kAmx, CpuLevel::kNeon, CpuLevel::kDotprod, CpuLevel::kI8mm, CpuLevel::kWasm}) {
    if (Supports(DetectedCpuLevel(), level)) levels.push_back(level);
  }
  return levels;
}

/// Their kernels, and those of byte instructions that are missing here, emulated.
inline std::vector<const Int8Kernels*> IntegerKernels() {
  std::vector<const Int8Kernels*> kernels;
  for (CpuLevel level : IntegerLevels()) {
    kernels.push_back(&PickInt8(level));
    kernels.push_back(&EmulatedInt8(level));
    if (level == CpuLevel::kAvx512) kernels.push_back(&EmulatedInt8(CpuLevel::kAmx));
  }
  return kernels;
}

/// Reproducible bytes.
class Bytes {
 public:
  explicit Bytes(uint64_t seed = 1) : state_(seed * 2862933555777941757u + 3037000493u) {}
  uint8_t Next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint8_t>(state_ >> 56);
  }

 private:
  uint64_t state_;
};

}  // namespace linnet
