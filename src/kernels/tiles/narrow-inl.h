// Float32 products with very few columns, as dot products: a panel of one column would leave fifteen of sixteen lanes empty.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_NARROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_NARROW_INL_H_
#undef LINNET_KERNELS_TILES_NARROW_INL_H_
#else
#define LINNET_KERNELS_TILES_NARROW_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/gemm.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

/// B's columns one after the other, each segment of the summands padded with zeros to whole vectors.
class NarrowProduct {
 public:
  static constexpr int64_t kWidth = HWY_LANES(float), kColumnsMax = kWidth / 4, kFloatsMax = 8192;

  explicit NarrowProduct(const GemmF32& gemm) : g_(gemm), whole_{gemm.a, gemm.k} {
    if (g_.segment_count == 0) segments_ = &whole_, count_ = 1;
    else segments_ = g_.segments, count_ = g_.segment_count;
  }

  /// Depends on what all calls for a product have in common.
  bool Serves() {
    if (g_.n > kColumnsMax || g_.n < 1 || g_.k < kWidth) return false;
    for (int64_t s = 0; s < count_ && depth_ <= kFloatsMax; ++s) depth_ += RoundUp(segments_[s].k, kWidth);
    return depth_ * g_.n <= kFloatsMax;
  }

  void Run(int64_t m0, int64_t m1) {
    alignas(64) float columns[kFloatsMax];
    const float* from = g_.b;
    float* to = columns;
    for (int64_t s = 0; s < count_; ++s) {
      const int64_t k = segments_[s].k, padded = RoundUp(k, kWidth);
      for (int64_t i = 0; i < k; ++i, from += g_.b_row_stride) {
        for (int64_t j = 0; j < g_.n; ++j) to[j * depth_ + i] = from[j];
      }
      for (int64_t j = 0; j < g_.n; ++j) std::fill(to + j * depth_ + k, to + j * depth_ + padded, 0.0f);
      to += padded;
    }
    switch (g_.n) {
      case 1: return Rows<1>(columns, m0, m1);
      case 2: return Rows<2>(columns, m0, m1);
      case 3: return Rows<3>(columns, m0, m1);
      default: return Rows<4>(columns, m0, m1);
    }
  }

 private:
  template <int kColumns>
  void Rows(const float* columns, int64_t m0, int64_t m1) const {
    if constexpr (kColumns <= kColumnsMax) {
      constexpr int kTall = kColumns <= 2 ? 8 : 4;
      int64_t row = m0;
      for (; row + kTall <= m1; row += kTall) Tile<kTall, kColumns>(columns, row);
      for (; row < m1; ++row) Tile<1, kColumns>(columns, row);
      ActivateRows(g_.epilogue, g_.c + m0 * g_.c_row_stride, g_.c_row_stride, m1 - m0, kColumns);
    }
  }

  template <int kRows, int kColumns>
  HWY_INLINE void Tile(const float* columns, int64_t row) const {
    const F32 d;
    VF32 sum[kRows][kColumns];
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      LINNET_UNROLL
      for (int j = 0; j < kColumns; ++j) sum[r][j] = hn::Zero(d);
    }
    auto step = [&](const float* a, int64_t left, const float* b) HWY_ATTR __attribute__((always_inline)) {
      VF32 bv[kColumns];
      LINNET_UNROLL
      for (int j = 0; j < kColumns; ++j) bv[j] = hn::LoadU(d, b + j * depth_);
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r, a += g_.a_row_stride) {
        const VF32 av = left >= kWidth ? hn::LoadU(d, a) : LoadTail(d, a, static_cast<size_t>(left));
        LINNET_UNROLL
        for (int j = 0; j < kColumns; ++j) sum[r][j] = hn::MulAdd(av, bv[j], sum[r][j]);
      }
    };
    for (int64_t s = 0; s < count_; ++s) {
      const float* a = segments_[s].a + row * g_.a_row_stride;
      int64_t left = segments_[s].k;
      for (; left >= kWidth; left -= kWidth, a += kWidth, columns += kWidth) step(a, kWidth, columns);
      if (left > 0) {
        step(a, left, columns);
        columns += kWidth;
      }
    }
    const Epilogue& e = g_.epilogue;
    for (int r = 0; r < kRows; ++r) {
      float* c = g_.c + (row + r) * g_.c_row_stride;
      for (int j = 0; j < kColumns; ++j) {
        float y = FoldLanes(d, sum[r][j], AddOp());
        if (e.bias) y += e.bias[j];
        if (e.residual) y += e.residual[(row + r) * e.residual_row_stride + j];
        c[j] = y;
      }
    }
  }

  const GemmF32& g_;
  const SegmentF32 whole_;
  const SegmentF32* segments_;
  int64_t count_, depth_ = 0;
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif  // per-target guard
