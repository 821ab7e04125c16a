// Quantization and dequantization of rows whose every column has a scale and zero point of its own.
#pragma once

#include <stdint.h>

#include "base/cpu.h"
#include "base/dtype.h"

namespace linnet {

/// out[i] = saturate(round(x[i] / scale[i]) + zero[i]), ties to even; NaN gives the zero point. `zero` has the type of out, or
/// is null: zeros. Nothing outside the n elements of each array is touched; out overlaps none of them.
using QuantizeColumnsFn = void(const float* x, const float* scale, const void* zero, int64_t n, void* out);
/// To kInt8 or kUint8; null for other types.
QuantizeColumnsFn* PickQuantizeColumns(DType to, CpuLevel level);

/// out[i] = (x[i] - zero[i]) * scale[i]; the difference wraps at 32 bits. `zero` has the type of x, or is null. Otherwise as
/// above.
using DequantizeColumnsFn = void(const void* x, const float* scale, const void* zero, int64_t n, float* out);
/// From kInt8, kUint8 or kInt32; null for other types.
DequantizeColumnsFn* PickDequantizeColumns(DType from, CpuLevel level);

}  // namespace linnet
