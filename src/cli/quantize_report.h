// What `linnet quantize` says when it is done.
#pragma once

#include <string>
#include <vector>

#include "cli/json.h"
#include "quantize/recipe.h"

namespace linnet::cli {

struct QuantizeReport : quantize::Outcome {
  std::string input, output, mode;
  double seconds = 0;

  Json ToJson() const;
  void Print() const;
  /// What a page begins with: what was asked, and what came of it.
  std::vector<std::string> Facts(const quantize::Recipe& recipe) const;
};

/// "34.1 dB", "equal", "not finite".
std::string SqnrText(const quantize::Agreement& agreement);

}  // namespace linnet::cli
