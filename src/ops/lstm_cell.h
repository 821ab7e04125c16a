// The cell of LSTM: its gates, and one step of one row.
//
//     i = f(xi + Pi C)   f = f(xf + Pf C)   c = g(xc)   C' = f C + i c   o = f(xo + Po C')   H = o h(C')
//
// with x. the gate's share of x W' + h R' + b; gates are stored in the order i, o, f, c and peepholes i, o, f. clip
// bounds what goes into f and g (not h: the state itself is never clipped). With input_forget f = 1 - i. The default
// functions without clip have a kernel of their own (kernels/gates.h).
#pragma once

#include "kernels/gates.h"
#include "ops/recurrent_helpers.h"

namespace linnet {

struct LstmCell {
  static constexpr int kGates = 4;
  static constexpr bool kCellState = true;
  bool input_forget = false;
  LstmCellFn* kernel = nullptr;   ///< null: function by function

  Status Parse(const Node& node, RecurrentAttributes* attributes) {
    LINNET_ASSIGN(int64_t couple, node.Int("input_forget", 0));
    input_forget = couple != 0;
    return attributes->Parse(node, kGates, {"Sigmoid", "Tanh", "Tanh"});
  }

  std::span<const GatePart> parts() const {
    static constexpr GatePart kParts[] = {{0, 4}};
    return kParts;
  }
  bool keeps_bias(int) const { return false; }
  void Pick(const RecurrentAttributes& attributes, CpuLevel cpu) {
    constexpr auto kSigmoid = GateFunction::kSigmoid, kTanh = GateFunction::kTanh;
    if (attributes.clip == 0 && attributes.AreFunctions({kSigmoid, kTanh, kTanh})) kernel = PickLstmCell(cpu);
  }

  template <class W>
  void Step(int, const CellRow<W>& row) const {
    const int64_t n = row.n, count = row.count;
    if constexpr (std::is_same_v<W, float>) {
      if (kernel) {
        LstmCellArgs args;
        args.n = count, args.stride = n;
        args.x_gates = row.xg, args.h_gates = row.hg, args.peepholes = row.peepholes;
        args.cell = row.cell, args.h = row.h;
        args.input_forget = input_forget;
        return kernel(args);
      }
    }
    W *i = row.hg, *o = i + n, *f = o + n, *c = f + n, *cell = row.cell;
    for (int64_t gate = 0; gate < kGates * n; gate += n) {
      for (int64_t k = gate; k < gate + count; ++k) row.hg[k] += row.xg[k];
    }
    if (row.peepholes) {
      for (int64_t k = 0; k < count; ++k) i[k] += row.peepholes[k] * cell[k];
      for (int64_t k = 0; k < count; ++k) f[k] += row.peepholes[2 * n + k] * cell[k];
    }
    row.Activate(0, i);
    row.Activate(1, c);
    if (input_forget) {
      for (int64_t k = 0; k < count; ++k) f[k] = W(1) - i[k];
    } else {
      row.Activate(0, f);
    }
    for (int64_t k = 0; k < count; ++k) cell[k] = f[k] * cell[k] + i[k] * c[k];
    if (row.peepholes) {
      for (int64_t k = 0; k < count; ++k) o[k] += row.peepholes[n + k] * cell[k];
    }
    row.Activate(0, o);
    for (int64_t k = 0; k < count; ++k) c[k] = cell[k];
    row.function[2].Apply(c, count);
    for (int64_t k = 0; k < count; ++k) row.h[k] = o[k] * c[k];
  }
};

}  // namespace linnet
