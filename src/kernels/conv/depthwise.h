// Float32 depthwise 2-D convolution, channels last: every channel has its own kernel.
//
// Weights are packed as [kernel_h * kernel_w][channels padded with zeros to 16], so that one load serves 16
// channels. One output channel per input channel; with more, it is a grouped convolution (conv.h).
#pragma once

#include <stdint.h>

#include "base/cpu.h"
#include "kernels/conv/conv.h"
#include "kernels/epilogue.h"

namespace linnet {

/// One depthwise convolution. Sizes, kernel, strides and dilations are >= 1 and below 2^30; pads are below it
/// and may be negative. Whatever lies outside of the input reads as zero. Input pixel (n, h, w) is at input +
/// n * input_batch_stride + h * input_row_stride + w * input_pixel_stride, output pixel p = (n * out_h + h) *
/// out_w + w at output + p * output_pixel_stride; the channels of both are contiguous. With input_ring_rows > 0
/// the input is a ring: row h is where row h % input_ring_rows would be, and an output row may be computed
/// while the rows it reads are there. Only the elements themselves are read and written. Output must not
/// overlap input.
struct DepthwiseF32 {
  const float* input = nullptr;
  int64_t input_batch_stride = 0, input_row_stride = 0, input_pixel_stride = 0;
  int64_t input_ring_rows = 0;
  int64_t batch = 1, in_h = 1, in_w = 1, out_h = 1, out_w = 1, channels = 1;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  const float* packed = nullptr;  ///< made by PackDepthwiseF32
  int64_t group = 1;   ///< channels of a group, for GroupedF32Kernels only
  float* output = nullptr;
  int64_t output_pixel_stride = 0;
  /// bias has `channels` floats; residual's rows are output pixels.
  Epilogue epilogue;
};

/// The same image, window, weights and output as `conv` has, whose output channels are the channels.
inline DepthwiseF32 DepthwiseOf(const ConvF32& conv) {
  DepthwiseF32 d;
  d.input = conv.input;
  d.input_batch_stride = conv.input_batch_stride, d.input_row_stride = conv.input_row_stride, d.input_pixel_stride = conv.input_pixel_stride;
  d.batch = conv.batch, d.in_h = conv.in_h, d.in_w = conv.in_w, d.out_h = conv.out_h, d.out_w = conv.out_w, d.channels = conv.out_c;
  d.kernel_h = conv.kernel_h, d.kernel_w = conv.kernel_w, d.stride_h = conv.stride_h, d.stride_w = conv.stride_w;
  d.dilation_h = conv.dilation_h, d.dilation_w = conv.dilation_w, d.pad_top = conv.pad_top, d.pad_left = conv.pad_left;
  d.packed = conv.packed;
  d.output = conv.output, d.output_pixel_stride = conv.output_pixel_stride;
  d.epilogue = conv.epilogue;
  return d;
}

/// Floats of the packed weights.
int64_t PackedDepthwiseSizeF32(int64_t channels, int64_t kernel_h, int64_t kernel_w);

/// Packs weights of ONNX's order [channels][1][kernel_h][kernel_w].
void PackDepthwiseF32(const float* weights, int64_t channels, int64_t kernel_h, int64_t kernel_w, float* out);

/// Computes output rows [row0, row1) of [0, batch * out_h) in channels [channel0, channel1); channel0 is a
/// multiple of
/// 16. Needs no scratch. Any split gives the same bits.
using DepthwiseF32Fn = void(const DepthwiseF32& conv, int64_t row0, int64_t row1, int64_t channel0,
                            int64_t channel1);
DepthwiseF32Fn* PickDepthwiseF32(CpuLevel level);

/// Convolutions of groups with as many outputs as inputs, a power of two that divides a vector. Output channel c of a pixel is the sum of
/// packed[(tap * group + i) * stride + c] times input i of its group over taps and i, `stride` being the channels rounded up to 16.
struct GroupedF32Kernels {
  bool (*serves)(const DepthwiseF32& conv);
  DepthwiseF32Fn* run;
};
const GroupedF32Kernels& PickGroupedF32(CpuLevel level);

/// A good unit of work: output rows, of which as many go to every thread, and which are done two at a time.
int64_t DepthwiseGrain(const DepthwiseF32& conv, int threads);

}  // namespace linnet
