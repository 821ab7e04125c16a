// Opening and running models whose plans are in their files.
#include "fixed/model.h"

#include <algorithm>

#include "base/denormals.h"
#include "base/parts.h"
#include "base/system.h"
#include "fixed/fields.h"
#include "ops/packed_weights.h"
#include "run/context.h"

namespace linnet {
namespace {

using namespace fixed;

/// What constants of no elements point at.
alignas(64) const std::byte kEmpty[64] = {};

Status SignedBytes() { return LeftOut("values of int8 are"); }

/// At "Conv 'layer1/conv'", or "Conv (node 7)" where names were left out.
Status AtNode(Status status, const void* node, ptrdiff_t index) {
  const std::string_view op = Text(node, fbs::Node::VT_OP);
  const bool named = Find(node, fbs::Node::VT_NAME) != nullptr;
  return std::move(status).At(named ? Cat(op, " ", Quote(Text(node, fbs::Node::VT_NAME))) : Cat(op, " (node ", int64_t{index}, ")"));
}

/// Where a block lies that the file has, null where there is none.
const std::byte* BlobAt(std::string_view file, const void* blob, int64_t* bytes) {
  uint64_t place[2] = {};   // offset, bytes
  if (blob) memcpy(place, blob, sizeof place);
  *bytes = static_cast<int64_t>(place[1]);
  return blob ? reinterpret_cast<const std::byte*>(file.data() + place[0]) : nullptr;
}

int64_t BytesOf(const Type& type) { return ByteSize(type.dtype, type.shape.elements()).value(); }   // sizes passed CheckShape once

/// The step of a view whose memory is not shared.
Status CopyView(const void*, RunContext& context) {
  const Bound::View& view = context.params<Bound::View>();
  memcpy(context.output(view.out), context.in<std::byte>(view.in) + view.byte_offset,
         static_cast<size_t>(BytesOf(context.output_type(view.out))));
  return Status();
}

}  // namespace

struct FixedModel::Prepared {
  const void* stored;   ///< the file's table Node
  OpDef def;
  void* state;          ///< of the operator; null: not made
  NodeIo io;
};

struct FixedModel::PlanStep {
  PlanStep* next;
  const Prepared* node;
  Step step;
};

/// Packed weights where they lie. They are asked for in the order in which they were written.
struct FixedModel::Weights : WeightStore {
  explicit Weights(const FixedModel& model) : model(model), all(Follow(model.head_, fbs::Model::VT_WEIGHTS)) {}
  Result<const void*> Get(int64_t node, std::string_view tag, int64_t bytes, FunctionRef<Status(void*)>) override {
    const uint32_t count = Count(all);
    for (uint32_t i = 0; i < count; ++i) {
      const void* one = Item(all, at);
      at = at + 1 < count ? at + 1 : 0;
      if (Long(one, fbs::Weights::VT_NODE) != node || Text(one, fbs::Weights::VT_TAG) != tag) continue;
      int64_t have;
      const void* data = BlobAt(model.file_, Find(one, fbs::Weights::VT_BLOB), &have);
      if (have == bytes) return data;
      break;
    }
    return InvalidModel("the .linnet file lacks the packed ", Quote(tag), " of ", bytes, " bytes of this node; convert the model again");
  }

  const FixedModel& model;
  const void* all;
  uint32_t at = 0;
};

class FixedModel::Prepare : public PrepareContext {
 public:
  using PrepareContext::PrepareContext;
  void Drop(int) override {}
  Result<PlanSource*> Body(const std::shared_ptr<Graph>&) override { return Internal("a plan has no bodies"); }
};

FixedModel::~FixedModel() {
  for (int32_t i = 0; nodes_ && i < node_count_; ++i) {
    if (nodes_[i].state) nodes_[i].def.destroy(nodes_[i].state);
  }
  while (State* state = idle_) {
    idle_ = state->next;
    delete state;
  }
}

/// `count` elements of zeros, which live as long as the model.
template <class T>
Status FixedModel::Take(size_t count, T** out) {
  void* memory = memory_.Take(static_cast<int64_t>(count * sizeof(T)));
  if (!memory) return OutOfMemory("no memory for the model");
  memset(memory, 0, count * sizeof(T));
  *out = static_cast<T*>(memory);
  return Status();
}

Status FixedModel::Open(std::string_view file, int threads) {
  LINNET_ASSIGN(head_, TrustedHead(file));
  FlushDenormals flush;
  file_ = file;
  threads_ = threads > 0 ? std::min(threads, ThreadPool::kThreadsMax) : ThreadPool::HardwareThreads();
  const void* graph = Follow(head_, fbs::Model::VT_GRAPH);
  inputs_ = Ints(graph, fbs::Graph::VT_INPUTS);
  outputs_ = Ints(graph, fbs::Graph::VT_OUTPUTS);
  const void* plans = Follow(head_, fbs::Model::VT_PLANS);
  if (Count(plans) == 0) {
    return Fail(Code::kNotInBuild, "the .linnet file has no plan, and planning is not in this build; give `linnet convert` the sizes of its inputs");
  }
  LINNET_TRY(ReadNodes(graph));
  LINNET_TRY(PrepareNodes());
  for (uint32_t i = Count(plans); i-- > 0;) {
    Plan* plan = nullptr;
    LINNET_TRY(Take(1, &plan));
    plan->next = plans_;
    plans_ = plan;
    LINNET_TRY(AddPlan(Item(plans, i), plan));
  }
  return Status();
}

const void* FixedModel::port(int index, bool output) const {
  return Item(Follow(head_, output ? fbs::Model::VT_OUTPUTS : fbs::Model::VT_INPUTS), static_cast<uint32_t>(index));
}

std::string_view FixedModel::symbol(int64_t dim) const {
  return ItemText(Follow(head_, fbs::Model::VT_SYMBOLS), static_cast<uint32_t>(SymbolIndex(dim)));
}

/// What the graph says of a value: its type, and the contents of a constant; of one that exists only as packed weights none.
void FixedModel::ReadFact(const void* value, Fact* fact) const {
  fact->type = ReadType(Follow(value, fbs::Value::VT_TYPE));
  const void* tensor = Follow(value, fbs::Value::VT_CONSTANT);
  if (!tensor) return;
  fact->type = Type::Tensor(static_cast<DType>(Byte(tensor, fbs::Tensor::VT_DTYPE)), ReadShape(Follow(tensor, fbs::Tensor::VT_DIMS)));
  int64_t bytes;
  fact->data = BlobAt(file_, Find(tensor, fbs::Tensor::VT_BLOB), &bytes);
  if (bytes == 0) fact->data = kEmpty;
}

Status FixedModel::ReadNodes(const void* graph) {
  values_ = Follow(graph, fbs::Graph::VT_VALUES);
  value_count_ = Count(values_);
  const void* nodes = Follow(graph, fbs::Graph::VT_NODES);
  LINNET_TRY(Take(value_count_, &facts_));
  LINNET_TRY(Take(Count(nodes), &nodes_));
  node_count_ = static_cast<int32_t>(Count(nodes));
  bool* read = nullptr;   // values that somebody reads
  LINNET_TRY(Take(value_count_, &read));
  for (ValueId id : outputs_) read[id] = true;
  for (int32_t i = 0; i < node_count_; ++i) {
    Prepared& node = nodes_[i];
    node.stored = Item(nodes, static_cast<uint32_t>(i));
    node.io.inputs = Ints(node.stored, fbs::Node::VT_INPUTS);
    node.io.input_count = static_cast<int32_t>(node.io.inputs.size());
    for (ValueId id : node.io.inputs) {
      if (id != kNoValue) read[id] = true;
    }
  }
  for (int32_t i = 0; i < node_count_; ++i) {
    NodeIo& io = nodes_[i].io;
    const std::span<const ValueId> all = Ints(nodes_[i].stored, fbs::Node::VT_OUTPUTS);
    ValueId* outputs = nullptr;   // those that nobody asks for are left out
    LINNET_TRY(Take(all.size(), &outputs));
    for (size_t o = 0; o < all.size(); ++o) outputs[o] = all[o] != kNoValue && read[all[o]] ? all[o] : kNoValue;
    io.outputs = {outputs, all.size()};
  }
  return Status();
}

Status FixedModel::PrepareNodes() {
  int64_t zeros = 0;
  for (size_t v = 0; v < value_count_; ++v) {
    Fact& fact = facts_[v];
    const void* value = Item(values_, static_cast<uint32_t>(v));
    ReadFact(value, &fact);
    const bool constant = Byte(value, fbs::Value::VT_IS_CONSTANT) != 0;
    if (!constant && !kSignedBytes && fact.type.dtype == DType::kInt8) return SignedBytes();
    if (constant && fact.type.dtype == DType::kString) return Fail(Code::kNotInBuild, "constants of strings are not in this build");
    if (constant && !fact.data) zeros = std::max(zeros, BytesOf(fact.type) + static_cast<int64_t>(kPadding));
  }
  // Constants that exist only as packed weights read as zeros while nodes are prepared.
  void* memory = zeros > 0 ? MapZeros(static_cast<size_t>(zeros)) : nullptr;
  if (zeros > 0 && !memory) return OutOfMemory("no address space for ", zeros, " bytes");
  auto replace = [&](const void* from, const void* to) {
    for (size_t v = 0; v < value_count_; ++v) {
      const bool constant = Byte(Item(values_, static_cast<uint32_t>(v)), fbs::Value::VT_IS_CONSTANT) != 0;
      if (constant && facts_[v].data == from) facts_[v].data = to;
    }
  };
  replace(nullptr, memory);
  Weights weights(*this);
  std::string missing;
  Status failure;
  for (int32_t i = 0; i < node_count_ && failure.ok(); ++i) {
    Prepared& node = nodes_[i];
    Status status = PrepareNode(node, weights, i);
    if (status.code() == Code::kNotInBuild && !node.state) {
      // Everything that is missing is said at once.
      const std::string name = Cat(Quote(Text(node.stored, fbs::Node::VT_OP)), "-", Int(node.stored, fbs::Node::VT_VERSION));
      if (missing.find(name) == missing.npos && missing.size() < 2000) missing += Cat(missing.empty() ? "" : ", ", name);
    } else if (!status.ok()) {
      failure = AtNode(std::move(status), node.stored, i);
    }
  }
  replace(memory, nullptr);
  if (memory) UnmapZeros(memory, static_cast<size_t>(zeros));
  if (failure.ok() && !missing.empty()) return LeftOut(Cat("operators ", missing, " are"));
  return failure;
}

Status FixedModel::PrepareNode(Prepared& node, Weights& weights, int64_t key) {
  Node look;
  look.stored = static_cast<const fbs::Node*>(node.stored);
  look.file = file_.data();
  look.op = Text(node.stored, fbs::Node::VT_OP);
  look.domain = Text(node.stored, fbs::Node::VT_DOMAIN);
  look.name = Text(node.stored, fbs::Node::VT_NAME);
  look.version = Int(node.stored, fbs::Node::VT_VERSION);
  NodeIo& io = node.io;
  look.inputs = io.inputs;
  look.outputs = Ints(node.stored, fbs::Node::VT_OUTPUTS);
  io.op = look.op;
  auto fits = [&](const OpName& name) { return look.op == name.name && look.domain == name.domain && name.since <= look.version; };
  OpDef& def = node.def;
  for (OpDef (*const* factory)() = OperatorFactories(); *factory; ++factory) {
    const OpDef one = (*factory)();
    if (fits(one.name) && one.name.since > def.name.since) def = one;
  }
  // A version that was left out is not replaced by an older one, which may mean something else.
  bool found = def.run != nullptr;
  for (const OpName* left = VersionsLeftOut(); left->name; ++left) found = found && !(fits(*left) && left->since > def.name.since);
  if (!found) return Fail(Code::kNotInBuild, "operator ", Quote(look.op), " is not in this build");
  std::byte* state = nullptr;
  LINNET_TRY(Take(std::max<size_t>(def.state_bytes, 1), &state));
  node.state = state;
  def.construct(node.state, def);
  LINNET_TRY(def.parse(node.state, look));
  // Loops over a node's own elements are for the bytes that its configuration names; weights are packed.
  InferContext types(facts_, io.inputs.data(), io.input_count, look.outputs.data(), static_cast<int>(look.outputs.size()));
  if (!kSignedBytes && types.has_input(0) && types.dtype(0) == DType::kInt8) return SignedBytes();
  if (!def.prepare) return Status();
  Prepare prepare(types, DetectedCpuLevel(), threads_, key, &weights);
  return def.prepare(node.state, prepare);
}

Status FixedModel::AddPlan(const void* stored, Plan* plan) {
  LINNET_TRY(Take(value_count_, &plan->facts));
  LINNET_TRY(Take(value_count_, &plan->places));
  plan->arena_bytes = RoundUp(Long(stored, fbs::Plan::VT_ARENA_BYTES), static_cast<int64_t>(kAlignment));
  const void* values = Follow(stored, fbs::Plan::VT_VALUES);
  const void* dims = Follow(stored, fbs::Plan::VT_DIMS);
  for (size_t v = 0; v < value_count_; ++v) {
    const auto value = Element<fbs::PlannedValue>(values, static_cast<uint32_t>(v));
    Fact& fact = plan->facts[v];
    Place& place = plan->places[v];
    place = {static_cast<Place::Kind>(value.place()), 0, value.root(), value.offset()};
    if (place.kind == Place::kNone) {   // a constant, or nothing that is computed
      if (facts_[v].data) place.kind = Place::kKnown;
      fact = facts_[v];
      continue;
    }
    Shape shape = Shape::OfRank(value.rank());
    for (int d = 0; d < shape.rank(); ++d) shape[d] = Element<int64_t>(dims, value.dims() + static_cast<uint32_t>(d));
    fact.type = Type::Tensor(static_cast<DType>(value.dtype()), shape);
  }
  const void* known = Follow(stored, fbs::Plan::VT_KNOWN);
  for (uint32_t i = 0; i < Count(known); ++i) {
    const auto contents = Element<fbs::KnownContents>(known, i);
    int64_t bytes;
    plan->facts[contents.value()].data = BlobAt(file_, &contents.blob(), &bytes);
  }
  int64_t scratch_bytes = 0;
  PlanStep** last = &plan->steps;
  for (int32_t i = 0; i < node_count_; ++i) {
    Status status = AddSteps(nodes_[i], plan, &last, &scratch_bytes);
    if (!status.ok()) return AtNode(std::move(status), nodes_[i].stored, i);
  }
  plan->arena_bytes += scratch_bytes;
  return Status();
}

/// Steps of a node at `*last`, which moves behind them.
Status FixedModel::AddSteps(Prepared& node, Plan* plan, PlanStep*** last, int64_t* scratch_bytes) {
  const NodeIo& io = node.io;
  size_t wanted = 0, known = 0;
  for (ValueId id : io.outputs) {
    if (id == kNoValue) continue;
    const Place::Kind kind = plan->places[id].kind;
    ++wanted;
    known += kind == Place::kNone || kind == Place::kKnown;
  }
  if (known == wanted) return Status();   // all is in the file
  InferContext types(plan->facts, io.inputs.data(), io.input_count, io.outputs.data(), static_cast<int>(io.outputs.size()));
  BindContext bind(types, &memory_, threads_, nullptr);
  if (node.def.bind) LINNET_TRY(node.def.bind(node.state, bind));
  if (bind.out_of_memory()) return OutOfMemory("no memory for the plan");
  const Bound& bound = bind.bound();
  Step step;
  step.op = node.state;
  step.io = &io;
  auto add = [&]() -> Status {
    PlanStep* one = nullptr;
    LINNET_TRY(Take(1, &one));
    one->step = step;
    one->node = &node;
    **last = one;
    *last = &one->next;
    return Status();
  };
  for (const Bound::View& view : bound.aliases()) {
    const Place::Kind kind = plan->places[io.outputs[static_cast<size_t>(view.out)]].kind;
    --wanted;
    if (kind == Place::kAlias || kind == Place::kKnown) continue;
    // A view whose memory is not shared.
    Bound::View* params = nullptr;
    LINNET_TRY(Take(1, &params));
    *params = view;
    step.run = CopyView;
    step.params = params;
    LINNET_TRY(add());
  }
  if (wanted == 0) return Status();
  step.run = node.def.run;
  step.params = bound.params;
  step.workers = bound.workers;
  step.scratch_bytes = bound.scratch_bytes;
  step.scratch_offset = plan->arena_bytes;
  *scratch_bytes = std::max(*scratch_bytes, bound.scratch_bytes * bound.workers);
  return add();
}

Result<const FixedModel::Plan*> FixedModel::PlanFor(const Fact* inputs) const {
  std::string have, given;
  for (const Plan* plan = plans_;; plan = plan->next) {
    bool same = plan != nullptr;
    std::string& text = plan ? have : given;
    if (plan && plan != plans_) text += "; ";
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Type& type = plan ? plan->facts[inputs_[i]].type : inputs[i].type;
      same = same && type == inputs[i].type;
      if (text.size() < 300) text += Cat(i > 0 ? ", " : "", ToString(type));
    }
    if (same) return plan;
    if (!plan) break;
  }
  return Fail(Code::kNotInBuild, "there is no plan for inputs ", given, ", and planning is not in this build; the file has plans for ", have);
}

Status FixedModel::Run(const Plan& plan, const Fact* inputs, void* const* outputs) {
  State* state;
  {
    Lock lock(mutex_);
    state = idle_;
    if (state) idle_ = state->next;
  }
  if (!state) state = new State();
  Status status = Execute(plan, inputs, outputs, *state);
  Lock lock(mutex_);
  state->next = idle_;
  idle_ = state;
  return status;
}

Status FixedModel::Execute(const Plan& plan, const Fact* inputs, void* const* outputs, State& state) const {
  FlushDenormals flush;
  // In one block: slots, the arena, outputs that nobody asked for.
  const int64_t slot_bytes = RoundUp(static_cast<int64_t>(value_count_ * sizeof(void*)), static_cast<int64_t>(kAlignment));
  int64_t bytes = slot_bytes + plan.arena_bytes;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (!outputs[i]) bytes += RoundUp(BytesOf(plan.facts[outputs_[i]].type), static_cast<int64_t>(kAlignment));
  }
  if (state.memory.size() < bytes) {
    state.memory.Release();
    LINNET_ASSIGN(state.memory, Block::Allocate(bytes));
  }
  auto** slots = reinterpret_cast<std::byte**>(state.memory.data());
  std::byte* arena = state.memory.data() + slot_bytes;
  std::byte* unasked = arena + plan.arena_bytes;
  for (size_t v = 0; v < value_count_; ++v) {
    const Place& place = plan.places[v];
    switch (place.kind) {
      case Place::kArena: slots[v] = arena + place.offset; break;
      case Place::kInput: slots[v] = static_cast<std::byte*>(const_cast<void*>(inputs[place.offset].data)); break;
      case Place::kOutput:
        slots[v] = static_cast<std::byte*>(outputs[place.offset]);
        if (slots[v]) break;
        slots[v] = unasked;
        unasked += RoundUp(BytesOf(plan.facts[v].type), static_cast<int64_t>(kAlignment));
        break;
      default: slots[v] = static_cast<std::byte*>(const_cast<void*>(plan.facts[v].data));
    }
  }
  for (size_t v = 0; v < value_count_; ++v) {
    const Place& place = plan.places[v];
    if (place.kind == Place::kAlias) slots[v] = slots[place.root] + place.offset;
  }
  RunEnv env;
  env.pool = &ThreadPool::Shared();
  env.threads = threads_;
  for (const PlanStep* one = plan.steps; one; one = one->next) {
    RunContext context(one->step, plan.facts, plan.places, reinterpret_cast<void**>(slots), nullptr, arena, env, nullptr);
    Status status = one->step.run(one->step.op, context);
    if (!status.ok()) return AtNode(std::move(status), one->node->stored, one->node - nodes_);
  }
  // An output that no step wrote in place.
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const std::byte* data = slots[outputs_[i]];
    if (outputs[i] && data != outputs[i]) memcpy(outputs[i], data, static_cast<size_t>(BytesOf(plan.facts[outputs_[i]].type)));
  }
  return Status();
}

}  // namespace linnet
