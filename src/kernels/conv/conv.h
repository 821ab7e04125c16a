// Float32 2-D convolution, channels last, as matrix products on packed panels without an im2col copy of the
// image.
//
// Rows of A are output pixels, K runs over (kernel row, kernel column, channel). Six ways, chosen by shape:
//
//     pointwise  1x1, stride 1, no padding: the image is A, in place.
//     rows       kernel rows of the image are copied, padded and made dense, into a ring that stays in cache;
//     an output
//                row is one product whose A has a segment per kernel row:
//
//                    ring row  | 0 0 | pixel 0 | pixel 1 | ...        output pixel x reads kernel_w * C
//                    contiguous
//                                ^---- x = 0 ----^                    floats from pixel x * stride_w on
//
//     gather     narrow images, big weights: some tens of output pixels are gathered as contiguous rows of K,
//     so that
//                every weight fetched serves all of them.
//     groups     small groups: as rows, of which a ring has all groups' channels (conv_groups.h).
//     narrow     few outputs: vectors of pixels instead of outputs (conv_narrow.h).
//     taps       most taps lie outside of the image: one product for each tap (conv_taps.h).
//
// 1-D convolution is the same with height 1. Depthwise convolution has its own kernels (depthwise.h).
#pragma once

#include <stdint.h>

#include "kernels/conv/conv_sizes.h"
#include "kernels/gemm.h"
#include "kernels/transpose.h"

namespace linnet {

/// One convolution. Whatever lies outside of the input reads as zero. groups divides in_c and out_c. Input element (n, h, w, c) is at input[n *
/// input_batch_stride + h * input_row_stride + w * input_pixel_stride + c * input_channel_stride]: a channel
/// slice has a bigger pixel stride, an NCHW image strides (C H W, W, 1, H W). Output pixel p = (n * out_h +
/// h) * out_w + w is at output + p * output_pixel_stride, its channels contiguous. Only the elements
/// themselves are read and written. Output must not overlap input or weights.
struct SplitGemmKernels;
struct GroupedF32Kernels;
struct NarrowF32Kernels;

struct ConvF32 : ConvSizes {
  const float* input = nullptr;
  int64_t input_batch_stride = 0, input_row_stride = 0, input_pixel_stride = 0, input_channel_stride = 1;
  TransposeFn* transpose = nullptr;  ///< of floats: makes copies of rows whose pixel stride is 1 faster; may be null
  const float* packed = nullptr;  ///< made by PackConvF32
  float* output = nullptr;
  int64_t output_pixel_stride = 0, output_row_stride = 0;
  const SplitGemmKernels* split = nullptr;   ///< products by tiles where that pays; may be null
  const GroupedF32Kernels* grouped = nullptr;   ///< groups of few channels in vectors of several groups; may be null
  const NarrowF32Kernels* narrow = nullptr;     ///< where NarrowPaysF32 says so (conv_narrow.h)
  bool only_pixel = false;   ///< of one pixel, and no part of a larger one (GemmF32::only_row)
  /// bias has out_c floats; residual's rows are output pixels.
  Epilogue epilogue;
  AheadPart ahead;   ///< memory that the products of a call ask for
};

/// Floats of the packed weights: `groups` packed matrices of (kernel_h kernel_w in_c / groups) x (out_c /
/// groups).
int64_t PackedConvSizeF32(int64_t out_c, int64_t in_c, int64_t groups, int64_t kernel_h, int64_t kernel_w);

/// Packs weights of ONNX's order [out_c][in_c / groups][kernel_h][kernel_w].
void PackConvF32(const float* weights, int64_t out_c, int64_t in_c, int64_t groups, int64_t kernel_h,
                 int64_t kernel_w, float* out);

/// Panels of all groups, group by group: the second dimension of work.
int64_t ConvPanels(const ConvF32& conv);

/// Bytes of scratch a call of RunConvF32 needs, 64-byte aligned; each thread its own. Reads only sizes and
/// strides.
int64_t ConvScratchBytes(const GemmF32Kernels& kernels, const ConvF32& conv);

/// Computes output pixels [pixel0, pixel1) of [0, batch * out_h * out_w) in panels [panel0, panel1) of
/// [0, ConvPanels). Any split gives the same bits.
void RunConvF32(const GemmF32Kernels& kernels, const ConvF32& conv, int64_t pixel0, int64_t pixel1,
                int64_t panel0, int64_t panel1, void* scratch);

/// Whether products are made by tiles (ConvF32::split).
bool ConvSplits(const GemmF32Kernels& kernels, const ConvF32& conv);

/// A good unit of parallel work: output pixels (`rows`) by panels.
GemmGrain ConvGrainF32(const GemmF32Kernels& kernels, const ConvF32& conv, int threads);

}  // namespace linnet
