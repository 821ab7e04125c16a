// Array: a tensor widened for computing, and walks over its indices.
#pragma once

#include <array>
#include <vector>

#include "graph/shape.h"

namespace linnet::reference {

/// An index as the standard containers want it.
inline size_t U(int64_t i) { return static_cast<size_t>(i); }

/// One position in a tensor; entries beyond the rank are 0.
using Index = std::array<int64_t, kMaxRank>;

/// Row-major offset of `index` in `shape`.
inline int64_t OffsetOf(const Shape& shape, const Index& index) {
  int64_t offset = 0;
  for (int d = 0; d < shape.rank(); ++d) offset = offset * shape[d] + index[U(d)];
  return offset;
}

/// Offset in `shape` of what broadcasts to `index` of a tensor of `rank` dimensions: dimensions are matched from the last
/// one, those of size 1 repeat.
inline int64_t BroadcastOffsetOf(const Shape& shape, const Index& index, int rank) {
  int64_t offset = 0;
  for (int d = 0; d < shape.rank(); ++d) {
    offset = offset * shape[d] + (shape[d] == 1 ? 0 : index[U(d + rank - shape.rank())]);
  }
  return offset;
}

/// f(index, offset) for every element of a tensor of `shape`, in row-major order.
template <class F>
void ForEachIndex(const Shape& shape, F f) {
  Index index{};
  const int64_t count = shape.elements();
  for (int64_t offset = 0; offset < count; ++offset) {
    f(static_cast<const Index&>(index), offset);
    for (int d = shape.rank() - 1; d >= 0 && ++index[U(d)] == shape[d]; --d) index[U(d)] = 0;
  }
}

/// The elements of a tensor along one axis: n offsets from `base`, `stride` apart.
struct Lane {
  int64_t base = 0, stride = 1, n = 0;
  int64_t operator[](int64_t i) const { return base + i * stride; }
};

/// f(lane) for every lane along `axis` (in [0, rank)), in row-major order of the other axes.
template <class F>
void ForEachLane(const Shape& shape, int axis, F f) {
  const int64_t outer = shape.Product(0, axis), n = shape[axis], inner = shape.Product(axis + 1, shape.rank());
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) f(Lane{o * n * inner + i, inner, n});
  }
}

/// `axis` counted from the back when negative. The operator's Infer has checked its range.
inline int AxisOf(int64_t axis, int rank) { return static_cast<int>(axis < 0 ? axis + rank : axis); }

/// `shape` with dimension `axis` set to `size`.
inline Shape WithDim(Shape shape, int axis, int64_t size) {
  shape[axis] = size;
  return shape;
}

/// T is double for every floating-point type, int64_t for signed integers, uint64_t for unsigned ones and bool.
template <class T>
struct Array {
  Shape shape;
  std::vector<T> data;

  Array() = default;
  explicit Array(const Shape& s, T fill = T{}) : shape(s), data(U(s.elements()), fill) {}

  int64_t size() const { return static_cast<int64_t>(data.size()); }
  T& operator[](int64_t i) { return data[U(i)]; }
  const T& operator[](int64_t i) const { return data[U(i)]; }
  T& operator[](const Index& index) { return (*this)[OffsetOf(shape, index)]; }
  const T& operator[](const Index& index) const { return (*this)[OffsetOf(shape, index)]; }
  /// The element that broadcasts to `index` of a tensor of `rank` dimensions.
  const T& Broadcast(const Index& index, int rank) const { return (*this)[BroadcastOffsetOf(shape, index, rank)]; }
};

using Reals = Array<double>;
using Integers = Array<int64_t>;

/// Integer arithmetic wraps; real arithmetic does not.
template <class T>
T Plus(T a, T b) {
  if constexpr (std::is_same_v<T, double>) return a + b;
  else return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
template <class T>
T Times(T a, T b) {
  if constexpr (std::is_same_v<T, double>) return a * b;
  else return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
template <class T>
bool IsNaN(T a) { return a != a; }

}  // namespace linnet::reference
