// 8-bit depthwise convolution: the ring of rows and the loop over pairs of taps.
#include "kernels/int8/int8_depthwise.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "base/parts.h"
#include "kernels/int8/int8_depthwise_ring.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_depthwise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Int8Kernels::finish of this target. Defined in int8_gemm.cc.
void Int8Finish(const FinishInt8& finish, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                int64_t columns);

constexpr int kChannels = 8;   // of a vector of 16-bit numbers
using D16 = hn::FixedTag<int16_t, kChannels>;
using D32 = hn::FixedTag<int32_t, kChannels / 2>;

// Neighbouring pixels of a row, and channels [channel0, channel1) of them.
struct DepthwiseRow {
  const DepthwiseInt8& conv;
  const int16_t* const* taps;   // 2 pairs of them, of pixel 0 and channel 0 of the slice
  int64_t pairs;
  int64_t channel0, channel1;
  int64_t step;                 // from pixel to pixel
  int64_t pixel, count;         // of the output: the first, and how many
};

#if HWY_TARGET == HWY_AVX2
constexpr int kWideChannels = 16;

// Channels [c, c + 16) of all pixels. Interleaving and packing stay within halves of registers, so that weights, offsets and
// scales are wanted as 0-3, 8-11 and 4-7, 12-15.
template <int kPairs, class To>
HWY_NOINLINE void DepthwiseWide(const DepthwiseRow& r, int64_t c) {
  const FinishInt8 f = r.conv.finish;
  auto load = [](const void* p) HWY_ATTR { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); };
  auto first = [&](const void* p) HWY_ATTR { return _mm256_permute2x128_si256(load(p), load(static_cast<const char*>(p) + 32), 0x20); };
  auto second = [&](const void* p) HWY_ATTR { return _mm256_permute2x128_si256(load(p), load(static_cast<const char*>(p) + 32), 0x31); };
  const int64_t padded = RoundUp(r.conv.channels, kChannels), at = r.channel0 + c;
  alignas(32) int16_t weights[kPairs][2][kWideChannels];
  const int16_t* taps[2 * kPairs];
  for (int q = 0; q < kPairs; ++q) {
    const int16_t* both = r.conv.packed + (q * padded + at) * 2;
    _mm256_store_si256(reinterpret_cast<__m256i*>(weights[q][0]), first(both));
    _mm256_store_si256(reinterpret_cast<__m256i*>(weights[q][1]), second(both));
    taps[2 * q] = r.taps[2 * q] + c, taps[2 * q + 1] = r.taps[2 * q + 1] + c;
  }
  const __m256i offset0 = f.offset ? first(f.offset + at) : _mm256_setzero_si256();
  const __m256i offset1 = f.offset ? second(f.offset + at) : _mm256_setzero_si256();
  const __m256 scale0 = _mm256_castsi256_ps(first(f.scale + at)), scale1 = _mm256_castsi256_ps(second(f.scale + at));
  const float* const biases = std::is_same_v<To, ActivatedByte> ? f.epilogue.bias : f.scale;
  const __m256 bias0 = _mm256_castsi256_ps(first(biases + at)), bias1 = _mm256_castsi256_ps(second(biases + at));
  const TablePlaces find(f.high);
  const Bend bend(f);
  const WideByteRounding rounding(std::is_same_v<To, ActivatedByte> ? f.to_signed : std::is_signed_v<To>, f.low, f.high, f.zero);
  To* to = static_cast<To*>(f.c) + r.pixel * f.c_row_stride + at;
  const int64_t step = r.step, stride = f.c_row_stride, end = r.count * step;
  for (int64_t x = 0; x < end; x += step, to += stride) {
    __m256i low = offset0, high = offset1;
    LINNET_UNROLL
    for (int q = 0; q < kPairs; ++q) {
      const __m256i a = load(taps[2 * q] + x), b = load(taps[2 * q + 1] + x);
      low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), load(weights[q][0])));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), load(weights[q][1])));
    }
    const __m256 t0 = _mm256_mul_ps(_mm256_cvtepi32_ps(low), scale0), t1 = _mm256_mul_ps(_mm256_cvtepi32_ps(high), scale1);
    if constexpr (std::is_same_v<To, ActivatedByte>) {
      const hn::FixedTag<float, 8> df;
      const hn::Vec<decltype(df)> value0{_mm256_add_ps(t0, bias0)}, value1{_mm256_add_ps(t1, bias1)};
      if (f.table) {
        alignas(32) uint32_t places[kWideChannels];
        _mm256_store_si256(reinterpret_cast<__m256i*>(places), find(df, value0).raw);
        _mm256_store_si256(reinterpret_cast<__m256i*>(places + 8), find(df, value1).raw);
        LINNET_UNROLL
        for (int i = 0; i < kWideChannels; ++i) to[i].byte = f.table[places[i / 4 % 2 * 8 + i / 8 * 4 + i % 4]];
      } else {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), rounding.Half(bend(df, value0).raw, bend(df, value1).raw));
      }
    } else {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), rounding.Half(t0, t1));
    }
  }
}
#endif

// kPairs: of taps, 0 for any number. To: uint8_t, int8_t, ActivatedByte, or void for what Int8Finish does.
template <int kPairs, class To>
void DepthwisePixels(const DepthwiseRow& row) {
  const D16 d16;
  const D32 d32;
  const hn::FixedTag<float, 4> df;
  // Copies: what bytes are stored to might be any of these, for all that compilers know.
  const FinishInt8 f = row.conv.finish;
  const DepthwiseRow r = row;
  int64_t first_channel = 0;
#if HWY_TARGET == HWY_AVX2
  if constexpr (kPairs > 0 && !std::is_void_v<To>) {
    for (; first_channel + kWideChannels <= r.channel1 - r.channel0; first_channel += kWideChannels) {
      DepthwiseWide<kPairs, To>(r, first_channel);
    }
    if (first_channel == r.channel1 - r.channel0) return;
  }
#endif
  const int64_t pairs = kPairs ? kPairs : r.pairs, padded = RoundUp(r.conv.channels, kChannels), width = r.channel1 - r.channel0;
  const int16_t* taps[kPairs ? 2 * kPairs : 1];
  for (int t = 0; t < 2 * kPairs; ++t) taps[t] = r.taps[t];
  const int16_t* const* const tap = kPairs ? taps : r.taps;
  const int16_t* const weights = r.conv.packed + r.channel0 * 2;
  const float* const scale = f.scale ? f.scale + r.channel0 : nullptr;
  const int32_t* const offset = f.offset ? f.offset + r.channel0 : nullptr;
  const float* const bias = f.epilogue.bias ? f.epilogue.bias + r.channel0 : nullptr;
  const TablePlaces find(f.high);
  const hn::RebindToUnsigned<D32> du;
  using Byte = std::conditional_t<std::is_integral_v<To>, To, uint8_t>;
  const ByteRounding<Byte> rounding(f.low, f.high, f.zero);
  const ByteRounding<int8_t> rounding_signed(f.low, f.high, f.zero);
  const Bend bend(f);
  for (int64_t x = 0; x < r.count; ++x) {
    Byte* to = static_cast<Byte*>(f.c) + (r.pixel + x) * f.c_row_stride + r.channel0;
    for (int64_t c = first_channel; c < width; c += kChannels) {
      const int64_t from = x * r.step + c;
      auto low = hn::Zero(d32), high = hn::Zero(d32);
      if (offset) low = hn::LoadU(d32, offset + c), high = hn::LoadU(d32, offset + c + 4);
      LINNET_UNROLL
      for (int p = 0; p < (kPairs ? kPairs : 1); ++p) {
        for (int64_t q = p; q < (kPairs ? p + 1 : pairs); ++q) {
          const auto a = hn::LoadU(d16, tap[2 * q] + from), b = hn::LoadU(d16, tap[2 * q + 1] + from);
          const int16_t* both = weights + q * padded * 2 + c * 2;
          low = hn::Add(low, PairProducts(hn::InterleaveLower(d16, a, b), hn::LoadU(d16, both)));
          high = hn::Add(high, PairProducts(hn::InterleaveUpper(d16, a, b), hn::LoadU(d16, both + kChannels)));
        }
      }
      const int64_t left = width - c;
      if constexpr (std::is_same_v<To, ActivatedByte>) {
        auto value = [&](hn::Vec<D32> sum, int64_t at) HWY_ATTR {
          return hn::Add(hn::Mul(hn::ConvertTo(df, sum), hn::LoadU(df, scale + at)), hn::LoadU(df, bias + at));
        };
        uint8_t bytes[kChannels];
        uint8_t* const out = left >= kChannels ? to + c : bytes;
        if (f.table) {
          alignas(16) uint32_t places[kChannels];
          hn::Store(find(df, value(low, c)), du, places);
          hn::Store(find(df, value(high, c + 4)), du, places + 4);
          LINNET_UNROLL
          for (int i = 0; i < kChannels; ++i) out[i] = f.table[places[i]];
        } else if (f.to_signed) {
          rounding_signed.Store(bend(df, value(low, c)), bend(df, value(high, c + 4)), reinterpret_cast<int8_t*>(out));
        } else {
          rounding.Store(bend(df, value(low, c)), bend(df, value(high, c + 4)), out);
        }
        if (out == bytes) memcpy(to + c, bytes, static_cast<size_t>(left));
      } else if constexpr (std::is_void_v<To>) {
        alignas(16) int32_t sums[kPanelColumns] = {};
        hn::Store(low, d32, sums);
        hn::Store(high, d32, sums + 4);
        FinishInt8 rest = f;
        rest.offset = rest.column_zero = nullptr;
        Int8Finish(rest, sums, nullptr, r.pixel + x, 1, r.channel0 + c, std::min<int64_t>(left, kChannels));
      } else {
        const auto t0 = hn::Mul(hn::ConvertTo(df, low), hn::LoadU(df, scale + c));
        const auto t1 = hn::Mul(hn::ConvertTo(df, high), hn::LoadU(df, scale + c + 4));
        if (HWY_LIKELY(left >= kChannels)) {
          rounding.Store(t0, t1, to + c);
        } else {
          To bytes[kChannels];
          rounding.Store(t0, t1, bytes);
          memcpy(to + c, bytes, static_cast<size_t>(left));
        }
      }
    }
  }
}

// n bytes less their zero point.
template <class T>
void CenterBytes(const T* from, int64_t n, int32_t zero, int16_t* to) {
  const D16 d16;
  const hn::Rebind<T, D16> d8;
  const auto less = hn::Set(d16, static_cast<int16_t>(zero));
  int64_t i = 0;
#if HWY_TARGET == HWY_AVX2
  const hn::FixedTag<int16_t, kWideChannels> d16_wide;
  const hn::Rebind<T, decltype(d16_wide)> d8_wide;
  const auto less_wide = hn::Set(d16_wide, static_cast<int16_t>(zero));
  for (; i + kWideChannels <= n; i += kWideChannels) {
    hn::StoreU(hn::Sub(hn::PromoteTo(d16_wide, hn::LoadU(d8_wide, from + i)), less_wide), d16_wide, to + i);
  }
#endif
  for (; i + kChannels <= n; i += kChannels) hn::StoreU(hn::Sub(hn::PromoteTo(d16, hn::LoadU(d8, from + i)), less), d16, to + i);
  for (; i < n; ++i) to[i] = static_cast<int16_t>(from[i] - zero);
}

// Row y of the image, channels [channel0, channel1), as `pixels` pixels from -pad_left on.
template <class T>
void FillRow(const DepthwiseInt8& c, int64_t image, int64_t y, int64_t channel0, int64_t channel1, int64_t pixels, int16_t* out) {
  const int64_t width = RoundUp(channel1 - channel0, kChannels), channels = channel1 - channel0;
  auto zero = [&](int64_t begin, int64_t end) {
    if (end > begin) memset(out + begin * width, 0, static_cast<size_t>((end - begin) * width) * 2);
  };
  if (y < 0 || y >= c.in_h) return zero(0, pixels);
  const int64_t begin = std::clamp<int64_t>(c.pad_left, 0, pixels);
  const int64_t end = std::clamp<int64_t>(c.in_w + c.pad_left, begin, pixels);
  const T* row = reinterpret_cast<const T*>(c.input) + (image * c.in_h + y) * c.in_w * c.channels + channel0;
  zero(0, begin);
  if (channels == c.channels && width == channels) {
    CenterBytes(row + (begin - c.pad_left) * channels, (end - begin) * channels, c.input_zero, out + begin * width);
  } else {
    for (int64_t i = begin; i < end; ++i) {
      CenterBytes(row + (i - c.pad_left) * c.channels, channels, c.input_zero, out + i * width);
      for (int64_t k = channels; k < width; ++k) out[i * width + k] = 0;
    }
  }
  zero(end, pixels);
}

template <class To>
void DepthwisePixelsOf(const DepthwiseRow& row) {
  switch (row.pairs) {
    case 5:
      if constexpr (kDepthwise3) return DepthwisePixels<5, To>(row);
      break;
    case 13:
      if constexpr (kDepthwise5) return DepthwisePixels<13, To>(row);
      break;
  }
  DepthwisePixels<0, To>(row);
}

void DepthwisePixelsOf(const DepthwiseRow& row) {
  switch (row.conv.finish.to) {
    case FinishInt8::To::kInt8:
      if constexpr (kSignedBytes) return DepthwisePixelsOf<int8_t>(row);
      break;
    case FinishInt8::To::kUint8: return DepthwisePixelsOf<uint8_t>(row);
    case FinishInt8::To::kActivated:
#if defined(LINNET_SMALL)
      if constexpr (kWideResults) DepthwisePixels<0, ActivatedByte>(row);
      return;
#else
      return DepthwisePixelsOf<ActivatedByte>(row);
#endif
    default: break;
  }
#if defined(LINNET_SMALL)
  if constexpr (kWideResults) DepthwisePixels<0, void>(row);   // what is stored otherwise costs more than the products
#else
  DepthwisePixelsOf<void>(row);
#endif
}

// Pixel by pixel, its taps copied: where a ring would be too long, strides or dilations being huge.
template <class T>
void DepthwiseTaps(const DepthwiseInt8& c, int64_t row0, int64_t row1, int64_t width, const int16_t** tap, int16_t* copies) {
  for (int64_t pixel = row0 * c.out_w; pixel < row1 * c.out_w; ++pixel) {
    const int64_t x = pixel % c.out_w * c.stride_w - c.pad_left, row = pixel / c.out_w;
    const int64_t top = row % c.out_h * c.stride_h - c.pad_top, taps = c.kernel_h * c.kernel_w;
    const T* image = reinterpret_cast<const T*>(c.input) + row / c.out_h * c.in_h * c.in_w * c.channels;
    for (int64_t channel = 0; channel < c.channels; channel += width) {
      const int64_t end = std::min(c.channels, channel + width);
      memset(copies, 0, static_cast<size_t>(taps * width) * 2);
      for (int64_t t = 0; t < taps; ++t) {
        tap[t] = copies + t * width;
        const int64_t in_y = top + t / c.kernel_w * c.dilation_h, in_x = x + t % c.kernel_w * c.dilation_w;
        if (in_y < 0 || in_y >= c.in_h || in_x < 0 || in_x >= c.in_w) continue;
        CenterBytes(image + (in_y * c.in_w + in_x) * c.channels + channel, end - channel, c.input_zero, copies + t * width);
      }
      tap[taps] = tap[taps - 1];
      DepthwisePixelsOf({c, tap, (taps + 1) / 2, channel, end, 0, pixel, 1});
    }
  }
}

// Reads the packed weights as they are.
void DepthwiseInt8Rows(const DepthwiseInt8& c, const void*, int64_t row0, int64_t row1, void* scratch) {
  const DepthwiseRing ring(c);
  const int64_t taps = c.kernel_h * c.kernel_w;
  const int16_t** tap = static_cast<const int16_t**>(scratch);
  int64_t* holds = reinterpret_cast<int64_t*>(tap + taps + 1);
  int16_t* rows = reinterpret_cast<int16_t*>(static_cast<char*>(scratch) + ring.table_bytes);
  if (ring.rows == 0) {
    return kSignedBytes && c.input_signed ? DepthwiseTaps<int8_t>(c, row0, row1, ring.width, tap, rows)
                          : DepthwiseTaps<uint8_t>(c, row0, row1, ring.width, tap, rows);
  }
  for (int64_t channel = 0; channel < c.channels; channel += ring.width) {
    const int64_t end = std::min(c.channels, channel + ring.width), width = RoundUp(end - channel, kChannels);
    const int64_t row_size = ring.pixels * width;
    int64_t image = -1;
    for (int64_t row = row0; row < row1; ++row) {
      if (row / c.out_h != image) {
        image = row / c.out_h;
        for (int64_t i = 0; i < ring.rows; ++i) holds[i] = -1;
      }
      const int64_t top = row % c.out_h * c.stride_h;   // of the kernel, in the padded image
      for (int64_t i = 0; i < c.kernel_h; ++i) {
        const int64_t y = top + i * c.dilation_h, slot = y % ring.rows;
        int16_t* kept = rows + slot * row_size;
        if (holds[slot] != y) {
          holds[slot] = y;
          if (kSignedBytes && c.input_signed) {
            FillRow<int8_t>(c, image, y - c.pad_top, channel, end, ring.pixels, kept);
          } else {
            FillRow<uint8_t>(c, image, y - c.pad_top, channel, end, ring.pixels, kept);
          }
        }
        for (int64_t j = 0; j < c.kernel_w; ++j) tap[i * c.kernel_w + j] = kept + j * c.dilation_w * width;
      }
      tap[taps] = tap[taps - 1];   // the second of an odd pair: its weights are zeros
      const DepthwiseRow job = {c, tap, (taps + 1) / 2, channel, end, c.stride_w * width, row * c.out_w, c.out_w};
      DepthwisePixelsOf(job);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

int64_t PackedDepthwiseSizeInt8(int64_t channels, int64_t taps) { return (taps + 1) / 2 * RoundUp(channels, 8) * 2; }

void PackDepthwiseInt8(const void* weights, bool is_signed, const int32_t* zeros, int64_t channels, int64_t taps, int16_t* out) {
  const int64_t padded = RoundUp(channels, 8);
  memset(out, 0, static_cast<size_t>(PackedDepthwiseSizeInt8(channels, taps)) * 2);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t t = 0; t < taps; ++t) {
      const uint8_t byte = static_cast<const uint8_t*>(weights)[c * taps + t];
      const int32_t w = (is_signed ? static_cast<int8_t>(byte) : byte) - zeros[c];
      out[(t / 2 * padded + c) * 2 + t % 2] = static_cast<int16_t>(w);
    }
  }
}

DepthwiseInt8Fn* PickDepthwisePairs(CpuLevel level) { return LINNET_PICK(level, DepthwiseInt8Rows); }

}  // namespace linnet
#endif
