// Element types of tensors: ONNX's TensorProto.DataType with its numbers and names.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <string_view>

namespace linnet {

/// Values equal onnx.TensorProto.DataType, so readers cast after a range check (IsKnown).
enum class DType : uint8_t {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kComplex64 = 14,
  kComplex128 = 15,
  kBfloat16 = 16,
  kFloat8e4m3fn = 17,
  kFloat8e4m3fnuz = 18,
  kFloat8e5m2 = 19,
  kFloat8e5m2fnuz = 20,
  kUint4 = 21,
  kInt4 = 22,
  kFloat4e2m1 = 23,
  kFloat8e8m0 = 24,
  kUint2 = 25,
  kInt2 = 26,
};
inline constexpr int kDTypeCount = 27;

inline bool IsKnown(int64_t onnx_type) { return onnx_type > 0 && onnx_type < kDTypeCount; }

/// ONNX's name in lower case: "float", "int64", "float8e4m3fn"; "undefined" for kUndefined.
const char* DTypeName(DType dtype);
/// The inverse of DTypeName; kUndefined when there is no such name.
DType DTypeFromName(std::string_view name);

/// Bits of one element as stored in a tensor: 2 and 4 for the packed types, 8 for bool; 0 for strings.
int DTypeBits(DType dtype);
/// Bytes of one element in memory for types of whole bytes; sizeof(std::string) for kString; 0 for the packed
/// 2- and 4-bit types, whose byte counts come from ByteSize (graph/shape.h).
size_t DTypeBytes(DType dtype);

bool IsFloating(DType dtype);  ///< float, double, float16, bfloat16 and the float8/float4 family
bool IsInteger(DType dtype);   ///< signed or unsigned integers of any width; not bool
bool IsSigned(DType dtype);

/// A bit mask of types for "one of these" checks: Mask(kFloat) | Mask(kDouble).
constexpr uint32_t Mask(DType dtype) { return uint32_t{1} << static_cast<int>(dtype); }

/// IEEE binary16 as stored; arithmetic goes through float.
struct Float16 {
  uint16_t bits;
};
/// bfloat16 as stored: the upper half of a float.
struct Bfloat16 {
  uint16_t bits;
};

/// DTypeOf<T>: the DType of a C++ element type.
template <class T>
inline constexpr DType kDTypeOf = DType::kUndefined;
template <> inline constexpr DType kDTypeOf<float> = DType::kFloat;
template <> inline constexpr DType kDTypeOf<double> = DType::kDouble;
template <> inline constexpr DType kDTypeOf<uint8_t> = DType::kUint8;
template <> inline constexpr DType kDTypeOf<int8_t> = DType::kInt8;
template <> inline constexpr DType kDTypeOf<uint16_t> = DType::kUint16;
template <> inline constexpr DType kDTypeOf<int16_t> = DType::kInt16;
template <> inline constexpr DType kDTypeOf<uint32_t> = DType::kUint32;
template <> inline constexpr DType kDTypeOf<int32_t> = DType::kInt32;
template <> inline constexpr DType kDTypeOf<uint64_t> = DType::kUint64;
template <> inline constexpr DType kDTypeOf<int64_t> = DType::kInt64;
template <> inline constexpr DType kDTypeOf<bool> = DType::kBool;
template <> inline constexpr DType kDTypeOf<Float16> = DType::kFloat16;
template <> inline constexpr DType kDTypeOf<Bfloat16> = DType::kBfloat16;
template <> inline constexpr DType kDTypeOf<std::string> = DType::kString;

}  // namespace linnet
