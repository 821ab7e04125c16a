// .pb files of the backend tests: TensorProto, SequenceProto, OptionalProto.
#pragma once

#include <span>
#include <string>

#include "graph/tensor.h"

namespace linnet {

struct NamedDatum {
  std::string name;
  Datum value;
};

/// Reads a file whose message is what `expected` says: a tensor unless it is a sequence or optional.
Result<NamedDatum> ReadValueFile(const std::string& path, const Type& expected);

}  // namespace linnet
