// The float8 and float4 formats as one codec with a table of their parameters.
#include "base/float_types.h"

#include <math.h>

namespace linnet {
namespace {

// value = (-1)^sign 2^(exponent - bias) (1 + mantissa / 2^mantissa_bits), denormal when exponent is 0.
struct Format {
  int mantissa_bits, bias;
  uint8_t sign, largest;  ///< code of -0 (or of NaN where there is no -0), code of the largest finite value
  uint8_t infinity, nan;  ///< 0: none
};

constexpr Format kE4m3fn{3, 7, 0x80, 0x7e, 0, 0x7f};
constexpr Format kE4m3fnuz{3, 8, 0x80, 0x7f, 0, 0x80};
constexpr Format kE5m2{2, 15, 0x80, 0x7b, 0x7c, 0x7f};
constexpr Format kE5m2fnuz{2, 16, 0x80, 0x7f, 0, 0x80};
constexpr Format kE2m1{1, 1, 0x08, 0x07, 0, 0};

const Format& FormatOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat8e4m3fn: return kE4m3fn;
    case DType::kFloat8e4m3fnuz: return kE4m3fnuz;
    case DType::kFloat8e5m2: return kE5m2;
    case DType::kFloat8e5m2fnuz: return kE5m2fnuz;
    default: return kE2m1;
  }
}

bool HasNegativeZero(const Format& format) { return format.nan != format.sign; }

uint8_t FloatToE8m0(float value, bool saturate, E8m0Rounding rounding) {
  const uint32_t magnitude = BitsOf(value) & 0x7fffffff, fraction = magnitude & 0x7fffff;
  uint32_t exponent = magnitude >> 23;
  if (exponent == 255) return 255;
  bool up = false;
  if (rounding == E8m0Rounding::kUp) {
    up = fraction != 0;
  } else if (rounding == E8m0Rounding::kNearest) {
    up = exponent > 0 ? fraction >= 0x400000 : fraction > 0x400000;
  }
  if (exponent == 254 && saturate) up = false;
  return static_cast<uint8_t>(exponent + up);
}

}  // namespace

float SmallFloatToFloat(DType dtype, uint8_t code) {
  if (dtype == DType::kFloat8e8m0) {
    return code == 255 ? NAN : code == 0 ? 0x1p-127f : FloatOfBits(static_cast<uint32_t>(code) << 23);
  }
  const Format& format = FormatOf(dtype);
  const bool negative = (code & format.sign) != 0;
  if (format.nan && code == format.nan && !HasNegativeZero(format)) return NAN;
  const int magnitude = code & (format.sign - 1);
  if (magnitude > format.largest) {
    const float special = magnitude == format.infinity ? INFINITY : NAN;
    return negative ? -special : special;
  }
  const int exponent = magnitude >> format.mantissa_bits, one = 1 << format.mantissa_bits;
  const int mantissa = exponent > 0 ? (magnitude & (one - 1)) + one : magnitude;
  const float value = ldexpf(static_cast<float>(mantissa),
                             (exponent > 0 ? exponent : 1) - format.bias - format.mantissa_bits);
  return negative ? -value : value;
}

uint8_t FloatToSmallFloat(DType dtype, float value, bool saturate, E8m0Rounding rounding) {
  if (dtype == DType::kFloat8e8m0) return FloatToE8m0(value, saturate, rounding);
  const Format& format = FormatOf(dtype);
  const bool negative = (BitsOf(value) >> 31) != 0;
  auto signed_code = [&](int magnitude) {
    const bool keeps_sign = negative && (magnitude != 0 || HasNegativeZero(format)) && magnitude != format.sign;
    return static_cast<uint8_t>(keeps_sign ? magnitude | format.sign : magnitude);
  };
  if (!format.nan) {  // float4e2m1
    saturate = true;
    if (isnan(value)) return format.sign;
  }
  if (isnan(value)) return signed_code(format.nan);
  const int overflow = saturate ? format.largest : format.infinity ? format.infinity : format.nan;
  if (isinf(value)) return signed_code(overflow);
  if (value == 0.0f) return signed_code(0);

  // In units of the last place, `value` is a number below 2^(mantissa_bits + 1); rounding up to that carries into the
  // exponent by itself.
  int exponent;
  frexpf(value, &exponent);
  exponent = exponent - 1 > 1 - format.bias ? exponent - 1 : 1 - format.bias;
  const float units = rintf(ldexpf(fabsf(value), format.mantissa_bits - exponent));
  const int code = ((exponent + format.bias - 1) << format.mantissa_bits) + static_cast<int>(units);
  return signed_code(code > format.largest ? overflow : code);
}

}  // namespace linnet
