// Product of bfloat16 operands on vectors of floats: rounding, tiles of registers, and the table of kernels.
//
// A row of a panel holds 16 pairs (k, k + 1). Seen as 32-bit numbers, its upper halves are the floats of k + 1 once the lower
// ones are cleared, and its lower halves those of k once moved up.
#include "kernels/bf16/bf16_gemm.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/bf16/bf16_gemm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/bf16/bf16-inl.h"
#include "kernels/dispatch.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float);
using U32 = hn::ScalableTag<uint32_t>;

#if HWY_TARGET == HWY_AVX3
constexpr char kTargetName[] = "bf16 by float32, avx512";
constexpr int kMaxRows = 14;
constexpr int MaxVectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }
#elif HWY_TARGET == HWY_AVX2
constexpr char kTargetName[] = "bf16 by float32, avx2";
constexpr int kMaxRows = 6;
constexpr int MaxVectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }
#elif HWY_TARGET == HWY_NEON
constexpr char kTargetName[] = "bf16 by float32, neon";
constexpr int kMaxRows = 6;
constexpr int MaxVectors(int rows) { return rows <= 2 ? 8 : 4; }
#else
constexpr char kTargetName[] = "bf16 by float32, 128-bit";
constexpr int kMaxRows = 4;
constexpr int MaxVectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }
#endif

/// The nearest bfloat16 as a float, ties to even.
HWY_INLINE VF32 RoundBf16(VF32 x) {
  const U32 d;
  const auto bits = hn::BitCast(d, x), high = hn::Set(d, 0xFFFF0000u);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1u));
  const auto rounded = hn::And(hn::Add(hn::Add(bits, hn::Set(d, 0x7FFFu)), odd), high);
  const auto quiet = hn::Or(hn::And(bits, high), hn::Set(d, 0x00400000u));
  return hn::IfThenElse(hn::IsNaN(x), hn::BitCast(F32(), quiet), hn::BitCast(F32(), rounded));
}

void LoadBf16(const float* a, int64_t n, void* out) {
  const F32 d;
  float* to = static_cast<float*>(out);
  for (int64_t i = 0; i < n; i += kLanes) {
    const size_t left = static_cast<size_t>(n - i);
    StoreSome(RoundBf16(LoadSome(d, a + i, left)), d, to + i, left);
  }
}

void LoadRowsBf16(const float* a, int64_t a_row_stride, int64_t rows, int64_t k, void* out, int64_t out_row_bytes) {
  const F32 d;
  const int64_t padded = PackedKBf16(k);
  char* to = static_cast<char*>(out);
  for (int64_t r = 0; r < rows; ++r, a += a_row_stride, to += out_row_bytes) {
    float* row = reinterpret_cast<float*>(to);
    int64_t i = 0;
    for (; i < k; i += kLanes) hn::StoreU(RoundBf16(LoadSome(d, a + i, static_cast<size_t>(k - i))), d, row + i);
    for (; i < padded; i += kLanes) hn::StoreU(hn::Zero(d), d, row + i);
  }
}

struct Job {
  const ProductBf16& product;
  const RowsBf16& rows;
  FinisherBf16 finisher;
  float* sums;              // kSumPanels panels of kMaxRows rows
};
constexpr int64_t kSumPanels = std::max<int64_t>(1, 8 * kLanes / kPanelColumns);
constexpr int64_t kPanelStride = kMaxRows * kPanelColumns;

/// kRows rows by kVectors vectors of columns from `column` on, which lie in panels from `panel` on; sums go to job.sums.
template <int kRows, int kVectors>
HWY_NOINLINE void Tile(const Job& job, int64_t row, int64_t panel, int64_t vector) {
  const F32 d;
  const U32 du;
  const ProductBf16& p = job.product;
  const RowsBf16& rows = job.rows;
  const int64_t a_stride = rows.row_stride, panel_words = p.panel_bytes / 4;
  const uint32_t* b = static_cast<const uint32_t*>(p.panels) + panel * panel_words;
  const auto high = hn::Set(du, 0xFFFF0000u);
  VF32 sum[kRows][kVectors];
  auto word_at = [&](int v) { return (vector + v) * kLanes; };
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    alignas(64) float tail[kPanelColumns];
    const int64_t at = word_at(v);
    const VF32 bias = hn::LoadU(d, PanelBiasBf16(p, panel + at / kPanelColumns, tail) + at % kPanelColumns);
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) sum[r][v] = bias;
  }
  const uint32_t* from[kVectors];
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) from[v] = b + word_at(v) / kPanelColumns * panel_words + word_at(v) % kPanelColumns;
  for (int64_t s = 0; s < rows.steps; ++s) {
    constexpr int kBases = (kRows + 3) / 4;
    const float* base[kBases];
    const float* start = static_cast<const float*>(rows.a) + row * a_stride + (rows.offsets ? rows.offsets[s] : s * rows.step);
    LINNET_UNROLL
    for (int i = 0; i < kBases; ++i) {
      base[i] = start + i * 4 * a_stride;
      LINNET_OPAQUE(base[i]);
    }
    for (int64_t k = 0; k < rows.step; k += 2) {
      VF32 bv[kVectors];
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) bv[v] = hn::BitCast(d, hn::ShiftLeft<16>(hn::LoadU(du, from[v])));
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const VF32 av = hn::Set(d, base[r / 4][r % 4 * a_stride]);
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
      }
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        bv[v] = hn::BitCast(d, hn::And(hn::LoadU(du, from[v]), high));
        if constexpr (kRows == 1) __builtin_prefetch(from[v] + 1024);
        from[v] += kPanelColumns;
      }
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const VF32 av = hn::Set(d, base[r / 4][r % 4 * a_stride + 1]);
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
      }
      LINNET_UNROLL
      for (int i = 0; i < kBases; ++i) base[i] += 2;
    }
  }
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    float* to = job.sums + word_at(v) / kPanelColumns * kPanelStride + word_at(v) % kPanelColumns;
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) hn::Store(sum[r][v], d, to + r * kPanelColumns);
  }
}

/// kRows rows of panels [panel0, panel1).
template <int kRows>
void RowsOfTiles(const Job& job, int64_t row, int64_t panel0, int64_t panel1) {
  constexpr int kVectors = MaxVectors(kRows);
  constexpr int64_t kGroup = std::max<int64_t>(1, kVectors * kLanes / kPanelColumns);   // panels
  constexpr int kPanelVectors = static_cast<int>(kPanelColumns / kLanes);
  for (int64_t panel = panel0; panel < panel1; panel += kGroup) {
    const int64_t panels = std::min(kGroup, panel1 - panel), column = panel * kPanelColumns;
    if (panels == kGroup) {
      for (int64_t v = 0; v < kGroup * kPanelVectors; v += kVectors) Tile<kRows, kVectors>(job, row, panel, v);
    } else {
      constexpr int kNarrow = std::min(kVectors, kPanelVectors);
      for (int64_t v = 0; v < panels * kPanelVectors; v += kNarrow) Tile<kRows, kNarrow>(job, row, panel, v);
    }
    job.finisher.Store(job.sums, kPanelStride, row, kRows, column, std::min(job.product.n - column, panels * kPanelColumns));
  }
}

void MultiplyBf16(const ProductBf16& product, const RowsBf16& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1) {
  // Columns in groups that stay in a cache while rows pass by.
  constexpr int64_t kCache = 256 << 10;
  alignas(64) float sums[kSumPanels * kPanelStride];
  const Job job = {product, rows, FinisherBf16(product, rows), sums};
  const int64_t group = row1 - row0 <= kMaxRows ? panel1 - panel0 : std::max<int64_t>(kCache / product.panel_bytes / 2 * 2, 2);
  for (int64_t panel = panel0; panel < panel1; panel += group) {
    const int64_t end = std::min(panel1, panel + group);
    for (int64_t row = row0; row < row1;) {
      const int64_t left = row1 - row;
      auto run = [&]<int kRows>() {
        RowsOfTiles<kRows>(job, row, panel, end);
        row += kRows;
      };
      if (left >= kMaxRows) {
        run.template operator()<kMaxRows>();
      } else if (kMaxRows > 8 && left >= 8) {
        run.template operator()<std::min(kMaxRows, 8)>();
      } else if (left >= 4) {
        run.template operator()<4>();
      } else if (left >= 2) {
        run.template operator()<2>();
      } else {
        run.template operator()<1>();
      }
    }
  }
}

constexpr int64_t kCacheBytes = 256 << 10;
constexpr Bf16Kernels kBf16 = {kTargetName, kMaxRows, 4, kCacheBytes, LoadBf16, LoadRowsBf16, MultiplyBf16, &kBf16};

#if HWY_TARGET == HWY_AVX3
const Bf16Kernels& TilesBf16(bool emulated, const Bf16Kernels* one_row);   // bf16_gemm_tiles.cc
const Bf16Kernels& AmxBf16() { return TilesBf16(false, &kBf16); }
const Bf16Kernels& EmulatedAmxBf16() { return TilesBf16(true, &kBf16); }
#elif defined(__aarch64__)
const Bf16Kernels& SquaresBf16(const Bf16Kernels* one_row);   // bf16_gemm_squares.cc
const Bf16Kernels& Bfmmla() { return SquaresBf16(&kBf16); }
#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const Bf16Kernels& PickBf16(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAmx)) return N_AVX3::AmxBf16();
#elif defined(__aarch64__)
  if (Supports(level, CpuLevel::kI8mm)) return HWY_STATIC_DISPATCH(Bfmmla)();
#endif
  return *LINNET_PICK(level, kBf16);
}

const Bf16Kernels* EmulatedTilesBf16(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAvx512)) return &N_AVX3::EmulatedAmxBf16();
#endif
  return nullptr;
}

}  // namespace linnet
#endif
