// Reading attributes: AttributeProto's one payload, references to the attributes of a call, and subgraphs.
#include "onnx/graph_reader.h"

#include <string.h>

namespace linnet::onnx {

struct GraphReader::AttributeView {
  std::string_view name, reference;
  int64_t type = 0;
  uint32_t present = 0;  ///< bit t: a payload of AttributeType t is there
  float number = 0;
  int64_t integer = 0;
  std::string_view message;  ///< string, tensor, graph, sparse tensor or type
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string_view> messages;  ///< strings, tensors, graphs or sparse tensors
};

namespace {

constexpr const char* kTypeNames[] = {"UNDEFINED", "FLOAT",   "INT",    "STRING",        "TENSOR",
                                      "GRAPH",     "FLOATS",  "INTS",   "STRINGS",       "TENSORS",
                                      "GRAPHS",    "SPARSE_TENSOR",     "SPARSE_TENSORS", "TYPE_PROTO", "TYPE_PROTOS"};
constexpr int kTypeCount = 15;

}  // namespace

GraphReader::AttributeView GraphReader::ReadAttributeView(std::string_view bytes) {
  AttributeView view;
  auto mark = [&](AttributeType type) { view.present |= 1u << static_cast<int>(type); };
  Message message(bytes, context_.cursor);
  auto one = [&](AttributeType type) {
    mark(type);
    view.message = message.Bytes();
  };
  auto many = [&](AttributeType type) {
    mark(type);
    view.messages.push_back(message.Bytes());
  };
  while (message.Next()) {
    switch (message.field()) {
      case attribute::kName: view.name = message.Bytes(); break;
      case attribute::kRefAttrName: view.reference = message.Bytes(); break;
      case attribute::kType: view.type = message.Int(); break;
      case attribute::kFloat:
        mark(AttributeType::kFloat);
        view.number = message.Float();
        break;
      case attribute::kInt:
        mark(AttributeType::kInt);
        view.integer = message.Int();
        break;
      case attribute::kString: one(AttributeType::kString); break;
      case attribute::kTensor: one(AttributeType::kTensor); break;
      case attribute::kGraph: one(AttributeType::kGraph); break;
      case attribute::kSparseTensor: one(AttributeType::kSparseTensor); break;
      case attribute::kTypeProto: one(AttributeType::kTypeProto); break;
      case attribute::kFloats: {
        mark(AttributeType::kFloats);
        std::string_view run = message.FixedRun(sizeof(float));
        size_t before = view.floats.size();
        view.floats.resize(before + run.size() / sizeof(float));
        if (!run.empty()) memcpy(view.floats.data() + before, run.data(), run.size());
        break;
      }
      case attribute::kInts:
        mark(AttributeType::kInts);
        message.EachInt([&](int64_t value) { view.ints.push_back(value); });
        break;
      case attribute::kStrings: many(AttributeType::kStrings); break;
      case attribute::kTensors: many(AttributeType::kTensors); break;
      case attribute::kGraphs: many(AttributeType::kGraphs); break;
      case attribute::kSparseTensors: many(AttributeType::kSparseTensors); break;
      case attribute::kTypeProtos: many(AttributeType::kTypeProtos); break;
      default: message.Skip();
    }
  }
  // Before IR version 2 there was no type; the payload tells.
  for (int type = 1; view.type == 0 && type < kTypeCount; ++type) {
    if (view.present >> type & 1) view.type = type;
  }
  return view;
}

Result<Attribute> GraphReader::ReadAttribute(std::string_view message, Scope& scope, std::vector<ValueId>& captures) {
  AttributeView view = ReadAttributeView(message);
  if (view.name.empty()) return InvalidModel("an attribute has no name");
  LINNET_TRY(context_.CheckName(view.name));
  Attribute attribute{std::string(view.name), {}};
  std::string where = Cat("attribute ", Quote(view.name));
  Scope* owner = &scope;
  if (!view.reference.empty()) {
    if (!scope.frame) {
      return InvalidModel(where, " refers to attribute ", Quote(view.reference), " of a function, but is in none");
    }
    auto given = scope.frame->attributes.find(view.reference);
    if (given == scope.frame->attributes.end()) return attribute;
    int64_t wanted = view.type;
    view = ReadAttributeView(given->second.message);
    if (wanted != 0 && wanted != view.type) {
      return InvalidModel(where, " has type number ", wanted, ", and what the call gives has ", view.type);
    }
    owner = given->second.scope;
    if (&owner->graph != &scope.graph && (view.message.data() || !view.messages.empty()) &&
        (view.type == static_cast<int>(AttributeType::kGraph) || view.type == static_cast<int>(AttributeType::kGraphs))) {
      return Unsupported(where, " takes a graph from a call in another graph");
    }
  }
  Result<Attribute::Payload> payload = MakePayload(view, *owner, captures);
  if (!payload.ok()) return payload.TakeStatus().At(where);
  attribute.payload = std::move(*payload);
  return attribute;
}

Result<Attribute::Payload> GraphReader::MakePayload(const AttributeView& view, Scope& scope,
                                                    std::vector<ValueId>& captures) {
  if (view.type < 1 || view.type >= kTypeCount) {
    return InvalidModel("attribute type ", view.type, " does not exist (known are 1 to ", kTypeCount - 1, ")");
  }
  for (int type = 1; type < kTypeCount; ++type) {
    if (type != view.type && (view.present >> type & 1)) {
      return InvalidModel("its type is ", kTypeNames[view.type], ", its contents are ", kTypeNames[type]);
    }
  }
  auto required = [&]() -> Status {
    if (view.present) return Status();
    return InvalidModel(kTypeNames[view.type], " without contents");
  };
  LINNET_TRY(context_.Charge(static_cast<int64_t>(view.floats.size() * sizeof(float) + view.ints.size() * sizeof(int64_t) +
                                                  view.messages.size() * sizeof(std::string))));
  switch (static_cast<AttributeType>(view.type)) {
    case AttributeType::kFloat: return Attribute::Payload(view.number);
    case AttributeType::kInt: return Attribute::Payload(view.integer);
    case AttributeType::kString:
      LINNET_TRY(context_.Charge(static_cast<int64_t>(view.message.size())));
      return Attribute::Payload(std::string(view.message));
    case AttributeType::kFloats: return Attribute::Payload(view.floats);
    case AttributeType::kInts: return Attribute::Payload(view.ints);
    case AttributeType::kStrings: {
      std::vector<std::string> strings;
      for (std::string_view text : view.messages) {
        LINNET_TRY(context_.Charge(static_cast<int64_t>(text.size())));
        strings.emplace_back(text);
      }
      return Attribute::Payload(std::move(strings));
    }
    case AttributeType::kTensor:
    case AttributeType::kSparseTensor: {
      LINNET_TRY(required());
      bool sparse = view.type == static_cast<int>(AttributeType::kSparseTensor);
      LINNET_ASSIGN(Tensor tensor, ReadAttributeTensor(view.message, sparse, scope));
      return Attribute::Payload(std::move(tensor));
    }
    case AttributeType::kTensors:
    case AttributeType::kSparseTensors: {
      bool sparse = view.type == static_cast<int>(AttributeType::kSparseTensors);
      std::vector<Tensor> tensors;
      for (std::string_view message : view.messages) {
        LINNET_ASSIGN(Tensor tensor, ReadAttributeTensor(message, sparse, scope));
        tensors.push_back(std::move(tensor));
      }
      return Attribute::Payload(std::move(tensors));
    }
    case AttributeType::kGraph: {
      LINNET_TRY(required());
      LINNET_ASSIGN(std::shared_ptr<Graph> graph, ReadSubgraph(view.message, scope, captures));
      return Attribute::Payload(std::move(graph));
    }
    case AttributeType::kGraphs: {
      std::vector<std::shared_ptr<Graph>> graphs;
      for (std::string_view message : view.messages) {
        LINNET_ASSIGN(std::shared_ptr<Graph> graph, ReadSubgraph(message, scope, captures));
        graphs.push_back(std::move(graph));
      }
      return Attribute::Payload(std::move(graphs));
    }
    case AttributeType::kTypeProto: {
      LINNET_TRY(required());
      LINNET_ASSIGN(Type type, ReadType(view.message, scope.graph.symbols(), context_));
      return Attribute::Payload(type);
    }
    default: return Unsupported("attributes of type ", kTypeNames[view.type]);
  }
}

Result<Tensor> GraphReader::ReadAttributeTensor(std::string_view message, bool sparse, const Scope& scope) {
  if (scope.frame) {
    auto known = context_.shared_tensors.find(message.data());
    if (known != context_.shared_tensors.end()) return known->second;
  }
  LINNET_ASSIGN(NamedTensor read, sparse ? ReadSparseTensor(message, context_) : ReadTensor(message, context_));
  if (scope.frame) context_.shared_tensors.emplace(message.data(), read.tensor);
  return std::move(read.tensor);
}

Result<std::shared_ptr<Graph>> GraphReader::ReadSubgraph(std::string_view message, Scope& scope,
                                                         std::vector<ValueId>& captures) {
  LINNET_TRY(context_.Charge(static_cast<int64_t>(sizeof(Graph))));
  auto graph = std::make_shared<Graph>(scope.graph.shared_symbols());
  Scope inner{*graph, &scope, scope.frame, scope.depth + 1, nullptr};
  inner.home = &inner;
  LINNET_TRY(ReadGraph(message, inner));
  captures.insert(captures.end(), inner.captured.begin(), inner.captured.end());
  return graph;
}

}  // namespace linnet::onnx
