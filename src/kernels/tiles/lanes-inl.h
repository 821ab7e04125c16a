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

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/gemm.h"
#include "kernels/tiles/block-inl.h"
#include "kernels/tiles/lanes_asm.h"

#if HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64
HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

/// Tiles of some rows, side by side. Strides and steps are in bytes. The assembly knows where members lie.
struct LaneTiles {
  const SegmentF32* segments;
  const SegmentF32* segments_end;
  int64_t a_offset, a_stride;      ///< from a segment's begin to the first row, and from row to row
  const float* b;                  ///< the first row of the first panel
  int64_t b_panel, b_step;         ///< from panel to panel; from row to row
  const float* init;               ///< what the sums of the first tile begin with,
  int64_t init_stride, init_step;  ///< from row to row, and from tile to tile
  float* c;
  int64_t c_stride;
  const float* residual;           ///< or null
  int64_t residual_stride;
  int64_t tiles;                   ///< at least one
  int32_t clamps;                  ///< 1: below, 2: above
  float low, high;
};
static_assert(offsetof(LaneTiles, a_offset) == 16 && offsetof(LaneTiles, b) == 32 && offsetof(LaneTiles, init) == 56 &&
              offsetof(LaneTiles, c) == 80 && offsetof(LaneTiles, residual) == 96 && offsetof(LaneTiles, tiles) == 112 &&
              offsetof(LaneTiles, clamps) == 120 && offsetof(LaneTiles, low) == 124);
static_assert(sizeof(SegmentF32) == 16 && offsetof(SegmentF32, k) == 8);

#define LINNET_FMLA(sum, b, a, lane) "fmla v" #sum ".4s, v" #b ".4s, v" #a ".s[" #lane "]\n"

// Four steps over k, and one whose A is in the lowest lanes.
#define LINNET_FOUR_STEPS(rows) \
  LINNET_STEP_##rows(LINNET_FMLA, 0) LINNET_STEP_##rows(LINNET_FMLA, 1) \
  LINNET_STEP_##rows(LINNET_FMLA, 2) LINNET_STEP_##rows(LINNET_FMLA, 3)

#define LINNET_LANE_TILES(rows)                                                                                    \
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
HWY_NOINLINE void RunLaneTiles(const LaneTiles& t) {
  constexpr bool kWhole = kColumns == kPanelColumns;
  static_assert(kRows >= 1 && kRows <= 6 && (kWhole || (kRows == 6 && kColumns == kPanelColumns / 2)));
  if constexpr (kRows == 1) LINNET_LANE_TILES(1);
  if constexpr (kRows == 2) LINNET_LANE_TILES(2);
  if constexpr (kRows == 3) LINNET_LANE_TILES(3);
  if constexpr (kRows == 4) LINNET_LANE_TILES(4);
  if constexpr (kRows == 5) LINNET_LANE_TILES(5);
  if constexpr (kRows == 6 && kWhole) LINNET_LANE_TILES(6);
  if constexpr (kRows == 6 && !kWhole) LINNET_LANE_TILES(6H);
}

#undef LINNET_LANE_TILES
#undef LINNET_FOUR_STEPS
#undef LINNET_FMLA

/// Rows [row, row + kRows) by the whole panels, or the first half of one, of columns [begin, end).
template <int kRows, int64_t kColumns = kPanelColumns>
HWY_NOINLINE void LaneColumns(const Block& block, int64_t row, int64_t begin, int64_t end) {
  static constexpr float kZeros[kPanelColumns] = {};
  constexpr int64_t kFloat = sizeof(float), kActivated = 256;   // columns that stay near until they are activated
  const GemmF32& g = block.gemm;
  const Epilogue& e = g.epilogue;
  LaneTiles t;
  t.segments = block.segments, t.segments_end = block.segments + block.segment_count;
  t.a_offset = row * g.a_row_stride * kFloat, t.a_stride = g.a_row_stride * kFloat;
  t.b_panel = g.b_panel_stride * kFloat, t.b_step = g.b_row_stride * kFloat;
  t.init_stride = block.goes_on ? g.c_row_stride * kFloat : 0;
  t.init_step = block.goes_on || e.bias ? kPanelColumns * kFloat : 0;
  t.c_stride = g.c_row_stride * kFloat;
  t.residual_stride = e.residual_row_stride * kFloat;
  t.clamps = block.unfinished ? 0 : block.clamp.has_low + 2 * block.clamp.has_high;
  t.low = block.clamp.low, t.high = block.clamp.high;
  const bool after = block.clamp.after && !block.unfinished;
  const int64_t step = after ? kActivated : end - begin;
  for (int64_t column = begin; column < end; column += step) {
    const int64_t columns = std::min(step, end - column);
    t.b = g.b + column / kPanelColumns * g.b_panel_stride;
    t.c = g.c + row * g.c_row_stride + column;
    t.init = block.goes_on ? t.c : e.bias ? e.bias + column : kZeros;
    t.residual = e.residual && !block.unfinished ? e.residual + row * e.residual_row_stride + column : nullptr;
    t.tiles = columns / kColumns;
    RunLaneTiles<kRows, kColumns>(t);
    if (after) ActivateRows(e, t.c, g.c_row_stride, kRows, columns);
  }
}

constexpr bool kLanesOfA = true;

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#else
HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr bool kLanesOfA = false;
template <int kRows, int64_t kColumns = kPanelColumns>
void LaneColumns(const Block&, int64_t, int64_t, int64_t) {}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif  // 64-bit Arm

#endif  // per-target guard
