// Plans of a .linnet file.
#pragma once

#include <string_view>

#include "format/read_values.h"
#include "run/stored_plan.h"

namespace linnet {

/// One plan for a graph of `value_count` values: numbers, types and blocks are within bounds. What they mean together is for the
/// one who follows the plan to check.
Result<StoredPlan> ReadPlan(const fbs::Plan& from, int value_count, std::string_view file);

}  // namespace linnet
