// Where the time of a run goes: what each step takes, beside the least it could.
#pragma once

#include <string>
#include <vector>

#include "api/session.h"
#include "base/function_ref.h"
#include "cli/json.h"
#include "cli/machine.h"
#include "cli/terminal.h"

namespace linnet::cli {

/// The steps of one plan, in the order they ran.
class StepTimes {
 public:
  /// Runs a few times with a profiler, and between for the machine's peaks. `run` runs `session` on values of `types`.
  static Result<StepTimes> Measure(Session& session, const std::vector<Type>& types, FunctionRef<Status(const RunOptions&)> run);

  /// A table with a row for each operator, the slowest first, `most` at most.
  std::string ByOperator(const Terminal& terminal, int most) const;
  /// One with a row for each step: its node, what it reads and what it makes.
  std::string BySteps(const Terminal& terminal) const;
  /// The sum of all, what the floor was taken from, and with `steps` a list of all. Steps without a floor count as none in the
  /// sum, which "floor_complete" then denies.
  void AddTo(Json* json, bool steps) const;

 private:
  struct Row {
    std::string op, name, types;
    double ns = 0, floor_ns = 0;
    int64_t count = 1;
    bool floor_known = true;   // of every step in it
  };
  Row Total() const;
  std::string Totals() const;

  std::vector<Row> steps_;
  MachinePeaks peaks_;
};

}  // namespace linnet::cli
