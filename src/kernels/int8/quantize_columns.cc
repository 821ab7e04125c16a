// Rows with a scale for each column: a register of floats at a time, the rest through a copy.
#include "kernels/int8/quantize_columns.h"

#include <string.h>

#include "base/parts.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/quantize_columns.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using Ints = hn::RebindToSigned<F32>;
constexpr int64_t kWidth = HWY_LANES(float);

template <class T>
HWY_INLINE hn::Vec<Ints> LoadWide(const T* p) {
  if constexpr (sizeof(T) == 4) {
    return hn::LoadU(Ints(), p);
  } else {
    return hn::PromoteTo(Ints(), hn::LoadU(hn::Rebind<T, F32>(), p));
  }
}

// Calls convert(from, scale, zero, to) for whole registers, at last for copies.
template <class From, class Zero, class To, class Convert>
HWY_INLINE void ForColumns(const From* x, const float* scale, const Zero* zero, int64_t n, To* out, const Convert& convert) {
  HWY_ALIGN const Zero zeros[kWidth] = {};
  const int64_t zero_step = zero ? 1 : 0;
  if (!zero) zero = zeros;
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) convert(x + i, scale + i, zero + i * zero_step, out + i);
  if (i == n) return;
  const size_t rest = static_cast<size_t>(n - i);
  HWY_ALIGN From from[kWidth] = {};
  HWY_ALIGN float scales[kWidth];
  HWY_ALIGN Zero some[kWidth] = {};
  HWY_ALIGN To to[kWidth];
  for (float& s : scales) s = 1;
  memcpy(from, x + i, rest * sizeof(From));
  memcpy(scales, scale + i, rest * sizeof(float));
  if (zero_step) memcpy(some, zero + i, rest * sizeof(Zero));
  convert(from, scales, some, to);
  memcpy(out + i, to, rest * sizeof(To));
}

template <class T>
void Quantize(const float* x, const float* scale, const void* zero, int64_t n, void* out) {
  const F32 d;
  const VF32 least = hn::Set(d, static_cast<float>(hwy::LimitsMin<T>())), most = hn::Set(d, static_cast<float>(hwy::LimitsMax<T>()));
  ForColumns(x, scale, static_cast<const T*>(zero), n, static_cast<T*>(out),
             [=](const float* from, const float* s, const T* z, T* to) HWY_ATTR {
    const F32 df;
    const hn::Rebind<T, F32> narrow;
    VF32 v = Quotient(hn::LoadU(df, from), hn::LoadU(df, s));
    v = hn::Add(hn::Round(hn::IfThenElseZero(hn::Eq(v, v), v)), hn::ConvertTo(df, LoadWide(z)));
    hn::StoreU(hn::DemoteTo(narrow, hn::ConvertTo(Ints(), hn::Min(hn::Max(v, least), most))), narrow, to);
  });
}

template <class T>
void Dequantize(const void* x, const float* scale, const void* zero, int64_t n, float* out) {
  ForColumns(static_cast<const T*>(x), scale, static_cast<const T*>(zero), n, out,
             [](const T* from, const float* s, const T* z, float* to) HWY_ATTR {
    const F32 d;
    hn::StoreU(hn::Mul(hn::ConvertTo(d, hn::Sub(LoadWide(from), LoadWide(z))), hn::LoadU(d, s)), d, to);
  });
}

}  // namespace

QuantizeColumnsFn* QuantizeColumnsOf(DType to) {
  return kSignedBytes && to == DType::kInt8 ? Quantize<int8_t> : to == DType::kUint8 ? Quantize<uint8_t> : nullptr;
}
DequantizeColumnsFn* DequantizeColumnsOf(DType from) {
  return kSignedBytes && from == DType::kInt8 ? Dequantize<int8_t> : from == DType::kUint8 ? Dequantize<uint8_t>
         : from == DType::kInt32 ? Dequantize<int32_t> : nullptr;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

QuantizeColumnsFn* PickQuantizeColumns(DType to, CpuLevel level) { return LINNET_PICK(level, QuantizeColumnsOf)(to); }
DequantizeColumnsFn* PickDequantizeColumns(DType from, CpuLevel level) { return LINNET_PICK(level, DequantizeColumnsOf)(from); }

}  // namespace linnet
#endif
