// The floating-point mode kernels run in: denormals flushed, round to nearest, no traps; the caller's mode comes back.
#pragma once

#include <stdint.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace linnet {

/// The control register that governs rounding, traps and denormals (MXCSR, FPCR, FPSCR); 0 where there is none. On 32-bit x86, whose
/// C library computes on x87, also that one's control word, in the upper half.
inline uint64_t ReadFloatMode() {
#if defined(__i386__) && defined(__SSE__)
  uint16_t x87;
  asm volatile("fnstcw %0" : "=m"(x87));
  return _mm_getcsr() | uint64_t{x87} << 32;
#elif defined(__SSE__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
#elif defined(__arm__)
  uint32_t mode;
  asm volatile("vmrs %0, fpscr" : "=r"(mode));
  return mode;
#else
  return 0;
#endif
}

/// x87's sticky flags are cleared: those that have been masked would trap late.
inline void WriteFloatMode(uint64_t mode) {
#if defined(__i386__) && defined(__SSE__)
  const uint16_t x87 = static_cast<uint16_t>(mode >> 32);
  asm volatile("fnclex\n\tfldcw %0" : : "m"(x87));
  _mm_setcsr(static_cast<uint32_t>(mode));
#elif defined(__SSE__)
  _mm_setcsr(static_cast<uint32_t>(mode));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(mode) : "memory");
#elif defined(__arm__)
  asm volatile("vmsr fpscr, %0" : : "r"(static_cast<uint32_t>(mode)) : "memory");
#else
  (void)mode;
#endif
}

/// Round to nearest, all exceptions masked, denormal inputs and results of float and double read as zero. float16
/// denormals are kept: half-precision weights use them.
inline constexpr uint64_t kKernelFloatMode =
#if defined(__i386__) && defined(__SSE__)
    uint64_t{0x037F} << 32 /* x87: traps masked, extended precision */ |
#endif
#if defined(__SSE__)
    0x1F80 /* traps masked */ | 0x8000 /* FTZ */ | 0x0040 /* DAZ */;
#elif defined(__aarch64__) || defined(__arm__)
    uint64_t{1} << 24 /* FZ */;
#else
    0;
#endif

/// Sets kKernelFloatMode for its lifetime and then restores the thread's mode, sticky flags included.
class FlushDenormals {
 public:
  FlushDenormals() : saved_(ReadFloatMode()) { WriteFloatMode(kKernelFloatMode); }
  ~FlushDenormals() { WriteFloatMode(saved_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace linnet
