// What this processor can do, as one ordered ladder a machine family, and the level kernels are picked at.
#pragma once

#include <stdint.h>

#include <string_view>

#include "base/status.h"

namespace linnet {

/// One rung includes all lower rungs of its family. Names for LINNET_CPU and --cpu: see CpuLevelName.
enum class CpuLevel : uint8_t {
  kSse4 = 0,     ///< x86 floor (-msse4.2)
  kAvx2,         ///< AVX2 + FMA + BMI2 + F16C
  kAvxVnni,      ///< AVX2 with 256-bit VNNI
  kAvx512,       ///< AVX-512 F, BW, CD, DQ, VL
  kAvx512Vnni,   ///< + AVX512-VNNI
  kAmx,          ///< + AMX int8 and bf16, permitted by the kernel
  kNeon = 16,    ///< Arm floor
  kDotprod,      ///< + sdot/udot and float16 arithmetic: Armv8.2 with the options that its processors have
  kI8mm,         ///< + smmla and bfmmla: Armv8.6
  kWasm = 32,    ///< WebAssembly SIMD128
};

/// "sse4", "avx2", "avxvnni", "avx512", "avx512vnni", "amx", "neon", "dotprod", "i8mm", "wasm".
const char* CpuLevelName(CpuLevel level);

/// The best level this machine supports, probed once.
CpuLevel DetectedCpuLevel();

/// Parses a level's name; fails when it is unknown or the machine does not support it.
Result<CpuLevel> ParseCpuLevel(std::string_view name);

/// True when code for `rung` may run at `level` (same family, not above). kAvx512 does not imply kAvxVnni.
bool Supports(CpuLevel level, CpuLevel rung);

}  // namespace linnet

// A build with kernels up to a level alone (LINNET_CPU_LEVEL_MAX): choices above it are none, and what they name is dropped when it is linked.
#if defined(LINNET_MOST_CPU_LEVEL)
namespace linnet {
inline constexpr CpuLevel kMostCpuLevel = CpuLevel::LINNET_MOST_CPU_LEVEL;
bool SupportsOfAll(CpuLevel level, CpuLevel rung);   // whatever the build has
[[gnu::always_inline]] inline bool Supports(CpuLevel level, CpuLevel rung) { return rung <= kMostCpuLevel && SupportsOfAll(level, rung); }
}  // namespace linnet
#endif
