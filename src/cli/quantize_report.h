// What `linnet quantize` says when it is done.
#pragma once

#include <string>
#include <vector>

#include "cli/json.h"
#include "quantize/contract.h"

namespace linnet::cli {

struct QuantizeReport {
  std::string input, output, mode, calibrator;
  int64_t nodes = 0, quantized_nodes = 0;
  quantize::ConstantBytes before, after;
  int64_t calibrated = 0, compared = 0;   ///< samples
  bool held_out = false;                  ///< those compared were not used to calibrate
  bool refused = false;                   ///< the work was done, and nothing meets the floor
  double seconds = 0;
  std::vector<std::string> output_names;
  std::vector<quantize::Agreement> agreements;   ///< one an output; empty without data
  std::vector<std::string> notes;
  std::vector<std::string> wide, in_float;       ///< layers that are not 8-bit integers
  quantize::Score score;                         ///< on what was held out

  Json ToJson() const;
  void Print() const;
};

/// "34.1 dB", "equal", "not finite".
std::string SqnrText(const quantize::Agreement& agreement);

}  // namespace linnet::cli
