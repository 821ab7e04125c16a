// TypeProto and ValueInfoProto to Type.
#pragma once

#include <string_view>

#include "onnx/context.h"

namespace linnet::onnx {

struct NamedType {
  std::string_view name;
  Type type;  ///< of kind kUnknown when the message gives none
};

/// ONNX's number of an element type, kUndefined for 0; fails for numbers that do not exist.
Result<DType> ElementType(int64_t number);

/// The type of sequences of `element`; fails for those that no operator has.
Result<Type> SequenceOf(Type element, const SymbolTable& symbols);

Result<Type> ReadType(std::string_view message, SymbolTable& symbols, Context& context);
Result<NamedType> ReadValueInfo(std::string_view message, SymbolTable& symbols, Context& context);

}  // namespace linnet::onnx
