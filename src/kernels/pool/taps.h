// Which taps of a window lie in the image.
#pragma once

#include "kernels/pool/pool.h"

namespace linnet {

/// The taps of a window along one axis that lie in the image: `count` from input index `first`, args.dilation[axis] apart.
struct Taps {
  int64_t first, count, padded;   ///< padded: taps inside the padded image
};
inline Taps TapsOf(const PoolArgs& args, int axis, int64_t out_index) {
  const int64_t step = args.dilation[axis], kernel = args.kernel[axis];
  const int64_t at = out_index * args.stride[axis] - args.pad_begin[axis];
  // Taps k with at + k step < bound.
  auto below = [&](int64_t bound) {
    const int64_t k = at >= bound ? 0 : (bound - at + step - 1) / step;
    return k < kernel ? k : kernel;
  };
  const int64_t begin = below(0), end = below(args.in[axis]);
  return {at + begin * step, end - begin, below(args.in[axis] + args.pad_end[axis])};
}

}  // namespace linnet
