// Planner: Model + what is known of its inputs → Plan. One walk over the nodes does everything:
//
//   for each node   all contents known?  compute it now; it vanishes from the plan
//                   infer its outputs    a size still unknown → late step, and the plan ends behind it
//                   bind                 parameters, scratch, views, in-place
//                   place its outputs    caller's output · view · in place · arena · heap
//                   free what died       by the model's last uses
#pragma once

#include "compile/arena.h"
#include "compile/model.h"

namespace linnet {

/// Works for one model, one plan at a time; keeps its buffers between plans so that planning allocates nothing once
/// they have grown.
class Planner {
 public:
  explicit Planner(const Model& model) : model_(model) {}
  /// Fills `plan`, whose facts and places are those the plan starts from, from node `first` on.
  Status Make(Plan& plan, size_t first);

 private:
  Status PlanNode(size_t index);
  /// Computes a node whose inputs are known. Sets `*done` unless its outputs are too big or of unknown size.
  Status Fold(const PreparedNode& node, InferContext& infer, bool* done);
  Status PlaceOutputs(const PreparedNode& node, const BindContext& bind, size_t index, Step& step);
  void PlaceOutput(ValueId id, size_t index);
  bool TakeOver(const NodeIo& io, ValueId out, ValueId in, size_t index);
  /// Makes `out` a view of `in`; false when their memory cannot be shared.
  bool PlaceView(ValueId out, ValueId in, int64_t byte_offset);
  void FreeDead(const PreparedNode& node, size_t index);
  ValueId RootOf(ValueId id) const;
  int64_t BytesOf(ValueId id) const;
  void SortSlots();

  const Model& model_;
  Plan* plan_ = nullptr;
  ArenaLayout arena_;
  std::vector<int32_t> needed_until_;   ///< per storage root: last node that reads it or a view of it
  std::vector<int64_t> storage_bytes_;  ///< per storage root in this plan's arena: bytes taken; 0 when not owned
  std::vector<ValueId> made_;           ///< values placed by this plan, in order
  std::vector<int32_t> output_of_;      ///< per value: first graph output it is, or -1
  std::vector<void*> fold_slots_;       ///< per value: contents while folding
};

}  // namespace linnet
