// Product of bfloat16 or float16 operands on vectors of floats: rounding, tiles of registers, and the table of kernels.
//
// Of bfloat16, a row of a panel holds 16 pairs (k, k + 1). Seen as 32-bit numbers, its upper halves are the floats of k + 1 once the
// lower ones are cleared, and its lower halves those of k once moved up.
#include "kernels/half/half_gemm.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half/half_gemm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/half/half-inl.h"
#include "kernels/dispatch.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float);
using U32 = hn::ScalableTag<uint32_t>;

#if HWY_TARGET == HWY_AVX3
#define LINNET_TARGET_NAME "avx512"
constexpr int kMaxRows = 14;
constexpr int MaxVectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }
#elif HWY_TARGET == HWY_AVX2
#define LINNET_TARGET_NAME "avx2"
constexpr int kMaxRows = 6;
constexpr int MaxVectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }
#elif HWY_TARGET == HWY_NEON
#define LINNET_TARGET_NAME "neon"
constexpr int kMaxRows = 6;
constexpr int MaxVectors(int rows) { return rows <= 2 ? 8 : 4; }
#else
#define LINNET_TARGET_NAME "128-bit"
constexpr int kMaxRows = 4;
constexpr int MaxVectors(int rows) { return rows == 1 ? 8 : rows == 2 ? 4 : 2; }
#endif

/// Numbers of a format as floats. Two rows of k of a panel are 64 bytes: Even and Odd are what they have for some columns.
struct NumbersBf16 {
  static constexpr int64_t kColumnBytes = 4;   ///< from a column to the next

  /// The nearest one, ties to even.
  static HWY_INLINE VF32 Round(VF32 x) {
    const U32 d;
    const auto bits = hn::BitCast(d, x), high = hn::Set(d, 0xFFFF0000u);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d, 1u));
    const auto rounded = hn::And(hn::Add(hn::Add(bits, hn::Set(d, 0x7FFFu)), odd), high);
    const auto quiet = hn::Or(hn::And(bits, high), hn::Set(d, 0x00400000u));
    return hn::IfThenElse(hn::IsNaN(x), hn::BitCast(F32(), quiet), hn::BitCast(F32(), rounded));
  }
  static HWY_INLINE VF32 Even(const char* b) { return hn::BitCast(F32(), hn::ShiftLeft<16>(Words(b))); }
  static HWY_INLINE VF32 Odd(const char* b) { return hn::BitCast(F32(), hn::And(Words(b), hn::Set(U32(), 0xFFFF0000u))); }

 private:
  static HWY_INLINE hn::Vec<U32> Words(const char* b) { return hn::LoadU(U32(), reinterpret_cast<const uint32_t*>(b)); }
};

struct NumbersFp16 {
  static constexpr int64_t kColumnBytes = 2;

  /// The nearest one, ties to even; from 65520 on infinity.
  static HWY_INLINE VF32 Round(VF32 x) {
    const U32 d;
    const F32 f;
    const auto size = hn::Abs(x);
    const auto bits = hn::BitCast(d, size), infinity = hn::Set(d, 0x7F800000u);
    const auto odd = hn::And(hn::ShiftRight<13>(bits), hn::Set(d, 1u));
    auto rounded = hn::And(hn::Add(hn::Add(bits, hn::Set(d, 0xFFFu)), odd), hn::Set(d, 0xFFFFE000u));
    rounded = hn::IfThenElse(hn::Gt(rounded, hn::Set(d, 0x477FE000u)), infinity, rounded);   // 65504, the largest
    // Below 2^-14 they are the multiples of 2^-24, as floats from 0.5 on are.
    const auto few = hn::Sub(hn::Add(size, hn::Set(f, 0.5f)), hn::Set(f, 0.5f));
    auto out = hn::IfThenElse(hn::Lt(size, hn::Set(f, 0x1p-14f)), few, hn::BitCast(f, rounded));
    out = hn::IfThenElse(hn::IsNaN(x), hn::BitCast(f, hn::Set(d, 0x7FC00000u)), out);
    return hn::CopySign(out, x);
  }
  static HWY_INLINE VF32 Even(const char* b) { return Widened(b); }
  static HWY_INLINE VF32 Odd(const char* b) { return Widened(b + 2 * kPanelColumns); }

 private:
  static HWY_INLINE VF32 Widened(const char* b) {
    const F32 f;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2 || (HWY_TARGET == HWY_NEON && defined(__aarch64__))
    const hn::Rebind<hwy::float16_t, F32> half;
    return hn::PromoteTo(f, hn::LoadU(half, reinterpret_cast<const hwy::float16_t*>(b)));
#else
    const U32 d;
    const hn::Rebind<uint16_t, U32> half;
    const auto bits = hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const uint16_t*>(b)));
    const auto size = hn::And(bits, hn::Set(d, 0x7FFFu)), sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(d, 0x8000u)));
    const auto wide = hn::ShiftLeft<13>(size);
    auto out = hn::Add(wide, hn::Set(d, 112u << 23));
    out = hn::IfThenElse(hn::Gt(size, hn::Set(d, 0x7BFFu)), hn::Or(wide, hn::Set(d, 0x7F800000u)), out);
    const auto few = hn::Mul(hn::ConvertTo(f, hn::BitCast(hn::RebindToSigned<U32>(), size)), hn::Set(f, 0x1p-24f));
    out = hn::IfThenElse(hn::Lt(size, hn::Set(d, 0x400u)), hn::BitCast(d, few), out);
    return hn::BitCast(f, hn::Or(out, sign));
#endif
  }
};

template <class Numbers>
void Load(const float* a, int64_t n, void* out) {
  const F32 d;
  float* to = static_cast<float*>(out);
  for (int64_t i = 0; i < n; i += kLanes) {
    const size_t left = static_cast<size_t>(n - i);
    StoreSome(Numbers::Round(LoadSome(d, a + i, left)), d, to + i, left);
  }
}

template <class Numbers>
void LoadRows(const float* a, int64_t a_row_stride, int64_t rows, int64_t k, void* out, int64_t out_row_bytes) {
  const F32 d;
  const int64_t padded = PackedKHalf(k);
  char* to = static_cast<char*>(out);
  for (int64_t r = 0; r < rows; ++r, a += a_row_stride, to += out_row_bytes) {
    float* row = reinterpret_cast<float*>(to);
    int64_t i = 0;
    for (; i < k; i += kLanes) hn::StoreU(Numbers::Round(LoadSome(d, a + i, static_cast<size_t>(k - i))), d, row + i);
    for (; i < padded; i += kLanes) hn::StoreU(hn::Zero(d), d, row + i);
  }
}

struct Job {
  const ProductHalf& product;
  const RowsHalf& rows;
  FinisherHalf finisher;
  float* sums;              // kSumPanels panels of kMaxRows rows
};
constexpr int64_t kSumPanels = std::max<int64_t>(1, 8 * kLanes / kPanelColumns);
constexpr int64_t kPanelStride = kMaxRows * kPanelColumns;

/// kRows rows by kVectors vectors of columns from `column` on, which lie in panels from `panel` on; sums go to job.sums.
template <class Numbers, int kRows, int kVectors>
HWY_NOINLINE void Tile(const Job& job, int64_t row, int64_t panel, int64_t vector) {
  const F32 d;
  const ProductHalf& p = job.product;
  const RowsHalf& rows = job.rows;
  const int64_t a_stride = rows.row_stride;
  const char* b = static_cast<const char*>(p.panels) + panel * p.panel_bytes;
  VF32 sum[kRows][kVectors];
  auto column_at = [&](int v) { return (vector + v) * kLanes; };
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    alignas(64) float tail[kPanelColumns];
    const int64_t at = column_at(v);
    const VF32 bias = hn::LoadU(d, PanelBiasHalf(p, panel + at / kPanelColumns, tail) + at % kPanelColumns);
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) sum[r][v] = bias;
  }
  const char* from[kVectors];
  LINNET_UNROLL
  for (int v = 0; v < kVectors; ++v) {
    from[v] = b + column_at(v) / kPanelColumns * p.panel_bytes + column_at(v) % kPanelColumns * Numbers::kColumnBytes;
  }
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
      for (int v = 0; v < kVectors; ++v) bv[v] = Numbers::Even(from[v]);
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const VF32 av = hn::Set(d, base[r / 4][r % 4 * a_stride]);
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::MulAdd(av, bv[v], sum[r][v]);
      }
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        bv[v] = Numbers::Odd(from[v]);
        if constexpr (kRows == 1) __builtin_prefetch(from[v] + 4096);
        from[v] += 4 * kPanelColumns;
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
    float* to = job.sums + column_at(v) / kPanelColumns * kPanelStride + column_at(v) % kPanelColumns;
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) hn::Store(sum[r][v], d, to + r * kPanelColumns);
  }
}

/// kRows rows of panels [panel0, panel1).
template <class Numbers, int kRows>
void RowsOfTiles(const Job& job, int64_t row, int64_t panel0, int64_t panel1) {
  constexpr int kVectors = MaxVectors(kRows);
  constexpr int64_t kGroup = std::max<int64_t>(1, kVectors * kLanes / kPanelColumns);   // panels
  constexpr int kPanelVectors = static_cast<int>(kPanelColumns / kLanes);
  for (int64_t panel = panel0; panel < panel1; panel += kGroup) {
    const int64_t panels = std::min(kGroup, panel1 - panel), column = panel * kPanelColumns;
    if (panels == kGroup) {
      for (int64_t v = 0; v < kGroup * kPanelVectors; v += kVectors) Tile<Numbers, kRows, kVectors>(job, row, panel, v);
    } else {
      constexpr int kNarrow = std::min(kVectors, kPanelVectors);
      for (int64_t v = 0; v < panels * kPanelVectors; v += kNarrow) Tile<Numbers, kRows, kNarrow>(job, row, panel, v);
    }
    job.finisher.Store(job.sums, kPanelStride, row, kRows, column, std::min(job.product.n - column, panels * kPanelColumns));
  }
}

template <class Numbers>
void Multiply(const ProductHalf& product, const RowsHalf& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1) {
  // Columns in groups that stay in a cache while rows pass by.
  constexpr int64_t kCache = 256 << 10;
  alignas(64) float sums[kSumPanels * kPanelStride];
  const Job job = {product, rows, FinisherHalf(product, rows), sums};
  const int64_t group = row1 - row0 <= kMaxRows ? panel1 - panel0 : std::max<int64_t>(kCache / product.panel_bytes / 2 * 2, 2);
  for (int64_t panel = panel0; panel < panel1; panel += group) {
    const int64_t end = std::min(panel1, panel + group);
    for (int64_t row = row0; row < row1;) {
      const int64_t left = row1 - row;
      auto run = [&]<int kRows>() {
        RowsOfTiles<Numbers, kRows>(job, row, panel, end);
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

#if !defined(LINNET_NO_BF16)
constexpr HalfKernels kBf16 = {"bf16 by float32, " LINNET_TARGET_NAME, HalfFormat::kBfloat16, kMaxRows, 4, 30, kCacheBytes, Load<NumbersBf16>,
                               LoadRows<NumbersBf16>, Multiply<NumbersBf16>, &kBf16};

#if HWY_TARGET == HWY_AVX3
const HalfKernels& TilesBf16(bool emulated, const HalfKernels* one_row);   // half_gemm_bf16_tiles.cc
const HalfKernels& AmxBf16() { return TilesBf16(false, &kBf16); }
const HalfKernels& EmulatedAmxBf16() { return TilesBf16(true, &kBf16); }
#elif defined(__aarch64__)
const HalfKernels& SquaresBf16(const HalfKernels* one_row);   // half_gemm_bf16_squares.cc
const HalfKernels& Bfmmla() { return SquaresBf16(&kBf16); }
#endif
#endif

#if !defined(LINNET_NO_FP16)
constexpr HalfKernels kFp16 = {"fp16 by float32, " LINNET_TARGET_NAME, HalfFormat::kFloat16, kMaxRows, 4, 30, kCacheBytes, Load<NumbersFp16>,
                               LoadRows<NumbersFp16>, Multiply<NumbersFp16>, &kFp16};
#if defined(__aarch64__)
const HalfKernels& LanesFp16();   // half_gemm_fp16_lanes.cc
#endif
#endif

#undef LINNET_TARGET_NAME

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {
namespace {

#if !defined(LINNET_NO_BF16)
const HalfKernels& PickBf16(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAmx)) return N_AVX3::AmxBf16();
#elif defined(__aarch64__)
  if (Supports(level, CpuLevel::kI8mm)) return HWY_STATIC_DISPATCH(Bfmmla)();
#endif
  return *LINNET_PICK(level, kBf16);
}
#endif

#if !defined(LINNET_NO_FP16)
const HalfKernels& PickFp16(CpuLevel level) {
#if defined(__aarch64__)
  if (Supports(level, CpuLevel::kDotprod)) return HWY_STATIC_DISPATCH(LanesFp16)();
#endif
  return *LINNET_PICK(level, kFp16);
}
#endif

}  // namespace

const HalfKernels& PickHalf(HalfFormat format, CpuLevel level) {
#if defined(LINNET_NO_FP16)
  (void)format;
  return PickBf16(level);
#elif defined(LINNET_NO_BF16)
  (void)format;
  return PickFp16(level);
#else
  return format == HalfFormat::kBfloat16 ? PickBf16(level) : PickFp16(level);
#endif
}

#if !defined(LINNET_NO_BF16)
const HalfKernels* EmulatedTilesBf16(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAvx512)) return &N_AVX3::EmulatedAmxBf16();
#endif
  return nullptr;
}
#endif

}  // namespace linnet
#endif
