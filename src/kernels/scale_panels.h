// Packed weights whose rows are multiplied by one number each: A diag(s) B as A (diag(s) B).
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// out[p][i][j] = panels[p][i][j] * scale[i] for `count` panels of k rows of 16 floats (kernels/gemm.h). out may be panels,
/// not overlap them otherwise.
using ScalePanelsFn = void(const float* panels, int64_t k, int64_t count, const float* scale, float* out);
ScalePanelsFn* PickScalePanels(CpuLevel level);

}  // namespace linnet
