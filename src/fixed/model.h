// FixedModel: a model that runs with the input shapes its file has plans for, and no others. What is small about it: the graph stays
// in the file, node by node is prepared and bound when the file is opened, and nothing infers, plans or rewrites.
//
// Only a file that the program brings itself, as made by `linnet convert`, is safe here: the checksum of its head finds damage, and
// what the head says is then taken at its word.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "base/mutex.h"
#include "ops/registry.h"
#include "run/plan.h"

namespace linnet {

class FixedModel {
 public:
  FixedModel() = default;
  ~FixedModel();
  FixedModel(const FixedModel&) = delete;
  FixedModel& operator=(const FixedModel&) = delete;

  /// Once. `file` is 64-byte aligned and stays where it is. `threads`: most of one run; 0: all processors.
  Status Open(std::string_view file, int threads);

  int input_count() const { return static_cast<int>(inputs_.size()); }
  int output_count() const { return static_cast<int>(outputs_.size()); }
  /// The file's table Port of an input or output.
  const void* port(int index, bool output) const;
  /// The name of a symbol that a port's shape has.
  std::string_view symbol(int64_t dim) const;

  struct PlanStep;
  /// Types of all values for one set of input shapes, where they lie, and the steps of a run.
  struct Plan {
    const Plan* next;       ///< another plan of the file
    Fact* facts;
    Place* places;
    PlanStep* steps;
    int64_t arena_bytes;    ///< of values, then scratch
  };
  /// The plan for inputs of these types, or a sentence that says for which there are plans.
  Result<const Plan*> PlanFor(const Fact* inputs) const;
  const Type& OutputType(const Plan& plan, int index) const { return plan.facts[outputs_[static_cast<size_t>(index)]].type; }

  /// Any number of threads may run one model at once. `outputs`: where each output goes; null: nowhere.
  Status Run(const Plan& plan, const Fact* inputs, void* const* outputs);

 private:
  struct Weights;
  class Prepare;
  struct Prepared;
  /// The memory of a run, kept for the next.
  struct State {
    State* next = nullptr;
    Block memory;   ///< slots, values, scratch, and outputs that nobody asked for
  };
  template <class T>
  Status Take(size_t count, T** out);
  void ReadFact(const void* value, Fact* fact) const;
  Status ReadNodes(const void* graph);
  Status PrepareNodes();
  Status PrepareNode(Prepared& node, Weights& weights, int64_t key);
  Status AddPlan(const void* stored, Plan* plan);
  Status AddSteps(Prepared& node, Plan* plan, PlanStep*** last, int64_t* scratch_bytes);
  Status Execute(const Plan& plan, const Fact* inputs, void* const* outputs, State& state) const;

  std::string_view file_;
  const void* head_ = nullptr;
  const void* values_ = nullptr;      ///< of the file's graph
  int threads_ = 1;
  size_t value_count_ = 0;
  int32_t node_count_ = 0;
  Fact* facts_ = nullptr;             ///< by value: declared types, contents of constants
  Prepared* nodes_ = nullptr;
  std::span<const ValueId> inputs_, outputs_;
  Plan* plans_ = nullptr;
  Bump memory_;                       ///< of all these
  Mutex mutex_;
  State* idle_ = nullptr;             ///< of runs that have ended
};

}  // namespace linnet
