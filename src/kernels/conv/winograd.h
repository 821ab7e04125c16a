// Float32 3x3 convolution, stride 1, by Winograd's minimal filtering: fewer multiplications, as matrix products on
// packed panels.
//
// The output is cut into tiles of m x m pixels, m = 2, 4 or 6. A tile needs an (m + 2) x (m + 2) patch of the input, and
//
//     Y = A' [ (G g G') * (B' d B) ] A        * elementwise, summed over the input channels
//
// so each of the (m + 2)^2 positions of the transformed patches is a matrix product of tiles by channels with
// transformed weights, and an output pixel costs 4, 2.25 or 1.8 multiplications instead of 9:
//
//     input, channels last          V: (m + 2)^2 matrices           M: (m + 2)^2 matrices        output
//      +---+---+---                  +-+-- channels                  +-+-- channels
//      | patch |      -- B' d B -->  | | one row a tile  -- GEMM --> | | one row a tile -- A' m A, epilogue --> m x m
//      +---+---+---                  +-+--                           +-+--
//
// V and M are made for a strip of tiles at a time, so that they stay in cache. A dilated kernel takes pictures apart into dilation_h *
// dilation_w smaller ones, on each of which it is not dilated.
//
// The matrices follow from interpolation at 0, 1, -1 and infinity (m = 2), at 0, 3/4, -3/4, 3/2, -3/2 and infinity (m = 4), and
// at 0, 1/2, -1/2, 1, -1, 2, -2 and infinity (m = 6). On normally distributed data and 512 channels errors stay below 2e-6
// (m = 2, mostly 0.9e-6), 1e-5 (m = 4, mostly 4.3e-6) and 4e-5 (m = 6, mostly 1.7e-5) of the output's largest magnitude; those
// of direct sums are about 1.3e-6. A value that is not finite spoils its whole tile.
#pragma once

#include <algorithm>

#include "kernels/conv/conv.h"

namespace linnet {

/// The functions of one instruction set; index m / 2 - 1 is for tiles of m x m.
struct WinogradF32Kernels {
  /// The transformed patch of one tile: `pixels` points at the channels of its (m + 2)^2 pixels, row by row. Position i
  /// goes to v + i * position_stride, channels padded with zeros to a multiple of 16. Reads only the channels.
  void (*input[3])(const float* const* pixels, int64_t channels, float* v, int64_t position_stride);
  /// The output pixels of one tile that lie in the picture, `rows` x `columns` of m x m, from position i at m + i *
  /// position_stride. Pixel (y, x) goes to output + y * row_stride + x * pixel_stride. `epilogue` begins at these
  /// channels and this pixel; its residual's rows are residual_row_stride apart in x, residual_line_stride in y. Reads
  /// `channels` of m, rounded up to a multiple of 16.
  void (*output[3])(const float* m, int64_t position_stride, int64_t channels, int64_t rows, int64_t columns,
                    const Epilogue& epilogue, int64_t residual_line_stride, float* output, int64_t row_stride,
                    int64_t pixel_stride);
};

const WinogradF32Kernels& PickWinogradF32(CpuLevel level);

/// The tile size m that is cheapest for a convolution of one group, 3x3, stride 1: 2, 4, 6, or 0 where direct sums are.
/// Depends on nothing but the arguments; pass 0 for a size of the output that is not known.
int WinogradTile(int64_t in_c, int64_t out_c, int64_t out_h, int64_t out_w, int64_t dilation_h = 1, int64_t dilation_w = 1);

/// Floats of the packed weights: (m + 2)^2 packed matrices of in_c x out_c.
int64_t PackedWinogradSizeF32(int64_t out_c, int64_t in_c, int tile);

/// Transforms and packs weights of ONNX's order [out_c][in_c][3][3], in double precision: the same bits at every CPU level.
void PackWinogradF32(const float* weights, int64_t out_c, int64_t in_c, int tile, float* out);

/// Tiles along one side of the largest of the pictures that a dilation takes apart.
inline int64_t WinogradPhaseTiles(int64_t out, int64_t dilation, int64_t tile) { return ((out + dilation - 1) / dilation + tile - 1) / tile; }

/// Tiles of all pictures: the first dimension of work. The second is ConvPanels.
inline int64_t WinogradTiles(const ConvSizes& c, int64_t tile) {
  return c.batch * std::min(c.dilation_h, c.out_h) * WinogradPhaseTiles(c.out_h, c.dilation_h, tile) * std::min(c.dilation_w, c.out_w) *
         WinogradPhaseTiles(c.out_w, c.dilation_w, tile);
}

/// Bytes of scratch for RunWinogradF32, 64-byte aligned; each thread its own. Reads only sizes.
int64_t WinogradScratchBytes(const GemmF32Kernels& gemm, const ConvF32& conv, int tile);

/// To be called on a thread's scratch before its first RunWinogradF32 of a convolution: the next calls with the same
/// `conv` use again what the scratch holds of the input.
void StartWinogradF32(void* scratch);

/// Computes tiles [tile0, tile1) in panels [panel0, panel1). `conv` is as for RunConvF32 with packed weights made by
/// PackWinogradF32, one group, kernel 3x3, strides 1 and input_channel_stride 1. Any split gives the same
/// bits.
void RunWinogradF32(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& conv, int tile,
                    int64_t tile0, int64_t tile1, int64_t panel0, int64_t panel1, void* scratch);

/// A good unit of work for so many threads: tiles (`rows`) by panels. Calls in order of tiles, then panels, transform the
/// input once.
GemmGrain WinogradGrainF32(const GemmF32Kernels& gemm, const ConvF32& conv, int tile, int threads);

}  // namespace linnet
