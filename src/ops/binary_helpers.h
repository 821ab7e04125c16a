// What the elementwise operators of two inputs share: broadcasting as their versions define it, and types that agree.
#pragma once

#include "ops/elementwise.h"

namespace linnet {

/// Numpy broadcasting since opset 7. Before, the first input is as large as the output and attribute `broadcast` lets
/// the second be a run of its dimensions that starts at `axis` (default: the last ones).
struct TwoOperands {
  static constexpr int64_t kNoAxis = INT64_MIN;
  bool legacy = false;
  bool broadcast = true;
  int64_t axis = kNoAxis;

  Status Parse(const Node& node);
  /// The output's shape, whatever is known of it.
  Result<Shape> InferShape(const InferContext& c) const;
  /// Both inputs' shapes so that numpy's rule holds. Static shapes that InferShape accepted.
  void Shapes(const BindContext& c, Shape out[2]) const;

  /// Checks that there are two inputs of one type in `mask`; that type, undefined when not known.
  static Result<DType> CheckTypes(const InferContext& c, uint32_t mask);

 private:
  /// The second input's shape with the ones that the `axis` rule implies.
  Shape Aligned(const Shape& a, const Shape& b) const;
};

}  // namespace linnet
