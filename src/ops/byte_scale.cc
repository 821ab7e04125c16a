// Reading and checking scales and zero points.
#include "ops/byte_scale.h"

#include "ops/convert.h"
#include "ops/scalar_helpers.h"

namespace linnet {

Status CheckByteScale(const InferContext& c, int scale, int like) {
  LINNET_TRY(c.CheckType(scale, Mask(DType::kFloat)));
  LINNET_TRY(CheckSameType(c, {like, scale + 1}));
  for (int i : {scale, scale + 1}) {
    if (c.has_input(i) && c.shape(i).is_static() && c.shape(i).elements() != 1) {
      return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)), " where one number is expected");
    }
  }
  return Status();
}

Result<ByteScale> ReadByteScale(const RunContext& c, int scale, DType dtype) {
  ByteScale s;
  s.scale = *c.in<float>(scale);
  if (!(s.scale > 0) || !std::isfinite(s.scale)) return InvalidArgument("input ", scale, " is the scale ", s.scale);
  if (c.has_input(scale + 1)) s.zero = static_cast<int32_t>(LoadInteger(dtype, c.input(scale + 1), 0));
  return s;
}

}  // namespace linnet
