// Two passes over a growing dimension: one to warm up, one to measure.
#include "cli/growth.h"

#include <stdlib.h>
#include <string.h>

#include <algorithm>

#include "cli/allocations.h"

namespace linnet::cli {

Result<GrowthRange> ParseGrowth(const std::string& text) {
  GrowthRange range;
  size_t equals = text.rfind('='), colon = text.rfind(':');
  char* end = nullptr;
  if (equals != std::string::npos && equals > 0 && colon != std::string::npos && colon > equals + 1) {
    range.symbol = text.substr(0, equals);
    range.from = strtoll(text.c_str() + equals + 1, &end, 10);
    bool first = *end == ':' && end != text.c_str() + equals + 1;
    range.to = strtoll(text.c_str() + colon + 1, &end, 10);
    if (first && *end == 0 && end != text.c_str() + colon + 1 && range.from >= 0 && range.to >= range.from &&
        range.to <= 1'000'000) {
      return range;
    }
  }
  return InvalidArgument("--grow ", Quote(text), " is not of the form SYMBOL=FROM:TO with 0 <= FROM <= TO <= 1000000");
}

namespace {

/// The output that an input named after the past grows into, or -1.
int PresentOf(const Session& session, const std::string& input) {
  for (std::string_view past : {"past_key_values", "past"}) {
    const size_t at = input.find(past);
    if (at == std::string::npos) continue;
    const std::string wanted = std::string(input).replace(at, past.size(), "present");
    for (size_t o = 0; o < session.outputs().size(); ++o) {
      if (session.outputs()[o].name == wanted) return static_cast<int>(o);
    }
  }
  return -1;
}

/// Lets the caches of all steps lie where they grow. How many do; none where some step cannot.
int64_t ShareCaches(Session& session, std::vector<std::vector<Fact>>& steps, std::vector<RunOutput>& outputs) {
  const std::vector<std::vector<Fact>> apart = steps;
  int64_t shared = 0;
  for (size_t i = 0; i < session.inputs().size(); ++i) {
    const int o = PresentOf(session, session.inputs()[i].name);
    if (o < 0) continue;
    RunOutput& output = outputs[static_cast<size_t>(o)];
    const Type &largest = steps.back()[i].type, &first = steps.front()[i].type;
    if (!output.data || !largest.is_tensor() || largest == first) continue;
    Result<int64_t> bytes = ByteSize(largest.dtype, largest.shape.elements());
    if (!bytes.ok() || *bytes > output.capacity) continue;
    memcpy(output.data, steps.back()[i].data, static_cast<size_t>(*bytes));
    for (std::vector<Fact>& step : steps) step[i].data = output.data;
    output.over_input = true;
    ++shared;
  }
  if (shared == 0 || session.Run(steps.back().data(), outputs.data()).ok()) return shared;
  steps = apart;
  for (RunOutput& output : outputs) output.over_input = false;
  return 0;
}

}  // namespace

Result<Growth> MeasureGrowth(Session& session, const ShapeOptions& shapes, const GrowthRange& range) {
  std::vector<std::vector<Fact>> steps;
  auto types_at = [&](int64_t value) {
    ShapeOptions bound = shapes;
    bound.dims.push_back(Cat(range.symbol, "=", value));
    return BindInputTypes(session, bound);
  };
  LINNET_ASSIGN(std::vector<Type> largest, types_at(range.to));
  LINNET_ASSIGN(std::vector<Datum> data, RandomInputs(session, largest, 1));
  for (int64_t value = range.from; value <= range.to; ++value) {
    LINNET_ASSIGN(std::vector<Type> types, types_at(value));
    std::vector<Fact> facts = FactsOf(data);
    for (size_t i = 0; i < facts.size(); ++i) {
      if (facts[i].type.kind != Kind::kUnknown) facts[i].type = types[i];
    }
    steps.push_back(std::move(facts));
  }
  // The longest run's outputs, in memory of the run's own making, are where all others write.
  std::vector<RunOutput> room(session.outputs().size());
  LINNET_TRY(session.Run(steps.back().data(), room.data()));
  std::vector<RunOutput> outputs(room.size());
  for (size_t i = 0; i < room.size(); ++i) {
    if (!room[i].datum.type.is_tensor() || room[i].datum.type.dtype == DType::kString) continue;
    outputs[i].data = room[i].datum.tensor.mutable_data();
    outputs[i].capacity = room[i].datum.tensor.bytes();
  }

  Growth growth;
  growth.in_place = ShareCaches(session, steps, outputs);
  std::vector<double> ns(steps.size());
  for (int pass = 0; pass < 2; ++pass) {
    int64_t allocations = HeapAllocations(), plans = session.model().plans_made();
    int64_t planning = session.model().planning_ns();
    for (size_t i = 0; i < steps.size(); ++i) {
      int64_t begin = MonotonicNs();
      LINNET_TRY(session.Run(steps[i].data(), outputs.data()).At(Cat(range.symbol, " = ", range.from + static_cast<int64_t>(i))));
      ns[i] = static_cast<double>(MonotonicNs() - begin);
      if (pass == 0 && i == 0) allocations = HeapAllocations();
    }
    (pass == 0 ? growth.allocations_first : growth.allocations) = HeapAllocations() - allocations;
    growth.plans_made = session.model().plans_made() - plans;
    growth.planning_ns = static_cast<double>(session.model().planning_ns() - planning);
  }
  growth.runs = static_cast<int64_t>(steps.size());
  for (double one : ns) growth.total_ns += one;
  std::sort(ns.begin(), ns.end());
  growth.median_ns = ns[ns.size() / 2];
  return growth;
}

}  // namespace linnet::cli
