// Float32 convolution and the maximum pool behind it, channels last, a strip of pooled rows at a time.
//
// The image between them, which is several times as big as what comes out, never exists as a whole: the rows that a strip's windows
// cover are made, those that the strip before has made too are kept.
#pragma once

#include <stdint.h>

#include "kernels/conv/conv.h"
#include "kernels/pool/pool.h"

namespace linnet {

/// The convolution's output is what the pool takes in; its output pointer and strides, and the pool's x, are not used. The convolution
/// has one group and no residual, and is not summed by tiles (ConvF32::split). The pool has the shape of images (depth 1), and each of its
/// windows an element inside of the image.
struct ConvPoolF32 {
  ConvF32 conv;
  PoolArgs pool;
  int64_t strip_rows = 1;   ///< pooled rows of a strip, >= 1
};

/// Strips of all images: the unit of parallel work. The first strip of a call makes again the rows that the strip before it has.
int64_t ConvPoolStrips(const ConvPoolF32& args);

/// Bytes of scratch a call needs, 64-byte aligned; each thread its own. Reads only sizes and strides.
int64_t ConvPoolScratchBytes(const GemmF32Kernels& kernels, const ConvPoolF32& args);

/// Computes strips [strip0, strip1) of [0, ConvPoolStrips). `pool` is PickMaxPool's. Any split, and any strip_rows, gives the
/// same bits: those of the two run one after the other, where the first is not summed tap by tap (conv_taps.h).
void RunConvPoolF32(const GemmF32Kernels& kernels, PoolFn* pool, const ConvPoolF32& args, int64_t strip0, int64_t strip1, void* scratch);

}  // namespace linnet
