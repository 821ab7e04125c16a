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
constexpr int kWideRows = 0;   // none
constexpr int64_t kWideColumns = 0;
template <int kRows, int kVectors>
constexpr bool kPanelTiles = false;
template <int kRows, int64_t kColumns>
void RunPanelTiles(PanelTiles&) {}
#endif
#undef LINNET_PANEL_TILES_HERE

constexpr int64_t kPanelBytes = kPanelColumns * sizeof(float);
constexpr int64_t kActivatedFloats = 256;   // of a row, or of a panel, that stay near until they are activated

/// What does not depend on where tiles lie, for rows from `row` on.
HWY_INLINE PanelTiles TilesOf(const Block& block, int64_t row) {
  constexpr int64_t kFloat = sizeof(float);
  const GemmF32& g = block.gemm;
  PanelTiles t = {};
  t.segments = block.segments, t.segments_end = block.segments + block.segment_count;
  t.a_offset = row * g.a_row_stride * kFloat, t.a_stride = g.a_row_stride * kFloat;
  t.b_step = g.b_row_stride * kFloat;
  t.init_stride = block.goes_on ? g.c_row_stride * kFloat : 0;
  t.c_stride = g.c_row_stride * kFloat;
  t.residual_stride = g.epilogue.residual_row_stride * kFloat;
  const bool swish = kPanelHardSwishes && block.clamp.hard_swish;
  if (!block.unfinished) t.flags = block.clamp.has_low + 2 * block.clamp.has_high + 16 * swish;
  t.flags += 4 * block.c_is_far;
  t.low = block.clamp.low, t.high = block.clamp.high;
  return t;
}

HWY_INLINE bool ActivatesAfter(const Block& block) {
  return block.clamp.after && !(kPanelHardSwishes && block.clamp.hard_swish) && !block.unfinished;
}

/// Where the first of the tiles lies.
HWY_INLINE void PutTiles(const Block& block, int64_t row, int64_t column, PanelTiles* t) {
  static constexpr float kZeros[kWideColumns > 0 ? kWideColumns : kPanelColumns] = {};
  const GemmF32& g = block.gemm;
  const Epilogue& e = g.epilogue;
  t->b = g.b + column / kPanelColumns * g.b_panel_stride;
  t->c = g.c + row * g.c_row_stride + column;
  t->init = block.goes_on ? t->c : e.bias ? e.bias + column : kZeros;
  t->residual = e.residual && !block.unfinished ? e.residual + row * e.residual_row_stride + column : nullptr;
}

/// Rows [row, row + kRows) by the whole panels, or the first half of one, of columns [begin, end).
template <int kRows, int64_t kColumns = kPanelColumns>
HWY_NOINLINE void PanelColumns(const Block& block, int64_t row, int64_t begin, int64_t end) {
  const GemmF32& g = block.gemm;
  PanelTiles t = TilesOf(block, row);
  t.b_panel = g.b_panel_stride * static_cast<int64_t>(sizeof(float));
  t.init_step = block.goes_on || g.epilogue.bias ? kPanelBytes : 0;
  t.c_step = t.residual_step = kPanelBytes;
  const bool after = ActivatesAfter(block);
  const int32_t flags = t.flags;
  const int64_t step = after ? kActivatedFloats : end - begin;
  for (int64_t column = begin; column < end; column += step) {
    const int64_t columns = std::min(step, end - column);
    PutTiles(block, row, column, &t);
    t.tiles = columns / kColumns, t.flags = flags;
    if (block.fetch) {
      t.fetch = block.fetch + (column - block.first_column) / kPanelColumns * block.fetch_panel;
      t.fetch_step = block.fetch_step, t.fetch_panel = block.fetch_panel;
    } else {
      t.fetch = reinterpret_cast<const char*>(t.b + kAheadRows * kPanelColumns);
      t.fetch_step = kPanelBytes, t.fetch_panel = t.b_panel;
    }
    float* c = t.c;
    RunPanelTiles<kRows, kColumns>(t);
    if (after) ActivateRows(g.epilogue, c, g.c_row_stride, kRows, columns);
  }
}

/// Rows [row, row + kRows * tiles) by one whole panel, or by one and a half, a tile after the other. They ask for the next panel, or for as
/// many rows of A as follow each, where these lie one behind the other.
template <int kRows, int64_t kColumns = kPanelColumns>
HWY_NOINLINE void PanelRows(const Block& block, int64_t row, int64_t tiles, int64_t column) {
  const GemmF32& g = block.gemm;
  const int64_t step = ActivatesAfter(block) ? kActivatedFloats / kColumns : tiles;
  for (; tiles > 0; tiles -= step, row += step * kRows) {
    PanelTiles t = TilesOf(block, row);
    PutTiles(block, row, column, &t);
    t.tiles = std::min(step, tiles);
    t.b_second = g.b_panel_stride * static_cast<int64_t>(sizeof(float));
    t.a_step = t.a_stride * kRows, t.c_step = t.c_stride * kRows, t.residual_step = t.residual_stride * kRows;
    t.init_step = block.goes_on ? t.c_step : 0;
    if (column + kColumns < g.n) {
      t.fetch = reinterpret_cast<const char*>(t.b + g.b_panel_stride);
      t.fetch_step = (kPanelBytes + t.tiles - 1) / t.tiles, t.fetch_panel = t.fetch_step * g.k;
    } else {
      const bool follow = g.segment_count == 0 && g.a_row_stride == g.k;
      t.fetch = reinterpret_cast<const char*>(g.a + (row + kRows) * g.a_row_stride);
      t.fetch_step = follow ? 16 : 0, t.fetch_panel = follow ? t.a_step : 0;
    }
    const int64_t rows = t.tiles * kRows;
    float* c = t.c;
    RunPanelTiles<kRows, kColumns>(t);
    if (ActivatesAfter(block)) ActivateRows(g.epilogue, c, g.c_row_stride, rows, kColumns);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
