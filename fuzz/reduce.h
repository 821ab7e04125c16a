// Making an example that fails smaller while it still fails.
#pragma once

#include "base/function_ref.h"
#include "fuzz/quantized_models.h"

namespace linnet {

/// Takes choices out and makes them smaller, so that the model has fewer nodes, smaller dimensions and plainer attributes, then makes
/// contents plainer. `fails` says whether an example still does; it is asked `tries` times at most.
Example Reduce(const QuantizedKind& kind, std::vector<uint32_t> draws, FunctionRef<bool(const Example&)> fails, int tries);

}  // namespace linnet
