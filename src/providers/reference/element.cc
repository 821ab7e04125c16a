// Reading and writing single elements.
#include "providers/reference/element.h"

#include <math.h>

namespace linnet::reference {

template <>
double Lowest<double>(DType) { return -INFINITY; }
template <>
double Highest<double>(DType) { return INFINITY; }
template <>
uint64_t Lowest<uint64_t>(DType) { return 0; }
template <>
uint64_t Highest<uint64_t>(DType dtype) { return dtype == DType::kBool ? 1 : ~uint64_t{0} >> (64 - DTypeBits(dtype)); }
template <>
int64_t Highest<int64_t>(DType dtype) { return static_cast<int64_t>(~uint64_t{0} >> (65 - DTypeBits(dtype))); }
template <>
int64_t Lowest<int64_t>(DType dtype) { return -Highest<int64_t>(dtype) - 1; }

namespace {

/// Bits of element i of a type of 2, 4 or 8 bits, lowest bits of a byte first.
uint8_t LoadBits(int bits, const void* data, int64_t i) {
  const int64_t bit = i * bits;
  return static_cast<uint8_t>((static_cast<const uint8_t*>(data)[bit / 8] >> (bit % 8)) & ((1 << bits) - 1));
}
void StoreBits(int bits, void* data, int64_t i, uint64_t value) {
  const int64_t bit = i * bits;
  const int shift = static_cast<int>(bit % 8), mask = ((1 << bits) - 1) << shift;
  uint8_t& byte = static_cast<uint8_t*>(data)[bit / 8];
  // The first element of a byte clears what follows, so that padding bits are 0.
  const int kept = shift == 0 ? 0 : byte & ~mask;
  byte = static_cast<uint8_t>(kept | ((static_cast<int>(value) << shift) & mask));
}

template <class T>
T At(const void* data, int64_t i) { return static_cast<const T*>(data)[i]; }

double LoadReal(DType dtype, const void* data, int64_t i) {
  switch (dtype) {
    case DType::kFloat: return static_cast<double>(At<float>(data, i));
    case DType::kDouble: return At<double>(data, i);
    case DType::kFloat16: return static_cast<double>(ToFloat(At<Float16>(data, i)));
    case DType::kBfloat16: return static_cast<double>(ToFloat(At<Bfloat16>(data, i)));
    default: return static_cast<double>(SmallFloatToFloat(dtype, LoadBits(DTypeBits(dtype), data, i)));
  }
}

/// Sign- or zero-extended.
uint64_t LoadInteger(DType dtype, const void* data, int64_t i) {
  const int bits = DTypeBits(dtype);
  uint64_t value = 0;
  if (bits < 8) {
    value = LoadBits(bits, data, i);
  } else {
    memcpy(&value, static_cast<const uint8_t*>(data) + i * (bits / 8), static_cast<size_t>(bits / 8));
  }
  if (bits == 64 || !IsSigned(dtype) || !(value >> (bits - 1) & 1)) return value;
  return value | ~uint64_t{0} << bits;
}

void StoreReal(DType dtype, void* data, int64_t i, double value, const Rounding& rounding) {
  switch (dtype) {
    case DType::kFloat: static_cast<float*>(data)[i] = static_cast<float>(value); break;
    case DType::kDouble: static_cast<double*>(data)[i] = value; break;
    case DType::kFloat16: static_cast<Float16*>(data)[i] = ToFloat16(RoundToOdd(value)); break;
    case DType::kBfloat16: static_cast<Bfloat16*>(data)[i] = ToBfloat16(RoundToOdd(value)); break;
    default:
      StoreBits(DTypeBits(dtype), data, i, FloatToSmallFloat(dtype, RoundToOdd(value), rounding.saturate, rounding.e8m0));
  }
}

void StoreInteger(DType dtype, void* data, int64_t i, uint64_t value) {
  const int bits = DTypeBits(dtype);
  if (dtype == DType::kBool) value = value != 0;
  if (bits < 8) return StoreBits(bits, data, i, value);
  memcpy(static_cast<uint8_t*>(data) + i * (bits / 8), &value, static_cast<size_t>(bits / 8));
}

/// `value` cut to an integer within the limits of `dtype`.
uint64_t Saturated(DType dtype, double value) {
  if (dtype == DType::kBool) return value != 0;
  if (isnan(value)) return 0;
  if (IsSigned(dtype)) {
    const int64_t low = Lowest<int64_t>(dtype), high = Highest<int64_t>(dtype);
    if (value >= static_cast<double>(high)) return static_cast<uint64_t>(high);
    return static_cast<uint64_t>(value <= static_cast<double>(low) ? low : static_cast<int64_t>(value));
  }
  const uint64_t high = Highest<uint64_t>(dtype);
  if (value >= static_cast<double>(high)) return high;
  return value <= 0 ? 0 : static_cast<uint64_t>(value);
}

}  // namespace

template <class T>
T Load(DType dtype, const void* data, int64_t i) {
  if constexpr (std::is_same_v<T, double>) {
    if (IsFloating(dtype)) return LoadReal(dtype, data, i);
    const uint64_t value = LoadInteger(dtype, data, i);
    return IsSigned(dtype) ? static_cast<double>(static_cast<int64_t>(value)) : static_cast<double>(value);
  } else {
    if (!IsFloating(dtype)) return static_cast<T>(LoadInteger(dtype, data, i));
    return static_cast<T>(Saturated(std::is_signed_v<T> ? DType::kInt64 : DType::kUint64, LoadReal(dtype, data, i)));
  }
}

template <class T>
void Store(DType dtype, void* data, int64_t i, T value, const Rounding& rounding) {
  if constexpr (std::is_same_v<T, double>) {
    if (IsFloating(dtype)) return StoreReal(dtype, data, i, value, rounding);
    // Types below a byte take the lower bits of the 64-bit integer, as casts between integers do.
    StoreInteger(dtype, data, i, Saturated(DTypeBits(dtype) < 8 ? DType::kInt64 : dtype, value));
  } else if (dtype == DType::kFloat) {
    static_cast<float*>(data)[i] = static_cast<float>(value);  // by way of double it would be rounded twice
  } else if (IsFloating(dtype)) {
    StoreReal(dtype, data, i, static_cast<double>(value), rounding);
  } else {
    StoreInteger(dtype, data, i, static_cast<uint64_t>(value));
  }
}

template double Load<double>(DType, const void*, int64_t);
template int64_t Load<int64_t>(DType, const void*, int64_t);
template uint64_t Load<uint64_t>(DType, const void*, int64_t);
template void Store<double>(DType, void*, int64_t, double, const Rounding&);
template void Store<int64_t>(DType, void*, int64_t, int64_t, const Rounding&);
template void Store<uint64_t>(DType, void*, int64_t, uint64_t, const Rounding&);

void CopyElement(DType dtype, const void* from, int64_t i, void* to, int64_t j) {
  const int bits = DTypeBits(dtype);
  if (dtype == DType::kString) {
    static_cast<std::string*>(to)[j] = static_cast<const std::string*>(from)[i];
  } else if (bits < 8) {
    StoreBits(bits, to, j, LoadBits(bits, from, i));
  } else {
    const int64_t bytes = bits / 8;
    memcpy(static_cast<uint8_t*>(to) + j * bytes, static_cast<const uint8_t*>(from) + i * bytes, static_cast<size_t>(bytes));
  }
}

}  // namespace linnet::reference
