// linnet quantize: a float model becomes a smaller one in integers or half precision, calibrated, written and compared.
#include <fmt/format.h>
#include <stdio.h>

#include <cmath>
#include <filesystem>

#include "api/full_build.h"
#include "base/number_text.h"
#include "cli/commands/commands.h"
#include "cli/compare_page.h"
#include "cli/system.h"
#include "cli/data/preprocessing_flags.h"
#include "cli/data/samples.h"
#include "cli/json.h"
#include "cli/progress_watch.h"
#include "cli/quantize_overrides.h"
#include "cli/quantize_report.h"
#include "quantize/compare.h"
#include "quantize/recipe_options.h"

namespace linnet::cli {
namespace {

namespace fs = std::filesystem;

struct QuantizeArguments {
  std::string model, output, mode = "static", calibrate = "likely", activations = "u8", weights = "s8", table, labels, overrides, report;
  std::string format = "qdq", rounding = "squares";
  std::vector<std::string> data, include, exclude;
  PreprocessingFlags preprocessing;
  double percentile = 99.999;
  int64_t samples = 0;
  double min_sqnr = NAN, min_agreement = NAN, min_accuracy = NAN;
  int threads = 0, opset = 0;
  int block = 32;
  bool plain = false, as_is = false, per_tensor = false, symmetric = false, asymmetric_weights = false, reduce_range = false, json = false;
  bool equalize = false, correct_bias = false, resume = false;
  std::vector<std::string> given;   ///< names of options
};

/// Fails before the work when the file cannot be written after it.
Status CheckWritable(const std::string& path, std::string_view ending) {
  if (!path.ends_with(ending)) return InvalidArgument("output ", Quote(path), " must end in ", ending);
  std::error_code error;
  if (fs::is_directory(path, error)) return InvalidArgument("output ", Quote(path), " is a folder");
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!fs::is_directory(folder, error)) return IoError("there is no folder ", Quote(folder.string()), " to write into");
  if (!CanWriteInto(folder.string())) return IoError("no file can be written into ", Quote(folder.string()));
  return Status();
}

/// No file that is written is another one that is read or written.
Status CheckApart(const QuantizeArguments& arguments) {
  const std::pair<const char*, const std::string*> files[] = {
      {"the model", &arguments.model}, {"the output", &arguments.output}, {"the table", &arguments.table}, {"the report", &arguments.report}};
  std::error_code error;
  for (size_t i = 0; i < std::size(files); ++i) {
    for (size_t k = i + 1; k < std::size(files); ++k) {
      const std::string &a = *files[i].second, &b = *files[k].second;
      if (a.empty() || b.empty() || (a != b && !fs::equivalent(a, b, error))) continue;
      return InvalidArgument(files[i].first, " and ", files[k].first, " are the same file, ", Quote(b), "; give another name");
    }
  }
  return Status();
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

Result<quantize::Recipe> RecipeOf(const QuantizeArguments& arguments) {
  quantize::Recipe recipe;
  quantize::ModeFromName(arguments.mode, &recipe.mode);
  quantize::CalibratorFromName(arguments.calibrate, &recipe.calibrator);
  quantize::StaticOptions& options = recipe.options;
  quantize::TypeFromName(arguments.activations, &options.activations);
  quantize::TypeFromName(arguments.weights, &options.weights);
  options.per_channel = !arguments.per_tensor;
  options.symmetric_activations = arguments.symmetric;
  options.symmetric_weights = !arguments.asymmetric_weights;
  options.reduced_weights = arguments.reduce_range;
  options.format = arguments.format == "qoperator" ? quantize::Format::kQOperator : quantize::Format::kQdq;
  options.include = arguments.include;
  options.exclude = arguments.exclude;
  if (!arguments.overrides.empty()) {
    LINNET_ASSIGN(options.overrides, LoadOverrides(arguments.overrides));
  }
  recipe.percentile = arguments.percentile;
  recipe.block_size = arguments.block;
  recipe.rounding = arguments.plain || arguments.rounding == "extremes" ? quantize::BlockRounding::kExtremes
                    : arguments.rounding == "squares"                   ? quantize::BlockRounding::kSquares
                                                                        : quantize::BlockRounding::kHalfQuadratic;
  recipe.equalize = arguments.equalize;
  recipe.correct_bias = arguments.correct_bias;
  recipe.as_is = arguments.as_is;
  if (!std::isnan(arguments.min_sqnr)) recipe.min_sqnr_db = arguments.min_sqnr;
  if (!std::isnan(arguments.min_agreement)) recipe.min_agreement = arguments.min_agreement;
  if (!std::isnan(arguments.min_accuracy)) recipe.min_accuracy = arguments.min_accuracy;
  recipe.samples = arguments.samples;
  recipe.opset = arguments.opset;
  recipe.threads = arguments.threads;
  recipe.table = arguments.table;
  recipe.resume = arguments.resume;
  recipe.given = arguments.given;
  return recipe;
}

/// The page of what was done, or why nothing was (`failure`).
Status WritePage(const QuantizeArguments& arguments, const quantize::Recipe& recipe, const QuantizeReport& report, FileSamples* samples, const Status& failure,
                 ProgressWatch& watch) {
  std::vector<std::string> facts = report.Facts(recipe);
  std::string page;
  if (!failure.ok()) {
    facts.insert(facts.begin(), Cat("Refused: ", failure.message()));
    page = FactsPage(arguments.model, facts);
  } else {
    SessionOptions options;
    LINNET_ASSIGN(OnnxModel first, ImportModel(arguments.model, options));
    LINNET_ASSIGN(OnnxModel second, ImportModel(arguments.output, options));
    LINNET_ASSIGN(quantize::Comparison comparison,
                  quantize::CompareModels(std::move(first), std::move(second), samples, report.held, recipe.threads, watch));
    page = ComparePage(arguments.model, arguments.output, comparison, facts);
  }
  return WriteFileAtomically(arguments.report, [&](Sink& sink) { return sink.Append(page); });
}

Status Run(const QuantizeArguments& arguments, ProgressWatch& watch, QuantizeReport* report) {
  LINNET_ASSIGN(const quantize::Recipe recipe, RecipeOf(arguments));
  LINNET_TRY(quantize::CheckGiven(recipe, !arguments.data.empty()));
  LINNET_TRY(CheckApart(arguments));
  LINNET_TRY(CheckWritable(arguments.output, ".onnx"));
  if (!arguments.report.empty()) LINNET_TRY(CheckWritable(arguments.report, ".html"));
  if (!arguments.table.empty() && !arguments.data.empty()) LINNET_TRY(CheckWritable(arguments.table, ""));
  LINNET_ASSIGN(quantize::FloatModel model, quantize::OpenFloatModel(arguments.model, recipe));
  std::unique_ptr<FileSamples> samples;
  std::vector<int64_t> labels;
  if (!arguments.data.empty()) {
    std::vector<PortInfo> ports;
    for (ValueId id : model.model.graph.inputs) ports.push_back({model.model.graph.value(id).name, model.model.graph.value(id).type});
    LINNET_ASSIGN(samples, FileSamples::Find(arguments.data, ports, model.model.info, arguments.preprocessing));
    if (!arguments.labels.empty()) {
      LINNET_ASSIGN(labels, LoadLabels(arguments.labels, samples->size()));
    }
  }
  Status done = quantize::QuantizeModel(std::move(model), arguments.output, recipe, samples.get(), labels, watch, report);
  if (!arguments.report.empty() && (done.ok() || report->refused)) {
    LINNET_TRY(WritePage(arguments, recipe, *report, samples.get(), done, watch));
  }
  return done;
}

int Quantize(const QuantizeArguments& arguments) {
  const int64_t begin = MonotonicNs();
  ProgressWatch watch;
  QuantizeReport report;
  report.input = arguments.model;
  report.output = arguments.output;
  report.mode = arguments.mode;
  Status status = Run(arguments, watch, &report);
  watch.Finish();
  if (!status.ok()) {
    const int code = Report(status);
    return report.refused ? kFailure : code;
  }
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
  command.Add("model", arguments->model, "Float model (.onnx or .ort)").Required();
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
  command.Flag("--reduce-range", arguments->reduce_range, "Weights take 7 of their 8 bits: for runtimes whose 16-bit sums saturate");
  command.Add("--include", arguments->include, "Quantize only these: names of nodes, operators or values").Many();
  command.Add("--exclude", arguments->exclude, "Leave these in float").Many();
  command.Add("--overrides", arguments->overrides, "JSON file: type, range, symmetric, per_channel or exclude by name of a node or tensor");
  command.Flag("--equalize", arguments->equalize, "Equalise the weights of layers that follow each other before calibration");
  command.Flag("--correct-bias", arguments->correct_bias, "Take the mean error of each channel back in the biases");
  command.Add("--table", arguments->table, "Calibration table: saved with --data, read without");
  command.Flag("--resume", arguments->resume, "Go on from what --table has seen of the samples");
  command.Add("--min-sqnr", arguments->min_sqnr, "Contract: at least so many dB beside the float model, or no file")
      .Range(0.0, 200.0);
  command.Add("--min-agreement", arguments->min_agreement, "Contract: at least this share of samples keep their top-1 class")
      .Range(0.0, 1.0);
  command.Add("--min-accuracy", arguments->min_accuracy, "Contract: at least this share of samples get their label's class")
      .Range(0.0, 1.0);
  command.Add("--labels", arguments->labels, "File with the number of a class a line, one for each sample in order");
  command.Add("--report", arguments->report, "Also write a page to this file: what came of it, beside the float model value by value");
  command.Flag("--as-is", arguments->as_is, "The precision asked for everywhere, no layer in more; the error is as it is, unless a contract asks for less");
  command.Add("--samples", arguments->samples, "Use at most so many samples").Range(1, 1000000000);
  command.Add("--opset", arguments->opset, "Opset of the output: 10 to 25 (the model's own, at least 13; 21 where 16- or 4-bit integers need it)").Range(10, 25);
  command.Add("--threads", arguments->threads, "Threads (all processors)").Range(1, 64);
  AddPreprocessingFlags(command, &arguments->preprocessing);
  command.Flag("--json", arguments->json, "Print one JSON object");
  command.OnRun([arguments, command] {
    arguments->given = command.Given();
    return Quantize(*arguments);
  });
}

}  // namespace linnet::cli
