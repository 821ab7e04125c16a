// Tensor and Type to TensorProto and TypeProto.
#pragma once

#include <protozero/pbf_writer.hpp>
#include <string_view>

#include "graph/tensor.h"

namespace linnet::onnx {

/// Fails when the tensor's contents are unknown.
Status CheckContents(std::string_view name, const Tensor& tensor);

/// Dims, type and name: everything but the contents. `message` writes the TensorProto.
void WriteTensorHeader(protozero::pbf_writer& message, std::string_view name, const Tensor& tensor);
/// A whole TensorProto; the tensor has passed CheckContents.
void WriteTensor(protozero::pbf_writer& message, std::string_view name, const Tensor& tensor);

/// `message` writes the TypeProto. kUnknown writes nothing.
void WriteType(protozero::pbf_writer& message, const Type& type, const SymbolTable* symbols);

}  // namespace linnet::onnx
