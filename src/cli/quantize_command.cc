// linnet quantize: a float model becomes a smaller one in integers or half precision, calibrated, written and compared.
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "api/full_build.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/preprocessing_flags.h"
#include "cli/progress_watch.h"
#include "cli/quantize_report.h"
#include "cli/samples.h"
#include "cli/units.h"
#include "onnx/writer.h"
#include "quantize/prepare.h"
#include "quantize/quantize.h"

namespace linnet::cli {
namespace {

namespace fs = std::filesystem;
using quantize::Precision;

struct QuantizeArguments {
  std::string model, output, mode = "static", calibrate = "minmax", activations = "u8", weights = "s8", table;
  std::vector<std::string> data, include, exclude;
  PreprocessingFlags preprocessing;
  double percentile = 99.999;
  int64_t samples = 0;
  int threads = 0, opset = 0;
  bool per_tensor = false, symmetric = false, asymmetric_weights = false, json = false;
};

DType TypeOf(const std::string& name) {
  if (name == "u8") return DType::kUint8;
  if (name == "s8") return DType::kInt8;
  if (name == "u16") return DType::kUint16;
  if (name == "s16") return DType::kInt16;
  return name == "u4" ? DType::kUint4 : DType::kInt4;
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
  const bool wide = arguments.activations.ends_with("16") || arguments.weights.ends_with("4");
  const int opset = std::max(arguments.opset, wide ? quantize::kOpsetSmallAndWide : quantize::kOpsetPerChannel);
  LINNET_TRY(quantize::Prepare(&work.model, opset).At(Quote(arguments.model)));
  if (!arguments.data.empty()) {
    std::vector<PortInfo> ports;
    for (ValueId id : work.model.graph.inputs) ports.push_back({work.model.graph.value(id).name, work.model.graph.value(id).type});
    LINNET_ASSIGN(work.samples, FileSamples::Find(arguments.data, ports, work.model.info, arguments.preprocessing));
    Split(&work, arguments.samples);
  }
  return work;
}

Status FindRanges(const QuantizeArguments& arguments, const quantize::NodePrecisions& nodes, ProgressWatch& watch, Work* work) {
  if (!work->samples) {
    if (arguments.table.empty()) return InvalidArgument("static quantization needs --data, or a --table that was saved before");
    LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(arguments.table));
    Result<quantize::RangeTable> table = quantize::ReadTable(file->bytes());
    if (!table.ok()) return table.TakeStatus().At(Quote(arguments.table));
    work->ranges = std::move(*table);
    return Status();
  }
  LINNET_ASSIGN(std::unique_ptr<quantize::Calibration> calibration,
                quantize::Calibration::Make(work->model.graph, quantize::ValuesToObserve(work->model.graph, nodes), arguments.threads));
  LINNET_TRY(quantize::Calibrate(calibration.get(), work->samples.get(), work->calibrating, watch));
  quantize::CalibrationChoice choice;
  quantize::CalibratorFromName(arguments.calibrate, &choice.calibrator);
  choice.percentile = arguments.percentile;
  choice.dtype = TypeOf(arguments.activations);
  choice.symmetric = arguments.symmetric;
  LINNET_ASSIGN(work->ranges, calibration->Choose(choice));
  if (arguments.table.empty()) return Status();
  return WriteFileAtomically(arguments.table, [&](Sink& sink) { return quantize::WriteTable(work->ranges, sink); });
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

Status QuantizeStatically(const QuantizeArguments& arguments, ProgressWatch& watch, Work* work) {
  quantize::StaticOptions options;
  options.activations = TypeOf(arguments.activations);
  options.weights = TypeOf(arguments.weights);
  options.per_channel = !arguments.per_tensor;
  options.symmetric_activations = arguments.symmetric;
  options.symmetric_weights = !arguments.asymmetric_weights;
  options.include = arguments.include;
  options.exclude = arguments.exclude;
  LINNET_ASSIGN(quantize::NodePrecisions nodes, quantize::ChooseNodes(work->model.graph, options));
  LINNET_TRY(FindRanges(arguments, nodes, watch, work));
  for (Precision precision : nodes) work->report.quantized_nodes += precision != Precision::kFloat;
  work->report.nodes = static_cast<int64_t>(nodes.size());
  work->report.calibrated = work->samples ? static_cast<int64_t>(work->calibrating.size()) : 0;
  OnnxModel quantized{work->model.graph.Clone(), work->model.info};
  LINNET_TRY(quantize::QuantizeStatic(&quantized, nodes, work->ranges, options));
  return WriteFileAtomically(arguments.output, [&](Sink& sink) { return WriteOnnx(quantized, sink); });
}

int Quantize(const QuantizeArguments& arguments) {
  const int64_t begin = MonotonicNs();
  Result<Work> work = Open(arguments);
  if (!work.ok()) return Report(work.status());
  ProgressWatch watch;
  Status status = QuantizeStatically(arguments, watch, &*work);
  if (status.ok()) status = Verify(arguments, watch, &*work);
  watch.Finish();
  if (!status.ok()) return Report(status);
  QuantizeReport& report = work->report;
  report.input = arguments.model;
  report.output = arguments.output;
  report.mode = arguments.mode;
  report.calibrator = arguments.calibrate;
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
  command.Add("--mode", arguments->mode, "static: integers between matrix products, with ranges from --data")
      .OneOf({"static"});
  command.Add("--calibrate", arguments->calibrate, "How ranges are chosen (minmax)")
      .OneOf({"minmax", "average", "percentile", "entropy", "mse"});
  command.Add("--percentile", arguments->percentile, "Share of values inside the range, in percent (99.999)")
      .Range(50.0, 100.0);
  command.Add("--activations", arguments->activations, "Type of activations (u8)")
      .OneOf({"u8", "s8", "u16", "s16"});
  command.Add("--weights", arguments->weights, "Type of weights (s8)").OneOf({"s8", "u8"});
  command.Flag("--per-tensor", arguments->per_tensor, "One scale for a weight instead of one for each output channel");
  command.Flag("--symmetric", arguments->symmetric, "Activations' ranges are symmetric around 0");
  command.Flag("--asymmetric-weights", arguments->asymmetric_weights, "Weights get a zero point");
  command.Add("--include", arguments->include, "Quantize only these: names of nodes, operators or values").Many();
  command.Add("--exclude", arguments->exclude, "Leave these in float").Many();
  command.Add("--table", arguments->table, "Calibration table: saved with --data, read without");
  command.Add("--samples", arguments->samples, "Use at most so many samples").Range(1, 1000000000);
  command.Add("--opset", arguments->opset, "Write at least this opset").Range(13, 25);
  command.Add("--threads", arguments->threads, "Threads (all processors)").Range(1, 64);
  AddPreprocessingFlags(command, &arguments->preprocessing);
  command.Flag("--json", arguments->json, "Print one JSON object");
  command.OnRun([arguments] { return Quantize(*arguments); });
}

}  // namespace linnet::cli
