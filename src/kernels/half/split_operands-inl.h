// Splitting the operands of a product step by step, so that it can be done while tiles multiply others.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target
// (kernels/dispatch.h).
#if defined(LINNET_KERNELS_BF16_SPLIT_OPERANDS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_BF16_SPLIT_OPERANDS_INL_H_
#undef LINNET_KERNELS_BF16_SPLIT_OPERANDS_INL_H_
#else
#define LINNET_KERNELS_BF16_SPLIT_OPERANDS_INL_H_
#endif

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/half/split-inl.h"
#include "kernels/half/split_gemm.h"

#if defined(__x86_64__) && HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

/// The first `count` of 16.
HWY_INLINE __mmask16 FirstMask(int64_t count) {
  return count >= 16 ? 0xffff : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

/// What is multiplied at a time: a piece of K of a range of rows in a group of panels. Pieces follow each
/// other first, then groups.
struct SplitStage {
  int64_t m0, m1, panel, end, k0, k;
  int64_t steps() const { return DivUp(k, kSplitStep); }
};

/// Splits a block of rows of A, a vector of pairs at a time.
class RowSplitter {
 public:
  explicit RowSplitter(const GemmF32& gemm) : g_(gemm) {}

  void Start(const SplitStage& stage, int64_t row, char* to) {
    row_ = row, end_ = std::min(stage.m1, row + kSplitBlock);
    k0_ = stage.k0, k_ = stage.k;
    to_ = to;
    finite_ = Finite();
    at_ = 0;
    for (int64_t i = 0; i < stage.steps() * kSplitParts && end_ - row_ < kSplitBlock;
         ++i) {  // rows that are missing
      memset(to + i * kSplitPartBytesA + (end_ - row_) * 64, 0,
             static_cast<size_t>((kSplitBlock - (end_ - row_)) * 64));
    }
    from_ = RowOf(row_);
  }

  HWY_INLINE void Step() {
    if (row_ == end_) return;
    const int64_t left = k_ - at_;
    if (left >= kSplitStep) {
      SplitPairs(finite_(_mm512_loadu_ps(from_ + at_)), finite_(_mm512_loadu_ps(from_ + at_ + 16)),
                 kSplitPartBytesA, to_ + at_ * (kSplitStepBytesA / kSplitStep));
    } else {
      SplitPairs(finite_(_mm512_maskz_loadu_ps(FirstMask(left), from_ + at_)),
                 finite_(_mm512_maskz_loadu_ps(FirstMask(left - 16), from_ + at_ + 16)), kSplitPartBytesA,
                 to_ + at_ * (kSplitStepBytesA / kSplitStep));
    }
    at_ += kSplitStep;
    if (at_ < k_) return;
    at_ = 0;
    to_ += 64;
    if (++row_ < end_) from_ = RowOf(row_);
  }

  /// False where a number is not finite.
  bool Finish() {
    while (row_ < end_) Step();
    return finite_.all();
  }

 private:
  /// The numbers [k0, k0 + k) of a row of A, which may lie in several segments.
  const float* RowOf(int64_t row) {
    if (g_.segment_count == 0) return g_.a + row * g_.a_row_stride + k0_;
    int64_t begin = 0, have = 0;
    for (int64_t s = 0; s < g_.segment_count && have < k_; begin += g_.segments[s++].k) {
      const SegmentF32& segment = g_.segments[s];
      const int64_t from = std::max<int64_t>(k0_ + have - begin, 0),
                    count = std::min(segment.k - from, k_ - have);
      if (count <= 0) continue;
      const float* at = segment.a + row * g_.a_row_stride + from;
      if (count == k_) return at;
      memcpy(joined_ + have, at, static_cast<size_t>(count) * 4);
      have += count;
    }
    return joined_;
  }

  const GemmF32& g_;
  const float* from_ = nullptr;
  char* to_ = nullptr;
  int64_t row_ = 0, end_ = 0, k0_ = 0, k_ = 0, at_ = 0;
  Finite finite_;
  float joined_[kSplitPieceK];
};

/// Splits a group of panels of B, a vector of pairs at a time.
class PanelSplitter {
 public:
  explicit PanelSplitter(const GemmF32& gemm) : g_(gemm) {}

  void Start(const SplitStage& stage, char* to) {
    first_ = panel_ = stage.panel, end_ = stage.end;
    k0_ = stage.k0, k_ = stage.k;
    to_ = to;
    bad_pairs_ = 0;
    StartPanel();
  }

  HWY_INLINE void Step() {
    if (panel_ == end_) return;
    const int64_t left = k_ - at_ - pair_;
    const float* from = from_ + pair_ * kPanelColumns;
    __builtin_prefetch(from + 2 * kSplitStep * kPanelColumns);
    __builtin_prefetch(from + (2 * kSplitStep + 16) * kPanelColumns);
    const __m512 low = left > 0 ? finite_(_mm512_loadu_ps(from)) : _mm512_setzero_ps();
    const __m512 high = left > 16 ? finite_(_mm512_loadu_ps(from + 16 * kPanelColumns)) : _mm512_setzero_ps();
    SplitPairs(low, high, kSplitTile, to_ + pair_ * 64);
    if (++pair_ < 16) return;
    pair_ = 0;
    to_ += kSplitParts * kSplitTile;
    from_ += kSplitStep * kPanelColumns;
    at_ += kSplitStep;
    if (at_ < k_) return;
    if (!finite_.all()) bad_pairs_ |= uint64_t{1} << ((panel_ - first_) / 2);
    if (++panel_ < end_) StartPanel();
  }

  /// The pairs of panels with a number that is not finite, a bit each.
  uint64_t Finish() {
    while (panel_ < end_) Step();
    return bad_pairs_;
  }

 private:
  void StartPanel() {
    from_ = g_.b + panel_ * g_.b_panel_stride + k0_ * kPanelColumns;
    at_ = pair_ = 0;
    finite_ = Finite();
    if (k_ == 0) panel_ = end_;
  }

  const GemmF32& g_;
  const float* from_ = nullptr;
  char* to_ = nullptr;
  int64_t first_ = 0, panel_ = 0, end_ = 0, k0_ = 0, k_ = 0, at_ = 0, pair_ = 0;
  uint64_t bad_pairs_ = 0;
  Finite finite_;
};

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has tiles
#endif  // per-target guard
