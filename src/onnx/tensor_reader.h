// TensorProto and SparseTensorProto to Tensor.
#pragma once

#include <span>
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

// What any reader of tensors needs, whatever its format:

/// `dims` as the shape of a constant: each a size.
Result<Shape> ConstantShape(std::span<const int64_t> dims);

/// Uninitialised contents, counted.
Result<Tensor> NewTensor(DType dtype, const Shape& shape, Context& context);

/// The tensor whose contents are exactly `source.bytes`, in place where they are aligned for their type.
Result<Tensor> TensorOfBytes(DType dtype, const Shape& shape, const Source& source, Context& context);

/// Zeros of `shape`, but for `values` at `indices`: linear ones, or a row of coordinates for each value.
Result<Tensor> Densify(const Tensor& values, const Tensor& indices, const Shape& shape, Context& context);

}  // namespace linnet::onnx
