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
#include "kernels/tiles/avx512-inl.h"
#include "kernels/tiles/block-inl.h"
#include "kernels/tiles/gemm_sizes-inl.h"
#include "kernels/tiles/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr bool kLanesOfA = HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64;
#if !defined(LINNET_PANEL_TILES_HERE)
constexpr int64_t kTileColumns = kPanelColumns;
constexpr bool kPanelHardSwishes = false, kMasksLanes = false;
constexpr int kWideRows = 0;   // none
constexpr int64_t kWideColumns = 0;
template <int kRows, int kVectors>
constexpr bool kPanelTiles = false;
template <int kRows, int64_t kColumns>
void RunPanelTiles(PanelTiles&) {}
#endif

/// Whether RunPanelTiles serves the rows and summands of `block`. AVX-512's begin sums with a row of biases alone.
HWY_INLINE bool ServesPanels(const Block& block) {
  return block.gemm.b_row_stride == kPanelColumns && (HWY_TARGET != HWY_AVX3 || (!block.goes_on && block.segments->k > 0));
}

constexpr int64_t kFloat = sizeof(float), kPanelBytes = kPanelColumns * kFloat;
constexpr int64_t kActivatedFloats = 256;   // of a row, or of a panel, that stay near until they are activated

/// Of other memory, by each panel with each step over k: see AheadBytes.
constexpr int64_t AskedBytes(int rows, int64_t panels) {
  return HWY_TARGET == HWY_AVX3 ? AheadBytes(rows, static_cast<int>(panels)) : 0;
}

/// What does not depend on where tiles lie, for rows from `row` on.
HWY_INLINE PanelTiles TilesOf(const Block& block, int64_t row) {
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
  static constexpr float kZeros[std::max(kTileColumns, kWideColumns)] = {};
  const GemmF32& g = block.gemm;
  const Epilogue& e = g.epilogue;
  t->b = g.b + column / kPanelColumns * g.b_panel_stride;
  t->c = g.c + row * g.c_row_stride + column;
  t->init = block.goes_on ? t->c : e.bias ? e.bias + column : kZeros;
  t->residual = e.residual && !block.unfinished ? e.residual + row * e.residual_row_stride + column : nullptr;
}

/// The flags of the lanes that so many columns have of the last vector of a tile of kColumns.
template <int64_t kColumns>
HWY_INLINE int32_t LanesOf(int64_t columns) {
  return kMasksLanes ? static_cast<int32_t>(~(~uint32_t{0} << std::min(kPanelColumns, columns - (kColumns - kPanelColumns))) << 16) : 0;
}

/// Rows [row, row + kRows) by the whole tiles, or the first half of a panel, of columns [begin, end); where lanes have masks, the last tile may
/// lack some of its last vector's.
template <int kRows, int64_t kColumns = kTileColumns>
HWY_NOINLINE void PanelColumns(const Block& block, int64_t row, int64_t begin, int64_t end) {
  constexpr int64_t kPanels = (kColumns + kPanelColumns - 1) / kPanelColumns;
  const GemmF32& g = block.gemm;
  PanelTiles t = TilesOf(block, row);
  t.b_panel = g.b_panel_stride * kFloat * kPanels;
  if (kPanels > 1) t.b_second = g.b_panel_stride * kFloat;
  t.c_step = t.residual_step = kPanelBytes * kPanels;
  t.init_step = block.goes_on || g.epilogue.bias ? kPanelBytes * kPanels : 0;
  const bool after = ActivatesAfter(block);
  const int32_t flags = t.flags;
  const int64_t step = after ? kActivatedFloats : end - begin;
  for (int64_t column = begin; column < end; column += step) {
    const int64_t columns = std::min(step, end - column);
    PutTiles(block, row, column, &t);
    t.tiles = columns / kColumns, t.flags = flags + LanesOf<kColumns>(columns);
    if (kMasksLanes && t.tiles == 0) t.tiles = 1;
    constexpr int64_t kAsked = AskedBytes(kRows, kPanels);
    const int64_t run = kAsked * g.k;
    const char* other = nullptr;
    if (run > 0 && !block.fetch && block.ahead) other = block.ahead->Take(run * kPanels * t.tiles);
    if (kMasksLanes) t.fetch_jump = 0;
    if (block.fetch) {
      t.fetch = block.fetch + (column - block.first_column) / kPanelColumns * block.fetch_panel;
      t.fetch_step = block.fetch_step, t.fetch_panel = block.fetch_panel * kPanels;
    } else if (other) {
      t.fetch = other, t.fetch_step = kAsked, t.fetch_panel = run * kPanels;
    } else {
      t.fetch = reinterpret_cast<const char*>(t.b + kAheadRows * kPanelColumns);
      t.fetch_step = kPanelBytes, t.fetch_panel = t.b_panel;
      // The last rows ask for the first of the next tile.
      if (kMasksLanes && block.last_segment >= 0) t.fetch_jump = t.b_panel - kPanelBytes * g.k;
      if (kMasksLanes && block.last_segment == 0) t.fetch += t.fetch_jump;
    }
    float* c = t.c;
    RunPanelTiles<kRows, kColumns>(t);
    if (after) ActivateRows(g.epilogue, c, g.c_row_stride, kRows, columns);
  }
}

/// Rows [row, row + kRows * tiles) by the columns of a tile, one after the other. They ask for the panels behind, or for as many rows of A as
/// follow each, where these lie one behind the other.
template <int kRows, int64_t kColumns = kTileColumns>
HWY_NOINLINE void PanelRows(const Block& block, int64_t row, int64_t tiles, int64_t column) {
  const GemmF32& g = block.gemm;
  const int64_t step = ActivatesAfter(block) ? kActivatedFloats / kColumns : tiles;
  for (; tiles > 0; tiles -= step, row += step * kRows) {
    PanelTiles t = TilesOf(block, row);
    PutTiles(block, row, column, &t);
    if (kMasksLanes) t.fetch_jump = 0;
    t.tiles = std::min(step, tiles);
    t.flags += LanesOf<kColumns>(g.n - column);
    t.b_second = g.b_panel_stride * kFloat;
    t.a_step = t.a_stride * kRows, t.c_step = t.c_stride * kRows, t.residual_step = t.residual_stride * kRows;
    t.init_step = block.goes_on ? t.c_step : 0;
    constexpr int64_t kPanels = (kColumns + kPanelColumns - 1) / kPanelColumns, kAsked = AskedBytes(kRows, kPanels);
    if (const char* other = kAsked > 0 && block.ahead ? block.ahead->Take(kAsked * g.k * kPanels * t.tiles) : nullptr) {
      t.fetch = other, t.fetch_step = kAsked, t.fetch_panel = kAsked * g.k * kPanels;
    } else if (column + kColumns < g.n) {
      t.fetch = reinterpret_cast<const char*>(t.b + kPanels * g.b_panel_stride);
      t.fetch_step = (kPanelBytes + t.tiles - 1) / t.tiles, t.fetch_panel = t.fetch_step * g.k * kPanels;
    } else {
      const bool follow = g.segment_count == 0 && g.a_row_stride == g.k;
      t.fetch = reinterpret_cast<const char*>(g.a + (row + kRows) * g.a_row_stride);
      t.fetch_step = !follow ? 0 : kTileColumns > kPanelColumns ? kRows * kFloat : 16;
      t.fetch_panel = follow ? t.a_step : 0;
    }
    const int64_t rows = t.tiles * kRows;
    float* c = t.c;
    RunPanelTiles<kRows, kColumns>(t);
    if (ActivatesAfter(block)) ActivateRows(g.epilogue, c, g.c_row_stride, rows, std::min(kColumns, g.n - column));
  }
}

/// Whether lines of so many rows of A stay in the first-level cache, in whose sets rows a power of two apart would crowd.
inline bool StayNear(int64_t rows, int64_t row_stride) {
  constexpr int64_t kWays = 12, kWayBytes = 4096;
  const int64_t bytes = row_stride * kFloat;
  return rows * std::min(bytes & -bytes, kWayBytes) <= kWays * kWayBytes;
}

/// Whether sixteen rows are better done by a pass of one panel after the other, for each of which A is read.
inline bool OnePass(const GemmF32& g, int64_t rows) {
  constexpr int64_t kRows = 16, kNearSummands = 384;
  return kMasksLanes && rows == kRows && g.k <= kNearSummands && StayNear(rows, g.a_row_stride);
}

#if defined(LINNET_SINGLE_ROWS_HERE)
/// Rows of [m0, m1) that are done without passes of kMaxRows, and were: sixteen by a pass; one panel by tall tiles; with few summands all
/// columns of a tile after the other, which costs less between tiles, in chunks whose A stays in the first-level cache.
inline int64_t RowsAlone(Block& block, int64_t m0, int64_t m1, int64_t begin, int64_t end, const Next& next, bool near, AheadPart* ahead) {
  constexpr int64_t kNearBytes = 16 << 10, kSummands = 24, kSummandsOfFew = 64, kFew = 4;
  const int64_t columns = end - begin, tail = columns % kTileColumns, k = block.gemm.k, tiles = (m1 - m0) / kMaxRows;
  const int64_t stride = block.gemm.a_row_stride;
  block.ahead = near ? ahead : nullptr;
  if (OnePass(block.gemm, m1 - m0)) {
    if (next.b && near) {
      block.fetch = reinterpret_cast<const char*>(next.b), block.fetch_step = next.row_bytes, block.fetch_panel = next.panel_stride * kFloat;
    }
    const int64_t whole = end - columns % kPanelColumns;
    if (whole > begin) PanelColumns<kSingleRows, kPanelColumns>(block, m0, begin, whole);
    if (whole < end) PanelColumns<kSingleRows, kPanelColumns>(block, m0, whole, end);
    return kSingleRows;
  }
  if (columns <= kPanelColumns) {
    const int64_t tall = StayNear(kTallRows, stride) ? (m1 - m0) / kTallRows : 0;
    if (tall > 0) PanelRows<kTallRows, kPanelColumns>(block, m0, tall, begin);
    return tall * kTallRows;
  }
  if (next.b || tiles < kFew || k > (columns <= kFew * kTileColumns ? kSummandsOfFew : kSummands) || (tail > 0 && tail <= kPanelColumns)) return 0;
  const int64_t chunk = std::max(kFew, kNearBytes / (kFloat * k) / kMaxRows);
  for (int64_t i = 0; i < tiles; i += chunk) {
    for (int64_t column = begin; column < end; column += kTileColumns) {
      PanelRows<kMaxRows>(block, m0 + i * kMaxRows, std::min(chunk, tiles - i), column);
    }
  }
  return tiles * kMaxRows;
}
#else
inline int64_t RowsAlone(Block&, int64_t, int64_t, int64_t, int64_t, const Next&, bool, AheadPart*) { return 0; }
#endif
#undef LINNET_PANEL_TILES_HERE
#undef LINNET_SINGLE_ROWS_HERE

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
