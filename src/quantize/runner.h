// Running a graph and looking at values inside it, for calibration and comparison.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "compile/model.h"
#include "graph/graph.h"
#include "run/state.h"

namespace linnet::quantize {

/// A graph compiled for this machine with all passes. One run at a time.
class GraphRunner {
 public:
  /// Compiles a copy of `graph`; `inside` are values of it to hand out too (no constants). `threads` 0: all processors.
  static Result<std::unique_ptr<GraphRunner>> Make(const Graph& graph, std::span<const ValueId> inside, int threads);

  /// One datum for each of the graph's inputs without a default; gives the graph's outputs and then `inside`, in order.
  /// Fails naming the input that is missing or does not fit the model's type, and when no input has an element.
  Result<std::vector<Datum>> Run(std::span<const Datum> inputs);

  /// How long each step of a run takes: the least of `runs` runs, behind one that is not timed.
  struct StepTime {
    std::string node;                   ///< the name of the node that the step computes, fused ones by that of their product
    std::vector<std::string> values;    ///< what it makes
    double ns = 0;
  };
  Result<std::vector<StepTime>> Time(std::span<const Datum> inputs, int runs);

  const std::vector<std::string>& input_names() const { return input_names_; }

 private:
  Result<std::vector<Datum>> RunWith(std::span<const Datum> inputs, Profiler* profiler);

  std::unique_ptr<Model> model_;
  RunState state_;
  int threads_ = 1;
  std::vector<std::string> input_names_;
  std::vector<Type> input_types_;
  std::vector<size_t> places_;   ///< which of the model's outputs each result is
  std::shared_ptr<SymbolTable> symbols_;
};

}  // namespace linnet::quantize
