// The cells of LSTM and GRU with their default activations (sigmoid, tanh), in one walk over the hidden units, and the
// product of one row with recurrent weights.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// Some hidden units of one sequence element at one time: pointers are to the first of them. A gate's pre-activation is
/// x_gates + h_gates, each of `gates` runs of n floats, `stride` apart, in ONNX's order, clamped to [-clip, clip]
/// (infinity: not at all).
///
///     LSTM, gates i o f c:    C = f C' + i c    H = o tanh(C)
///
/// with peephole weights pi, po, pf (runs of n, or null): i and f add p C', o adds p C before the sigmoid.
struct LstmCellArgs {
  int64_t n = 0;                     ///< units
  const float* x_gates = nullptr;    ///< [4 n]
  const float* h_gates = nullptr;    ///< [4 n]
  const float* peepholes = nullptr;  ///< [3 n], order i o f
  float* cell = nullptr;             ///< [n]: C' in, C out
  float* h = nullptr;                ///< [n]: H out; may be h_gates' or x_gates' beginning
  float clip = __builtin_inff();
  bool input_forget = false;  ///< f = 1 - i
  int64_t stride = 0;         ///< from gate to gate, of peepholes too; 0: n
};
using LstmCellFn = void(const LstmCellArgs& args);
LstmCellFn* PickLstmCell(CpuLevel level);

/// GRU, gates z r h, in one walk where linear_before_reset is set:
///
///     g = tanh(xh + r (hh + bias))    H = (1 - z) g + z H'
///
/// and in two where it is not: GruReset leaves r H', whose product with the recurrent weights of h the caller
/// puts into h_gates's last run, then GruUpdate computes g = tanh(xh + hh) and H. GruReset reads gate r only,
/// GruUpdate z and h.
struct GruCellArgs {
  int64_t n = 0;
  const float* x_gates = nullptr;  ///< [3 n]
  const float* h_gates = nullptr;  ///< [3 n]
  const float* bias = nullptr;     ///< [n] or null; GruLinear alone
  float* h = nullptr;              ///< [n]: H' in, H out (GruReset leaves it)
  float* reset_h = nullptr;        ///< [n]: out, GruReset alone
  float clip = __builtin_inff();
  int64_t stride = 0;               ///< from gate to gate; 0: n
  const float* before = nullptr;    ///< [n]: H'; null: it is in h
};
using GruCellFn = void(const GruCellArgs& args);
GruCellFn* PickGruLinear(CpuLevel level);
GruCellFn* PickGruReset(CpuLevel level);
GruCellFn* PickGruUpdate(CpuLevel level);

/// out[j] = a R for the columns j of panels [panel0, panel1) of a packed [k x n] matrix (kernels/gemm.h): a product of one
/// row for weights that stay in the second-level cache from one time step to the next. It asks for nothing ahead, which
/// costs the general product a quarter of that cache's bandwidth. `out` is the whole row. Sums are over k in order.
using RowTimesPanelsFn = void(const float* a, int64_t k, const float* packed, int64_t n, int64_t panel0, int64_t panel1,
                              float* out);
RowTimesPanelsFn* PickRowTimesPanels(CpuLevel level);

// Arrays do not overlap but as said. Nothing outside them is touched.

}  // namespace linnet
