// The sentence about weights that are not packed.
#include "ops/packed_weights.h"

namespace linnet {

Status NotPacked() {
  return Fail(Code::kNotInBuild, "weights that are computed, or not packed ahead, are not in this build; add what `linnet requirements` says of "
              "the model to its configuration");
}

}  // namespace linnet
