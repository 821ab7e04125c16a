// The C boundary: reading and setting the attributes of nodes.
#include "api/lent_graph.h"

const linnet::Node& LinnetNode::node() const { return alone ? *alone : owner->graph.node(id); }

LinnetNode* LinnetGraph::Lend(linnet::NodeId id) {
  LinnetNode& node = nodes[id];
  node.owner = this;
  node.id = id;
  return &node;
}

LinnetGraph* LinnetGraph::LendBody(linnet::Graph& body) {
  for (LinnetGraph& lent : bodies) {
    if (&lent.graph == &body) return &lent;
  }
  return &bodies.emplace_back(body);
}

namespace linnet::api {

Status GiveTensor(const Tensor& tensor, LinnetValue** out) {
  if (!tensor.has_data() && tensor.elements() > 0) return InvalidArgument("the contents of this tensor are not at hand");
  return GiveValue(Datum::Of(tensor), out);
}

namespace {

LinnetAttributeType TypeOf(const Attribute& attribute) {
  constexpr LinnetAttributeType kTypes[] = {
      0, LINNET_ATTRIBUTE_INT, LINNET_ATTRIBUTE_FLOAT, LINNET_ATTRIBUTE_STRING, LINNET_ATTRIBUTE_TENSOR, LINNET_ATTRIBUTE_GRAPH,
      LINNET_ATTRIBUTE_INTS, LINNET_ATTRIBUTE_FLOATS, LINNET_ATTRIBUTE_STRINGS, LINNET_ATTRIBUTE_TENSORS,
      LINNET_ATTRIBUTE_GRAPHS, LINNET_ATTRIBUTE_TYPE};
  static_assert(std::variant_size_v<Attribute::Payload> == sizeof kTypes / sizeof kTypes[0]);
  return kTypes[attribute.payload.index()];
}

/// The payload of an attribute as T; null when the node has no such attribute.
template <class T>
Result<const T*> Payload(const Node& node, const char* name, const char* wanted) {
  LINNET_NOT_NULL(name);
  const Attribute* attribute = node.Find(name);
  if (!attribute) return static_cast<const T*>(nullptr);
  const T* payload = std::get_if<T>(&attribute->payload);
  if (payload) return payload;
  return InvalidArgument("attribute ", Quote(name), " is ", AttributeTypeName(*attribute), " where ", wanted, " is expected");
}

template <class T>
LinnetCode GetList(const LinnetNode* node, const char* name, const char* wanted, const T** values, size_t* count) noexcept {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(values);
    LINNET_NOT_NULL(count);
    LINNET_ASSIGN(const std::vector<T>* list, Payload<std::vector<T>>(found, name, wanted));
    *values = list ? list->data() : nullptr;
    *count = list ? list->size() : 0;
    return Status();
  });
}

LinnetCode SetAttribute(LinnetNode* node, const char* name, Attribute::Payload payload) {
  return EditNode(node, [&](Node& found) -> Status {
    LINNET_NOT_NULL(name);
    found.Set(name, std::move(payload));
    return Status();
  });
}

template <class T>
LinnetCode SetList(LinnetNode* node, const char* name, const T* values, size_t count) noexcept {
  return EditNode(node, [&](Node& found) -> Status {
    LINNET_NOT_NULL(name);
    if (count > 0) LINNET_NOT_NULL(values);
    found.Set(name, std::vector<T>(values, values + count));
    return Status();
  });
}

}  // namespace
}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

LinnetCode LinnetNodeOp(const LinnetNode* node, const char** domain, const char** op, int32_t* version) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    if (domain) *domain = found.domain.c_str();
    if (op) *op = found.op.c_str();
    if (version) *version = found.version;
    return Status();
  });
}

LinnetCode LinnetNodeName(const LinnetNode* node, const char** name) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(name);
    *name = found.name.c_str();
    return Status();
  });
}

LinnetCode LinnetNodeAttributeCount(const LinnetNode* node, size_t* count) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(count);
    *count = found.attributes.size();
    return Status();
  });
}

LinnetCode LinnetNodeAttribute(const LinnetNode* node, size_t index, const char** name,
                               LinnetAttributeType* type) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    if (index >= found.attributes.size()) return InvalidArgument("attribute ", index, " of ", found.attributes.size());
    if (name) *name = found.attributes[index].name.c_str();
    if (type) *type = TypeOf(found.attributes[index]);
    return Status();
  });
}

LinnetCode LinnetNodeGetInt(const LinnetNode* node, const char* name, int64_t fallback, int64_t* value) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(value);
    LINNET_ASSIGN(const int64_t* payload, Payload<int64_t>(found, name, "INT"));
    *value = payload ? *payload : fallback;
    return Status();
  });
}

LinnetCode LinnetNodeGetFloat(const LinnetNode* node, const char* name, float fallback, float* value) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(value);
    LINNET_ASSIGN(const float* payload, Payload<float>(found, name, "FLOAT"));
    *value = payload ? *payload : fallback;
    return Status();
  });
}

LinnetCode LinnetNodeGetString(const LinnetNode* node, const char* name, LinnetString* text) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(text);
    LINNET_ASSIGN(const std::string* payload, Payload<std::string>(found, name, "STRING"));
    *text = payload ? LinnetString{payload->c_str(), payload->size()} : LinnetString{nullptr, 0};
    return Status();
  });
}

LinnetCode LinnetNodeGetInts(const LinnetNode* node, const char* name, const int64_t** values, size_t* count) LINNET_NOEXCEPT {
  return GetList(node, name, "INTS", values, count);
}

LinnetCode LinnetNodeGetFloats(const LinnetNode* node, const char* name, const float** values, size_t* count) LINNET_NOEXCEPT {
  return GetList(node, name, "FLOATS", values, count);
}

LinnetCode LinnetNodeGetTensor(const LinnetNode* node, const char* name, LinnetValue** value) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(value);
    *value = nullptr;
    LINNET_NOT_NULL(name);
    const Attribute* attribute = found.Find(name);
    if (!attribute) return Status();
    if (auto* strings = std::get_if<std::vector<std::string>>(&attribute->payload)) {
      LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(DType::kString, {static_cast<int64_t>(strings->size())}));
      std::copy(strings->begin(), strings->end(), tensor.mutable_as<std::string>());
      return GiveTensor(tensor, value);
    }
    LINNET_ASSIGN(const Tensor* tensor, Payload<Tensor>(found, name, "TENSOR or STRINGS"));
    return GiveTensor(*tensor, value);
  });
}

LinnetCode LinnetNodeSetInt(LinnetNode* node, const char* name, int64_t value) LINNET_NOEXCEPT {
  return SetAttribute(node, name, value);
}

LinnetCode LinnetNodeSetFloat(LinnetNode* node, const char* name, float value) LINNET_NOEXCEPT {
  return SetAttribute(node, name, value);
}

LinnetCode LinnetNodeSetString(LinnetNode* node, const char* name, LinnetString text) LINNET_NOEXCEPT {
  return EditNode(node, [&](Node& found) -> Status {
    LINNET_NOT_NULL(name);
    if (!text.data && text.size > 0) return InvalidArgument("the text is NULL and has ", text.size, " bytes");
    found.Set(name, std::string(text.data ? text.data : "", text.size));
    return Status();
  });
}

LinnetCode LinnetNodeSetInts(LinnetNode* node, const char* name, const int64_t* values, size_t count) LINNET_NOEXCEPT {
  return SetList(node, name, values, count);
}

LinnetCode LinnetNodeSetFloats(LinnetNode* node, const char* name, const float* values, size_t count) LINNET_NOEXCEPT {
  return SetList(node, name, values, count);
}

LinnetCode LinnetNodeSetTensor(LinnetNode* node, const char* name, LinnetValue* tensor) LINNET_NOEXCEPT {
  return EditNode(node, [&](Node& found) -> Status {
    LINNET_NOT_NULL(name);
    LINNET_USE(ValueObject, object, tensor);
    if (!object->datum->type.is_tensor()) {
      return InvalidArgument("an attribute must be a tensor, not ", ToString(object->datum->type));
    }
    found.Set(name, object->datum->tensor);
    return Status();
  });
}

LinnetCode LinnetNodeUnset(LinnetNode* node, const char* name) LINNET_NOEXCEPT {
  return EditNode(node, [&](Node& found) -> Status {
    LINNET_NOT_NULL(name);
    found.Unset(name);
    return Status();
  });
}
