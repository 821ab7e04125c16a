// Matrix product with operands rounded to 16 bits, bfloat16 or float16: C = epilogue(half(A) half(B)), the reduced-precision form of
// gemm.h.
//
// B is rounded and packed once, in an order that suits every instruction set, K and N padded with zeros, K to a multiple of 32:
//
//     bfloat16   [N / 16][K / 2][16][2]   pairs of k side by side, as instructions that multiply pairs read them
//     float16    [N / 16][K][16]          columns side by side, as those that multiply numbers do
//
// A is float32. Some rows at a time are rounded into a block that stays in cache while all panels pass by. Rounding is to
// nearest, ties to even, NaN stays NaN, as ONNX's Cast does it.
//
// bfloat16: sums are float32. On AMX, and on Arm with bfmmla, the block is bfloat16; elsewhere, and for a single row, it is the same
// numbers as floats, and B's pairs are widened as they are read: products of two bfloat16 are exact in float32, so all of them
// add the same numbers, in different orders. AMX and bfmmla take denormal bfloat16 for zeros and flush denormal sums, as every kernel
// does while denormals are flushed (base/denormals.h); bfmmla rounds sums to odd.
//
// float16: on Arm with its arithmetic, products are added in float16, and these sums to float32 ones after every 64 elements of K (fewer
// in convolutions of odd channels): a sum's error is about sqrt(64 / 6) 2^-11 of what 64 products come to, and they must stay below
// 65504. Elsewhere the same numbers are multiplied and added as floats.
//
// Threads: kernels start none. A caller splits [0, m) x [0, panels) as it likes; the bits of a row do not depend on it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cpu.h"
#include "base/float_types.h"
#include "kernels/gemm.h"

namespace linnet {

/// Elements of K that a step of a tile takes.
inline constexpr int64_t kStepHalf = 32;

/// K as it is packed: whole steps, at least one.
inline int64_t PackedKHalf(int64_t k) { return k > kStepHalf ? (k + kStepHalf - 1) / kStepHalf * kStepHalf : kStepHalf; }
inline int64_t PanelBytesHalf(int64_t k) { return PackedKHalf(k) * kPanelColumns * 2; }
/// Bytes of a packed K x N matrix. Overflow is the caller's to check: needs (k + 31) * (n + 15) * 2 to fit.
inline int64_t PackedSizeHalf(int64_t k, int64_t n) { return PanelCount(n) * PanelBytesHalf(k); }

/// Packs alpha * B, rounded to `format`, element (i, j) of B at b[i * row_stride + j * col_stride], into panels [panel0, panel1) of `out`
/// (the whole packed matrix). Reads nothing but the elements.
void PackPanelsHalf(HalfFormat format, const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha, int64_t panel0,
                    int64_t panel1, void* out);
inline void PackHalf(HalfFormat format, const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, void* out) {
  PackPanelsHalf(format, b, k, n, row_stride, col_stride, 1.0f, 0, PanelCount(n), out);
}

/// What rows are multiplied with, and where results go.
struct ProductHalf {
  int64_t n = 0;
  const void* panels = nullptr;
  int64_t panel_bytes = 0;
  float* c = nullptr;
  int64_t c_row_stride = 0;   ///< in floats
  Epilogue epilogue;          ///< its residual's rows are those of C
};

/// Rounded rows of A. Step s of row r is `step` elements at element r * row_stride + (offsets ? offsets[s] : s * step); steps
/// take B's rows one after another. Rows may lie in another order than C's: of each `pitch` rows, those from `valid` on are
/// no rows of C, the others follow each other there, row 0 being c_row (pitch 0: all of them are rows of C).
struct RowsHalf {
  const void* a = nullptr;
  int64_t row_stride = 0;
  int64_t steps = 0, step = kStepHalf;   ///< step even, 2 ... 32
  const int64_t* offsets = nullptr;
  int64_t pitch = 0, valid = 0, c_row = 0;
};

/// The functions of one instruction set.
struct HalfKernels {
  const char* name;
  HalfFormat format;
  int rows;             ///< of the biggest tile
  int block_bytes;      ///< of an element of A in a block: 2 (the format) or 4 (float)
  double macs_per_ns;   ///< of one thread, about: what a share of the work is judged by
  int64_t cache_bytes;  ///< what a block may take while panels that are not in a cache pass by
  /// Rounds n floats, reading and writing nothing else.
  void (*load)(const float* a, int64_t n, void* out);
  /// Rounds `rows` rows of k floats, a_row_stride apart, to rows of PackedKHalf(k) elements, out_row_bytes apart.
  void (*load_rows)(const float* a, int64_t a_row_stride, int64_t rows, int64_t k, void* out, int64_t out_row_bytes);
  /// Rows [row0, row1) times panels [panel0, panel1). Reads those rows only.
  void (*multiply)(const ProductHalf& product, const RowsHalf& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1);
  const HalfKernels* one_row;   ///< what is used instead for products of one row
};

const HalfKernels& PickHalf(HalfFormat format, CpuLevel level);
/// For tests: AMX's tiles of bfloat16 with the instructions replaced by others, for levels from avx512 on; null elsewhere.
const HalfKernels* EmulatedTilesBf16(CpuLevel level);

/// One product. Only A's m x k floats and the elements of C (and residual) are touched. C must not overlap A.
struct GemmHalf {
  const float* a = nullptr;
  int64_t a_row_stride = 0;
  int64_t m = 0, n = 0, k = 0;
  const void* packed = nullptr;
  float* c = nullptr;
  int64_t c_row_stride = 0;
  Epilogue epilogue;
};

/// Bytes of scratch a call needs, 64-byte aligned; each thread its own.
int64_t GemmHalfScratchBytes(const HalfKernels& kernels, int64_t m, int64_t n, int64_t k);
/// Computes rows [m0, m1) of the columns of panels [panel0, panel1).
void RunGemmHalf(const HalfKernels& kernels, const GemmHalf& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1,
                 void* scratch);
/// A good unit of work for so many threads. Neighbouring units are better done in one call, which rounds A once for them.
GemmGrain GemmGrainHalf(const HalfKernels& kernels, int64_t m, int64_t n, int64_t k, int threads);

/// Elements from row to row of a block: never a multiple of a large power of two, which would crowd one cache set.
inline int64_t BlockStrideHalf(const HalfKernels& kernels, int64_t k) {
  const int64_t padded = PackedKHalf(k);
  return padded < 256 ? padded : padded + 64 / kernels.block_bytes;
}

/// Largest K of GemmHalfAsF32.
inline constexpr int64_t kAsF32KMax = 1920;
/// GemmF32Kernels whose `run` takes B packed by PackHalf for a float32 one, for callers of gemm.h that fuse products with other
/// work: k up to kAsF32KMax, one segment, B packed. The other functions are those of float32. Scratch is on the stack: 64 KiB.
const GemmF32Kernels& GemmHalfAsF32(HalfFormat format, CpuLevel level);

}  // namespace linnet
