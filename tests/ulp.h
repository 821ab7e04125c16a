// Distances between floats, and reproducible test data.
#pragma once

#include <math.h>
#include <stdint.h>

#include "guarded.h"

namespace linnet {

/// Fills with reproducible numbers in [least, most).
inline void FillUniform(float* begin, int64_t n, float least, float most, int seed = 1) {
  Numbers numbers;
  for (int i = 0; i < 10 * seed; ++i) numbers.Next();
  for (int64_t i = 0; i < n; ++i) begin[i] = least + (most - least) * (0.5f + 0.5f * numbers.Next());
}

/// ARMv7's vectors read denormals as zeros and make none.
#if defined(__arm__)
inline constexpr bool kFlushesDenormals = true;
#else
inline constexpr bool kFlushesDenormals = false;
#endif

/// |actual - expected| in units of the last place of a float of expected's size; 0 for equal infinities and
/// two NaN, infinity when only one of them is finite.
inline double UlpDistance(float actual, double expected) {
  const float rounded = static_cast<float>(expected);
  if (kFlushesDenormals && fabs(expected) < 0x1p-124 && fabs(actual) < 0x1p-124) return 0;
  if (isnan(expected) || isnan(actual)) return isnan(expected) && isnan(actual) ? 0 : INFINITY;
  if (isinf(rounded) || isinf(actual)) return rounded == actual ? 0 : INFINITY;
  int exponent;
  frexp(rounded, &exponent);
  return fabs(actual - expected) / ldexp(1.0, exponent < -125 ? -149 : exponent - 24);
}

}  // namespace linnet
