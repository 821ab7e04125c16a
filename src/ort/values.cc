// Types and tensors of .ort files; what the verifier does not know is checked here: ranks, sizes, element types.
#include "ort/values.h"

#include <string.h>

#include "onnx/tensor_reader.h"
#include "onnx/type_reader.h"

namespace linnet::ort {
namespace {

Result<int64_t> ReadDim(const fbs::Dimension& from, SymbolTable& symbols, Context& context) {
  constexpr int kSize = 1, kSymbol = 2;
  const fbs::DimensionValue* value = from.value();
  if (!value) return kUnknownDim;
  if (value->kind() == kSymbol) {
    LINNET_ASSIGN(std::string_view symbol, Name(value->symbol(), context));
    return symbol.empty() ? kUnknownDim : symbols.Intern(symbol);
  }
  if (value->kind() != kSize || value->size() < 0) return kUnknownDim;
  if (value->size() > kDimMax) return LimitReached("dimension ", value->size(), " is above the limit of ", kDimMax);
  return value->size();
}

Result<Type> ReadTensorType(const fbs::TensorType& from, SymbolTable& symbols, Context& context) {
  LINNET_ASSIGN(DType dtype, onnx::ElementType(from.element()));
  if (!from.shape()) return Type::Tensor(dtype, Shape());
  Shape shape = Shape::OfRank(0);
  for (uint32_t i = 0; from.shape()->dims() && i < from.shape()->dims()->size(); ++i) {
    LINNET_ASSIGN(int64_t dim, ReadDim(*from.shape()->dims()->Get(i), symbols, context));
    if (shape.rank() == kMaxRank) return Unsupported("a rank above the limit of ", kMaxRank);
    shape.Append(dim);
  }
  return Type::Tensor(dtype, shape);
}

}  // namespace

Result<std::string_view> Name(const flatbuffers::String* text, Context& context) {
  const std::string_view name = View(text);
  LINNET_TRY(context.CheckName(name));
  LINNET_TRY(context.Charge(static_cast<int64_t>(name.size() + 1)));
  return name;
}

std::vector<int64_t> Ints(const flatbuffers::Vector<int64_t>* numbers) {
  std::vector<int64_t> out(numbers ? numbers->size() : 0);
  if (!out.empty()) memcpy(out.data(), numbers->Data(), out.size() * sizeof(int64_t));
  return out;
}

Result<Type> ReadType(const fbs::Type* from, SymbolTable& symbols, Context& context) {
  if (!from || !from->value()) return Type();
  switch (from->value_type()) {
    case fbs::TypeValue::TensorType: return ReadTensorType(*from->value_as_TensorType(), symbols, context);
    case fbs::TypeValue::SequenceType: {
      LINNET_ASSIGN(Type element, ReadType(from->value_as_SequenceType()->element(), symbols, context));
      return onnx::SequenceOf(std::move(element), symbols);
    }
    case fbs::TypeValue::MapType: {
      const fbs::MapType& map = *from->value_as_MapType();
      LINNET_ASSIGN(Type type, ReadType(map.value(), symbols, context));
      if (type.kind != Kind::kTensor) return Unsupported("a map to ", ToString(type, &symbols));
      type.kind = Kind::kMap;
      type.shape = Shape();
      LINNET_ASSIGN(type.key, onnx::ElementType(map.key()));
      return type;
    }
    default: return Type();
  }
}

Result<Tensor> ReadTensor(const fbs::Tensor& from, Context& context) {
  auto read = [&]() -> Result<Tensor> {
    if (!IsKnown(from.element())) {
      return InvalidModel("element type ", from.element(), " does not exist (known are 1 to ", kDTypeCount - 1, ")");
    }
    const DType dtype = static_cast<DType>(from.element());
    LINNET_ASSIGN(Shape shape, onnx::ConstantShape(Ints(from.dims())));
    if (from.external_offset() >= 0) return Unsupported("its contents are in the file of a training checkpoint");
    if (dtype == DType::kString) {
      const int64_t count = from.strings() ? from.strings()->size() : 0;
      if (from.raw() && from.raw()->size() > 0) return InvalidModel("strings that are raw bytes");
      if (count != shape.elements()) return InvalidModel(count, " strings where ", ToString(shape), " needs ", shape.elements());
      LINNET_ASSIGN(Tensor tensor, onnx::NewTensor(dtype, shape, context));
      for (int64_t i = 0; i < count; ++i) {
        const std::string_view text = View(from.strings()->Get(static_cast<uint32_t>(i)));
        LINNET_TRY(context.Charge(static_cast<int64_t>(text.size())));
        tensor.mutable_as<std::string>()[i] = text;
      }
      return tensor;
    }
    if (from.strings() && from.strings()->size() > 0) return InvalidModel(DTypeName(dtype), " that are strings");
    LINNET_ASSIGN(int64_t needed, ByteSize(dtype, shape.elements()));
    const int64_t have = from.raw() ? from.raw()->size() : 0;
    if (have != needed) {
      return InvalidModel(have, " bytes of contents where ", DTypeName(dtype), ToString(shape), " needs ", needed);
    }
    if (needed == 0) return onnx::NewTensor(dtype, shape, context);
    const std::string_view bytes(reinterpret_cast<const char*>(from.raw()->data()), static_cast<size_t>(needed));
    return onnx::TensorOfBytes(dtype, shape, {bytes, context.source.owner, context.source.mapped}, context);
  };
  Result<Tensor> tensor = read();
  if (!tensor.ok()) return tensor.TakeStatus().At(Cat("tensor ", Quote(View(from.name()))));
  return tensor;
}

Result<Tensor> ReadSparseTensor(const fbs::SparseTensor& from, Context& context) {
  if (!from.values() || !from.indices()) return InvalidModel("a sparse tensor without values or indices");
  auto read = [&]() -> Result<Tensor> {
    LINNET_ASSIGN(Tensor values, ReadTensor(*from.values(), context));
    LINNET_ASSIGN(Tensor indices, ReadTensor(*from.indices(), context));
    LINNET_ASSIGN(Shape shape, onnx::ConstantShape(Ints(from.dims())));
    return onnx::Densify(values, indices, shape, context);
  };
  Result<Tensor> dense = read();
  if (!dense.ok()) return dense.TakeStatus().At(Cat("sparse tensor ", Quote(View(from.values()->name()))));
  return dense;
}

}  // namespace linnet::ort
