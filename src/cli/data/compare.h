// Comparing outputs with expected ones.
#pragma once

#include <string>

#include "graph/tensor.h"

namespace linnet::cli {

/// How far an output may be from what is expected.
struct Tolerance {
  double rtol = 1e-3;      ///< |a - e| <= atol + rtol * |e|, as the ONNX backend tests do
  double atol = 1e-7;
  double of_max = 0;       ///< when above 0: |a - e| <= of_max * max|e| instead
  int64_t integer_steps = 0;  ///< with of_max: how far integers may be off
};

/// Largest differences between two tensors of numbers.
struct Difference {
  double max_abs = 0;      ///< max |a - e|
  double max_rel = 0;      ///< max |a - e| / max|e| of the tensor
};

/// "" when `actual` is within tolerance, else one sentence: what differs, where, both values.
std::string Compare(const Datum& actual, const Datum& expected, const Tolerance& tolerance);

/// "" when types and shapes agree and the mean and spread of `actual` fit those of `expected` (six standard errors).
std::string CompareStatistics(const Datum& actual, const Datum& expected);

/// Differences of two tensors of the same shape; infinite when their types differ.
Difference Measure(const Tensor& actual, const Tensor& expected);

/// Element `i` as a number; complex counts two elements an item.
double ElementAsDouble(DType dtype, const void* data, int64_t i);

}  // namespace linnet::cli
