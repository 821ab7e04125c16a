// What operators answer in builds for plans in files that lack a way which no operator of the configuration takes (base/parts.h).
#pragma once

#include "base/status.h"
#include "base/parts.h"

namespace linnet {

/// What an operator answers to weights that are not packed in a build without kComputedWeights.
Status NotPacked();
/// To results that are no bytes without kWideResults, and to other quantization without kAnyQuantized.
Status NoSuchNumbers();

}  // namespace linnet
