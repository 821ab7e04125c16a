// Comparing two models value by value: where a difference begins, and what it grows to.
#pragma once

#include <string>
#include <vector>

#include "quantize/quantize.h"

namespace linnet::quantize {

/// One value that both models compute, by name, in the order the first computes it.
struct ValueComparison {
  std::string name;
  std::string op;                    ///< what makes it in the first model
  Agreement agreement;
  Histogram first, second;           ///< of the floats themselves
  bool has_range = false;            ///< the second model quantizes it with one scale
  Range range;                       ///< what the codes express
  double saturated = 0;              ///< share of the first's values that lie beyond the second's first or last code
  int64_t first_weights = 0, second_weights = 0;   ///< bytes of the constants behind the node, dequantization followed; of a product before its activation
  Histogram first_weight_values, second_weight_values;   ///< of its matrix or filters; empty where the second model has none
  bool has_weight_range = false;     ///< they are quantized in the second model
  Range weight_range;                ///< what their codes express, in any channel
  bool is_output = false;
  double first_ns = 0, second_ns = 0;   ///< of the step that computes it, with what was fused into that; 0: a part of another's step
};

struct Comparison {
  std::vector<ValueComparison> values;
  double first_ns = 0, second_ns = 0;    ///< of all steps
  ConstantBytes first_bytes, second_bytes;
};

/// Runs both over `which` of the samples, and times their steps on the first of them. Values are matched after both were simplified by the passes that stay within
/// ONNX's operators. Fails when the inputs differ in number.
Result<Comparison> CompareModels(OnnxModel first, OnnxModel second, Samples* samples, const std::vector<int64_t>& which, int threads,
                                 Watch watch);

}  // namespace linnet::quantize
