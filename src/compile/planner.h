// Planner: Model + what is known of its inputs → Plan. One walk over the nodes does everything:
//
//   for each node   nothing new?         its inputs are as in the template: take its types and its binding from there
//                   all contents known?  compute it now; it vanishes from the plan
//                   infer its outputs    a size still unknown → late step, and the plan ends behind it
//                   bind                 parameters, scratch, views, in-place
//                   place its outputs    caller's output · view · in place · arena · heap
//                   free what died       by the model's last uses
//
// The template is an earlier plan. When one sequence grows, most nodes see the shapes they saw before. Where all values
// still fit into the places they have in the template, its steps and places are taken as they are and only nodes that
// read something changed are looked at (planner_refit.cc); for that, what was seen to grow in small steps gets room to
// spare when the next template is made. Otherwise nodes as in the template keep their types and bindings, and where
// things are in memory is decided again. A plan that shares less than half with its template makes room for a new one.
#pragma once

#include "compile/arena.h"
#include "compile/model.h"

namespace linnet {

/// Works for one model, one plan at a time; keeps its buffers between plans so that planning allocates nothing once
/// they have grown.
class Planner {
 public:
  explicit Planner(const Model& model);
  /// Plans made from now on have values alone in their arena: for prepared files, whose scratch memory depends on who opens them.
  void KeepScratchApart() { scratch_apart_ = true; }
  /// Fills `plan` for these inputs.
  Status MakeFirst(const PlanRef& plan, const Fact* inputs, StopSource* stop);
  /// Fills the plan behind a boundary, whose facts and places are those it starts from, from node `first` on.
  Status MakeNext(Plan& plan, size_t first, StopSource* stop);

 private:
  /// How a node of the template came to what it is.
  enum class Made : uint8_t { kAnew, kFolded, kBound };

  /// Facts and places to start from, with the inputs' types; marks those that are not as in the basis.
  void TakeInputs(Plan& plan, const Fact* inputs);
  /// Fills `plan`, whose facts hold the inputs, from the template. Not done when the template does not fit; `*grew` then
  /// says that all there is against it is room.
  Result<bool> Refit(Plan& plan, bool* grew);
  enum class Fits : uint8_t { kYes, kOutgrown, kNo };
  Result<Fits> RefitNode(Plan& plan, size_t index);
  /// Whether a node's outputs may stay where the template has them.
  Fits FitOutputs(const PreparedNode& node, size_t index, const Bound& bound);
  /// If the value is not as in the basis: has its readers looked at, and remembers if it grew a little.
  void SpreadFrom(ValueId id);
  /// Bytes to set aside where `bytes` are needed now.
  static int64_t RoomFor(bool varies, int64_t bytes);
  /// Infers a node's outputs and marks those that are not as in the basis. `*known`: all its inputs' contents are.
  Status InferNode(const PreparedNode& node, InferContext& infer, bool* known);

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
  void Lay();
  ValueId RootOf(ValueId id) const;
  int64_t BytesOf(ValueId id) const;
  void SortSlots();

  const Model& model_;
  Plan* plan_ = nullptr;
  StopSource* stop_ = nullptr;    ///< of the run that waits for the plan in the making
  ArenaLayout arena_;
  std::vector<int32_t> needed_until_;   ///< per storage root: last node that reads it or a view of it
  std::vector<int64_t> storage_bytes_;  ///< per storage root in this plan's arena: its bytes plus 1; 0 when not owned
  std::vector<int64_t> room_;           ///< per storage root that has been in the arena: bytes set aside
  std::vector<ValueId> made_;           ///< values placed by this plan, in order
  std::vector<int32_t> output_of_;      ///< per value: first graph output it is, or -1
  std::vector<void*> fold_slots_;       ///< per value: contents while folding

  /// A plan and how it came to be.
  struct Template {
    PlanRef plan;                       ///< null until a plan was made
    std::vector<Made> made;             ///< per node
    std::vector<Bound> bound;           ///< per node, where kBound
    std::vector<int32_t> first_step;    ///< per node, one more at the end
    std::vector<int64_t> scratch_room;  ///< per node: bytes set aside
    std::vector<int64_t> room;          ///< per value in the arena: bytes set aside
    bool whole = false;                 ///< every node folded or bound, and no boundary
  };
  Template template_;
  bool scratch_apart_ = false;
  bool recording_ = false;              ///< the plan in the making becomes the template
  const Plan* basis_ = nullptr;         ///< the template's plan, while a plan is made from it
  std::vector<char> changed_;           ///< per value: its fact is not the template's
  size_t reused_ = 0;                   ///< nodes of the plan in the making that are as in the template
  std::vector<Place> first_places_;     ///< of constants and inputs
  std::vector<char> varies_;            ///< per value: has been seen to grow in small steps
  std::vector<int32_t> reader_begin_, readers_;   ///< value v is read by the nodes readers_[reader_begin_[v] .. reader_begin_[v + 1])
  std::vector<uint64_t> pending_;       ///< a bit per node that a refit has to look at
  int64_t fitted_bytes_ = 0, fitted_room_ = 0;    ///< of the arena values that a refit has looked at
};

}  // namespace linnet
