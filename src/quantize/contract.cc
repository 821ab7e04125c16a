// Deciding by measurement: sensitivity of layers, then a search for the fewest exceptions.
#include "quantize/contract.h"

#include <math.h>

#include <algorithm>

namespace linnet::quantize {
namespace {

/// Samples whose outputs of the float model are kept.
constexpr size_t kExpectedMax = 16;
/// Samples that a layer's own error is measured on.
constexpr size_t kSensitivitySamples = 2;

/// A convolution or matrix product with the nodes that follow it up to the next ones.
struct Layer {
  std::string name;
  std::vector<NodeId> nodes;
  double error = 0;      ///< noise over signal at the worst output when it alone is quantized
};

class Search {
 public:
  Search(const OnnxModel& prepared, const NodePrecisions& nodes, const StaticOptions& options, const RangeTable& ranges, Judge* judge,
         const Floor& floor, const std::vector<int64_t>& which, Watch watch)
      : prepared_(prepared), nodes_(nodes), options_(options), ranges_(ranges), judge_(judge), floor_(floor), which_(which), watch_(watch) {}

  Status FindLayers() {
    LINNET_ASSIGN(std::vector<NodeId> order, prepared_.graph.Order());
    const Graph& graph = prepared_.graph;
    std::vector<int> layer_of(static_cast<size_t>(graph.node_count()), -1);
    for (NodeId id : order) {
      const size_t i = static_cast<size_t>(id);
      const Node& node = graph.node(id);
      if (nodes_[i] != Precision::kFloat && RoleOf(graph, node) == Role::kMatrix) {
        layer_of[i] = static_cast<int>(layers_.size());
        layers_.push_back({node.name.empty() ? graph.value(node.outputs[0]).name : node.name, {}});
      } else {
        for (ValueId in : node.inputs) {
          const NodeId producer = in == kNoValue ? kNoNode : graph.value(in).producer;
          if (producer != kNoNode) layer_of[i] = std::max(layer_of[i], layer_of[static_cast<size_t>(producer)]);
        }
      }
      if (nodes_[i] != Precision::kFloat && layer_of[i] >= 0) layers_[static_cast<size_t>(layer_of[i])].nodes.push_back(id);
    }
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

  /// The first `in_float` layers in float, the next `wide` with 16-bit activations, the rest in 8 bits.
  NodePrecisions With(size_t in_float, size_t wide) const {
    NodePrecisions out = nodes_;
    for (size_t i = 0; i < layers_.size() && i < in_float + wide; ++i) {
      for (NodeId id : layers_[i].nodes) out[static_cast<size_t>(id)] = i < in_float ? Precision::kFloat : Precision::kInt16;
    }
    return out;
  }
  Result<Score> Judged(const NodePrecisions& nodes, const std::vector<int64_t>& which) {
    OnnxModel candidate{prepared_.graph.Clone(), prepared_.info};
    LINNET_TRY(QuantizeStatic(&candidate, nodes, ranges_, options_));
    return judge_->Of(candidate.graph, which);
  }
  Result<Score> Judged(size_t in_float, size_t wide) { return Judged(With(in_float, wide), which_); }

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
  const StaticOptions& options_;
  const RangeTable& ranges_;
  Judge* judge_;
  const Floor& floor_;
  const std::vector<int64_t>& which_;
  Watch watch_;
  std::vector<Layer> layers_;
};

int64_t TopOf(const Tensor& scores) {
  int64_t top = 0;
  if (scores.dtype() != DType::kFloat) return -1;
  for (int64_t i = 1; i < scores.elements(); ++i) {
    if (scores.as<float>()[i] > scores.as<float>()[top]) top = i;
  }
  return top;
}

}  // namespace

bool Score::Meets(const Floor& floor) const {
  return sqnr_db >= floor.sqnr_db && top1_agreement >= floor.top1_agreement && accuracy >= floor.accuracy;
}

Result<const std::vector<Datum>*> Judge::Expected(int64_t index, std::span<const Datum> sample) {
  const auto found = expected_.find(index);
  if (found != expected_.end()) return &found->second;
  LINNET_ASSIGN(std::vector<Datum> outputs, runner_->Run(sample));
  std::vector<Datum>& kept = expected_.size() < kExpectedMax ? expected_[index] : latest_;
  kept = std::move(outputs);
  return &kept;
}

Result<Score> Judge::Of(const Graph& candidate, const std::vector<int64_t>& which) {
  if (!runner_) {
    LINNET_ASSIGN(runner_, GraphRunner::Make(reference_, {}, threads_));
  }
  LINNET_ASSIGN(std::unique_ptr<GraphRunner> actual, GraphRunner::Make(candidate, {}, threads_));
  std::vector<Agreement> agreements;
  int64_t right = 0;
  for (int64_t i : which) {
    LINNET_ASSIGN(std::vector<Datum> sample, samples_->Load(i));
    LINNET_ASSIGN(const std::vector<Datum>* expected, Expected(i, sample));
    LINNET_ASSIGN(std::vector<Datum> got, actual->Run(sample));
    agreements.resize(expected->size());
    for (size_t k = 0; k < expected->size() && k < got.size(); ++k) agreements[k].Add((*expected)[k], got[k]);
    if (!labels_.empty() && !got.empty()) right += TopOf(got[0].tensor) == labels_[static_cast<size_t>(i)];
  }
  Score score;
  score.sqnr_db = INFINITY;
  for (const Agreement& one : agreements) {
    if (one.count > 0 || one.not_finite > 0) score.sqnr_db = std::min(score.sqnr_db, one.SqnrDb());
  }
  if (!agreements.empty() && agreements[0].rows > 0) {
    score.top1_agreement = static_cast<double>(agreements[0].same_top) / static_cast<double>(agreements[0].rows);
  }
  if (!labels_.empty() && !which.empty()) score.accuracy = static_cast<double>(right) / static_cast<double>(which.size());
  return score;
}

Result<double> Judge::ReferenceAccuracy(const std::vector<int64_t>& which) {
  LINNET_ASSIGN(Score score, Of(reference_, which));
  return score.accuracy;
}

Result<Decision> Decide(const OnnxModel& prepared, const NodePrecisions& nodes, const StaticOptions& options,
                        const Calibration& calibration, const CalibrationChoice& choice, std::span<const Calibrator> calibrators,
                        const Floor& floor, Judge* judge, const std::vector<int64_t>& which,
                        Sensitivities* known, Watch watch) {
  Decision best;
  best.score.sqnr_db = -INFINITY;
  int64_t tried = 0;
  for (Calibrator calibrator : calibrators) {
    watch("trying calibrators", tried++, static_cast<int64_t>(calibrators.size()));
    CalibrationChoice one = choice;
    one.calibrator = calibrator;
    LINNET_ASSIGN(RangeTable ranges, calibration.Choose(one));
    Search search(prepared, nodes, options, ranges, judge, floor, which, watch);
    LINNET_ASSIGN(Score score, search.Judged(nodes, which));
    if (best.ranges.empty() || score.sqnr_db > best.score.sqnr_db) {
      best.nodes = nodes;
      best.calibrator = calibrator;
      best.ranges = std::move(ranges);
      best.score = score;
    }
    if (!score.Meets(floor)) continue;
    best = {nodes, calibrator, calibration.Choose(one).value(), score, true};
    break;
  }
  Search search(prepared, nodes, options, best.ranges, judge, floor, which, watch);
  LINNET_TRY(search.FindLayers());
  best.layers = static_cast<int>(search.layers().size());
  if (best.met) return best;

  const size_t count = search.layers().size();
  LINNET_TRY(search.Rank(Precision::kInt8, &known->narrow));
  size_t in_float = 0, wide = count;
  LINNET_ASSIGN(Score score, search.Judged(0, count));
  if (!score.Meets(floor)) {
    // 16 bits are not enough: what is left is the weights' error.
    LINNET_TRY(search.Rank(Precision::kInt16, &known->wide));
    LINNET_ASSIGN(Score all, search.Judged(count, 0));
    if (!all.Meets(floor)) {
      in_float = wide = count;  // not even the float model does
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
  for (size_t i = 0; i < count && i < in_float + wide; ++i) {
    (i < in_float ? best.in_float : best.wide).push_back(search.layers()[i].name);
  }
  // A model with nothing quantized is no answer.
  best.nodes = search.With(in_float, wide);
  best.met = in_float < count;
  if (best.met) {
    LINNET_ASSIGN(best.score, search.Judged(in_float, wide));
  }
  return best;
}

}  // namespace linnet::quantize
