// The mark of products on operands of 16 bits, as nodes carry it.
#include "ops/precision.h"

namespace linnet {

Result<std::optional<HalfFormat>> ReducedFormat(const Node& node) {
  LINNET_ASSIGN(std::string precision, node.String(kPrecisionAttribute, ""));
  std::optional<HalfFormat> none;
  if (precision.empty()) return none;
  if (precision == kPrecisionBf16) {
#if defined(LINNET_NO_BF16)
    return Fail(Code::kNotInBuild, "precision bf16 is not in this build; rebuild with -DLINNET_BF16=ON, or convert with precision f32");
#else
    return std::optional<HalfFormat>(HalfFormat::kBfloat16);
#endif
  }
  if (precision == kPrecisionFp16) {
#if defined(LINNET_NO_FP16)
    return Fail(Code::kNotInBuild, "precision fp16 is not in this build; rebuild with -DLINNET_FP16=ON, or convert with precision f32");
#else
    return std::optional<HalfFormat>(HalfFormat::kFloat16);
#endif
  }
  return InvalidModel("attribute '", kPrecisionAttribute, "' is ", Quote(precision));
}

}  // namespace linnet
