// Products of split float32 numbers, block by block.
//
//     A, some rows      [32 of K][part][32 rows]           split again for every group of panels
//     B, a group        [panel][32 of K][part][16 pairs][16 columns][2]      split again for every range of
//     rows
//
// K is cut into pieces of 128 whose sums wait in memory, so that both stay in the second-level cache.
#include "kernels/half/split_gemm.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half/split_gemm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/half/split_operands-inl.h"
#include "kernels/dispatch.h"
#include "kernels/epilogue-inl.h"

#if defined(__x86_64__) && HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

/// Finishes a block of sums, a row at a time.
class BlockFinisher {
 public:
  explicit BlockFinisher(const GemmF32& gemm) : g_(gemm), clamp_(gemm.epilogue) {}

  void Start(const float* sums, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    const Epilogue& e = g_.epilogue;
    sums_ = sums;
    row_ = row, end_ = row + rows;
    column_ = column;
    for (int h = 0; h < 2; ++h) {
      masks_[h] = FirstMask(columns - h * 16);
      bias_[h] = e.bias ? _mm512_maskz_loadu_ps(masks_[h], e.bias + column + h * 16) : _mm512_setzero_ps();
    }
  }

  HWY_INLINE void Step() {
    if (row_ == end_) return;
    const Epilogue& e = g_.epilogue;
    const __m512 low = _mm512_set1_ps(clamp_.low), high = _mm512_set1_ps(clamp_.high);
    float* to = g_.c + row_ * g_.c_row_stride + column_;
    const float* residual = e.residual ? e.residual + row_ * e.residual_row_stride + column_ : nullptr;
    for (int h = 0; h < 2 && masks_[h]; ++h) {
      __m512 v = _mm512_add_ps(_mm512_load_ps(sums_ + h * 16), bias_[h]);
      if (residual) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(masks_[h], residual + h * 16));
      if (clamp_.has_low) v = _mm512_max_ps(low, v);  // a NaN stays
      if (clamp_.has_high) v = _mm512_min_ps(high, v);
      _mm512_mask_storeu_ps(to + h * 16, masks_[h], v);
    }
    sums_ += kSplitBlock;
    ++row_;
  }

  void Finish() {
    while (row_ < end_) Step();
  }

  /// What is not done in registers, for finished blocks of some rows in these panels; longer rows take less
  /// time.
  void Activate(int64_t row, int64_t rows, int64_t panel, int64_t end) const {
    if (!clamp_.after || panel == end) return;
    const int64_t column = panel * kPanelColumns, columns = std::min(end * kPanelColumns, g_.n) - column;
    ActivateRows(g_.epilogue, g_.c + row * g_.c_row_stride + column, g_.c_row_stride, rows, columns);
  }

 private:
  const GemmF32& g_;
  const Clamp clamp_;
  const float* sums_ = nullptr;
  int64_t row_ = 0, end_ = 0, column_ = 0;
  __mmask16 masks_[2];
  __m512 bias_[2];
};

/// While tiles multiply one block, vectors finish the one before, and split the next rows and the next
/// panels.
template <class Tiles>
class SplitGemm {
 public:
  SplitGemm(const GemmF32& gemm, int64_t m1, int64_t panel0, int64_t panel1, const GemmF32Kernels& plain,
            void* scratch)
      : g_(gemm),
        plain_(plain),
        rows_(gemm),
        panels_(gemm),
        finisher_(gemm),
        m1_(m1),
        panel0_(panel0),
        panel1_(panel1) {
    char* at = static_cast<char*>(scratch);
    for (char*& b : b_) b = at, at += kSplitBytesB;
    for (char*& a : a_) a = at, at += kSplitBytesA;
    for (char*& block : block_) block = at, at += kSplitBlockBytes;
    sums_ = at;
    range_ = gemm.k <= kSplitPieceK ? kSplitRowsOfOnePiece : kSplitRowsOfPieces;
  }

  void Run(int64_t m0) {
    Tiles::Configure(TileConfig(kTileRows, 64, true));
    SplitStage stage = {m0,      std::min(m1_, m0 + range_),
                        panel0_, std::min(panel1_, panel0_ + kSplitGroupPanels),
                        0,       std::min(kSplitPieceK, g_.k)};
    panels_.Start(stage, b_[0]);
    rows_.Start(stage, m0, a_[0]);
    uint64_t bad_rows = 0, bad_pairs = 0;
    for (bool more = true; more;) {
      SplitStage next = stage;
      more = Next(&next);
      bad_pairs |= panels_.Finish();
      Multiply(stage, more ? &next : nullptr, &bad_rows, bad_pairs);
      std::swap(b_[0], b_[1]);
      if (next.k0 == 0 || !more) {
        Plain(stage, bad_rows, bad_pairs, !more || next.m0 != stage.m0);
        bad_pairs = 0;
        if (next.m0 != stage.m0) bad_rows = 0;
      }
      stage = next;
    }
    Tiles::Release();
  }

 private:
  bool Next(SplitStage* s) const {
    if (s->k0 + s->k < g_.k) {
      s->k0 += kSplitPieceK;
    } else {
      s->k0 = 0;
      if (s->end < panel1_) {
        s->panel = s->end;
      } else if (s->m1 < m1_) {
        s->panel = panel0_;
        s->m0 = s->m1, s->m1 = std::min(m1_, s->m0 + range_);
      } else {
        return false;
      }
      s->end = std::min(panel1_, s->panel + kSplitGroupPanels);
    }
    s->k = std::min(kSplitPieceK, g_.k - s->k0);
    return true;
  }

  void Multiply(const SplitStage& s, const SplitStage* next, uint64_t* bad_rows, uint64_t bad_pairs) {
    const int64_t steps = s.steps(), panel_bytes = steps * kSplitParts * kSplitTile,
                  blocks = DivUp(s.m1 - s.m0, kSplitBlock);
    const bool first = s.k0 == 0, last = s.k0 + s.k == g_.k;
    // What there is to do between instructions, shared out evenly.
    const int64_t slots = std::max<int64_t>(1, 6 * steps * DivUp(s.end - s.panel, int64_t{2}));
    const int64_t row_work = std::min<int64_t>(4, DivUp(kSplitBlock * steps, slots));
    const int64_t panel_work =
        next ? std::min<int64_t>(4, DivUp((next->end - next->panel) * next->steps() * 16, slots * blocks))
             : 0;
    const int64_t finish_work = last ? DivUp(kSplitBlock, std::max<int64_t>(1, 6 * steps)) : 0;
    if (next) panels_.Start(*next, b_[1]);
    char* sums = sums_;
    for (int64_t row = s.m0, i = 0; row < s.m1; row += kSplitBlock, ++i) {
      const int64_t rows = std::min(kSplitBlock, s.m1 - row);
      if (!rows_.Finish()) *bad_rows |= uint64_t{1} << i;
      std::swap(a_[0], a_[1]);  // a_[1]: this block's
      if (row + kSplitBlock < s.m1) {
        rows_.Start(s, row + kSplitBlock, a_[0]);
      } else if (next) {
        rows_.Start(*next, next->m0, a_[0]);
      }
      for (int64_t p = s.panel; p < s.end; p += 2) {
        const char* b = b_[0] + (p - s.panel) * panel_bytes;
        const char* begin = first ? kSplitZeros : sums;
        char* to = last ? block_[0] : sums;
        // The last panel alone is multiplied twice.
        SplitProduct<Tiles>(a_[1], kSplitPartBytesA, 64, kSplitStepBytesA, b, p + 1 < s.end ? panel_bytes : 0,
                            steps, begin, first ? 0 : 128, to, 128, [&]() HWY_ATTR {
                              for (int64_t j = 0; j < row_work; ++j) rows_.Step();
                              for (int64_t j = 0; j < panel_work; ++j) panels_.Step();
                              for (int64_t j = 0; j < finish_work; ++j) finisher_.Step();
                            });
        if (last) {
          finisher_.Finish();
          if (!(*bad_rows >> i & 1) && !(bad_pairs >> ((p - s.panel) / 2) & 1)) {
            finisher_.Start(reinterpret_cast<const float*>(block_[0]), row, rows, p * kPanelColumns,
                            std::min((s.end - p) * kPanelColumns, g_.n - p * kPanelColumns));
          }
          std::swap(block_[0], block_[1]);
        }
        if (g_.k > kSplitPieceK) sums += kSplitBlockBytes;
      }
      if (last) Activate(s, row, rows, *bad_rows >> i & 1, bad_pairs);
    }
    finisher_.Finish();
  }

  void Activate(const SplitStage& s, int64_t row, int64_t rows, bool bad_row, uint64_t bad_pairs) {
    if (g_.epilogue.activation == Activation::kNone || bad_row) return;
    finisher_.Finish();
    if (bad_pairs == 0) return finisher_.Activate(row, rows, s.panel, s.end);
    for (int64_t p = s.panel; p < s.end; p += 2) {
      if (!(bad_pairs >> ((p - s.panel) / 2) & 1)) finisher_.Activate(row, rows, p, std::min(s.end, p + 2));
    }
  }

  /// The blocks that have a number which is not finite.
  void Plain(const SplitStage& s, uint64_t bad_rows, uint64_t bad_pairs, bool end_of_range) const {
    for (int64_t row = s.m0; row < s.m1 && (bad_rows | bad_pairs); row += kSplitBlock, bad_rows >>= 1) {
      const int64_t end = std::min(s.m1, row + kSplitBlock);
      if (bad_rows & 1) {
        if (end_of_range) plain_.run(g_, row, end, panel0_, panel1_);
        continue;
      }
      for (int64_t p = s.panel; p < s.end; p += 2) {
        if (bad_pairs >> ((p - s.panel) / 2) & 1) plain_.run(g_, row, end, p, std::min(s.end, p + 2));
      }
    }
  }

  const GemmF32& g_;
  const GemmF32Kernels& plain_;
  RowSplitter rows_;
  PanelSplitter panels_;
  BlockFinisher finisher_;
  const int64_t m1_, panel0_, panel1_;
  int64_t range_;
  char *b_[2], *a_[2], *block_[2], *sums_;
};

template <class Tiles>
void RunSplitGemm(const GemmF32& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1,
                  const GemmF32Kernels& plain, void* scratch) {
  if (m0 < m1 && panel0 < panel1) SplitGemm<Tiles>(gemm, m1, panel0, panel1, plain, scratch).Run(m0);
}

}  // namespace

const SplitGemmKernels& SplitGemmOf(bool emulated);
const SplitGemmKernels& SplitGemmOf(bool emulated) {
  static constexpr SplitGemmKernels amx = {RunSplitGemm<AmxBf16>}, same = {RunSplitGemm<EmulatedBf16>};
  return emulated ? same : amx;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has tiles

#if HWY_ONCE
namespace linnet {

int64_t SplitGemmScratchBytes() {
  return 2 * (kSplitBytesA + kSplitBytesB + kSplitBlockBytes) + kSplitBytesSums;
}

bool SplitGemmPays(int64_t m, int64_t n, int64_t k) {
  // Nanoseconds, measured: 32 x 32 x 32 by tiles, splitting 32 rows or columns of 32, finishing a block, and
  // a multiply-add of vectors.
  constexpr double kProduct = 160, kSplit = 200, kFinish = 150, kVectors = 1 / 95.0;
  const double rows = static_cast<double>(DivUp(m, kSplitBlock)),
               pairs = static_cast<double>(DivUp(n, kSplitBlock));
  const double steps = static_cast<double>(DivUp(k, int64_t{32}));
  const double ranges =
      std::max(1.0, static_cast<double>(m) / (k <= kSplitPieceK ? kSplitRowsOfOnePiece : kSplitRowsOfPieces));
  const double groups = std::max(1.0, pairs * 2 / kSplitGroupPanels);
  const double tiles =
      rows * pairs * (steps * kProduct + kFinish) + steps * kSplit * (pairs * ranges + rows * groups);
  return tiles < 0.85 * kVectors * static_cast<double>(m) * static_cast<double>(RoundUp(n, kPanelColumns)) *
                     static_cast<double>(k);
}

GemmGrain SplitGemmGrain(int64_t m, int64_t n, int64_t k, int threads) {
  const int64_t panels = std::max<int64_t>(PanelCount(n), 1), rows = std::max<int64_t>(m, 1);
  const double work = static_cast<double>(rows) * static_cast<double>(panels * kPanelColumns) *
                      static_cast<double>(std::max<int64_t>(k, 1));
  // Tasks worth handing out, and none so long that a run cannot be stopped.
  constexpr double kWork = 1 << 20, kWorkMax = 1 << 28;
  const double tasks =
      std::max(threads > 1 ? std::min(work / kWork, 2.0 * threads) : 1.0, std::max(1.0, work / kWorkMax));
  auto split = [](int64_t size, double parts, int64_t unit) {
    return std::min(
        RoundUp(size, unit),
        RoundUp(std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(size) / std::max(parts, 1.0))),
                unit));
  };
  GemmGrain grain = {RoundUp(rows, kSplitBlock), RoundUp(panels, int64_t{2})};
  // What is split of an operand is split once for each part of the other: the larger is cut.
  if (rows > panels * kPanelColumns)
    grain.rows = split(rows, tasks, kSplitBlock);
  else
    grain.panels = split(panels, tasks, 2);
  return grain;
}

const SplitGemmKernels* PickSplitGemm(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAmx)) return &N_AVX3::SplitGemmOf(false);
#endif
  return nullptr;
}

const SplitGemmKernels* EmulatedSplitGemm(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAvx512)) return &N_AVX3::SplitGemmOf(true);
#endif
  return nullptr;
}

}  // namespace linnet
#endif  // HWY_ONCE
