// Element types in sorting order: what TopK and Unique compare.
#pragma once

#include <string>

#include "base/float_types.h"

namespace linnet {

/// What elements of T are compared as: float for the half-width types, the element itself otherwise.
template <class T>
inline const T& SortKey(const T& value) { return value; }
inline float SortKey(Float16 value) { return ToFloat(value); }
inline float SortKey(Bfloat16 value) { return ToFloat(value); }

/// a before b in ascending order: NaN comes last and all NaN are one value, as numpy sorts.
template <class K>
inline bool Before(const K& a, const K& b) {
  if constexpr (std::is_floating_point_v<K>) {
    return a < b || (a == a && b != b);
  } else {
    return a < b;
  }
}

}  // namespace linnet
