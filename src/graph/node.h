// Node: one call of an operator, as operators see it when they parse their attributes.
//
// In a graph it owns all it says. In a build for plans alone (LINNET_PLANS_ONLY) there is no graph: a node is a look at what
// lies in the file, with the same names for the same questions (fixed/node.cc).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "graph/tensor.h"

namespace linnet {

using ValueId = int32_t;
using NodeId = int32_t;
inline constexpr ValueId kNoValue = -1;
inline constexpr NodeId kNoNode = -1;

class Graph;

#if defined(LINNET_PLANS_ONLY)

struct Attribute;   ///< of graphs, which are not there
namespace fbs {
struct Node;
struct Attribute;
}  // namespace fbs

struct Node {
  std::string_view name, domain, op;
  int version = 0;
  std::span<const ValueId> inputs, outputs;
  const fbs::Node* stored = nullptr;
  const char* file = nullptr;         ///< where the file begins that `stored` lies in
  std::string_view prefix;            ///< of the attributes that are looked at

  bool Has(std::string_view attribute_name) const { return Find(attribute_name) != nullptr; }
  bool IsFloat(std::string_view attribute_name) const;
  Result<int64_t> Int(std::string_view attribute_name, int64_t fallback) const;
  Result<float> Float(std::string_view attribute_name, float fallback) const;
  Result<std::string> String(std::string_view attribute_name, std::string_view fallback) const;
  Result<std::vector<int64_t>> Ints(std::string_view attribute_name, std::vector<int64_t> fallback = {}) const;
  Result<std::vector<float>> Floats(std::string_view attribute_name, std::vector<float> fallback = {}) const;
  Result<std::vector<std::string>> Strings(std::string_view attribute_name) const;
  Result<Tensor> TensorOf(std::string_view attribute_name) const;
  Result<Type> TypeOf(std::string_view attribute_name) const;
  Result<std::shared_ptr<Graph>> GraphOf(std::string_view attribute_name) const;
  Node Part(std::string_view part_prefix) const {
    Node part = *this;
    part.prefix = part_prefix;
    return part;
  }

 private:
  const fbs::Attribute* Find(std::string_view attribute_name) const;
};

#else

/// An attribute. The payload's C++ type is its ONNX type:
///   INT int64_t · FLOAT float · STRING std::string · TENSOR Tensor · GRAPH shared_ptr<Graph> · INTS · FLOATS · STRINGS ·
///   TENSORS · GRAPHS · TYPE_PROTO Type
struct Attribute {
  using Payload =
      std::variant<std::monostate, int64_t, float, std::string, Tensor, std::shared_ptr<Graph>, std::vector<int64_t>,
                   std::vector<float>, std::vector<std::string>, std::vector<Tensor>,
                   std::vector<std::shared_ptr<Graph>>, Type>;
  std::string name;
  Payload payload;
};

/// "INT", "FLOATS", ...: ONNX's name of the payload's type.
const char* AttributeTypeName(const Attribute& attribute);

struct Node {
  std::string name;
  std::string domain;          ///< "" is ai.onnx
  std::string op;
  int version = 0;             ///< opset version of `domain` the node is written in
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  std::vector<ValueId> captures;
  std::vector<Attribute> attributes;
  bool alive = true;

  const Attribute* Find(std::string_view attribute_name) const;
  bool Has(std::string_view attribute_name) const { return Find(attribute_name) != nullptr; }
  bool IsFloat(std::string_view attribute_name) const;

  /// Typed attribute access: the fallback when absent, a failure naming the attribute when it has another type.
  Result<int64_t> Int(std::string_view attribute_name, int64_t fallback) const;
  Result<float> Float(std::string_view attribute_name, float fallback) const;
  Result<std::string> String(std::string_view attribute_name, std::string_view fallback) const;
  Result<std::vector<int64_t>> Ints(std::string_view attribute_name, std::vector<int64_t> fallback = {}) const;
  Result<std::vector<float>> Floats(std::string_view attribute_name, std::vector<float> fallback = {}) const;
  Result<std::vector<std::string>> Strings(std::string_view attribute_name) const;
  Result<Tensor> TensorOf(std::string_view attribute_name) const;           ///< null-data tensor when absent
  Result<Type> TypeOf(std::string_view attribute_name) const;               ///< of kind kUnknown when absent
  Result<std::shared_ptr<Graph>> GraphOf(std::string_view attribute_name) const;  ///< null when absent
  /// A node of this operator, version and name with the attributes whose names begin with `part_prefix`, without it.
  Node Part(std::string_view part_prefix) const;
  void Set(std::string_view attribute_name, Attribute::Payload payload);
  void Unset(std::string_view attribute_name);

  /// "Conv 'layer1/conv'" or "Conv producing 'x'": how messages name a node.
  std::string Label(const Graph& graph) const;
  bool Is(std::string_view op_name, std::string_view domain_name = "") const {
    return alive && op == op_name && domain == domain_name;
  }

 private:
  friend class Graph;
  std::vector<int32_t> use_slots_;  ///< position of each input's and capture's Use in its value's list
};

#endif

}  // namespace linnet
