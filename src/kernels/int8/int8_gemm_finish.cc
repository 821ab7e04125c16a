// What follows the exact sums of an 8-bit product: zero points, scales, rounding to bytes.
#include <string.h>

#include <algorithm>

#include "base/parts.h"
#include "kernels/int8/int8_gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_gemm_finish.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/epilogue-inl.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/int8/int8_finish-inl.h"
#include "kernels/int8/int8_runs-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Sums of one row at a vector of columns from `at` on, corrected for zero points and biases.
template <class D>
HWY_INLINE hn::Vec<D> Corrected(D d, const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int row, int64_t at) {
  hn::Vec<D> t = hn::LoadU(d, sums);
  if (f.offset) t = hn::Add(t, hn::LoadU(d, f.offset + at));
  if (f.column_zero) t = hn::Sub(t, hn::Mul(hn::LoadU(d, f.column_zero + at), hn::Set(d, row_sums[row])));
  return t;
}

constexpr int kLanes32 = HWY_LANES(int32_t);
constexpr int kFinishRows = 32;   // of a block of any level

#if HWY_TARGET == HWY_AVX3

template <class T>
void FinishBytes(const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                 int64_t columns) {
  FinishWideBytes<T, 1>(f, sums, 0, row_sums, row, rows, column, columns);
}

#elif HWY_TARGET == HWY_AVX2

// Two rows at a time, the last of an odd number of them twice. kExact: sums take nothing but a scale behind which they are bounded.
template <class T, bool kExact>
void FinishTwoRows(const FinishInt8& finish, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                   int64_t columns) {
  const FinishInt8 f = finish;
  const WideByteRounding rounding(std::is_signed_v<T>, f.low, f.high, f.zero);
  auto ints = [](const int32_t* p, int v) HWY_ATTR { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + v); };
  __m256i offset[2], column_zero[2];
  __m256 scale[2];
  LINNET_UNROLL
  for (int v = 0; v < 2; ++v) {
    offset[v] = f.offset ? ints(f.offset + column, v) : _mm256_setzero_si256();
    column_zero[v] = f.column_zero ? ints(f.column_zero + column, v) : _mm256_setzero_si256();
    scale[v] = _mm256_loadu_ps(f.scale + (f.one_scale ? 0 : column) + 8 * v);
  }
  T* to = static_cast<T*>(f.c) + row * f.c_row_stride + column;
  for (int r = 0; r < rows; r += 2, to += 2 * f.c_row_stride) {
    __m256 t[4];
    LINNET_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int at = i < 2 ? r : std::min(r + 1, rows - 1);
      __m256i sum = ints(sums + at * kPanelColumns, i % 2);
      if (!kExact) sum = _mm256_add_epi32(sum, offset[i % 2]);
      if (!kExact && f.column_zero) sum = _mm256_sub_epi32(sum, _mm256_mullo_epi32(column_zero[i % 2], _mm256_set1_epi32(row_sums[at])));
      t[i] = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale[i % 2]);
    }
    const __m256i bytes = rounding.Bytes<kExact>(t[0], t[1], t[2], t[3]);
    if (HWY_LIKELY(columns == kPanelColumns)) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(bytes));
      if (r + 1 < rows) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + f.c_row_stride), _mm256_extracti128_si256(bytes, 1));
    } else {
      alignas(32) T both[2 * kPanelColumns];
      _mm256_store_si256(reinterpret_cast<__m256i*>(both), bytes);
      memcpy(to, both, static_cast<size_t>(columns));
      if (r + 1 < rows) memcpy(to + f.c_row_stride, both + kPanelColumns, static_cast<size_t>(columns));
    }
  }
}

template <class T>
void FinishBytes(const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                 int64_t columns) {
  const float* scale = f.scale + (f.one_scale ? 0 : column);
  if (!f.offset && !f.column_zero && WideByteRounding::Bounds(_mm256_loadu_ps(scale)) && WideByteRounding::Bounds(_mm256_loadu_ps(scale + 8))) {
    FinishTwoRows<T, true>(f, sums, row_sums, row, rows, column, columns);
  } else {
    FinishTwoRows<T, false>(f, sums, row_sums, row, rows, column, columns);
  }
}

#else

template <class T>
void FinishBytes(const FinishInt8& finish, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                 int64_t columns) {
  const hn::FixedTag<int32_t, 4> d;
  const hn::FixedTag<float, 4> df;
  const FinishInt8 f = finish;  // what bytes are stored to might be the caller's, for all that compilers know
  const ByteRounding<T> rounding(f.low, f.high, f.zero);
  T* to = static_cast<T*>(f.c) + row * f.c_row_stride + column;
  for (int r = 0; r < rows; ++r, sums += kPanelColumns, to += f.c_row_stride) {
    alignas(64) T tail[kPanelColumns];
    T* out = columns == kPanelColumns ? to : tail;
    LINNET_UNROLL
    for (int j = 0; j < kPanelColumns; j += 8) {
      const float* scale = f.scale + (f.one_scale ? 0 : column + j);
      const auto t0 = hn::Mul(hn::ConvertTo(df, Corrected(d, f, sums + j, row_sums, r, column + j)), hn::LoadU(df, scale));
      const auto t1 = hn::Mul(hn::ConvertTo(df, Corrected(d, f, sums + j + 4, row_sums, r, column + j + 4)), hn::LoadU(df, scale + 4));
      rounding.Store(t0, t1, out + j);
    }
    if (out == tail) memcpy(to, tail, static_cast<size_t>(columns));
  }
}

#endif

// Whole panels with nothing but a scale and a bias, which most are.
template <bool kBias>
void FinishPlainFloats(const FinishInt8& f, const int32_t* sums, int rows, int64_t column, float* to, int64_t stride) {
  const F32 d;
  const I32 di;
  constexpr int kVectors = kPanelColumns / kLanes32;
  VF32 scale[kVectors], bias[kVectors];
  hn::Vec<I32> offset[kVectors];
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    const int64_t at = column + v * kLanes32;
    scale[v] = hn::LoadU(d, f.scale + (f.one_scale ? 0 : at));
    bias[v] = kBias ? hn::LoadU(d, f.epilogue.bias + at) : hn::Zero(d);
    offset[v] = f.offset ? hn::LoadU(di, f.offset + at) : hn::Zero(di);
  }
  for (int r = 0; r < rows; ++r, sums += kPanelColumns, to += stride) {
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const VF32 t = hn::Mul(hn::ConvertTo(d, hn::Add(hn::LoadU(di, sums + v * kLanes32), offset[v])), scale[v]);
      hn::StoreU(kBias ? hn::Add(t, bias[v]) : t, d, to + v * kLanes32);
    }
  }
}

void FinishFloats(const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                  int64_t columns) {
  const F32 d;
  const Epilogue& e = f.epilogue;
  const Clamp clamp(e);
  float* to = static_cast<float*>(f.c) + row * f.c_row_stride + column;
  if (columns == kPanelColumns && !f.column_zero && !e.residual && !clamp.has_low && !clamp.has_high) {
    auto finish = [&](float* c, int64_t stride) HWY_ATTR {
      e.bias ? FinishPlainFloats<true>(f, sums, rows, column, c, stride)
             : FinishPlainFloats<false>(f, sums, rows, column, c, stride);
    };
    if (!clamp.after) return finish(to, f.c_row_stride);
    // Activated side by side: rows of C a multiple of 4 KiB apart push each other out of the first-level cache.
    alignas(64) float side[kFinishRows * kPanelColumns];
    finish(side, kPanelColumns);
    ActivateRows(e, side, 0, 1, rows * kPanelColumns);
    for (int r = 0; r < rows; ++r, to += f.c_row_stride) {
      LINNET_UNROLL
      for (int64_t j = 0; j < kPanelColumns; j += kLanes32) {
        hn::StoreU(hn::Load(d, side + r * kPanelColumns + j), d, to + j);
      }
    }
    return;
  }
  const float* residual = e.residual ? e.residual + row * e.residual_row_stride + column : nullptr;
  float* const first = to;
  for (int r = 0; r < rows; ++r, sums += kPanelColumns, to += f.c_row_stride) {
    for (int64_t j = 0; j < columns; j += kLanes32) {
      const size_t left = static_cast<size_t>(columns - j);
      VF32 t = hn::ConvertTo(d, Corrected(I32(), f, sums + j, row_sums, r, column + j));
      // Depthwise kernels ask for the last half of a panel, behind which arrays end.
      t = hn::Mul(t, LoadSome(d, f.scale + (f.one_scale ? 0 : column + j), left));
      if (e.bias) t = hn::Add(t, LoadSome(d, e.bias + column + j, left));
      if (residual) t = hn::Add(t, LoadSome(d, residual + j, left));
      if (clamp.has_low) t = AtLeast(hn::Set(d, clamp.low), t);
      if (clamp.has_high) t = AtMost(hn::Set(d, clamp.high), t);
      StoreSome(t, d, to + j, left);
    }
    if (residual) residual += e.residual_row_stride;
  }
  if (clamp.after) ActivateRows(e, first, f.c_row_stride, rows, columns);
}

void FinishInts(const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                int64_t columns) {
  const I32 d;
  int32_t* to = static_cast<int32_t*>(f.c) + row * f.c_row_stride + column;
  for (int r = 0; r < rows; ++r, sums += kPanelColumns, to += f.c_row_stride) {
    for (int64_t j = 0; j < columns; j += kLanes32) {
      StoreSome(Corrected(I32(), f, sums + j, row_sums, r, column + j), d, to + j, static_cast<size_t>(columns - j));
    }
  }
}

// Columns [column, column + columns) of one panel. First all places, then all bytes: compilers would take places out of registers, which
// takes longer than reading them back.
void TablePanel(const FinishInt8& finish, const int32_t* sums, const int32_t* row_sums, uint8_t* to, int rows, int64_t column, int64_t columns) {
  const F32 d;
  const FinishInt8 f = finish;
  const TablePlaces find(f.high);
  alignas(64) uint32_t places[kFinishRows * kPanelColumns];
  for (int64_t v = 0; v < kPanelColumns; v += kLanes32) {
    const auto scale = hn::LoadU(d, f.scale + (f.one_scale ? 0 : column + v)), bias = hn::LoadU(d, f.epilogue.bias + column + v);
    for (int r = 0; r < rows; ++r) {
      const auto sum = Corrected(I32(), f, sums + r * kPanelColumns + v, row_sums, r, column + v);
      hn::Store(find(d, hn::Add(hn::Mul(hn::ConvertTo(d, sum), scale), bias)), hn::RebindToUnsigned<I32>(), places + r * kPanelColumns + v);
    }
  }
  const uint8_t* const table = f.table;
  const uint32_t* place = places;
  for (int r = 0; r < rows; ++r, to += f.c_row_stride, place += kPanelColumns) {
    if (HWY_LIKELY(columns == kPanelColumns)) {
      LINNET_UNROLL
      for (int64_t i = 0; i < kPanelColumns; ++i) to[i] = table[place[i]];
    } else {
      for (int64_t i = 0; i < columns; ++i) to[i] = table[place[i]];
    }
  }
}

#if HWY_TARGET != HWY_AVX3

// FinishInt8::To::kActivated without a table, of one panel.
template <class T>
void BentPanel(const FinishInt8& finish, const int32_t* sums, const int32_t* row_sums, T* to, int rows, int64_t column, int64_t columns) {
  const hn::CappedTag<float, kPanelColumns> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<T, decltype(d)> d8;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const FinishInt8 f = finish;
  const Bend bend(f);
  const auto low = hn::Set(d, f.low), high = hn::Set(d, f.high);
  const auto zero = hn::Set(di, f.zero);
  for (int64_t v = 0; v < kPanelColumns; v += lanes) {
    const int64_t left = columns - v;
    if (left <= 0) break;
    const auto scale = hn::LoadU(d, f.scale + (f.one_scale ? 0 : column + v)), bias = hn::LoadU(d, f.epilogue.bias + column + v);
    T* out = to + v;
    for (int r = 0; r < rows; ++r, out += f.c_row_stride) {
      const auto sum = hn::ConvertTo(d, Corrected(di, f, sums + r * kPanelColumns + v, row_sums, r, column + v));
      auto t = bend(d, hn::Add(hn::Mul(sum, scale), bias));
      t = hn::Min(hn::IfThenElse(hn::Gt(t, low), t, low), high);   // NaN as `low`
      const auto bytes = hn::DemoteTo(d8, hn::Add(hn::NearestInt(t), zero));
      if (left >= lanes) {
        hn::StoreU(bytes, d8, out);
      } else {
        T some[kPanelColumns];
        hn::StoreU(bytes, d8, some);
        memcpy(out, some, static_cast<size_t>(left));
      }
    }
  }
}

#endif

#if HWY_TARGET == HWY_AVX2

// Two rows at a time, the last of an odd number of them twice.
void BentRows(const FinishInt8& finish, const int32_t* sums, const int32_t* row_sums, uint8_t* to, int rows, int64_t column) {
  const hn::FixedTag<float, 8> d;
  const hn::FixedTag<int32_t, 8> di;
  const FinishInt8 f = finish;
  const Bend bend(f);
  const WideByteRounding rounding(f.to_signed, f.low, f.high, f.zero);
  const auto scale0 = hn::LoadU(d, f.scale + (f.one_scale ? 0 : column)), scale1 = hn::LoadU(d, f.scale + (f.one_scale ? 0 : column) + 8);
  const auto bias0 = hn::LoadU(d, f.epilogue.bias + column), bias1 = hn::LoadU(d, f.epilogue.bias + column + 8);
  for (int r = 0; r < rows; r += 2, to += 2 * f.c_row_stride) {
    const int next = std::min(r + 1, rows - 1);
    auto bent = [&](int row, int64_t at) HWY_ATTR {
      const auto t = hn::ConvertTo(d, Corrected(di, f, sums + row * kPanelColumns + at, row_sums, row, column + at));
      return bend(d, hn::Add(hn::Mul(t, at ? scale1 : scale0), at ? bias1 : bias0)).raw;
    };
    const __m256i bytes = rounding.Bytes(bent(r, 0), bent(r, 8), bent(next, 0), bent(next, 8));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(bytes));
    if (r + 1 < rows) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + f.c_row_stride), _mm256_extracti128_si256(bytes, 1));
  }
}

#endif

// The same multiplications, additions and roundings at every level. Of several panels, `rows` is 1.
void FinishActivated(const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                     int64_t columns) {
  uint8_t* to = static_cast<uint8_t*>(f.c) + row * f.c_row_stride + column;
  for (int64_t j = 0; j < columns; j += kPanelColumns) {
    const int64_t some = std::min(columns - j, kPanelColumns);
    if (f.table) {
      TablePanel(f, sums + j, row_sums, to + j, rows, column + j, some);
#if HWY_TARGET == HWY_AVX3
    } else {
      FinishWideRows<uint8_t, 1, Left::kBent>(f, sums + j, 0, row_sums, row, rows, column + j, some);
    }
#else
#if HWY_TARGET == HWY_AVX2
    } else if (some == kPanelColumns) {
      BentRows(f, sums + j, row_sums, to + j, rows, column + j);
#endif
    } else if (f.to_signed) {
      BentPanel(f, sums + j, row_sums, reinterpret_cast<int8_t*>(to + j), rows, column + j, some);
    } else {
      BentPanel(f, sums + j, row_sums, to + j, rows, column + j, some);
    }
#endif
  }
}

void Int8Finish(const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                int64_t columns) {
  switch (f.to) {
    case FinishInt8::To::kInt32:
      if constexpr (kWideResults) FinishInts(f, sums, row_sums, row, rows, column, columns);
      return;
    case FinishInt8::To::kFloat:
      if constexpr (kWideResults) FinishFloats(f, sums, row_sums, row, rows, column, columns);
      return;
    case FinishInt8::To::kInt8:
      if constexpr (kSignedBytes) FinishBytes<int8_t>(f, sums, row_sums, row, rows, column, columns);
      return;
    case FinishInt8::To::kUint8:
      return FinishBytes<uint8_t>(f, sums, row_sums, row, rows, column, columns);
    case FinishInt8::To::kActivated:
      if constexpr (kWideResults) FinishActivated(f, sums, row_sums, row, rows, column, columns);
      return;
  }
}

// Int8Kernels::offsets.
void Int8Offsets(int32_t zero, const int32_t* sums, int64_t n, int32_t* out) {
  const I32 d;
  const auto minus = hn::Set(d, static_cast<int32_t>(0u - static_cast<uint32_t>(zero)));
  for (int64_t j = 0; j < n; j += kLanes32) hn::StoreU(hn::Mul(hn::LoadU(d, sums + j), minus), d, out + j);
}

#if HWY_TARGET == HWY_AVX3

BytesLeft Int8BytesLeft(const FinishInt8& f, int64_t k, int64_t panel0, int64_t panel1) {
  if ((f.to != FinishInt8::To::kUint8 && f.to != FinishInt8::To::kInt8) || f.column_zero) return BytesLeft::kAll;
  bool bounded = true, floors = f.low >= 0;
  for (int64_t p = panel0; p < panel1 && bounded; ++p) {
    const __m512 scale = _mm512_loadu_ps(f.scale + (f.one_scale ? 0 : p * kPanelColumns));
    bounded = WideByteRounding::Bounds(scale);
    floors = floors && FloorRounding::Serves(scale, f.offset ? _mm512_loadu_si512(f.offset + p * kPanelColumns) : _mm512_setzero_si512(), k);
  }
  return !bounded ? BytesLeft::kAll : floors ? BytesLeft::kFloor : BytesLeft::kScale;
}

void Int8BeginFloors(const int32_t* offsets, int64_t n, int32_t* out) {
  for (int64_t i = 0; i < n; i += kPanelColumns) {
    _mm512_storeu_si512(out + i, FloorRounding::Begin(offsets ? _mm512_loadu_si512(offsets + i) : _mm512_setzero_si512()));
  }
}

// The same of panels side by side, the sums of panel p at sums + p * panel_stride.
void Int8FinishPanels(const FinishInt8& f, BytesLeft left, const int32_t* sums, int64_t panel_stride, const int32_t* row_sums, int64_t row,
                      int rows, int64_t column, int64_t columns) {
  const bool bytes = f.to == FinishInt8::To::kUint8 || f.to == FinishInt8::To::kInt8;
  if (!bytes && rows == 1 && panel_stride == kPanelColumns) return Int8Finish(f, sums, row_sums, row, rows, column, columns);
  while (columns > 0) {
    const bool two = columns > kPanelColumns;
    int64_t panels = two ? 2 : 1;
    if (left == BytesLeft::kFloor) {
      auto* const finish = two ? FinishWideRows<uint8_t, 2, Left::kFloor> : FinishWideRows<uint8_t, 1, Left::kFloor>;
      finish(f, sums, panel_stride, row_sums, row, rows, column, std::min<int64_t>(columns, 32));
    } else if (two && f.to == FinishInt8::To::kUint8) {
      FinishWideBytes<uint8_t, 2>(f, sums, panel_stride, row_sums, row, rows, column, std::min<int64_t>(columns, 32));
    } else if (two && f.to == FinishInt8::To::kInt8) {
      FinishWideBytes<int8_t, 2>(f, sums, panel_stride, row_sums, row, rows, column, std::min<int64_t>(columns, 32));
    } else if (kWideResults && two && f.to == FinishInt8::To::kActivated && !f.table) {
      FinishWideRows<uint8_t, 2, Left::kBent>(f, sums, panel_stride, row_sums, row, rows, column, std::min<int64_t>(columns, 32));
    } else {
      panels = 1;
      Int8Finish(f, sums, row_sums, row, rows, column, std::min(columns, kPanelColumns));
    }
    sums += panels * panel_stride;
    column += panels * kPanelColumns;
    columns -= panels * kPanelColumns;
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
