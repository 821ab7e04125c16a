// Normalisations of float: LayerNormalization, RMSNormalization, and the moments and affine maps that batch,
// instance and group normalisation are made of.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// Of each of `rows` rows of n floats, v = x, or x + residual (also written to `sum`) when there is one:
///
///     LayerNorm:  out = (v - mean) inv_std scale + bias    mean of v, inv_std = 1 / sqrt(variance + epsilon)
///     RmsNorm:    out = v inv_std scale                    inv_std = 1 / sqrt(mean of v^2 + epsilon)
///
/// Rows of all arrays are n apart. Null where unwanted: residual, sum, scale (1), bias (0), mean and inv_std
/// (one value per row). out and sum may each be x or residual, but not one another. Sums as in
/// kernels/reduce.h, variance about the mean.
struct NormRowsArgs {
  const float* x = nullptr;
  const float* residual = nullptr;
  const float* scale = nullptr;
  const float* bias = nullptr;
  float* out = nullptr;
  float* sum = nullptr;
  float* mean = nullptr;
  float* inv_std = nullptr;
  int64_t rows = 0;
  int64_t n = 0;
  float epsilon = 0;
};
using NormRowsFn = void(const NormRowsArgs& args);
NormRowsFn* PickLayerNorm(CpuLevel level);
NormRowsFn* PickRmsNorm(CpuLevel level);

/// Mean and population variance of each row of n floats, row_stride apart: instance normalisation of NCHW is
/// a row per channel, group normalisation a row per group. n >= 1.
using RowMomentsFn = void(const float* x, int64_t row_stride, int64_t rows, int64_t n, float* mean,
                          float* variance);
RowMomentsFn* PickRowMoments(CpuLevel level);

/// Mean and population variance of each column, x[c + i * stride] over 0 <= i < n: instance normalisation of
/// NHWC. A group of columns has the mean M of their means and the variance mean(variance + (mean - M)^2).
using ColumnMomentsFn = void(const float* x, int64_t stride, int64_t n, int64_t columns, float* mean,
                             float* variance);
ColumnMomentsFn* PickColumnMoments(CpuLevel level);

/// out[c + i * out_stride] = x[c + i * stride] scale[c] + bias[c] over 0 <= i < n and 0 <= c < columns: batch
/// normalisation of NHWC. out may be x. For NCHW apply Pointwise::kAffine to each channel.
using AffineColumnsFn = void(const float* x, int64_t stride, int64_t n, int64_t columns, const float* scale,
                             const float* bias, float* out, int64_t out_stride);
AffineColumnsFn* PickAffineColumns(CpuLevel level);

}  // namespace linnet
