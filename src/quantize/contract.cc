// Deciding by measurement: sensitivity of layers, then a search for the fewest exceptions.
#include "quantize/contract.h"

#include <math.h>
#include <stdio.h>

#include <algorithm>

namespace linnet::quantize {
namespace {

/// Samples whose outputs of the float model are kept.
constexpr size_t kExpectedMax = 16;
/// Samples that a layer's own error is measured on.
constexpr size_t kSensitivitySamples = 2;

/// A convolution, matrix product or recurrent operator with the nodes that follow it up to the next ones; a table; or what comes
/// before all of them.
struct Layer {
  std::string name;
  std::vector<NodeId> nodes;
  double error = 0;      ///< noise over signal at the worst output when it alone is quantized
};

Result<std::vector<Layer>> LayersOf(const Graph& graph, const NodePrecisions& nodes) {
  LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
  std::vector<Layer> layers(1);   // before all others
  std::vector<size_t> layer_of(static_cast<size_t>(graph.node_count()), 0);
  for (NodeId id : order) {
    const size_t i = static_cast<size_t>(id);
    const Node& node = graph.node(id);
    const bool taken = nodes[i] != Precision::kFloat;
    const Role role = RoleOf(graph, node);
    const bool begins = role == Role::kMatrix || ByWeights(role) || node.Is("LSTM") || node.Is("GRU") || node.Is("RNN");
    if (taken && begins) {
      layer_of[i] = layers.size();
      layers.emplace_back();
    } else {
      for (ValueId in : node.inputs) {
        const NodeId producer = in == kNoValue ? kNoNode : graph.value(in).producer;
        if (producer != kNoNode) layer_of[i] = std::max(layer_of[i], layer_of[static_cast<size_t>(producer)]);
      }
    }
    Layer& layer = layers[layer_of[i]];
    if (!taken) continue;
    if (layer.nodes.empty()) {
      const auto made = std::find_if(node.outputs.begin(), node.outputs.end(), [](ValueId out) { return out != kNoValue; });
      layer.name = node.name.empty() && made != node.outputs.end() ? graph.value(*made).name : node.name;
    }
    layer.nodes.push_back(id);
  }
  if (layers[0].nodes.empty()) layers.erase(layers.begin());
  return layers;
}

class Search {
 public:
  Search(const OnnxModel& prepared, const NodePrecisions& nodes, Maker make, Judge* judge, const Floor& floor, const std::vector<int64_t>& which,
         Watch watch)
      : prepared_(prepared), nodes_(nodes), make_(make), judge_(judge), floor_(floor), which_(which), watch_(watch) {}

  Status FindLayers() {
    LINNET_ASSIGN(layers_, LayersOf(prepared_.graph, nodes_));
    return Status();
  }

  /// Measures each layer by itself, at 8-bit or 16-bit activations, and puts the worst first.
  Status Rank(Precision precision, std::map<std::string, double>* known) {
    const std::vector<int64_t> few(which_.begin(), which_.begin() + static_cast<ptrdiff_t>(std::min(which_.size(), kSensitivitySamples)));
    int64_t done = 0;
    for (Layer& layer : layers_) {
      watch_("measuring layers", done++, static_cast<int64_t>(layers_.size()));
      const auto found = known->find(layer.name);
      if (found != known->end()) {
        layer.error = found->second;
        continue;
      }
      NodePrecisions alone(nodes_.size(), Precision::kFloat);
      for (NodeId id : layer.nodes) alone[static_cast<size_t>(id)] = precision;
      LINNET_ASSIGN(Score score, Judged(alone, few));
      layer.error = (*known)[layer.name] = pow(10, -score.sqnr_db / 10);
    }
    std::stable_sort(layers_.begin(), layers_.end(), [](const Layer& a, const Layer& b) { return a.error > b.error; });
    return Status();
  }

  /// The first `in_float` layers in float, the last `by_weights` of them with integer weights, the next `wide` with 16-bit activations, the
  /// rest in 8 bits.
  NodePrecisions With(size_t in_float, size_t wide, size_t by_weights = 0) const {
    NodePrecisions out = nodes_;
    for (size_t i = 0; i < layers_.size() && i < in_float + wide; ++i) {
      const Precision precision = i + by_weights < in_float ? Precision::kFloat : i < in_float ? Precision::kWeights : Precision::kInt16;
      for (NodeId id : layers_[i].nodes) out[static_cast<size_t>(id)] = precision;
    }
    return out;
  }
  Result<Score> Judged(const NodePrecisions& nodes, const std::vector<int64_t>& which) {
    LINNET_ASSIGN(OnnxModel candidate, make_(nodes));
    return judge_->Of(candidate.graph, which);
  }
  Result<Score> Judged(size_t in_float, size_t wide, size_t by_weights = 0) { return Judged(With(in_float, wide, by_weights), which_); }

  /// The least count in [0, most] that meets the floor, given that `most` does.
  template <class Try>
  Result<size_t> Least(size_t most, Try&& attempt) {
    size_t fails = 0, meets = most;   // 0 is known to fail
    while (meets - fails > 1) {
      const size_t middle = (fails + meets) / 2;
      watch_("searching", static_cast<int64_t>(most - (meets - fails)), static_cast<int64_t>(most));
      LINNET_ASSIGN(Score score, attempt(middle));
      (score.Meets(floor_) ? meets : fails) = middle;
    }
    return meets;
  }

  const std::vector<Layer>& layers() const { return layers_; }

 private:
  const OnnxModel& prepared_;
  const NodePrecisions& nodes_;
  Maker make_;
  Judge* judge_;
  const Floor& floor_;
  const std::vector<int64_t>& which_;
  Watch watch_;
  std::vector<Layer> layers_;
};

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

std::string Listed(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < 12; ++i) out += (i > 0 ? ", " : "") + names[i];
  return names.size() > 12 ? Cat(out, " and ", names.size() - 12, " more") : out;
}

std::string CostMost(const Decision& decision) {
  const std::vector<std::string>& names = !decision.in_float.empty() ? decision.in_float : !decision.by_weights.empty() ? decision.by_weights : decision.wide;
  return names.empty() ? "" : Cat("; the layers that cost most: ", Listed(names));
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

Result<Decision> ChooseCalibrator(const OnnxModel& prepared, const NodePrecisions& nodes, const StaticOptions& options,
                                  const Calibration& calibration, const CalibrationChoice& choice, std::span<const Calibrator> calibrators,
                                  const Floor& floor, Judge* judge, const std::vector<int64_t>& which, Watch watch) {
  Decision best;
  best.score.sqnr_db = -INFINITY;
  int64_t tried = 0;
  for (Calibrator calibrator : calibrators) {
    watch("trying calibrators", tried++, static_cast<int64_t>(calibrators.size()));
    CalibrationChoice one = choice;
    one.calibrator = calibrator;
    LINNET_ASSIGN(RangeTable ranges, calibration.Choose(one));
    OnnxModel candidate{prepared.graph.Clone(), prepared.info};
    LINNET_TRY(QuantizeStatic(&candidate, nodes, ranges, options));
    LINNET_ASSIGN(Score score, judge->Of(candidate.graph, which));
    const bool met = score.Meets(floor);
    if (met || best.ranges.empty() || score.sqnr_db > best.score.sqnr_db) best = {nodes, calibrator, std::move(ranges), score, met};
    if (met) break;
  }
  return best;
}

Result<int> CountLayers(const OnnxModel& prepared, const NodePrecisions& nodes) {
  LINNET_ASSIGN(std::vector<Layer> layers, LayersOf(prepared.graph, nodes));
  return static_cast<int>(layers.size());
}

Status SearchLayers(const OnnxModel& prepared, Maker make, Choices has, const Floor& floor, Judge* judge, const std::vector<int64_t>& which,
                    Sensitivities* known, Watch watch, Decision* decision) {
  Decision& best = *decision;
  const NodePrecisions nodes = best.nodes;
  Search search(prepared, nodes, make, judge, floor, which, watch);
  LINNET_TRY(search.FindLayers());
  const size_t count = search.layers().size();
  LINNET_TRY(search.Rank(Precision::kInt8, &known->narrow));
  size_t in_float = 0, wide = has.wide ? count : 0, by_weights = 0;
  bool enough = false;
  if (has.wide) {
    LINNET_ASSIGN(Score score, search.Judged(0, count));
    enough = score.Meets(floor);
    // 16 bits are not enough: what is left is the weights' error.
    if (!enough) LINNET_TRY(search.Rank(Precision::kInt16, &known->wide));
  }
  if (!enough) {
    LINNET_ASSIGN(Score all, search.Judged(count, 0));
    if (!all.Meets(floor)) {
      in_float = count, wide = 0;  // not even the float model does
    } else if (!has.wide) {
      LINNET_ASSIGN(in_float, search.Least(count, [&](size_t n) { return search.Judged(n, 0); }));
    } else {
      LINNET_ASSIGN(in_float, search.Least(count, [&](size_t n) { return search.Judged(n, count - n); }));
      wide = count - in_float;
      LINNET_ASSIGN(Score narrow, search.Judged(in_float, 0));
      if (narrow.Meets(floor)) wide = 0;
    }
  }
  if (wide > 0 && in_float < count) {
    LINNET_ASSIGN(wide, search.Least(wide, [&](size_t n) { return search.Judged(in_float, n); }));
  }
  // Where it was the activations that cost, weights are integers all the same.
  if (has.weights && in_float > 0 && in_float < count) {
    LINNET_ASSIGN(Score none, search.Judged(in_float, wide, in_float));
    size_t whole = 0;
    if (!none.Meets(floor)) {
      LINNET_ASSIGN(whole, search.Least(in_float, [&](size_t n) { return search.Judged(in_float, wide, in_float - n); }));
    }
    by_weights = in_float - whole;
  }
  for (size_t i = 0; i < count && i < in_float + wide; ++i) {
    (i + by_weights < in_float ? best.in_float : i < in_float ? best.by_weights : best.wide).push_back(search.layers()[i].name);
  }
  // A model with nothing quantized is no answer.
  best.nodes = search.With(in_float, wide, by_weights);
  best.met = in_float < count;
  if (best.met) {
    LINNET_ASSIGN(best.score, search.Judged(in_float, wide, by_weights));
  } else if (count > 0) {   // how near it comes with one layer
    LINNET_ASSIGN(Score one, search.Judged(count - 1, has.wide ? 1 : 0));
    if (one.sqnr_db > best.score.sqnr_db) best.score = one;
  }
  return Status();
}

}  // namespace linnet::quantize
