// Packing a float32 matrix with any strides, at any address, into panels of 16 columns.
#include <algorithm>

#include "base/unaligned.h"
#include "hwy/highway.h"
#include "kernels/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
using D4 = hn::FixedTag<float, 4>;
using V4 = hn::Vec<D4>;

// 16 whole columns, each contiguous in memory: 4 x 4 blocks are transposed in registers.
void PackColumns(const float* b, int64_t k, int64_t col_stride, float alpha, float* out) {
  const D4 d;
  const V4 scale = hn::Set(d, alpha);
  const hn::Repartition<uint64_t, D4> dd;  // pairs of floats; 32-bit Arm has no vectors of double
  int64_t i = 0;
  for (; i + 4 <= k; i += 4) {
    for (int j = 0; j < 16; j += 4) {
      const float* p = b + j * col_stride + i;
      const V4 r0 = hn::LoadU(d, p), r1 = hn::LoadU(d, p + col_stride), r2 = hn::LoadU(d, p + 2 * col_stride),
               r3 = hn::LoadU(d, p + 3 * col_stride);
      const auto low01 = hn::BitCast(dd, hn::InterleaveLower(d, r0, r1));
      const auto low23 = hn::BitCast(dd, hn::InterleaveLower(d, r2, r3));
      const auto high01 = hn::BitCast(dd, hn::InterleaveUpper(d, r0, r1));
      const auto high23 = hn::BitCast(dd, hn::InterleaveUpper(d, r2, r3));
      float* q = out + i * kPanelColumns + j;
      hn::StoreU(hn::Mul(scale, hn::BitCast(d, hn::InterleaveLower(dd, low01, low23))), d, q);
      hn::StoreU(hn::Mul(scale, hn::BitCast(d, hn::InterleaveUpper(dd, low01, low23))), d, q + kPanelColumns);
      hn::StoreU(hn::Mul(scale, hn::BitCast(d, hn::InterleaveLower(dd, high01, high23))), d,
                 q + 2 * kPanelColumns);
      hn::StoreU(hn::Mul(scale, hn::BitCast(d, hn::InterleaveUpper(dd, high01, high23))), d,
                 q + 3 * kPanelColumns);
    }
  }
  for (; i < k; ++i) {
    for (int j = 0; j < 16; ++j) out[i * kPanelColumns + j] = alpha * FloatAt(b + j * col_stride + i);
  }
}

struct Part {
  int64_t row0, row1, panel0, panel1;
};

void Pack(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha, const Part& part, float* out) {
  const auto [row0, row1, panel0, panel1] = part;
  const D4 d;
  const V4 scale = hn::Set(d, alpha);
  // Some rows of all panels at a time, so that a cache line or page that two panels share is fetched once.
  constexpr int64_t kRows = 64;
  for (int64_t i0 = row0; i0 < row1; i0 += kRows) {
    const int64_t rows = std::min(kRows, row1 - i0);
    for (int64_t p = panel0; p < panel1; ++p) {
      const float* from = b + i0 * row_stride + p * kPanelColumns * col_stride;
      float* to = out + (p * k + i0) * kPanelColumns;
      const int64_t columns = std::min(kPanelColumns, n - p * kPanelColumns);
      if (columns == kPanelColumns && row_stride == 1) {
        PackColumns(from, rows, col_stride, alpha, to);
        continue;
      }
      for (int64_t i = 0; i < rows; ++i, from += row_stride, to += kPanelColumns) {
        if (columns == kPanelColumns && col_stride == 1) {
          for (int j = 0; j < 16; j += 4) hn::StoreU(hn::Mul(scale, hn::LoadU(d, from + j)), d, to + j);
          continue;
        }
        for (int64_t j = 0; j < columns; ++j) to[j] = alpha * FloatAt(from + j * col_stride);
        for (int64_t j = columns; j < kPanelColumns; ++j) to[j] = 0;
      }
    }
  }
}

}  // namespace

void PackPanelsF32(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha,
                   int64_t panel0, int64_t panel1, float* out) {
  Pack(b, k, n, row_stride, col_stride, alpha, {0, k, panel0, panel1}, out);
}

void PackRowsF32(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha, int64_t row0, int64_t row1,
                 float* out) {
  Pack(b, k, n, row_stride, col_stride, alpha, {row0, row1, 0, PanelCount(n)}, out);
}

}  // namespace linnet
HWY_AFTER_NAMESPACE();
