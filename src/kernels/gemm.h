// Float32 matrix product on packed panels: C = epilogue(A B), the workhorse of MatMul, Gemm and Conv.
//
// B is packed once into panels of 16 columns, the columns padded with zeros to a multiple of 16:
//
//            16 columns                    panel p, row k  =  16 floats at  b + p * b_panel_stride + k *
//            b_row_stride
//          +-----------+-----------+--    packed:     b_row_stride = 16, b_panel_stride = 16 K
//        K |  panel 0  |  panel 1  | ..   row-major:  b_row_stride = its row stride, b_panel_stride = 16
//          +-----------+-----------+--
//
// A is row-major and read in place. A row need not be contiguous: it is a list of segments, each a run of
// contiguous floats, with one stride from row to row for all of them. A convolution is such a product: output
// pixels of one row are the rows of A, and every kernel row is a segment.
//
// Threads: kernels start none. A caller splits [0, m) x [0, panels) as it likes, GemmGrainF32 being a good
// grain, and the results are bit-equal however it does: every element is summed over k in order, starting
// from its bias.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ahead.h"
#include "base/cpu.h"
#include "kernels/epilogue.h"

namespace linnet {

inline constexpr int64_t kPanelColumns = 16;

/// Panels of n columns.
inline int64_t PanelCount(int64_t n) {
  return (n + kPanelColumns - 1) / kPanelColumns;
}

/// Floats of a packed K x N matrix. Overflow is the caller's to check: needs k * (n + 15) to fit.
inline int64_t PackedSizeF32(int64_t k, int64_t n) {
  return PanelCount(n) * kPanelColumns * k;
}

/// Packs alpha * B, element (i, j) of B at b[i * row_stride + j * col_stride], into panels [panel0, panel1)
/// of `out` (the whole packed matrix). Reads nothing but the elements.
void PackPanelsF32(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha,
                   int64_t panel0, int64_t panel1, float* out);
/// Rows [row0, row1) of all panels alone.
void PackRowsF32(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha, int64_t row0, int64_t row1,
                 float* out);
inline void PackF32(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride,
                    float* out) {
  PackPanelsF32(b, k, n, row_stride, col_stride, 1.0f, 0, PanelCount(n), out);
}

/// A run of k contiguous floats of every row of A: row i's starts at a + i * a_row_stride.
struct SegmentF32 {
  const float* a;
  int64_t k;
};

/// One product. m, n, k >= 0; strides in floats and of any sign where memory allows.
/// Only the m x k floats of A and the m x n of C (and residual) are touched. Of B, whole 16-float panel rows
/// are read: a row-major B whose n is not a multiple of 16 needs its last panel packed (see
/// GemmF32Kernels::run_row_major). C must not overlap A or B.
struct GemmF32 {
  const float* a = nullptr;  ///< used when segment_count == 0: one segment of k
  int64_t a_row_stride = 0;
  const SegmentF32* segments = nullptr;
  int64_t segment_count = 0;  ///< their k add up to k
  int64_t m = 0, n = 0, k = 0;
  bool only_row = false;   ///< m is 1, and this is no part of a product of more rows: its columns may be summed up in an order of its own
  const float* b = nullptr;
  int64_t b_row_stride = kPanelColumns;
  int64_t b_panel_stride = 0;  ///< 16 k when packed
  /// Where the products are many and small: what is read after this one, for which this one asks memory: as many panels as this one has,
  /// each of k rows of next_row_bytes, 64 at most, next_panel_stride floats apart; and whether B has been asked for.
  const float* next_b = nullptr;
  int64_t next_row_bytes = 0, next_panel_stride = 0;
  bool b_is_near = false;
  AheadPart ahead;   ///< other memory that it may ask for, slowly enough not to wait for it
  /// So many bytes are asked for meanwhile by so many multiply-adds of a core.
  static constexpr double AheadBytes(double macs) { return macs / 20; }
  float* c = nullptr;
  int64_t c_row_stride = 0;
  bool c_is_far = false;  ///< C is a part of something larger than a second-level cache
  Epilogue epilogue;
};

/// Fills the B part of `gemm` for a matrix made by PackF32.
inline void UsePackedB(GemmF32* gemm, const float* packed) {
  gemm->b = packed;
  gemm->b_row_stride = kPanelColumns;
  gemm->b_panel_stride = kPanelColumns * gemm->k;
}

/// A row of the table of candidates: the functions of one instruction set.
struct GemmF32Kernels {
  const char* name;
  int rows, columns;  ///< the biggest tile held in registers
  float ns_per_mac;   ///< about, in large tiles
  /// Computes rows [m0, m1) of the columns of panels [panel0, panel1).
  void (*run)(const GemmF32& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1);
  /// C = A B with B row-major and not packed, B[i, j] at b[i * b_row_stride + j] (b_panel_stride is ignored),
  /// read exactly. `scratch`: 16 k floats, used when n is not a multiple of 16. Computes rows [m0, m1). As
  /// fast as `run` where B stays in the second-level cache (up to about 256 KiB) or m is a tile or two;
  /// otherwise pack B and use `run`.
  void (*run_row_major)(const GemmF32& gemm, int64_t m0, int64_t m1, float* scratch);
  /// C = A B^T with B[n][k] row-major (element (i, j) of B^T at b[j * b_row_stride + i]), as dot products,
  /// for m up to about 4; otherwise pack. One segment only. Computes columns [n0, n1) of all rows. Sums in
  /// another order than `run`.
  void (*run_transposed)(const GemmF32& gemm, int64_t n0, int64_t n1);
};

const GemmF32Kernels& PickGemmF32(CpuLevel level);

/// A good unit of work for so many threads: so many rows by so many panels. Where B is larger than a cache, tasks are
/// groups of columns; `whole_rows` keeps to rows, for callers to whom a row of A is expensive.
struct GemmGrain {
  int64_t rows, panels;
};
GemmGrain GemmGrainF32(const GemmF32Kernels& kernels, int64_t m, int64_t n, int64_t k, int threads,
                       bool whole_rows = false);

}  // namespace linnet
