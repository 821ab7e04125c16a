// .pb files of the backend tests.
#include "onnx/proto_values.h"

#include <fstream>
#include <sstream>

#include "onnx/fields.h"
#include "onnx/tensor_proto.h"

namespace linnet {
namespace {

Result<Datum> ReadTensor(protozero::data_view bytes, std::string* name) {
  LINNET_ASSIGN(Tensor tensor, ReadTensorProto(bytes, nullptr, name));
  if (tensor.has_data()) {
    LINNET_ASSIGN(Tensor copy, Tensor::Allocate(tensor.dtype(), tensor.shape()));
    CopyElements(tensor.type(), tensor.data(), copy.mutable_data());
    tensor = copy;
  }
  return Datum::Of(std::move(tensor));
}

Result<Datum> ReadSequence(protozero::data_view bytes, std::string* name) {
  Datum out;
  out.type.kind = Kind::kSequence;
  protozero::pbf_reader r(bytes);
  while (r.next()) {
    if (r.tag() == onnx::sequence::kTensors) {
      std::string ignored;
      LINNET_ASSIGN(Datum item, ReadTensor(r.get_view(), &ignored));
      out.type.dtype = item.type.dtype;
      out.items.push_back(std::move(item));
    } else if (r.tag() == onnx::sequence::kName) {
      *name = r.get_string();
    } else {
      r.skip();
    }
  }
  return out;
}

}  // namespace

Result<NamedDatum> ReadValueFile(const std::string& path, const Type& expected) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  std::string bytes = text.str();
  NamedDatum out;
  protozero::data_view view(bytes);
  if (expected.kind == Kind::kSequence) {
    LINNET_ASSIGN(out.value, ReadSequence(view, &out.name));
    if (out.value.type.dtype == DType::kUndefined) out.value.type.dtype = expected.dtype;
  } else if (expected.kind == Kind::kOptional || expected.kind == Kind::kOptionalSequence) {
    out.value.type = expected;
    out.value.present = false;
    protozero::pbf_reader r(view);
    while (r.next()) {
      if (r.tag() == onnx::optional::kTensor) {
        LINNET_ASSIGN(Datum inner, ReadTensor(r.get_view(), &out.name));
        out.value.tensor = inner.tensor;
        out.value.present = true;
      } else if (r.tag() == onnx::optional::kSequence) {
        LINNET_ASSIGN(Datum inner, ReadSequence(r.get_view(), &out.name));
        out.value.items = inner.items;
        out.value.present = true;
      } else {
        r.skip();
      }
    }
  } else {
    LINNET_ASSIGN(out.value, ReadTensor(view, &out.name));
  }
  return out;
}

}  // namespace linnet
