// The order in which a product visits blocks of A and panels of B. No vector code.
#include <algorithm>

#include "base/memory.h"
#include "kernels/bf16/bf16_gemm.h"

namespace linnet {
namespace {

/// B's bytes up to which it stays in a second-level cache while rows pass by.
constexpr int64_t kCacheB = 512 << 10;
/// A block's bytes then: a part of a first-level cache; of the second where K is so long that it is cut (bf16_gemm_tiles.cc).
constexpr int64_t kBlockFew = 48 << 10, kBlockSome = 256 << 10;
constexpr int64_t kLongK = 24 * kStepBf16;
constexpr int64_t kUnit = 32;

int64_t BlockRows(const Bf16Kernels& kernels, int64_t m, int64_t n, int64_t k) {
  const int64_t row_bytes = BlockStrideBf16(kernels, k) * kernels.block_bytes;
  const int64_t bytes = PackedSizeBf16(k, n) > kCacheB ? kernels.cache_bytes : k < kLongK ? kBlockFew : kBlockSome;
  const int64_t fit = bytes / std::max<int64_t>(row_bytes, 1);
  if (m <= fit) return std::max<int64_t>(m, 1);
  return std::min(m, std::max(fit / kUnit * kUnit, kUnit));
}

/// What is used for products of m rows.
const Bf16Kernels& For(const Bf16Kernels& kernels, int64_t m) { return m == 1 ? *kernels.one_row : kernels; }

void Multiply(const Bf16Kernels& kernels, const ProductBf16& product, const float* a, int64_t a_row_stride, int64_t k,
              int64_t row, int64_t count, int64_t panel0, int64_t panel1, void* block) {
  RowsBf16 rows;
  rows.a = block;
  rows.row_stride = BlockStrideBf16(kernels, k);
  rows.steps = PackedKBf16(k) / kStepBf16;
  rows.c_row = row;
  kernels.load_rows(a + row * a_row_stride, a_row_stride, count, k, block, rows.row_stride * kernels.block_bytes);
  kernels.multiply(product, rows, 0, count, panel0, panel1);
}

template <class Gemm>
ProductBf16 ProductOf(const Gemm& gemm, const void* panels) {
  ProductBf16 product;
  product.n = gemm.n;
  product.panels = panels;
  product.panel_bytes = PanelBytesBf16(gemm.k);
  product.c = gemm.c;
  product.c_row_stride = gemm.c_row_stride;
  product.epilogue = gemm.epilogue;
  return product;
}

}  // namespace

int64_t GemmBf16ScratchBytes(const Bf16Kernels& kernels, int64_t m, int64_t n, int64_t k) {
  const Bf16Kernels& used = For(kernels, m);
  return RoundUp(BlockRows(used, m, n, k) * BlockStrideBf16(used, k) * used.block_bytes, int64_t{64});
}

void RunGemmBf16(const Bf16Kernels& kernels, const GemmBf16& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1,
                 void* scratch) {
  const Bf16Kernels& used = For(kernels, gemm.m);
  const ProductBf16 product = ProductOf(gemm, gemm.packed);
  const int64_t most = BlockRows(used, gemm.m, gemm.n, gemm.k);
  // Blocks of about the same height: a low one reads B for little.
  const int64_t blocks = DivUp(m1 - m0, most), height = std::min(most, RoundUp(DivUp(m1 - m0, std::max<int64_t>(blocks, 1)), kUnit));
  for (int64_t row = m0; row < m1; row += height) {
    Multiply(used, product, gemm.a, gemm.a_row_stride, gemm.k, row, std::min(height, m1 - row), panel0, panel1, scratch);
  }
}

GemmGrain GemmGrainBf16(const Bf16Kernels& kernels, int64_t m, int64_t n, int64_t k, int threads) {
  // Tasks of about a million multiply-adds are worth handing out; none is longer than some milliseconds, so that a run can
  // be stopped.
  constexpr int64_t kWork = 1 << 20, kWorkMax = 512 << 20;
  m = std::max<int64_t>(m, 1);
  const int64_t panels = std::max<int64_t>(PanelCount(n), 1);
  const double work = static_cast<double>(m) * static_cast<double>(panels) * static_cast<double>(PackedKBf16(k) * kPanelColumns);
  const double least = std::max(1.0, work / kWorkMax), worth = std::max(1.0, work / kWork);
  auto split = [](int64_t size, double parts, int64_t unit) {
    const double part = static_cast<double>(size) / std::max(parts, 1.0);
    return std::min(size, RoundUp(std::max<int64_t>(1, static_cast<int64_t>(part)), unit));
  };
  GemmGrain grain = {m, panels};
  if (m >= 2 * kUnit && PackedSizeBf16(k, n) <= kCacheB) {
    grain.rows = split(m, std::max(least, threads > 1 ? std::min(worth, 4.0 * threads) : 1.0), kUnit);
  } else {
    // One group of columns a thread: each rounds all rows for itself, which another processor may have in its cache.
    grain.panels = split(panels, std::max(least, std::min(worth, static_cast<double>(threads))), 4);
  }
  return grain;
}

namespace {

template <int kLevel>
void RunAsF32(const GemmF32& gemm, int64_t m0, int64_t m1, int64_t panel0, int64_t panel1) {
  constexpr int64_t kBlockBytes = 64 << 10;
  alignas(64) char block[kBlockBytes];
  // The same kernels for a single row: callers may cut rows as they like.
  const Bf16Kernels& kernels = PickBf16(static_cast<CpuLevel>(kLevel));
  const ProductBf16 product = ProductOf(gemm, gemm.b);
  const int64_t fit = kBlockBytes / std::max<int64_t>(1, BlockStrideBf16(kernels, gemm.k) * kernels.block_bytes);
  const int64_t height = fit > kUnit ? fit / kUnit * kUnit : fit;
  for (int64_t row = m0; row < m1; row += height) {
    Multiply(kernels, product, gemm.a, gemm.a_row_stride, gemm.k, row, std::min(height, m1 - row), panel0, panel1, block);
  }
}

}  // namespace

const GemmF32Kernels& GemmBf16AsF32(CpuLevel level) {
  auto with = [](CpuLevel of, auto run) {
    GemmF32Kernels kernels = PickGemmF32(of);
    kernels.name = PickBf16(of).name;
    kernels.rows = 16, kernels.columns = 32;
    kernels.run = run;
    return kernels;
  };
#if defined(__x86_64__)
#define LINNET_AS_F32(of)                                                                               \
  if (Supports(level, CpuLevel::of)) {                                                                  \
    static const GemmF32Kernels kernels = with(CpuLevel::of, RunAsF32<static_cast<int>(CpuLevel::of)>); \
    return kernels;                                                                                     \
  }
  LINNET_AS_F32(kAmx)
  LINNET_AS_F32(kAvx512)
  LINNET_AS_F32(kAvx2)
#undef LINNET_AS_F32
  static const GemmF32Kernels kernels = with(CpuLevel::kSse4, RunAsF32<static_cast<int>(CpuLevel::kSse4)>);
#else
#if defined(__aarch64__)
  if (Supports(level, CpuLevel::kI8mm)) {
    static const GemmF32Kernels kernels = with(CpuLevel::kI8mm, RunAsF32<static_cast<int>(CpuLevel::kI8mm)>);
    return kernels;
  }
#endif
  // One copy of the kernels.
  static const GemmF32Kernels kernels = with(level, RunAsF32<static_cast<int>(CpuLevel::kNeon)>);
#endif
  return kernels;
}

}  // namespace linnet
