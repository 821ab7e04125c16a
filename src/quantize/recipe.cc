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
#include "run/state.h"

namespace linnet::quantize {
namespace {

constexpr const char* kModes[] = {"static", "dynamic", "weights", "fp16", "bf16"};

/// Without a wish: about what 8 bits give a model that takes to them.
constexpr double kUsualDb = 20.5;
/// Attempts to keep on new samples what was found on those that decided.
constexpr int kAttempts = 3;
/// Samples that are compared at most, that decide, and that correct biases.
constexpr size_t kComparedMax = 256, kDecidingMax = 8, kDecidingSharesMax = 4096, kCorrectingMax = 16;

Floor FloorOf(const Recipe& recipe) {
  Floor floor;
  if (recipe.min_sqnr_db) floor.sqnr_db = *recipe.min_sqnr_db;
  if (recipe.min_agreement) floor.top1_agreement = *recipe.min_agreement;
  if (recipe.min_accuracy) floor.accuracy = *recipe.min_accuracy;
  if (!recipe.asks() && !recipe.as_is) floor.sqnr_db = kUsualDb;
  return floor;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < 12; ++i) out += (i > 0 ? ", " : "") + names[i];
  return names.size() > 12 ? Cat(out, " and ", names.size() - 12, " more") : out;
}

std::string ScoreText(const Score& score) {
  char text[128];
  snprintf(text, sizeof text, "SQNR %.1f dB, top-1 agreement %.4f", score.sqnr_db, score.top1_agreement);
  std::string out = text;
  if (score.accuracy < 0) return out;
  snprintf(text, sizeof text, ", accuracy %.4f", score.accuracy);
  return out + text;
}

int64_t CountQuantized(const NodePrecisions& nodes) {
  return std::count_if(nodes.begin(), nodes.end(), [](Precision precision) { return precision != Precision::kFloat; });
}

/// `most` of `from` at most, spread evenly.
std::vector<int64_t> Spread(const std::vector<int64_t>& from, size_t most) {
  std::vector<int64_t> out;
  const size_t step = std::max<size_t>(from.size() / most, 1);
  for (size_t i = 0; i < from.size() && out.size() < most; i += step) out.push_back(from[i]);
  return out;
}

class Work {
 public:
  Work(FloatModel model, const std::string& output, const Recipe& recipe, Samples* samples, std::span<const int64_t> labels, Watch watch,
       Outcome* outcome)
      : model_(std::move(model.model)), reference_(model_.graph.Clone()), output_(output), recipe_(recipe), samples_(samples), labels_(labels),
        watch_(watch), out_(*outcome) {
    out_.before = model.before;
  }

  Status Run() {
    if (samples_) Split();
    if (recipe_.mode == Mode::kStatic) {
      LINNET_TRY(Static());
    } else {
      calibrating_.clear();
      if (recipe_.asks()) return InvalidArgument("a floor on accuracy goes with static quantization");
      if (recipe_.equalize || recipe_.correct_bias) return InvalidArgument("equalisation and bias correction go with static quantization");
      if (recipe_.options.reduced_weights && recipe_.mode != Mode::kDynamic) return InvalidArgument("a reduced range goes with static and dynamic quantization");
      LINNET_TRY(WithoutData());
    }
    return Verify();
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
  }

  Status Static() {
    const StaticOptions& options = recipe_.options;
    if (DTypeBits(options.weights) != 8) {
      return InvalidArgument("static quantization has weights of 8 bits; 4 bits are for weights alone (--mode weights)");
    }
    if (recipe_.equalize) {
      LINNET_ASSIGN(int pairs, EqualizeLayers(&model_.graph));
      out_.notes.push_back(Cat(pairs, " pairs of layers equalised"));
    }
    LINNET_ASSIGN(nodes_, ChooseNodes(model_.graph, options));
    out_.nodes = static_cast<int64_t>(nodes_.size());
    if (recipe_.min_accuracy && labels_.empty()) return InvalidArgument("a floor on accuracy needs labels (--labels)");
    if (!labels_.empty() && samples_ && static_cast<int64_t>(labels_.size()) != samples_->size()) {
      return InvalidArgument("there are ", labels_.size(), " labels for ", samples_->size(), " samples");
    }
    if (!samples_) return ByTable();
    out_.calibrated = static_cast<int64_t>(calibrating_.size());
    LINNET_ASSIGN(calibration_, Calibration::Make(model_.graph, ValuesToObserve(model_.graph, nodes_), recipe_.threads));
    LINNET_TRY(See());
    choice_ = {recipe_.calibrator, recipe_.percentile, options.activations, options.symmetric_activations};
    calibrators_ = {recipe_.calibrator};
    if (recipe_.asks()) {
      for (Calibrator other : {Calibrator::kMse, Calibrator::kPercentile}) {
        if (other != recipe_.calibrator) calibrators_.push_back(other);
      }
    }
    judge_ = std::make_unique<Judge>(reference_, samples_, labels_, recipe_.threads);
    // Some of the samples decide; what is held out only verifies. Shares of samples need them all.
    deciding_ = Spread(calibrating_, labels_.empty() && !recipe_.min_agreement ? kDecidingMax : kDecidingSharesMax);
    LINNET_TRY(Attempts());
    if (recipe_.table.empty()) return Status();
    LINNET_TRY(WriteCalibration(recipe_.table, ranges_, calibration_.get()));
    remove(Partial().c_str());
    return Status();
  }

  /// Without samples: ranges that were saved.
  Status ByTable() {
    if (recipe_.table.empty()) return InvalidArgument("static quantization needs samples (--data), or a table (--table) that was saved before");
    if (recipe_.asks()) return InvalidArgument("a floor on accuracy needs samples (--data) to measure it");
    if (recipe_.correct_bias) return InvalidArgument("bias correction needs samples (--data)");
    if (recipe_.resume) return InvalidArgument("going on with a calibration needs its samples (--data)");
    LINNET_ASSIGN(ranges_, ReadCalibration(recipe_.table, nullptr));
    out_.calibrator = "table";
    out_.quantized_nodes = CountQuantized(nodes_);
    LINNET_TRY(QuantizeStatic(&model_, nodes_, ranges_, recipe_.options));
    return Write(model_);
  }

  /// What was seen while calibration is not through: the table itself stays as it was until then.
  std::string Partial() const { return recipe_.table + ".partial"; }

  /// Runs the samples through calibration. With a table, what was seen is saved now and then and when it fails, and can be gone on from.
  Status See() {
    std::vector<std::string> names;
    for (int64_t i : calibrating_) names.push_back(samples_->Name(i));
    if (recipe_.resume) LINNET_TRY(Resume(names));
    const Status seen = SeeRest(names);
    if (!seen.ok() && !recipe_.table.empty() && calibration_->samples() > 0) {
      LINNET_TRY(WriteCalibration(Partial(), {}, calibration_.get()));
    }
    return seen.Clone();
  }
  Status Resume(const std::vector<std::string>& names) {
    if (recipe_.table.empty()) return InvalidArgument("going on with a calibration needs its table (--table)");
    const bool partial = MappedFile::Open(Partial()).ok();
    const std::string from = partial ? Partial() : recipe_.table;
    LINNET_TRY(ReadCalibration(from, calibration_.get()).TakeStatus());
    // What was seen must be what is to be seen, whatever is still missing of it.
    for (const std::string& seen : calibration_->sample_names()) {
      if (std::find(names.begin(), names.end(), seen) == names.end()) {
        return InvalidArgument(Quote(from), " has seen ", Quote(seen), ", which is not among the samples to calibrate with");
      }
    }
    out_.resumed = calibration_->samples();
    return Status();
  }
  Status SeeRest(const std::vector<std::string>& names) {
    constexpr int64_t kSaveNs = 5'000'000'000;
    int64_t saved = MonotonicNs(), done = out_.resumed;
    for (size_t i = 0; i < calibrating_.size(); ++i) {
      if (calibration_->HasSeen(names[i])) continue;
      watch_("calibrating", done++, static_cast<int64_t>(calibrating_.size()));
      LINNET_ASSIGN(std::vector<Datum> sample, samples_->Load(calibrating_[i]));
      LINNET_TRY(calibration_->Add(sample, names[i]).At(names[i]));
      if (recipe_.table.empty() || MonotonicNs() - saved < kSaveNs) continue;
      LINNET_TRY(WriteCalibration(Partial(), {}, calibration_.get()));
      saved = MonotonicNs();
    }
    return Status();
  }

  Result<Decision> DecideOnce(const Floor& aim) {
    if (recipe_.as_is) {
      Decision decision{nodes_, choice_.calibrator};
      decision.met = true;
      LINNET_ASSIGN(decision.ranges, calibration_->Choose(choice_));
      return decision;
    }
    return Decide(model_, nodes_, recipe_.options, *calibration_, choice_, calibrators_, aim, judge_.get(), deciding_, &known_, watch_);
  }

  void Note(const Decision& decision) {
    out_.calibrator = CalibratorName(decision.calibrator);
    out_.wide = decision.wide;
    out_.in_float = decision.in_float;
    if (!decision.wide.empty()) {
      out_.notes.push_back(Cat("16-bit activations in ", decision.wide.size(), " of ", decision.layers, " layers: ", Listed(decision.wide)));
    }
    if (!decision.in_float.empty()) {
      out_.notes.push_back(Cat("float in ", decision.in_float.size(), " of ", decision.layers, " layers: ", Listed(decision.in_float)));
    }
  }

  /// The model with `nodes` as integers; biases are corrected where that brings it nearer.
  Result<OnnxModel> Made(const NodePrecisions& nodes) {
    OnnxModel quantized{model_.graph.Clone(), model_.info};
    LINNET_TRY(QuantizeStatic(&quantized, nodes, ranges_, recipe_.options));
    if (!recipe_.correct_bias) return quantized;
    OnnxModel corrected{model_.graph.Clone(), model_.info};
    LINNET_ASSIGN(int layers, CorrectBiases(&corrected, nodes, ranges_, recipe_.options, samples_, Spread(calibrating_, kCorrectingMax),
                                            recipe_.threads, watch_));
    LINNET_TRY(QuantizeStatic(&corrected, nodes, ranges_, recipe_.options));
    LINNET_ASSIGN(Score before, judge_->Of(quantized.graph, deciding_));
    LINNET_ASSIGN(Score after, judge_->Of(corrected.graph, deciding_));
    const bool nearer = after.sqnr_db >= before.sqnr_db;
    char text[128];
    snprintf(text, sizeof text, "biases of %d layers corrected: %.1f dB -> %.1f dB on calibration samples%s", layers, before.sqnr_db, after.sqnr_db,
             nearer ? "" : "; left as they were");
    out_.notes.push_back(text);
    return nearer ? std::move(corrected) : std::move(quantized);
  }

  Status Attempts() {
    const Floor floor = FloorOf(recipe_);
    Floor aim = floor;
    const std::vector<std::string> notes = out_.notes;
    for (int attempt = 1;; ++attempt) {
      LINNET_ASSIGN(Decision decision, DecideOnce(aim));
      if (!decision.met && recipe_.asks()) {
        out_.refused = true;
        return InvalidArgument("no choice of layers meets the floor; the best has ", ScoreText(decision.score), "; the layers that cost most: ",
                               Listed(decision.in_float.empty() ? decision.wide : decision.in_float));
      }
      ranges_ = decision.ranges;
      out_.notes = notes;
      Note(decision);
      out_.quantized_nodes = CountQuantized(decision.nodes);
      if (out_.quantized_nodes == 0) return InvalidArgument("no layer can be quantized without falling below ", floor.sqnr_db, " dB");
      LINNET_ASSIGN(OnnxModel quantized, Made(decision.nodes));
      // What will be the file is read again and run on what was held out, before there is a file: a broken promise leaves none,
      // whatever ends the process.
      std::string bytes;
      LINNET_TRY(WriteOnnx(quantized, bytes));
      bool kept = true;
      if (!recipe_.as_is) {
        LINNET_ASSIGN(OnnxModel again, ReadOnnxBytes(std::as_bytes(std::span<const char>(bytes))));
        LINNET_ASSIGN(out_.score, judge_->Of(again.graph, held_out_));
        kept = out_.score.Meets(floor);
      }
      if (!kept && attempt == kAttempts && recipe_.asks()) {
        out_.refused = true;
        return InvalidArgument("on samples that were not used to calibrate it has only ", ScoreText(out_.score),
                               "; more and more varied samples may help. ", out_.notes.empty() ? "" : out_.notes[0]);
      }
      if (kept || attempt == kAttempts) {
        return WriteFileAtomically(output_, [&](Sink& sink) { return sink.Append(bytes); });
      }
      // What decided was seen in calibration; ask more of it than of what is new.
      if (aim.sqnr_db > 0) aim.sqnr_db = decision.score.sqnr_db + std::max(floor.sqnr_db - out_.score.sqnr_db, 0.0) + 0.5;
      aim.top1_agreement = aim.top1_agreement < 0 ? -1 : (1 + aim.top1_agreement) / 2;
      aim.accuracy = aim.accuracy < 0 ? -1 : aim.accuracy + 0.002;
    }
  }

  /// The modes that need no data; with some the result is compared all the same.
  Status WithoutData() {
    out_.nodes = model_.graph.node_count();
    OnnxModel quantized{model_.graph.Clone(), model_.info};
    const StaticOptions& options = recipe_.options;
    const Selection selection{options.include, options.exclude};
    Result<int> changed = 0;
    if (recipe_.mode == Mode::kDynamic) {
      if (DTypeBits(options.weights) != 8) return InvalidArgument("dynamic quantization has weights of 8 bits");
      changed = QuantizeDynamic(&quantized, {options.weights, options.per_channel, options.reduced_weights, options.format, selection});
    } else if (recipe_.mode == Mode::kWeights) {
      changed = QuantizeWeightsOnly(&quantized, {options.weights, recipe_.block_size, recipe_.rounding, options.format, selection});
    } else {
      changed = ConvertToHalf(&quantized, {recipe_.mode == Mode::kFloat16 ? DType::kFloat16 : DType::kBfloat16, selection});
    }
    if (!changed.ok()) return changed.TakeStatus();
    out_.quantized_nodes = *changed;
    return Write(quantized);
  }

  Status Write(const OnnxModel& model) {
    return WriteFileAtomically(output_, [&](Sink& sink) { return WriteOnnx(model, sink); });
  }

  /// Reads the file that was written and runs it beside the float model.
  Status Verify() {
    LINNET_ASSIGN(OnnxModel written, ReadOnnxFile(output_));
    out_.after = CountConstants(written.graph);
    LINNET_ASSIGN(std::unique_ptr<GraphRunner> actual, GraphRunner::Make(written.graph, {}, recipe_.threads));
    if (!samples_) return Status();
    LINNET_ASSIGN(std::unique_ptr<GraphRunner> reference, GraphRunner::Make(reference_, {}, recipe_.threads));
    LINNET_ASSIGN(out_.agreements, CompareOutputs(reference.get(), actual.get(), samples_, held_out_, watch_));
    out_.compared = static_cast<int64_t>(held_out_.size());
    out_.held = held_out_;
    for (ValueId id : reference_.outputs()) out_.output_names.push_back(reference_.value(id).name);
    return Status();
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
  NodePrecisions nodes_;               ///< what could be quantized
  std::unique_ptr<Calibration> calibration_;
  CalibrationChoice choice_;
  std::vector<Calibrator> calibrators_;
  RangeTable ranges_;
  std::unique_ptr<Judge> judge_;
  Sensitivities known_;
};

}  // namespace

bool ModeFromName(std::string_view name, Mode* out) {
  for (size_t i = 0; i < std::size(kModes); ++i) {
    if (name != kModes[i]) continue;
    *out = static_cast<Mode>(i);
    return true;
  }
  return false;
}
const char* ModeName(Mode mode) { return kModes[static_cast<size_t>(mode)]; }

bool TypeFromName(std::string_view name, DType* out) {
  constexpr std::pair<const char*, DType> kTypes[] = {{"u8", DType::kUint8},   {"s8", DType::kInt8},  {"u16", DType::kUint16},
                                                      {"s16", DType::kInt16}, {"u4", DType::kUint4}, {"s4", DType::kInt4}};
  for (const auto& [known, dtype] : kTypes) {
    if (name != known) continue;
    *out = dtype;
    return true;
  }
  return false;
}

Result<FloatModel> OpenFloatModel(const std::string& path, const Recipe& recipe) {
  FloatModel out;
  LINNET_ASSIGN(out.model, ReadModelFile(path));
  out.before = CountConstants(out.model.graph);
  // DequantizeLinear has 4-bit blocks since version 21.
  const bool small = DTypeBits(recipe.options.weights) == 4 && recipe.options.format == Format::kQdq;
  const int least = recipe.mode == Mode::kBfloat16 ? kOpsetBfloat16 : small ? kOpsetSmallAndWide : kOpsetPerChannel;
  LINNET_TRY(Prepare(&out.model, std::max(recipe.opset, least)).At(Quote(path)));
  return out;
}

Status QuantizeModel(FloatModel model, const std::string& output, const Recipe& recipe, Samples* samples, std::span<const int64_t> labels,
                     Watch watch, Outcome* outcome) {
  return Work(std::move(model), output, recipe, samples, labels, watch, outcome).Run();
}

}  // namespace linnet::quantize
