// The ring of input rows of an 8-bit depthwise convolution: how many, how long, and how many channels of them at a time.
#pragma once

#include <algorithm>
#include <numeric>

#include "base/memory.h"
#include "kernels/int8/int8_depthwise.h"

namespace linnet {

struct DepthwiseRing {
  explicit DepthwiseRing(const DepthwiseInt8& c)
      : rows((c.kernel_h - 1) * c.dilation_h + 1), pixels((c.out_w - 1) * c.stride_w + (c.kernel_w - 1) * c.dilation_w + 1) {
    constexpr int64_t kBytes = 24 << 10;     // most of a first-level cache, and kernels take 16 channels at a time
    constexpr double kPixelsMax = 1 << 19;   // of a ring that is worth it
    const int64_t channels = RoundUp(c.channels, 8), taps = c.kernel_h * c.kernel_w;
    if (static_cast<double>(rows) * static_cast<double>(pixels) > kPixelsMax) {
      rows = 0;
      copies = taps;
      width = std::min(channels, int64_t{64});
    } else {
      copies = rows * pixels;
      width = std::min(std::max(kBytes / (copies * 2) / 16 * 16, int64_t{16}), channels);
    }
    table_bytes = RoundUp((taps + 1 + rows) * 8, int64_t{64});
  }
  int64_t rows;        ///< 0: no ring, the taps of each pixel are copied
  int64_t pixels, width, table_bytes;
  int64_t copies = 0;  ///< pixels of scratch
};

/// How int8_depthwise_squares.cc cuts channels: blocks of 64, then of 32 or 16 of several rows together. The last ones end with the last channel.
struct DepthwiseSquares {
  static constexpr int64_t kVectors = 40;   // that a block prepares, at most

  explicit DepthwiseSquares(const DepthwiseInt8& c) : channels(c.channels), whole(c.channels / 64) {
    const bool square = c.kernel_h == 3 && c.kernel_w == 3 && c.dilation_h == 1 && c.dilation_w == 1;
    usable = square && c.stride_h == c.stride_w && c.stride_h <= 2 && c.channels % 4 == 0 && c.channels >= 16 && c.channels <= 1 << 20;
    if (!usable) return;
    const int64_t rest = c.channels % 64;
    auto add = [this](int64_t width, int64_t channel) {
      widths[blocks - whole] = width, firsts[blocks - whole] = channel;
      ++blocks;
    };
    blocks = whole;
    if (rest > 48 && whole > 0) {
      add(64, channels - 64);
    } else if (rest > 48) {
      add(32, 0), add(32, channels - 32);
    } else if (rest > 32) {
      add(32, whole * 64), add(16, channels - 16);
    } else if (rest > 16 && channels >= 32) {
      add(32, channels - 32);
    } else if (rest > 16) {
      add(16, 0), add(16, channels - 16);
    } else if (rest > 0) {
      add(16, channels - 16);
    }
  }
  int64_t WidthOf(int64_t b) const { return b < whole ? 64 : widths[b - whole]; }
  int64_t ChannelOf(int64_t b) const { return b < whole ? b * 64 : firsts[b - whole]; }
  /// Weights, sums and scales of blocks, and room for plain ones.
  int64_t bytes() const { return blocks * kVectors * 64 + RoundUp(3 * 4 * RoundUp(channels, int64_t{16}), int64_t{64}); }

  int64_t channels, whole, blocks = 0;
  int64_t widths[2] = {}, firsts[2] = {};
  bool usable = false;
};

/// What the kernel for byte instructions prepares: whether that serves (a DepthwiseBytesHead), blocks of 64 channels, and room for
/// weights as plain bytes.
struct DepthwiseBytesBlocks {
  static constexpr int64_t kChannels = 64, kHeadBytes = 64, kRingBytes = 1 << 20;

  explicit DepthwiseBytesBlocks(const DepthwiseInt8& c)
      : taps(c.kernel_h * c.kernel_w), quads(DivUp(taps, int64_t{4})), flat(c.stride_w == 1), squares(c) {
    constexpr int64_t kTapsMax = 64;
    if (squares.usable) {
      usable = true;
      return;
    }
    // Larger ones have no image whose rows fit a ring.
    if (c.channels % 4 != 0 || taps > kTapsMax || c.channels > kRingBytes / taps) return;
    by_columns = c.kernel_h == 3 && c.kernel_w == 3 && c.dilation_h == 1 && c.dilation_w == 1 && c.stride_h <= 2;
    blocks = flat ? std::lcm(c.channels, kChannels) / kChannels : DivUp(c.channels, kChannels);
    block_bytes = (quads + 2) * 4 * 64;
    plain_bytes = RoundUp(quads * 4 * RoundUp(c.channels, int64_t{16}), int64_t{64});
    usable = true;
  }
  int64_t bytes() const { return !usable ? 0 : squares.usable ? kHeadBytes + squares.bytes() : kHeadBytes + blocks * block_bytes + plain_bytes; }

  int64_t taps, quads;
  bool flat;                 ///< a row of the output is one run
  DepthwiseSquares squares;  ///< where they are usable, the image is read in place
  bool by_columns = false;   ///< a strip of rows instead of a ring
  int64_t blocks = 0;        ///< of 64 channels with weights, first sums and scales of their own
  int64_t block_bytes = 0, plain_bytes = 0;
  bool usable = false;
};

struct DepthwiseBytesHead {
  bool fits = false;      ///< all weights are bytes, and there are scales
  bool bounded = false;   ///< all scales are such that rounding needs no care (WideByteRounding::Bounds)
  bool floors = false;    ///< FloorRounding serves
};

/// The same with the ring, or strip, of an image, and what a call keeps in scratch: tables of pointers and rows.
struct DepthwiseBytesLayout : DepthwiseBytesBlocks {
  explicit DepthwiseBytesLayout(const DepthwiseInt8& c)
      : DepthwiseBytesBlocks(c), rows((c.kernel_h - 1) * c.dilation_h + 1),
        pixels((c.out_w - 1) * c.stride_w + (c.kernel_w - 1) * c.dilation_w + 1) {
    if (squares.usable) {
      row_bytes = RoundUp(c.in_w * c.channels, kChannels);
      usable = static_cast<double>(c.in_w) * static_cast<double>(c.channels) <= kRingBytes;
      return;
    }
    usable = usable && static_cast<double>(rows) * static_cast<double>(pixels) * static_cast<double>(c.channels) <= kRingBytes;
    if (!usable) return;
    row_bytes = RoundUp(pixels * c.channels + kChannels, kChannels);
    if (by_columns) {
      constexpr int64_t kStripBytes = 128 << 10;
      strip = std::clamp<int64_t>((kStripBytes / row_bytes - 3) / c.stride_h + 1, 1, c.out_h);
      rows = (strip - 1) * c.stride_h + 3;
    }
    table_bytes = RoundUp((quads * 4 + rows) * 8, int64_t{64});
  }
  int64_t scratch_bytes() const { return !usable ? 0 : squares.usable ? row_bytes : table_bytes + rows * row_bytes; }

  int64_t rows, pixels;
  int64_t strip = 0;         ///< rows of the output
  int64_t row_bytes = 0, table_bytes = 0;
};

/// What int8_depthwise_rows.cc keeps: a ring of rows of the image as floats, and sums of `together` rows of the output, of 16 channels.
struct DepthwiseFloatsLayout {
  static constexpr int64_t kSlice = 16;

  explicit DepthwiseFloatsLayout(const DepthwiseInt8& c) : stride(c.stride_h), reach((c.kernel_h - 1) * c.dilation_h + 1) {
    constexpr int64_t kTapsMax = (int64_t{1} << 24) / (255 * 255);   // whose sums are exact
    constexpr double kNear = 40 << 10, kMost = 1 << 20;
    if (c.kernel_h * c.kernel_w > kTapsMax) return;
    auto bytes_of = [&](int64_t count) {
      return (static_cast<double>(Reach(count)) * static_cast<double>(c.in_w) + static_cast<double>(count) * static_cast<double>(c.out_w)) * kSlice * 4;
    };
    // Rows a dilation apart are done in pairs, whose inputs overlap.
    together = std::min(c.out_h, stride > reach ? 1 : 2 * c.dilation_h);
    while (together < c.out_h && bytes_of(std::min(c.out_h, 2 * together)) <= kNear) together = std::min(c.out_h, 2 * together);
    if (bytes_of(together) > kMost) return;
    rows = Reach(together);
    bytes = static_cast<int64_t>(bytes_of(together));
  }
  /// Rows of the image that so many of the output read.
  int64_t Reach(int64_t count) const { return (count - 1) * stride + reach; }

  int64_t stride, reach;
  int64_t together = 0, rows = 0;
  int64_t bytes = 0;   ///< of scratch; 0: there are other ways
};

}  // namespace linnet
