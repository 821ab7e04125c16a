// Zero points, and the order in which a product visits blocks, panels and tiles. No vector code.
#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/int8/int8_gemm.h"

namespace linnet {
namespace {

/// Bytes of a block of A: what a second-level cache keeps while panels pass by.
constexpr int64_t kBlockBytes = 192 << 10;

struct ScratchOf {
  /// Row sums, the block, then copies of rows.
  ScratchOf(const Int8Kernels& kernels, int64_t m, int64_t k)
      : rows(BlockRowsInt8(kernels, m, k)), row_bytes(BlockRowBytes(kernels, k)), sums_bytes(RoundUp(rows * int64_t{4}, int64_t{64})),
        copies_at(sums_bytes + (CopiesAll(kernels, k) ? 0 : RoundUp(rows * row_bytes, int64_t{64}))),
        bytes(copies_at + TilesScratchInt8(kernels, m, k)) {}
  /// Whether tiles read rows of any A themselves.
  static bool CopiesAll(const Int8Kernels& kernels, int64_t k) { return kTilesCopy && kernels.tiles && k % 4 == 0; }
  int64_t rows, row_bytes, sums_bytes, copies_at, bytes;
};

uint32_t Bits(int32_t x) { return static_cast<uint32_t>(x); }

/// The sum of k bytes, eight at a time.
int32_t SumBytes(const uint8_t* a, int64_t k, bool is_signed) {
  constexpr uint64_t kEven = 0x00ff00ff00ff00ff, kLow = 0x0000ffff0000ffff;
  constexpr int64_t kWordsMax = 128;   // until 16 bits are full
  const uint64_t flip = is_signed ? 0x8080808080808080 : 0;   // as unsigned numbers, 128 more
  uint32_t sum = is_signed ? 0u - 128u * static_cast<uint32_t>(k) : 0;
  int64_t x = 0;
  while (k - x >= 8) {
    uint64_t sums = 0;
    for (const int64_t end = x + std::min(kWordsMax, (k - x) / 8) * 8; x < end; x += 8) {
      uint64_t word;
      memcpy(&word, a + x, 8);
      word ^= flip;
      sums += (word & kEven) + (word >> 8 & kEven);
    }
    const uint64_t halves = (sums & kLow) + (sums >> 16 & kLow);
    sum += static_cast<uint32_t>(halves) + static_cast<uint32_t>(halves >> 32);
  }
  for (; x < k; ++x) sum += a[x] ^ static_cast<uint8_t>(flip);
  return static_cast<int32_t>(sum);
}

/// Sums of k bytes of each row.
void SumRows(const uint8_t* a, int64_t row_stride, bool is_signed, int64_t rows, int64_t k, int32_t* sums) {
  for (int64_t i = 0; i < rows; ++i) sums[i] = SumBytes(a + i * row_stride, k, is_signed);
}

/// Rows [m0, m1) where they lie; those whose last step would read behind the end of A are left. Returns how far it came.
int64_t MultiplyInPlace(const BlocksInt8& job, const GemmInt8& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1,
                        const ScratchOf& at, int32_t* row_sums) {
  const int64_t beyond = ScratchOf::CopiesAll(job.kernels, gemm.k) ? 0 : PaddedK(gemm.k) - gemm.k;
  int64_t chunk = at.rows;
  if (beyond > 0 && m1 + DivUp(beyond, std::max<int64_t>(gemm.a_row_stride, 1)) > gemm.m) m1 = m0 + std::max<int64_t>(m1 - m0 - 1, 0) / 32 * 32;
  if (beyond > 0 && beyond >= gemm.a_row_stride) return m0;
  RowsInt8 rows;
  rows.a = gemm.a, rows.row_stride = gemm.a_row_stride, rows.is_signed = gemm.a_signed;
  rows.steps = StepsOfK(gemm.k), rows.step = StepOfK(gemm.k);
  rows.copies = reinterpret_cast<uint8_t*>(row_sums) + at.copies_at, rows.copies_bytes = at.bytes - at.copies_at;
  if (!gemm.finish.column_zero) chunk = std::max<int64_t>(m1 - m0, 1);
  for (int64_t row = m0; row < m1; row += chunk) {
    const int64_t end = std::min(m1, row + chunk);
    if (gemm.finish.column_zero) {
      SumRows(gemm.a + row * gemm.a_row_stride, gemm.a_row_stride, gemm.a_signed, end - row, gemm.k, row_sums);
      const uint32_t shift = Bits(BlockShift(job.kernels, gemm.a_signed)) * static_cast<uint32_t>(gemm.k);
      for (int64_t i = 0; i < end - row; ++i) row_sums[i] = static_cast<int32_t>(Bits(row_sums[i]) + shift);
    }
    job.kernels.tiles(job, rows, row, end, panel0, panel1, gemm.finish.column_zero ? row_sums : nullptr);
  }
  return std::max(m0, m1);
}

}  // namespace

void OffsetsInt8(const Int8Kernels& kernels, bool a_signed, int32_t a_zero, const int32_t* sums, const int32_t* column_zero,
                 const int32_t* bias, int64_t k, int64_t n, int32_t* out) {
  const uint32_t zero = Bits(a_zero + BlockShift(kernels, a_signed)), all = zero * static_cast<uint32_t>(k);
  kernels.offsets(static_cast<int32_t>(zero), sums, PanelCount(n) * kPanelColumns, out);
  for (int64_t p = 0; p < PanelCount(n) && (bias || column_zero || n % kPanelColumns != 0); ++p, out += kPanelColumns) {
    const int64_t columns = std::min(kPanelColumns, n - p * kPanelColumns);
    for (int64_t j = columns; j < kPanelColumns; ++j) out[j] = 0;
    if (bias) {
      for (int64_t j = 0; j < columns; ++j) out[j] = static_cast<int32_t>(Bits(out[j]) + Bits(bias[p * kPanelColumns + j]));
    }
    if (column_zero) {
      for (int64_t j = 0; j < columns; ++j) {
        out[j] = static_cast<int32_t>(Bits(out[j]) + all * Bits(column_zero[p * kPanelColumns + j]));
      }
    }
  }
}

int64_t TilesScratchInt8(const Int8Kernels& kernels, int64_t m, int64_t k) {
  if (!kTilesCopy || !kernels.tiles) return kernels.sorts && k <= kSortedKInt8 ? RoundUp(DivUp(k, int64_t{4}) * kSortedBytesInt8, int64_t{64}) : 0;
  const int64_t bytes = kTileRowsInt8 * std::max<int64_t>(PaddedK(k), 4), tiles = DivUp(std::max<int64_t>(m, 1), kTileRowsInt8);
  return RoundUp(std::clamp<int64_t>(kBlockBytes / bytes, 3, tiles + 2) * bytes + kTilesBeyond, int64_t{64});
}

int64_t BlockRowsInt8(const Int8Kernels& kernels, int64_t m, int64_t k) {
  const int64_t fit = kBlockBytes / std::max<int64_t>(1, BlockRowBytes(kernels, k)) / kernels.rows * kernels.rows;
  return std::max<int64_t>(1, std::min(m, std::max<int64_t>(fit, 2 * kernels.rows)));
}

void MultiplyBlockInt8(const BlocksInt8& job, const void* block, bool a_signed, int64_t row, int64_t count, int64_t panel0, int64_t panel1,
                       int32_t* row_sums, void* copies) {
  const Int8Kernels& kernels = job.kernels;
  const int64_t row_bytes = BlockRowBytes(kernels, job.k), padded = PaddedK(job.k), k4 = DivUp(job.k, int64_t{4});
  if (job.finish.column_zero && kernels.block_bytes == 1) {
    SumRows(static_cast<const uint8_t*>(block), row_bytes, BlockSigned(kernels, a_signed), count, job.k, row_sums);
  } else if (job.finish.column_zero) {
    for (int64_t i = 0; i < count; ++i) {
      const int16_t* at = reinterpret_cast<const int16_t*>(static_cast<const char*>(block) + i * row_bytes);
      int32_t sum = 0;
      for (int64_t x = 0; x < job.k; ++x) sum += at[x];
      row_sums[i] = sum;
    }
  }
  if (kTilesInPlace && kernels.tiles) {
    RowsInt8 rows;
    rows.a = static_cast<const uint8_t*>(block), rows.row_stride = row_bytes, rows.is_signed = BlockSigned(kernels, a_signed);
    rows.steps = StepsOfK(job.k), rows.step = StepOfK(job.k), rows.c_row = row;
    rows.copies = static_cast<uint8_t*>(copies), rows.copies_bytes = TilesScratchInt8(kernels, count, job.k);
    return kernels.tiles(job, rows, 0, count, panel0, panel1, job.finish.column_zero ? row_sums : nullptr);
  }
  alignas(64) int32_t sums[16 * kPanelColumns] = {};
  for (int64_t p = panel0; p < panel1; ++p) {
    const int8_t* panel = job.panels + p * padded * kPanelColumns;
    const int64_t column = p * kPanelColumns, columns = std::min(kPanelColumns, job.n - column);
    for (int64_t i = 0; i < count;) {
      const int64_t left = count - i;
#if defined(LINNET_SMALL)
      const int rows = static_cast<int>(std::min<int64_t>(left, kernels.rows));   // other heights are done in parts
#else
      // Two tiles of about the same height are better than a high and a flat one.
      const int rows = static_cast<int>(left <= kernels.rows ? left : left < 2 * kernels.rows ? (left + 1) / 2 : kernels.rows);
#endif
      kernels.dots(static_cast<const char*>(block) + i * row_bytes, row_bytes, rows, k4, panel, columns, sums);
      kernels.finish(job.finish, sums, row_sums ? row_sums + i : nullptr, row + i, rows, column, columns);
      i += rows;
    }
  }
}

int64_t GemmInt8ScratchBytes(const Int8Kernels& kernels, int64_t m, int64_t k) { return ScratchOf(kernels, m, k).bytes; }

void RunGemmInt8(const Int8Kernels& kernels, const GemmInt8& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1,
                 void* scratch) {
  const ScratchOf at(kernels, gemm.m, gemm.k);
  int32_t* row_sums = static_cast<int32_t*>(scratch);
  char* block = static_cast<char*>(scratch) + at.sums_bytes;
  const BlocksInt8 job = {kernels, gemm.n, gemm.k, PackedPanels(gemm.packed, gemm.n), gemm.finish, gemm.near, gemm.orders};
  if (kTilesInPlace && kernels.tiles && (ScratchOf::CopiesAll(kernels, gemm.k) || BlockShift(kernels, gemm.a_signed) == 0)) {
    m0 = MultiplyInPlace(job, gemm, m0, m1, panel0, panel1, at, row_sums);
  }
  const bool dense = gemm.a_row_stride == gemm.k && PaddedK(gemm.k) == gemm.k;
  for (int64_t row = m0; row < m1; row += at.rows) {
    const int64_t count = std::min(at.rows, m1 - row);
    const uint8_t* a = gemm.a + row * gemm.a_row_stride;
    if (dense) {
      kernels.load(a, count * gemm.k, gemm.a_signed, block);
    } else {
      for (int64_t i = 0; i < count; ++i, a += gemm.a_row_stride) kernels.load(a, gemm.k, gemm.a_signed, block + i * at.row_bytes);
    }
    MultiplyBlockInt8(job, block, gemm.a_signed, row, count, panel0, panel1, row_sums, static_cast<char*>(scratch) + at.copies_at);
  }
}

GemmGrain GemmGrainInt8(const Int8Kernels& kernels, int64_t m, int64_t n, int64_t k, int threads, bool near) {
  constexpr double kWorkMax = 128 << 20, kTaskNs = 2500, kByteNs = 0.03;
  m = std::max<int64_t>(m, 1);
  const int64_t panels = std::max<int64_t>(PanelCount(n), 1);
  const double ns = ProductNs(kernels, static_cast<double>(m), static_cast<double>(n), static_cast<double>(k), near);
  // A thread's share of some rows or panels, in `unit`s that take the same time: cut into so many parts, the least.
  struct Cut {
    int64_t part;
    double share;   // of the whole time that the busiest thread takes
  };
  auto cut = [threads](int64_t size, int64_t unit, double parts_max) {
    Cut best = {size, 1};
    for (int64_t each = 1; threads > 1 && static_cast<double>(each * threads) <= parts_max; ++each) {
      const int64_t part = DivUp(size, each * threads), units = DivUp(part, unit) * each;
      const double share = static_cast<double>(units) / static_cast<double>(DivUp(size, unit));
      if (share <= best.share && part >= unit) best = {std::min(size, RoundUp(part, unit)), share};
    }
    return best;
  };
  // Each part of the rows would have all panels sorted; tiles that sort are of about the same height.
  const double parts = std::min(ns / kTaskNs + 0.75, (kernels.sorts ? 1.0 : 4.0) * threads);
  const int64_t tile = kernels.sorts ? 1 : kernels.tiles ? std::max<int64_t>(kernels.rows / 2, 1) : kernels.rows;
  const Cut rows = cut(m, tile, parts), columns = cut(panels, 2, parts);
  // Cut by rows, every thread reads all of B; by panels, all of A, and what follows finds half of C in another thread's cache.
  const double a = static_cast<double>(m * k) * kByteNs, b = static_cast<double>(panels * kPanelColumns * k) * (kernels.sorts ? 3 : 1) * kByteNs;
  const double c = static_cast<double>(m * n) * kByteNs / 2;
  GemmGrain grain = {m, panels};
  if (ns * rows.share + b <= ns * columns.share + a + b * columns.share + c) {
    grain.rows = rows.part;
  } else {
    grain.panels = columns.part;
  }
  // No task is longer than some milliseconds, so that a run can be stopped.
  const double work = static_cast<double>(grain.rows) * static_cast<double>(grain.panels * kPanelColumns) * static_cast<double>(std::max<int64_t>(k, 1));
  if (work > kWorkMax && kernels.sorts && grain.panels > 1) {   // rows in parts would have panels sorted again
    grain.panels = std::clamp<int64_t>(static_cast<int64_t>(kWorkMax / work * static_cast<double>(grain.panels)), 1, grain.panels);
  } else if (work > kWorkMax) {
    const double row_work = work / static_cast<double>(grain.rows), most = kWorkMax / row_work;
    grain.rows = most >= static_cast<double>(tile) ? static_cast<int64_t>(most) / tile * tile : std::min(tile, grain.rows);
    if (most < static_cast<double>(tile)) {
      const double panel_work = static_cast<double>(grain.rows * kPanelColumns) * static_cast<double>(k);
      grain.panels = std::clamp<int64_t>(static_cast<int64_t>(kWorkMax / panel_work), 1, grain.panels);
    }
  }
  return grain;
}

}  // namespace linnet
