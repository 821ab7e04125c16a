// Reductions of float: the sums, extremes and products of rows or of columns.
//
// Other arrangements of axes are these two: merge neighbouring axes, then [rows][n] reduces the last and
// [outer][n][inner] is one column reduction for every `outer`.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

enum class Reduction : uint8_t {
  kSum,
  kMean,
  kMax,  ///< NaN when any element is, wherever it stands; likewise kMin
  kMin,
  kProd,
  kL1,
  kL2,
  kLogSum,
  kLogSumExp,  ///< shifted by the largest element: overflows only where the result does
  kSumSquare,
};
inline constexpr int kReductionCount = 10;

/// "Sum", "LogSumExp", ...
const char* ReductionName(Reduction reduction);

/// out[r] = the reduction of the n floats at x + r * row_stride, for 0 <= r < rows. n >= 0: of nothing the
/// sum is 0, the product 1, the maximum -infinity, the minimum infinity, the mean NaN, the logarithms
/// -infinity.
///
/// Order of accumulation: fixed by n and the CPU level. Sums of up to 4096 elements are made of parallel
/// partial sums in float, sums of those in double. `out` must not overlap x. Touches no other byte.
using ReduceRowsFn = void(const float* x, int64_t row_stride, int64_t rows, int64_t n, float* out);

/// out[c] = the reduction of x[c + i * stride] over 0 <= i < n, for 0 <= c < columns. As ReduceRowsFn, except
/// that a column is summed in float in runs of 256, even and odd elements apart, and the runs in float again; a
/// column's result does not depend on which columns are computed by the same call, so callers may split columns
/// by offsetting x and out.
using ReduceColumnsFn = void(const float* x, int64_t stride, int64_t n, int64_t columns, float* out);

ReduceRowsFn* PickReduceRows(Reduction reduction, CpuLevel level);
ReduceColumnsFn* PickReduceColumns(Reduction reduction, CpuLevel level);
/// The same where the reduction is known when the caller is compiled: a small build then links no other. kSum, kMean, kMax, kL1
/// and kL2 exist.
template <Reduction reduction>
ReduceRowsFn* PickReduceRows(CpuLevel level);
template <Reduction reduction>
ReduceColumnsFn* PickReduceColumns(CpuLevel level);

}  // namespace linnet
