// Types from TypeProto: tensors, and the few nestings of sequence, optional and map that Type knows.
#include "onnx/type_reader.h"

namespace linnet::onnx {

Result<DType> ElementType(int64_t number) {
  if (number == 0) return DType::kUndefined;
  if (IsKnown(number)) return static_cast<DType>(number);
  return InvalidModel("element type ", number, " does not exist (known are 1 to ", kDTypeCount - 1, ")");
}

namespace {

Result<int64_t> ReadDim(std::string_view bytes, SymbolTable& symbols, Context& context) {
  int64_t dim = kUnknownDim;
  Message message(bytes, context.cursor);
  while (message.Next()) {
    switch (message.field()) {
      case shape::kDimValue:
        dim = message.Int();
        // Old exporters write -1 for a size they do not know.
        if (dim < 0) dim = kUnknownDim;
        if (dim > kDimMax) return LimitReached("dimension ", dim, " is above the limit of ", kDimMax);
        break;
      case shape::kDimParam: {
        std::string_view symbol = message.Bytes();
        LINNET_TRY(context.CheckName(symbol));
        dim = symbol.empty() ? kUnknownDim : symbols.Intern(symbol);
        break;
      }
      default: message.Skip();
    }
  }
  return dim;
}

Result<Shape> ReadShape(std::string_view bytes, SymbolTable& symbols, Context& context) {
  Shape shape = Shape::OfRank(0);
  Message message(bytes, context.cursor);
  while (message.Next()) {
    if (message.field() != shape::kDim) {
      message.Skip();
      continue;
    }
    LINNET_ASSIGN(int64_t dim, ReadDim(message.Bytes(), symbols, context));
    if (shape.rank() == kMaxRank) return Unsupported("a rank above the limit of ", kMaxRank);
    shape.Append(dim);
  }
  return shape;
}

Result<Type> ReadTensorType(std::string_view bytes, SymbolTable& symbols, Context& context) {
  Type type = Type::Tensor(DType::kUndefined, Shape());
  Message message(bytes, context.cursor);
  while (message.Next()) {
    switch (message.field()) {
      case tensor_type::kElementType: {
        LINNET_ASSIGN(type.dtype, ElementType(message.Int()));
        break;
      }
      case tensor_type::kShape: {
        LINNET_ASSIGN(type.shape, ReadShape(message.Bytes(), symbols, context));
        break;
      }
      default: message.Skip();
    }
  }
  return type;
}

/// The one nested type of a sequence, optional or map, and the map's key type.
Result<Type> ReadElement(std::string_view bytes, int64_t* key, uint32_t element_field, SymbolTable& symbols,
                         Context& context) {
  Type element;
  Message message(bytes, context.cursor);
  while (message.Next()) {
    if (message.field() == element_field) {
      LINNET_ASSIGN(element, ReadType(message.Bytes(), symbols, context));
    } else if (key && message.field() == map_type::kKey) {
      *key = message.Int();
    } else {
      message.Skip();
    }
  }
  return element;
}

}  // namespace

Result<Type> SequenceOf(Type element, const SymbolTable& symbols) {
  if (element.kind == Kind::kTensor || element.kind == Kind::kUnknown) {
    element.kind = Kind::kSequence;
  } else if (element.kind == Kind::kMap) {
    element.kind = Kind::kSequenceOfMaps;
  } else {
    return Unsupported("a sequence of ", ToString(element, &symbols));
  }
  return element;
}

Result<Type> ReadType(std::string_view bytes, SymbolTable& symbols, Context& context) {
  Type type;
  Message message(bytes, context.cursor);
  while (message.Next()) {
    switch (message.field()) {
      case type::kTensor: {
        LINNET_ASSIGN(type, ReadTensorType(message.Bytes(), symbols, context));
        break;
      }
      case type::kSequence: {
        LINNET_ASSIGN(Type element, ReadElement(message.Bytes(), nullptr, 1, symbols, context));
        LINNET_ASSIGN(type, SequenceOf(std::move(element), symbols));
        break;
      }
      case type::kOptional: {
        LINNET_ASSIGN(type, ReadElement(message.Bytes(), nullptr, 1, symbols, context));
        if (type.kind == Kind::kTensor || type.kind == Kind::kUnknown) {
          type.kind = Kind::kOptional;
        } else if (type.kind == Kind::kSequence) {
          type.kind = Kind::kOptionalSequence;
        } else {
          return Unsupported("an optional of ", ToString(type, &symbols));
        }
        break;
      }
      case type::kMap: {
        int64_t key = 0;
        LINNET_ASSIGN(type, ReadElement(message.Bytes(), &key, map_type::kValue, symbols, context));
        if (type.kind != Kind::kTensor) return Unsupported("a map to ", ToString(type, &symbols));
        type.kind = Kind::kMap;
        type.shape = Shape();
        LINNET_ASSIGN(type.key, ElementType(key));
        break;
      }
      case type::kSparseTensor: return Unsupported("a sparse tensor that is not a constant");
      case type::kOpaque: return Unsupported("an opaque type");
      default: message.Skip();
    }
  }
  return type;
}

Result<NamedType> ReadValueInfo(std::string_view bytes, SymbolTable& symbols, Context& context) {
  NamedType value;
  std::string_view type;
  Message message(bytes, context.cursor);
  while (message.Next()) {
    switch (message.field()) {
      case value_info::kName: value.name = message.Bytes(); break;
      case value_info::kType: type = message.Bytes(); break;
      default: message.Skip();
    }
  }
  LINNET_TRY(context.CheckName(value.name));
  Result<Type> read = ReadType(type, symbols, context);
  if (!read.ok()) return read.TakeStatus().At(Cat("type of value ", Quote(value.name)));
  value.type = *read;
  return value;
}

}  // namespace linnet::onnx
