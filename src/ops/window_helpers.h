// Sliding windows: the attributes, paddings and output sizes that convolutions and pools share, and image shapes in
// both layouts.
#pragma once

#include <vector>

#include "ops/op.h"

namespace linnet {

inline constexpr int kSpatialMax = kMaxRank - 2;
/// Kernel sizes, strides, dilations and pads from a file must be below this: kernels compute in 32 bits with room.
inline constexpr int64_t kWindowMax = int64_t{1} << 30;

/// Where an image tensor keeps its parts: N C S... (ONNX) or N S... C (inside).
enum class Layout : uint8_t { kChannelsFirst, kChannelsLast };

inline int ChannelAxis(Layout layout, int rank) { return layout == Layout::kChannelsFirst ? 1 : rank - 1; }
inline int SpatialAxis(Layout layout, int i) { return layout == Layout::kChannelsFirst ? 2 + i : 1 + i; }

/// Fails unless `shape` has rank 3 to kMaxRank (unknown rank passes).
Status CheckImage(const Shape& shape);
/// [batch, channels, spatial...] in `layout`.
Shape ImageShape(Layout layout, int64_t batch, int64_t channels, std::span<const int64_t> spatial);

/// One spatial dimension of a window: its sizes and the padding it really gets.
struct WindowAxis {
  int64_t in = kUnknownDim, out = kUnknownDim;
  int64_t kernel = 1, stride = 1, dilation = 1;
  int64_t pad = 0, pad_end = 0;
  /// First and one-past-last kernel index whose input position lies inside, for output `o`.
  int64_t FirstTap(int64_t o) const {
    int64_t start = o * stride - pad;
    return start >= 0 ? 0 : (-start + dilation - 1) / dilation;
  }
  int64_t EndTap(int64_t o) const {
    int64_t start = o * stride - pad;
    return start >= in ? 0 : std::min(kernel, (in - start + dilation - 1) / dilation);
  }
};

struct Window {
  int rank = 0;
  WindowAxis axes[kSpatialMax];
  bool is_known() const;
  int64_t in_pixels() const;
  int64_t out_pixels() const;
  int64_t taps() const;   ///< of windows whose weights exist (otherwise it may overflow)
};

/// The attributes auto_pad, kernel_shape, strides, dilations, pads and ceil_mode.
struct WindowAttributes {
  enum class AutoPad : uint8_t { kNotSet, kSameUpper, kSameLower, kValid };
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;
  std::vector<int64_t> kernel_shape, strides, dilations, pads;   ///< empty: the default

  /// Reads and validates; lengths agree with each other.
  Status Parse(const Node& node);
  /// Spatial rank when an attribute tells it, or -1.
  int rank() const;

  /// Fills `window` for an input image. `kernel`: sizes from the weights, or null to use kernel_shape. Unknown sizes
  /// give unknown outputs; a window that does not fit the padded input fails.
  Status Fit(const Shape& image, Layout layout, const int64_t* kernel, int kernel_rank, Window* window) const;
};

}  // namespace linnet
