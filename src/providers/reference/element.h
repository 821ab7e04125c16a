// Single elements of tensors of any type: read widened, written rounded, copied.
#pragma once

#include "base/float_types.h"
#include "graph/tensor.h"

namespace linnet::reference {

/// How numbers become float8: what happens out of range, and the rounding of float8e8m0.
struct Rounding {
  bool saturate = true;
  E8m0Rounding e8m0 = E8m0Rounding::kUp;
};

/// Element i of a tensor. From a real number to an integer: cut, the nearest limit where it is out of range, NaN as 0.
template <class T>
T Load(DType dtype, const void* data, int64_t i);

/// Writes element i. Real numbers to floating-point types are rounded once, to nearest, ties to even; to integers as in
/// Load; integers to narrower ones lose their upper bits.
template <class T>
void Store(DType dtype, void* data, int64_t i, T value, const Rounding& rounding = {});

/// `value` as a number of a floating-point type.
inline double RoundedTo(DType dtype, double value) {
  alignas(8) std::byte cell[8];
  Store(dtype, cell, 0, value);
  return Load<double>(dtype, cell, 0);
}

/// to[j] = from[i], for every type, strings and packed ones included.
void CopyElement(DType dtype, const void* from, int64_t i, void* to, int64_t j);

/// The smallest and largest value of an integer type; of a floating-point type -+infinity.
template <class T>
T Lowest(DType dtype);
template <class T>
T Highest(DType dtype);

/// Calls f.template operator()<T>() with the widened type of `dtype`: double, int64_t or uint64_t.
template <class F>
auto ForWide(DType dtype, F&& f) {
  if (IsFloating(dtype)) return f.template operator()<double>();
  if (IsSigned(dtype)) return f.template operator()<int64_t>();
  return f.template operator()<uint64_t>();
}

}  // namespace linnet::reference
