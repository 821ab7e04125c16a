// Variants of kernels that a reduced build leaves out when no operator of its configuration names them (api/full_build.cc names
// them, cmake/operators.cmake reads them).
#pragma once

#include "base/dtype.h"

namespace linnet {

/// Loops for signed bytes where unsigned ones have their own.
#ifndef LINNET_SIGNED_BYTES
#define LINNET_SIGNED_BYTES 1
#endif
inline constexpr bool kSignedBytes = LINNET_SIGNED_BYTES != 0;

/// Loops between floats and 16-bit integers.
#ifndef LINNET_TYPES
#define LINNET_TYPES ~uint32_t{0}
#endif
inline constexpr bool kShorts = (LINNET_TYPES & (Mask(DType::kInt16) | Mask(DType::kUint16))) != 0;

/// Weights that a run computes, or reads as they are, beside those that are packed ahead.
#ifndef LINNET_COMPUTED_WEIGHTS
#define LINNET_COMPUTED_WEIGHTS 1
#endif
inline constexpr bool kComputedWeights = LINNET_COMPUTED_WEIGHTS != 0;

/// 8-bit products whose results are sums or floats, beside those that are rounded to bytes.
#ifndef LINNET_WIDE_RESULTS
#define LINNET_WIDE_RESULTS 1
#endif
inline constexpr bool kWideResults = LINNET_WIDE_RESULTS != 0;

/// 8-bit convolutions to whose bytes others are added.
#ifndef LINNET_ADDED_BYTES
#define LINNET_ADDED_BYTES 1
#endif
inline constexpr bool kAddedBytes = LINNET_ADDED_BYTES != 0;

/// Quantization of other numbers than float32, to and from others than bytes, with other scales than float32.
#ifndef LINNET_ANY_QUANTIZED
#define LINNET_ANY_QUANTIZED 1
#endif
inline constexpr bool kAnyQuantized = LINNET_ANY_QUANTIZED != 0;

/// Convolutions on transformed weights (kernels/conv/winograd.h).
#ifndef LINNET_TRANSFORMED
#define LINNET_TRANSFORMED 1
#endif
inline constexpr bool kTransformed = LINNET_TRANSFORMED != 0;

/// Depthwise convolutions of these widths unrolled; all others are a loop, which serves these too, and which does several pixels at a time
/// where others are named.
#ifndef LINNET_DEPTHWISE_ANY
#define LINNET_DEPTHWISE_ANY 1
#endif
inline constexpr bool kDepthwiseAny = LINNET_DEPTHWISE_ANY != 0;
#ifndef LINNET_DEPTHWISE_3
#define LINNET_DEPTHWISE_3 1
#endif
#ifndef LINNET_DEPTHWISE_5
#define LINNET_DEPTHWISE_5 1
#endif
inline constexpr bool kDepthwise3 = LINNET_DEPTHWISE_3 != 0, kDepthwise5 = LINNET_DEPTHWISE_5 != 0;

}  // namespace linnet
