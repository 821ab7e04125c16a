// Reading a graph: first every name it defines, then its nodes, so that nodes may come in any order.
#include "ort/graph_reader.h"

#include <algorithm>

#include "graph/names.h"
#include "onnx/graph_reader.h"

namespace linnet::ort {
namespace {

std::string Label(const fbs::Node& node) {
  const std::string_view domain = View(node.domain()), op = View(node.op()), name = View(node.name());
  std::string label = PlainOrQuoted(domain.empty() ? std::string(op) : Cat(domain, ":", op));
  return name.empty() ? label : Cat(label, " ", Quote(name));
}

/// Calls f for each element of a vector, which may be absent.
template <class V, class F>
Status Each(const V* vector, F&& f) {
  for (uint32_t i = 0; vector && i < vector->size(); ++i) LINNET_TRY(f(*vector->Get(i)));
  return Status();
}

}  // namespace

Status GraphReader::ReadRoot(const fbs::Graph& from, Graph& graph) {
  Scope scope{graph, nullptr, 1};
  return ReadGraph(from, scope);
}

Status GraphReader::ReadGraph(const fbs::Graph& from, Scope& scope) {
  if (scope.depth > context_.limits.graph_depth) {
    return LimitReached("graphs are nested deeper than the limit of ", context_.limits.graph_depth);
  }
  Types types;
  LINNET_TRY(Each(from.values(), [&](const fbs::Value& value) -> Status {
    LINNET_ASSIGN(std::string_view name, Name(value.name(), context_));
    types.emplace(name, value.type());
    return Status();
  }));
  LINNET_TRY(ReadInputsAndInitializers(from, types, scope));
  LINNET_TRY(DeclareOutputs(from, scope));
  // Types before nodes: captures take the type of what they capture.
  for (const auto& [name, type] : types) {
    auto named = scope.names.find(name);
    if (named == scope.names.end() || scope.graph.value(named->second).type.kind != Kind::kUnknown) continue;
    Result<Type> read = ReadType(type, scope.graph.symbols(), context_);
    if (!read.ok()) return read.TakeStatus().At(Cat("type of value ", Quote(name)));
    scope.graph.SetType(named->second, *read);
  }
  LINNET_TRY(Each(from.nodes(), [&](const fbs::Node& node) { return ReadNode(node, scope).At(Label(node)); }));
  return Each(from.outputs(), [&](const flatbuffers::String& output) -> Status {
    const std::string_view name = View(&output);
    if (name.empty()) return InvalidModel("an output of the graph has no name");
    Result<ValueId> id = Resolve(name, scope);
    if (!id.ok()) return id.TakeStatus().At(Cat("output ", Quote(name), " of the graph"));
    scope.graph.AddOutput(*id);
    return Status();
  });
}

Result<ValueId> GraphReader::NewValue(std::string_view name, Scope& scope) {
  LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Value) + name.size())));
  return scope.graph.AddValue(std::string(name));
}

Status GraphReader::ReadInputsAndInitializers(const fbs::Graph& from, const Types& types, Scope& scope) {
  Graph& graph = scope.graph;
  struct Initializer {
    std::string_view name;
    Tensor tensor;
  };
  std::vector<Initializer> initializers;
  std::unordered_set<std::string_view> initialized;
  auto add = [&](const flatbuffers::String* text, Result<Tensor> tensor) -> Status {
    if (!tensor.ok()) return tensor.TakeStatus();
    LINNET_ASSIGN(std::string_view name, Name(text, context_));
    if (name.empty()) return InvalidModel("an initializer has no name");
    if (!initialized.insert(name).second) return InvalidModel("two initializers are named ", Quote(name));
    initializers.push_back({name, std::move(*tensor)});
    return Status();
  };
  LINNET_TRY(Each(from.initializers(), [&](const fbs::Tensor& tensor) { return add(tensor.name(), ReadTensor(tensor, context_)); }));
  LINNET_TRY(Each(from.sparse_initializers(), [&](const fbs::SparseTensor& tensor) {
    return add(tensor.values() ? tensor.values()->name() : nullptr, ReadSparseTensor(tensor, context_));
  }));
  LINNET_TRY(Each(from.inputs(), [&](const flatbuffers::String& input) -> Status {
    LINNET_ASSIGN(std::string_view name, Name(&input, context_));
    if (name.empty()) return InvalidModel("an input of the graph has no name");
    // Up to IR version 3 every initializer had to be listed as an input too, which said nothing about feeding it.
    if (initialized.contains(name) && info_.ir_version <= 3) return Status();
    auto [place, is_new] = scope.names.try_emplace(name);
    if (!is_new) return InvalidModel("two inputs are named ", Quote(name));
    auto type = types.find(name);
    Result<Type> read = ReadType(type == types.end() ? nullptr : type->second, graph.symbols(), context_);
    if (!read.ok()) return read.TakeStatus().At(Cat("type of value ", Quote(name)));
    LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Value) + name.size())));
    place->second = graph.AddInput(std::string(name), *read);
    return Status();
  }));
  for (Initializer& initializer : initializers) {
    auto [place, is_new] = scope.names.try_emplace(initializer.name);
    if (is_new) {
      LINNET_ASSIGN(place->second, NewValue(initializer.name, scope));
      graph.SetConstant(place->second, std::move(initializer.tensor));
      continue;
    }
    const ValueId id = place->second;
    LINNET_TRY(onnx::SetDefault(graph, id, std::move(initializer.tensor)));
    scope.default_inputs.insert(id);
  }
  return Status();
}

Status GraphReader::DeclareOutputs(const fbs::Graph& from, Scope& scope) {
  return Each(from.nodes(), [&](const fbs::Node& node) -> Status {
    if (++nodes_ > context_.limits.nodes) {
      return LimitReached("the model has more nodes than the limit of ", context_.limits.nodes);
    }
    return Each(node.outputs(), [&](const flatbuffers::String& output) -> Status {
      LINNET_ASSIGN(std::string_view name, Name(&output, context_));
      if (name.empty()) return Status();
      auto [place, is_new] = scope.names.try_emplace(name);
      if (!is_new) {
        return InvalidModel("value ", Quote(name), ", made by ", Label(node), ", is an input, a constant or made by another node too");
      }
      LINNET_ASSIGN(place->second, NewValue(name, scope));
      return Status();
    });
  });
}

Result<ValueId> GraphReader::Resolve(std::string_view name, Scope& scope) {
  auto found = scope.names.find(name);
  if (found != scope.names.end()) return found->second;
  if (!scope.outer) return InvalidModel("nothing defines the value ", Quote(name));
  LINNET_ASSIGN(ValueId outside, Resolve(name, *scope.outer));
  const Value& value = scope.outer->graph.value(outside);
  LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Value) + value.name.size())));
  ValueId inside;
  if (value.is_constant && !scope.outer->default_inputs.contains(outside)) {
    inside = scope.graph.AddConstant(value.name, value.constant);
  } else {
    inside = scope.graph.AddCapture(value.name, value.type);
    scope.captured.push_back(outside);
  }
  scope.names.emplace(name, inside);
  return inside;
}

Status GraphReader::ReadNode(const fbs::Node& from, Scope& scope) {
  Node node;
  LINNET_ASSIGN(std::string_view op, Name(from.op(), context_));
  LINNET_ASSIGN(std::string_view domain, Name(from.domain(), context_));
  LINNET_ASSIGN(std::string_view name, Name(from.name(), context_));
  node.op = op;
  node.domain = domain == "ai.onnx" ? std::string_view() : domain;
  node.name = name;
  node.version = from.since_version();
  if (node.op.empty()) return InvalidModel("a node has no operator");
  if (node.version < 1) return InvalidModel("version ", node.version, " of an operator");
  for (const auto& [imported, version] : info_.opsets) {
    if (imported == node.domain) node.version = std::max(node.version, static_cast<int>(version));
  }
  if (from.fused() != 0) {
    return Unsupported("a node that was compiled for ", Quote(View(from.provider())),
                       ": make the file with the CPU's execution provider");
  }
  LINNET_TRY(Each(from.inputs(), [&](const flatbuffers::String& input) -> Status {
    ValueId id = kNoValue;
    if (input.size() > 0) {
      Result<ValueId> named = Resolve(View(&input), scope);
      if (!named.ok()) return named.TakeStatus().At(Cat("input ", node.inputs.size()));
      id = *named;
    }
    LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Use) + 2 * sizeof(ValueId))));
    node.inputs.push_back(id);
    return Status();
  }));
  while (!node.inputs.empty() && node.inputs.back() == kNoValue) node.inputs.pop_back();
  LINNET_TRY(Each(from.outputs(), [&](const flatbuffers::String& output) -> Status {
    node.outputs.push_back(output.size() == 0 ? kNoValue : scope.names[View(&output)]);
    return Status();
  }));
  const int64_t attributes = from.attributes() ? from.attributes()->size() : 0;
  if (attributes > context_.limits.attributes_per_node) {
    return LimitReached("it has ", attributes, " attributes; the limit is ", context_.limits.attributes_per_node);
  }
  LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Node)) + attributes * static_cast<int64_t>(sizeof(Attribute))));
  LINNET_TRY(Each(from.attributes(), [&](const fbs::Attribute& each) -> Status {
    LINNET_ASSIGN(Attribute attribute, ReadAttribute(each, scope, node.captures));
    if (node.Has(attribute.name)) return InvalidModel("attribute ", Quote(attribute.name), " is given twice");
    node.attributes.push_back(std::move(attribute));
    return Status();
  }));
  LINNET_TRY(context_.Charge(static_cast<int64_t>(node.captures.size() * (sizeof(Use) + 2 * sizeof(ValueId)))));
  return scope.graph.AddNode(std::move(node)).TakeStatus();
}

Result<Attribute> GraphReader::ReadAttribute(const fbs::Attribute& from, Scope& scope, std::vector<ValueId>& captures) {
  LINNET_ASSIGN(std::string_view name, Name(from.name(), context_));
  if (name.empty()) return InvalidModel("an attribute has no name");
  Result<Attribute::Payload> payload = ReadPayload(from, scope, captures);
  if (!payload.ok()) return payload.TakeStatus().At(Cat("attribute ", Quote(name)));
  return Attribute{std::string(name), std::move(*payload)};
}

Result<Attribute::Payload> GraphReader::ReadPayload(const fbs::Attribute& from, Scope& scope, std::vector<ValueId>& captures) {
  // AttributeProto.AttributeType.
  enum : int { kFloat = 1, kInt, kString, kTensor, kGraph, kFloats, kInts, kStrings, kTensors, kGraphs };
  auto charge = [&](const auto* vector, size_t each) {
    return context_.Charge(vector ? static_cast<int64_t>(vector->size() * each) : 0);
  };
  switch (from.kind()) {
    case kFloat: return Attribute::Payload(from.f());
    case kInt: return Attribute::Payload(from.i());
    case kString:
      LINNET_TRY(charge(from.s(), 1));
      return Attribute::Payload(std::string(View(from.s())));
    case kTensor: {
      if (!from.tensor()) return InvalidModel("TENSOR without contents");
      LINNET_ASSIGN(Tensor tensor, ReadTensor(*from.tensor(), context_));
      return Attribute::Payload(std::move(tensor));
    }
    case kGraph: {
      if (!from.graph()) return InvalidModel("GRAPH without contents");
      LINNET_ASSIGN(std::shared_ptr<Graph> graph, ReadSubgraph(*from.graph(), scope, captures));
      return Attribute::Payload(std::move(graph));
    }
    case kFloats: {
      LINNET_TRY(charge(from.floats(), sizeof(float)));
      std::vector<float> floats;
      if (from.floats()) floats.assign(from.floats()->begin(), from.floats()->end());
      return Attribute::Payload(std::move(floats));
    }
    case kInts:
      LINNET_TRY(charge(from.ints(), sizeof(int64_t)));
      return Attribute::Payload(Ints(from.ints()));
    case kStrings: {
      LINNET_TRY(charge(from.strings(), sizeof(std::string)));
      std::vector<std::string> strings;
      LINNET_TRY(Each(from.strings(), [&](const flatbuffers::String& text) -> Status {
        LINNET_TRY(context_.Charge(text.size()));
        strings.emplace_back(View(&text));
        return Status();
      }));
      return Attribute::Payload(std::move(strings));
    }
    case kTensors: {
      LINNET_TRY(charge(from.tensors(), sizeof(Tensor)));
      std::vector<Tensor> tensors;
      LINNET_TRY(Each(from.tensors(), [&](const fbs::Tensor& each) -> Status {
        LINNET_ASSIGN(Tensor tensor, ReadTensor(each, context_));
        tensors.push_back(std::move(tensor));
        return Status();
      }));
      return Attribute::Payload(std::move(tensors));
    }
    case kGraphs: {
      std::vector<std::shared_ptr<Graph>> graphs;
      LINNET_TRY(Each(from.graphs(), [&](const fbs::Graph& each) -> Status {
        LINNET_ASSIGN(std::shared_ptr<Graph> graph, ReadSubgraph(each, scope, captures));
        graphs.push_back(std::move(graph));
        return Status();
      }));
      return Attribute::Payload(std::move(graphs));
    }
    default: return Unsupported("attributes of kind ", from.kind(), " (known are 1 to 10)");
  }
}

Result<std::shared_ptr<Graph>> GraphReader::ReadSubgraph(const fbs::Graph& from, Scope& scope, std::vector<ValueId>& captures) {
  LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Graph))));
  auto graph = std::make_shared<Graph>(scope.graph.shared_symbols());
  Scope inner{*graph, &scope, scope.depth + 1};
  LINNET_TRY(ReadGraph(from, inner));
  captures.insert(captures.end(), inner.captured.begin(), inner.captured.end());
  return graph;
}

}  // namespace linnet::ort
