// Preparing a graph, and the cache of its plans.
#include "compile/model.h"

#include <string.h>

#include <algorithm>
#include <atomic>

#include "base/system.h"
#include "compile/planner.h"
#include "run/context.h"

namespace linnet {
namespace {

/// What zero-size constants point at, so that "contents known" is a non-null pointer.
alignas(64) const std::byte kEmpty[64] = {};

/// Weights packed now, kept by the model.
class HeapWeights : public WeightStore {
 public:
  explicit HeapWeights(MemoryBudget* budget) : budget_(budget) {}
  Result<const void*> Get(int64_t, std::string_view, int64_t bytes, FunctionRef<Status(void*)> fill) override {
    LINNET_ASSIGN(Block block, Block::Allocate(bytes, budget_));
    LINNET_TRY(fill(block.data()));
    blocks_.push_back(std::move(block));
    return static_cast<const void*>(blocks_.back().data());
  }
  int64_t bytes() const {
    int64_t total = 0;
    for (const Block& block : blocks_) total += block.size();
    return total;
  }

 private:
  MemoryBudget* budget_;
  std::vector<Block> blocks_;
};

/// Whether a value declared so may be given so. What is optional may also come as what it would hold.
bool Accepts(const Type& declared, const Type& given) {
  if (declared.kind == Kind::kUnknown) return true;
  bool held = (declared.kind == Kind::kOptional && given.kind == Kind::kTensor) ||
              (declared.kind == Kind::kOptionalSequence && given.kind == Kind::kSequence);
  if (declared.kind != given.kind && !held) return false;
  return declared.dtype == DType::kUndefined || declared.dtype == given.dtype;
}

uint64_t Hash(uint64_t parent, const Type* const* key, size_t size) {
  uint64_t hash = parent * 0x9E3779B97F4A7C15ull + size;
  auto mix = [&hash](uint64_t value) { hash = (hash ^ value) * 0xFF51AFD7ED558CCDull + (hash >> 29); };
  for (size_t i = 0; i < size; ++i) {
    mix(static_cast<uint64_t>(key[i]->kind) << 16 | static_cast<uint64_t>(key[i]->dtype) << 8 |
        static_cast<uint64_t>(key[i]->shape.rank() + 1));
    for (int64_t dim : key[i]->shape) mix(static_cast<uint64_t>(dim));
  }
  return hash;
}

uint64_t NextSerial() {
  static std::atomic<uint64_t> serial{0};
  return serial.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

/// Prepare's view of one node of a model.
class Model::Prepare : public PrepareContext {
 public:
  Prepare(const InferContext& base, Model& model, int64_t node)
      : PrepareContext(base, model.options_.cpu, model.options_.threads, node, model.options_.weights), model_(model) {}
  void Drop(int i) override {
    if (has_input(i)) ++model_.drops_[static_cast<size_t>(inputs_[i])];
  }
  Result<PlanSource*> Body(const std::shared_ptr<Graph>& graph) override {
    LINNET_ASSIGN(std::unique_ptr<Model> body, Model::Make(graph, model_.options_));
    model_.bodies_.push_back(std::move(body));
    return static_cast<PlanSource*>(model_.bodies_.back().get());
  }

 private:
  Model& model_;
};

Model::~Model() = default;

void Model::Abandon() {
  // Without destroying them: they may be half changed.
  new (&cache_) decltype(cache_)();
  new (&planner_) decltype(planner_)();
}

Result<std::unique_ptr<Model>> Model::Make(std::shared_ptr<Graph> graph, const CompileOptions& options) {
  std::unique_ptr<Model> model(new Model());
  model->graph_ = std::move(graph);
  model->options_ = options;
  int32_t models_made = 0;
  if (!model->options_.models_made) model->options_.models_made = &models_made;
  model->number_ = (*model->options_.models_made)++;
  if (!model->options_.weights) {
    model->own_weights_ = std::make_unique<HeapWeights>(options.budget);
    model->options_.weights = model->own_weights_.get();
  }
  std::vector<std::pair<void*, size_t>> zeros;
  Status status = model->StandIn(&zeros);
  if (status.ok()) status = model->Build();
  for (auto [memory, bytes] : zeros) UnmapZeros(memory, bytes);
  LINNET_TRY(std::move(status));
  model->options_.models_made = nullptr;
  return model;
}

/// Constants whose contents exist only as packed weights read as zeros while nodes are prepared: the operator that packed
/// them finds them in the weight store and never looks; one that does look, in a damaged file, finds memory it may read.
Status Model::StandIn(std::vector<std::pair<void*, size_t>>* zeros) {
  const Graph& graph = *graph_;
  base_facts_.resize(static_cast<size_t>(graph.value_count()));
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (!value.is_constant || value.constant.has_data() || value.constant.elements() == 0) continue;
    if (value.type.dtype == DType::kString) return InvalidModel("constant ", Quote(value.name), " has no contents");
    if (static_cast<uint64_t>(value.constant.bytes()) > SIZE_MAX / 2) return OutOfMemory("no address space for ", Quote(value.name));
    size_t bytes = static_cast<size_t>(value.constant.bytes()) + kPadding;
    void* memory = MapZeros(bytes);
    if (!memory) return OutOfMemory("no address space for ", Quote(value.name));
    zeros->emplace_back(memory, bytes);
    base_facts_[static_cast<size_t>(id)].data = memory;
  }
  return Status();
}

Status Model::Build() {
  Graph& graph = *graph_;
  size_t values = static_cast<size_t>(graph.value_count());
  drops_.assign(values, 0);
  for (size_t v = 0; v < values; ++v) {
    const Value& value = graph.value(static_cast<ValueId>(v));
    base_facts_[v].type = value.type;
    if (value.is_constant && value.constant.has_data()) base_facts_[v].data = value.constant.data();
    if (value.is_constant && !base_facts_[v].data) base_facts_[v].data = kEmpty;
  }
  inputs = graph.inputs;
  inputs.insert(inputs.end(), graph.captures.begin(), graph.captures.end());
  input_count = static_cast<int>(graph.inputs.size());
  outputs = graph.outputs();
  // A graph input with a default stays an input for whoever feeds it; the session decides (api/session.cc).
  for (ValueId id : inputs) base_facts_[static_cast<size_t>(id)].data = nullptr;

  LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
  // Backwards: a node is needed when one of its outputs is.
  std::vector<char> needed(values, 0);
  for (ValueId id : outputs) needed[static_cast<size_t>(id)] = 1;
  std::vector<NodeId> kept;
  for (size_t i = order.size(); i-- > 0;) {
    const Node& node = graph.node(order[i]);
    bool live = false;
    for (ValueId id : node.outputs) live = live || (id != kNoValue && needed[static_cast<size_t>(id)]);
    if (!live) continue;
    kept.push_back(order[i]);
    for (ValueId id : node.inputs) if (id != kNoValue) needed[static_cast<size_t>(id)] = 1;
    for (ValueId id : node.captures) needed[static_cast<size_t>(id)] = 1;
  }
  std::reverse(kept.begin(), kept.end());

  nodes_.reserve(kept.size());
  for (NodeId id : kept) {
    Status status = PrepareNode(id);
    if (status.ok()) continue;
    status = std::move(status).At(graph.node(id).Label(graph));
    return number_ == 0 ? ListMissing(std::move(status), graph, *options_.table) : std::move(status);
  }
  for (ValueId id : outputs) output_types.push_back(base_facts_[static_cast<size_t>(id)].type);
  for (size_t v = 0; v < values; ++v) {
    const Value& value = graph.value(static_cast<ValueId>(v));
    bool absent = value.is_constant && !value.constant.has_data() && value.constant.elements() > 0;
    if (absent && base_facts_[v].data) {
      if (!value.uses.empty()) return InvalidModel("the contents of constant ", Quote(value.name), " are missing");
      base_facts_[v].data = nullptr;
    }
  }
  last_use_.assign(values, -1);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    for (ValueId id : nodes_[i].io.inputs) {
      if (id != kNoValue) last_use_[static_cast<size_t>(id)] = static_cast<int32_t>(i);
    }
  }
  for (ValueId id : outputs) last_use_[static_cast<size_t>(id)] = INT32_MAX;
  for (PreparedNode& node : nodes_) {
    for (ValueId& id : node.io.outputs) {
      if (id != kNoValue && last_use_[static_cast<size_t>(id)] < 0) id = kNoValue;
    }
  }
  return Status();
}

Status Model::PrepareNode(NodeId id) {
  Graph& graph = *graph_;
  const Node& node = graph.node(id);
  int64_t key = number_ << 32 | static_cast<int64_t>(nodes_.size());
  nodes_.emplace_back();
  PreparedNode& prepared = nodes_.back();
  prepared.io.inputs = node.inputs;
  prepared.io.input_count = static_cast<int32_t>(node.inputs.size());
  prepared.io.inputs.insert(prepared.io.inputs.end(), node.captures.begin(), node.captures.end());
  prepared.io.outputs = node.outputs;
  prepared.io.label = node.Label(graph);
  prepared.io.op = node.op;

  LINNET_ASSIGN(const OpDef* def, options_.table->Find(node.domain, node.op, node.version));
  LINNET_ASSIGN(prepared.op, OpInstance::Make(*def, node));
  for (Provider* provider : options_.providers) {
    LINNET_ASSIGN(prepared.kernel, provider->Claim(graph, node));
    if (prepared.kernel) break;
  }
  if (!prepared.kernel && !def->run) {
    return Unsupported("unsupported operator: ", node.op, " runs only after it was lowered, which needs inputs of known rank");
  }
  bool body = !Graph::Subgraphs(node).empty();
  prepared.shape_only = def->shape_only;
  prepared.foldable = !prepared.kernel && !def->random && !body && node.captures.empty();

  InferContext infer(base_facts_.data(), prepared.io.inputs.data(), prepared.io.input_count,
                     prepared.io.outputs.data(), static_cast<int>(prepared.io.outputs.size()));
  // Types in a prepared file are claims; kernels are chosen by what follows from the inputs.
  LINNET_TRY(InferTypes(prepared.op, infer));
  if (!prepared.kernel && def->prepare) {
    Prepare prepare(infer, *this, key);
    LINNET_TRY(def->prepare(prepared.op.state(), prepare));
    // Contents that every reader has packed are let go.
    for (ValueId input : node.inputs) {
      if (input == kNoValue || drops_[static_cast<size_t>(input)] == 0) continue;
      const Value& value = graph.value(input);
      if (!value.is_constant || drops_[static_cast<size_t>(input)] < static_cast<int32_t>(value.uses.size())) continue;
      value.constant.LetPagesGo();
      base_facts_[static_cast<size_t>(input)].data = nullptr;
      graph.DropContents(input);
    }
  }
  return Status();
}

Result<PlanRef> Model::Lookup(uint64_t parent, const Plan* done, const Type* const* key, size_t key_size,
                              const Fact* start, StopSource* stop) {
  uint64_t hash = Hash(parent, key, key_size);
  ++clock_;
  CacheEntry* victim = nullptr;
  for (CacheEntry& entry : cache_) {
    if (entry.hash == hash && entry.parent == parent && entry.key.size() == key_size) {
      bool same = true;
      for (size_t i = 0; same && i < key_size; ++i) same = entry.key[i] == *key[i];
      if (same) {
        entry.used = clock_;
        return entry.plan;
      }
    }
    if (!victim || entry.used < victim->used) victim = &entry;
  }
  if (cache_.size() < static_cast<size_t>(options_.plan_cache_capacity)) {
    cache_.emplace_back();
    victim = &cache_.back();
  }
  // The oldest plan's memory is reused unless a run still holds it.
  if (!victim->plan || victim->plan->references.load(std::memory_order_acquire) != 1) victim->plan = PlanRef(new Plan());
  Plan& plan = *victim->plan.get();
  victim->hash = 0;
  victim->parent = ~uint64_t{0};
  victim->key.clear();
  plan.serial = NextSerial();
  ++plans_made_;
  const int64_t begin = MonotonicNs();

  size_t first = 0;
  if (done) {
    plan.facts = done->facts;
    plan.places = done->places;
    plan.segment = done->segment + 1;
    plan.heap_slots = done->heap_slots;
    first = done->next_node;
    const NodeIo& io = nodes_[first - 1].io;
    size_t k = 0;
    for (ValueId id : io.outputs) {
      if (id != kNoValue) plan.facts[static_cast<size_t>(id)].type = *key[k++];
    }
    // Contents known to the earlier plan live in its memory, which the run keeps through its chain; cached plans may
    // outlive it, so they hold their own reference by the earlier plan's serial being part of the key.
  } else {
    plan.segment = 0;
    plan.heap_slots = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      size_t v = static_cast<size_t>(inputs[i]);
      // Kernels were chosen by the declared types.
      const Type &declared = base_facts_[v].type, &given = start[i].type;
      if (!Accepts(declared, given)) {
        return InvalidArgument("value ", Quote(graph_->value(inputs[i]).name), " is declared ",
                               ToString(declared, &graph_->symbols()), " and gets ", ToString(given));
      }
    }
  }
  if (!planner_) planner_ = std::make_unique<Planner>(*this);
  LINNET_TRY(done ? planner_->MakeNext(plan, first, stop) : planner_->MakeFirst(victim->plan, start, stop));
  planning_ns_ += MonotonicNs() - begin;
  victim->hash = hash;
  victim->parent = parent;
  victim->used = clock_;
  for (size_t i = 0; i < key_size; ++i) victim->key.push_back(*key[i]);
  return victim->plan;
}

Result<PlanRef> Model::Start(const Fact* facts, int count, StopSource* stop) {
  if (count != static_cast<int>(inputs.size())) return Internal("a run got ", count, " inputs of ", inputs.size());
  constexpr int kFew = 32;
  const Type* few[kFew];
  std::vector<const Type*> many;
  const Type** key = few;
  if (count > kFew) {
    many.resize(static_cast<size_t>(count));
    key = many.data();
  }
  for (int i = 0; i < count; ++i) key[i] = &facts[i].type;
  Lock lock(mutex_);
  return Lookup(0, nullptr, key, static_cast<size_t>(count), facts, stop);
}

Result<PlanRef> Model::Continue(const Plan& done, const RunState& state) {
  std::vector<const Type*> key;
  for (ValueId id : nodes_[done.next_node - 1].io.outputs) {
    if (id != kNoValue) key.push_back(&state.heap(done.places[static_cast<size_t>(id)].offset).type);
  }
  Lock lock(mutex_);
  return Lookup(done.serial, &done, key.data(), key.size(), nullptr, state.env().stop);
}

Status Model::RunLate(const Step& step, const Plan& plan, RunState& state) {
  const PreparedNode& node = nodes_[static_cast<size_t>(step.node)];
  const NodeIo& io = node.io;
  // A copy of the node's surroundings with its own numbering, so that contents can be put beside the types.
  NodeIo local;
  local.label = io.label;
  local.op = io.op;
  local.input_count = io.input_count;
  std::vector<Fact> facts;
  std::vector<Place> places;
  std::vector<void*> slots;
  auto add = [&](ValueId id) {
    if (id == kNoValue) return kNoValue;
    facts.push_back({plan.facts[static_cast<size_t>(id)].type, state.slot(id)});
    places.push_back(plan.places[static_cast<size_t>(id)]);
    slots.push_back(state.slot(id));
    if (!slots.back()) facts.back().data = kEmpty;
    return static_cast<ValueId>(facts.size()) - 1;
  };
  for (ValueId id : io.inputs) local.inputs.push_back(add(id));
  for (ValueId id : io.outputs) {
    local.outputs.push_back(add(id));
    if (id == kNoValue) continue;
    facts.back() = {base_facts_[static_cast<size_t>(id)].type, nullptr};
    slots.back() = nullptr;
  }

  InferContext infer(facts.data(), local.inputs.data(), local.input_count, local.outputs.data(),
                     static_cast<int>(local.outputs.size()));
  LINNET_TRY(InferTypes(node.op, infer));
  bool all_static = true;
  for (ValueId id : local.outputs) {
    if (id == kNoValue) continue;
    size_t v = static_cast<size_t>(id);
    const Type& type = facts[v].type;
    // With all inputs known, an output of unknown kind is one that the operator does not define. Those whose Run needs
    // no parameters (control flow) may learn the kind as they run.
    if (type.kind == Kind::kUnknown && !node.kernel && node.op.def().bind) {
      return InvalidModel(io.op, " defines fewer than the ", io.outputs.size(), " outputs of the node");
    }
    Datum& datum = state.heap(places[v].offset);
    datum = Datum();
    datum.type = type;
    bool fixed = type.is_tensor() && type.shape.is_static() && type.dtype != DType::kUndefined;
    all_static = all_static && fixed;
    if (!fixed) continue;
    LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(type.dtype, type.shape, state.env().budget));
    slots[v] = tensor.mutable_data();
    datum = Datum::Of(std::move(tensor));
  }
  Bump& memory = state.late_memory();
  memory.Clear();
  BindContext bind(infer, &memory, options_.threads, state.env().stop);
  if (!node.kernel && node.op.def().bind && all_static) LINNET_TRY(node.op.def().bind(node.op.state(), bind));
  if (bind.out_of_memory()) return OutOfMemory("no memory for the step's parameters");
  const Bound& bound = bind.bound();
  size_t wanted = 0;
  for (ValueId id : local.outputs) wanted += id != kNoValue;
  for (const Bound::View& view : bound.aliases()) {
    size_t out = static_cast<size_t>(local.outputs[static_cast<size_t>(view.out)]);
    size_t in = static_cast<size_t>(local.inputs[static_cast<size_t>(view.in)]);
    CopyElements(facts[out].type, static_cast<const std::byte*>(slots[in]) + view.byte_offset, slots[out]);
  }
  if (wanted > 0 && bound.aliases().size() == wanted) return Status();

  Step late = step;
  late.io = &local;
  late.params = bound.params;
  late.scratch_offset = 0;
  late.scratch_bytes = bound.scratch_bytes;
  late.workers = bound.workers;
  int64_t scratch_bytes;
  if (!CheckedMul(bound.scratch_bytes, bound.workers, &scratch_bytes)) return LimitReached("scratch memory overflows");
  LINNET_ASSIGN(std::byte* scratch, state.LateScratch(scratch_bytes));
  RunContext context(late, facts.data(), places.data(), slots.data(), state.heap_table(), scratch, state.env(), &state);
  return late.run(late.op, context);
}

int64_t Model::weight_bytes() const {
  int64_t total = own_weights_ ? static_cast<HeapWeights*>(own_weights_.get())->bytes() : 0;
  for (int v = 0; v < graph_->value_count(); ++v) {
    if (graph_->value(v).is_constant && graph_->value(v).constant.has_data()) total += graph_->value(v).constant.bytes();
  }
  for (const std::unique_ptr<Model>& body : bodies_) total += body->weight_bytes();
  return total;
}

}  // namespace linnet
