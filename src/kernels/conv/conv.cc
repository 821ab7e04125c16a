// Float32 convolution: how A is found for the matrix product. No vector code here.
#include "kernels/conv/conv.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/conv/conv_groups.h"
#include "kernels/conv/conv_narrow.h"
#include "kernels/conv/conv_taps.h"
#include "kernels/copy.h"
#include "kernels/half/split_gemm.h"

namespace linnet {
namespace {

constexpr int64_t kGatherBytes = 512 << 10;  // of gathered pixels: about half of a second-level cache
constexpr int64_t kShortFloats = 16;         // a call that copies them costs more than they do
constexpr int64_t kFewFloats = 4;
constexpr int64_t kFewRows = 8;              // tiles of narrower vectors have no more
constexpr int64_t kRingBytes = 1 << 20;
constexpr int64_t kSplitGatherBytes = 1 << 20;
constexpr int64_t kFarFloats = 3 << 17;      // of an output that does not stay in a second-level cache
constexpr int64_t kLineBytes = 64, kFewWeightBytes = 64 << 10;
constexpr int64_t kFewPixels = 24;           // of a line, for which weights come from beyond the second-level cache again

// A small build does without the ways that only few networks need.
#if defined(LINNET_SMALL)
constexpr bool kRareWays = false;
#else
constexpr bool kRareWays = true;
#endif

enum class Way { kPointwise, kRows, kGather, kTaps, kGroups, kNarrow };

// What follows from the sizes alone.
struct Shape {
  explicit Shape(const GemmF32Kernels& kernels, const ConvF32& c) {
    group_in = c.in_c / c.groups;
    group_out = c.out_c / c.groups;
    k = c.kernel_h * c.kernel_w * group_in;
    group_panels = PanelCount(group_out);
    ring_rows = (c.kernel_h - 1) * c.dilation_h + 1;
    ring_pixels = (c.out_w - 1) * c.stride_w + (c.kernel_w - 1) * c.dilation_w + 1;
    gather_stride =
        k + kPanelColumns;  // never a multiple of a large power of two, which would crowd one cache set
    const int64_t tile = kernels.rows, pixels = c.batch * c.out_h * c.out_w;
    gather_rows = std::max(tile, kGatherBytes / 4 / gather_stride / tile * tile);
    if (pixels * gather_stride <= 2 * kGatherBytes / 4) gather_rows = std::max(gather_rows, pixels);
    gather_rows = std::min(gather_rows, pixels);
    way = Way::kNarrow;
    if (kNarrow && c.narrow) return;
    const bool one = c.kernel_h == 1 && c.kernel_w == 1 && c.stride_h == 1 && c.stride_w == 1;
    const bool dense = c.input_channel_stride == 1 && c.input_row_stride == c.in_w * c.input_pixel_stride &&
                       (c.batch == 1 || c.input_batch_stride == c.in_h * c.input_row_stride);
    if (one && dense && c.pad_top == 0 && c.pad_left == 0 && c.out_h == c.in_h && c.out_w == c.in_w) {
      way = Way::kPointwise;
    } else {
      // Gathering costs two moves per k for the group_out / 16 multiply-adds; a ring leaves the tile of each
      // row's end incomplete and reads the weights once a row.
      // Channels that lie apart are brought together a row at a time.
      const bool narrow = c.out_w < 2 * tile && c.out_w % tile != 0 && c.input_channel_stride == 1;
      const bool big = k * group_out * 4 > kGatherBytes && c.out_w < (tile < 8 ? kFewPixels : 2 * tile);
      const bool apart = c.kernel_h == 1 && c.kernel_w == 1 && c.input_channel_stride == 1;   // pixels that are copied once, and few of them
      const bool fits = 4.0 * static_cast<double>(ring_rows) * static_cast<double>(ring_pixels) *
                            static_cast<double>(group_in) <=
                        kRingBytes;  // may exceed int64
      const bool gathers = !fits || ((narrow || big || apart) && group_out >= 64 && c.output_row_stride == 0);
      way = gathers ? Way::kGather : Way::kRows;
      if (kRareWays && TapsPay(c)) way = Way::kTaps;
      // The second-level caches that come with AVX-512 keep an image while groups of a line each pass over it.
      if (kRareWays && GroupsShareRows(c) && (tile <= kFewRows || group_in < kPanelColumns)) way = Way::kGroups;
    }
    if (!kSplitsAnywhere || !c.split || c.groups != 1 || c.output_row_stride != 0) return;
    // Tiles want many rows at a time.
    const int64_t fit = kSplitGatherBytes / 4 / gather_stride / kSplitBlock * kSplitBlock, rows = way == Way::kPointwise ? pixels : std::min(fit, pixels);
    splits = SplitGemmPays(rows, group_out, k) && (way == Way::kPointwise || c.input_channel_stride == 1);
    splits = splits && way != Way::kTaps;
    if (!splits || way == Way::kPointwise) return;
    way = Way::kGather;
    gather_rows = rows;
  }
  int64_t group_in, group_out, k, group_panels, ring_rows, ring_pixels, gather_stride, gather_rows;
  Way way;
  /// Products are made by tiles; the scratch begins with theirs.
  bool by_tiles() const { return kSplitsAnywhere && splits; }
  bool splits = false;
};

// `pixels` pixels of a group's channels, every `step`-th of a row, from pixel `first` on, which may lie
// outside.
void CopyPixels(const ConvF32& c, const float* row, int64_t channels, int64_t first, int64_t pixels,
                int64_t step, float* out) {
  auto zero = [&](int64_t begin, int64_t end) {
    memset(out + begin * channels, 0, static_cast<size_t>((end - begin) * channels) * 4);
  };
  if (step != 1) {
    for (int64_t i = 0; i < pixels; ++i)
      CopyPixels(c, row, channels, first + i * step, 1, 1, out + i * channels);
    return;
  }
  const int64_t begin = std::clamp<int64_t>(-first, 0, pixels);
  const int64_t end = std::clamp<int64_t>(c.in_w - first, begin, pixels);
  const float* from = row + (first + begin) * c.input_pixel_stride;
  zero(0, begin);
  if (c.input_channel_stride != 1 && c.transpose && c.input_pixel_stride == 1) {
    c.transpose(from, c.input_channel_stride * 4, out + begin * channels, channels * 4, end - begin, channels);
  } else if (c.input_channel_stride != 1) {
    for (int64_t j = 0; j < channels; ++j, from += c.input_channel_stride) {
      for (int64_t i = begin; i < end; ++i) out[i * channels + j] = from[(i - begin) * c.input_pixel_stride];
    }
  } else if (c.input_pixel_stride == channels) {
    if (end > begin) CopyLong(out + begin * channels, from, static_cast<size_t>((end - begin) * channels) * 4);
  } else {
    for (int64_t i = begin; i < end; ++i, from += c.input_pixel_stride) {
      CopyShort(reinterpret_cast<char*>(out + i * channels), reinterpret_cast<const char*>(from), static_cast<size_t>(channels) * 4);
    }
  }
  zero(end, pixels);
}

// The convolution of one group, and the product that all its pieces share.
class Group {
 public:
  Group(const GemmF32Kernels& kernels, const ConvF32& conv, const Shape& shape, int64_t group, void* scratch)
      : kernels_(kernels), c_(conv), s_(shape), scratch_(scratch), split_scratch_(scratch) {
    if (s_.by_tiles()) scratch_ = static_cast<std::byte*>(scratch) + SplitGemmScratchBytes();
    if (group + 1 < c_.groups) next_packed_ = c_.packed + (group + 1) * PackedSizeF32(s_.k, s_.group_out);
    input_ = c_.input + group * s_.group_in * c_.input_channel_stride;
    product_.n = s_.group_out;
    product_.k = s_.k;
    product_.only_row = c_.only_pixel;
    UsePackedB(&product_, c_.packed + group * PackedSizeF32(s_.k, s_.group_out));
    product_.c_row_stride = c_.output_pixel_stride;
    product_.epilogue = c_.epilogue;
    product_.c_is_far = c_.output_row_stride == 0 && c_.batch * c_.out_h * c_.out_w * c_.out_c > kFarFloats;
    if (c_.epilogue.bias) product_.epilogue.bias += group * s_.group_out;
    output_ = c_.output + group * s_.group_out;
    if (c_.epilogue.residual) residual_ = c_.epilogue.residual + group * s_.group_out;
  }

  void Run(int64_t pixel0, int64_t pixel1, int64_t panel0, int64_t panel1) {
    panel0_ = panel0, panel1_ = panel1;
    pixel0_ = pixel0, pixels_ = pixel1 - pixel0;
    switch (s_.way) {
      case Way::kPointwise:
        product_.a = input_ + pixel0 * c_.input_pixel_stride;
        product_.a_row_stride = c_.input_pixel_stride;
        return Multiply(pixel0, pixel1 - pixel0);
      case Way::kRows:
        return RunRows(pixel0, pixel1);
      case Way::kGather:
        return RunGather(pixel0, pixel1);
      case Way::kTaps:
      case Way::kGroups:
      case Way::kNarrow:
        break;   // conv_taps.cc, conv_groups.cc, conv_narrow.cc
    }
  }

 private:
  // Products of `count` rows of A, which begin the product's A, into consecutive output pixels.
  void Multiply(int64_t pixel, int64_t count) {
    if (c_.output_row_stride == 0) return MultiplyTo(output_ + pixel * c_.output_pixel_stride, pixel, count);
    for (const int64_t end = pixel + count; pixel < end;) {
      const int64_t row = pixel / c_.out_w, x = pixel % c_.out_w, now = std::min(c_.out_w - x, end - pixel);
      MultiplyTo(output_ + row * c_.output_row_stride + x * c_.output_pixel_stride, pixel, now);
      // Segments never reach beyond an output row.
      if (product_.segment_count == 0) product_.a += now * product_.a_row_stride;
      pixel += now;
    }
  }

  void MultiplyTo(float* to, int64_t pixel, int64_t count) {
    product_.m = count;
    product_.c = to;
    product_.ahead = AheadPart(c_.ahead, pixel - pixel0_, pixel - pixel0_ + count, pixels_);
    if (residual_) product_.epilogue.residual = residual_ + pixel * c_.epilogue.residual_row_stride;
    if (s_.by_tiles()) return c_.split->run(product_, 0, count, panel0_, panel1_, kernels_, split_scratch_);
    kernels_.run(product_, 0, count, panel0_, panel1_);
  }

  // Scratch: the segments of an output row, then for each slot of the ring the input row it holds, then the
  // ring.
  void RunRows(int64_t pixel0, int64_t pixel1) {
    const bool whole = c_.dilation_w == 1;
    const int64_t per_row = whole ? 1 : c_.kernel_w, row_floats = s_.ring_pixels * s_.group_in;
    SegmentF32* segments = static_cast<SegmentF32*>(scratch_);
    int64_t* holds = reinterpret_cast<int64_t*>(segments + c_.kernel_h * c_.kernel_w);
    float* ring = reinterpret_cast<float*>(holds + s_.ring_rows);
    product_.segments = segments;
    product_.segment_count = c_.kernel_h * per_row;
    product_.a_row_stride = c_.stride_w * s_.group_in;
    int64_t image = -1;
    const char* next = reinterpret_cast<const char*>(next_packed_);
    const int64_t next_bytes = PackedSizeF32(s_.k, s_.group_out) * 4, rows = DivUp(pixel1 - pixel0, c_.out_w);
    const int64_t asked = next && next_bytes <= kFewWeightBytes ? DivUp(next_bytes, rows) : 0;
    for (int64_t pixel = pixel0; pixel < pixel1;) {
      // A group's weights are few: those of the next are asked for meanwhile.
      for (int64_t i = 0; i < asked; i += kLineBytes, next += kLineBytes) __builtin_prefetch(next);
      const int64_t row = pixel / c_.out_w, x = pixel % c_.out_w,
                    count = std::min(c_.out_w - x, pixel1 - pixel);
      if (row / c_.out_h != image) {
        image = row / c_.out_h;
        for (int64_t i = 0; i < s_.ring_rows; ++i) holds[i] = -1;
      }
      const int64_t top = row % c_.out_h * c_.stride_h;  // of the kernel, in the padded image
      for (int64_t i = 0; i < c_.kernel_h; ++i) {
        const int64_t y = top + i * c_.dilation_h, slot = y % s_.ring_rows;
        float* kept = ring + slot * row_floats;
        if (holds[slot] != y) {
          holds[slot] = y;
          FillRow(image, y - c_.pad_top, kept);
        }
        for (int64_t j = 0; j < per_row; ++j) {
          segments[i * per_row + j] = {kept + (x * c_.stride_w + j * c_.dilation_w) * s_.group_in,
                                       whole ? c_.kernel_w * s_.group_in : s_.group_in};
        }
      }
      Multiply(pixel, count);
      pixel += count;
    }
  }

  void FillRow(int64_t image, int64_t y, float* out) {
    if (y < 0 || y >= c_.in_h) {
      memset(out, 0, static_cast<size_t>(s_.ring_pixels * s_.group_in) * 4);
    } else {
      const float* row = input_ + image * c_.input_batch_stride + y * c_.input_row_stride;
      CopyPixels(c_, row, s_.group_in, -c_.pad_left, s_.ring_pixels, 1, out);
    }
  }

  void RunGather(int64_t pixel0, int64_t pixel1) {
    float* rows = static_cast<float*>(scratch_);
    product_.a_row_stride = s_.gather_stride;
    int64_t x = pixel0 % c_.out_w, y = pixel0 / c_.out_w % c_.out_h, image = pixel0 / c_.out_w / c_.out_h;
    for (int64_t begin = pixel0; begin < pixel1; begin += s_.gather_rows) {
      const int64_t count = std::min(s_.gather_rows, pixel1 - begin);
      for (int64_t i = 0; i < count; ++i) {
        GatherPixel(input_ + image * c_.input_batch_stride, x * c_.stride_w - c_.pad_left, y * c_.stride_h - c_.pad_top,
                    rows + i * s_.gather_stride);
        if (++x < c_.out_w) continue;
        x = 0;
        if (++y == c_.out_h) y = 0, ++image;
      }
      product_.a = rows;
      Multiply(begin, count);
    }
  }

  // The pixel whose kernel begins at column `x` and row `top` of an image.
  void GatherPixel(const float* image, int64_t x, int64_t top, float* out) {
    const int64_t tap_row = c_.kernel_w * s_.group_in;
    if (tap_row <= kShortFloats && c_.dilation_w == 1 && c_.input_channel_stride == 1 && c_.input_pixel_stride == s_.group_in) {
      return GatherShort(image, x, top, tap_row, out);
    }
    for (int64_t i = 0; i < c_.kernel_h; ++i, out += tap_row) {
      const int64_t y = top + i * c_.dilation_h;
      if (y < 0 || y >= c_.in_h) {
        memset(out, 0, static_cast<size_t>(tap_row) * 4);
      } else {
        CopyPixels(c_, image + y * c_.input_row_stride, s_.group_in, x, c_.kernel_w, c_.dilation_w, out);
      }
    }
  }

  // The rows of a kernel whose rows are short and contiguous in the input: what is outside is the same in all of them.
  void GatherShort(const float* image, int64_t x, int64_t top, int64_t tap_row, float* out) {
    const int64_t begin = std::clamp<int64_t>(-x, 0, c_.kernel_w) * s_.group_in;
    const int64_t end = std::clamp<int64_t>(c_.in_w - x, begin / s_.group_in, c_.kernel_w) * s_.group_in;
    const int64_t d = c_.dilation_h;
    // Divisions take as long as the copies.
    const int64_t i0 = top >= 0 ? 0 : std::min(d == 1 ? -top : (d - 1 - top) / d, c_.kernel_h);
    const int64_t below = c_.in_h - top;
    const int64_t i1 = std::clamp<int64_t>(d == 1 ? below : (below + d - 1) / d, i0, c_.kernel_h);
    float* const rest = out + i1 * tap_row;
    std::fill(out, out + i0 * tap_row, 0.0f);
    out += i0 * tap_row;
    const float* from = image + (top + i0 * d) * c_.input_row_stride + x * c_.input_pixel_stride;
    if (end - begin == tap_row && i1 > i0) {
      // Copies of a fixed length: what is too much is overwritten by the next row, or lies behind the pixel's K. The last row of
      // the image is copied without.
      const float* const image_end = image + (c_.in_h - 1) * c_.input_row_stride + c_.in_w * c_.input_pixel_stride;
      const int64_t step = d * c_.input_row_stride, spare = tap_row <= kFewFloats ? kFewFloats : kShortFloats;
      int64_t whole = i1 - i0;
      while (whole > 0 && from + (whole - 1) * step + spare > image_end) --whole;
      tap_row <= kFewFloats ? CopyRows<kFewFloats>(from, step, whole, tap_row, out) : CopyRows<kShortFloats>(from, step, whole, tap_row, out);
      from += whole * step, out += whole * tap_row;
      for (; whole < i1 - i0; ++whole, from += step, out += tap_row) memcpy(out, from, static_cast<size_t>(tap_row) * 4);
      std::fill(rest, rest + (c_.kernel_h - i1) * tap_row, 0.0f);
      return;
    }
    int64_t i = i0;
    if (tap_row <= kFewFloats) {
      // As above, and what is outside becomes zero on the way: rows whose neighbours on both sides can be read.
      uint64_t inside[2] = {};
      for (int64_t j = begin; j < end; ++j) inside[j / 2] |= uint64_t{0xffffffff} << j % 2 * 32;
      const float* const image_end = image + (c_.in_h - 1) * c_.input_row_stride + c_.in_w * c_.input_pixel_stride;
      const int64_t step = d * c_.input_row_stride;
      for (; i < i1 && from < image; ++i, out += tap_row, from += step) CopyInside(from, begin, end, tap_row, out);
      for (; i < i1 && from + kFewFloats <= image_end; ++i, out += tap_row, from += step) {
        uint64_t words[2];
        memcpy(words, from, sizeof(words));
        words[0] &= inside[0], words[1] &= inside[1];
        memcpy(out, words, sizeof(words));
      }
    }
    for (; i < i1; ++i, out += tap_row, from += d * c_.input_row_stride) CopyInside(from, begin, end, tap_row, out);
    std::fill(rest, rest + (c_.kernel_h - i1) * tap_row, 0.0f);
  }

  static void CopyInside(const float* from, int64_t begin, int64_t end, int64_t tap_row, float* out) {
    int64_t j = begin;
    std::fill(out, out + tap_row, 0.0f);
    for (; j + 4 <= end; j += 4) memcpy(out + j, from + j, 16);
    for (; j < end; ++j) out[j] = from[j];
  }

  template <int64_t kFloats>
  static void CopyRows(const float* from, int64_t step, int64_t count, int64_t tap_row, float* out) {
    for (int64_t i = 0; i < count; ++i, from += step, out += tap_row) memcpy(out, from, kFloats * 4);
  }

  const GemmF32Kernels& kernels_;
  const ConvF32& c_;
  const Shape& s_;
  void *scratch_, *split_scratch_;
  GemmF32 product_;
  const float* input_;
  float* output_;
  const float *residual_ = nullptr, *next_packed_ = nullptr;
  int64_t panel0_ = 0, panel1_ = 0, pixel0_ = 0, pixels_ = 0;
};

}  // namespace

int64_t PackedConvSizeF32(int64_t out_c, int64_t in_c, int64_t groups, int64_t kernel_h, int64_t kernel_w) {
  return groups * PackedSizeF32(kernel_h * kernel_w * (in_c / groups), out_c / groups);
}

void PackConvF32(const float* weights, int64_t out_c, int64_t in_c, int64_t groups, int64_t kernel_h,
                 int64_t kernel_w, float* out) {
  const int64_t taps = kernel_h * kernel_w, group_in = in_c / groups, group_out = out_c / groups,
                k = taps * group_in;
  for (int64_t g = 0; g < groups; ++g, weights += group_out * k, out += PackedSizeF32(k, group_out)) {
    if (taps == 1) {
      PackF32(weights, k, group_out, 1, k, out);
      continue;
    }
    // Summands come channel by channel and go tap by tap: packed some at a time, then each row to its place.
    constexpr int64_t kRows = 64;
    float rows[kRows * kPanelColumns];
    float* to = out;
    for (int64_t first = 0; first < group_out; first += kPanelColumns, to += k * kPanelColumns) {
      const int64_t columns = std::min(kPanelColumns, group_out - first);
      for (int64_t i0 = 0, c = 0, t = 0; i0 < k; i0 += kRows) {
        const int64_t count = std::min(kRows, k - i0);
        PackF32(weights + first * k + i0, count, columns, 1, k, rows);
        for (int64_t i = 0; i < count; ++i) {
          memcpy(to + (t * group_in + c) * kPanelColumns, rows + i * kPanelColumns, kPanelColumns * 4);
          if (++t == taps) t = 0, ++c;
        }
      }
    }
  }
}

int64_t ConvPanels(const ConvF32& conv) {
  return conv.groups * PanelCount(conv.out_c / conv.groups);
}

int64_t ConvScratchBytes(const GemmF32Kernels& kernels, const ConvF32& conv) {
  const Shape shape(kernels, conv);
  const int64_t split = shape.by_tiles() ? SplitGemmScratchBytes() : 0;
  switch (shape.way) {
    case Way::kPointwise:
      return split;
    case Way::kRows:
      return conv.kernel_h * conv.kernel_w * static_cast<int64_t>(sizeof(SegmentF32)) + shape.ring_rows * 8 +
             shape.ring_rows * shape.ring_pixels * shape.group_in * 4;
    case Way::kGather:
      return split + shape.gather_rows * shape.gather_stride * 4;
    case Way::kTaps:
      return kRareWays ? TapsScratchBytes(kernels, conv) : 0;
    case Way::kGroups:
      return kRareWays ? GroupsScratchBytes(conv) : 0;
    case Way::kNarrow:
      return kNarrow ? NarrowScratchBytesF32(conv) : 0;
  }
  return 0;
}

void RunConvF32(const GemmF32Kernels& kernels, const ConvF32& conv, int64_t pixel0, int64_t pixel1,
                int64_t panel0, int64_t panel1, void* scratch) {
  const Shape shape(kernels, conv);
  if (kNarrow && shape.way == Way::kNarrow) return conv.narrow->run(conv, pixel0, pixel1, scratch);
  if (kRareWays && shape.way == Way::kGroups) return RunGroups(kernels, conv, pixel0, pixel1, panel0, panel1, scratch);
  for (int64_t panel = panel0; panel < panel1;) {
    const int64_t group = panel / shape.group_panels, first = panel % shape.group_panels;
    const int64_t count = std::min(shape.group_panels - first, panel1 - panel);
    if (kRareWays && shape.way == Way::kTaps) {
      RunTaps(kernels, conv, group, pixel0, pixel1, first, first + count, scratch);
    } else {
      Group(kernels, conv, shape, group, scratch).Run(pixel0, pixel1, first, first + count);
    }
    panel += count;
  }
}

bool ConvSplits(const GemmF32Kernels& kernels, const ConvF32& conv) { return Shape(kernels, conv).by_tiles(); }

GemmGrain ConvGrainF32(const GemmF32Kernels& kernels, const ConvF32& conv, int threads) {
  const Shape shape(kernels, conv);
  if (kNarrow && shape.way == Way::kNarrow) return NarrowGrainF32(conv, threads);
  if (kRareWays && shape.way == Way::kTaps) return TapsGrain(conv, threads);
  if (kRareWays && shape.way == Way::kGroups) return GroupsGrain(conv, threads);
  const int64_t pixels = conv.batch * conv.out_h * conv.out_w;
  if (shape.by_tiles() && shape.way == Way::kPointwise) return SplitGemmGrain(pixels, shape.group_out, shape.k, threads);
  GemmGrain grain = GemmGrainF32(kernels, pixels, shape.group_out, shape.k, threads, shape.way != Way::kPointwise);
  if (conv.groups > 1) grain.panels = shape.group_panels;
  if (shape.way == Way::kGather) {
    // What is gathered meets all weights, which are read once for it; few pixels are gathered again by each part.
    constexpr int64_t kParts = 4;
    grain.rows = shape.gather_rows;
    grain.panels = shape.group_panels;
    if (shape.gather_rows == pixels) grain.panels = (shape.group_panels + kParts - 1) / kParts;
    if (shape.by_tiles()) grain.panels = RoundUp(grain.panels, int64_t{2});
  }
  if (shape.way == Way::kRows) {
    // Whole output rows, and enough of them that filling the ring's first rows again does not matter. Where that gives too few
    // parts (a line has one row), each is cut by panels too, and fills a ring for itself.
    const int64_t lines = conv.batch * conv.out_h, wanted = DivUp(pixels, std::max<int64_t>(grain.rows, 1));
    const int64_t parts = DivUp(lines, std::max(DivUp(grain.rows, conv.out_w), 2 * conv.kernel_h));
    grain.rows = std::min(pixels, DivUp(lines, parts) * conv.out_w);
    if (conv.groups == 1 && parts < wanted) {
      const int64_t unit = std::max<int64_t>(1, kernels.columns / kPanelColumns);
      grain.panels = std::min(shape.group_panels, RoundUp(DivUp(shape.group_panels * parts, wanted), unit));
    }
  }
  return grain;
}

}  // namespace linnet
