// Following a plan from a prepared file: its places are checked, kernels are bound, and what comes out is a plan like any other.
//
// The file says where values are; this says that they may be there. Every place lies inside its memory, a view inside what it is a
// view of, an output is written once, and no two values that live at the same time share bytes, except where the operator works in
// place. Scratch memory is one region behind the values, as big as the step that needs most.
#pragma once

#include <vector>

#include "ops/registry.h"
#include "run/stored_plan.h"

namespace linnet {

/// Notes where the last step, of a node that is bound so, may write an output over an input. Its inputs have their places.
void NoteOvers(Plan& plan, const NodeIo& io, const Bound& bound);

class PlanFollower {
 public:
  /// `plan` has the facts and places of the graph's constants, its inputs and `stored`, and is given steps. `last_use`: per value the
  /// last node that reads it, INT32_MAX for outputs. `inputs` and `outputs`: the values of the graph's.
  PlanFollower(Plan& plan, const std::vector<int32_t>& last_use, int threads, StopSource* stop)
      : plan_(plan), last_use_(last_use), threads_(threads), stop_(stop) {}

  /// Puts what is stored over what the graph says. Fails where the two disagree, or a place lies outside of its memory.
  Status Begin(const StoredPlan& stored, const std::vector<ValueId>& inputs, const std::vector<ValueId>& outputs);
  /// True when all that the node computes is in the file, so that no step is left of it; it counts as one that was added.
  bool Skip(const NodeIo& io, int32_t index);
  /// Nodes in order. Types of outputs are those stored: whoever doubts them has inferred them.
  Status Add(const OpInstance& op, const NodeIo& io, int32_t index);
  Status End();

 private:
  struct Live {
    int64_t begin, end;
    ValueId root;
  };
  Status CheckPlace(ValueId id, const Fact& fact, const Place& place) const;
  Status AddViews(const OpInstance& op, const NodeIo& io, const Bound& bound, Step step, size_t* viewed);
  /// The storage of `id` begins to live; at node `index` it may lie on that of an input that dies there, if `bound` says so.
  Status Begin(const NodeIo& io, ValueId id, const Bound& bound, int output, int32_t index);
  bool MayTakeOver(const NodeIo& io, ValueId id, ValueId root, const Bound& bound, int output, int32_t index) const;
  void EndDead(ValueId id, int32_t index);
  ValueId RootOf(ValueId id) const {
    const Place& place = plan_.places[static_cast<size_t>(id)];
    return place.kind == Place::kAlias ? place.root : id;
  }
  int64_t BytesOf(ValueId id) const;

  Plan& plan_;
  const std::vector<int32_t>& last_use_;
  int threads_;
  StopSource* stop_;
  std::vector<int32_t> needed_until_;   ///< per storage root: last node that reads it or a view of it
  std::vector<Live> live_;              ///< sorted by place
  std::vector<char> begun_;             ///< per value: a step has computed it
  int64_t scratch_bytes_ = 0;
};

}  // namespace linnet
