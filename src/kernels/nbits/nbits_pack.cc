// Packing block-wise weights: columns side by side, 32 bits of each.
#include <string.h>

#include "kernels/nbits/nbits.h"

namespace linnet {

void PackNBits(const uint8_t* codes, const NBits& shape, uint32_t* words) {
  const int64_t rows = 32 / shape.bits, groups = shape.padded_k() / rows, panels = PanelCount(shape.n);
  // code - 8 as a signed number of 4 bits is code ^ 8.
  const uint32_t turn = shape.bits == 4 ? 0x88888888u : 0x80808080u;
  memset(words, 0, static_cast<size_t>(panels * shape.words_a_panel()) * sizeof(uint32_t));
  for (int64_t j = 0; j < shape.n; ++j) {
    const uint8_t* from = codes + j * groups * 4;
    uint32_t* to = words + j / kPanelColumns * shape.words_a_panel() + j % kPanelColumns;
    for (int64_t g = 0; g < groups; ++g, from += 4, to += kPanelColumns) {
      uint32_t word = static_cast<uint32_t>(from[0]) | static_cast<uint32_t>(from[1]) << 8 | static_cast<uint32_t>(from[2]) << 16 |
                      static_cast<uint32_t>(from[3]) << 24;
      *to = word ^ turn;
    }
  }
}

void PackNBitsScales(const float* scales, const NBits& shape, float* out) {
  const int64_t blocks = shape.blocks();
  for (int64_t p = 0; p < PanelCount(shape.n); ++p) {
    for (int64_t b = 0; b < blocks; ++b) {
      for (int64_t j = p * kPanelColumns; j < (p + 1) * kPanelColumns; ++j) *out++ = j < shape.n ? scales[j * blocks + b] : 0;
    }
  }
}

void PackNBitsZeros(const uint8_t* zeros, const NBits& shape, int8_t* out) {
  const int64_t blocks = shape.blocks(), bytes = (blocks * shape.bits + 7) / 8;
  for (int64_t p = 0; p < PanelCount(shape.n); ++p) {
    for (int64_t b = 0; b < blocks; ++b) {
      for (int64_t j = p * kPanelColumns; j < (p + 1) * kPanelColumns; ++j) {
        int code = shape.bits == 4 ? 8 : 128;
        if (j < shape.n) code = shape.bits == 8 ? zeros[j * bytes + b] : zeros[j * bytes + b / 2] >> (b % 2 * 4) & 15;
        *out++ = static_cast<int8_t>(code - (shape.bits == 4 ? 8 : 128));
      }
    }
  }
}

}  // namespace linnet
