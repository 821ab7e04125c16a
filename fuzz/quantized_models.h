// Random quantized models, by kind: each operator on integers by itself, and each between DequantizeLinear and QuantizeLinear.
#pragma once

#include <span>
#include <string_view>

#include "fuzz/random_model.h"

namespace linnet {

struct QuantizedKind {
  std::string_view name;      ///< "QLinearConv", "QDQ Conv"
  void (*make)(Choices& c, RandomModel& m, std::string_view op);   ///< adds nodes and outputs
  bool products = false;      ///< it multiplies bytes (RandomModel::NarrowWeights)
};

/// Operators on integers, then those of patterns.
std::span<const QuantizedKind> QuantizedOperators();
std::span<const QuantizedKind> QuantizedPatterns();

Example MakeExample(const QuantizedKind& kind, Choices& choices);

}  // namespace linnet
