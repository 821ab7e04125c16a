// The head of a .linnet file, and the values in it.
#include "format/read_values.h"

#include <string.h>

#include "format/checksum.h"
#include "format/linnet_file.h"
#include "format/read_structure.h"

namespace linnet {
namespace {

constexpr uint32_t kOldestFormat = 2;

}  // namespace

bool IsLinnetFile(std::string_view bytes) {
  return bytes.size() > 8 && bytes.substr(4, 4) == std::string_view(fbs::ModelIdentifier());
}

Result<const fbs::Model*> VerifyHead(std::string_view file, int64_t depth_max) {
  if (!IsLinnetFile(file)) return InvalidModel("not a .linnet file");
  FileSums sums;
  const bool summed = FindSums(file, &sums);
  size_t head = file.size();
  // What ends with sums is held to them, whatever its head says; what has none may be of a format without.
  if (summed) LINNET_TRY(CheckHead(file, &head));
  if (!VerifyStructure(file.substr(0, head), static_cast<size_t>(depth_max))) return InvalidModel("the .linnet file is damaged: its structure does not verify");
  const fbs::Model& model = *fbs::GetModel(file.data());
  if (model.format() < kOldestFormat || model.format() > kLinnetFormat) {
    return Unsupported("the .linnet file has format ", model.format(), "; this build reads ", kOldestFormat, " to ", kLinnetFormat, ": convert the model again");
  }
  if (model.file_bytes() != file.size()) {
    return InvalidModel("the .linnet file has ", file.size(), " bytes where ", model.file_bytes(), " were written");
  }
  if (!summed && model.format() >= kSummedFormat) return InvalidModel("the .linnet file is damaged: it does not end with checksums");
  if (!model.graph()) return InvalidModel("the .linnet file has no graph");
  return &model;
}

Result<const void*> LocateBlob(std::string_view file, const fbs::Blob* blob, int64_t* bytes) {
  *bytes = 0;
  if (!blob) return static_cast<const void*>(nullptr);
  if (blob->offset() > file.size() || blob->bytes() > file.size() - blob->offset() ||
      file.size() - blob->offset() - blob->bytes() < kPadding || blob->offset() % kAlignment != 0) {
    return InvalidModel("a block of ", blob->bytes(), " bytes at ", blob->offset(), " does not fit the file of ", file.size(), " bytes");
  }
  *bytes = static_cast<int64_t>(blob->bytes());
  return static_cast<const void*>(file.data() + blob->offset());
}

int64_t IntAt(const flatbuffers::Vector<int64_t>& numbers, uint32_t i) {
  int64_t number;
  memcpy(&number, numbers.Data() + i * sizeof number, sizeof number);
  return flatbuffers::EndianScalar(number);
}

std::string Text(const flatbuffers::String* text) { return text ? std::string(text->c_str(), text->size()) : std::string(); }

Status CheckIds(const flatbuffers::Vector<int32_t>* ids, int count, bool optional) {
  for (uint32_t i = 0; ids && i < ids->size(); ++i) {
    int32_t id = ids->Get(i);
    if (id >= count || id < (optional ? kNoValue : 0)) return InvalidModel("value ", id, " does not exist");
  }
  return Status();
}

std::vector<ValueId> Ids(const flatbuffers::Vector<int32_t>* ids) {
  return ids ? std::vector<ValueId>(ids->begin(), ids->end()) : std::vector<ValueId>();
}

Result<Shape> FileValues::ReadShape(const flatbuffers::Vector<int64_t>* dims) const {
  if (!dims) return Shape::OfRank(0);
  if (dims->size() > static_cast<uint32_t>(kMaxRank)) return Unsupported("rank ", dims->size(), " is above the limit of ", kMaxRank);
  Shape shape = Shape::OfRank(static_cast<int>(dims->size()));
  for (int i = 0; i < shape.rank(); ++i) shape[i] = IntAt(*dims, static_cast<uint32_t>(i));
  for (int64_t dim : shape) {
    // Compared as dimensions: the index of an absurd one does not fit an int.
    if (IsSymbolDim(dim) && dim < SymbolDim(symbols_ - 1)) return InvalidModel("symbol ", dim, " does not exist");
  }
  LINNET_TRY(CheckShape(shape));
  return shape;
}

Result<Type> FileValues::ReadType(const fbs::Type* from) const {
  Type type;
  if (!from) return type;
  if (from->kind() > static_cast<uint8_t>(Kind::kSequenceOfMaps) || from->dtype() >= kDTypeCount || from->key() >= kDTypeCount) {
    return InvalidModel("a type of kind ", from->kind(), " and element type ", from->dtype(), " does not exist");
  }
  type.kind = static_cast<Kind>(from->kind());
  type.dtype = static_cast<DType>(from->dtype());
  type.key = static_cast<DType>(from->key());
  if (from->ranked()) {
    LINNET_ASSIGN(type.shape, ReadShape(from->dims()));
  }
  return type;
}

Status FileValues::ReadTensor(const fbs::Tensor* from, Tensor* to) const {
  if (!from) return Status();
  if (from->dtype() == 0 || from->dtype() >= kDTypeCount) return InvalidModel("element type ", from->dtype(), " does not exist");
  DType dtype = static_cast<DType>(from->dtype());
  LINNET_ASSIGN(Shape shape, ReadShape(from->dims()));
  if (!shape.is_static()) return InvalidModel("a constant has shape ", ToString(shape));
  if (dtype == DType::kString) {
    int64_t count = from->strings() ? from->strings()->size() : 0;
    if (count != shape.elements()) return InvalidModel("a constant has ", count, " strings of ", shape.elements());
    LINNET_ASSIGN(*to, Tensor::Allocate(dtype, shape));
    for (int64_t i = 0; i < count; ++i) to->mutable_as<std::string>()[i] = Text(from->strings()->Get(static_cast<uint32_t>(i)));
    return Status();
  }
  LINNET_ASSIGN(int64_t need, ByteSize(dtype, shape.elements()));
  int64_t have;
  LINNET_ASSIGN(const void* data, LocateBlob(file_, from->blob(), &have));
  if (have != need) return InvalidModel("a constant ", ToString(Type::Tensor(dtype, shape)), " has ", have, " bytes of ", need);
  *to = Tensor::View(dtype, shape, data, owner_);
  return Status();
}

Status FileValues::ReadAttribute(const fbs::Attribute& from, Attribute* to) const {
  to->name = Text(from.name());
  // Payloads are made empty, which cannot fail, and filled where they will be: a variant moves others into place.
  switch (from.kind()) {
    case 1: to->payload.emplace<float>(from.f()); break;
    case 2: to->payload.emplace<int64_t>(from.i()); break;
    case 3: {
      std::string& text = to->payload.emplace<std::string>();
      if (from.s()) text.assign(reinterpret_cast<const char*>(from.s()->Data()), from.s()->size());
      break;
    }
    case 4:
      if (!from.tensors() || from.tensors()->size() != 1) return InvalidModel("attribute ", Quote(to->name), " has no or more tensors");
      return ReadTensor(from.tensors()->Get(0), &to->payload.emplace<Tensor>());
    case 6: {
      std::vector<float>& floats = to->payload.emplace<std::vector<float>>();
      floats.resize(from.floats() ? from.floats()->size() : 0);
      for (uint32_t i = 0; i < floats.size(); ++i) floats[i] = from.floats()->Get(i);
      break;
    }
    case 7: {
      std::vector<int64_t>& ints = to->payload.emplace<std::vector<int64_t>>();
      ints.resize(from.ints() ? from.ints()->size() : 0);
      for (uint32_t i = 0; i < ints.size(); ++i) ints[i] = IntAt(*from.ints(), i);
      break;
    }
    case 8: {
      std::vector<std::string>& strings = to->payload.emplace<std::vector<std::string>>();
      strings.resize(from.strings() ? from.strings()->size() : 0);
      for (uint32_t i = 0; i < strings.size(); ++i) strings[i] = Text(from.strings()->Get(i));
      break;
    }
    case 9: {
      std::vector<Tensor>& tensors = to->payload.emplace<std::vector<Tensor>>();
      tensors.resize(from.tensors() ? from.tensors()->size() : 0);
      for (uint32_t i = 0; i < tensors.size(); ++i) LINNET_TRY(ReadTensor(from.tensors()->Get(i), &tensors[i]));
      break;
    }
    case 13: {
      LINNET_ASSIGN(to->payload.emplace<Type>(), ReadType(from.type()));
      break;
    }
    default: return InvalidModel("attribute ", Quote(to->name), " has kind ", from.kind(), ", which cannot be here");
  }
  return Status();
}

}  // namespace linnet
