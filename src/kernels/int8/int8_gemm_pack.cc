// Packing an 8-bit matrix with any strides into panels of 16 columns by 4.
#include <string.h>

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/int8/int8_gemm.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
using D8 = hn::FixedTag<uint8_t, 16>;
using D16 = hn::FixedTag<uint16_t, 8>;

// Four rows of 16 neighbouring columns become one row of a panel: bytes are interleaved, then pairs of them.
void PackRows(const uint8_t* rows, int64_t row_stride, uint8_t flip, uint8_t* out) {
  const D8 d;
  const D16 pairs;
  const auto flips = hn::Set(d, flip);
  auto row = [&](int i) { return hn::Xor(hn::LoadU(d, rows + i * row_stride), flips); };
  const auto r0 = row(0), r1 = row(1), r2 = row(2), r3 = row(3);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, r0, r1)), low23 = hn::BitCast(pairs, hn::InterleaveLower(d, r2, r3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, r0, r1)), high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, r2, r3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, out + 16);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, out + 32);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, out + 48);
}

// 16 columns of four bytes, each contiguous.
void PackColumns(const uint8_t* columns, int64_t col_stride, uint8_t flip, uint8_t* out) {
  const uint32_t flips = flip * 0x01010101u;
  for (int j = 0; j < kPanelColumns; ++j) {
    uint32_t four;
    memcpy(&four, columns + j * col_stride, sizeof(four));
    four ^= flips;
    memcpy(out + j * 4, &four, sizeof(four));
  }
}

// Any columns and at most four rows; the rest is zeros.
void PackSome(const uint8_t* from, int64_t rows, int64_t columns, int64_t row_stride, int64_t col_stride, uint8_t flip, uint8_t* out) {
  memset(out, 0, kPanelColumns * 4);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) out[j * 4 + i] = from[i * row_stride + j * col_stride] ^ flip;
  }
}

// Adds the four bytes of each column: pairs of them as 16 bits, and those as 32.
void AddRow(const uint8_t* row, uint32_t* sums) {
  const hn::FixedTag<int16_t, 8> d16;
  const hn::FixedTag<int32_t, 4> d32;
  for (int j = 0; j < kPanelColumns; j += 4) {
    const auto bytes = hn::BitCast(d16, hn::LoadU(D8(), row + j * 4));
    const auto two = hn::BitCast(d32, hn::Add(hn::ShiftRight<8>(hn::ShiftLeft<8>(bytes)), hn::ShiftRight<8>(bytes)));
    const auto four = hn::Add(hn::ShiftRight<16>(hn::ShiftLeft<16>(two)), hn::ShiftRight<16>(two));
    int32_t* to = reinterpret_cast<int32_t*>(sums) + j;
    hn::StoreU(hn::Add(hn::LoadU(d32, to), four), d32, to);
  }
}

}  // namespace

void PackPanelsInt8(const void* b, bool is_signed, int64_t k, int64_t n, int64_t row_stride, int64_t col_stride,
                    int64_t panel0, int64_t panel1, void* out) {
  const uint8_t flip = is_signed ? 0 : 0x80;  // w - 128 as bits
  int32_t* sums = static_cast<int32_t*>(out);
  uint8_t* panels = static_cast<uint8_t*>(out) + PanelCount(n) * kPanelColumns * 4;
  const int64_t packed_rows = (k + 3) / 4 * 4, padded = PaddedK(k);
  for (int64_t p = panel0; p < panel1; ++p) {
    memset(sums + p * kPanelColumns, 0, kPanelColumns * sizeof(int32_t));
    memset(panels + (p * padded + packed_rows) * kPanelColumns, 0, static_cast<size_t>((padded - packed_rows) * kPanelColumns));
  }
  // Some rows of all panels at a time, so that a cache line or page that panels share is fetched once.
  constexpr int64_t kRows = 256;
  for (int64_t i0 = 0; i0 < k; i0 += kRows) {
    for (int64_t p = panel0; p < panel1; ++p) {
      const int64_t columns = std::min(kPanelColumns, n - p * kPanelColumns);
      const uint8_t* corner = static_cast<const uint8_t*>(b) + p * kPanelColumns * col_stride;
      uint8_t* to = panels + p * PaddedK(k) * kPanelColumns + i0 * kPanelColumns;
      uint32_t total[kPanelColumns];
      memcpy(total, sums + p * kPanelColumns, sizeof(total));
      for (int64_t i = i0; i < std::min(k, i0 + kRows); i += 4, to += kPanelColumns * 4) {
        const uint8_t* from = corner + i * row_stride;
        const bool whole = columns == kPanelColumns && i + 4 <= k;
        if (whole && col_stride == 1) {
          PackRows(from, row_stride, flip, to);
        } else if (whole && row_stride == 1) {
          PackColumns(from, col_stride, flip, to);
        } else {
          PackSome(from, std::min<int64_t>(4, k - i), columns, row_stride, col_stride, flip, to);
        }
        AddRow(to, total);
      }
      memcpy(sums + p * kPanelColumns, total, sizeof(total));
    }
  }
}

}  // namespace linnet
HWY_AFTER_NAMESPACE();
