// Product of bfloat16 operands on 64-bit Arm that multiplies 2 x 4 by 4 x 2 of them at once (bfmmla): rounding and tiles.
//
// Two rows of a panel, four k of four columns, interleaved by columns are what the instruction takes of B for two columns each; of A it
// takes four k of two rows:
//
//     k: 0  c0 c1 c2 c3      zip1  c0 k 0 1 2 3, c1 k 0 1 2 3        sum  r0 c0, r0 c1, r1 c0, r1 c1
//     k: 2  c0 c1 c2 c3      zip2  c2 k 0 1 2 3, c3 k 0 1 2 3             r0 c2, r0 c3, r1 c2, r1 c3
//
// It rounds sums to odd, and takes denormal operands and sums for zeros, whatever the thread's modes are (Arm Architecture Reference
// Manual, BFMMLA without FEAT_EBF16).
#include "kernels/half/half_gemm.h"

#include <string.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half/half_gemm_bf16_squares.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/half/half-inl.h"
#include "kernels/dispatch.h"

#if defined(__aarch64__) && HWY_TARGET == HWY_NEON

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

constexpr int kPairsMax = 3;   // of rows: 24 registers of sums
constexpr int kRowsMax = 2 * kPairsMax;

#define LINNET_WITH_BF16 ".arch armv8.2-a+dotprod+crypto+i8mm+bf16\n"

struct Bfloat16Numbers {
  /// Eight floats, rounded to nearest, ties to even.
  static HWY_INLINE uint16x8_t Rounded(float32x4_t low, float32x4_t high) {
    uint16x8_t out;
    asm(LINNET_WITH_BF16 "bfcvtn %0.4h, %1.4s\n bfcvtn2 %0.8h, %2.4s" : "=&w"(out) : "w"(low), "w"(high));
    return out;
  }
};

// Sums of pair p of rows are in v(8 + 8 p) and what follows, two columns each; A in v0 to v2, B in v3 to v7.
#define LINNET_PAIR(a, s0, s1, s2, s3)                                                                              \
  "bfmmla v" #s0 ".4s, v" #a ".8h, v7.8h\n bfmmla v" #s1 ".4s, v" #a ".8h, v3.8h\n"                                 \
  "bfmmla v" #s2 ".4s, v" #a ".8h, v5.8h\n bfmmla v" #s3 ".4s, v" #a ".8h, v4.8h\n"
#define LINNET_ZIP(second) "zip1 v7.4s, v3.4s, v5.4s\n zip2 v3.4s, v3.4s, v5.4s\n zip1 v5.4s, v4.4s, " second "\n zip2 v4.4s, v4.4s, " second "\n"
#define LINNET_FOUR_K(at) "ldp q3, q4, [%[b], #" #at "]\n ldp q5, q6, [%[b], #64 + " #at "]\n" LINNET_ZIP("v6.4s")
#define LINNET_TWO_K(at) "ldp q3, q4, [%[b], #" #at "]\n movi v5.4s, #0\n movi v6.4s, #0\n" LINNET_ZIP("v6.4s")
#define LINNET_LOW_1 LINNET_PAIR(0, 8, 9, 10, 11)
#define LINNET_LOW_2 LINNET_LOW_1 LINNET_PAIR(1, 16, 17, 18, 19)
#define LINNET_LOW_3 LINNET_LOW_2 LINNET_PAIR(2, 24, 25, 26, 27)
#define LINNET_HIGH_1 LINNET_PAIR(0, 12, 13, 14, 15)
#define LINNET_HIGH_2 LINNET_HIGH_1 LINNET_PAIR(1, 20, 21, 22, 23)
#define LINNET_HIGH_3 LINNET_HIGH_2 LINNET_PAIR(2, 28, 29, 30, 31)
#define LINNET_A_1 "ldr d0, [%[a0]], #8\n ld1 {v0.d}[1], [%[a1]], #8\n"
#define LINNET_A_2 LINNET_A_1 "ldr d1, [%[a2]], #8\n ld1 {v1.d}[1], [%[a3]], #8\n"
#define LINNET_A_3 LINNET_A_2 "ldr d2, [%[a4]], #8\n ld1 {v2.d}[1], [%[a5]], #8\n"
#define LINNET_HALF_A_1 "ldr s0, [%[a0]], #4\n ld1 {v0.s}[2], [%[a1]], #4\n"
#define LINNET_HALF_A_2 LINNET_HALF_A_1 "ldr s1, [%[a2]], #4\n ld1 {v1.s}[2], [%[a3]], #4\n"
#define LINNET_HALF_A_3 LINNET_HALF_A_2 "ldr s2, [%[a4]], #4\n ld1 {v2.s}[2], [%[a5]], #4\n"
#define LINNET_MOVE(op, at, s0, s1, s2, s3, s4, s5, s6, s7)                                                                   \
  op " q" #s0 ", q" #s1 ", [%[sums], #" #at "]\n " op " q" #s2 ", q" #s3 ", [%[sums], #" #at " + 32]\n"                      \
  op " q" #s4 ", q" #s5 ", [%[sums], #" #at " + 64]\n " op " q" #s6 ", q" #s7 ", [%[sums], #" #at " + 96]\n"
#define LINNET_MOVE_1(op) LINNET_MOVE(op, 0, 8, 9, 10, 11, 12, 13, 14, 15)
#define LINNET_MOVE_2(op) LINNET_MOVE_1(op) LINNET_MOVE(op, 128, 16, 17, 18, 19, 20, 21, 22, 23)
#define LINNET_MOVE_3(op) LINNET_MOVE_2(op) LINNET_MOVE(op, 256, 24, 25, 26, 27, 28, 29, 30, 31)

// Adds `fours` times four k to the sums of some pairs of rows, from a[0] on, and then two more where there are.
#define LINNET_SQUARES(kPairs)                                                                                                \
  const uint32_t* Squares##kPairs(const uint16_t* const* a, const uint32_t* b, int64_t fours, int64_t twos, float* sums) {     \
    const uint16_t *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3], *a4 = a[4], *a5 = a[5];                                     \
    asm volatile(LINNET_WITH_BF16 LINNET_MOVE_##kPairs("ldp") "cbz %[fours], 2f\n"                                            \
                 "1:\n" LINNET_A_##kPairs LINNET_FOUR_K(0) LINNET_LOW_##kPairs LINNET_FOUR_K(32) LINNET_HIGH_##kPairs          \
                 "add %[b], %[b], #128\n subs %[fours], %[fours], #1\n b.ne 1b\n"                                             \
                 "2:\n cbz %[twos], 3f\n" LINNET_HALF_A_##kPairs LINNET_TWO_K(0) LINNET_LOW_##kPairs LINNET_TWO_K(32)         \
                 LINNET_HIGH_##kPairs "add %[b], %[b], #64\n"                                                                 \
                 "3:\n" LINNET_MOVE_##kPairs("stp")                                                                           \
                 : [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3), [a4] "+r"(a4), [a5] "+r"(a5), [b] "+r"(b),      \
                   [fours] "+r"(fours)                                                                                        \
                 : [twos] "r"(twos), [sums] "r"(sums)                                                                         \
                 : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",     \
                   "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28",    \
                   "v29", "v30", "v31");                                                                                      \
    return b;                                                                                                                 \
  }

LINNET_SQUARES(1)
LINNET_SQUARES(2)
LINNET_SQUARES(3)

/// `count` rows, of which kPairs pairs are made, by a panel; their sums to sums[r * kPanelColumns + column].
template <int kPairs>
void Tile(const RowsHalf& rows, int64_t row, int64_t count, const uint32_t* b, const float* bias, float* sums) {
  constexpr const uint32_t* (*kSquares[])(const uint16_t* const*, const uint32_t*, int64_t, int64_t, float*) = {nullptr, Squares1, Squares2, Squares3};
  alignas(16) float squares[kPairs][8][4];
  LINNET_UNROLL
  for (int c = 0; c < 8; ++c) {
    const float32x2_t two = vld1_f32(bias + 2 * c);
    LINNET_UNROLL
    for (int p = 0; p < kPairs; ++p) vst1q_f32(squares[p][c], vcombine_f32(two, two));
  }
  // Steps that follow each other are one, as whole steps are multiples of four.
  const bool joined = !rows.offsets && rows.step % 4 == 0;
  const int64_t steps = joined ? 1 : rows.steps, step = joined ? rows.steps * rows.step : rows.step;
  for (int64_t s = 0; s < steps; ++s) {
    const uint16_t* a[kRowsMax];   // the last of an odd number of rows twice
    const uint16_t* at = static_cast<const uint16_t*>(rows.a) + row * rows.row_stride + (rows.offsets ? rows.offsets[s] : s * step);
    for (int r = 0; r < kRowsMax; ++r) a[r] = at + std::min<int64_t>(r, count - 1) * rows.row_stride;
    b = kSquares[kPairs](a, b, step / 4, step % 4, squares[0][0]);
  }
  LINNET_UNROLL
  for (int p = 0; p < kPairs; ++p) {
    float* to = sums + 2 * p * kPanelColumns;
    LINNET_UNROLL
    for (int q = 0; q < 4; ++q) {
      const float32x4_t low = vld1q_f32(squares[p][2 * q]), high = vld1q_f32(squares[p][2 * q + 1]);
      vst1q_f32(to + 4 * q, vcombine_f32(vget_low_f32(low), vget_low_f32(high)));
      vst1q_f32(to + kPanelColumns + 4 * q, vcombine_f32(vget_high_f32(low), vget_high_f32(high)));
    }
  }
}

void Multiply(const ProductHalf& product, const RowsHalf& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1) {
  constexpr int64_t kCache = 128 << 10;   // of columns that stay in a cache while rows pass by
  constexpr void (*kTiles[])(const RowsHalf&, int64_t, int64_t, const uint32_t*, const float*, float*) = {nullptr, Tile<1>, Tile<2>, Tile<3>};
  const FinisherHalf finisher(product, rows);
  alignas(64) float sums[kRowsMax * kPanelColumns], tail[kPanelColumns];
  const int64_t group = row1 - row0 <= kRowsMax ? panel1 - panel0 : std::max<int64_t>(kCache / product.panel_bytes, 1);
  for (int64_t begin = panel0; begin < panel1; begin += group) {
    const int64_t end = std::min(panel1, begin + group);
    for (int64_t row = row0; row < row1;) {
      // Tiles of about the same height.
      const int64_t left = row1 - row, tiles = (left + kRowsMax - 1) / kRowsMax, pairs = ((left + tiles - 1) / tiles + 1) / 2;
      const int64_t count = std::min(left, 2 * pairs);
      for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t column = panel * kPanelColumns;
        const uint32_t* b = static_cast<const uint32_t*>(product.panels) + panel * (product.panel_bytes / 4);
        kTiles[pairs](rows, row, count, b, PanelBiasHalf(product, panel, tail), sums);
        finisher.Store(sums, 0, row, count, column, std::min(product.n - column, kPanelColumns));
      }
      row += count;
    }
  }
}

}  // namespace

const HalfKernels& SquaresBf16(const HalfKernels* one_row);
const HalfKernels& SquaresBf16(const HalfKernels* one_row) {
  constexpr int64_t kCacheBytes = 128 << 10;   // a quarter of the second-level cache of many such processors
  static const HalfKernels squares = {"bf16 squares, bfmmla", HalfFormat::kBfloat16, kRowsMax, 2, 60, kCacheBytes, LoadHalves<Bfloat16Numbers>, LoadRowsOfHalves<Bfloat16Numbers>, Multiply, one_row};
  return squares;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has squares
