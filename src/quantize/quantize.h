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

/// Runs every sample of `which` through `calibration`.
Status Calibrate(Calibration* calibration, Samples* samples, const std::vector<int64_t>& which, Watch watch);

/// The outputs of `actual` beside those of `reference`, over the samples `which`: one entry for each output of `reference`.
/// Fails when the models' inputs or outputs differ in number.
Result<std::vector<Agreement>> CompareOutputs(GraphRunner* reference, GraphRunner* actual, Samples* samples,
                                              const std::vector<int64_t>& which, Watch watch);

/// Bytes of a graph's constants, subgraphs too: of floats, and of all.
struct ConstantBytes {
  int64_t floats = 0, all = 0;
};
ConstantBytes CountConstants(const Graph& graph);

}  // namespace linnet::quantize
