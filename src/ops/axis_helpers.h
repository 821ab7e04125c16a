// Operators along one axis: a tensor as [outer][n][inner], and loops over its lanes of n elements.
#pragma once

#include <stdint.h>

#include "ops/arithmetic.h"
#include "ops/op.h"

namespace linnet {

/// Lane (o, i) holds elements o n inner + k inner + i, 0 <= k < n.
struct AxisSplit {
  int64_t outer = 1, n = 1, inner = 1;
  int64_t lanes() const { return outer * inner; }
  int64_t elements() const { return outer * n * inner; }
};

/// Lanes along `axis`, in [0, rank).
inline AxisSplit SplitAt(const Shape& shape, int axis) {
  return {shape.Product(0, axis), shape[axis], shape.Product(axis + 1, shape.rank())};
}
/// Lanes of everything from `axis`, in [0, rank], on.
inline AxisSplit SplitFrom(const Shape& shape, int axis) {
  return {shape.Product(0, axis), shape.Product(axis, shape.rank()), 1};
}

/// Scratch a worker of ForEachLane needs, in bytes; failure when it overflows.
template <class T>
int64_t LaneBytes(const AxisSplit& split) { return split.n * static_cast<int64_t>(sizeof(Wide<T>)); }

/// f(lane, n) changes each lane, given as contiguous Wide<T>, in place. y may be x. Scratch: LaneBytes per worker.
template <class T, class F>
Status ForEachLane(const RunContext& c, const AxisSplit& split, const T* x, T* y, double ns_per_element, F f) {
  const double ns = static_cast<double>(split.n) * ns_per_element;
  return c.ParallelFor(split.n > 0 ? split.lanes() : 0, 1, ns, [&](int64_t begin, int64_t end, int worker) {
    Wide<T>* lane = reinterpret_cast<Wide<T>*>(c.scratch(worker));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t base = i / split.inner * split.n * split.inner + i % split.inner;
      for (int64_t k = 0; k < split.n; ++k) lane[k] = Widen(x[base + k * split.inner]);
      f(lane, split.n);
      for (int64_t k = 0; k < split.n; ++k) y[base + k * split.inner] = Narrow<T>(lane[k]);
    }
  });
}

}  // namespace linnet
