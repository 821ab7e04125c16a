// Where the scale and zero point of an element are: one for all, one per index of an axis, or one per block of an axis.
#pragma once

#include "ops/convert.h"
#include "ops/op.h"

namespace linnet {

/// A tensor seen as [outer][axis][inner]; its scales as [outer or 1][blocks][inner or 1]. Plain data.
struct ScaleMap {
  enum class Kind : uint8_t { kTensor, kAxis, kBlocks } kind = Kind::kTensor;
  int64_t axis = 1, inner = 1;
  int64_t block = 1, blocks = 1;

  /// Each index of the last axis has a scale.
  bool IsColumns() const { return kind == Kind::kAxis && inner == 1; }
  int64_t IndexOf(int64_t element) const {
    if (kind == Kind::kTensor) return 0;
    int64_t a = element / inner % axis;
    if (kind == Kind::kAxis) return a;
    return (element / (inner * axis) * blocks + a / block) * inner + element % inner;
  }
  /// Elements from `element` on that share its scale and lie side by side.
  int64_t RunFrom(int64_t element, int64_t elements) const {
    if (kind == Kind::kTensor) return elements - element;
    if (kind == Kind::kAxis) return inner - element % inner;
    if (inner > 1) return 1;
    int64_t a = element % axis;
    int64_t block_end = (a / block + 1) * block;
    return (block_end < axis ? block_end : axis) - a;
  }
};

/// Checks scale (input 1) and zero point (input 2) of a (De)QuantizeLinear against x (input 0). With `map` the shapes
/// must be static, and it is filled.
Status FitScale(const InferContext& c, int64_t axis, int64_t block_size, ScaleMap* map);

/// Smallest and largest value of an integer type of up to 32 bits.
struct IntegerRange {
  int64_t low = 0, high = 0;
};
IntegerRange RangeOf(DType dtype);

/// The types that numbers are quantized to.
inline constexpr uint32_t kQuantized =
    Mask(DType::kInt8) | Mask(DType::kUint8) | Mask(DType::kInt16) | Mask(DType::kUint16) | Mask(DType::kInt4) |
    Mask(DType::kUint4) | Mask(DType::kInt2) | Mask(DType::kUint2) | Mask(DType::kFloat8e4m3fn) |
    Mask(DType::kFloat8e4m3fnuz) | Mask(DType::kFloat8e5m2) | Mask(DType::kFloat8e5m2fnuz) | Mask(DType::kFloat4e2m1);

}  // namespace linnet
