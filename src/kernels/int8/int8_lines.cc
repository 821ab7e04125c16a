// Lines of the image with their padding, and weights in the order in which tiles read them. No vector code here.
#include "kernels/int8/int8_lines.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/tiles/strip.h"

namespace linnet {

#if defined(__x86_64__) && !defined(LINNET_SMALL)

namespace {

/// How a convolution is cut. Lengths are in bytes.
struct Lines {
  static constexpr int64_t kBytes = 24 << 10;   // of lines together: most of a first-level cache
  static constexpr int64_t kBeyond = 64;        // that are read behind the last pixel

  explicit Lines(const ConvInt8& c)
      : tap_row(c.kernel_w * c.in_c), step(RoundUp(tap_row, int64_t{4})), k(c.kernel_h * step), pixel_bytes(c.stride_w * c.in_c),
        line_bytes(RoundUp(((c.out_w - 1) * c.stride_w + c.kernel_w) * c.in_c, pixel_bytes)), pitch(c.stride_h * line_bytes / pixel_bytes),
        rows(std::clamp<int64_t>((kBytes / line_bytes - c.kernel_h) / c.stride_h + 1, 1, c.out_h)),
        panel_bytes(PaddedK(k) * kPanelColumns), table_bytes(RoundUp(c.kernel_h * 8, int64_t{64})),
        weights_bytes(PanelCount(c.out_c) * panel_bytes), strip_bytes(RoundUp(Count(c, rows) * line_bytes + pixel_bytes + kBeyond, int64_t{64})) {}

  /// Lines of the image that so many of the output read.
  int64_t Count(const ConvInt8& c, int64_t out_rows) const { return (out_rows - 1) * c.stride_h + c.kernel_h; }

  int64_t tap_row, step, k, pixel_bytes, line_bytes, pitch, rows, panel_bytes, table_bytes, weights_bytes, strip_bytes;
};

/// A panel of weights, rows of the kernel a step apart.
void LayRows(const ConvInt8& c, const Lines& lines, const int8_t* panel, int8_t* out) {
  const int64_t words = PaddedK(lines.tap_row * c.kernel_h) / 4;
  auto word = [&](int64_t row, int64_t column) {
    uint32_t w = 0;
    if (row < words) memcpy(&w, panel + (row * kPanelColumns + column) * 4, 4);
    return w;
  };
  memset(out, 0, static_cast<size_t>(lines.panel_bytes));
  for (int64_t i = 0; i < c.kernel_h; ++i) {
    for (int64_t at = 0; at < lines.step; at += 4, out += 4 * kPanelColumns) {
      const int64_t from = i * lines.tap_row + at, turn = from % 4 * 8, bytes = std::min<int64_t>(4, lines.tap_row - at);
      const uint32_t mask = bytes == 4 ? ~0u : (1u << (8 * bytes)) - 1;
      for (int64_t j = 0; j < kPanelColumns; ++j) {
        const uint64_t both = word(from / 4, j) | static_cast<uint64_t>(word(from / 4 + 1, j)) << 32;
        const uint32_t four = static_cast<uint32_t>(both >> turn) & mask;
        memcpy(out + 4 * j, &four, 4);
      }
    }
  }
}

}  // namespace

bool LinesPayInt8(const Int8Kernels& kernels, const ConvInt8& c) {
  // Nanoseconds that gathering a row of the kernel takes, and bytes that lines may take.
  constexpr double kGatherNs = 0.6, kLineMax = 64 << 10;
  if (!kernels.lines || c.groups != 1 || c.dilation_h != 1 || c.dilation_w != 1 || c.pointwise() || c.in_c == 0 || c.in_c % 4 == 0 || c.in_c > 16) return false;
  const double line = (static_cast<double>(c.out_w) * static_cast<double>(c.stride_w) + static_cast<double>(c.kernel_w)) * static_cast<double>(c.in_c);
  if (line * (static_cast<double>(c.kernel_h) + static_cast<double>(c.stride_h)) > 4 * kLineMax) return false;
  const Lines lines(c);
  if (lines.pitch <= c.out_w) return false;
  const double columns = static_cast<double>(PanelCount(c.out_c) * kPanelColumns) * kernels.mac_ns, pixels = static_cast<double>(c.out_w);
  const double ns = static_cast<double>(LineRowsInt8(c.out_w)) * static_cast<double>(lines.k) * columns;
  return ns < pixels * (static_cast<double>(PaddedK(lines.tap_row * c.kernel_h)) * columns + kGatherNs * static_cast<double>(c.kernel_h)) &&
         LineRowsInt8(c.out_w) <= lines.pitch;
}

int64_t LinesScratchBytesInt8(const ConvInt8& c) {
  const Lines lines(c);
  return lines.table_bytes + lines.weights_bytes + lines.strip_bytes;
}

void RunLinesInt8(const Int8Kernels& kernels, const ConvInt8& c, int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1, void* scratch) {
  const Lines lines(c);
  int64_t* const offsets = static_cast<int64_t*>(scratch);
  int8_t* const weights = static_cast<int8_t*>(scratch) + lines.table_bytes;
  uint8_t* const strip = static_cast<uint8_t*>(scratch) + lines.table_bytes + lines.weights_bytes;
  for (int64_t i = 0; i < c.kernel_h; ++i) offsets[i] = i * lines.line_bytes;
  const int64_t k = lines.tap_row * c.kernel_h;
  for (int64_t p = panel0; p < panel1; ++p) LayRows(c, lines, PackedPanels(c.packed, c.out_c) + p * PaddedK(k) * kPanelColumns, weights + p * lines.panel_bytes);
  const int shift = BlockShift(kernels, c.input_signed), zero = c.input_zero ^ (shift != 0 ? 0x80 : 0);
  memset(strip + lines.strip_bytes - lines.kBeyond - lines.pixel_bytes, 0, static_cast<size_t>(lines.kBeyond + lines.pixel_bytes));
  const int64_t columns = lines.line_bytes / c.in_c;   // of the padded image, of which [begin, end) are the image's
  const auto [begin, end] = PixelsInside(-c.pad_left, 1, columns, c.in_w);
  auto fill = [&](uint8_t* to, int64_t from, int64_t until) { memset(to + from * c.in_c, zero, static_cast<size_t>((until - from) * c.in_c)); };
  const BlocksInt8 job = {kernels, c.out_c, lines.k, weights, c.finish};
  RowsInt8 rows;
  rows.a = strip, rows.row_stride = lines.pixel_bytes, rows.offsets = offsets, rows.steps = c.kernel_h, rows.step = lines.step;
  rows.pitch = lines.pitch, rows.valid = c.out_w;
  while (pixel0 < pixel1) {
    const int64_t image = pixel0 / (c.out_h * c.out_w), y = pixel0 / c.out_w % c.out_h, x = pixel0 % c.out_w;
    rows.c_row = pixel0 - x;
    const int64_t last = std::min(pixel1, rows.c_row + std::min(lines.rows, c.out_h - y) * c.out_w) - 1 - rows.c_row;
    const int64_t count = lines.Count(c, last / c.out_w + 1);
    for (int64_t i = 0; i < count; ++i) {
      uint8_t* const to = strip + i * lines.line_bytes;
      const int64_t in_y = y * c.stride_h + i - c.pad_top;
      if (in_y < 0 || in_y >= c.in_h) {
        fill(to, 0, columns);
        continue;
      }
      fill(to, 0, begin);
      kernels.load(c.input + ((image * c.in_h + in_y) * c.in_w + begin - c.pad_left) * c.in_c, (end - begin) * c.in_c, c.input_signed, to + begin * c.in_c);
      fill(to, end, columns);
    }
    kernels.tiles(job, rows, x, last / c.out_w * lines.pitch + last % c.out_w + 1, panel0, panel1, nullptr);
    pixel0 = rows.c_row + last + 1;
  }
}

#else

bool LinesPayInt8(const Int8Kernels&, const ConvInt8&) { return false; }
int64_t LinesScratchBytesInt8(const ConvInt8&) { return 0; }
void RunLinesInt8(const Int8Kernels&, const ConvInt8&, int64_t, int64_t, int64_t, int64_t, void*) {}

#endif

}  // namespace linnet
