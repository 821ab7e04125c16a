// A sequence that grows by one a run, as text is generated: what each run costs and what of it is planning.
#pragma once

#include <string>
#include <vector>

#include "cli/data/model_inputs.h"

namespace linnet::cli {

/// --grow SYMBOL=FROM:TO.
struct GrowthRange {
  std::string symbol;
  int64_t from = 0, to = 0;
};
Result<GrowthRange> ParseGrowth(const std::string& text);

/// Of the second pass over the range, all of whose plans are made anew (the range is longer than the plan cache) or
/// found again; the first pass warms up.
struct Growth {
  int64_t runs = 0;
  double median_ns = 0, total_ns = 0, planning_ns = 0;
  int64_t plans_made = 0;
  int64_t allocations = 0;          ///< heap allocations, in all runs of the second pass together
  int64_t allocations_first = 0;    ///< the same of the first pass but for its first run
  int64_t in_place = 0;             ///< caches that grow where they are
};

/// Runs `session` at every value of the range, twice, from inputs and into outputs whose memory fits the last. An input named "past"
/// is read from where the output named "present" is written, where all runs can do that.
Result<Growth> MeasureGrowth(Session& session, const ShapeOptions& shapes, const GrowthRange& range);

}  // namespace linnet::cli
