// Deciding by measurement: sensitivity of layers, then a search for the fewest exceptions.
#include "quantize/contract/search.h"

#include <math.h>

#include <algorithm>

#include "quantize/contract/layers.h"

namespace linnet::quantize {
namespace {

/// Samples that a layer's own error is measured on.
constexpr size_t kSensitivitySamples = 2;

class Search {
 public:
  Search(const OnnxModel& prepared, const NodePrecisions& nodes, std::span<const Maker> makers, Judge* judge, const Floor& floor, const std::vector<int64_t>& which,
         Watch watch)
      : prepared_(prepared), nodes_(nodes), makers_(makers), judge_(judge), floor_(floor), which_(which), watch_(watch) {}

  Status FindLayers() {
    LINNET_ASSIGN(layers_, LayersOf(prepared_.graph, nodes_));
    return Status();
  }

  /// Measures each layer by itself.
  Status Measure(Precision precision, std::map<std::string, double>* known) {
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
      LINNET_ASSIGN(OnnxModel candidate, makers_[0](alone));
      LINNET_ASSIGN(Score score, judge_->Of(candidate.graph, few));
      layer.error = (*known)[layer.name] = pow(10, -score.sqnr_db / 10);
    }
    return Status();
  }
  /// Puts those first, from `first` on, of which as few as possible should stay in float with integer weights; or in float whole.
  Status Rank(size_t first, std::map<std::string, double>* known) {
    LINNET_TRY(Measure(Precision::kInt8, known));
    OrderByTime(&layers_, first);
    return Status();
  }
  Status RankWeights(std::map<std::string, double>* known) {
    LINNET_TRY(Measure(Precision::kWeights, known));
    OrderByWeights(&layers_);
    return Status();
  }

  /// Puts those first whose error, as it was measured last, is largest, whatever they cost.
  void RankErrors() { OrderByError(&layers_); }

  /// The first `in_float` layers in float, the next `by_weights` of them with integer weights, the rest on integers.
  NodePrecisions With(size_t in_float, size_t by_weights) const {
    NodePrecisions out = nodes_;
    for (size_t i = 0; i < layers_.size() && i < in_float + by_weights; ++i) {
      for (NodeId id : layers_[i].nodes) out[static_cast<size_t>(id)] = i < in_float ? Precision::kFloat : Precision::kWeights;
    }
    return out;
  }
  Result<Score> Judged(size_t in_float, size_t by_weights) {
    Score best;
    for (const Maker& make : makers_) {
      LINNET_ASSIGN(OnnxModel candidate, make(With(in_float, by_weights)));
      LINNET_ASSIGN(Score score, judge_->Of(candidate.graph, which_));
      if (&make == &makers_[0] || score.sqnr_db > best.sqnr_db) best = score;
      if (best.Meets(floor_)) break;
    }
    return best;
  }

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
  std::span<const Maker> makers_;
  Judge* judge_;
  const Floor& floor_;
  const std::vector<int64_t>& which_;
  Watch watch_;
  std::vector<Layer> layers_;
};

}  // namespace

std::string Listed(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < 12; ++i) out += (i > 0 ? ", " : "") + names[i];
  return names.size() > 12 ? Cat(out, " and ", names.size() - 12, " more") : out;
}

std::string CostMost(const Decision& decision) {
  const std::vector<std::string>& names = !decision.in_float.empty() ? decision.in_float : decision.by_weights;
  return names.empty() ? "" : Cat("; the layers that cost most: ", Listed(names));
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

Status SearchLayers(const OnnxModel& prepared, std::span<const Maker> makers, bool has_weights, const Floor& floor, Judge* judge, const std::vector<int64_t>& which,
                    Sensitivities* known, Watch watch, Decision* decision) {
  Decision& best = *decision;
  const NodePrecisions nodes = best.nodes;
  Search search(prepared, nodes, makers, judge, floor, which, watch);
  LINNET_TRY(search.FindLayers());
  const size_t count = search.layers().size();
  LINNET_TRY(search.Rank(0, &known->integers));
  size_t in_float = 0;
  bool enough = false;
  if (has_weights) {
    LINNET_ASSIGN(Score score, search.Judged(0, count));
    enough = score.Meets(floor);
    // Exact activations are not enough: what is left is the weights' error.
    if (!enough) LINNET_TRY(search.RankWeights(&known->weights));
  }
  if (!enough) {
    LINNET_ASSIGN(Score all, search.Judged(count, 0));
    in_float = count;  // not even the float model does
    if (all.Meets(floor)) {
      auto judged = [&](size_t n) { return search.Judged(n, has_weights ? count - n : 0); };
      LINNET_ASSIGN(in_float, search.Least(count, judged));
      if (in_float == count && count > 1) {   // the last layer's error is the least for what it costs, but another's may be less
        search.RankErrors();
        LINNET_ASSIGN(Score one, judged(count - 1));
        if (one.Meets(floor)) {
          LINNET_ASSIGN(in_float, search.Least(count - 1, judged));
        }
      }
    }
  }
  size_t by_weights = 0;
  if (has_weights && in_float < count) {
    bool none = false;   // of the rest: 8 bits everywhere were not enough
    if (in_float > 0) {
      LINNET_TRY(search.Rank(in_float, &known->integers));
      LINNET_ASSIGN(Score score, search.Judged(in_float, 0));
      none = score.Meets(floor);
    }
    if (!none) {
      LINNET_ASSIGN(by_weights, search.Least(count - in_float, [&](size_t n) { return search.Judged(in_float, n); }));
    }
  }
  for (size_t i = 0; i < count && i < in_float + by_weights; ++i) (i < in_float ? best.in_float : best.by_weights).push_back(search.layers()[i].name);
  // A model with nothing quantized is no answer.
  best.nodes = search.With(in_float, by_weights);
  best.met = in_float < count;
  if (best.met) {
    LINNET_ASSIGN(best.score, search.Judged(in_float, by_weights));
  } else if (count > 0) {   // how near it comes with one layer
    LINNET_ASSIGN(Score one, search.Judged(count - 1, has_weights ? 1 : 0));
    if (one.sqnr_db > best.score.sqnr_db) best.score = one;
  }
  return Status();
}

}  // namespace linnet::quantize
