// Product of 8-bit matrices on AMX tiles: up to 32 x 32 sums at a time, 64 k of them an instruction.
//
// Rows of A are read where they lie. Sums begin as their columns' offsets, and a block's are stored while the next block begins, so that the tiles multiply
// while vectors round: storing a tile that is still being computed would wait for it. Rows that are left at the end are
// computed with those before them, which are not stored twice.
#include <string.h>

#include <algorithm>

#include "kernels/int8/int8_gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_gemm_tiles.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8_runs-inl.h"
#include "kernels/tiles/amx-inl.h"
#include "kernels/unroll.h"

#if defined(__x86_64__)

#if HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

namespace {

constexpr int64_t kOnceBytes = 1 << 20;   // of B, that are read once

struct AmxBytes : AmxTiles {
  template <bool kSigned, int kSum, int kA, int kB>
  static HWY_INLINE void Multiply() {
    if constexpr (kSigned) {
      __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
    } else {
      __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSum), "i"(kA), "i"(kB));
    }
  }
};

struct EmulatedBytes : EmulatedTiles {
  template <bool kSigned, int kSum, int kA, int kB>
  static void Multiply() {
    MultiplyWith<uint32_t, kSum, kA, kB>([](uint32_t sum, const uint8_t* a, const uint8_t* b, int groups) {
      for (int k = 0; k < groups * 4; ++k) {
        const int32_t w = static_cast<int8_t>(b[k / 4 * 64 + k % 4]);
        sum += static_cast<uint32_t>((kSigned ? static_cast<int8_t>(a[k]) : a[k]) * w);
      }
      return sum;
    });
  }
};

// A block of sums: rows of A at a[0] and a[1], panels from `panel` on, and which of its rows are stored.
struct TileBlock {
  const uint8_t* a[2];
  int64_t panel;
  int panels, row_tiles;
  int64_t row;        // of the view: that of the first sum that is stored
  int first, count;   // rows of the first tile
  int first2, count2; // and of the second
};

template <class Tiles, bool kSigned>
class TileProduct {
 public:
  TileProduct(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, const int32_t* row_sums)
      : job_(job), rows_(rows), row0_(row0), row_sums_(row_sums), panel_bytes_(PaddedK(job.k) * kPanelColumns), finish_(job.finish),
        offsets_(job.finish.offset) {
    finish_.offset = nullptr;   // sums begin with it
  }

  void Run(int64_t row1, int64_t panel0, int64_t panel1) {
    const int64_t count = row1 - row0_;
    if (count <= 0 || panel1 <= panel0) return;
    left_ = Int8BytesLeft(job_.finish, job_.k, panel0, panel1);
    if (left_ == BytesLeft::kFloor && panel1 - panel0 > kFloorPanels) left_ = BytesLeft::kScale;
    if (left_ == BytesLeft::kFloor) {
      Int8BeginFloors(offsets_ ? offsets_ + panel0 * kPanelColumns : nullptr, (panel1 - panel0) * kPanelColumns, floors_);
      offsets_ = floors_ - panel0 * kPanelColumns;
    }
    Tiles::Configure(TileConfig(std::min(count, kTileRows), std::max<int64_t>(rows_.step, 4), count > kTileRows));
    // B is read once where it is larger than a cache, and A is not.
    const int64_t b_bytes = (panel1 - panel0) * panel_bytes_;
    const int64_t group = count <= kTileRows ? 4 : 2;
    const int64_t rows = b_bytes > kOnceBytes ? count : 2 * kTileRows;
    for (int64_t row = row0_; row < row1; row += rows) {
      const int64_t end = std::min(row1, row + rows);
      for (int64_t p = panel0; p < panel1; p += group) Rows(row, end, row1, p, std::min(panel1, p + group), panel1);
    }
    if (pending_) {
      StorePending();
      Finish();
    }
    Tiles::Release();
  }

 private:
  // Rows [row, end) of [row0, row1) in a group of panels.
  void Rows(int64_t row, int64_t end, int64_t row1, int64_t panel, int64_t group_end, int64_t panel1) {
    for (; row < end; row += 2 * kTileRows) {
      const int64_t left = std::min<int64_t>(row1 - row, 2 * kTileRows);
      TileBlock b;
      b.row = row;
      b.first2 = b.count2 = 0;
      if (left > kTileRows) {
        b.row_tiles = 2;
        b.a[0] = At(row), b.a[1] = At(row + left - kTileRows);
        b.first = 0, b.count = kTileRows;
        b.first2 = static_cast<int>(2 * kTileRows - left), b.count2 = static_cast<int>(left - kTileRows);
      } else {
        const int64_t height = std::min<int64_t>(row1 - row0_, kTileRows);   // of all tiles
        b.row_tiles = 1;
        b.a[0] = b.a[1] = At(row + left - height);
        b.first = static_cast<int>(height - left), b.count = static_cast<int>(left);
      }
      // The next group may be another call's.
      const int8_t* next = row == row0_ && group_end < PanelCount(job_.n) ? Panel(group_end) : nullptr;
      for (b.panel = panel; b.panel < group_end; b.panel += b.panels) {
        const int64_t panels = group_end - b.panel;
        if (b.row_tiles == 2) {
          b.panels = panels >= 2 ? 2 : 1;
          b.panels == 2 ? Block<2, 2>(b, next) : Block<2, 1>(b, next);
        } else {
          b.panels = panels >= 4 ? 4 : panels >= 2 ? 2 : 1;
          b.panels == 4 ? Block<1, 4>(b, next) : b.panels == 2 ? Block<1, 2>(b, next) : Block<1, 1>(b, next);
        }
      }
    }
  }

  const uint8_t* At(int64_t row) const { return rows_.a + row * rows_.row_stride; }
  const int8_t* Panel(int64_t p) const { return job_.panels + p * panel_bytes_; }

  template <int kRows, int kPanels>
  void Block(const TileBlock& b, const int8_t* next) {
    if (pending_ && last_.row_tiles == kRows && last_.panels == kPanels) {
      Sums<kRows, kPanels, true>(b, next);
    } else {
      if (pending_) StorePending();
      Sums<kRows, kPanels, false>(b, next);
    }
    if (pending_) Finish();
    last_ = b;
    pending_ = true;
  }

  static constexpr int64_t kPanelStride = 2 * kTileRows * kPanelColumns;   // of sums
  int32_t* SumsOf(int row_tile, int p) { return sums_ + p * kPanelStride + row_tile * kTileRows * kPanelColumns; }

  // kStore: the tiles hold sums of a block of the same form, to be stored.
  template <int kRows, int kPanels, bool kStore>
  HWY_INLINE void Sums(const TileBlock& b, const int8_t* next) {
    alignas(64) static constexpr int32_t kZeros[kPanelColumns] = {};
    const int64_t stride = rows_.row_stride, step_rows = rows_.step * kPanelColumns, panel_bytes = panel_bytes_;
    const int8_t* panel = Panel(b.panel);
    auto begin = [&]<int kIndex>() {
      constexpr int kR = kIndex / kPanels, kP = kIndex % kPanels;
      if constexpr (kStore) Tiles::template Store<kIndex>(SumsOf(kR, kP));
      Tiles::template Load<kIndex>(offsets_ ? offsets_ + (b.panel + kP) * kPanelColumns : kZeros, 0);
    };
    auto load_b = [&]<int kP>() {
      if constexpr (kP < kPanels) Tiles::template Load<TileOfB(kPanels, kP)>(panel + kP * panel_bytes, 64);
    };
    auto multiply = [&]<int kR, int kP>() {
      if constexpr (kR < kRows && kP < kPanels) {
        Tiles::template Multiply<kSigned, kR * kPanels + kP, 4 + kR, TileOfB(kPanels, kP)>();
      }
    };
    for (int64_t s = 0; s < std::max<int64_t>(rows_.steps, 1); ++s) {
      const int64_t at = rows_.offsets ? rows_.offsets[s] : s * rows_.step;
      const bool first = s == 0, any = rows_.steps > 0;
      if (any) {
        load_b.template operator()<0>();
        Tiles::template Load<4>(b.a[0] + at, stride);
      }
      if (first) begin.template operator()<0>();
      if (any) multiply.template operator()<0, 0>();
      if constexpr (kPanels > 1) {
        if (any) load_b.template operator()<1>();
        if (first) begin.template operator()<1>();
        if (any) multiply.template operator()<0, 1>();
      }
      if constexpr (kPanels == 4) {
        if (any) load_b.template operator()<2>();
        if (first) begin.template operator()<2>();
        if (any) multiply.template operator()<0, 2>();
        if (any) load_b.template operator()<3>();
        if (first) begin.template operator()<3>();
        if (any) multiply.template operator()<0, 3>();
      }
      if constexpr (kRows == 2) {
        if (any) Tiles::template Load<5>(b.a[1] + at, stride);
        if (first) begin.template operator()<kPanels>();
        if (any) multiply.template operator()<1, 0>();
        if constexpr (kPanels > 1) {
          if (first) begin.template operator()<kPanels + 1>();
          if (any) multiply.template operator()<1, 1>();
        }
      }
      panel += step_rows;
      if (next) {
        for (int p = 0; p < kPanels; ++p) {
          const int8_t* line = next + p * panel_bytes;
          for (int64_t i = 0; i < step_rows; i += 64) __builtin_prefetch(line + i, 0, 2);
        }
        next += step_rows;
      }
    }
  }

  void StorePending() {
    auto store = [&]<int kIndex>() {
      if (kIndex < last_.row_tiles * last_.panels) Tiles::template Store<kIndex>(SumsOf(kIndex / last_.panels, kIndex % last_.panels));
    };
    store.template operator()<0>();
    store.template operator()<1>();
    store.template operator()<2>();
    store.template operator()<3>();
  }

  // What follows the sums of the pending block.
  void Finish() {
    const int64_t column = last_.panel * kPanelColumns;
    const int64_t columns = std::min<int64_t>(job_.n - column, last_.panels * kPanelColumns);
    if (last_.first2 == 0 && last_.count2 > 0) {
      Runs(last_.row, 0, last_.count + last_.count2, column, columns);
    } else {
      Runs(last_.row, last_.first, last_.count, column, columns);
      if (last_.count2 > 0) Runs(last_.row + last_.count, kTileRows + last_.first2, last_.count2, column, columns);
    }
    pending_ = false;
  }

  void Runs(int64_t row, int at, int count, int64_t column, int64_t columns) {
    FinishRuns(rows_, finish_, left_, sums_ + at * kPanelColumns, kPanelStride, row_sums_ ? row_sums_ + (row - row0_) : nullptr, row, count,
               column, columns);
  }

  const BlocksInt8& job_;
  const RowsInt8& rows_;
  int64_t row0_;
  const int32_t* row_sums_;
  int64_t panel_bytes_;
  FinishInt8 finish_;
  BytesLeft left_ = BytesLeft::kAll;
  const int32_t* offsets_;    // what sums begin with
  TileBlock last_;
  bool pending_ = false;
  static constexpr int64_t kFloorPanels = 128;
  alignas(64) int32_t floors_[kFloorPanels * kPanelColumns];
  alignas(64) int32_t sums_[4 * kPanelStride];
};

// sum += products of four unsigned and four signed bytes.
template <class Tiles>
HWY_INLINE void AddFours(__m512i& sum, __m512i a, const void* b) {
  if constexpr (std::is_same_v<Tiles, AmxBytes>) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "m"(*static_cast<const __m512i*>(b)));
  } else {
    const __m512i w = _mm512_loadu_si512(b);
    const __m512i even = _mm512_madd_epi16(_mm512_and_si512(a, _mm512_set1_epi16(0xff)), _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8));
    sum = _mm512_add_epi32(sum, _mm512_add_epi32(even, _mm512_madd_epi16(_mm512_srli_epi16(a, 8), _mm512_srai_epi16(w, 8))));
  }
}

// One row of unsigned bytes: what counts is how fast B comes, and a tile of one row asks for it too late. Panels that
// are not in the second-level cache are asked for `ahead` bytes before they are used; those that are (kNear) come faster
// unasked.
template <class Tiles, int kPanels, bool kNear>
void MultiplyRowPanels(const BlocksInt8& job, const RowsInt8& rows, int64_t row, int64_t panel, int64_t ahead,
                       const int32_t* row_sum) {
  const int64_t panel_bytes = PaddedK(job.k) * kPanelColumns;
  const int8_t* b = job.panels + panel * panel_bytes;
  __m512i sum[kPanels], odd[kPanels];
  LINNET_UNROLL
  for (int p = 0; p < kPanels; ++p) {
    sum[p] = job.finish.offset ? _mm512_loadu_si512(job.finish.offset + (panel + p) * kPanelColumns) : _mm512_setzero_si512();
    odd[p] = _mm512_setzero_si512();
  }
  // Pieces that follow one another are one.
  const int64_t pieces = rows.steps == 0 ? 0 : rows.offsets ? rows.steps : 1;
  const int64_t bytes = rows.offsets ? rows.step : rows.steps * rows.step;
  for (int64_t s = 0; s < pieces; ++s) {
    const uint8_t* a = rows.a + row * rows.row_stride + (rows.offsets ? rows.offsets[s] : 0);
    const uint8_t* const end = a + bytes / 8 * 8;
    for (; a != end; a += 8, b += 2 * 64) {
      int32_t four[2];
      memcpy(four, a, 8);
      const __m512i first = _mm512_set1_epi32(four[0]), second = _mm512_set1_epi32(four[1]);
      LINNET_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        AddFours<Tiles>(sum[p], first, b + p * panel_bytes);
        if (!kNear) __builtin_prefetch(b + ahead + p * panel_bytes, 0, 2);
        AddFours<Tiles>(odd[p], second, b + p * panel_bytes + 64);
        if (!kNear) __builtin_prefetch(b + ahead + p * panel_bytes + 64, 0, 2);
      }
    }
    if (bytes % 8 != 0) {
      int32_t four;
      memcpy(&four, a, 4);
      LINNET_UNROLL
      for (int p = 0; p < kPanels; ++p) AddFours<Tiles>(sum[p], _mm512_set1_epi32(four), b + p * panel_bytes);
      b += 64;
    }
  }
  alignas(64) int32_t sums[kPanels * kPanelColumns];
  LINNET_UNROLL
  for (int p = 0; p < kPanels; ++p) _mm512_store_si512(sums + p * kPanelColumns, _mm512_add_epi32(sum[p], odd[p]));
  FinishInt8 finish = job.finish;
  finish.offset = nullptr;
  const int64_t column = panel * kPanelColumns, columns = std::min<int64_t>(job.n - column, kPanels * kPanelColumns);
  Int8FinishPanels(finish, BytesLeft::kAll, sums, kPanelColumns, row_sum, rows.c_row + row, 1, column, columns);
}

template <class Tiles>
void MultiplyRow(const BlocksInt8& job, const RowsInt8& rows, int64_t row, int64_t panel0, int64_t panel1, const int32_t* row_sum) {
  const int64_t ahead = 4 * PaddedK(job.k) * kPanelColumns;
  int64_t p = panel0;
  for (; p + 4 <= panel1; p += 4) {
    if (job.near || p + 8 > PanelCount(job.n)) {
      MultiplyRowPanels<Tiles, 4, true>(job, rows, row, p, 0, row_sum);
    } else {
      MultiplyRowPanels<Tiles, 4, false>(job, rows, row, p, ahead, row_sum);
    }
  }
  for (; p < panel1; ++p) MultiplyRowPanels<Tiles, 1, true>(job, rows, row, p, 0, row_sum);
}

template <class Tiles>
void MultiplyTiles(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                   const int32_t* row_sums) {
  if (row1 == row0 + 1 && !rows.is_signed && rows.pitch == 0) return MultiplyRow<Tiles>(job, rows, row0, panel0, panel1, row_sums);
  if (rows.is_signed) {
    TileProduct<Tiles, true>(job, rows, row0, row_sums).Run(row1, panel0, panel1);
  } else {
    TileProduct<Tiles, false>(job, rows, row0, row_sums).Run(row1, panel0, panel1);
  }
}

}  // namespace

// One row of unsigned bytes by VNNI, for int8_gemm_rows.cc too.
void Int8OneRow(const BlocksInt8& job, const RowsInt8& rows, int64_t row, int64_t panel0, int64_t panel1, const int32_t* row_sum) {
  MultiplyRow<AmxBytes>(job, rows, row, panel0, panel1, row_sum);
}

void Int8TilesAmx(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                  const int32_t* row_sums) {
  MultiplyTiles<AmxBytes>(job, rows, row0, row1, panel0, panel1, row_sums);
}
void Int8TilesEmulated(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                       const int32_t* row_sums) {
  MultiplyTiles<EmulatedBytes>(job, rows, row0, row1, panel0, panel1, row_sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // AVX-512

#endif  // __x86_64__
