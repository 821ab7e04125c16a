// Resizing float images, channels last, from tables of taps.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// What the output coordinates of one axis are made of: coordinate i is the sum over t < taps of
/// weight[i * taps + t] times the input at index[i * taps + t]. Nearest: taps 1, weight null (1). Linear: 2
/// taps, cubic 4, more with antialiasing. Taps of weight 0 are skipped. A negative first index makes the
/// coordinate the extrapolation value.
struct ResizeAxis {
  int64_t taps = 1;
  const int32_t* index = nullptr;
  const float* weight = nullptr;
};

/// One image [in_height][in_width][channels] to [out_height][out_width][channels]. `scratch` has
/// ResizeScratchFloats(args) floats, one array for each concurrent call.
struct ResizeArgs {
  const float* x = nullptr;
  float* out = nullptr;
  float* scratch = nullptr;
  int64_t in_width = 0;
  int64_t out_width = 0;
  int64_t channels = 0;
  ResizeAxis rows, cols;
  float extrapolation = 0;
  bool out_is_far = false;   ///< the whole of what is resized does not stay in a cache: it is written past them
};

/// Images of one channel keep so many input rows that are resized already, and a table of the taps of columns behind them.
inline constexpr int64_t kResizePlaneTaps = 4;

inline int64_t ResizeKeptFloats(const ResizeArgs& args) {
  return args.rows.weight == nullptr || args.rows.taps > kResizePlaneTaps ? 0 : args.rows.taps * args.out_width;
}
inline int64_t ResizeScratchFloats(const ResizeArgs& args) {
  const int64_t row = args.rows.weight == nullptr ? 0 : args.in_width * args.channels;
  const int64_t plane = args.channels == 1 ? ResizeKeptFloats(args) + 2 * args.cols.taps * args.out_width : 0;
  return row > plane ? row : plane;
}

/// Computes the output rows [begin, end). The caller has checked that indices lie in the image. x and out do
/// not overlap.
using ResizeFn = void(const ResizeArgs& args, int64_t begin, int64_t end);
ResizeFn* PickResize(CpuLevel level);

}  // namespace linnet
