// The mark of products on bfloat16 operands, as nodes carry it.
#include "ops/precision.h"

namespace linnet {

Result<bool> IsReduced(const Node& node) {
  LINNET_ASSIGN(std::string precision, node.String(kPrecisionAttribute, ""));
  if (precision.empty()) return false;
  if (precision != kPrecisionBf16) return InvalidModel("attribute '", kPrecisionAttribute, "' is ", Quote(precision));
#if defined(LINNET_NO_BF16)
  return Fail(Code::kNotInBuild, "precision bf16 is not in this build; rebuild with -DLINNET_BF16=ON, or convert with precision f32");
#else
  return true;
#endif
}

}  // namespace linnet
