// Float32 matrix product: register tiles, the order they are visited in, and the products that do not pack B.
//
// A tile of R rows by V vectors keeps R * V accumulators in registers; one step over k loads V vectors of B,
// broadcasts R floats of A and does R * V multiply-adds. R and V are as big as the registers allow:
//
//     AVX-512  14 x 2 (32 columns)     AVX2  6 x 2 (16)     SSE4, WASM  4 x 2 (8)     NEON  6 x 4 (16)
//
// With few rows the tile grows in width instead, so that enough independent sums hide the latency of the
// multiply-add and the memory system sees many streams. All loops over accumulators are unrolled: otherwise
// compilers keep them on the stack, at half the speed.
#include "kernels/gemm.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/epilogue-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float);

// Bytes between the row of B in use and the one asked for: the memory's latency, at a row of B every 4 to 14 cycles.
constexpr int kAhead = 4096;

#if HWY_TARGET == HWY_AVX3
constexpr char kTargetName[] = "avx512";
constexpr int kMaxRows = 14;
constexpr int MaxVectors(int rows) {
  return rows <= 2 ? 8 : rows <= 6 ? 4 : 2;
}
#elif HWY_TARGET == HWY_AVX2
constexpr char kTargetName[] = "avx2";
constexpr int kMaxRows = 6;
constexpr int MaxVectors(int rows) {
  return rows == 1 ? 8 : rows == 2 ? 4 : 2;
}
#elif HWY_TARGET == HWY_NEON
constexpr char kTargetName[] = "neon";
constexpr int kMaxRows = 6;
constexpr int MaxVectors(int rows) {
  return rows <= 2 ? 8 : 4;
}
#else
constexpr char kTargetName[] = "128-bit";
constexpr int kMaxRows = 4;
constexpr int MaxVectors(int rows) {
  return rows == 1 ? 8 : rows == 2 ? 4 : 2;
}
#endif

// Rows of the next tile when `left` are to be done. Above 8 only even heights exist; an odd rest is split in
// two.
constexpr int TileRows(int64_t left) {
  if (left >= kMaxRows) return kMaxRows;
  int rows = static_cast<int>(left);
  return rows > 8 && rows % 2 ? (rows + 1) / 2 : rows;
}

struct Block {
  const GemmF32& gemm;
  const SegmentF32* segments;
  int64_t segment_count;
  Clamp clamp;
};

template <int kRows, int kVectors, bool kPartial>
HWY_INLINE void Finish(const Block& block, VF32 (&sum)[kRows][kVectors], int64_t row, int64_t column) {
  const F32 d;
  const GemmF32& g = block.gemm;
  const int64_t last = g.n - column - (kVectors - 1) * kLanes;
  if (const float* residual = g.epilogue.residual) {
    residual += row * g.epilogue.residual_row_stride + column;
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r, residual += g.epilogue.residual_row_stride) {
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const float* p = residual + v * kLanes;
        sum[r][v] =
            hn::Add(sum[r][v], kPartial && v == kVectors - 1 ? LoadTail(d, p, static_cast<size_t>(last))
                                                             : hn::LoadU(d, p));
      }
    }
  }
  if (block.clamp.has_low) {
    const VF32 low = hn::Set(d, block.clamp.low);
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[r][v] = AtLeast(low, sum[r][v]);
    }
  }
  if (block.clamp.has_high) {
    const VF32 high = hn::Set(d, block.clamp.high);
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[r][v] = AtMost(high, sum[r][v]);
    }
  }
  float* c = g.c + row * g.c_row_stride + column;
  LINNET_UNROLL
  for (int r = 0; r < kRows; ++r, c += g.c_row_stride) {
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      if (kPartial && v == kVectors - 1) {
        StoreTail(sum[r][v], d, c + v * kLanes, static_cast<size_t>(last));
      } else {
        hn::StoreU(sum[r][v], d, c + v * kLanes);
      }
    }
  }
}

// Rows [row, row + kRows) by columns [begin, end), kVectors vectors at a time; only the last vector may be
// partial.
template <int kRows, int kVectors>
HWY_NOINLINE void Tiles(const Block& block, int64_t row, int64_t begin, int64_t end) {
  const F32 d;
  const GemmF32& g = block.gemm;
  constexpr int64_t kColumns = kVectors * kLanes;
  constexpr int kBases = (kRows + 3) / 4;
  const int64_t a_stride = g.a_row_stride, b_stride = g.b_row_stride;
  for (int64_t column = begin; column < end; column += kColumns) {
    const float* b = g.b + column / kPanelColumns * g.b_panel_stride + column % kPanelColumns;
    VF32 sum[kRows][kVectors];
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      VF32 bias = hn::Zero(d);
      if (const float* p = g.epilogue.bias) {
        const int64_t at = column + v * kLanes;
        bias = at + kLanes <= g.n ? hn::LoadU(d, p + at) : LoadTail(d, p + at, static_cast<size_t>(g.n - at));
      }
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) sum[r][v] = bias;
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
      for (int64_t k = block.segments[s].k; k > 0; --k) {
        VF32 bv[kVectors];
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) {
          constexpr int64_t kPanel = kPanelColumns;
          const float* from = b + v * kLanes / kPanel * g.b_panel_stride + v * kLanes % kPanel;
          bv[v] = hn::LoadU(d, from);
          if (v * kLanes % kPanel == 0) __builtin_prefetch(reinterpret_cast<const char*>(from) + kAhead);
        }
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
    if (column + kColumns <= g.n) {
      Finish<kRows, kVectors, false>(block, sum, row, column);
    } else {
      Finish<kRows, kVectors, true>(block, sum, row, column);
    }
    if (block.clamp.after) {
      ActivateRows(g.epilogue, g.c + row * g.c_row_stride + column, g.c_row_stride, kRows,
                   std::min(kColumns, g.n - column));
    }
  }
}

using TilesFn = void(const Block&, int64_t row, int64_t begin, int64_t end);

// As many columns as possible in the widest tiles, the rest in halves of it.
template <int kRows, int kVectors = MaxVectors(kRows)>
void RowBlock(const Block& block, int64_t row, int64_t begin, int64_t end) {
  constexpr int64_t kColumns = kVectors * kLanes;
  if constexpr (kVectors == 1) {
    Tiles<kRows, 1>(block, row, begin, end);
  } else {
    // A tile may be partial in its last vector only.
    const int64_t vectors = (end - begin + kLanes - 1) / kLanes;
    const int64_t middle = std::min(end, begin + vectors / kVectors * kColumns);
    if (middle > begin) Tiles<kRows, kVectors>(block, row, begin, middle);
    if (middle < end) RowBlock<kRows, kVectors / 2>(block, row, middle, end);
  }
}

TilesFn* const kRowBlocks[] = {
    nullptr,     RowBlock<1>, RowBlock<2>, RowBlock<3>,  RowBlock<4>,
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_NEON || HWY_TARGET == HWY_AVX3
    RowBlock<5>, RowBlock<6>,
#endif
#if HWY_TARGET == HWY_AVX3
    RowBlock<7>, RowBlock<8>, nullptr,     RowBlock<10>, nullptr,     RowBlock<12>, nullptr, RowBlock<14>,
#endif
};

void RunRows(const Block& block, int64_t m0, int64_t m1, int64_t begin, int64_t end) {
  while (m0 < m1) {
    const int rows = TileRows(m1 - m0);
    kRowBlocks[rows](block, m0, begin, end);
    m0 += rows;
  }
}

void GemmRun(const GemmF32& g, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1) {
  const SegmentF32 whole = {g.a, g.k};
  const Block block = {g, g.segment_count ? g.segments : &whole, g.segment_count ? g.segment_count : 1,
                       Clamp(g.epilogue)};
  const int64_t begin = panel0 * kPanelColumns, end = std::min(panel1 * kPanelColumns, g.n);
  if (begin >= end) return;
  // All columns for each few rows, as long as B stays in the second-level cache. Otherwise in groups of columns that do.
  constexpr int64_t kCache = 512 << 10;
  const int64_t panel_bytes = std::max<int64_t>(1, g.k) * kPanelColumns * 4;
  const int64_t widest = MaxVectors(TileRows(m1 - m0)) * kLanes;
  int64_t group = end - begin;
  if (group / kPanelColumns * panel_bytes > kCache && m1 - m0 > kMaxRows) {
    const int64_t fit = kCache / 2 / panel_bytes;
    group = std::max(fit * kPanelColumns / widest, int64_t{1}) * std::max(widest, kPanelColumns);
  }
  for (int64_t column = begin; column < end; column += group) {
    RunRows(block, m0, m1, column, std::min(end, column + group));
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

// kColumns dot products of one row of A with rows of B, that is columns of the product.
template <int kColumns>
HWY_INLINE void Dots(const float* a, const float* b, int64_t b_stride, int64_t k, float* out) {
  const F32 d;
  VF32 sum[kColumns];
  LINNET_UNROLL
  for (int j = 0; j < kColumns; ++j) sum[j] = hn::Zero(d);
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    const VF32 av = hn::LoadU(d, a + i);
    LINNET_UNROLL
    for (int j = 0; j < kColumns; ++j) sum[j] = hn::MulAdd(av, hn::LoadU(d, b + j * b_stride + i), sum[j]);
  }
  if (i < k) {
    const size_t rest = static_cast<size_t>(k - i);
    const VF32 av = LoadTail(d, a + i, rest);
    LINNET_UNROLL
    for (int j = 0; j < kColumns; ++j)
      sum[j] = hn::MulAdd(av, LoadTail(d, b + j * b_stride + i, rest), sum[j]);
  }
  LINNET_UNROLL
  for (int j = 0; j < kColumns; ++j) out[j] = hn::GetLane(hn::SumOfLanes(d, sum[j]));
}

void GemmRunTransposed(const GemmF32& g, int64_t n0, int64_t n1) {
  const Epilogue& e = g.epilogue;
  for (int64_t n = n0; n < n1; n += 8) {
    const int64_t columns = std::min<int64_t>(8, n1 - n);
    const float* b = g.b + n * g.b_row_stride;
    for (int64_t row = 0; row < g.m; ++row) {
      const float* a = g.a + row * g.a_row_stride;
      float* c = g.c + row * g.c_row_stride + n;
      float dots[8];
      if (columns == 8) {
        Dots<8>(a, b, g.b_row_stride, g.k, dots);
      } else {
        for (int64_t j = 0; j < columns; ++j)
          Dots<1>(a, b + j * g.b_row_stride, g.b_row_stride, g.k, dots + j);
      }
      for (int64_t j = 0; j < columns; ++j) {
        float y = dots[j];
        if (e.bias) y += e.bias[n + j];
        if (e.residual) y += e.residual[row * e.residual_row_stride + n + j];
        c[j] = y;
      }
    }
  }
  ActivateRows(e, g.c + n0, g.c_row_stride, g.m, n1 - n0);
}

constexpr GemmF32Kernels kGemmF32 = {
    kTargetName, kMaxRows,        static_cast<int>(MaxVectors(kMaxRows) * kLanes),
    GemmRun,     GemmRunRowMajor, GemmRunTransposed,
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const GemmF32Kernels& PickGemmF32(CpuLevel level) {
  return *LINNET_PICK(level, kGemmF32);
}

GemmGrain GemmGrainF32(const GemmF32Kernels& kernels, int64_t m, int64_t n, int64_t k, int threads, bool whole_rows) {
  // Tasks of some 256 thousand multiply-adds are worth handing out, a few for each thread; none is longer than some
  // milliseconds, so that a run can be stopped.
  constexpr int64_t kWork = 256 << 10, kWorkMax = 128 << 20;
  constexpr int64_t kCache = 512 << 10;       // of B, while rows pass by: a second-level cache
  constexpr int64_t kRowsCache = 2 << 20;     // of A, while panels pass by: a part of the third level
  m = std::max<int64_t>(m, 1);
  const int64_t panels = std::max<int64_t>(PanelCount(n), 1), depth = std::max<int64_t>(k, 1);
  const int64_t tile = kernels.rows, panel_work = depth * kPanelColumns, panel_bytes = panel_work * 4;
  const double work = static_cast<double>(m) * static_cast<double>(panels) * static_cast<double>(panel_work);
  const double tasks =
      std::max(threads > 1 ? std::min(work / kWork, 4.0 * threads) : 1.0, std::max(1.0, work / kWorkMax));
  GemmGrain grain = {m, panels};
  auto split = [](int64_t size, double parts, int64_t unit) {
    const double part = static_cast<double>(size) / std::max(parts, 1.0);
    return std::min(size, RoundUp(std::max<int64_t>(1, static_cast<int64_t>(part)), unit));
  };
  const bool many_rows = m > 4 * tile;
  if (many_rows && (whole_rows || panels * panel_bytes <= kCache)) {
    grain.rows = split(m, tasks, tile);
    return grain;
  }
  // Groups of columns, each of B fetched once for all rows (or for those that a cache holds).
  const int64_t width = std::max<int64_t>(m <= 4 ? 4 : 2, kernels.columns / kPanelColumns);
  if (many_rows && m * depth * 4 > kRowsCache) {
    const int64_t fit = std::max(kRowsCache / (4 * depth), 8 * tile);
    grain.rows = split(m, static_cast<double>(DivUp(m, fit)), tile);
  }
  const double groups = tasks * static_cast<double>(grain.rows) / static_cast<double>(m);
  grain.panels = split(panels, groups, width);
  return grain;
}

}  // namespace linnet
#endif
