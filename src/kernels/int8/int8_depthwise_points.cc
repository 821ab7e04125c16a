// 8-bit depthwise convolution with kernels of 1x1 on AVX2: a multiplication, an addition and a scale for each channel, 32 at a time.
#include <string.h>

#include <algorithm>

#include "kernels/int8/int8_depthwise.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_depthwise_points.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/unroll.h"

#if defined(__x86_64__) && !defined(LINNET_SMALL)

#if HWY_TARGET == HWY_AVX2

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int kVectors = 4;
constexpr int64_t kPointChannels = kVectors * 8;

// Output rows [row0, row1). Of the last channels, where they are no multiple of 32, some are computed a second time.
template <bool kSigned, class To>
void PointRows(const DepthwiseInt8& c, int64_t row0, int64_t row1) {
  const FinishInt8 f = c.finish;
  const WideByteRounding rounding(std::is_signed_v<To>, f.low, f.high, f.zero);
  const __m256i zero = _mm256_set1_epi32(c.input_zero);
  const int64_t step = c.stride_w * c.channels;
  for (int64_t row = row0; row < row1; ++row) {
    const uint8_t* const line = c.input + (row / c.out_h * c.in_h + row % c.out_h * c.stride_h) * c.in_w * c.channels;
    for (int64_t next = 0; next < c.channels; next += kPointChannels) {
      const int64_t channel = std::min(next, c.channels - kPointChannels);
      __m256i w[kVectors], offset[kVectors];   // 16-bit weights beside zeros
      __m256 scale[kVectors];
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) {
        const int64_t at = channel + v * 8;
        w[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(c.packed + at * 2));
        const __m256i first = f.offset ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(f.offset + at)) : _mm256_setzero_si256();
        offset[v] = _mm256_sub_epi32(first, _mm256_madd_epi16(zero, w[v]));
        scale[v] = _mm256_loadu_ps(f.scale + at);
      }
      const uint8_t* from = line + channel;
      To* to = static_cast<To*>(f.c) + row * c.out_w * f.c_row_stride + channel;
      for (int64_t x = 0; x < c.out_w; ++x, from += step, to += f.c_row_stride) {
        auto some = [&](int v) HWY_ATTR {
          const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + v * 8));
          const __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(kSigned ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes), w[v]), offset[v]);
          return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale[v]);
        };
        const __m256i bytes = rounding.Bytes(some(0), some(1), some(2), some(3));
        memcpy(to, &bytes, sizeof(bytes));
      }
    }
  }
}

// False when nothing was done.
bool DepthwisePoints(const DepthwiseInt8& c, int64_t row0, int64_t row1) {
  const bool inside = c.pad_top == 0 && c.pad_left == 0 && (c.out_h - 1) * c.stride_h < c.in_h && (c.out_w - 1) * c.stride_w < c.in_w;
  if (c.kernel_h != 1 || c.kernel_w != 1 || c.channels < kPointChannels || !c.finish.scale || !inside) return false;
  switch (c.finish.to) {
    case FinishInt8::To::kInt8: c.input_signed ? PointRows<true, int8_t>(c, row0, row1) : PointRows<false, int8_t>(c, row0, row1); return true;
    case FinishInt8::To::kUint8: c.input_signed ? PointRows<true, uint8_t>(c, row0, row1) : PointRows<false, uint8_t>(c, row0, row1); return true;
    default: return false;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // AVX2

#if HWY_ONCE
namespace linnet {

bool DepthwisePointRows(const DepthwiseInt8& conv, int64_t row0, int64_t row1) { return N_AVX2::DepthwisePoints(conv, row0, row1); }

}  // namespace linnet
#endif

#endif  // __x86_64__
