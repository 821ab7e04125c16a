// Checking and binding plans of prepared files.
#include "compile/stored_plan.h"

#include <algorithm>

#include "run/context.h"

namespace linnet {
namespace {

template <class... Parts>
Status Wrong(ValueId id, const Parts&... parts) {
  return InvalidModel("the plan in the .linnet file is wrong: value ", id, parts...);
}

/// The step of a view whose memory is not shared.
Status CopyView(const void*, RunContext& context) {
  const Bound::View& view = context.params<Bound::View>();
  CopyElements(context.output_type(view.out), context.in<std::byte>(view.in) + view.byte_offset, context.output(view.out));
  return Status();
}

}  // namespace

void NoteOvers(Plan& plan, const NodeIo& io, const Bound& bound) {
  auto root_of = [&](ValueId id) {
    const Place& place = plan.places[static_cast<size_t>(id)];
    return place.kind == Place::kAlias ? place.root : id;
  };
  for (const Bound::View& view : bound.in_places()) {
    if (!view.grows) continue;
    const ValueId in = io.inputs[static_cast<size_t>(view.in)], root = root_of(in);
    if (plan.places[static_cast<size_t>(root)].kind != Place::kInput) continue;
    // Another input that looks at the same memory would see it change.
    int readers = 0;
    for (ValueId id : io.inputs) readers += id != kNoValue && root_of(id) == root;
    if (readers != 1) continue;
    plan.overs.push_back({in, io.outputs[static_cast<size_t>(view.out)], static_cast<int32_t>(plan.steps.size()) - 1});
  }
}

int64_t PlanFollower::BytesOf(ValueId id) const {
  const Type& type = plan_.facts[static_cast<size_t>(id)].type;
  return ByteSize(type.dtype, type.shape.elements()).value();   // shapes passed CheckShape
}

Status PlanFollower::CheckPlace(ValueId id, const Fact& fact, const Place& place) const {
  const int64_t bytes = BytesOf(id);
  switch (place.kind) {
    case Place::kArena:
      if (place.offset < 0 || place.offset % static_cast<int64_t>(kAlignment) != 0 || bytes > plan_.arena_bytes ||
          place.offset > plan_.arena_bytes - std::max<int64_t>(bytes, 1)) {
        return Wrong(id, " of ", bytes, " bytes lies at ", place.offset, " of ", plan_.arena_bytes);
      }
      return Status();
    case Place::kOutput: {
      if (place.offset < 0 || place.offset >= static_cast<int64_t>(plan_.outputs.size())) return Wrong(id, " is output ", place.offset);
      const ValueId named = plan_.outputs[static_cast<size_t>(place.offset)];
      if (RootOf(named) != id || BytesOf(named) != bytes) return Wrong(id, " is not output ", place.offset);
      return Status();
    }
    case Place::kAlias: {
      if (place.root < 0 || place.root >= static_cast<ValueId>(plan_.facts.size())) return Wrong(id, " is a view of value ", place.root);
      const Place& root = plan_.places[static_cast<size_t>(place.root)];
      if (root.kind == Place::kNone || root.kind == Place::kAlias || root.kind == Place::kKnown) return Wrong(id, " is a view of value ", place.root);
      const int64_t whole = BytesOf(place.root);
      if (place.offset < 0 || bytes > whole || place.offset > whole - bytes) return Wrong(id, " is a view beyond value ", place.root);
      return Status();
    }
    case Place::kKnown: return fact.data ? Status() : Wrong(id, " has no contents");
    default: return Wrong(id, " has place ", static_cast<int>(place.kind));
  }
}

Status PlanFollower::Begin(const StoredPlan& stored, const std::vector<ValueId>& inputs, const std::vector<ValueId>& outputs) {
  const size_t values = plan_.facts.size();
  if (stored.facts.size() != values || stored.places.size() != values) return InvalidModel("a plan is for ", stored.facts.size(), " values of ", values);
  plan_.arena_bytes = stored.arena_bytes;
  plan_.outputs = outputs;
  std::vector<char> is_input(values, 0);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const size_t v = static_cast<size_t>(inputs[i]);
    is_input[v] = 1;
    if (stored.places[v].kind != Place::kInput || stored.places[v].offset != static_cast<int64_t>(i)) return Wrong(inputs[i], " is input ", i);
  }
  for (size_t v = 0; v < values; ++v) {
    if (stored.places[v].kind == Place::kNone) continue;
    const ValueId id = static_cast<ValueId>(v);
    if (plan_.places[v].kind != Place::kNone) return Wrong(id, " is a constant");
    if ((stored.places[v].kind == Place::kInput) != (is_input[v] != 0)) return Wrong(id, " is no input");
    plan_.facts[v] = stored.facts[v];
    plan_.places[v] = stored.places[v];
  }
  needed_until_ = last_use_;
  for (size_t v = 0; v < values; ++v) {
    const Place& place = stored.places[v];
    if (place.kind == Place::kNone || place.kind == Place::kInput) continue;
    LINNET_TRY(CheckPlace(static_cast<ValueId>(v), plan_.facts[v], place));
    if (place.kind != Place::kAlias) continue;
    int32_t& until = needed_until_[static_cast<size_t>(place.root)];
    until = std::max(until, last_use_[v]);
  }
  begun_.assign(values, 0);
  for (size_t v = 0; v < values; ++v) {
    const Place::Kind kind = plan_.places[v].kind;
    begun_[v] = kind == Place::kKnown || kind == Place::kInput;
  }
  return Status();
}

bool PlanFollower::Skip(const NodeIo& io, int32_t index) {
  for (ValueId id : io.outputs) {
    if (id == kNoValue) continue;
    const Place::Kind kind = plan_.places[static_cast<size_t>(id)].kind;
    if (kind != Place::kKnown && kind != Place::kNone) return false;
  }
  for (ValueId id : io.inputs) EndDead(id, index);
  return true;
}

bool PlanFollower::MayTakeOver(const NodeIo& io, ValueId id, ValueId root, const Bound& bound, int output, int32_t index) const {
  const Place &place = plan_.places[static_cast<size_t>(id)], &old = plan_.places[static_cast<size_t>(root)];
  if (old.offset != place.offset || BytesOf(id) != BytesOf(root) || needed_until_[static_cast<size_t>(root)] != index) return false;
  for (const Bound::View& view : bound.in_places()) {
    if (view.out != static_cast<int8_t>(output)) continue;
    const ValueId in = io.inputs[static_cast<size_t>(view.in)];
    if (in == kNoValue || RootOf(in) != root || BytesOf(in) != BytesOf(id)) continue;
    // Another input that looks at the same memory would see it change.
    bool shared = false;
    for (ValueId other : io.inputs) shared = shared || (other != kNoValue && other != in && RootOf(other) == root);
    if (!shared) return true;
  }
  return false;
}

Status PlanFollower::Begin(const NodeIo& io, ValueId id, const Bound& bound, int output, int32_t index) {
  const Place& place = plan_.places[static_cast<size_t>(id)];
  if (begun_[static_cast<size_t>(id)]) return Wrong(id, " is computed twice");
  if (place.kind == Place::kAlias || place.kind == Place::kNone || place.kind == Place::kKnown) return Wrong(id, " has no place of its own");
  begun_[static_cast<size_t>(id)] = 1;
  if (place.kind != Place::kArena) return Status();
  const Live wanted = {place.offset, place.offset + RoundUp(std::max<int64_t>(BytesOf(id), 1), static_cast<int64_t>(kAlignment)), id};
  auto at = std::lower_bound(live_.begin(), live_.end(), wanted.begin, [](const Live& live, int64_t begin) { return live.end <= begin; });
  if (at != live_.end() && at->begin < wanted.end) {
    if (!MayTakeOver(io, id, at->root, bound, output, index)) return Wrong(id, " lies on value ", at->root, ", which is still needed");
    *at = wanted;
    return Status();
  }
  live_.insert(at, wanted);
  return Status();
}

void PlanFollower::EndDead(ValueId id, int32_t index) {
  if (id == kNoValue) return;
  const ValueId root = RootOf(id);
  const Place& place = plan_.places[static_cast<size_t>(root)];
  if (place.kind != Place::kArena || needed_until_[static_cast<size_t>(root)] > index) return;
  auto at = std::lower_bound(live_.begin(), live_.end(), place.offset, [](const Live& live, int64_t begin) { return live.begin < begin; });
  if (at != live_.end() && at->root == root) live_.erase(at);
}

Status PlanFollower::AddViews(const OpInstance& op, const NodeIo& io, const Bound& bound, Step step, size_t* viewed) {
  for (const Bound::View& view : bound.aliases()) {
    const ValueId out = io.outputs[static_cast<size_t>(view.out)], in = io.inputs[static_cast<size_t>(view.in)];
    ++*viewed;
    const Place &from = plan_.places[static_cast<size_t>(in)], &to = plan_.places[static_cast<size_t>(out)];
    if (to.kind == Place::kKnown) continue;   // contents are in the file
    if (to.kind == Place::kAlias) {
      const int64_t offset = (from.kind == Place::kAlias ? from.offset : 0) + view.byte_offset;
      if (to.root != RootOf(in) || to.offset != offset) return Wrong(out, " is not the view that its operator makes");
      begun_[static_cast<size_t>(out)] = 1;
      continue;
    }
    LINNET_TRY(Begin(io, out, Bound(), view.out, step.node));
    auto* params = static_cast<Bound::View*>(plan_.memory.Take(sizeof(Bound::View)));
    if (!params) return OutOfMemory("no memory for the plan");
    *params = view;
    step.run = CopyView;
    step.params = params;
    plan_.steps.push_back(step);
  }
  return Status();
}

Status PlanFollower::Add(const OpInstance& op, const NodeIo& io, int32_t index) {
  for (ValueId id : io.inputs) {
    if (id != kNoValue && !begun_[static_cast<size_t>(id)]) return Wrong(id, " is read before it is computed");
  }
  Step step;
  step.op = op.state();
  step.run = op.def().run;
  step.io = &io;
  step.node = index;
  InferContext types(plan_.facts.data(), io.inputs.data(), io.input_count, io.outputs.data(), static_cast<int>(io.outputs.size()));
  BindContext bind(types, &plan_.memory, threads_, stop_);
  if (op.def().bind) LINNET_TRY(op.def().bind(op.state(), bind));
  if (bind.out_of_memory()) return OutOfMemory("no memory for the plan");
  const Bound& bound = bind.bound();
  size_t wanted = 0, viewed = 0;
  for (ValueId id : io.outputs) wanted += id != kNoValue;
  LINNET_TRY(AddViews(op, io, bound, step, &viewed));
  if (viewed < wanted) {
    for (size_t o = 0; o < io.outputs.size(); ++o) {
      bool aliased = io.outputs[o] == kNoValue;
      for (const Bound::View& view : bound.aliases()) aliased = aliased || view.out == static_cast<int8_t>(o);
      if (!aliased) LINNET_TRY(Begin(io, io.outputs[o], bound, static_cast<int>(o), index));
    }
    int64_t scratch;
    if (!CheckedMul(bound.scratch_bytes, bound.workers, &scratch)) return LimitReached("scratch memory overflows");
    scratch_bytes_ = std::max(scratch_bytes_, scratch);
    step.params = bound.params;
    step.workers = bound.workers;
    step.scratch_bytes = bound.scratch_bytes;
    step.scratch_offset = scratch > 0 ? RoundUp(plan_.arena_bytes, static_cast<int64_t>(kAlignment)) : -1;
    plan_.steps.push_back(step);
    NoteOvers(plan_, io, bound);
  }
  for (ValueId id : io.inputs) EndDead(id, index);
  for (ValueId id : io.outputs) EndDead(id, index);
  return Status();
}

Status PlanFollower::End() {
  if (!CheckedAdd(RoundUp(plan_.arena_bytes, static_cast<int64_t>(kAlignment)), scratch_bytes_, &plan_.arena_bytes)) {
    return LimitReached("scratch memory overflows");
  }
  // Roots before their views.
  for (bool views : {false, true}) {
    for (size_t v = 0; v < plan_.places.size(); ++v) {
      const Place& place = plan_.places[v];
      if (place.kind == Place::kNone || (place.kind == Place::kAlias) != views) continue;
      const Place::Kind kind = views ? plan_.places[static_cast<size_t>(place.root)].kind : place.kind;
      (kind == Place::kInput || kind == Place::kOutput ? plan_.callers : plan_.fixed).push_back(static_cast<ValueId>(v));
    }
  }
  for (size_t i = 0; i < plan_.outputs.size(); ++i) {
    const ValueId id = plan_.outputs[i];
    if (!begun_[static_cast<size_t>(id)]) return Wrong(id, " is output ", i, " and is not computed");
    const Place &own = plan_.places[static_cast<size_t>(id)], &place = plan_.places[static_cast<size_t>(RootOf(id))];
    const bool in_place = place.kind == Place::kOutput && place.offset == static_cast<int64_t>(i);
    if (!in_place || (own.kind == Place::kAlias && own.offset != 0)) plan_.copies.push_back({id, static_cast<int32_t>(i)});
  }
  return Status();
}

}  // namespace linnet
