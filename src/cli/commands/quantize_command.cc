// linnet quantize: a float model becomes a smaller one in integers or half precision, calibrated, written and compared.
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "api/full_build.h"
#include "base/number_text.h"
#include "cli/commands/commands.h"
#include "cli/json.h"
#include "cli/data/preprocessing_flags.h"
#include "cli/progress_watch.h"
#include "cli/quantize_report.h"
#include "cli/data/samples.h"
#include "cli/units.h"
#include "onnx/writer.h"
#include "quantize/prepare.h"
#include "quantize/contract.h"
#include "quantize/dynamic.h"
#include "quantize/quantize.h"

namespace linnet::cli {
namespace {

namespace fs = std::filesystem;
using quantize::Precision;

struct QuantizeArguments {
  std::string model, output, mode = "static", calibrate = "likely", activations = "u8", weights = "s8", table, labels;
  std::vector<std::string> data, include, exclude;
  PreprocessingFlags preprocessing;
  double percentile = 99.999;
  int64_t samples = 0;
  double min_sqnr = NAN, min_agreement = NAN, min_accuracy = NAN;
  int threads = 0, opset = 0;
  int block = 32;
  std::string format = "qdq", rounding = "squares";
  bool plain = false, as_is = false, per_tensor = false, symmetric = false, asymmetric_weights = false, json = false;

  /// Whether a floor on accuracy was given.
  bool Asks() const { return !std::isnan(min_sqnr) || !std::isnan(min_agreement) || !std::isnan(min_accuracy); }
};

DType TypeOf(const std::string& name) {
  if (name == "u8") return DType::kUint8;
  if (name == "s8") return DType::kInt8;
  if (name == "u16") return DType::kUint16;
  if (name == "s16") return DType::kInt16;
  return name == "u4" ? DType::kUint4 : DType::kInt4;
}

quantize::Format FormatOf(const QuantizeArguments& arguments) {
  return arguments.format == "qoperator" ? quantize::Format::kQOperator : quantize::Format::kQdq;
}

quantize::BlockRounding RoundingOf(const QuantizeArguments& arguments) {
  if (arguments.plain || arguments.rounding == "extremes") return quantize::BlockRounding::kExtremes;
  return arguments.rounding == "squares" ? quantize::BlockRounding::kSquares : quantize::BlockRounding::kHalfQuadratic;
}

/// Fails before the work when the file cannot be written after it.
Status CheckWritable(const std::string& path) {
  if (!path.ends_with(".onnx")) return InvalidArgument("output ", Quote(path), " must end in .onnx");
  std::error_code error;
  if (fs::is_directory(path, error)) return InvalidArgument("output ", Quote(path), " is a folder");
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!fs::is_directory(folder, error)) return IoError("there is no folder ", Quote(folder.string()), " to write into");
  if (access(folder.c_str(), W_OK) != 0) return IoError("no file can be written into ", Quote(folder.string()));
  return Status();
}

/// A model on its way: as it was read and prepared, and the data for it.
struct Work {
  OnnxModel model;                       ///< prepared, float
  std::unique_ptr<FileSamples> samples;  ///< null without --data
  std::vector<int64_t> calibrating, held_out;
  quantize::RangeTable ranges;
  QuantizeReport report;
};

/// Every fourth sample is held out where there are enough.
void Split(Work* work, int64_t most) {
  int64_t count = work->samples->size();
  if (most > 0) count = std::min(count, most);
  for (int64_t i = 0; i < count; ++i) (count >= 4 && i % 4 == 3 ? work->held_out : work->calibrating).push_back(i);
  work->report.held_out = !work->held_out.empty();
  if (work->held_out.empty()) work->held_out = work->calibrating;
  constexpr size_t kComparedMax = 256;
  if (work->held_out.size() > kComparedMax) work->held_out.resize(kComparedMax);
}

Result<Work> Open(const QuantizeArguments& arguments) {
  LINNET_TRY(CheckWritable(arguments.output));
  Work work;
  LINNET_ASSIGN(work.model, ImportOnnx(arguments.model, SessionOptions()));
  work.report.before = quantize::CountConstants(work.model.graph);
  const bool small = arguments.weights.ends_with("4") && arguments.format == "qdq";   // DequantizeLinear with 4-bit blocks
  const int least = arguments.mode == "bf16" ? quantize::kOpsetBfloat16 : small ? quantize::kOpsetSmallAndWide : quantize::kOpsetPerChannel;
  const int opset = std::max(arguments.opset, least);
  LINNET_TRY(quantize::Prepare(&work.model, opset).At(Quote(arguments.model)));
  if (!arguments.data.empty()) {
    std::vector<PortInfo> ports;
    for (ValueId id : work.model.graph.inputs) ports.push_back({work.model.graph.value(id).name, work.model.graph.value(id).type});
    LINNET_ASSIGN(work.samples, FileSamples::Find(arguments.data, ports, work.model.info, arguments.preprocessing));
    Split(&work, arguments.samples);
  }
  return work;
}

Result<quantize::RangeTable> LoadTable(const std::string& path) {
  LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
  Result<quantize::RangeTable> table = quantize::ReadTable(file->bytes());
  if (!table.ok()) return table.TakeStatus().At(Quote(path));
  return table;
}

/// One class a line, one line a sample.
Result<std::vector<int64_t>> LoadLabels(const std::string& path, int64_t samples) {
  LINNET_ASSIGN(std::vector<std::string> lines, ReadLabels(path));
  std::vector<int64_t> labels;
  for (const std::string& line : lines) {
    Result<double> number = ParseNumber(line);
    if (!number.ok() || *number != std::floor(*number)) {
      return InvalidArgument(Quote(path), " line ", labels.size() + 1, ": ", Quote(line), " is not the number of a class");
    }
    labels.push_back(static_cast<int64_t>(*number));
  }
  if (static_cast<int64_t>(labels.size()) != samples) {
    return InvalidArgument(Quote(path), " has ", labels.size(), " labels, the data ", samples, " samples");
  }
  return labels;
}

/// What is asked of the result. Without a wish: about what 8 bits give a model that takes to them.
quantize::Floor FloorOf(const QuantizeArguments& arguments) {
  constexpr double kUsualDb = 20.5;
  quantize::Floor floor;
  if (!std::isnan(arguments.min_sqnr)) floor.sqnr_db = arguments.min_sqnr;
  if (!std::isnan(arguments.min_agreement)) floor.top1_agreement = arguments.min_agreement;
  if (!std::isnan(arguments.min_accuracy)) floor.accuracy = arguments.min_accuracy;
  if (!arguments.Asks() && !arguments.as_is) floor.sqnr_db = kUsualDb;
  return floor;
}

std::string Listed(const std::vector<std::string>& names) {
  std::string out;
  for (size_t i = 0; i < names.size() && i < 12; ++i) out += (i > 0 ? ", " : "") + names[i];
  return names.size() > 12 ? Cat(out, " and ", names.size() - 12, " more") : out;
}

/// Reads the file that was written and runs it beside the float model.
Status Verify(const QuantizeArguments& arguments, ProgressWatch& watch, Work* work) {
  LINNET_ASSIGN(OnnxModel written, ImportOnnx(arguments.output, SessionOptions()));
  work->report.after = quantize::CountConstants(written.graph);
  LINNET_ASSIGN(std::unique_ptr<quantize::GraphRunner> actual, quantize::GraphRunner::Make(written.graph, {}, arguments.threads));
  if (!work->samples) return Status();
  LINNET_ASSIGN(std::unique_ptr<quantize::GraphRunner> reference,
                quantize::GraphRunner::Make(work->model.graph, {}, arguments.threads));
  LINNET_ASSIGN(work->report.agreements,
                quantize::CompareOutputs(reference.get(), actual.get(), work->samples.get(), work->held_out, watch));
  work->report.compared = static_cast<int64_t>(work->held_out.size());
  for (ValueId id : work->model.graph.outputs()) work->report.output_names.push_back(work->model.graph.value(id).name);
  return Status();
}

Result<quantize::StaticOptions> StaticOptionsOf(const QuantizeArguments& arguments) {
  quantize::StaticOptions options;
  options.activations = TypeOf(arguments.activations);
  options.weights = TypeOf(arguments.weights);
  if (DTypeBits(options.weights) != 8) return InvalidArgument("static quantization has weights of 8 bits; 4 bits are for --mode weights");
  options.per_channel = !arguments.per_tensor;
  options.symmetric_activations = arguments.symmetric;
  options.symmetric_weights = !arguments.asymmetric_weights;
  options.format = FormatOf(arguments);
  options.include = arguments.include;
  options.exclude = arguments.exclude;
  return options;
}

/// Calibrated once, decided about as often as it takes.
struct Deciding {
  quantize::StaticOptions options;
  quantize::NodePrecisions nodes;                    ///< what could be quantized
  std::unique_ptr<quantize::Calibration> calibration;
  quantize::CalibrationChoice choice;
  std::vector<quantize::Calibrator> calibrators;
  std::vector<int64_t> labels, which;
  std::unique_ptr<quantize::Judge> judge;
  quantize::Sensitivities known;
};

Status Begin(const QuantizeArguments& arguments, ProgressWatch& watch, Work* work, Deciding* out) {
  const Graph& graph = work->model.graph;
  LINNET_ASSIGN(out->calibration,
                quantize::Calibration::Make(graph, quantize::ValuesToObserve(graph, out->nodes), arguments.threads));
  LINNET_TRY(quantize::Calibrate(out->calibration.get(), work->samples.get(), work->calibrating, watch));
  quantize::CalibratorFromName(arguments.calibrate, &out->choice.calibrator);
  out->choice.percentile = arguments.percentile;
  out->choice.dtype = out->options.activations;
  out->choice.symmetric = arguments.symmetric;
  out->calibrators = {out->choice.calibrator};
  if (arguments.Asks()) {
    for (quantize::Calibrator other : {quantize::Calibrator::kMse, quantize::Calibrator::kPercentile}) {
      if (other != out->choice.calibrator) out->calibrators.push_back(other);
    }
  }
  out->judge = std::make_unique<quantize::Judge>(graph, work->samples.get(), out->labels, arguments.threads);
  // Some of the samples decide, spread evenly; what is held out only verifies. Shares of samples need them all.
  const size_t most = out->labels.empty() && std::isnan(arguments.min_agreement) ? 8 : 4096;
  const size_t step = std::max<size_t>(work->calibrating.size() / most, 1);
  for (size_t i = 0; i < work->calibrating.size() && out->which.size() < most; i += step) out->which.push_back(work->calibrating[i]);
  return Status();
}

Result<quantize::Decision> DecideOnce(const QuantizeArguments& arguments, const quantize::Floor& aim, ProgressWatch& watch, Work* work,
                                      Deciding* deciding) {
  if (arguments.as_is) {
    quantize::Decision decision{deciding->nodes, deciding->choice.calibrator};
    decision.met = true;
    LINNET_ASSIGN(decision.ranges, deciding->calibration->Choose(deciding->choice));
    return decision;
  }
  return quantize::Decide(work->model, deciding->nodes, deciding->options, *deciding->calibration, deciding->choice, deciding->calibrators,
                          aim, deciding->judge.get(), deciding->which, &deciding->known, watch);
}

/// Layers that the decision keeps from being integers, as notes.
void NoteDecision(const quantize::Decision& decision, QuantizeReport* report) {
  report->calibrator = quantize::CalibratorName(decision.calibrator);
  report->wide = decision.wide;
  report->in_float = decision.in_float;
  if (!decision.wide.empty()) {
    report->notes.push_back(Cat("16-bit activations in ", decision.wide.size(), " of ", decision.layers, " layers: ", Listed(decision.wide)));
  }
  if (!decision.in_float.empty()) {
    report->notes.push_back(Cat("float in ", decision.in_float.size(), " of ", decision.layers, " layers: ", Listed(decision.in_float)));
  }
}

Status WriteModel(const QuantizeArguments& arguments, const OnnxModel& model) {
  return WriteFileAtomically(arguments.output, [&](Sink& sink) { return WriteOnnx(model, sink); });
}

std::string ScoreText(const quantize::Score& score) {
  std::string text = fmt::format("SQNR {:.1f} dB, top-1 agreement {:.4f}", score.sqnr_db, score.top1_agreement);
  return score.accuracy >= 0 ? text + fmt::format(", accuracy {:.4f}", score.accuracy) : text;
}

/// The written file, read again and run on what was held out, must keep what was asked.
Status CheckFloor(const std::string& path, const quantize::Floor& floor, quantize::Judge* judge, Work* work, bool* kept) {
  LINNET_ASSIGN(OnnxModel written, ImportOnnx(path, SessionOptions()));
  LINNET_ASSIGN(work->report.score, judge->Of(written.graph, work->held_out));
  *kept = work->report.score.Meets(floor);
  return Status();
}

Status QuantizeStatically(const QuantizeArguments& arguments, ProgressWatch& watch, Work* work) {
  Deciding deciding;
  LINNET_ASSIGN(deciding.options, StaticOptionsOf(arguments));
  const quantize::StaticOptions& options = deciding.options;
  LINNET_ASSIGN(deciding.nodes, quantize::ChooseNodes(work->model.graph, options));
  const quantize::NodePrecisions& nodes = deciding.nodes;
  QuantizeReport& report = work->report;
  report.nodes = static_cast<int64_t>(nodes.size());
  std::vector<int64_t>& labels = deciding.labels;
  if (!arguments.labels.empty() && work->samples) {
    LINNET_ASSIGN(labels, LoadLabels(arguments.labels, work->samples->size()));
  }
  if (!std::isnan(arguments.min_accuracy) && labels.empty()) return InvalidArgument("--min-accuracy needs --labels");
  if (!work->samples) {
    if (arguments.table.empty()) return InvalidArgument("static quantization needs --data, or a --table that was saved before");
    if (arguments.Asks()) return InvalidArgument("a floor on accuracy needs --data to measure it");
    LINNET_ASSIGN(work->ranges, LoadTable(arguments.table));
    report.calibrator = "table";
    for (Precision precision : nodes) report.quantized_nodes += precision != Precision::kFloat;
    LINNET_TRY(quantize::QuantizeStatic(&work->model, nodes, work->ranges, options));
    return WriteModel(arguments, work->model);
  }
  report.calibrated = static_cast<int64_t>(work->calibrating.size());
  LINNET_TRY(Begin(arguments, watch, work, &deciding));
  const quantize::Floor floor = FloorOf(arguments);
  quantize::Floor aim = floor;
  constexpr int kAttempts = 3;
  for (int attempt = 1;; ++attempt) {
    LINNET_ASSIGN(quantize::Decision decision, DecideOnce(arguments, aim, watch, work, &deciding));
    if (!decision.met && arguments.Asks()) {
      report.refused = true;
      return InvalidArgument("no choice of layers meets the floor; the best has ", ScoreText(decision.score), "; the layers that cost most: ",
                             Listed(decision.in_float.empty() ? decision.wide : decision.in_float));
    }
    work->ranges = decision.ranges;
    report.notes.clear();
    NoteDecision(decision, &report);
    report.quantized_nodes = 0;
    for (Precision precision : decision.nodes) report.quantized_nodes += precision != Precision::kFloat;
    if (report.quantized_nodes == 0) return InvalidArgument("no layer can be quantized without falling below ", floor.sqnr_db, " dB");
    OnnxModel quantized{work->model.graph.Clone(), work->model.info};
    LINNET_TRY(quantize::QuantizeStatic(&quantized, decision.nodes, work->ranges, options));
    // A file that breaks the promise is not left behind: it is written where nobody looks for it first.
    QuantizeArguments trial = arguments;
    if (arguments.Asks()) trial.output = arguments.output + ".trial.onnx";
    LINNET_TRY(WriteModel(trial, quantized));
    bool kept = true;
    if (!arguments.as_is) {
      Status checked = CheckFloor(trial.output, floor, deciding.judge.get(), work, &kept);
      if (arguments.Asks()) {
        std::error_code ignored;
        fs::remove(trial.output, ignored);
      }
      LINNET_TRY(std::move(checked));
    }
    if (kept || attempt == kAttempts) {
      if (!kept && arguments.Asks()) {
        report.refused = true;
        return InvalidArgument("on samples that were not used to calibrate it has only ", ScoreText(report.score),
                               "; more and more varied --data may help. ", Cat(report.notes.empty() ? "" : report.notes[0]));
      }
      if (arguments.Asks()) LINNET_TRY(WriteModel(arguments, quantized));
      break;
    }
    // What decided was seen in calibration; ask more of it than of what is new.
    if (aim.sqnr_db > 0) aim.sqnr_db = decision.score.sqnr_db + std::max(floor.sqnr_db - report.score.sqnr_db, 0.0) + 0.5;
    aim.top1_agreement = aim.top1_agreement < 0 ? -1 : (1 + aim.top1_agreement) / 2;
    aim.accuracy = aim.accuracy < 0 ? -1 : aim.accuracy + 0.002;
  }
  if (arguments.table.empty()) return Status();
  return WriteFileAtomically(arguments.table, [&](Sink& sink) { return quantize::WriteTable(work->ranges, sink); });
}

/// The modes that need no data; with some the result is compared all the same.
Status QuantizeWithoutData(const QuantizeArguments& arguments, Work* work) {
  QuantizeReport& report = work->report;
  report.nodes = work->model.graph.node_count();
  OnnxModel quantized{work->model.graph.Clone(), work->model.info};
  const quantize::Selection selection{arguments.include, arguments.exclude};
  Result<int> changed = 0;
  if (arguments.mode == "dynamic") {
    if (DTypeBits(TypeOf(arguments.weights)) != 8) return InvalidArgument("dynamic quantization has weights of 8 bits");
    changed = quantize::QuantizeDynamic(&quantized, {TypeOf(arguments.weights), !arguments.per_tensor, FormatOf(arguments), selection});
  } else if (arguments.mode == "weights") {
    changed = quantize::QuantizeWeightsOnly(&quantized, {TypeOf(arguments.weights), arguments.block, RoundingOf(arguments),
                                                         FormatOf(arguments), selection});
  } else {
    changed = quantize::ConvertToHalf(&quantized, {arguments.mode == "fp16" ? DType::kFloat16 : DType::kBfloat16, selection});
  }
  if (!changed.ok()) return changed.TakeStatus();
  report.quantized_nodes = *changed;
  return WriteModel(arguments, quantized);
}

int Quantize(const QuantizeArguments& arguments) {
  const int64_t begin = MonotonicNs();
  Result<Work> work = Open(arguments);
  if (!work.ok()) return Report(work.status());
  ProgressWatch watch;
  if (arguments.mode != "static") {
    work->calibrating.clear();
    if (arguments.Asks()) return Report(InvalidArgument("a floor on accuracy goes with --mode static"));
  }
  Status status = arguments.mode == "static" ? QuantizeStatically(arguments, watch, &*work) : QuantizeWithoutData(arguments, &*work);
  if (status.ok()) status = Verify(arguments, watch, &*work);
  watch.Finish();
  if (!status.ok()) {
    const int code = Report(status);
    return work->report.refused ? kFailure : code;
  }
  QuantizeReport& report = work->report;
  report.input = arguments.model;
  report.output = arguments.output;
  report.mode = arguments.mode;
  report.seconds = static_cast<double>(MonotonicNs() - begin) / 1e9;
  if (arguments.json) {
    fmt::print("{}", FormatJson(report.ToJson()));
  } else {
    report.Print();
  }
  return kSuccess;
}

}  // namespace

void AddQuantizeCommand(Arguments& root) {
  auto arguments = std::make_shared<QuantizeArguments>();
  Arguments command = root.Command("quantize", "Make a model smaller and faster: 8-bit integers, calibrated, written and compared");
  command.Add("model", arguments->model, "Float model (.onnx)").Required();
  command.Add("output", arguments->output, "File to write (.onnx)").Required();
  command.Add("--data", arguments->data,
              "Samples: folders or files of pictures, .npy, .npz, .pb, test_data_set_* folders; every fourth is held out").Many();
  command.Add("--mode", arguments->mode, "static: integers with ranges from --data; dynamic: products whose ranges are found at run time; weights: "
              "only weights; fp16, bf16: half precision")
      .OneOf({"static", "dynamic", "weights", "fp16", "bf16"});
  command.Add("--format", arguments->format, "qdq: float operators between QuantizeLinear and DequantizeLinear; qoperator: operators on integers "
              "(QLinearConv, MatMulNBits ...) (qdq)")
      .OneOf({"qdq", "qoperator"});
  command.Add("--block", arguments->block, "Weights in blocks: rows that share a scale (32)").Range(16, 1024);
  command.Add("--rounding", arguments->rounding, "Weights in blocks: scales by least squared error, by the extremes, or half-quadratic (squares)")
      .OneOf({"squares", "extremes", "half-quadratic"});
  command.Flag("--plain", arguments->plain, "The same as --rounding extremes");
  command.Add("--calibrate", arguments->calibrate, "How ranges are chosen (likely)")
      .OneOf({"minmax", "likely", "average", "percentile", "entropy", "mse"});
  command.Add("--percentile", arguments->percentile, "Share of values inside the range, in percent (99.999)")
      .Range(50.0, 100.0);
  command.Add("--activations", arguments->activations, "Type of activations (u8)")
      .OneOf({"u8", "s8", "u16", "s16"});
  command.Add("--weights", arguments->weights, "Type of weights (s8)").OneOf({"s8", "u8", "s4", "u4"});
  command.Flag("--per-tensor", arguments->per_tensor, "One scale for a weight instead of one for each output channel");
  command.Flag("--symmetric", arguments->symmetric, "Activations' ranges are symmetric around 0");
  command.Flag("--asymmetric-weights", arguments->asymmetric_weights, "Weights get a zero point");
  command.Add("--include", arguments->include, "Quantize only these: names of nodes, operators or values").Many();
  command.Add("--exclude", arguments->exclude, "Leave these in float").Many();
  command.Add("--table", arguments->table, "Calibration table: saved with --data, read without");
  command.Add("--min-sqnr", arguments->min_sqnr, "Contract: at least so many dB beside the float model, or no file")
      .Range(0.0, 200.0);
  command.Add("--min-agreement", arguments->min_agreement, "Contract: at least this share of samples keep their top-1 class")
      .Range(0.0, 1.0);
  command.Add("--min-accuracy", arguments->min_accuracy, "Contract: at least this share of samples get their label's class")
      .Range(0.0, 1.0);
  command.Add("--labels", arguments->labels, "File with the number of a class a line, one for each sample in order");
  command.Flag("--as-is", arguments->as_is, "8 bits everywhere, whatever the error");
  command.Add("--samples", arguments->samples, "Use at most so many samples").Range(1, 1000000000);
  command.Add("--opset", arguments->opset, "Write at least this opset").Range(13, 25);
  command.Add("--threads", arguments->threads, "Threads (all processors)").Range(1, 64);
  AddPreprocessingFlags(command, &arguments->preprocessing);
  command.Flag("--json", arguments->json, "Print one JSON object");
  command.OnRun([arguments] { return Quantize(*arguments); });
}

}  // namespace linnet::cli
