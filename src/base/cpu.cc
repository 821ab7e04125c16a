// Probing the processor.
#include "base/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__) && defined(_WIN32)
#include <windows.h>
#endif

namespace linnet {
namespace {

struct Row {
  CpuLevel level;
  const char* name;
};
constexpr Row kRows[] = {
    {CpuLevel::kSse4, "sse4"},       {CpuLevel::kAvx2, "avx2"},       {CpuLevel::kAvxVnni, "avxvnni"},
    {CpuLevel::kAvx512, "avx512"},   {CpuLevel::kAvx512Vnni, "avx512vnni"}, {CpuLevel::kAmx, "amx"},
    {CpuLevel::kNeon, "neon"},       {CpuLevel::kDotprod, "dotprod"}, {CpuLevel::kI8mm, "i8mm"},
    {CpuLevel::kWasm, "wasm"},
};

#if defined(__x86_64__)

bool HasAvxVnni() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 4));
}

bool HasAmx() {
#if defined(__linux__)
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if (!((d >> 24) & 1) || !((d >> 25) & 1) || !((d >> 22) & 1)) return false;
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

CpuLevel Detect() {
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (!avx2) return CpuLevel::kSse4;
  bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl");
  if (!avx512) return HasAvxVnni() ? CpuLevel::kAvxVnni : CpuLevel::kAvx2;
  if (!__builtin_cpu_supports("avx512vnni")) return CpuLevel::kAvx512;
  return HasAmx() ? CpuLevel::kAmx : CpuLevel::kAvx512Vnni;
}

#elif defined(__i386__)

// Kernels are compiled for this level alone, whatever the processor has.
CpuLevel Detect() { return CpuLevel::kSse4; }

#elif defined(__aarch64__)

CpuLevel Detect() {
#if defined(__linux__)
  constexpr unsigned long kDot = 1ul << 20 | 1ul << 10;        // HWCAP_ASIMDDP, HWCAP_ASIMDHP
  constexpr unsigned long kSquares = 1ul << 13 | 1ul << 14;    // HWCAP2_I8MM, HWCAP2_BF16
  if ((getauxval(AT_HWCAP) & kDot) != kDot) return CpuLevel::kNeon;
  return (getauxval(AT_HWCAP2) & kSquares) == kSquares ? CpuLevel::kI8mm : CpuLevel::kDotprod;
#elif defined(__APPLE__)
  // Not run by Linnet's own tests.
  auto has = [](const char* feature) {
    int value = 0;
    size_t bytes = sizeof value;
    return sysctlbyname(feature, &value, &bytes, nullptr, 0) == 0 && value != 0;
  };
  if (!has("hw.optional.arm.FEAT_DotProd") || !has("hw.optional.arm.FEAT_FP16")) return CpuLevel::kNeon;
  return has("hw.optional.arm.FEAT_I8MM") && has("hw.optional.arm.FEAT_BF16") ? CpuLevel::kI8mm : CpuLevel::kDotprod;
#elif defined(_WIN32)
  // Not run by Linnet's own tests. Numbers of winnt.h, of which older ones lack the later; a system that does not know one says no.
  constexpr DWORD kDot = 43, kI8mm = 66, kFp16 = 67, kBf16 = 68;   // PF_ARM_V82_DP_..., V82_I8MM, V82_FP16, V86_BF16
  if (!IsProcessorFeaturePresent(kDot) || !IsProcessorFeaturePresent(kFp16)) return CpuLevel::kNeon;
  return IsProcessorFeaturePresent(kI8mm) && IsProcessorFeaturePresent(kBf16) ? CpuLevel::kI8mm : CpuLevel::kDotprod;
#else
  return CpuLevel::kNeon;
#endif
}

#elif defined(__arm__)

CpuLevel Detect() { return CpuLevel::kNeon; }

#else

CpuLevel Detect() { return CpuLevel::kWasm; }

#endif

}  // namespace

const char* CpuLevelName(CpuLevel level) {
  for (const Row& row : kRows) {
    if (row.level == level) return row.name;
  }
  return "unknown";
}

CpuLevel DetectedCpuLevel() {
#if defined(LINNET_MOST_CPU_LEVEL)
  static const CpuLevel level = [] {
    const CpuLevel here = Detect();
    if (here <= kMostCpuLevel) return here;
    return kMostCpuLevel == CpuLevel::kAvxVnni ? CpuLevel::kAvx2 : kMostCpuLevel;   // which those above need not have
  }();
#else
  static const CpuLevel level = Detect();
#endif
  return level;
}

#if defined(LINNET_MOST_CPU_LEVEL)
bool SupportsOfAll(CpuLevel level, CpuLevel rung) {
#else
bool Supports(CpuLevel level, CpuLevel rung) {
#endif
  int have = static_cast<int>(level), need = static_cast<int>(rung);
  if (have / 16 != need / 16 || have < need) return false;
  return !(rung == CpuLevel::kAvxVnni && level != CpuLevel::kAvxVnni);
}

Result<CpuLevel> ParseCpuLevel(std::string_view name) {
  for (const Row& row : kRows) {
    if (name != row.name) continue;
    if (!Supports(DetectedCpuLevel(), row.level)) {
      return InvalidArgument("CPU level ", Quote(name), " is not supported here; this machine is ",
                             CpuLevelName(DetectedCpuLevel()));
    }
    return row.level;
  }
  std::string known;
  for (const Row& row : kRows) known += Cat(known.empty() ? "" : " ", row.name);
  return InvalidArgument("unknown CPU level ", Quote(name), "; known: ", known);
}

}  // namespace linnet
