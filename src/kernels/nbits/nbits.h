// Products with weights of 4 or 8 bits that share a scale (and zero point) along blocks of rows: float in, float out.
//
//     C[i][j] = sum over k of A[i][k] (code[k][j] - zero[k / block][j]) scale[k / block][j] + bias[j]
//
// Codes lie in panels of 16 columns, one 32-bit word a column for 8 (4 bits) or 4 (8 bits) rows, the first row lowest:
//
//     words   [N/16][K/8][16]         K padded to whole blocks; codes signed: the format's code less 8 or 128
//     scales  [N/16][K/block][16]     zeros likewise, also less 8 or 128
//
// A few rows are multiplied where the codes lie; for more, a panel at a time becomes floats (kernels/gemm.h's layout).
#pragma once

#include <stdint.h>

#include "base/cpu.h"
#include "kernels/gemm.h"

namespace linnet {

struct NBits {
  int bits = 4;                      ///< 4 or 8
  int64_t block = 32;                ///< rows that share a scale: a multiple of 16
  int64_t k = 0, n = 0;
  const uint32_t* words = nullptr;
  const float* scales = nullptr;
  const int8_t* zeros = nullptr;     ///< at most one of the two; neither: zeros
  const float* float_zeros = nullptr;

  int64_t blocks() const { return (k + block - 1) / block; }
  int64_t padded_k() const { return blocks() * block; }
  int64_t words_a_panel() const { return padded_k() * bits / 32 * kPanelColumns; }
  int64_t scales_a_panel() const { return blocks() * kPanelColumns; }
};

/// Rows of A that `multiply` takes.
inline constexpr int kNBitsRowsMax = 4;

struct NBitsKernels {
  /// Rows [0, m), m <= kNBitsRowsMax, of the columns of panels [panel0, panel1). Rows of A are padded_k() long, zeros behind
  /// the k-th. `sums`: with zero points, the sums of A's blocks, blocks() a row; else unused. `bias`: n or null.
  void (*multiply)(const NBits& w, const float* a, int64_t a_stride, const float* sums, int m, const float* bias, float* c,
                   int64_t c_stride, int64_t panel0, int64_t panel1);
  /// k rows of 16 floats of one panel: (code - zero) scale.
  void (*unpack)(const NBits& w, int64_t panel, float* out);
};
const NBitsKernels& PickNBits(CpuLevel level);

/// Codes of MatMulNBits, com.microsoft: `codes` [n][blocks][block * bits / 8] bytes, the first of two low in its byte, as words.
void PackNBits(const uint8_t* codes, const NBits& shape, uint32_t* words);
/// Numbers [n][blocks] as panels; columns that are missing get 0.
void PackNBitsScales(const float* scales, const NBits& shape, float* out);
/// Zero points [n][ceil(blocks * bits / 8)] bytes as panels, less 8 or 128.
void PackNBitsZeros(const uint8_t* zeros, const NBits& shape, int8_t* out);

}  // namespace linnet
