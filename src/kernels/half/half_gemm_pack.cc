// Packing a float32 matrix with any strides into panels of 16 columns of bfloat16 or float16.
#include <string.h>

#include <algorithm>

#include "base/float_types.h"
#include "kernels/half/half_gemm.h"

namespace linnet {
namespace {

/// Where element (k, column) of a panel lies, and what it is.
struct PanelBf16 {
  static int64_t At(int64_t k, int64_t column) { return k / 2 * 2 * kPanelColumns + 2 * column + k % 2; }
  static uint16_t Bits(float x) { return ToBfloat16(x).bits; }
};
struct PanelFp16 {
  static int64_t At(int64_t k, int64_t column) { return k * kPanelColumns + column; }
  static uint16_t Bits(float x) { return ToFloat16(x).bits; }
};

template <class Panel>
void PackPanels(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha, int64_t panel0,
                int64_t panel1, void* out) {
  // Where columns are contiguous, a square of them at a time: a line of memory is fetched once for all of its elements.
  constexpr int64_t kSquare = 64;
  const int64_t padded = PackedKHalf(k);
  for (int64_t panel = panel0; panel < panel1; ++panel) {
    uint16_t* to = static_cast<uint16_t*>(out) + panel * padded * kPanelColumns;
    const int64_t first = panel * kPanelColumns, columns = std::min(kPanelColumns, n - first);
    const float* from = b + first * col_stride;
    const int64_t whole = columns < kPanelColumns ? 0 : k / 2 * 2 * kPanelColumns;   // numbers that are all there
    memset(to + whole, 0, static_cast<size_t>(padded * kPanelColumns - whole) * 2);
    for (int64_t i0 = 0; i0 < k; i0 += kSquare) {
      const int64_t i1 = std::min(k, i0 + kSquare);
      if (col_stride == 1) {
        for (int64_t i = i0; i < i1; ++i) {
          const float* row = from + i * row_stride;
          for (int64_t j = 0; j < columns; ++j) to[Panel::At(i, j)] = Panel::Bits(alpha * row[j]);
        }
      } else {
        for (int64_t j = 0; j < columns; ++j) {
          const float* column = from + j * col_stride;
          for (int64_t i = i0; i < i1; ++i) to[Panel::At(i, j)] = Panel::Bits(alpha * column[i * row_stride]);
        }
      }
    }
  }
}

}  // namespace

void PackPanelsHalf(HalfFormat format, const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha,
                    int64_t panel0, int64_t panel1, void* out) {
  const auto pack = format == HalfFormat::kBfloat16 ? PackPanels<PanelBf16> : PackPanels<PanelFp16>;
  pack(b, k, n, row_stride, col_stride, alpha, panel0, panel1, out);
}

}  // namespace linnet
