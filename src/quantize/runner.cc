// Compiling a copy of a graph whose inner values are outputs, and running it.
#include "quantize/runner.h"

#include <algorithm>
#include <map>

#include "base/cpu.h"
#include "base/thread_pool.h"
#include "passes/pass.h"
#include "run/plan.h"

namespace linnet::quantize {

Result<std::unique_ptr<GraphRunner>> GraphRunner::Make(const Graph& graph, std::span<const ValueId> inside, int threads) {
  auto runner = std::unique_ptr<GraphRunner>(new GraphRunner());
  runner->threads_ = threads > 0 ? threads : ThreadPool::HardwareThreads();
  Graph copy = graph.Clone();
  std::erase_if(copy.inputs, [&](ValueId id) { return copy.is_constant(id); });
  for (ValueId id : copy.inputs) {
    runner->input_names_.push_back(copy.value(id).name);
    runner->input_types_.push_back(copy.value(id).type);
  }
  for (size_t i = 0; i < copy.outputs().size(); ++i) runner->places_.push_back(i);
  for (ValueId id : inside) {
    const std::vector<ValueId>& outputs = copy.outputs();
    const auto found = std::find(outputs.begin(), outputs.end(), id);
    runner->places_.push_back(static_cast<size_t>(found - outputs.begin()));
    if (found == outputs.end()) copy.AddOutput(id);
  }
  runner->symbols_ = copy.shared_symbols();
  PassContext context;
  context.table = &OpTable::BuiltIn();
  LINNET_TRY(RunPipeline(copy, context, {}));
  CompileOptions compile;
  compile.table = &OpTable::BuiltIn();
  compile.cpu = DetectedCpuLevel();
  compile.threads = runner->threads_;
  LINNET_ASSIGN(runner->model_, Model::Make(std::make_shared<Graph>(std::move(copy)), compile));
  return runner;
}

Result<std::vector<Datum>> GraphRunner::Run(std::span<const Datum> inputs) { return RunWith(inputs, nullptr); }

Result<std::vector<GraphRunner::StepTime>> GraphRunner::Time(std::span<const Datum> inputs, int runs) {
  LINNET_TRY(RunWith(inputs, nullptr).TakeStatus());
  std::vector<StepTime> times;
  std::map<const NodeIo*, size_t> places;
  const Graph& graph = model_->graph();
  for (int run = 0; run < runs; ++run) {
    Profiler profiler;
    LINNET_TRY(RunWith(inputs, &profiler).TakeStatus());
    std::map<const NodeIo*, double> sums;   // a loop's body has its steps many times
    for (const Profiler::Span& span : profiler.spans) {
      if (span.depth == 0) sums[span.io] += static_cast<double>(span.end_ns - span.begin_ns);
    }
    for (const auto& [io, ns] : sums) {
      auto [place, is_new] = places.try_emplace(io, times.size());
      if (!is_new) {
        times[place->second].ns = std::min(times[place->second].ns, ns);
        continue;
      }
      StepTime time;
      time.ns = ns;
      for (ValueId id : io->outputs) {
        if (id == kNoValue) continue;
        time.values.push_back(graph.value(id).name);
        if (graph.value(id).producer != kNoNode) time.node = graph.node(graph.value(id).producer).name;
      }
      times.push_back(std::move(time));
    }
  }
  return times;
}

Result<std::vector<Datum>> GraphRunner::RunWith(std::span<const Datum> inputs, Profiler* profiler) {
  if (inputs.size() != input_names_.size()) {
    return InvalidArgument("the model has ", input_names_.size(), " inputs, the sample ", inputs.size());
  }
  const bool empty = !inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [](const Datum& input) {
    return input.type.is_tensor() && input.type.shape.is_static() && input.type.shape.elements() == 0;
  });
  if (empty) return InvalidArgument("the sample is empty: input ", Quote(input_names_[0]), " is ", ToString(inputs[0].type), ", without a number in it");
  std::vector<Fact> facts;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Type& wanted = input_types_[i];
    const Type& given = inputs[i].type;
    bool fits = given.kind == wanted.kind && given.dtype == wanted.dtype;
    if (fits && given.is_tensor() && wanted.shape.has_rank()) {
      fits = given.shape.rank() == wanted.shape.rank();
      for (int d = 0; fits && d < given.shape.rank(); ++d) {
        fits = !IsKnownDim(wanted.shape[d]) || wanted.shape[d] == given.shape[d];
      }
    }
    if (!fits) {
      return InvalidArgument("input ", Quote(input_names_[i]), " is ", ToString(wanted, symbols_.get()), ", the sample has ",
                             given.kind == Kind::kUnknown ? std::string("nothing for it") : ToString(given));
    }
    facts.push_back({given, given.is_tensor() ? inputs[i].tensor.data() : static_cast<const void*>(&inputs[i])});
  }
  RunEnv env;
  env.pool = &ThreadPool::Shared();
  env.threads = threads_;
  env.profiler = profiler;
  std::vector<RunOutput> outputs(model_->outputs.size());
  LINNET_TRY(state_.Run(*model_, env, facts.data(), static_cast<int>(facts.size()), outputs.data(), static_cast<int>(outputs.size())));
  std::vector<Datum> results;
  for (size_t place : places_) results.push_back(outputs[place].datum);
  return results;
}

}  // namespace linnet::quantize
