// Float32 tiles of 3 to 6 rows by 16 columns, and of 4 by 24, on AVX2, in assembly: of a packed B, four steps over k a turn.
//
// What counts is the number of instructions. Four steps of 6 rows are 80 loads and multiply-adds and 5 more, where a loop over one step has
// 24 for 20, and compilers that unroll it keep an index for each row and step and spill sums. A core of its own starts six instructions a
// cycle and does not see the difference; one whose other thread is busy starts three, and two multiply-adds a cycle leave room for one more.
// Where there are few summands, what a tile begins and ends with counts as much.
//
//     ymm0..11  sums      ymm12 13  a row of B      ymm14 15  numbers of A
//
// A product that ends with half a panel would take for it what a whole one takes: its last panel and a half are tiles of 4 by 24, which have
// as many sums, and ymm14 for the third vector of B.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_AVX2_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_AVX2_INL_H_
#undef LINNET_KERNELS_TILES_AVX2_INL_H_
#else
#define LINNET_KERNELS_TILES_AVX2_INL_H_
#endif

#include <stddef.h>

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/tiles/block-inl.h"

// Not with sanitizers, which see no loads in assembly.
#if HWY_TARGET == HWY_AVX2 && HWY_ARCH_X86_64 && !defined(LINNET_SANITIZED) && !defined(LINNET_SMALL)
HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// What the lists of rows are filled with: where a row lies and the registers of its sums; `at` and `a` beside.
#define LINNET_LOAD_SUMS(row, s0, s1, at, a) "vmovups " row ", %%ymm" #s0 "\n vmovups 32" row ", %%ymm" #s1 "\n"
#define LINNET_ASK_C(row, s0, s1, at, a) "prefetchw " row "\n prefetchw 60" row "\n"
#define LINNET_ASK_RESIDUAL(row, s0, s1, at, a) "prefetcht0 " row "\n prefetcht0 60" row "\n"
#define LINNET_MACS(row, s0, s1, at, a)                                              \
  "vbroadcastss 4*" #at row ", %%ymm" #a "\n vfmadd231ps %%ymm12, %%ymm" #a ", %%ymm" #s0 \
  "\n vfmadd231ps %%ymm13, %%ymm" #a ", %%ymm" #s1 "\n"
#define LINNET_ADD(row, s0, s1, at, a) \
  "vaddps " row ", %%ymm" #s0 ", %%ymm" #s0 "\n vaddps 32" row ", %%ymm" #s1 ", %%ymm" #s1 "\n"
#define LINNET_AT_LEAST(row, s0, s1, at, a) \
  "vmaxps %%ymm" #s0 ", %%ymm12, %%ymm" #s0 "\n vmaxps %%ymm" #s1 ", %%ymm12, %%ymm" #s1 "\n"
#define LINNET_AT_MOST(row, s0, s1, at, a) \
  "vminps %%ymm" #s0 ", %%ymm12, %%ymm" #s0 "\n vminps %%ymm" #s1 ", %%ymm12, %%ymm" #s1 "\n"
#define LINNET_HARD_SWISH1(s)                                                                                     \
  "vmovaps %%ymm12, %%ymm15\n vfmadd213ps %[half], %%ymm" #s ", %%ymm15\n vmaxps %%ymm15, %%ymm13, %%ymm15\n" \
  "vminps %%ymm15, %%ymm14, %%ymm15\n vmulps %%ymm15, %%ymm" #s ", %%ymm" #s "\n"
#define LINNET_HARD_SWISH(row, s0, s1, at, a) LINNET_HARD_SWISH1(s0) LINNET_HARD_SWISH1(s1)
#define LINNET_STORE(row, s0, s1, at, a) "vmovups %%ymm" #s0 ", " row "\n vmovups %%ymm" #s1 ", 32" row "\n"
// The same for three registers of sums a row.
#define LINNET_LOAD_SUMS_WIDE(row, s0, s1, s2, at) LINNET_LOAD_SUMS(row, s0, s1, at, ) "vmovups 64" row ", %%ymm" #s2 "\n"
#define LINNET_ASK_C_WIDE(row, s0, s1, s2, at) "prefetchw " row "\n prefetchw 92" row "\n"
#define LINNET_ASK_RESIDUAL_WIDE(row, s0, s1, s2, at) "prefetcht0 " row "\n prefetcht0 92" row "\n"
#define LINNET_MACS_WIDE(row, s0, s1, s2, at) LINNET_MACS(row, s0, s1, at, 15) "vfmadd231ps %%ymm14, %%ymm15, %%ymm" #s2 "\n"
#define LINNET_ADD_WIDE(row, s0, s1, s2, at) LINNET_ADD(row, s0, s1, at, ) "vaddps 64" row ", %%ymm" #s2 ", %%ymm" #s2 "\n"
#define LINNET_AT_LEAST_WIDE(row, s0, s1, s2, at) LINNET_AT_LEAST(row, s0, s1, at, ) "vmaxps %%ymm" #s2 ", %%ymm12, %%ymm" #s2 "\n"
#define LINNET_AT_MOST_WIDE(row, s0, s1, s2, at) LINNET_AT_MOST(row, s0, s1, at, ) "vminps %%ymm" #s2 ", %%ymm12, %%ymm" #s2 "\n"
#define LINNET_HARD_SWISH_WIDE(row, s0, s1, s2, at) LINNET_HARD_SWISH(row, s0, s1, at, ) LINNET_HARD_SWISH1(s2)
#define LINNET_STORE_WIDE(row, s0, s1, s2, at) LINNET_STORE(row, s0, s1, at, ) "vmovups %%ymm" #s2 ", 64" row "\n"

// Rows from `base` on, so many bytes apart as `stride`, `stride3` and `stride5` say for one, three and five rows.
#define LINNET_ROWS_3(each, base, stride, stride3, stride5, at)                                                            \
  each("(" base ")", 0, 1, at, 14) each("(" base "," stride ")", 2, 3, at, 15) each("(" base "," stride ",2)", 4, 5, at, 14)
#define LINNET_ROWS_4(each, base, stride, stride3, stride5, at) \
  LINNET_ROWS_3(each, base, stride, stride3, stride5, at) each("(" base "," stride3 ")", 6, 7, at, 15)
#define LINNET_ROWS_5(each, base, stride, stride3, stride5, at) \
  LINNET_ROWS_4(each, base, stride, stride3, stride5, at) each("(" base "," stride ",4)", 8, 9, at, 14)
#define LINNET_ROWS_6(each, base, stride, stride3, stride5, at) \
  LINNET_ROWS_5(each, base, stride, stride3, stride5, at) each("(" base "," stride5 ")", 10, 11, at, 15)
#define LINNET_ROWS_4_WIDE(each, base, stride, stride3, stride5, at)                                               \
  each##_WIDE("(" base ")", 0, 1, 2, at) each##_WIDE("(" base "," stride ")", 3, 4, 5, at)                         \
  each##_WIDE("(" base "," stride ",2)", 6, 7, 8, at) each##_WIDE("(" base "," stride3 ")", 9, 10, 11, at)

// rsi rdi: A and B, where they are read; r8 r9 r10: from a row of A to the next, the third and the fifth, or to B's second panel; rcx r13: fours of steps, and steps
// beside them; rdx r11: what is asked for; r12: the next segment; r14: C; r15: tiles left. Rows of others lie rcx, rsi and rdi apart.
#define LINNET_STEP(rows, at) \
  "vmovups 64*" #at "(%%rdi), %%ymm12\n vmovups 64*" #at "+32(%%rdi), %%ymm13\n" rows(LINNET_MACS, "%%rsi", "%%r8", "%%r9", "%%r10", at)
#define LINNET_STEP_WIDE(rows, at) "vmovups 64*" #at "(%%rdi,%%r10), %%ymm14\n" LINNET_STEP(rows, at)
#define LINNET_ASK "prefetcht0 (%%rdx)\n add %%r11, %%rdx\n"
#define LINNET_FOUR_STEPS(step, rows, ask) LINNET_ASK step(rows, 0) ask step(rows, 1) ask step(rows, 2) ask step(rows, 3)
#define LINNET_FIFTH "lea (%%r8,%%r8,4), %%r10\n"
#define LINNET_SECOND "mov %c[b_second](%[t]), %%r10\n"
#define LINNET_STRIDES(field) "mov %c[" field "](%[t]), %%rcx\n lea (%%rcx,%%rcx,2), %%rsi\n lea (%%rcx,%%rcx,4), %%rdi\n"
#define LINNET_OTHER_ROWS(rows, each, base) rows(each, base, "%%rcx", "%%rsi", "%%rdi", 0)
#define LINNET_AT(name, member) [name] "i"(offsetof(PanelTiles, member))

#define LINNET_PANEL_TILES(rows, step, r10)                                                                                                     \
  __asm__ volatile(                                                                                                                  \
      "mov %c[a_stride](%[t]), %%r8\n lea (%%r8,%%r8,2), %%r9\n" r10                                                                 \
      "mov %c[c](%[t]), %%r14\n mov %c[tiles](%[t]), %%r15\n mov %c[fetch_step](%[t]), %%r11\n"                                       \
      "1:\n mov %c[init](%[t]), %%rax\n" LINNET_STRIDES("init_stride") LINNET_OTHER_ROWS(rows, LINNET_LOAD_SUMS, "%%rax")             \
      "testl $4, %c[flags](%[t])\n je 2f\n" LINNET_STRIDES("c_stride") LINNET_OTHER_ROWS(rows, LINNET_ASK_C, "%%r14")                    \
      "mov %c[residual](%[t]), %%rax\n test %%rax, %%rax\n je 2f\n"                                                                  \
      LINNET_STRIDES("residual_stride") LINNET_OTHER_ROWS(rows, LINNET_ASK_RESIDUAL, "%%rax")                                        \
      "2:\n mov %c[b](%[t]), %%rdi\n mov %c[fetch](%[t]), %%rdx\n mov %c[segments](%[t]), %%r12\n"                                    \
      "3:\n mov (%%r12), %%rsi\n add %c[a_offset](%[t]), %%rsi\n mov 8(%%r12), %%r13\n add $16, %%r12\n"                              \
      "mov %%r13, %%rcx\n and $3, %%r13\n shr $2, %%rcx\n je 6f\n testl $8, %c[flags](%[t])\n jne 5f\n"                                           \
      ".p2align 5\n4:\n" LINNET_FOUR_STEPS(step, rows, "") "add $16, %%rsi\n add $256, %%rdi\n sub $1, %%rcx\n jne 4b\n jmp 6f\n"           \
      ".p2align 5\n5:\n" LINNET_FOUR_STEPS(step, rows, LINNET_ASK) "add $16, %%rsi\n add $256, %%rdi\n sub $1, %%rcx\n jne 5b\n"            \
      "6:\n test %%r13, %%r13\n je 8f\n"                                                                                             \
      "7:\n" step(rows, 0) "add $4, %%rsi\n add $64, %%rdi\n sub $1, %%r13\n jne 7b\n"                                         \
      "8:\n cmp %c[segments_end](%[t]), %%r12\n jne 3b\n"                                                                            \
      "mov %c[residual](%[t]), %%rax\n test %%rax, %%rax\n je 9f\n"                                                                  \
      LINNET_STRIDES("residual_stride") LINNET_OTHER_ROWS(rows, LINNET_ADD, "%%rax")                                                \
      "mov %c[residual_step](%[t]), %%rax\n add %%rax, %c[residual](%[t])\n"                                                       \
      "9:\n testl $1, %c[flags](%[t])\n je 10f\n vbroadcastss %c[low](%[t]), %%ymm12\n"                                              \
      LINNET_OTHER_ROWS(rows, LINNET_AT_LEAST, "")                                                                                   \
      "10:\n testl $2, %c[flags](%[t])\n je 11f\n vbroadcastss %c[high](%[t]), %%ymm12\n"                                            \
      LINNET_OTHER_ROWS(rows, LINNET_AT_MOST, "")                                                                                    \
      "11:\n testl $16, %c[flags](%[t])\n je 12f\n vbroadcastss %[sixth], %%ymm12\n vxorps %%ymm13, %%ymm13, %%ymm13\n"               \
      "vbroadcastss %[one], %%ymm14\n" LINNET_OTHER_ROWS(rows, LINNET_HARD_SWISH, "")                                               \
      "12:\n" LINNET_STRIDES("c_stride") LINNET_OTHER_ROWS(rows, LINNET_STORE, "%%r14")                                              \
      "mov %c[init_step](%[t]), %%rax\n mov %c[b_panel](%[t]), %%rcx\n mov %c[fetch_panel](%[t]), %%rdx\n"                            \
      "mov %c[a_step](%[t]), %%rsi\n add %c[c_step](%[t]), %%r14\n add %%rsi, %c[a_offset](%[t])\n"                                 \
      "add %%rax, %c[init](%[t])\n add %%rcx, %c[b](%[t])\n add %%rdx, %c[fetch](%[t])\n sub $1, %%r15\n jne 1b\n vzeroupper\n"       \
      :                                                                                                                              \
      : [t] "r"(&t), LINNET_AT(segments, segments), LINNET_AT(segments_end, segments_end), LINNET_AT(a_offset, a_offset),            \
        LINNET_AT(a_stride, a_stride), LINNET_AT(b, b), LINNET_AT(b_panel, b_panel), LINNET_AT(b_second, b_second), LINNET_AT(init, init),                          \
        LINNET_AT(init_stride, init_stride), LINNET_AT(init_step, init_step), LINNET_AT(c, c), LINNET_AT(c_stride, c_stride),        \
        LINNET_AT(residual, residual), LINNET_AT(residual_stride, residual_stride), LINNET_AT(tiles, tiles),                         \
        LINNET_AT(flags, flags), LINNET_AT(low, low), LINNET_AT(high, high), LINNET_AT(fetch, fetch),         \
        LINNET_AT(fetch_step, fetch_step), LINNET_AT(fetch_panel, fetch_panel), LINNET_AT(a_step, a_step), LINNET_AT(c_step, c_step),       \
        LINNET_AT(residual_step, residual_step), [sixth] "m"(kSixth), [one] "m"(kOne), [half] "m"(kHalves) \
      : "memory", "cc", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "ymm0", "ymm1",     \
        "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15")

#define LINNET_PANEL_TILES_HERE
constexpr int64_t kTileColumns = kPanelColumns;   // of RunPanelTiles
constexpr int kWideRows = 4;
constexpr int64_t kWideColumns = 24;
constexpr bool kPanelHardSwishes = true, kMasksLanes = false;
template <int kRows, int kVectors>
constexpr bool kPanelTiles = kRows >= 3 && kRows <= 6 && kVectors == 2;

/// All tiles of `t`, whose B is packed. Lines are asked for with every step over k, or every four where that leaves none out.
template <int kRows, int64_t kColumns>
HWY_NOINLINE void RunPanelTiles(PanelTiles& t) {
  static_assert((kColumns == kPanelColumns || (kColumns == kWideColumns && kRows == kWideRows)) && sizeof(SegmentF32) == 16 && offsetof(SegmentF32, k) == 8);
  static constexpr float kSixth = 1.0f / 6, kOne = 1;
  alignas(32) static constexpr float kHalves[8] = {0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f};
  if (t.fetch_step > 16) t.flags |= 8;
  if (t.fetch_step <= 16) t.fetch_step *= 4;
  if constexpr (kColumns == kWideColumns) {
    LINNET_PANEL_TILES(LINNET_ROWS_4_WIDE, LINNET_STEP_WIDE, LINNET_SECOND);
  } else if constexpr (kRows == 3) {
    LINNET_PANEL_TILES(LINNET_ROWS_3, LINNET_STEP, LINNET_FIFTH);
  } else if constexpr (kRows == 4) {
    LINNET_PANEL_TILES(LINNET_ROWS_4, LINNET_STEP, LINNET_FIFTH);
  } else if constexpr (kRows == 5) {
    LINNET_PANEL_TILES(LINNET_ROWS_5, LINNET_STEP, LINNET_FIFTH);
  } else {
    LINNET_PANEL_TILES(LINNET_ROWS_6, LINNET_STEP, LINNET_FIFTH);
  }
}

#undef LINNET_PANEL_TILES
#undef LINNET_AT
#undef LINNET_OTHER_ROWS
#undef LINNET_STRIDES
#undef LINNET_SECOND
#undef LINNET_FIFTH
#undef LINNET_FOUR_STEPS
#undef LINNET_ASK
#undef LINNET_STEP_WIDE
#undef LINNET_STEP
#undef LINNET_ROWS_4_WIDE
#undef LINNET_ROWS_6
#undef LINNET_ROWS_5
#undef LINNET_ROWS_4
#undef LINNET_ROWS_3
#undef LINNET_STORE_WIDE
#undef LINNET_HARD_SWISH_WIDE
#undef LINNET_AT_MOST_WIDE
#undef LINNET_AT_LEAST_WIDE
#undef LINNET_ADD_WIDE
#undef LINNET_MACS_WIDE
#undef LINNET_ASK_RESIDUAL_WIDE
#undef LINNET_ASK_C_WIDE
#undef LINNET_LOAD_SUMS_WIDE
#undef LINNET_STORE
#undef LINNET_HARD_SWISH
#undef LINNET_HARD_SWISH1
#undef LINNET_AT_MOST
#undef LINNET_AT_LEAST
#undef LINNET_ADD
#undef LINNET_MACS
#undef LINNET_ASK_RESIDUAL
#undef LINNET_ASK_C
#undef LINNET_LOAD_SUMS

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target guard
