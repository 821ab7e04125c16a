// The cells of LSTM and GRU with their default activations (sigmoid, tanh), in one walk over the hidden
// units.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// One sequence element at one time. A gate's pre-activation is x_gates + h_gates, each of `gates` runs of n
/// floats in ONNX's order, clamped to [-clip, clip] (infinity: not at all).
///
///     LSTM, gates i o f c:    C = f C' + i c    H = o tanh(C)
///
/// with peephole weights pi, po, pf (runs of n, or null): i and f add p C', o adds p C before the sigmoid.
struct LstmCellArgs {
  int64_t n = 0;
  const float* x_gates = nullptr;    ///< [4 n]
  const float* h_gates = nullptr;    ///< [4 n]
  const float* peepholes = nullptr;  ///< [3 n], order i o f
  float* cell = nullptr;             ///< [n]: C' in, C out
  float* h = nullptr;                ///< [n]: H out; may be h_gates' or x_gates' beginning
  float clip = __builtin_inff();
  bool input_forget = false;  ///< f = 1 - i
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
};
using GruCellFn = void(const GruCellArgs& args);
GruCellFn* PickGruLinear(CpuLevel level);
GruCellFn* PickGruReset(CpuLevel level);
GruCellFn* PickGruUpdate(CpuLevel level);

// Arrays do not overlap but as said. Nothing outside them is touched.

}  // namespace linnet
