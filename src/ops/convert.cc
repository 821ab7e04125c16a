// The loops between element types and stages.
#include "ops/convert.h"

#include "ops/arithmetic.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

/// Types that operators count, index and accumulate in: there whatever a reduced build's configuration names.
constexpr uint32_t kAlways = Mask(DType::kFloat) | Mask(DType::kDouble) | Mask(DType::kUint8) | Mask(DType::kInt8) |
                             Mask(DType::kInt32) | Mask(DType::kInt64) | Mask(DType::kBool);

/// `loop`, or null where a reduced build has none of these types.
template <DType... dtypes, class Loop>
constexpr Loop* IfBuilt(Loop* loop) {
  return ((kAlways | LINNET_TYPES) & (Mask(dtypes) | ...)) != 0 ? loop : nullptr;
}

template <class T, class S>
void LoadWhole(const void* from, int64_t begin, int64_t n, void* stage) {
  const T* x = static_cast<const T*>(from) + begin;
  S* out = static_cast<S*>(stage);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<S>(Widen(x[i]));
}

template <DType dtype, class S>
void LoadSmallFloat(const void* from, int64_t begin, int64_t n, void* stage) {
  const uint8_t* x = static_cast<const uint8_t*>(from);
  S* out = static_cast<S*>(stage);
  for (int64_t i = 0; i < n; ++i) {
    uint8_t code;
    if constexpr (dtype == DType::kFloat4e2m1) {
      code = (x[(begin + i) / 2] >> ((begin + i) % 2 * 4)) & 15;
    } else {
      code = x[begin + i];
    }
    out[i] = SmallFloatToFloat(dtype, code);
  }
}

/// Integers of `bits` bits, low bits of a byte first.
template <int bits, bool is_signed, class S>
void LoadPacked(const void* from, int64_t begin, int64_t n, void* stage) {
  constexpr int kPerByte = 8 / bits;
  const uint8_t* x = static_cast<const uint8_t*>(from);
  S* out = static_cast<S*>(stage);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = begin + i;
    const int code = (x[at / kPerByte] >> (at % kPerByte * bits)) & ((1 << bits) - 1);
    out[i] = static_cast<S>(is_signed && (code >> (bits - 1)) ? code - (1 << bits) : code);
  }
}

template <class S>
LoadFn* FindLoadTo(DType from) {
  constexpr bool kReal = !std::is_integral_v<S>;
  switch (from) {
    case DType::kUint8: return IfBuilt<DType::kUint8>(LoadWhole<uint8_t, S>);
    case DType::kInt8: return IfBuilt<DType::kInt8>(LoadWhole<int8_t, S>);
    case DType::kUint16: return IfBuilt<DType::kUint16>(LoadWhole<uint16_t, S>);
    case DType::kInt16: return IfBuilt<DType::kInt16>(LoadWhole<int16_t, S>);
    case DType::kUint32: return IfBuilt<DType::kUint32>(LoadWhole<uint32_t, S>);
    case DType::kInt32: return IfBuilt<DType::kInt32>(LoadWhole<int32_t, S>);
    case DType::kUint64: return IfBuilt<DType::kUint64>(LoadWhole<uint64_t, S>);
    case DType::kInt64: return IfBuilt<DType::kInt64>(LoadWhole<int64_t, S>);
    case DType::kBool: return IfBuilt<DType::kBool>(LoadWhole<bool, S>);
    case DType::kUint4: return IfBuilt<DType::kUint4>(LoadPacked<4, false, S>);
    case DType::kInt4: return IfBuilt<DType::kInt4>(LoadPacked<4, true, S>);
    case DType::kUint2: return IfBuilt<DType::kUint2>(LoadPacked<2, false, S>);
    case DType::kInt2: return IfBuilt<DType::kInt2>(LoadPacked<2, true, S>);
    default: break;
  }
  if constexpr (kReal) {
    switch (from) {
      case DType::kFloat: return IfBuilt<DType::kFloat>(LoadWhole<float, S>);
      case DType::kDouble: return IfBuilt<DType::kDouble>(LoadWhole<double, S>);
      case DType::kFloat16: return IfBuilt<DType::kFloat16>(LoadWhole<Float16, S>);
      case DType::kBfloat16: return IfBuilt<DType::kBfloat16>(LoadWhole<Bfloat16, S>);
      case DType::kFloat8e4m3fn: return IfBuilt<DType::kFloat8e4m3fn>(LoadSmallFloat<DType::kFloat8e4m3fn, S>);
      case DType::kFloat8e4m3fnuz: return IfBuilt<DType::kFloat8e4m3fnuz>(LoadSmallFloat<DType::kFloat8e4m3fnuz, S>);
      case DType::kFloat8e5m2: return IfBuilt<DType::kFloat8e5m2>(LoadSmallFloat<DType::kFloat8e5m2, S>);
      case DType::kFloat8e5m2fnuz: return IfBuilt<DType::kFloat8e5m2fnuz>(LoadSmallFloat<DType::kFloat8e5m2fnuz, S>);
      case DType::kFloat8e8m0: return IfBuilt<DType::kFloat8e8m0>(LoadSmallFloat<DType::kFloat8e8m0, S>);
      case DType::kFloat4e2m1: return IfBuilt<DType::kFloat4e2m1>(LoadSmallFloat<DType::kFloat4e2m1, S>);
      default: break;
    }
  }
  return nullptr;
}

template <class S, class T>
void StoreWhole(const void* stage, int64_t n, void* to, int64_t begin, const StoreOptions&) {
  const S* x = static_cast<const S*>(stage);
  T* out = static_cast<T*>(to) + begin;
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<T, bool>) {
      out[i] = x[i] != S{0};
    } else if constexpr (std::is_integral_v<T> && std::is_floating_point_v<S>) {
      out[i] = SaturateTo<T>(x[i]);
    } else if constexpr (kIsHalf<T> && std::is_integral_v<S>) {
      out[i] = Narrow<T>(static_cast<double>(x[i]));
    } else {
      out[i] = Narrow<T>(x[i]);
    }
  }
}

template <class S>
int LowBits(S value) {
  if constexpr (std::is_floating_point_v<S>) {
    return static_cast<int>(SaturateTo<int64_t>(value) & 15);
  } else {
    return static_cast<int>(value & 15);
  }
}

/// Codes of `bits` bits from code(i), packed low bits first; unused bits of the last byte are 0.
template <int bits, class Code>
void Pack(int64_t n, uint8_t* out, Code code) {
  constexpr int kPerByte = 8 / bits;
  for (int64_t i = 0; i < n; i += kPerByte) {
    int byte = 0;
    for (int k = 0; k < kPerByte && i + k < n; ++k) byte |= (code(i + k) & ((1 << bits) - 1)) << (k * bits);
    *out++ = static_cast<uint8_t>(byte);
  }
}

template <class S, int bits>
void StorePacked(const void* stage, int64_t n, void* to, int64_t begin, const StoreOptions&) {
  const S* x = static_cast<const S*>(stage);
  Pack<bits>(n, static_cast<uint8_t*>(to) + begin * bits / 8, [&](int64_t i) { return LowBits(x[i]); });
}

template <class S>
void StoreSmallFloat(const void* stage, int64_t n, void* to, int64_t begin, const StoreOptions& o) {
  const S* x = static_cast<const S*>(stage);
  uint8_t* out = static_cast<uint8_t*>(to);
  auto code = [&](int64_t i) {
    float value;
    if constexpr (std::is_same_v<S, float>) {
      value = x[i];
    } else {
      value = RoundToOdd(static_cast<double>(x[i]));
    }
    return FloatToSmallFloat(o.dtype, value, o.saturate, o.e8m0);
  };
  if (o.dtype == DType::kFloat4e2m1) return Pack<4>(n, out + begin / 2, code);
  for (int64_t i = 0; i < n; ++i) out[begin + i] = code(i);
}

template <class S>
StoreFn* FindStoreFrom(DType to) {
  switch (to) {
    case DType::kFloat: return IfBuilt<DType::kFloat>(StoreWhole<S, float>);
    case DType::kDouble: return IfBuilt<DType::kDouble>(StoreWhole<S, double>);
    case DType::kFloat16: return IfBuilt<DType::kFloat16>(StoreWhole<S, Float16>);
    case DType::kBfloat16: return IfBuilt<DType::kBfloat16>(StoreWhole<S, Bfloat16>);
    case DType::kUint8: return IfBuilt<DType::kUint8>(StoreWhole<S, uint8_t>);
    case DType::kInt8: return IfBuilt<DType::kInt8>(StoreWhole<S, int8_t>);
    case DType::kUint16: return IfBuilt<DType::kUint16>(StoreWhole<S, uint16_t>);
    case DType::kInt16: return IfBuilt<DType::kInt16>(StoreWhole<S, int16_t>);
    case DType::kUint32: return IfBuilt<DType::kUint32>(StoreWhole<S, uint32_t>);
    case DType::kInt32: return IfBuilt<DType::kInt32>(StoreWhole<S, int32_t>);
    case DType::kUint64: return IfBuilt<DType::kUint64>(StoreWhole<S, uint64_t>);
    case DType::kInt64: return IfBuilt<DType::kInt64>(StoreWhole<S, int64_t>);
    case DType::kBool: return IfBuilt<DType::kBool>(StoreWhole<S, bool>);
    case DType::kUint4:
    case DType::kInt4: return IfBuilt<DType::kUint4, DType::kInt4>(StorePacked<S, 4>);
    case DType::kUint2:
    case DType::kInt2: return IfBuilt<DType::kUint2, DType::kInt2>(StorePacked<S, 2>);
    case DType::kFloat8e4m3fn:
    case DType::kFloat8e4m3fnuz:
    case DType::kFloat8e5m2:
    case DType::kFloat8e5m2fnuz:
    case DType::kFloat8e8m0:
    case DType::kFloat4e2m1:
      return IfBuilt<DType::kFloat8e4m3fn, DType::kFloat8e4m3fnuz, DType::kFloat8e5m2, DType::kFloat8e5m2fnuz, DType::kFloat8e8m0,
                     DType::kFloat4e2m1>(StoreSmallFloat<S>);
    default: return nullptr;
  }
}

}  // namespace

LoadFn* FindLoad(DType from, Stage stage) {
  switch (stage) {
    case Stage::kFloat: return FindLoadTo<float>(from);
    case Stage::kDouble: return FindLoadTo<double>(from);
    case Stage::kInt64: return FindLoadTo<int64_t>(from);
  }
  return nullptr;
}

StoreFn* FindStore(Stage stage, DType to) {
  switch (stage) {
    case Stage::kFloat: return FindStoreFrom<float>(to);
    case Stage::kDouble: return FindStoreFrom<double>(to);
    case Stage::kInt64: return FindStoreFrom<int64_t>(to);
  }
  return nullptr;
}

bool IsStage(DType dtype, Stage stage) {
  return dtype == (stage == Stage::kFloat ? DType::kFloat : stage == Stage::kDouble ? DType::kDouble : DType::kInt64);
}

int64_t LoadInteger(DType dtype, const void* data, int64_t i) {
  int64_t value = 0;
  if (LoadFn* load = FindLoad(dtype, Stage::kInt64)) load(data, i, 1, &value);
  return value;
}

}  // namespace linnet
