// 8-bit depthwise convolution where an instruction multiplies and adds four bytes (AVX-512 VNNI): 64 channels at a time.
//
// Rows of the image are kept as unsigned bytes, with the zero point where padding is, in a ring of rows. Taps come in fours,
// interleaved so that one instruction does all of them; sums need no reordering before they become bytes:
//
//     taps a b c d of 64 channels   ->   q0: a0 b0 c0 d0 .. a3 ..   | a16 ..  | ..      channels 4 i .. 4 i + 3 of every sixteen
//                                        q1: a4 b4 c4 d4 ..         | a20 ..  | ..
//
// Most kernels of 3x3 go another way (int8_depthwise_squares.cc); of fewer than 16 channels, or with strides that differ, they
// go down a column of a strip of rows: three taps of a row of the image are interleaved once for all rows of the
// output that they belong to. Other kernels go along a row of the output, any four taps at a time.
//
// Where pixels are neighbours (stride 1), a row is one run of bytes, whose weights repeat every lcm(channels, 64): few channels
// leave no lanes empty.
#include <string.h>

#include <algorithm>
#include <new>

#include "base/memory.h"
#include "kernels/int8/int8_depthwise.h"
#include "kernels/int8/int8_depthwise_ring.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_depthwise_bytes.cc"
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

// Of most kernels of 3x3. Defined in int8_depthwise_squares.cc.
void PrepareSquares(const DepthwiseInt8& c, bool emulated, DepthwiseBytesHead* head, char* prepared);
void SquareRowsOf(const DepthwiseInt8& c, bool emulated, const DepthwiseBytesHead& head, const char* prepared, int64_t row0, int64_t row1, void* scratch);

using Layout = DepthwiseBytesLayout;
constexpr int64_t kChannels = Layout::kChannels;   // of a vector of bytes

// A block of weights: [quads][4] vectors, then 4 of first sums and 4 of scales, all in the order of the sums.
struct Block {
  const __m512i* weights;
  const __m512i* first;
  const __m512* scale;
};

// Sums as bytes.
template <bool kBounded>
HWY_INLINE void StoreSums(const __m512i* sum, const __m512* scale, const WideByteRounding& rounding, void* to, __mmask64 mask) {
  __m512 t[4];
  LINNET_UNROLL
  for (int i = 0; i < 4; ++i) t[i] = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[i]), scale[i]);
  const __m512i bytes = rounding.template InLanes<kBounded>(t[0], t[1], t[2], t[3]);
  if (HWY_LIKELY(mask == ~__mmask64{0})) {
    _mm512_storeu_si512(to, bytes);
  } else {
    _mm512_mask_storeu_epi8(to, mask, bytes);
  }
}

// 64 neighbouring bytes of `count` rows of the output, 3x3: `from` is the first of their rows in the strip.
template <bool kEmulated, int kStride, bool kBounded>
HWY_INLINE void Column64(const Block& block, const uint8_t* from, int64_t row_bytes, int64_t channels, int64_t count,
                         const WideByteRounding& rounding, char* to, int64_t to_row, __mmask64 mask) {
  const __m512i zeros = _mm512_setzero_si512();
  auto interleave = [&](const uint8_t* row, __m512i* q) HWY_ATTR __attribute__((always_inline)) {
    const __m512i a = _mm512_loadu_si512(row), b = _mm512_loadu_si512(row + channels), c = _mm512_loadu_si512(row + 2 * channels);
    const __m512i ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
    const __m512i c0 = _mm512_unpacklo_epi8(c, zeros), c1 = _mm512_unpackhi_epi8(c, zeros);
    q[0] = _mm512_unpacklo_epi16(ab0, c0), q[1] = _mm512_unpackhi_epi16(ab0, c0);
    q[2] = _mm512_unpacklo_epi16(ab1, c1), q[3] = _mm512_unpackhi_epi16(ab1, c1);
  };
  auto add = [&](__m512i* sum, const __m512i* q, int row) HWY_ATTR __attribute__((always_inline)) {
    LINNET_UNROLL
    for (int i = 0; i < 4; ++i) AddProducts<kEmulated>(sum[i], q[i], block.weights + 4 * row + i);
  };
  auto begin = [&](__m512i* sum) HWY_ATTR __attribute__((always_inline)) {
    LINNET_UNROLL
    for (int i = 0; i < 4; ++i) sum[i] = block.first[i];
  };
  __m512i q[4], x[4], y[4], z[4];
  if constexpr (kStride == 2) {
    interleave(from, q);
    begin(x);
    add(x, q, 0);
    for (int64_t r = 0; r < count; ++r, to += to_row) {
      from += row_bytes;
      interleave(from, q);
      add(x, q, 1);
      from += row_bytes;
      interleave(from, q);
      add(x, q, 2);
      StoreSums<kBounded>(x, block.scale, rounding, to, mask);
      begin(x);
      add(x, q, 0);
    }
    return;
  }
  begin(x);
  begin(y);
  interleave(from, q);
  add(x, q, 0);
  from += row_bytes;
  interleave(from, q);
  add(x, q, 1);
  add(y, q, 0);
  // x is two rows old, y one; each step ends one row and begins one.
  auto step = [&](__m512i* old, __m512i* middle, __m512i* young) HWY_ATTR __attribute__((always_inline)) {
    from += row_bytes;
    interleave(from, q);
    add(old, q, 2);
    add(middle, q, 1);
    begin(young);
    add(young, q, 0);
    StoreSums<kBounded>(old, block.scale, rounding, to, mask);
    to += to_row;
  };
  for (; count >= 3; count -= 3) {
    step(x, y, z);
    step(y, z, x);
    step(z, x, y);
  }
  if (count > 0) step(x, y, z);
  if (count > 1) step(y, z, x);
}

// 64 neighbouring bytes of the output, channels of a block; `from`: bytes behind the taps' pointers.
template <bool kEmulated, int kQuads, bool kBounded>
HWY_INLINE void Bytes64(const Block& block, const uint8_t* const* tap, int64_t quads, int64_t from, const WideByteRounding& rounding,
                        void* to, __mmask64 mask) {
  __m512i sum[4];
  LINNET_UNROLL
  for (int i = 0; i < 4; ++i) sum[i] = block.first[i];
  const __m512i* weights = block.weights;
  auto quad = [&](int64_t q) HWY_ATTR {
    const __m512i a = _mm512_loadu_si512(tap[4 * q] + from), b = _mm512_loadu_si512(tap[4 * q + 1] + from);
    const __m512i c = _mm512_loadu_si512(tap[4 * q + 2] + from), d = _mm512_loadu_si512(tap[4 * q + 3] + from);
    const __m512i ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
    const __m512i cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);
    AddProducts<kEmulated>(sum[0], _mm512_unpacklo_epi16(ab0, cd0), weights + 4 * q);
    AddProducts<kEmulated>(sum[1], _mm512_unpackhi_epi16(ab0, cd0), weights + 4 * q + 1);
    AddProducts<kEmulated>(sum[2], _mm512_unpacklo_epi16(ab1, cd1), weights + 4 * q + 2);
    AddProducts<kEmulated>(sum[3], _mm512_unpackhi_epi16(ab1, cd1), weights + 4 * q + 3);
  };
  if constexpr (kQuads > 0) {
    LINNET_UNROLL
    for (int q = 0; q < kQuads; ++q) quad(q);
  } else {
    for (int64_t q = 0; q < quads; ++q) quad(q);
  }
  StoreSums<kBounded>(sum, block.scale, rounding, to, mask);
}

HWY_INLINE __mmask64 FirstBytes(int64_t n) { return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1; }

// A row of the output.
template <bool kEmulated, int kQuads, bool kBounded>
void OutputRow(const DepthwiseInt8& c, const Layout& layout, const uint8_t* const* taps, const char* blocks, int64_t row) {
  const WideByteRounding rounding(c.finish.to == FinishInt8::To::kInt8, c.finish.low, c.finish.high, c.finish.zero);
  const uint8_t* tap[kQuads ? 4 * kQuads : 1];
  for (int i = 0; i < 4 * kQuads; ++i) tap[i] = taps[i];
  const uint8_t* const* const at = kQuads ? tap : taps;
  const int64_t quads = layout.quads, block_bytes = layout.block_bytes, stride = c.finish.c_row_stride;
  auto block = [&](int64_t i) {
    const __m512i* p = reinterpret_cast<const __m512i*>(blocks + i * block_bytes);
    return Block{p, p + 4 * quads, reinterpret_cast<const __m512*>(p + 4 * quads + 4)};
  };
  char* to = static_cast<char*>(c.finish.c) + row * c.out_w * stride;
  if (layout.flat && stride == c.channels) {
    const int64_t bytes = c.out_w * c.channels;
    int64_t b = 0;
    for (int64_t x = 0; x < bytes; x += kChannels) {
      Bytes64<kEmulated, kQuads, kBounded>(block(b), at, quads, x, rounding, to + x, FirstBytes(bytes - x));
      if (++b == layout.blocks) b = 0;
    }
    return;
  }
  const int64_t step = c.stride_w * c.channels;
  for (int64_t x = 0; x < c.out_w; ++x) {
    for (int64_t b = 0; b * kChannels < c.channels; ++b) {
      Bytes64<kEmulated, kQuads, kBounded>(block(b), at, quads, x * step + b * kChannels, rounding, to + x * stride + b * kChannels,
                                 FirstBytes(c.channels - b * kChannels));
    }
  }
}

// `count` rows of the output from a strip of rows of the image.
template <bool kEmulated, int kStride, bool kBounded>
void OutputStrip(const DepthwiseInt8& c, const Layout& layout, const uint8_t* rows, const char* blocks, int64_t row, int64_t count) {
  const WideByteRounding rounding(c.finish.to == FinishInt8::To::kInt8, c.finish.low, c.finish.high, c.finish.zero);
  const int64_t stride = c.finish.c_row_stride, to_row = c.out_w * stride, channels = c.channels, row_bytes = layout.row_bytes;
  char* to = static_cast<char*>(c.finish.c) + row * to_row;
  auto column = [&](int64_t b, int64_t from, char* at, int64_t bytes) HWY_ATTR {
    const __m512i* p = reinterpret_cast<const __m512i*>(blocks + b * layout.block_bytes);
    const Block block = {p, p + 12, reinterpret_cast<const __m512*>(p + 16)};
    Column64<kEmulated, kStride, kBounded>(block, rows + from, row_bytes, channels, count, rounding, at, to_row, FirstBytes(bytes));
  };
  if (layout.flat && stride == channels) {
    const int64_t bytes = c.out_w * channels;
    int64_t b = 0;
    for (int64_t x = 0; x < bytes; x += kChannels) {
      column(b, x, to + x, bytes - x);
      if (++b == layout.blocks) b = 0;
    }
    return;
  }
  for (int64_t x = 0; x < c.out_w; ++x) {
    for (int64_t b = 0; b * kChannels < channels; ++b) {
      column(b, x * c.stride_w * channels + b * kChannels, to + x * stride + b * kChannels, channels - b * kChannels);
    }
  }
}

// Bytes, those of signed images 128 more.
void CopyRow(const uint8_t* from, int64_t n, uint8_t flip, uint8_t* to) {
  if (flip == 0) {
    memcpy(to, from, static_cast<size_t>(n));
    return;
  }
  const __m512i flips = _mm512_set1_epi8(static_cast<char>(flip));
  for (int64_t i = 0; i < n; i += 64) {
    const __mmask64 mask = FirstBytes(n - i);
    _mm512_mask_storeu_epi8(to + i, mask, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, from + i), flips));
  }
}

// The same of a 3x3 kernel, a quad a row: three taps and a zero.
bool PlainRows(const DepthwiseInt8& c, int8_t* out) {
  const int64_t padded = RoundUp(c.channels, int64_t{8}), width = RoundUp(c.channels, int64_t{16});
  const char n = -1;
  const __m128i row0 = _mm_setr_epi8(0, 1, 8, n, 2, 3, 10, n, 4, 5, 12, n, 6, 7, 14, n);
  const __m128i row1_first = _mm_setr_epi8(9, n, n, n, 11, n, n, n, 13, n, n, n, 15, n, n, n);
  const __m128i row1_rest = _mm_setr_epi8(n, 0, 1, n, n, 2, 3, n, n, 4, 5, n, n, 6, 7, n);
  const __m128i row2_first = _mm_setr_epi8(8, 9, n, n, 10, 11, n, n, 12, 13, n, n, 14, 15, n, n);
  const __m128i row2_last = _mm_setr_epi8(n, n, 0, n, n, n, 2, n, n, n, 4, n, n, n, 6, n);
  __m128i beyond = _mm_setzero_si128();
  for (int64_t i = 0; i < padded; i += 4) {
    auto pair = [&](int64_t p) {
      const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(c.packed + (p * padded + i) * 2));
      beyond = _mm_or_si128(beyond, _mm_xor_si128(v, _mm_cvtepi8_epi16(_mm_packs_epi16(v, v))));
      return v;
    };
    const __m128i p0 = pair(0), p1 = pair(1), p2 = pair(2), p3 = pair(3), p4 = pair(4);
    const __m128i taps03 = _mm_packs_epi16(p0, p1), taps47 = _mm_packs_epi16(p2, p3), tap8 = _mm_packs_epi16(p4, p4);
    auto store = [&](int64_t row, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(out + (row * width + i) * 4), v); };
    store(0, _mm_shuffle_epi8(taps03, row0));
    store(1, _mm_or_si128(_mm_shuffle_epi8(taps03, row1_first), _mm_shuffle_epi8(taps47, row1_rest)));
    store(2, _mm_or_si128(_mm_shuffle_epi8(taps47, row2_first), _mm_shuffle_epi8(tap8, row2_last)));
  }
  return _mm_testz_si128(beyond, beyond) != 0;
}

// [quads][channels][4] bytes from the pairs of 16-bit weights; false when one does not fit a byte.
bool PlainWeights(const DepthwiseInt8& c, const DepthwiseBytesBlocks& layout, int8_t* out) {
  const int64_t padded = RoundUp(c.channels, int64_t{8}), pairs = (layout.taps + 1) / 2, width = RoundUp(c.channels, int64_t{16});
  const __m128i order = _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
  __m128i beyond = _mm_setzero_si128();
  for (int64_t q = 0; q < layout.quads; ++q) {
    const int16_t* first = c.packed + 2 * q * padded * 2;
    const int16_t* second = 2 * q + 1 < pairs ? first + padded * 2 : nullptr;
    for (int64_t i = 0; i < padded; i += 4) {
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(first + i * 2));
      const __m128i b = second ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(second + i * 2)) : _mm_setzero_si128();
      const __m128i both = _mm_packs_epi16(a, b);
      beyond = _mm_or_si128(beyond, _mm_xor_si128(a, _mm_cvtepi8_epi16(both)));
      beyond = _mm_or_si128(beyond, _mm_xor_si128(b, _mm_cvtepi8_epi16(_mm_srli_si128(both, 8))));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + (q * width + i) * 4), _mm_shuffle_epi8(both, order));
    }
  }
  return _mm_testz_si128(beyond, beyond) != 0;
}

// Weights, first sums and scales of every block, in the order of the sums.
template <bool kEmulated>
void PrepareBlocks(const DepthwiseInt8& c, void* prepared) {
  const DepthwiseBytesBlocks layout(c);
  DepthwiseBytesHead* head = new (prepared) DepthwiseBytesHead();
  if (!layout.usable || !c.finish.scale) return;
  if (layout.squares.usable) return PrepareSquares(c, kEmulated, head, static_cast<char*>(prepared) + layout.kHeadBytes);
  char* out = static_cast<char*>(prepared) + layout.kHeadBytes;
  int8_t* plain = reinterpret_cast<int8_t*>(out + layout.blocks * layout.block_bytes);
  if (layout.by_columns ? !PlainRows(c, plain) : !PlainWeights(c, layout, plain)) return;
  head->fits = head->bounded = true;
  const int64_t width = RoundUp(c.channels, int64_t{16});
  const __m512i zero = _mm512_set1_epi32(c.input_zero + (c.input_signed ? 128 : 0)), ones = _mm512_set1_epi8(1);
  for (int64_t b = 0; b < layout.blocks; ++b, out += layout.block_bytes) {
    int8_t* weights = reinterpret_cast<int8_t*>(out);
    int32_t* first = reinterpret_cast<int32_t*>(out + layout.quads * 4 * 64);
    float* scale = reinterpret_cast<float*>(out + (layout.quads + 1) * 4 * 64);
    for (int64_t i = 0; i < 4; ++i) {
      for (int64_t lane = 0; lane < 4; ++lane) {
        int64_t channel = b * kChannels + lane * 16 + i * 4;
        channel = layout.flat ? channel % c.channels : std::min(channel, c.channels - 4);
        const int64_t at = i * 16 + lane * 4;
        for (int64_t q = 0; q < layout.quads; ++q) memcpy(weights + q * 256 + at * 4, plain + (q * width + channel) * 4, 16);
        if (c.finish.offset) {
          memcpy(first + at, c.finish.offset + channel, 16);
        } else {
          memset(first + at, 0, 16);
        }
        memcpy(scale + at, c.finish.scale + channel, 16);
      }
      __m512i sum = _mm512_setzero_si512();
      for (int64_t q = 0; q < layout.quads; ++q) AddProducts<kEmulated>(sum, ones, reinterpret_cast<const __m512i*>(weights + q * 256 + i * 64));
      __m512i* begin = reinterpret_cast<__m512i*>(first + i * 16);
      *begin = _mm512_sub_epi32(*begin, _mm512_mullo_epi32(zero, sum));
      head->bounded = head->bounded && WideByteRounding::Bounds(_mm512_loadu_ps(scale + i * 16));
    }
  }
}

// False, and nothing is done, where weights do not fit.
template <bool kEmulated>
bool DepthwiseBytes(const DepthwiseInt8& c, const void* prepared, int64_t row0, int64_t row1, void* scratch) {
  const Layout layout(c);
  const bool bytes = c.finish.to == FinishInt8::To::kInt8 || c.finish.to == FinishInt8::To::kUint8;
  if (!layout.usable || !bytes) return false;
  const DepthwiseBytesHead head = *static_cast<const DepthwiseBytesHead*>(prepared);
  if (!head.fits) return false;
  const bool bounded = head.bounded;
  const char* const blocks = static_cast<const char*>(prepared) + layout.kHeadBytes;
  if (layout.squares.usable) return SquareRowsOf(c, kEmulated, head, blocks, row0, row1, scratch), true;
  const uint8_t** tap = static_cast<const uint8_t**>(scratch);
  int64_t* holds = reinterpret_cast<int64_t*>(tap + layout.quads * 4);
  uint8_t* rows = static_cast<uint8_t*>(scratch) + layout.table_bytes;
  const uint8_t flip = c.input_signed ? 0x80 : 0;
  const int outside = c.input_zero + (c.input_signed ? 128 : 0);
  const int64_t begin = std::clamp<int64_t>(c.pad_left, 0, layout.pixels), end = std::clamp<int64_t>(c.in_w + c.pad_left, begin, layout.pixels);
  auto fill = [&](uint8_t* to, int64_t from, int64_t until) { memset(to + from * c.channels, outside, static_cast<size_t>((until - from) * c.channels)); };
  // Row y of the padded image.
  auto fill_row = [&](int64_t image, int64_t y, uint8_t* kept) {
    const int64_t in_y = y - c.pad_top;
    if (in_y < 0 || in_y >= c.in_h) return fill(kept, 0, layout.pixels);
    fill(kept, 0, begin);
    CopyRow(c.input + ((image * c.in_h + in_y) * c.in_w + begin - c.pad_left) * c.channels, (end - begin) * c.channels, flip,
            kept + begin * c.channels);
    fill(kept, end, layout.pixels);
  };

  if (layout.by_columns) {
    auto* const strip_of = c.stride_h == 1 ? (bounded ? OutputStrip<kEmulated, 1, true> : OutputStrip<kEmulated, 1, false>)
                                           : (bounded ? OutputStrip<kEmulated, 2, true> : OutputStrip<kEmulated, 2, false>);
    int64_t kept_image = -1, kept_from = 0, kept_until = 0;   // rows of the padded image in the strip
    for (int64_t row = row0; row < row1;) {
      const int64_t image = row / c.out_h, y = row % c.out_h;
      const int64_t count = std::min({layout.strip, row1 - row, c.out_h - y});
      const int64_t from = y * c.stride_h, until = (y + count - 1) * c.stride_h + 3;
      int64_t next = from;
      if (image == kept_image && from >= kept_from && from < kept_until) {   // the last rows of the strip before
        memmove(rows, rows + (from - kept_from) * layout.row_bytes, static_cast<size_t>((kept_until - from) * layout.row_bytes));
        next = kept_until;
      }
      for (; next < until; ++next) fill_row(image, next, rows + (next - from) * layout.row_bytes);
      kept_image = image, kept_from = from, kept_until = until;
      strip_of(c, layout, rows, blocks, row, count);
      row += count;
    }
    return true;
  }

  auto* const output_row = !bounded             ? OutputRow<kEmulated, 0, false>
                           : layout.quads == 7 ? OutputRow<kEmulated, 7, true>
                                               : OutputRow<kEmulated, 0, true>;
  int64_t image = -1;
  for (int64_t row = row0; row < row1; ++row) {
    if (row / c.out_h != image) {
      image = row / c.out_h;
      for (int64_t i = 0; i < layout.rows; ++i) holds[i] = -1;
    }
    const int64_t top = row % c.out_h * c.stride_h;   // of the kernel, in the padded image
    for (int64_t i = 0; i < c.kernel_h; ++i) {
      const int64_t y = top + i * c.dilation_h, slot = y % layout.rows;
      uint8_t* kept = rows + slot * layout.row_bytes;
      if (holds[slot] != y) {
        holds[slot] = y;
        fill_row(image, y, kept);
      }
      for (int64_t j = 0; j < c.kernel_w; ++j) tap[i * c.kernel_w + j] = kept + j * c.dilation_w * c.channels;
    }
    for (int64_t t = layout.taps; t < layout.quads * 4; ++t) tap[t] = tap[0];   // their weights are zeros
    output_row(c, layout, tap, blocks, row);
  }
  return true;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // AVX-512

#if HWY_ONCE
namespace linnet {

void PrepareDepthwiseBytes(const DepthwiseInt8& conv, bool emulated, void* prepared) {
  emulated ? N_AVX3::PrepareBlocks<true>(conv, prepared) : N_AVX3::PrepareBlocks<false>(conv, prepared);
}

bool DepthwiseBytesRows(const DepthwiseInt8& conv, bool emulated, const void* prepared, int64_t row0, int64_t row1, void* scratch) {
  return emulated ? N_AVX3::DepthwiseBytes<true>(conv, prepared, row0, row1, scratch)
                  : N_AVX3::DepthwiseBytes<false>(conv, prepared, row0, row1, scratch);
}

}  // namespace linnet
#endif

#endif  // __x86_64__
