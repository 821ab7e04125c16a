// Attributes of a node that lies in a .linnet file.
#include "graph/node.h"

#include "fixed/fields.h"

namespace linnet {
namespace {

using Fields = fbs::Attribute;

/// ONNX's AttributeProto.AttributeType.
enum AttributeType : uint8_t { kFloat = 1, kInt, kString, kTensor, kFloats = 6, kInts, kStrings, kTypeProto = 13 };

Status WrongType(std::string_view name) { return InvalidModel("attribute ", Quote(name), " has another type than its operator's"); }

/// What a tensor of the file is. Its contents lie in the file too.
Tensor ReadTensor(const void* from, const char* file) {
  const std::byte* blob = fixed::Find(from, fbs::Tensor::VT_BLOB);
  uint64_t offset = 0;
  if (blob) memcpy(&offset, blob, sizeof offset);
  const auto dtype = static_cast<DType>(fixed::Byte(from, fbs::Tensor::VT_DTYPE));
  return Tensor::View(dtype, fixed::ReadShape(fixed::Follow(from, fbs::Tensor::VT_DIMS)), blob ? file + offset : nullptr);
}

}  // namespace

const fbs::Attribute* Node::Find(std::string_view name) const {
  const void* all = fixed::Follow(stored, fbs::Node::VT_ATTRIBUTES);
  for (uint32_t i = 0; i < fixed::Count(all); ++i) {
    const void* one = fixed::Item(all, i);
    std::string_view have = fixed::Text(one, Fields::VT_NAME);
    if (have.size() == prefix.size() + name.size() && have.starts_with(prefix) && have.ends_with(name)) return static_cast<const fbs::Attribute*>(one);
  }
  return nullptr;
}

bool Node::IsFloat(std::string_view name) const {
  const fbs::Attribute* one = Find(name);
  return one && fixed::Byte(one, Fields::VT_KIND) == kFloat;
}

// Each is the same but for the type: found is `one`, of the right kind.
#define LINNET_FIND(name, type, fallback)                             \
  const fbs::Attribute* one = Find(name);                                  \
  if (!one) return fallback;                                          \
  if (fixed::Byte(one, Fields::VT_KIND) != (type)) return WrongType(name)

Result<int64_t> Node::Int(std::string_view name, int64_t fallback) const {
  LINNET_FIND(name, kInt, fallback);
  return fixed::Long(one, Fields::VT_I);
}

Result<float> Node::Float(std::string_view name, float fallback) const {
  LINNET_FIND(name, kFloat, fallback);
  return std::bit_cast<float>(fixed::Int(one, Fields::VT_F));
}

Result<std::string> Node::String(std::string_view name, std::string_view fallback) const {
  LINNET_FIND(name, kString, std::string(fallback));
  return std::string(fixed::Text(one, Fields::VT_S));
}

Result<std::vector<int64_t>> Node::Ints(std::string_view name, std::vector<int64_t> fallback) const {
  LINNET_FIND(name, kInts, fallback);
  const void* ints = fixed::Follow(one, Fields::VT_INTS);
  std::vector<int64_t> all(fixed::Count(ints));
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = fixed::Element<int64_t>(ints, i);
  return all;
}

Result<std::vector<float>> Node::Floats(std::string_view name, std::vector<float> fallback) const {
  LINNET_FIND(name, kFloats, fallback);
  const void* floats = fixed::Follow(one, Fields::VT_FLOATS);
  std::vector<float> all(fixed::Count(floats));
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = fixed::Element<float>(floats, i);
  return all;
}

Result<std::vector<std::string>> Node::Strings(std::string_view name) const {
  LINNET_FIND(name, kStrings, std::vector<std::string>());
  const void* strings = fixed::Follow(one, Fields::VT_STRINGS);
  std::vector<std::string> all(fixed::Count(strings));
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = fixed::ItemText(strings, i);
  return all;
}

Result<Tensor> Node::TensorOf(std::string_view name) const {
  LINNET_FIND(name, kTensor, Tensor());
  return ReadTensor(fixed::Item(fixed::Follow(one, Fields::VT_TENSORS), 0), file);
}

Result<Type> Node::TypeOf(std::string_view name) const {
  LINNET_FIND(name, kTypeProto, Type());
  return fixed::ReadType(fixed::Follow(one, Fields::VT_TYPE));
}

Result<std::shared_ptr<Graph>> Node::GraphOf(std::string_view) const {
  return Fail(Code::kNotInBuild, "bodies of control flow are not in this build");
}

}  // namespace linnet
