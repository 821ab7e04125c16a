// Plan: what happens for one set of input shapes. A flat list of bound steps and where every value lives.
//
//     facts[value]      type of every value (and contents of those known before the run)
//     places[value]     where its bytes are
//     steps[]           function pointer + prepared operator + bound parameters + value ids
//
// A plan ends when a step's output shapes depend on data ("boundary"): the plan that follows is asked for by the shapes
// that came out (PlanSource::Continue). It starts from a copy of the finished plan's facts and places.
// Immutable once made; reference counted because a cache, runs in flight and a planner's reuse list share it.
#pragma once

#include <stdint.h>

#include <atomic>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "graph/node.h"
#include "run/fact.h"

namespace linnet {

class RunContext;

/// Weights that a node reads from their packed form.
struct WeightSpan {
  const void* data;
  int64_t bytes;
};

/// The fixed facts of a node that a step needs: which values it reads and writes, and what to call it in messages.
/// Lists and texts are whoever's that prepared the node.
struct NodeIo {
  std::span<const ValueId> inputs;    ///< kNoValue for an omitted optional input; captures follow the inputs
  std::span<const ValueId> outputs;   ///< kNoValue for an output nobody asked for
  int32_t input_count = 0;            ///< without captures
  std::string_view label;             ///< "Conv 'layer1/conv'"
  std::string_view op;                ///< "Conv"
  /// The weights of all nodes in the order in which a run uses them, and how many of these are used once this node has run. Null
  /// where they stay in a core's caches from run to run.
  const std::vector<WeightSpan>* weights = nullptr;
  int32_t weights_used = 0;
};

/// Where a value's bytes are during a run.
struct Place {
  enum Kind : uint8_t {
    kNone,      ///< not computed (dead, or its plan comes later)
    kKnown,     ///< facts[value].data: a constant, or computed when the plan was made
    kArena,     ///< arena `segment` at `offset`
    kInput,     ///< the caller's input `offset`
    kOutput,    ///< the caller's output `offset`
    kHeap,      ///< heap slot `offset` of the run: strings, sequences, outputs whose size was unknown
    kAlias,     ///< `offset` bytes into the storage of value `root`
  };
  Kind kind = kNone;
  int32_t segment = 0;
  ValueId root = kNoValue;
  int64_t offset = 0;
};

struct Step {
  Status (*run)(const void* op, RunContext&) = nullptr;
  const void* op = nullptr;        ///< prepared operator
  const void* params = nullptr;    ///< what Bind chose
  const NodeIo* io = nullptr;
  int32_t node = 0;                ///< index into the model's prepared nodes
  int32_t workers = 1;             ///< most workers that may use scratch at once
  int64_t scratch_offset = -1;     ///< into this plan's arena; -1: none
  int64_t scratch_bytes = 0;       ///< per worker
  bool late = false;               ///< inferred and bound when it runs: PlanSource::RunLate
  bool heap_outputs = false;       ///< some output lives in the heap
};

/// Bump memory with stable addresses, kept when cleared.
class Bump {
 public:
  /// 64-byte aligned, uninitialised; null when memory ran out.
  void* Take(int64_t bytes);
  void Clear();

 private:
  std::vector<Block> chunks_;
  size_t chunk_ = 0;
  int64_t used_ = 0;
};

/// An output that no step writes in place: value `from` is copied to output `output` at the end.
struct Copy {
  ValueId from;
  int32_t output;
};

/// Step `step` may write `out`, the storage of an output, where `in`, an input, begins.
struct Over {
  ValueId in, out;
  int32_t step;
};

struct Plan;

/// A counted reference to a plan; the planner reuses plans that nobody refers to.
class PlanRef {
 public:
  PlanRef() = default;
  explicit PlanRef(Plan* plan);
  PlanRef(const PlanRef& other) : PlanRef(other.plan_) {}
  PlanRef(PlanRef&& other) noexcept : plan_(other.plan_) { other.plan_ = nullptr; }
  PlanRef& operator=(PlanRef other) noexcept {
    std::swap(plan_, other.plan_);
    return *this;
  }
  ~PlanRef();
  const Plan* operator->() const { return plan_; }
  const Plan& operator*() const { return *plan_; }
  Plan* get() const { return plan_; }
  explicit operator bool() const { return plan_ != nullptr; }

 private:
  Plan* plan_ = nullptr;
};

struct Plan {
  std::vector<Fact> facts;
  std::vector<Place> places;
  std::vector<Step> steps;
  // Values that got a place in this plan (not inherited), roots before their aliases: whose slots to fill.
  std::vector<ValueId> fixed;       ///< in the arena or known: stay valid from run to run
  std::vector<ValueId> callers;     ///< in a caller's memory: filled for every run
  std::vector<Copy> copies;
  std::vector<ValueId> outputs;     ///< the value of each output: a view of what a step writes there may name its type
  std::vector<std::pair<int32_t, int32_t>> heap_frees;  ///< (step index, heap slot) freed after that step; ascending
  std::vector<Over> overs;          ///< by step
  std::vector<int32_t> read_until;  ///< per input: the last step that reads its memory; -1: none, INT32_MAX: what follows the steps does
  std::vector<int32_t> written_from;///< per output: the first step that writes it; their count: a copy does, INT32_MAX: a later plan
  Bump memory;                      ///< parameters and contents known before the run
  PlanRef base;                     ///< the plan whose memory holds what this one has in common with it; may be null
  int64_t arena_bytes = 0;
  int32_t segment = 0;              ///< 0 for the plan of the inputs, +1 for each boundary before
  int32_t heap_slots = 0;           ///< heap slots used so far, earlier segments included
  size_t next_node = 0;             ///< where the following plan starts
  bool boundary = false;
  uint64_t serial = 0;              ///< unique within the process
  mutable std::atomic<int32_t> references{0};
};

inline PlanRef::PlanRef(Plan* plan) : plan_(plan) {
  if (plan_) plan_->references.fetch_add(1, std::memory_order_relaxed);
}
inline PlanRef::~PlanRef() {
  if (plan_ && plan_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete plan_;
}

/// Notes when the memory of inputs and outputs is read and written, for MayLieOver. The plan is whole but for `overs`' steps;
/// `needed_until`: per value the last node that reads its storage.
void NoteSharing(Plan& plan, size_t input_count, const std::vector<int32_t>& needed_until);
/// Whether an output may begin where an input does: nothing reads the input once the output is being written, unless the step that
/// writes it lets a cache grow in place. True as well where the plan does not write that output.
bool MayLieOver(const Plan& plan, int32_t output, int32_t input);

class RunState;
struct StopSource;

/// Where plans come from. compile/ implements it for a model and for each subgraph of it. Thread-safe.
class PlanSource {
 public:
  virtual ~PlanSource() = default;
  /// The plan for these inputs (captures follow the declared inputs). Input facts of tensors must be static. `stop` (may
  /// be null) ends the planning.
  virtual Result<PlanRef> Start(const Fact* inputs, int count, StopSource* stop) = 0;
  /// The plan after `done`, whose boundary outputs lie in `state`'s heap.
  virtual Result<PlanRef> Continue(const Plan& done, const RunState& state) = 0;
  /// Infers, binds and runs a late step with the contents its inputs have now.
  virtual Status RunLate(const Step& step, const Plan& plan, RunState& state) = 0;

  int input_count = 0;                ///< declared inputs, then captures
  std::vector<ValueId> inputs;        ///< their values
  std::vector<ValueId> outputs;
  std::vector<Type> output_types;     ///< as inferred without shapes
};

}  // namespace linnet
