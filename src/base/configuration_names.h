// What the configuration of a reduced build calls the element types.
#pragma once

#include <string_view>

#include "base/dtype.h"

namespace linnet {

struct TypeName {
  DType dtype;
  const char* name;
};
/// Those whose name is not the one of DTypeName.
inline constexpr TypeName kConfigurationNames[] = {
    {DType::kUint8, "uint8_t"},     {DType::kInt8, "int8_t"},         {DType::kUint16, "uint16_t"},
    {DType::kInt16, "int16_t"},     {DType::kInt32, "int32_t"},       {DType::kInt64, "int64_t"},
    {DType::kUint32, "uint32_t"},   {DType::kUint64, "uint64_t"},     {DType::kString, "std::string"},
    {DType::kFloat16, "MLFloat16"}, {DType::kBfloat16, "BFloat16"},   {DType::kFloat8e4m3fn, "Float8E4M3FN"},
    {DType::kFloat8e4m3fnuz, "Float8E4M3FNUZ"}, {DType::kFloat8e5m2, "Float8E5M2"},
    {DType::kFloat8e5m2fnuz, "Float8E5M2FNUZ"}, {DType::kUint4, "UInt4x2"}, {DType::kInt4, "Int4x2"},
};

inline const char* ConfigurationName(DType dtype) {
  for (const TypeName& row : kConfigurationNames) {
    if (row.dtype == dtype) return row.name;
  }
  return DTypeName(dtype);
}

/// Both these names and those of DTypeName are understood; kUndefined when it is neither.
inline DType FromConfigurationName(std::string_view name) {
  for (const TypeName& row : kConfigurationNames) {
    if (name == row.name) return row.dtype;
  }
  return DTypeFromName(name);
}

}  // namespace linnet
