// The C boundary: values, and tensors in callers' memory.
#include <string.h>

#include <algorithm>

#include "api/c_api.h"

namespace linnet::api {

Result<Type> FromInfo(const LinnetTypeInfo& info) {
  Type type;
  if (info.kind < LINNET_KIND_UNKNOWN || info.kind > LINNET_KIND_SEQUENCE_OF_MAPS) {
    return InvalidArgument("there is no kind ", info.kind);
  }
  for (LinnetElementType element : {info.element, info.key}) {
    if (element < 0 || element >= kDTypeCount) return InvalidArgument("there is no element type ", element);
  }
  if (info.rank < -1 || info.rank > kMaxRank) return InvalidArgument("rank ", info.rank, " is not within -1 and ", kMaxRank);
  type.kind = static_cast<Kind>(info.kind);
  type.dtype = static_cast<DType>(info.element);
  type.key = static_cast<DType>(info.key);
  if (info.rank >= 0) type.shape = Shape(std::span<const int64_t>(info.shape, static_cast<size_t>(info.rank)));
  LINNET_TRY(CheckShape(type.shape));
  return type;
}

Result<Type> TensorType(LinnetElementType type, const int64_t* shape, int32_t rank) {
  if (!IsKnown(type)) return InvalidArgument("there is no element type ", type);
  if (rank < 0 || rank > kMaxRank) return InvalidArgument("rank ", rank, " is not within 0 and ", kMaxRank);
  if (rank > 0 && !shape) return InvalidArgument("the shape is NULL and the rank ", rank);
  for (int32_t d = 0; d < rank; ++d) {
    if (shape[d] < 0) return InvalidArgument("dimension ", d, " is ", shape[d]);
  }
  Type made = Type::Tensor(static_cast<DType>(type), Shape(std::span<const int64_t>(shape, static_cast<size_t>(rank))));
  LINNET_TRY(CheckShape(made.shape));
  LINNET_TRY(ByteSize(made.dtype, made.shape.elements()).TakeStatus());
  return made;
}

Result<int64_t> CallerBytes(DType dtype, int64_t elements) {
  if (dtype != DType::kString) return ByteSize(dtype, elements);
  int64_t bytes;
  if (!CheckedMul(elements, static_cast<int64_t>(sizeof(LinnetString)), &bytes)) {
    return LimitReached(elements, " strings have too many bytes");
  }
  return bytes;
}

bool BoolsAreValid(const void* data, int64_t count) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  unsigned char all = 0;
  for (int64_t i = 0; i < count; ++i) all |= bytes[i];
  return all <= 1;
}

Result<Tensor> CopyIn(const Type& type, const void* data, MemoryBudget* budget) {
  LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(type.dtype, type.shape, budget));
  int64_t elements = type.shape.elements();
  if (type.dtype != DType::kString) {
    if (data && elements > 0) {
      memcpy(tensor.mutable_data(), data, static_cast<size_t>(tensor.bytes()));
    } else if (elements > 0) {
      memset(tensor.mutable_data(), 0, static_cast<size_t>(tensor.bytes()));
    }
    if (type.dtype == DType::kBool && !BoolsAreValid(tensor.data(), elements)) {
      return InvalidArgument("a bool element is neither 0 nor 1");
    }
    return tensor;
  }
  for (int64_t i = 0; data && i < elements; ++i) {
    LinnetString text;
    memcpy(&text, static_cast<const std::byte*>(data) + i * static_cast<int64_t>(sizeof text), sizeof text);
    if (!text.data && text.size > 0) return InvalidArgument("string ", i, " is NULL and has ", text.size, " bytes");
    if (text.size > INT32_MAX) return LimitReached("string ", i, " has ", text.size, " bytes");
    tensor.mutable_as<std::string>()[i].assign(text.data ? text.data : "", text.size);
  }
  return tensor;
}

Status GiveValue(Datum datum, LinnetValue** out) {
  return GiveHandle(std::make_unique<ValueObject>(std::make_shared<const Datum>(std::move(datum))), out);
}

namespace {

Result<Datum> SequenceOf(LinnetElementType element, LinnetValue* const* handles, size_t count) {
  if (element < 0 || element >= kDTypeCount) return InvalidArgument("there is no element type ", element);
  if (count > 0 && !handles) return InvalidArgument("the items are NULL and their count ", count);
  if (count == 0 && element == LINNET_UNDEFINED) return InvalidArgument("a sequence without items needs an element type");
  Datum sequence;
  sequence.type = Type::Sequence(static_cast<DType>(element));
  sequence.items.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    Use<ValueObject> item(handles[i]);
    if (!item) return InvalidArgument("item ", i, " is no open value handle");
    const Type& type = item->datum->type;
    bool first = i == 0 && element == LINNET_UNDEFINED;
    if (first && type.kind == Kind::kMap) sequence.type = {Kind::kSequenceOfMaps, type.dtype, type.key, Shape()};
    if (first) sequence.type.dtype = type.dtype;
    Kind wanted = sequence.type.kind == Kind::kSequence ? Kind::kTensor : Kind::kMap;
    if (type.kind != wanted || type.dtype != sequence.type.dtype || type.key != sequence.type.key) {
      return InvalidArgument("item ", i, " is ", ToString(type), " in a sequence of type ", ToString(sequence.type));
    }
    sequence.items.push_back(*item->datum);
  }
  return sequence;
}

Result<Datum> MapOf(const Datum& keys, const Datum& values) {
  auto flat = [](const Datum& datum) { return datum.type.is_tensor() && datum.type.shape.rank() == 1; };
  if (!flat(keys) || !flat(values)) return InvalidArgument("keys and values of a map must be tensors of rank 1");
  if (keys.type.dtype != DType::kString && !IsInteger(keys.type.dtype)) {
    return InvalidArgument("keys of a map must be strings or integers, not ", DTypeName(keys.type.dtype));
  }
  if (keys.type.shape[0] != values.type.shape[0]) {
    return InvalidArgument("a map of ", keys.type.shape[0], " keys has ", values.type.shape[0], " values");
  }
  Datum map;
  map.type = {Kind::kMap, values.type.dtype, keys.type.dtype, Shape()};
  map.keys = keys.tensor;
  map.tensor = values.tensor;
  return map;
}

Result<Datum> OptionalOf(const Datum& item) {
  if (item.type.kind != Kind::kTensor && item.type.kind != Kind::kSequence) {
    return InvalidArgument("an optional holds a tensor or a sequence, not ", ToString(item.type));
  }
  Datum optional = item;
  optional.type.kind = item.type.is_tensor() ? Kind::kOptional : Kind::kOptionalSequence;
  optional.type.shape = Shape();
  return optional;
}

/// What an optional that is present holds.
Datum Unwrap(const Datum& optional) {
  Datum inner = optional;
  if (optional.type.kind == Kind::kOptional) return Datum::Of(optional.tensor);
  inner.type.kind = Kind::kSequence;
  return inner;
}

int64_t CountOf(const Datum& datum) {
  switch (datum.type.kind) {
    case Kind::kTensor: return datum.type.shape.elements();
    case Kind::kMap: return datum.keys.elements();
    case Kind::kOptional:
    case Kind::kOptionalSequence: return datum.present ? 1 : 0;
    default: return static_cast<int64_t>(datum.items.size());
  }
}

/// Gives the result of `make`, a Result<Datum>, as a value.
LinnetCode GiveMade(LinnetValue** value, FunctionRef<Result<Datum>()> make) noexcept {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(value);
    *value = nullptr;
    LINNET_ASSIGN(Datum datum, make());
    return GiveValue(std::move(datum), value);
  });
}

/// The same for a part of another value, which `make` is given.
LinnetCode GivePart(LinnetValue* whole, LinnetValue** value, FunctionRef<Result<Datum>(const Datum&)> make) noexcept {
  return GiveMade(value, [&]() -> Result<Datum> {
    LINNET_USE(ValueObject, object, whole);
    return make(*object->datum);
  });
}

}  // namespace
}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

int64_t LinnetTensorBytes(LinnetElementType type, int64_t elements) LINNET_NOEXCEPT {
  int64_t bytes = -1;
  Guard([&]() -> Status {
    if (!IsKnown(type) || elements < 0) return Status();
    Result<int64_t> result = CallerBytes(static_cast<DType>(type), elements);
    if (result.ok()) bytes = *result;
    return Status();
  });
  return bytes;
}

LinnetCode LinnetTensorCreate(LinnetElementType type, const int64_t* shape, int32_t rank, const void* data,
                              LinnetValue** value) LINNET_NOEXCEPT {
  return GiveMade(value, [&]() -> Result<Datum> {
    LINNET_ASSIGN(Type made, TensorType(type, shape, rank));
    LINNET_ASSIGN(Tensor tensor, CopyIn(made, data, nullptr));
    return Datum::Of(std::move(tensor));
  });
}

LinnetCode LinnetTensorView(LinnetElementType type, const int64_t* shape, int32_t rank, const void* data,
                            void (*release)(void* user), void* user, LinnetValue** value) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(value);
    *value = nullptr;
    LINNET_ASSIGN(Type made, TensorType(type, shape, rank));
    if (made.dtype == DType::kString) return InvalidArgument("a tensor of strings cannot be a view; copy it");
    if (!data && made.shape.elements() > 0) return InvalidArgument("the data of ", ToString(made), " is NULL");
    if (!IsAligned(data, made.dtype)) {
      return InvalidArgument("the data of ", ToString(made), " is not aligned to ", AlignmentOf(made.dtype), " bytes");
    }
    if (made.dtype == DType::kBool && !BoolsAreValid(data, made.shape.elements())) {
      return InvalidArgument("a bool element is neither 0 nor 1");
    }
    struct Owner {
      void (*release)(void*) = nullptr;
      void* user = nullptr;
      ~Owner() {
        if (release) release(user);
      }
    };
    auto owner = std::make_shared<Owner>();
    LINNET_TRY(GiveValue(Datum::Of(Tensor::View(made.dtype, made.shape, data, owner)), value));
    owner->user = user;
    owner->release = release;
    return Status();
  });
}

LinnetCode LinnetSequenceCreate(LinnetElementType element, LinnetValue* const* items, size_t count,
                                LinnetValue** value) LINNET_NOEXCEPT {
  return GiveMade(value, [&] { return SequenceOf(element, items, count); });
}

LinnetCode LinnetMapCreate(LinnetValue* keys, LinnetValue* values, LinnetValue** value) LINNET_NOEXCEPT {
  return GiveMade(value, [&]() -> Result<Datum> {
    LINNET_USE(ValueObject, key_object, keys);
    LINNET_USE(ValueObject, value_object, values);
    return MapOf(*key_object->datum, *value_object->datum);
  });
}

LinnetCode LinnetOptionalCreate(LinnetValue* item, LinnetValue** value) LINNET_NOEXCEPT {
  return GivePart(item, value, [](const Datum& datum) { return OptionalOf(datum); });
}

LinnetCode LinnetOptionalEmpty(LinnetKind kind, LinnetElementType element, LinnetValue** value) LINNET_NOEXCEPT {
  return GiveMade(value, [&]() -> Result<Datum> {
    if (kind != LINNET_KIND_OPTIONAL && kind != LINNET_KIND_OPTIONAL_SEQUENCE) {
      return InvalidArgument("kind ", kind, " is not that of an optional");
    }
    if (!IsKnown(element)) return InvalidArgument("there is no element type ", element);
    Datum optional;
    optional.type = {static_cast<Kind>(kind), static_cast<DType>(element), DType::kUndefined, Shape()};
    optional.present = false;
    return optional;
  });
}

LinnetCode LinnetValueType(LinnetValue* value, LinnetTypeInfo* type) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(type);
    LINNET_USE(ValueObject, object, value);
    *type = ToInfo(object->datum->type);
    return Status();
  });
}

LinnetCode LinnetValueData(LinnetValue* value, const void** data, size_t* bytes) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(data);
    LINNET_USE(ValueObject, object, value);
    const Datum& datum = *object->datum;
    if (!datum.type.is_tensor() || datum.type.dtype == DType::kString) {
      return InvalidArgument("a value of type ", ToString(datum.type), " has no data to point at");
    }
    *data = datum.tensor.data();
    if (bytes) *bytes = static_cast<size_t>(datum.tensor.bytes());
    return Status();
  });
}

LinnetCode LinnetValueString(LinnetValue* value, size_t index, LinnetString* text) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(text);
    LINNET_USE(ValueObject, object, value);
    const Datum& datum = *object->datum;
    if (!datum.type.is_tensor() || datum.type.dtype != DType::kString) {
      return InvalidArgument("a value of type ", ToString(datum.type), " has no strings");
    }
    if (index >= static_cast<size_t>(datum.tensor.elements())) {
      return InvalidArgument("string ", index, " of ", datum.tensor.elements());
    }
    const std::string& found = datum.tensor.as<std::string>()[index];
    *text = {found.c_str(), found.size()};
    return Status();
  });
}

LinnetCode LinnetValueCount(LinnetValue* value, size_t* count) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(count);
    LINNET_USE(ValueObject, object, value);
    *count = static_cast<size_t>(CountOf(*object->datum));
    return Status();
  });
}

LinnetCode LinnetValueItem(LinnetValue* value, size_t index, LinnetValue** item) LINNET_NOEXCEPT {
  return GivePart(value, item, [&](const Datum& datum) -> Result<Datum> {
    if (datum.type.kind == Kind::kTensor || datum.type.kind == Kind::kMap) {
      return InvalidArgument("a value of type ", ToString(datum.type), " has no items");
    }
    if (index >= static_cast<size_t>(CountOf(datum))) return InvalidArgument("item ", index, " of ", CountOf(datum));
    if (datum.type.kind == Kind::kOptional || datum.type.kind == Kind::kOptionalSequence) return Unwrap(datum);
    return datum.items[index];
  });
}

LinnetCode LinnetMapKeys(LinnetValue* map, LinnetValue** keys) LINNET_NOEXCEPT {
  return GivePart(map, keys, [](const Datum& datum) -> Result<Datum> {
    if (datum.type.kind != Kind::kMap) return InvalidArgument("a value of type ", ToString(datum.type), " has no keys");
    return Datum::Of(datum.keys);
  });
}

LinnetCode LinnetMapValues(LinnetValue* map, LinnetValue** values) LINNET_NOEXCEPT {
  return GivePart(map, values, [](const Datum& datum) -> Result<Datum> {
    if (datum.type.kind != Kind::kMap) return InvalidArgument("a value of type ", ToString(datum.type), " has no map values");
    return Datum::Of(datum.tensor);
  });
}

LinnetCode LinnetValueClose(LinnetValue* value) LINNET_NOEXCEPT { return Close<ValueObject>(value); }
