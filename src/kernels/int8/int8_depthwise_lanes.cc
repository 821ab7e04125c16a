// 8-bit depthwise convolution, 3x3, on 64-bit Arm with dot products: 16 channels at a time go along a row of the output.
//
// Three rows of the image are kept as signed bytes, with the zero point where padding is, in a ring. The three taps of a column are
// interleaved once, with a zero as the fourth, for all outputs that read the column; a dot product does four channels:
//
//     rows a b c of 16 channels   ->   a0 b0 c0 0 a1 b1 c1 0 a2 ..   | a4 ..   | a8 ..   | a12 ..
#include <stddef.h>
#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/int8/int8_depthwise.h"

#if defined(__aarch64__)

#include "kernels/tiles/lanes_asm.h"

namespace linnet {
namespace {

constexpr int64_t kChannels = 16, kHeadBytes = 64;

/// Channels from `begin` of so many, as the kernel reads them. The last block begins earlier where channels are left.
struct ChannelBlock {
  int8_t weights[3][kChannels][4];   ///< of a column of the kernel, by channel
  int32_t first[kChannels];
  float scale[kChannels];
};
static_assert(sizeof(ChannelBlock) == 320 && offsetof(ChannelBlock, first) == 192);

struct Sizes {
  explicit Sizes(const DepthwiseInt8& c)
      : blocks(DivUp(c.channels, kChannels)), pixels((c.out_w - 1) * c.stride_w + 3), row_bytes(RoundUp(pixels * c.channels, int64_t{64})) {
    constexpr double kRingBytes = 1 << 20;
    usable = c.kernel_h == 3 && c.kernel_w == 3 && c.dilation_h == 1 && c.dilation_w == 1 && c.stride_w <= 2 && c.channels >= kChannels &&
             3.0 * static_cast<double>(pixels) * static_cast<double>(c.channels) <= kRingBytes;
  }
  int64_t begin(const DepthwiseInt8& c, int64_t block) const { return std::min(block * kChannels, c.channels - kChannels); }
  int64_t blocks, pixels, row_bytes;
  bool usable;
};

/// What follows the sums: what is added, bounds, and the bits that are turned at last.
struct Rounding {
  int16_t zero[8];
  uint8_t least[16], most[16], flip[16];
};

/// Outputs side by side of a block. The assembly knows where members lie.
struct Line {
  const int8_t* rows[3];
  int64_t step;            ///< bytes from input to input
  const ChannelBlock* block;
  uint8_t* c;
  int64_t c_step;
  int64_t count;           ///< at least one
  const Rounding* rounding;
};
static_assert(offsetof(Line, block) == 32 && offsetof(Line, c_step) == 48 && offsetof(Line, rounding) == 64);

// The next column of the image, interleaved, in v0 to v3.
#define LINNET_COLUMN                                                                                                             \
  "ld1 {v4.16b}, [x1], x4\n ld1 {v5.16b}, [x2], x4\n ld1 {v6.16b}, [x3], x4\n zip1 v2.16b, v4.16b, v5.16b\n"                       \
  "zip2 v3.16b, v4.16b, v5.16b\n ushll v4.8h, v6.8b, #0\n ushll2 v5.8h, v6.16b, #0\n zip1 v0.8h, v2.8h, v4.8h\n"                    \
  "zip2 v1.8h, v2.8h, v4.8h\n zip1 v2.8h, v3.8h, v5.8h\n zip2 v3.8h, v3.8h, v5.8h\n"
#define LINNET_SDOT(sum, b, a) "sdot v" #sum ".4s, v" #b ".16b, v" #a ".16b\n"
#define LINNET_ADD(s0, s1, s2, s3, w0, w1, w2, w3) \
  LINNET_SDOT(s0, w0, 0) LINNET_SDOT(s1, w1, 1) LINNET_SDOT(s2, w2, 2) LINNET_SDOT(s3, w3, 3)
#define LINNET_FIRST(s0, s1, s2, s3) LINNET_ADD(s0, s1, s2, s3, 20, 21, 22, 23)
#define LINNET_SECOND(s0, s1, s2, s3) LINNET_ADD(s0, s1, s2, s3, 24, 25, 26, 27)
#define LINNET_THIRD(s0, s1, s2, s3) LINNET_ADD(s0, s1, s2, s3, 28, 29, 30, 31)
#define LINNET_BEGIN(s0, s1, s2, s3) "ld1 {v" #s0 ".4s, v" #s1 ".4s, v" #s2 ".4s, v" #s3 ".4s}, [x5]\n"
#define LINNET_END(s0, s1, s2, s3)                                                                                                \
  "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x10]\n ld1 {v4.16b, v5.16b, v6.16b, v7.16b}, [x9]\n" LINNET_BYTES(s0, s1, s2, s3)             \
  "st1 {v" #s0 ".16b}, [x6], x7\n subs x8, x8, #1\n"

#define LINNET_LINE(steps)                                                                                                        \
  asm volatile(".arch armv8.2-a+dotprod+crypto\n"                                                                                  \
               "ldp x1, x2, [%[t]]\n ldp x3, x4, [%[t], #16]\n ldp x5, x6, [%[t], #32]\n ldp x7, x8, [%[t], #48]\n"                  \
               "ldr x9, [%[t], #64]\n ld1 {v20.16b, v21.16b, v22.16b, v23.16b}, [x5], #64\n"                                        \
               "ld1 {v24.16b, v25.16b, v26.16b, v27.16b}, [x5], #64\n ld1 {v28.16b, v29.16b, v30.16b, v31.16b}, [x5], #64\n"         \
               "add x10, x5, #64\n" steps                                                                                          \
               :                                                                                                                   \
               : [t] "r"(&line)                                                                                                    \
               : LINNET_LANE_CLOBBERS)

// A column ends an output, is in the middle of the next and begins the one after.
#define LINNET_STEP(o0, o1, o2, o3, m0, m1, m2, m3, n0, n1, n2, n3)                                                                \
  LINNET_COLUMN LINNET_THIRD(o0, o1, o2, o3) LINNET_SECOND(m0, m1, m2, m3) LINNET_BEGIN(n0, n1, n2, n3)                             \
  LINNET_FIRST(n0, n1, n2, n3) LINNET_END(o0, o1, o2, o3)

[[gnu::noinline]] void Neighbours(const Line& line) {
  LINNET_LINE(LINNET_COLUMN LINNET_BEGIN(8, 9, 10, 11) LINNET_FIRST(8, 9, 10, 11)
              LINNET_COLUMN LINNET_SECOND(8, 9, 10, 11) LINNET_BEGIN(12, 13, 14, 15) LINNET_FIRST(12, 13, 14, 15)
              "1:\n" LINNET_STEP(8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19) "b.eq 2f\n"
              LINNET_STEP(12, 13, 14, 15, 16, 17, 18, 19, 8, 9, 10, 11) "b.eq 2f\n"
              LINNET_STEP(16, 17, 18, 19, 8, 9, 10, 11, 12, 13, 14, 15) "b.ne 1b\n2:\n");
}

// Every second column ends an output and begins the next.
#define LINNET_SECOND_STEP(o0, o1, o2, o3, n0, n1, n2, n3)                                                                         \
  LINNET_COLUMN LINNET_SECOND(o0, o1, o2, o3) LINNET_COLUMN LINNET_THIRD(o0, o1, o2, o3) LINNET_BEGIN(n0, n1, n2, n3)               \
  LINNET_FIRST(n0, n1, n2, n3) LINNET_END(o0, o1, o2, o3)

[[gnu::noinline]] void EverySecond(const Line& line) {
  LINNET_LINE(LINNET_COLUMN LINNET_BEGIN(8, 9, 10, 11) LINNET_FIRST(8, 9, 10, 11)
              "1:\n" LINNET_SECOND_STEP(8, 9, 10, 11, 12, 13, 14, 15) "b.eq 2f\n"
              LINNET_SECOND_STEP(12, 13, 14, 15, 8, 9, 10, 11) "b.ne 1b\n2:\n");
}

/// What is added to unsigned bytes makes them signed.
uint8_t Flip(const DepthwiseInt8& c) { return c.input_signed ? 0 : 0x80; }
int32_t SignedZero(const DepthwiseInt8& c) { return c.input_zero - (c.input_signed ? 0 : 128); }

void CopyFlipped(const uint8_t* from, int64_t n, uint8_t flip, uint8_t* to) {
  using Sixteen = uint8_t __attribute__((vector_size(16)));
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Sixteen v;
    memcpy(&v, from + i, 16);
    v ^= flip;
    memcpy(to + i, &v, 16);
  }
  for (; i < n; ++i) to[i] = from[i] ^ flip;
}

/// Row y of an image, with its padding.
void FillRow(const DepthwiseInt8& c, int64_t image, int64_t y, int64_t pixels, uint8_t* to) {
  auto outside = [&](int64_t begin, int64_t end) {
    memset(to + begin * c.channels, SignedZero(c), static_cast<size_t>((end - begin) * c.channels));
  };
  if (y < 0 || y >= c.in_h) return outside(0, pixels);
  const int64_t begin = std::clamp<int64_t>(c.pad_left, 0, pixels), end = std::clamp<int64_t>(c.in_w + c.pad_left, begin, pixels);
  outside(0, begin);
  CopyFlipped(c.input + ((image * c.in_h + y) * c.in_w + begin - c.pad_left) * c.channels, (end - begin) * c.channels, Flip(c),
              to + begin * c.channels);
  outside(end, pixels);
}

}  // namespace

/// Bytes of scratch, 0 where the kernel does not serve.
int64_t DepthwiseLanesScratch(const DepthwiseInt8& c) {
  const Sizes sizes(c);
  return sizes.usable ? 3 * sizes.row_bytes : 0;
}

/// DepthwiseInt8Kernels::prepared_bytes and prepare: the first byte says whether weights are bytes and scales are finite.
int64_t DepthwiseLanesBytes(const DepthwiseInt8& c) {
  return kHeadBytes + RoundUp(DivUp(c.channels, kChannels) * static_cast<int64_t>(sizeof(ChannelBlock)), int64_t{64});
}

void PrepareDepthwiseLanes(const DepthwiseInt8& c, void* prepared) {
  char* const head = static_cast<char*>(prepared);
  *head = 0;
  if (c.kernel_h != 3 || c.kernel_w != 3 || c.channels < kChannels || !c.finish.scale) return;
  const int64_t padded = RoundUp(c.channels, int64_t{8});
  bool serves = true;
  ChannelBlock* block = reinterpret_cast<ChannelBlock*>(head + kHeadBytes);
  for (int64_t b = 0; b < DivUp(c.channels, kChannels); ++b, ++block) {
    const int64_t begin = std::min(b * kChannels, c.channels - kChannels);
    for (int64_t i = 0; i < kChannels; ++i) {
      const int64_t channel = begin + i;
      int32_t sum = 0;
      for (int t = 0; t < 9; ++t) {
        const int32_t w = c.packed[(t / 2 * padded + channel) * 2 + t % 2];
        serves = serves && w == static_cast<int8_t>(w);
        block->weights[t % 3][i][t / 3] = static_cast<int8_t>(w);
        sum += w;
      }
      for (auto& column : block->weights) column[i][3] = 0;
      block->first[i] = static_cast<int32_t>(static_cast<uint32_t>(c.finish.offset ? c.finish.offset[channel] : 0) -
                                             static_cast<uint32_t>(SignedZero(c) * sum));
      block->scale[i] = c.finish.scale[channel];
      uint32_t bits;
      memcpy(&bits, &block->scale[i], sizeof(bits));
      serves = serves && (bits & 0x7f800000) != 0x7f800000;
    }
  }
  *head = serves;
}

/// False, and nothing is done, where the kernel does not serve.
bool DepthwiseLanesRows(const DepthwiseInt8& c, const void* prepared, int64_t row0, int64_t row1, void* scratch) {
  const Sizes sizes(c);
  const FinishInt8& f = c.finish;
  const bool to_signed = f.to == FinishInt8::To::kInt8;
  const char* const head = static_cast<const char*>(prepared);
  if (!sizes.usable || !*head || !(to_signed || f.to == FinishInt8::To::kUint8)) return false;
  const ChannelBlock* const blocks = reinterpret_cast<const ChannelBlock*>(head + kHeadBytes);
  const int32_t zero = f.zero + (to_signed ? 0x80 : 0);
  Rounding rounding;
  std::fill(std::begin(rounding.zero), std::end(rounding.zero), static_cast<int16_t>(zero));
  memset(rounding.least, static_cast<int32_t>(f.low) + zero, sizeof(rounding.least));
  memset(rounding.most, static_cast<int32_t>(f.high) + zero, sizeof(rounding.most));
  memset(rounding.flip, to_signed ? 0x80 : 0, sizeof(rounding.flip));
  uint8_t* const ring = static_cast<uint8_t*>(scratch);
  int64_t image = -1, holds[3];
  Line line;
  line.step = c.channels, line.c_step = f.c_row_stride, line.count = c.out_w, line.rounding = &rounding;
  for (int64_t row = row0; row < row1; ++row) {
    if (row / c.out_h != image) {
      image = row / c.out_h;
      std::fill(std::begin(holds), std::end(holds), int64_t{-1});
    }
    const int64_t top = row % c.out_h * c.stride_h;   // of the kernel, in the padded image
    const uint8_t* rows[3];
    for (int64_t i = 0; i < 3; ++i) {
      const int64_t y = top + i, slot = y % 3;
      uint8_t* kept = ring + slot * sizes.row_bytes;
      if (holds[slot] != y) {
        holds[slot] = y;
        FillRow(c, image, y - c.pad_top, sizes.pixels, kept);
      }
      rows[i] = kept;
    }
    uint8_t* const to = static_cast<uint8_t*>(f.c) + row * c.out_w * f.c_row_stride;
    for (int64_t b = 0; b < sizes.blocks; ++b) {
      const int64_t begin = sizes.begin(c, b);
      for (int i = 0; i < 3; ++i) line.rows[i] = reinterpret_cast<const int8_t*>(rows[i]) + begin;
      line.block = blocks + b;
      line.c = to + begin;
      c.stride_w == 1 ? Neighbours(line) : EverySecond(line);
    }
  }
  return true;
}

}  // namespace linnet

#endif  // 64-bit Arm
