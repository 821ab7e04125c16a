// linnet inspect: the graph as text, as the file has it or after any pass.
#include <fmt/format.h>
#include <stdio.h>

#include "api/full_build.h"
#include "api/precision.h"
#include "cli/commands/commands.h"
#include "cli/data/model_file.h"
#include "cli/terminal.h"
#include "graph/text.h"

namespace linnet::cli {
namespace {

struct InspectOptions {
  std::string model, after, precision;
  bool constants = false, list = false, untrusted = false;
  int level = kOptimizeAll;
  std::vector<std::string> disabled;
};

/// What `--after` calls the graph before any pass.
constexpr const char* kRead = "read";
/// Constants of more elements are cut unless all are asked for.
constexpr int64_t kElementsShown = 8;

int ListPasses() {
  Table table({{"pass"}, {"from level", Table::Align::kRight}, {"what it does"}});
  table.Row({kRead, "", "the graph as the file has it, before any pass"});
  for (const Pass& pass : BuiltInPasses()) table.Row({pass.name, fmt::format("{}", pass.level), pass.sentence});
  fmt::print("{}", table.ToString(Terminal(stdout)));
  return kSuccess;
}

int Inspect(const InspectOptions& options) {
  if (options.list) return ListPasses();
  if (options.model.empty()) return Report(InvalidArgument("inspect needs a model, or --list"));
  SessionOptions session;
  session.untrusted = options.untrusted;
  Result<ModelFile> file = OpenModelFile(options.model, session);
  if (!file.ok()) return Report(file.status());
  Graph& graph = file->model.graph;
  if (file->prepared && !options.after.empty() && options.after != kRead) {
    return Report(InvalidArgument("the passes of a .linnet file have run already; inspect the .onnx it was made from"));
  }
  if (!file->prepared && options.after != kRead) {
    PassContext context;
    context.table = &OpTable::BuiltIn();
    Result<Precision> precision = ParsePrecision(options.precision);
    if (!precision.ok()) return Report(precision.status());
    context.precision = *precision;
    PipelineOptions pipeline;
    pipeline.level = options.level;
    pipeline.disabled = options.disabled;
    pipeline.stop_after = options.after;
    // As a session does: inputs with a default that nobody feeds are constants.
    std::erase_if(graph.inputs, [&](ValueId id) { return graph.value(id).is_constant; });
    Status status = Optimize(graph, context, pipeline);
    if (!status.ok()) return Report(status);
  }
  PrintOptions print;
  if (!options.constants) print.elements_max = kElementsShown;
  std::string text = PrintGraph(graph, print);
  fwrite(text.data(), 1, text.size(), stdout);
  return kSuccess;
}

}  // namespace

void AddInspectCommand(Arguments& root) {
  auto options = std::make_shared<InspectOptions>();
  Arguments inspect = root.Command(
      "inspect", "Print a model's graph as text, one node a line, after all passes or after one of them");
  inspect.Add("model", options->model, "Model file (.onnx, .ort or .linnet)");
  inspect.Add("--after", options->after, "Stop after this pass; 'read' shows the graph before any pass");
  inspect.Flag("--constants", options->constants, "Print the contents of large constants too");
  inspect.Flag("--list", options->list, "List the passes in the order they run");
  inspect.Add("--optimize", options->level, "0: lowering only, 1: basic rewrites, 2: everything")
      .Range(0, 2);
  inspect.Add("--disable-pass", options->disabled, "Switch a pass off by name (repeatable)");
  inspect.Add("--precision", options->precision, "f32, bf16 or fp16: which products run on operands of 16 bits");
  inspect.Flag("--untrusted", options->untrusted, "Read instead of map the model and apply strict limits");
  inspect.OnRun([options] { return Inspect(*options); });
}

}  // namespace linnet::cli
