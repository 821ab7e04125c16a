// What tests of the 8-bit kernels share.
#pragma once

#include <algorithm>
#include <cmath>
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

/// Ways to FinishInt8::To::kActivated: by a table, or by one of these functions.
struct Activated {
  bool table = false;
  Activation activation = Activation::kNone;
  float alpha = 0;
};
inline std::vector<Activated> AllActivated() {
  return {{true, Activation::kNone, 0}, {false, Activation::kNone, 0}, {false, Activation::kHardSwish, 0.02f}, {false, Activation::kLeakyRelu, 0.1f}};
}
/// 300 bytes; places beyond it are its ends.
inline std::vector<uint8_t> TableOfBytes() {
  std::vector<uint8_t> table;
  Bytes bytes(9);
  while (table.size() < 300) table.push_back(bytes.Next());
  return table;
}

/// What becomes of sum * scale, as the header has it, rounded at each step.
inline uint8_t ActivatedByteOf(const FinishInt8& f, int32_t sum, float scale, float bias) {
  volatile float v = static_cast<float>(sum) * scale;
  v = v + bias;
  if (f.table) return f.table[static_cast<int>(std::nearbyint(std::min(std::max(static_cast<float>(v), 0.0f), f.high)))];
  if (f.epilogue.activation == Activation::kHardSwish) {
    volatile float part = v * f.epilogue.alpha;
    part = part + 0.5f;
    v = v * std::min(std::max(static_cast<float>(part), 0.0f), 1.0f);
  } else if (f.epilogue.activation == Activation::kLeakyRelu && v < 0) {
    v = v * f.epilogue.alpha;
  }
  return static_cast<uint8_t>(static_cast<int>(std::nearbyint(std::min(std::max(static_cast<float>(v), f.low), f.high))) + f.zero);
}

}  // namespace linnet
