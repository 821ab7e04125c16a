// The sentences about what is not in the build.
#include "ops/packed_weights.h"

namespace linnet {

Status NotPacked() {
  return Fail(Code::kNotInBuild, "weights that are computed, or not packed ahead, are not in this build; add what `linnet requirements` says of "
              "the model to its configuration");
}

Status NoSuchNumbers() {
  return Fail(Code::kNotInBuild, "this form of quantized numbers is not in this build; add what `linnet requirements` says of the model to its "
              "configuration");
}

}  // namespace linnet
