// FixedModel: a model that runs with the input shapes its file has plans for, and no others. What is small about it: the graph stays
// in the file, node by node is prepared and bound when the file is opened, and nothing infers, plans or rewrites.
//
// Types in the file are taken at their word: only a file that the program brings itself, as made by `linnet convert`, is safe here.
// What does not depend on types is checked as everywhere: structure, places in memory, sizes of weights.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "linnet_generated.h"
#include "ops/registry.h"
#include "run/plan.h"

namespace linnet {

class FixedModel {
 public:
  /// `file` is 64-byte aligned and stays alive through `owner`. `threads`: most of one run; 0: all processors.
  static Result<std::unique_ptr<FixedModel>> Open(std::string_view file, std::shared_ptr<const void> owner, int threads);
  ~FixedModel();

  const fbs::Model& head() const { return *head_; }
  /// The declared type of an input or output.
  Result<Type> PortType(const fbs::Port& port) const;
  /// The plan for inputs of these types, or a sentence that says for which there are plans.
  Result<const Plan*> Find(const Fact* inputs) const;

  /// Where one output goes; null: nowhere.
  struct Output {
    void* data = nullptr;
    const Type* type = nullptr;
    int64_t bytes = 0;      ///< that it has, and needs where it goes
  };
  /// The outputs of a plan: types and sizes.
  std::vector<Output> OutputsOf(const Plan& plan) const;
  /// Any number of threads may run one model at once. `outputs`: of OutputsOf, with memory.
  Status Run(const Plan& plan, const Fact* inputs, const std::vector<Output>& outputs);

 private:
  struct Step;
  struct State;
  class Weights;
  class Prepare;
  FixedModel();
  Status Read(std::string_view file, std::shared_ptr<const void> owner);
  Status ReadValues(std::string_view file, std::vector<ValueId>* packed);
  Status ReadNodes(std::string_view file);
  Status PrepareNode(const fbs::Node& node, class FileValues& values, Weights& weights, int64_t key);
  Status Follow(const struct StoredPlan& stored);
  Status Execute(const Plan& plan, const Fact* inputs, const std::vector<Output>& outputs, State& state) const;

  std::shared_ptr<const void> owner_;
  const fbs::Model* head_ = nullptr;
  int threads_ = 1;
  std::vector<OpDef> defs_;                    ///< of the build
  std::vector<Fact> facts_;                    ///< by value: declared types, contents of constants
  std::vector<int32_t> last_use_;
  std::vector<ValueId> inputs_, outputs_;
  std::vector<Step> steps_;                    ///< nodes, prepared
  std::vector<std::unique_ptr<Plan>> plans_;
  Mutex mutex_;
  std::unique_ptr<State> idle_;                ///< memory of runs that have ended
};

}  // namespace linnet
