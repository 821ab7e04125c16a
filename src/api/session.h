// Session: a model ready to run. The C API and the command are thin layers over it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "compile/model.h"
#include "graph/graph.h"
#include "passes/pass.h"
#include "run/state.h"

namespace linnet {

struct SessionOptions {
  int threads = 0;                          ///< most threads one run uses, the caller included; 0: all processors
  ThreadPool* pool = nullptr;               ///< null: the process's shared pool
  int64_t memory_limit_bytes = INT64_MAX;   ///< for everything the session allocates in large blocks
  int64_t time_limit_ns = INT64_MAX;        ///< per run
  int64_t step_limit = INT64_MAX;           ///< node executions per run, bodies included
  std::string cpu;                          ///< a CPU level's name; empty: LINNET_CPU or the best here
  std::string provider;                     ///< "" or "cpu", or "reference"
  std::string precision;                    ///< "f32", "bf16", "fp16" or "half" (api/precision.h); empty: f32, or what a .linnet file has
  std::string external_data_folder;         ///< for models from memory; empty: none allowed
  std::string cache_folder;                 ///< keeps prepared forms of .onnx files (api/model_cache.h); empty: none
  bool untrusted = false;                   ///< read instead of map; strict limits
  bool read = false;                        ///< read instead of map
  bool verify = false;                      ///< check the sum of all of a .linnet file; other files have none and are refused
  PipelineOptions pipeline;
  const OpTable* table = nullptr;           ///< with custom operators; null: the built-in table
  bool names = true;                        ///< of values and nodes are written into prepared files (format/linnet_file.h)
  WeightStore* weights = nullptr;           ///< receives packed weights, for writing a prepared file; null: kept inside

  FileAccess access() const { return read || untrusted ? FileAccess::kRead : FileAccess::kMap; }
};

/// Why SessionOptions::verify fails for other files than .linnet.
Status NothingToVerify();

/// What a caller sees of an input or output.
struct PortInfo {
  std::string name;
  Type type;                 ///< symbols are in Session::symbols()
  bool has_default = false;  ///< inputs: may be left out
};

struct RunOptions {
  StopSource* stop = nullptr;      ///< to cancel from another thread; its limits are set from the session's
  Profiler* profiler = nullptr;
};

/// Outputs may outlive their session and give their bytes back later: a budget goes when all are back.
struct RetireBudget {
  void operator()(MemoryBudget* budget) const;
};

class Session {
 public:
  static Result<std::unique_ptr<Session>> Open(const std::string& path, const SessionOptions& options);
  /// A .onnx or .linnet model. `bytes` are copied unless `owner` keeps them alive.
  static Result<std::unique_ptr<Session>> FromMemory(const void* bytes, size_t size, std::shared_ptr<const void> owner,
                                                     const SessionOptions& options);
  ~Session();

  const std::vector<PortInfo>& inputs() const { return inputs_; }
  const std::vector<PortInfo>& outputs() const { return outputs_; }
  const ModelInfo& info() const { return info_; }
  const SymbolTable& symbols() const { return *symbols_; }
  int FindInput(std::string_view name) const;    ///< -1 when there is none
  int FindOutput(std::string_view name) const;

  /// Runs. `inputs[i]` belongs to inputs()[i]; one with kind kUnknown is left out (inputs with a default only).
  /// `outputs` has one entry for each of outputs(). Any number of threads may run one session at once.
  Status Run(const Fact* inputs, RunOutput* outputs, const RunOptions& options = {});

  /// Bytes of activations for these input types (plans are made, nothing runs). Data-dependent parts are not counted;
  /// `partial`, when not null, says whether there are such: bodies of control flow and what follows from contents.
  Result<int64_t> PlanArenaBytes(const std::vector<Type>& inputs, bool* partial = nullptr);

  /// The plan for these input types, as a run with them makes or finds it.
  Result<PlanRef> PlanFor(const std::vector<Type>& inputs);

  MemoryBudget& budget() { return *budget_; }
  const Model& model() const { return *model_; }
  int threads() const { return threads_; }
  Precision precision() const { return precision_; }
  int64_t arena_bytes();                         ///< held by idle run states

 private:
  Session();
  static Result<std::unique_ptr<Session>> OpenFile(const std::string& path, const SessionOptions& options);
  static Result<std::unique_ptr<Session>> OpenBytes(const void* bytes, size_t size, std::shared_ptr<const void> owner,
                                                    const SessionOptions& options);
  Status RunUnguarded(const Fact* inputs, RunOutput* outputs, const RunOptions& options);
  Result<int64_t> PlanBytes(const std::vector<Type>& types, bool* partial);
  Status Configure(const SessionOptions& options);
  void StartWorkers(const Graph& graph) const;
  Status PrepareOnnx(OnnxModel onnx);
  Status PrepareLinnet(std::string_view bytes, std::shared_ptr<const void> owner);
  Status CheckInput(size_t index, const Fact& fact, int64_t* symbol_values) const;
  Result<Model*> ModelFor(const Fact* inputs);
  /// Passes and preparation for a graph in which only the inputs marked in `fed` are fed.
  Result<std::unique_ptr<Model>> Build(Graph graph, const std::vector<char>& fed);
  Result<std::unique_ptr<Model>> Compile(Graph graph, std::span<const StoredPlan> plans = {});
  std::unique_ptr<RunState> TakeState(const Model* model);
  void GiveState(const Model* model, std::unique_ptr<RunState> state);

  SessionOptions options_;
  int threads_ = 1;
  CpuLevel cpu_ = CpuLevel::kSse4;
  Precision precision_ = Precision::kFloat32;
  std::unique_ptr<MemoryBudget, RetireBudget> budget_;
  std::vector<std::unique_ptr<Provider>> providers_;
  std::shared_ptr<SymbolTable> symbols_;
  ModelInfo info_;
  std::vector<PortInfo> inputs_, outputs_;
  std::unique_ptr<WeightStore> file_weights_;    ///< of a .linnet file
  std::unique_ptr<Model> model_;

  /// A model in which the fed inputs with defaults are real inputs; made when such an input is fed first.
  struct Variant {
    std::vector<char> fed;
    std::unique_ptr<Model> model;
  };
  std::unique_ptr<Graph> original_;              ///< before any pass; kept only when some input has a default
  std::vector<Variant> variants_;

  /// A forked child lets go of what another thread was changing.
  void Abandon();
  Mutex mutex_{[](void* self) { static_cast<Session*>(self)->Abandon(); }, this};
  std::vector<std::pair<const Model*, std::unique_ptr<RunState>>> idle_;
};

}  // namespace linnet
