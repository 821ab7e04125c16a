// ModelProto from a graph.
//
// protobuf puts a message's length before its contents, so everything is built in memory but the contents of the root
// graph's large constants: those are only measured, and go to the sink from where they lie. A constant that several
// graphs use is written once, in the root graph, where every graph sees it.
#include "onnx/writer.h"

#include <map>
#include <unordered_map>
#include <unordered_set>

#include "graph/names.h"
#include "graph/verify.h"
#include "onnx/fields.h"
#include "onnx/tensor_writer.h"

namespace linnet {
namespace onnx {
namespace {

using protozero::pbf_writer;

constexpr int64_t kMessageBytesMax = INT32_MAX;
constexpr int64_t kLargeBytes = 4096;
constexpr int64_t kIrVersionDefault = 10;
/// Earlier files must list initializers as inputs.
constexpr int64_t kIrVersionMin = 4;

/// Identifies contents: graphs share them by pointer.
struct ContentsKey {
  const void* data;
  DType dtype;
  Shape shape;
  bool operator==(const ContentsKey&) const = default;
};
struct HashKey {
  size_t operator()(const ContentsKey& key) const { return std::hash<const void*>()(key.data); }
};
ContentsKey KeyOf(const Tensor& tensor) { return {tensor.data(), tensor.dtype(), tensor.shape()}; }

/// Bytes of the root graph's message: text, then contents that lie elsewhere.
struct Piece {
  std::string text;
  const void* data = nullptr;
  int64_t bytes = 0;
};

class Writer {
 public:
  explicit Writer(const OnnxModel& model) : model_(model) {}

  Status Write(Sink& sink) {
    LINNET_TRY(Verify(model_.graph));
    LINNET_TRY(CollectOpsets(model_.graph));
    CountContents(model_.graph);
    std::string head, tail;
    WriteInfo(head, tail);
    LINNET_TRY(WriteRoot());
    int64_t bytes = 0;
    for (const Piece& piece : pieces_) bytes += static_cast<int64_t>(piece.text.size()) + piece.bytes;
    if (bytes + static_cast<int64_t>(head.size() + tail.size()) > kMessageBytesMax - 16) {
      return LimitReached("the model needs ", bytes, " bytes; a protobuf file ends at ", kMessageBytesMax);
    }
    AddLength(head, model::kGraph, bytes);
    LINNET_TRY(sink.Append(head));
    for (const Piece& piece : pieces_) {
      LINNET_TRY(sink.Append(piece.text));
      LINNET_TRY(sink.Append(piece.data, piece.bytes));
    }
    return sink.Append(tail);
  }

 private:
  using Names = std::vector<std::string>;

  static void AddLength(std::string& out, uint32_t field, int64_t bytes) {
    protozero::add_varint_to_buffer(&out, uint64_t{field} << 3 | 2);
    protozero::add_varint_to_buffer(&out, static_cast<uint64_t>(bytes));
  }

  // What the whole model needs --------------------------------------------------------------------------------------

  /// A file has one version of each domain.
  Status CollectOpsets(const Graph& graph) {
    if (opsets_.empty()) opsets_.insert(model_.info.opsets.begin(), model_.info.opsets.end());
    for (NodeId id = 0; id < graph.node_count(); ++id) {
      const Node& node = graph.node(id);
      if (!node.alive) continue;
      int64_t version = opsets_.try_emplace(node.domain, node.version).first->second;
      if (version != node.version) {
        return Unsupported(node.Label(graph), " is of version ", node.version, " of operator domain ", Quote(node.domain),
                           "; the file imports ", version);
      }
      for (const Graph* inner : Graph::Subgraphs(node)) LINNET_TRY(CollectOpsets(*inner));
    }
    return Status();
  }

  void CountContents(const Graph& graph) {
    std::vector<bool> live = LiveValues(graph);
    std::unordered_set<ContentsKey, HashKey> here;
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      if (!live[static_cast<size_t>(id)] || !graph.is_constant(id)) continue;
      const Tensor& contents = graph.value(id).constant;
      if (contents.has_data() && here.insert(KeyOf(contents)).second) ++graphs_using_[KeyOf(contents)];
    }
    for (NodeId id = 0; id < graph.node_count(); ++id) {
      for (const Graph* inner : Graph::Subgraphs(graph.node(id))) CountContents(*inner);
    }
  }

  void WriteInfo(std::string& head, std::string& tail) const {
    const ModelInfo& info = model_.info;
    pbf_writer first(head), last(tail);
    first.add_int64(model::kIrVersion, info.ir_version == 0 ? kIrVersionDefault : std::max(info.ir_version, kIrVersionMin));
    auto text = [&](uint32_t field, const std::string& value) {
      if (!value.empty()) first.add_string(field, value);
    };
    text(model::kProducerName, info.producer_name);
    text(model::kProducerVersion, info.producer_version);
    text(model::kDomain, info.domain);
    if (info.model_version) first.add_int64(model::kModelVersion, info.model_version);
    text(model::kDocString, info.doc_string);
    for (const auto& [domain, version] : opsets_) {
      pbf_writer import(last, model::kOpsetImport);
      import.add_string(opset::kDomain, domain);
      import.add_int64(opset::kVersion, version);
    }
    for (const auto& [key, value] : info.metadata) {
      pbf_writer pair(last, model::kMetadata);
      pair.add_string(entry::kKey, key);
      pair.add_string(entry::kValue, value);
    }
  }

  // Graphs ----------------------------------------------------------------------------------------------------------

  Status WriteRoot() {
    const Graph& graph = model_.graph;
    Names names = UniqueNames(graph, taken_);
    for (ValueId id : PlainConstants(graph, names)) {
      shared_.try_emplace(KeyOf(graph.value(id).constant), names[static_cast<size_t>(id)]);
    }
    LINNET_TRY(CollectShared(graph, true));
    pieces_.emplace_back();
    {
      pbf_writer message(pieces_.back().text);
      LINNET_TRY(WriteNodes(graph, names, message));
      WriteGraphName(graph, model_.info.graph_name, message);
    }
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      if (!graph.is_constant(id) || names[static_cast<size_t>(id)].empty()) continue;
      LINNET_TRY(AddInitializer(names[static_cast<size_t>(id)], graph.value(id).constant));
    }
    for (const auto& [name, contents] : hoisted_) LINNET_TRY(AddInitializer(name, contents));
    pieces_.emplace_back();
    pbf_writer message(pieces_.back().text);
    WriteValues(graph, names, message);
    return Status();
  }

  /// Names contents that only subgraphs use, and several of them.
  Status CollectShared(const Graph& graph, bool root) {
    for (ValueId id = 0; !root && id < graph.value_count(); ++id) {
      const Value& value = graph.value(id);
      if (!value.is_constant || value.uses.empty() || !value.constant.has_data()) continue;
      auto counted = graphs_using_.find(KeyOf(value.constant));
      if (counted == graphs_using_.end() || counted->second < 2) continue;
      auto [place, is_new] = shared_.try_emplace(KeyOf(value.constant));
      if (!is_new) continue;
      std::string name = value.name.empty() ? "constant" : value.name;
      for (int64_t next = 0; !taken_.insert(name).second; ++next) name = Cat(value.name, "_", next);
      place->second = name;
      hoisted_.emplace_back(name, value.constant);
    }
    for (NodeId id = 0; id < graph.node_count(); ++id) {
      for (const Graph* inner : Graph::Subgraphs(graph.node(id))) LINNET_TRY(CollectShared(*inner, false));
    }
    return Status();
  }

  /// Live constants with contents that are no input's default.
  static std::vector<ValueId> PlainConstants(const Graph& graph, const Names& names) {
    std::unordered_set<ValueId> inputs(graph.inputs.begin(), graph.inputs.end());
    std::vector<ValueId> found;
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      bool live = graph.is_constant(id) && !names[static_cast<size_t>(id)].empty();
      if (live && graph.value(id).constant.has_data() && !inputs.contains(id)) found.push_back(id);
    }
    return found;
  }

  Status AddInitializer(const std::string& name, const Tensor& contents) {
    LINNET_TRY(CheckContents(name, contents));
    if (contents.dtype() == DType::kString || contents.bytes() < kLargeBytes) {
      if (pieces_.back().data) pieces_.emplace_back();
      pbf_writer graph(pieces_.back().text);
      pbf_writer tensor(graph, graph::kInitializer);
      WriteTensor(tensor, name, contents);
      return Status();
    }
    std::string header;
    pbf_writer tensor(header);
    WriteTensorHeader(tensor, name, contents);
    AddLength(header, tensor::kRawData, contents.bytes());
    if (pieces_.back().data) pieces_.emplace_back();
    Piece& piece = pieces_.back();
    AddLength(piece.text, graph::kInitializer, static_cast<int64_t>(header.size()) + contents.bytes());
    piece.text += header;
    piece.data = contents.data();
    piece.bytes = contents.bytes();
    return Status();
  }

  /// `outer` are the names of what the graph captures.
  Status WriteSubgraph(const Graph& graph, const std::string* outer, pbf_writer& message) {
    Names names = UniqueNames(graph, taken_);
    std::vector<std::string> added(names);  // what UniqueNames put into taken_
    std::vector<bool> written(names.size(), true);
    for (ValueId id : graph.captures) names[static_cast<size_t>(id)] = *outer++;
    for (ValueId id : PlainConstants(graph, names)) {
      auto shared = shared_.find(KeyOf(graph.value(id).constant));
      if (shared == shared_.end()) continue;
      names[static_cast<size_t>(id)] = shared->second;
      written[static_cast<size_t>(id)] = false;
    }
    for (ValueId id : graph.captures) written[static_cast<size_t>(id)] = false;
    Status status = WriteNodes(graph, names, message);
    WriteGraphName(graph, {}, message);
    for (ValueId id = 0; id < graph.value_count() && status.ok(); ++id) {
      const std::string& name = names[static_cast<size_t>(id)];
      if (!graph.is_constant(id) || name.empty() || !written[static_cast<size_t>(id)]) continue;
      status = CheckContents(name, graph.value(id).constant);
      if (!status.ok()) break;
      pbf_writer tensor(message, graph::kInitializer);
      WriteTensor(tensor, name, graph.value(id).constant);
    }
    WriteValues(graph, names, message);
    for (const std::string& name : added) taken_.erase(name);
    return status;
  }

  static void WriteGraphName(const Graph& graph, const std::string& fallback, pbf_writer& message) {
    // Written even when empty: protozero drops messages without fields, and an empty graph is one too.
    message.add_string(graph::kName, graph.name.empty() ? fallback : graph.name);
  }

  /// Inputs, outputs, and the types of what nodes produce.
  void WriteValues(const Graph& graph, const Names& names, pbf_writer& message) {
    auto value = [&](uint32_t field, ValueId id) {
      pbf_writer info(message, field);
      info.add_string(value_info::kName, names[static_cast<size_t>(id)]);
      if (graph.value(id).type.kind == Kind::kUnknown) return;
      pbf_writer type(info, value_info::kType);
      WriteType(type, graph.value(id).type, &graph.symbols());
    };
    for (ValueId id : graph.inputs) value(graph::kInput, id);
    for (ValueId id : graph.outputs()) value(graph::kOutput, id);
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      const Value& one = graph.value(id);
      if (one.producer != kNoNode && one.type.kind != Kind::kUnknown) value(graph::kValueInfo, id);
    }
  }

  // Nodes -----------------------------------------------------------------------------------------------------------

  Status WriteNodes(const Graph& graph, const Names& names, pbf_writer& message) {
    LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
    auto name = [&](ValueId id) { return id == kNoValue ? std::string() : names[static_cast<size_t>(id)]; };
    for (NodeId id : order) {
      const Node& node = graph.node(id);
      pbf_writer out(message, graph::kNode);
      for (ValueId input : node.inputs) out.add_string(node::kInput, name(input));
      for (ValueId output : node.outputs) out.add_string(node::kOutput, name(output));
      if (!node.name.empty()) out.add_string(node::kName, node.name);
      out.add_string(node::kOpType, node.op);
      if (!node.domain.empty()) out.add_string(node::kDomain, node.domain);
      std::vector<std::string> captured;
      for (ValueId capture : node.captures) captured.push_back(name(capture));
      const std::string* next = captured.data();
      for (const Attribute& attribute : node.attributes) {
        LINNET_TRY(WriteAttribute(graph, attribute, next, out).At(node.Label(graph)));
      }
    }
    return Status();
  }

  Status WriteAttribute(const Graph& graph, const Attribute& attribute, const std::string*& captured, pbf_writer& node) {
    const Attribute::Payload& payload = attribute.payload;
    if (payload.index() == 0) return Status();
    pbf_writer out(node, node::kAttribute);
    out.add_string(attribute::kName, attribute.name);
    auto type = [&](AttributeType kind) { out.add_int32(attribute::kType, static_cast<int32_t>(kind)); };
    auto tensor = [&](uint32_t field, const Tensor& value) -> Status {
      LINNET_TRY(CheckContents(attribute.name, value));
      pbf_writer message(out, field);
      WriteTensor(message, {}, value);
      return Status();
    };
    auto subgraph = [&](uint32_t field, const Graph& inner) -> Status {
      pbf_writer message(out, field);
      const std::string* names = captured;
      captured += inner.captures.size();
      return WriteSubgraph(inner, names, message);
    };
    if (auto* value = std::get_if<int64_t>(&payload)) {
      type(AttributeType::kInt);
      out.add_int64(attribute::kInt, *value);
    } else if (auto* value = std::get_if<float>(&payload)) {
      type(AttributeType::kFloat);
      out.add_float(attribute::kFloat, *value);
    } else if (auto* value = std::get_if<std::string>(&payload)) {
      type(AttributeType::kString);
      out.add_bytes(attribute::kString, *value);
    } else if (auto* value = std::get_if<Tensor>(&payload)) {
      type(AttributeType::kTensor);
      return tensor(attribute::kTensor, *value);
    } else if (auto* value = std::get_if<std::shared_ptr<Graph>>(&payload)) {
      type(AttributeType::kGraph);
      return subgraph(attribute::kGraph, **value);
    } else if (auto* value = std::get_if<std::vector<int64_t>>(&payload)) {
      type(AttributeType::kInts);
      out.add_packed_int64(attribute::kInts, value->begin(), value->end());
    } else if (auto* value = std::get_if<std::vector<float>>(&payload)) {
      type(AttributeType::kFloats);
      out.add_packed_float(attribute::kFloats, value->begin(), value->end());
    } else if (auto* value = std::get_if<std::vector<std::string>>(&payload)) {
      type(AttributeType::kStrings);
      for (const std::string& text : *value) out.add_bytes(attribute::kStrings, text);
    } else if (auto* value = std::get_if<std::vector<Tensor>>(&payload)) {
      type(AttributeType::kTensors);
      for (const Tensor& one : *value) LINNET_TRY(tensor(attribute::kTensors, one));
    } else if (auto* value = std::get_if<std::vector<std::shared_ptr<Graph>>>(&payload)) {
      type(AttributeType::kGraphs);
      for (const std::shared_ptr<Graph>& one : *value) LINNET_TRY(subgraph(attribute::kGraphs, *one));
    } else if (auto* value = std::get_if<Type>(&payload)) {
      type(AttributeType::kTypeProto);
      std::string message;
      pbf_writer fields(message);
      WriteType(fields, *value, &graph.symbols());
      out.add_message(attribute::kTypeProto, message);
    }
    return Status();
  }

  const OnnxModel& model_;
  std::map<std::string, int64_t> opsets_;
  std::vector<Piece> pieces_;
  std::unordered_set<std::string> taken_;  ///< names visible where writing is
  std::unordered_map<ContentsKey, int64_t, HashKey> graphs_using_;
  std::unordered_map<ContentsKey, std::string, HashKey> shared_;  ///< contents the root graph has, by name
  std::vector<std::pair<std::string, Tensor>> hoisted_;           ///< of those, the ones it does not use itself
};

}  // namespace
}  // namespace onnx

Status WriteOnnx(const OnnxModel& model, Sink& sink) {
  try {
    return onnx::Writer(model).Write(sink);
  } catch (const std::bad_alloc&) {
    return OutOfMemory("no memory left while writing the model");
  }
}

Status WriteOnnx(const OnnxModel& model, std::string& out) {
  MemorySink sink;
  LINNET_TRY(WriteOnnx(model, sink));
  out += sink.contents();
  return Status();
}

}  // namespace linnet
