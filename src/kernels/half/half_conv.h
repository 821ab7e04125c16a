// Convolution with operands rounded to bfloat16 or float16, channels last: the reduced-precision form of
// conv/conv.h, on the panels and tiles of half_gemm.h.
//
// Rows of A are output pixels, K runs over (kernel row, kernel column, channel). Three ways, chosen by shape:
//
//     pointwise  1x1, stride 1, no padding: the image is A.
//     strips     rows of the image are rounded once, with their padding, so that tiles read all taps in place (tiles/strip.h).
//     gather     odd channels, or kernels so wide that a strip is too large: output pixels are gathered as rows of K.
#pragma once

#include <stdint.h>

#include "kernels/half/half_gemm.h"
#include "kernels/conv/conv.h"

namespace linnet {

/// Bytes of the packed weights of a convolution of one group.
inline int64_t PackedConvSizeHalf(int64_t out_c, int64_t in_c, int64_t taps) { return PackedSizeHalf(taps * in_c, out_c); }
/// Packs weights of ONNX's order [out_c][in_c][taps]. `temporary`: as many floats, used where taps > 1.
void PackConvHalf(HalfFormat format, const float* weights, int64_t out_c, int64_t in_c, int64_t taps, float* temporary, void* out);

/// Below, a ConvF32 has one group, input_channel_stride 1 and no output_row_stride, and `packed` was made by PackConvHalf.

/// Bytes of scratch a call needs, 64-byte aligned; each thread its own. Reads only sizes and strides.
int64_t ConvHalfScratchBytes(const HalfKernels& kernels, const ConvF32& conv);
/// Computes output pixels [pixel0, pixel1) of [0, batch * out_h * out_w) in panels [panel0, panel1). Any split gives the same
/// bits.
void RunConvHalf(const HalfKernels& kernels, const ConvF32& conv, int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1,
                 void* scratch);
/// A good unit of parallel work: output pixels (`rows`) by panels. Neighbouring panels are better done in one call.
GemmGrain ConvGrainHalf(const HalfKernels& kernels, const ConvF32& conv, int threads);

}  // namespace linnet
