// The recipe from a model's bytes to something that runs:
//
//     read → verify → infer types → simplify → resolve → fuse → layout → prepare → bind
#include "api/session.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <stdexcept>

#include "api/file_weights.h"
#include "api/full_build.h"
#include "api/model_cache.h"
#include "api/precision.h"
#include "base/block_pool.h"
#include "base/denormals.h"
#include "base/knobs.h"
#include "base/thread_pool.h"
#include "format/checksum.h"
#include "format/linnet_file.h"
#include "ops/any_address.h"

namespace linnet {
namespace {

#if defined(__cpp_exceptions)
/// "out of memory", for which a few bytes must be had: others may be giving some back right now.
Status NoMemoryLeft() {
  for (int attempt = 0;; ++attempt) {
    try {
      return Status(Code::kOutOfMemory, "no memory left");  // short enough to lie inside the string
    } catch (const std::bad_alloc&) {
      if (attempt == 100) throw;
    }
  }
}
#endif

/// Runs `body`, which returns a Status or Result. A small allocation that failed inside has unwound to here.
template <class F>
auto CatchBadAlloc(F&& body) -> decltype(body()) {
#if defined(__cpp_exceptions)
  try {
    return body();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return NoMemoryLeft();
#else
  return body();
#endif
}

/// A budget in the list of those whose session has ended. No lock: a forked child may find it held for ever.
struct SessionBudget : MemoryBudget {
  SessionBudget* next = nullptr;
};
std::atomic<SessionBudget*> retired{nullptr};
std::atomic<bool> sweeping{false};

void PushRetired(SessionBudget* budget) {
  budget->next = retired.load(std::memory_order_relaxed);
  while (!retired.compare_exchange_weak(budget->next, budget, std::memory_order_acq_rel)) {
  }
}

/// Whether weights may stay where they lie in the file, at any address: not when others are to see them.
bool MayLieAnywhere(const SessionOptions& options) {
  return (!options.table || options.table == &OpTable::BuiltIn()) && options.pipeline.custom.empty() && !options.pipeline.watch && (options.provider.empty() || options.provider == "cpu");
}

}  // namespace

void RetireBudget::operator()(MemoryBudget* budget) const {
  PushRetired(static_cast<SessionBudget*>(budget));
  if (sweeping.exchange(true)) return;  // whoever sweeps, or the next one, finds it
  SessionBudget* each = retired.exchange(nullptr, std::memory_order_acq_rel);
  while (each) {
    SessionBudget* next = each->next;
    if (each->used_bytes() == 0) {
      delete each;
    } else {
      PushRetired(each);
    }
    each = next;
  }
  sweeping.store(false);
}

Status NothingToVerify() { return InvalidArgument("only .linnet files have checksums to verify"); }

Session::Session() : budget_(new SessionBudget()) {}
Session::~Session() = default;

void Session::Abandon() {
  // Without destroying them: they may be half changed.
  new (&idle_) decltype(idle_)();
  new (&variants_) decltype(variants_)();
}

Result<std::unique_ptr<Session>> Session::Open(const std::string& path, const SessionOptions& options) {
  return CatchBadAlloc([&] { return OpenFile(path, options); });
}

Result<std::unique_ptr<Session>> Session::FromMemory(const void* bytes, size_t size, std::shared_ptr<const void> owner,
                                                     const SessionOptions& options) {
  return CatchBadAlloc([&] { return OpenBytes(bytes, size, std::move(owner), options); });
}

Result<std::unique_ptr<Session>> Session::OpenFile(const std::string& path, const SessionOptions& options) {
  KeepFreedPages keep;  // what weights are made of leaves its pages to the next
  FlushDenormals flush;  // constants are folded as runs would compute them
  std::unique_ptr<Session> session(new Session());
  LINNET_TRY(session->Configure(options));
  // A look at the first bytes tells the formats apart; the mapping is shared with the system's cache.
  FileOptions file_options;
  file_options.access = options.access();
  file_options.budget = session->budget_.get();
  if (options.untrusted) file_options.bytes_max = GraphLimits::Hostile().file_bytes;
  {
    LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path, file_options));
    if (IsLinnetFile(file->bytes())) {
      LINNET_TRY(session->PrepareLinnet(file->bytes(), file).At(Quote(path)));
      return session;
    }
    if (options.verify) return NothingToVerify().At(Quote(path));
    LINNET_ASSIGN(std::unique_ptr<Session> cached, OpenThroughCache(path, file->bytes(), options));
    if (cached) return cached;
  }
  LINNET_ASSIGN(OnnxModel onnx, ImportModel(path, options, session->budget_.get(), nullptr, MayLieAnywhere(options)));
  LINNET_TRY(session->PrepareOnnx(std::move(onnx)));
  return session;
}

Result<std::unique_ptr<Session>> Session::OpenBytes(const void* bytes, size_t size, std::shared_ptr<const void> owner,
                                                    const SessionOptions& options) {
  KeepFreedPages keep;
  FlushDenormals flush;
  std::unique_ptr<Session> session(new Session());
  LINNET_TRY(session->Configure(options));
  bool linnet = IsLinnetFile({static_cast<const char*>(bytes), size});
  bool aligned = reinterpret_cast<uintptr_t>(bytes) % kAlignment == 0;
  if (!owner || ((linnet || IsOrtFile({static_cast<const char*>(bytes), size})) && !aligned)) {
    LINNET_ASSIGN(Block block, Block::Allocate(static_cast<int64_t>(size), session->budget_.get()));
    std::copy_n(static_cast<const std::byte*>(bytes), size, block.data());
    bytes = block.data();
    owner = std::make_shared<Block>(std::move(block));
  }
  if (linnet) {
    LINNET_TRY(session->PrepareLinnet({static_cast<const char*>(bytes), size}, std::move(owner)));
    return session;
  }
  if (options.verify) return NothingToVerify();
  LINNET_ASSIGN(OnnxModel onnx, ImportModel({static_cast<const std::byte*>(bytes), size}, std::move(owner), options, session->budget_.get(),
                                             MayLieAnywhere(options)));
  LINNET_TRY(session->PrepareOnnx(std::move(onnx)));
  return session;
}

Status Session::Configure(const SessionOptions& options) {
  options_ = options;
  if (!options_.table) options_.table = &OpTable::BuiltIn();
  if (options_.threads > 0) {
    threads_ = std::min(options_.threads, ThreadPool::kThreadsMax);
  } else {
    LINNET_ASSIGN(threads_, ChosenThreads());
  }
  if (!options_.pool) options_.pool = &ThreadPool::Shared();
  budget_->set_limit_bytes(options_.memory_limit_bytes);
  LINNET_ASSIGN(cpu_, options_.cpu.empty() ? ChosenCpuLevel() : ParseCpuLevel(options_.cpu));
  LINNET_ASSIGN(precision_, ParsePrecision(options_.precision));
  if (!options_.provider.empty() && options_.provider != "cpu") {
    LINNET_ASSIGN(std::unique_ptr<Provider> provider, MakeProvider(options_.provider));
    if (precision_ != Precision::kFloat32 && provider->wants_plain_onnx()) {
      return InvalidArgument("provider ", Quote(options_.provider), " has precision f32 only");
    }
    providers_.push_back(std::move(provider));
  }
  return Status();
}

Status Session::PrepareLinnet(std::string_view bytes, std::shared_ptr<const void> owner) {
  GraphLimits limits = options_.untrusted ? GraphLimits::Hostile() : GraphLimits();
  if (options_.verify) LINNET_TRY(CheckBody(bytes));
  LINNET_ASSIGN(PreparedFile file, ReadLinnet(bytes, std::move(owner), limits));
  LINNET_ASSIGN(precision_, PrecisionOfFile(file.precision, options_.precision));
  info_ = std::move(file.info);
  symbols_ = file.graph.symbols().Copy();
  for (const PortType& port : file.inputs) inputs_.push_back({port.name, port.type, false});
  for (const PortType& port : file.outputs) outputs_.push_back({port.name, port.type, false});
  file_weights_ = std::make_unique<FileWeights>(std::move(file.weights), file.owner);
  LINNET_ASSIGN(model_, Compile(std::move(file.graph), file.plans));
  return Status();
}

#if defined(LINNET_NO_ONNX)

Status Session::PrepareOnnx(OnnxModel) { return Internal("this build reads no .onnx"); }
Result<Model*> Session::ModelFor(const Fact*) { return model_.get(); }   // no input of a .linnet file has a default

#else

/// Workers take a while to start: those that are to pack weights do so while passes run.
void Session::StartWorkers(const Graph& graph) const {
  constexpr int64_t kBytesWorth = 4 << 20;
  int64_t bytes = 0;
  for (ValueId id = 0; id < graph.value_count(); ++id) bytes += graph.is_constant(id) ? graph.value(id).constant.bytes() : 0;
  if (threads_ > 1 && bytes >= kBytesWorth) options_.pool->ParallelFor(threads_, 1, threads_, [](int64_t, int64_t, int) {});
}

Status Session::PrepareOnnx(OnnxModel onnx) {
  Graph& graph = onnx.graph;
  StartWorkers(graph);
  LINNET_TRY(AlignConstants(graph, budget_.get()));
  info_ = std::move(onnx.info);
  symbols_ = graph.symbols().Copy();
  bool defaults = false;
  for (ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    inputs_.push_back({value.name, value.type, value.is_constant});
    defaults = defaults || value.is_constant;
  }
  for (ValueId id : graph.outputs()) outputs_.push_back({graph.value(id).name, graph.value(id).type, false});
  if (defaults) original_ = std::make_unique<Graph>(graph.Clone());

  std::vector<char> fed(inputs_.size(), 0);
  for (size_t i = 0; i < inputs_.size(); ++i) fed[i] = !inputs_[i].has_default;
  LINNET_ASSIGN(model_, Build(std::move(graph), fed));
  for (size_t i = 0; i < outputs_.size(); ++i) {
    Type& type = outputs_[i].type;
    if (type.kind == Kind::kUnknown || !type.shape.has_rank()) type = model_->output_types[i];
    for (int d = 0; d < type.shape.rank(); ++d) {
      // Inference adds names of its own behind the model's.
      if (IsSymbolDim(type.shape[d]) && SymbolIndex(type.shape[d]) >= symbols_->size()) type.shape[d] = kUnknownDim;
    }
  }
  return Status();
}

Result<std::unique_ptr<Model>> Session::Build(Graph graph, const std::vector<char>& fed) {
  // Inputs with a default that nobody feeds are constants like any other, of the type of their contents, not the one declared.
  std::vector<ValueId> kept;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const ValueId id = graph.inputs[i];
    if (fed[i]) {
      graph.ClearConstant(id);
      kept.push_back(id);
    } else {
      graph.SetType(id, graph.value(id).constant.type());
    }
  }
  graph.inputs = kept;
  const PassContext passes = {options_.table, budget_.get(), precision_};
  PipelineOptions pipeline = options_.pipeline;
  for (const std::unique_ptr<Provider>& provider : providers_) {
    if (!provider->wants_plain_onnx()) continue;
    pipeline.plain_onnx = true;
    pipeline.level = kOptimizeNothing;
  }
  LINNET_TRY(Optimize(graph, passes, pipeline));
  return Compile(std::move(graph));
}

Result<Model*> Session::ModelFor(const Fact* inputs) {
  std::vector<char> fed(inputs_.size());
  bool plain = true;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    fed[i] = inputs[i].type.kind != Kind::kUnknown;
    if (!fed[i] && !inputs_[i].has_default) return InvalidArgument("input ", Quote(inputs_[i].name), " is missing");
    plain = plain && (fed[i] != 0) == !inputs_[i].has_default;
  }
  if (plain) return model_.get();
  Lock lock(mutex_);
  for (const Variant& variant : variants_) {
    if (variant.fed == fed) return variant.model.get();
  }
  LINNET_ASSIGN(std::unique_ptr<Model> model, Build(original_->Clone(), fed));
  variants_.push_back({std::move(fed), std::move(model)});
  return variants_.back().model.get();
}

#endif

Result<std::unique_ptr<Model>> Session::Compile(Graph graph, std::span<const StoredPlan> plans) {
  CompileOptions compile;
  compile.table = options_.table;
  compile.cpu = cpu_;
  compile.threads = threads_;
  compile.pool = options_.pool;
  compile.budget = budget_.get();
  compile.weights = file_weights_ ? file_weights_.get() : options_.weights;
  for (const std::unique_ptr<Provider>& provider : providers_) compile.providers.push_back(provider.get());
  LINNET_ASSIGN(std::unique_ptr<Model> model, Model::Make(std::make_shared<Graph>(std::move(graph)), compile));
  if (!providers_.empty()) plans = {};   // they may run nodes that a plan has bound
  for (const StoredPlan& plan : plans) LINNET_TRY(model->Adopt(plan));
  // A model whose inputs are all of known size has one plan; making it now leaves nothing for the first run.
  std::vector<Fact> facts;
  bool fixed = true;
  for (ValueId id : model->inputs) {
    facts.push_back({model->graph().value(id).type, nullptr});
    fixed = fixed && facts.back().type.is_tensor() && facts.back().type.shape.is_static();
  }
  if (fixed) LINNET_TRY(model->Start(facts.data(), static_cast<int>(facts.size()), nullptr).TakeStatus());
  return model;
}

namespace {
int FindPort(const std::vector<PortInfo>& ports, std::string_view name) {
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == name) return static_cast<int>(i);
  }
  return -1;
}
}  // namespace
int Session::FindInput(std::string_view name) const { return FindPort(inputs_, name); }
int Session::FindOutput(std::string_view name) const { return FindPort(outputs_, name); }

Status Session::CheckInput(size_t index, const Fact& fact, int64_t* symbol_values) const {
  const PortInfo& port = inputs_[index];
  const Type& want = port.type;
  const Type& have = fact.type;
  auto fail = [&](const auto&... parts) {
    return InvalidArgument("input ", Quote(port.name), " is ", ToString(have), parts..., "; the model declares ",
                           ToString(want, symbols_.get()));
  };
  if (want.kind != Kind::kUnknown && have.kind != want.kind) return fail(", another kind of value");
  if (want.dtype != DType::kUndefined && have.dtype != want.dtype) return fail(", another element type");
  if (want.key != DType::kUndefined && have.key != want.key) return fail(", another key type");
  if (!have.is_tensor()) return fact.data ? Status() : fail(" and has no data");
  if (have.dtype == DType::kUndefined) return fail(", which has no element type");
  if (!have.shape.is_static()) return fail(", which is not a complete shape");
  if (Status bounds = CheckShape(have.shape); !bounds.ok()) return std::move(bounds).At(Cat("input ", Quote(port.name)));
  if (!fact.data && have.shape.elements() > 0) return fail(" and has no data");
  if (!want.shape.has_rank()) return Status();
  if (have.shape.rank() != want.shape.rank()) return fail(", another rank");
  for (int d = 0; d < want.shape.rank(); ++d) {
    int64_t dim = want.shape[d];
    if (IsSymbolDim(dim)) {
      int64_t& value = symbol_values[SymbolIndex(dim)];
      if (value < 0) value = have.shape[d];
      dim = value;
    }
    if (dim >= 0 && dim != have.shape[d]) return fail(", whose dimension ", d, " is not ", dim);
  }
  return Status();
}

std::unique_ptr<RunState> Session::TakeState(const Model* model) {
  Lock lock(mutex_);
  for (size_t i = idle_.size(); i-- > 0;) {
    if (idle_[i].first != model) continue;
    std::unique_ptr<RunState> state = std::move(idle_[i].second);
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    return state;
  }
  return std::make_unique<RunState>();
}

void Session::GiveState(const Model* model, std::unique_ptr<RunState> state) {
  Lock lock(mutex_);
  idle_.emplace_back(model, std::move(state));
}

Status Session::Run(const Fact* inputs, RunOutput* outputs, const RunOptions& options) {
  return CatchBadAlloc([&] { return RunUnguarded(inputs, outputs, options); });
}

Status Session::RunUnguarded(const Fact* inputs, RunOutput* outputs, const RunOptions& options) {
  constexpr int kFewSymbols = 64, kFewInputs = 32;
  int64_t few_symbols[kFewSymbols];
  Fact few_inputs[kFewInputs];
  std::vector<int64_t> many_symbols;
  std::vector<Fact> many_inputs;
  int64_t* symbol_values = few_symbols;
  if (symbols_->size() > kFewSymbols) {
    many_symbols.resize(static_cast<size_t>(symbols_->size()));
    symbol_values = many_symbols.data();
  }
  std::fill_n(symbol_values, symbols_->size(), kUnknownDim);
  Fact* fed = few_inputs;
  if (inputs_.size() > kFewInputs) {
    many_inputs.resize(inputs_.size());
    fed = many_inputs.data();
  }
  Model* model = model_.get();
  if (original_) {
    LINNET_ASSIGN(model, ModelFor(inputs));
  }
  int count = 0;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs[i].type.kind == Kind::kUnknown) {
      if (inputs_[i].has_default) continue;
      return InvalidArgument("input ", Quote(inputs_[i].name), " is missing");
    }
    LINNET_TRY(CheckInput(i, inputs[i], symbol_values));
    fed[count++] = inputs[i];
  }

  StopSource own_stop;
  StopSource* stop = options.stop ? options.stop : &own_stop;
  if (options_.time_limit_ns != INT64_MAX) stop->deadline_ns = MonotonicNs() + options_.time_limit_ns;
  stop->steps_left.store(options_.step_limit, std::memory_order_relaxed);
  LINNET_TRY(stop->Check());
  RunEnv env;
  env.pool = options_.pool;
  env.threads = threads_;
  env.budget = budget_.get();
  env.stop = stop;
  env.profiler = options.profiler;

  std::unique_ptr<RunState> state = TakeState(model);
  FlushDenormals flush;
  Status status = state->Run(*model, env, fed, count, outputs, static_cast<int>(outputs_.size()));
  GiveState(model, std::move(state));
  return status;
}

Result<int64_t> Session::PlanArenaBytes(const std::vector<Type>& types, bool* partial) {
  return CatchBadAlloc([&] { return PlanBytes(types, partial); });
}

Result<PlanRef> Session::PlanFor(const std::vector<Type>& types) {
  std::vector<Fact> facts;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (!inputs_[i].has_default) facts.push_back({types[i], nullptr});
  }
  return model_->Start(facts.data(), static_cast<int>(facts.size()), nullptr);
}

Result<int64_t> Session::PlanBytes(const std::vector<Type>& types, bool* partial) {
  LINNET_ASSIGN(PlanRef plan, PlanFor(types));
  if (partial) {
    *partial = plan->boundary;
    for (const Step& step : plan->steps) *partial = *partial || step.late;
    const Graph& graph = model_->graph();
    for (NodeId id = 0; id < graph.node_count(); ++id) {
      *partial = *partial || (graph.node(id).alive && !Graph::Subgraphs(graph.node(id)).empty());
    }
  }
  return plan->arena_bytes;
}

int64_t Session::arena_bytes() {
  Lock lock(mutex_);
  int64_t total = 0;
  for (const auto& [model, state] : idle_) total += state->arena_bytes();
  return total;
}

}  // namespace linnet
