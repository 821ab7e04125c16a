// Type-changing loops: one register of floats at a time, the rest through a register-sized copy.
#include "kernels/convert.h"

#include <stddef.h>
#include <string.h>

#include "base/parts.h"
#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/convert.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

using U32 = hn::RebindToUnsigned<F32>;
using VI32 = hn::Vec<I32>;
using VU32 = hn::Vec<U32>;
template <class T>
using Narrow = hn::Rebind<T, F32>;

// Both sides of `convert` are arrays of Lanes(F32) elements.
template <class From, class To, class Convert>
HWY_INLINE void ForEachRegister(const From* x, To* out, int64_t n, const Convert& convert) {
  const int64_t lanes = hn::Lanes(F32());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) convert(x + i, out + i);
  if (i == n) return;
  HWY_ALIGN From from[hn::MaxLanes(F32())] = {};
  HWY_ALIGN To to[hn::MaxLanes(F32())];
  memcpy(from, x + i, static_cast<size_t>(n - i) * sizeof(From));
  convert(from, to);
  memcpy(out + i, to, static_cast<size_t>(n - i) * sizeof(To));
}

HWY_INLINE VU32 LoadU16(const uint16_t* p) {
  return hn::PromoteTo(U32(), hn::LoadU(Narrow<uint16_t>(), p));
}
// Lanes are below 2^16.
HWY_INLINE void StoreU16(VU32 v, uint16_t* p) {
  const Narrow<uint16_t> narrow;
  hn::StoreU(hn::DemoteTo(narrow, hn::BitCast(I32(), v)), narrow, p);
}

struct FromFloat16 {
  HWY_INLINE void operator()(const uint16_t* x, float* out) const {
    const F32 d;
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
    const Narrow<hwy::float16_t> narrow;
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(narrow, reinterpret_cast<const hwy::float16_t*>(x))), d, out);
#else
    // As ToFloat(Float16).
    const U32 du;
    const VU32 bits = LoadU16(x), magnitude = hn::And(bits, hn::Set(du, 0x7fff));
    const VU32 sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(du, 0x8000)));
    const VF32 denormal = hn::Mul(hn::ConvertTo(d, hn::BitCast(I32(), magnitude)), hn::Set(d, 0x1p-24f));
    const auto is_special = hn::Gt(hn::BitCast(I32(), magnitude), hn::Set(I32(), 0x7bff));
    const VU32 rebias = hn::IfThenElse(hn::RebindMask(du, is_special), hn::Set(du, (255 - 31) << 23),
                                       hn::Set(du, (127 - 15) << 23));
    const VF32 normal = hn::BitCast(d, hn::Add(hn::ShiftLeft<13>(magnitude), rebias));
    const auto is_denormal = hn::Lt(hn::BitCast(I32(), magnitude), hn::Set(I32(), 0x400));
    hn::StoreU(hn::Or(hn::BitCast(d, sign), hn::IfThenElse(hn::RebindMask(d, is_denormal), denormal, normal)),
               d, out);
#endif
  }
};

struct ToFloat16Bits {
  HWY_INLINE void operator()(const float* x, uint16_t* out) const {
    const F32 d;
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
    const Narrow<hwy::float16_t> narrow;
    hn::StoreU(hn::DemoteTo(narrow, hn::LoadU(d, x)), narrow, reinterpret_cast<hwy::float16_t*>(out));
#else
    // As ToFloat16(float).
    const U32 du;
    const I32 di;
    const VU32 bits = hn::BitCast(du, hn::LoadU(d, x)), magnitude = hn::And(bits, hn::Set(du, 0x7fffffff));
    const VU32 sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000));
    const VU32 odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1));
    const VU32 rebiased = hn::Sub(magnitude, hn::Set(du, ((127u - 15) << 23) - 0xfff));
    VU32 half = hn::ShiftRight<13>(hn::Add(rebiased, odd));
    const VF32 one_half = hn::Set(d, 0.5f);
    const VU32 denormal =
        hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(d, magnitude), one_half)), hn::BitCast(du, one_half));
    const VI32 order = hn::BitCast(di, magnitude);
    half = hn::IfThenElse(hn::RebindMask(du, hn::Lt(order, hn::Set(di, 0x38800000))), denormal, half);
    half =
        hn::IfThenElse(hn::RebindMask(du, hn::Gt(order, hn::Set(di, 0x477fffff))), hn::Set(du, 0x7c00), half);
    const VU32 nan = hn::Or(hn::Set(du, 0x7e00), hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 0x3ff)));
    half = hn::IfThenElse(hn::RebindMask(du, hn::Gt(order, hn::Set(di, 0x7f800000))), nan, half);
    StoreU16(hn::Or(sign, half), out);
#endif
  }
};

struct FromBfloat16 {
  HWY_INLINE void operator()(const uint16_t* x, float* out) const {
    const F32 d;
    hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(LoadU16(x))), d, out);
  }
};

struct ToBfloat16Bits {
  HWY_INLINE void operator()(const float* x, uint16_t* out) const {
    const F32 d;
    const U32 du;
    const VF32 v = hn::LoadU(d, x);
    const VU32 bits = hn::BitCast(du, v), high = hn::ShiftRight<16>(bits);
    const VU32 rounder = hn::Add(hn::Set(du, 0x7fff), hn::And(high, hn::Set(du, 1)));
    const VU32 rounded = hn::ShiftRight<16>(hn::Add(bits, rounder));
    const VU32 quiet = hn::Or(high, hn::Set(du, 0x40));
    StoreU16(hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, rounded), out);
  }
};

template <class T>
HWY_INLINE VI32 LoadInts(const T* p) {
  if constexpr (sizeof(T) == 4) {
    return hn::LoadU(I32(), p);
  } else {
    return hn::PromoteTo(I32(), hn::LoadU(Narrow<T>(), p));
  }
}
// Lanes are in T's range.
template <class T>
HWY_INLINE void StoreInts(VI32 v, T* p) {
  if constexpr (sizeof(T) == 4) {
    hn::StoreU(v, I32(), p);
  } else {
    hn::StoreU(hn::DemoteTo(Narrow<T>(), v), Narrow<T>(), p);
  }
}

template <class T>
inline constexpr float kLeast = static_cast<float>(hwy::LimitsMin<T>());
template <class T>
inline constexpr float kMost = static_cast<float>(hwy::LimitsMax<T>());  // 2^31 for int32

template <class T>
struct FromInts {
  HWY_INLINE void operator()(const T* x, float* out) const {
    const F32 d;
    hn::StoreU(hn::ConvertTo(d, LoadInts(x)), d, out);
  }
};

template <class T>
struct ToInts {
  HWY_INLINE void operator()(const float* x, T* out) const {
    const F32 d;
    VF32 v = hn::LoadU(d, x);
    v = hn::IfThenElseZero(hn::Eq(v, v), v);
    if constexpr (sizeof(T) == 4) {
      // 2^31 is not a value; ConvertTo of what reaches it differs between processors.
      const auto over = hn::RebindMask(I32(), hn::Ge(v, hn::Set(d, kMost<T>)));
      const VI32 cut = hn::ConvertTo(I32(), hn::Max(v, hn::Set(d, kLeast<T>)));
      StoreInts(hn::IfThenElse(over, hn::Set(I32(), hwy::LimitsMax<T>()), cut), out);
    } else {
      StoreInts(hn::ConvertTo(I32(), hn::Min(hn::Max(v, hn::Set(d, kLeast<T>)), hn::Set(d, kMost<T>))), out);
    }
  }
};

struct FromBool {
  HWY_INLINE void operator()(const uint8_t* x, float* out) const {
    const F32 d;
    const auto is_true = hn::Gt(LoadInts(x), hn::Zero(I32()));
    hn::StoreU(hn::IfThenElseZero(hn::RebindMask(d, is_true), hn::Set(d, 1.0f)), d, out);
  }
};
struct ToBool {
  HWY_INLINE void operator()(const float* x, uint8_t* out) const {
    // By their bits: a denormal is true, whatever the processor compares it to.
    const auto size = hn::ShiftLeft<1>(hn::BitCast(I32(), hn::LoadU(F32(), x)));
    StoreInts(hn::IfThenZeroElse(hn::Eq(size, hn::Zero(I32())), hn::Set(I32(), 1)), out);
  }
};

template <class Function, class From, class To>
void Convert(const void* x, void* out, int64_t n) {
  ForEachRegister(static_cast<const From*>(x), static_cast<To*>(out), n, Function());
}

template <class T>
void Quantize(const float* x, void* out, int64_t n, float scale, int32_t zero_point) {
  const F32 d;
  const VF32 divisor = hn::Set(d, scale), zero = hn::Set(d, static_cast<float>(zero_point));
  const VF32 least = hn::Set(d, kLeast<T>), most = hn::Set(d, kMost<T>);
  ForEachRegister(x, static_cast<T*>(out), n, [=](const float* from, T* to) HWY_ATTR {
    VF32 v = Quotient(hn::LoadU(F32(), from), divisor);
    v = hn::Round(hn::IfThenElseZero(hn::Eq(v, v), v));
    v = hn::Min(hn::Max(hn::Add(v, zero), least), most);
    StoreInts(hn::ConvertTo(I32(), v), to);
  });
}

// The same to bytes, eight at a time.
template <class T>
void QuantizeBytes(const float* x, void* out, int64_t n, float scale, int32_t zero_point) {
  constexpr int64_t kStep = 8;
  const hn::FixedTag<float, 4> d;
  const auto divisor = hn::Set(d, scale);
  const ByteRounding<T> rounding(kLeast<T> - static_cast<float>(zero_point), kMost<T> - static_cast<float>(zero_point), zero_point);
  auto quotient = [=](const float* from) HWY_ATTR {
    const auto v = Quotient(hn::LoadU(d, from), divisor);
    return hn::IfThenElseZero(hn::Eq(v, v), v);
  };
  T* to = static_cast<T*>(out);
  int64_t i = 0;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  if (WideDivision::Serves(scale)) {
    const WideDivision division(scale);
    const WideByteRounding wide(std::is_signed_v<T>, kLeast<T> - static_cast<float>(zero_point), kMost<T> - static_cast<float>(zero_point),
                                zero_point);
    const VF32 bound = hn::Set(F32(), scale * 1024), low = hn::Set(F32(), scale * -1024);   // beyond them all saturates
    constexpr int64_t kLanes = HWY_LANES(float);
    auto some = [=](const float* from) HWY_ATTR {
      const VF32 v = hn::LoadU(F32(), from);
      return division.OrZero(v.raw, hn::Min(hn::Max(v, low), bound).raw);
    };
    for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
      const auto all = wide.Bytes(some(x + i), some(x + i + kLanes), some(x + i + 2 * kLanes), some(x + i + 3 * kLanes));
      memcpy(to + i, &all, sizeof(all));
    }
  }
#endif
  for (; i + kStep <= n; i += kStep) rounding.Store(quotient(x + i), quotient(x + i + 4), to + i);
  if (i == n) return;
  float tail[kStep] = {};
  T bytes[kStep];
  memcpy(tail, x + i, static_cast<size_t>(n - i) * sizeof(float));
  rounding.Store(quotient(tail), quotient(tail + 4), bytes);
  memcpy(to + i, bytes, static_cast<size_t>(n - i));
}

template <class T>
void Dequantize(const void* x, float* out, int64_t n, float scale, int32_t zero_point) {
  const VF32 factor = hn::Set(F32(), scale);
  const VI32 zero = hn::Set(I32(), zero_point);
  ForEachRegister(static_cast<const T*>(x), out, n, [=](const T* from, float* to) HWY_ATTR {
    const F32 d;
    hn::StoreU(hn::Mul(hn::ConvertTo(d, hn::Sub(LoadInts(from), zero)), factor), d, to);
  });
}

void DequantizeNibbles(const uint8_t* packed, bool is_signed, float* out, int64_t blocks, int64_t block, const float* scales, const int32_t* zeros) {
  constexpr int64_t kCodes = 16;
  const F32 df;
  const I32 d;
  const Narrow<uint8_t> d8;
  const hn::FixedTag<uint16_t, kCodes / 2> d16;
  const hn::Rebind<uint8_t, decltype(d16)> half;
  const int64_t lanes = hn::Lanes(df);
  // Codes from -8 on are those from 0 on with the highest bit turned, less 8.
  const auto both = hn::Set(d16, 0x0f0f), turned = hn::Set(d16, is_signed ? 0x0808 : 0);
  for (int64_t b = 0; b < blocks; ++b) {
    const VF32 scale = hn::Set(df, scales[b]);
    const VI32 zero = hn::Set(d, static_cast<int32_t>(static_cast<uint32_t>(zeros[b]) + (is_signed ? 8u : 0u)));
    for (int64_t i = 0; i < block; i += kCodes, packed += kCodes / 2, out += kCodes) {
      HWY_ALIGN uint8_t codes[kCodes];
      const auto bytes = hn::PromoteTo(d16, hn::LoadU(half, packed));
      hn::StoreU(hn::Xor(hn::And(hn::Or(bytes, hn::ShiftLeft<4>(bytes)), both), turned), d16, reinterpret_cast<uint16_t*>(codes));
      for (int64_t k = 0; k < kCodes; k += lanes) {
        hn::StoreU(hn::Mul(hn::ConvertTo(df, hn::Sub(hn::PromoteTo(d, hn::LoadU(d8, codes + k)), zero)), scale), df, out + k);
      }
    }
  }
}

}  // namespace

ConvertFn* ConvertOf(DType from, DType to) {
  if (to == DType::kFloat) {
    switch (from) {
      case DType::kFloat16:
        return Convert<FromFloat16, uint16_t, float>;
      case DType::kBfloat16:
        return Convert<FromBfloat16, uint16_t, float>;
      case DType::kInt8:
        return Convert<FromInts<int8_t>, int8_t, float>;
      case DType::kUint8:
        return Convert<FromInts<uint8_t>, uint8_t, float>;
      case DType::kInt16:
        return Convert<FromInts<int16_t>, int16_t, float>;
      case DType::kUint16:
        return Convert<FromInts<uint16_t>, uint16_t, float>;
      case DType::kInt32:
        return Convert<FromInts<int32_t>, int32_t, float>;
      case DType::kBool:
        return Convert<FromBool, uint8_t, float>;
      default:
        return nullptr;
    }
  }
  if (from != DType::kFloat) return nullptr;
  switch (to) {
    case DType::kFloat16:
      return Convert<ToFloat16Bits, float, uint16_t>;
    case DType::kBfloat16:
      return Convert<ToBfloat16Bits, float, uint16_t>;
    case DType::kInt8:
      return Convert<ToInts<int8_t>, float, int8_t>;
    case DType::kUint8:
      return Convert<ToInts<uint8_t>, float, uint8_t>;
    case DType::kInt16:
      return Convert<ToInts<int16_t>, float, int16_t>;
    case DType::kUint16:
      return Convert<ToInts<uint16_t>, float, uint16_t>;
    case DType::kInt32:
      return Convert<ToInts<int32_t>, float, int32_t>;
    case DType::kBool:
      return Convert<ToBool, float, uint8_t>;
    default:
      return nullptr;
  }
}

QuantizeFn* QuantizeOf(DType to) {
  switch (to) {
    case DType::kInt8:
      return kSignedBytes ? QuantizeBytes<int8_t> : nullptr;
    case DType::kUint8:
      return QuantizeBytes<uint8_t>;
    case DType::kInt16:
      return kShorts ? Quantize<int16_t> : nullptr;
    case DType::kUint16:
      return kShorts ? Quantize<uint16_t> : nullptr;
    default:
      return nullptr;
  }
}

DequantizeNibblesFn* DequantizeNibblesOf() { return DequantizeNibbles; }

DequantizeFn* DequantizeOf(DType from) {
  switch (from) {
    case DType::kInt8:
      return kSignedBytes ? Dequantize<int8_t> : nullptr;
    case DType::kUint8:
      return Dequantize<uint8_t>;
    case DType::kInt16:
      return kShorts ? Dequantize<int16_t> : nullptr;
    case DType::kUint16:
      return kShorts ? Dequantize<uint16_t> : nullptr;
    case DType::kInt32:
      return Dequantize<int32_t>;
    default:
      return nullptr;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {
namespace {

template <class From, class To>
void ConvertScalar(const void* x, void* out, int64_t n) {
  const From* from = static_cast<const From*>(x);
  To* to = static_cast<To*>(out);
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(from[i]);
}

void FloatToInt64(const void* x, void* out, int64_t n) {
  const float* from = static_cast<const float*>(x);
  int64_t* to = static_cast<int64_t*>(out);
  for (int64_t i = 0; i < n; ++i) {
    const float v = from[i];
    to[i] = v != v ? 0 : v >= 0x1p63f ? INT64_MAX : v < -0x1p63f ? INT64_MIN : static_cast<int64_t>(v);
  }
}

// Types without a vector conversion worth having on every processor.
ConvertFn* ScalarConvert(DType from, DType to) {
  if (from == DType::kFloat && to == DType::kDouble) return ConvertScalar<float, double>;
  if (from == DType::kDouble && to == DType::kFloat) return ConvertScalar<double, float>;
  if (from == DType::kFloat && to == DType::kInt64) return FloatToInt64;
  if (from == DType::kInt64 && to == DType::kFloat) return ConvertScalar<int64_t, float>;
  return nullptr;
}

}  // namespace

ConvertFn* PickConvert(DType from, DType to, CpuLevel level) {
  ConvertFn* vector = LINNET_PICK(level, ConvertOf)(from, to);
  return vector != nullptr ? vector : ScalarConvert(from, to);
}
QuantizeFn* PickQuantize(DType to, CpuLevel level) {
  return LINNET_PICK(level, QuantizeOf)(to);
}
DequantizeNibblesFn* PickDequantizeNibbles(CpuLevel level) {
  return LINNET_PICK(level, DequantizeNibblesOf)();
}

DequantizeFn* PickDequantize(DType from, CpuLevel level) {
  return LINNET_PICK(level, DequantizeOf)(from);
}

}  // namespace linnet
#endif  // HWY_ONCE
