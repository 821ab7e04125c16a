// Plans made from a template: an earlier plan, its steps, and the places it gave its values.
#include <algorithm>

#include "compile/planner.h"
#include "run/context.h"

namespace linnet {
namespace {

/// Growth from one plan to the next that is worth room to spare: a quarter, and any of few bytes.
constexpr int64_t kSmallGrowth = 64 << 10;
/// The most a value gets to spare, and the least.
constexpr int64_t kSpareMax = 256 << 10, kSpareMin = 4 << 10;
/// An arena that is worth making smaller.
constexpr int64_t kBigArena = 1 << 20;

/// True when the same outputs look at the same inputs, at whatever offset.
bool SameViews(std::span<const Bound::View> a, std::span<const Bound::View> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Bound::View& x, const Bound::View& y) { return x.out == y.out && x.in == y.in; });
}

}  // namespace

Planner::Planner(const Model& model) : model_(model) {
  const size_t values = model.base_facts().size();
  first_places_.resize(values);
  for (size_t v = 0; v < values; ++v) {
    if (model.graph().value(static_cast<ValueId>(v)).is_constant) first_places_[v].kind = Place::kKnown;
  }
  for (size_t i = 0; i < model.inputs.size(); ++i) {
    first_places_[static_cast<size_t>(model.inputs[i])] = {Place::kInput, 0, kNoValue, static_cast<int64_t>(i)};
  }
  varies_.assign(values, 0);
  // Readers of each value, counted first.
  reader_begin_.assign(values + 1, 0);
  const std::vector<PreparedNode>& nodes = model.nodes();
  for (const PreparedNode& node : nodes) {
    for (ValueId id : node.io.inputs) {
      if (id != kNoValue) ++reader_begin_[static_cast<size_t>(id) + 1];
    }
  }
  for (size_t v = 0; v < values; ++v) reader_begin_[v + 1] += reader_begin_[v];
  readers_.resize(static_cast<size_t>(reader_begin_[values]));
  std::vector<int32_t> next(reader_begin_.begin(), reader_begin_.end() - 1);
  for (size_t n = 0; n < nodes.size(); ++n) {
    for (ValueId id : nodes[n].io.inputs) {
      if (id != kNoValue) readers_[static_cast<size_t>(next[static_cast<size_t>(id)]++)] = static_cast<int32_t>(n);
    }
  }
}

int64_t Planner::RoomFor(bool varies, int64_t bytes) {
  return varies ? bytes + std::clamp(bytes / 4, kSpareMin, kSpareMax) : bytes;
}

void Planner::TakeInputs(Plan& plan, const Fact* inputs) {
  plan.facts = basis_ ? basis_->facts : model_.base_facts();
  changed_.assign(plan.facts.size(), 0);
  for (size_t i = 0; i < model_.inputs.size(); ++i) {
    size_t v = static_cast<size_t>(model_.inputs[i]);
    changed_[v] = !(plan.facts[v].type == inputs[i].type);
    plan.facts[v] = {inputs[i].type, nullptr};
  }
}

Status Planner::MakeFirst(const PlanRef& ref, const Fact* inputs, StopSource* stop) {
  stop_ = stop;
  Plan& plan = *ref.get();
  plan.base = template_.plan;
  basis_ = template_.plan.get();
  if (basis_) {
    TakeInputs(plan, inputs);
    bool grew = false;
    Result<bool> fits = Refit(plan, &grew);
    if (!fits.ok() || *fits) {
      basis_ = nullptr;
      return fits.ok() ? Status() : fits.TakeStatus();
    }
    if (grew) {
      template_.plan = plan.base = PlanRef();
      basis_ = nullptr;
    }
  }

  TakeInputs(plan, inputs);
  plan.places = first_places_;
  const size_t nodes = model_.nodes().size();
  reused_ = 0;
  recording_ = !basis_;
  if (recording_) {
    template_.made.assign(nodes, Made::kAnew);
    template_.bound.resize(nodes);
    template_.first_step.assign(nodes + 1, 0);
    template_.scratch_room.assign(nodes, 0);
  }
  Status status = Make(plan, 0);
  if (recording_ && status.ok()) {
    template_.plan = ref;
    template_.room = room_;
    template_.first_step[nodes] = static_cast<int32_t>(plan.steps.size());
    template_.whole = plan.next_node == nodes && plan.segment == 0;
    for (Made made : template_.made) template_.whole = template_.whole && made != Made::kAnew;
  }
  if (basis_ && reused_ < nodes / 2) template_.plan = PlanRef();
  basis_ = nullptr;
  recording_ = false;
  return status;
}

bool Planner::SameAsTemplate(const PreparedNode& node, size_t index) const {
  if (!basis_ || template_.made[index] == Made::kAnew) return false;
  for (ValueId id : node.io.inputs) {
    if (id != kNoValue && changed_[static_cast<size_t>(id)]) return false;
  }
  return true;
}

void Planner::SpreadFrom(ValueId id) {
  const size_t v = static_cast<size_t>(id);
  if (!changed_[v]) return;
  for (int32_t r = reader_begin_[v]; r < reader_begin_[v + 1]; ++r) {
    const size_t node = static_cast<size_t>(readers_[static_cast<size_t>(r)]);
    pending_[node / 64] |= uint64_t{1} << (node % 64);
  }
  const Type &before = basis_->facts[v].type, &now = plan_->facts[v].type;
  if (varies_[v] || !before.is_tensor() || !now.is_tensor() || !before.shape.is_static() || !now.shape.is_static()) return;
  const int64_t more = now.shape.elements() - before.shape.elements();
  varies_[v] = more > 0 && (more <= before.shape.elements() / 4 || ByteSize(now.dtype, more).value() <= kSmallGrowth);
}

Result<bool> Planner::Refit(Plan& plan, bool* grew) {
  if (!template_.whole) return false;
  plan_ = &plan;
  plan.places = basis_->places;
  plan.steps = basis_->steps;
  plan.fixed = basis_->fixed;
  plan.callers = basis_->callers;
  plan.copies = basis_->copies;
  plan.outputs = basis_->outputs;
  plan.heap_frees = basis_->heap_frees;
  plan.overs = basis_->overs;
  plan.read_until = basis_->read_until;
  plan.written_from = basis_->written_from;
  plan.memory.Clear();
  plan.arena_bytes = basis_->arena_bytes;
  plan.segment = 0;
  plan.heap_slots = basis_->heap_slots;
  plan.next_node = basis_->next_node;
  plan.boundary = false;

  const std::vector<PreparedNode>& nodes = model_.nodes();
  pending_.assign(nodes.size() / 64 + 1, 0);
  made_.clear();
  fitted_bytes_ = fitted_room_ = 0;
  bool outgrown = false;
  for (ValueId id : model_.inputs) SpreadFrom(id);
  for (size_t word = 0; word < pending_.size(); ++word) {
    while (pending_[word]) {
      const size_t index = word * 64 + static_cast<size_t>(__builtin_ctzll(pending_[word]));
      pending_[word] &= pending_[word] - 1;
      Result<Fits> fits = RefitNode(plan, index);
      if (!fits.ok()) return fits.TakeStatus().At(nodes[index].io.label);
      if (*fits == Fits::kNo) return false;
      outgrown = outgrown || *fits == Fits::kOutgrown;
    }
  }
  *grew = outgrown;
  if (outgrown) return false;
  return plan.arena_bytes <= kBigArena || fitted_bytes_ >= fitted_room_ / 2;
}

Result<Planner::Fits> Planner::RefitNode(Plan& plan, size_t index) {
  const PreparedNode& node = model_.nodes()[index];
  const NodeIo& io = node.io;
  InferContext infer(plan.facts.data(), io.inputs.data(), io.input_count, io.outputs.data(), static_cast<int>(io.outputs.size()));
  bool known = false;
  LINNET_TRY(InferNode(node, infer, &known));
  if (template_.made[index] == Made::kFolded) {
    bool done = false;
    if (known) LINNET_TRY(Fold(node, infer, &done));
    if (!done) return Fits::kNo;
    for (ValueId id : io.outputs) {
      if (id != kNoValue) SpreadFrom(id);
    }
    return Fits::kYes;
  }
  for (ValueId id : io.outputs) {
    if (id == kNoValue) continue;
    const Type& type = plan.facts[static_cast<size_t>(id)].type;
    if (type.kind == Kind::kUnknown || type.dtype == DType::kUndefined || (type.is_tensor() && !type.shape.is_static())) return Fits::kNo;
  }

  BindContext bind(infer, &plan.memory, model_.options().threads, stop_);
  if (!node.kernel && node.op.def().bind) LINNET_TRY(node.op.def().bind(node.op.state(), bind));
  if (bind.out_of_memory()) return OutOfMemory("no memory for the plan");
  const Bound &was = template_.bound[index], &now = bind.bound();
  if (!SameViews(was.aliases(), now.aliases()) || !SameViews(was.in_places(), now.in_places())) return Fits::kNo;
  if ((was.scratch_bytes > 0) != (now.scratch_bytes > 0)) return Fits::kNo;
  int64_t scratch = 0;
  if (!CheckedMul(now.scratch_bytes, now.workers, &scratch)) return Fits::kNo;
  const Fits fits = FitOutputs(node, index, now);
  for (ValueId id : io.outputs) {
    if (id != kNoValue) SpreadFrom(id);
  }
  for (int32_t s = template_.first_step[index]; s < template_.first_step[index + 1]; ++s) {
    Step& step = plan.steps[static_cast<size_t>(s)];
    if (step.run != node.op.def().run) continue;   // copies a view
    step.params = now.params;
    step.scratch_bytes = now.scratch_bytes;
    step.workers = now.workers;
  }
  return fits == Fits::kYes && scratch > template_.scratch_room[index] ? Fits::kOutgrown : fits;
}

Planner::Fits Planner::FitOutputs(const PreparedNode& node, size_t index, const Bound& bound) {
  Plan& plan = *plan_;
  const NodeIo& io = node.io;
  const std::span<const Bound::View> was = template_.bound[index].aliases();
  for (size_t a = 0; a < was.size(); ++a) {
    const Bound::View& view = bound.aliases()[a];
    const ValueId out = io.outputs[static_cast<size_t>(view.out)], in = io.inputs[static_cast<size_t>(view.in)];
    const Place& from = plan.places[static_cast<size_t>(in)];
    Place& to = plan.places[static_cast<size_t>(out)];
    if (to.kind == Place::kKnown) {
      const std::byte* data = plan.facts[static_cast<size_t>(in)].as<std::byte>();
      if (!data) return Fits::kNo;
      plan.facts[static_cast<size_t>(out)].data = data + view.byte_offset;
    } else if (to.kind == Place::kAlias) {
      const int64_t offset = (from.kind == Place::kAlias ? from.offset : 0) + view.byte_offset;
      // Only what begins where its storage does may have been overwritten in place, or have moved the storage to an output.
      if ((offset == 0) != (to.offset == 0)) return Fits::kNo;
      const Place& root = plan.places[static_cast<size_t>(to.root)];
      const bool moved = root.kind == Place::kOutput && root.offset == output_of_[static_cast<size_t>(out)];
      if (moved && BytesOf(to.root) != BytesOf(out)) return Fits::kNo;
      if (offset != to.offset) changed_[static_cast<size_t>(out)] = true;
      to.offset = offset;
    } else if (view.byte_offset != was[a].byte_offset) {
      return Fits::kNo;   // it is copied, by a step that knows the offset
    }
  }
  Fits fits = Fits::kYes;
  for (size_t o = 0; o < io.outputs.size(); ++o) {
    const ValueId out = io.outputs[o];
    if (out == kNoValue) continue;
    const Place& place = plan.places[static_cast<size_t>(out)];
    if (place.kind != Place::kArena) continue;
    const int64_t bytes = BytesOf(out), room = template_.room[static_cast<size_t>(out)];
    for (const Bound::View& view : bound.in_places()) {
      if (view.out != static_cast<int8_t>(o)) continue;
      const ValueId in = io.inputs[static_cast<size_t>(view.in)];
      if (in == kNoValue) continue;
      const Place& root = plan.places[static_cast<size_t>(RootOf(in))];
      if (root.kind == Place::kArena && root.offset == place.offset && BytesOf(in) != bytes) return Fits::kNo;
    }
    if (bytes > room) fits = Fits::kOutgrown;
    fitted_bytes_ += bytes;
    fitted_room_ += room;
  }
  return fits;
}

}  // namespace linnet
