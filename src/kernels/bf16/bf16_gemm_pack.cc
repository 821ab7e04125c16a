// Packing a float32 matrix with any strides into panels of 16 columns by pairs of bfloat16.
#include <string.h>

#include <algorithm>

#include "base/float_types.h"
#include "kernels/bf16/bf16_gemm.h"

namespace linnet {

void PackPanelsBf16(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride, float alpha, int64_t panel0,
                    int64_t panel1, void* out) {
  constexpr int64_t kRow = 2 * kPanelColumns;   // numbers in a row of a panel
  // Where columns are contiguous, a square of them at a time: a line of memory is fetched once for all of its elements.
  constexpr int64_t kSquare = 64;
  const int64_t padded = PackedKBf16(k);
  for (int64_t panel = panel0; panel < panel1; ++panel) {
    uint16_t* to = static_cast<uint16_t*>(out) + panel * padded * kPanelColumns;
    const int64_t first = panel * kPanelColumns, columns = std::min(kPanelColumns, n - first);
    const float* from = b + first * col_stride;
    if (columns < kPanelColumns) {
      memset(to, 0, static_cast<size_t>(padded * kPanelColumns) * 2);
    } else {
      const int64_t whole = k / 2 * kRow;
      memset(to + whole, 0, static_cast<size_t>(padded * kPanelColumns - whole) * 2);
    }
    for (int64_t i0 = 0; i0 < k; i0 += kSquare) {
      const int64_t i1 = std::min(k, i0 + kSquare);
      if (col_stride == 1) {
        for (int64_t i = i0; i < i1; ++i) {
          const float* row = from + i * row_stride;
          uint16_t* pair = to + i / 2 * kRow + i % 2;
          for (int64_t j = 0; j < columns; ++j) pair[2 * j] = ToBfloat16(alpha * row[j]).bits;
        }
      } else {
        for (int64_t j = 0; j < columns; ++j) {
          const float* column = from + j * col_stride;
          for (int64_t i = i0; i < i1; ++i) to[i / 2 * kRow + 2 * j + i % 2] = ToBfloat16(alpha * column[i * row_stride]).bits;
        }
      }
    }
  }
}

}  // namespace linnet
