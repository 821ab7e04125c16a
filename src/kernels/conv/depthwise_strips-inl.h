// Float32 depthwise convolution with the usual square kernels, two output rows at a time, where there are 32 registers; and that of groups
// of few channels.
#if defined(LINNET_KERNELS_CONV_DEPTHWISE_STRIPS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_CONV_DEPTHWISE_STRIPS_INL_H_
#undef LINNET_KERNELS_CONV_DEPTHWISE_STRIPS_INL_H_
#else
#define LINNET_KERNELS_CONV_DEPTHWISE_STRIPS_INL_H_
#endif

#include <algorithm>

#include "base/parts.h"
#include "hwy/highway.h"
#include "kernels/conv/depthwise.h"
#include "kernels/epilogue-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// A small build has strips of one row and one width, one function for whatever lies beside the image, and no hard swishes in registers.
#if defined(LINNET_SMALL)
constexpr bool kFewStrips = true;
#else
constexpr bool kFewStrips = false;
#endif

constexpr int64_t kLanes = HWY_LANES(float);

struct Job {
  const DepthwiseF32& conv;
  Clamp clamp;
  int64_t channel0, channel1;
  int64_t weight_stride;  // floats from tap to tap
  int64_t ring_floats;    // of the whole ring of input rows
  bool input_is_far = false;   // larger than a second-level cache
};

#undef LINNET_DEPTHWISE_STRIPS
#if HWY_TARGET == HWY_AVX3 || (HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64)
#define LINNET_DEPTHWISE_STRIPS

// Two output rows of seven pixels (or of those of a narrow image) at a time for the usual square kernels: the rows of the input that
// both read are loaded once. Sums are made in the order of the kernels above. With dilation, the pixels of a strip are
// those that read the same pixels of the input, every second one for a dilation of 2.
struct Strip {
  static constexpr int kRowsMax = 7;
  const float* rows[kRowsMax];   // of the input, at the first pixel that is read; null outside of the image
  int64_t input_step;            // from input to input of a row
  uint32_t inside;               // inputs of a row that lie in the image
  int64_t pixels;                // of the output that exist: fewer where the image is narrower
  float* output;
  int64_t output_step, output_row_step;
};

#if HWY_TARGET == HWY_AVX3
// Which loads and stores are masked: none, those of inputs that may lie beside the image (half a kernel at each side), or all.
enum class Masks { kNone, kSides, kAll };

// Lane i of the result is lane `member` of those `size`, a power of two, that i is among.
HWY_INLINE VF32 OfGroup(VF32 v, int64_t size, int64_t member) {
  const hn::RebindToSigned<F32> d;
  const auto first = hn::And(hn::Iota(d, 0), hn::Set(d, static_cast<int32_t>(-size)));
  return hn::TableLookupLanes(v, hn::IndicesFromVec(F32(), hn::Add(first, hn::Set(d, static_cast<int32_t>(member)))));
}

// kGrouped: convolutions of groups, each input of which meets all outputs of its own.
template <int kRows, int kTaps, int kStride, int kPixels, Masks kMasks, bool kGrouped>
HWY_INLINE void StripVectors(const Job& job, const Strip& strip, int64_t channel) {
  constexpr int kInputs = (kPixels - 1) * kStride + kTaps, kSides = kTaps / 2;
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
  const int64_t group = kGrouped ? c.group : 1, tap_stride = group * job.weight_stride;
  LINNET_UNROLL
  for (int i = 0; i < kTaps + (kRows - 1) * kStride; ++i) {
    if (strip.rows[i] == nullptr) continue;
    const float* weights = c.packed + channel;
    for (int64_t member = 0; member < group; ++member, weights += job.weight_stride) {
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
        if constexpr (kGrouped) x[q] = OfGroup(x[q], group, member);
      }
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int tap = i - r * kStride;
        if (tap < 0 || tap >= kTaps) continue;
        LINNET_UNROLL
        for (int j = 0; j < kTaps; ++j) {
          const VF32 weight = hn::LoadU(d, weights + (tap * kTaps + j) * tap_stride);
          LINNET_UNROLL
          for (int t = 0; t < kPixels; ++t) sum[r][t] = hn::MulAdd(weight, x[t * kStride + j], sum[r][t]);
        }
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
    if (!kFewStrips && job.clamp.hard_swish) {
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

template <int kRows, int kTaps, int kStride, int kPixels, Masks kMasks, bool kGrouped = false>
void StripChannels(const Job& job, const Strip& strip) {
  constexpr Masks kLast = kMasks == Masks::kNone ? Masks::kSides : kMasks;
  int64_t channel = job.channel0;
  for (; channel + kLanes <= job.channel1; channel += kLanes) {
    StripVectors<kRows, kTaps, kStride, kPixels, kMasks, kGrouped>(job, strip, channel);
  }
  if (channel < job.channel1) StripVectors<kRows, kTaps, kStride, kPixels, kLast, kGrouped>(job, strip, channel);
}

struct StripVariant {
  int taps, stride, pixels, rows;
  void (*run[2][3])(const Job&, const Strip&);   // by rows less one and masks
  bool grouped = false;
};
template <int kTaps, int kStride, int kPixels, bool kGrouped = false>
constexpr StripVariant kStripVariant = {
    kTaps,
    kStride,
    kPixels,
    2,
    {{StripChannels<1, kTaps, kStride, kPixels, Masks::kNone, kGrouped>, StripChannels<1, kTaps, kStride, kPixels, Masks::kSides, kGrouped>,
      StripChannels<1, kTaps, kStride, kPixels, Masks::kAll, kGrouped>},
     {StripChannels<2, kTaps, kStride, kPixels, Masks::kNone, kGrouped>, StripChannels<2, kTaps, kStride, kPixels, Masks::kSides, kGrouped>,
      StripChannels<2, kTaps, kStride, kPixels, Masks::kAll, kGrouped>}},
    kGrouped};
constexpr const StripVariant* kStripVariants[] = {
    &kStripVariant<3, 1, 7>, &kStripVariant<3, 2, 7>, &kStripVariant<5, 1, 7>, &kStripVariant<5, 2, 7>,
#if !defined(LINNET_SMALL)
    &kStripVariant<3, 1, 6>, &kStripVariant<3, 2, 6>, &kStripVariant<5, 1, 6>, &kStripVariant<5, 2, 6>,
    &kStripVariant<3, 1, 5>, &kStripVariant<3, 2, 5>, &kStripVariant<5, 1, 5>, &kStripVariant<5, 2, 5>,
    &kStripVariant<3, 1, 7, true>, &kStripVariant<3, 2, 7, true>,
#endif
};
constexpr int64_t kNarrow = 3;   // pixels, that a strip is wide at least

#else

// A vector that steps on by itself.
HWY_INLINE VF32 LoadNext(const float*& p, int64_t step_bytes) {
  using Four = float __attribute__((vector_size(16), aligned(4), may_alias));
  VF32 v;
  __asm__("ld1 {%0.4s}, [%1], %2" : "=w"(v.raw), "+r"(p) : "r"(step_bytes), "m"(*reinterpret_cast<const Four*>(p)));
  return v;
}

// Whether inputs beside the image are among half a kernel's at each side: no, perhaps, or all of these and no others.
enum class Masks { kNone, kSides, kAll };

// Inputs are read one by one and meet all sums they belong to, so that only weights and sums stay in registers.
template <int kRows, int kTaps, int kStride, int kPixels, Masks kMasks>
void StripChannels(const Job& job, const Strip& strip) {
  constexpr int kInputs = (kPixels - 1) * kStride + kTaps, kSides = kTaps / 2, kInputRows = kTaps + (kRows - 1) * kStride;
  const F32 d;
  // Copies: what no store of a result can change stays in registers.
  const Strip s = strip;
  const Clamp clamp = job.clamp;
  const float *packed = job.conv.packed, *bias = job.conv.epilogue.bias;
  const int64_t step = s.input_step * 4, weight_step = job.weight_stride * 4, end = job.channel1;
  for (int64_t channel = job.channel0; channel < end; channel += kLanes) {
    VF32 sum[kRows][kPixels];
    const VF32 first = bias ? hn::LoadU(d, bias + channel) : hn::Zero(d);
    LINNET_UNROLL
    for (int i = 0; i < kRows * kPixels; ++i) sum[i / kPixels][i % kPixels] = first;
    VF32 weight[kInputRows][kTaps];
    const float* weights = packed + channel;
    LINNET_UNROLL
    for (int i = 0; i < kInputRows; ++i) {
      if (i < kTaps) {
        LINNET_UNROLL
        for (int j = 0; j < kTaps; ++j) weight[i][j] = LoadNext(weights, weight_step);
      }
      if (s.rows[i] == nullptr) continue;
      constexpr int kLeft = kMasks == Masks::kAll ? kSides : 0;
      const float* in = s.rows[i] + channel + kLeft * s.input_step;
      LINNET_UNROLL
      for (int q = kLeft; q < kInputs - kLeft; ++q) {
        VF32 x;
        if (kMasks == Masks::kSides && (q < kSides || q >= kInputs - kSides) && (s.inside >> q & 1) == 0) {
          x = hn::Zero(d);
          in = reinterpret_cast<const float*>(reinterpret_cast<const char*>(in) + step);
        } else {
          x = LoadNext(in, step);
        }
        LINNET_UNROLL
        for (int r = 0; r < kRows; ++r) {
          const int tap = i - r * kStride;
          if (tap < 0 || tap >= kTaps) continue;
          LINNET_UNROLL
          for (int t = 0; t < kPixels; ++t) {
            const int j = q - t * kStride;
            if (j >= 0 && j < kTaps) sum[r][t] = hn::MulAdd(weight[tap][j], x, sum[r][t]);
          }
        }
      }
    }
    if (clamp.has_low) {
      const VF32 low = hn::Set(d, clamp.low);
      LINNET_UNROLL
      for (int i = 0; i < kRows * kPixels; ++i) sum[i / kPixels][i % kPixels] = AtLeast(low, sum[i / kPixels][i % kPixels]);
    }
    if (clamp.has_high) {
      const VF32 high = hn::Set(d, clamp.high);
      LINNET_UNROLL
      for (int i = 0; i < kRows * kPixels; ++i) sum[i / kPixels][i % kPixels] = AtMost(high, sum[i / kPixels][i % kPixels]);
    }
    if (!kFewStrips && clamp.hard_swish) {
      LINNET_UNROLL
      for (int i = 0; i < kRows * kPixels; ++i) sum[i / kPixels][i % kPixels] = HardSwishOf(sum[i / kPixels][i % kPixels]);
    }
    float* line = s.output + channel;
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r, line += s.output_row_step) {
      float* out = line;
      LINNET_UNROLL
      for (int t = 0; t < kPixels; ++t, out += s.output_step) hn::StoreU(sum[r][t], d, out);
    }
  }
}

// Output rows of a strip: the weights and sums of two do not fit the registers with big kernels that share few rows.
constexpr int StripRows(int taps, int stride) { return kFewStrips || (taps == 5 && stride == 2) ? 1 : 2; }
template <int kRows, int kTaps, int kStride, int kPixels, Masks kMasks>
constexpr auto* StripOf = StripChannels<kRows, kTaps, kStride, kPixels, kFewStrips ? Masks::kSides : kMasks>;

struct StripVariant {
  int taps, stride, pixels, rows;
  void (*run[2][3])(const Job&, const Strip&);   // by rows less one and masks
  bool grouped = false;
};
template <int kTaps, int kStride, int kPixels>
constexpr StripVariant kStripVariant = {
    kTaps,
    kStride,
    kPixels,
    StripRows(kTaps, kStride),
    {{StripOf<1, kTaps, kStride, kPixels, Masks::kNone>, StripOf<1, kTaps, kStride, kPixels, Masks::kSides>,
      StripOf<1, kTaps, kStride, kPixels, Masks::kAll>},
     {StripOf<StripRows(kTaps, kStride), kTaps, kStride, kPixels, Masks::kNone>,
      StripOf<StripRows(kTaps, kStride), kTaps, kStride, kPixels, Masks::kSides>,
      StripOf<StripRows(kTaps, kStride), kTaps, kStride, kPixels, Masks::kAll>}}};
// Images of 5 or 6 pixels have strips as wide as they are.
constexpr const StripVariant* kStripVariants[] = {
    kDepthwise3 ? &kStripVariant<3, 1, 7> : nullptr, kDepthwise3 ? &kStripVariant<3, 2, 7> : nullptr,
    kDepthwise5 ? &kStripVariant<5, 1, 7> : nullptr, kDepthwise5 ? &kStripVariant<5, 2, 7> : nullptr,
#if !defined(LINNET_SMALL)
    &kStripVariant<3, 1, 6>, &kStripVariant<3, 2, 6>, &kStripVariant<5, 1, 6>, &kStripVariant<5, 2, 6>,
    &kStripVariant<3, 1, 5>, &kStripVariant<3, 2, 5>, &kStripVariant<5, 1, 5>, &kStripVariant<5, 2, 5>,
#endif
};
constexpr int64_t kNarrow = 5;
#endif

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
  constexpr int64_t kDilationMax = 4;
  const int64_t d = c.dilation_w, side = c.kernel_w / 2;
  if (c.dilation_h != d || d > kDilationMax || c.kernel_h != c.kernel_w || c.stride_h != c.stride_w ||
      (d > 1 && c.stride_w > 1) || c.epilogue.residual) {
    return nullptr;
  }
  int64_t narrowest = c.out_w;
  for (int64_t i = 0; i < d; ++i) {
    const Phase phase(c, i);
    const int64_t reach = phase.left + (phase.out_w - 1) * c.stride_w + c.kernel_w;
    narrowest = std::min(narrowest, phase.out_w);
    if (phase.out_w < kNarrow || phase.left < -side || reach > phase.in_w + side) return nullptr;
  }
  // What a row takes: a strip costs something beside its pixels, whether the image has them all or not.
  auto cost = [&](const StripVariant& v) { return (narrowest + v.pixels - 1) / v.pixels * (v.pixels + 1); };
  const StripVariant* best = nullptr;
  for (const StripVariant* v : kStripVariants) {
    if (!v) continue;   // not in this build
    const bool fits = HWY_TARGET == HWY_AVX3 || (narrowest >= v->pixels && c.channels % kLanes == 0);
    if (fits && v->grouped == (c.group > 1) && c.kernel_w == v->taps && c.stride_w == v->stride && (!best || cost(*v) < cost(*best))) best = v;
  }
  return best;
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
  const int64_t reach = (variant.pixels - 1) * c.stride_w + c.kernel_w;
  for (int64_t i = 0; i < d; ++i) {
    const Phase phase(c, i);
    for (int64_t next = 0; next < phase.out_w; next += variant.pixels) {
      // The last tile is whole too: it does some pixels again.
      const int64_t x = std::max<int64_t>(0, std::min<int64_t>(next, phase.out_w - variant.pixels)), left = phase.left + x * c.stride_w;
      for (int64_t k = 0; k < inputs; ++k) {
        strip.rows[k] = begins[k] ? begins[k] + (phase.first + left * d) * c.input_pixel_stride : nullptr;
      }
      const int64_t begin = std::clamp<int64_t>(-left, 0, 31), end = std::clamp<int64_t>(phase.in_w - left, begin, 31);
      strip.inside = (uint32_t{1} << end) - (uint32_t{1} << begin);
      strip.output = c.output + (row * c.out_w + i + x * d) * c.output_pixel_stride;
      strip.pixels = std::min<int64_t>(phase.out_w, variant.pixels);
      const bool sides = left < 0 || left + reach > phase.in_w;
      const bool all = HWY_TARGET == HWY_AVX3 ? strip.pixels < variant.pixels
                                              : begin == c.kernel_w / 2 && end == reach - c.kernel_w / 2;
      const Masks masks = all ? Masks::kAll : sides ? Masks::kSides : Masks::kNone;
      variant.run[rows - 1][static_cast<int>(masks)](job, strip);
      if (!job.clamp.after || (!kFewStrips && job.clamp.hard_swish)) continue;
      for (int64_t r = 0; r < rows; ++r) {
        ActivateRows(c.epilogue, strip.output + r * strip.output_row_step + job.channel0, strip.output_step, strip.pixels,
                     job.channel1 - job.channel0);
      }
    }
  }
}

#endif

// Vectors of 16 lanes, half of which a panel of few columns would leave empty.
bool ServesGroups([[maybe_unused]] const DepthwiseF32& c) {
#if HWY_TARGET == HWY_AVX3 && !defined(LINNET_SMALL)
  return c.group > 1 && c.group <= kLanes / 2 && (c.group & (c.group - 1)) == 0 && PickStripVariant(c) != nullptr;
#else
  return false;
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
