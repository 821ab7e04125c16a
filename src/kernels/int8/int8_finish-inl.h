// What follows 8-bit sums on AVX-512: rows of one or two panels at a time as bytes.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_INT8_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_INT8_FINISH_INL_H_
#undef LINNET_KERNELS_INT8_FINISH_INL_H_
#else
#define LINNET_KERNELS_INT8_FINISH_INL_H_
#endif

#include <stdint.h>

#include <algorithm>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/int8/int8_gemm.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

#if HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// What sums still take: as BytesLeft has it, or zero points, a scale, a bias and a Bend.
enum class Left { kFloor, kScale, kAll, kBent };

// kPanels (1 or 2) panels side by side, four vectors of 16 columns at a time: rows of one panel, or pairs of rows of two.
template <class T, int kPanels, Left kLeft>
void FinishWideRows(const FinishInt8& finish, const int32_t* sums, int64_t panel_stride, const int32_t* row_sums, int64_t row,
                     int rows, int64_t column, int64_t columns) {
  constexpr int kRows = 4 / kPanels;
  constexpr bool kExact = kLeft == Left::kScale;
  const FinishInt8 f = finish;
  const FloorRounding floor(f);
  const WideByteRounding rounding(kLeft == Left::kBent ? f.to_signed : std::is_signed_v<T>, f.low, f.high, f.zero);
  const Bend bend(f);
  __m512i offset[kPanels], column_zero[kPanels];
  __m512 scale[kPanels], bias[kPanels], back[kPanels];
  LINNET_UNROLL
  for (int p = 0; p < kPanels; ++p) {
    const int64_t at = column + p * kPanelColumns;
    offset[p] = f.offset ? _mm512_loadu_si512(f.offset + at) : _mm512_setzero_si512();
    column_zero[p] = f.column_zero ? _mm512_loadu_si512(f.column_zero + at) : _mm512_setzero_si512();
    scale[p] = _mm512_loadu_ps(f.scale + (f.one_scale ? 0 : at));
    if constexpr (kLeft == Left::kBent) bias[p] = _mm512_loadu_ps(f.epilogue.bias + at);
    if constexpr (kLeft == Left::kFloor) back[p] = FloorRounding::Back(scale[p]);
  }
  const uint32_t mask = columns >= 32 ? ~0u : (1u << columns) - 1;
  T* to = static_cast<T*>(f.c) + row * f.c_row_stride + column;
  for (int r = 0; r < rows; r += kRows, to += kRows * f.c_row_stride) {
    __m512 t[4];
    __m512i whole[4];
    LINNET_UNROLL
    for (int i = 0; i < kRows; ++i) {
      const int at = kRows == 1 ? r : std::min(r + i, rows - 1);
      LINNET_UNROLL
      for (int p = 0; p < kPanels; ++p) {
        __m512i sum = _mm512_loadu_si512(sums + p * panel_stride + at * kPanelColumns);
        if constexpr (kLeft == Left::kFloor) {
          whole[i * kPanels + p] = FloorRounding::Whole(sum, scale[p], back[p]);
          continue;
        }
        if (!kExact) sum = _mm512_add_epi32(sum, offset[p]);
        if (!kExact && f.column_zero) sum = _mm512_sub_epi32(sum, _mm512_mullo_epi32(column_zero[p], _mm512_set1_epi32(row_sums[at])));
        __m512& value = t[i * kPanels + p];
        value = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale[p]);
        if constexpr (kLeft == Left::kBent) value = bend(F32(), VF32{_mm512_add_ps(value, bias[p])}).raw;
      }
    }
    const __m512i bytes = kLeft == Left::kFloor ? floor.Bytes(whole) : rounding.template Bytes<kExact>(t[0], t[1], t[2], t[3]);
    if constexpr (kPanels == 2) {
      const __m256i first = _mm512_castsi512_si256(bytes), second = _mm512_extracti64x4_epi64(bytes, 1);
      if (HWY_LIKELY(mask == ~0u)) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), first);
        if (r + 1 < rows) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + f.c_row_stride), second);
      } else {
        _mm256_mask_storeu_epi8(to, mask, first);
        if (r + 1 < rows) _mm256_mask_storeu_epi8(to + f.c_row_stride, mask, second);
      }
    } else {
      const __m128i four[4] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1), _mm512_extracti32x4_epi32(bytes, 2),
                               _mm512_extracti32x4_epi32(bytes, 3)};
      LINNET_UNROLL
      for (int i = 0; i < 4; ++i) {
        if (r + i >= rows) break;
        if (HWY_LIKELY(columns >= kPanelColumns)) {
          _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * f.c_row_stride), four[i]);
        } else {
          _mm_mask_storeu_epi8(to + i * f.c_row_stride, static_cast<__mmask16>(mask), four[i]);
        }
      }
    }
  }
}

template <class T, int kPanels>
void FinishWideBytes(const FinishInt8& f, const int32_t* sums, int64_t panel_stride, const int32_t* row_sums, int64_t row, int rows,
                     int64_t column, int64_t columns) {
  bool exact = f.offset == nullptr && f.column_zero == nullptr;
  for (int p = 0; p < kPanels; ++p) {
    exact = exact && WideByteRounding::Bounds(_mm512_loadu_ps(f.scale + (f.one_scale ? 0 : column + p * kPanelColumns)));
  }
  if (exact) {
    FinishWideRows<T, kPanels, Left::kScale>(f, sums, panel_stride, row_sums, row, rows, column, columns);
  } else {
    FinishWideRows<T, kPanels, Left::kAll>(f, sums, panel_stride, row_sums, row, rows, column, columns);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif

#endif  // per-target guard
