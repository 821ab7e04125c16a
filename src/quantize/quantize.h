// Quantizing whole models: what `linnet quantize` and other callers use.
#pragma once

#include "base/function_ref.h"
#include "quantize/accuracy.h"
#include "quantize/calibration/calibration.h"
#include "quantize/plan.h"
#include "quantize/samples.h"

namespace linnet::quantize {

/// Told about progress: what is being done, and how much of it is done.
using Watch = FunctionRef<void(const char* what, int64_t done, int64_t total)>;

/// What a calibration that may be cut and gone on from takes and gives.
struct Seeing {
  std::string table;       ///< empty, or the file beside which (PartialOf) what was seen is saved now and then and when it fails
  bool resume = false;     ///< begin with what that or the table has
  int64_t resumed = 0;     ///< samples it had
  bool alike = false;      ///< there are several samples, and all hold the same numbers
};
/// Runs every sample of `which` through `calibration`. `seeing` may be null.
Status Calibrate(Calibration* calibration, Samples* samples, const std::vector<int64_t>& which, Watch watch, Seeing* seeing = nullptr);

/// The outputs of `actual` beside those of `reference`, over the samples `which`: one entry for each output of `reference`.
/// `labels`: empty, or one class a sample, for the first output. Fails when the models' inputs or outputs differ in number.
Result<std::vector<Agreement>> CompareOutputs(GraphRunner* reference, GraphRunner* actual, Samples* samples,
                                              const std::vector<int64_t>& which, Watch watch, std::span<const int64_t> labels = {});

/// Bytes of weights, and those that they take, or would take, as float32.
struct WeightSize {
  int64_t bytes = 0, floats = 0;
};
/// Bytes of a graph's constants, subgraphs too: of floats, and of all. Of those, what products and recurrent operators have as weights, and tables
/// that Gather picks rows from: `integers` with their scales and zero points, and what are floats.
struct ConstantBytes {
  int64_t floats = 0, all = 0;
  WeightSize integers, reals;
};
ConstantBytes CountConstants(const Graph& graph);
/// Nodes of a graph, subgraphs' too.
int64_t CountNodes(const Graph& graph);

}  // namespace linnet::quantize
