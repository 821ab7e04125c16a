// Conversions between float and the narrow floating-point formats: float16, bfloat16, the float8 family, float4e2m1.
#pragma once

#include <stdint.h>
#include <string.h>

#include "base/dtype.h"

namespace linnet {

/// The floating-point formats of 16 bits.
enum class HalfFormat : uint8_t { kBfloat16, kFloat16 };

inline uint32_t BitsOf(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float FloatOfBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline float ToFloat(Bfloat16 value) { return FloatOfBits(static_cast<uint32_t>(value.bits) << 16); }

inline float ToFloat(Float16 value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000) << 16, magnitude = value.bits & 0x7fff;
  if (magnitude < 0x400) return FloatOfBits(sign | BitsOf(static_cast<float>(magnitude) * 0x1p-24f));
  const uint32_t rebias = magnitude >= 0x7c00 ? 255 - 31 : 127 - 15;
  return FloatOfBits(sign | ((magnitude << 13) + (rebias << 23)));
}

/// Round to nearest, ties to even; NaN stays NaN (quiet, with the payload's upper bits).
inline Bfloat16 ToBfloat16(float value) {
  const uint32_t bits = BitsOf(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

/// Round to nearest, ties to even; beyond 65504 (rounded) infinity; NaN stays NaN (quiet).
inline Float16 ToFloat16(float value) {
  const uint32_t bits = BitsOf(value), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
  uint32_t half;
  if (magnitude > 0x7f800000) {
    half = 0x7e00 | ((magnitude >> 13) & 0x3ff);
  } else if (magnitude >= 0x47800000) {
    half = 0x7c00;
  } else if (magnitude < 0x38800000) {
    // The unit of float16's denormals is that of floats in [1/2, 1): the addition rounds.
    half = BitsOf(FloatOfBits(magnitude) + 0.5f) - BitsOf(0.5f);
  } else {
    half = (magnitude - ((127 - 15) << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13;
  }
  return {static_cast<uint16_t>(sign | half)};
}

/// `value` rounded towards zero with the last bit set when that was inexact. Rounding this to a format of at most 22
/// bits gives what rounding `value` itself gives.
inline float RoundToOdd(double value) {
  float nearest = static_cast<float>(value);
  const double back = nearest;
  if (back == value || value != value) return nearest;
  uint32_t bits = BitsOf(nearest);
  if ((back > value) == (value > 0)) --bits;  // rounded away from zero
  return FloatOfBits(bits | 1);
}

/// The value of a float8 (any of the five) or float4e2m1 code. `dtype` must be one of them.
float SmallFloatToFloat(DType dtype, uint8_t code);

enum class E8m0Rounding : uint8_t { kUp, kDown, kNearest };

/// Rounds to nearest, ties to even. Out of range: with `saturate` the largest finite value, infinities included;
/// without, infinity where the format has one, otherwise NaN. float4e2m1 always saturates and takes NaN, having none,
/// to -0. float8e8m0 ignores the sign and rounds as `rounding` says.
uint8_t FloatToSmallFloat(DType dtype, float value, bool saturate, E8m0Rounding rounding = E8m0Rounding::kUp);

}  // namespace linnet
