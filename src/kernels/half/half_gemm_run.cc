// The order in which a product visits blocks of A and panels of B. No vector code.
#include <algorithm>

#include "base/memory.h"
#include "kernels/half/half_gemm.h"

namespace linnet {
namespace {

/// B's bytes up to which it stays in a second-level cache while rows pass by.
constexpr int64_t kCacheB = 512 << 10;
/// A block's bytes then: a part of a first-level cache; of the second where K is so long that it is cut (half_gemm_bf16_tiles.cc).
constexpr int64_t kBlockFew = 48 << 10, kBlockSome = 256 << 10;
constexpr int64_t kLongK = 24 * kStepHalf;
constexpr int64_t kUnit = 32;

int64_t BlockRows(const HalfKernels& kernels, int64_t m, int64_t n, int64_t k) {
  const int64_t row_bytes = BlockStrideHalf(kernels, k) * kernels.block_bytes;
  const int64_t bytes = PackedSizeHalf(k, n) > kCacheB ? kernels.cache_bytes : k < kLongK ? kBlockFew : kBlockSome;
  const int64_t fit = bytes / std::max<int64_t>(row_bytes, 1);
  if (m <= fit) return std::max<int64_t>(m, 1);
  return std::min(m, std::max(fit / kUnit * kUnit, kUnit));
}

/// What is used for products of m rows.
const HalfKernels& For(const HalfKernels& kernels, int64_t m) { return m == 1 ? *kernels.one_row : kernels; }

void Multiply(const HalfKernels& kernels, const ProductHalf& product, const float* a, int64_t a_row_stride, int64_t k,
              int64_t row, int64_t count, int64_t panel0, int64_t panel1, void* block) {
  RowsHalf rows;
  rows.a = block;
  rows.row_stride = BlockStrideHalf(kernels, k);
  rows.steps = PackedKHalf(k) / kStepHalf;
  rows.c_row = row;
  kernels.load_rows(a + row * a_row_stride, a_row_stride, count, k, block, rows.row_stride * kernels.block_bytes);
  kernels.multiply(product, rows, 0, count, panel0, panel1);
}

template <class Gemm>
ProductHalf ProductOf(const Gemm& gemm, const void* panels) {
  ProductHalf product;
  product.n = gemm.n;
  product.panels = panels;
  product.panel_bytes = PanelBytesHalf(gemm.k);
  product.c = gemm.c;
  product.c_row_stride = gemm.c_row_stride;
  product.epilogue = gemm.epilogue;
  return product;
}

}  // namespace

int64_t GemmHalfScratchBytes(const HalfKernels& kernels, int64_t m, int64_t n, int64_t k) {
  const HalfKernels& used = For(kernels, m);
  return RoundUp(BlockRows(used, m, n, k) * BlockStrideHalf(used, k) * used.block_bytes, int64_t{64});
}

void RunGemmHalf(const HalfKernels& kernels, const GemmHalf& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1,
                 void* scratch) {
  const HalfKernels& used = For(kernels, gemm.m);
  const ProductHalf product = ProductOf(gemm, gemm.packed);
  const int64_t most = BlockRows(used, gemm.m, gemm.n, gemm.k);
  // Blocks of about the same height: a low one reads B for little.
  const int64_t blocks = DivUp(m1 - m0, most), height = std::min(most, RoundUp(DivUp(m1 - m0, std::max<int64_t>(blocks, 1)), kUnit));
  for (int64_t row = m0; row < m1; row += height) {
    Multiply(used, product, gemm.a, gemm.a_row_stride, gemm.k, row, std::min(height, m1 - row), panel0, panel1, scratch);
  }
}

GemmGrain GemmGrainHalf(const HalfKernels& kernels, int64_t m, int64_t n, int64_t k, int threads) {
  // Tasks of about a million multiply-adds are worth handing out; none is longer than some milliseconds, so that a run can
  // be stopped.
  constexpr int64_t kWork = 1 << 20, kWorkMax = 512 << 20;
  m = std::max<int64_t>(m, 1);
  const int64_t panels = std::max<int64_t>(PanelCount(n), 1);
  const double work = static_cast<double>(m) * static_cast<double>(panels) * static_cast<double>(PackedKHalf(k) * kPanelColumns);
  const double least = std::max(1.0, work / kWorkMax), worth = std::max(1.0, work / kWork);
  auto split = [](int64_t size, double parts, int64_t unit) {
    const double part = static_cast<double>(size) / std::max(parts, 1.0);
    return std::min(size, RoundUp(std::max<int64_t>(1, static_cast<int64_t>(part)), unit));
  };
  GemmGrain grain = {m, panels};
  if (m >= 2 * kUnit && PackedSizeHalf(k, n) <= kCacheB) {
    grain.rows = split(m, std::max(least, threads > 1 ? std::min(worth, 4.0 * threads) : 1.0), kUnit);
  } else {
    // One group of columns a thread: each rounds all rows for itself, which another processor may have in its cache.
    grain.panels = split(panels, std::max(least, std::min(worth, static_cast<double>(threads))), 4);
  }
  return grain;
}

namespace {

template <HalfFormat kFormat, CpuLevel kLevel>
void RunAsF32(const GemmF32& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1) {
  constexpr int64_t kBlockBytes = 64 << 10;
  alignas(64) char block[kBlockBytes];
  // The same kernels for a single row: callers may cut rows as they like.
  const HalfKernels& kernels = PickHalf(kFormat, kLevel);
  const ProductHalf product = ProductOf(gemm, gemm.b);
  const int64_t fit = kBlockBytes / std::max<int64_t>(1, BlockStrideHalf(kernels, gemm.k) * kernels.block_bytes);
  const int64_t height = fit > kUnit ? fit / kUnit * kUnit : fit;
  for (int64_t row = m0; row < m1; row += height) {
    Multiply(kernels, product, gemm.a, gemm.a_row_stride, gemm.k, row, std::min(height, m1 - row), panel0, panel1, block);
  }
}

template <HalfFormat kFormat, CpuLevel kLevel>
const GemmF32Kernels& AsF32() {
  static const GemmF32Kernels kernels = [] {
    GemmF32Kernels same = PickGemmF32(kLevel);
    same.name = PickHalf(kFormat, kLevel).name;
    same.rows = 16, same.columns = 32;
    same.run = RunAsF32<kFormat, kLevel>;
    return same;
  }();
  return kernels;
}

/// One copy for each level whose kernels differ.
template <HalfFormat kFormat>
const GemmF32Kernels& AsF32(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAmx)) return AsF32<kFormat, CpuLevel::kAmx>();
  if (Supports(level, CpuLevel::kAvx512)) return AsF32<kFormat, CpuLevel::kAvx512>();
  if (Supports(level, CpuLevel::kAvx2)) return AsF32<kFormat, CpuLevel::kAvx2>();
  return AsF32<kFormat, CpuLevel::kSse4>();
#elif defined(__aarch64__)
  if (Supports(level, CpuLevel::kI8mm)) return AsF32<kFormat, CpuLevel::kI8mm>();
  if (Supports(level, CpuLevel::kDotprod)) return AsF32<kFormat, CpuLevel::kDotprod>();
  return AsF32<kFormat, CpuLevel::kNeon>();
#else
  (void)level;
  return AsF32<kFormat, CpuLevel::kNeon>();
#endif
}

}  // namespace

const GemmF32Kernels& GemmHalfAsF32(HalfFormat format, CpuLevel level) {
  return format == HalfFormat::kBfloat16 ? AsF32<HalfFormat::kBfloat16>(level) : AsF32<HalfFormat::kFloat16>(level);
}

}  // namespace linnet
