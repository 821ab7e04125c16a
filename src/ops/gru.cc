// GRU: gated recurrent unit over a sequence (versions 1, 3, 7, 14, 22; linear_before_reset since 3, layout since 14).
//
//     z = f(xz + hz)   r = f(xr + hr)   H = (1 - z) g(xh + (r h) Rh' + Rbh) + z h
//
// or, with linear_before_reset, g(xh + r (h Rh' + Rbh)). Gates are stored in the order z, r, h. The default functions
// have kernels of their own (kernels/gates.h).
#include "kernels/gates.h"

#include "ops/recurrent.h"

namespace linnet {
namespace {

struct GruCell {
  static constexpr int kGates = 3;
  static constexpr bool kCellState = false;
  bool linear_before_reset = false;
  GruCellFn* kernel[2] = {nullptr, nullptr};   ///< by part; null: function by function

  Status Parse(const Node& node, RecurrentAttributes* attributes) {
    LINNET_ASSIGN(int64_t linear, node.Int("linear_before_reset", 0));
    linear_before_reset = linear != 0;
    return attributes->Parse(node, kGates, {"Sigmoid", "Tanh"});
  }

  std::span<const GatePart> parts() const {
    static constexpr GatePart kTogether[] = {{0, 3}};
    static constexpr GatePart kApart[] = {{0, 2}, {2, 1}};
    if (linear_before_reset) return kTogether;
    return kApart;
  }
  /// r multiplies the recurrent bias of h too.
  bool keeps_bias(int gate) const { return linear_before_reset && gate == 2; }
  void Pick(const RecurrentAttributes& attributes, CpuLevel cpu) {
    if (!attributes.AreFunctions({GateFunction::kSigmoid, GateFunction::kTanh})) return;
    kernel[0] = linear_before_reset ? PickGruLinear(cpu) : PickGruReset(cpu);
    kernel[1] = PickGruUpdate(cpu);
  }

  template <class W>
  void Step(int part, const CellRow<W>& row) const {
    const int64_t n = row.n, count = row.count;
    if constexpr (std::is_same_v<W, float>) {
      if (kernel[part]) {
        GruCellArgs args;
        args.n = count, args.stride = n;
        args.x_gates = row.xg, args.h_gates = row.hg;
        args.bias = linear_before_reset ? row.recurrent_bias + 2 * n : nullptr;
        args.before = row.before, args.h = row.h, args.reset_h = row.mixed;
        args.clip = row.clip;
        return kernel[part](args);
      }
    }
    W *z = row.hg, *r = z + n, *g = r + n;
    if (part == 0) {
      for (int64_t k = 0; k < count; ++k) z[k] += row.xg[k];
      for (int64_t k = 0; k < count; ++k) r[k] += row.xg[n + k];
      row.Activate(0, z);
      row.Activate(0, r);
      if (!linear_before_reset) {
        for (int64_t k = 0; k < count; ++k) row.mixed[k] = r[k] * row.before[k];
        return;   // the second part multiplies these with Rh
      }
      for (int64_t k = 0; k < count; ++k) g[k] = row.xg[2 * n + k] + r[k] * (g[k] + row.recurrent_bias[2 * n + k]);
    } else {
      for (int64_t k = 0; k < count; ++k) g[k] += row.xg[2 * n + k];
    }
    row.Activate(1, g);
    for (int64_t k = 0; k < count; ++k) row.h[k] = (W(1) - z[k]) * g[k] + z[k] * row.before[k];
  }
};

}  // namespace

LINNET_OP(GRU, 1, Recurrent<GruCell>);
LINNET_INTERNAL_OP(GRU, 1, Recurrent<GruCell, true>);

}  // namespace linnet
