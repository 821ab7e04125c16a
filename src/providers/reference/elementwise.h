// Functions of single elements applied to whole tensors, with broadcasting.
#pragma once

#include "providers/reference/call.h"

namespace linnet::reference {

/// Output 0 = f(input 0), for real numbers.
template <class F>
Status Map(Call& c, F f) {
  Reals x = c.In(0);
  for (double& v : x.data) v = f(v);
  return c.Out(0, x);
}

/// The same for numbers of any type: f is called with the widened type.
template <class F>
Status MapNumbers(Call& c, F f) {
  return ForWide(c.dtype(0), [&]<class T>() {
    Array<T> x = c.In<T>(0);
    for (T& v : x.data) v = f(v);
    return c.Out(0, x);
  });
}

/// f(a, b) of two arrays that broadcast to each other.
template <class T, class F>
auto Combine(const Array<T>& a, const Array<T>& b, F f) -> Array<decltype(f(T{}, T{}))> {
  Array<decltype(f(T{}, T{}))> y(Broadcast(a.shape, b.shape).value());
  const int rank = y.shape.rank();
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) { y[at] = f(a.Broadcast(index, rank), b.Broadcast(index, rank)); });
  return y;
}

/// The shape of input 1 as it is matched with input 0: before version 7 attribute axis says at which dimension of input 0
/// it begins, so ones are put behind it.
inline Shape SecondShape(const Call& c) {
  Shape b = c.shape(1);
  if (c.version() >= 7 || !c.HasAttribute("axis")) return b;
  const int axis = c.Axis(0);
  while (axis + b.rank() < c.rank()) b.Append(1);
  return b;
}

/// Output 0 = f(input 0, input 1), broadcast, for numbers of any type.
template <class F>
Status Zip(Call& c, F f) {
  return ForWide(c.dtype(0), [&]<class T>() {
    Array<T> b = c.In<T>(1);
    b.shape = SecondShape(c);
    return c.Out(0, Combine(c.In<T>(0), b, f));
  });
}

}  // namespace linnet::reference
