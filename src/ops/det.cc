// Det: determinants of square matrices, by elimination with partial pivoting, in double.
#include <math.h>

#include <algorithm>

#include "ops/convert.h"
#include "ops/arithmetic.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

/// Destroys the matrix.
double Determinant(double* a, int64_t n) {
  double det = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i) {
      if (fabs(a[i * n + k]) > fabs(a[pivot * n + k])) pivot = i;
    }
    if (pivot != k) {
      std::swap_ranges(a + k * n, a + (k + 1) * n, a + pivot * n);
      det = -det;
    }
    const double head = a[k * n + k];
    det *= head;
    if (head == 0) return det;
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / head;
      for (int64_t j = k + 1; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return det;
}

struct Det {
  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    const Shape& x = c.shape(0);
    if (!x.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    const int rank = x.rank();
    if (rank < 2 || (IsKnownDim(x[rank - 1]) && IsKnownDim(x[rank - 2]) && x[rank - 1] != x[rank - 2])) {
      return InvalidModel("input has shape ", ToString(x), "; square matrices are expected");
    }
    return c.SetOutput(0, c.dtype(0), Shape(x.dims().first(static_cast<size_t>(rank - 2))));
  }

  Status Bind(BindContext& c) const {
    const int64_t n = c.shape(0)[c.shape(0).rank() - 1];
    c.Scratch(n * n * 8, c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    const Shape& x = c.input_shape(0);
    const int64_t n = x[x.rank() - 1];
    LoadFn* load = FindLoad(c.input_dtype(0), Stage::kDouble);
    const double ns = static_cast<double>(n) * static_cast<double>(n) * (static_cast<double>(n) * 0.3 + 2) + 10;
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() {
      return c.ParallelFor(c.output_shape(0).elements(), 1, ns, [&](int64_t begin, int64_t end, int worker) {
        double* matrix = reinterpret_cast<double*>(c.scratch(worker));
        for (int64_t i = begin; i < end; ++i) {
          load(c.input(0), i * n * n, n * n, matrix);
          c.out<T>(0)[i] = Narrow<T>(Determinant(matrix, n));
        }
      });
    });
  }
};

}  // namespace

LINNET_OP(Det, 11, Det);

}  // namespace linnet
