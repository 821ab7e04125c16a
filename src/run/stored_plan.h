// A plan as a prepared file has it: the part of a plan that does not depend on the machine. Kernels, their parameters and scratch
// memory are chosen when it is followed (compile/stored_plan.h).
#pragma once

#include <vector>

#include "run/plan.h"

namespace linnet {

struct StoredPlan {
  /// By value: its type, and contents where they are known. Kind kUnknown: a constant of the graph, or nothing that is computed.
  std::vector<Fact> facts;
  std::vector<Place> places;   ///< by value, of segment 0
  int64_t arena_bytes = 0;     ///< of values alone
  PlanRef made_from;           ///< a plan that was just made keeps its contents; null when they lie in a file
};

}  // namespace linnet
