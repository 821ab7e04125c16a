// Operators whose weights are packed ahead, in builds that have no other way.
#pragma once

#include "base/status.h"
#include "kernels/parts.h"

namespace linnet {

/// What an operator answers to weights that are not packed in a build without kComputedWeights.
Status NotPacked();

}  // namespace linnet
