// Quantizing until a floor on accuracy is met: which layers get 16 bits or stay in float.
#pragma once

#include "quantize/quantize.h"

namespace linnet::quantize {

/// What the quantized model must reach beside the float model. Negative infinity: not asked for.
struct Floor {
  double sqnr_db = -1e300;        ///< of the worst output
  double top1_agreement = -1;     ///< share of rows of the first output whose largest element is at the same place
  double accuracy = -1;           ///< share of samples whose label is the first output's largest element
};

/// How a model does.
struct Score {
  double sqnr_db = 0;
  double top1_agreement = 0;
  double accuracy = -1, reference_accuracy = -1;   ///< -1: no labels
  bool Meets(const Floor& floor) const;
};
/// "SQNR 20.1 dB, top-1 agreement 0.9875".
std::string ScoreText(const Score& score);
/// ": 15.7 dB -> 20.1 dB on calibration samples".
std::string Effect(const Score& before, const Score& after);
/// Of what was summed for each output: the worst SQNR, the classes of the first.
Score ScoreOf(std::span<const Agreement> agreements);

/// Outputs of float models and labels, against which candidates are scored on some samples.
class Judge {
 public:
  /// `labels` may be empty, or has one class a sample of `samples`. All must outlive the judge.
  Judge(const Graph& reference, Samples* samples, std::span<const int64_t> labels, int threads)
      : reference_(reference), samples_(samples), labels_(labels), threads_(threads) {}
  /// The SQNR of the samples together, or, where it decides something, what a further sample may have if that is less.
  enum class Caution : uint8_t { kTheseSamples, kFurtherSample };
  Result<Score> Of(const Graph& candidate, const std::vector<int64_t>& which, Caution caution = Caution::kFurtherSample);
  /// A sentence behind "; " where a hundredth of noise in the inputs of a sample alone moves the float model's outputs by much more, so that no
  /// rounding can stay near; or nothing.
  std::string Unsteady(const std::vector<int64_t>& which);

 private:
  Result<double> NearItself(int64_t index);

  const Graph& reference_;
  Samples* samples_;
  std::span<const int64_t> labels_;
  int threads_;
  Result<const std::vector<Datum>*> Expected(int64_t index, std::span<const Datum> sample);

  std::unique_ptr<GraphRunner> runner_;
  std::map<int64_t, std::vector<Datum>> expected_;   ///< of a few samples, which are asked for again and again
  std::vector<Datum> latest_;
};

/// What was measured of layers: the error each makes alone, by name, at 8- and at 16-bit activations. Filled as needed.
struct Sensitivities {
  std::map<std::string, double> narrow, wide;
};

/// What was decided for a model.
struct Decision {
  NodePrecisions nodes;
  Calibrator calibrator = Calibrator::kMinMax;
  RangeTable ranges;
  Score score;                         ///< on the samples that decided
  bool met = false;
  int layers = 0;                      ///< convolutions and matrix products that could be quantized
  std::vector<std::string> wide;       ///< of those, what got 16-bit activations, the worst first
  std::vector<std::string> by_weights; ///< what computes in float with 8-bit weights
  std::vector<std::string> in_float;   ///< what stays in float
};

/// "conv1, conv2 and 3 more".
std::string Listed(const std::vector<std::string>& names);
/// "; the layers that cost most: ...", or nothing where none was found to.
std::string CostMost(const Decision& decision);

/// What a layer can be that costs too much: with 16-bit activations, or in float with integer weights. In float whole is always one.
struct Choices {
  bool wide = false, weights = false;
};

/// A candidate: the model with these precisions of its nodes.
using Maker = FunctionRef<Result<OnnxModel>(const NodePrecisions& nodes)>;

/// Tries `calibrators` in order and takes the first with which 8 bits everywhere meet `floor`, or the best, with `met` false.
/// `which` of the judge's samples decide.
Result<Decision> ChooseCalibrator(const OnnxModel& prepared, const NodePrecisions& nodes, const StaticOptions& options,
                                  const Calibration& calibration, const CalibrationChoice& choice, std::span<const Calibrator> calibrators,
                                  const Floor& floor, Judge* judge, const std::vector<int64_t>& which, Watch watch);

/// The layers of a model: how many, for Decision::layers.
Result<int> CountLayers(const OnnxModel& prepared, const NodePrecisions& nodes);

/// Where `decision` does not meet `floor`: ranks the layers of its nodes by the error each makes when it alone is quantized and, where `has.wide`,
/// gives the worst 16-bit activations, as few as meet the floor; where that is not enough leaves the worst in float, of which (`has.weights`) as many as can be have 8-bit weights. What meets
/// nothing is the best that was found, with `met` false. `known` carries measurements from one call to the next for the same model.
Status SearchLayers(const OnnxModel& prepared, Maker make, Choices has, const Floor& floor, Judge* judge, const std::vector<int64_t>& which,
                    Sensitivities* known, Watch watch, Decision* decision);

}  // namespace linnet::quantize
