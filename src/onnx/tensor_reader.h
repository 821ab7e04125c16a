// TensorProto and SparseTensorProto to Tensor.
#pragma once

#include <string_view>

#include "onnx/context.h"

namespace linnet::onnx {

struct NamedTensor {
  std::string_view name;
  Tensor tensor;
};

/// Contents point into the file where they are aligned for their type; otherwise they are copied, and the file's pages
/// given back. Fails when the payload is not exactly what type and dims need.
Result<NamedTensor> ReadTensor(std::string_view message, Context& context);

/// The dense tensor of a SparseTensorProto, under the name of its values.
Result<NamedTensor> ReadSparseTensor(std::string_view message, Context& context);

}  // namespace linnet::onnx
