// Normalisations of [N, C, ...] by channel: statistics of stretches of a tensor, and y = x scale + shift by stretches.
#pragma once

#include <stdint.h>

#include "kernels/normalize.h"
#include "ops/elementwise.h"
#include "ops/op.h"

namespace linnet {

/// What the loops below need, picked in Prepare.
struct ChannelKernels {
  RowMomentsFn* moments = nullptr;
  AffineColumnsFn* columns = nullptr;
  PointwiseFn* affine = nullptr;
  void Pick(CpuLevel cpu) {
    moments = PickRowMoments(cpu);
    columns = PickAffineColumns(cpu);
    affine = PickPointwise(Pointwise::kAffine, cpu);
  }
};

/// Mean and population variance of each of `rows` contiguous stretches of n elements. n >= 1.
Status StretchMoments(const RunContext& c, const ChannelKernels& kernels, DType dtype, const void* x, int64_t rows,
                      int64_t n, double* mean, double* variance);

/// Mean and population variance of each channel of [outer][channels][inner], over outer and inner (both >= 1).
void ChannelMoments(DType dtype, const void* x, int64_t outer, int64_t channels, int64_t inner, double* mean,
                    double* variance);

/// y = x scale[r] + shift[r] over stretch r = i % period of n elements, for the stretches 0 <= i < count. y may be x.
/// `floats`: scratch of 2 period floats, used when n is 1.
Status ScaleStretches(const RunContext& c, const ChannelKernels& kernels, DType dtype, const void* x, void* y,
                      int64_t count, int64_t n, int64_t period, const double* scale, const double* shift, float* floats);

/// The n elements of a tensor of any floating-point type as doubles.
void LoadDoubles(DType dtype, const void* x, int64_t n, double* out);

}  // namespace linnet
