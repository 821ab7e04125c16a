// What LSTM, GRU and RNN share: attributes, shapes, packed weights and the walk over time. Each of them adds a cell.
//
//     all times at once     xg = x W' + b           [rows of x][gates * hidden]
//     one time at a time    hg = h R'               [batch][gates * hidden]
//                           h  = cell(xg + hg)      gate functions, in runs of `hidden` numbers
//
// Tasks are a direction by a block of the batch, each of which walks all its time steps alone. A single task splits its
// hidden units instead, so that every thread's cache holds its part of R: product and cell of a part are one job a time
// step, which reads the state before and writes the one after. 16-bit types are widened to float where they enter and rounded where they leave.
#pragma once

#include <cmath>
#include <vector>

#include "kernels/nbits/byte_panels.h"
#include "kernels/gemm.h"
#include "kernels/pointwise.h"
#include "ops/scalar_helpers.h"
#include "ops/op.h"

namespace linnet {

/// A gate function: f, g or h of the ONNX descriptions.
struct GateFunction {
  enum Kind : uint8_t {
    kRelu,
    kTanh,
    kSigmoid,
    kAffine,
    kLeakyRelu,
    kThresholdedRelu,
    kScaledTanh,   ///< alpha tanh(beta x)
    kHardSigmoid,
    kElu,
    kSoftsign,
    kSoftplus,
  };
  Kind kind = kTanh;
  float alpha = 0, beta = 0;
  PointwiseFn* kernel = nullptr;

  void Pick(CpuLevel cpu);
  void Apply(float* x, int64_t n) const;
  void Apply(double* x, int64_t n) const;
};

inline constexpr int kGateFunctionsMax = 3;

struct RecurrentAttributes {
  int gates = 1, functions = 1;
  int directions = 1;
  bool reverse = false;        ///< the only direction walks backwards; of two the second does
  bool batch_first = false;
  int64_t hidden_size = -1;    ///< -1: not given
  double clip = 0;             ///< 0: none
  GateFunction function[2][kGateFunctionsMax];

  /// `defaults`: names of a direction's functions.
  Status Parse(const Node& node, int gate_count, std::initializer_list<const char*> defaults);
  /// True when every direction has just these functions.
  bool AreFunctions(std::initializer_list<GateFunction::Kind> kinds) const;
  /// Checks inputs 0 to 5 (and 6, 7 when `cell_state`) and sets Y, Y_h and Y_c. With `bytes` all but the weights are float32,
  /// and what CheckBytes checks may follow.
  Status Infer(InferContext& c, bool cell_state, bool bytes = false) const;
  /// Operators of the domain linnet: weights 1 and 2 are float32, or 8-bit integers that have inputs ScaleOf, [directions,
  /// gates * hidden] floats, and behind it (optional) zero points of the weight's type. What GRU and RNN lack is absent.
  Status CheckBytes(const InferContext& c) const;
  static constexpr int ScaleOf(int weight) { return 6 + 2 * weight; }
};

/// A run of gates whose recurrent product is made at once. A second part multiplies what the first part's gates left in
/// `mixed` instead of h.
struct GatePart {
  int first, count;
};

/// A matrix [n][k] to multiply with from the right, transposed: packed panels for float, widened rows for double.
template <class W>
struct GateMatrix {
  int64_t n = 0, k = 0;
  const W* data = nullptr;

  static int64_t Count(int64_t n, int64_t k) {
    if constexpr (std::is_same_v<W, float>) return PackedSizeF32(k, n);
    return n * k;
  }
  /// `rows`: [n][k] of T; `temporary`: n * k floats when T is a 16-bit type.
  template <class T>
  static void Pack(const T* rows, int64_t n, int64_t k, W* temporary, W* out) {
    if constexpr (std::is_same_v<T, float>) {
      PackF32(rows, k, n, 1, k, out);
    } else if constexpr (std::is_same_v<T, double>) {
      for (int64_t i = 0; i < n * k; ++i) out[i] = rows[i];
    } else {
      for (int64_t i = 0; i < n * k; ++i) temporary[i] = Widen(rows[i]);
      PackF32(temporary, k, n, 1, k, out);
    }
  }
};

/// c[m][n] (rows `c_stride` apart) = a[m][k] times matrix transposed, plus bias (may be null), for panels [panel0, panel1)
/// of 16 columns.
inline void Multiply(const GemmF32Kernels& kernels, const float* a, int64_t m, const GateMatrix<float>& matrix,
                     const float* bias, float* c, int64_t c_stride, int64_t panel0, int64_t panel1) {
  GemmF32 gemm;
  gemm.a = a;
  gemm.a_row_stride = matrix.k;
  gemm.m = m, gemm.n = matrix.n, gemm.k = matrix.k;
  UsePackedB(&gemm, matrix.data);
  gemm.c = c;
  gemm.c_row_stride = c_stride;
  gemm.epilogue.bias = bias;
  kernels.run(gemm, 0, m, panel0, panel1);
}
inline void Multiply(const GemmF32Kernels&, const double* a, int64_t m, const GateMatrix<double>& matrix,
                     const double* bias, double* c, int64_t c_stride, int64_t panel0, int64_t panel1) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = panel0 * kPanelColumns; j < std::min(matrix.n, panel1 * kPanelColumns); ++j) {
      double sum = bias ? bias[j] : 0;
      for (int64_t l = 0; l < matrix.k; ++l) sum += a[i * matrix.k + l] * matrix.data[j * matrix.k + l];
      c[i * c_stride + j] = sum;
    }
  }
}

/// A matrix of bytes as it is packed: panels, scales, zero points.
struct ByteGateMatrix {
  static int64_t Columns(int64_t n) { return PanelCount(n) * kPanelColumns; }
  static int64_t Bytes(int64_t n, int64_t k) { return RoundUp(PackedBytePanels(k, n), kAlignment) + Columns(n) * 8; }
  static BytePanels At(const std::byte* at, int64_t n, int64_t k, bool zeros) {
    const std::byte* scales = at + RoundUp(PackedBytePanels(k, n), kAlignment);
    return {k, n, reinterpret_cast<const int8_t*>(at), reinterpret_cast<const float*>(scales),
            zeros ? reinterpret_cast<const int32_t*>(scales + Columns(n) * 4) : nullptr};
  }
  /// `zeros`: n of the bytes' type, or null.
  static void Pack(const uint8_t* rows, bool is_signed, const float* scales, const uint8_t* zeros, int64_t n, int64_t k, std::byte* out);
};

/// Some hidden units of one row of a batch at one time, as a cell sees them: `count` units of `n` = hidden_size. Pointers
/// are to the first unit's number; xg and hg have a run of n for each gate, peepholes (null when there are none) three.
template <class W>
struct CellRow {
  int64_t n, count;
  const W* xg;
  W* hg;             ///< free to be overwritten
  const W* before;   ///< the state before
  W* h;              ///< out, in the last part: the state after; does not overlap `before`
  W* cell;           ///< LSTM's C, before and after
  W* mixed;          ///< left by the first part for the second part's product
  const W* peepholes;
  const W* recurrent_bias;   ///< a run of n for each gate, what was not added to xg
  const GateFunction* function;
  W clip;            ///< infinity when there is none

  void Clip(W* x) const {
    for (int64_t i = 0; i < count; ++i) x[i] = x[i] < -clip ? -clip : x[i] > clip ? clip : x[i];
  }
  void Activate(int which, W* x) const {
    if (std::isfinite(clip)) Clip(x);
    function[which].Apply(x, count);
  }
};

}  // namespace linnet
