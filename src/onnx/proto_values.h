// Single values in .pb files: TensorProto, SequenceProto, OptionalProto, MapProto from and to Datum.
#pragma once

#include <span>
#include <string>

#include "graph/tensor.h"

namespace linnet {

struct NamedDatum {
  std::string name;
  Datum value;
};

/// The bytes do not say which message they are: `expected` does (a model's input or output type; kUnknown means a tensor).
/// A missing optional has `present` false. Contents are copied out of `bytes`.
Result<NamedDatum> ReadValue(std::span<const std::byte> bytes, const Type& expected);
Result<NamedDatum> ReadValueFile(const std::string& path, const Type& expected);

/// The message that ReadValue reads back given `value.type`.
Result<std::string> WriteValue(const std::string& name, const Datum& value);


}  // namespace linnet
