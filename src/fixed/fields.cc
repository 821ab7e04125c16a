// Fields of a .linnet file's tables.
#include "fixed/fields.h"

#include "format/checksum.h"

namespace linnet::fixed {
namespace {

template <class T>
T Load(const void* at) {
  T number;
  memcpy(&number, at, sizeof number);
  return number;
}

std::string_view TextAt(const void* string) {
  return string ? std::string_view(static_cast<const char*>(string) + 4, Count(string)) : std::string_view("");
}

}  // namespace

Result<const void*> TrustedHead(std::string_view file) {
  if (file.size() < 8 || file.substr(4, 4) != fbs::ModelIdentifier()) {
    return Fail(Code::kNotInBuild, "this is no .linnet file, and reading .onnx files is not in this build");
  }
  size_t head_bytes;
  LINNET_TRY(CheckHead(file, &head_bytes));
  const void* model = file.data() + Load<uint32_t>(file.data());
  const auto format = static_cast<uint32_t>(Int(model, fbs::Model::VT_FORMAT));
  if (format < kSummedFormat || format > kLinnetFormat) {
    return Unsupported("the .linnet file has format ", format, "; this build reads ", kSummedFormat, " to ", kLinnetFormat, ": convert the model again");
  }
  if (Long(model, fbs::Model::VT_FILE_BYTES) != static_cast<int64_t>(file.size())) {
    return InvalidModel("the .linnet file is damaged: it is not as long as it was written");
  }
  return model;
}

const std::byte* Find(const void* table, Field field) {
  const std::byte* at = static_cast<const std::byte*>(table);
  const std::byte* fields = at - Load<int32_t>(at);
  // Of tables that an older version wrote the last fields are not there.
  const uint16_t offset = field < Load<uint16_t>(fields) ? Load<uint16_t>(fields + field) : 0;
  return offset ? at + offset : nullptr;
}

const void* Follow(const void* table, Field field) {
  const std::byte* at = Find(table, field);
  return at ? at + Load<uint32_t>(at) : nullptr;
}

uint8_t Byte(const void* table, Field field) {
  const std::byte* at = Find(table, field);
  return at ? Load<uint8_t>(at) : uint8_t{0};
}

int32_t Int(const void* table, Field field) {
  const std::byte* at = Find(table, field);
  return at ? Load<int32_t>(at) : 0;
}

int64_t Long(const void* table, Field field) {
  const std::byte* at = Find(table, field);
  return at ? Load<int64_t>(at) : 0;
}

std::string_view Text(const void* table, Field field) { return TextAt(Follow(table, field)); }

std::span<const int32_t> Ints(const void* table, Field field) {
  const void* vector = Follow(table, field);
  return {reinterpret_cast<const int32_t*>(static_cast<const std::byte*>(vector) + (vector ? 4 : 0)), Count(vector)};
}

const void* Item(const void* vector, uint32_t i) {
  const std::byte* at = static_cast<const std::byte*>(vector) + 4 + i * size_t{4};
  return at + Load<uint32_t>(at);
}

std::string_view ItemText(const void* vector, uint32_t i) { return TextAt(Item(vector, i)); }

Shape ReadShape(const void* dims) {
  Shape shape = Shape::OfRank(static_cast<int>(Count(dims)));
  for (int i = 0; i < shape.rank(); ++i) shape[i] = Element<int64_t>(dims, static_cast<uint32_t>(i));
  return shape;
}

Type ReadType(const void* from) {
  Type type;
  if (!from) return type;
  type.kind = static_cast<Kind>(Byte(from, fbs::Type::VT_KIND));
  type.dtype = static_cast<DType>(Byte(from, fbs::Type::VT_DTYPE));
  type.key = static_cast<DType>(Byte(from, fbs::Type::VT_KEY));
  const std::byte* ranked = Find(from, fbs::Type::VT_RANKED);
  if (!ranked || *ranked != std::byte{0}) type.shape = ReadShape(Follow(from, fbs::Type::VT_DIMS));
  return type;
}

}  // namespace linnet::fixed
