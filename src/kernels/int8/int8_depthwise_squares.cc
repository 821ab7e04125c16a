// 8-bit depthwise convolution of 3x3 where an instruction multiplies and adds four bytes (AVX-512 VNNI), the image read where it lies.
//
// Four rows of the image are interleaved column by column, so that one instruction does a column of a kernel, and with stride 1 the same
// bytes serve two rows of the output. Along a row, columns stay in registers for all outputs they belong to:
//
//     rows y .. y + 3       a a a a a          ab cd of a column = taps of one instruction        output y       w0 w1 w2  0
//     of 64 channels        b b b b b          three columns     = nine taps                      output y + 1    0 w0 w1 w2
//                           c c c c c
//                           d d d d d
//
// Channels that are no multiple of 64 fill vectors with lanes of several rows: 32 channels of two (pairs of) rows of the output, 16
// channels of four.
#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/int8/int8_depthwise.h"
#include "kernels/int8/int8_depthwise_ring.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_depthwise_squares.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/unroll.h"

#if defined(__x86_64__)

#if HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

using Squares = DepthwiseSquares;
constexpr int64_t kRowsMax = 8;     // of the output together
constexpr int64_t kInRowsMax = 10;  // and of the image

// Vectors of a block: weights of columns 0, 1, 2 for the first row of a pair, with stride 1 for the second, then what sums begin with (for
// FloorRounding, or not) and scales, all in the order of the sums.
template <int kStride>
struct SquareBlock {
  static constexpr int kColumns = kStride == 1 ? 6 : 3;
  __m512i weights[kColumns][4];
  __m512i first[2][4];
  __m512 scale[4];
  __m512 back[4];
};

// Bytes of all pixels of a row of the output, or of several rows where kLanes is not 1: 64, 32 or 16 channels of 1, 2 or 4 (pairs of) rows.
template <bool kEmulated, int kStride, int kLanes>
class SquareWalk {
 public:
  static constexpr int kRows = (kStride == 1 ? 2 : 1) * kLanes, kInRows = kStride == 1 ? kRows + 2 : 2 * kRows + 1;

  // What does not change from row to row.
  SquareWalk(const DepthwiseInt8& c, const SquareBlock<kStride>& block, bool floors)
      : block_(block), first_(block.first[floors ? 0 : 1]), channels_(c.channels), in_w_(c.in_w), out_w_(c.out_w), pad_(c.pad_left), stride_(c.finish.c_row_stride),
        turned_(c.input_signed), outside_(_mm512_set1_epi8(static_cast<char>(c.input_zero + (c.input_signed ? 128 : 0)))), floors_(floors),
        rounding_(c.finish.to == FinishInt8::To::kInt8, c.finish.low, c.finish.high, c.finish.zero), floor_(c.finish) {}

  // rows[i] is where pixel 0 of a row of the image is, to[i] the first pixel of a row of the output. Of pairs, all second rows are stored
  // before all first ones, and of each the last first: what is no row of the output goes where another is stored after it.
  void Run(const uint8_t* const (&rows)[kInRowsMax], char* const (&to)[kRowsMax]) const {
    __m512i p[4], q[4], s[4];
    int64_t at = 0;   // of the output, in bytes
    Column(rows, 0, p);
    if constexpr (kStride == 1) {
      Column(rows, 1, q);
      int64_t x = 0;
      auto step = [&](__m512i* a, __m512i* b, __m512i* c) HWY_ATTR __attribute__((always_inline)) {
        Column(rows, x + 2, c);
        Output<3>(a, b, c, to, 1, at);
        Output<0>(a, b, c, to, 0, at);
        ++x, at += stride_;
      };
      for (; x + 3 <= out_w_;) {
        step(p, q, s);
        step(q, s, p);
        step(s, p, q);
      }
      if (x < out_w_) {
        step(p, q, s);
        if (x < out_w_) step(q, s, p);
      }
    } else {
      int64_t x = 0;
      auto step = [&](__m512i* a, __m512i* b, __m512i* c) HWY_ATTR __attribute__((always_inline)) {
        Column(rows, 2 * x + 1, b);
        Column(rows, 2 * x + 2, c);
        Output<0>(a, b, c, to, 0, at);
        ++x, at += stride_;
      };
      for (; x + 2 <= out_w_;) {
        step(p, q, s);
        step(s, q, p);
      }
      if (x < out_w_) step(p, q, s);
    }
  }

 private:
  // Column x of the padded image, interleaved.
  HWY_INLINE void Column(const uint8_t* const (&rows)[kInRowsMax], int64_t x, __m512i* q) const {
    x -= pad_;
    if (HWY_UNLIKELY(static_cast<uint64_t>(x) >= static_cast<uint64_t>(in_w_))) {
      LINNET_UNROLL
      for (int i = 0; i < 4; ++i) q[i] = outside_;
      return;
    }
    const int64_t at = x * channels_;
    __m512i a, b, c, d = _mm512_setzero_si512();
    if constexpr (kLanes == 1) {
      auto load = [&](int i) HWY_ATTR { return _mm512_loadu_si512(rows[i] + at); };
      a = load(0), b = load(1), c = load(2);
      if (kStride == 1) d = load(3);
    } else if constexpr (kLanes == 2) {
      auto half = [&](int i) HWY_ATTR { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[i] + at)); };
      auto both = [&](int i) HWY_ATTR { return _mm512_inserti64x4(_mm512_castsi256_si512(half(i)), half(i + 2), 1); };
      a = both(0), b = both(1), c = both(2);
      if (kStride == 1) d = both(3);
    } else {
      auto lane = [&](int i) HWY_ATTR { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + at)); };
      auto four = [&](int i) HWY_ATTR {
        const __m512i v = _mm512_inserti32x4(_mm512_castsi128_si512(lane(i)), lane(i + 2), 1);
        return _mm512_inserti32x4(_mm512_inserti32x4(v, lane(i + 4), 2), lane(i + 6), 3);
      };
      a = four(0), b = four(1);
      c = _mm512_alignr_epi64(_mm512_castsi128_si512(lane(8)), a, 2);
      if (kStride == 1) d = _mm512_alignr_epi64(_mm512_castsi128_si512(lane(9)), b, 2);
    }
    if (turned_) {
      const __m512i turn = _mm512_set1_epi8(static_cast<char>(0x80));
      a = _mm512_xor_si512(a, turn), b = _mm512_xor_si512(b, turn), c = _mm512_xor_si512(c, turn), d = _mm512_xor_si512(d, turn);
    }
    const __m512i ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
    const __m512i cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);
    q[0] = _mm512_unpacklo_epi16(ab0, cd0), q[1] = _mm512_unpackhi_epi16(ab0, cd0);
    q[2] = _mm512_unpacklo_epi16(ab1, cd1), q[3] = _mm512_unpackhi_epi16(ab1, cd1);
  }

  // A pixel, of rows `second`, `second` + 2, ... with stride 1, or of all.
  template <int kWeights>
  HWY_INLINE void Output(const __m512i* a, const __m512i* b, const __m512i* c, char* const (&to)[kRowsMax], int second, int64_t at) const {
    __m512i sum[4];
    LINNET_UNROLL
    for (int i = 0; i < 4; ++i) sum[i] = first_[i];
    LINNET_UNROLL
    for (int i = 0; i < 4; ++i) AddProducts<kEmulated>(sum[i], a[i], &block_.weights[kWeights][i]);
    LINNET_UNROLL
    for (int i = 0; i < 4; ++i) AddProducts<kEmulated>(sum[i], b[i], &block_.weights[kWeights + 1][i]);
    LINNET_UNROLL
    for (int i = 0; i < 4; ++i) AddProducts<kEmulated>(sum[i], c[i], &block_.weights[kWeights + 2][i]);
    __m512i bytes;
    if (HWY_LIKELY(floors_)) {
      LINNET_UNROLL
      for (int i = 0; i < 4; ++i) sum[i] = FloorRounding::Whole(sum[i], block_.scale[i], block_.back[i]);
      bytes = floor_.InLanes(sum);
    } else {
      __m512 t[4];
      LINNET_UNROLL
      for (int i = 0; i < 4; ++i) t[i] = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i]), block_.scale[i]);
      bytes = rounding_.InLanes(t[0], t[1], t[2], t[3]);
    }
    constexpr int kStep = kStride == 1 ? 2 : 1;
    if constexpr (kLanes == 1) {
      _mm512_storeu_si512(to[second] + at, bytes);
    } else if constexpr (kLanes == 2) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to[second + kStep] + at), _mm512_extracti64x4_epi64(bytes, 1));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to[second] + at), _mm512_castsi512_si256(bytes));
    } else {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to[second + 3 * kStep] + at), _mm512_extracti32x4_epi32(bytes, 3));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to[second + 2 * kStep] + at), _mm512_extracti32x4_epi32(bytes, 2));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to[second + kStep] + at), _mm512_extracti32x4_epi32(bytes, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to[second] + at), _mm512_castsi512_si128(bytes));
    }
  }

  const SquareBlock<kStride>& block_;
  const __m512i* const first_;
  const int64_t channels_, in_w_, out_w_, pad_, stride_;
  const bool turned_;
  const __m512i outside_;
  const bool floors_;
  const WideByteRounding rounding_;
  const FloorRounding floor_;
};

// Rows [row, end) of an image, all rows of whose output are `c.out_h`: `outside` is a row of zero points.
template <bool kEmulated, int kStride, int kLanes>
void SquareRows(const DepthwiseInt8& c, const SquareBlock<kStride>& block, bool floors, int64_t channel, const uint8_t* image, char* out,
                int64_t row, int64_t end, const uint8_t* outside) {
  using Walk = SquareWalk<kEmulated, kStride, kLanes>;
  const Walk walk(c, block, floors);
  for (; row < end; row += Walk::kRows) {
    const uint8_t* rows[kInRowsMax];
    char* to[kRowsMax];
    for (int i = 0; i < Walk::kInRows; ++i) {
      const int64_t y = row * kStride + i - c.pad_top;
      rows[i] = y >= 0 && y < c.in_h ? image + y * c.in_w * c.channels + channel : outside;
    }
    for (int64_t i = 0; i < Walk::kRows; ++i) {
      const int64_t second = kStride == 1 && row + 1 < end ? i % 2 : 0, at = row + i < end ? i : second;   // those stored after it
      to[i] = out + (row + at) * c.out_w * c.finish.c_row_stride + channel;
    }
    walk.Run(rows, to);
  }
}

template <bool kEmulated, int kStride>
void AllSquares(const DepthwiseInt8& c, const DepthwiseBytesHead& head, const char* prepared, int64_t row0, int64_t row1, uint8_t* outside) {
  memset(outside, c.input_zero, static_cast<size_t>(c.in_w * c.channels));
  const Squares squares(c);
  const bool floors = head.floors && c.finish.low >= 0;
  const auto* const blocks = reinterpret_cast<const SquareBlock<kStride>*>(prepared);
  for (int64_t row = row0; row < row1;) {
    const int64_t image = row / c.out_h, y = row % c.out_h, end = std::min({row1 - image * c.out_h, c.out_h});
    const uint8_t* const from = c.input + image * c.in_h * c.in_w * c.channels;
    char* const out = static_cast<char*>(c.finish.c) + image * c.out_h * c.out_w * c.finish.c_row_stride;
    // Rows that all channels go over while they are near.
    for (int64_t first = y; first < end; first += kRowsMax / kStride) {
      const int64_t last = std::min(end, first + kRowsMax / kStride);
      for (int64_t b = 0; b < squares.blocks; ++b) {
        const int64_t channel = squares.ChannelOf(b), width = squares.WidthOf(b);
        auto* const rows = width == 64   ? SquareRows<kEmulated, kStride, 1>
                           : width == 32 ? SquareRows<kEmulated, kStride, 2>
                                         : SquareRows<kEmulated, kStride, 4>;
        rows(c, blocks[b], floors, channel, from, out, first, last, outside);
      }
    }
    row = image * c.out_h + end;
  }
}

// [columns of a kernel][channels][4] bytes, three taps and a zero, from the pairs of 16-bit weights; false when one does not fit a byte.
bool PlainColumns(const DepthwiseInt8& c, int8_t* out) {
  const int64_t padded = RoundUp(c.channels, int64_t{8}), width = RoundUp(c.channels, int64_t{16});
  // Of a byte vector whose halves hold two pairs of taps of four channels, where the tap goes.
  auto order = [](int from, int to) HWY_ATTR {
    alignas(16) char bytes[16];
    memset(bytes, -1, sizeof(bytes));
    for (int i = 0; i < 4; ++i) bytes[4 * i + to] = static_cast<char>(from + 2 * i);
    return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
  };
  const __m128i from0[3] = {order(0, 0), order(1, 0), order(8, 0)}, from1[3] = {order(9, 1), order(0, 1), order(1, 1)};
  const __m128i from2[3] = {order(8, 2), order(9, 2), order(0, 2)};
  __m128i beyond = _mm_setzero_si128();
  for (int64_t i = 0; i < padded; i += 4) {
    auto pair = [&](int64_t p) HWY_ATTR {
      const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(c.packed + (p * padded + i) * 2));
      beyond = _mm_or_si128(beyond, _mm_xor_si128(v, _mm_cvtepi8_epi16(_mm_packs_epi16(v, v))));
      return v;
    };
    const __m128i p0 = pair(0), p1 = pair(1), p2 = pair(2), p3 = pair(3), p4 = pair(4);
    const __m128i taps03 = _mm_packs_epi16(p0, p1), taps47 = _mm_packs_epi16(p2, p3), tap8 = _mm_packs_epi16(p4, p4);
    for (int64_t j = 0; j < 3; ++j) {
      const __m128i v = _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(taps03, from0[j]), _mm_shuffle_epi8(j == 0 ? taps03 : taps47, from1[j])),
                                     _mm_shuffle_epi8(j == 2 ? tap8 : taps47, from2[j]));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + (j * width + i) * 4), v);
    }
  }
  return _mm_testz_si128(beyond, beyond) != 0;
}

template <bool kEmulated, int kStride>
void PrepareSquareBlocks(const DepthwiseInt8& c, DepthwiseBytesHead* head, char* prepared) {
  const Squares squares(c);
  auto* const blocks = reinterpret_cast<SquareBlock<kStride>*>(prepared);
  int8_t* const plain = reinterpret_cast<int8_t*>(blocks + squares.blocks);
  if (!PlainColumns(c, plain)) return;
  *head = {true, true, true};
  const int64_t padded = RoundUp(c.channels, int64_t{16});
  const __m512i zero = _mm512_set1_epi32(c.input_zero + (c.input_signed ? 128 : 0)), ones = _mm512_set1_epi8(1);
  for (int64_t b = 0; b < squares.blocks; ++b) {
    SquareBlock<kStride>& block = blocks[b];
    for (int64_t i = 0; i < 4; ++i) {
      alignas(64) int32_t first[16];
      alignas(64) float scale[16];
      alignas(64) int8_t weights[3][64];
      for (int64_t lane = 0; lane < 4; ++lane) {
        const int64_t channel = squares.ChannelOf(b) + lane * 16 % squares.WidthOf(b) + i * 4;
        for (int64_t j = 0; j < 3; ++j) memcpy(weights[j] + lane * 16, plain + (j * padded + channel) * 4, 16);
        if (c.finish.offset) {
          memcpy(first + lane * 4, c.finish.offset + channel, 16);
        } else {
          memset(first + lane * 4, 0, 16);
        }
        memcpy(scale + lane * 4, c.finish.scale + channel, 16);
      }
      __m512i sum = _mm512_setzero_si512();
      for (int64_t j = 0; j < 3; ++j) {
        const __m512i w = _mm512_load_si512(weights[j]);
        block.weights[j][i] = w;
        if constexpr (kStride == 1) block.weights[3 + j][i] = _mm512_slli_epi32(w, 8);
        AddProducts<kEmulated>(sum, ones, &w);
      }
      const __m512i begin = _mm512_sub_epi32(_mm512_load_si512(first), _mm512_mullo_epi32(zero, sum));
      block.first[0][i] = FloorRounding::Begin(begin), block.first[1][i] = begin;
      block.scale[i] = _mm512_load_ps(scale);
      block.back[i] = FloorRounding::Back(block.scale[i]);
      head->floors = head->floors && FloorRounding::Serves(block.scale[i], begin, 9);
    }
  }
}

void PrepareSquares(const DepthwiseInt8& c, bool emulated, DepthwiseBytesHead* head, char* prepared) {
  auto* const prepare = c.stride_w == 1 ? (emulated ? PrepareSquareBlocks<true, 1> : PrepareSquareBlocks<false, 1>)
                                        : (emulated ? PrepareSquareBlocks<true, 2> : PrepareSquareBlocks<false, 2>);
  prepare(c, head, prepared);
}

void SquareRowsOf(const DepthwiseInt8& c, bool emulated, const DepthwiseBytesHead& head, const char* prepared, int64_t row0, int64_t row1, void* scratch) {
  auto* const run = c.stride_w == 1 ? (emulated ? AllSquares<true, 1> : AllSquares<false, 1>) : (emulated ? AllSquares<true, 2> : AllSquares<false, 2>);
  run(c, head, prepared, row0, row1, static_cast<uint8_t*>(scratch));
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // AVX-512

#endif  // __x86_64__
