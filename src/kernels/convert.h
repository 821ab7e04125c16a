// Loops that change the element type: conversions from and to float, quantization and dequantization.
#pragma once

#include <stdint.h>

#include "base/cpu.h"
#include "base/dtype.h"

namespace linnet {

/// out[i] = x[i] in another type, 0 <= i < n. x and out do not overlap; neither is touched outside its n
/// elements; no alignment beyond the element's is needed.
using ConvertFn = void(const void* x, void* out, int64_t n);

/// The loop from one element type to another, or null where there is none: kFloat to and from kFloat16,
/// kBfloat16, kDouble, kInt8, kUint8, kInt16, kUint16, kInt32, kInt64 and kBool. To narrower floats rounds to
/// nearest, ties to even, bit for bit like base/float_types.h; to integers cuts towards zero, saturates, and
/// takes NaN to 0; to bool is x != 0.
ConvertFn* PickConvert(DType from, DType to, CpuLevel level);

/// out[i] = saturate(round(x[i] / scale) + zero_point), ties to even; NaN gives the zero point. The quotient
/// is divided, not multiplied by a reciprocal, so ties are exact. As ConvertFn otherwise.
using QuantizeFn = void(const float* x, void* out, int64_t n, float scale, int32_t zero_point);
/// To kInt8, kUint8, kInt16 or kUint16; null for other types. zero_point is in the range of the type.
QuantizeFn* PickQuantize(DType to, CpuLevel level);

/// out[i] = (x[i] - zero_point) * scale; the difference wraps at 32 bits. As ConvertFn otherwise.
using DequantizeFn = void(const void* x, float* out, int64_t n, float scale, int32_t zero_point);
/// From kInt8, kUint8, kInt16, kUint16 or kInt32; null for other types.
DequantizeFn* PickDequantize(DType from, CpuLevel level);

/// out[b * block + i] = (code - zeros[b]) * scales[b] for b < blocks, i < block, a multiple of 16: codes of 4 bits, the lower half of a byte
/// first, from -8 on where they are signed.
using DequantizeNibblesFn = void(const uint8_t* packed, bool is_signed, float* out, int64_t blocks, int64_t block, const float* scales,
                                 const int32_t* zeros);
DequantizeNibblesFn* PickDequantizeNibbles(CpuLevel level);

}  // namespace linnet
