// Float32 2-D transposed convolution, channels last, without scattering: one ordinary convolution per output
// phase.
//
// Output pixels whose (position + pad) leaves the same remainder by the stride see the same taps of the
// kernel, and see them as a convolution of stride 1 does. Two dimensions have stride_h * stride_w such
// phases:
//
//     stride 2, kernel 3, one dimension:     y[0] y[2] ..  =  taps 0, 2  of x[i], x[i-1]
//                                            y[1] y[3] ..  =  tap  1     of x[i]
#pragma once

#include <stdint.h>

#include "base/function_ref.h"
#include "kernels/conv/conv.h"

namespace linnet {

/// One transposed convolution: output (h, w) sums input (y, x) * weight (i, j) where h = y stride_h + i
/// dilation_h - pad_top, and so for w. Sizes and limits as in ConvF32; output_padding is a matter of out_h
/// and out_w. Output row r = n * out_h + h is at output + r * out_w * output_pixel_stride. The epilogue has
/// no residual.
struct ConvTransposeF32 {
  const float* input = nullptr;
  int64_t input_batch_stride = 0, input_row_stride = 0, input_pixel_stride = 0, input_channel_stride = 1;
  int64_t batch = 1, in_h = 1, in_w = 1, in_c = 1;
  int64_t out_h = 1, out_w = 1, out_c = 1;
  int64_t groups = 1;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  const float* packed = nullptr;  ///< made by PackConvTransposeF32
  float* output = nullptr;
  int64_t output_pixel_stride = 0;
  Epilogue epilogue;
};

/// Floats of the packed weights.
int64_t PackedConvTransposeSizeF32(int64_t in_c, int64_t out_c, int64_t groups, int64_t kernel_h,
                                   int64_t kernel_w);

/// Packs weights of ONNX's order [in_c][out_c / groups][kernel_h][kernel_w]. Of `conv` it reads in_c, out_c,
/// groups, kernel, strides and dilations.
void PackConvTransposeF32(const float* weights, const ConvTransposeF32& conv, float* out);

/// Panels of all groups, group by group.
int64_t ConvTransposePanels(const ConvTransposeF32& conv);

/// Bytes of scratch a call of RunConvTransposeF32 needs, 64-byte aligned; each thread its own.
int64_t ConvTransposeScratchBytes(const GemmF32Kernels& kernels, const ConvTransposeF32& conv);

/// Computes output rows [row0, row1) of [0, batch * out_h) in panels [panel0, panel1). Any split gives the
/// same bits. A row may be millions of pixels: `asked` is looked at between stretches of them, and ends the work when true.
void RunConvTransposeF32(const GemmF32Kernels& kernels, const ConvTransposeF32& conv, int64_t row0,
                         int64_t row1, int64_t panel0, int64_t panel1, void* scratch, FunctionRef<bool()> asked);

/// A good unit of parallel work: output rows by panels.
GemmGrain ConvTransposeGrainF32(const GemmF32Kernels& kernels, const ConvTransposeF32& conv, int threads);

}  // namespace linnet
