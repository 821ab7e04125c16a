// Normalisation loops: each row is walked three times while it is in L1, for the mean, the variance and the
// result.
#include "kernels/normalize.h"

#include <math.h>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/normalize.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/reduce-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// out = (x - mean) inv_std scale + bias; scale and bias may be null.
HWY_INLINE void Normalize(const float* x, float mean, float inv_std, const float* scale, const float* bias,
                          int64_t n, float* out) {
  const F32 d;
  const VF32 m = hn::Set(d, mean), inv = hn::Set(d, inv_std);
  for (int64_t i = 0; i < n; i += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - i);
    VF32 v = hn::Mul(hn::Sub(LoadSome(d, x + i, left), m), inv);
    if (scale != nullptr) v = hn::Mul(v, LoadSome(d, scale + i, left));
    if (bias != nullptr) v = hn::Add(v, LoadSome(d, bias + i, left));
    StoreSome(v, d, out + i, left);
  }
}

HWY_INLINE void AddRow(const float* x, const float* y, int64_t n, float* out) {
  const F32 d;
  for (int64_t i = 0; i < n; i += hn::Lanes(d)) {
    const size_t left = static_cast<size_t>(n - i);
    StoreSome(hn::Add(LoadSome(d, x + i, left), LoadSome(d, y + i, left)), d, out + i, left);
  }
}

template <bool kCenter>
void NormRows(const NormRowsArgs& args) {
  const float n = static_cast<float>(args.n);
  for (int64_t r = 0; r < args.rows; ++r) {
    const int64_t at = r * args.n;
    const float* v = args.x + at;
    if (args.residual != nullptr) {
      float* sum = (args.sum != nullptr ? args.sum : args.out) + at;
      AddRow(v, args.residual + at, args.n, sum);
      v = sum;
    }
    const float mean = kCenter ? FoldRow<Values>(v, args.n, 0) / n : 0;
    const float variance =
        (kCenter ? FoldRow<CenteredSquares>(v, args.n, mean) : FoldRow<Squares>(v, args.n, 0)) / n;
    const float inv_std = 1 / sqrtf(variance + args.epsilon);
    Normalize(v, mean, inv_std, args.scale, args.bias, args.n, args.out + at);
    if (args.mean != nullptr) args.mean[r] = mean;
    if (args.inv_std != nullptr) args.inv_std[r] = inv_std;
  }
}

}  // namespace

void LayerNorm(const NormRowsArgs& args) {
  NormRows<true>(args);
}
void RmsNorm(const NormRowsArgs& args) {
  NormRows<false>(args);
}

void RowMoments(const float* x, int64_t row_stride, int64_t rows, int64_t n, float* mean, float* variance) {
  for (int64_t r = 0; r < rows; ++r, x += row_stride) {
    mean[r] = FoldRow<Values>(x, n, 0) / static_cast<float>(n);
    variance[r] = FoldRow<CenteredSquares>(x, n, mean[r]) / static_cast<float>(n);
  }
}

void ColumnMoments(const float* x, int64_t stride, int64_t n, int64_t columns, float* mean, float* variance) {
  FoldColumns<Values>(x, stride, n, columns, nullptr, mean);
  for (int64_t c = 0; c < columns; ++c) mean[c] /= static_cast<float>(n);
  FoldColumns<CenteredSquares>(x, stride, n, columns, mean, variance);
  for (int64_t c = 0; c < columns; ++c) variance[c] /= static_cast<float>(n);
}

void AffineColumns(const float* x, int64_t stride, int64_t n, int64_t columns, const float* scale,
                   const float* bias, float* out, int64_t out_stride) {
  const F32 d;
  for (int64_t r = 0; r < n; ++r, x += stride, out += out_stride) {
    for (int64_t i = 0; i < columns; i += hn::Lanes(d)) {
      const size_t left = static_cast<size_t>(columns - i);
      const VF32 v =
          hn::MulAdd(LoadSome(d, x + i, left), LoadSome(d, scale + i, left), LoadSome(d, bias + i, left));
      StoreSome(v, d, out + i, left);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

NormRowsFn* PickLayerNorm(CpuLevel level) {
  return LINNET_PICK(level, LayerNorm);
}
NormRowsFn* PickRmsNorm(CpuLevel level) {
  return LINNET_PICK(level, RmsNorm);
}
RowMomentsFn* PickRowMoments(CpuLevel level) {
  return LINNET_PICK(level, RowMoments);
}
ColumnMomentsFn* PickColumnMoments(CpuLevel level) {
  return LINNET_PICK(level, ColumnMoments);
}
AffineColumnsFn* PickAffineColumns(CpuLevel level) {
  return LINNET_PICK(level, AffineColumns);
}

}  // namespace linnet
#endif  // HWY_ONCE
