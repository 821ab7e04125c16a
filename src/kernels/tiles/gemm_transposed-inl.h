// Float32 products with a B whose rows are the columns of the product: dot products.
#if defined(LINNET_KERNELS_TILES_GEMM_TRANSPOSED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_GEMM_TRANSPOSED_INL_H_
#undef LINNET_KERNELS_TILES_GEMM_TRANSPOSED_INL_H_
#else
#define LINNET_KERNELS_TILES_GEMM_TRANSPOSED_INL_H_
#endif

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/gemm.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float);

// kColumns dot products of one row of A with rows of B, that is columns of the product.
template <int kColumns>
HWY_INLINE void Dots(const float* a, const float* b, int64_t b_stride, int64_t k, float* out) {
  const F32 d;
  VF32 sum[kColumns];
  LINNET_UNROLL
  for (int j = 0; j < kColumns; ++j) sum[j] = hn::Zero(d);
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    const VF32 av = hn::LoadU(d, a + i);
    LINNET_UNROLL
    for (int j = 0; j < kColumns; ++j) sum[j] = hn::MulAdd(av, hn::LoadU(d, b + j * b_stride + i), sum[j]);
  }
  if (i < k) {
    const size_t rest = static_cast<size_t>(k - i);
    const VF32 av = LoadTail(d, a + i, rest);
    LINNET_UNROLL
    for (int j = 0; j < kColumns; ++j)
      sum[j] = hn::MulAdd(av, LoadTail(d, b + j * b_stride + i, rest), sum[j]);
  }
  LINNET_UNROLL
  for (int j = 0; j < kColumns; ++j) out[j] = hn::GetLane(hn::SumOfLanes(d, sum[j]));
}

void GemmRunTransposed(const GemmF32& g, int64_t n0, int64_t n1) {
  const Epilogue& e = g.epilogue;
  for (int64_t n = n0; n < n1; n += 8) {
    const int64_t columns = std::min<int64_t>(8, n1 - n);
    const float* b = g.b + n * g.b_row_stride;
    for (int64_t row = 0; row < g.m; ++row) {
      const float* a = g.a + row * g.a_row_stride;
      float* c = g.c + row * g.c_row_stride + n;
      float dots[8];
      if (columns == 8) {
        Dots<8>(a, b, g.b_row_stride, g.k, dots);
      } else {
        for (int64_t j = 0; j < columns; ++j)
          Dots<1>(a, b + j * g.b_row_stride, g.b_row_stride, g.k, dots + j);
      }
      for (int64_t j = 0; j < columns; ++j) {
        float y = dots[j];
        if (e.bias) y += e.bias[n + j];
        if (e.residual) y += e.residual[row * e.residual_row_stride + n + j];
        c[j] = y;
      }
    }
  }
  ActivateRows(e, g.c + n0, g.c_row_stride, g.m, n1 - n0);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
