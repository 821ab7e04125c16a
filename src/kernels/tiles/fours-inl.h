// Four steps over k at a time of AVX2's tile of 6 rows by 16 columns, in assembly.
//
// What counts is the number of instructions: 80 loads and multiply-adds, and 5 beside them where the loop over one step has 24 for 20
// (compilers that unroll it keep an index a row and a step, and spill sums). A core of its own starts six a cycle and does not see the
// difference; one whose other thread is busy starts three, and two multiply-adds a cycle then leave room for one more.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_FOURS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_FOURS_INL_H_
#undef LINNET_KERNELS_TILES_FOURS_INL_H_
#else
#define LINNET_KERNELS_TILES_FOURS_INL_H_
#endif

#include <stdint.h>

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/tiles/gemm_sizes-inl.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Not with sanitizers, which see no loads in assembly.
#if HWY_TARGET == HWY_AVX2 && HWY_ARCH_X86_64 && !defined(LINNET_SANITIZED) && !defined(LINNET_SMALL)
template <int kRows, int kVectors>
constexpr bool kFours = kRows == 6 && kVectors == 2;

#define LINNET_FOURS_ROW(at, left, right, a)                                  \
  "vbroadcastss " at ", %%ymm" #a "\n vfmadd231ps %%ymm12, %%ymm" #a ", %[s" #left "]\n" \
  "vfmadd231ps %%ymm13, %%ymm" #a ", %[s" #right "]\n"
#define LINNET_FOURS_STEP(k)                                                                                             \
  "vmovups 64*" #k "(%[b]), %%ymm12\n vmovups 64*" #k "+32(%[b]), %%ymm13\n" LINNET_FOURS_ROW("4*" #k "(%[a])", 0, 1, 14) \
  LINNET_FOURS_ROW("4*" #k "(%[a],%%r8)", 2, 3, 15) LINNET_FOURS_ROW("4*" #k "(%[a],%%r8,2)", 4, 5, 14)                   \
  LINNET_FOURS_ROW("4*" #k "(%[a],%%r9)", 6, 7, 15) LINNET_FOURS_ROW("4*" #k "(%[a],%%r8,4)", 8, 9, 14)                   \
  LINNET_FOURS_ROW("4*" #k "(%[a],%%r10)", 10, 11, 15)
#define LINNET_FOURS_ASK "prefetcht0 (%%r12)\n add %%r13, %%r12\n"
#define LINNET_FOURS(ask_first, ask)                                                                                       \
  __asm__ volatile("mov (%[with]), %%r8\n mov 8(%[with]), %%r11\n mov 16(%[with]), %%r12\n mov 24(%[with]), %%r13\n"       \
                   "lea (%%r8,%%r8,2), %%r9\n lea (%%r8,%%r8,4), %%r10\n"                                                   \
                   ".p2align 5\n1:\n" ask_first LINNET_FOURS_STEP(0) ask LINNET_FOURS_STEP(1) ask LINNET_FOURS_STEP(2) ask   \
                   LINNET_FOURS_STEP(3) "add $16, %[a]\n add $256, %[b]\n sub $1, %%r11\n jne 1b\n"                          \
                   : [a] "+r"(a), [b] "+r"(*b), [s0] "+x"(sum[0][0].raw), [s1] "+x"(sum[0][1].raw),                         \
                     [s2] "+x"(sum[1][0].raw), [s3] "+x"(sum[1][1].raw), [s4] "+x"(sum[2][0].raw),                          \
                     [s5] "+x"(sum[2][1].raw), [s6] "+x"(sum[3][0].raw), [s7] "+x"(sum[3][1].raw),                          \
                     [s8] "+x"(sum[4][0].raw), [s9] "+x"(sum[4][1].raw), [s10] "+x"(sum[5][0].raw),                         \
                     [s11] "+x"(sum[5][1].raw)                                                                             \
                   : [with] "r"(&with)                                                                                     \
                   : "r8", "r9", "r10", "r11", "r12", "r13", "ymm12", "ymm13", "ymm14", "ymm15", "cc", "memory")

/// Adds 4 `fours` steps to `sum`, fours > 0: rows of A from `a` on, `a_stride` floats apart; B in a panel, read at `*b`, which moves behind them.
/// Asks for the line at `fetch`, and `fetch_step` bytes on for every step, or four steps where none of the lines is left out by that.
template <int kRows, int kVectors>
HWY_INLINE void RunFours(int64_t fours, const float* a, int64_t a_stride, const float** b, const char* fetch, int64_t fetch_step,
                         VF32 (&sum)[kRows][kVectors]) {
  struct { int64_t a_stride, fours; const char* fetch; int64_t fetch_step; } with = {a_stride * 4, fours, fetch, fetch_step};
  if (fetch_step <= 16) {
    with.fetch_step = fetch_step * 4;
    LINNET_FOURS(LINNET_FOURS_ASK, "");
  } else {
    LINNET_FOURS(LINNET_FOURS_ASK, LINNET_FOURS_ASK);
  }
}
#undef LINNET_FOURS
#undef LINNET_FOURS_ASK
#undef LINNET_FOURS_STEP
#undef LINNET_FOURS_ROW
#else
template <int kRows, int kVectors>
constexpr bool kFours = false;
template <int kRows, int kVectors>
void RunFours(int64_t, const float*, int64_t, const float**, const char*, int64_t, VF32 (&)[kRows][kVectors]) {}
#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
