// Encoding tensors (raw bytes, strings one by one) and types.
#include "onnx/tensor_writer.h"

#include "onnx/fields.h"

namespace linnet::onnx {

using protozero::pbf_writer;

Status CheckContents(std::string_view name, const Tensor& tensor) {
  if (tensor.dtype() != DType::kUndefined && tensor.shape().is_static() && (tensor.has_data() || tensor.elements() == 0)) {
    return Status();
  }
  return InvalidArgument("the contents of ", Quote(name), " of type ", ToString(tensor.type()), " are not known");
}

void WriteTensorHeader(pbf_writer& message, std::string_view name, const Tensor& tensor) {
  message.add_packed_int64(tensor::kDims, tensor.shape().begin(), tensor.shape().end());
  message.add_int32(tensor::kDataType, static_cast<int32_t>(tensor.dtype()));
  if (!name.empty()) message.add_string(tensor::kName, name.data(), name.size());
}

void WriteTensor(pbf_writer& message, std::string_view name, const Tensor& tensor) {
  WriteTensorHeader(message, name, tensor);
  if (tensor.dtype() != DType::kString) {
    message.add_bytes(tensor::kRawData, tensor.as<char>(), static_cast<size_t>(tensor.bytes()));
    return;
  }
  for (int64_t i = 0; i < tensor.elements(); ++i) message.add_bytes(tensor::kStringData, tensor.as<std::string>()[i]);
}

namespace {

void WriteTensorType(pbf_writer& type, DType dtype, const Shape& shape, const SymbolTable* symbols) {
  pbf_writer tensor(type, type::kTensor);
  tensor.add_int32(tensor_type::kElementType, static_cast<int32_t>(dtype));
  if (!shape.has_rank()) return;
  // protozero drops submessages without contents, and a rank of 0 is one that means something.
  std::string dims;
  {
    pbf_writer out(dims);
    for (int64_t dim : shape) {
      std::string one;
      pbf_writer fields(one);
      if (dim >= 0) {
        fields.add_int64(shape::kDimValue, dim);
      } else if (IsSymbolDim(dim) && symbols) {
        std::string_view name = symbols->name(dim);
        fields.add_string(shape::kDimParam, name.data(), name.size());
      }
      out.add_message(shape::kDim, one);
    }
  }
  tensor.add_message(tensor_type::kShape, dims);
}

void WriteMapType(pbf_writer& type, const Type& map, const SymbolTable* symbols) {
  pbf_writer out(type, type::kMap);
  out.add_int32(map_type::kKey, static_cast<int32_t>(map.key));
  pbf_writer value(out, map_type::kValue);
  WriteTensorType(value, map.dtype, map.shape, symbols);
}

}  // namespace

void WriteType(pbf_writer& message, const Type& type, const SymbolTable* symbols) {
  switch (type.kind) {
    case Kind::kUnknown: break;
    case Kind::kTensor: WriteTensorType(message, type.dtype, type.shape, symbols); break;
    case Kind::kMap: WriteMapType(message, type, symbols); break;
    case Kind::kSequence:
    case Kind::kOptional: {
      pbf_writer outer(message, type.kind == Kind::kSequence ? type::kSequence : type::kOptional);
      pbf_writer element(outer, 1);
      WriteTensorType(element, type.dtype, type.shape, symbols);
      break;
    }
    case Kind::kOptionalSequence: {
      pbf_writer outer(message, type::kOptional);
      pbf_writer element(outer, 1);
      pbf_writer sequence(element, type::kSequence);
      pbf_writer inner(sequence, 1);
      WriteTensorType(inner, type.dtype, type.shape, symbols);
      break;
    }
    case Kind::kSequenceOfMaps: {
      pbf_writer outer(message, type::kSequence);
      pbf_writer element(outer, 1);
      WriteMapType(element, type, symbols);
      break;
    }
  }
}

}  // namespace linnet::onnx
