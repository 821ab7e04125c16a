// Reading .linnet files: the flatbuffer is verified as a whole, then everything it says is checked before it is used.
#include "format/linnet_file.h"
#include "format/read_plan.h"
#include "format/read_values.h"
#include "graph/names.h"
#include "graph/verify.h"

namespace linnet {
namespace {

class Reader {
 public:
  Reader(std::string_view bytes, std::shared_ptr<const void> owner, const GraphLimits& limits)
      : bytes_(bytes), owner_(std::move(owner)), limits_(limits), values_(bytes, owner_) {}

  Result<PreparedFile> Read() {
    LINNET_ASSIGN(const fbs::Model* head, VerifyHead(bytes_, 4 * limits_.graph_depth + 16));
    const fbs::Model& model = *head;
    PreparedFile file;
    file.owner = owner_;
    symbols_ = std::make_shared<SymbolTable>();
    for (uint32_t i = 0; model.symbols() && i < model.symbols()->size(); ++i) {
      if (symbols_->Intern(Text(model.symbols()->Get(i))) != SymbolDim(static_cast<int>(i))) {
        return InvalidModel("symbol ", i, " of the .linnet file is there twice");
      }
    }
    values_.set_symbols(symbols_->size());
    LINNET_ASSIGN(file.graph, ReadGraph(*model.graph(), 0));
    if (!file.graph.captures.empty()) return InvalidModel("the graph of the .linnet file captures values, and there is no graph around it");
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
      LINNET_ASSIGN(packed.data, LocateBlob(bytes_, weights.blob(), &packed.bytes));
      file.weights.push_back(std::move(packed));
    }
    if (model.plans() && model.plans()->size() > kPlansMax) return LimitReached("the .linnet file has more than ", kPlansMax, " plans");
    for (uint32_t i = 0; model.plans() && i < model.plans()->size(); ++i) {
      LINNET_ASSIGN(StoredPlan plan, ReadPlan(*model.plans()->Get(i), file.graph.value_count(), bytes_));
      file.plans.push_back(std::move(plan));
    }
    file.info.ir_version = model.ir_version();
    file.info.model_version = model.model_version();
    file.info.producer_name = Text(model.producer_name());
    file.info.producer_version = Text(model.producer_version());
    file.info.graph_name = Text(model.graph_name());
    file.info.domain = Text(model.domain());
    file.info.doc_string = Text(model.doc_string());
    if (model.precision()) file.precision = Text(model.precision());
    if (file.precision != "f32" && file.precision != "bf16" && file.precision != "fp16") {
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
  Status ReadAttribute(const fbs::Attribute& from, int64_t depth, Attribute* to) {
    constexpr uint8_t kGraph = 5, kGraphs = 10;
    if (from.kind() != kGraph && from.kind() != kGraphs) return values_.ReadAttribute(from, to);
    to->name = Text(from.name());
    std::vector<std::shared_ptr<Graph>> graphs;
    for (uint32_t i = 0; from.graphs() && i < from.graphs()->size(); ++i) {
      LINNET_ASSIGN(Graph graph, ReadGraph(*from.graphs()->Get(i), depth + 1));
      graphs.push_back(std::make_shared<Graph>(std::move(graph)));
    }
    if (from.kind() == kGraphs) {
      to->payload = std::move(graphs);
      return Status();
    }
    if (graphs.size() != 1) return InvalidModel("attribute ", Quote(to->name), " has ", graphs.size(), " graphs");
    to->payload = std::move(graphs[0]);
    return Status();
  }

  Status ReadPorts(const flatbuffers::Vector<flatbuffers::Offset<fbs::Port>>* from, std::vector<PortType>* to) const {
    for (uint32_t i = 0; from && i < from->size(); ++i) {
      LINNET_ASSIGN(Type type, values_.ReadType(from->Get(i)->type()));
      to->push_back({Text(from->Get(i)->name()), type});
    }
    return Status();
  }

  Result<Graph> ReadGraph(const fbs::Graph& from, int64_t depth) {
    if (depth > limits_.graph_depth) return LimitReached("subgraphs nest deeper than ", limits_.graph_depth);
    Graph graph(symbols_);
    graph.name = Text(from.name());
    for (uint32_t i = 0; from.values() && i < from.values()->size(); ++i) {
      const fbs::Value& value = *from.values()->Get(i);
      LINNET_ASSIGN(Type type, values_.ReadType(value.type()));
      ValueId id = graph.AddValue(Text(value.name()), type);
      if (!value.is_constant()) continue;
      if (value.constant()) {
        Tensor tensor;
        LINNET_TRY(values_.ReadTensor(value.constant(), &tensor));
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
        LINNET_TRY(ReadAttribute(*node.attributes()->Get(a), depth, &made.attributes.emplace_back()));
      }
      LINNET_TRY(graph.AddNode(std::move(made)).TakeStatus());
    }
    for (ValueId id : Ids(from.outputs())) graph.AddOutput(id);
    return graph;
  }

  std::string_view bytes_;
  std::shared_ptr<const void> owner_;
  GraphLimits limits_;
  FileValues values_;
  std::shared_ptr<SymbolTable> symbols_;
  int64_t nodes_ = 0;
};

}  // namespace

Result<PreparedFile> ReadLinnet(std::string_view bytes, std::shared_ptr<const void> owner, const GraphLimits& limits) {
  if (!IsLinnetFile(bytes)) return InvalidModel("not a .linnet file");
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment != 0) {
    return InvalidArgument("a .linnet model must lie at a multiple of ", kAlignment, " bytes");
  }
  return Reader(bytes, std::move(owner), limits).Read();
}

}  // namespace linnet
