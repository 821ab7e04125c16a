// Tables of steps, their times and their floors.
#include "cli/step_times.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <span>

#include "cli/units.h"
#include "run/state.h"

namespace linnet::cli {
namespace {

struct Known {
  double floor_ns = 0;
  bool has_floor = false;
  std::string types;
};

std::string TypesOf(const Plan& plan, std::span<const ValueId> ids) {
  std::string text;
  for (ValueId id : ids) {
    if (!text.empty()) text += ", ";
    if (id != kNoValue) text += ToString(plan.facts[static_cast<size_t>(id)].type);
  }
  return text;
}

NodeId ProducerOf(const Graph& graph, std::span<const ValueId> outputs) {
  for (ValueId id : outputs) {
    if (id != kNoValue) return graph.value(id).producer;
  }
  return kNoNode;
}

/// The floor of every step of the plan for these types; steps behind a boundary have none.
std::map<const NodeIo*, Known> KnownOf(Session& session, const std::vector<Type>& types, const MachinePeaks& peaks) {
  std::map<const NodeIo*, Known> list;
  Result<PlanRef> plan = session.PlanFor(types);
  if (!plan.ok() || peaks.flops_per_ns <= 0) return list;
  const Plan& made = *plan->get();
  for (const Step& step : made.steps) {
    if (step.late) continue;
    auto values = [&](std::span<const ValueId> ids) {
      std::vector<StepValue> found;
      for (ValueId id : ids) {
        const size_t at = static_cast<size_t>(id);
        found.push_back(id == kNoValue ? StepValue() : StepValue{&made.facts[at].type, made.places[at].kind == Place::kKnown});
      }
      return found;
    };
    const NodeId node = ProducerOf(session.model().graph(), step.io->outputs);
    if (node == kNoNode) continue;
    const StepCost cost = CostOf(session.model().graph().node(node), values(step.io->inputs), values(step.io->outputs));
    Known& known = list[step.io];
    known.types = TypesOf(made, step.io->inputs) + " -> " + TypesOf(made, step.io->outputs);
    // Peaks are those of float32 and of bytes.
    known.has_floor = session.precision() == Precision::kFloat32 || cost.macs <= 0 || cost.of_bytes;
    if (known.has_floor) known.floor_ns = peaks.FloorNs(cost, static_cast<double>(session.model().weight_bytes()));
  }
  return list;
}

}  // namespace

Result<StepTimes> StepTimes::Measure(Session& session, const std::vector<Type>& types, FunctionRef<Status(const RunOptions&)> run) {
  constexpr int kRunsMin = 5, kRunsMax = 201;
  constexpr int64_t kMostNs = 200'000'000;   // for more than the least
  StepTimes times;
  Status status;
  const CpuLevel cpu = session.model().options().cpu;
  const double model_bytes = static_cast<double>(session.model().weight_bytes());
  times.peaks_.threads = session.threads();
  MeasurePeaks(cpu, &times.peaks_, model_bytes);
  std::vector<std::vector<double>> all;   // of every step, those of the runs
  std::vector<const NodeIo*> nodes;
  const int64_t start = MonotonicNs();
  for (int i = 0; i < kRunsMax && (i < kRunsMin || MonotonicNs() - start < kMostNs); ++i) {
    Profiler profiler;
    RunOptions options;
    options.profiler = &profiler;
    LINNET_TRY(run(options));
    size_t at = 0;
    for (const Profiler::Span& span : profiler.spans) {
      if (span.depth > 0) continue;
      if (at == times.steps_.size()) {
        times.steps_.push_back({std::string(span.io->op), std::string(span.io->label), ""});
        nodes.push_back(span.io);
        all.emplace_back();
      }
      all[at++].push_back(static_cast<double>(span.end_ns - span.begin_ns));
    }
  }
  MeasurePeaks(cpu, &times.peaks_, model_bytes);
  MeasureArithmeticBeside(cpu, [&] { if (status.ok()) status = run({}); }, &times.peaks_);
  LINNET_TRY(std::move(status));
  const std::map<const NodeIo*, Known> known = KnownOf(session, types, times.peaks_);
  for (size_t i = 0; i < all.size(); ++i) {
    Row& row = times.steps_[i];
    const auto found = known.find(nodes[i]);
    row.floor_known = found != known.end() && found->second.has_floor;
    if (row.floor_known) row.floor_ns = found->second.floor_ns;
    if (found != known.end()) row.types = found->second.types;
    std::nth_element(all[i].begin(), all[i].begin() + static_cast<std::ptrdiff_t>(all[i].size() / 2), all[i].end());
    row.ns = all[i][all[i].size() / 2];
  }
  return times;
}

StepTimes::Row StepTimes::Total() const {
  Row total;
  total.count = static_cast<int64_t>(steps_.size());
  for (const Row& row : steps_) {
    total.ns += row.ns, total.floor_ns += row.floor_ns;
    total.floor_known = total.floor_known && row.floor_known;
  }
  return total;
}

std::string StepTimes::Totals() const {
  const Row total = Total();
  return fmt::format("all steps {}, floor {}{} ({:.0f} GFLOP/s, or {:.0f} Gop/s of bytes, a thread; {})\n", FormatDurationNs(total.ns),
                     total.floor_known ? "" : "at least ", FormatDurationNs(total.floor_ns), peaks_.flops_per_ns, peaks_.byte_ops_per_ns,
                     peaks_.ReadingText());
}

void StepTimes::AddTo(Json* json, bool steps) const {
  auto floor_ms = [](const Row& row) { return row.floor_known ? Json(row.floor_ns / 1e6) : Json(nullptr); };
  const Row total = Total();
  (*json)["steps_ms"] = total.ns / 1e6;
  (*json)["floor_ms"] = total.floor_ns / 1e6;
  (*json)["floor_complete"] = total.floor_known;
  Json reading = Json::array();
  for (const MachinePeaks::Reading& each : peaks_.reading) reading.push_back({{"bytes", each.bytes}, {"gb_per_s", each.bytes_per_ns}});
  (*json)["peaks"] = {{"threads", peaks_.threads},
                      {"gflops_per_thread", peaks_.flops_per_ns},
                      {"byte_gops_per_thread", peaks_.byte_ops_per_ns},
                      {"reading", std::move(reading)}};
  if (!steps) return;
  Json list = Json::array();
  for (const Row& row : steps_) {
    list.push_back({{"op", row.op}, {"name", row.name}, {"types", row.types}, {"ms", row.ns / 1e6}, {"floor_ms", floor_ms(row)}});
  }
  (*json)["steps"] = std::move(list);
}

namespace {

std::string FloorText(bool known, double floor_ns) { return known ? FormatDurationNs(floor_ns) : ""; }
std::string TimesFloor(bool known, double ns, double floor_ns) {
  return known && floor_ns > 0 ? fmt::format("{:.1f} x", ns / floor_ns) : "";
}

}  // namespace

std::string StepTimes::ByOperator(const Terminal& terminal, int most) const {
  std::map<std::string, Row> by_op;
  double total = 0;
  for (const Row& step : steps_) {
    total += step.ns;
    auto [at, added] = by_op.emplace(step.op, step);
    if (added) continue;
    Row& row = at->second;
    row.ns += step.ns, row.floor_ns += step.floor_ns, row.count += 1;
    row.floor_known = row.floor_known && step.floor_known;
  }
  std::vector<Row> rows;
  for (auto& [op, row] : by_op) rows.push_back(std::move(row));
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.ns > b.ns; });
  using enum Table::Align;
  Table table({{"operator", kLeft}, {"steps", kRight}, {"time", kRight}, {"share", kRight}, {"floor", kRight}, {"of floor", kRight}});
  for (size_t i = 0; i < rows.size() && i < static_cast<size_t>(most); ++i) {
    const Row& row = rows[i];
    table.Row({row.op, fmt::format("{}", row.count), FormatDurationNs(row.ns), fmt::format("{:.1f} %", total > 0 ? 100 * row.ns / total : 0),
               FloorText(row.floor_known, row.floor_ns), TimesFloor(row.floor_known, row.ns, row.floor_ns)});
  }
  return table.ToString(terminal) + Totals();
}

std::string StepTimes::BySteps(const Terminal& terminal) const {
  using enum Table::Align;
  Table table({{"time", kRight}, {"floor", kRight}, {"of floor", kRight}, {"step", kLeft}, {"types", kLeft}});
  for (const Row& row : steps_) {
    table.Row({FormatDurationNs(row.ns), FloorText(row.floor_known, row.floor_ns), TimesFloor(row.floor_known, row.ns, row.floor_ns),
               row.name, row.types});
  }
  return table.ToString(terminal) + Totals();
}

}  // namespace linnet::cli
