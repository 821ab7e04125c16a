// Whole panels of some rows of a float32 product, by the tiles that a target has in assembly.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_PANELS_INL_H_
#undef LINNET_KERNELS_TILES_PANELS_INL_H_
#else
#define LINNET_KERNELS_TILES_PANELS_INL_H_
#endif

#include <stdint.h>

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/gemm.h"
#include "kernels/tiles/avx2-inl.h"
#include "kernels/tiles/block-inl.h"
#include "kernels/tiles/gemm_sizes-inl.h"
#include "kernels/tiles/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr bool kLanesOfA = HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64;
#if !defined(LINNET_PANEL_TILES_HERE)
constexpr bool kPanelHardSwishes = false;
template <int kRows, int kVectors>
constexpr bool kPanelTiles = false;
template <int kRows, int64_t kColumns>
void RunPanelTiles(PanelTiles&) {}
#endif
#undef LINNET_PANEL_TILES_HERE

/// Rows [row, row + kRows) by the whole panels, or the first half of one, of columns [begin, end).
template <int kRows, int64_t kColumns = kPanelColumns>
HWY_NOINLINE void PanelColumns(const Block& block, int64_t row, int64_t begin, int64_t end) {
  static constexpr float kZeros[kPanelColumns] = {};
  constexpr int64_t kFloat = sizeof(float), kActivated = 256;   // columns that stay near until they are activated
  const GemmF32& g = block.gemm;
  const Epilogue& e = g.epilogue;
  PanelTiles t;
  t.segments = block.segments, t.segments_end = block.segments + block.segment_count;
  t.a_offset = row * g.a_row_stride * kFloat, t.a_stride = g.a_row_stride * kFloat;
  t.b_panel = g.b_panel_stride * kFloat, t.b_step = g.b_row_stride * kFloat;
  t.init_stride = block.goes_on ? g.c_row_stride * kFloat : 0;
  t.init_step = block.goes_on || e.bias ? kPanelColumns * kFloat : 0;
  t.c_stride = g.c_row_stride * kFloat;
  t.residual_stride = e.residual_row_stride * kFloat;
  const int32_t clamps = block.unfinished ? 0 : block.clamp.has_low + 2 * block.clamp.has_high;
  t.low = block.clamp.low, t.high = block.clamp.high;
  const bool swish = kPanelHardSwishes && block.clamp.hard_swish, after = block.clamp.after && !swish && !block.unfinished;
  const int64_t step = after ? kActivated : end - begin;
  for (int64_t column = begin; column < end; column += step) {
    const int64_t columns = std::min(step, end - column), panel = column / kPanelColumns;
    t.b = g.b + panel * g.b_panel_stride;
    t.c = g.c + row * g.c_row_stride + column;
    t.init = block.goes_on ? t.c : e.bias ? e.bias + column : kZeros;
    t.residual = e.residual && !block.unfinished ? e.residual + row * e.residual_row_stride + column : nullptr;
    t.tiles = columns / kColumns;
    t.flags = clamps + 4 * block.c_is_far + 16 * (swish && !block.unfinished);
    if (block.fetch) {
      t.fetch = block.fetch + (panel - block.first_column / kPanelColumns) * block.fetch_panel;
      t.fetch_step = block.fetch_step, t.fetch_panel = block.fetch_panel;
    } else {
      t.fetch = reinterpret_cast<const char*>(t.b + kAheadRows * kPanelColumns);
      t.fetch_step = kPanelColumns * kFloat, t.fetch_panel = t.b_panel;
    }
    RunPanelTiles<kRows, kColumns>(t);
    if (after) ActivateRows(e, t.c, g.c_row_stride, kRows, columns);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
