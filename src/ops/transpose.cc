// Transpose: the same elements with the axes in another order (by default reversed).
#include "ops/movement.h"

namespace linnet {
namespace {

struct Transpose : CopyOfInput {
  std::vector<int64_t> perm;
  bool reversed = true;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(perm, node.Ints("perm"));
    reversed = !node.Has("perm");
    uint64_t seen = 0;
    if (perm.size() > kMaxRank) return Unsupported("rank ", perm.size(), " is above the limit of ", kMaxRank);
    for (int64_t& axis : perm) {
      LINNET_ASSIGN(axis, NormalizeAxis(axis, static_cast<int>(perm.size())));
      if (seen >> axis & 1) return InvalidModel("attribute 'perm' names axis ", axis, " twice");
      seen |= uint64_t{1} << axis;
    }
    return Status();
  }
  int From(int axis, int rank) const {
    return reversed ? rank - 1 - axis : static_cast<int>(perm[static_cast<size_t>(axis)]);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyType));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) {
      return c.SetOutput(0, c.dtype(0), reversed ? Shape() : Shape::OfRank(static_cast<int>(perm.size())));
    }
    if (!reversed) LINNET_TRY(c.CheckRank(0, static_cast<int>(perm.size())));
    Shape out = Shape::OfRank(in.rank());
    for (int i = 0; i < out.rank(); ++i) out[i] = in[From(i, out.rank())];
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Bind(BindContext& c) const {
    const Shape& out = c.output_shape(0);
    Strides from(c.shape(0)), to(out);
    auto* copy = c.Params<StridedCopy>();
    for (int i = 0; i < out.rank(); ++i) copy->Add(out[i], from[From(i, out.rank())], to[i]);
    Finish(c, copy);
    return Status();
  }
};

}  // namespace

LINNET_OP(Transpose, 1, Transpose);

}  // namespace linnet
