// Graph to the tables of a .ort file, by the builder that comes with the schema.
#include "fuzz/ort_writer.h"

#include <algorithm>

namespace linnet::fuzz {
namespace {

namespace fbs = ort::fbs;

std::unique_ptr<fbs::TypeT> TypeTable(const Type& type, const SymbolTable& symbols) {
  auto out = std::make_unique<fbs::TypeT>();
  auto tensor = [&] {
    fbs::TensorTypeT table;
    table.element = static_cast<int>(type.dtype);
    if (type.shape.has_rank() && type.kind != Kind::kMap && type.kind != Kind::kSequenceOfMaps) {
      table.shape = std::make_unique<fbs::ShapeT>();
      for (int64_t dim : type.shape) {
        auto value = std::make_unique<fbs::DimensionValueT>();
        value->kind = IsKnownDim(dim) ? 1 : IsSymbolDim(dim) ? 2 : 0;
        if (IsKnownDim(dim)) value->size = dim;
        if (IsSymbolDim(dim)) value->symbol = symbols.name(dim);
        table.shape->dims.push_back(std::make_unique<fbs::DimensionT>());
        table.shape->dims.back()->value = std::move(value);
      }
    }
    return table;
  };
  auto map = [&] {
    fbs::MapTypeT table;
    table.key = static_cast<int>(type.key);
    table.value = std::make_unique<fbs::TypeT>();
    table.value->value.Set(tensor());
    return table;
  };
  fbs::SequenceTypeT sequence;
  sequence.element = std::make_unique<fbs::TypeT>();
  switch (type.kind) {
    case Kind::kTensor: out->value.Set(tensor()); break;
    case Kind::kMap: out->value.Set(map()); break;
    case Kind::kSequence:
      sequence.element->value.Set(tensor());
      out->value.Set(std::move(sequence));
      break;
    case Kind::kSequenceOfMaps:
      sequence.element->value.Set(map());
      out->value.Set(std::move(sequence));
      break;
    default: return nullptr;
  }
  return out;
}

std::unique_ptr<fbs::TensorT> TensorTable(const std::string& name, const Tensor& tensor) {
  auto out = std::make_unique<fbs::TensorT>();
  out->name = name;
  out->element = static_cast<int>(tensor.dtype());
  out->dims.assign(tensor.shape().begin(), tensor.shape().end());
  if (tensor.dtype() == DType::kString) {
    out->strings.assign(tensor.as<std::string>(), tensor.as<std::string>() + tensor.elements());
  } else if (tensor.has_data()) {
    out->raw.assign(tensor.as<uint8_t>(), tensor.as<uint8_t>() + tensor.bytes());
  }
  return out;
}

std::unique_ptr<fbs::GraphT> GraphTable(const Graph& graph);

std::unique_ptr<fbs::AttributeT> AttributeTable(const Attribute& attribute) {
  auto out = std::make_unique<fbs::AttributeT>();
  out->name = attribute.name;
  auto is = [&]<class T>(int kind, T** value) {
    *value = const_cast<T*>(std::get_if<T>(&attribute.payload));
    if (*value) out->kind = kind;
    return *value != nullptr;
  };
  float* f;
  int64_t* i;
  std::string* s;
  Tensor* tensor;
  std::shared_ptr<Graph>* graph;
  std::vector<Tensor>* tensors;
  std::vector<std::shared_ptr<Graph>>* graphs;
  std::vector<float>* floats;
  std::vector<int64_t>* ints;
  std::vector<std::string>* strings;
  if (is(1, &f)) out->f = *f;
  if (is(2, &i)) out->i = *i;
  if (is(3, &s)) out->s = *s;
  if (is(4, &tensor)) out->tensor = TensorTable("", *tensor);
  if (is(5, &graph)) out->graph = GraphTable(**graph);
  if (is(6, &floats)) out->floats = *floats;
  if (is(7, &ints)) out->ints = *ints;
  if (is(8, &strings)) out->strings = *strings;
  if (is(9, &tensors)) {
    for (const Tensor& each : *tensors) out->tensors.push_back(TensorTable("", each));
  }
  if (is(10, &graphs)) {
    for (const auto& each : *graphs) out->graphs.push_back(GraphTable(*each));
  }
  return out;
}

std::unique_ptr<fbs::GraphT> GraphTable(const Graph& graph) {
  auto out = std::make_unique<fbs::GraphT>();
  auto name = [&](ValueId id) { return id == kNoValue ? std::string() : graph.value(id).name; };
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    const bool captured = std::find(graph.captures.begin(), graph.captures.end(), id) != graph.captures.end();
    if (value.is_constant && value.constant.has_data()) out->initializers.push_back(TensorTable(value.name, value.constant));
    if (captured || value.type.kind == Kind::kUnknown) continue;
    out->values.push_back(std::make_unique<fbs::ValueT>());
    out->values.back()->name = value.name;
    out->values.back()->type = TypeTable(value.type, graph.symbols());
  }
  for (ValueId id : graph.inputs) out->inputs.push_back(name(id));
  for (ValueId id : graph.outputs()) out->outputs.push_back(name(id));
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    auto table = std::make_unique<fbs::NodeT>();
    table->name = node.name;
    table->domain = node.domain;
    table->op = node.op;
    table->since_version = node.version;
    for (ValueId input : node.inputs) table->inputs.push_back(name(input));
    for (ValueId output : node.outputs) table->outputs.push_back(name(output));
    for (const Attribute& attribute : node.attributes) table->attributes.push_back(AttributeTable(attribute));
    out->nodes.push_back(std::move(table));
  }
  return out;
}

}  // namespace

fbs::SessionT OrtTables(const OnnxModel& model) {
  fbs::SessionT session;
  session.version = "6";
  session.model = std::make_unique<fbs::ModelT>();
  fbs::ModelT& to = *session.model;
  to.ir_version = model.info.ir_version;
  to.producer_name = model.info.producer_name;
  to.producer_version = model.info.producer_version;
  to.domain = model.info.domain;
  to.model_version = model.info.model_version;
  to.doc_string = model.info.doc_string;
  for (const auto& [domain, version] : model.info.opsets) {
    to.opsets.push_back(std::make_unique<fbs::OpsetT>());
    to.opsets.back()->domain = domain;
    to.opsets.back()->version = version;
  }
  for (const auto& [key, value] : model.info.metadata) {
    to.metadata.push_back(std::make_unique<fbs::EntryT>());
    to.metadata.back()->key = key;
    to.metadata.back()->value = value;
  }
  to.graph = GraphTable(model.graph);
  return session;
}

std::string OrtFile(const fbs::SessionT& tables) {
  flatbuffers::FlatBufferBuilder builder;
  fbs::FinishSessionBuffer(builder, fbs::Session::Pack(builder, &tables));
  return std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize());
}

}  // namespace linnet::fuzz
