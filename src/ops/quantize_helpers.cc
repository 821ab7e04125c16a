// Fitting scales to tensors.
#include "ops/quantize_helpers.h"

namespace linnet {

IntegerRange RangeOf(DType dtype) {
  int bits = DTypeBits(dtype);
  if (IsSigned(dtype)) return {-(int64_t{1} << (bits - 1)), (int64_t{1} << (bits - 1)) - 1};
  return {0, (int64_t{1} << bits) - 1};
}

Status FitScale(const InferContext& c, int64_t axis, int64_t block_size, ScaleMap* map) {
  const Shape& x = c.shape(0);
  const Shape& scale = c.shape(1);
  if (!x.has_rank() || !scale.has_rank()) return Status();
  if (c.has_input(2) && c.shape(2).is_static() && scale.is_static() && !(c.shape(2) == scale) &&
      !(c.shape(2).elements() == 1 && scale.elements() == 1)) {
    return InvalidModel("the zero point has shape ", ToString(c.shape(2)), " where the scale has ", ToString(scale));
  }
  if (scale.rank() == 0 || (scale.rank() == 1 && block_size == 0 && scale[0] == 1)) return Status();
  LINNET_ASSIGN(int a, NormalizeAxis(axis, x.rank()));
  if (scale.rank() == 1 && block_size == 0) {
    if (IsKnownDim(scale[0]) && IsKnownDim(x[a]) && scale[0] != x[a]) {
      return InvalidModel("there are ", scale[0], " scales for axis ", a, " of shape ", ToString(x));
    }
    if (map) *map = {ScaleMap::Kind::kAxis, x[a], x.Product(a + 1, x.rank()), 1, x[a]};
    return Status();
  }
  if (scale.rank() != x.rank()) return InvalidModel("scales of shape ", ToString(scale), " do not fit ", ToString(x));
  for (int d = 0; d < x.rank(); ++d) {
    if (d != a && IsKnownDim(x[d]) && IsKnownDim(scale[d]) && x[d] != scale[d]) {
      return InvalidModel("scales of shape ", ToString(scale), " do not fit ", ToString(x), " blocked along axis ", a);
    }
  }
  if (!IsKnownDim(x[a]) || !IsKnownDim(scale[a])) return Status();
  int64_t block = block_size > 0 ? block_size : scale[a] > 0 ? DivUp(x[a], scale[a]) : 1;
  if (DivUp(x[a], block) != scale[a]) {
    return InvalidModel("there are ", scale[a], " blocks of ", block, " for axis ", a, " of shape ", ToString(x));
  }
  if (map) *map = {ScaleMap::Kind::kBlocks, x[a], x.Product(a + 1, x.rank()), block, scale[a]};
  return Status();
}

}  // namespace linnet
