// 8-bit depthwise convolution, 3x3, on 64-bit Arm with dot products: 16 channels at a time go along a row of the output.
//
// Some rows of the image are kept as signed bytes, with the zero point where padding is, in a ring. The three taps of a column are
// interleaved once, with a zero as the fourth, for all outputs that read the column; a dot product does four channels:
//
//     rows a b c of 16 channels   ->   a0 b0 c0 0 a1 b1 c1 0 a2 ..   | a4 ..   | a8 ..   | a12 ..
//
// Of two rows of the output at once, the fourth is of the row below, whose taps are one further.
#include <stddef.h>
#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/int8/int8_depthwise.h"

#if defined(__aarch64__)

#include "kernels/int8/int8_plain.h"
#include "kernels/tiles/lanes_asm.h"

namespace linnet {
namespace {

constexpr int64_t kChannels = 16, kHeadBytes = 64, kRing = 4;

// A small build does rows one by one.
#if defined(LINNET_SMALL)
constexpr bool kPairs = false;
#else
constexpr bool kPairs = true;
#endif

/// Channels from `begin` of so many, as the kernel reads them. The last block begins earlier where channels are left.
struct ChannelBlock {
  int8_t weights[3][kChannels][4];   ///< of a column of the kernel, by channel
  int32_t first[kChannels];
  float scale[kChannels];
  int32_t plain_first[kChannels];    ///< as sums begin where bytes need no care (PlainScalesInt8)
  float less[kChannels];
  int8_t lower[3][kChannels][4];     ///< weights for the row below
};
static_assert(sizeof(ChannelBlock) == 640 && offsetof(ChannelBlock, first) == 192 && offsetof(ChannelBlock, lower) == 448);

struct Sizes {
  explicit Sizes(const DepthwiseInt8& c)
      : blocks(DivUp(c.channels, kChannels)), pixels((c.out_w - 1) * c.stride_w + 3), row_bytes(RoundUp(pixels * c.channels, int64_t{64})) {
    constexpr double kRingBytes = 1 << 20;
    usable = c.kernel_h == 3 && c.kernel_w == 3 && c.dilation_h == 1 && c.dilation_w == 1 && c.stride_w <= 2 && c.channels >= kChannels &&
             kRing * static_cast<double>(pixels) * static_cast<double>(c.channels) <= kRingBytes;
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
  const int8_t* rows[kRing];
  int64_t step;            ///< bytes from input to input
  const ChannelBlock* block;
  uint8_t* c;
  int64_t c_step;
  int64_t count;           ///< at least one
  const Rounding* rounding;   ///< null: without care
  uint8_t* lower;          ///< of the row below
};
static_assert(offsetof(Line, block) == 40 && offsetof(Line, c_step) == 56 && offsetof(Line, rounding) == 72);

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
// Two labels, of which the first is where it goes on.
#define LINNET_END(s0, s1, s2, s3, on, careful)                                                                                   \
  "cbnz x9, " #careful "f\n ld1 {v4.4s, v5.4s, v6.4s, v7.4s}, [x10]\n ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x11]\n"                    \
  LINNET_PLAIN_BYTES(s0, s1, s2, s3) "st1 {v0.16b}, [x6], x7\n" #on ":\n subs x8, x8, #1\n"
#define LINNET_CAREFUL(s0, s1, s2, s3, on, careful)                                                                               \
  #careful ":\n ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x10]\n ld1 {v4.16b, v5.16b, v6.16b, v7.16b}, [x9]\n"                            \
  LINNET_BYTES(s0, s1, s2, s3) "st1 {v" #s0 ".16b}, [x6], x7\n b " #on "b\n"

#define LINNET_LINE(steps)                                                                                                        \
  asm volatile(".arch armv8.2-a+dotprod+crypto\n"                                                                                  \
               "ldp x1, x2, [%[t]]\n ldr x3, [%[t], #16]\n ldp x4, x5, [%[t], #32]\n ldp x6, x7, [%[t], #48]\n"                     \
               "ldp x8, x9, [%[t], #64]\n ld1 {v20.16b, v21.16b, v22.16b, v23.16b}, [x5], #64\n"                                        \
               "ld1 {v24.16b, v25.16b, v26.16b, v27.16b}, [x5], #64\n ld1 {v28.16b, v29.16b, v30.16b, v31.16b}, [x5], #64\n"         \
               "add x10, x5, #64\n add x11, x5, #192\n cbnz x9, 3f\n add x5, x5, #128\n 3:\n" steps                                \
               :                                                                                                                   \
               : [t] "r"(&line)                                                                                                    \
               : LINNET_LANE_CLOBBERS)

// A column ends an output, is in the middle of the next and begins the one after.
#define LINNET_STEP(o0, o1, o2, o3, m0, m1, m2, m3, n0, n1, n2, n3, on, careful)                                                   \
  LINNET_COLUMN LINNET_THIRD(o0, o1, o2, o3) LINNET_SECOND(m0, m1, m2, m3) LINNET_BEGIN(n0, n1, n2, n3)                             \
  LINNET_FIRST(n0, n1, n2, n3) LINNET_END(o0, o1, o2, o3, on, careful)

[[gnu::noinline]] void Neighbours(const Line& line) {
  LINNET_LINE(LINNET_COLUMN LINNET_BEGIN(8, 9, 10, 11) LINNET_FIRST(8, 9, 10, 11)
              LINNET_COLUMN LINNET_SECOND(8, 9, 10, 11) LINNET_BEGIN(12, 13, 14, 15) LINNET_FIRST(12, 13, 14, 15)
              "1:\n" LINNET_STEP(8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 4, 5) "b.eq 2f\n"
              LINNET_STEP(12, 13, 14, 15, 16, 17, 18, 19, 8, 9, 10, 11, 6, 7) "b.eq 2f\n"
              LINNET_STEP(16, 17, 18, 19, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9) "b.ne 1b\n b 2f\n"
              LINNET_CAREFUL(8, 9, 10, 11, 4, 5) LINNET_CAREFUL(12, 13, 14, 15, 6, 7) LINNET_CAREFUL(16, 17, 18, 19, 8, 9) "2:\n");
}

// Every second column ends an output and begins the next.
#define LINNET_SECOND_STEP(o0, o1, o2, o3, n0, n1, n2, n3, on, careful)                                                            \
  LINNET_COLUMN LINNET_SECOND(o0, o1, o2, o3) LINNET_COLUMN LINNET_THIRD(o0, o1, o2, o3) LINNET_BEGIN(n0, n1, n2, n3)               \
  LINNET_FIRST(n0, n1, n2, n3) LINNET_END(o0, o1, o2, o3, on, careful)

[[gnu::noinline]] void EverySecond(const Line& line) {
  LINNET_LINE(LINNET_COLUMN LINNET_BEGIN(8, 9, 10, 11) LINNET_FIRST(8, 9, 10, 11)
              "1:\n" LINNET_SECOND_STEP(8, 9, 10, 11, 12, 13, 14, 15, 4, 5) "b.eq 2f\n"
              LINNET_SECOND_STEP(12, 13, 14, 15, 8, 9, 10, 11, 6, 7) "b.ne 1b\n b 2f\n"
              LINNET_CAREFUL(8, 9, 10, 11, 4, 5) LINNET_CAREFUL(12, 13, 14, 15, 6, 7) "2:\n");
}

// Two rows at once, without care: the next column of four rows of the image, interleaved.
#define LINNET_COLUMN_OF_FOUR(d0, d1, d2, d3)                                                                                      \
  "ld1 {v0.16b}, [x1], x4\n ld1 {v1.16b}, [x2], x4\n ld1 {v2.16b}, [x3], x4\n ld1 {v3.16b}, [x21], x4\n"                           \
  "zip1 v28.16b, v0.16b, v1.16b\n zip2 v29.16b, v0.16b, v1.16b\n zip1 v30.16b, v2.16b, v3.16b\n zip2 v31.16b, v2.16b, v3.16b\n"    \
  "zip1 v" #d0 ".8h, v28.8h, v30.8h\n zip2 v" #d1 ".8h, v28.8h, v30.8h\n zip1 v" #d2 ".8h, v29.8h, v31.8h\n"                        \
  "zip2 v" #d3 ".8h, v29.8h, v31.8h\n"
#define LINNET_WEIGHTS(at, s0, s1, s2, s3, c0, c1, c2, c3)                                                                         \
  "ld1 {v28.16b, v29.16b, v30.16b, v31.16b}, [" #at "]\n"                                                                          \
  LINNET_SDOT(s0, 28, c0) LINNET_SDOT(s1, 29, c1) LINNET_SDOT(s2, 30, c2) LINNET_SDOT(s3, 31, c3)
#define LINNET_BOTH(upper, lower, c0, c1, c2, c3) \
  LINNET_WEIGHTS(upper, 20, 21, 22, 23, c0, c1, c2, c3) LINNET_WEIGHTS(lower, 24, 25, 26, 27, c0, c1, c2, c3)
#define LINNET_PAIR(a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3)                                                                \
  LINNET_COLUMN_OF_FOUR(c0, c1, c2, c3) LINNET_BEGIN(20, 21, 22, 23) LINNET_BEGIN(24, 25, 26, 27)                                   \
  LINNET_BOTH(x12, x15, a0, a1, a2, a3) LINNET_BOTH(x13, x16, b0, b1, b2, b3) LINNET_BOTH(x14, x17, c0, c1, c2, c3)                 \
  "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x11]\n" LINNET_PLAIN_BYTES(20, 21, 22, 23) "st1 {v0.16b}, [x6], x7\n subs x8, x8, #1\n"     \
  "ld1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x11]\n" LINNET_PLAIN_BYTES(24, 25, 26, 27) "st1 {v0.16b}, [x19], x7\n"

[[gnu::noinline]] void NeighboursOfTwo(const Line& line) {
  asm volatile(".arch armv8.2-a+dotprod+crypto\n"
               "ldp x1, x2, [%[t]]\n ldp x3, x21, [%[t], #16]\n ldp x4, x12, [%[t], #32]\n ldp x6, x7, [%[t], #48]\n"
               "ldr x8, [%[t], #64]\n ldr x19, [%[t], #80]\n add x13, x12, #64\n add x14, x12, #128\n add x10, x12, #256\n"
               "add x5, x12, #320\n add x11, x12, #384\n add x15, x12, #448\n add x16, x12, #512\n add x17, x12, #576\n"
               "ld1 {v4.4s, v5.4s, v6.4s, v7.4s}, [x10]\n"
               LINNET_COLUMN_OF_FOUR(8, 9, 10, 11) LINNET_COLUMN_OF_FOUR(12, 13, 14, 15)
               "1:\n" LINNET_PAIR(8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19) "b.eq 2f\n"
               LINNET_PAIR(12, 13, 14, 15, 16, 17, 18, 19, 8, 9, 10, 11) "b.eq 2f\n"
               LINNET_PAIR(16, 17, 18, 19, 8, 9, 10, 11, 12, 13, 14, 15) "b.ne 1b\n2:\n"
               :
               : [t] "r"(&line)
               : LINNET_LANE_CLOBBERS);
}

/// What is added to unsigned bytes makes them signed.
uint8_t Flip(const DepthwiseInt8& c) { return c.input_signed ? 0 : 0x80; }
int32_t SignedZero(const DepthwiseInt8& c) { return c.input_zero - (c.input_signed ? 0 : 128); }

/// Row y of an image, with its padding.
void FillRow(const DepthwiseInt8& c, int64_t image, int64_t y, int64_t pixels, uint8_t* to) {
  auto outside = [&](int64_t begin, int64_t end) {
    memset(to + begin * c.channels, SignedZero(c), static_cast<size_t>((end - begin) * c.channels));
  };
  if (y < 0 || y >= c.in_h) return outside(0, pixels);
  const int64_t begin = std::clamp<int64_t>(c.pad_left, 0, pixels), end = std::clamp<int64_t>(c.in_w + c.pad_left, begin, pixels);
  outside(0, begin);
  CopyFlippedInt8(c.input + ((image * c.in_h + y) * c.in_w + begin - c.pad_left) * c.channels, (end - begin) * c.channels, Flip(c),
              to + begin * c.channels);
  outside(end, pixels);
}

}  // namespace

/// Bytes of scratch, 0 where the kernel does not serve.
int64_t DepthwiseLanesScratch(const DepthwiseInt8& c) {
  const Sizes sizes(c);
  return sizes.usable ? kRing * sizes.row_bytes : 0;
}

/// DepthwiseInt8Kernels::prepared_bytes and prepare: the first byte says whether weights are bytes and scales are finite, the second
/// whether all channels' sums are bounded (PlainScalesInt8).
int64_t DepthwiseLanesBytes(const DepthwiseInt8& c) {
  return kHeadBytes + RoundUp(DivUp(c.channels, kChannels) * static_cast<int64_t>(sizeof(ChannelBlock)), int64_t{64});
}

void PrepareDepthwiseLanes(const DepthwiseInt8& c, void* prepared) {
  char* const head = static_cast<char*>(prepared);
  *head = 0, head[1] = 1;
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
        block->weights[t % 3][i][t / 3] = block->lower[t % 3][i][t / 3 + 1] = static_cast<int8_t>(w);
        sum += w;
      }
      for (int j = 0; j < 3; ++j) block->weights[j][i][3] = block->lower[j][i][0] = 0;
      block->first[i] = static_cast<int32_t>(static_cast<uint32_t>(c.finish.offset ? c.finish.offset[channel] : 0) -
                                             static_cast<uint32_t>(SignedZero(c) * sum));
      block->scale[i] = c.finish.scale[channel];
      uint32_t bits;
      memcpy(&bits, &block->scale[i], sizeof(bits));
      serves = serves && (bits & 0x7f800000) != 0x7f800000;
    }
    if (!PlainScalesInt8(block->first, block->scale, 9, block->plain_first, block->less)) head[1] = 0;
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
  int64_t image = -1, holds[kRing];
  Line line;
  line.step = c.channels, line.c_step = f.c_row_stride, line.count = c.out_w;
  line.rounding = head[1] && PlainBytesInt8(f) ? nullptr : &rounding;
  for (int64_t row = row0, count; row < row1; row += count) {
    if (row / c.out_h != image) {
      image = row / c.out_h;
      std::fill(std::begin(holds), std::end(holds), int64_t{-1});
    }
    const bool two = kPairs && !line.rounding && c.stride_h == 1 && c.stride_w == 1 && row + 1 < row1 && row % c.out_h + 1 < c.out_h;
    count = two ? 2 : 1;
    const int64_t top = row % c.out_h * c.stride_h;   // of the kernel, in the padded image
    const uint8_t* rows[kRing];
    for (int64_t i = 0; i < 2 + count; ++i) {
      const int64_t y = top + i, slot = y % kRing;
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
      for (int64_t i = 0; i < 2 + count; ++i) line.rows[i] = reinterpret_cast<const int8_t*>(rows[i]) + begin;
      line.block = blocks + b;
      line.c = to + begin;
      line.lower = line.c + c.out_w * f.c_row_stride;
      if (two) {
        NeighboursOfTwo(line);
        continue;
      }
      c.stride_w == 1 ? Neighbours(line) : EverySecond(line);
    }
  }
  return true;
}

}  // namespace linnet

#endif  // 64-bit Arm
