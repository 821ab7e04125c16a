// Products of matrices as ONNX's MatMul defines them (numpy.matmul), for real numbers and integers.
#pragma once

#include "providers/reference/array.h"

namespace linnet::reference {

/// Batches broadcast; a vector is a row on the left and a column on the right, and its dimension leaves the result. The
/// operator's Infer has checked that the shapes fit.
template <class T>
Array<T> Product(Array<T> a, Array<T> b) {
  const bool row = a.shape.rank() == 1, column = b.shape.rank() == 1;
  if (row) a.shape = Shape{1, a.shape[0]};
  if (column) b.shape = Shape{b.shape[0], 1};
  const int ra = a.shape.rank(), rb = b.shape.rank();
  Shape batch = Broadcast(Shape(a.shape.dims().first(U(ra - 2))),
                          Shape(b.shape.dims().first(U(rb - 2)))).value();
  const Shape batches = batch;
  const int64_t m = a.shape[ra - 2], k = a.shape[ra - 1], n = b.shape[rb - 1];
  const Shape a_batch(a.shape.dims().first(U(ra - 2))),
      b_batch(b.shape.dims().first(U(rb - 2)));
  if (!row) batch.Append(m);
  if (!column) batch.Append(n);
  Array<T> y(batch);
  ForEachIndex(batches, [&](const Index& index, int64_t at) {
    const T* x = a.data.data() + BroadcastOffsetOf(a_batch, index, batches.rank()) * m * k;
    const T* w = b.data.data() + BroadcastOffsetOf(b_batch, index, batches.rank()) * k * n;
    for (int64_t i = 0; i < m; ++i) {
      T* sums = y.data.data() + (at * m + i) * n;
      for (int64_t l = 0; l < k; ++l) {
        for (int64_t j = 0; j < n; ++j) sums[j] = Plus(sums[j], Times(x[i * k + l], w[l * n + j]));
      }
    }
  });
  return y;
}

/// A matrix with rows and columns exchanged.
template <class T>
Array<T> Transposed(const Array<T>& x) {
  Array<T> y(Shape{x.shape[1], x.shape[0]});
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) { y[at] = x[Index{index[1], index[0]}]; });
  return y;
}

}  // namespace linnet::reference
