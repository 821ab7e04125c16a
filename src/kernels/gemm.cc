// Float32 matrix product: register tiles, the order they are visited in, and the products that do not pack B.
//
// A tile of R rows by V vectors keeps R * V accumulators in registers; one step over k loads V vectors of B,
// broadcasts R floats of A and does R * V multiply-adds. R and V are as big as the registers allow:
//
//     AVX-512  14 x 2 (32 columns)     AVX2  6 x 2 (16)     SSE4, WASM  4 x 2 (8)     NEON  6 x 4 (16)
//
// With few rows the tile grows in width instead, so that enough independent sums hide the latency of the
// multiply-add and the memory system sees many streams. All loops over accumulators are unrolled: otherwise
// compilers keep them on the stack, at half the speed. Most tiles of AVX-512, AVX2 and 64-bit Arm are written in
// assembly (tiles/panels-inl.h). Very few columns are dot products (tiles/narrow-inl.h).
#include "kernels/gemm.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "base/parts.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/epilogue-inl.h"
#include "kernels/tiles/block-inl.h"
#include "kernels/tiles/finish-inl.h"
#include "kernels/tiles/gemm_sizes-inl.h"
#include "kernels/tiles/gemm_transposed-inl.h"
#include "kernels/tiles/narrow-inl.h"
#include "kernels/tiles/panels-inl.h"
#include "kernels/tiles/row-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Whether tiles of all rows, or of any, ask for what comes after them instead of what they read themselves soon: the first pass over a
// group of columns would wait for memory that the passes over the group before it could have asked for, and every pass for its rows.
constexpr bool kFetchesAny = HWY_TARGET == HWY_AVX3;
constexpr bool kFetchesTall = kFetchesAny || (HWY_TARGET == HWY_AVX2 && !kFewTiles);
constexpr bool kAsksForA = kFetchesTall && !kFetchesAny;

// A C of so many bytes is written to memory behind the second-level cache; its lines are asked for where the summands are
// enough to wait for them.
constexpr int64_t kFarBytes = HWY_TARGET == HWY_AVX2 ? 384 << 10 : 3 << 19, kFarSummands = HWY_TARGET == HWY_AVX2 ? 16 : 64;

constexpr int64_t kActivatedColumns = 128;   // at least, at a time

constexpr bool kRowsAlone = kLanes == kPanelColumns && !kFewTiles;   // tiles/row-inl.h

// Rows [row, row + kRows) by columns [begin, end), kVectors vectors at a time; only the last vector may be
// partial.
template <int kRows, int kVectors>
HWY_NOINLINE void Tiles(const Block& block, int64_t row, int64_t begin, int64_t end) {
  const F32 d;
  const GemmF32& g = block.gemm;
  constexpr int64_t kColumns = kVectors * kLanes;
  constexpr int kBases = (kRows + 3) / 4;
  constexpr bool kFetches = kFetchesAny || (kFetchesTall && (kRows == kMaxRows || kRows <= 2));
  constexpr int64_t kPanels = (kColumns + kPanelColumns - 1) / kPanelColumns;
  const int64_t a_stride = g.a_row_stride, b_stride = g.b_row_stride;
  const bool activates = block.clamp.after && !(kHardSwishes && block.clamp.hard_swish) && !block.unfinished;
  int64_t waiting = begin;   // the first column whose results are not activated
  for (int64_t column = begin; column < end; column += kColumns) {
    const float* b = g.b + column / kPanelColumns * g.b_panel_stride + column % kPanelColumns;
    VF32 sum[kRows][kVectors];
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      VF32 bias = hn::Zero(d);
      if (const float* p = block.goes_on ? nullptr : g.epilogue.bias) {
        const int64_t at = column + v * kLanes;
        bias = kOneWidth || at + kLanes <= g.n ? hn::LoadU(d, p + at) : LoadTail(d, p + at, static_cast<size_t>(g.n - at));
      }
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) sum[r][v] = bias;
    }
    if (block.goes_on) {
      const float* c = g.c + row * g.c_row_stride + column;
      const size_t last = static_cast<size_t>(std::min(kLanes, g.n - column - (kVectors - 1) * kLanes));
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r, c += g.c_row_stride) {
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          sum[r][v] = !kOneWidth && v == kVectors - 1 ? LoadTail(d, c + v * kLanes, last) : hn::LoadU(d, c + v * kLanes);
        }
      }
    }
    if (kFetchesTall && block.c_is_far) FetchC<kRows, kVectors>(g, row, column);
    // A tall tile's columns are asked for by nobody: there is one panel.
    constexpr bool kAsks = kRows <= kMaxRows;
    constexpr int64_t kAheadBytes = kFetchesAny && kAsks ? AheadBytes(kRows, kVectors) : 0;
    const char* fetch = reinterpret_cast<const char*>(b + kAheadRows * kPanelColumns);
    int64_t fetch_step = b_stride * 4, fetch_panel = g.b_panel_stride * 4, last_segment = block.last_segment;
    if (block.fetch) {
      fetch = block.fetch + (column - block.first_column) / kPanelColumns * block.fetch_panel;
      fetch_step = block.fetch_step, last_segment = -1;
    } else if (kAheadBytes > 0 && block.ahead) {
      const int64_t run = kAheadBytes * g.k;
      if (const char* ahead = run > 0 ? block.ahead->Take(run * kPanels) : nullptr) {
        fetch = ahead, fetch_step = kAheadBytes, fetch_panel = run, last_segment = -1;
      }
    }
    for (int64_t s = 0; s < block.segment_count; ++s) {
      // Row r is read at base[r / 4] + (r % 4) * a_stride: an x86 address holds one base and one scaled
      // index.
      const float* base[kBases];
      LINNET_UNROLL
      for (int i = 0; i < kBases; ++i) {
        base[i] = block.segments[s].a + (row + i * 4) * a_stride;
        LINNET_OPAQUE(base[i]);
      }
      if (kFetches && s == last_segment) fetch += (kPanels * g.b_panel_stride - kPanelColumns * g.k) * 4;
      for (int64_t k = block.segments[s].k; k > 0; --k) {
        VF32 bv[kVectors];
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          constexpr int64_t kPanel = kPanelColumns;
          const int64_t panel = v * kLanes / kPanel * g.b_panel_stride;
          bv[v] = hn::LoadU(d, b + panel + v * kLanes % kPanel);
          if (!kAsks || v * kLanes % kPanel != 0) continue;
          if constexpr (kFetches) {
            __builtin_prefetch(fetch + v * kLanes / kPanel * fetch_panel);
          } else {
            __builtin_prefetch(b + panel + kAheadRows * kPanel);
          }
        }
        if constexpr (kFetches && kAsks) fetch += fetch_step;
        LINNET_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const VF32 av = hn::Set(d, base[r / 4][r % 4 * a_stride]);
          LINNET_UNROLL
          for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
        }
        LINNET_UNROLL
        for (int i = 0; i < kBases; ++i) ++base[i];
        b += b_stride;
      }
    }
    if (kOneWidth || column + kColumns <= g.n) {
      Finish<kRows, kVectors, false>(block, sum, row, column);
    } else {
      Finish<kRows, kVectors, true>(block, sum, row, column);
    }
    // A call for several tiles, whose results are in the first-level cache still.
    const int64_t next = column + kColumns;
    if (!activates || (next < end && next - waiting < kActivatedColumns)) continue;
    ActivateRows(g.epilogue, g.c + row * g.c_row_stride + waiting, g.c_row_stride, kRows, std::min(next, g.n) - waiting);
    waiting = next;
  }
}

using TilesFn = void(const Block&, int64_t row, int64_t begin, int64_t end);

// A tile that C ends in: it is computed as a whole, in memory of its own, and what C has of it is copied.
void LastTile(TilesFn* tiles, int rows, const Block& whole, int64_t row, int64_t column) {
  constexpr int64_t kColumns = WidestVectors(kMaxRows) * kLanes;
  float c[kMaxRows * kColumns], residual[kMaxRows * kColumns], bias[kColumns];
  const GemmF32& all = whole.gemm;
  const size_t bytes = static_cast<size_t>(all.n - column) * sizeof(float);
  auto copy = [&](const float* from, int64_t from_stride, float* to, int64_t to_stride) {
    for (int r = 0; r < rows; ++r) memcpy(to + r * to_stride, from + r * from_stride, bytes);
  };
  const int64_t at = row * kColumns + column;   // of the tile's first element, as Tiles counts
  GemmF32 g = all;
  g.c = c - at, g.c_row_stride = kColumns, g.n = column + kColumns;
  Block part = {g, whole.segments, whole.segment_count, whole.clamp};
  part.last_segment = whole.last_segment, part.goes_on = whole.goes_on, part.unfinished = whole.unfinished;
  float* out = all.c + row * all.c_row_stride + column;
  if (whole.goes_on) copy(out, all.c_row_stride, c, kColumns);
  if (const float* more = all.epilogue.residual) {
    copy(more + row * all.epilogue.residual_row_stride + column, all.epilogue.residual_row_stride, residual, kColumns);
    g.epilogue.residual = residual - at, g.epilogue.residual_row_stride = kColumns;
  }
  if (all.epilogue.bias) {
    memcpy(bias, all.epilogue.bias + column, bytes);
    g.epilogue.bias = bias - column;
  }
  tiles(part, row, column, column + kColumns);
  copy(c, kColumns, out, all.c_row_stride);
}

// As many columns as possible in the widest tiles, the rest in halves of it.
template <int kRows, int kVectors = WidestVectors(kRows)>
void RowBlock(const Block& block, int64_t row, int64_t begin, int64_t end) {
  constexpr int64_t kColumns = kVectors * kLanes;
  if constexpr (TileRows(kRows) != kRows) {
    return;  // no tile is so high
  } else if constexpr (kOneWidth) {
    TilesFn* tiles;
    if constexpr (kLanesOfA) {
      tiles = PanelColumns<kRows>;
    } else {
      tiles = Tiles<kRows, kVectors>;
    }
    const int64_t whole = end < block.gemm.n ? end : begin + (end - begin) / kColumns * kColumns;
    if (whole > begin) tiles(block, row, begin, whole);
    if (whole < end) LastTile(tiles, kRows, block, row, whole);
  } else if constexpr (kLanesOfA && kColumns >= kPanelColumns) {
    const int64_t whole = begin + (end - begin) / kPanelColumns * kPanelColumns;
    constexpr int64_t kHalf = kPanelColumns / 2;
    int64_t rest = whole;
    if (whole > begin) PanelColumns<kRows>(block, row, begin, whole);
    if constexpr (kRows == kMaxRows) {
      if (end - whole >= kHalf) PanelColumns<kRows, kHalf>(block, row, whole, rest = whole + kHalf);
    }
    if (rest < end) RowBlock<kRows, static_cast<int>(kHalf / kLanes)>(block, row, rest, end);
  } else if constexpr (kVectors == 1) {
    Tiles<kRows, 1>(block, row, begin, end);
  } else {
    if constexpr (kPanelTiles<kRows, kVectors>) {
      if (ServesPanels(block)) {
        const int64_t whole = begin + (end - begin) / kTileColumns * kTileColumns;
        if (whole > begin) PanelColumns<kRows>(block, row, begin, whole);
        if (whole == end) return;
        begin = whole;
        if (kMasksLanes && end - begin > kPanelColumns) return PanelColumns<kRows>(block, row, begin, end);
      }
    }
    // A tile may be partial in its last vector only.
    const int64_t vectors = (end - begin + kLanes - 1) / kLanes;
    const int64_t middle = std::min(end, begin + vectors / kVectors * kColumns);
    if (middle > begin) Tiles<kRows, kVectors>(block, row, begin, middle);
    if (middle < end) RowBlock<kRows, kVectors / 2>(block, row, middle, end);
  }
}

TilesFn* const kRowBlocks[] = {
    nullptr,     RowBlock<1>, RowBlock<2>, RowBlock<3>,  RowBlock<4>,
#if HWY_TARGET == HWY_AVX2 || (HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64) || HWY_TARGET == HWY_AVX3
    RowBlock<5>, RowBlock<6>,
#endif
#if HWY_TARGET == HWY_AVX3
    RowBlock<7>, RowBlock<8>, nullptr,     RowBlock<10>, nullptr,     RowBlock<12>, nullptr, RowBlock<14>,
#endif
};

// A tile of one or two rows by one panel has too few sums to hide the latency of a multiply-add: it takes as long as one of four rows, and
// two of four, or of four and three, are better.
constexpr int64_t kUnevenRows = 2;

// Rows of A, a multiple of `unit`, that stay in the second-level cache while all columns but the last pass by, and are read again for these.
constexpr int64_t ChunkRows(int64_t unit, int64_t k) {
  constexpr int64_t kChunkFloats = 16 << 10;
  return std::max<int64_t>(1, kChunkFloats / unit / std::max<int64_t>(1, k)) * unit;
}

// `near`: these columns have been asked for. Passes divide the asking by the time
// that they take, which with AVX2 is that of their rows. With AVX-512 a pass of few rows is too short to bring half of the columns:
// asking for so much at once takes longer than the stream that the hardware follows.
void RunRows(Block& block, int64_t m0, int64_t m1, int64_t begin, int64_t end, const Next& next, bool near, AheadPart* ahead) {
  constexpr int64_t kLine = kPanelColumns * 4, kLeastRows = 2;   // fewer take as long
  const GemmF32& g = block.gemm;
  const int64_t panels = (end - begin + kPanelColumns - 1) / kPanelColumns;
  block.first_column = begin;
  block.fetch = nullptr, block.ahead = nullptr;
  if constexpr (kTallRows > 0 && !kMasksLanes) {
    for (; end - begin <= kLanes && m1 - m0 >= kTallRows; m0 += kTallRows) Tiles<kTallRows, 1>(block, m0, begin, end);
  }
  if constexpr (kMasksLanes) {
    const int64_t tail = (end - begin) % kTileColumns;
    if (tail > 0 && tail <= kPanelColumns && end - begin > tail && m1 - m0 >= kTallRows && !next.b && ServesPanels(block) && StayNear(kTallRows, g.a_row_stride)) {
      // The last panel by tall tiles: some rows by all others, which leave A in the second-level cache, then by it.
      const int64_t chunk = ChunkRows(kTallRows, g.k);
      for (int64_t row = m0; row < m1; row += chunk) {
        RunRows(block, row, std::min(m1, row + chunk), begin, end - tail, Next(), near, ahead);
        RunRows(block, row, std::min(m1, row + chunk), end - tail, end, Next(), near, ahead);
      }
      return;
    }
    if (ServesPanels(block)) m0 += RowsAlone(block, m0, m1, begin, end, next, near, ahead);
    if (m0 == m1) return;
  }
  if constexpr (kWideColumns > 0) {
    // Half a panel at the end: some rows by all others, then by the last one and a half.
    const int64_t columns = end - begin;
    if (columns >= kWideColumns && columns % kPanelColumns == kWideColumns % kPanelColumns && m1 - m0 >= kWideRows && !next.b && g.b_row_stride == kPanelColumns) {
      const int64_t chunk = ChunkRows(kMaxRows * kWideRows, g.k), wide = end - kWideColumns;
      for (int64_t row = m0; row < m1; row += chunk) {
        const int64_t last = std::min(m1, row + chunk), tiles = (last - row) / kWideRows;
        if (wide > begin) RunRows(block, row, last, begin, wide, Next(), near, ahead);
        PanelRows<kWideRows, kWideColumns>(block, row, tiles, wide);
        block.fetch = nullptr;
        if (row + tiles * kWideRows < last) kRowBlocks[last - row - tiles * kWideRows](block, row + tiles * kWideRows, wide, end);
      }
      return;
    }
  }
  if constexpr (kPanelTiles<kMaxRows, 2> && !kMasksLanes && !kLanesOfA) {
    // All rows by one panel after the other, where there is one, or A stays in the first-level cache.
    constexpr int64_t kNearBytes = 20 << 10, kManyTiles = 4;
    int64_t tiles = g.b_row_stride == kPanelColumns ? (m1 - m0) / kMaxRows : 0;
    if (tiles > 0 && end - begin == kPanelColumns && (m1 - m0) % kMaxRows <= kUnevenRows && (m1 - m0) % kMaxRows > 0) --tiles;
    const bool alone = end - begin == kPanelColumns && !next.b && tiles > 1;
    if (alone || (tiles >= kManyTiles && (m1 - m0) * g.a_row_stride * 4 * std::max<int64_t>(1, g.segment_count) <= kNearBytes)) {
      const int64_t whole = begin + (end - begin) / kPanelColumns * kPanelColumns;
      for (int64_t column = begin; column < whole; column += kPanelColumns) PanelRows<kMaxRows>(block, m0, tiles, column);
      for (int64_t i = 0; i < tiles; ++i, m0 += kMaxRows) {
        if (whole < end) kRowBlocks[kMaxRows](block, m0, whole, end);
      }
    }
  }
  const int64_t passes = (m1 - m0 + kMaxRows - 1) / kMaxRows, first = near ? 0 : 1;
  // One pass asks for little alone: for as many lines as it reads it would wait.
  const bool little = near && next.b && next.row_bytes < kLine;
  const bool asks = passes > 2 || (passes == 2 && (kAsksForA || m1 - m0 <= kHalvesRows)) || little;
  auto time_of = [](int64_t rows) { return kFetchesAny ? 1 : rows < kLeastRows ? kLeastRows : rows; };
  const int64_t last_rows = m1 - m0 - (passes - 1) * kMaxRows;
  const int64_t time = (passes - 1 - first) * time_of(kMaxRows) + time_of(last_rows);   // of the passes that ask
  int64_t done = 0;
  for (int64_t pass = 0; m0 < m1; ++pass) {
    const bool uneven = kPanelTiles<kMaxRows, 2> && end - begin == kPanelColumns && m1 - m0 > kMaxRows && m1 - m0 <= kMaxRows + kUnevenRows;
    const int rows = uneven ? kMaxRows - kUnevenRows : TileRows(m1 - m0);
    if (next.b && asks && pass >= first) {
      const int64_t before = next.row_bytes * done / time, share = (next.row_bytes * time_of(rows) + time - 1) / time;
      block.fetch = reinterpret_cast<const char*>(next.b) + before * g.k;
      block.fetch_step = share;
      block.fetch_panel = next.panel_stride * 4;
      done += time_of(rows);
    } else if (kAsksForA && asks && pass >= first) {
      const bool rows_follow = pass + 1 < passes && g.segment_count == 0 && g.a_row_stride == g.k;
      block.fetch = reinterpret_cast<const char*>(g.a + (m0 + (rows_follow ? rows : 0)) * g.a_row_stride);
      block.fetch_step = rows_follow ? (kMaxRows * 4 + panels - 1) / panels : 0;
      block.fetch_panel = block.fetch_step * g.k;
    } else if (ahead && pass >= first) {
      block.ahead = ahead;
    }
    kRowBlocks[rows](block, m0, begin, end);
    m0 += rows;
  }
}

// Part of the summands of GemmRun's.
void RunSummands(Block& block, int64_t m0, int64_t m1, int64_t begin, int64_t end, AheadPart* ahead) {
  const GemmF32& g = block.gemm;
  // All columns for each few rows, as long as B stays in the second-level cache. Otherwise in groups of columns that do.
  constexpr int64_t kCache = 512 << 10;
  const int64_t panel_bytes = std::max<int64_t>(1, g.k) * kPanelColumns * 4;
  const int64_t widest = WidestVectors(TileRows(m1 - m0)) * kLanes;
  int64_t group = end - begin;
  const bool once = m1 - m0 <= kMaxRows || (OnePass(g, m1 - m0) && ServesPanels(block));
  if (group / kPanelColumns * panel_bytes > kCache && !once) {
    // Two groups and few rows of A stay there together.
    const bool few = kAsksForA && (m1 - m0) * g.k * 4 <= kCache / 4;
    const int64_t fit = kCache / (few ? 4 : 2) / panel_bytes;
    group = std::max(fit * kPanelColumns / widest, int64_t{1}) * std::max(widest, kPanelColumns);
  }
  const bool packed = g.b_row_stride == kPanelColumns;
  for (int64_t column = begin; column < end; column += group) {
    const int64_t after = column + group;
    Next next;
    if (kFetchesTall && packed) {
      if (after < g.n) {
        next = {g.b + after / kPanelColumns * g.b_panel_stride, kPanelColumns * 4, g.b_panel_stride};
      } else {
        next = {g.next_b, g.next_row_bytes, g.next_panel_stride};
      }
    }
    RunRows(block, m0, m1, column, std::min(end, after), next, kFetchesTall && (column > begin ? packed : g.b_is_near), ahead);
  }
}

void GemmRun(const GemmF32& whole, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1) {
  const int64_t begin = panel0 * kPanelColumns, end = std::min(panel1 * kPanelColumns, whole.n);
  if (begin >= end) return;
  if (NarrowProduct narrow(whole); !kFewTiles && narrow.Serves()) return narrow.Run(m0, m1);
  // Where A and two groups of columns would crowd the second-level cache, C is summed up part by part.
  constexpr int64_t kCrowded = 5 << 18, kManySummands = 1024, kSummands = HWY_TARGET == HWY_AVX2 && !kFewTiles ? 384 : kManySummands;
  int64_t parts = 1;
  const bool may_part = whole.segment_count == 0 && whole.k >= kManySummands && whole.epilogue.residual != whole.c && m1 - m0 > kMaxRows;
  if (may_part && (m1 - m0 + 4 * kPanelColumns) * whole.k * 4 > kCrowded) {
    parts = std::max<int64_t>(1, (whole.k + kSummands / 2) / kSummands);
  }
  GemmF32 g = whole;
  Block block = {g, nullptr, 0, Clamp(g.epilogue)};
  AheadPart ahead = whole.ahead;
  block.c_is_far = kFetchesTall && g.k >= kFarSummands && (g.c_is_far || g.m * g.n * 4 > kFarBytes);
  const int64_t part = std::max<int64_t>(1, (whole.k + parts - 1) / parts);
  for (int64_t k0 = 0; k0 == 0 || k0 < whole.k; k0 += part) {
    g.k = std::min(part, whole.k - k0);
    g.a = whole.a + k0;
    g.b = whole.b + k0 * g.b_row_stride;
    block.goes_on = k0 > 0, block.unfinished = k0 + part < whole.k;
    const int64_t near = kFetchesAny && g.k > kAheadRows ? g.k - kAheadRows : 0;
    const SegmentF32 segments[] = {{g.a, near}, {g.a + near, g.k - near}};
    block.segments = segments, block.segment_count = 2;
    block.last_segment = kFetchesAny && g.b_row_stride == kPanelColumns ? 1 : -1;
    if (near == 0) block.segments = segments + 1, block.segment_count = 1, block.last_segment = std::min<int64_t>(block.last_segment, 0);
    if (g.segment_count) block.segments = g.segments, block.segment_count = g.segment_count, block.last_segment = -1;
    if constexpr (kRowsAlone) {
      // Not by m, which is 1 for the rest of some convolutions' pixels too: all calls agree.
      if (g.only_row && g.b_row_stride == kPanelColumns) {
        constexpr int kStreams = 4;
        RowColumns<kStreams>(block, begin, end);
        const bool after = block.clamp.after && !block.clamp.hard_swish;
        if (after) ActivateRows(g.epilogue, g.c + begin, g.c_row_stride, 1, end - begin);
        return;
      }
    }
    RunSummands(block, m0, m1, begin, end, &ahead);
  }
}

void GemmRunRowMajor(const GemmF32& gemm, int64_t m0, int64_t m1, float* scratch) {
  const int64_t whole = gemm.n / kPanelColumns, rest = gemm.n % kPanelColumns;
  GemmF32 g = gemm;
  g.b_panel_stride = kPanelColumns;
  GemmRun(g, m0, m1, 0, whole);
  if (rest == 0) return;
  const int64_t column = whole * kPanelColumns;
  PackF32(g.b + column, g.k, rest, g.b_row_stride, 1, scratch);
  g.n = rest;
  UsePackedB(&g, scratch);
  g.c += column;
  if (g.epilogue.bias) g.epilogue.bias += column;
  if (g.epilogue.residual) g.epilogue.residual += column;
  GemmRun(g, m0, m1, 0, 1);
}

constexpr GemmF32Kernels kGemmF32 = {
    kTargetName, kMaxRows,        static_cast<int>(MaxVectors(kMaxRows) * kLanes), 0.2f / kLanes,
    GemmRun,     kComputedWeights ? GemmRunRowMajor : nullptr, kComputedWeights ? GemmRunTransposed : nullptr,
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const GemmF32Kernels& PickGemmF32(CpuLevel level) {
  return *LINNET_PICK(level, kGemmF32);
}

}  // namespace linnet
#endif
