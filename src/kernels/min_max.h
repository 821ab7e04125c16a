// The range of an array of floats.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// Lowers *low and raises *high to the smallest and largest of x[0, n); NaN is passed over. Reads nothing else.
using MinMaxFn = void(const float* x, int64_t n, float* low, float* high);
MinMaxFn* PickMinMax(CpuLevel level);

}  // namespace linnet
