// The steps from a float model to a checked file.
#include "quantize/recipe.h"

#include <math.h>
#include <stdio.h>

#include <algorithm>

#include "base/file.h"
#include "ort/reader.h"
#include "onnx/writer.h"
#include "quantize/calibration/calibration_file.h"
#include "quantize/equalize.h"
#include "quantize/prepare.h"
#include "quantize/recipe_options.h"
#include "run/state.h"

namespace linnet::quantize {
namespace {

/// Below kPoorDb a tenth of the numbers is error, and a note says so. Below kFairDb biases are corrected where that brings kWorthDb, floor or not.
constexpr double kPoorDb = 20, kFairDb = 25, kWorthDb = 3;
/// Attempts to keep on new samples what was found on those that decided.
constexpr int kAttempts = 6;
/// Samples that are compared at most, that decide, and that correct biases.
constexpr size_t kComparedMax = 256, kDecidingMax = 8, kDecidingSharesMax = 4096, kCorrectingMax = 16;

class Work {
 public:
  Work(FloatModel model, const std::string& output, const Recipe& recipe, Samples* samples, std::span<const int64_t> labels, Watch watch,
       Outcome* outcome)
      : model_(std::move(model.model)), reference_(model_.graph.Clone()), output_(output), recipe_(recipe), samples_(samples), labels_(labels),
        watch_(watch), out_(*outcome) {
    out_.before = model.before;
  }

  Status Run() {
    LINNET_TRY(CheckGiven(recipe_, samples_ != nullptr));
    if (recipe_.min_accuracy && labels_.empty()) return InvalidArgument("a floor on accuracy needs labels (--labels)");
    if (!labels_.empty() && samples_ && static_cast<int64_t>(labels_.size()) != samples_->size()) {
      return InvalidArgument("there are ", labels_.size(), " labels for ", samples_->size(), " samples");
    }
    out_.nodes = CountNodes(model_.graph);
    if (LosesScales(recipe_)) out_.notes.push_back(Cat("opset ", recipe_.opset, " has one scale a tensor where DequantizeLinear reads weights; from 13 on it is one a channel"));
    if (samples_) {
      Split();
      judge_ = std::make_unique<Judge>(reference_, samples_, labels_, recipe_.threads);
      // Some of the samples decide; what is held out only verifies. Shares of samples need them all.
      deciding_ = Spread(calibrating_, labels_.empty() && !recipe_.min_agreement ? kDecidingMax : kDecidingSharesMax);
    }
    LINNET_TRY(recipe_.mode == Mode::kStatic ? Static() : IsHalf(recipe_.mode) ? Half() : Weights());
    LINNET_TRY(Verify());
    Warn();
    return Status();
  }

 private:
  /// Every fourth sample is held out where there are enough.
  void Split() {
    int64_t count = samples_->size();
    if (recipe_.samples > 0) count = std::min(count, recipe_.samples);
    for (int64_t i = 0; i < count; ++i) (count >= 4 && i % 4 == 3 ? held_out_ : calibrating_).push_back(i);
    out_.held_out = !held_out_.empty();
    if (held_out_.empty()) held_out_ = calibrating_;
    if (held_out_.size() > kComparedMax) held_out_.resize(kComparedMax);
    fresh_ = held_out_;
  }

  Status Static() {
    const StaticOptions& options = recipe_.options;
    if (DTypeBits(options.weights) != 8) {
      return InvalidArgument("static quantization has weights of 8 bits; 4 bits are for weights alone (--mode weights)");
    }
    choice_ = {recipe_.calibrator, recipe_.percentile, options.activations, options.symmetric_activations};
    LINNET_TRY(MakeConvolutions(&model_.graph));
    const OnnxModel plain{model_.graph.Clone(), model_.info};
    int pairs = 0;
    if (recipe_.equalize) {
      LINNET_ASSIGN(pairs, EqualizeLayers(&model_.graph));
    }
    LINNET_ASSIGN(nodes_, ChooseNodes(model_.graph, options));
    if (recipe_.equalize) {
      std::string effect;
      if (pairs > 0 && samples_) {
        LINNET_ASSIGN(Score before, Everywhere(plain));
        LINNET_ASSIGN(Score after, Everywhere(model_));
        effect = Effect(before, after);
      }
      out_.notes.push_back(Cat(pairs, " pairs of layers equalised", effect));
    }
    if (!samples_) return ByTable();
    out_.calibrated = static_cast<int64_t>(calibrating_.size());
    LINNET_ASSIGN(calibration_, Calibration::Make(model_.graph, ValuesToObserve(model_.graph, nodes_), recipe_.threads));
    Seeing seeing{recipe_.table, recipe_.resume};
    LINNET_TRY(Calibrate(calibration_.get(), samples_, calibrating_, watch_, &seeing));
    out_.resumed = seeing.resumed;
    for (std::string& doubt : calibration_->Doubts(seeing.alike)) out_.notes.push_back(std::move(doubt));
    calibrators_ = {recipe_.calibrator};
    if (recipe_.asks()) {
      for (Calibrator other : {Calibrator::kMse, Calibrator::kPercentile, Calibrator::kEntropy}) {
        if (other != recipe_.calibrator) calibrators_.push_back(other);
      }
    }
    LINNET_TRY(Attempts());
    if (recipe_.table.empty()) return Status();
    LINNET_TRY(WriteCalibration(recipe_.table, ranges_, calibration_.get()));
    remove(PartialOf(recipe_.table).c_str());
    return Status();
  }

  /// `model` with 8 bits everywhere, calibrated and scored on a few of the samples that decide.
  Result<Score> Everywhere(const OnnxModel& model) {
    const std::vector<int64_t> few = Spread(deciding_, kDecidingMax);
    LINNET_ASSIGN(std::unique_ptr<Calibration> seen, Calibration::Make(model.graph, ValuesToObserve(model.graph, nodes_), recipe_.threads));
    LINNET_TRY(Calibrate(seen.get(), samples_, few, watch_));
    LINNET_ASSIGN(RangeTable ranges, seen->Choose(choice_));
    OnnxModel quantized{model.graph.Clone(), model.info};
    LINNET_TRY(QuantizeStatic(&quantized, nodes_, ranges, recipe_.options));
    return judge_->Of(quantized.graph, few);
  }

  /// Without samples: ranges that were saved.
  Status ByTable() {
    if (recipe_.table.empty()) return InvalidArgument("static quantization needs samples (--data), or a table (--table) that was saved before");
    LINNET_ASSIGN(ranges_, ReadCalibration(recipe_.table, nullptr));
    out_.calibrator = "table";
    out_.quantized_nodes = CountQuantized(nodes_);
    LINNET_TRY(QuantizeStatic(&model_, nodes_, ranges_, recipe_.options));
    return Commit(model_, FloorOf(recipe_), true).TakeStatus();
  }

  /// The modes in which layers are chosen: what has the precision asked for, and then what must not.
  Result<Decision> DecideOnce(const Floor& aim) {
    Decision best{nodes_, choice_.calibrator};
    if (recipe_.as_is && !recipe_.asks()) {
      best.met = true;
      if (calibration_) {
        LINNET_ASSIGN(best.ranges, calibration_->Choose(choice_));
      }
      return best;
    }
    if (calibration_) {
      LINNET_ASSIGN(best, ChooseCalibrator(model_, nodes_, recipe_.options, *calibration_, choice_, calibrators_, aim, judge_.get(), deciding_, watch_));
      if (!best.met || best.score.sqnr_db < kFairDb) LINNET_TRY(Improve(aim, &best));
    } else {
      LINNET_ASSIGN(OnnxModel all, Plainly(nodes_));
      LINNET_ASSIGN(best.score, judge_->Of(all.graph, deciding_));
      best.met = best.score.Meets(aim);
    }
    LINNET_ASSIGN(best.layers, CountLayers(model_, nodes_));
    if (best.met || recipe_.as_is) return best;
    ranges_ = best.ranges;
    auto plain = [&](const NodePrecisions& nodes) { return Plainly(nodes); };
    auto corrected = [&](const NodePrecisions& nodes) { return WithCorrectedBiases(nodes); };
    const Maker makers[] = {plain, corrected};
    LINNET_TRY(SearchLayers(model_, {makers, Corrects() ? size_t{2} : size_t{1}}, calibration_ != nullptr, aim, judge_.get(), deciding_, &known_, watch_, &best));
    return best;
  }

  /// What may help 8 bits everywhere beyond calibrators, in order of cost: corrected biases, then equalised layers and both.
  Status Improve(const Floor& aim, Decision* best) {
    LINNET_TRY(TryCorrection(aim, best));
    // A table of an equalised model would not fit the model as it is.
    if (best->met || recipe_.equalize || equalized_tried_ || !recipe_.table.empty()) return Status();
    equalized_tried_ = true;
    OnnxModel scaled{model_.graph.Clone(), model_.info};
    LINNET_ASSIGN(int pairs, EqualizeLayers(&scaled.graph));
    if (pairs == 0) return Status();
    LINNET_ASSIGN(Score before, Everywhere(model_));
    LINNET_ASSIGN(Score after, Everywhere(scaled));
    if (!(after.sqnr_db > before.sqnr_db)) return Status();
    LINNET_ASSIGN(std::unique_ptr<Calibration> seen, Calibration::Make(scaled.graph, ValuesToObserve(scaled.graph, nodes_), recipe_.threads));
    LINNET_TRY(Calibrate(seen.get(), samples_, calibrating_, watch_));
    LINNET_ASSIGN(Decision other, ChooseCalibrator(scaled, nodes_, recipe_.options, *seen, choice_, calibrators_, aim, judge_.get(), deciding_, watch_));
    if (!(other.score.sqnr_db > best->score.sqnr_db)) return Status();
    model_ = std::move(scaled), calibration_ = std::move(seen), equalized_ = true;
    corrected_.reset(), known_ = {};
    fixed_notes_.push_back(Cat(pairs, " pairs of layers equalised", Effect(before, after)));
    *best = std::move(other);
    return best->met ? Status() : TryCorrection(aim, best);
  }
  Status TryCorrection(const Floor& aim, Decision* best) {
    ranges_ = best->ranges;
    corrected_.reset();
    LINNET_TRY(Correct(best->nodes));
    corrected_->nearer = corrected_->nearer && (!best->met || corrected_->score.sqnr_db >= best->score.sqnr_db + kWorthDb);
    if (!corrected_->nearer) return Status();
    best->score = corrected_->score;
    best->met = best->score.Meets(aim);
    return Status();
  }

  void Note(const Decision& decision) {
    out_.calibrator = CalibratorName(decision.calibrator);
    out_.by_weights = decision.by_weights;
    out_.in_float = decision.in_float;
    const std::pair<const char*, const std::vector<std::string>*> kinds[] = {
        {"float, but for 8-bit weights, in ", &decision.by_weights}, {"float in ", &decision.in_float}};
    for (const auto& [what, names] : kinds) {
      if (!names->empty()) out_.notes.push_back(Cat(what, names->size(), " of ", decision.layers, " layers: ", Listed(*names)));
    }
  }

  /// The model with `nodes` as integers, or in half precision.
  Result<OnnxModel> Plainly(const NodePrecisions& nodes) {
    OnnxModel made{model_.graph.Clone(), model_.info};
    if (recipe_.mode == Mode::kStatic) {
      LINNET_TRY(QuantizeStatic(&made, nodes, ranges_, recipe_.options));
      out_.quantized_nodes = CountQuantized(nodes);
    } else {
      LINNET_ASSIGN(out_.quantized_nodes, ConvertToHalf(&made, HalfOptionsOf(recipe_), &nodes));
    }
    return made;
  }

  struct Corrected {
    NodePrecisions nodes;
    OnnxModel model;
    Score score;
    bool nearer = false;
    std::string note;
  };
  /// The model with `nodes` as integers and biases corrected, of so many layers.
  Result<OnnxModel> WithCorrectedBiases(const NodePrecisions& nodes, int* layers = nullptr) {
    OnnxModel corrected{model_.graph.Clone(), model_.info};
    LINNET_ASSIGN(int count, CorrectBiases(&corrected, nodes, ranges_, recipe_.options, samples_, Spread(calibrating_, kCorrectingMax),
                                           recipe_.threads, watch_));
    if (layers) *layers = count;
    LINNET_TRY(QuantizeStatic(&corrected, nodes, ranges_, recipe_.options));
    return corrected;
  }
  /// Corrects them where that brings what was decided nearer.
  Status Correct(const NodePrecisions& nodes) {
    if (corrected_ && corrected_->nodes == nodes) return Status();
    int layers = 0;
    LINNET_ASSIGN(OnnxModel corrected, WithCorrectedBiases(nodes, &layers));
    LINNET_ASSIGN(OnnxModel quantized, Plainly(nodes));
    LINNET_ASSIGN(Score before, judge_->Of(quantized.graph, deciding_));
    LINNET_ASSIGN(Score after, judge_->Of(corrected.graph, deciding_));
    const bool nearer = after.sqnr_db >= before.sqnr_db;
    corrected_ = Corrected{nodes, std::move(corrected), after, nearer,
                           Cat("biases of ", layers, " layers corrected", Effect(before, after), nearer ? "" : "; left as they were")};
    return Status();
  }

  /// Whether that was asked for, or is known to help.
  bool Corrects() const { return recipe_.mode == Mode::kStatic && (recipe_.correct_bias || (corrected_ && corrected_->nearer)); }

  /// The same with biases corrected where that brings it nearer.
  Result<OnnxModel> Made(const NodePrecisions& nodes) {
    LINNET_ASSIGN(OnnxModel quantized, Plainly(nodes));
    if (!Corrects()) return quantized;
    LINNET_TRY(Correct(nodes));
    out_.notes.push_back(corrected_->note);
    return corrected_->nearer ? OnnxModel{corrected_->model.graph.Clone(), corrected_->model.info} : std::move(quantized);
  }

  Status Attempts() {
    const Floor floor = FloorOf(recipe_);
    Floor aim = floor;
    fixed_notes_ = out_.notes;
    for (int attempt = 1;; ++attempt) {
      LINNET_ASSIGN(Decision decision, DecideOnce(aim));
      if (!decision.met && recipe_.asks()) {
        return Refuse(recipe_.as_is ? "with no layer in more bits (--as-is) the floor is not met" : "no choice of layers that was tried meets the floor", "the best", decision.score,
                      recipe_.as_is ? "" : CostMost(decision));
      }
      ranges_ = decision.ranges;
      out_.notes = fixed_notes_;
      Note(decision);
      LINNET_ASSIGN(OnnxModel quantized, Made(decision.nodes));
      if (out_.quantized_nodes == 0) {
        return InvalidArgument("no layer can be quantized without falling below ", floor.sqnr_db, " dB", Outlier("; "), judge_->Unsteady(deciding_));
      }
      const bool last = attempt == kAttempts;
      LINNET_ASSIGN(bool written, Commit(quantized, floor, last && !recipe_.asks()));
      if (written) return Status();
      if (last) {
        return Refuse("on samples that decided nothing the floor is not kept", "it", out_.score,
                      Cat(CostMost(decision), "; more and more varied samples may help"));
      }
      // What decided was seen before; ask more of it than of what is new: as much as is missing there.
      if (aim.sqnr_db > 0) {
        LINNET_ASSIGN(bool learned, Learn(quantized.graph));
        Score now = decision.score;
        if (learned) {
          LINNET_ASSIGN(now, judge_->Of(quantized.graph, deciding_));
        }
        aim.sqnr_db = now.sqnr_db + std::max(floor.sqnr_db - out_.score.sqnr_db, 0.0) + 0.5;
      }
      aim.top1_agreement = aim.top1_agreement < 0 ? -1 : (1 + aim.top1_agreement) / 2;
      aim.accuracy = aim.accuracy < 0 ? -1 : aim.accuracy + 0.002;
    }
  }

  /// The worst of the samples held out decide from now on too, as those before may all be easy; half of them never do.
  Result<bool> Learn(const Graph& candidate) {
    const size_t some = std::clamp<size_t>(held_out_.size() / 4, 1, kDecidingMax / 2);
    if (!out_.held_out || fresh_.size() < (held_out_.size() + 1) / 2 + some) return false;
    std::vector<std::pair<double, int64_t>> worst;
    for (int64_t i : fresh_) {
      LINNET_ASSIGN(Score score, judge_->Of(candidate, {i}));
      worst.push_back({score.sqnr_db, i});
    }
    std::sort(worst.begin(), worst.end());
    for (size_t i = 0; i < some; ++i) {
      deciding_.insert(deciding_.begin(), worst[i].second);
      std::erase(fresh_, worst[i].second);
    }
    known_ = {}, corrected_.reset(), equalized_tried_ = equalized_;
    fixed_notes_.push_back(Cat("of ", held_out_.size(), " samples held out, ", held_out_.size() - fresh_.size(), " decided too: those before were easier"));
    return true;
  }

  Status Refuse(const char* what, const char* who, const Score& score, const std::string& more) {
    out_.refused = true;
    return InvalidArgument(what, "; ", who, " has only ", ScoreText(score), more, Outlier("; "), judge_->Unsteady(deciding_));
  }
  /// What a few numbers beyond all others do to a range, behind `before`; or nothing.
  std::string Outlier(const char* before) const {
    const std::string found = calibration_ ? calibration_->Outlier() : "";
    return found.empty() ? found : before + found;
  }

  /// Writes the model. What will be the file is read again and run on what was held out, before there is a file: a broken promise leaves
  /// none, whatever ends the process. False when it falls below `floor`, and then nothing is written unless it is wanted `anyway`.
  Result<bool> Commit(const OnnxModel& model, const Floor& floor, bool anyway) {
    std::string bytes;
    LINNET_TRY(WriteOnnx(model, bytes));
    if (judge_ && (recipe_.asks() || (!recipe_.as_is && LayersAreChosen()))) {
      LINNET_ASSIGN(OnnxModel again, ReadOnnxBytes(std::as_bytes(std::span<const char>(bytes))));
      LINNET_ASSIGN(out_.score, judge_->Of(again.graph, held_out_, Judge::Caution::kTheseSamples));
      if (out_.score.Meets(floor) && fresh_.size() < held_out_.size()) {   // and so it must where nothing was decided
        LINNET_ASSIGN(out_.score, judge_->Of(again.graph, fresh_, Judge::Caution::kTheseSamples));
      }
      if (!out_.score.Meets(floor) && !anyway) return false;
    }
    LINNET_TRY(WriteFileAtomically(output_, [&](Sink& sink) { return sink.Append(bytes); }));
    return true;
  }
  bool LayersAreChosen() const { return recipe_.mode == Mode::kStatic || IsHalf(recipe_.mode); }

  Status Half() {
    const HalfOptions options = HalfOptionsOf(recipe_);
    if (recipe_.mode == Mode::kBfloat16) {
      out_.notes.push_back("ONNX Runtime has no convolutions, pools and recurrent operators on bfloat16 for processors: it may refuse this file");
    }
    if (samples_) {
      LINNET_TRY(options.keep.Check(model_.graph));
      nodes_ = ChooseHalfNodes(&model_, options);
      OnnxModel trial{model_.graph.Clone(), model_.info};
      LINNET_TRY(ConvertToHalf(&trial, options).TakeStatus());   // there is something to convert
      return Attempts();
    }
    LINNET_ASSIGN(out_.quantized_nodes, ConvertToHalf(&model_, options));
    return Commit(model_, FloorOf(recipe_), true).TakeStatus();
  }

  /// The modes that need no data and choose nothing by it; with some the result is compared all the same.
  Status Weights() {
    const StaticOptions& options = recipe_.options;
    const Selection selection{options.include, options.exclude};
    if (recipe_.mode == Mode::kDynamic) {
      if (DTypeBits(options.weights) != 8) return InvalidArgument("dynamic quantization has weights of 8 bits");
      LINNET_ASSIGN(out_.quantized_nodes,
                    QuantizeDynamic(&model_, {options.weights, options.per_channel, options.reduced_weights, options.format, selection}));
    } else {
      LINNET_ASSIGN(out_.quantized_nodes, QuantizeWeightsOnly(&model_, {options.weights, recipe_.block_size, recipe_.rounding, options.per_channel,
                                                                        options.symmetric_weights, options.format, selection}));
    }
    LINNET_ASSIGN(bool written, Commit(model_, FloorOf(recipe_), false));
    if (written) return Status();
    return Refuse("this mode does not meet the floor", "it", out_.score, "; --mode static, fp16 and bf16 choose layers that stay more exact");
  }

  /// Reads the file that was written and runs it beside the float model.
  Status Verify() {
    LINNET_ASSIGN(OnnxModel written, ReadOnnxFile(output_));
    out_.after = CountConstants(written.graph);
    LINNET_ASSIGN(std::unique_ptr<GraphRunner> actual, GraphRunner::Make(written.graph, {}, recipe_.threads));
    if (!samples_) return Status();
    LINNET_ASSIGN(std::unique_ptr<GraphRunner> reference, GraphRunner::Make(reference_, {}, recipe_.threads));
    LINNET_ASSIGN(out_.agreements, CompareOutputs(reference.get(), actual.get(), samples_, held_out_, watch_, labels_));
    out_.score = ScoreOf(out_.agreements);
    if (out_.score.accuracy >= 0) out_.reference_accuracy = out_.score.reference_accuracy;
    out_.compared = static_cast<int64_t>(held_out_.size());
    out_.held = held_out_;
    for (ValueId id : reference_.outputs()) out_.output_names.push_back(reference_.value(id).name);
    return Status();
  }

  /// Files that were wanted all the same are no good, or nearly.
  void Warn() {
    int64_t lost = 0;
    for (const Agreement& one : out_.agreements) lost += one.reference_not_finite;
    if (lost > 0) out_.notes.push_back(Cat("warning: ", lost, " numbers of the float model's own outputs are not finite, and were not compared"));
    if (!samples_ || !(out_.score.sqnr_db < kPoorDb)) return;
    char text[64];
    snprintf(text, sizeof text, "warning: only %.1f dB: ", out_.score.sqnr_db);
    const bool told = !calibration_ || !calibration_->Doubts(false).empty();
    out_.notes.push_back(Cat(out_.score.sqnr_db < -1e300 ? "warning: outputs are not finite: " : text, "the answers are far from the float model's",
                             recipe_.as_is ? "; without --as-is the layers that cost most stay more exact" : "", told ? "" : Outlier("; "), judge_->Unsteady(deciding_)));
  }

  OnnxModel model_;
  const Graph reference_;              ///< as it was opened
  const std::string& output_;
  const Recipe& recipe_;
  Samples* samples_;
  std::span<const int64_t> labels_;
  Watch watch_;
  Outcome& out_;
  std::vector<int64_t> calibrating_, held_out_, deciding_;
  std::vector<int64_t> fresh_;         ///< of those held out, what has decided nothing
  NodePrecisions nodes_;               ///< what could be quantized
  std::unique_ptr<Calibration> calibration_;
  CalibrationChoice choice_;
  std::vector<Calibrator> calibrators_;
  RangeTable ranges_;
  std::unique_ptr<Judge> judge_;
  Sensitivities known_;
  std::optional<Corrected> corrected_;
  bool equalized_tried_ = false, equalized_ = false;
  std::vector<std::string> fixed_notes_;   ///< those that every attempt keeps
};

}  // namespace

Result<FloatModel> OpenFloatModel(const std::string& path, const Recipe& recipe) {
  FloatModel out;
  LINNET_TRY(CheckOpset(recipe));
  LINNET_ASSIGN(out.model, ReadModelFile(path));
  out.before = CountConstants(out.model.graph);
  const bool asked = recipe.opset > 0;
  LINNET_TRY(Prepare(&out.model, asked ? recipe.opset : std::max(NeededOpset(recipe), kOpsetPerChannel), asked).At(Quote(path)));
  return out;
}

Status QuantizeModel(FloatModel model, const std::string& output, const Recipe& recipe, Samples* samples, std::span<const int64_t> labels,
                     Watch watch, Outcome* outcome) {
  return Work(std::move(model), output, recipe, samples, labels, watch, outcome).Run();
}

}  // namespace linnet::quantize
