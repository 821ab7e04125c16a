// The cache of a model's plans, and steps that are bound while they run.
#include "compile/model.h"

#include <string.h>

#include <algorithm>
#include <atomic>

#include "compile/planner.h"
#include "run/context.h"

namespace linnet {
namespace {

/// What zero-size constants point at, so that "contents known" is a non-null pointer.
alignas(64) const std::byte kEmpty[64] = {};

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

Model::~Model() = default;

void Model::Abandon() {
  // Without destroying them: they may be half changed.
  new (&cache_) decltype(cache_)();
  new (&planner_) decltype(planner_)();
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

Status Model::Adopt(const StoredPlan& stored) {
  LINNET_ASSIGN(PlanRef plan, Follow(stored));
  plan.get()->serial = NextSerial();
  std::vector<const Type*> key;
  CacheEntry entry;
  for (ValueId id : inputs) {
    entry.key.push_back(plan->facts[static_cast<size_t>(id)].type);
    key.push_back(&plan->facts[static_cast<size_t>(id)].type);
  }
  Lock lock(mutex_);
  if (cache_.size() >= static_cast<size_t>(options_.plan_cache_capacity)) return Status();
  entry.hash = Hash(0, key.data(), key.size());
  entry.used = ++clock_;
  entry.plan = std::move(plan);
  cache_.push_back(std::move(entry));
  return Status();
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
  NodeIo local = io;
  local.weights = nullptr;
  std::vector<ValueId> reads, writes;
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
  // What the operator does not define has no type, whatever a file claims. Those whose Run needs no parameters (control flow) may learn
  // the kind as they run.
  const bool inferred = !node.kernel && node.op.def().bind && !node.op.def().user;
  for (ValueId id : io.inputs) reads.push_back(add(id));
  for (ValueId id : io.outputs) {
    writes.push_back(add(id));
    if (id == kNoValue) continue;
    facts.back() = {inferred ? Type() : base_facts_[static_cast<size_t>(id)].type, nullptr};
    slots.back() = nullptr;
  }
  local.inputs = reads;
  local.outputs = writes;

  InferContext infer(facts.data(), local.inputs.data(), local.input_count, local.outputs.data(),
                     static_cast<int>(local.outputs.size()));
  LINNET_TRY(InferTypes(node.op, infer));
  bool all_static = true;
  for (ValueId id : local.outputs) {
    if (id == kNoValue) continue;
    size_t v = static_cast<size_t>(id);
    const Type& type = facts[v].type;
    if (type.kind == Kind::kUnknown && !node.kernel && node.op.def().bind) {
      return InvalidModel(io.op, " defines fewer than the ", io.outputs.size(), " outputs of the node");
    }
    Datum& datum = state.heap(places[v].offset);
    datum = Datum();
    datum.type = type;
    const bool fixed = type.is_tensor() && type.shape.is_static() && type.dtype != DType::kUndefined;
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

}  // namespace linnet
