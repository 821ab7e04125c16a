// The type in which elements of a type are computed: float for float16 and bfloat16, the type itself otherwise.
#pragma once

#include <stdint.h>

#include <limits>
#include <type_traits>

#include "base/float_types.h"

namespace linnet {

template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>;
template <class T>
inline constexpr bool kIsFloating = std::is_floating_point_v<T> || kIsHalf<T>;

template <class T>
using Wide = std::conditional_t<kIsHalf<T>, float, T>;

template <class T>
Wide<T> Widen(T value) {
  if constexpr (kIsHalf<T>) {
    return ToFloat(value);
  } else {
    return value;
  }
}

/// Rounds to nearest, ties to even, once.
template <class T>
T Narrow(float value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return ToFloat16(value);
  } else if constexpr (std::is_same_v<T, Bfloat16>) {
    return ToBfloat16(value);
  } else {
    return static_cast<T>(value);
  }
}
template <class T>
T Narrow(double value) {
  if constexpr (kIsHalf<T>) {
    return Narrow<T>(RoundToOdd(value));
  } else {
    return static_cast<T>(value);
  }
}
template <class T, class W>
  requires std::is_integral_v<W>
T Narrow(W value) {
  return static_cast<T>(value);
}

/// The unsigned type of the same width: integer arithmetic in it wraps instead of being undefined. Types below 32 bits
/// use uint32_t, because smaller ones would be promoted to int.
template <class T>
using Wrapping = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<T>>;

/// `value` as an integer: truncated, NaN as 0, the nearest limit where it is out of range.
template <class I, class F>
I SaturateTo(F value) {
  using Limits = std::numeric_limits<I>;
  // The lower limit and the upper limit + 1 are powers of two (or 0), exact in F.
  constexpr F kLow = static_cast<F>(Limits::min()), kEnd = static_cast<F>(Limits::max() / 2 + 1) * 2;
  if (value != value) return 0;
  if (value >= kEnd) return Limits::max();
  if (value <= kLow) return Limits::min();
  return static_cast<I>(value);
}

}  // namespace linnet
