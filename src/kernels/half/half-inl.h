// What follows the sums of a tile of a product of 16-bit operands: residual, clamp, where rows of C lie, activation.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_HALF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_HALF_INL_H_
#undef LINNET_KERNELS_HALF_INL_H_
#else
#define LINNET_KERNELS_HALF_INL_H_
#endif

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/half/half_gemm.h"
#include "kernels/epilogue-inl.h"
#include "kernels/tiles/strip.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

/// Finishes sums of rows of a view (RowsHalf), and stores those that are rows of C.
class FinisherHalf {
 public:
  FinisherHalf(const ProductHalf& product, const RowsHalf& rows) : p_(product), rows_(rows), clamp_(product.epilogue) {}

  /// Sums of panel p's row r at sums + p * panel_stride + r * kPanelColumns, for rows [row, row + count) of the view, and
  /// `columns` columns from `column` on, which begins a panel.
  void Store(const float* sums, int64_t panel_stride, int64_t row, int64_t count, int64_t column, int64_t columns) const {
    ForRowsOfC(rows_.pitch, rows_.valid, rows_.c_row, row, count, [&](int64_t c_row, int64_t at, int64_t n) {
      StoreTo(c_row, sums + at * kPanelColumns, panel_stride, n, column, columns);
    });
  }

 private:
  void StoreTo(int64_t c_row, const float* sums, int64_t panel_stride, int64_t count, int64_t column, int64_t columns) const {
    if (p_.epilogue.residual) {
      clamp_.has_low ? Rows<true, true>(c_row, sums, panel_stride, count, column, columns)
                     : Rows<true, false>(c_row, sums, panel_stride, count, column, columns);
    } else {
      clamp_.has_low ? Rows<false, true>(c_row, sums, panel_stride, count, column, columns)
                     : Rows<false, false>(c_row, sums, panel_stride, count, column, columns);
    }
    if (clamp_.after) {
      ActivateRows(p_.epilogue, p_.c + c_row * p_.c_row_stride + column, p_.c_row_stride, count, columns);
    }
  }

  template <bool kResidual, bool kLow>
  void Rows(int64_t c_row, const float* sums, int64_t panel_stride, int64_t count, int64_t column, int64_t columns) const {
    const F32 d;
    constexpr int64_t kLanes = HWY_LANES(float);
    const VF32 low = hn::Set(d, clamp_.low), high = hn::Set(d, clamp_.high);
    const bool has_high = clamp_.has_high;
    const int64_t residual_stride = p_.epilogue.residual_row_stride;
    float* c = p_.c + c_row * p_.c_row_stride + column;
    const float* residual = kResidual ? p_.epilogue.residual + c_row * residual_stride + column : nullptr;
    for (int64_t r = 0; r < count; ++r, c += p_.c_row_stride, sums += kPanelColumns) {
      for (int64_t j = 0; j < columns; j += kLanes) {
        VF32 x = hn::Load(d, sums + j / kPanelColumns * panel_stride + j % kPanelColumns);
        const size_t left = static_cast<size_t>(columns - j);
        if constexpr (kResidual) x = hn::Add(x, LoadSome(d, residual + j, left));
        if constexpr (kLow) {
          x = AtLeast(low, x);
          if (has_high) x = AtMost(high, x);
        }
        StoreSome(x, d, c + j, left);
      }
      if constexpr (kResidual) residual += residual_stride;
    }
  }

  const ProductHalf& p_;
  const RowsHalf& rows_;
  const Clamp clamp_;
};

/// The bias of a panel, 16 floats: where it lies, or a copy in `tail` of what there is of it.
HWY_INLINE const float* PanelBiasHalf(const ProductHalf& product, int64_t panel, float* tail) {
  const float* bias = product.epilogue.bias;
  const int64_t column = panel * kPanelColumns;
  if (bias && column + kPanelColumns <= product.n) return bias + column;
  for (int64_t j = 0; j < kPanelColumns; ++j) tail[j] = bias && column + j < product.n ? bias[column + j] : 0.0f;
  return tail;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif  // per-target guard
