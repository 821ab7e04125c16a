// 8-bit convolution of one or two spatial dimensions, channels last, on the packed panels and tiles of int8_gemm.h.
//
// Rows of A are output pixels, K runs over (kernel row, kernel column, channel) of a group. Some output pixels at a time are
// gathered as rows of a block, from which every weight fetched serves all of them; what lies outside of the image is the zero
// point. 1x1 convolutions read the image as it lies. The block stays in the first caches, so that gathering costs a copy of
// each tap for the N multiply-adds that it takes part in. Instructions with tiles read strips (tiles/strip.h). Depthwise convolution has a kernel of its own (int8_depthwise.h),
// and so has one of few outputs (int8_narrow.h); of few channels, some instructions read lines of the image (int8_lines.h).
#pragma once

#include <stdint.h>

#include "kernels/conv/conv_sizes.h"
#include "kernels/int8/int8_gemm.h"

namespace linnet {

struct NarrowInt8Kernels;
/// From one pair of taps to the next of weights packed for depthwise kernels (PackDepthwiseInt8), of one channel.
inline constexpr int64_t kLineStrideInt8 = 16;

/// One convolution. Input element (n, h, w, c) is at input[((n * in_h + h) * in_w + w) * in_c + c]; output pixel p = (n * out_h +
/// h) * out_w + w is row p of `finish`'s C, whose columns are the out_c channels. Only the elements themselves are touched.
struct ConvInt8 : ConvSizes {
  const uint8_t* input = nullptr;   ///< bytes, signed or not
  bool input_signed = false;
  uint8_t input_zero = 0;           ///< the byte that stands outside of the image
  const void* packed = nullptr;     ///< made by PackConvInt8
  std::byte* orders = nullptr;      ///< ConvOrdersBytesInt8, as GemmInt8 has it
  FinishInt8 finish;                ///< its arrays: see ConvColumns
  const NarrowInt8Kernels* narrow = nullptr;   ///< where NarrowPaysInt8 says so (int8_narrow.h), unless weights have zero points
  /// Of one channel and one output, instead of `packed` and the offsets that belong to it: weights less their zero point, as PackDepthwiseInt8
  /// has them, and a finish whose offset is the bias alone. Needs `narrow`.
  const int16_t* line = nullptr;
};

/// Bytes of the packed weights: `groups` packed matrices of (kernel_h kernel_w in_c / groups) x (out_c / groups), each a
/// multiple of 64 bytes. Overflow is the caller's to check.
int64_t PackedConvSizeInt8(int64_t out_c, int64_t in_c, int64_t groups, int64_t taps);
/// Packs weights of ONNX's order [out_c][in_c / groups][taps]. `temporary`: room for as many bytes as one group has.
void PackConvInt8(const void* weights, bool is_signed, int64_t out_c, int64_t in_c, int64_t groups, int64_t taps,
                  void* temporary, void* out);

/// Bytes for the orders of the panels of all groups, 0 where tiles sort none.
int64_t ConvOrdersBytesInt8(const Int8Kernels& kernels, int64_t out_c, int64_t in_c, int64_t groups, int64_t taps);

/// Columns of all groups, each a multiple of 16: the arrays of FinishInt8 have so many elements, group by group.
int64_t ConvColumns(int64_t out_c, int64_t groups);
/// Panels of all groups: the second dimension of work.
int64_t ConvPanels(const ConvInt8& conv);

/// As OffsetsInt8 for every group: column_zero (or null) has ConvColumns elements, bias (or null) out_c.
void ConvOffsetsInt8(const Int8Kernels& kernels, const ConvInt8& conv, int32_t input_zero, const int32_t* column_zero,
                     const int32_t* bias, int32_t* out);

/// Bytes of scratch a call of RunConvInt8 needs, 64-byte aligned; each thread its own. Reads only sizes.
int64_t ConvScratchBytes(const Int8Kernels& kernels, const ConvInt8& conv);
/// Computes output pixels [pixel0, pixel1) of [0, batch * out_h * out_w) in panels [panel0, panel1) of [0, ConvPanels).
void RunConvInt8(const Int8Kernels& kernels, const ConvInt8& conv, int64_t pixel0, int64_t pixel1, int64_t panel0,
                 int64_t panel1, void* scratch);
/// A good unit of parallel work: output pixels (`rows`) by panels.
GemmGrain ConvGrainInt8(const Int8Kernels& kernels, const ConvInt8& conv, int threads);

}  // namespace linnet
