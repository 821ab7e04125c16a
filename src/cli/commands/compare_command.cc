// linnet compare: two models on the same data, value by value, as a table, as JSON or as a page with plots.
#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <cmath>

#include "api/full_build.h"
#include "cli/commands/commands.h"
#include "cli/compare_page.h"
#include "cli/json.h"
#include "cli/data/preprocessing_flags.h"
#include "cli/progress_watch.h"
#include "cli/quantize_report.h"
#include "cli/data/samples.h"
#include "cli/units.h"

namespace linnet::cli {
namespace {

struct CompareArguments {
  std::string first, second, html;
  std::vector<std::string> data;
  PreprocessingFlags preprocessing;
  int64_t samples = 0, worst = 0;
  int threads = 0;
  bool json = false;
};

Result<quantize::Comparison> Measure(const CompareArguments& arguments) {
  SessionOptions options;
  LINNET_ASSIGN(OnnxModel first, ImportModel(arguments.first, options));
  LINNET_ASSIGN(OnnxModel second, ImportModel(arguments.second, options));
  std::vector<PortInfo> ports;
  for (ValueId id : first.graph.inputs) {
    if (!first.graph.is_constant(id)) ports.push_back({first.graph.value(id).name, first.graph.value(id).type});
  }
  LINNET_ASSIGN(std::unique_ptr<FileSamples> samples,
                FileSamples::Find(arguments.data, std::move(ports), first.info, arguments.preprocessing));
  std::vector<int64_t> which;
  for (int64_t i = 0; i < samples->size() && (arguments.samples == 0 || i < arguments.samples); ++i) which.push_back(i);
  ProgressWatch watch;
  return quantize::CompareModels(std::move(first), std::move(second), samples.get(), which, arguments.threads, watch);
}

Json ToJson(const CompareArguments& arguments, const quantize::Comparison& comparison) {
  Json json;
  json["first"] = arguments.first;
  json["second"] = arguments.second;
  json["ns"] = {comparison.first_ns, comparison.second_ns};
  json["weight_bytes"] = {comparison.first_bytes.all, comparison.second_bytes.all};
  json["values"] = Json::array();
  for (const quantize::ValueComparison& row : comparison.values) {
    Json one{{"name", row.name},
             {"op", row.op},
             {"output", row.is_output},
             {"sqnr_db", row.agreement.SqnrDb()},
             {"equal", row.agreement.noise == 0 && row.agreement.not_finite == 0},
             {"max_error", row.agreement.max_error},
             {"max_value", row.agreement.max_value},
             {"saturated", row.saturated},
             {"weight_bytes", {row.first_weights, row.second_weights}},
             {"ns", {row.first_ns, row.second_ns}}};
    if (row.has_range) one["range"] = {row.range.low, row.range.high};
    json["values"].push_back(std::move(one));
  }
  return json;
}

void PrintTable(const CompareArguments& arguments, const quantize::Comparison& comparison) {
  std::vector<const quantize::ValueComparison*> shown;
  for (const quantize::ValueComparison& row : comparison.values) shown.push_back(&row);
  if (arguments.worst > 0) {
    std::stable_sort(shown.begin(), shown.end(),
                     [](const auto* a, const auto* b) { return a->agreement.SqnrDb() < b->agreement.SqnrDb(); });
    shown.resize(std::min(shown.size(), static_cast<size_t>(arguments.worst)));
  }
  using Align = Table::Align;
  Terminal terminal(stdout);
  Table table({{"value"}, {"operator"}, {"SQNR", Align::kRight}, {""}, {"largest error", Align::kRight},
               {"of values up to", Align::kRight}, {"saturated", Align::kRight}, {"weights", Align::kRight},
               {"time", Align::kRight}});
  for (const quantize::ValueComparison* row : shown) {
    const double db = row->agreement.SqnrDb();
    std::string weights;
    if (row->first_weights > 0) weights = Cat(FormatBytes(row->first_weights), " -> ", FormatBytes(row->second_weights));
    std::string time;
    if (row->first_ns > 0 || row->second_ns > 0) time = Cat(FormatDurationNs(row->first_ns), " -> ", FormatDurationNs(row->second_ns));
    table.Row({{row->name, row->is_output ? Color::kBold : Color::kPlain}, row->op,
               {SqnrText(row->agreement), db >= 20 ? Color::kGreen : db >= 10 ? Color::kYellow : Color::kRed},
               {terminal.Bar(std::isfinite(db) ? db / 60 : db > 0 ? 1 : 0, 12), Color::kCyan},
               fmt::format("{:.3g}", row->agreement.max_error), fmt::format("{:.3g}", row->agreement.max_value),
               row->has_range ? fmt::format("{:.3f} %", 100 * row->saturated) : std::string(), weights, time});
  }
  fmt::print("{}", table.ToString(terminal));
  fmt::print("all steps {} -> {}   weights {} -> {}\n", FormatDurationNs(comparison.first_ns), FormatDurationNs(comparison.second_ns),
             FormatBytes(comparison.first_bytes.all), FormatBytes(comparison.second_bytes.all));
}

int Compare(const CompareArguments& arguments) {
  Result<quantize::Comparison> rows = Measure(arguments);
  if (!rows.ok()) return Report(rows.status());
  if (!arguments.html.empty()) {
    const std::string page = ComparePage(arguments.first, arguments.second, *rows);
    Status status = WriteFileAtomically(arguments.html, [&](Sink& sink) { return sink.Append(page); });
    if (!status.ok()) return Report(status);
  }
  if (arguments.json) {
    fmt::print("{}", FormatJson(ToJson(arguments, *rows)));
  } else {
    PrintTable(arguments, *rows);
  }
  return kSuccess;
}

}  // namespace

void AddCompareCommand(Arguments& root) {
  auto arguments = std::make_shared<CompareArguments>();
  Arguments command = root.Command("compare", "Where two models differ: value by value, on the same data");
  command.Add("first", arguments->first, "The reference (.onnx or .ort)").Required();
  command.Add("second", arguments->second, "The model compared with it (.onnx or .ort); values are matched by name").Required();
  command.Add("--data", arguments->data, "Samples, as for quantize").Required().Many();
  command.Add("--samples", arguments->samples, "Use at most so many samples").Range(1, 1000000000);
  command.Add("--worst", arguments->worst, "Show only so many values, the worst first").Range(1, 1000000);
  command.Add("--html", arguments->html, "Also write a page with plots to this file");
  command.Add("--threads", arguments->threads, "Threads (all processors)").Range(1, 64);
  command.Flag("--json", arguments->json, "Print one JSON object");
  AddPreprocessingFlags(command, &arguments->preprocessing);
  command.OnRun([arguments] { return Compare(*arguments); });
}

}  // namespace linnet::cli
