// Float32 tiles on 64-bit Arm, in assembly: a multiply-add takes a lane of what one load of a row of A brought.
//
// Up to 6 rows by 16 columns have their sums, A and B in the 32 registers there are. Compilers keep some of it on the stack, which
// takes half as many instructions again; and where there are few summands, what a tile begins and ends with counts as much as they
// do. Rows of B are read by loads of two or four registers that step on by themselves.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_LANES_INL_H_
#undef LINNET_KERNELS_TILES_LANES_INL_H_
#else
#define LINNET_KERNELS_TILES_LANES_INL_H_
#endif

#include <stddef.h>

#include "hwy/highway.h"
#include "kernels/gemm.h"
#include "kernels/tiles/block-inl.h"
#include "kernels/tiles/lanes_asm.h"

#if HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64
HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

static_assert(offsetof(PanelTiles, a_offset) == 16 && offsetof(PanelTiles, b) == 32 && offsetof(PanelTiles, init) == 56 &&
              offsetof(PanelTiles, c) == 80 && offsetof(PanelTiles, residual) == 96 && offsetof(PanelTiles, tiles) == 112 &&
              offsetof(PanelTiles, flags) == 120 && offsetof(PanelTiles, low) == 124);
static_assert(sizeof(SegmentF32) == 16 && offsetof(SegmentF32, k) == 8);

#define LINNET_FMLA(sum, b, a, lane) "fmla v" #sum ".4s, v" #b ".4s, v" #a ".s[" #lane "]\n"

// Four steps over k, and one whose A is in the lowest lanes.
#define LINNET_FOUR_STEPS(rows) \
  LINNET_STEP_##rows(LINNET_FMLA, 0) LINNET_STEP_##rows(LINNET_FMLA, 1) \
  LINNET_STEP_##rows(LINNET_FMLA, 2) LINNET_STEP_##rows(LINNET_FMLA, 3)

#define LINNET_PANEL_TILES(rows)                                                                                    \
  asm volatile(                                                                                                    \
      "ldp x10, x11, [%[t], #16]\n ldp x17, x26, [%[t], #32]\n ldp x12, x19, [%[t], #48]\n"                         \
      "ldp x20, x21, [%[t], #64]\n ldp x22, x23, [%[t], #80]\n ldr x24, [%[t], #96]\n ldr x16, [%[t], #112]\n"      \
      LINNET_PREPARE_##rows                                                                                        \
      "1:\n mov x13, x19\n add x19, x19, x21\n mov x7, x17\n add x17, x17, x26\n"                                   \
      LINNET_LOAD_SUMS_##rows                                                                                      \
      "ldp x9, x25, [%[t]]\n"                                                                                      \
      "2:\n ldp x1, x15, [x9], #16\n add x1, x1, x10\n" LINNET_ROWS_##rows                                          \
      "lsr x8, x15, #2\n cbz x8, 4f\n"                                                                             \
      "3:\n" LINNET_LOAD_A_##rows "subs x8, x8, #1\n" LINNET_FOUR_STEPS(rows) "b.ne 3b\n"                           \
      "4:\n ands x15, x15, #3\n b.eq 6f\n"                                                                          \
      "5:\n" LINNET_LOAD_A1_##rows "subs x15, x15, #1\n" LINNET_STEP_##rows(LINNET_FMLA, 0) "b.ne 5b\n"              \
      "6:\n cmp x9, x25\n b.ne 2b\n"                                                                                \
      "cbz x24, 7f\n mov x13, x24\n add x24, x24, #64\n ldr x14, [%[t], #104]\n" LINNET_ADD_RESIDUAL_##rows          \
      "7:\n ldr w14, [%[t], #120]\n tbz w14, #0, 8f\n add x13, %[t], #124\n ld1r {v0.4s}, [x13]\n"                  \
      LINNET_CLAMP_##rows("fmax")                                                                                  \
      "8:\n tbz w14, #1, 9f\n add x13, %[t], #128\n ld1r {v0.4s}, [x13]\n" LINNET_CLAMP_##rows("fmin")               \
      "9:\n mov x13, x22\n add x22, x22, #64\n" LINNET_STORE_SUMS_##rows                                            \
      "subs x16, x16, #1\n b.ne 1b\n"                                                                              \
      :                                                                                                            \
      : [t] "r"(&t)                                                                                                \
      : LINNET_LANE_CLOBBERS)

/// All tiles of `t`; of half a panel there is the highest. Sums are made in the order of k, as by multiply-adds one by one.
template <int kRows, int64_t kColumns>
HWY_NOINLINE void RunPanelTiles(PanelTiles& t) {
  constexpr bool kWhole = kColumns == kPanelColumns;
  static_assert(kRows >= 1 && kRows <= 6 && (kWhole || (kRows == 6 && kColumns == kPanelColumns / 2)));
  if constexpr (kRows == 1) LINNET_PANEL_TILES(1);
  if constexpr (kRows == 2) LINNET_PANEL_TILES(2);
  if constexpr (kRows == 3) LINNET_PANEL_TILES(3);
  if constexpr (kRows == 4) LINNET_PANEL_TILES(4);
  if constexpr (kRows == 5) LINNET_PANEL_TILES(5);
  if constexpr (kRows == 6 && kWhole) LINNET_PANEL_TILES(6);
  if constexpr (kRows == 6 && !kWhole) LINNET_PANEL_TILES(6H);
}

#undef LINNET_PANEL_TILES
#undef LINNET_FOUR_STEPS
#undef LINNET_FMLA

#define LINNET_PANEL_TILES_HERE
constexpr int64_t kTileColumns = kPanelColumns;   // of RunPanelTiles
constexpr int kWideRows = 0;   // none
constexpr int64_t kWideColumns = 0;
constexpr bool kPanelHardSwishes = false, kMasksLanes = false;
template <int kRows, int kVectors>
constexpr bool kPanelTiles = kVectors * kLanes >= kPanelColumns;

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // 64-bit Arm

#endif  // per-target guard
