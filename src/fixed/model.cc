// Opening and running models whose plans are in their files.
#include "fixed/model.h"

#include <string.h>

#include <algorithm>

#include "base/denormals.h"
#include "base/parts.h"
#include "base/system.h"
#include "compile/stored_plan.h"
#include "format/linnet_file.h"
#include "format/read_plan.h"
#include "ops/packed_weights.h"
#include "run/context.h"

namespace linnet {
namespace {

/// What constants of no elements point at.
alignas(64) const std::byte kEmpty[64] = {};

Status SignedBytes() { return LeftOut("values of int8 are"); }

std::string Label(const fbs::Node& node, size_t index) {
  const std::string op = node.op() ? node.op()->str() : std::string();
  return node.name() ? Cat(op, " ", Quote(node.name()->string_view())) : Cat(op, " (node ", index, ")");
}

}  // namespace

struct FixedModel::Step {
  const fbs::Node* node = nullptr;
  OpInstance op;
  NodeIo io;
};

/// The memory of a run, kept for the next.
struct FixedModel::State {
  std::unique_ptr<State> next;
  const Plan* filled = nullptr;   ///< whose fixed slots are filled in
  std::vector<void*> slots;
  Block memory;                   ///< values, scratch, and outputs that nobody asked for
};

/// Packed weights where they lie. They are asked for in the order in which they were written.
class FixedModel::Weights : public WeightStore {
 public:
  Weights(const fbs::Model& head, std::string_view file) : head_(head), file_(file) {}
  Result<const void*> Get(int64_t node, std::string_view tag, int64_t bytes, FunctionRef<Status(void*)>) override {
    const uint32_t count = head_.weights() ? head_.weights()->size() : 0;
    for (uint32_t i = 0; i < count; ++i) {
      const fbs::Weights& one = *head_.weights()->Get(at_);
      at_ = at_ + 1 < count ? at_ + 1 : 0;
      if (one.node() != node || !one.tag() || one.tag()->string_view() != tag) continue;
      int64_t have;
      LINNET_ASSIGN(const void* data, LocateBlob(file_, one.blob(), &have));
      if (have == bytes) return data;
      break;
    }
    return InvalidModel("the .linnet file lacks the packed ", Quote(tag), " of ", bytes, " bytes of this node; convert the model again");
  }

 private:
  const fbs::Model& head_;
  std::string_view file_;
  uint32_t at_ = 0;
};

class FixedModel::Prepare : public PrepareContext {
 public:
  using PrepareContext::PrepareContext;
  void Drop(int) override {}
  Result<PlanSource*> Body(const std::shared_ptr<Graph>&) override { return Internal("a plan has no bodies"); }
};

FixedModel::FixedModel() = default;
FixedModel::~FixedModel() = default;

Result<std::unique_ptr<FixedModel>> FixedModel::Open(std::string_view file, std::shared_ptr<const void> owner, int threads) {
  if (!IsLinnetFile(file)) return Fail(Code::kNotInBuild, "this is no .linnet file, and reading .onnx files is not in this build");
  FlushDenormals flush;
  std::unique_ptr<FixedModel> model(new FixedModel());
  model->threads_ = threads > 0 ? std::min(threads, ThreadPool::kThreadsMax) : ThreadPool::HardwareThreads();
  LINNET_TRY(model->Read(file, std::move(owner)));
  return model;
}

Status FixedModel::Read(std::string_view file, std::shared_ptr<const void> owner) {
  constexpr int64_t kDepthMax = 64;
  owner_ = std::move(owner);
  LINNET_ASSIGN(head_, VerifyHead(file, kDepthMax));
  const fbs::Graph& graph = *head_->graph();
  const uint32_t plans = head_->plans() ? head_->plans()->size() : 0;
  if (plans == 0) {
    return Fail(Code::kNotInBuild, "the .linnet file has no plan, and planning is not in this build; give `linnet convert` the sizes of its inputs");
  }
  std::vector<ValueId> packed;
  LINNET_TRY(ReadValues(file, &packed));
  const int count = static_cast<int>(facts_.size());
  LINNET_TRY(CheckIds(graph.inputs(), count, false));
  LINNET_TRY(CheckIds(graph.outputs(), count, false));
  inputs_ = Ids(graph.inputs());
  outputs_ = Ids(graph.outputs());
  if (!head_->inputs() || !head_->outputs() || head_->inputs()->size() != inputs_.size() || head_->outputs()->size() != outputs_.size()) {
    return InvalidModel("the .linnet file names other inputs or outputs than its graph has");
  }
  // Constants that exist only as packed weights read as zeros while nodes are prepared.
  int64_t zeros = 0;
  for (ValueId id : packed) {
    const Type& type = facts_[static_cast<size_t>(id)].type;
    LINNET_ASSIGN(int64_t bytes, ByteSize(type.dtype, type.shape.elements()));
    zeros = std::max(zeros, bytes);
  }
  const size_t zero_bytes = static_cast<size_t>(zeros) + kPadding;
  void* memory = MapZeros(zero_bytes);
  if (!memory) return OutOfMemory("no address space for ", zero_bytes, " bytes");
  for (ValueId id : packed) facts_[static_cast<size_t>(id)].data = memory;
  Status status = ReadNodes(file);
  UnmapZeros(memory, zero_bytes);
  LINNET_TRY(std::move(status));
  for (ValueId id : packed) facts_[static_cast<size_t>(id)].data = nullptr;
  for (uint32_t i = 0; i < plans; ++i) {
    LINNET_ASSIGN(StoredPlan stored, ReadPlan(*head_->plans()->Get(i), count, file));
    LINNET_TRY(Follow(stored));
  }
  return Status();
}

Status FixedModel::ReadValues(std::string_view file, std::vector<ValueId>* packed) {
  const auto* values = head_->graph()->values();
  FileValues reader(file, nullptr);
  reader.set_symbols(head_->symbols() ? static_cast<int>(head_->symbols()->size()) : 0);
  const uint32_t count = values ? values->size() : 0;
  facts_.resize(count);
  for (uint32_t v = 0; v < count; ++v) {
    const fbs::Value& value = *values->Get(v);
    Fact& fact = facts_[v];
    LINNET_ASSIGN(fact.type, reader.ReadType(value.type()));
    if (!value.is_constant()) {
      if (!kSignedBytes && fact.type.dtype == DType::kInt8) return SignedBytes();
      continue;
    }
    if (fact.type.dtype == DType::kString) return Fail(Code::kNotInBuild, "constants of strings are not in this build");
    fact.data = kEmpty;
    if (value.constant()) {
      Tensor tensor;
      LINNET_TRY(reader.ReadTensor(value.constant(), &tensor));
      fact.type = tensor.type();
      if (tensor.elements() > 0) fact.data = tensor.data();
    } else {
      if (!fact.type.is_tensor() || !fact.type.shape.is_static()) return InvalidModel("constant ", v, " has no type");
      packed->push_back(static_cast<ValueId>(v));
    }
  }
  return Status();
}

Status FixedModel::ReadNodes(std::string_view file) {
  const fbs::Graph& graph = *head_->graph();
  const uint32_t count = graph.nodes() ? graph.nodes()->size() : 0;
  const int values = static_cast<int>(facts_.size());
  last_use_.assign(facts_.size(), -1);
  for (ValueId id : outputs_) last_use_[static_cast<size_t>(id)] = INT32_MAX;
  for (uint32_t i = 0; i < count; ++i) {
    const fbs::Node& node = *graph.nodes()->Get(i);
    LINNET_TRY(CheckIds(node.inputs(), values, true));
    LINNET_TRY(CheckIds(node.outputs(), values, true));
    for (ValueId id : Ids(node.inputs())) {
      if (id != kNoValue) last_use_[static_cast<size_t>(id)] = std::max(last_use_[static_cast<size_t>(id)], static_cast<int32_t>(i));
    }
  }
  for (OpDef (*const* factory)() = OperatorFactories(); *factory; ++factory) defs_.push_back((*factory)());
  FileValues reader(file, owner_);
  reader.set_symbols(head_->symbols() ? static_cast<int>(head_->symbols()->size()) : 0);
  Weights weights(*head_, file);
  std::string missing;
  steps_ = std::vector<Step>(count);
  for (uint32_t i = 0; i < count; ++i) {
    const fbs::Node& node = *graph.nodes()->Get(i);
    Status status = PrepareNode(node, reader, weights, i);
    if (status.code() == Code::kNotInBuild && !steps_[i].op) {
      // Everything that is missing is said at once.
      std::string name = Cat(node.op() ? Quote(node.op()->string_view()) : std::string(), "-", node.version());
      if (missing.find(name) == missing.npos && missing.size() < 2000) missing += Cat(missing.empty() ? "" : ", ", name);
    } else if (!status.ok()) {
      return std::move(status).At(Label(node, i));
    }
  }
  if (missing.empty()) return Status();
  return LeftOut(Cat("operators ", missing, " are"));
}

Status FixedModel::PrepareNode(const fbs::Node& node, FileValues& values, Weights& weights, int64_t key) {
  Step& step = steps_[static_cast<size_t>(key)];
  step.node = &node;
  Node made;
  made.name = Text(node.name());
  made.domain = Text(node.domain());
  made.op = Text(node.op());
  made.version = node.version();
  step.io.inputs = made.inputs = Ids(node.inputs());
  step.io.outputs = made.outputs = Ids(node.outputs());
  step.io.input_count = static_cast<int32_t>(made.inputs.size());
  step.io.op = made.op;
  const OpDef* best = nullptr;
  for (const OpDef& def : defs_) {
    const bool fits = made.op == def.name.name && made.domain == def.name.domain && def.name.since <= made.version;
    if (fits && (!best || def.name.since > best->name.since)) best = &def;
  }
  // A version that was left out is not replaced by an older one, which may mean something else.
  for (const OpName* left = VersionsLeftOut(); best && left->name; ++left) {
    if (made.op == left->name && made.domain == left->domain && left->since <= made.version && left->since > best->name.since) best = nullptr;
  }
  if (!best || !best->run) return Fail(Code::kNotInBuild, "operator ", Quote(made.op), " is not in this build");
  made.attributes.resize(node.attributes() ? node.attributes()->size() : 0);
  for (uint32_t a = 0; a < made.attributes.size(); ++a) {
    LINNET_TRY(values.ReadAttribute(*node.attributes()->Get(a), &made.attributes[a]));
  }
  LINNET_ASSIGN(step.op, OpInstance::Make(*best, made));
  // Loops over a node's own elements are for the bytes that its configuration names; weights are packed.
  const bool has_first = !made.inputs.empty() && made.inputs[0] != kNoValue;
  if (!kSignedBytes && has_first && facts_[static_cast<size_t>(made.inputs[0])].type.dtype == DType::kInt8) return SignedBytes();
  NodeIo& io = step.io;
  if (best->prepare) {
    InferContext types(facts_.data(), io.inputs.data(), io.input_count, io.outputs.data(), static_cast<int>(io.outputs.size()));
    Prepare prepare(types, DetectedCpuLevel(), threads_, key, &weights);
    LINNET_TRY(best->prepare(step.op.state(), prepare));
  }
  for (ValueId& id : io.outputs) {
    if (id != kNoValue && last_use_[static_cast<size_t>(id)] < 0) id = kNoValue;
  }
  return Status();
}

Status FixedModel::Follow(const StoredPlan& stored) {
  plans_.push_back(std::make_unique<Plan>());
  Plan& plan = *plans_.back();
  plan.facts = facts_;
  plan.places.resize(facts_.size());
  const auto* values = head_->graph()->values();
  for (uint32_t v = 0; v < facts_.size(); ++v) {
    if (values->Get(v)->is_constant()) {
      plan.places[v].kind = Place::kKnown;
    } else {
      plan.facts[v] = Fact();
    }
  }
  PlanFollower follower(plan, last_use_, threads_, nullptr);
  LINNET_TRY(follower.Begin(stored, inputs_, outputs_));
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    if (follower.Skip(step.io, static_cast<int32_t>(i))) continue;
    Status status = follower.Add(step.op, step.io, static_cast<int32_t>(i));
    if (!status.ok()) return std::move(status).At(Label(*step.node, i));
  }
  return follower.End();
}

Result<Type> FixedModel::PortType(const fbs::Port& port) const {
  FileValues reader({}, nullptr);
  reader.set_symbols(head_->symbols() ? static_cast<int>(head_->symbols()->size()) : 0);
  return reader.ReadType(port.type());
}

Result<const Plan*> FixedModel::Find(const Fact* inputs) const {
  std::string shapes[2];
  for (size_t p = 0; p <= plans_.size(); ++p) {
    bool same = p < plans_.size();
    std::string& text = shapes[same ? 1 : 0];
    if (same && p > 0) text += "; ";
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Type& type = p < plans_.size() ? plans_[p]->facts[static_cast<size_t>(inputs_[i])].type : inputs[i].type;
      same = same && type == inputs[i].type;
      if (text.size() < 300) text += Cat(i > 0 ? ", " : "", ToString(type));
    }
    if (same) return plans_[p].get();
  }
  return Fail(Code::kNotInBuild, "there is no plan for inputs ", shapes[0], ", and planning is not in this build; the file has plans for ", shapes[1]);
}

std::vector<FixedModel::Output> FixedModel::OutputsOf(const Plan& plan) const {
  std::vector<Output> outputs;
  for (ValueId id : plan.outputs) {
    const Type& type = plan.facts[static_cast<size_t>(id)].type;
    outputs.push_back({nullptr, &type, ByteSize(type.dtype, type.shape.elements()).value()});   // its shape passed CheckShape
  }
  return outputs;
}

Status FixedModel::Run(const Plan& plan, const Fact* inputs, const std::vector<Output>& outputs) {
  std::unique_ptr<State> state;
  {
    Lock lock(mutex_);
    state = std::move(idle_);
    if (state) idle_ = std::move(state->next);
  }
  if (!state) state = std::make_unique<State>();
  Status status = Execute(plan, inputs, outputs, *state);
  Lock lock(mutex_);
  state->next = std::move(idle_);
  idle_ = std::move(state);
  return status;
}

Status FixedModel::Execute(const Plan& plan, const Fact* inputs, const std::vector<Output>& outputs, State& state) const {
  FlushDenormals flush;
  int64_t bytes = RoundUp(plan.arena_bytes, static_cast<int64_t>(kAlignment));
  const int64_t unasked_at = bytes;
  for (const Output& output : outputs) bytes += RoundUp(output.bytes, static_cast<int64_t>(kAlignment));
  if (state.memory.size() < bytes) {
    state.memory.Release();
    state.filled = nullptr;
    LINNET_ASSIGN(state.memory, Block::Allocate(bytes));
  }
  std::byte* arena = state.memory.data();
  state.slots.resize(plan.facts.size());
  void** slots = state.slots.data();
  auto fill = [&](const std::vector<ValueId>& ids) {
    for (ValueId id : ids) {
      const size_t v = static_cast<size_t>(id);
      const Place& place = plan.places[v];
      switch (place.kind) {
        case Place::kArena: slots[v] = arena + place.offset; break;
        case Place::kAlias: slots[v] = static_cast<std::byte*>(slots[place.root]) + place.offset; break;
        case Place::kInput: slots[v] = const_cast<void*>(inputs[place.offset].data); break;
        case Place::kOutput: {
          int64_t at = unasked_at;
          for (int64_t o = 0; o < place.offset; ++o) at += RoundUp(outputs[static_cast<size_t>(o)].bytes, static_cast<int64_t>(kAlignment));
          void* data = outputs[static_cast<size_t>(place.offset)].data;
          slots[v] = data ? data : arena + at;
          break;
        }
        default: slots[v] = const_cast<void*>(plan.facts[v].data);
      }
    }
  };
  fill(plan.callers);
  if (state.filled != &plan) fill(plan.fixed);
  state.filled = &plan;
  RunEnv env;
  env.pool = &ThreadPool::Shared();
  env.threads = threads_;
  for (const linnet::Step& step : plan.steps) {
    RunContext context(step, plan.facts.data(), plan.places.data(), slots, nullptr, arena, env, nullptr);
    Status status = step.run(step.op, context);
    const size_t i = static_cast<size_t>(step.node);
    if (!status.ok()) return std::move(status).At(Label(*steps_[i].node, i));
  }
  for (const Copy& copy : plan.copies) {
    const Output& output = outputs[static_cast<size_t>(copy.output)];
    if (output.data && output.bytes > 0) memcpy(output.data, slots[copy.from], static_cast<size_t>(output.bytes));
  }
  return Status();
}

}  // namespace linnet
