// Planner: Model + what is known of its inputs → Plan. One walk over the nodes does everything:
//
//   for each node   nothing new?         its inputs are as in the template: take its types and its binding from there
//                   all contents known?  compute it now; it vanishes from the plan
//                   infer its outputs    a size still unknown → late step, and the plan ends behind it
//                   bind                 parameters, scratch, views, in-place
//                   place its outputs    caller's output · view · in place · arena · heap
//                   free what died       by the model's last uses
//
// The template is an earlier plan. When one sequence grows, most nodes see the shapes they saw before, and only where
// things are in memory is decided again. A plan that shares less than half with its template makes room for a new one.
#pragma once

#include "compile/arena.h"
#include "compile/model.h"

namespace linnet {

/// Works for one model, one plan at a time; keeps its buffers between plans so that planning allocates nothing once
/// they have grown.
class Planner {
 public:
  explicit Planner(const Model& model) : model_(model) {}
  /// Fills `plan` for these inputs; its places are those of constants and inputs.
  Status MakeFirst(const PlanRef& plan, const Fact* inputs, StopSource* stop);
  /// Fills the plan behind a boundary, whose facts and places are those it starts from, from node `first` on.
  Status MakeNext(Plan& plan, size_t first, StopSource* stop);

 private:
  /// How a node of the template came to what it is.
  enum class Made : uint8_t { kAnew, kFolded, kBound };

  Status Make(Plan& plan, size_t first);
  Status PlanNode(size_t index);
  /// True when the node's inputs are as in the template; then all that is known of its outputs is in the plan already.
  bool SameAsTemplate(const PreparedNode& node, size_t index) const;
  /// Computes a node whose inputs are known. Sets `*done` unless its outputs are too big or of unknown size.
  Status Fold(const PreparedNode& node, InferContext& infer, bool* done);
  Status PlaceOutputs(const PreparedNode& node, const Bound& bound, size_t index, Step& step);
  void PlaceOutput(ValueId id, size_t index);
  /// The contents are in the plan's facts.
  void PlaceKnown(ValueId id);
  bool TakeOver(const NodeIo& io, ValueId out, ValueId in, size_t index);
  /// Makes `out` a view of `in`; false when their memory cannot be shared.
  bool PlaceView(ValueId out, ValueId in, int64_t byte_offset);
  void FreeDead(const PreparedNode& node, size_t index);
  ValueId RootOf(ValueId id) const;
  int64_t BytesOf(ValueId id) const;
  void SortSlots();

  const Model& model_;
  Plan* plan_ = nullptr;
  StopSource* stop_ = nullptr;    ///< of the run that waits for the plan in the making
  ArenaLayout arena_;
  std::vector<int32_t> needed_until_;   ///< per storage root: last node that reads it or a view of it
  std::vector<int64_t> storage_bytes_;  ///< per storage root in this plan's arena: bytes taken; 0 when not owned
  std::vector<ValueId> made_;           ///< values placed by this plan, in order
  std::vector<int32_t> output_of_;      ///< per value: first graph output it is, or -1
  std::vector<void*> fold_slots_;       ///< per value: contents while folding

  PlanRef template_;                    ///< null until a plan was made
  std::vector<Made> template_made_;     ///< per node of the template
  std::vector<Bound> template_bound_;   ///< per node of the template, where kBound
  bool recording_ = false;              ///< the plan in the making becomes the template
  const Plan* basis_ = nullptr;         ///< the template, while a plan is made from it
  std::vector<char> changed_;           ///< per value: its fact is not the template's
  size_t reused_ = 0;                   ///< nodes of the plan in the making that are as in the template
};

}  // namespace linnet
