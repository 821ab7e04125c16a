// Product of float16 operands on 64-bit Arm with float16 arithmetic (Armv8.2, FEAT_FP16): rounding and tiles.
//
// A tile is up to eight rows of a panel, or one row of up to four panels. Its sums are float16 in registers; of every 64 elements
// of K, or as few more as whole steps make, they are widened and added to the float32 sums in memory:
//
//     v0 ... v7     eight k of each row of A       v16 + 2 r, v17 + 2 r   the sums of row (or panel) r, 16 columns
//     v8 ... v15    rows of B, four k at a time
//
// Every row's products are added in the order of k, whichever tile they are in.
#include "kernels/half/half_gemm.h"

#include <math.h>
#include <stddef.h>

#include <algorithm>

#include "base/memory.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half/half_gemm_fp16_lanes.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/half/half-inl.h"
#include "kernels/dispatch.h"

#if defined(__aarch64__) && HWY_TARGET == HWY_NEON

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

constexpr int kRowsMax = 8, kPanelsMax = 4;
constexpr int64_t kSummed = 64;   // elements of K whose products are added in float16

#define LINNET_WITH_FP16 ".arch armv8.2-a+fp16+dotprod+crypto\n"

struct Float16Numbers {
  /// Eight floats, rounded to nearest, ties to even; from 65520 on infinity.
  static HWY_INLINE uint16x8_t Rounded(float32x4_t low, float32x4_t high) {
    return vreinterpretq_u16_f16(vcvt_high_f16_f32(vcvt_f16_f32(low), high));
  }
};

/// How the steps of K are taken.
struct Steps {
  int64_t stride;           ///< bytes from row to row of A
  const int64_t* offsets;   ///< null: steps follow each other
  int64_t steps, eights, twos;   ///< a step is so many times eight elements, then so many times two
  int64_t together;         ///< steps whose products are added in float16
};

/// What sums begin with, and where they go.
struct Ends {
  const float* from;        ///< biases, from_step bytes (0 or 64) from row to row, or from panel to panel of one row
  int64_t from_step;
  float* sums;              ///< 16 floats for each, while there is more to add
  float* to;                ///< the results, to_step bytes apart
  int64_t to_step;
  float bounds[2];          ///< of the results
};
static_assert(offsetof(Steps, eights) == 24 && offsetof(Steps, twos) == 32 && offsetof(Steps, together) == 40);
static_assert(offsetof(Ends, sums) == 16 && offsetof(Ends, to) == 24 && offsetof(Ends, to_step) == 32 && offsetof(Ends, bounds) == 40);

#define LINNET_MULTIPLY(s0, s1, b0, b1, a, lane) \
  "fmla v" #s0 ".8h, v" #b0 ".8h, v" #a ".h[" #lane "]\n fmla v" #s1 ".8h, v" #b1 ".8h, v" #a ".h[" #lane "]\n"

// Of up to eight rows: their elements, the sums of one k, and what happens to sums.
#define LINNET_A_1(r) "ldr " #r "0, [%[a0]]\n"
#define LINNET_A_2(r) LINNET_A_1(r) "ldr " #r "1, [%[a0], %[s1]]\n"
#define LINNET_A_3(r) LINNET_A_2(r) "ldr " #r "2, [%[a0], %[s2]]\n"
#define LINNET_A_4(r) LINNET_A_3(r) "ldr " #r "3, [%[a0], %[s3]]\n"
#define LINNET_A_5(r) LINNET_A_4(r) "ldr " #r "4, [x14]\n"
#define LINNET_A_6(r) LINNET_A_5(r) "ldr " #r "5, [x14, %[s1]]\n"
#define LINNET_A_7(r) LINNET_A_6(r) "ldr " #r "6, [x14, %[s2]]\n"
#define LINNET_A_8(r) LINNET_A_7(r) "ldr " #r "7, [x14, %[s3]]\n"
#define LINNET_K_1(b0, b1, lane) LINNET_MULTIPLY(16, 17, b0, b1, 0, lane)
#define LINNET_K_2(b0, b1, lane) LINNET_K_1(b0, b1, lane) LINNET_MULTIPLY(18, 19, b0, b1, 1, lane)
#define LINNET_K_3(b0, b1, lane) LINNET_K_2(b0, b1, lane) LINNET_MULTIPLY(20, 21, b0, b1, 2, lane)
#define LINNET_K_4(b0, b1, lane) LINNET_K_3(b0, b1, lane) LINNET_MULTIPLY(22, 23, b0, b1, 3, lane)
#define LINNET_K_5(b0, b1, lane) LINNET_K_4(b0, b1, lane) LINNET_MULTIPLY(24, 25, b0, b1, 4, lane)
#define LINNET_K_6(b0, b1, lane) LINNET_K_5(b0, b1, lane) LINNET_MULTIPLY(26, 27, b0, b1, 5, lane)
#define LINNET_K_7(b0, b1, lane) LINNET_K_6(b0, b1, lane) LINNET_MULTIPLY(28, 29, b0, b1, 6, lane)
#define LINNET_K_8(b0, b1, lane) LINNET_K_7(b0, b1, lane) LINNET_MULTIPLY(30, 31, b0, b1, 7, lane)
#define LINNET_ZERO(s0, s1) "movi v" #s0 ".8h, #0\n movi v" #s1 ".8h, #0\n"
// Adds the sums s0 and s1 to 16 floats at `from` and clears them; what comes out goes to `to`, FINISH: within the bounds in v0 and v1.
#define LINNET_ADD(s0, s1)                                                                                           \
  "ldp q12, q13, [x13]\n ldp q14, q15, [x13, #32]\n add x13, x13, x10\n"                    \
  "fcvtl v8.4s, v" #s0 ".4h\n fcvtl2 v9.4s, v" #s0 ".8h\n fcvtl v10.4s, v" #s1 ".4h\n fcvtl2 v11.4s, v" #s1 ".8h\n" \
  "fadd v12.4s, v12.4s, v8.4s\n fadd v13.4s, v13.4s, v9.4s\n fadd v14.4s, v14.4s, v10.4s\n fadd v15.4s, v15.4s, v11.4s\n"
#define LINNET_WIDEN(s0, s1)                                                                                                   \
  LINNET_ADD(s0, s1) "stp q12, q13, [x12]\n stp q14, q15, [x12, #32]\n add x12, x12, #64\n" LINNET_ZERO(s0, s1)
#define LINNET_FINISH(s0, s1)                                                                                                  \
  LINNET_ADD(s0, s1)                                                                                                           \
  "fmax v12.4s, v12.4s, v0.4s\n fmax v13.4s, v13.4s, v0.4s\n fmax v14.4s, v14.4s, v0.4s\n fmax v15.4s, v15.4s, v0.4s\n"         \
  "fmin v12.4s, v12.4s, v1.4s\n fmin v13.4s, v13.4s, v1.4s\n fmin v14.4s, v14.4s, v1.4s\n fmin v15.4s, v15.4s, v1.4s\n"         \
  "stp q12, q13, [x12]\n stp q14, q15, [x12, #32]\n add x12, x12, x9\n"
#define LINNET_ALL_1(what) what(16, 17)
#define LINNET_ALL_2(what) LINNET_ALL_1(what) what(18, 19)
#define LINNET_ALL_3(what) LINNET_ALL_2(what) what(20, 21)
#define LINNET_ALL_4(what) LINNET_ALL_3(what) what(22, 23)
#define LINNET_ALL_5(what) LINNET_ALL_4(what) what(24, 25)
#define LINNET_ALL_6(what) LINNET_ALL_5(what) what(26, 27)
#define LINNET_ALL_7(what) LINNET_ALL_6(what) what(28, 29)
#define LINNET_ALL_8(what) LINNET_ALL_7(what) what(30, 31)

// Two and eight k of rows that share B.
#define LINNET_TWO_ROWS(rows) \
  "ldp q8, q9, [%[b]]\n ldp q10, q11, [%[b], #32]\n add %[b], %[b], #64\n" LINNET_K_##rows(8, 9, 0) LINNET_K_##rows(10, 11, 1)
#define LINNET_FOUR_K(at) \
  "ldp q8, q9, [%[b], #" #at "]\n ldp q10, q11, [%[b], #" #at " + 32]\n ldp q12, q13, [%[b], #" #at " + 64]\n ldp q14, q15, [%[b], #" #at " + 96]\n"
#define LINNET_EIGHT_ROWS(rows)                                                                                               \
  LINNET_FOUR_K(0) LINNET_K_##rows(8, 9, 0) LINNET_K_##rows(10, 11, 1) LINNET_K_##rows(12, 13, 2) LINNET_K_##rows(14, 15, 3)   \
  LINNET_FOUR_K(128) LINNET_K_##rows(8, 9, 4) LINNET_K_##rows(10, 11, 5) LINNET_K_##rows(12, 13, 6) LINNET_K_##rows(14, 15, 7) \
  "add %[b], %[b], #256\n"

// The same of four panels, of one row: b to b3 are theirs.
#define LINNET_PANELS_K(at, lane)                                                                                         \
  "ldp q8, q9, [%[b], #" #at "]\n ldp q10, q11, [%[b1], #" #at "]\n ldp q12, q13, [%[b2], #" #at "]\n ldp q14, q15, [%[b3], #" #at "]\n" \
  LINNET_MULTIPLY(16, 17, 8, 9, 0, lane) LINNET_MULTIPLY(18, 19, 10, 11, 0, lane)                                         \
  LINNET_MULTIPLY(20, 21, 12, 13, 0, lane) LINNET_MULTIPLY(22, 23, 14, 15, 0, lane)
#define LINNET_PANELS_STEP(bytes) \
  "add %[b], %[b], #" #bytes "\n add %[b1], %[b1], #" #bytes "\n add %[b2], %[b2], #" #bytes "\n add %[b3], %[b3], #" #bytes "\n"
#define LINNET_TWO_PANELS(rows) LINNET_PANELS_K(0, 0) LINNET_PANELS_K(32, 1) LINNET_PANELS_STEP(64)
#define LINNET_EIGHT_PANELS(rows)                                                                                    \
  LINNET_PANELS_K(0, 0) LINNET_PANELS_K(32, 1) LINNET_PANELS_K(64, 2) LINNET_PANELS_K(96, 3) LINNET_PANELS_K(128, 4) \
  LINNET_PANELS_K(160, 5) LINNET_PANELS_K(192, 6) LINNET_PANELS_K(224, 7) LINNET_PANELS_STEP(256)

// All steps of `rows` rows: how two and how eight k are taken, and how many sums there are. x9 counts (and is how far results are apart),
// x10 to x13 are how far apart and where what sums are added to lies, steps that are left of those together, and where sums go, x14 is the
// fifth row.
#define LINNET_STEPS(name, rows, kind, sums_of)                                                                            \
  void name(const uint16_t* a, const Steps& s, const char* b, int64_t panel_bytes, const Ends& ends) {                     \
    const uint16_t* a0 = a;                                                                                                \
    const int64_t* offsets = s.offsets;                                                                                    \
    const char *b1 = b + panel_bytes, *b2 = b1 + panel_bytes, *b3 = b2 + panel_bytes;                                      \
    int64_t steps = s.steps;                                                                                               \
    asm volatile(LINNET_WITH_FP16 LINNET_ALL_##sums_of(LINNET_ZERO)                                                        \
                 "ldp x13, x10, [%[ends]]\n ldr x12, [%[ends], #16]\n"                                                    \
                 "0:\n ldr x11, [%[s], #40]\n"                                                                            \
                 "1:\n cbz %[offsets], 2f\n ldr %[a0], [%[offsets]], #8\n add %[a0], %[a], %[a0], lsl #1\n"                \
                 "2:\n add x14, %[a0], %[s1], lsl #2\n ldr x9, [%[s], #24]\n cbz x9, 4f\n"                                \
                 "3:\n" LINNET_A_##rows(q) "add %[a0], %[a0], #16\n add x14, x14, #16\n" LINNET_EIGHT_##kind(rows)         \
                 "subs x9, x9, #1\n b.ne 3b\n"                                                                             \
                 "4:\n ldr x9, [%[s], #32]\n cbz x9, 6f\n"                                                                \
                 "5:\n" LINNET_A_##rows(s) "add %[a0], %[a0], #4\n add x14, x14, #4\n" LINNET_TWO_##kind(rows)             \
                 "subs x9, x9, #1\n b.ne 5b\n"                                                                             \
                 "6:\n subs %[steps], %[steps], #1\n b.eq 7f\n subs x11, x11, #1\n b.ne 1b\n" LINNET_ALL_##sums_of(LINNET_WIDEN) \
                 "ldr x12, [%[ends], #16]\n mov x13, x12\n mov x10, #64\n b 0b\n"                                         \
                 "7:\n ldp x12, x9, [%[ends], #24]\n add x11, %[ends], #40\n ld2r {v0.4s, v1.4s}, [x11]\n"               \
                 LINNET_ALL_##sums_of(LINNET_FINISH)                                                                       \
                 : [a0] "+&r"(a0), [b] "+&r"(b), [b1] "+&r"(b1), [b2] "+&r"(b2), [b3] "+&r"(b3), [offsets] "+&r"(offsets), \
                   [steps] "+&r"(steps)                                                                                    \
                 : [a] "r"(a), [s] "r"(&s), [ends] "r"(&ends), [s1] "r"(s.stride), [s2] "r"(2 * s.stride),                 \
                   [s3] "r"(3 * s.stride)                                                                                  \
                 : "cc", "memory", "x9", "x10", "x11", "x12", "x13", "x14", "v0", "v1", "v2", "v3", "v4", "v5", "v6",      \
                   "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21",   \
                   "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");                                  \
  }

LINNET_STEPS(Rows1, 1, ROWS, 1)
LINNET_STEPS(Rows2, 2, ROWS, 2)
LINNET_STEPS(Rows3, 3, ROWS, 3)
LINNET_STEPS(Rows4, 4, ROWS, 4)
LINNET_STEPS(Rows5, 5, ROWS, 5)
LINNET_STEPS(Rows6, 6, ROWS, 6)
LINNET_STEPS(Rows7, 7, ROWS, 7)
LINNET_STEPS(Rows8, 8, ROWS, 8)
LINNET_STEPS(Panels4, 1, PANELS, 4)

void MultiplyFp16(const ProductHalf& product, const RowsHalf& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1) {
  constexpr int64_t kCache = 128 << 10;   // of columns that stay in a cache while rows pass by
  constexpr void (*kTiles[])(const uint16_t*, const Steps&, const char*, int64_t, const Ends&) = {
      nullptr, Rows1, Rows2, Rows3, Rows4, Rows5, Rows6, Rows7, Rows8};
  static constexpr float kZeros[kPanelColumns] = {};
  const FinisherHalf finisher(product, rows);
  const Steps steps = {rows.row_stride * 2, rows.offsets, rows.steps, rows.step / 8, rows.step % 8 / 2,
                       std::max<int64_t>(1, kSummed / rows.step)};
  const float* bias = product.epilogue.bias;
  alignas(64) float sums[kRowsMax * kPanelColumns], tail[kPanelColumns];
  const int64_t group = row1 - row0 <= kRowsMax ? panel1 - panel0 : std::max<int64_t>(kCache / product.panel_bytes, 1);
  for (int64_t begin = panel0; begin < panel1; begin += group) {
    const int64_t end = std::min(panel1, begin + group);
    for (int64_t row = row0; row < row1;) {
      // Tiles of about the same height.
      const int64_t left = row1 - row, tiles = DivUp(left, kRowsMax), count = DivUp(left, tiles);
      const uint16_t* a = static_cast<const uint16_t*>(rows.a) + row * rows.row_stride;
      for (int64_t panel = begin; panel < end;) {
        // Several panels of a row only where all of their columns are there.
        const int64_t column = panel * kPanelColumns, whole = (product.n - column) / kPanelColumns;
        const int64_t panels = count == 1 && std::min(end - panel, whole) >= kPanelsMax ? kPanelsMax : 1;
        const int64_t columns = std::min(product.n - column, panels * kPanelColumns);
        float* direct = finisher.Direct(row, count, column, columns);
        Ends ends;
        ends.from = !bias ? kZeros : whole > 0 ? bias + column : PanelBiasHalf(product, panel, tail);
        ends.from_step = bias && panels > 1 ? kPanelColumns * 4 : 0;
        ends.sums = sums;
        ends.to = direct ? direct : sums;
        ends.to_step = direct && panels == 1 ? finisher.stride() * 4 : kPanelColumns * 4;
        ends.bounds[0] = direct ? finisher.low() : -INFINITY;
        ends.bounds[1] = direct ? finisher.high() : INFINITY;
        const char* b = static_cast<const char*>(product.panels) + panel * product.panel_bytes;
        (panels > 1 ? Panels4 : kTiles[count])(a, steps, b, product.panel_bytes, ends);
        if (!direct) finisher.Store(sums, kPanelColumns, row, count, column, columns);
        panel += panels;
      }
      row += count;
    }
  }
}

}  // namespace

const HalfKernels& LanesFp16();
const HalfKernels& LanesFp16() {
  constexpr int64_t kCacheBytes = 128 << 10;   // a quarter of the second-level cache of many such processors
  static const HalfKernels lanes = {"fp16 by lanes", HalfFormat::kFloat16, kRowsMax, 2, 40, kCacheBytes, LoadHalves<Float16Numbers>, LoadRowsOfHalves<Float16Numbers>, MultiplyFp16, &lanes};
  return lanes;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has float16 arithmetic
