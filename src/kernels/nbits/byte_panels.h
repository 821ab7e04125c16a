// Products of floats with matrices of bytes that have a scale, and a zero point, for each column: float in, float out.
//
//     C[i][j] = (sum over k of A[i][k] (byte[k][j] - zero[j])) scale[j] + bias[j]
//
// Bytes lie in panels of 16 columns, [N/16][K][16], and become floats in registers, with their zero point taken away, so that
// a product of few rows reads a quarter of what floats would take. Every sum is over k in order, however rows and panels are
// split.
#pragma once

#include <stdint.h>

#include "base/cpu.h"
#include "kernels/gemm.h"

namespace linnet {

/// A packed matrix. Numbers of columns that are missing are zeros.
struct BytePanels {
  int64_t k = 0, n = 0;
  const int8_t* bytes = nullptr;    ///< [panels][k][16]
  const float* scales = nullptr;    ///< [panels][16]
  const int32_t* zeros = nullptr;   ///< [panels][16], or null
};

/// Bytes of panels.
inline int64_t PackedBytePanels(int64_t k, int64_t n) { return PanelCount(n) * kPanelColumns * k; }

/// Packs [n][k] bytes, a column of the product a row. Unsigned ones become those less 128, as their zero points must.
void PackBytePanels(const uint8_t* rows, bool is_signed, int64_t k, int64_t n, int8_t* out);

/// Rows [0, m) of C, `c_stride` apart, for panels [panel0, panel1). `bias`: n numbers or null. Rows of A are a_stride apart.
using MultiplyBytePanelsFn = void(const BytePanels& w, const float* a, int64_t a_stride, int64_t m, const float* bias, float* c,
                                  int64_t c_stride, int64_t panel0, int64_t panel1);
MultiplyBytePanelsFn* PickMultiplyBytePanels(CpuLevel level);

// Arrays do not overlap. Nothing outside them is touched.

}  // namespace linnet
