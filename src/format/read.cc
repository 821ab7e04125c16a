// Reading .linnet files: the flatbuffer is verified as a whole, then everything it says is checked before it is used.
#include "format/linnet_file.h"

#include <string.h>

#include "graph/names.h"
#include "graph/verify.h"
#include "linnet_generated.h"

namespace linnet {
namespace {

constexpr uint32_t kFormat = 2;   // 1: 8-bit weights whose K was padded otherwise

/// The verifier lets the 8-byte numbers of a vector lie at multiples of 4.
int64_t IntAt(const flatbuffers::Vector<int64_t>& numbers, uint32_t i) {
  int64_t number;
  memcpy(&number, numbers.Data() + i * sizeof number, sizeof number);
  return flatbuffers::EndianScalar(number);
}

std::string Text(const flatbuffers::String* text) { return text ? std::string(text->c_str(), text->size()) : std::string(); }

class Reader {
 public:
  Reader(std::string_view bytes, std::shared_ptr<const void> owner, const GraphLimits& limits)
      : bytes_(bytes), owner_(std::move(owner)), limits_(limits) {}

  Result<PreparedFile> Read() {
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(bytes_.data()), bytes_.size(),
                                   static_cast<flatbuffers::uoffset_t>(4 * limits_.graph_depth + 16),
                                   static_cast<flatbuffers::uoffset_t>(1u << 30));
    if (!fbs::VerifyModelBuffer(verifier)) return InvalidModel("the .linnet file is damaged: its structure does not verify");
    const fbs::Model& model = *fbs::GetModel(bytes_.data());
    if (model.format() != kFormat) {
      return Unsupported("the .linnet file has format ", model.format(), "; this build reads ", kFormat, ": convert the model again");
    }
    if (model.file_bytes() != bytes_.size()) {
      return InvalidModel("the .linnet file has ", bytes_.size(), " bytes where ", model.file_bytes(), " were written");
    }
    if (!model.graph()) return InvalidModel("the .linnet file has no graph");
    PreparedFile file;
    file.owner = owner_;
    symbols_ = std::make_shared<SymbolTable>();
    for (uint32_t i = 0; model.symbols() && i < model.symbols()->size(); ++i) {
      if (symbols_->Intern(Text(model.symbols()->Get(i))) != SymbolDim(static_cast<int>(i))) {
        return InvalidModel("symbol ", i, " of the .linnet file is there twice");
      }
    }
    LINNET_ASSIGN(file.graph, ReadGraph(*model.graph(), 0));
    LINNET_TRY(ReadPorts(model.inputs(), &file.inputs));
    LINNET_TRY(ReadPorts(model.outputs(), &file.outputs));
    if (file.inputs.size() != file.graph.inputs.size() || file.outputs.size() != file.graph.outputs().size()) {
      return InvalidModel("the .linnet file names ", file.inputs.size(), " inputs and ", file.outputs.size(),
                          " outputs; its graph has ", file.graph.inputs.size(), " and ", file.graph.outputs().size());
    }
    for (size_t i = 0; i < file.inputs.size(); ++i) {
      const Type& type = file.graph.value(file.graph.inputs[i]).type;
      if (file.inputs[i].type == type) continue;
      return InvalidModel("input ", Quote(file.inputs[i].name), " is ", ToString(file.inputs[i].type, symbols_.get()),
                          " in the list of inputs and ", ToString(type, symbols_.get()), " in the graph");
    }
    LINNET_TRY(Verify(file.graph, limits_));
    for (uint32_t i = 0; model.weights() && i < model.weights()->size(); ++i) {
      const fbs::Weights& weights = *model.weights()->Get(i);
      PackedWeights packed;
      packed.node = weights.node();
      packed.tag = Text(weights.tag());
      LINNET_ASSIGN(packed.data, Locate(weights.blob(), &packed.bytes));
      file.weights.push_back(std::move(packed));
    }
    file.info.ir_version = model.ir_version();
    file.info.model_version = model.model_version();
    file.info.producer_name = Text(model.producer_name());
    file.info.producer_version = Text(model.producer_version());
    file.info.graph_name = Text(model.graph_name());
    if (model.precision()) file.precision = Text(model.precision());
    if (file.precision != "f32" && file.precision != "bf16") {
      return InvalidModel("the .linnet file was prepared for precision ", Quote(file.precision), ", which this version does not know");
    }
    for (uint32_t i = 0; model.opsets() && i < model.opsets()->size(); ++i) {
      file.info.opsets.emplace_back(Text(model.opsets()->Get(i)->domain()), model.opsets()->Get(i)->version());
    }
    for (uint32_t i = 0; model.metadata() && i < model.metadata()->size(); ++i) {
      file.info.metadata.emplace_back(Text(model.metadata()->Get(i)->key()), Text(model.metadata()->Get(i)->value()));
    }
    return file;
  }

 private:
  Result<const void*> Locate(const fbs::Blob* blob, int64_t* bytes) const {
    *bytes = 0;
    if (!blob) return static_cast<const void*>(nullptr);
    if (blob->offset() > bytes_.size() || blob->bytes() > bytes_.size() - blob->offset() ||
        bytes_.size() - blob->offset() - blob->bytes() < kPadding || blob->offset() % kAlignment != 0) {
      return InvalidModel("a block of ", blob->bytes(), " bytes at ", blob->offset(), " does not fit the file of ",
                          bytes_.size(), " bytes");
    }
    *bytes = static_cast<int64_t>(blob->bytes());
    return static_cast<const void*>(bytes_.data() + blob->offset());
  }

  Result<Shape> ReadShape(const flatbuffers::Vector<int64_t>* dims) const {
    if (!dims) return Shape::OfRank(0);
    if (dims->size() > static_cast<uint32_t>(kMaxRank)) return Unsupported("rank ", dims->size(), " is above the limit of ", kMaxRank);
    Shape shape = Shape::OfRank(static_cast<int>(dims->size()));
    for (int i = 0; i < shape.rank(); ++i) shape[i] = IntAt(*dims, static_cast<uint32_t>(i));
    for (int64_t dim : shape) {
      // Compared as dimensions: the index of an absurd one does not fit an int.
      if (IsSymbolDim(dim) && dim < SymbolDim(symbols_->size() - 1)) return InvalidModel("symbol ", dim, " does not exist");
    }
    LINNET_TRY(CheckShape(shape));
    return shape;
  }

  Result<Type> ReadType(const fbs::Type* from) const {
    Type type;
    if (!from) return type;
    if (from->kind() > static_cast<uint8_t>(Kind::kSequenceOfMaps) || from->dtype() >= kDTypeCount || from->key() >= kDTypeCount) {
      return InvalidModel("a type of kind ", from->kind(), " and element type ", from->dtype(), " does not exist");
    }
    type.kind = static_cast<Kind>(from->kind());
    type.dtype = static_cast<DType>(from->dtype());
    type.key = static_cast<DType>(from->key());
    if (from->ranked()) {
      LINNET_ASSIGN(type.shape, ReadShape(from->dims()));
    }
    return type;
  }

  Result<Tensor> ReadTensor(const fbs::Tensor* from) const {
    if (!from) return Tensor();
    if (from->dtype() == 0 || from->dtype() >= kDTypeCount) return InvalidModel("element type ", from->dtype(), " does not exist");
    DType dtype = static_cast<DType>(from->dtype());
    LINNET_ASSIGN(Shape shape, ReadShape(from->dims()));
    if (!shape.is_static()) return InvalidModel("a constant has shape ", ToString(shape));
    if (dtype == DType::kString) {
      int64_t count = from->strings() ? from->strings()->size() : 0;
      if (count != shape.elements()) return InvalidModel("a constant has ", count, " strings of ", shape.elements());
      LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(dtype, shape));
      for (int64_t i = 0; i < count; ++i) tensor.mutable_as<std::string>()[i] = Text(from->strings()->Get(static_cast<uint32_t>(i)));
      return tensor;
    }
    LINNET_ASSIGN(int64_t need, ByteSize(dtype, shape.elements()));
    int64_t have;
    LINNET_ASSIGN(const void* data, Locate(from->blob(), &have));
    if (have != need) return InvalidModel("a constant ", ToString(Type::Tensor(dtype, shape)), " has ", have, " bytes of ", need);
    return Tensor::View(dtype, shape, data, owner_);
  }

  Result<Attribute> ReadAttribute(const fbs::Attribute& from, int64_t depth) {
    Attribute attribute;
    attribute.name = Text(from.name());
    std::vector<Tensor> tensors;
    for (uint32_t i = 0; from.tensors() && i < from.tensors()->size(); ++i) {
      LINNET_ASSIGN(Tensor tensor, ReadTensor(from.tensors()->Get(i)));
      tensors.push_back(std::move(tensor));
    }
    std::vector<std::shared_ptr<Graph>> graphs;
    for (uint32_t i = 0; from.graphs() && i < from.graphs()->size(); ++i) {
      LINNET_ASSIGN(Graph graph, ReadGraph(*from.graphs()->Get(i), depth + 1));
      graphs.push_back(std::make_shared<Graph>(std::move(graph)));
    }
    auto list = [](const auto* vector, auto out) {
      if (vector) out.assign(vector->begin(), vector->end());
      return out;
    };
    switch (from.kind()) {
      case 1: attribute.payload = from.f(); break;
      case 2: attribute.payload = from.i(); break;
      case 3: attribute.payload = list(from.s(), std::string()); break;
      case 4:
        if (tensors.size() != 1) return InvalidModel("attribute ", Quote(attribute.name), " has ", tensors.size(), " tensors");
        attribute.payload = std::move(tensors[0]);
        break;
      case 5:
        if (graphs.size() != 1) return InvalidModel("attribute ", Quote(attribute.name), " has ", graphs.size(), " graphs");
        attribute.payload = std::move(graphs[0]);
        break;
      case 6: attribute.payload = list(from.floats(), std::vector<float>()); break;
      case 7: {
        std::vector<int64_t> ints;
        for (uint32_t i = 0; from.ints() && i < from.ints()->size(); ++i) ints.push_back(IntAt(*from.ints(), i));
        attribute.payload = std::move(ints);
        break;
      }
      case 8: {
        std::vector<std::string> strings;
        for (uint32_t i = 0; from.strings() && i < from.strings()->size(); ++i) strings.push_back(Text(from.strings()->Get(i)));
        attribute.payload = std::move(strings);
        break;
      }
      case 9: attribute.payload = std::move(tensors); break;
      case 10: attribute.payload = std::move(graphs); break;
      case 13: {
        LINNET_ASSIGN(Type type, ReadType(from.type()));
        attribute.payload = type;
        break;
      }
      default: return InvalidModel("attribute ", Quote(attribute.name), " has unknown kind ", from.kind());
    }
    return attribute;
  }

  Status ReadPorts(const flatbuffers::Vector<flatbuffers::Offset<fbs::Port>>* from, std::vector<PortType>* to) const {
    for (uint32_t i = 0; from && i < from->size(); ++i) {
      LINNET_ASSIGN(Type type, ReadType(from->Get(i)->type()));
      to->push_back({Text(from->Get(i)->name()), type});
    }
    return Status();
  }

  static Status CheckIds(const flatbuffers::Vector<int32_t>* ids, int count, bool optional) {
    for (uint32_t i = 0; ids && i < ids->size(); ++i) {
      int32_t id = ids->Get(i);
      if (id >= count || id < (optional ? kNoValue : 0)) return InvalidModel("value ", id, " does not exist");
    }
    return Status();
  }

  static std::vector<ValueId> Ids(const flatbuffers::Vector<int32_t>* ids) {
    return ids ? std::vector<ValueId>(ids->begin(), ids->end()) : std::vector<ValueId>();
  }

  Result<Graph> ReadGraph(const fbs::Graph& from, int64_t depth) {
    if (depth > limits_.graph_depth) return LimitReached("subgraphs nest deeper than ", limits_.graph_depth);
    Graph graph(symbols_);
    graph.name = Text(from.name());
    for (uint32_t i = 0; from.values() && i < from.values()->size(); ++i) {
      const fbs::Value& value = *from.values()->Get(i);
      LINNET_ASSIGN(Type type, ReadType(value.type()));
      ValueId id = graph.AddValue(Text(value.name()), type);
      if (!value.is_constant()) continue;
      if (value.constant()) {
        LINNET_ASSIGN(Tensor tensor, ReadTensor(value.constant()));
        graph.SetConstant(id, std::move(tensor));
      } else {
        if (!type.is_tensor() || !type.shape.is_static()) return InvalidModel("constant ", Quote(graph.value(id).name), " has no type");
        graph.SetConstant(id, Tensor::View(type.dtype, type.shape, nullptr));
      }
    }
    int count = graph.value_count();
    for (const auto* ids : {from.inputs(), from.outputs(), from.captures()}) LINNET_TRY(CheckIds(ids, count, false));
    for (ValueId id : Ids(from.inputs())) graph.AddInput(id);
    graph.captures = Ids(from.captures());
    nodes_ += from.nodes() ? from.nodes()->size() : 0;
    if (nodes_ > limits_.nodes) return LimitReached("the file has more than ", limits_.nodes, " nodes");
    for (uint32_t i = 0; from.nodes() && i < from.nodes()->size(); ++i) {
      const fbs::Node& node = *from.nodes()->Get(i);
      Node made;
      made.name = Text(node.name());
      made.domain = Text(node.domain());
      made.op = Text(node.op());
      made.version = node.version();
      LINNET_TRY(CheckIds(node.inputs(), count, true).At(PlainOrQuoted(made.op)));
      LINNET_TRY(CheckIds(node.outputs(), count, true).At(PlainOrQuoted(made.op)));
      LINNET_TRY(CheckIds(node.captures(), count, false).At(PlainOrQuoted(made.op)));
      made.inputs = Ids(node.inputs());
      made.outputs = Ids(node.outputs());
      made.captures = Ids(node.captures());
      for (uint32_t a = 0; node.attributes() && a < node.attributes()->size(); ++a) {
        LINNET_ASSIGN(Attribute attribute, ReadAttribute(*node.attributes()->Get(a), depth));
        made.attributes.push_back(std::move(attribute));
      }
      LINNET_TRY(graph.AddNode(std::move(made)).TakeStatus());
    }
    for (ValueId id : Ids(from.outputs())) graph.AddOutput(id);
    return graph;
  }

  std::string_view bytes_;
  std::shared_ptr<const void> owner_;
  GraphLimits limits_;
  std::shared_ptr<SymbolTable> symbols_;
  int64_t nodes_ = 0;
};

}  // namespace

bool IsLinnetFile(std::string_view bytes) {
  return bytes.size() > 8 && bytes.substr(4, 4) == std::string_view(fbs::ModelIdentifier());
}

Result<PreparedFile> ReadLinnet(std::string_view bytes, std::shared_ptr<const void> owner, const GraphLimits& limits) {
  if (!IsLinnetFile(bytes)) return InvalidModel("not a .linnet file");
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment != 0) {
    return InvalidArgument("a .linnet model must lie at a multiple of ", kAlignment, " bytes");
  }
  return Reader(bytes, std::move(owner), limits).Read();
}

}  // namespace linnet
