// 8-bit convolution: how output pixels are gathered for the matrix product. No vector code here.
#include "kernels/int8/int8_conv.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/int8/int8_lines.h"
#include "kernels/int8/int8_narrow.h"
#include "kernels/tiles/strip.h"

namespace linnet {
namespace {

/// A small build does without what only some networks need.
#if defined(LINNET_SMALL)
constexpr bool kFewWays = true;
#else
constexpr bool kFewWays = false;
#endif

/// Bytes of taps side by side up to which they are copied as one piece, whatever there is of them.
constexpr int64_t kCopyMax = 64;

struct Shape {
  Shape(const Int8Kernels& kernels, const ConvInt8& c)
      : group_in(c.in_c / c.groups), group_out(c.out_c / c.groups), k(c.kernel_h * c.kernel_w * group_in),
        panels(PanelCount(group_out)), pixels(c.pixels()), row_bytes(BlockRowBytes(kernels, k)), pointwise(c.pointwise()) {
    rows = BlockRowsInt8(kernels, pixels, k);
    sums_bytes = RoundUp(rows * int64_t{4}, int64_t{64});
    block_bytes = RoundUp(rows * row_bytes + kCopyMax, int64_t{64});   // copies end behind the last row
    outside_bytes = RoundUp(c.kernel_w * group_in + kCopyMax, int64_t{64});
    copies_bytes = TilesScratchInt8(kernels, rows, k);
  }
  int64_t group_in, group_out, k, panels, pixels, row_bytes, rows, sums_bytes, block_bytes, outside_bytes, copies_bytes;
  bool pointwise;
};

/// Gathers pixels of a group into rows of a block.
class Gatherer {
 public:
  /// `outside`: kernel_w * group_in bytes of the zero point.
  Gatherer(const Int8Kernels& kernels, const ConvInt8& conv, const Shape& shape, int64_t group, const uint8_t* outside)
      : kernels_(kernels), c_(conv), s_(shape), input_(conv.input + group * shape.group_in), outside_(outside) {}

  /// `count` pixels from `pixel` on. Elements that pad K stay as they are: weights are zeros there.
  void Pixels(int64_t pixel, int64_t count, char* to) const {
    int64_t x = pixel % c_.out_w, y = pixel / c_.out_w % c_.out_h, image = pixel / c_.out_w / c_.out_h;
    const int64_t tap_row = c_.kernel_w * s_.group_in;
    const bool few = kernels_.block_bytes == 1 && c_.dilation_w == 1 && c_.groups == 1 && tap_row > 0 && (kFewKinds ? Three() : tap_row <= kCopyMax);
    const bool plain = BlockShift(kernels_, c_.input_signed) == 0;
    for (; count > 0; --count, to += s_.row_bytes) {
      if (few) {
        const int64_t done = plain ? Few<false>(image, y, x, count, to) : Few<true>(image, y, x, count, to);
        x += done, count -= done, to += done * s_.row_bytes;
        if (x >= c_.out_w) {
          x = 0;
          if (++y >= c_.out_h) y = 0, ++image;
        }
        if (count == 0) return;
      }
      Pixel(input_ + image * c_.in_h * c_.in_w * c_.in_c, y * c_.stride_h - c_.pad_top, x * c_.stride_w - c_.pad_left, to);
      if (++x < c_.out_w) continue;
      x = 0;
      if (++y < c_.out_h) continue;
      y = 0;
      ++image;
    }
  }

 private:
  static constexpr bool kFewKinds = kFewWays;   // a small build is fast where first layers are
  bool Three() const { return c_.kernel_h == 3 && c_.kernel_w * s_.group_in <= 16; }

  /// Of `count` pixels from x on, how many were copied: some, or none, which are to be gathered one by one.
  template <bool kTurned>
  int64_t Few(int64_t image, int64_t y, int64_t x, int64_t count, char* to) const {
    const int64_t tap_row = c_.kernel_w * s_.group_in;
    if (kFewKinds || Three()) return FewBytes<16, kTurned, 3>(image, y, x, count, to);
    return tap_row <= 16   ? FewBytes<16, kTurned>(image, y, x, count, to)
           : tap_row <= 32 ? FewBytes<32, kTurned>(image, y, x, count, to)
                           : FewBytes<kCopyMax, kTurned>(image, y, x, count, to);
  }
  template <int kCopy, bool kTurned, int kRows = 0>
  int64_t FewBytes(int64_t image, int64_t y, int64_t x, int64_t count, char* to) const {
    const int64_t inside = InsideBytes<kCopy, kTurned, kRows>(image, y, x, count, to);
    return kFewKinds || inside > 0 ? inside : EdgeBytes<kCopy, kTurned, kRows>(image, y, x, count, to);
  }

  /// Pixels from x on whose taps are short and inside of the image's columns, and which of them `count` there were. Copies are
  /// longer than the taps: the next ones overwrite what is too much. kTurned: the highest bit of each byte is turned. kRows: as
  /// kernel_h, where it is known.
  template <int kCopy, bool kTurned, int kRows>
  int64_t InsideBytes(int64_t image, int64_t y, int64_t x, int64_t count, char* to) const {
    const int64_t left = x * c_.stride_w - c_.pad_left, top = y * c_.stride_h - c_.pad_top;
    if (left < 0) return 0;
    const int64_t room = c_.in_w - c_.kernel_w - left, step = c_.stride_w * c_.in_c;
    int64_t pixels = room < 0 ? 0 : std::min({count, c_.out_w - x, room / c_.stride_w + 1});
    const uint8_t* const image_at = c_.input + image * c_.in_h * c_.in_w * c_.in_c;
    const uint8_t* const input_end = c_.input + c_.batch * c_.in_h * c_.in_w * c_.in_c;
    const uint8_t* lines[kFewRows];
    int64_t steps[kFewRows];
    if (c_.kernel_h > kFewRows) return 0;
    for (int64_t i = 0; i < c_.kernel_h; ++i) {
      const int64_t in_y = top + i * c_.dilation_h;
      const bool inside = in_y >= 0 && in_y < c_.in_h;
      lines[i] = inside ? image_at + (in_y * c_.in_w + left) * c_.in_c : outside_;
      steps[i] = inside ? step : 0;
      // Copies end inside of the image.
      const int64_t beyond = input_end - lines[i] - kCopy;
      if (inside) pixels = std::min(pixels, beyond < 0 ? 0 : beyond / step + 1);
    }
    CopyLines<kCopy, kTurned, kRows>(lines, steps, pixels, to);
    return pixels;
  }

  /// The same for pixels whose taps lie partly beside the image, or that copies would pass the end of: from lines made for them.
  template <int kCopy, bool kTurned, int kRows>
  int64_t EdgeBytes(int64_t image, int64_t y, int64_t x, int64_t count, char* to) const {
    constexpr int64_t kMost = 4 * kCopyMax;
    if (c_.kernel_h > kFewRows) return 0;
    const int64_t left = x * c_.stride_w - c_.pad_left, top = y * c_.stride_h - c_.pad_top;
    int64_t pixels = std::min({count, c_.out_w - x, (kMost / c_.in_c - c_.kernel_w) / c_.stride_w + 1});
    if (left < 0) pixels = std::min(pixels, (-left + c_.stride_w - 1) / c_.stride_w);
    const int64_t columns = (pixels - 1) * c_.stride_w + c_.kernel_w;
    const int64_t begin = std::clamp<int64_t>(-left, 0, columns), end = std::clamp<int64_t>(c_.in_w - left, begin, columns);
    const uint8_t* lines[kFewRows];
    int64_t steps[kFewRows];
    uint8_t made[kFewRows][kMost + kCopyMax];
    for (int64_t i = 0; i < c_.kernel_h; ++i) {
      const int64_t in_y = top + i * c_.dilation_h;
      lines[i] = outside_, steps[i] = 0;
      if (in_y < 0 || in_y >= c_.in_h) continue;
      lines[i] = made[i], steps[i] = c_.stride_w * c_.in_c;
      if (end - begin < columns) memset(made[i], c_.input_zero, static_cast<size_t>(columns * c_.in_c));
      const uint8_t* from = c_.input + ((image * c_.in_h + in_y) * c_.in_w + left + begin) * c_.in_c;
      memcpy(made[i] + begin * c_.in_c, from, static_cast<size_t>((end - begin) * c_.in_c));
    }
    CopyLines<kCopy, kTurned, kRows>(lines, steps, pixels, to);
    return pixels;
  }

  template <int kCopy, bool kTurned, int kRows>
  void CopyLines(const uint8_t** lines, const int64_t* steps, int64_t pixels, char* to) const {
    const int64_t tap_row = c_.kernel_w * s_.group_in;
    if constexpr (kRows == 3) {
      const uint8_t *line0 = lines[0], *line1 = lines[1], *line2 = lines[2];
      for (int64_t p = 0; p < pixels; ++p, to += s_.row_bytes) {
        Copy<kCopy, kTurned>(line0, to);
        Copy<kCopy, kTurned>(line1, to + tap_row);
        Copy<kCopy, kTurned>(line2, to + 2 * tap_row);
        line0 += steps[0], line1 += steps[1], line2 += steps[2];
      }
      return;
    }
    for (int64_t p = 0; p < pixels; ++p, to += s_.row_bytes) {
      for (int64_t i = 0; i < c_.kernel_h; ++i) {
        Copy<kCopy, kTurned>(lines[i], to + i * tap_row);
        lines[i] += steps[i];
      }
    }
  }
  template <int kCopy, bool kTurned>
  static void Copy(const uint8_t* from, char* to) {
    if constexpr (kTurned) {
      using Sixteen = uint8_t __attribute__((vector_size(16)));
      Sixteen bytes[kCopy / 16];
      memcpy(bytes, from, kCopy);
      for (Sixteen& sixteen : bytes) sixteen ^= uint8_t{0x80};
      memcpy(to, bytes, kCopy);
    } else {
      memcpy(to, from, kCopy);
    }
  }
  static constexpr int64_t kFewRows = 11;

  /// The pixel whose kernel begins at row `top` and column `x` of an image.
  void Pixel(const uint8_t* image, int64_t top, int64_t x, char* to) const {
    const int64_t tap_row = c_.kernel_w * s_.group_in, size = kernels_.block_bytes;
    const bool whole = c_.dilation_w == 1 && c_.groups == 1;
    for (int64_t i = 0; i < c_.kernel_h; ++i, to += tap_row * size) {
      const int64_t y = top + i * c_.dilation_h;
      if (y < 0 || y >= c_.in_h) {
        Load(outside_, tap_row, to);
        continue;
      }
      const uint8_t* line = image + y * c_.in_w * c_.in_c;
      if (whole && x >= 0 && x + c_.kernel_w <= c_.in_w) {
        Load(line + x * c_.in_c, tap_row, to);
      } else if (whole) {
        // Columns [begin, end) of the kernel lie inside.
        const int64_t begin = std::clamp<int64_t>(-x, 0, c_.kernel_w), end = std::clamp<int64_t>(c_.in_w - x, begin, c_.kernel_w);
        if (begin > 0) Load(outside_, begin * s_.group_in, to);
        if (end > begin) Load(line + (x + begin) * c_.in_c, (end - begin) * s_.group_in, to + begin * s_.group_in * size);
        if (end < c_.kernel_w) Load(outside_, (c_.kernel_w - end) * s_.group_in, to + end * s_.group_in * size);
      } else {
        for (int64_t j = 0; j < c_.kernel_w; ++j) {
          const int64_t at = x + j * c_.dilation_w;
          Load(at < 0 || at >= c_.in_w ? outside_ : line + at * c_.in_c, s_.group_in, to + j * s_.group_in * size);
        }
      }
    }
  }

  void Load(const uint8_t* from, int64_t n, char* to) const { kernels_.load(from, n, c_.input_signed, to); }

  const Int8Kernels& kernels_;
  const ConvInt8& c_;
  const Shape& s_;
  const uint8_t* input_;
  const uint8_t* outside_;
};

/// The strips of a convolution, where they pay.
struct StripInt8 : Strip {
  StripInt8(const Int8Kernels& kernels, const ConvInt8& conv) : Strip(conv, 64, 4, 1) {
    // Where what lies between the rows of the output is computed too, that is an eighth more at most, as whole tiles go, or takes less
    // than gathering its pixels: so many nanoseconds a byte.
    constexpr double kGatherNs = 0.08;
    const int64_t unit = kernels.rows, wanted = RoundUp(rows * conv.out_w, unit);
    int64_t more = RoundUp(rows * pitch, unit) - wanted;
    if (kConvLines && kernels.lines) more = std::min(more, std::max<int64_t>(rows * LineRowsInt8(conv.out_w) - wanted, 0));
    const double columns = static_cast<double>(PanelCount(conv.out_c / conv.groups) * kPanelColumns);
    const bool few = static_cast<double>(more) * columns * kernels.mac_ns < static_cast<double>(wanted) * kGatherNs;
    const bool dense = kernels.sorts ? conv.out_w >= kLineRowsInt8 : more * 8 <= wanted || few;
    usable = usable && kTilesInPlace && kernels.tiles && dense;
  }
  /// A tile may read a pixel more than there are.
  int64_t bytes() const { return table_bytes() + RoundUp(elements() + c.in_c, int64_t{64}); }
};

int64_t GroupBytes(int64_t k, int64_t n) { return RoundUp(PackedSizeInt8(k, n), int64_t{64}); }

/// The panels of a group, and what becomes of their sums.
struct GroupInt8 {
  GroupInt8(const Int8Kernels& kernels, const ConvInt8& conv, const Shape& s, int64_t group)
      : finish(conv.finish),
        job{kernels, s.group_out, s.k, PackedPanels(static_cast<const char*>(conv.packed) + group * GroupBytes(s.k, s.group_out), s.group_out),
            finish, false, conv.orders ? conv.orders + group * OrdersBytesInt8(kernels, s.k, s.group_out) : nullptr} {
    const int64_t columns = group * s.panels * kPanelColumns, channels = group * s.group_out;
    if (finish.offset) finish.offset += columns;
    if (finish.column_zero) finish.column_zero += columns;
    if (finish.scale) finish.scale += columns;
    if (finish.epilogue.bias) finish.epilogue.bias += columns;
    if (finish.epilogue.residual) finish.epilogue.residual += channels;
    const bool wide = finish.to == FinishInt8::To::kInt32 || finish.to == FinishInt8::To::kFloat;
    finish.c = static_cast<char*>(finish.c) + channels * (wide ? 4 : 1);
  }
  FinishInt8 finish;
  BlocksInt8 job;
};

/// run(group, first, last) for each group that has some of the panels [panel0, panel1): its own [first, last).
template <class Run>
void ForGroups(const Shape& s, int64_t panel0, int64_t panel1, Run run) {
  for (int64_t group = panel0 / s.panels; group * s.panels < panel1; ++group) {
    run(group, std::max(panel0 - group * s.panels, int64_t{0}), std::min(panel1 - group * s.panels, s.panels));
  }
}

}  // namespace

int64_t PackedConvSizeInt8(int64_t out_c, int64_t in_c, int64_t groups, int64_t taps) {
  return groups * GroupBytes(in_c / groups * taps, out_c / groups);
}

int64_t ConvOrdersBytesInt8(const Int8Kernels& kernels, int64_t out_c, int64_t in_c, int64_t groups, int64_t taps) {
  return groups * OrdersBytesInt8(kernels, in_c / groups * taps, out_c / groups);
}

void PackConvInt8(const void* weights, bool is_signed, int64_t out_c, int64_t in_c, int64_t groups, int64_t taps,
                  void* temporary, void* out) {
  const int64_t group_in = in_c / groups, group_out = out_c / groups, k = group_in * taps;
  const uint8_t* from = static_cast<const uint8_t*>(weights);
  uint8_t* ordered = static_cast<uint8_t*>(temporary);
  char* to = static_cast<char*>(out);
  for (int64_t g = 0; g < groups; ++g, from += group_out * k, to += GroupBytes(k, group_out)) {
    const uint8_t* matrix = from;
    if (taps > 1) {
      for (int64_t row = 0; row < group_out * taps; ++row) {
        const uint8_t* at = from + row / taps * k + row % taps;
        for (int64_t c = 0; c < group_in; ++c, at += taps) ordered[row * group_in + c] = *at;
      }
      matrix = ordered;
    }
    PackInt8(matrix, is_signed, k, group_out, 1, k, to);
  }
}

int64_t ConvColumns(int64_t out_c, int64_t groups) { return groups * PanelCount(out_c / groups) * kPanelColumns; }
int64_t ConvPanels(const ConvInt8& conv) { return conv.groups * PanelCount(conv.out_c / conv.groups); }

void ConvOffsetsInt8(const Int8Kernels& kernels, const ConvInt8& conv, int32_t input_zero, const int32_t* column_zero,
                     const int32_t* bias, int32_t* out) {
  const Shape s(kernels, conv);
  const char* packed = static_cast<const char*>(conv.packed);
  for (int64_t g = 0; g < conv.groups; ++g, packed += GroupBytes(s.k, s.group_out)) {
    OffsetsInt8(kernels, conv.input_signed, input_zero, PackedSums(packed), column_zero, bias, s.k, s.group_out, out);
    out += s.panels * kPanelColumns;
    if (column_zero) column_zero += s.panels * kPanelColumns;
    if (bias) bias += s.group_out;
  }
}

int64_t ConvScratchBytes(const Int8Kernels& kernels, const ConvInt8& conv) {
  const Shape s(kernels, conv);
  const StripInt8 strip(kernels, conv);
  // Weights with zero points need the block, and are not known here.
  const int64_t strip_bytes = strip.usable && !s.pointwise ? strip.bytes() + s.copies_bytes : 0;
  const int64_t product_bytes = kTilesInPlace && kernels.tiles && s.pointwise ? GemmInt8ScratchBytes(kernels, s.pixels, s.k) : 0;
  const int64_t narrow_bytes = kNarrow && conv.narrow ? NarrowScratchBytesInt8(conv) : 0;
  const int64_t lines_bytes = kConvLines && !strip.usable && LinesPayInt8(kernels, conv) ? LinesScratchBytesInt8(conv) : 0;
  return std::max({narrow_bytes, lines_bytes, strip_bytes, product_bytes, s.sums_bytes + s.outside_bytes + s.block_bytes + s.copies_bytes});
}

namespace {

template <int kBytes>
void CopyPixels(const uint8_t* from, int64_t step, int64_t count, bool turned, uint8_t* to) {
  for (int64_t i = 0; !turned && i < count; ++i, from += step, to += kBytes) memcpy(to, from, kBytes);
  for (int64_t i = 0; turned && i < count; ++i, from += step, to += kBytes) {
    uint32_t words[kBytes / 4];
    memcpy(words, from, kBytes);
    for (uint32_t& word : words) word ^= 0x80808080;
    memcpy(to, words, kBytes);
  }
}
/// `count` pixels of `bytes` bytes, `step` bytes apart, side by side, their highest bits turned or not, if there are few of a usual number:
/// calls would take longer.
bool CopyApart(const uint8_t* from, int64_t step, int64_t count, int64_t bytes, bool turned, uint8_t* to) {
  if (kFewWays) return false;
  switch (bytes) {
    case 4: return CopyPixels<4>(from, step, count, turned, to), true;
    case 8: return CopyPixels<8>(from, step, count, turned, to), true;
    case 12: return CopyPixels<12>(from, step, count, turned, to), true;
    case 16: return CopyPixels<16>(from, step, count, turned, to), true;
    case 20: return CopyPixels<20>(from, step, count, turned, to), true;
    case 24: return CopyPixels<24>(from, step, count, turned, to), true;
    case 32: return CopyPixels<32>(from, step, count, turned, to), true;
    case 40: return CopyPixels<40>(from, step, count, turned, to), true;
    case 48: return CopyPixels<48>(from, step, count, turned, to), true;
    case 64: return CopyPixels<64>(from, step, count, turned, to), true;
    default: return false;
  }
}

/// Output pixels [pixel0, pixel1), strip by strip.
void RunStrips(const Int8Kernels& kernels, const ConvInt8& conv, const StripInt8& strip, const Shape& s, int64_t pixel0,
               int64_t pixel1, int64_t panel0, int64_t panel1, void* scratch) {
  int64_t* offsets = static_cast<int64_t*>(scratch);
  uint8_t* planes = static_cast<uint8_t*>(scratch) + strip.table_bytes();
  strip.Offsets(offsets);
  RowsInt8 rows;
  rows.row_stride = conv.in_c, rows.is_signed = BlockSigned(kernels, conv.input_signed);
  rows.offsets = offsets, rows.steps = strip.steps(), rows.step = strip.step;
  rows.pitch = strip.pitch, rows.valid = conv.out_w;
  rows.copies = static_cast<uint8_t*>(scratch) + strip.bytes(), rows.copies_bytes = s.copies_bytes;
  const int zero = conv.input_zero ^ (BlockShift(kernels, conv.input_signed) != 0 ? 0x80 : 0);
  const bool turned = BlockShift(kernels, conv.input_signed) != 0;
  auto outside = [&](uint8_t* to, int64_t count) { memset(to, zero, static_cast<size_t>(count * conv.in_c)); };
  // Pixels x, x + stride_w, ... of a row.
  auto fill_line = [&](const uint8_t* line, int64_t x, uint8_t* to) {
    const auto [begin, end] = PixelsInside(x, conv.stride_w, strip.pitch, conv.in_w);
    outside(to, begin);
    if (conv.stride_w == 1) {
      kernels.load(line + (x + begin) * conv.in_c, (end - begin) * conv.in_c, conv.input_signed, to + begin * conv.in_c);
    } else if (!CopyApart(line + (x + begin * conv.stride_w) * conv.in_c, conv.stride_w * conv.in_c, end - begin, conv.in_c, turned,
                          to + begin * conv.in_c)) {
      for (int64_t i = begin; i < end; ++i) {
        kernels.load(line + (x + i * conv.stride_w) * conv.in_c, conv.in_c, conv.input_signed, to + i * conv.in_c);
      }
    }
    outside(to + end * conv.in_c, strip.pitch - end);
  };
  strip.ForStrips(pixel0, pixel1, [&](int64_t image, int64_t y, int64_t count, int64_t c_row, int64_t row0, int64_t row1) {
    const uint8_t* input = conv.input + image * conv.in_h * conv.in_w * conv.in_c;
    strip.ForLines(
        y, count, [&](int64_t to, int64_t in_y, int64_t x) { fill_line(input + in_y * conv.in_w * conv.in_c, x, planes + to); },
        [&](int64_t to) { outside(planes + to, strip.pitch); });
    rows.c_row = c_row;
    ForGroups(s, panel0, panel1, [&](int64_t group, int64_t first, int64_t last) {
      rows.a = planes + group * s.group_in;
      kernels.tiles(GroupInt8(kernels, conv, s, group).job, rows, row0, row1, first, last, nullptr);
    });
  });
}

}  // namespace

void RunConvInt8(const Int8Kernels& kernels, const ConvInt8& conv, int64_t pixel0, int64_t pixel1, int64_t panel0,
                 int64_t panel1, void* scratch) {
  if (kNarrow && conv.narrow && !conv.finish.column_zero) return conv.narrow->run(kernels, conv, pixel0, pixel1, scratch);
  const Shape s(kernels, conv);
  if (kTilesInPlace && kernels.tiles && s.pointwise) {
    GemmInt8 gemm;
    gemm.a = conv.input, gemm.a_row_stride = conv.in_c, gemm.a_signed = conv.input_signed;
    gemm.m = s.pixels, gemm.n = conv.out_c, gemm.k = s.k, gemm.packed = conv.packed, gemm.orders = conv.orders, gemm.finish = conv.finish;
    return RunGemmInt8(kernels, gemm, pixel0, pixel1, panel0, panel1, scratch);
  }
  if (kTilesInPlace && !conv.finish.column_zero) {
    const StripInt8 strip(kernels, conv);
    if (strip.usable) return RunStrips(kernels, conv, strip, s, pixel0, pixel1, panel0, panel1, scratch);
    if (kConvLines && LinesPayInt8(kernels, conv)) return RunLinesInt8(kernels, conv, pixel0, pixel1, panel0, panel1, scratch);
  }
  int32_t* row_sums = static_cast<int32_t*>(scratch);
  uint8_t* outside = static_cast<uint8_t*>(scratch) + s.sums_bytes;
  char* block = static_cast<char*>(scratch) + s.sums_bytes + s.outside_bytes;
  memset(outside, conv.input_zero, static_cast<size_t>(conv.kernel_w * s.group_in));
  ForGroups(s, panel0, panel1, [&](int64_t group, int64_t first, int64_t last) {
    const GroupInt8 own(kernels, conv, s, group);
    const Gatherer gatherer(kernels, conv, s, group, outside);
    for (int64_t pixel = pixel0; pixel < pixel1; pixel += s.rows) {
      const int64_t count = std::min(s.rows, pixel1 - pixel);
      if (s.pointwise && PaddedK(s.k) == s.k) {
        kernels.load(conv.input + pixel * s.k, count * s.k, conv.input_signed, block);
      } else {
        gatherer.Pixels(pixel, count, block);
      }
      MultiplyBlockInt8(own.job, block, conv.input_signed, pixel, count, first, last, row_sums, block + s.block_bytes);
    }
  });
}

GemmGrain ConvGrainInt8(const Int8Kernels& kernels, const ConvInt8& conv, int threads) {
  if (kNarrow && conv.narrow) return NarrowGrainInt8(conv, threads);
  const Shape s(kernels, conv);
  GemmGrain grain = GemmGrainInt8(kernels, s.pixels, conv.out_c, s.k, threads);
  if (kTilesInPlace && !s.pointwise && (StripInt8(kernels, conv).usable || (kConvLines && LinesPayInt8(kernels, conv)))) {   // whole rows
    grain.rows = std::min(s.pixels, RoundUp(grain.rows, conv.out_w));
  }
  grain.panels = grain.panels >= PanelCount(conv.out_c) ? ConvPanels(conv) : std::min(grain.panels, ConvPanels(conv));
  return grain;
}

}  // namespace linnet
