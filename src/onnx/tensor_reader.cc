// Decoding tensors: raw bytes in place where possible, typed fields value by value, everything counted before it is made.
//
// A TensorProto carries its elements in exactly one of
//     raw_data      fixed width, little endian, any type but strings; 2- and 4-bit types packed, low bits first
//     float_data    float, complex64 (pairs)             double_data   double, complex128 (pairs)
//     int64_data    int64                                uint64_data   uint32, uint64
//     int32_data    every other number; float16 and the like as bit patterns, 2- and 4-bit types one packed byte a value
//     string_data   strings
//     external_data a range of another file, laid out as raw_data
#include "onnx/tensor_reader.h"

#include <string.h>

#include <bit>

#include "onnx/external_data.h"

namespace linnet::onnx {
namespace {

static_assert(std::endian::native == std::endian::little, "tensor contents are used as they lie in the file");

/// Unaligned contents above this many bytes give the file's pages back once they are copied.
constexpr int64_t kReleaseBytes = 64 << 10;

enum Field { kFloat, kInt32, kString, kInt64, kDouble, kUint64, kRaw, kExternal, kFieldCount };
constexpr const char* kFieldNames[] = {"float_data",  "int32_data",  "string_data", "int64_data",
                                       "double_data", "uint64_data", "raw_data",    "external_data"};

Field TypedField(DType dtype) {
  switch (dtype) {
    case DType::kFloat:
    case DType::kComplex64: return kFloat;
    case DType::kDouble:
    case DType::kComplex128: return kDouble;
    case DType::kInt64: return kInt64;
    case DType::kUint32:
    case DType::kUint64: return kUint64;
    case DType::kString: return kString;
    default: return kInt32;
  }
}

Field FieldOf(uint32_t number) {
  switch (number) {
    case tensor::kFloatData: return kFloat;
    case tensor::kInt32Data: return kInt32;
    case tensor::kStringData: return kString;
    case tensor::kInt64Data: return kInt64;
    case tensor::kDoubleData: return kDouble;
    case tensor::kUint64Data: return kUint64;
    default: return kFieldCount;
  }
}

struct Header {
  std::string_view name;
  int64_t dims[kMaxRank] = {};
  int64_t rank = 0;
  int64_t type = 0;
  int64_t location = 0;
  bool segment = false;
  int64_t counts[kFieldCount] = {};  ///< values of each typed field, bytes of raw_data, 1 for external data
  std::string_view raw;
  std::string_view fixed;  ///< float_data or double_data when it is one run of bytes
  ExternalData external;
};

Result<Header> ReadHeader(std::string_view bytes, Context& context) {
  Header header;
  int runs = 0;
  Message message(bytes, context.cursor);
  while (message.Next()) {
    uint32_t number = message.field();
    switch (number) {
      case tensor::kName: header.name = message.Bytes(); break;
      case tensor::kDims:
        message.EachInt([&](int64_t dim) {
          if (header.rank < kMaxRank) header.dims[header.rank] = dim;
          ++header.rank;
        });
        break;
      case tensor::kDataType: header.type = message.Int(); break;
      case tensor::kDataLocation: header.location = message.Int(); break;
      case tensor::kSegment: header.segment = true, message.Skip(); break;
      case tensor::kRawData:
        header.raw = message.Bytes();
        header.counts[kRaw] = static_cast<int64_t>(header.raw.size());
        break;
      case tensor::kExternalData: LINNET_TRY(header.external.Add(message.Bytes(), context.cursor)); break;
      case tensor::kFloatData:
      case tensor::kDoubleData: {
        size_t width = number == tensor::kFloatData ? 4 : 8;
        std::string_view run = message.FixedRun(width);
        header.counts[FieldOf(number)] += static_cast<int64_t>(run.size() / width);
        header.fixed = ++runs == 1 ? run : std::string_view();
        break;
      }
      case tensor::kStringData:
        message.Skip();
        ++header.counts[kString];
        break;
      case tensor::kInt32Data:
      case tensor::kInt64Data:
      case tensor::kUint64Data: message.EachInt([&](int64_t) { ++header.counts[FieldOf(number)]; }); break;
      default: message.Skip();
    }
  }
  // A location without entries and entries without a location both mean a file elsewhere.
  header.counts[kExternal] = header.location == 1 || !header.external.empty();
  return header;
}

Result<Shape> ShapeOf(const Header& header) {
  if (header.rank > kMaxRank) return Unsupported("rank ", header.rank, " is above the limit of ", kMaxRank);
  return ConstantShape(std::span<const int64_t>(header.dims, static_cast<size_t>(header.rank)));
}

bool OnlyZerosAndOnes(std::string_view bytes) {
  unsigned char seen = 0;
  for (char c : bytes) seen |= static_cast<unsigned char>(c);
  return seen <= 1;
}

}  // namespace

Result<Shape> ConstantShape(std::span<const int64_t> dims) {
  LINNET_ASSIGN(Shape shape, MakeShape(dims));
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] < 0) return InvalidModel("dimension ", i, " is ", shape[i]);
  }
  LINNET_TRY(CheckShape(shape));
  return shape;
}

Result<Tensor> NewTensor(DType dtype, const Shape& shape, Context& context) {
  LINNET_ASSIGN(int64_t bytes, ByteSize(dtype, shape.elements()));
  LINNET_TRY(context.Charge(bytes + static_cast<int64_t>(2 * kAlignment)));
  return Tensor::Allocate(dtype, shape, context.callers_budget);
}

Result<Tensor> TensorOfBytes(DType dtype, const Shape& shape, const Source& source, Context& context) {
  const char* data = source.bytes.data();
  size_t alignment = std::min<size_t>(std::max<size_t>(DTypeBytes(dtype), 1), alignof(double));
  bool normalise = dtype == DType::kBool && !OnlyZerosAndOnes(source.bytes);
  if (context.any_address && dtype == DType::kFloat && source.bytes.size() >= kReleaseBytes) alignment = 1;
  if (source.owner && !source.bytes.empty() && reinterpret_cast<uintptr_t>(data) % alignment == 0 && !normalise) {
    return Tensor::View(dtype, shape, data, source.owner, source.mapped != nullptr);
  }
  LINNET_ASSIGN(Tensor out, NewTensor(dtype, shape, context));
  char* to = out.mutable_as<char>();
  const int64_t size = static_cast<int64_t>(source.bytes.size());
  // In steps, so that copy and original are never resident together.
  constexpr int64_t kStep = 1 << 20;
  for (int64_t at = 0; at < size; at += kStep) {
    int64_t step = std::min(kStep, size - at);
    memcpy(to + at, data + at, static_cast<size_t>(step));
    if (source.mapped && size > kReleaseBytes) {
      int64_t start = std::max<int64_t>(0, at - kReleaseBytes);
      int64_t offset = data + start - reinterpret_cast<const char*>(source.mapped->data());
      source.mapped->ReleasePages(offset, at + step - start);
    }
  }
  if (normalise) {
    for (int64_t i = 0; i < size; ++i) to[i] = to[i] != 0;
  }
  return out;
}

namespace {

/// Writes the low `bits` of `value`, failing when it is neither a signed nor an unsigned number of that width.
Status StoreInt(int64_t value, DType dtype, int bits, int64_t index, char* to) {
  if (dtype == DType::kBool) {
    to[index] = value != 0;
    return Status();
  }
  if (bits < 64 && (value < -(int64_t{1} << (bits - 1)) || value >= int64_t{1} << bits)) {
    return InvalidModel("value ", value, " at ", index, " does not fit ", DTypeName(dtype));
  }
  memcpy(to + index * (bits / 8), &value, static_cast<size_t>(bits / 8));
  return Status();
}

Result<Tensor> FromTypedField(std::string_view bytes, const Header& header, DType dtype, const Shape& shape, Field field,
                              Context& context) {
  const int bits = DTypeBits(dtype);
  int64_t needed = shape.elements();
  if (dtype == DType::kComplex64 || dtype == DType::kComplex128) needed *= 2;
  if (bits > 0 && bits < 8) needed = DivUp(needed * bits, 8);
  if (header.counts[field] != needed) {
    return InvalidModel(kFieldNames[field], " has ", header.counts[field], " values where ", DTypeName(dtype),
                        ToString(shape), " needs ", needed);
  }
  if (!header.fixed.empty()) return TensorOfBytes(dtype, shape, {header.fixed, context.source.owner, context.source.mapped}, context);
  LINNET_ASSIGN(Tensor out, NewTensor(dtype, shape, context));
  char* to = out.mutable_as<char>();
  int64_t count = 0;
  Status status;
  Message message(bytes, context.cursor);
  while (message.Next()) {
    uint32_t number = message.field();
    if (FieldOf(number) != field) {
      message.Skip();
    } else if (field == kString) {
      std::string_view text = message.Bytes();
      LINNET_TRY(context.Charge(static_cast<int64_t>(text.size())));
      out.mutable_as<std::string>()[count++] = text;
    } else if (field == kFloat || field == kDouble) {
      std::string_view run = message.FixedRun(field == kFloat ? 4 : 8);
      memcpy(to + count, run.data(), run.size());
      count += static_cast<int64_t>(run.size());
    } else {
      message.EachInt([&](int64_t value) {
        // int32 values are sign-extended to 64 bits on the wire; a writer may also leave them as 32 unsigned ones.
        if (field == kInt32) value = static_cast<int32_t>(value);
        if (status.ok()) status = StoreInt(value, dtype, std::max(bits, 8), count, to);
        ++count;
      });
    }
  }
  if (!status.ok()) return status;
  return out;
}

Result<Tensor> ReadContents(std::string_view bytes, const Header& header, Context& context) {
  if (!IsKnown(header.type)) {
    return InvalidModel("element type ", header.type, " does not exist (known are 1 to ", kDTypeCount - 1, ")");
  }
  if (header.location != 0 && header.location != 1) return InvalidModel("data location ", header.location);
  if (header.segment) return Unsupported("tensors split into segments");
  DType dtype = static_cast<DType>(header.type);
  LINNET_ASSIGN(Shape shape, ShapeOf(header));
  LINNET_ASSIGN(int64_t needed, ByteSize(dtype, shape.elements()));

  int present = kFieldCount;
  for (int i = 0; i < kFieldCount; ++i) {
    if (header.counts[i] == 0) continue;
    if (present != kFieldCount) {
      return InvalidModel("contents are given twice, in ", kFieldNames[present], " and ", kFieldNames[i]);
    }
    present = i;
  }
  if (present == kFieldCount) {
    if (shape.elements() != 0) {
      return InvalidModel("no contents where ", DTypeName(dtype), ToString(shape), " needs ", shape.elements(), " values");
    }
    return NewTensor(dtype, shape, context);
  }
  if (present != kRaw && present != kExternal) {
    if (present != TypedField(dtype)) {
      return InvalidModel(kFieldNames[present], " cannot hold ", DTypeName(dtype), "; it belongs in ",
                          kFieldNames[TypedField(dtype)]);
    }
    return FromTypedField(bytes, header, dtype, shape, static_cast<Field>(present), context);
  }
  if (dtype == DType::kString) return InvalidModel("strings cannot be in ", kFieldNames[present]);
  if (present == kExternal) {
    LINNET_ASSIGN(Source source, header.external.Find(needed, context));
    return TensorOfBytes(dtype, shape, source, context);
  }
  if (header.counts[kRaw] != needed) {
    return InvalidModel("raw_data has ", header.counts[kRaw], " bytes where ", DTypeName(dtype), ToString(shape), " needs ",
                        needed);
  }
  return TensorOfBytes(dtype, shape, {header.raw, context.source.owner, context.source.mapped}, context);
}

}  // namespace

Result<NamedTensor> ReadTensor(std::string_view message, Context& context) {
  LINNET_ASSIGN(Header header, ReadHeader(message, context));
  LINNET_TRY(context.CheckName(header.name));
  Result<Tensor> tensor = ReadContents(message, header, context);
  if (!tensor.ok()) return tensor.TakeStatus().At(Cat("tensor ", Quote(header.name)));
  return NamedTensor{header.name, std::move(*tensor)};
}

namespace {

/// Puts values[i] at indices[i] of zeros. Indices are linear, or one row of coordinates a value.
Status Scatter(const Tensor& values, const Tensor& indices, Tensor& dense) {
  const int64_t count = values.elements();
  const Shape& shape = dense.shape();
  const bool linear = indices.shape().rank() == 1;
  if (indices.dtype() != DType::kInt64 || indices.shape().rank() < 1 || indices.shape().rank() > 2 ||
      indices.shape()[0] != count || (!linear && indices.shape()[1] != shape.rank())) {
    return InvalidModel("indices are ", ToString(indices.type()), " for ", count, " values of shape ", ToString(shape));
  }
  const size_t width = DTypeBytes(values.dtype());
  memset(dense.mutable_data(), 0, static_cast<size_t>(dense.bytes()));
  int64_t previous = -1;
  for (int64_t i = 0; i < count; ++i) {
    int64_t position = 0;
    if (linear) {
      position = indices.as<int64_t>()[i];
      if (position < 0 || position >= shape.elements()) {
        return InvalidModel("index ", position, " is outside ", shape.elements(), " elements");
      }
    } else {
      for (int axis = 0; axis < shape.rank(); ++axis) {
        int64_t index = indices.as<int64_t>()[i * shape.rank() + axis];
        if (index < 0 || index >= shape[axis]) {
          return InvalidModel("index ", index, " is outside axis ", axis, " of ", ToString(shape));
        }
        position = position * shape[axis] + index;
      }
    }
    if (position <= previous) return InvalidModel("indices are not ascending at value ", i);
    previous = position;
    memcpy(dense.mutable_as<char>() + static_cast<size_t>(position) * width,
           values.as<char>() + static_cast<size_t>(i) * width, width);
  }
  return Status();
}

}  // namespace

Result<Tensor> Densify(const Tensor& values, const Tensor& indices, const Shape& shape, Context& context) {
  if (values.shape().rank() != 1) {
    return InvalidModel("values have shape ", ToString(values.shape()), " where one dimension is expected");
  }
  if (DTypeBytes(values.dtype()) == 0 || values.dtype() == DType::kString) {
    return Unsupported("elements of type ", DTypeName(values.dtype()));
  }
  LINNET_ASSIGN(Tensor dense, NewTensor(values.dtype(), shape, context));
  LINNET_TRY(Scatter(values, indices, dense));
  return dense;
}

Result<NamedTensor> ReadSparseTensor(std::string_view bytes, Context& context) {
  std::string_view values_message, indices_message;
  Header header;
  {
    Message message(bytes, context.cursor);
    while (message.Next()) {
      switch (message.field()) {
        case sparse_tensor::kValues: values_message = message.Bytes(); break;
        case sparse_tensor::kIndices: indices_message = message.Bytes(); break;
        case sparse_tensor::kDims:
          message.EachInt([&](int64_t dim) {
            if (header.rank < kMaxRank) header.dims[header.rank] = dim;
            ++header.rank;
          });
          break;
        default: message.Skip();
      }
    }
  }
  LINNET_ASSIGN(NamedTensor values, ReadTensor(values_message, context));
  auto make = [&]() -> Result<Tensor> {
    LINNET_ASSIGN(NamedTensor indices, ReadTensor(indices_message, context));
    LINNET_ASSIGN(Shape shape, ShapeOf(header));
    return Densify(values.tensor, indices.tensor, shape, context);
  };
  Result<Tensor> dense = make();
  if (!dense.ok()) return dense.TakeStatus().At(Cat("sparse tensor ", Quote(values.name)));
  return NamedTensor{values.name, std::move(*dense)};
}

}  // namespace linnet::onnx
