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
// U = G g G' is made ahead (WinogradWay::ahead), or from the weights that direct sums read, for some panels at a time, which then have to
// be written to the second-level cache at every run but come from memory as 9 numbers instead of 16, 36 or 64. Four tiles or less are
// done without writing U (`few`).
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
  /// Transformed weights of so many input channels of a panel: channel c's taps are 16 floats each at packed + tap * tap_stride + 16 c,
  /// position i goes to u + i * position_stride + 16 c.
  void (*weights[3])(const float* packed, int64_t tap_stride, int64_t channels, float* u, int64_t position_stride);
  /// Up to four tiles of 4 x 4 by a panel of such weights, transformed in registers; null where there are too few of these. `v` is
  /// [6][channels][6][4]: row of positions, channel, position of the row, tile. Position i of tile t goes to m + i * position_stride + t *
  /// row_stride, 16 floats, for all four tiles. Meanwhile the 9 * 16 * channels floats at `next` are asked for.
  void (*few)(const float* packed, int64_t channels, const float* v, const float* next, float* m, int64_t position_stride, int64_t row_stride);
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

/// How a convolution of one group, 3x3, stride 1, is computed.
struct WinogradWay {
  int tile = 0;         ///< m; 0: by direct sums
  bool ahead = false;   ///< on weights that PackWinogradF32 made; otherwise on those of PackConvF32
};

/// The cheapest way. Depends on the batch, channels, output and dilation alone, not on the machine. With `late`, the cheapest for these
/// kernels of those that need no weights made ahead. A batch, height or width of 0 or less is not known: it is taken to be one picture in the
/// middle of a network.
WinogradWay ChooseWinograd(ConvSizes c, const WinogradF32Kernels* late = nullptr);

/// Whether so many tiles are done without writing transformed weights, on machines that can.
inline bool WinogradTakesFew(WinogradWay way, int64_t tiles) { return way.tile == 4 && !way.ahead && tiles <= 4; }

/// Floats of the weights packed ahead: (m + 2)^2 packed matrices of in_c x out_c.
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
int64_t WinogradScratchBytes(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& conv, WinogradWay way);

/// To be called on a thread's scratch before its first RunWinogradF32 of a convolution: the next calls with the same
/// `conv` use again what the scratch holds of the input and the weights.
void StartWinogradF32(void* scratch);

/// Computes tiles [tile0, tile1) in panels [panel0, panel1). `conv` is as for RunConvF32 with packed weights as the way wants them, one
/// group, kernel 3x3, strides 1 and input_channel_stride 1. Any split gives the same bits.
void RunWinogradF32(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& conv, WinogradWay way,
                    int64_t tile0, int64_t tile1, int64_t panel0, int64_t panel1, void* scratch);

/// A good unit of work for so many threads: tiles (`rows`) by panels. Calls in order of tiles, then panels, transform the
/// input once.
GemmGrain WinogradGrainF32(const WinogradF32Kernels& kernels, const GemmF32Kernels& gemm, const ConvF32& conv, WinogradWay way, int threads);

}  // namespace linnet
