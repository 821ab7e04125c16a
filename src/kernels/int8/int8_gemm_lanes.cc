// 8-bit products on 64-bit Arm with dot products: tiles in assembly that multiply by lanes and, of most products, make bytes of the
// sums before they leave the registers, in two ways (int8_plain.h).
//
// Six rows of A at a time are copied as signed bytes, four k of each row side by side, so that one load brings two steps over k:
//
//     k: 0 of rows 0 1 2 3 | 4 5, k: 4 of rows 0 1 | 2 3 4 5       each four bytes, a lane
//
// Fewer rows are copied as six, of which the last are never used; single rows as they are. A panel's row has four k of 16 columns.
#include <stddef.h>
#include <string.h>

#include <algorithm>

#include "kernels/int8/int8_gemm.h"
#include "kernels/tiles/strip.h"

#if defined(__aarch64__)

#include "kernels/int8/int8_plain.h"
#include "kernels/tiles/lanes_asm.h"

namespace linnet {
namespace {

constexpr int kRowsMax = kTileRowsInt8;
static_assert(kRowsMax == 6);

/// Tiles of some rows each, one below the other, of one panel. The assembly knows where members lie.
struct DotTiles {
  const uint8_t* a;            ///< copied rows
  const int8_t* b;             ///< the panel
  int64_t steps;               ///< over k, of four
  const int32_t* first;        ///< what sums begin with
  const float* scale;          ///< null: sums are stored as they are
  const float* less;           ///< null: rounding needs care
  void* c;
  int64_t c_stride;            ///< bytes from row to row
  int64_t tiles;               ///< at least one
  int16_t zero;                ///< is added to what is rounded
  uint8_t least, most, flip;   ///< bounds of bytes, and what is turned in them at last
};
static_assert(offsetof(DotTiles, steps) == 16 && offsetof(DotTiles, scale) == 32 && offsetof(DotTiles, c) == 48 &&
              offsetof(DotTiles, tiles) == 64 && offsetof(DotTiles, zero) == 72 && offsetof(DotTiles, least) == 74 &&
              offsetof(DotTiles, flip) == 76);

// Sums of row r are in v(8 + 4 r) to v(11 + 4 r), a row of B in v0 to v3, A in v4 to v6: of a pair of steps the lanes of the first, and of
// the second. A is read from x10, B from x7; x12 is what a single step has of A.
#define LINNET_SDOTS(s0, s1, s2, s3, a, lane)                                                                        \
  "sdot v" #s0 ".4s, v0.16b, v" #a ".4b[" #lane "]\n sdot v" #s1 ".4s, v1.16b, v" #a ".4b[" #lane "]\n"              \
  "sdot v" #s2 ".4s, v2.16b, v" #a ".4b[" #lane "]\n sdot v" #s3 ".4s, v3.16b, v" #a ".4b[" #lane "]\n"
#define LINNET_ROW_OF_B "ld1 {v0.16b, v1.16b, v2.16b, v3.16b}, [x7], #64\n"
#define LINNET_EVEN_2 LINNET_ROW_OF_B LINNET_SDOTS(8, 9, 10, 11, 4, 0) LINNET_SDOTS(12, 13, 14, 15, 4, 1)
#define LINNET_EVEN_3 LINNET_EVEN_2 LINNET_SDOTS(16, 17, 18, 19, 4, 2)
#define LINNET_EVEN_4 LINNET_EVEN_3 LINNET_SDOTS(20, 21, 22, 23, 4, 3)
#define LINNET_EVEN_5 LINNET_EVEN_4 LINNET_SDOTS(24, 25, 26, 27, 5, 0)
#define LINNET_EVEN_6 LINNET_EVEN_5 LINNET_SDOTS(28, 29, 30, 31, 5, 1)
#define LINNET_ODD_2 LINNET_ROW_OF_B LINNET_SDOTS(8, 9, 10, 11, 5, 2) LINNET_SDOTS(12, 13, 14, 15, 5, 3)
#define LINNET_ODD_3 LINNET_ODD_2 LINNET_SDOTS(16, 17, 18, 19, 6, 0)
#define LINNET_ODD_4 LINNET_ODD_3 LINNET_SDOTS(20, 21, 22, 23, 6, 1)
#define LINNET_ODD_5 LINNET_ODD_4 LINNET_SDOTS(24, 25, 26, 27, 6, 2)
#define LINNET_ODD_6 LINNET_ODD_5 LINNET_SDOTS(28, 29, 30, 31, 6, 3)
#define LINNET_TWO_STEPS(rows) "ld1 {v4.16b, v5.16b, v6.16b}, [x10], #48\n" LINNET_EVEN_##rows LINNET_ODD_##rows
#define LINNET_ONE_OF(lane) LINNET_ROW_OF_B LINNET_SDOTS(8, 9, 10, 11, 4, lane)
#define LINNET_FOUR_STEPS_1 "ldr q4, [x10], #16\n" LINNET_ONE_OF(0) LINNET_ONE_OF(1) LINNET_ONE_OF(2) LINNET_ONE_OF(3)
#define LINNET_FOUR_STEPS_2 LINNET_TWO_STEPS(2) LINNET_TWO_STEPS(2)
#define LINNET_FOUR_STEPS_3 LINNET_TWO_STEPS(3) LINNET_TWO_STEPS(3)
#define LINNET_FOUR_STEPS_4 LINNET_TWO_STEPS(4) LINNET_TWO_STEPS(4)
#define LINNET_FOUR_STEPS_5 LINNET_TWO_STEPS(5) LINNET_TWO_STEPS(5)
#define LINNET_FOUR_STEPS_6 LINNET_TWO_STEPS(6) LINNET_TWO_STEPS(6)
#define LINNET_LOAD_STEP "ld1 {v4.16b, v5.16b}, [x10], x12\n"
#define LINNET_STEP_OF_1 "ldr s4, [x10], #4\n" LINNET_ONE_OF(0)
#define LINNET_STEP_OF_2 LINNET_LOAD_STEP LINNET_EVEN_2
#define LINNET_STEP_OF_3 LINNET_LOAD_STEP LINNET_EVEN_3
#define LINNET_STEP_OF_4 LINNET_LOAD_STEP LINNET_EVEN_4
#define LINNET_STEP_OF_5 LINNET_LOAD_STEP LINNET_EVEN_5
#define LINNET_STEP_OF_6 LINNET_LOAD_STEP LINNET_EVEN_6

// 6H: six rows by 8 columns, whose sums are the first two of each row's four.
#define LINNET_HALF_SDOTS(s0, s1, a, lane) \
  "sdot v" #s0 ".4s, v0.16b, v" #a ".4b[" #lane "]\n sdot v" #s1 ".4s, v1.16b, v" #a ".4b[" #lane "]\n"
#define LINNET_HALF_ROW_OF_B "ld1 {v0.16b, v1.16b}, [x7], x14\n"
#define LINNET_EVEN_6H                                                                                               \
  LINNET_HALF_ROW_OF_B LINNET_HALF_SDOTS(8, 9, 4, 0) LINNET_HALF_SDOTS(12, 13, 4, 1) LINNET_HALF_SDOTS(16, 17, 4, 2)  \
  LINNET_HALF_SDOTS(20, 21, 4, 3) LINNET_HALF_SDOTS(24, 25, 5, 0) LINNET_HALF_SDOTS(28, 29, 5, 1)
#define LINNET_ODD_6H                                                                                                \
  LINNET_HALF_ROW_OF_B LINNET_HALF_SDOTS(8, 9, 5, 2) LINNET_HALF_SDOTS(12, 13, 5, 3) LINNET_HALF_SDOTS(16, 17, 6, 0)  \
  LINNET_HALF_SDOTS(20, 21, 6, 1) LINNET_HALF_SDOTS(24, 25, 6, 2) LINNET_HALF_SDOTS(28, 29, 6, 3)
#define LINNET_FOUR_STEPS_6H "mov x14, #64\n" LINNET_TWO_STEPS(6H) LINNET_TWO_STEPS(6H)
#define LINNET_STEP_OF_6H "mov x14, #64\n" LINNET_LOAD_STEP LINNET_EVEN_6H
#define LINNET_OF_ROWS_6H LINNET_OF_ROWS_6

// Sums become bytes and are stored: with care, or plainly, with their scales in v4 to v7 and what is added at x25.
#define LINNET_CAREFUL_ROW(s0, s1, s2, s3) LINNET_BYTES(s0, s1, s2, s3) "st1 {v" #s0 ".16b}, [x22], x23\n"
#define LINNET_PLAIN_ROW(s0, s1, s2, s3) \
  "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x25]\n" LINNET_PLAIN_BYTES(s0, s1, s2, s3) "st1 {v0.16b}, [x22], x23\n"
#define LINNET_OF_ROWS_1(row) row(8, 9, 10, 11)
#define LINNET_OF_ROWS_2(row) LINNET_OF_ROWS_1(row) row(12, 13, 14, 15)
#define LINNET_OF_ROWS_3(row) LINNET_OF_ROWS_2(row) row(16, 17, 18, 19)
#define LINNET_OF_ROWS_4(row) LINNET_OF_ROWS_3(row) row(20, 21, 22, 23)
#define LINNET_OF_ROWS_5(row) LINNET_OF_ROWS_4(row) row(24, 25, 26, 27)
#define LINNET_OF_ROWS_6(row) LINNET_OF_ROWS_5(row) row(28, 29, 30, 31)
#define LINNET_ROW_OF_SUMS(s0, s1, s2, s3) "stp q" #s0 ", q" #s1 ", [x22]\n stp q" #s2 ", q" #s3 ", [x22, #32]\n add x22, x22, x23\n"
// What tiles begin with, and how they end: all of it, or from label 6 on.
#define LINNET_BEGIN_TILES                                                                                           \
  "ldp x10, x17, [%[t]]\n ldp x26, x13, [%[t], #16]\n ldp x24, x25, [%[t], #32]\n ldp x22, x23, [%[t], #48]\n"      \
  "ldr x16, [%[t], #64]\n mov x12, #24\n mov x20, #0\n"
#define LINNET_END_TILE(rows)                                                                                        \
  "6:\n cbz x25, 9f\n ld1 {v4.4s, v5.4s, v6.4s, v7.4s}, [x24]\n" rows(LINNET_PLAIN_ROW)                              \
  "8:\n subs x16, x16, #1\n b.ne 1b\n b 10f\n"                                                                      \
  "9:\n cbz x24, 7f\n ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x24]\n add x14, %[t], #72\n ld1r {v4.8h}, [x14], #2\n"                    \
  "ld1r {v5.16b}, [x14], #1\n ld1r {v6.16b}, [x14], #1\n ld1r {v7.16b}, [x14]\n" rows(LINNET_CAREFUL_ROW) "b 8b\n"   \
  "7:\n" rows(LINNET_ROW_OF_SUMS) "b 8b\n10:\n"

#define LINNET_DOT_TILES(rows)                                                                                       \
  asm volatile(                                                                                                      \
      ".arch armv8.2-a+dotprod+crypto\n" LINNET_BEGIN_TILES "lsr x11, x26, #2\n and x15, x26, #3\n"                  \
      "1:\n mov x7, x17\n" LINNET_LOAD_SUMS_##rows "mov x8, x11\n cbz x8, 4f\n"                                     \
      "3:\n" LINNET_FOUR_STEPS_##rows "subs x8, x8, #1\n b.ne 3b\n"                                                 \
      "4:\n cbz x15, 6f\n mov x8, x15\n"                                                                            \
      "5:\n" LINNET_STEP_OF_##rows "subs x8, x8, #1\n b.ne 5b\n" LINNET_END_TILE(LINNET_OF_ROWS_##rows)             \
      :                                                                                                              \
      : [t] "r"(&t)                                                                                                  \
      : LINNET_LANE_CLOBBERS)

/// Half a panel is multiplied of the highest tiles only.
template <int kRows, bool kHalf = false>
[[gnu::noinline]] void RunDotTiles(const DotTiles& t) {
  if constexpr (kRows == 1) LINNET_DOT_TILES(1);
  if constexpr (kRows == 2) LINNET_DOT_TILES(2);
  if constexpr (kRows == 3) LINNET_DOT_TILES(3);
  if constexpr (kRows == 4) LINNET_DOT_TILES(4);
  if constexpr (kRows == 5) LINNET_DOT_TILES(5);
  if constexpr (kRows == 6 && !kHalf) LINNET_DOT_TILES(6);
  if constexpr (kRows == 6 && kHalf) LINNET_DOT_TILES(6H);
}

// Products of pairs of rows and pairs of columns, eight k at a time (smmla): two rows of a panel, interleaved by columns, are what the
// instruction reads, and sums come as 2 x 2 squares. Those of rows 2 p and 2 p + 1 are in v(8 + 8 p) to v(15 + 8 p).
#define LINNET_SMMLA(p0, p1, p2, b) \
  "smmla v" #p0 ".4s, v0.16b, v" #b ".16b\n smmla v" #p1 ".4s, v1.16b, v" #b ".16b\n smmla v" #p2 ".4s, v2.16b, v" #b ".16b\n"
#define LINNET_SQUARES(p0, p1, p2, q0, q1, q2, even, odd)                                                            \
  "zip1 v7.4s, v" #even ".4s, v" #odd ".4s\n zip2 v" #even ".4s, v" #even ".4s, v" #odd ".4s\n"                      \
  LINNET_SMMLA(p0, p1, p2, 7) LINNET_SMMLA(q0, q1, q2, even)
#define LINNET_SQUARES_LEFT LINNET_SQUARES(8, 16, 24, 9, 17, 25, 3, 5) LINNET_SQUARES(10, 18, 26, 11, 19, 27, 4, 6)
#define LINNET_SQUARES_RIGHT LINNET_SQUARES(12, 20, 28, 13, 21, 29, 3, 5) LINNET_SQUARES(14, 22, 30, 15, 23, 31, 4, 6)
#define LINNET_DUP(p0, p1, p2, first, half) \
  "dup v" #p0 ".2d, v" #first ".d[" #half "]\n dup v" #p1 ".2d, v" #first ".d[" #half "]\n dup v" #p2 ".2d, v" #first ".d[" #half "]\n"
// Rows of a pair of rows: the first in v(t), v(a), v(c), v(e), the second in v(b), v(d), v(f), v(h); v(g) is free.
#define LINNET_ROWS_OF(t, a, b, c, d, e, f, g, h) \
  LINNET_ZIPS(t, b, a, b) LINNET_ZIPS(a, d, c, d) LINNET_ZIPS(c, f, e, f) LINNET_ZIPS(e, h, g, h)
#define LINNET_ZIPS(to0, to1, x, y) \
  "zip1 v" #to0 ".2d, v" #x ".2d, v" #y ".2d\n zip2 v" #to1 ".2d, v" #x ".2d, v" #y ".2d\n"
#define LINNET_SIX_ROWS(row) \
  row(30, 8, 10, 12) row(9, 11, 13, 15) row(14, 16, 18, 20) row(17, 19, 21, 23) row(22, 24, 26, 28) row(25, 27, 29, 31)

/// Tiles of 6 rows.
[[gnu::noinline]] void RunSquareTiles(const DotTiles& t) {
  asm volatile(
      ".arch armv8.2-a+dotprod+crypto+i8mm\n" LINNET_BEGIN_TILES
      "1:\n mov x7, x17\n ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x13]\n"
      LINNET_DUP(8, 16, 24, 0, 0) LINNET_DUP(9, 17, 25, 0, 1) LINNET_DUP(10, 18, 26, 1, 0) LINNET_DUP(11, 19, 27, 1, 1)
      LINNET_DUP(12, 20, 28, 2, 0) LINNET_DUP(13, 21, 29, 2, 1) LINNET_DUP(14, 22, 30, 3, 0) LINNET_DUP(15, 23, 31, 3, 1)
      "lsr x8, x26, #1\n cbz x8, 4f\n"
      "3:\n ld1 {v3.16b, v4.16b, v5.16b}, [x10], #48\n subs x8, x8, #1\n ext v6.16b, v4.16b, v5.16b, #8\n ext v5.16b, v5.16b, v5.16b, #8\n"
      "zip1 v0.4s, v3.4s, v6.4s\n zip2 v1.4s, v3.4s, v6.4s\n zip1 v2.4s, v4.4s, v5.4s\n"
      "ldp q3, q4, [x7]\n ldp q5, q6, [x7, #64]\n" LINNET_SQUARES_LEFT
      "ldp q3, q4, [x7, #32]\n ldp q5, q6, [x7, #96]\n add x7, x7, #128\n" LINNET_SQUARES_RIGHT "b.ne 3b\n"
      "4:\n tbz x26, #0, 5f\n"
      LINNET_LOAD_STEP "movi v6.4s, #0\n zip1 v0.4s, v4.4s, v6.4s\n zip2 v1.4s, v4.4s, v6.4s\n zip1 v2.4s, v5.4s, v6.4s\n"
      "movi v5.4s, #0\n ldp q3, q4, [x7]\n" LINNET_SQUARES_LEFT "ldp q3, q4, [x7, #32]\n movi v6.4s, #0\n" LINNET_SQUARES_RIGHT
      "5:\n"
      LINNET_ROWS_OF(7, 8, 9, 10, 11, 12, 13, 14, 15) LINNET_ROWS_OF(14, 16, 17, 18, 19, 20, 21, 22, 23)
      LINNET_ROWS_OF(22, 24, 25, 26, 27, 28, 29, 30, 31) "mov v30.16b, v7.16b\n" LINNET_END_TILE(LINNET_SIX_ROWS)
      :
      : [t] "r"(&t)
      : LINNET_LANE_CLOBBERS);
}

/// n bytes, a multiple of 4, of each of six rows, side by side and with the bits of `flip` turned, and so on for `tiles` times six rows, each
/// `step` bytes behind those before. Returns the end.
uint8_t* CopySix(const uint8_t* const rows[kRowsMax], int64_t n, int64_t tiles, int64_t step, uint8_t flip, uint8_t* to) {
  if (n < 16) {
    for (int64_t from = 0; tiles > 0; --tiles, from += step) {
      for (int64_t i = from; i < from + n; i += 4) {
        for (int r = 0; r < kRowsMax; ++r, to += 4) {
          uint32_t four;
          memcpy(&four, rows[r] + i, 4);
          four ^= flip * 0x01010101u;
          memcpy(to, &four, 4);
        }
      }
    }
    return to;
  }
  // What is left behind the last sixteen is done with what is before it.
  asm volatile(
      "ldp x1, x2, [%[rows]]\n ldp x3, x4, [%[rows], #16]\n ldp x5, x6, [%[rows], #32]\n dup v7.16b, %w[flip]\n"
      "sub x10, %[step], %[n]\n"
      "3:\n lsr x8, %[n], #4\n and x9, %[n], #15\n"
      "1:\n ldr q0, [x1], #16\n ldr q1, [x2], #16\n ldr q2, [x3], #16\n ldr q3, [x4], #16\n ldr q4, [x5], #16\n ldr q5, [x6], #16\n"
      "subs x8, x8, #1\n eor v0.16b, v0.16b, v7.16b\n eor v1.16b, v1.16b, v7.16b\n eor v2.16b, v2.16b, v7.16b\n"
      "eor v3.16b, v3.16b, v7.16b\n eor v4.16b, v4.16b, v7.16b\n eor v5.16b, v5.16b, v7.16b\n"
      "zip1 v16.4s, v0.4s, v1.4s\n zip1 v17.4s, v2.4s, v3.4s\n zip1 v18.4s, v4.4s, v5.4s\n zip2 v19.4s, v0.4s, v1.4s\n"
      "zip2 v20.4s, v2.4s, v3.4s\n zip2 v21.4s, v4.4s, v5.4s\n st3 {v16.2d, v17.2d, v18.2d}, [%[to]], #48\n"
      "st3 {v19.2d, v20.2d, v21.2d}, [%[to]], #48\n b.ne 1b\n cbz x9, 2f\n"
      "sub x9, x9, #16\n add x1, x1, x9\n add x2, x2, x9\n add x3, x3, x9\n add x4, x4, x9\n add x5, x5, x9\n add x6, x6, x9\n"
      "add x9, x9, x9, lsl #1\n add %[to], %[to], x9, lsl #1\n mov x9, #0\n mov x8, #1\n b 1b\n"
      "2:\n subs %[tiles], %[tiles], #1\n add x1, x1, x10\n add x2, x2, x10\n add x3, x3, x10\n add x4, x4, x10\n add x5, x5, x10\n"
      "add x6, x6, x10\n b.ne 3b\n"
      : [to] "+&r"(to), [tiles] "+&r"(tiles)
      : [rows] "r"(rows), [n] "r"(n), [step] "r"(step), [flip] "r"(flip)
      : "memory", "cc", "x1", "x2", "x3", "x4", "x5", "x6", "x8", "x9", "x10", "v0", "v1", "v2", "v3", "v4", "v5", "v7", "v16", "v17", "v18",
        "v19", "v20", "v21");
  return to;
}

// A small build has two heights of tiles, no halves of panels and no products of squares.
#if defined(LINNET_SMALL)
constexpr bool kFewTiles = true;
#else
constexpr bool kFewTiles = false;
#endif

/// The highest tile of so many rows.
int64_t TileHeight(int64_t rows) { return rows >= kRowsMax ? kRowsMax : kFewTiles ? std::min<int64_t>(rows, 1) : rows; }

/// Rows of A in the order of tiles, and how a panel is multiplied with them.
class Rows {
 public:
  Rows(const RowsInt8& rows, int64_t k) : rows_(rows) {
    static constexpr int64_t kOnePiece[] = {0};
    pieces_ = rows.offsets ? rows.offsets : kOnePiece;
    count_ = rows.offsets ? rows.steps : 1;
    piece_ = rows.offsets ? rows.step : (k + 3) / 4 * 4;
  }

  int64_t steps() const { return count_ * piece_ / 4; }
  /// Copies of so many rows fit.
  int64_t fit() const {
    const int64_t tiles = (rows_.copies_bytes - kTilesBeyond) / std::max<int64_t>(steps() * 4 * kRowsMax, 1);
    if (rows_.pitch == 0) return std::max<int64_t>(tiles, 1) * kRowsMax;
    return std::max<int64_t>((tiles - 2) * kRowsMax * rows_.pitch / (rows_.pitch + kRowsMax), 1);
  }

  /// Copies n rows.
  uint8_t* Copy(int64_t row, int64_t n, uint8_t* to) const {
    const uint8_t flip = rows_.is_signed ? 0 : 0x80;
    for (int64_t height, tiles; n > 0; n -= tiles * height, row += tiles * height) {
      height = TileHeight(n);
      tiles = count_ == 1 && height == kRowsMax ? n / height : 1;
      for (int64_t p = 0; p < count_; ++p) {
        const uint8_t* from = rows_.a + row * rows_.row_stride + pieces_[p];
        if (height == 1) {
          CopyFlippedInt8(from, piece_, flip, to);
          to += piece_;
          continue;
        }
        const uint8_t* at[kRowsMax];
        for (int r = 0; r < kRowsMax; ++r, from += r < height ? rows_.row_stride : 0) at[r] = from;
        to = CopySix(at, piece_, tiles, height * rows_.row_stride, flip, to);
      }
    }
    return to;
  }

  /// Multiplies n copied rows at t.a, to t.c, and steps on.
  void Run(DotTiles& t, int64_t n, decltype(&RunDotTiles<1>) highest) const {
    for (int64_t height; n > 0; n -= t.tiles * height) {
      height = TileHeight(n);
      t.tiles = n / height;
      if constexpr (kFewTiles) {
        (height == kRowsMax ? highest : RunDotTiles<1>)(t);
      } else {
        static constexpr decltype(&RunDotTiles<1>) kRest[] = {nullptr,        RunDotTiles<1>, RunDotTiles<2>,
                                                              RunDotTiles<3>, RunDotTiles<4>, RunDotTiles<5>};
        (height == kRowsMax ? highest : kRest[height])(t);
      }
      t.a += t.tiles * (height > 1 ? kRowsMax : 1) * steps() * 4;
      t.c = static_cast<char*>(t.c) + t.tiles * height * t.c_stride;
    }
  }

 private:
  const RowsInt8& rows_;
  const int64_t* pieces_;
  int64_t count_, piece_;   // where the pieces of a row of A are, and their bytes
};

/// NaN, which rounding would make zero, is not among the products.
bool AllFinite(const float* scale) {
  bool finite = true;
  for (int i = 0; i < kPanelColumns; ++i) {
    uint32_t bits;
    memcpy(&bits, scale + i, sizeof(bits));
    finite &= (bits & 0x7f800000) != 0x7f800000;
  }
  return finite;
}

void RunTiles(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
              const int32_t* row_sums, decltype(&RunDotTiles<1>) highest) {
  static constexpr int32_t kZeros[kPanelColumns] = {};
  const FinishInt8& f = job.finish;
  const bool to_signed = f.to == FinishInt8::To::kInt8;
  const bool bytes = (to_signed || f.to == FinishInt8::To::kUint8) && !f.column_zero;
  const bool plain = PlainBytesInt8(f);
  const int32_t zero = f.zero + (to_signed ? 0x80 : 0);
  const Rows copied(rows, job.k);
  const int64_t chunk = copied.fit();
  int32_t first[kPanelColumns];
  float less[kPanelColumns];
  DotTiles t;
  t.steps = copied.steps();
  t.flip = to_signed ? 0x80 : 0;
  for (int64_t row = row0; row < row1; row += chunk) {
    const int64_t count = std::min(chunk, row1 - row);
    auto for_rows = [&](auto run) { ForRowsOfC(rows.pitch, rows.valid, rows.c_row, row, count, run); };
    uint8_t* end = rows.copies;
    for_rows([&](int64_t, int64_t at, int64_t n) { end = copied.Copy(row + at, n, end); });
    for (int64_t p = panel1; p-- > panel0;) {
      const int64_t column = p * kPanelColumns, columns = std::min(kPanelColumns, job.n - column);
      const float* scale = f.scale + (f.one_scale || !f.scale ? 0 : column);
      // Of a panel with fewer columns, bytes go beyond a row, to where the first panel comes later; the last tile is done apart.
      const bool beyond = columns < kPanelColumns && p > 0 && panel0 == 0 && f.c_row_stride == job.n && rows.pitch == 0;
      bool whole = bytes && (columns == kPanelColumns || beyond);
      t.b = job.panels + p * PaddedK(job.k) * kPanelColumns;
      t.first = whole && f.offset ? f.offset + column : kZeros;
      t.less = nullptr;
      if (whole && plain && PlainScalesInt8(t.first, scale, job.k, first, less)) {
        t.first = first, t.less = less;
      } else if (whole && (whole = AllFinite(scale))) {
        t.zero = static_cast<int16_t>(zero);
        t.least = static_cast<uint8_t>(static_cast<int32_t>(f.low) + zero);
        t.most = static_cast<uint8_t>(static_cast<int32_t>(f.high) + zero);
      }
      if (!whole) t.first = kZeros;
      t.scale = whole ? scale : nullptr;
      t.a = rows.copies;
      const auto tiles = !kFewTiles && columns <= kPanelColumns / 2 ? RunDotTiles<kRowsMax, true> : highest;
      for_rows([&](int64_t c_row, int64_t at, int64_t n) {
        int64_t i = 0;
        if (whole) {
          t.c = static_cast<uint8_t*>(f.c) + c_row * f.c_row_stride + column;
          t.c_stride = f.c_row_stride;
          i = beyond ? (n - 1) / kRowsMax * kRowsMax : n;
          copied.Run(t, i, tiles);
          if (i == n) return;
          t.first = kZeros, t.scale = t.less = nullptr;
        }
        alignas(16) int32_t sums[kRowsMax * kPanelColumns];
        t.c_stride = kPanelColumns * sizeof(int32_t);
        for (; i < n; i += kRowsMax) {
          const int64_t now = std::min<int64_t>(kRowsMax, n - i);
          t.c = sums;
          copied.Run(t, now, tiles);
          job.kernels.finish(f, sums, row_sums ? row_sums + (row - row0) + at + i : nullptr, c_row + i, static_cast<int>(now), column,
                             columns);
        }
      });
    }
  }
}

}  // namespace

void CopyFlippedInt8(const uint8_t* from, int64_t n, uint8_t flip, uint8_t* to) {
  using Sixteen = uint8_t __attribute__((vector_size(16)));
  int64_t i = n & ~int64_t{63};
  if (i > 0) {
    asm volatile("dup v4.16b, %w[flip]\n1:\n ld1 {v0.16b, v1.16b, v2.16b, v3.16b}, [%[from]], #64\n subs %[n], %[n], #64\n"
                 "eor v0.16b, v0.16b, v4.16b\n eor v1.16b, v1.16b, v4.16b\n eor v2.16b, v2.16b, v4.16b\n eor v3.16b, v3.16b, v4.16b\n"
                 "st1 {v0.16b, v1.16b, v2.16b, v3.16b}, [%[to]], #64\n b.ne 1b\n"
                 : [from] "+r"(from), [to] "+r"(to), [n] "+r"(i)
                 : [flip] "r"(flip)
                 : "memory", "cc", "v0", "v1", "v2", "v3", "v4");
    n &= 63;
  }
  for (; i + 16 <= n; i += 16) {
    Sixteen v;
    memcpy(&v, from + i, 16);
    v ^= flip;
    memcpy(to + i, &v, 16);
  }
  for (; i < n; ++i) to[i] = from[i] ^ flip;
}

/// Int8Kernels::tiles.
void Int8TilesDotprod(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                      const int32_t* row_sums) {
  RunTiles(job, rows, row0, row1, panel0, panel1, row_sums, RunDotTiles<kRowsMax>);
}

/// The same where there are products of squares as well: they take longer to begin and to end, and less for each k.
void Int8TilesSquares(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                      const int32_t* row_sums) {
  constexpr int64_t kSquaresFrom = 40;
  RunTiles(job, rows, row0, row1, panel0, panel1, row_sums, kFewTiles || job.k < kSquaresFrom ? RunDotTiles<kRowsMax> : RunSquareTiles);
}

}  // namespace linnet

#endif  // 64-bit Arm
