// linnet convert: a model prepared ahead (.linnet), or optimised and written as .onnx.
#include <fmt/format.h>
#include <stdio.h>

#include <filesystem>

#include "api/full_build.h"
#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/data/model_inputs.h"
#include "cli/json.h"
#include "cli/units.h"
#include "cli/utf8.h"

namespace linnet::cli {
namespace {

struct ConvertOptions {
  std::string model, output, requirements, names = "keep", target = "generic";
  CommonOptions common;
  ShapeOptions shapes;
  bool json = false;
};

int64_t FileBytes(const std::string& path) {
  std::error_code error;
  auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(bytes);
}

int Convert(const ConvertOptions& options) {
  Result<SessionOptions> session = options.common.ToSession();
  if (!session.ok()) return Report(session.status());
  if (session->precision == "half") {
    if (options.target == "generic") return Report(InvalidArgument("which format precision half is depends on --target x86 or arm; or say bf16 or fp16"));
    session->precision = options.target == "arm" ? "fp16" : "bf16";
  }
  bool to_onnx = options.output.ends_with(".onnx");
  if (!to_onnx && !options.output.ends_with(".linnet")) {
    return Report(InvalidArgument("output ", Quote(options.output), " must end in .linnet or .onnx"));
  }
  session->names = options.names == "keep";
  if (to_onnx && !session->names) return Report(InvalidArgument("names are left out of a .linnet file, not of a .onnx file"));
  const bool shaped = !options.shapes.shapes.empty() || !options.shapes.dims.empty();
  if (to_onnx && shaped) return Report(InvalidArgument("plans for given shapes go into a .linnet file, not into a .onnx file"));
  auto shapes = [&](const Session& model) { return BindInputTypeSets(model, options.shapes); };
  Requirements requirements;
  std::error_code error;
  if (!options.requirements.empty() && std::filesystem::exists(options.requirements, error)) {
    if (Status read = AddConfiguration(options.requirements, &requirements); !read.ok()) return Report(read);
  }
  int64_t begin = MonotonicNs();
  Status status = to_onnx  ? WriteOptimizedOnnx(options.model, options.output, *session)
                  : shaped ? ConvertModel(options.model, options.output, *session, shapes)
                           : ConvertModel(options.model, options.output, *session);
  if (!status.ok()) return Report(status);
  if (!options.requirements.empty()) {
    Status added = CollectRequirements(options.output, *session, to_onnx, &requirements);
    std::string text = requirements.Write();
    if (added.ok()) added = WriteFileAtomically(options.requirements, [&](Sink& sink) { return sink.Append(text); });
    if (!added.ok()) return Report(added);
  }
  double ns = static_cast<double>(MonotonicNs() - begin);
  int64_t before = FileBytes(options.model), after = FileBytes(options.output);
  if (options.json) {
    Json json;
    json["input"] = options.model;
    json["input_bytes"] = before;
    json["output"] = options.output;
    json["output_bytes"] = after;
    json["seconds"] = ns / 1e9;
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }
  fmt::print("{}  {}  ->  {}  {}  in {}\n", Printable(options.model), FormatBytes(before), Printable(options.output),
             FormatBytes(after), FormatDurationNs(ns));
  return kSuccess;
}

}  // namespace

void AddConvertCommand(Arguments& root) {
  auto options = std::make_shared<ConvertOptions>();
  Arguments convert = root.Command(
      "convert", "Prepare a model ahead as .linnet, which is mapped and ready, or write the optimised graph as .onnx");
  convert.Add("model", options->model, "Model file (.onnx or .ort)").Required();
  convert.Add("output", options->output, "File to write; its ending, .linnet or .onnx, says which format").Required();
  convert.Add("--requirements", options->requirements,
                      "Also add the operators that the output needs to this configuration of a reduced build, which may exist");
  convert.Add("--shape", options->shapes.shapes, "Keep a plan for this shape of an input, NAME=1x3x224x224 (repeatable: one for each)");
  convert.Add("--dim", options->shapes.dims, "Keep a plan for this size of a symbolic dimension, NAME=N (repeatable: one for each)");
  convert.Add("--names", options->names,
              "strip: leave out names of nodes and inner values, the producer and descriptions; messages then count nodes").OneOf({"keep", "strip"});
  convert.Add("--target", options->target,
              "Processors the file is for, generic by default: says what --precision half is; a file without it serves all of them alike")
      .OneOf({"generic", "x86", "arm"});
  convert.Flag("--json", options->json, "Print one JSON object");
  options->common.AddTo(convert);
  convert.OnRun([options] { return Convert(*options); });
}

}  // namespace linnet::cli
