// Reading, rewriting and writing models, or, in a reduced build, saying that it cannot.
#include "api/full_build.h"

#include <algorithm>

#include "api/precision.h"
#include "base/file.h"
#include "base/mutex.h"
#include "format/linnet_file.h"
#include "ops/conv_weights.h"
#if !defined(LINNET_NO_ONNX)
#include "onnx/writer.h"
#endif
#if !defined(LINNET_NO_REFERENCE)
#include "providers/reference/reference.h"
#endif

namespace linnet {

#if defined(LINNET_NO_ONNX)

namespace {
Status Absent(const char* what) { return Fail(Code::kNotInBuild, what, " is not in this build; it runs .linnet files"); }
}  // namespace

Result<OnnxModel> ImportModel(const std::string&, const SessionOptions&, MemoryBudget*, bool*, bool) {
  return Absent("reading .onnx and .ort files");
}
Result<OnnxModel> ImportModel(std::span<const std::byte>, std::shared_ptr<const void>, const SessionOptions&, MemoryBudget*, bool) {
  return Absent("reading .onnx and .ort files");
}
Status Optimize(Graph&, const PassContext&, const PipelineOptions&) { return Absent("rewriting graphs"); }
Status ConvertModel(const std::string&, const std::string&, const SessionOptions&) { return Absent("writing models"); }
Status ConvertModel(const std::string&, const std::string&, const SessionOptions&, PlanShapes) { return Absent("writing models"); }
Status WriteOptimizedOnnx(const std::string&, const std::string&, const SessionOptions&) { return Absent("writing models"); }
Status CollectRequirements(const std::string&, const SessionOptions&, bool, Requirements*) { return Absent("listing operators"); }

#else

namespace {

ReadOptions ReadOptionsOf(const SessionOptions& options, MemoryBudget* budget, bool any_address) {
  ReadOptions read;
  read.budget = budget;
  read.untrusted = options.untrusted;
  read.access = options.access();
  if (options.untrusted) read.limits = GraphLimits::Hostile();
  read.external_data_folder = options.external_data_folder;
  read.any_address = any_address;
  return read;
}

/// Keeps what nodes pack, under the names a prepared file gives it.
class RecordingWeights : public WeightStore {
 public:
  Result<const void*> Get(int64_t node, std::string_view tag, int64_t bytes, FunctionRef<Status(void*)> fill) override {
    LINNET_ASSIGN(Block block, Block::Allocate(bytes));
    LINNET_TRY(fill(block.data()));
    Lock lock(mutex_);
    blocks_.push_back(std::move(block));
    weights_.push_back({node, std::string(tag), blocks_.back().data(), bytes});
    return weights_.back().data;
  }
  /// In the order of the nodes, whoever was faster.
  std::vector<PackedWeights> Take() {
    std::stable_sort(weights_.begin(), weights_.end(), [](const auto& a, const auto& b) { return a.node < b.node; });
    return std::move(weights_);
  }

 private:
  Mutex mutex_;
  std::vector<PackedWeights> weights_;
  std::vector<Block> blocks_;
};

}  // namespace

Result<OnnxModel> ImportModel(const std::string& path, const SessionOptions& options, MemoryBudget* budget, bool* external_data,
                             bool any_address) {
  ReadOptions read = ReadOptionsOf(options, budget, any_address);
  read.external_data = external_data;
  return ReadModelFile(path, read);
}

Result<OnnxModel> ImportModel(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                             const SessionOptions& options, MemoryBudget* budget, bool any_address) {
  return ReadModelBytes(bytes, std::move(owner), ReadOptionsOf(options, budget, any_address));
}

Status Optimize(Graph& graph, const PassContext& context, const PipelineOptions& options) {
  return RunPipeline(graph, context, options);
}

namespace {

/// The types of the inputs where the model says all of them; else none.
std::vector<std::vector<Type>> DeclaredShapes(const Session& session) {
  std::vector<Type> types;
  for (const PortInfo& port : session.inputs()) {
    if (!port.has_default && (!port.type.is_tensor() || !port.type.shape.is_static())) return {};
    types.push_back(port.type);
  }
  return {types};
}

/// Plans for the sets of input types, or, when they are the model's own (not `asked` for), for those that can be had.
Status AddPlans(Session& session, const std::vector<std::vector<Type>>& sets, bool asked, PreparedFile* file) {
  for (const std::vector<Type>& types : sets) {
    std::vector<Fact> facts;
    for (size_t i = 0; i < types.size(); ++i) {
      if (!session.inputs()[i].has_default) facts.push_back({types[i], nullptr});
    }
    if (file->plans.size() == kPlansMax) return LimitReached("a file keeps ", kPlansMax, " plans at most");
    Result<StoredPlan> plan = session.model().MakeStored(facts.data(), static_cast<int>(facts.size()));
    if (!plan.ok() && asked) return plan.TakeStatus().At("there can be no plan for the shapes given");
    if (plan.ok()) file->plans.push_back(std::move(*plan));
  }
  return Status();
}

Status Convert(const std::string& input, const std::string& output, const SessionOptions& options, PlanShapes* shapes) {
  RecordingWeights recorded;
  SessionOptions preparing = options;
  preparing.weights = &recorded;
  LINNET_ASSIGN(std::unique_ptr<Session> session, Session::Open(input, preparing));
  PreparedFile file;
  file.graph = session->model().graph().Clone();
  file.info = session->info();
  file.names = options.names;
  for (const PortInfo& port : session->inputs()) {
    if (!port.has_default) file.inputs.push_back({port.name, port.type});
  }
  for (const PortInfo& port : session->outputs()) file.outputs.push_back({port.name, port.type});
  file.weights = recorded.Take();
  file.precision = PrecisionName(session->precision());
  std::vector<std::vector<Type>> sets = DeclaredShapes(*session);
  if (shapes) {
    LINNET_ASSIGN(sets, (*shapes)(*session));
  }
  LINNET_TRY(AddPlans(*session, sets, shapes != nullptr, &file));
  return WriteFileAtomically(output, [&](Sink& sink) { return WriteLinnet(file, sink); });
}

}  // namespace

Status ConvertModel(const std::string& input, const std::string& output, const SessionOptions& options) {
  return Convert(input, output, options, nullptr);
}

Status ConvertModel(const std::string& input, const std::string& output, const SessionOptions& options, PlanShapes shapes) {
  return Convert(input, output, options, &shapes);
}

namespace {

/// Whether Winograd's tiles suit a linnet:Conv by constant weights of this shape.
bool SuitsWinograd(const Graph& graph, const Node& node, const Shape& w) {
  if (node.op != "Conv" || node.domain != "linnet" || w.rank() != 4 || w[2] != 3 || w[3] != 3) return false;
  Result<int64_t> groups = node.Int("group", 1), first = node.Int("channels_first", 0);
  Result<std::vector<int64_t>> strides = node.Ints("strides"), dilations = node.Ints("dilations");
  if (!groups.ok() || *groups != 1 || !first.ok() || *first != 0 || !strides.ok() || !dilations.ok()) return false;
  if (std::any_of(strides->begin(), strides->end(), [](int64_t x) { return x != 1; })) return false;
  const bool dilated = dilations->size() == 2;
  return WayOf(w, graph.value(node.outputs[0]).type.shape, dilated ? (*dilations)[0] : 1, dilated ? (*dilations)[1] : 1).tile != 0;
}

/// Those of base/parts.h.
template <class Add>
void AddVariants(const Graph& graph, const Node& node, bool packed, const Add& add) {
  for (const std::vector<ValueId>* list : {&node.inputs, &node.outputs}) {
    for (size_t i = 0; i < list->size(); ++i) {
      const ValueId id = (*list)[i];
      if (id == kNoValue || (graph.is_constant(id) && i > 0)) continue;
      const DType dtype = graph.value(id).type.dtype;
      if (dtype == DType::kUint8) add(node, "Unsigned8");
      if (dtype == DType::kInt8) add(node, "Signed8");
    }
  }
  auto has = [&](std::string_view part) { return node.op.find(part) != node.op.npos; };
  // Products within attention have no weights; scales of a quantized convolution may be computed.
  bool computed = has("Attention") || has("Einsum");
  if (has("Conv") || has("Gemm") || has("MatMul") || has("LSTM") || has("GRU") || has("RNN")) computed = computed || !packed;
  constexpr size_t kAdded = 9;   // of linnet:QLinearConv, which is no weight
  for (size_t i = 1; i < std::min(node.inputs.size(), kAdded) && node.op == "QLinearConv"; ++i) {
    computed = computed || (node.inputs[i] != kNoValue && !graph.is_constant(node.inputs[i]));
  }
  if (computed || packed) add(node, computed ? "ComputedWeights" : "PackedWeights");
  auto dtype_of = [&](const std::vector<ValueId>& list, size_t i) {
    return i < list.size() && list[i] != kNoValue ? graph.value(list[i]).type.dtype : DType::kUndefined;
  };
  const DType x = dtype_of(node.inputs, 0), y = dtype_of(node.outputs, 0);
  auto is_byte = [](DType dtype) { return dtype == DType::kInt8 || dtype == DType::kUint8; };
  if (is_byte(x) && (has("Conv") || has("Gemm") || has("MatMul"))) add(node, is_byte(y) ? "ByteResults" : "WideResults");
  if (node.op == "QLinearConv") add(node, node.inputs.size() > kAdded ? "AddedBytes" : "LoneBytes");
  if (has("Dynamic") || has("LSTM") || has("Attention")) add(node, "WideResults");   // products within
  if (node.op == "QuantizeLinear" || node.op == "DequantizeLinear") {
    const bool to = node.op == "QuantizeLinear", floats = dtype_of(node.inputs, 1) == DType::kFloat && !node.Has("precision");
    const bool plain = (to ? x : y) == DType::kFloat && is_byte(to ? y : x) && floats;
    add(node, plain ? "PlainQuantized" : "AnyQuantized");
  }
  for (ValueId id : node.inputs) {
    if (node.op.find("Conv") == node.op.npos || id == kNoValue) continue;
    const Shape& w = graph.value(id).type.shape;
    if (!graph.is_constant(id) || w.rank() < 3) continue;
    if (SuitsWinograd(graph, node, w)) add(node, "Winograd");
    const int64_t width = w[1] == 1 && w.rank() <= 4 ? w[w.rank() - 1] : 0;
    // Unrolled are steps of 1 and 2 pixels, without dilation.
    auto is = [&](std::string_view attribute, int64_t most) {
      for (std::string_view prefix : {"", "depthwise_"}) {
        Result<std::vector<int64_t>> list = node.Ints(Cat(prefix, attribute));
        if (list.ok() && !list->empty() && list->back() > most) return false;
      }
      return true;
    };
    const bool unrolled = (width == 3 || width == 5) && is("strides", 2) && is("dilations", 1);
    add(node, width == 0 ? "Depthwise0" : width == 3 ? "Depthwise3" : width == 5 ? "Depthwise5" : "DepthwiseAny");
    if (width != 0 && !unrolled) add(node, "DepthwiseAny");
  }
}

/// Parts of kernels that a build has when its configuration names them, in the "custom" of the operator that needs them:
/// FusedRelu, FusedClip ... (FusedNone where a model has none), Winograd for convolutions that it suits, Depthwise3 and Depthwise5 for
/// depthwise convolutions of these widths, DepthwiseAny for all others (Depthwise0: a convolution that is none), and of pairs what is enough or what is more: Unsigned8 or Signed8
/// bytes that are no weights, ByteResults or WideResults of 8-bit products, LoneBytes or AddedBytes of 8-bit convolutions, PlainQuantized or
/// AnyQuantized, PackedWeights or ComputedWeights.
void AddParts(const Graph& graph, const std::vector<PackedWeights>& weights, Requirements* requirements, bool inner = false) {
  auto add = [&](const Node& node, std::string_view part) {
    RequiredTypes types;
    types.any = false;
    types.custom.push_back(Cat("\"", part, "\""));
    requirements->Add(node.domain, node.version, node.op, types);
  };
  bool named = false;
  int64_t prepared = 0;   // what PackedWeights count; those of bodies are counted apart, and taken for computed
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    if (!named) add(node, "FusedNone");   // a sign that parts are named at all
    named = true;
    for (const Attribute& attribute : node.attributes) {
      const std::string* name = std::get_if<std::string>(&attribute.payload);
      if (name && !name->empty() && attribute.name.ends_with("activation")) add(node, Cat("Fused", *name));
    }
    auto is_of_node = [&](const PackedWeights& each) { return each.node == prepared; };
    const bool packed = !inner && std::any_of(weights.begin(), weights.end(), is_of_node);
    ++prepared;
    AddVariants(graph, node, packed, add);
    for (const Graph* body : Graph::Subgraphs(node)) AddParts(*body, weights, requirements, true);
  }
}

}  // namespace

Status CollectRequirements(const std::string& path, const SessionOptions& options, bool onnx, Requirements* requirements) {
  GraphLimits limits = options.untrusted ? GraphLimits::Hostile() : GraphLimits();
  FileOptions access;
  access.access = options.access();
  access.bytes_max = limits.file_bytes;
  {
    LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, access));
    if (IsLinnetFile(file->bytes())) {
      if (onnx) return InvalidArgument(Quote(path), " is a .linnet file; what the file it was made of needs is not in it");
      LINNET_ASSIGN(PreparedFile prepared, ReadLinnet(file->bytes(), file, limits));
      requirements->Add(prepared.graph);
      AddParts(prepared.graph, prepared.weights, requirements);
      return Status();
    }
  }
  SessionOptions watching = options;
  if (onnx) {
    watching.pipeline.watch = [](void* user, const Graph& graph) {
      static_cast<Requirements*>(user)->Add(graph);
      AddParts(graph, {}, static_cast<Requirements*>(user));
    };
    watching.pipeline.watch_user = requirements;
  }
  RecordingWeights recorded;   // what is packed, and how, is said by whoever packs it
  watching.weights = &recorded;
  LINNET_ASSIGN(std::unique_ptr<Session> session, Session::Open(path, watching));
  requirements->Add(session->model().graph());
  AddParts(session->model().graph(), recorded.Take(), requirements);
  return Status();
}

std::vector<KnownOperator> KnownOperators() {
  std::vector<KnownOperator> known;
  for (const OpDef& def : OpTable::BuiltIn().rows()) known.push_back({def.name.domain, def.name.name, def.name.since});
  return known;
}

Status WriteOptimizedOnnx(const std::string& input, const std::string& output, const SessionOptions& options) {
  LINNET_ASSIGN(Precision precision, ParsePrecision(options.precision));
  if (precision != Precision::kFloat32) {
    return InvalidArgument("a .onnx file cannot say that it runs with precision ", Quote(options.precision), "; a .linnet file can");
  }
  LINNET_ASSIGN(OnnxModel model, ImportModel(input, options));
  PassContext context;
  context.table = options.table ? options.table : &OpTable::BuiltIn();
  PipelineOptions pipeline = options.pipeline;
  pipeline.plain_onnx = true;
  LINNET_TRY(Optimize(model.graph, context, pipeline));
  return WriteFileAtomically(output, [&](Sink& sink) { return WriteOnnx(model, sink); });
}

#endif

Result<std::unique_ptr<Provider>> MakeProvider(const std::string& name) {
#if defined(LINNET_NO_REFERENCE)
  return Fail(Code::kNotInBuild, "provider ", Quote(name), " is not in this build; known: cpu");
#else
  if (name == "reference") return MakeReferenceProvider();
  return InvalidArgument("there is no provider ", Quote(name), "; known: cpu, reference");
#endif
}

}  // namespace linnet
