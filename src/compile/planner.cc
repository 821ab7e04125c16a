// Making plans.
#include "compile/planner.h"

#include <algorithm>

#include "compile/stored_plan.h"
#include "run/context.h"

namespace linnet {
namespace {

/// Contents computed while a plan is made: shape arithmetic is tiny; above this a node is worth a step.
constexpr int64_t kFoldedBytesMax = 16 << 10;

Status RunKernel(const void* kernel, RunContext& context) {
  return static_cast<const ProviderKernel*>(kernel)->Run(context);
}

/// The step of a view whose memory could not be shared.
Status CopyView(const void*, RunContext& context) {
  const Bound::View& view = context.params<Bound::View>();
  if (!context.input_type(view.in).is_tensor()) {
    LINNET_ASSIGN(Datum datum, context.CopyInput(view.in));
    return context.SetOutput(view.out, std::move(datum));
  }
  CopyElements(context.output_type(view.out), context.in<std::byte>(view.in) + view.byte_offset,
               context.output(view.out));
  return Status();
}

}  // namespace

ValueId Planner::RootOf(ValueId id) const {
  const Place& place = plan_->places[static_cast<size_t>(id)];
  return place.kind == Place::kAlias ? place.root : id;
}

int64_t Planner::BytesOf(ValueId id) const {
  const Type& type = plan_->facts[static_cast<size_t>(id)].type;
  // Shapes passed CheckShape, so the count cannot overflow.
  return ByteSize(type.dtype, type.shape.elements()).value();
}

Status Planner::MakeNext(Plan& plan, size_t first, StopSource* stop) {
  stop_ = stop;
  return Make(plan, first);
}

Status Planner::Make(Plan& plan, size_t first) {
  plan_ = &plan;
  plan.steps.clear();
  plan.fixed.clear();
  plan.callers.clear();
  plan.copies.clear();
  plan.heap_frees.clear();
  plan.overs.clear();
  plan.memory.Clear();
  plan.outputs = model_.outputs;
  plan.boundary = false;
  size_t values = plan.facts.size();
  arena_.Clear();
  needed_until_.assign(model_.last_use().begin(), model_.last_use().end());
  storage_bytes_.assign(values, 0);
  room_.assign(values, 0);
  made_.clear();
  output_of_.assign(values, -1);
  for (size_t i = model_.outputs.size(); i-- > 0;) output_of_[static_cast<size_t>(model_.outputs[i])] = static_cast<int32_t>(i);
  if (first == 0) {
    // Inputs and constants; later segments inherit their slots.
    for (ValueId id = 0; id < static_cast<ValueId>(values); ++id) {
      if (plan.places[static_cast<size_t>(id)].kind != Place::kNone) made_.push_back(id);
    }
  } else {
    // Views made before the boundary keep their roots alive behind it.
    for (size_t v = 0; v < values; ++v) {
      const Place& place = plan.places[v];
      if (place.kind != Place::kAlias) continue;
      int32_t& until = needed_until_[static_cast<size_t>(place.root)];
      until = std::max(until, model_.last_use()[v]);
    }
  }

  const std::vector<PreparedNode>& nodes = model_.nodes();
  size_t index = first;
  for (; index < nodes.size() && !plan.boundary; ++index) {
    Status status = PlanNode(index);
    if (!status.ok()) return std::move(status).At(nodes[index].io.label);
  }
  plan.next_node = index;
  plan.boundary = plan.boundary && index < nodes.size();
  Lay();

  if (!plan.boundary) {
    for (size_t i = 0; i < model_.outputs.size(); ++i) {
      const Place& own = plan.places[static_cast<size_t>(model_.outputs[i])];
      const Place& place = plan.places[static_cast<size_t>(RootOf(model_.outputs[i]))];
      if (place.kind == Place::kNone) return InvalidModel("nothing computes output ", i);
      bool in_place = place.kind == Place::kOutput && place.offset == static_cast<int64_t>(i);
      if (in_place && (own.kind != Place::kAlias || own.offset == 0)) continue;
      plan.copies.push_back({model_.outputs[i], static_cast<int32_t>(i)});
    }
  }
  NoteSharing(plan, model_.inputs.size(), needed_until_);
  SortSlots();
  return Status();
}

/// Until here places and steps name pieces of the arena; now they get the pieces' offsets.
void Planner::Lay() {
  Plan& plan = *plan_;
  arena_.Lay();
  for (ValueId id : made_) {
    Place& place = plan.places[static_cast<size_t>(id)];
    if (place.kind == Place::kArena && place.segment == plan.segment) place.offset = arena_.OffsetOf(place.offset);
  }
  for (Step& step : plan.steps) {
    if (step.scratch_offset >= 0) step.scratch_offset = arena_.OffsetOf(step.scratch_offset);
  }
  plan.arena_bytes = arena_.peak_bytes();
}

Status Planner::PlanNode(size_t index) {
  Plan& plan = *plan_;
  const PreparedNode& node = model_.nodes()[index];
  const NodeIo& io = node.io;
  Fact* facts = plan.facts.data();
  Step step;
  step.op = node.kernel ? static_cast<const void*>(node.kernel.get()) : node.op.state();
  step.run = node.kernel ? RunKernel : node.op.def().run;
  step.io = &io;
  step.node = static_cast<int32_t>(index);
  if (recording_) template_.first_step[index] = static_cast<int32_t>(plan.steps.size());
  if (SameAsTemplate(node, index)) {
    ++reused_;
    if (template_.made[index] == Made::kFolded) {
      for (ValueId id : io.outputs) {
        if (id != kNoValue) PlaceKnown(id);
      }
      return Status();
    }
    step.params = template_.bound[index].params;
    LINNET_TRY(PlaceOutputs(node, template_.bound[index], index, step));
    FreeDead(node, index);
    return Status();
  }

  InferContext infer(facts, io.inputs.data(), io.input_count, io.outputs.data(), static_cast<int>(io.outputs.size()));
  bool known = false;
  LINNET_TRY(InferNode(node, infer, &known));
  if (known) {
    bool done = false;
    LINNET_TRY(Fold(node, infer, &done));
    if (done && recording_) template_.made[index] = Made::kFolded;
    if (done) return Status();
  }

  for (ValueId id : io.outputs) {
    if (id == kNoValue) continue;
    const Type& type = facts[id].type;
    if (type.kind == Kind::kUnknown || (type.is_tensor() && !type.shape.is_static())) step.late = true;
    if (type.is_tensor() && type.dtype == DType::kUndefined) step.late = true;
  }
  if (step.late) {
    for (ValueId id : io.outputs) {
      if (id == kNoValue) continue;
      plan.places[static_cast<size_t>(id)] = {Place::kHeap, plan.segment, kNoValue, plan.heap_slots++};
      made_.push_back(id);
    }
    step.heap_outputs = true;
    plan.boundary = true;
    plan.steps.push_back(step);
    FreeDead(node, index);
    return Status();
  }

  BindContext bind(infer, &plan.memory, model_.options().threads, stop_);
  if (!node.kernel && node.op.def().bind) LINNET_TRY(node.op.def().bind(node.op.state(), bind));
  if (bind.out_of_memory()) return OutOfMemory("no memory for the plan");
  step.params = bind.bound().params;
  if (recording_) {
    template_.made[index] = Made::kBound;
    template_.bound[index] = bind.bound();
  }
  LINNET_TRY(PlaceOutputs(node, bind.bound(), index, step));
  FreeDead(node, index);
  return Status();
}

Status Planner::InferNode(const PreparedNode& node, InferContext& infer, bool* known) {
  Fact* facts = plan_->facts.data();
  *known = node.foldable;
  for (ValueId id : node.io.inputs) {
    if (id != kNoValue) *known = *known && (node.shape_only ? facts[id].type.shape.is_static() : facts[id].data != nullptr);
  }
  for (ValueId id : node.io.outputs) {
    if (id != kNoValue) facts[id] = {model_.base_facts()[static_cast<size_t>(id)].type, nullptr};
  }
  LINNET_TRY(InferTypes(node.op, infer));
  if (!basis_) return Status();
  // What is computed anew lies in this plan's memory; sizes may still be what they were.
  for (ValueId id : node.io.outputs) {
    if (id == kNoValue) continue;
    const Fact& before = basis_->facts[static_cast<size_t>(id)];
    changed_[static_cast<size_t>(id)] = *known || before.data || !(before.type == facts[id].type);
  }
  return Status();
}

Status Planner::Fold(const PreparedNode& node, InferContext& infer, bool* done) {
  Plan& plan = *plan_;
  Fact* facts = plan.facts.data();
  int64_t bytes = 0;
  for (ValueId id : node.io.outputs) {
    if (id == kNoValue) continue;
    const Type& type = facts[id].type;
    if (!type.is_tensor() || !type.shape.is_static() || type.dtype == DType::kString) return Status();
    bytes += BytesOf(id);
  }
  BindContext bind(infer, &plan.memory, 1, stop_);
  if (node.op.def().bind) LINNET_TRY(node.op.def().bind(node.op.state(), bind));
  size_t wanted = 0;
  for (ValueId id : node.io.outputs) wanted += id != kNoValue;
  const Bound& bound = bind.bound();
  bool viewed = bound.aliases().size() == wanted && !node.shape_only;
  if (!viewed && bytes > kFoldedBytesMax) return Status();
  if (viewed) {
    for (const Bound::View& view : bound.aliases()) {
      ValueId out = node.io.outputs[static_cast<size_t>(view.out)];
      facts[out].data = infer.fact(view.in).as<std::byte>() + view.byte_offset;
    }
  } else {
    for (ValueId id : node.io.outputs) {
      if (id == kNoValue) continue;
      void* memory = plan.memory.Take(BytesOf(id) + 1);
      if (!memory) return OutOfMemory("no memory for the plan");
      facts[id].data = memory;
    }
    void* scratch = bound.scratch_bytes ? plan.memory.Take(bound.scratch_bytes) : nullptr;
    if (bind.out_of_memory() || (bound.scratch_bytes && !scratch)) return OutOfMemory("no memory for the plan");
    fold_slots_.resize(plan.facts.size());
    for (ValueId id : node.io.inputs) {
      if (id != kNoValue) fold_slots_[static_cast<size_t>(id)] = const_cast<void*>(facts[id].data);
    }
    for (ValueId id : node.io.outputs) {
      if (id != kNoValue) fold_slots_[static_cast<size_t>(id)] = const_cast<void*>(facts[id].data);
    }
    Step step;
    step.op = node.op.state();
    step.params = bound.params;
    step.io = &node.io;
    step.scratch_offset = 0;
    step.scratch_bytes = bound.scratch_bytes;
    RunEnv env;
    env.stop = stop_;
    RunContext context(step, facts, plan.places.data(), fold_slots_.data(), nullptr, static_cast<std::byte*>(scratch),
                       env, nullptr);
    LINNET_TRY(node.op.def().run(node.op.state(), context));
  }
  for (ValueId id : node.io.outputs) {
    if (id != kNoValue) PlaceKnown(id);
  }
  *done = true;
  return Status();
}

void Planner::PlaceKnown(ValueId id) {
  plan_->places[static_cast<size_t>(id)] = {Place::kKnown, plan_->segment, kNoValue, 0};
  made_.push_back(id);
}

void Planner::PlaceOutput(ValueId id, size_t index) {
  Plan& plan = *plan_;
  const Type& type = plan.facts[static_cast<size_t>(id)].type;
  Place& place = plan.places[static_cast<size_t>(id)];
  made_.push_back(id);
  if (!type.is_tensor() || type.dtype == DType::kString) {
    place = {Place::kHeap, plan.segment, kNoValue, plan.heap_slots++};
  } else if (output_of_[static_cast<size_t>(id)] >= 0) {
    place = {Place::kOutput, plan.segment, kNoValue, output_of_[static_cast<size_t>(id)]};
  } else {
    int64_t bytes = BytesOf(id), room = RoomFor(varies_[static_cast<size_t>(id)], bytes);
    place = {Place::kArena, plan.segment, kNoValue, arena_.Take(room)};
    storage_bytes_[static_cast<size_t>(id)] = bytes + 1;
    room_[static_cast<size_t>(id)] = room;
  }
}

bool Planner::PlaceView(ValueId out, ValueId in, int64_t byte_offset) {
  Plan& plan = *plan_;
  const Place from = plan.places[static_cast<size_t>(in)];
  Place& to = plan.places[static_cast<size_t>(out)];
  ValueId root = RootOf(in);
  Place& root_place = plan.places[static_cast<size_t>(root)];
  // What a step of this plan puts into the heap has no address before it ran.
  if (root_place.kind == Place::kHeap && root_place.segment == plan.segment) return false;
  made_.push_back(out);
  if (root_place.kind == Place::kKnown) {
    plan.facts[static_cast<size_t>(out)].data = plan.facts[static_cast<size_t>(in)].as<std::byte>() + byte_offset;
    to = {Place::kKnown, plan.segment, kNoValue, 0};
    return true;
  }
  int64_t offset = (from.kind == Place::kAlias ? from.offset : 0) + byte_offset;
  // A view that is a graph output moves its storage there, so that nothing is copied at the end.
  int32_t output = output_of_[static_cast<size_t>(out)];
  int64_t& storage = storage_bytes_[static_cast<size_t>(root)];
  if (output >= 0 && root_place.kind == Place::kArena && offset == 0 && storage > 0 && storage == BytesOf(out) + 1) {
    arena_.Give(root_place.offset);
    storage = 0;
    root_place = {Place::kOutput, plan.segment, kNoValue, output};
  }
  to = {Place::kAlias, plan.segment, root, offset};
  int32_t& until = needed_until_[static_cast<size_t>(root)];
  until = std::max(until, model_.last_use()[static_cast<size_t>(out)]);
  return true;
}

bool Planner::TakeOver(const NodeIo& io, ValueId out, ValueId in, size_t index) {
  Plan& plan = *plan_;
  ValueId root = RootOf(in);
  // Another input that looks at the same memory would see it change.
  for (ValueId other : io.inputs) {
    if (other != kNoValue && other != in && RootOf(other) == root) return false;
  }
  Place& from = plan.places[static_cast<size_t>(root)];
  if (from.kind != Place::kArena || storage_bytes_[static_cast<size_t>(root)] == 0) return false;
  if (plan.places[static_cast<size_t>(in)].kind == Place::kAlias && plan.places[static_cast<size_t>(in)].offset != 0) return false;
  if (needed_until_[static_cast<size_t>(root)] != static_cast<int32_t>(index)) return false;
  if (output_of_[static_cast<size_t>(out)] >= 0) return false;
  int64_t bytes = BytesOf(out);
  if (bytes != BytesOf(in) || bytes + 1 != storage_bytes_[static_cast<size_t>(root)]) return false;
  plan.places[static_cast<size_t>(out)] = {Place::kArena, plan.segment, kNoValue, from.offset};
  storage_bytes_[static_cast<size_t>(out)] = storage_bytes_[static_cast<size_t>(root)];
  storage_bytes_[static_cast<size_t>(root)] = 0;
  room_[static_cast<size_t>(out)] = room_[static_cast<size_t>(root)];
  made_.push_back(out);
  return true;
}

Status Planner::PlaceOutputs(const PreparedNode& node, const Bound& bound, size_t index, Step& step) {
  Plan& plan = *plan_;
  const NodeIo& io = node.io;
  size_t wanted = 0, viewed = 0;
  for (ValueId id : io.outputs) wanted += id != kNoValue;
  for (const Bound::View& view : bound.aliases()) {
    ValueId out = io.outputs[static_cast<size_t>(view.out)], in = io.inputs[static_cast<size_t>(view.in)];
    ++viewed;
    if (PlaceView(out, in, view.byte_offset)) continue;
    auto* params = static_cast<Bound::View*>(plan.memory.Take(sizeof(Bound::View)));
    if (!params) return OutOfMemory("no memory for the plan");
    *params = view;
    Step copy = step;
    copy.run = CopyView;
    copy.params = params;
    PlaceOutput(out, index);
    copy.heap_outputs = plan.places[static_cast<size_t>(out)].kind == Place::kHeap;
    plan.steps.push_back(copy);
  }
  if (viewed == wanted) return Status();  // nothing to compute

  int64_t room = 0;   // of the scratch memory
  if (bound.scratch_bytes > 0) {
    int64_t total;
    if (!CheckedMul(bound.scratch_bytes, bound.workers, &total)) return LimitReached("scratch memory overflows");
    step.scratch_bytes = bound.scratch_bytes;
    step.workers = bound.workers;
    bool varies = false;
    for (ValueId id : io.inputs) varies = varies || (id != kNoValue && varies_[static_cast<size_t>(id)]);
    room = RoomFor(varies, total);
    if (!scratch_apart_) step.scratch_offset = arena_.Take(room);
    if (recording_) template_.scratch_room[index] = room;
  }
  for (size_t o = 0; o < io.outputs.size(); ++o) {
    ValueId out = io.outputs[o];
    if (out == kNoValue) continue;
    bool aliased = false;
    for (const Bound::View& view : bound.aliases()) aliased = aliased || view.out == static_cast<int8_t>(o);
    if (aliased) continue;
    bool taken = false;
    for (const Bound::View& view : bound.in_places()) {
      if (view.out == static_cast<int8_t>(o) && TakeOver(io, out, io.inputs[static_cast<size_t>(view.in)], index)) {
        taken = true;
        break;
      }
    }
    if (!taken) PlaceOutput(out, index);
    if (plan.places[static_cast<size_t>(out)].kind == Place::kHeap) step.heap_outputs = true;
  }
  if (step.scratch_offset >= 0) arena_.Give(step.scratch_offset);
  plan.steps.push_back(step);
  NoteOvers(plan, io, bound);
  return Status();
}

void Planner::FreeDead(const PreparedNode& node, size_t index) {
  Plan& plan = *plan_;
  auto release = [&](ValueId id) {
    if (id == kNoValue) return;
    size_t root = static_cast<size_t>(RootOf(id));
    if (needed_until_[root] > static_cast<int32_t>(index)) return;
    if (storage_bytes_[root] > 0 && plan.places[root].kind == Place::kArena) {
      arena_.Give(plan.places[root].offset);
      storage_bytes_[root] = 0;
    } else if (plan.places[root].kind == Place::kHeap && needed_until_[root] >= 0 && !plan.steps.empty()) {
      plan.heap_frees.emplace_back(static_cast<int32_t>(plan.steps.size()) - 1,
                                   static_cast<int32_t>(plan.places[root].offset));
      needed_until_[root] = -1;
    }
  };
  for (ValueId id : node.io.inputs) release(id);
  for (ValueId id : node.io.outputs) release(id);
}

void Planner::SortSlots() {
  Plan& plan = *plan_;
  for (ValueId id : made_) {
    Place::Kind kind = plan.places[static_cast<size_t>(RootOf(id))].kind;
    bool callers = kind == Place::kInput || kind == Place::kOutput;
    if (kind == Place::kHeap && RootOf(id) != id) callers = true;
    (callers ? plan.callers : plan.fixed).push_back(id);
  }
}

}  // namespace linnet
