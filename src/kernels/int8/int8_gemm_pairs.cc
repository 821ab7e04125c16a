// Product of 8-bit matrices on AVX2: byte products, wherever the sums of two of them fit 16 bits. A is read where it lies.
//
// One instruction multiplies 32 unsigned bytes by signed ones and adds pairs in 16 bits, saturating; it takes half the steps of
// what multiplies 16-bit numbers. a0 w0 + a1 w1 fits as long as the largest byte of A times the sum of two weights of one sign
// does. So the rows of a panel (four k of 16 columns) are copied, sorted by that sum, and each tile of some rows of A, whose
// largest byte is looked up before, takes as many of them the fast way as it may:
//
//     ymm0..11  sums of 6 rows x 2 vectors of 8 columns      ymm12 14 15  bytes of A, products      ymm13  ones
//
// and the others, widened once for all tiles, as 16-bit numbers, even and odd bytes apart.
#include <stddef.h>
#include <string.h>

#include <algorithm>

#include "kernels/int8/int8_gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_gemm_pairs.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/int8/int8_sorted_panel-inl.h"
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
constexpr int64_t kSortedRows = 15;    // of A from which on it does,
constexpr int64_t kOrderedRows = 5;    // and where the order is known
constexpr int64_t kTilesMax = 192;     // whose largest bytes are known at a time
constexpr int kFinishedRows = 30;      // at a time, at most
constexpr int64_t kChunkBytes = 256 << 10;   // of A, half of a second-level cache
constexpr int64_t kGroupBytes = 128 << 10;   // of B, for few rows

// The largest of n bytes, n a multiple of 4.
HWY_INLINE __m256i LargestBytes(const uint8_t* p, int64_t n, __m256i most) {
  // kLoaded bytes at a time, the last of them again with those before.
  auto largest = [&]<int kLoaded>(auto load) HWY_ATTR {
    for (int64_t i = 0; i + kLoaded < n; i += kLoaded) most = _mm256_max_epu8(most, load(p + i));
    return _mm256_max_epu8(most, load(p + n - kLoaded));
  };
  if (n >= 32) {
    return largest.template operator()<32>([](const uint8_t* at) HWY_ATTR { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); });
  }
  if (n >= 8) {
    return largest.template operator()<8>([](const uint8_t* at) HWY_ATTR {
      return _mm256_zextsi128_si256(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(at)));
    });
  }
  int32_t four;
  if (n > 0) memcpy(&four, p, sizeof(four)), most = _mm256_max_epu8(most, _mm256_set1_epi32(four));
  return most;
}

// Of so many rows from `a` on.
int LargestByte(const RowsInt8& rows, const uint8_t* a, int count, int64_t fours) {
  __m256i most = _mm256_setzero_si256();
  if (!rows.offsets && rows.row_stride == fours * 4) fours *= count, count = 1;   // one after the other
  for (int r = 0; r < count && !rows.offsets; ++r) most = LargestBytes(a + r * rows.row_stride, fours * 4, most);
  for (int64_t s = 0; rows.offsets && s < rows.steps; ++s) {
    // Where a tap is the next pixel's of the tap before, the rows are those before but for the last.
    const bool next = s > 0 && rows.offsets[s] == rows.offsets[s - 1] + rows.row_stride;
    for (int r = next ? count - 1 : 0; r < count; ++r) most = LargestBytes(a + rows.offsets[s] + r * rows.row_stride, rows.step, most);
  }
  const __m128i half = _mm_max_epu8(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  const __m128i words = _mm_max_epu8(half, _mm_srli_epi16(half, 8));   // the larger of each two in the low byte
  const __m128i all = _mm_set1_epi16(0xff);
  return 0xff - (_mm_cvtsi128_si32(_mm_minpos_epu16(_mm_andnot_si128(words, all))) & 0xff);
}

// Some rows of A by a sorted panel: rows [at, safe) of it as bytes, and [safe, end), from `words` on, as words.
struct PairsTile {
  const uint8_t* a;
  int64_t stride;
  const int32_t *at, *safe, *end;
  const int8_t* bytes;
  const int16_t* words;
  const int32_t* offset;   // what the sums begin with
  int32_t* sums;
  int64_t ahead;           // from `bytes` to the next panel
};

// What the lists of rows are filled with: a row's number, where in the panel's row it reads, and its sums.
#define LINNET_BEGIN(row, at, s0, s1) "vmovdqa %%ymm12, %%ymm" s0 "\n\tvmovdqa %%ymm13, %%ymm" s1 "\n\t"
#define LINNET_FAST(row, at, s0, s1)                                                                                   \
  "vpbroadcastd (%[a" row "],%[i]), %%ymm12\n\tvpmaddubsw " at "(%[b]), %%ymm12, %%ymm14\n\tvpmaddubsw " at            \
  "+32(%[b]), %%ymm12, %%ymm15\n\tvpmaddwd %%ymm13, %%ymm14, %%ymm14\n\tvpmaddwd %%ymm13, %%ymm15, %%ymm15\n\t"        \
  "vpaddd %%ymm14, %%ymm" s0 ", %%ymm" s0 "\n\tvpaddd %%ymm15, %%ymm" s1 ", %%ymm" s1 "\n\t"
#define LINNET_SLOW(row, at, s0, s1)                                                                                   \
  "vpbroadcastd (%[a" row "],%[i]), %%ymm13\n\tvpand %[low], %%ymm13, %%ymm12\n\tvpsrlw $8, %%ymm13, %%ymm13\n\t"      \
  "vpmaddwd (%[b]), %%ymm12, %%ymm14\n\tvpmaddwd 64(%[b]), %%ymm12, %%ymm15\n\tvpaddd %%ymm14, %%ymm" s0 ", %%ymm" s0  \
  "\n\tvpaddd %%ymm15, %%ymm" s1 ", %%ymm" s1 "\n\tvpmaddwd 32(%[b]), %%ymm13, %%ymm14\n\tvpmaddwd 96(%[b]), %%ymm13, " \
  "%%ymm15\n\tvpaddd %%ymm14, %%ymm" s0 ", %%ymm" s0 "\n\tvpaddd %%ymm15, %%ymm" s1 ", %%ymm" s1 "\n\t"
#define LINNET_STORE(row, at, s0, s1) "vmovdqa %%ymm" s0 ", 64*" row "(%[i])\n\tvmovdqa %%ymm" s1 ", 64*" row "+32(%[i])\n\t"
#define LINNET_ROWS_1(each, at) each("0", at, "0", "1")
#define LINNET_ROWS_2(each, at) LINNET_ROWS_1(each, at) each("1", at, "2", "3")
#define LINNET_ROWS_3(each, at) LINNET_ROWS_2(each, at) each("2", at, "4", "5")
#define LINNET_ROWS_4(each, at) LINNET_ROWS_3(each, at) each("3", at, "6", "7")
#define LINNET_ROWS_5(each, at) LINNET_ROWS_4(each, at) each("4", at, "8", "9")
#define LINNET_ROWS_6(each, at) LINNET_ROWS_5(each, at) each("5", at, "10", "11")

alignas(32) constexpr uint8_t kLowBytes[32] = {255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0,
                                               255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0, 255, 0};

// A tile that asks for the next panel, a row of it beside each row of bytes, and one that does not.
#define LINNET_ASK(at) "prefetcht1 " at "(%[b],%[ahead])\n\t"
#define LINNET_ASK_NOTHING(at) ""

// A member of the tile, so many bytes behind its beginning: one register has the address of all, of which unoptimized builds have few.
#define LINNET_AT(member) [member] "i"(offsetof(PairsTile, member))

// Two rows of the panel a turn; of an odd number, the first turn is half of one.
#define LINNET_PAIRS_TILE(name, kRows, rows, ask)                                                                            \
  void name##kRows(const PairsTile& t) {                                                                                     \
    using Low = const uint8_t(*)[32];                                                                                        \
    auto a = [&](int row) { return t.a + std::min(row, kRows - 1) * t.stride; };                                             \
    const int64_t odd = (t.safe - t.at) & 1;                                                                                 \
    const int32_t* at = t.at - odd;                                                                                          \
    const void* b = t.bytes - odd * kRow;                                                                                    \
    int64_t i = odd;                                                                                                         \
    __asm__ volatile("test %[i], %[i]\n\tmov %c[offset](%[t]), %[i]\n\tvmovdqu (%[i]), %%ymm12\n\tvmovdqu 32(%[i]), %%ymm13\n\t"\
                     rows(LINNET_BEGIN, "") "vpcmpeqw %%ymm13, %%ymm13, %%ymm13\n\tvpsrlw $15, %%ymm13, %%ymm13\n\t"         \
                     "jnz 2f\n\tjmp 3f\n\t.p2align 5\n1:\n\tmovslq (%[at]), %[i]\n\t" ask("") rows(LINNET_FAST, "")          \
                     "2:\n\tmovslq 4(%[at]), %[i]\n\t" ask("64") rows(LINNET_FAST, "64") "add $8, %[at]\n\tsub $-128, %[b]\n\t"\
                     "3:\n\tcmp %c[safe](%[t]), %[at]\n\tjne 1b\n\tmov %c[words](%[t]), %[b]\n\tjmp 5f\n\t.p2align 5\n4:\n\t"\
                     "movslq (%[at]), %[i]\n\t" rows(LINNET_SLOW, "") "add $4, %[at]\n\tsub $-128, %[b]\n\t"                 \
                     "5:\n\tcmp %c[end](%[t]), %[at]\n\tjne 4b\n\tmov %c[sums](%[t]), %[i]\n\t" rows(LINNET_STORE, "")       \
                     : [at] "+r"(at), [b] "+r"(b), [i] "+r"(i)                                                               \
                     : [a0] "r"(a(0)), [a1] "r"(a(1)), [a2] "r"(a(2)), [a3] "r"(a(3)), [a4] "r"(a(4)), [a5] "r"(a(5)),       \
                       [ahead] "r"(t.ahead), [t] "r"(&t), LINNET_AT(safe), LINNET_AT(end), LINNET_AT(offset), LINNET_AT(words),\
                       LINNET_AT(sums), [low] "m"(*static_cast<Low>(&kLowBytes))                                             \
                     : "memory", "cc", "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9",       \
                       "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15");                                                \
  }

LINNET_PAIRS_TILE(PairsTile, 1, LINNET_ROWS_1, LINNET_ASK_NOTHING)
LINNET_PAIRS_TILE(AskingTile, 1, LINNET_ROWS_1, LINNET_ASK)
LINNET_PAIRS_TILE(PairsTile, 2, LINNET_ROWS_2, LINNET_ASK_NOTHING)
LINNET_PAIRS_TILE(AskingTile, 2, LINNET_ROWS_2, LINNET_ASK)
LINNET_PAIRS_TILE(PairsTile, 3, LINNET_ROWS_3, LINNET_ASK_NOTHING)
LINNET_PAIRS_TILE(AskingTile, 3, LINNET_ROWS_3, LINNET_ASK)
LINNET_PAIRS_TILE(PairsTile, 4, LINNET_ROWS_4, LINNET_ASK_NOTHING)
LINNET_PAIRS_TILE(AskingTile, 4, LINNET_ROWS_4, LINNET_ASK)
LINNET_PAIRS_TILE(PairsTile, 5, LINNET_ROWS_5, LINNET_ASK_NOTHING)
LINNET_PAIRS_TILE(AskingTile, 5, LINNET_ROWS_5, LINNET_ASK)
LINNET_PAIRS_TILE(PairsTile, 6, LINNET_ROWS_6, LINNET_ASK_NOTHING)
LINNET_PAIRS_TILE(AskingTile, 6, LINNET_ROWS_6, LINNET_ASK)
constexpr void (*kPairsTiles[])(const PairsTile&) = {nullptr, PairsTile1, PairsTile2, PairsTile3, PairsTile4, PairsTile5, PairsTile6};
constexpr void (*kAskingTiles[])(const PairsTile&) = {nullptr, AskingTile1, AskingTile2, AskingTile3, AskingTile4, AskingTile5, AskingTile6};

// The products of a call. Sums begin with the offsets.
class PairsProduct {
 public:
  PairsProduct(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, const int32_t* row_sums)
      : job_(job), rows_(rows), row0_(row0), row_sums_(row_sums), panel_bytes_(PaddedK(job.k) * kPanelColumns),
        fours_((job.k + 3) / 4), finish_(job.finish) {
    finish_.offset = nullptr;
  }

  void Run(int64_t row1, int64_t panel0, int64_t panel1) {
    if (row1 - row0_ < (job_.orders ? kOrderedRows : kSortedRows) || fours_ > kFoursMax) return Unsorted(row1, panel0, panel1);
    int32_t at[kFoursMax];
    for (int64_t i = 0; i < fours_; ++i) {
      const int64_t k = i * 4;
      at[i] = static_cast<int32_t>(rows_.offsets ? rows_.offsets[k / rows_.step] + k % rows_.step : k);
    }
    const int64_t row_bytes = std::max<int64_t>(rows_.offsets ? rows_.row_stride : fours_ * 4, 1);
    const int64_t most = std::clamp<int64_t>(kChunkBytes / row_bytes / kTileRows, 8, kTilesMax) * kTileRows;
    const int64_t count = row1 - row0_, chunks = (count + most - 1) / most;
    int64_t row = row0_;
    for (int64_t i = 0; i < chunks; ++i) {
      for (const int64_t end = row0_ + count * (i + 1) / chunks; row < end;) row = Chunk(row, end, at, panel0, panel1);
    }
  }

 private:
  const uint8_t* At(int64_t row) const { return rows_.a + row * rows_.row_stride; }
  const int32_t* OffsetOf(int64_t panel) const {
    alignas(32) static constexpr int32_t kZeros[kPanelColumns] = {};
    return job_.finish.offset ? job_.finish.offset + panel * kPanelColumns : kZeros;
  }
  PanelOrder* OrderOf(int64_t panel) const {
    return job_.orders ? reinterpret_cast<PanelOrder*>(job_.orders + panel * PanelOrderBytesInt8(job_.k)) : nullptr;
  }
  void Finish(const int32_t* sums, int64_t row, int64_t count, int64_t panel) {
    const int64_t column = panel * kPanelColumns, columns = std::min(job_.n - column, kPanelColumns);
    ForRowsOfC(rows_.pitch, rows_.valid, rows_.c_row, row, count, [&](int64_t c_row, int64_t at, int64_t n) {
      Int8Finish(finish_, sums + at * kPanelColumns, row_sums_ ? row_sums_ + (row + at - row0_) : nullptr, c_row, static_cast<int>(n),
                 column, columns);
    });
  }

  // Lines of C, and of what is added to it, lie far apart: they come while the tile is computed.
  void AskForC(int64_t row, int rows, int64_t panel) const {
    const int64_t column = panel * kPanelColumns, c_row = rows_.c_row + row;
    const float* residual = finish_.epilogue.residual;
    if (residual) residual += c_row * finish_.epilogue.residual_row_stride + column;
    float* c = static_cast<float*>(finish_.c) + c_row * finish_.c_row_stride + column;
    for (int r = 0; r < rows; ++r, c += finish_.c_row_stride) {
      __builtin_prefetch(c, 1);
      if (residual) __builtin_prefetch(residual + r * finish_.epilogue.residual_row_stride);
    }
  }

  // A tile of some rows of A, and how many classes are fast for it.
  struct Part {
    int64_t row;
    int rows, classes;
  };

  // Cuts rows from `row` on, up to `end` at most, into tiles of about the same height, six rows or five as a rule; where the output has
  // long lines, only the rows of A that are pixels of it. Returns where it came to.
  int64_t Cut(int64_t row, int64_t end, Part* parts, int64_t* count) const {
    *count = 0;
    const bool lines = rows_.pitch != 0 && rows_.valid >= kLineRowsInt8;
    while (row < end) {
      int64_t stop = end, next = end;   // of what is cut into even parts, and where the next such begins
      if (lines) {
        const int64_t line = row / rows_.pitch * rows_.pitch;
        stop = std::min(end, line + rows_.valid), next = std::min(end, line + rows_.pitch);
        if (row >= stop) {
          row = next;
          continue;
        }
      }
      const int64_t left = stop - row, tiles = (left + kTileRows - 1) / kTileRows;
      if (*count + tiles > kTilesMax) return row;
      for (int64_t i = 0; i < tiles; ++i) {
        const int height = static_cast<int>((left + i) / tiles);   // the sum over all i is `left`
        parts[(*count)++] = {row, height, ClassesFor(LargestByte(rows_, At(row), height, fours_))};
        row += height;
      }
      row = next;
    }
    return end;
  }

  // Rows [row, end) by all panels, or as many as tiles can be kept of. Returns where it came to.
  int64_t Chunk(int64_t row, int64_t end, const int32_t* at, int64_t panel0, int64_t panel1) {
    Part parts[kTilesMax];
    int64_t count = 0;
    end = Cut(row, end, parts, &count);
    if (count == 0) return end;
    int least = kClasses, most = 0;
    for (const Part* part = parts; part < parts + count; ++part) {
      least = std::min(least, part->classes), most = std::max(most, part->classes);
    }
    PanelOrder made;
    SortedPanel sorted(rows_.copies, fours_);
    alignas(64) int32_t sums[kFinishedRows * kPanelColumns];
    PairsTile tile;
    tile.stride = rows_.row_stride;
    tile.at = sorted.at, tile.end = sorted.at + fours_, tile.bytes = sorted.bytes;
    const bool floats = finish_.to == FinishInt8::To::kFloat && rows_.pitch == 0;
    for (int64_t panel = panel0; panel < panel1; ++panel) {
      const int8_t* from = job_.panels + panel * panel_bytes_;
      tile.offset = OffsetOf(panel);
      const PanelOrder& order = PanelOrder::Of(from, fours_, OrderOf(panel), made);
      sorted.Copy(from, at, order, least, most);
      tile.ahead = from + panel_bytes_ - sorted.bytes;
      int64_t first = parts->row, finished = 0;   // rows [first, first + finished) wait in `sums`
      for (const Part* part = parts; part < parts + count; ++part) {
        if (part->row != first + finished || finished + part->rows > kFinishedRows) {
          Finish(sums, first, finished, panel);
          first = part->row, finished = 0;
        }
        if (floats) AskForC(part->row, part->rows, panel);
        tile.a = At(part->row);
        tile.safe = sorted.at + order.ends[part->classes];
        tile.words = sorted.words + (order.ends[part->classes] - order.ends[least]) * kRow;
        tile.sums = sums + finished * kPanelColumns;
        (part == parts ? kAskingTiles : kPairsTiles)[part->rows](tile);
        finished += part->rows;
        for (int64_t i = part == parts ? order.ends[part->classes] : fours_; i < fours_; ++i) {   // what that has not asked for
          __builtin_prefetch(from + panel_bytes_ + i * kRow, 0, 2);
        }
      }
      Finish(sums, first, finished, panel);
    }
    return end;
  }

  // One row by kPanels panels side by side. Its bytes are split, a = 2 h + l with l one bit: pairs of h w fit 16 bits whatever the
  // weights are, and many pairs of l w can be added there.
  template <int kPanels>
  void One(int64_t row, int64_t panel) {
    constexpr int64_t kBitsMax = 64;   // fours whose l w add up to 16 bits
    const __m256i one_bits = _mm256_set1_epi8(1), seven_bits = _mm256_set1_epi8(0x7f), ones = _mm256_set1_epi16(1);
    const int8_t* b = job_.panels + panel * panel_bytes_;
    __m256i high[2 * kPanels], low[2 * kPanels];
    LINNET_UNROLL
    for (int i = 0; i < 2 * kPanels; ++i) high[i] = low[i] = _mm256_setzero_si256();
    const int64_t pieces = rows_.offsets ? rows_.steps : 1, step = rows_.offsets ? rows_.step / 4 : fours_;
    for (int64_t s = 0; s < pieces; ++s) {
      const uint8_t* a = At(row) + (rows_.offsets ? rows_.offsets[s] : 0);
      for (int64_t left = step; left > 0; left -= kBitsMax) {
        __m256i bits[2 * kPanels];
        LINNET_UNROLL
        for (int i = 0; i < 2 * kPanels; ++i) bits[i] = _mm256_setzero_si256();
        for (int64_t k = std::min(left, kBitsMax); k > 0; --k, a += 4, b += kRow) {
          int32_t four;
          memcpy(&four, a, sizeof(four));
          const __m256i all = _mm256_set1_epi32(four);
          const __m256i l = _mm256_and_si256(all, one_bits), h = _mm256_and_si256(_mm256_srli_epi16(all, 1), seven_bits);
          LINNET_UNROLL
          for (int i = 0; i < 2 * kPanels; ++i) {
            const int8_t* at = b + i / 2 * panel_bytes_ + i % 2 * 32;
            if (i % 2 == 0) __builtin_prefetch(at + kFewAhead);
            const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
            high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(_mm256_maddubs_epi16(h, w), ones));
            bits[i] = _mm256_add_epi16(bits[i], _mm256_maddubs_epi16(l, w));
          }
        }
        LINNET_UNROLL
        for (int i = 0; i < 2 * kPanels; ++i) low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(bits[i], ones));
      }
    }
    alignas(64) int32_t sums[kPanels * kPanelColumns];
    LINNET_UNROLL
    for (int i = 0; i < 2 * kPanels; ++i) {
      const __m256i offset = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(OffsetOf(panel + i / 2)) + i % 2);
      const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(_mm256_slli_epi32(high[i], 1), low[i]), offset);
      _mm256_store_si256(reinterpret_cast<__m256i*>(sums) + i, sum);
    }
    for (int i = 0; i < kPanels; ++i) Finish(sums + i * kPanelColumns, row, 1, panel + i);
  }
  void OneRow(int64_t row, int64_t panel0, int64_t panel1) {
    for (; panel0 + 2 <= panel1; panel0 += 2) One<2>(row, panel0);
    if (panel0 < panel1) One<1>(row, panel0);
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
          case 1: OneRow(row, panel0, end); break;
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
