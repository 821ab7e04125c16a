// Attribute access of a node.
#include "graph/graph.h"
#include "graph/names.h"

namespace linnet {
namespace {

constexpr char kTypeNames[][11] = {"UNDEFINED", "INT",     "FLOAT",   "STRING", "TENSOR", "GRAPH",
                                      "INTS",      "FLOATS",  "STRINGS", "TENSORS", "GRAPHS", "TYPE_PROTO"};

template <class T, class Payload>
constexpr size_t kIndexOf = 0;
template <class T, class... Kinds>
constexpr size_t kIndexOf<T, std::variant<Kinds...>> = [] {
  size_t index = 0;
  (void)((std::is_same_v<T, Kinds> ? false : (++index, true)) && ...);
  return index;
}();

Status WrongType(std::string_view name, const Attribute& attribute, size_t wanted) {
  return InvalidModel("attribute ", Quote(name), " is ", AttributeTypeName(attribute), " where ", kTypeNames[wanted], " is expected");
}

template <class T>
Result<T> Get(const Node& node, std::string_view name, T fallback) {
  const Attribute* attribute = node.Find(name);
  if (!attribute) return fallback;
  if (const T* payload = std::get_if<T>(&attribute->payload)) return *payload;
  return WrongType(name, *attribute, kIndexOf<T, Attribute::Payload>);
}

}  // namespace

const char* AttributeTypeName(const Attribute& attribute) { return kTypeNames[attribute.payload.index()]; }

const Attribute* Node::Find(std::string_view attribute_name) const {
  for (const Attribute& attribute : attributes) {
    if (attribute.name == attribute_name) return &attribute;
  }
  return nullptr;
}

Result<int64_t> Node::Int(std::string_view n, int64_t fallback) const { return Get<int64_t>(*this, n, fallback); }
Result<float> Node::Float(std::string_view n, float fallback) const { return Get<float>(*this, n, fallback); }
Result<std::string> Node::String(std::string_view n, std::string_view fallback) const {
  return Get<std::string>(*this, n, std::string(fallback));
}
Result<std::vector<int64_t>> Node::Ints(std::string_view n, std::vector<int64_t> fallback) const {
  return Get<std::vector<int64_t>>(*this, n, std::move(fallback));
}
Result<std::vector<float>> Node::Floats(std::string_view n, std::vector<float> fallback) const {
  return Get<std::vector<float>>(*this, n, std::move(fallback));
}
Result<std::vector<std::string>> Node::Strings(std::string_view n) const {
  return Get<std::vector<std::string>>(*this, n, {});
}
Result<Tensor> Node::TensorOf(std::string_view n) const { return Get<Tensor>(*this, n, {}); }
Result<Type> Node::TypeOf(std::string_view n) const { return Get<Type>(*this, n, {}); }
Result<std::shared_ptr<Graph>> Node::GraphOf(std::string_view n) const {
  return Get<std::shared_ptr<Graph>>(*this, n, nullptr);
}

bool Node::IsFloat(std::string_view n) const {
  const Attribute* attribute = Find(n);
  return attribute && std::holds_alternative<float>(attribute->payload);
}

Node Node::Part(std::string_view part_prefix) const {
  Node part;
  part.name = name;
  part.domain = domain;
  part.op = op;
  part.version = version;
  for (const Attribute& attribute : attributes) {
    if (attribute.name.starts_with(part_prefix)) part.attributes.push_back({attribute.name.substr(part_prefix.size()), attribute.payload});
  }
  return part;
}

void Node::Set(std::string_view attribute_name, Attribute::Payload payload) {
  for (Attribute& attribute : attributes) {
    if (attribute.name == attribute_name) {
      attribute.payload = std::move(payload);
      return;
    }
  }
  attributes.push_back({std::string(attribute_name), std::move(payload)});
}

void Node::Unset(std::string_view attribute_name) {
  for (size_t i = 0; i < attributes.size(); ++i) {
    if (attributes[i].name == attribute_name) {
      attributes.erase(attributes.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
  }
}

std::string Node::Label(const Graph& graph) const {
  std::string label = PlainOrQuoted(domain.empty() ? op : Cat(domain, ":", op));
  if (!name.empty()) return Cat(label, " ", Quote(name));
  for (ValueId out : outputs) {
    if (out == kNoValue) continue;
    const Value& value = graph.value(out);
    // A prepared file may be without names.
    return value.name.empty() ? Cat(label, " (node ", value.producer, ")") : Cat(label, " producing ", Quote(value.name));
  }
  return label;
}

}  // namespace linnet
