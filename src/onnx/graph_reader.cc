// Reading a graph: first every name it defines, then its nodes, so that nodes may come in any order.
#include "onnx/graph_reader.h"

#include <algorithm>

namespace linnet::onnx {

Status GraphReader::ReadRoot(std::string_view message, Graph& graph) {
  Scope scope{graph, nullptr, nullptr, 1, nullptr};
  scope.home = &scope;
  return ReadGraph(message, scope);
}

GraphReader::GraphView GraphReader::ReadGraphView(std::string_view bytes) {
  GraphView view;
  Message message(bytes, context_.cursor);
  while (message.Next()) {
    switch (message.field()) {
      case graph::kNode: view.nodes.push_back(message.Bytes()); break;
      case graph::kName: view.name = message.Bytes(); break;
      case graph::kInitializer: view.initializers.push_back(message.Bytes()); break;
      case graph::kSparseInitializer: view.sparse_initializers.push_back(message.Bytes()); break;
      case graph::kInput: view.inputs.push_back(message.Bytes()); break;
      case graph::kOutput: view.outputs.push_back(message.Bytes()); break;
      case graph::kValueInfo: view.value_infos.push_back(message.Bytes()); break;
      default: message.Skip();
    }
  }
  return view;
}

Status GraphReader::ReadGraph(std::string_view message, Scope& scope) {
  if (scope.depth > context_.limits.graph_depth) {
    return LimitReached("graphs are nested deeper than the limit of ", context_.limits.graph_depth);
  }
  GraphView view = ReadGraphView(message);
  LINNET_TRY(context_.CheckName(view.name));
  scope.graph.name = view.name;
  LINNET_TRY(ReadInputsAndInitializers(view, scope));
  LINNET_TRY(DeclareOutputs(view.nodes, scope));
  // Types before nodes: captures take the type of what they capture.
  LINNET_TRY(ReadTypes(view.outputs, scope));
  LINNET_TRY(ReadTypes(view.value_infos, scope));
  LINNET_TRY(ReadNodes(view.nodes, scope));
  return ReadOutputs(view, scope);
}

Result<ValueId> GraphReader::NewValue(std::string_view name, Scope& scope) {
  LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Value) + name.size())));
  return scope.graph.AddValue(std::string(name));
}

// Inputs, initializers, outputs -----------------------------------------------------------------------------------

Status GraphReader::ReadInputsAndInitializers(const GraphView& view, Scope& scope) {
  Graph& graph = scope.graph;
  std::vector<NamedTensor> initializers;
  std::unordered_map<std::string_view, size_t> index;
  for (const auto* list : {&view.initializers, &view.sparse_initializers}) {
    for (std::string_view message : *list) {
      NamedTensor initializer;
      if (list == &view.initializers) {
        context_.any_address = context_.initializers_anywhere;
        Result<NamedTensor> read = ReadTensor(message, context_);
        context_.any_address = false;
        if (!read.ok()) return read.TakeStatus();
        initializer = std::move(*read);
      } else {
        LINNET_ASSIGN(initializer, ReadSparseTensor(message, context_));
      }
      if (initializer.name.empty()) return InvalidModel("an initializer has no name");
      if (!index.emplace(initializer.name, initializers.size()).second) {
        return InvalidModel("two initializers are named ", Quote(initializer.name));
      }
      initializers.push_back(std::move(initializer));
    }
  }
  for (std::string_view message : view.inputs) {
    LINNET_ASSIGN(NamedType input, ReadValueInfo(message, graph.symbols(), context_));
    if (input.name.empty()) return InvalidModel("an input of graph ", Quote(view.name), " has no name");
    auto initializer = index.find(input.name);
    // Up to IR version 3 every initializer had to be listed as an input too, which said nothing about feeding it.
    if (initializer != index.end() && ir_version_ <= 3) continue;
    auto [place, is_new] = scope.names.try_emplace(input.name);
    if (!is_new) return InvalidModel("two inputs are named ", Quote(input.name));
    LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Value) + input.name.size())));
    place->second.id = graph.AddInput(std::string(input.name), input.type);
  }
  for (NamedTensor& initializer : initializers) {
    auto [place, is_new] = scope.names.try_emplace(initializer.name);
    if (is_new) {
      LINNET_ASSIGN(place->second.id, NewValue(initializer.name, scope));
      graph.SetConstant(place->second.id, std::move(initializer.tensor));
      continue;
    }
    ValueId id = place->second.id;
    LINNET_TRY(SetDefault(graph, id, std::move(initializer.tensor)));
    scope.default_inputs.insert(id);
  }
  return Status();
}

Status SetDefault(Graph& graph, ValueId id, Tensor contents) {
  Type declared = graph.value(id).type;
  if (declared.kind == Kind::kUnknown || declared.dtype == DType::kUndefined) declared = contents.type();
  if (declared.kind != Kind::kTensor || declared.dtype != contents.dtype()) {
    return InvalidModel("input ", Quote(graph.value(id).name), " is ", ToString(declared, &graph.symbols()),
                        " and has a default of type ", ToString(contents.type()));
  }
  graph.SetConstant(id, std::move(contents));
  graph.SetType(id, declared);
  return Status();
}

Status GraphReader::ReadTypes(const std::vector<std::string_view>& value_infos, Scope& scope) {
  Graph& graph = scope.graph;
  for (std::string_view message : value_infos) {
    LINNET_ASSIGN(NamedType info, ReadValueInfo(message, graph.symbols(), context_));
    auto named = scope.names.find(info.name);
    if (named == scope.names.end()) continue;
    const Value& value = graph.value(named->second.id);
    if (value.type.kind == Kind::kUnknown) graph.SetType(named->second.id, info.type);
  }
  return Status();
}

Status GraphReader::ReadOutputs(const GraphView& view, Scope& scope) {
  for (std::string_view message : view.outputs) {
    LINNET_ASSIGN(NamedType output, ReadValueInfo(message, scope.graph.symbols(), context_));
    std::string where = Cat("output ", Quote(output.name), " of graph ", Quote(view.name));
    if (output.name.empty()) return InvalidModel(where, " has no name");
    Result<ValueId> id = Resolve(output.name, scope);
    if (!id.ok()) return id.TakeStatus().At(where);
    if (*id == kNoValue) return InvalidModel(where, " is an input that a call leaves out");
    scope.graph.AddOutput(*id);
  }
  return Status();
}

// Names -----------------------------------------------------------------------------------------------------------

Result<ValueId> GraphReader::Resolve(std::string_view name, Scope& scope) {
  auto found = scope.names.find(name);
  if (found != scope.names.end()) return found->second.id;
  if (!scope.outer) return InvalidModel("nothing defines the value ", Quote(name));
  LINNET_ASSIGN(ValueId outside, Resolve(name, *scope.outer));
  if (outside == kNoValue) return kNoValue;
  const Value& value = scope.outer->graph.value(outside);
  LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Value) + value.name.size())));
  ValueId inside;
  if (value.is_constant && !scope.outer->home->default_inputs.contains(outside)) {
    inside = scope.graph.AddConstant(value.name, value.constant);
  } else {
    inside = scope.graph.AddCapture(value.name, value.type);
    scope.captured.push_back(outside);
  }
  scope.names[name].id = inside;
  return inside;
}

Result<int> GraphReader::Version(std::string_view domain, const Scope& scope) const {
  int64_t version = scope.frame ? scope.frame->function->opsets.Find(domain) : 0;
  if (version == 0) version = opsets_.Find(domain);
  if (version != 0) return static_cast<int>(version);
  std::string known;
  for (auto [imported, number] : opsets_.versions()) {
    if (known.size() > 500) break;
    known += Cat(known.empty() ? "" : ", ", imported.empty() ? "ai.onnx" : Quote(imported), " ", number);
  }
  return InvalidModel("operator domain ", domain.empty() ? "ai.onnx" : Quote(domain), " is not imported; the model imports ",
                      known.empty() ? "none" : known);
}

// Nodes -----------------------------------------------------------------------------------------------------------

Status GraphReader::DoubledName(std::string_view name, const NodeView& node, const std::vector<std::string_view>& nodes,
                                const Scope& scope) {
  for (std::string_view message : nodes) {
    NodeView other;
    LINNET_TRY(other.Read(message, context_));
    if (std::find(other.outputs.begin(), other.outputs.end(), name) != other.outputs.end()) {
      return InvalidModel("value ", Quote(name), " is produced by ", other.Label(), " and again by ", node.Label());
    }
  }
  return Internal("value ", Quote(name), " is doubled");
}

Status GraphReader::DeclareOutputs(const std::vector<std::string_view>& nodes, Scope& scope) {
  NodeView node;
  scope.names.reserve(scope.names.size() + nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    LINNET_TRY(node.Read(nodes[i], context_));
    if (++nodes_ > context_.limits.nodes) {
      return LimitReached("the model has more nodes than the limit of ", context_.limits.nodes);
    }
    for (std::string_view name : node.outputs) {
      if (name.empty()) continue;
      auto [place, is_new] = scope.names.try_emplace(name);
      Named& named = place->second;
      if (!is_new && !named.awaited) {
        if (named.id == kNoValue || scope.graph.is_constant(named.id) || scope.graph.is_input(named.id)) {
          return InvalidModel("value ", Quote(name), " is an input or a constant and produced by ", node.Label(), " too");
        }
        return DoubledName(name, node, nodes, scope);
      }
      if (is_new) {
        std::string full(name);
        if (scope.is_body()) {
          std::string base = Cat(scope.frame->prefix, "/", name);
          full = base;
          while (scope.home->names.contains(full) || !scope.home->made_names.insert(full).second) {
            full = Cat(base, "_", scope.home->next_name++);
          }
        }
        LINNET_ASSIGN(named.id, NewValue(full, scope));
      }
      named.awaited = false;
    }
    if (!IsConstantNode(node)) continue;
    if (node.outputs.size() != 1 || node.outputs[0].empty()) {
      return InvalidModel(node.Label(), " has ", node.outputs.size(), " outputs where one with a name is expected");
    }
    Result<Tensor> contents = ConstantContents(node, scope);
    if (!contents.ok()) return contents.TakeStatus().At(node.Label());
    scope.graph.SetConstant(scope.names[node.outputs[0]].id, std::move(*contents));
  }
  return Status();
}

Status GraphReader::ReadNodes(const std::vector<std::string_view>& nodes, Scope& scope) {
  NodeView node;
  for (std::string_view message : nodes) {
    LINNET_TRY(node.Read(message, context_));
    if (IsConstantNode(node)) continue;
    const Function* function = functions_.Find(node);
    Status status = function ? Expand(node, *function, scope) : ReadNode(node, scope);
    if (!status.ok()) return std::move(status).At(node.Label());
  }
  return Status();
}

Status GraphReader::ReadNode(const NodeView& view, Scope& scope) {
  Node node;
  LINNET_ASSIGN(node.version, Version(view.domain, scope));
  node.name = view.name;
  node.op = view.op;
  node.domain = view.domain;
  node.inputs.reserve(view.inputs.size());
  for (size_t i = 0; i < view.inputs.size(); ++i) {
    ValueId id = kNoValue;
    if (!view.inputs[i].empty()) {
      Result<ValueId> named = Resolve(view.inputs[i], scope);
      if (!named.ok()) return named.TakeStatus().At(Cat("input ", i));
      id = *named;
    }
    node.inputs.push_back(id);
  }
  while (!node.inputs.empty() && node.inputs.back() == kNoValue) node.inputs.pop_back();
  node.outputs.reserve(view.outputs.size());
  for (std::string_view name : view.outputs) node.outputs.push_back(name.empty() ? kNoValue : scope.names[name].id);
  node.attributes.reserve(view.attributes.size());
  for (std::string_view message : view.attributes) {
    LINNET_ASSIGN(Attribute attribute, ReadAttribute(message, scope, node.captures));
    if (attribute.payload.index() == 0) continue;
    if (node.Has(attribute.name)) return InvalidModel("attribute ", Quote(attribute.name), " is given twice");
    node.attributes.push_back(std::move(attribute));
  }
  LINNET_TRY(context_.Charge(static_cast<int64_t>(
      sizeof(Node) + view.name.size() + view.attributes.size() * sizeof(Attribute) +
      (node.inputs.size() + node.outputs.size() + node.captures.size()) * (sizeof(Use) + 2 * sizeof(ValueId)))));
  return scope.graph.AddNode(std::move(node)).TakeStatus();
}

Result<Tensor> GraphReader::ConstantContents(const NodeView& node, Scope& scope) {
  Attribute value;
  std::vector<ValueId> captures;
  for (std::string_view message : node.attributes) {
    LINNET_ASSIGN(Attribute attribute, ReadAttribute(message, scope, captures));
    if (attribute.payload.index() == 0) continue;
    if (value.payload.index() != 0) {
      return InvalidModel("both ", Quote(value.name), " and ", Quote(attribute.name), " are given");
    }
    value = std::move(attribute);
  }
  if (auto* tensor = std::get_if<Tensor>(&value.payload)) return *tensor;
  if (auto* number = std::get_if<int64_t>(&value.payload)) return Tensor::Scalar(*number);
  if (auto* number = std::get_if<float>(&value.payload)) return Tensor::Scalar(*number);
  if (auto* text = std::get_if<std::string>(&value.payload)) return Tensor::Scalar(*text);
  auto list = [&](const auto& values) -> Result<Tensor> {
    using T = typename std::decay_t<decltype(values)>::value_type;
    Shape shape{static_cast<int64_t>(values.size())};
    LINNET_TRY(CheckShape(shape));
    LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(kDTypeOf<T>, shape));
    std::copy(values.begin(), values.end(), tensor.mutable_as<T>());
    return tensor;
  };
  if (auto* values = std::get_if<std::vector<int64_t>>(&value.payload)) return list(*values);
  if (auto* values = std::get_if<std::vector<float>>(&value.payload)) return list(*values);
  if (auto* values = std::get_if<std::vector<std::string>>(&value.payload)) return list(*values);
  return InvalidModel("a constant without a value");
}

}  // namespace linnet::onnx
