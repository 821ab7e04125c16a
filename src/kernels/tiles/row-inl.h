// A float32 product of one row by a packed B, where a panel is a vector: few columns have too few sums to hide the latency of a
// multiply-add, so each has four, of every fourth summand.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_TILES_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_TILES_ROW_INL_H_
#undef LINNET_KERNELS_TILES_ROW_INL_H_
#else
#define LINNET_KERNELS_TILES_ROW_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/epilogue-inl.h"
#include "kernels/gemm.h"
#include "kernels/tiles/block-inl.h"
#include "kernels/tiles/finish-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

/// Columns [begin, end) of the only row, kVectors panels at a time and the rest in halves of it. Nothing is asked for: a row is no more
/// than the streams of its panels, which the hardware follows, and asking takes a third of the second-level cache's bandwidth.
template <int kVectors>
HWY_NOINLINE void RowColumns(const Block& block, int64_t begin, int64_t end) {
  constexpr int kSums = 4;
  constexpr int64_t kColumns = kVectors * kPanelColumns;
  const F32 d;
  const GemmF32& g = block.gemm;
  const int64_t panels = (end - begin + kPanelColumns - 1) / kPanelColumns;
  const int64_t whole = std::min(end, begin + panels / kVectors * kColumns);
  for (int64_t column = begin; column < whole; column += kColumns) {
    const float* b = g.b + column / kPanelColumns * g.b_panel_stride;
    VF32 sum[kSums][kVectors];
    LINNET_UNROLL
    for (int i = 0; i < kSums * kVectors; ++i) sum[i / kVectors][i % kVectors] = hn::Zero(d);
    for (int64_t s = 0; s < block.segment_count; ++s) {
      const float* a = block.segments[s].a;
      int64_t k = block.segments[s].k;
      for (; k >= kSums; k -= kSums, a += kSums, b += kSums * kPanelColumns) {
        LINNET_UNROLL
        for (int i = 0; i < kSums; ++i) {
          const VF32 av = hn::Set(d, a[i]);
          LINNET_UNROLL
          for (int v = 0; v < kVectors; ++v) {
            sum[i][v] = hn::MulAdd(av, hn::LoadU(d, b + i * kPanelColumns + v * g.b_panel_stride), sum[i][v]);
          }
        }
      }
      for (; k > 0; --k, ++a, b += kPanelColumns) {
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[0][v] = hn::MulAdd(hn::Set(d, *a), hn::LoadU(d, b + v * g.b_panel_stride), sum[0][v]);
      }
    }
    VF32 all[1][kVectors];
    LINNET_UNROLL
    for (int v = 0; v < kVectors; ++v) {
      const int64_t at = column + v * kLanes;
      VF32 bias = hn::Zero(d);
      if (const float* p = g.epilogue.bias) bias = at + kLanes <= g.n ? hn::LoadU(d, p + at) : LoadTail(d, p + at, static_cast<size_t>(g.n - at));
      all[0][v] = hn::Add(hn::Add(sum[0][v], sum[1][v]), hn::Add(hn::Add(sum[2][v], sum[3][v]), bias));
    }
    if (column + kColumns <= g.n) {
      Finish<1, kVectors, false>(block, all, 0, column);
    } else {
      Finish<1, kVectors, true>(block, all, 0, column);
    }
  }
  if constexpr (kVectors > 1) {
    if (whole < end) RowColumns<kVectors / 2>(block, whole, end);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();
#endif  // per-target guard
