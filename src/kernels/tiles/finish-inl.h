// What a float32 tile that compilers unroll ends with: what is added to its sums, their bounds, and where they are stored.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_FINISH_INL_H_
#undef LINNET_KERNELS_TILES_FINISH_INL_H_
#else
#define LINNET_KERNELS_TILES_FINISH_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/gemm.h"
#include "kernels/tiles/block-inl.h"
#include "kernels/tiles/gemm_sizes-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

template <int kRows, int kVectors, bool kPartial>
HWY_INLINE void Finish(const Block& block, VF32 (&sum)[kRows][kVectors], int64_t row, int64_t column) {
  const F32 d;
  const GemmF32& g = block.gemm;
  const int64_t last = g.n - column - (kVectors - 1) * kLanes;
  const float* residual = block.unfinished ? nullptr : g.epilogue.residual;
  if (residual) {
    residual += row * g.epilogue.residual_row_stride + column;
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r, residual += g.epilogue.residual_row_stride) {
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const float* p = residual + v * kLanes;
        sum[r][v] =
            hn::Add(sum[r][v], kPartial && v == kVectors - 1 ? LoadTail(d, p, static_cast<size_t>(last))
                                                             : hn::LoadU(d, p));
      }
    }
  }
  if (block.clamp.has_low && !block.unfinished) {
    const VF32 low = hn::Set(d, block.clamp.low);
    LINNET_UNROLL
    for (int i = 0; i < kRows * kVectors; ++i) sum[i / kVectors][i % kVectors] = AtLeast(low, sum[i / kVectors][i % kVectors]);
  }
  if (block.clamp.has_high && !block.unfinished) {
    const VF32 high = hn::Set(d, block.clamp.high);
    LINNET_UNROLL
    for (int i = 0; i < kRows * kVectors; ++i) sum[i / kVectors][i % kVectors] = AtMost(high, sum[i / kVectors][i % kVectors]);
  }
  if (kHardSwishes && block.clamp.hard_swish && !block.unfinished) {
    LINNET_UNROLL
    for (int i = 0; i < kRows * kVectors; ++i) sum[i / kVectors][i % kVectors] = HardSwishOf(sum[i / kVectors][i % kVectors]);
  }
  float* c = g.c + row * g.c_row_stride + column;
  LINNET_UNROLL
  for (int r = 0; r < kRows; ++r, c += g.c_row_stride) {
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      if (kPartial && v == kVectors - 1) {
        StoreTail(sum[r][v], d, c + v * kLanes, static_cast<size_t>(last));
      } else {
        hn::StoreU(sum[r][v], d, c + v * kLanes);
      }
    }
  }
}

// Asks for what a tile will add and write, which otherwise waits for it all at once.
template <int kRows, int kVectors>
HWY_INLINE void FetchC(const GemmF32& g, int64_t row, int64_t column) {
  const float* c = g.c + row * g.c_row_stride + column;
  LINNET_UNROLL
  for (int r = 0; r < kRows; ++r, c += g.c_row_stride) {
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(c + v * kLanes, 1);
  }
  const float* residual = g.epilogue.residual;
  if (!residual || residual == g.c) return;
  residual += row * g.epilogue.residual_row_stride + column;
  LINNET_UNROLL
  for (int r = 0; r < kRows; ++r, residual += g.epilogue.residual_row_stride) {
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(residual + v * kLanes);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
