// Float32 tiles of 14 rows by 32 columns, and of 28 and 16 by 16, on AVX-512, in assembly: of a packed B, two steps over k a turn.
//
// Compilers make as good a loop over k, but what a tile begins and ends with then takes as long as 5 steps over k, a third of the tile where
// there are 16 summands. Here the first step over k brings what sums begin with, as the number that is added to products, and the last
// instructions go row by row: what is bounded first is stored first, while the processor is at the multiply-adds of the next tile. What is
// left takes as long as the bounds' own instructions. Sixteen rows, which are two tiles of 14, read B once.
//
//     zmm0..27  sums, of row r zmm(r), or zmm(2 r) and zmm(2 r + 1)      zmm28 29  a row of B      zmm30 31  a number of A, or what sums begin with
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_AVX512_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_AVX512_INL_H_
#undef LINNET_KERNELS_TILES_AVX512_INL_H_
#else
#define LINNET_KERNELS_TILES_AVX512_INL_H_
#endif

#include <stddef.h>

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/tiles/block-inl.h"

// Not with sanitizers, which see no loads in assembly.
#if HWY_TARGET == HWY_AVX3 && !defined(LINNET_SANITIZED) && !defined(LINNET_SMALL)
HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// What the lists of rows are filled with: where a row lies and the registers of its sums; `at` beside. _32: two of them a row, _16: one.
#define LINNET_ASK_C_32(row, s0, s1, at) "prefetchw " row "\n prefetchw 64" row "\n"
#define LINNET_ASK_C_16(row, s, at) "prefetchw " row "\n"
#define LINNET_ASK_RESIDUAL_32(row, s0, s1, at) "prefetcht0 " row "\n prefetcht0 64" row "\n"
#define LINNET_ASK_RESIDUAL_16(row, s, at) "prefetcht0 " row "\n"
#define LINNET_FIRST_32(row, s0, s1, at)                                                     \
  "vbroadcastss " row ", %%zmm" #s0 "\n vbroadcastss " row ", %%zmm" #s1                     \
  "\n vfmadd213ps %%zmm30, %%zmm28, %%zmm" #s0 "\n vfmadd213ps %%zmm31, %%zmm29, %%zmm" #s1 "\n"
#define LINNET_FIRST_16(row, s, at) "vbroadcastss " row ", %%zmm" #s "\n vfmadd213ps %%zmm30, %%zmm28, %%zmm" #s "\n"
#define LINNET_MACS_32(row, s0, s1, at)                                            \
  "vbroadcastss 4*" #at row ", %%zmm30\n vfmadd231ps %%zmm28, %%zmm30, %%zmm" #s0 \
  "\n vfmadd231ps %%zmm29, %%zmm30, %%zmm" #s1 "\n"
#define LINNET_MACS_16(row, s, at) "vfmadd231ps 4*" #at row "%{1to16%}, %%zmm28, %%zmm" #s "\n"
#define LINNET_ADD_16(row, s, at) "vaddps " row ", %%zmm" #s ", %%zmm" #s "%{%%k1%}\n"
#define LINNET_ADD_32(row, s0, s1, at) "vaddps " row ", %%zmm" #s0 ", %%zmm" #s0 "\n" LINNET_ADD_16("64" row, s1, at)
#define LINNET_AT_LEAST(s) "vmaxps %%zmm" #s ", %%zmm28, %%zmm" #s "\n"
#define LINNET_AT_MOST(s) "vminps %%zmm" #s ", %%zmm29, %%zmm" #s "\n"
#define LINNET_HARD_SWISH(s)                                                                                          \
  "vmovaps %%zmm28, %%zmm31\n vfmadd213ps %[half]%{1to16%}, %%zmm" #s ", %%zmm31\n vmaxps %%zmm31, %%zmm29, %%zmm31\n" \
  "vminps %%zmm31, %%zmm30, %%zmm31\n vmulps %%zmm31, %%zmm" #s ", %%zmm" #s "\n"
#define LINNET_STORE_16(row, s, at) "vmovups %%zmm" #s ", " row "%{%%k1%}\n"
#define LINNET_STORE_32(row, s0, s1, at) "vmovups %%zmm" #s0 ", " row "\n" LINNET_STORE_16("64" row, s1, at)
#define LINNET_STORE_AT_LEAST_16(row, s, at) LINNET_AT_LEAST(s) LINNET_STORE_16(row, s, at)
#define LINNET_STORE_AT_LEAST_32(row, s0, s1, at) LINNET_AT_LEAST(s0) LINNET_AT_LEAST(s1) LINNET_STORE_32(row, s0, s1, at)
#define LINNET_STORE_WITHIN_16(row, s, at) LINNET_AT_LEAST(s) LINNET_AT_MOST(s) LINNET_STORE_16(row, s, at)
#define LINNET_STORE_WITHIN_32(row, s0, s1, at) \
  LINNET_AT_LEAST(s0) LINNET_AT_LEAST(s1) LINNET_AT_MOST(s0) LINNET_AT_MOST(s1) LINNET_STORE_32(row, s0, s1, at)
#define LINNET_STORE_HARD_SWISH_16(row, s, at) LINNET_HARD_SWISH(s) LINNET_STORE_16(row, s, at)
#define LINNET_STORE_HARD_SWISH_32(row, s0, s1, at) LINNET_HARD_SWISH(s0) LINNET_HARD_SWISH(s1) LINNET_STORE_32(row, s0, s1, at)

// Seven rows from `base` on, so many bytes apart as r, r3 and r5 say for one, three and five rows.
#define LINNET_SEVEN_32(each, base, r, r3, r5, at, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13)                        \
  each##_32("(" base ")", s0, s1, at) each##_32("(" base "," r ")", s2, s3, at) each##_32("(" base "," r ",2)", s4, s5, at)           \
  each##_32("(" base "," r3 ")", s6, s7, at) each##_32("(" base "," r ",4)", s8, s9, at) each##_32("(" base "," r5 ")", s10, s11, at) \
  each##_32("(" base "," r3 ",2)", s12, s13, at)
#define LINNET_SEVEN_16(each, base, r, r3, r5, at, s0, s1, s2, s3, s4, s5, s6)                                              \
  each##_16("(" base ")", s0, at) each##_16("(" base "," r ")", s1, at) each##_16("(" base "," r ",2)", s2, at)             \
  each##_16("(" base "," r3 ")", s3, at) each##_16("(" base "," r ",4)", s4, at) each##_16("(" base "," r5 ")", s5, at)     \
  each##_16("(" base "," r3 ",2)", s6, at)
// All rows: each seven from its own register on.
#define LINNET_ROWS_32(each, base, r, r3, r5, at)                                          \
  LINNET_SEVEN_32(each, base, r, r3, r5, at, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13) \
  LINNET_SEVEN_32(each, "%%rbx", r, r3, r5, at, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27)
#define LINNET_ROWS_16(each, base, r, r3, r5, at)                                                                              \
  LINNET_SEVEN_16(each, base, r, r3, r5, at, 0, 1, 2, 3, 4, 5, 6) LINNET_SEVEN_16(each, "%%rbx", r, r3, r5, at, 7, 8, 9, 10, 11, 12, 13) \
  LINNET_SEVEN_16(each, "%%r10", r, r3, r5, at, 14, 15, 16, 17, 18, 19, 20)                                                     \
  LINNET_SEVEN_16(each, "%%r15", r, r3, r5, at, 21, 22, 23, 24, 25, 26, 27)
#define LINNET_ROWS_SIXTEEN(each, base, r, r3, r5, at)                                                                            \
  LINNET_SEVEN_16(each, base, r, r3, r5, at, 0, 1, 2, 3, 4, 5, 6) LINNET_SEVEN_16(each, "%%rbx", r, r3, r5, at, 7, 8, 9, 10, 11, 12, 13) \
  each##_16("(%%r10)", 14, at) each##_16("(%%r10," r ")", 15, at)
#define LINNET_SEVENS_32(base, r, r3) "lea (" base "," r "), %%rbx\n lea (%%rbx," r3 ",2), %%rbx\n"
#define LINNET_SEVENS_16(base, r, r3)                                                                                 \
  LINNET_SEVENS_32(base, r, r3) "lea (%%rbx," r "), %%r10\n lea (%%r10," r3 ",2), %%r10\n lea (%%r10," r "), %%r15\n" \
  "lea (%%r15," r3 ",2), %%r15\n"

// rsi and the registers of seven rows: A, where it is read; rdi: B; r8 r9 rax: from a row of A to the next, the third and the fifth; rcx r13:
// pairs of steps, and steps; rdx r11: what is asked for, and from step to step; r12: the next segment. Two panels have r10 from one
// to the other in B, and r15 in what is asked for. Rows of others lie rcx, rsi and rdi apart.
#define LINNET_LOAD_B_32(at)                                                          \
  "vmovups 64*" #at "(%%rdi), %%zmm28\n vmovups 64*" #at "(%%rdi,%%r10), %%zmm29\n"  \
  "prefetcht0 (%%rdx)\n prefetcht0 (%%rdx,%%r15)\n add %%r11, %%rdx\n"
#define LINNET_LOAD_B_16(at) "vmovups 64*" #at "(%%rdi), %%zmm28\n prefetcht0 (%%rdx)\n prefetcht0 64(%%rdx)\n add %%r11, %%rdx\n"
#define LINNET_SKIP_32(steps) "add $4*" #steps ", %%rsi\n add $4*" #steps ", %%rbx\n add $64*" #steps ", %%rdi\n"
#define LINNET_SKIP_16(steps) LINNET_SKIP_32(steps) "add $4*" #steps ", %%r10\n add $4*" #steps ", %%r15\n"
#define LINNET_LOAD_BIAS_32 "vmovups (%%rax), %%zmm30\n vmovups 64(%%rax), %%zmm31%{%%k1%}%{z%}\n"
#define LINNET_LOAD_BIAS_16 "vmovups (%%rax), %%zmm30%{%%k1%}%{z%}\n"
#define LINNET_SECONDS_32 "mov %c[b_second](%[t]), %%r10\n mov %c[fetch_panel](%[t]), %%r15\n sar $1, %%r15\n"
#define LINNET_SECONDS_16 ""
#define LINNET_SEVENS_SIXTEEN LINNET_SEVENS_16
#define LINNET_LOAD_B_SIXTEEN LINNET_LOAD_B_16
#define LINNET_LOAD_BIAS_SIXTEEN LINNET_LOAD_BIAS_16
#define LINNET_SKIP_SIXTEEN LINNET_SKIP_16
#define LINNET_SECONDS_SIXTEEN LINNET_SECONDS_16
#define LINNET_OF_A(tile, each, at) LINNET_ROWS_##tile(each, "%%rsi", "%%r8", "%%r9", "%%rax", at)
#define LINNET_STEP(tile, at) LINNET_LOAD_B_##tile(at) LINNET_OF_A(tile, LINNET_MACS, at)
#define LINNET_SEGMENT(tile)                                                                               \
  "mov (%%r12), %%rsi\n add %c[a_offset](%[t]), %%rsi\n mov 8(%%r12), %%r13\n add $16, %%r12\n"              \
  LINNET_SEVENS_##tile("%%rsi", "%%r8", "%%r9")
#define LINNET_STRIDES(tile, field, base)                                                                  \
  "mov %c[" field "](%[t]), %%rcx\n lea (%%rcx,%%rcx,2), %%rsi\n lea (%%rcx,%%rcx,4), %%rdi\n"                \
  LINNET_SEVENS_##tile(base, "%%rcx", "%%rsi")
#define LINNET_OTHERS(tile, each, base) LINNET_ROWS_##tile(each, base, "%%rcx", "%%rsi", "%%rdi", 0)
#define LINNET_AT(name) [name] "i"(offsetof(PanelTiles, name))

#define LINNET_PANEL_TILES(tile)                                                                                                        \
  __asm__ volatile(                                                                                                                        \
      "kmovw 2+%c[flags](%[t]), %%k1\n mov %c[fetch_step](%[t]), %%r11\n"                                                    \
      "1:\n testl $4, %c[flags](%[t])\n je 2f\n mov %c[c](%[t]), %%rax\n" LINNET_STRIDES(tile, "c_stride", "%%rax") LINNET_OTHERS(tile, LINNET_ASK_C, "%%rax")                 \
      "mov %c[residual](%[t]), %%rax\n test %%rax, %%rax\n je 2f\n"                                                                                   \
      LINNET_STRIDES(tile, "residual_stride", "%%rax") LINNET_OTHERS(tile, LINNET_ASK_RESIDUAL, "%%rax")                                              \
      "2:\n mov %c[init](%[t]), %%rax\n" LINNET_LOAD_BIAS_##tile                                                                                      \
      "mov %c[a_stride](%[t]), %%r8\n lea (%%r8,%%r8,2), %%r9\n lea (%%r8,%%r8,4), %%rax\n"                                                           \
      "mov %c[b](%[t]), %%rdi\n mov %c[fetch](%[t]), %%rdx\n mov %c[segments](%[t]), %%r12\n" LINNET_SECONDS_##tile                                   \
      LINNET_SEGMENT(tile) LINNET_LOAD_B_##tile(0) LINNET_OF_A(tile, LINNET_FIRST, 0) LINNET_SKIP_##tile(1) "sub $1, %%r13\n jmp 4f\n"                \
      "3:\n add %c[fetch_jump](%[t]), %%rdx\n" LINNET_SEGMENT(tile)                                                                                   \
      "4:\n mov %%r13, %%rcx\n shr $1, %%rcx\n je 6f\n"                                                                                               \
      ".p2align 5\n5:\n" LINNET_STEP(tile, 0) LINNET_STEP(tile, 1) LINNET_SKIP_##tile(2) "sub $1, %%rcx\n jne 5b\n"                                   \
      "6:\n test $1, %%r13\n je 7f\n" LINNET_STEP(tile, 0) "add $64, %%rdi\n"                                                                         \
      "7:\n cmp %c[segments_end](%[t]), %%r12\n jne 3b\n"                                                                                             \
      "mov %c[residual](%[t]), %%rax\n test %%rax, %%rax\n je 8f\n"                                                                                   \
      LINNET_STRIDES(tile, "residual_stride", "%%rax") LINNET_OTHERS(tile, LINNET_ADD, "%%rax")                                                       \
      "mov %c[residual_step](%[t]), %%rax\n add %%rax, %c[residual](%[t])\n"                                                                          \
      "8:\n mov %c[c](%[t]), %%rax\n" LINNET_STRIDES(tile, "c_stride", "%%rax") "mov %c[flags](%[t]), %%edx\n test $19, %%edx\n je 10f\n"                                      \
      "vbroadcastss %c[low](%[t]), %%zmm28\n vbroadcastss %c[high](%[t]), %%zmm29\n"                                                                  \
      "test $2, %%edx\n jne 9f\n test $1, %%edx\n je 11f\n" LINNET_OTHERS(tile, LINNET_STORE_AT_LEAST, "%%rax") "jmp 12f\n"                           \
      "9:\n" LINNET_OTHERS(tile, LINNET_STORE_WITHIN, "%%rax") "jmp 12f\n"                                                                            \
      "10:\n" LINNET_OTHERS(tile, LINNET_STORE, "%%rax") "jmp 12f\n"                                                                                  \
      "11:\n vbroadcastss %[sixth], %%zmm28\n vpxord %%zmm29, %%zmm29, %%zmm29\n vbroadcastss %[one], %%zmm30\n"                                      \
      LINNET_OTHERS(tile, LINNET_STORE_HARD_SWISH, "%%rax")                                                                                           \
      "12:\n mov %c[init_step](%[t]), %%rax\n mov %c[b_panel](%[t]), %%rcx\n mov %c[fetch_panel](%[t]), %%rdx\n"                                      \
      "mov %c[a_step](%[t]), %%rsi\n mov %c[c_step](%[t]), %%rbx\n add %%rbx, %c[c](%[t])\n add %%rsi, %c[a_offset](%[t])\n"                                                   \
      "add %%rax, %c[init](%[t])\n add %%rcx, %c[b](%[t])\n add %%rdx, %c[fetch](%[t])\n subq $1, %c[tiles](%[t])\n jne 1b\n vzeroupper\n"            \
      :                                                                                                                                               \
      : [t] "r"(&t), LINNET_AT(segments), LINNET_AT(segments_end), LINNET_AT(a_offset), LINNET_AT(a_stride), LINNET_AT(b), LINNET_AT(b_panel),        \
        LINNET_AT(b_second), LINNET_AT(init), LINNET_AT(init_step), LINNET_AT(c), LINNET_AT(c_stride), LINNET_AT(residual),                           \
        LINNET_AT(residual_stride), LINNET_AT(tiles), LINNET_AT(flags), LINNET_AT(low), LINNET_AT(high), LINNET_AT(fetch),                            \
        LINNET_AT(fetch_step), LINNET_AT(fetch_panel), LINNET_AT(fetch_jump), LINNET_AT(a_step), LINNET_AT(c_step),                                   \
        LINNET_AT(residual_step), [sixth] "m"(kSixth), [one] "m"(kOne), [half] "m"(kHalf)                                                             \
      : "memory", "cc", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r15", "zmm0", "zmm1",               \
        "zmm2", "zmm3", "zmm4", "zmm5", "zmm6", "zmm7", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15", "zmm16",                \
        "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26", "zmm27", "zmm28", "zmm29", "zmm30", "zmm31", "k1")

#define LINNET_PANEL_TILES_HERE
constexpr int64_t kTileColumns = 32;   // of RunPanelTiles
#define LINNET_SINGLE_ROWS_HERE
constexpr int kSingleRows = 16;        // of a tile of one panel, beside the tall ones
constexpr int kWideRows = 0;           // none
constexpr int64_t kWideColumns = 0;
constexpr bool kPanelHardSwishes = true, kMasksLanes = true;
template <int kRows, int kVectors>
constexpr bool kPanelTiles = kRows == 14 && kVectors == 2;

/// All tiles of `t`, whose B is packed, whose first segment has summands, and whose sums begin with the same row of `init`. Lines are asked
/// for with every step over k.
template <int kRows, int64_t kColumns>
HWY_NOINLINE void RunPanelTiles(PanelTiles& t) {
  static_assert((kRows * kColumns == 448 || (kRows == kSingleRows && kColumns == kPanelColumns)) && sizeof(SegmentF32) == 16 && offsetof(SegmentF32, k) == 8);
  static constexpr float kSixth = 1.0f / 6, kOne = 1, kHalf = 0.5f;
  if constexpr (kColumns == kTileColumns) {
    LINNET_PANEL_TILES(32);
  } else if constexpr (kRows == kSingleRows) {
    LINNET_PANEL_TILES(SIXTEEN);
  } else {
    LINNET_PANEL_TILES(16);
  }
}

#undef LINNET_PANEL_TILES
#undef LINNET_AT
#undef LINNET_OTHERS
#undef LINNET_STRIDES
#undef LINNET_SEGMENT
#undef LINNET_STEP
#undef LINNET_OF_A
#undef LINNET_SECONDS_SIXTEEN
#undef LINNET_SKIP_SIXTEEN
#undef LINNET_LOAD_BIAS_SIXTEEN
#undef LINNET_LOAD_B_SIXTEEN
#undef LINNET_SEVENS_SIXTEEN
#undef LINNET_SECONDS_16
#undef LINNET_SECONDS_32
#undef LINNET_LOAD_BIAS_16
#undef LINNET_LOAD_BIAS_32
#undef LINNET_SKIP_16
#undef LINNET_SKIP_32
#undef LINNET_LOAD_B_16
#undef LINNET_LOAD_B_32
#undef LINNET_SEVENS_16
#undef LINNET_SEVENS_32
#undef LINNET_ROWS_SIXTEEN
#undef LINNET_ROWS_16
#undef LINNET_ROWS_32
#undef LINNET_SEVEN_16
#undef LINNET_SEVEN_32
#undef LINNET_STORE_HARD_SWISH_32
#undef LINNET_STORE_HARD_SWISH_16
#undef LINNET_STORE_WITHIN_32
#undef LINNET_STORE_WITHIN_16
#undef LINNET_STORE_AT_LEAST_32
#undef LINNET_STORE_AT_LEAST_16
#undef LINNET_STORE_32
#undef LINNET_STORE_16
#undef LINNET_HARD_SWISH
#undef LINNET_AT_MOST
#undef LINNET_AT_LEAST
#undef LINNET_ADD_32
#undef LINNET_ADD_16
#undef LINNET_MACS_16
#undef LINNET_MACS_32
#undef LINNET_FIRST_16
#undef LINNET_FIRST_32
#undef LINNET_ASK_RESIDUAL_16
#undef LINNET_ASK_RESIDUAL_32
#undef LINNET_ASK_C_16
#undef LINNET_ASK_C_32

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target guard
