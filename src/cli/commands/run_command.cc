// linnet run: runs a model once or many times on files, pictures or random numbers.
#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/json.h"
#include "cli/data/model_inputs.h"
#include "cli/data/npy.h"
#include "cli/data/outputs.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "cli/utf8.h"
#include "onnx/proto_values.h"

namespace linnet::cli {
namespace {

struct RunArguments {
  std::string model, output, format = "npy", profile;
  std::vector<std::string> inputs;
  CommonOptions common;
  ShapeOptions shapes;
  int64_t repeat = 1;
  uint64_t seed = 1;
  bool json = false;
};

/// Writes one output and gives the file's name. Only tensors fit .npy; other values become .pb.
Result<std::string> Save(const std::string& folder, const std::string& format, const std::string& name,
                         const Datum& datum, std::vector<std::string>& taken) {
  bool npy = format == "npy" && datum.type.is_tensor();
  std::string path = (std::filesystem::path(folder) / FileNameFor(name, npy ? ".npy" : ".pb", taken)).string();
  if (npy) {
    LINNET_TRY(SaveNpy(path, datum.tensor));
    return path;
  }
  LINNET_ASSIGN(std::string bytes, WriteValue(name, datum));
  LINNET_TRY(WriteFileAtomically(path, [&](Sink& sink) { return sink.Append(bytes); }));
  return path;
}

int RunModel(const RunArguments& arguments) {
  Result<SessionOptions> options = arguments.common.ToSession();
  if (!options.ok()) return Report(options.status());
  Result<std::unique_ptr<Session>> opened = Session::Open(arguments.model, *options);
  if (!opened.ok()) return Report(opened.status());
  Session& session = **opened;
  Result<ChosenInputs> made = ChooseInputs(session, arguments.inputs, arguments.shapes, arguments.seed);
  if (!made.ok()) return Report(made.status());

  made->notes.insert(made->notes.end(), made->random.begin(), made->random.end());
  std::vector<Fact> facts = FactsOf(made->data);
  std::vector<RunOutput> outputs;
  std::vector<double> times;
  Profiler profiler;
  Terminal progress_terminal(stderr);
  {
    Progress progress(progress_terminal, "running", arguments.repeat);
    for (int64_t i = 0; i < arguments.repeat; ++i) {
      outputs = std::vector<RunOutput>(session.outputs().size());
      RunOptions run;
      // Spans of the last run only: the first one warms up, and a trace of thousands helps nobody.
      if (!arguments.profile.empty() && i + 1 == arguments.repeat) run.profiler = &profiler;
      int64_t begin = MonotonicNs();
      Status status = session.Run(facts.data(), outputs.data(), run);
      times.push_back(static_cast<double>(MonotonicNs() - begin));
      if (!status.ok()) return progress.Finish(), Report(status);
      progress.Update(i + 1);
    }
  }
  std::sort(times.begin(), times.end());
  double median = times[times.size() / 2];
  if (!arguments.profile.empty()) {
    std::string trace = FormatJson(TraceJson(profiler));
    Status status = WriteFileAtomically(arguments.profile, [&](Sink& sink) { return sink.Append(trace); });
    if (!status.ok()) return Report(status);
  }
  std::vector<std::string> files(outputs.size()), taken;
  if (!arguments.output.empty()) {
    std::error_code error;
    std::filesystem::create_directories(arguments.output, error);
    if (error) return Report(IoError("making the folder ", Quote(arguments.output), ": ", error.message()));
    for (size_t i = 0; i < outputs.size(); ++i) {
      Result<std::string> file =
          Save(arguments.output, arguments.format, session.outputs()[i].name, outputs[i].datum, taken);
      if (!file.ok()) return Report(file.TakeStatus().At(Cat("output ", Quote(session.outputs()[i].name))));
      files[i] = *file;
    }
  }

  if (arguments.json) {
    Json json;
    json["model"] = arguments.model;
    json["runs"] = arguments.repeat;
    json["median_ms"] = median / 1e6;
    json["notes"] = made->notes;
    json["outputs"] = Json::array();
    for (size_t i = 0; i < outputs.size(); ++i) {
      Json output;
      output["name"] = session.outputs()[i].name;
      output["type"] = ToString(outputs[i].datum.type);
      if (!files[i].empty()) output["file"] = files[i];
      output["summary"] = SummarizeJson(outputs[i].datum);
      json["outputs"].push_back(std::move(output));
    }
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }
  Terminal terminal(stdout);
  for (const std::string& note : made->notes) fmt::print("{}\n", terminal.Paint(Color::kDim, Printable(note)));
  Table table({{"output"}, {"type"}, {"contents"}, {arguments.output.empty() ? "" : "file"}});
  for (size_t i = 0; i < outputs.size(); ++i) {
    table.Row({{session.outputs()[i].name, Color::kBold}, ToString(outputs[i].datum.type), Summarize(outputs[i].datum), files[i]});
  }
  fmt::print("{}", table.ToString(terminal));
  fmt::print("{} in {}{}\n", arguments.repeat == 1 ? "1 run" : fmt::format("{} runs", arguments.repeat),
             FormatDurationNs(median), arguments.repeat == 1 ? " (the first; --repeat shows a warm one)" : " each (median)");
  if (!arguments.profile.empty()) {
    fmt::print("trace of {} steps in {}; open it at ui.perfetto.dev or chrome://tracing\n", profiler.spans.size(),
               Printable(arguments.profile));
  }
  return kSuccess;
}

}  // namespace

void AddRunCommand(Arguments& root) {
  auto arguments = std::make_shared<RunArguments>();
  Arguments run = root.Command("run", "Run a model on files, pictures or random numbers and keep its outputs");
  run.Add("model", arguments->model, "Model file (.onnx, .ort or .linnet)").Required();
  run.Add("-i,--input", arguments->inputs,
                  "NAME=SOURCE (repeatable): a .npy or .pb file, a picture, text:WORDS, or random; inputs not named are random");
  run.Add("-o,--output", arguments->output, "Folder for the outputs, one file each; made when missing");
  run.Add("--format", arguments->format, "npy, or pb (ONNX's own values); what is no tensor is always pb")
      .OneOf({"npy", "pb"});
  run.Add("--shape", arguments->shapes.shapes, "Shape of a random input, e.g. image=1x3x224x224 (repeatable)");
  run.Add("--dim", arguments->shapes.dims, "Value of a symbolic dimension, e.g. seq=128 (repeatable)");
  run.Add("--seed", arguments->seed, "Seed of random inputs (1)");
  run.Add("--repeat", arguments->repeat, "Run this many times; time is the median (1)")
      .Range(1, 100000000);
  run.Add("--profile", arguments->profile, "Write a trace of the last run for ui.perfetto.dev to this file");
  run.Flag("--json", arguments->json, "Print one JSON object");
  arguments->common.AddTo(run);
  run.OnRun([arguments] { return RunModel(*arguments); });
}

}  // namespace linnet::cli
