// 8-bit products on 64-bit Arm with dot products: tiles in assembly that multiply by lanes and, of most products, make bytes of the
// sums before they leave the registers.
//
// Blocks of A and panels are signed bytes. A lane holds four k of a row of A, a panel's row four k of 16 columns: what the tiles of
// float32 do with one k (kernels/tiles/lanes_asm.h).
#include <stddef.h>
#include <string.h>

#include <algorithm>

#include "kernels/int8/int8_gemm.h"
#include "kernels/tiles/strip.h"

#if defined(__aarch64__)

#include "kernels/tiles/lanes_asm.h"

namespace linnet {
namespace {

/// Tiles of some rows each, one below the other, of one panel. The assembly knows where members lie.
struct DotTiles {
  const int64_t* pieces;
  const int64_t* pieces_end;   ///< where the pieces of a row of A are, from its begin
  const uint8_t* a;
  int64_t a_stride;            ///< from row to row
  const int8_t* b;             ///< the panel
  int64_t piece;               ///< bytes
  const int32_t* first;        ///< what sums begin with
  const float* scale;          ///< null: sums are stored as they are
  void* c;
  int64_t c_stride;            ///< bytes from row to row
  int64_t tiles;               ///< at least one
  int16_t zero;                ///< is added to what is rounded
  uint8_t least, most, flip;   ///< bounds of bytes, and what is turned in them at last
};
static_assert(offsetof(DotTiles, a) == 16 && offsetof(DotTiles, b) == 32 && offsetof(DotTiles, first) == 48 &&
              offsetof(DotTiles, c) == 64 && offsetof(DotTiles, tiles) == 80 && offsetof(DotTiles, zero) == 88 &&
              offsetof(DotTiles, least) == 90 && offsetof(DotTiles, flip) == 92);

#define LINNET_SDOT(sum, b, a, lane) "sdot v" #sum ".4s, v" #b ".16b, v" #a ".4b[" #lane "]\n"
#define LINNET_FOUR_STEPS(rows) \
  LINNET_STEP_##rows(LINNET_SDOT, 0) LINNET_STEP_##rows(LINNET_SDOT, 1) \
  LINNET_STEP_##rows(LINNET_SDOT, 2) LINNET_STEP_##rows(LINNET_SDOT, 3)

#define LINNET_ROW_OF_BYTES(s0, s1, s2, s3) LINNET_BYTES(s0, s1, s2, s3) "st1 {v" #s0 ".16b}, [x13], x23\n"
#define LINNET_STORE_BYTES_1 LINNET_ROW_OF_BYTES(8, 9, 10, 11)
#define LINNET_STORE_BYTES_2 LINNET_STORE_BYTES_1 LINNET_ROW_OF_BYTES(12, 13, 14, 15)
#define LINNET_STORE_BYTES_3 LINNET_STORE_BYTES_2 LINNET_ROW_OF_BYTES(16, 17, 18, 19)
#define LINNET_STORE_BYTES_4 LINNET_STORE_BYTES_3 LINNET_ROW_OF_BYTES(20, 21, 22, 23)
#define LINNET_STORE_BYTES_5 LINNET_STORE_BYTES_4 LINNET_ROW_OF_BYTES(24, 25, 26, 27)
#define LINNET_STORE_BYTES_6 LINNET_STORE_BYTES_5 LINNET_ROW_OF_BYTES(28, 29, 30, 31)

#define LINNET_DOT_TILES(rows)                                                                                                  \
  asm volatile(                                                                                                                 \
      ".arch armv8.2-a+dotprod+crypto\n"                                                                                        \
      "ldp x10, x11, [%[t], #16]\n ldp x17, x26, [%[t], #32]\n ldp x19, x24, [%[t], #48]\n ldp x22, x23, [%[t], #64]\n"           \
      "ldr x16, [%[t], #80]\n mov x12, #64\n mov x20, #0\n" LINNET_PREPARE_##rows                                                \
      "1:\n ldp x9, x25, [%[t]]\n mov x7, x17\n mov x13, x19\n" LINNET_LOAD_SUMS_##rows                                          \
      "2:\n ldr x1, [x9], #8\n add x1, x1, x10\n" LINNET_ROWS_##rows "lsr x8, x26, #4\n cbz x8, 4f\n"                            \
      "3:\n" LINNET_LOAD_A_##rows "subs x8, x8, #1\n" LINNET_FOUR_STEPS(rows) "b.ne 3b\n"                                        \
      "4:\n ubfx x15, x26, #2, #2\n cbz x15, 6f\n"                                                                               \
      "5:\n" LINNET_LOAD_A1_##rows "subs x15, x15, #1\n" LINNET_STEP_##rows(LINNET_SDOT, 0) "b.ne 5b\n"                           \
      "6:\n cmp x9, x25\n b.ne 2b\n"                                                                                             \
      "mov x13, x22\n cbz x24, 7f\n"                                                                                            \
      "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x24]\n add x14, %[t], #88\n ld1r {v4.8h}, [x14], #2\n ld1r {v5.16b}, [x14], #1\n"        \
      "ld1r {v6.16b}, [x14], #1\n ld1r {v7.16b}, [x14]\n" LINNET_STORE_BYTES_##rows "b 8f\n"                                     \
      "7:\n" LINNET_STORE_SUMS_##rows                                                                                           \
      "8:\n mov x14, #" #rows "\n madd x22, x23, x14, x22\n madd x10, x11, x14, x10\n subs x16, x16, #1\n b.ne 1b\n"              \
      :                                                                                                                         \
      : [t] "r"(&t)                                                                                                             \
      : LINNET_LANE_CLOBBERS)

template <int kRows>
[[gnu::noinline]] void RunDotTiles(const DotTiles& t) {
  if constexpr (kRows == 1) LINNET_DOT_TILES(1);
  if constexpr (kRows == 2) LINNET_DOT_TILES(2);
  if constexpr (kRows == 3) LINNET_DOT_TILES(3);
  if constexpr (kRows == 4) LINNET_DOT_TILES(4);
  if constexpr (kRows == 5) LINNET_DOT_TILES(5);
  if constexpr (kRows == 6) LINNET_DOT_TILES(6);
}

// Products of pairs of rows and pairs of columns, eight k at a time (smmla): two rows of a panel, interleaved by columns, are what the
// instruction reads, and sums come as 2 x 2 squares. Those of rows 2 p and 2 p + 1 are in v(8 + 8 p) to v(15 + 8 p).
#define LINNET_SMMLA(p0, p1, p2, b) \
  "smmla v" #p0 ".4s, v0.16b, v" #b ".16b\n smmla v" #p1 ".4s, v1.16b, v" #b ".16b\n smmla v" #p2 ".4s, v2.16b, v" #b ".16b\n"
#define LINNET_SQUARES(p0, p1, p2, q0, q1, q2, even, odd)                                                                           \
  "zip1 v7.4s, v" #even ".4s, v" #odd ".4s\n zip2 v" #even ".4s, v" #even ".4s, v" #odd ".4s\n"                                      \
  LINNET_SMMLA(p0, p1, p2, 7) LINNET_SMMLA(q0, q1, q2, even)
#define LINNET_SQUARES_LEFT LINNET_SQUARES(8, 16, 24, 9, 17, 25, 3, 5) LINNET_SQUARES(10, 18, 26, 11, 19, 27, 4, 6)
#define LINNET_SQUARES_RIGHT LINNET_SQUARES(12, 20, 28, 13, 21, 29, 3, 5) LINNET_SQUARES(14, 22, 30, 15, 23, 31, 4, 6)
#define LINNET_DUP(p0, p1, p2, first, half) \
  "dup v" #p0 ".2d, v" #first ".d[" #half "]\n dup v" #p1 ".2d, v" #first ".d[" #half "]\n dup v" #p2 ".2d, v" #first ".d[" #half "]\n"
// Rows of a pair of rows: the first in v(t), v(a), v(c), v(e), the second in v(b), v(d), v(f), v(h); v(g) is free.
#define LINNET_ROWS_OF(t, a, b, c, d, e, f, g, h)                                                                                   \
  LINNET_ZIPS(t, b, a, b) LINNET_ZIPS(a, d, c, d) LINNET_ZIPS(c, f, e, f) LINNET_ZIPS(e, h, g, h)
#define LINNET_ZIPS(to0, to1, x, y) \
  "zip1 v" #to0 ".2d, v" #x ".2d, v" #y ".2d\n zip2 v" #to1 ".2d, v" #x ".2d, v" #y ".2d\n"
#define LINNET_ROW_OF_SUMS(s0, s1, s2, s3) "stp q" #s0 ", q" #s1 ", [x13]\n stp q" #s2 ", q" #s3 ", [x13, #32]\n add x13, x13, x23\n"
#define LINNET_SIX_ROWS(row)                                                                                                        \
  row(30, 8, 10, 12) row(9, 11, 13, 15) row(14, 16, 18, 20) row(17, 19, 21, 23) row(22, 24, 26, 28) row(25, 27, 29, 31)

/// Tiles of 6 rows.
[[gnu::noinline]] void RunSquareTiles(const DotTiles& t) {
  asm volatile(
      ".arch armv8.2-a+dotprod+crypto+i8mm\n"
      "ldp x10, x11, [%[t], #16]\n ldp x17, x26, [%[t], #32]\n ldp x19, x24, [%[t], #48]\n ldp x22, x23, [%[t], #64]\n"
      "ldr x16, [%[t], #80]\n"
      "1:\n ldp x9, x25, [%[t]]\n mov x7, x17\n ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x19]\n"
      LINNET_DUP(8, 16, 24, 0, 0) LINNET_DUP(9, 17, 25, 0, 1) LINNET_DUP(10, 18, 26, 1, 0) LINNET_DUP(11, 19, 27, 1, 1)
      LINNET_DUP(12, 20, 28, 2, 0) LINNET_DUP(13, 21, 29, 2, 1) LINNET_DUP(14, 22, 30, 3, 0) LINNET_DUP(15, 23, 31, 3, 1)
      "2:\n ldr x1, [x9], #8\n add x1, x1, x10\n" LINNET_ROWS_6 "lsr x8, x26, #3\n cbz x8, 4f\n"
      "3:\n ldr d0, [x1], #8\n ldr d1, [x3], #8\n ldr d2, [x5], #8\n subs x8, x8, #1\n"
      "ld1 {v0.d}[1], [x2], #8\n ld1 {v1.d}[1], [x4], #8\n ld1 {v2.d}[1], [x6], #8\n"
      "ldp q3, q4, [x7]\n ldp q5, q6, [x7, #64]\n" LINNET_SQUARES_LEFT
      "ldp q3, q4, [x7, #32]\n ldp q5, q6, [x7, #96]\n add x7, x7, #128\n" LINNET_SQUARES_RIGHT "b.ne 3b\n"
      "4:\n tbz x26, #2, 6f\n"
      "ldr s0, [x1]\n ldr s1, [x3]\n ldr s2, [x5]\n ld1 {v0.s}[2], [x2]\n ld1 {v1.s}[2], [x4]\n ld1 {v2.s}[2], [x6]\n"
      "movi v5.4s, #0\n movi v6.4s, #0\n ldp q3, q4, [x7]\n" LINNET_SQUARES_LEFT
      "ldp q3, q4, [x7, #32]\n add x7, x7, #64\n" LINNET_SQUARES_RIGHT
      "6:\n cmp x9, x25\n b.ne 2b\n mov x13, x22\n"
      LINNET_ROWS_OF(7, 8, 9, 10, 11, 12, 13, 14, 15) LINNET_ROWS_OF(14, 16, 17, 18, 19, 20, 21, 22, 23)
      LINNET_ROWS_OF(22, 24, 25, 26, 27, 28, 29, 30, 31) "mov v30.16b, v7.16b\n cbz x24, 7f\n"
      "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x24]\n add x14, %[t], #88\n ld1r {v4.8h}, [x14], #2\n ld1r {v5.16b}, [x14], #1\n"
      "ld1r {v6.16b}, [x14], #1\n ld1r {v7.16b}, [x14]\n" LINNET_SIX_ROWS(LINNET_ROW_OF_BYTES) "b 8f\n"
      "7:\n" LINNET_SIX_ROWS(LINNET_ROW_OF_SUMS)
      "8:\n mov x14, #6\n madd x22, x23, x14, x22\n madd x10, x11, x14, x10\n subs x16, x16, #1\n b.ne 1b\n"
      :
      : [t] "r"(&t)
      : LINNET_LANE_CLOBBERS);
}

constexpr int kRowsMax = 6;

/// Rows in the highest tiles there are. A small build has few heights: a tile or two more where rows are left.
void RunRows(DotTiles& t, int64_t rows, decltype(&RunDotTiles<1>) highest) {
#if defined(LINNET_SMALL)
  constexpr int kHeight[] = {0, 1, 1, 3, 3, 3};
  constexpr decltype(&RunDotTiles<1>) kRest[] = {nullptr, RunDotTiles<1>, nullptr, RunDotTiles<3>};
#else
  constexpr int kHeight[] = {0, 1, 2, 3, 4, 5};
  constexpr decltype(&RunDotTiles<1>) kRest[] = {nullptr, RunDotTiles<1>, RunDotTiles<2>, RunDotTiles<3>, RunDotTiles<4>, RunDotTiles<5>};
#endif
  for (int64_t height = kRowsMax; rows > 0; rows -= t.tiles * height) {
    height = rows >= kRowsMax ? kRowsMax : kHeight[rows];
    t.tiles = rows / height;
    (height == kRowsMax ? highest : kRest[height])(t);
    t.a += t.tiles * height * t.a_stride;
    t.c = static_cast<char*>(t.c) + t.tiles * height * t.c_stride;
  }
}

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
  static constexpr int64_t kOnePiece[] = {0};
  static constexpr int32_t kZeros[kPanelColumns] = {};
  const FinishInt8& f = job.finish;
  const bool to_signed = f.to == FinishInt8::To::kInt8;
  const bool bytes = (to_signed || f.to == FinishInt8::To::kUint8) && !f.column_zero;
  DotTiles t;
  t.pieces = rows.offsets ? rows.offsets : kOnePiece;
  t.pieces_end = t.pieces + (rows.offsets ? rows.steps : 1);
  t.piece = rows.offsets ? rows.step : (job.k + 3) / 4 * 4;
  t.a_stride = rows.row_stride;
  t.flip = to_signed ? 0x80 : 0;
  const int32_t zero = f.zero + (to_signed ? 0x80 : 0);
  for (int64_t p = panel0; p < panel1; ++p) {
    const int64_t column = p * kPanelColumns, columns = std::min(kPanelColumns, job.n - column);
    const int8_t* panel = job.panels + p * PaddedK(job.k) * kPanelColumns;
    const float* scale = f.scale + (f.one_scale || !f.scale ? 0 : column);
    const bool whole = bytes && columns == kPanelColumns && AllFinite(scale);
    if (whole) {
      t.zero = static_cast<int16_t>(zero);
      t.least = static_cast<uint8_t>(static_cast<int32_t>(f.low) + zero);
      t.most = static_cast<uint8_t>(static_cast<int32_t>(f.high) + zero);
    }
    t.scale = whole ? scale : nullptr;
    t.first = whole && f.offset ? f.offset + column : kZeros;
    ForRowsOfC(rows.pitch, rows.valid, rows.c_row, row0, static_cast<int>(row1 - row0), [&](int64_t c_row, int64_t at, int64_t n) {
      t.a = rows.a + (row0 + at) * rows.row_stride;
      t.b = panel;
      if (whole) {
        t.c = static_cast<uint8_t*>(f.c) + c_row * f.c_row_stride + column;
        t.c_stride = f.c_row_stride;
        return RunRows(t, n, highest);
      }
      alignas(16) int32_t sums[kRowsMax * kPanelColumns];
      t.c_stride = kPanelColumns * sizeof(int32_t);
      for (int64_t i = 0; i < n; i += kRowsMax) {
        const int64_t now = std::min<int64_t>(kRowsMax, n - i);
        t.a = rows.a + (row0 + at + i) * rows.row_stride;
        t.c = sums;
        RunRows(t, now, highest);
        job.kernels.finish(f, sums, row_sums ? row_sums + at + i : nullptr, c_row + i, static_cast<int>(now), column, columns);
      }
    });
  }
}

}  // namespace

/// Int8Kernels::tiles.
void Int8TilesDotprod(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                      const int32_t* row_sums) {
  RunTiles(job, rows, row0, row1, panel0, panel1, row_sums, RunDotTiles<kRowsMax>);
}

/// The same where there are products of squares as well: they take longer to begin and to end, and less for each k.
void Int8TilesSquares(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                      const int32_t* row_sums) {
  constexpr int64_t kSquaresFrom = 40;
  RunTiles(job, rows, row0, row1, panel0, panel1, row_sums, job.k < kSquaresFrom ? RunDotTiles<kRowsMax> : RunSquareTiles);
}

}  // namespace linnet

#endif  // 64-bit Arm
