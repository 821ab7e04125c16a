// Whether a reduced library says what the full build says: the same model on the same numbers, on either side.
#pragma once

#include <string>
#include <vector>

#include "api/session.h"
#include "cli/data/compare.h"
#include "cli/data/model_inputs.h"
#include "cli/shrink/target.h"

namespace linnet::cli {

/// A model's inputs as files in a folder, as examples/run_files.c reads them, and what the full build makes of them.
struct CheckCase {
  std::string folder;
  std::vector<std::string> names;    ///< of the outputs
  std::vector<Datum> expected;
};

/// Runs the model at `path` in this very process, on random inputs of the shapes given, and writes those into `folder`.
Result<CheckCase> MakeCheckCase(const std::string& path, const SessionOptions& options, const ShapeOptions& shapes,
                                const std::string& folder);

/// Runs `program` (run_files, of the reduced build) on the case and the reduced build's model, and compares. "" when all outputs
/// are right; else a sentence. `worst` receives the largest difference.
std::string RunCheckCase(const CheckCase& check, const Runner& runner, const std::string& program, const std::string& model,
                         const Tolerance& tolerance, Difference* worst);

}  // namespace linnet::cli
