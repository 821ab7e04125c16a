// Floats times bytes that are widened in registers.
#include "kernels/nbits/byte_panels.h"

#include <string.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/nbits/byte_panels.cc"
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
using DB = hn::Rebind<int8_t, DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(DF()));
constexpr int kVectors = static_cast<int>(kPanelColumns / kLanes);
// Vectors of sums that registers hold, beside what is multiplied, and rows of a tile.
constexpr int kSums = HWY_TARGET == HWY_SSE4 ? 8 : HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64 ? 24 : 12;
constexpr int kRows = kSums / kVectors < 6 ? kSums / kVectors : 6;

/// A tile of M rows by P panels.
template <int M, int P, bool kZeros>
HWY_INLINE void Tile(const BytePanels& w, const float* HWY_RESTRICT a, int64_t a_stride, const float* bias, float* c, int64_t c_stride,
                     int64_t panel) {
  const DF d;
  constexpr int kColumns = P * kVectors;
  const int64_t panel_bytes = w.k * kPanelColumns, first = panel * kPanelColumns;
  const int8_t* b = w.bytes + panel * panel_bytes;
  VF sums[M][kColumns];
  VI zeros[kZeros ? kColumns : 1];
  LINNET_UNROLL for (int v = 0; v < kColumns; ++v) {
    LINNET_UNROLL for (int i = 0; i < M; ++i) sums[i][v] = hn::Zero(d);
    if constexpr (kZeros) zeros[v] = hn::LoadU(DI(), w.zeros + first + v * kLanes);
  }
  for (int64_t k = 0; k < w.k; ++k, b += kPanelColumns) {
    auto weight = [&](int v) HWY_ATTR {
      VI code = hn::PromoteTo(DI(), hn::LoadU(DB(), b + v / kVectors * panel_bytes + v % kVectors * kLanes));
      if constexpr (kZeros) code = hn::Sub(code, zeros[v]);
      return hn::ConvertTo(d, code);
    };
    if constexpr (M == 1) {
      const VF x = hn::Set(d, a[k]);
      LINNET_UNROLL for (int v = 0; v < kColumns; ++v) sums[0][v] = hn::MulAdd(x, weight(v), sums[0][v]);
    } else {
      VF weights[kColumns];
      LINNET_UNROLL for (int v = 0; v < kColumns; ++v) weights[v] = weight(v);
      LINNET_UNROLL for (int i = 0; i < M; ++i) {
        const VF x = hn::Set(d, a[i * a_stride + k]);
        LINNET_UNROLL for (int v = 0; v < kColumns; ++v) sums[i][v] = hn::MulAdd(x, weights[v], sums[i][v]);
      }
    }
  }
  LINNET_UNROLL for (int v = 0; v < kColumns; ++v) {
    const int64_t at = first + v * kLanes;
    if (at >= w.n) break;
    const size_t left = static_cast<size_t>(w.n - at);
    const VF scale = hn::LoadU(d, w.scales + at);
    const VF begin = bias != nullptr ? LoadSome(d, bias + at, left) : hn::Zero(d);
    LINNET_UNROLL for (int i = 0; i < M; ++i) StoreSome(hn::MulAdd(sums[i][v], scale, begin), d, c + i * c_stride + at, left);
  }
}

/// M rows of panels [panel0, panel1).
template <int M, bool kZeros>
void Rows(const BytePanels& w, const float* a, int64_t a_stride, const float* bias, float* c, int64_t c_stride, int64_t panel0,
          int64_t panel1) {
  constexpr int kAll = kSums / (M * kVectors), kPanels = M == 1 && kAll >= 4 ? 4 : kAll >= 2 ? 2 : 1;
  int64_t panel = panel0;
  for (; panel + kPanels <= panel1; panel += kPanels) Tile<M, kPanels, kZeros>(w, a, a_stride, bias, c, c_stride, panel);
  for (; kPanels > 1 && panel < panel1; ++panel) Tile<M, 1, kZeros>(w, a, a_stride, bias, c, c_stride, panel);
}

/// m <= M rows.
template <int M, bool kZeros>
void SomeRows(const BytePanels& w, const float* a, int64_t a_stride, int64_t m, const float* bias, float* c, int64_t c_stride,
              int64_t panel0, int64_t panel1) {
  if constexpr (M > 0) {
    if (m == M) return Rows<M, kZeros>(w, a, a_stride, bias, c, c_stride, panel0, panel1);
    SomeRows<M - 1, kZeros>(w, a, a_stride, m, bias, c, c_stride, panel0, panel1);
  }
}

template <bool kZeros>
void MultiplyOf(const BytePanels& w, const float* a, int64_t a_stride, int64_t m, const float* bias, float* c, int64_t c_stride,
                int64_t panel0, int64_t panel1) {
  // All rows pass by a few panels, which stay in the nearest cache, in tiles as even as can be.
  const int64_t tiles = (m + kRows - 1) / kRows, step = tiles == 1 ? panel1 - panel0 : 2;
  for (int64_t panel = panel0; panel < panel1; panel += step) {
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t row = m * tile / tiles, rows = m * (tile + 1) / tiles - row;
      SomeRows<kRows, kZeros>(w, a + row * a_stride, a_stride, rows, bias, c + row * c_stride, c_stride, panel, std::min(panel + step, panel1));
    }
  }
}

}  // namespace

void MultiplyBytePanels(const BytePanels& w, const float* a, int64_t a_stride, int64_t m, const float* bias, float* c, int64_t c_stride,
                        int64_t panel0, int64_t panel1) {
  (w.zeros ? MultiplyOf<true> : MultiplyOf<false>)(w, a, a_stride, m, bias, c, c_stride, panel0, panel1);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

MultiplyBytePanelsFn* PickMultiplyBytePanels(CpuLevel level) { return LINNET_PICK(level, MultiplyBytePanels); }

void PackBytePanels(const uint8_t* rows, bool is_signed, int64_t k, int64_t n, int8_t* out) {
  memset(out, 0, static_cast<size_t>(PackedBytePanels(k, n)));
  const uint8_t turn = is_signed ? 0 : 128;
  for (int64_t j = 0; j < n; ++j) {
    int8_t* to = out + j / kPanelColumns * kPanelColumns * k + j % kPanelColumns;
    for (int64_t i = 0; i < k; ++i, ++rows, to += kPanelColumns) *to = static_cast<int8_t>(*rows ^ turn);
  }
}

}  // namespace linnet
#endif  // HWY_ONCE
