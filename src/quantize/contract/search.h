// Quantizing until a floor on accuracy is met: which layers stay in float.
#pragma once

#include "quantize/contract/judge.h"
#include "quantize/plan.h"

namespace linnet::quantize {

/// What was measured of layers: the error each makes alone, by name, on integers, and where its weights alone are. Filled as needed.
struct Sensitivities {
  std::map<std::string, double> integers, weights;
};

/// What was decided for a model.
struct Decision {
  NodePrecisions nodes;
  Calibrator calibrator = Calibrator::kMinMax;
  RangeTable ranges;
  Score score;                         ///< on the samples that decided
  bool met = false;
  int layers = 0;                      ///< convolutions and matrix products that could be quantized
  std::vector<std::string> by_weights; ///< of those, what computes in float with 8-bit weights, what pays most first
  std::vector<std::string> in_float;   ///< what stays in float
};

/// "conv1, conv2 and 3 more".
std::string Listed(const std::vector<std::string>& names);
/// "; the layers that cost most: ...", or nothing where none was found to.
std::string CostMost(const Decision& decision);

/// A candidate: the model with these precisions of its nodes.
using Maker = FunctionRef<Result<OnnxModel>(const NodePrecisions& nodes)>;

/// Tries `calibrators` in order and takes the first with which 8 bits everywhere meet `floor`, or the best, with `met` false.
/// `which` of the judge's samples decide.
Result<Decision> ChooseCalibrator(const OnnxModel& prepared, const NodePrecisions& nodes, const StaticOptions& options,
                                  const Calibration& calibration, const CalibrationChoice& choice, std::span<const Calibrator> calibrators,
                                  const Floor& floor, Judge* judge, const std::vector<int64_t>& which, Watch watch);

/// The layers of a model: how many, for Decision::layers.
Result<int> CountLayers(const OnnxModel& prepared, const NodePrecisions& nodes);

/// Where `decision` does not meet `floor`: ranks the layers of its nodes by the error each makes when it alone is quantized over what it costs
/// to leave it in float, and leaves so the first of them, as few as meet the floor: with integer weights (`has_weights`) where that is enough,
/// and whole where it is not. What meets nothing is the best that was found, with `met` false. A candidate is the best of what `makers` make
/// of it, in order of cost; the first alone makes models of single layers. `known` carries measurements from one call to the next for the same model.
Status SearchLayers(const OnnxModel& prepared, std::span<const Maker> makers, bool has_weights, const Floor& floor, Judge* judge, const std::vector<int64_t>& which,
                    Sensitivities* known, Watch watch, Decision* decision);

}  // namespace linnet::quantize
