// Scores of candidates: outputs beside those of the float model, which are kept for a few samples.
#include "quantize/contract/judge.h"

#include <math.h>
#include <stdio.h>

#include <algorithm>

namespace linnet::quantize {
namespace {

/// Samples whose outputs of the float model are kept.
constexpr size_t kExpectedMax = 16;

}  // namespace

bool Score::Meets(const Floor& floor) const {
  return sqnr_db >= floor.sqnr_db && top1_agreement >= floor.top1_agreement && accuracy >= floor.accuracy;
}

std::string ScoreText(const Score& score) {
  char text[128];
  snprintf(text, sizeof text, "SQNR %.1f dB, top-1 agreement %.4f", score.sqnr_db, score.top1_agreement);
  std::string out = text;
  if (score.accuracy < 0) return out;
  snprintf(text, sizeof text, ", accuracy %.4f (the float model %.4f)", score.accuracy, score.reference_accuracy);
  return out + text;
}

std::string Effect(const Score& before, const Score& after) {
  char text[96];
  snprintf(text, sizeof text, ": %.1f dB -> %.1f dB on calibration samples", before.sqnr_db, after.sqnr_db);
  return text;
}

Result<const std::vector<Datum>*> Judge::Expected(int64_t index, std::span<const Datum> sample) {
  const auto found = expected_.find(index);
  if (found != expected_.end()) return &found->second;
  if (!runner_) {
    LINNET_ASSIGN(runner_, GraphRunner::Make(reference_, {}, threads_));
  }
  LINNET_ASSIGN(std::vector<Datum> outputs, runner_->Run(sample));
  std::vector<Datum>& kept = expected_.size() < kExpectedMax ? expected_[index] : latest_;
  kept = std::move(outputs);
  return &kept;
}

/// The SQNR of output `k` that a further sample may have: the mean of the samples' less what they differ by. Samples that are better than
/// `all` together, or quieter than a hundredth of them, say little.
static double LikelyDb(const Agreement& all, const std::vector<std::vector<Agreement>>& samples, size_t k) {
  constexpr double kBetterDb = 10, kQuiet = 0.01;
  const double together = all.SqnrDb(), count = static_cast<double>(samples.size());
  if (samples.size() < 2 || !isfinite(together)) return together;
  double sum = 0, squares = 0;
  for (const std::vector<Agreement>& sample : samples) {
    const double signal = std::max(sample[k].signal, kQuiet * all.signal / count), most = together + kBetterDb;
    const double db = sample[k].noise > 0 ? std::min(10 * log10(signal / sample[k].noise), most) : most;
    sum += db, squares += db * db;
  }
  const double mean = sum / count;
  return mean - sqrt(std::max(squares / count - mean * mean, 0.0) * count / (count - 1));
}

Result<Score> Judge::Of(const Graph& candidate, const std::vector<int64_t>& which, Caution caution) {
  LINNET_ASSIGN(std::unique_ptr<GraphRunner> actual, GraphRunner::Make(candidate, {}, threads_));
  std::vector<Agreement> agreements;
  std::vector<std::vector<Agreement>> singles;   // by sample
  for (int64_t i : which) {
    LINNET_ASSIGN(std::vector<Datum> sample, samples_->Load(i));
    LINNET_ASSIGN(const std::vector<Datum>* expected, Expected(i, sample));
    std::vector<Agreement>& own = singles.emplace_back(expected->size());
    LINNET_ASSIGN(std::vector<Datum> got, actual->Run(sample));
    agreements.resize(expected->size());
    if (!labels_.empty() && !expected->empty()) LINNET_TRY(CheckLabel((*expected)[0], labels_[static_cast<size_t>(i)]));
    for (size_t k = 0; k < expected->size() && k < got.size(); ++k) {
      agreements[k].Add((*expected)[k], got[k], k == 0 && !labels_.empty() ? labels_[static_cast<size_t>(i)] : -1);
      own[k].Add((*expected)[k], got[k]);
    }
  }
  Score score = ScoreOf(agreements);
  for (size_t k = 0; caution == Caution::kFurtherSample && k < agreements.size(); ++k) {
    if (agreements[k].count > 0) score.sqnr_db = std::min(score.sqnr_db, LikelyDb(agreements[k], singles, k));
  }
  return score;
}

/// The SQNR of the float model's worst output when each float input has noise of a hundredth of its numbers.
Result<double> Judge::NearItself(int64_t index) {
  LINNET_ASSIGN(std::vector<Datum> sample, samples_->Load(index));
  LINNET_ASSIGN(const std::vector<Datum>* kept, Expected(index, sample));
  const std::vector<Datum> expected = *kept;
  uint64_t state = 1;
  for (Datum& input : sample) {
    if (input.tensor.dtype() != DType::kFloat || !input.tensor.has_data()) continue;
    LINNET_ASSIGN(Tensor noisy, Tensor::Allocate(DType::kFloat, input.tensor.shape()));
    const float* from = input.tensor.as<float>();
    double squares = 0;
    for (int64_t i = 0; i < noisy.elements(); ++i) squares += static_cast<double>(from[i]) * from[i];
    const float size = static_cast<float>(0.01 * sqrt(squares / static_cast<double>(std::max<int64_t>(noisy.elements(), 1))));
    for (int64_t i = 0; i < noisy.elements(); ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      noisy.mutable_as<float>()[i] = from[i] + (state >> 63 ? size : -size);
    }
    input.tensor = std::move(noisy);
  }
  LINNET_ASSIGN(std::vector<Datum> got, runner_->Run(sample));
  std::vector<Agreement> agreements(expected.size());
  for (size_t k = 0; k < expected.size() && k < got.size(); ++k) agreements[k].Add(expected[k], got[k]);
  return ScoreOf(agreements).sqnr_db;
}

std::string Judge::Unsteady(const std::vector<int64_t>& which) {
  constexpr double kNoiseDb = 40, kLostDb = 10;
  if (which.empty()) return "";
  Result<double> db = NearItself(which[0]);
  if (!db.ok() || !(*db < kNoiseDb - kLostDb)) return "";
  char text[160];
  snprintf(text, sizeof text, "; the float model itself is unsteady: noise of 1 %% (%.0f dB) in its inputs alone leaves %.1f dB of its outputs", kNoiseDb, *db);
  return text;
}

Score ScoreOf(std::span<const Agreement> agreements) {
  Score score;
  score.sqnr_db = INFINITY;
  for (const Agreement& one : agreements) {
    if (one.count > 0 || one.not_finite > 0) score.sqnr_db = std::min(score.sqnr_db, one.SqnrDb());
  }
  if (agreements.empty()) return score;
  const Agreement& first = agreements[0];
  if (first.rows > 0) score.top1_agreement = static_cast<double>(first.same_top) / static_cast<double>(first.rows);
  if (first.labelled > 0) {
    score.accuracy = static_cast<double>(first.right) / static_cast<double>(first.labelled);
    score.reference_accuracy = static_cast<double>(first.reference_right) / static_cast<double>(first.labelled);
  }
  return score;
}

}  // namespace linnet::quantize
