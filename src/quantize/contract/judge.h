// How a candidate does beside the float model, and what is asked of it.
#pragma once

#include <map>
#include <memory>

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

}  // namespace linnet::quantize
