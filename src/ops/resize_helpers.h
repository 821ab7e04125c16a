// How Resize maps output positions to input positions: attributes, scales, and per axis a table of taps and weights.
#pragma once

#include <vector>

#include "ops/window_helpers.h"

namespace linnet {

struct ResizeAttributes {
  enum class Mode : uint8_t { kNearest, kLinear, kCubic };
  enum class Coordinates : uint8_t {
    kHalfPixel,
    kHalfPixelSymmetric,
    kPytorchHalfPixel,
    kTfHalfPixelForNn,
    kAlignCorners,
    kAsymmetric,
    kTfCropAndResize,
  };
  enum class Rounding : uint8_t { kPreferFloor, kPreferCeil, kFloor, kCeil, kSimple };  ///< kSimple: before version 11
  enum class Policy : uint8_t { kStretch, kNotLarger, kNotSmaller };

  Mode mode = Mode::kNearest;
  Coordinates coordinates = Coordinates::kHalfPixel;
  Rounding rounding = Rounding::kPreferFloor;
  Policy policy = Policy::kStretch;
  float cubic_a = -0.75f;
  float extrapolation = 0;
  bool exclude_outside = false, antialias = false;
  bool has_axes = false;
  std::vector<int64_t> axes;
  std::vector<float> scales;            ///< Upsample before version 9: an attribute
  int roi_input = 1, scales_input = 2, sizes_input = 3;   ///< -1: this version has none

  /// Resize (10 and later) or Upsample (1 to 9), by node.op and node.version.
  Status Parse(const Node& node);
};

/// One axis of the data as it is stored.
struct ResizeDim {
  int64_t in = kUnknownDim, out = kUnknownDim;
  double scale = 1;
  bool exact = false;      ///< the scale is a quotient of sizes, not a float of the model
  double roi_begin = 0, roi_end = 1;
};

/// Fills `axes`, one for each dimension of input 0 as stored, from what is known of scales, sizes and region of interest.
/// `reorder`: the tensor is stored with channels last while lists are in ONNX's order. Input 0 has a rank.
Status InferResize(const ResizeAttributes& attributes, const InferContext& c, bool reorder, ResizeDim* axes);
/// True when the tables depend on a region of interest whose contents are not known yet.
bool RoiIsMissing(const ResizeAttributes& attributes, const InferContext& c);

/// What an output position of one axis reads: `taps` inputs with weights. Arrays have out * taps elements, `outside` out.
struct ResizeTable {
  int64_t in = 0, out = 0, taps = 1;
  int32_t* index = nullptr;
  double* weight = nullptr;      ///< null for nearest
  uint8_t* outside = nullptr;    ///< 1: the extrapolation value; null unless tf_crop_and_resize
};

/// Taps of one output position along `axis`.
int64_t ResizeTaps(const ResizeAttributes& attributes, const ResizeDim& axis);
/// True when the axis passes through unchanged.
bool IsIdentity(const ResizeAttributes& attributes, const ResizeDim& axis);
/// Fills the arrays of `table`.
void FillResizeTable(const ResizeAttributes& attributes, const ResizeDim& axis, ResizeTable* table);

}  // namespace linnet
