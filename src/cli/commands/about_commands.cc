// linnet version, linnet knobs: what this build is and which environment variables it heeds.
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/knobs.h"
#include "cli/commands/commands.h"
#include "cli/json.h"
#include "cli/terminal.h"
#include "ops/registry.h"

namespace linnet::cli {
namespace {

int Version(bool json_wanted) {
  Result<int> threads = ChosenThreads();
  if (!threads.ok()) return Report(threads.status());
  Result<CpuLevel> level = ChosenCpuLevel();
  if (!level.ok()) return Report(level.status());
  if (json_wanted) {
    Json json;
    json["version"] = LINNET_VERSION;
    json["cpu"] = CpuLevelName(*level);
    json["cpu_best"] = CpuLevelName(DetectedCpuLevel());
    json["threads"] = *threads;
    json["compiler"] = __VERSION__;
    json["operators"] = OpTable::BuiltIn().rows().size();
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }
  fmt::print("linnet {}\n", LINNET_VERSION);
  fmt::print("cpu        {} (this machine: {}), {} thread{}\n", CpuLevelName(*level), CpuLevelName(DetectedCpuLevel()),
             *threads, *threads == 1 ? "" : "s");
  fmt::print("operators  {} implementations\n", OpTable::BuiltIn().rows().size());
  fmt::print("compiler   {}\n", __VERSION__);
  return kSuccess;
}

int PrintKnobs(bool json_wanted) {
  if (json_wanted) {
    Json json = Json::array();
    for (const KnobRow& row : Knobs()) {
      json.push_back({{"name", row.name}, {"type", row.type}, {"default", row.fallback},
                      {"value", std::string(KnobText(row.knob))}, {"sentence", row.sentence}});
    }
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }
  Table table({{"variable"}, {"now"}, {"type"}, {"meaning"}});
  for (const KnobRow& row : Knobs()) {
    bool set = KnobText(row.knob) != row.fallback;
    std::string now(KnobText(row.knob));
    table.Row({row.name, {now.empty() ? "-" : now, set ? Color::kYellow : Color::kDim}, row.type, row.sentence});
  }
  fmt::print("{}", table.ToString(Terminal(stdout)));
  return kSuccess;
}

}  // namespace

void AddVersionCommand(Arguments& root) {
  auto json = std::make_shared<bool>(false);
  Arguments version = root.Command("version", "Print the version, the CPU level in use and the compiler");
  version.Flag("--json", *json, "Print one JSON object");
  version.OnRun([json] { return Version(*json); });
}

void AddKnobsCommand(Arguments& root) {
  auto json = std::make_shared<bool>(false);
  Arguments knobs = root.Command("knobs", "List the environment variables Linnet heeds, with their values now");
  knobs.Flag("--json", *json, "Print a JSON array");
  knobs.OnRun([json] { return PrintKnobs(*json); });
}

}  // namespace linnet::cli
