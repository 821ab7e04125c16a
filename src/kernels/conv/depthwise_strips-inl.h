// Float32 depthwise convolution with the usual square kernels, two output rows at a time, where there are 32 registers.
#if defined(LINNET_KERNELS_CONV_DEPTHWISE_STRIPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_CONV_DEPTHWISE_STRIPS_INL_H_
#undef LINNET_KERNELS_CONV_DEPTHWISE_STRIPS_INL_H_
#else
#define LINNET_KERNELS_CONV_DEPTHWISE_STRIPS_INL_H_
#endif

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/conv/depthwise.h"
#include "kernels/epilogue-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float);

struct Job {
  const DepthwiseF32& conv;
  Clamp clamp;
  int64_t channel0, channel1;
  int64_t weight_stride;  // floats from tap to tap
  int64_t ring_floats;    // of the whole ring of input rows
};

#if HWY_TARGET == HWY_AVX3

// Two output rows of seven pixels (or of the three to six of a narrow image) at a time for the usual square kernels: the rows of the input that
// both read are loaded once. Sums are made in the order of the kernels above. With dilation, the pixels of a strip are
// those that read the same pixels of the input, every second one for a dilation of 2.
struct Strip {
  static constexpr int kPixels = 7, kRowsMax = 7;
  const float* rows[kRowsMax];   // of the input, at the first pixel that is read; null outside of the image
  int64_t input_step;            // from input to input of a row
  uint32_t inside;               // inputs of a row that lie in the image
  int64_t pixels;                // of the output that exist: fewer where the image is narrower
  float* output;
  int64_t output_step, output_row_step;
};

// Which loads and stores are masked: none, those of inputs that may lie beside the image (half a kernel at each side), or all.
enum class Masks { kNone, kSides, kAll };

template <int kRows, int kTaps, int kStride, Masks kMasks>
HWY_INLINE void StripVectors(const Job& job, const Strip& strip, int64_t channel) {
  constexpr int kPixels = Strip::kPixels, kInputs = (kPixels - 1) * kStride + kTaps, kSides = kTaps / 2;
  const F32 d;
  const DepthwiseF32& c = job.conv;
  const auto lanes = hn::FirstN(d, static_cast<size_t>(std::min(kLanes, job.channel1 - channel)));
  using M = decltype(hn::FirstN(d, 0));
  M at_left[kSides], at_right[kSides];
  auto lanes_of = [&](int q) HWY_ATTR { return (strip.inside >> q & 1) != 0 ? lanes : hn::FirstN(F32(), 0); };
  constexpr bool kMasked = kMasks != Masks::kNone;
  if constexpr (kMasks == Masks::kSides) {
    LINNET_UNROLL
    for (int q = 0; q < kSides; ++q) at_left[q] = lanes_of(q), at_right[q] = lanes_of(kInputs - kSides + q);
  }
  VF32 sum[kRows][kPixels];
  VF32 bias = hn::Zero(d);
  if (c.epilogue.bias) bias = kMasked ? hn::MaskedLoad(lanes, d, c.epilogue.bias + channel) : hn::LoadU(d, c.epilogue.bias + channel);
  LINNET_UNROLL
  for (int r = 0; r < kRows; ++r) {
    LINNET_UNROLL
    for (int t = 0; t < kPixels; ++t) sum[r][t] = bias;
  }
  const float* weights = c.packed + channel;
  LINNET_UNROLL
  for (int i = 0; i < kTaps + (kRows - 1) * kStride; ++i) {
    if (strip.rows[i] == nullptr) continue;
    const float* in = strip.rows[i] + channel;
    VF32 x[kInputs];
    LINNET_UNROLL
    for (int q = 0; q < kInputs; ++q, in += strip.input_step) {
      if constexpr (!kMasked) {
        x[q] = hn::LoadU(d, in);
      } else if (kMasks == Masks::kAll) {
        x[q] = hn::MaskedLoad(lanes_of(q), d, in);
      } else if (q < kSides) {
        x[q] = hn::MaskedLoad(at_left[q], d, in);
      } else if (q >= kInputs - kSides) {
        x[q] = hn::MaskedLoad(at_right[q - (kInputs - kSides)], d, in);
      } else {
        x[q] = hn::MaskedLoad(lanes, d, in);
      }
    }
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int tap = i - r * kStride;
      if (tap < 0 || tap >= kTaps) continue;
      LINNET_UNROLL
      for (int j = 0; j < kTaps; ++j) {
        const VF32 weight = hn::LoadU(d, weights + (tap * kTaps + j) * job.weight_stride);
        LINNET_UNROLL
        for (int t = 0; t < kPixels; ++t) sum[r][t] = hn::MulAdd(weight, x[t * kStride + j], sum[r][t]);
      }
    }
  }
  float* line = strip.output + channel;
  const VF32 low = hn::Set(d, job.clamp.low), high = hn::Set(d, job.clamp.high);
  LINNET_UNROLL
  for (int r = 0; r < kRows; ++r, line += strip.output_row_step) {
    if (job.clamp.has_low) {
      LINNET_UNROLL
      for (int t = 0; t < kPixels; ++t) sum[r][t] = AtLeast(low, sum[r][t]);
    }
    if (job.clamp.has_high) {
      LINNET_UNROLL
      for (int t = 0; t < kPixels; ++t) sum[r][t] = AtMost(high, sum[r][t]);
    }
    if (job.clamp.hard_swish) {
      LINNET_UNROLL
      for (int t = 0; t < kPixels; ++t) sum[r][t] = HardSwishOf(sum[r][t]);
    }
    float* out = line;
    LINNET_UNROLL
    for (int t = 0; t < kPixels; ++t, out += strip.output_step) {
      if constexpr (kMasks == Masks::kAll) {
        if (t < strip.pixels) hn::BlendedStore(sum[r][t], lanes, d, out);
      } else if constexpr (kMasked) {
        hn::BlendedStore(sum[r][t], lanes, d, out);
      } else {
        hn::StoreU(sum[r][t], d, out);
      }
    }
  }
}

template <int kRows, int kTaps, int kStride, Masks kMasks>
void StripChannels(const Job& job, const Strip& strip) {
  constexpr Masks kLast = kMasks == Masks::kNone ? Masks::kSides : kMasks;
  int64_t channel = job.channel0;
  for (; channel + kLanes <= job.channel1; channel += kLanes) {
    StripVectors<kRows, kTaps, kStride, kMasks>(job, strip, channel);
  }
  if (channel < job.channel1) StripVectors<kRows, kTaps, kStride, kLast>(job, strip, channel);
}

struct StripVariant {
  int taps, stride;
  void (*run[2][3])(const Job&, const Strip&);   // by rows less one and masks
};
template <int kTaps, int kStride>
constexpr StripVariant kStripVariant = {
    kTaps,
    kStride,
    {{StripChannels<1, kTaps, kStride, Masks::kNone>, StripChannels<1, kTaps, kStride, Masks::kSides>,
      StripChannels<1, kTaps, kStride, Masks::kAll>},
     {StripChannels<2, kTaps, kStride, Masks::kNone>, StripChannels<2, kTaps, kStride, Masks::kSides>,
      StripChannels<2, kTaps, kStride, Masks::kAll>}}};
constexpr const StripVariant* kStripVariants[] = {&kStripVariant<3, 1>, &kStripVariant<3, 2>, &kStripVariant<5, 1>,
                                                  &kStripVariant<5, 2>};

// One set of output pixels of a row that read the same set of input pixels: every `dilation`-th.
struct Phase {
  Phase(const DepthwiseF32& c, int64_t phase) {
    const int64_t d = c.dilation_w, at = phase - c.pad_left;
    left = at >= 0 ? at / d : -((d - 1 - at) / d);
    first = at - left * d;
    in_w = (c.in_w - first + d - 1) / d;
    out_w = (c.out_w - phase + d - 1) / d;
  }
  int64_t first;       // input pixel of the set
  int64_t left;        // the set's input pixel, counted from `first`, that the first tap of the first output pixel reads
  int64_t in_w, out_w;
};

// Null where the convolution is none of these, or an image is too narrow, or taps miss it by more than half a kernel.
const StripVariant* PickStripVariant(const DepthwiseF32& c) {
  constexpr int64_t kDilationMax = 4, kNarrow = 3;
  const int64_t d = c.dilation_w, side = c.kernel_w / 2;
  if (c.dilation_h != d || d > kDilationMax || c.kernel_h != c.kernel_w || c.stride_h != c.stride_w ||
      (d > 1 && c.stride_w > 1) || c.epilogue.residual) {
    return nullptr;
  }
  for (int64_t i = 0; i < d; ++i) {
    const Phase phase(c, i);
    const int64_t reach = phase.left + (phase.out_w - 1) * c.stride_w + c.kernel_w;
    if (phase.out_w < kNarrow || phase.left < -side || reach > phase.in_w + side) return nullptr;
  }
  for (const StripVariant* v : kStripVariants) {
    if (c.kernel_w == v->taps && c.stride_w == v->stride) return v;
  }
  return nullptr;
}

// `rows` output rows, 1 or 2, a dilation apart, of one image.
void RunStrips(const Job& job, const StripVariant& variant, int64_t row, int64_t rows) {
  const DepthwiseF32& c = job.conv;
  const int64_t d = c.dilation_w, inputs = c.kernel_h + (rows - 1) * c.stride_h;
  const float* image = c.input + row / c.out_h * c.input_batch_stride;
  const int64_t top = row % c.out_h * c.stride_h - c.pad_top;
  const float* begins[Strip::kRowsMax];
  for (int64_t i = 0; i < inputs; ++i) {
    const int64_t y = top + i * d, place = c.input_ring_rows > 0 ? y % c.input_ring_rows : y;
    begins[i] = y >= 0 && y < c.in_h ? image + place * c.input_row_stride : nullptr;
  }
  Strip strip;
  strip.input_step = d * c.input_pixel_stride;
  strip.output_step = d * c.output_pixel_stride;
  strip.output_row_step = d * c.out_w * c.output_pixel_stride;
  const int64_t reach = (Strip::kPixels - 1) * c.stride_w + c.kernel_w;
  for (int64_t i = 0; i < d; ++i) {
    const Phase phase(c, i);
    for (int64_t next = 0; next < phase.out_w; next += Strip::kPixels) {
      // The last tile is whole too: it does some pixels again.
      const int64_t x = std::max<int64_t>(0, std::min(next, phase.out_w - Strip::kPixels)), left = phase.left + x * c.stride_w;
      for (int64_t k = 0; k < inputs; ++k) {
        strip.rows[k] = begins[k] ? begins[k] + (phase.first + left * d) * c.input_pixel_stride : nullptr;
      }
      const int64_t begin = std::clamp<int64_t>(-left, 0, 31), end = std::clamp<int64_t>(phase.in_w - left, begin, 31);
      strip.inside = (uint32_t{1} << end) - (uint32_t{1} << begin);
      strip.output = c.output + (row * c.out_w + i + x * d) * c.output_pixel_stride;
      strip.pixels = std::min<int64_t>(phase.out_w, Strip::kPixels);
      const bool sides = left < 0 || left + reach > phase.in_w;
      const Masks masks = strip.pixels < Strip::kPixels ? Masks::kAll : sides ? Masks::kSides : Masks::kNone;
      variant.run[rows - 1][static_cast<int>(masks)](job, strip);
      if (!job.clamp.after || job.clamp.hard_swish) continue;
      for (int64_t r = 0; r < rows; ++r) {
        ActivateRows(c.epilogue, strip.output + r * strip.output_row_step + job.channel0, strip.output_step, strip.pixels,
                     job.channel1 - job.channel0);
      }
    }
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
