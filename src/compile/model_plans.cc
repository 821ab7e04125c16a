// Plans of a model on their way into a prepared file and out of it.
#include <algorithm>

#include "compile/model.h"
#include "compile/planner.h"
#include "compile/stored_plan.h"
#include "run/context.h"

namespace linnet {

Result<StoredPlan> Model::MakeStored(const Fact* facts, int count) const {
  if (count != static_cast<int>(inputs.size())) return Internal("a plan got ", count, " inputs of ", inputs.size());
  for (const PreparedNode& node : nodes_) {
    if (node.kernel || !bodies_.empty()) return Unsupported("a plan of a model with bodies or providers is not kept");
  }
  PlanRef ref(new Plan());
  Planner planner(*this);
  planner.KeepScratchApart();
  LINNET_TRY(planner.MakeFirst(ref, facts, nullptr));
  const Plan& plan = *ref;
  for (const Step& step : plan.steps) {
    if (step.late) return Unsupported("sizes depend on contents").At(step.io->label);
    if (step.heap_outputs) return Unsupported("strings and sequences have no place in a plan").At(step.io->label);
  }
  // Contents that only nodes read which are computed already are not needed.
  auto known = [&](ValueId id) { return id == kNoValue || plan.places[static_cast<size_t>(id)].kind == Place::kKnown; };
  std::vector<char> read(plan.facts.size(), 0);
  for (const PreparedNode& node : nodes_) {
    if (std::all_of(node.io.outputs.begin(), node.io.outputs.end(), known)) continue;
    for (ValueId id : node.io.inputs) {
      if (id != kNoValue) read[static_cast<size_t>(id)] = 1;
    }
  }
  for (ValueId id : outputs) read[static_cast<size_t>(id)] = 1;
  StoredPlan stored;
  stored.facts.resize(plan.facts.size());
  stored.places.resize(plan.facts.size());
  stored.arena_bytes = plan.arena_bytes;
  for (size_t v = 0; v < plan.facts.size(); ++v) {
    const Place& place = plan.places[v];
    if (graph_->value(static_cast<ValueId>(v)).is_constant || place.kind == Place::kNone) continue;
    const Type& type = plan.facts[v].type;
    if (!type.is_tensor() || type.dtype == DType::kString) return Unsupported("a plan of values that are no tensors of numbers is not kept");
    if (place.kind == Place::kKnown && !read[v]) continue;
    stored.places[v] = place;
    stored.facts[v].type = type;
    if (place.kind == Place::kKnown) stored.facts[v].data = plan.facts[v].data;
  }
  stored.made_from = std::move(ref);
  return stored;
}

Result<PlanRef> Model::Follow(const StoredPlan& stored) const {
  PlanRef ref(new Plan());
  Plan& plan = *ref.get();
  plan.facts = base_facts_;
  plan.places.resize(plan.facts.size());
  for (size_t v = 0; v < plan.facts.size(); ++v) {
    const Value& value = graph_->value(static_cast<ValueId>(v));
    if (value.is_constant) plan.places[v].kind = Place::kKnown;
    if (!value.is_constant) plan.facts[v] = Fact();
  }
  PlanFollower follower(plan, last_use_, options_.threads, nullptr);
  LINNET_TRY(follower.Begin(stored, inputs, outputs));
  for (ValueId id : inputs) {
    const Type &declared = base_facts_[static_cast<size_t>(id)].type, &given = plan.facts[static_cast<size_t>(id)].type;
    if (declared.kind != Kind::kUnknown && (!declared.is_tensor() || (declared.dtype != DType::kUndefined && declared.dtype != given.dtype))) {
      return InvalidModel("a plan is for an input ", ToString(given), " which is declared ", ToString(declared));
    }
  }
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const PreparedNode& node = nodes_[i];
    const NodeIo& io = node.io;
    if (node.kernel) return Unsupported("a plan of nodes that a provider runs");
    if (follower.Skip(io, static_cast<int32_t>(i))) continue;
    // Kernels write as much as the types say: these must follow from the inputs.
    InferContext types(plan.facts.data(), io.inputs.data(), io.input_count, io.outputs.data(), static_cast<int>(io.outputs.size()));
    bool said = true;
    for (ValueId id : io.outputs) {
      if (id == kNoValue) continue;
      const Type &base = base_facts_[static_cast<size_t>(id)].type, &claimed = plan.facts[static_cast<size_t>(id)].type;
      said = said && base.is_tensor() && base.shape.is_static() && base == claimed;
    }
    for (ValueId id : io.outputs) {
      if (id != kNoValue && !said) plan.facts[static_cast<size_t>(id)] = {base_facts_[static_cast<size_t>(id)].type, nullptr};
    }
    Status status = said ? Status() : InferTypes(node.op, types);
    for (ValueId id : io.outputs) {
      if (!status.ok() || id == kNoValue) continue;
      const Fact& claimed = stored.facts[static_cast<size_t>(id)];
      if (!(claimed.type == plan.facts[static_cast<size_t>(id)].type)) {
        status = InvalidModel("a plan has value ", id, " as ", ToString(claimed.type), "; it is ", ToString(plan.facts[static_cast<size_t>(id)].type));
      }
      plan.facts[static_cast<size_t>(id)].data = claimed.data;
    }
    if (status.ok()) status = follower.Add(node.op, io, static_cast<int32_t>(i));
    if (!status.ok()) return std::move(status).At(io.label);
  }
  LINNET_TRY(follower.End());
  plan.next_node = nodes_.size();
  NoteSharing(plan, inputs.size(), last_use_);
  return ref;
}

}  // namespace linnet
