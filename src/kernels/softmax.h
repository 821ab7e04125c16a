// Softmax and LogSoftmax of float along rows or columns.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// Softmax of each of `rows` rows of n floats, z = scale x + mask:
///
///     out[i] = exp(z[i] - max z) / sum exp(z - max z)      logarithm: z[i] - max z - log(sum exp(z - max z))
///
/// Row r is at x + r * x_stride, its additive mask at mask + r * mask_stride (mask_stride 0: one mask for
/// all), the result at out + r * out_stride. mask may be null. out may be x with the same stride; otherwise
/// it overlaps nothing. scale is finite. An element of -infinity gives 0; a row of nothing but -infinity, or
/// with NaN or +infinity, is NaN, as the formula says. Exponentials below 2^-126 may count as 0. Touches no
/// byte outside the rows.
struct SoftmaxRowsArgs {
  const float* x = nullptr;
  int64_t x_stride = 0;
  const float* mask = nullptr;
  int64_t mask_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  int64_t rows = 0;
  int64_t n = 0;
  float scale = 1;
};
using SoftmaxRowsFn = void(const SoftmaxRowsArgs& args);

/// Softmax of each of `columns` columns: element i of column c is at x[c + i * stride], its result at out[c +
/// i * stride], 0 <= i < n. out may be x. A column's result does not depend on which others are computed by
/// the same call.
using SoftmaxColumnsFn = void(const float* x, int64_t stride, int64_t n, int64_t columns, float* out);

/// LogSoftmax of rows whose columns come in parts. LogSumPart, of n columns of each row: the largest element, and the
/// sum of exp(x - largest), which is 0 where all are -infinity; with NaN or +infinity the sum is NaN. LogSumTotal, of a
/// row's `parts` in order, `stride` apart: the largest of all, and the logarithm of the sum of exp(x - largest), which
/// LogSumShift subtracts from x one after the other, in place.
using LogSumPartFn = void(const float* x, int64_t x_stride, int64_t rows, int64_t n, float* most, float* sum);
using LogSumShiftFn = void(float* x, int64_t x_stride, int64_t rows, int64_t n, const float* most,
                           const float* log_sum);
LogSumPartFn* PickLogSumPart(CpuLevel level);
LogSumShiftFn* PickLogSumShift(CpuLevel level);
void LogSumTotal(const float* most, const float* sum, int64_t parts, int64_t stride, float* all_most, float* log_sum);

/// Softmax of `rows` rows of n floats that lie behind each other, 1 <= n <= kSoftmaxNarrow: many rows at a time, an element of each in a
/// vector. out may be x. A row's result does not depend on which others are computed by the same call.
inline constexpr int64_t kSoftmaxNarrow = 32;
using SoftmaxNarrowFn = void(const float* x, int64_t n, int64_t rows, float* out);

SoftmaxRowsFn* PickSoftmaxRows(bool logarithm, CpuLevel level);
SoftmaxColumnsFn* PickSoftmaxColumns(bool logarithm, CpuLevel level);
SoftmaxNarrowFn* PickSoftmaxNarrow(bool logarithm, CpuLevel level);

}  // namespace linnet
