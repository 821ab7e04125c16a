// RunState: the memory of one run in flight, and the conditions under which it must stop.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "base/ahead.h"
#include "base/thread_pool.h"
#include "run/plan.h"

namespace linnet {

class Profiler;

/// What ends a run early. Checked between steps, and between chunks inside a step.
struct StopSource {
  std::atomic<bool> cancelled{false};
  int64_t deadline_ns = INT64_MAX;    ///< on the monotonic clock; INT64_MAX: none
  std::atomic<int64_t> steps_left{INT64_MAX};

  bool Asked() const;                 ///< cancelled or past the deadline
  Status Check() const;               ///< the same as a sentence
};

int64_t MonotonicNs();

/// What a run shares with everything it calls.
struct RunEnv {
  ThreadPool* pool = nullptr;
  int threads = 1;
  MemoryBudget* budget = nullptr;
  StopSource* stop = nullptr;
  Profiler* profiler = nullptr;
  int depth = 0;                      ///< of nested bodies
};

/// One output of a run. With `data` the caller owns the memory and the result must fit in `capacity` bytes; otherwise
/// the run makes `datum`. `type` is what came out.
struct RunOutput {
  void* data = nullptr;
  int64_t capacity = 0;
  Type type;
  Datum datum;
  bool wanted = true;
  bool over_input = false;            ///< `data` is also where an input lies: refused unless the plan allows it
};

/// Grows to what its plans need and is used again by later runs. Not thread-safe: one run at a time borrows it.
class RunState {
 public:
  /// Runs `source` on inputs (declared, then captures): types and bytes of tensors, `const Datum*` of other kinds.
  /// Inputs' memory may not overlap outputs' but where RunOutput::over_input says so. On failure the state stays usable.
  Status Run(PlanSource& source, const RunEnv& env, const Fact* inputs, int input_count, RunOutput* outputs,
             int output_count);

  void* slot(ValueId id) const { return slots_[static_cast<size_t>(id)]; }
  Datum& heap(int64_t index) const { return *heap_[static_cast<size_t>(index)]; }
  const RunEnv& env() const { return env_; }
  void* const* slots() const { return slots_.data(); }
  Datum* const* heap_table() const { return heap_table_.data(); }
  /// The state of a body that a step of this run calls: made at first use, kept for the next.
  RunState& child(const void* key);
  int64_t arena_bytes() const;
  /// Allocates (tensors of static shape) or resets the heap outputs of a step, before it runs.
  Status PrepareHeap(const Step& step, const Fact* facts, const Plan& plan);
  /// Points the heap outputs of a step at what it left there, after it ran.
  void PublishHeap(const Step& step, const Plan& plan);
  /// Memory of the late step that runs now: what Bind asks for, and scratch.
  Bump& late_memory() { return late_memory_; }
  Result<std::byte*> LateScratch(int64_t bytes);
  std::vector<Fact>& late_facts() { return late_facts_; }
  /// By value: whether several threads shared the loop that last wrote or read it.
  uint8_t* spread() { return spread_.data(); }
  /// The next weights of the steps behind this one, up to so many bytes, that no step of the run has asked for.
  Ahead NextWeights(const NodeIo& io, int64_t bytes);

 private:
  Status RunPlans(PlanSource& source, RunOutput* outputs, int output_count);
  /// An output that begins where an input does.
  Status CheckOverInput(const Plan& plan, int output, const void* data) const;
  Status Enter(const Plan& plan, RunOutput* outputs);
  Status Execute(PlanSource& source, const Plan& plan);
  Status Finish(const Plan& plan, PlanSource& source, RunOutput* outputs, int output_count);

  RunEnv env_;
  std::vector<void*> slots_;
  std::vector<uint8_t> spread_;
  std::vector<Block> arenas_;          ///< by segment
  std::vector<std::unique_ptr<Datum>> heap_;
  std::vector<Datum*> heap_table_;     ///< the same, as operators see it
  std::vector<PlanRef> chain_;         ///< plans of this run, by segment
  std::vector<uint64_t> filled_;       ///< by segment: serial of the plan whose fixed slots are in slots_
  std::vector<std::pair<const void*, std::unique_ptr<RunState>>> children_;
  Block late_scratch_;
  Bump late_memory_;
  std::vector<Fact> late_facts_;
  const Fact* inputs_ = nullptr;
  int input_count_ = 0;
  int32_t asked_spans_ = 0;            ///< weights that have been asked for or used,
  int64_t asked_bytes_ = 0;            ///< and bytes of those that follow
};

/// Spans of time for a Chrome trace and the per-operator table. Not thread-safe: one run at a time.
class Profiler {
 public:
  struct Span {
    const NodeIo* io;
    int64_t begin_ns, end_ns;
    int32_t depth;
  };
  void Add(const NodeIo* io, int64_t begin_ns, int64_t end_ns, int depth) {
    spans.push_back({io, begin_ns, end_ns, depth});
  }
  std::vector<Span> spans;
};

}  // namespace linnet
