// 8-bit depthwise convolution, channels last: every channel is convolved with a kernel of its own, eight channels at a time.
//
// Rows of the image become 16-bit numbers less their zero point, with zeros where padding is, in a ring of rows that stays in
// cache. Two taps are interleaved, so that one instruction multiplies and adds both:
//
//     x     a0 b0 a1 b1 a2 b2 a3 b3        taps a and b of channels 0 1 2 3
//     w     a0 b0 a1 b1 ...                sums are 32 bits, exact
//
// Other ways to the same bits: four bytes an instruction (int8_depthwise_squares.cc, int8_depthwise_bytes.cc, int8_depthwise_lanes.cc), floats, by a kernel of their
// own (int8_depthwise_floats.cc) or that of float convolutions (int8_depthwise_rows.cc), and kernels of 1x1 by themselves
// (int8_depthwise_points.cc).
#pragma once

#include <stdint.h>

#include "kernels/int8/int8_gemm.h"

namespace linnet {

/// What kernels store where FinishInt8::To is kActivated.
struct ActivatedByte {
  uint8_t byte;
};

/// One convolution; sizes and pads as in ConvInt8, with `channels` groups of one channel each. `finish` needs offset and scale
/// of `channels` elements rounded up to 16, and so a bias for kActivated (one_scale is not used); row p of its C is output pixel p.
struct DepthwiseInt8 {
  const uint8_t* input = nullptr;
  bool input_signed = false;
  int32_t input_zero = 0;
  int64_t batch = 1, in_h = 1, in_w = 1, out_h = 1, out_w = 1, channels = 1;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  const int16_t* packed = nullptr;   ///< made by PackDepthwiseInt8
  FinishInt8 finish;                 ///< column_zero is not used: the weights are less their zero points
};

/// Elements of the packed weights: [(taps + 1) / 2][channels rounded up to 8][2].
int64_t PackedDepthwiseSizeInt8(int64_t channels, int64_t taps);
/// Packs weights [channels][taps]; `zeros`: a zero point for each channel.
void PackDepthwiseInt8(const void* weights, bool is_signed, const int32_t* zeros, int64_t channels, int64_t taps, int16_t* out);

/// Bytes of scratch a call needs, 64-byte aligned; each thread its own. Reads only sizes.
int64_t DepthwiseScratchBytes(const DepthwiseInt8& conv);

/// Computes output rows [row0, row1) of [0, batch * out_h). Any split gives the same bits.
using DepthwiseInt8Fn = void(const DepthwiseInt8& conv, const void* prepared, int64_t row0, int64_t row1, void* scratch);

/// The functions of one instruction set.
struct DepthwiseInt8Kernels {
  /// Bytes, 64-byte aligned, that `prepare` writes; may be 0. Reads kernel, strides, dilations and channels.
  int64_t (*prepared_bytes)(const DepthwiseInt8& conv);
  /// Weights, offsets and scales in the order in which rows are computed. Good as long as `packed`, offsets, scales, input_zero and
  /// input_signed stay the same, whatever the sizes of images.
  void (*prepare)(const DepthwiseInt8& conv, void* prepared);
  DepthwiseInt8Fn* rows;
};
/// For such results.
const DepthwiseInt8Kernels& PickDepthwiseInt8(CpuLevel level, FinishInt8::To to);
/// For tests: those of avx512vnni without its instruction, for processors with AVX-512.
const DepthwiseInt8Kernels& EmulatedDepthwiseInt8();

}  // namespace linnet
