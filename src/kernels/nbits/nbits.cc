// Block-wise weights: codes become floats in registers, a few rows of A at a time, or whole panels for kernels/gemm.h.
#include "kernels/nbits/nbits.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/nbits/nbits.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// Vectors of at most a panel's 16 columns.
using DF = hn::CappedTag<float, 16>;
using DI = hn::RebindToSigned<DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(DF()));
constexpr int kVectors = static_cast<int>(kPanelColumns) / kLanes;

#if HWY_TARGET == HWY_AVX3
// The float of each signed 4-bit code; vpermps looks at the lowest 4 bits of an index alone.
HWY_INLINE VF CodeTable() {
  alignas(64) static constexpr float kCodes[16] = {0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1};
  return hn::Load(DF(), kCodes);
}
#endif

/// Row `kRow` of the words, as floats.
template <int kBits, int kRow>
HWY_INLINE VF Codes(VI words) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kBits == 4) return hn::TableLookupLanes(CodeTable(), hn::Indices512<float>{hn::ShiftRight<kBits * kRow>(words).raw});
#endif
  return hn::ConvertTo(DF(), hn::ShiftRight<32 - kBits>(hn::ShiftLeft<32 - kBits - kBits * kRow>(words)));
}

HWY_INLINE VI LoadWords(const uint32_t* words) { return hn::BitCast(DI(), hn::LoadU(hn::RebindToUnsigned<DF>(), words)); }

/// Zero points of one block of one vector of columns.
HWY_INLINE VF ZerosAt(const NBits& w, int64_t at) {
  if (w.float_zeros) return hn::LoadU(DF(), w.float_zeros + at);
  return hn::ConvertTo(DF(), hn::PromoteTo(DI(), hn::LoadU(hn::Rebind<int8_t, DF>(), w.zeros + at)));
}

// One row of A has four sums a column, so that no addition waits for the one before it.
template <int M>
constexpr int kChains = M == 1 ? 4 : M == 2 ? 2 : 1;

template <int kBits, int M, int kRow, class Sums>
HWY_INLINE void MultiplyRows(const float* HWY_RESTRICT a, int64_t a_stride, const VI* words, Sums& sums) {
  if constexpr (kRow < 32 / kBits) {
    LINNET_UNROLL for (int v = 0; v < kVectors; ++v) {
      const VF code = Codes<kBits, kRow>(words[v]);
      LINNET_UNROLL for (int i = 0; i < M; ++i) {
        VF& sum = sums[i][kRow % kChains<M>][v];
        sum = hn::MulAdd(hn::Set(DF(), a[i * a_stride + kRow]), code, sum);
      }
    }
    MultiplyRows<kBits, M, kRow + 1>(a, a_stride, words, sums);
  }
}

template <int kBits, int M>
void MultiplyPanel(const NBits& w, const float* HWY_RESTRICT a, int64_t a_stride, const float* HWY_RESTRICT a_sums, const float* bias,
                   float* c, int64_t c_stride, int64_t panel) {
  const DF d;
  const int64_t blocks = w.blocks(), groups = w.block * kBits / 32, first = panel * kPanelColumns;
  const uint32_t* words = w.words + panel * w.words_a_panel();
  const int64_t scales_at = panel * w.scales_a_panel();
  const bool zeros = w.zeros || w.float_zeros;
  const int64_t columns = std::min(kPanelColumns, w.n - first);
  VF total[M][kVectors];
  LINNET_UNROLL for (int v = 0; v < kVectors; ++v) {
    const int64_t left = columns - v * kLanes;
    const VF begin = bias && left > 0 ? LoadSome(d, bias + first + v * kLanes, static_cast<size_t>(left)) : hn::Zero(d);
    LINNET_UNROLL for (int i = 0; i < M; ++i) total[i][v] = begin;
  }
  for (int64_t b = 0; b < blocks; ++b) {
    VF sums[M][kChains<M>][kVectors];
    LINNET_UNROLL for (int i = 0; i < M; ++i) {
      LINNET_UNROLL for (int s = 0; s < kChains<M>; ++s) {
        LINNET_UNROLL for (int v = 0; v < kVectors; ++v) sums[i][s][v] = hn::Zero(d);
      }
    }
    const float* at = a + b * w.block;
    for (int64_t g = 0; g < groups; ++g, at += 32 / kBits, words += kPanelColumns) {
      VI loaded[kVectors];
      LINNET_UNROLL for (int v = 0; v < kVectors; ++v) loaded[v] = LoadWords(words + v * kLanes);
      MultiplyRows<kBits, M, 0>(at, a_stride, loaded, sums);
    }
    LINNET_UNROLL for (int v = 0; v < kVectors; ++v) {
      const int64_t place = scales_at + b * kPanelColumns + v * kLanes;
      const VF scale = hn::LoadU(d, w.scales + place);
      const VF zero = zeros ? ZerosAt(w, place) : hn::Zero(d);
      LINNET_UNROLL for (int i = 0; i < M; ++i) {
        VF sum = sums[i][0][v];
        if constexpr (kChains<M> == 2) sum = hn::Add(sum, sums[i][1][v]);
        if constexpr (kChains<M> == 4) sum = hn::Add(hn::Add(sum, sums[i][1][v]), hn::Add(sums[i][2][v], sums[i][3][v]));
        if (zeros) sum = hn::NegMulAdd(hn::Set(d, a_sums[i * blocks + b]), zero, sum);
        total[i][v] = hn::MulAdd(sum, scale, total[i][v]);
      }
    }
  }
  LINNET_UNROLL for (int v = 0; v < kVectors; ++v) {
    const int64_t left = columns - v * kLanes;
    if (left <= 0) break;
    LINNET_UNROLL for (int i = 0; i < M; ++i) StoreSome(total[i][v], d, c + i * c_stride + first + v * kLanes, static_cast<size_t>(left));
  }
}

template <int kBits, int M>
void MultiplyPanels(const NBits& w, const float* a, int64_t a_stride, const float* sums, const float* bias, float* c, int64_t c_stride,
                    int64_t panel0, int64_t panel1) {
  for (int64_t p = panel0; p < panel1; ++p) MultiplyPanel<kBits, M>(w, a, a_stride, sums, bias, c, c_stride, p);
}

template <int kBits>
void MultiplyOf(const NBits& w, const float* a, int64_t a_stride, const float* sums, int m, const float* bias, float* c, int64_t c_stride,
                int64_t panel0, int64_t panel1) {
  switch (m) {
    case 1: return MultiplyPanels<kBits, 1>(w, a, a_stride, sums, bias, c, c_stride, panel0, panel1);
    case 2: return MultiplyPanels<kBits, 2>(w, a, a_stride, sums, bias, c, c_stride, panel0, panel1);
    case 3: return MultiplyPanels<kBits, 3>(w, a, a_stride, sums, bias, c, c_stride, panel0, panel1);
    default: return MultiplyPanels<kBits, 4>(w, a, a_stride, sums, bias, c, c_stride, panel0, panel1);
  }
}

template <int kBits, int kRow>
HWY_INLINE void UnpackRows(const VI* words, const VF* scales, const VF* zeros, int64_t rows, float* out) {
  if constexpr (kRow < 32 / kBits) {
    if (kRow >= rows) return;
    LINNET_UNROLL for (int v = 0; v < kVectors; ++v) {
      const VF code = Codes<kBits, kRow>(words[v]);
      hn::StoreU(hn::Mul(hn::Sub(code, zeros[v]), scales[v]), DF(), out + kRow * kPanelColumns + v * kLanes);
    }
    UnpackRows<kBits, kRow + 1>(words, scales, zeros, rows, out);
  }
}

template <int kBits>
void UnpackOf(const NBits& w, int64_t panel, float* out) {
  const DF d;
  constexpr int64_t kRows = 32 / kBits;
  const uint32_t* words = w.words + panel * w.words_a_panel();
  const bool any = w.zeros || w.float_zeros;
  for (int64_t row = 0; row < w.k; row += kRows, words += kPanelColumns) {
    const int64_t place = panel * w.scales_a_panel() + row / w.block * kPanelColumns;
    VF scales[kVectors], zeros[kVectors];
    VI loaded[kVectors];
    LINNET_UNROLL for (int v = 0; v < kVectors; ++v) {
      scales[v] = hn::LoadU(d, w.scales + place + v * kLanes);
      zeros[v] = any ? ZerosAt(w, place + v * kLanes) : hn::Zero(d);
      loaded[v] = LoadWords(words + v * kLanes);
    }
    UnpackRows<kBits, 0>(loaded, scales, zeros, w.k - row, out + row * kPanelColumns);
  }
}

void Multiply(const NBits& w, const float* a, int64_t a_stride, const float* sums, int m, const float* bias, float* c, int64_t c_stride,
              int64_t panel0, int64_t panel1) {
  (w.bits == 4 ? MultiplyOf<4> : MultiplyOf<8>)(w, a, a_stride, sums, m, bias, c, c_stride, panel0, panel1);
}
void Unpack(const NBits& w, int64_t panel, float* out) { (w.bits == 4 ? UnpackOf<4> : UnpackOf<8>)(w, panel, out); }

}  // namespace

const NBitsKernels& NBitsOf() {
  static constexpr NBitsKernels kKernels = {Multiply, Unpack};
  return kKernels;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const NBitsKernels& PickNBits(CpuLevel level) { return LINNET_PICK(level, NBitsOf)(); }

}  // namespace linnet
#endif
