// The sentences about what is not in the build.
#include "ops/packed_weights.h"

namespace linnet {

Status LeftOut(std::string_view what) {
  return Fail(Code::kNotInBuild, what, " not in this build; add what `linnet requirements` says of the model to its configuration");
}

Status NotPacked() { return LeftOut("weights that are computed, or not packed ahead, are"); }

Status NoSuchNumbers() { return LeftOut("this form of quantized numbers is"); }

}  // namespace linnet
