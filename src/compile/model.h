// Model: a graph prepared once for this machine. Immutable after Make, shared by all threads; the source of its plans.
//
// For every live node: the operator with parsed attributes, chosen kernels and packed weights, and which values it reads
// and writes. Nothing here depends on input shapes. Subgraphs are Models of their own, owned by this one.
#pragma once

#include <memory>
#include <vector>

#include "base/mutex.h"
#include "graph/graph.h"
#include "ops/registry.h"
#include "run/plan.h"
#include "run/provider.h"
#include "run/stored_plan.h"

namespace linnet {

struct CompileOptions {
  const OpTable* table = nullptr;          ///< outlives the model
  CpuLevel cpu = CpuLevel::kSse4;
  int threads = 1;
  ThreadPool* pool = nullptr;              ///< for packing weights; null: the process's
  MemoryBudget* budget = nullptr;          ///< may be null; outlives the model
  std::vector<Provider*> providers;        ///< asked in order before the operator table; outlive the model
  WeightStore* weights = nullptr;          ///< outlives the model; null: the model owns one
  int32_t* models_made = nullptr;          ///< counts a model and its bodies, to tell their weights apart; set by Make
  int plan_cache_capacity = 64;
};

struct PreparedNode {
  OpInstance op;
  std::unique_ptr<ProviderKernel> kernel;  ///< set when a provider runs the node
  NodeIo io;                               ///< looks at the four that follow
  std::vector<ValueId> inputs, outputs;
  std::string label, name;
  std::vector<WeightSpan> weights;         ///< packed
  bool foldable = false;                   ///< may be computed while a plan is made when its inputs are known
  bool shape_only = false;
};

class Model : public PlanSource {
 public:
  /// Takes the graph (verified and with types inferred). Nodes nobody needs are left out.
  static Result<std::unique_ptr<Model>> Make(std::shared_ptr<Graph> graph, const CompileOptions& options);
  ~Model() override;

  Result<PlanRef> Start(const Fact* inputs, int count, StopSource* stop) override;
  Result<PlanRef> Continue(const Plan& done, const RunState& state) override;
  Status RunLate(const Step& step, const Plan& plan, RunState& state) override;

  /// A plan for inputs of these types as a prepared file keeps it. Fails, naming the node, where a run decides more than addresses:
  /// sizes that depend on contents, bodies of control flow, strings, sequences, nodes that a provider runs.
  Result<StoredPlan> MakeStored(const Fact* inputs, int count) const;
  /// Makes a plan of a prepared file one of this model's. Fails unless it follows from the graph; what it says of types is
  /// inferred again where the graph alone does not say it.
  Status Adopt(const StoredPlan& stored);

  const Graph& graph() const { return *graph_; }
  const std::vector<PreparedNode>& nodes() const { return nodes_; }
  /// Index into nodes() after which a value is not read again; INT32_MAX for graph outputs, -1 when never read.
  const std::vector<int32_t>& last_use() const { return last_use_; }
  const std::vector<Fact>& base_facts() const { return base_facts_; }
  const CompileOptions& options() const { return options_; }
  int64_t weight_bytes() const;
  int64_t plans_made() const { return plans_made_; }
  int64_t planning_ns() const { return planning_ns_; }   ///< spent making plans: infer, bind, lay out

 private:
  friend class Planner;
  class Prepare;
  struct CacheEntry {
    uint64_t parent = 0;                   ///< serial of the plan before; 0 for Start
    uint64_t hash = 0;
    uint64_t used = 0;
    std::vector<Type> key;
    PlanRef plan;
  };

  Model() = default;
  Status Build();
  Status AlignConstants(bool packed);
  Status PrepareAll(const std::vector<NodeId>& order, size_t* failed);
  Status MakeNode(NodeId id);
  Status PrepareNodes(const std::vector<NodeId>& order, size_t begin, size_t end, size_t* failed);
  Status PrepareNode(NodeId id, size_t index);
  void OrderWeights();
  Status StandIn(std::vector<std::pair<void*, size_t>>* zeros);
  Result<PlanRef> Follow(const StoredPlan& stored) const;
  Result<PlanRef> Lookup(uint64_t parent, const Plan* done, const Type* const* key, size_t key_size, const Fact* inputs,
                         StopSource* stop);

  std::shared_ptr<Graph> graph_;
  CompileOptions options_;
  std::unique_ptr<WeightStore> own_weights_;
  std::vector<PreparedNode> nodes_;
  std::vector<WeightSpan> weight_order_;   ///< of all nodes; NodeIo points here
  std::vector<int32_t> last_use_;
  std::vector<Fact> base_facts_;
  std::vector<int32_t> drops_;             ///< per value: readers that no longer need its contents
  Mutex drop_mutex_;                       ///< while nodes are prepared: dropping
  int64_t number_ = 0;                     ///< among the models of one Make: 0 is the root
  std::vector<std::unique_ptr<Model>> bodies_;

  /// A forked child lets go of what another thread was changing.
  void Abandon();
  Mutex mutex_{[](void* self) { static_cast<Model*>(self)->Abandon(); }, this};
  std::vector<CacheEntry> cache_;
  std::unique_ptr<class Planner> planner_;
  uint64_t clock_ = 0;
  int64_t plans_made_ = 0;
  int64_t planning_ns_ = 0;
};

}  // namespace linnet
