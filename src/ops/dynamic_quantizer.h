// Quantizing floats to uint8 by their own range, which always includes 0, as DynamicQuantizeLinear defines it.
//
//     scale = (max(x, 0) - min(x, 0)) / 255      zero = saturate(round(-min(x, 0) / scale))      q = saturate(round(x / scale) + zero)
#pragma once

#include "kernels/convert.h"
#include "kernels/min_max.h"
#include "ops/op.h"

namespace linnet {

struct DynamicQuantizer {
  MinMaxFn* min_max = nullptr;
  QuantizeFn* quantize = nullptr;

  void Pick(CpuLevel cpu);
  /// Scratch that Run needs, 64-byte aligned.
  static int64_t ScratchBytes(int threads) { return 64 * static_cast<int64_t>(threads); }
  /// n floats; `q` may be null. All zeros (or nothing) have scale 1; NaN becomes the zero point.
  Status Run(const RunContext& c, const float* x, int64_t n, uint8_t* q, float* scale, uint8_t* zero, std::byte* scratch) const;
};

}  // namespace linnet
