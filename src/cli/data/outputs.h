// What came out of a run: a line of summary, files, traces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/json.h"
#include "graph/tensor.h"
#include "run/state.h"

namespace linnet::cli {

/// "0.1, 2, -3" for a few elements, "min -1.2  max 3.4  mean 0.1" and how many are not finite for more; the number of
/// items of sequences and maps. Strings are quoted.
std::string Summarize(const Datum& datum);
/// The same for programs: {"min", "max", "mean", "not_finite"} of numbers, {"items"} of the rest.
Json SummarizeJson(const Datum& datum);

/// A file name made of an output's: letters, digits, '.', '_' and '-' stay, the rest becomes '_', at most 100 bytes, no
/// leading '.', and none of `taken`, to which it is added.
std::string FileNameFor(std::string_view name, std::string_view ending, std::vector<std::string>& taken);

/// A trace in Chrome's JSON format, which chrome://tracing and ui.perfetto.dev open: one complete event a step, nested
/// by depth, times from the first.
Json TraceJson(const Profiler& profiler);

}  // namespace linnet::cli
