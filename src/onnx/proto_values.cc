// Reading and writing single values. Kinds nest at most twice, as Type does.
#include "onnx/proto_values.h"

#include <algorithm>

#include "onnx/tensor_reader.h"
#include "onnx/tensor_writer.h"

namespace linnet {
namespace onnx {
namespace {

Result<Datum> ReadTensorValue(std::string_view bytes, Context& context, std::string_view* name) {
  LINNET_ASSIGN(NamedTensor tensor, ReadTensor(bytes, context));
  *name = tensor.name;
  return Datum::Of(std::move(tensor.tensor));
}

Result<Datum> ReadMap(std::string_view bytes, Context& context, std::string_view* name);

/// Tensors, or maps when `type` says so.
Result<Datum> ReadSequence(std::string_view bytes, const Type& type, Context& context, std::string_view* name) {
  Datum sequence;
  sequence.type = type;
  Message message(bytes, context.cursor);
  while (message.Next()) {
    std::string_view item_name;
    switch (message.field()) {
      case sequence::kName: *name = message.Bytes(); break;
      case sequence::kTensors: {
        LINNET_ASSIGN(Datum item, ReadTensorValue(message.Bytes(), context, &item_name));
        LINNET_TRY(context.Charge(sizeof(Datum)));
        if (type.kind != Kind::kSequence) return InvalidModel("a tensor in a sequence of maps");
        if (sequence.type.dtype == DType::kUndefined) sequence.type.dtype = item.type.dtype;
        if (item.type.dtype != sequence.type.dtype) {
          return InvalidModel("a tensor of ", DTypeName(item.type.dtype), " in a sequence of ",
                              DTypeName(sequence.type.dtype));
        }
        sequence.items.push_back(std::move(item));
        break;
      }
      case sequence::kMaps: {
        if (type.kind != Kind::kSequenceOfMaps) return InvalidModel("a map in a sequence of tensors");
        LINNET_ASSIGN(Datum item, ReadMap(message.Bytes(), context, &item_name));
        LINNET_TRY(context.Charge(sizeof(Datum)));
        sequence.items.push_back(std::move(item));
        break;
      }
      case sequence::kSparseTensors:
      case sequence::kSequences:
      case sequence::kOptionals: return Unsupported("a sequence of field ", message.field(), " of SequenceProto");
      default: message.Skip();
    }
  }
  return sequence;
}

/// Keys as one tensor, and as many values, each a tensor of one element, as another.
Result<Datum> ReadMap(std::string_view bytes, Context& context, std::string_view* name) {
  std::vector<int64_t> keys;
  std::vector<std::string> string_keys;
  int64_t key_type = 0;
  Datum values;
  {
    Message message(bytes, context.cursor);
    while (message.Next()) {
      switch (message.field()) {
        case map::kName: *name = message.Bytes(); break;
        case map::kKeyType: key_type = message.Int(); break;
        case map::kKeys: message.EachInt([&](int64_t key) { keys.push_back(key); }); break;
        case map::kStringKeys: string_keys.emplace_back(message.Bytes()); break;
        case map::kValues: {
          std::string_view ignored;
          LINNET_ASSIGN(values, ReadSequence(message.Bytes(), Type::Sequence(DType::kUndefined), context, &ignored));
          break;
        }
        default: message.Skip();
      }
    }
  }
  Datum out;
  out.type.kind = Kind::kMap;
  out.type.key = key_type == static_cast<int>(DType::kString) ? DType::kString : DType::kInt64;
  out.type.dtype = values.type.dtype;
  const size_t count = values.items.size();
  if ((out.type.key == DType::kString ? string_keys.size() : keys.size()) != count || keys.size() + string_keys.size() != count) {
    return InvalidModel("a map has ", keys.size() + string_keys.size(), " keys and ", count, " values");
  }
  LINNET_ASSIGN(out.tensor, Tensor::Allocate(out.type.dtype, Shape{static_cast<int64_t>(count)}));
  const size_t width = DTypeBytes(out.type.dtype);
  if (width == 0 && count > 0) return Unsupported("a map to ", DTypeName(out.type.dtype));
  for (size_t i = 0; i < count; ++i) {
    const Tensor& value = values.items[i].tensor;
    if (value.elements() != 1) return InvalidModel("a map's value has shape ", ToString(value.shape()));
    if (out.type.dtype == DType::kString) {
      out.tensor.mutable_as<std::string>()[i] = *value.as<std::string>();
    } else {
      std::copy_n(value.as<char>(), width, out.tensor.mutable_as<char>() + i * width);
    }
  }
  out.keys = out.type.key == DType::kString
                 ? Tensor::Of<std::string>(Shape{static_cast<int64_t>(count)}, string_keys)
                 : Tensor::Ints(keys);
  return out;
}

Result<Datum> ReadOptional(std::string_view bytes, const Type& type, Context& context, std::string_view* name) {
  Datum out;
  out.type = type;
  out.present = false;
  Message message(bytes, context.cursor);
  while (message.Next()) {
    std::string_view inner_name;
    switch (message.field()) {
      case optional::kName: *name = message.Bytes(); break;
      case optional::kTensor: {
        if (type.kind != Kind::kOptional) return InvalidModel("a tensor where ", ToString(type), " is expected");
        LINNET_ASSIGN(Datum inner, ReadTensorValue(message.Bytes(), context, &inner_name));
        out.tensor = std::move(inner.tensor);
        out.present = true;
        break;
      }
      case optional::kSequence: {
        if (type.kind != Kind::kOptionalSequence) return InvalidModel("a sequence where ", ToString(type), " is expected");
        LINNET_ASSIGN(Datum inner, ReadSequence(message.Bytes(), Type::Sequence(type.dtype), context, &inner_name));
        out.items = std::move(inner.items);
        out.present = true;
        break;
      }
      case optional::kSparseTensor:
      case optional::kMap:
      case optional::kOptional: return Unsupported("an optional of field ", message.field(), " of OptionalProto");
      default: message.Skip();
    }
    if (name->empty()) *name = inner_name;
  }
  return out;
}

// Writing ---------------------------------------------------------------------------------------------------------

using protozero::pbf_writer;

Status WriteTensorValue(pbf_writer& message, const std::string& name, const Tensor& tensor) {
  LINNET_TRY(CheckContents(name, tensor));
  WriteTensor(message, name, tensor);
  return Status();
}

Status WriteMap(pbf_writer& message, const std::string& name, const Datum& value) {
  message.add_string(map::kName, name);
  message.add_int32(map::kKeyType, static_cast<int32_t>(value.type.key));
  const int64_t count = value.tensor.elements();
  const size_t width = DTypeBytes(value.tensor.dtype());
  if (value.keys.elements() != count || width == 0) return InvalidArgument("a map with keys ", ToString(value.keys.type()), " and values ", ToString(value.tensor.type()));
  if (value.keys.dtype() == DType::kString) {
    for (int64_t i = 0; i < count; ++i) message.add_bytes(map::kStringKeys, value.keys.as<std::string>()[i]);
  } else {
    message.add_packed_int64(map::kKeys, value.keys.as<int64_t>(), value.keys.as<int64_t>() + count);
  }
  pbf_writer values(message, map::kValues);
  values.add_int32(sequence::kElementType, static_cast<int32_t>(ElementKind::kTensor));
  for (int64_t i = 0; i < count; ++i) {
    pbf_writer item(values, sequence::kTensors);
    const char* at = value.tensor.as<char>() + static_cast<size_t>(i) * width;
    WriteTensor(item, {}, Tensor::View(value.tensor.dtype(), Shape::OfRank(0), at));
  }
  return Status();
}

Status WriteSequence(pbf_writer& message, const std::string& name, const Datum& value) {
  const bool maps = value.type.kind == Kind::kSequenceOfMaps;
  message.add_string(sequence::kName, name);
  message.add_int32(sequence::kElementType, static_cast<int32_t>(maps ? ElementKind::kMap : ElementKind::kTensor));
  for (const Datum& item : value.items) {
    pbf_writer one(message, maps ? sequence::kMaps : sequence::kTensors);
    LINNET_TRY(maps ? WriteMap(one, {}, item) : WriteTensorValue(one, {}, item.tensor));
  }
  return Status();
}

Status WriteOptional(pbf_writer& message, const std::string& name, const Datum& value) {
  const bool sequence = value.type.kind == Kind::kOptionalSequence;
  message.add_string(optional::kName, name);
  message.add_int32(optional::kElementType, static_cast<int32_t>(sequence ? ElementKind::kSequence : ElementKind::kTensor));
  if (!value.present) return Status();
  pbf_writer inner(message, sequence ? optional::kSequence : optional::kTensor);
  return sequence ? WriteSequence(inner, {}, value) : WriteTensorValue(inner, {}, value.tensor);
}

}  // namespace
}  // namespace onnx

Result<std::string> WriteValue(const std::string& name, const Datum& value) {
  std::string bytes;
  protozero::pbf_writer message(bytes);
  switch (value.type.kind) {
    case Kind::kTensor: LINNET_TRY(onnx::WriteTensorValue(message, name, value.tensor)); break;
    case Kind::kSequence:
    case Kind::kSequenceOfMaps: LINNET_TRY(onnx::WriteSequence(message, name, value)); break;
    case Kind::kOptional:
    case Kind::kOptionalSequence: LINNET_TRY(onnx::WriteOptional(message, name, value)); break;
    case Kind::kMap: LINNET_TRY(onnx::WriteMap(message, name, value)); break;
    case Kind::kUnknown: return InvalidArgument("the value ", Quote(name), " has no type");
  }
  return bytes;
}

Result<NamedDatum> ReadValue(std::span<const std::byte> bytes, const Type& expected) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  onnx::Context context({text, nullptr, nullptr}, GraphLimits());
  return onnx::CatchWireErrors(context.cursor, [&]() -> Result<NamedDatum> {
    NamedDatum out;
    std::string_view name;
    switch (expected.kind) {
      case Kind::kSequence:
      case Kind::kSequenceOfMaps: {
        LINNET_ASSIGN(out.value, onnx::ReadSequence(text, expected, context, &name));
        break;
      }
      case Kind::kOptional:
      case Kind::kOptionalSequence: {
        LINNET_ASSIGN(out.value, onnx::ReadOptional(text, expected, context, &name));
        break;
      }
      case Kind::kMap: {
        LINNET_ASSIGN(out.value, onnx::ReadMap(text, context, &name));
        break;
      }
      case Kind::kTensor:
      case Kind::kUnknown: {
        LINNET_ASSIGN(out.value, onnx::ReadTensorValue(text, context, &name));
        break;
      }
    }
    out.name = name;
    return out;
  });
}

Result<NamedDatum> ReadValueFile(const std::string& path, const Type& expected) {
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
  Result<NamedDatum> value = ReadValue({file->data(), static_cast<size_t>(file->size())}, expected);
  if (!value.ok()) return value.TakeStatus().At(Quote(path));
  return value;
}

}  // namespace linnet
