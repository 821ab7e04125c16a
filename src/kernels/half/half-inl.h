// What follows the sums of a tile of a product of 16-bit operands: residual, clamp, where rows of C lie, activation.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_HALF_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_HALF_INL_H_
#undef LINNET_KERNELS_HALF_INL_H_
#else
#define LINNET_KERNELS_HALF_INL_H_
#endif

#include <math.h>

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/half/half_gemm.h"
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

  /// Where rows [row, row + count) of `columns` from `column` on go as they are, but for bounds: first[r * stride()]; null where something else
  /// happens to them, or they do not follow each other.
  float* Direct(int64_t row, int64_t count, int64_t column, int64_t columns) const {
    if (p_.epilogue.residual || clamp_.after || columns % kPanelColumns != 0) return nullptr;
    float* first = nullptr;
    ForRowsOfC(rows_.pitch, rows_.valid, rows_.c_row, row, count, [&](int64_t c_row, int64_t, int64_t n) {
      if (n == count) first = p_.c + c_row * p_.c_row_stride + column;
    });
    return first;
  }
  int64_t stride() const { return p_.c_row_stride; }
  /// The bounds of all of them, infinities where there is none.
  float low() const { return clamp_.has_low ? clamp_.low : -INFINITY; }
  float high() const { return clamp_.has_high ? clamp_.high : INFINITY; }

  /// Sums of panel p's row r at sums + p * panel_stride + r * kPanelColumns, for rows [row, row + count) of the view, and
  /// `columns` columns from `column` on, which begins a panel.
  void Store(const float* sums, int64_t panel_stride, int64_t row, int64_t count, int64_t column, int64_t columns) const {
    ForRowsOfC(rows_.pitch, rows_.valid, rows_.c_row, row, count, [&](int64_t c_row, int64_t at, int64_t n) {
      StoreTo(c_row, sums + at * kPanelColumns, panel_stride, n, column, columns);
    });
  }

 private:
  void StoreTo(int64_t c_row, const float* sums, int64_t panel_stride, int64_t count, int64_t column, int64_t columns) const {
    const bool whole = columns % kPanelColumns == 0;
    auto rows = [&]<bool kResidual, bool kLow>() {
      whole ? Rows<kResidual, kLow, true>(c_row, sums, panel_stride, count, column, columns)
            : Rows<kResidual, kLow, false>(c_row, sums, panel_stride, count, column, columns);
    };
    if (p_.epilogue.residual) {
      clamp_.has_low ? rows.template operator()<true, true>() : rows.template operator()<true, false>();
    } else {
      clamp_.has_low ? rows.template operator()<false, true>() : rows.template operator()<false, false>();
    }
    if (clamp_.after) {
      ActivateRows(p_.epilogue, p_.c + c_row * p_.c_row_stride + column, p_.c_row_stride, count, columns);
    }
  }

  /// kWhole: columns are whole panels.
  template <bool kResidual, bool kLow, bool kWhole>
  void Rows(int64_t c_row, const float* sums, int64_t panel_stride, int64_t count, int64_t column, int64_t columns) const {
    const F32 d;
    constexpr int64_t kLanes = HWY_LANES(float);
    const VF32 low = hn::Set(d, clamp_.low), high = hn::Set(d, clamp_.high);
    const bool has_high = clamp_.has_high;
    const int64_t residual_stride = p_.epilogue.residual_row_stride;
    float* c = p_.c + c_row * p_.c_row_stride + column;
    const float* residual = kResidual ? p_.epilogue.residual + c_row * residual_stride + column : nullptr;
    for (int64_t r = 0; r < count; ++r, c += p_.c_row_stride, sums += kPanelColumns) {
      const float* panel = sums;
      for (int64_t first = 0; first < columns; first += kPanelColumns, panel += panel_stride) {
        LINNET_UNROLL
        for (int64_t v = 0; v < kPanelColumns; v += kLanes) {
          const int64_t j = first + v;
          if (!kWhole && j >= columns) break;
          const size_t left = static_cast<size_t>(columns - j);
          VF32 x = hn::Load(d, panel + v);
          if constexpr (kResidual) x = hn::Add(x, kWhole ? hn::LoadU(d, residual + j) : LoadSome(d, residual + j, left));
          if constexpr (kLow) {
            x = AtLeast(low, x);
            if (has_high) x = AtMost(high, x);
          }
          kWhole ? hn::StoreU(x, d, c + j) : StoreSome(x, d, c + j, left);
        }
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

#if defined(__aarch64__) && HWY_TARGET == HWY_NEON

/// Rounds n floats to 16 bits, touching nothing else; Format::Rounded makes eight numbers of two registers.
template <class Format>
void LoadHalves(const float* a, int64_t n, void* out) {
  uint16_t* to = static_cast<uint16_t*>(out);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) vst1q_u16(to + i, Format::Rounded(vld1q_f32(a + i), vld1q_f32(a + i + 4)));
  if (i == n) return;
  float tail[8] = {};
  std::copy(a + i, a + n, tail);
  uint16_t rounded[8];
  vst1q_u16(rounded, Format::Rounded(vld1q_f32(tail), vld1q_f32(tail + 4)));
  std::copy(rounded, rounded + (n - i), to + i);
}

/// HalfKernels::load_rows of it.
template <class Format>
void LoadRowsOfHalves(const float* a, int64_t a_row_stride, int64_t rows, int64_t k, void* out, int64_t out_row_bytes) {
  char* to = static_cast<char*>(out);
  for (int64_t r = 0; r < rows; ++r, a += a_row_stride, to += out_row_bytes) {
    LoadHalves<Format>(a, k, to);
    std::fill(reinterpret_cast<uint16_t*>(to) + k, reinterpret_cast<uint16_t*>(to) + PackedKHalf(k), uint16_t{0});
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif  // per-target guard
