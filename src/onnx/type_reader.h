// TypeProto and ValueInfoProto to Type.
#pragma once

#include <string_view>

#include "onnx/context.h"

namespace linnet::onnx {

struct NamedType {
  std::string_view name;
  Type type;  ///< of kind kUnknown when the message gives none
};

Result<Type> ReadType(std::string_view message, SymbolTable& symbols, Context& context);
Result<NamedType> ReadValueInfo(std::string_view message, SymbolTable& symbols, Context& context);

}  // namespace linnet::onnx
