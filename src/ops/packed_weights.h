// What operators answer in builds for plans in files that lack a way which no operator of the configuration takes (base/parts.h).
#pragma once

#include "base/status.h"
#include "base/parts.h"

namespace linnet {

/// "WHAT not in this build; ..." with what helps.
Status LeftOut(std::string_view what);
/// What an operator answers to weights that are not packed in a build without kComputedWeights.
Status NotPacked();
/// To results that are no bytes without kWideResults, and to other quantization without kAnyQuantized.
Status NoSuchNumbers();

}  // namespace linnet
