// The loops between element types and stages.
#include "ops/convert.h"

#include "ops/arithmetic.h"

namespace linnet {
namespace {

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
    case DType::kUint8: return LoadWhole<uint8_t, S>;
    case DType::kInt8: return LoadWhole<int8_t, S>;
    case DType::kUint16: return LoadWhole<uint16_t, S>;
    case DType::kInt16: return LoadWhole<int16_t, S>;
    case DType::kUint32: return LoadWhole<uint32_t, S>;
    case DType::kInt32: return LoadWhole<int32_t, S>;
    case DType::kUint64: return LoadWhole<uint64_t, S>;
    case DType::kInt64: return LoadWhole<int64_t, S>;
    case DType::kBool: return LoadWhole<bool, S>;
    case DType::kUint4: return LoadPacked<4, false, S>;
    case DType::kInt4: return LoadPacked<4, true, S>;
    case DType::kUint2: return LoadPacked<2, false, S>;
    case DType::kInt2: return LoadPacked<2, true, S>;
    default: break;
  }
  if constexpr (kReal) {
    switch (from) {
      case DType::kFloat: return LoadWhole<float, S>;
      case DType::kDouble: return LoadWhole<double, S>;
      case DType::kFloat16: return LoadWhole<Float16, S>;
      case DType::kBfloat16: return LoadWhole<Bfloat16, S>;
      case DType::kFloat8e4m3fn: return LoadSmallFloat<DType::kFloat8e4m3fn, S>;
      case DType::kFloat8e4m3fnuz: return LoadSmallFloat<DType::kFloat8e4m3fnuz, S>;
      case DType::kFloat8e5m2: return LoadSmallFloat<DType::kFloat8e5m2, S>;
      case DType::kFloat8e5m2fnuz: return LoadSmallFloat<DType::kFloat8e5m2fnuz, S>;
      case DType::kFloat8e8m0: return LoadSmallFloat<DType::kFloat8e8m0, S>;
      case DType::kFloat4e2m1: return LoadSmallFloat<DType::kFloat4e2m1, S>;
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
    case DType::kFloat: return StoreWhole<S, float>;
    case DType::kDouble: return StoreWhole<S, double>;
    case DType::kFloat16: return StoreWhole<S, Float16>;
    case DType::kBfloat16: return StoreWhole<S, Bfloat16>;
    case DType::kUint8: return StoreWhole<S, uint8_t>;
    case DType::kInt8: return StoreWhole<S, int8_t>;
    case DType::kUint16: return StoreWhole<S, uint16_t>;
    case DType::kInt16: return StoreWhole<S, int16_t>;
    case DType::kUint32: return StoreWhole<S, uint32_t>;
    case DType::kInt32: return StoreWhole<S, int32_t>;
    case DType::kUint64: return StoreWhole<S, uint64_t>;
    case DType::kInt64: return StoreWhole<S, int64_t>;
    case DType::kBool: return StoreWhole<S, bool>;
    case DType::kUint4:
    case DType::kInt4: return StorePacked<S, 4>;
    case DType::kUint2:
    case DType::kInt2: return StorePacked<S, 2>;
    case DType::kFloat8e4m3fn:
    case DType::kFloat8e4m3fnuz:
    case DType::kFloat8e5m2:
    case DType::kFloat8e5m2fnuz:
    case DType::kFloat8e8m0:
    case DType::kFloat4e2m1: return StoreSmallFloat<S>;
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
