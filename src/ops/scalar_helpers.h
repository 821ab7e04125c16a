// Computing on any floating element type: load as the type it is summed in, store rounded.
#pragma once

#include <type_traits>

#include "base/float_types.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {

/// What elements of T are computed in: double for double, float for float and the 16-bit types.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
Wide<T> Widen(T value) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>) {
    return ToFloat(value);
  } else {
    return static_cast<Wide<T>>(value);
  }
}

template <class T, class W>
T Narrow(W value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return ToFloat16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, Bfloat16>) {
    return ToBfloat16(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}

/// Fails unless those of `inputs` that are given have the element type of the first.
inline Status CheckSameType(const InferContext& c, std::initializer_list<int> inputs) {
  const int first = *inputs.begin();
  for (int i : inputs) {
    if (!c.has_input(i) || !c.has_input(first)) continue;
    if (c.dtype(i) != c.dtype(first) && c.dtype(i) != DType::kUndefined && c.dtype(first) != DType::kUndefined) {
      return InvalidModel("inputs ", first, " and ", i, " are ", DTypeName(c.dtype(first)), " and ", DTypeName(c.dtype(i)));
    }
  }
  return Status();
}

}  // namespace linnet
