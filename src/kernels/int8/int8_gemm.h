// Product of 8-bit matrices, exact in 32 bits on every processor: C = finish(A B), the workhorse of quantized operators.
//
// B is packed once, in an order that suits every instruction set, behind the sums of its columns:
//
//     int32 sums of columns, 16 a panel          for zero points of A
//     panel 0 | panel 1 | ...                    [N / 16][K / 4][16][4] signed bytes, K (PaddedK) and N padded with zeros
//
//            16 columns, 4 k of each
//          +--------+--------+-- .. --+--------+
//     k: 0 | 0123   | 0123   |        | 0123   |   one row = 64 bytes = one AVX-512 register
//          +--------+--------+-- .. --+--------+
//     k: 4 | 4567   | ...
//
// Unsigned bytes are packed as w - 128, which a zero point of 128 less makes good.
//
// A is unsigned or signed bytes. Tiles of AMX, AVX-512 VNNI and AVX2 read it where it lies. For other instructions some rows at a time
// are copied into a block, in the form that the dot product reads (16-bit numbers, or unsigned bytes), and all panels pass by.
// A convolution gathers its taps there (int8_conv.h). Sums are exact modulo 2^32, also where a 16-bit step would have
// saturated.
//
// Threads: kernels start none. A caller splits [0, m) x [0, panels) as it likes; the results are the same bits, on every
// instruction set: what follows the exact sums is computed in float in one order, without fused multiply-adds.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <algorithm>

#include "base/cpu.h"
#include "kernels/gemm.h"

namespace linnet {

/// K is cut into even steps of at most 64, what an AMX tile holds of a row: so many, each a multiple of 4.
inline int64_t StepsOfK(int64_t k) { return (k + 63) / 64; }
inline int64_t StepOfK(int64_t k) {
  const int64_t steps = k > 0 ? StepsOfK(k) : 1;
  return ((k + steps - 1) / steps + 3) / 4 * 4;
}
/// K as it is packed.
inline int64_t PaddedK(int64_t k) { return StepsOfK(k) * StepOfK(k); }

/// Bytes of a packed K x N matrix of bytes. Overflow is the caller's to check: needs 2 (k + 64) * (n + 15) to fit.
inline int64_t PackedSizeInt8(int64_t k, int64_t n) {
  return PanelCount(n) * kPanelColumns * (PaddedK(k) + static_cast<int64_t>(sizeof(int32_t)));
}
/// Parts of a packed matrix of n columns: sums of its columns as they are packed, and its panels.
inline const int32_t* PackedSums(const void* packed) { return static_cast<const int32_t*>(packed); }
inline const int8_t* PackedPanels(const void* packed, int64_t n) {
  return static_cast<const int8_t*>(packed) + PanelCount(n) * kPanelColumns * static_cast<int64_t>(sizeof(int32_t));
}

/// Packs B, element (i, j) at b[i * row_stride + j * col_stride], into panels [panel0, panel1) of `out` (the whole packed
/// matrix) with their sums. Unsigned elements become w - 128. Reads nothing but the elements.
void PackPanelsInt8(const void* b, bool is_signed, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride,
                    int64_t panel0, int64_t panel1, void* out);
inline void PackInt8(const void* b, bool is_signed, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, void* out) {
  PackPanelsInt8(b, is_signed, k, n, row_stride, col_stride, 0, PanelCount(n), out);
}

/// What becomes of a sum s of row i and column j, before it is stored:
///
///     t = s + offset[j] - column_zero[j] * row_sums[i]          modulo 2^32, row_sums being those of A as a block has it
///     kInt32     t
///     kFloat     activation(t * scale[j] + bias[j] + residual[i, j])
///     kInt8, kUint8  zero + round(min(max(t * scale[j], low), high)), halves to even; NaN as `low`
///     kActivated  a byte, of v = t * scale[j] + bias[j]: table[round(min(max(v, 0), high))], NaN as 0, or, without a table,
///                zero + round(min(max(f(v), low), high)), where f is v min(max(alpha v + 1/2, 0), 1) for kHardSwish, v < 0 ? alpha v : v
///                for kLeakyRelu, and v for kNone
///
/// offset, column_zero, scale and the bias of `epilogue` are readable up to a multiple of 16 columns.
struct FinishInt8 {
  enum class To : uint8_t { kInt32, kFloat, kInt8, kUint8, kActivated } to = To::kInt32;
  const int32_t* offset = nullptr;        ///< null: zeros
  const int32_t* column_zero = nullptr;   ///< null: zeros
  const float* scale = nullptr;           ///< not for kInt32
  bool one_scale = false;                 ///< scale[0] for all columns; it is there 16 times
  float low = 0, high = 0;                ///< integers, such that zero + low and zero + high are of the output's type
  int32_t zero = 0;
  const uint8_t* table = nullptr;         ///< kActivated: high + 1 bytes, or null
  bool to_signed = false;                 ///< kActivated without a table: low and high with zero are signed bytes
  Epilogue epilogue;                      ///< kFloat; of kActivated the bias, which is there, and the activation
  void* c = nullptr;                      ///< row i, column j at element i * c_row_stride + j
  int64_t c_row_stride = 0;
};

/// Rows of A that tiles read in place: `steps` pieces of `step` bytes (a multiple of 4, at most 64) each, piece s of row i at
/// a + i * row_stride + offsets[s] (null: s * step). Of a convolution's rows, only the first `valid` of every `pitch` are
/// pixels of the output.
struct RowsInt8 {
  const uint8_t* a = nullptr;
  int64_t row_stride = 0;
  const int64_t* offsets = nullptr;
  int64_t steps = 0, step = 4;
  bool is_signed = false;
  int64_t pitch = 0, valid = 0;   ///< 0: all rows are rows of C
  int64_t c_row = 0;              ///< C's row of row 0
  uint8_t* copies = nullptr;      ///< where tiles copy rows (kTilesCopy) or sort panels, 64-byte aligned
  int64_t copies_bytes = 0;       ///< TilesScratchInt8
};

struct BlocksInt8;

/// Whether a level of this architecture has Int8Kernels::tiles.
#if defined(__x86_64__) || defined(__aarch64__)
inline constexpr bool kTilesInPlace = true;
#else
inline constexpr bool kTilesInPlace = false;
#endif
/// Whether they copy rows into an order of their own, signed or not, instead of reading them in place. Then nothing else is read, and
/// a row without offsets ends at k where that is a multiple of 4.
#if defined(__aarch64__)
inline constexpr bool kTilesCopy = true;
#else
inline constexpr bool kTilesCopy = false;
#endif

/// Where Int8Kernels::sorts: the largest K whose panels tiles sort, in copies that take so many bytes for every four k, and from how many
/// pixels on tiles end with a line of the output, so that none computes what lies between lines (RowsInt8::pitch).
inline constexpr int64_t kSortedKInt8 = 8192, kSortedBytesInt8 = 196, kLineRowsInt8 = 4;

/// Where Int8Kernels::lines: rows of tiles of 14 that take as long as a line of n. Tiles of 8, 4 and 2 read weights as often as those.
inline int64_t LineRowsInt8(int64_t n) {
  const int64_t rest = n % 14;
  return n - rest + (rest > 8 ? 14 : rest > 4 ? 10 : rest > 2 ? 6 : rest > 0 ? 4 : 0);
}

/// Where Int8Kernels::sorts, the order that tiles sort a panel in depends on its weights alone, and may be kept from call to call: so many
/// bytes for a panel.
inline constexpr int64_t kOrderHeadInt8 = 40;
inline int64_t PanelOrderBytesInt8(int64_t k) { return (kOrderHeadInt8 + (k + 3) / 4 * 2 + 7) / 8 * 8; }

/// The functions of one instruction set.
struct Int8Kernels {
  const char* name;
  double mac_ns;        ///< about how long a multiply-add takes,
  double finish_macs;   ///< and, in such units, what follows a sum
  int rows;             ///< the biggest tile
  int block_bytes;      ///< of an element of A in a block
  int unsigned_shift, signed_shift;   ///< what is added to the elements of an unsigned, and of a signed A in a block
  /// Copies n bytes of A into a block, reading and writing nothing else.
  void (*load)(const uint8_t* a, int64_t n, bool is_signed, void* block);
  /// Sums of `rows` (1 to `rows` of this table) rows of a block with the first `columns` (1 to 16) columns of a panel of 4 k4
  /// rows, to sums[i * 16 + j]; further columns are written or not.
  void (*dots)(const void* block, int64_t row_bytes, int rows, int64_t k4, const int8_t* panel, int64_t columns, int32_t* sums);
  /// Finishes and stores sums[i * 16 + j], i < rows, j < columns <= 16, as C's rows from `row` and columns from `column`.
  /// row_sums[i] is read where there are zero points of columns.
  void (*finish)(const FinishInt8& finish, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows,
                 int64_t column, int64_t columns);
  /// Rows [row0, row1) times panels [panel0, panel1), finished; instead of `dots`, where tiles read rows in place. row_sums
  /// begin with row0's.
  void (*tiles)(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                const int32_t* row_sums);
  /// out[j] = -zero sums[j] modulo 2^32, j < n, a multiple of 16.
  void (*offsets)(int32_t zero, const int32_t* sums, int64_t n, int32_t* out);
  bool sorts = false;   ///< tiles need memory for a sorted panel
  bool lines = false;   ///< tiles end with a line of the output where that takes no longer (LineRowsInt8)
};

const Int8Kernels& PickInt8(CpuLevel level);
/// For tests: the tiles of the levels that multiply bytes (avxvnni, avx512vnni, amx), with these instructions replaced by
/// others, so that all but the instructions is tested where they are missing.
const Int8Kernels& EmulatedInt8(CpuLevel level);

/// What has been added to A's bytes in a block.
inline int BlockShift(const Int8Kernels& kernels, bool is_signed) { return is_signed ? kernels.signed_shift : kernels.unsigned_shift; }
/// Whether bytes of a block are signed.
inline bool BlockSigned(const Int8Kernels& kernels, bool is_signed) { return BlockShift(kernels, is_signed) == (is_signed ? 0 : -128); }

/// offset[j] for A with zero point `a_zero`, columns with zero points `column_zero` (or null), biases (or null) and the
/// packed sums of columns: bias - a_zero sum + a_zero k column_zero. Fills whole panels; the arrays have n elements.
void OffsetsInt8(const Int8Kernels& kernels, bool a_signed, int32_t a_zero, const int32_t* sums, const int32_t* column_zero,
                 const int32_t* bias, int64_t k, int64_t n, int32_t* out);

/// One product. Only A's m x k bytes and the elements of C (and residual) are touched.
struct GemmInt8 {
  const uint8_t* a = nullptr;   ///< bytes, signed or not
  int64_t a_row_stride = 0;
  bool a_signed = false;
  int64_t m = 0, n = 0, k = 0;
  const void* packed = nullptr;
  bool near = false;            ///< B is in the second-level cache: asking for it ahead would only cost
  std::byte* orders = nullptr;  ///< OrdersBytesInt8 for all calls with this B, of any thread: zeros at first
  FinishInt8 finish;
};

/// Bytes for the orders of all panels of a B, a multiple of 8: 0 where tiles sort none.
inline int64_t OrdersBytesInt8(const Int8Kernels& kernels, int64_t k, int64_t n) {
  return kernels.sorts && k <= kSortedKInt8 ? PanelCount(n) * PanelOrderBytesInt8(k) : 0;
}
/// Bytes of scratch a call needs, 64-byte aligned; each thread its own.
int64_t GemmInt8ScratchBytes(const Int8Kernels& kernels, int64_t m, int64_t k);
/// Computes rows [m0, m1) of the columns of panels [panel0, panel1).
void RunGemmInt8(const Int8Kernels& kernels, const GemmInt8& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1,
                 void* scratch);
/// A good unit of work for so many threads.
GemmGrain GemmGrainInt8(const Int8Kernels& kernels, int64_t m, int64_t n, int64_t k, int threads, bool near = false);

/// What products and convolutions share: rows times panels of the n columns at `panels`.
struct BlocksInt8 {
  const Int8Kernels& kernels;
  int64_t n, k;
  const int8_t* panels;
  const FinishInt8& finish;
  bool near = false;   ///< as GemmInt8 has it,
  std::byte* orders = nullptr;   ///< and that too, from the first panel on
};
/// Bytes that tiles need for a sorted panel, or for copies of rows (kTilesCopy), a multiple of 64: up to kTileRowsInt8 rows take what so
/// many do, and kTilesBeyond bytes behind all are read.
inline constexpr int64_t kTileRowsInt8 = 6, kTilesBeyond = 64;
int64_t TilesScratchInt8(const Int8Kernels& kernels, int64_t m, int64_t k);
/// Rows of a block for products with so many rows.
int64_t BlockRowsInt8(const Int8Kernels& kernels, int64_t m, int64_t k);
/// Multiplies a filled block: rows [row, row + count) of C. What the block holds between k and PaddedK(k) does not matter. `copies`:
/// TilesScratchInt8 bytes, for at least `count` rows.
void MultiplyBlockInt8(const BlocksInt8& job, const void* block, bool a_signed, int64_t row, int64_t count, int64_t panel0, int64_t panel1,
                       int32_t* row_sums, void* copies);
/// About how long a product takes: its arithmetic, or reading B from beyond the second-level cache, or (near) from it.
inline double ProductNs(const Int8Kernels& kernels, double m, double n, double k, bool near = false) {
  const double byte_ns = near ? 0.006 : 0.03;
  return std::max(m * n * (k + kernels.finish_macs) * kernels.mac_ns, n * k * byte_ns);
}
inline int64_t BlockRowBytes(const Int8Kernels& kernels, int64_t k) { return PaddedK(k) * kernels.block_bytes; }

}  // namespace linnet
