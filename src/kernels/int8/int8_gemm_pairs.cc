// Product of 8-bit matrices on AVX2: byte products, wherever the sums of two of them fit 16 bits. A is read where it lies.
//
// One instruction multiplies 32 unsigned bytes by signed ones and adds pairs in 16 bits, saturating; it takes half the steps of
// what multiplies 16-bit numbers. a0 w0 + a1 w1 fits as long as the largest byte of A times the sum of two weights of one sign
// does. So the rows of a panel (four k of 16 columns) are sorted by that sum, and each tile of some rows of A, whose
// largest byte is looked up before, takes as many of them the fast way as it may:
//
//     ymm0..11  sums of 6 rows x 2 vectors of 8 columns      ymm12 14 15  bytes of A, products      ymm13  ones
//
// and the others as 16-bit numbers, even and odd bytes apart.
#include <string.h>

#include <algorithm>

#include "kernels/int8/int8_gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_gemm_pairs.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/tiles/strip.h"
#include "kernels/unroll.h"

#if defined(__x86_64__) && !defined(LINNET_SMALL)
#if HWY_TARGET == HWY_AVX2

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Int8Kernels::finish of this target. Defined in int8_gemm_finish.cc.
void Int8Finish(const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                int64_t columns);

constexpr int kTileRows = 6;
constexpr int kFewRows = 4;            // at a time, where sorting does not pay
constexpr int64_t kSortedRows = 13;    // of A from which on it does; no tile has less than four then
constexpr int64_t kFoursMax = 2048;    // rows of a panel that are sorted
constexpr int64_t kTilesMax = 128;     // whose largest bytes are known at a time
constexpr int64_t kChunkBytes = 256 << 10;   // of A, half of a second-level cache
constexpr int64_t kGroupBytes = 128 << 10;   // of B, for few rows

// Where the same four k are in a row of A and in a panel.
struct Four {
  int32_t a, b;
};

// Sums of two weights of one sign reach 256. Class c has those up to kSafeSum + c kClassWidth.
constexpr int kSafeSum = 128, kClassWidth = 8, kClasses = (256 - kSafeSum) / kClassWidth + 1;

// The classes, from 0 on, that bytes up to `largest` may be multiplied with.
int ClassesFor(int largest) {
  constexpr int kFits = 32767;
  return largest * 256 <= kFits ? kClasses : (kFits / largest - kSafeSum) / kClassWidth + 1;
}

// What sums of two weights come to, at most, in each row of a panel. Those of two signs never exceed 128.
HWY_INLINE __m256i LargestSums(const int8_t* b) {
  const __m256i ones = _mm256_set1_epi8(1);
  auto sums = [&](int i) HWY_ATTR {
    return _mm256_abs_epi16(_mm256_maddubs_epi16(ones, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b) + i)));
  };
  return _mm256_max_epi16(sums(0), sums(1));
}

// The classes of four rows of a panel, a byte each. A sum of 256 counts as 255, which is of the same class.
HWY_INLINE uint32_t ClassesOfFour(const int8_t* b) {
  constexpr int64_t kRow = kPanelColumns * 4;
  auto two = [&](const int8_t* p) HWY_ATTR {   // the first in the lower half
    const __m256i bytes = _mm256_packus_epi16(LargestSums(p), LargestSums(p + kRow));
    return _mm_castsi128_ps(_mm_max_epu8(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
  };
  const __m128 low = two(b), high = two(b + 2 * kRow);
  __m128i most = _mm_castps_si128(_mm_shuffle_ps(low, high, 0x88));
  most = _mm_max_epu8(most, _mm_castps_si128(_mm_shuffle_ps(low, high, 0xdd)));
  most = _mm_max_epu8(most, _mm_srli_epi32(most, 16));
  most = _mm_and_si128(_mm_max_epu8(most, _mm_srli_epi32(most, 8)), _mm_set1_epi32(0xff));
  static_assert(kClassWidth == 8);
  const __m128i above = _mm_max_epi32(_mm_sub_epi32(most, _mm_set1_epi32(kSafeSum - kClassWidth + 1)), _mm_setzero_si128());
  const __m128i bytes = _mm_shuffle_epi8(_mm_srli_epi32(above, 3), _mm_set1_epi32(0x0c080400));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(bytes));
}

// A panel's rows by class.
struct SortedPanel {
  Four fours[kFoursMax + 1];
  const Four* ends[kClasses + 1];   // ends[n]: behind the first n classes

  void Sort(const int8_t* panel, const int32_t* at, int64_t count) {
    constexpr int64_t kRow = kPanelColumns * 4;
    uint8_t classes[kFoursMax + 4];
    int16_t others[kFoursMax + 1];   // those of class 0 come first, and are most
    int64_t safe = 0, rest = 0;
    for (int64_t i = 0; i < count; i += 4) {
      alignas(64) int8_t last[4 * kRow];   // what is behind the panel's end is not read
      const int8_t* rows = panel + i * kRow;
      if (i + 4 > count) rows = static_cast<const int8_t*>(memcpy(last, rows, static_cast<size_t>((count - i) * kRow)));
      const uint32_t four = ClassesOfFour(rows);
      memcpy(classes + i, &four, sizeof(four));
      for (int64_t j = i; j < std::min(i + 4, count); ++j) {
        const bool other = classes[j] != 0;
        fours[safe] = {at[j], static_cast<int32_t>(j * kRow)};
        others[rest] = static_cast<int16_t>(j);
        safe += !other, rest += other;
      }
    }
    int64_t sizes[kClasses] = {safe};
    for (int64_t i = 0; i < rest; ++i) ++sizes[classes[others[i]]];
    Four* next[kClasses];
    Four* end = fours;
    ends[0] = fours;
    for (int c = 0; c < kClasses; ++c) {
      next[c] = end;
      ends[c + 1] = end += sizes[c];
    }
    for (int64_t i = 0; i < rest; ++i) *next[classes[others[i]]]++ = {at[others[i]], static_cast<int32_t>(others[i] * kRow)};
  }
};

// The largest of n bytes, n a multiple of 4.
HWY_INLINE __m256i LargestBytes(const uint8_t* p, int64_t n, __m256i most) {
  auto load = [&](int64_t i) HWY_ATTR { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i)); };
  if (n >= 32) {
    for (int64_t i = 0; i + 32 < n; i += 32) most = _mm256_max_epu8(most, load(i));
    return _mm256_max_epu8(most, load(n - 32));
  }
  for (int64_t i = 0; i < n; i += 4) {
    int32_t four;
    memcpy(&four, p + i, sizeof(four));
    most = _mm256_max_epu8(most, _mm256_set1_epi32(four));
  }
  return most;
}

// Of so many rows from `a` on.
int LargestByte(const RowsInt8& rows, const uint8_t* a, int count, int64_t fours) {
  __m256i most = _mm256_setzero_si256();
  for (int r = 0; r < count; ++r, a += rows.row_stride) {
    if (!rows.offsets) most = LargestBytes(a, fours * 4, most);
    for (int64_t s = 0; rows.offsets && s < rows.steps; ++s) most = LargestBytes(a + rows.offsets[s], rows.step, most);
  }
  const __m128i half = _mm_max_epu8(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  const __m128i words = _mm_max_epu8(half, _mm_srli_epi16(half, 8));   // the larger of each two in the low byte
  const __m128i all = _mm_set1_epi16(0xff);
  return 0xff - (_mm_cvtsi128_si32(_mm_minpos_epu16(_mm_andnot_si128(words, all))) & 0xff);
}

// Some rows of A from `a` on by a panel whose rows [first, safe) fit, and [safe, end) may not. Asks for `fetch` on the way.
struct PairsTile {
  const uint8_t* a;
  int64_t stride;
  const Four *first, *safe, *end;
  const int8_t* panel;
  const int32_t* offset;   // what the sums begin with
  const int8_t* fetch;
  int64_t fetch_step;
  int32_t* sums;
};

#define LINNET_BEGIN(s0, s1) "vmovdqa %%ymm12, %%ymm" s0 "\n\tvmovdqa %%ymm13, %%ymm" s1 "\n\t"
#define LINNET_PLACE                                                                                                       \
  "movslq (%[four]), %[a0]\n\tmovslq 4(%[four]), %[b]\n\tadd $8, %[four]\n\tlea (%[a3],%[a0]), %[a1]\n\tadd %[a], %[a0]\n\t" \
  "add %[panel], %[b]\n\tprefetcht1 (%[fetch])\n\tadd %[step], %[fetch]\n\t"
#define LINNET_FAST(at, s0, s1)                                                                                    \
  "vpbroadcastd " at ", %%ymm12\n\tvpmaddubsw (%[b]), %%ymm12, %%ymm14\n\tvpmaddubsw 32(%[b]), %%ymm12, %%ymm15\n\t" \
  "vpmaddwd %%ymm13, %%ymm14, %%ymm14\n\tvpmaddwd %%ymm13, %%ymm15, %%ymm15\n\t"                                   \
  "vpaddd %%ymm14, %%ymm" s0 ", %%ymm" s0 "\n\tvpaddd %%ymm15, %%ymm" s1 ", %%ymm" s1 "\n\t"
#define LINNET_WIDEN(at) \
  "vmovdqu " at "(%[b]), %%ymm13\n\tvpsllw $8, %%ymm13, %%ymm12\n\tvpsraw $8, %%ymm13, %%ymm13\n\tvpsraw $8, %%ymm12, %%ymm12\n\t"
#define LINNET_SLOW(at, sum)                                                                                 \
  "vpbroadcastd " at ", %%ymm14\n\tvpsrlw $8, %%ymm14, %%ymm15\n\tvpand %[low], %%ymm14, %%ymm14\n\t"         \
  "vpmaddwd %%ymm13, %%ymm15, %%ymm15\n\tvpmaddwd %%ymm12, %%ymm14, %%ymm14\n\t"                              \
  "vpaddd %%ymm15, %%ymm" sum ", %%ymm" sum "\n\tvpaddd %%ymm14, %%ymm" sum ", %%ymm" sum "\n\t"
#define LINNET_STORE(row, s0, s1) \
  "vmovdqu %%ymm" s0 ", " row "*64(%[a0])\n\tvmovdqu %%ymm" s1 ", " row "*64+32(%[a0])\n\t"

alignas(32) constexpr uint8_t kLowBytes[32] = {255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0,
                                               255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0};

// The lists name as many rows; `slow` has both halves of a row of the panel.
#define LINNET_PAIRS_TILE(name, begins, fast, slow, stores)                                                                  \
  void name(const PairsTile& t) {                                                                                            \
    using Low = const uint8_t(*)[32];                                                                                        \
    const Four* four = t.first;                                                                                              \
    const int8_t* fetch = t.fetch;                                                                                           \
    int64_t a0, a1, b;                                                                                                       \
    __asm__ volatile("mov %[offset], %[b]\n\tvmovdqu (%[b]), %%ymm12\n\tvmovdqu 32(%[b]), %%ymm13\n\t" begins                \
                     "vpcmpeqw %%ymm13, %%ymm13, %%ymm13\n\tvpsrlw $15, %%ymm13, %%ymm13\n\tjmp 2f\n\t.p2align 5\n1:\n\t"     \
                     LINNET_PLACE fast "2:\n\tcmp %[safe], %[four]\n\tjne 1b\n\tjmp 4f\n\t.p2align 5\n3:\n\t"               \
                     LINNET_PLACE slow "4:\n\tcmp %[end], %[four]\n\tjne 3b\n\tmov %[sums], %[a0]\n\t" stores              \
                     : [four] "+r"(four), [fetch] "+r"(fetch), [a0] "=&r"(a0), [a1] "=&r"(a1), [b] "=&r"(b)                  \
                     : [a] "r"(t.a), [a3] "r"(t.a + 3 * t.stride), [stride] "r"(t.stride), [panel] "r"(t.panel),             \
                       [step] "r"(t.fetch_step), [safe] "m"(t.safe), [end] "m"(t.end), [offset] "m"(t.offset),               \
                       [sums] "m"(t.sums), [low] "m"(*static_cast<Low>(&kLowBytes))                                          \
                     : "memory", "cc", "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9",       \
                       "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15");                                                \
  }

#define LINNET_FOUR_ROWS(each)                                                                                               \
  each("(%[a0])", "0", "1") each("(%[a0],%[stride])", "2", "3") each("(%[a0],%[stride],2)", "4", "5") each("(%[a1])", "6", "7")
#define LINNET_FIVE_ROWS(each) LINNET_FOUR_ROWS(each) each("(%[a1],%[stride])", "8", "9")
#define LINNET_SIX_ROWS(each) LINNET_FIVE_ROWS(each) each("(%[a1],%[stride],2)", "10", "11")
#define LINNET_SLOW_EVEN(at, s0, s1) LINNET_SLOW(at, s0)
#define LINNET_SLOW_ODD(at, s0, s1) LINNET_SLOW(at, s1)
#define LINNET_SLOW_ROWS(rows) LINNET_WIDEN("0") rows(LINNET_SLOW_EVEN) LINNET_WIDEN("32") rows(LINNET_SLOW_ODD)
#define LINNET_BEGIN_FOUR LINNET_BEGIN("0", "1") LINNET_BEGIN("2", "3") LINNET_BEGIN("4", "5") LINNET_BEGIN("6", "7")
#define LINNET_STORE_FOUR \
  LINNET_STORE("0", "0", "1") LINNET_STORE("1", "2", "3") LINNET_STORE("2", "4", "5") LINNET_STORE("3", "6", "7")

LINNET_PAIRS_TILE(PairsTile4, LINNET_BEGIN_FOUR, LINNET_FOUR_ROWS(LINNET_FAST), LINNET_SLOW_ROWS(LINNET_FOUR_ROWS), LINNET_STORE_FOUR)
LINNET_PAIRS_TILE(PairsTile5, LINNET_BEGIN_FOUR LINNET_BEGIN("8", "9"), LINNET_FIVE_ROWS(LINNET_FAST), LINNET_SLOW_ROWS(LINNET_FIVE_ROWS),
                  LINNET_STORE_FOUR LINNET_STORE("4", "8", "9"))
LINNET_PAIRS_TILE(PairsTile6, LINNET_BEGIN_FOUR LINNET_BEGIN("8", "9") LINNET_BEGIN("10", "11"), LINNET_SIX_ROWS(LINNET_FAST),
                  LINNET_SLOW_ROWS(LINNET_SIX_ROWS), LINNET_STORE_FOUR LINNET_STORE("4", "8", "9") LINNET_STORE("5", "10", "11"))

// The products of a call. Sums begin with the offsets.
class PairsProduct {
 public:
  PairsProduct(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, const int32_t* row_sums)
      : job_(job), rows_(rows), row0_(row0), row_sums_(row_sums), panel_bytes_(PaddedK(job.k) * kPanelColumns),
        fours_(rows.offsets ? rows.steps * rows.step / 4 : (job.k + 3) / 4), finish_(job.finish) {
    finish_.offset = nullptr;
  }

  void Run(int64_t row1, int64_t panel0, int64_t panel1) {
    if (row1 - row0_ < kSortedRows || fours_ > kFoursMax) return Unsorted(row1, panel0, panel1);
    int32_t at[kFoursMax];
    for (int64_t i = 0; i < fours_; ++i) {
      const int64_t k = i * 4;
      at[i] = static_cast<int32_t>(rows_.offsets ? rows_.offsets[k / rows_.step] + k % rows_.step : k);
    }
    const int64_t row_bytes = std::max<int64_t>(rows_.offsets ? rows_.row_stride : fours_ * 4, 1);
    const int64_t most = std::clamp<int64_t>(kChunkBytes / row_bytes / kTileRows, 8, kTilesMax) * kTileRows;
    const int64_t count = row1 - row0_, chunks = (count + most - 1) / most;
    for (int64_t i = 0; i < chunks; ++i) Chunk(row0_ + count * i / chunks, row0_ + count * (i + 1) / chunks, at, panel0, panel1);
  }

 private:
  const uint8_t* At(int64_t row) const { return rows_.a + row * rows_.row_stride; }
  const int32_t* OffsetOf(int64_t panel) const {
    alignas(32) static constexpr int32_t kZeros[kPanelColumns] = {};
    return job_.finish.offset ? job_.finish.offset + panel * kPanelColumns : kZeros;
  }
  void Finish(const int32_t* sums, int64_t row, int64_t count, int64_t panel) {
    const int64_t column = panel * kPanelColumns, columns = std::min(job_.n - column, kPanelColumns);
    ForRowsOfC(rows_.pitch, rows_.valid, rows_.c_row, row, count, [&](int64_t c_row, int64_t at, int64_t n) {
      Int8Finish(finish_, sums + at * kPanelColumns, row_sums_ ? row_sums_ + (row + at - row0_) : nullptr, c_row, static_cast<int>(n),
                 column, columns);
    });
  }

  // Rows [row, end), more than twelve, in tiles of about the same height: six rows or five, rarely four.
  void Chunk(int64_t row, int64_t end, const int32_t* at, int64_t panel0, int64_t panel1) {
    const int64_t count = end - row, tiles = (count + kTileRows - 1) / kTileRows;
    struct Part {
      int64_t row;
      int rows, classes;
    } parts[kTilesMax];
    for (int64_t i = 0, from = row; i < tiles; ++i) {
      const int rows = static_cast<int>((count + i) / tiles);   // the sum over all i is `count`
      parts[i] = {from, rows, ClassesFor(LargestByte(rows_, At(from), rows, fours_))};
      from += rows;
    }
    alignas(64) int32_t sums[kTileRows * kPanelColumns];
    SortedPanel sorted;
    PairsTile tile;
    tile.stride = rows_.row_stride;
    tile.first = sorted.fours, tile.end = sorted.fours + fours_;
    tile.sums = sums;
    tile.fetch_step = std::max<int64_t>(panel_bytes_ / std::max<int64_t>(tiles * fours_, 1), 1);
    for (int64_t panel = panel0; panel < panel1; ++panel) {
      tile.panel = job_.panels + panel * panel_bytes_;
      tile.offset = OffsetOf(panel);
      sorted.Sort(tile.panel, at, fours_);
      tile.fetch = tile.panel + panel_bytes_;
      for (const Part* part = parts; part < parts + tiles; ++part) {
        tile.a = At(part->row);
        tile.safe = sorted.ends[part->classes];
        part->rows == 6 ? PairsTile6(tile) : part->rows == 5 ? PairsTile5(tile) : PairsTile4(tile);
        tile.fetch += fours_ * tile.fetch_step;
        Finish(sums, part->row, part->rows, panel);
      }
    }
  }

  // A few rows at a time, everything as 16-bit numbers.
  template <int kRows>
  void Few(int64_t row, int64_t panel0, int64_t panel1) {
    const __m256i low = _mm256_set1_epi16(0xff);
    alignas(64) int32_t sums[kRows * kPanelColumns];
    for (int64_t panel = panel0; panel < panel1; ++panel) {
      const int8_t* b = job_.panels + panel * panel_bytes_;
      const int32_t* offset = OffsetOf(panel);
      __m256i sum[kRows][2];
      LINNET_UNROLL
      for (int i = 0; i < kRows * 2; ++i) sum[i / 2][i % 2] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(offset) + i % 2);
      const int64_t pieces = rows_.offsets ? rows_.steps : 1, step = rows_.offsets ? rows_.step / 4 : fours_;
      for (int64_t s = 0; s < pieces; ++s) {
        const uint8_t* a = At(row) + (rows_.offsets ? rows_.offsets[s] : 0);
        LINNET_OPAQUE(a);
        for (int64_t k = step; k > 0; --k, a += 4, b += kPanelColumns * 4) {
          __m256i even[2], odd[2];
          LINNET_UNROLL
          for (int v = 0; v < 2; ++v) {
            const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b) + v);
            even[v] = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8);
            odd[v] = _mm256_srai_epi16(w, 8);
          }
          __builtin_prefetch(b + kFewAhead);
          LINNET_UNROLL
          for (int r = 0; r < kRows; ++r) {
            int32_t four;
            memcpy(&four, a + r * rows_.row_stride, sizeof(four));
            const __m256i both = _mm256_set1_epi32(four);
            hn::Vec<I16> a_even{_mm256_and_si256(both, low)}, a_odd{_mm256_srli_epi16(both, 8)};
            LINNET_IN_ORDER(a_even);
            LINNET_IN_ORDER(a_odd);
            LINNET_UNROLL
            for (int v = 0; v < 2; ++v) {
              hn::Vec<I32> total{sum[r][v]};
              AddInPlace(total, hn::Vec<I32>{_mm256_madd_epi16(a_even.raw, even[v])});
              AddInPlace(total, hn::Vec<I32>{_mm256_madd_epi16(a_odd.raw, odd[v])});
              sum[r][v] = total.raw;
            }
          }
        }
      }
      LINNET_UNROLL
      for (int i = 0; i < kRows * 2; ++i) _mm256_store_si256(reinterpret_cast<__m256i*>(sums) + i, sum[i / 2][i % 2]);
      Finish(sums, row, kRows, panel);
    }
  }
  static constexpr int kFewAhead = 2048;   // bytes between the row of a panel in use and the one asked for

  // Some panels at a time, which stay in a cache while the rows pass by.
  void Unsorted(int64_t row1, int64_t panel0, int64_t panel1) {
    const int64_t group = std::max<int64_t>(kGroupBytes / std::max<int64_t>(panel_bytes_, 1), 1);
    for (; panel0 < panel1; panel0 += group) {
      const int64_t end = std::min(panel1, panel0 + group);
      for (int64_t row = row0_; row < row1;) {
        const int64_t left = row1 - row;
        const int64_t n = left <= kFewRows ? left : left < 2 * kFewRows ? (left + 1) / 2 : kFewRows;
        switch (n) {
          case 1: Few<1>(row, panel0, end); break;
          case 2: Few<2>(row, panel0, end); break;
          case 3: Few<3>(row, panel0, end); break;
          default: Few<4>(row, panel0, end); break;
        }
        row += n;
      }
    }
  }

  const BlocksInt8& job_;
  const RowsInt8& rows_;
  const int64_t row0_;
  const int32_t* row_sums_;
  const int64_t panel_bytes_, fours_;
  FinishInt8 finish_;
};

// Int8Kernels::tiles.
void Int8TilesPairs(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                    const int32_t* row_sums) {
  PairsProduct(job, rows, row0, row_sums).Run(row1, panel0, panel1);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // AVX2
#endif  // __x86_64__
