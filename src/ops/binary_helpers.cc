// Shapes and types of two operands.
#include "ops/binary_helpers.h"

namespace linnet {

Status TwoOperands::Parse(const Node& node) {
  legacy = node.version < 7;
  if (!legacy) return Status();
  LINNET_ASSIGN(int64_t flag, node.Int("broadcast", 0));
  broadcast = flag != 0;
  LINNET_ASSIGN(axis, node.Int("axis", kNoAxis));
  return Status();
}

Shape TwoOperands::Aligned(const Shape& a, const Shape& b) const {
  if (!legacy || !broadcast || axis == kNoAxis || b.rank() >= a.rank()) return b;
  const int64_t start = axis < 0 ? axis + a.rank() : axis;
  Shape out = b;
  while (out.rank() < a.rank() - start) out.Append(1);
  return out;
}

Result<Shape> TwoOperands::InferShape(const InferContext& c) const {
  const Shape &a = c.shape(0), &b = c.shape(1);
  if (!legacy) return Broadcast(a, b);
  if (!a.has_rank() || !b.has_rank()) return a;
  if (broadcast && axis != kNoAxis) {
    LINNET_ASSIGN(int start, NormalizeAxis(axis, a.rank() > 0 ? a.rank() : 1));
    if (start + b.rank() > a.rank()) {
      return InvalidModel("input 1 of shape ", ToString(b), " does not fit into ", ToString(a), " at axis ", start);
    }
  }
  const Shape aligned = Aligned(a, b);
  LINNET_ASSIGN(Shape out, Broadcast(a, aligned));
  if (out.rank() != a.rank()) return InvalidModel("input 1 has higher rank than input 0: ", ToString(b), ", ", ToString(a));
  for (int d = 0; d < out.rank(); ++d) {
    const bool differs = IsKnownDim(a[d]) && IsKnownDim(out[d]) && a[d] != out[d];
    const int own = d - (out.rank() - aligned.rank());
    const bool spreads = !broadcast && (own < 0 || (IsKnownDim(a[d]) && IsKnownDim(aligned[own]) && a[d] != aligned[own]));
    if (differs || spreads) {
      return InvalidModel("shapes ", ToString(a), " and ", ToString(b), " do not go together",
                          broadcast ? "" : " without attribute 'broadcast'");
    }
  }
  return a;
}

void TwoOperands::Shapes(const BindContext& c, Shape out[2]) const {
  out[0] = c.shape(0);
  out[1] = Aligned(c.shape(0), c.shape(1));
}

Result<DType> TwoOperands::CheckTypes(const InferContext& c, uint32_t mask) {
  LINNET_TRY(c.CheckInputs(2, 2));
  LINNET_TRY(c.CheckType(0, mask));
  LINNET_TRY(c.CheckType(1, mask));
  const DType a = c.dtype(0), b = c.dtype(1);
  if (a == DType::kUndefined) return b;
  if (b != DType::kUndefined && a != b) {
    return InvalidModel("inputs have different element types: ", DTypeName(a), " and ", DTypeName(b));
  }
  return a;
}

}  // namespace linnet
