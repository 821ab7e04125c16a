// Writing .linnet files: blobs are laid out first, so that the head can name their offsets. What decides sizes comes first of them, under
// the head's checksum.
#include "format/checksum.h"
#include "format/linnet_file.h"
#include "linnet_generated.h"

namespace linnet {
namespace {

using flatbuffers::Offset;

constexpr int64_t kBlobAlignment = 64;
/// Contents of no more bytes are under the head's checksum whatever their type: scales and bounds of a Resize, a depth, a limit.
constexpr int64_t kFewBytes = 256;

/// Whether a build for plans alone must not meet these contents damaged: sizes of memory may follow from them.
bool MayDecideSizes(DType dtype, int64_t bytes) {
  switch (dtype) {
    case DType::kBool: case DType::kInt32: case DType::kInt64: case DType::kUint32: case DType::kUint64: return true;
    default: return bytes <= kFewBytes;
  }
}

class Writer {
 public:
  /// The head's size depends on the blobs' number, not on their offsets, so it is built twice: once to learn its size.
  Status Write(const PreparedFile& file, Sink& sink) {
    Build(file, 0);
    const int64_t tables = RoundUp(static_cast<int64_t>(builder_.GetSize()), kBlobAlignment);
    Build(file, tables);
    if (RoundUp(static_cast<int64_t>(builder_.GetSize()), kBlobAlignment) != tables) return Internal("the head changed its size");
    FileSums sums;
    sums.head_bytes = static_cast<uint64_t>(tables + summed_.bytes);
    uint64_t sum = sums.head_bytes;
    LINNET_TRY(Append(builder_.GetBufferPointer(), static_cast<int64_t>(builder_.GetSize()), sink, &sum));
    for (const Bytes& blob : summed_.blobs) LINNET_TRY(Append(blob.data, blob.bytes, sink, &sum));
    sums.head = sum;
    // The padding a vector loop may read lies inside the file; checksums end it.
    static_assert(sizeof sums <= kPadding);
    static const std::byte kPad[kPadding - sizeof sums] = {};
    sum = static_cast<uint64_t>(rest_.bytes) + sizeof kPad;
    for (const Bytes& blob : rest_.blobs) LINNET_TRY(Append(blob.data, blob.bytes, sink, &sum));
    sums.body = AddToChecksum(sum, kPad, sizeof kPad);
    LINNET_TRY(sink.Append(kPad, sizeof kPad));
    return sink.Append(&sums, sizeof sums);
  }

 private:
  struct Bytes {
    const void* data;
    int64_t bytes;
  };
  /// Blobs that lie one behind the other.
  struct Region {
    std::vector<Bytes> blobs;
    int64_t begin = 0, bytes = 0;
  };

  /// Appends, fills up to the next block, and sums both.
  static Status Append(const void* data, int64_t bytes, Sink& sink, uint64_t* sum) {
    static const std::byte kZeros[kBlobAlignment] = {};
    *sum = AddToChecksum(*sum, data, static_cast<size_t>(bytes));
    *sum = AddToChecksum(*sum, kZeros, static_cast<size_t>(RoundUp(bytes, kBlobAlignment) - RoundUp(bytes, 8)));
    LINNET_TRY(sink.Append(data, bytes));
    return sink.Align(kBlobAlignment);
  }

  static fbs::Blob AddBlob(const void* data, int64_t bytes, Region& region) {
    fbs::Blob blob(static_cast<uint64_t>(region.begin + region.bytes), static_cast<uint64_t>(bytes));
    region.blobs.push_back({data, bytes});
    region.bytes += RoundUp(bytes, kBlobAlignment);
    return blob;
  }
  fbs::Blob AddContents(DType dtype, const void* data, int64_t bytes) {
    return AddBlob(data, bytes, MayDecideSizes(dtype, bytes) ? summed_ : rest_);
  }

  /// Only the model's own names are written; what inference made up is unknown again.
  void NumberSymbols(const SymbolTable& symbols) {
    symbol_of_.clear();
    symbols_.clear();
    for (int i = 0; i < symbols.size(); ++i) {
      bool named = symbols.is_named(SymbolDim(i));
      symbol_of_.push_back(named ? SymbolDim(static_cast<int>(symbols_.size())) : kUnknownDim);
      if (named) symbols_.emplace_back(symbols.name(SymbolDim(i)));
    }
  }

  /// Texts that are there more than once are written once, and empty ones not at all; the same of lists.
  Offset<flatbuffers::String> Text(const std::string& text) {
    return text.empty() ? Offset<flatbuffers::String>() : builder_.CreateSharedString(text);
  }
  /// What is left out of files without names.
  Offset<flatbuffers::String> Name(const std::string& text, bool needed = false) {
    return names_ || needed ? Text(text) : Offset<flatbuffers::String>();
  }
  template <class T>
  auto List(const std::vector<T>& list) {
    return list.empty() ? decltype(builder_.CreateVector(list))() : builder_.CreateVector(list);
  }
  Offset<flatbuffers::Vector<int64_t>> List(const int64_t* list, size_t size) {
    return size == 0 ? Offset<flatbuffers::Vector<int64_t>>() : builder_.CreateVector(list, size);
  }

  Offset<fbs::Type> Write(const Type& type) {
    int64_t written[kMaxRank];
    for (int d = 0; d < type.shape.rank(); ++d) {
      int64_t dim = type.shape[d];
      written[d] = IsSymbolDim(dim) ? symbol_of_[static_cast<size_t>(SymbolIndex(dim))] : dim;
    }
    auto dims = List(written, type.shape.dims().size());
    return fbs::CreateType(builder_, static_cast<uint8_t>(type.kind), static_cast<uint8_t>(type.dtype),
                           static_cast<uint8_t>(type.key), type.shape.has_rank(), dims);
  }

  Offset<fbs::Tensor> Write(const Tensor& tensor) {
    auto dims = List(tensor.shape().begin(), tensor.shape().dims().size());
    if (tensor.dtype() == DType::kString) {
      std::vector<Offset<flatbuffers::String>> strings;
      for (int64_t i = 0; i < tensor.elements(); ++i) strings.push_back(builder_.CreateString(tensor.as<std::string>()[i]));
      auto list = builder_.CreateVector(strings);
      return fbs::CreateTensor(builder_, static_cast<uint8_t>(tensor.dtype()), dims, nullptr, list);
    }
    fbs::Blob blob = AddContents(tensor.dtype(), tensor.data(), tensor.has_data() ? tensor.bytes() : 0);
    return fbs::CreateTensor(builder_, static_cast<uint8_t>(tensor.dtype()), dims, &blob);
  }

  Offset<fbs::Attribute> Write(const Attribute& attribute) {
    auto name = Text(attribute.name);
    std::vector<Offset<fbs::Tensor>> tensors;
    std::vector<Offset<fbs::Graph>> graphs;
    std::vector<Offset<flatbuffers::String>> texts;
    Offset<flatbuffers::Vector<uint8_t>> s;
    Offset<flatbuffers::Vector<int64_t>> ints;
    Offset<flatbuffers::Vector<float>> floats;
    Offset<fbs::Type> type;
    int64_t i = 0;
    float f = 0;
    uint8_t kind = 0;
    const Attribute::Payload& p = attribute.payload;
    if (auto* v = std::get_if<float>(&p)) kind = 1, f = *v;
    if (auto* v = std::get_if<int64_t>(&p)) kind = 2, i = *v;
    if (auto* v = std::get_if<std::string>(&p)) kind = 3, s = builder_.CreateVector(reinterpret_cast<const uint8_t*>(v->data()), v->size());
    if (auto* v = std::get_if<Tensor>(&p)) kind = 4, tensors.push_back(Write(*v));
    if (auto* v = std::get_if<std::shared_ptr<Graph>>(&p)) kind = 5, graphs.push_back(Write(**v));
    if (auto* v = std::get_if<std::vector<float>>(&p)) kind = 6, floats = List(*v);
    if (auto* v = std::get_if<std::vector<int64_t>>(&p)) kind = 7, ints = List(v->data(), v->size());
    if (auto* v = std::get_if<std::vector<std::string>>(&p)) {
      kind = 8;
      for (const std::string& text : *v) texts.push_back(builder_.CreateSharedString(text));
    }
    if (auto* v = std::get_if<std::vector<Tensor>>(&p)) {
      kind = 9;
      for (const Tensor& tensor : *v) tensors.push_back(Write(tensor));
    }
    if (auto* v = std::get_if<std::vector<std::shared_ptr<Graph>>>(&p)) {
      kind = 10;
      for (const auto& graph : *v) graphs.push_back(Write(*graph));
    }
    if (auto* v = std::get_if<Type>(&p)) kind = 13, type = Write(*v);
    auto strings = List(texts);
    auto tensor_list = List(tensors);
    auto graph_list = List(graphs);
    return fbs::CreateAttribute(builder_, name, kind, i, f, s, ints, floats, strings, tensor_list, graph_list, type);
  }

  /// Values keep their ids; nodes that are gone are left out, and the rest stands in topological order.
  Offset<fbs::Graph> Write(const Graph& graph, bool root = false) {
    std::vector<char> port(static_cast<size_t>(graph.value_count()), false);
    for (const std::vector<ValueId>* list : {&graph.inputs, &graph.outputs()}) {
      for (ValueId id : *list) port[static_cast<size_t>(id)] = root;
    }
    std::vector<Offset<fbs::Value>> values;
    for (ValueId id = 0; id < graph.value_count(); ++id) {
      const Value& value = graph.value(id);
      auto name = Name(value.name, port[static_cast<size_t>(id)]);
      auto type = Write(value.type);
      Offset<fbs::Tensor> constant;
      bool kept = value.is_constant && (!value.uses.empty() || graph.is_input(id));
      // A constant without contents is one whose every reader has it packed.
      if (kept && (value.constant.has_data() || value.constant.elements() == 0)) constant = Write(value.constant);
      values.push_back(fbs::CreateValue(builder_, name, type, constant, kept));
    }
    std::vector<Offset<fbs::Node>> nodes;
    Result<std::vector<NodeId>> order = graph.Order();
    for (NodeId id : *order) {
      const Node& node = graph.node(id);
      std::vector<Offset<fbs::Attribute>> attributes;
      for (const Attribute& attribute : node.attributes) attributes.push_back(Write(attribute));
      auto name = Name(node.name), domain = Text(node.domain), op = Text(node.op);
      auto inputs = List(node.inputs), outputs = List(node.outputs);
      auto captures = List(node.captures);
      auto attribute_list = List(attributes);
      nodes.push_back(fbs::CreateNode(builder_, name, domain, op, node.version, inputs, outputs, captures, attribute_list));
    }
    auto name = Name(graph.name);
    auto value_list = List(values);
    auto node_list = List(nodes);
    auto inputs = List(graph.inputs), outputs = List(graph.outputs());
    auto captures = List(graph.captures);
    return fbs::CreateGraph(builder_, name, value_list, node_list, inputs, outputs, captures);
  }

  std::vector<Offset<fbs::Port>> Write(const std::vector<PortType>& ports) {
    std::vector<Offset<fbs::Port>> out;
    for (const PortType& port : ports) {
      auto name = Text(port.name);
      out.push_back(fbs::CreatePort(builder_, name, Write(port.type)));
    }
    return out;
  }

  Offset<fbs::Plan> Write(const StoredPlan& plan) {
    std::vector<fbs::PlannedValue> values;
    std::vector<int64_t> dims;
    std::vector<fbs::KnownContents> known;
    for (size_t v = 0; v < plan.facts.size(); ++v) {
      const Type& type = plan.facts[v].type;
      const Place& place = plan.places[v];
      if (place.kind == Place::kNone) {
        values.emplace_back();
        continue;
      }
      values.emplace_back(place.offset, place.root, static_cast<uint32_t>(dims.size()), place.kind,
                          static_cast<uint8_t>(type.dtype), static_cast<uint8_t>(type.shape.rank()));
      dims.insert(dims.end(), type.shape.begin(), type.shape.end());
      if (place.kind != Place::kKnown) continue;
      int64_t bytes = ByteSize(type.dtype, type.shape.elements()).value();   // its shape passed CheckShape
      known.emplace_back(AddContents(type.dtype, plan.facts[v].data, bytes), static_cast<int32_t>(v));
    }
    auto value_list = builder_.CreateVectorOfStructs(values);
    auto dim_list = List(dims.data(), dims.size());
    auto known_list = builder_.CreateVectorOfStructs(known);
    return fbs::CreatePlan(builder_, value_list, dim_list, known_list, static_cast<uint64_t>(plan.arena_bytes));
  }

  /// `tables`: bytes of the flatbuffer with what fills it up, when the building before has told.
  void Build(const PreparedFile& file, int64_t tables) {
    builder_.Clear();
    // Fields equal to their defaults would be left out and change the head's size between the two passes.
    builder_.ForceDefaults(true);
    names_ = file.names;
    const int64_t end = tables + summed_.bytes + rest_.bytes;
    rest_ = {{}, tables + summed_.bytes};
    summed_ = {{}, tables};
    NumberSymbols(file.graph.symbols());
    auto graph = Write(file.graph, true);
    std::vector<Offset<fbs::Weights>> weights;
    for (const PackedWeights& packed : file.weights) {
      auto tag = Text(packed.tag);
      fbs::Blob blob = AddBlob(packed.data, packed.bytes, rest_);
      weights.push_back(fbs::CreateWeights(builder_, packed.node, tag, &blob));
    }
    std::vector<Offset<fbs::Plan>> plans;
    for (const StoredPlan& plan : file.plans) plans.push_back(Write(plan));
    std::vector<Offset<fbs::Opset>> opsets;
    for (const auto& [domain, version] : file.info.opsets) {
      auto name = Text(domain);
      opsets.push_back(fbs::CreateOpset(builder_, name, version));
    }
    std::vector<Offset<fbs::Entry>> metadata;
    for (const auto& [key, value] : file.info.metadata) {
      auto k = Text(key), v = Text(value);
      metadata.push_back(fbs::CreateEntry(builder_, k, v));
    }
    std::vector<Offset<flatbuffers::String>> symbols;
    for (const std::string& symbol : symbols_) symbols.push_back(builder_.CreateString(symbol));
    auto inputs = builder_.CreateVector(Write(file.inputs)), outputs = builder_.CreateVector(Write(file.outputs));
    auto weight_list = List(weights);
    auto plan_list = List(plans);
    auto opset_list = List(opsets);
    auto metadata_list = List(metadata);
    auto symbol_list = List(symbols);
    auto producer = Name(file.info.producer_name), version = Name(file.info.producer_version);
    auto graph_name = Name(file.info.graph_name), precision = Text(file.precision);
    auto domain = Name(file.info.domain), doc_string = Name(file.info.doc_string);
    auto model = fbs::CreateModel(builder_, kLinnetFormat, producer, version, file.info.ir_version, file.info.model_version,
                                  graph_name, opset_list, metadata_list, symbol_list, inputs, outputs, graph, weight_list,
                                  static_cast<uint64_t>(end + static_cast<int64_t>(kPadding)), precision, plan_list, domain, doc_string);
    fbs::FinishModelBuffer(builder_, model);
  }

  flatbuffers::FlatBufferBuilder builder_;
  Region summed_;   ///< by the head's checksum
  Region rest_;
  std::vector<int64_t> symbol_of_;     ///< by index in the graph's table: the dimension in the file
  std::vector<std::string> symbols_;   ///< the file's table
  bool names_ = true;
};

}  // namespace

Status WriteLinnet(const PreparedFile& file, Sink& sink) {
  LINNET_TRY(file.graph.Order().TakeStatus());
  Writer writer;
  return writer.Write(file, sink);
}

}  // namespace linnet
