// RNN: the simple recurrent network H = f(x W' + h R' + b) over a sequence (versions 1, 7, 14, 22; layout since 14).
#include "ops/recurrent.h"

namespace linnet {
namespace {

struct RnnCell {
  static constexpr int kGates = 1;
  static constexpr bool kCellState = false;

  Status Parse(const Node& node, RecurrentAttributes* attributes) { return attributes->Parse(node, kGates, {"Tanh"}); }
  std::span<const GatePart> parts() const {
    static constexpr GatePart kParts[] = {{0, 1}};
    return kParts;
  }
  bool keeps_bias(int) const { return false; }
  void Pick(const RecurrentAttributes&, CpuLevel) {}

  template <class W>
  void Step(int, const CellRow<W>& row) const {
    for (int64_t k = 0; k < row.count; ++k) row.h[k] = row.hg[k] + row.xg[k];
    row.Activate(0, row.h);
  }
};

}  // namespace

LINNET_OP(RNN, 1, Recurrent<RnnCell>);
LINNET_INTERNAL_OP(RNN, 1, Recurrent<RnnCell, true>);

}  // namespace linnet
