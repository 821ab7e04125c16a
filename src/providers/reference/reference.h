// The reference provider: every operator computed slowly and obviously, straight from the ONNX specification.
#pragma once

#include <memory>

#include "run/provider.h"

namespace linnet {

/// The yardstick of the tests. Real numbers are computed in double and rounded once where they are stored, integers in 64
/// bits; nothing is fused, packed or vectorised, and no code is shared with the operators' own Run. Its working memory does
/// not count against the session's budget, and a step once begun is not interrupted.
std::unique_ptr<Provider> MakeReferenceProvider();

}  // namespace linnet
