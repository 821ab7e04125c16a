// Float32 depthwise convolution: some output pixels of a row at a time, 16 or fewer channels at a time.
//
// For one vector of channels, kPixels sums are held in registers; each tap loads its weights once and one
// input vector for each sum. Taps outside of the image read zeros.
#include "kernels/conv/depthwise.h"

#include <algorithm>

#include "base/parts.h"
#include "base/unaligned.h"
#include "kernels/gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/depthwise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/conv/depthwise_lines-inl.h"
#include "kernels/conv/depthwise_strips-inl.h"
#include "kernels/dispatch.h"
#include "kernels/epilogue-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// The part of the kernel that lies inside the image, for some output pixels of a row.
struct Taps {
  const float* input;    // of the first tap, for the first output pixel
  const float* weights;  // of that tap
  int64_t rows, columns;
  int64_t until_wrap;          // row steps after which the ring begins again; beyond `rows` when it does not
  // At the edge: output pixels that exist, and the inputs of a row that lie inside, counted from `input`, as bits too for the first 31.
  int64_t count = 0, begin = 0, end = 0;
  uint32_t inside = 0;
  // What the tile two rows further down reads anew, where it comes from beyond the second-level cache: pixels of some rows, or none.
  const float* ahead = nullptr;
  int64_t ahead_rows = 0, ahead_pixels = 0;
};

// A small build lacks the middle size, which only images of 4 to 6 pixels use much, does single pixels alike whatever the taps, and
// the channels that are left pixel by pixel: half the code.
#if defined(LINNET_SMALL)
constexpr bool kFewTiles = true;
#else
constexpr bool kFewTiles = false;
#endif

constexpr float kZeros[kLanes] = {};

// Arm's addresses add a register: the places of a row's inputs are offsets that stay in registers. x86 has too few for that.
constexpr bool kOffsets = HWY_ARCH_ARM_A64;

// How a vector of channels is read. `taps` and `stride`, where not 0, are the kernel's width and horizontal
// stride, with horizontal dilation 1. `edge`: some inputs may lie outside, and some of the last pixels. `partial`: only the first
// lanes exist.
struct Mode {
  int taps = 0, stride = 0;
  bool edge = false, partial = false;
};

template <int kPixels, Mode kMode>
HWY_INLINE void PixelVectors(const Job& job, const Taps& taps, int64_t pixel, int64_t channel) {
  const F32 d;
  const DepthwiseF32& c = job.conv;
  const Epilogue& e = c.epilogue;
  const size_t left = static_cast<size_t>(job.channel1 - channel);
  auto load = [left](const float* p) HWY_ATTR {
    const F32 d;
    return kMode.partial ? LoadTail(d, p, left) : hn::LoadU(d, p);
  };
  VF32 sum[kPixels];
  const VF32 bias = e.bias ? load(e.bias + channel) : hn::Zero(d);
  LINNET_UNROLL
  for (int t = 0; t < kPixels; ++t) sum[t] = bias;
  const int64_t step = c.stride_w * c.input_pixel_stride, tap_step = c.dilation_w * c.input_pixel_stride;
  const int64_t row_step = c.dilation_h * c.input_row_stride,
                weight_row_step = c.kernel_w * job.weight_stride;
  const float* row = taps.input + channel;
  const float* weights = taps.weights + channel;
  for (int64_t i = 0; i < taps.rows; ++i, row += row_step, weights += weight_row_step) {
    if (i == taps.until_wrap) row -= job.ring_floats;
    const float* w = weights;
    const float* in = row;
    if constexpr (kMode.taps != 0) {
      // A row's weights and the sums stay in registers, and an input meets all sums it belongs to.
      constexpr int kInputs = (kPixels - 1) * kMode.stride + kMode.taps;
      VF32 weight[kMode.taps];
      LINNET_UNROLL
      for (int j = 0; j < kMode.taps; ++j, w += job.weight_stride) weight[j] = hn::LoadU(d, kOffsets ? weights + j * job.weight_stride : w);
      LINNET_UNROLL
      for (int q = 0; q < kInputs; ++q, in += c.input_pixel_stride) {
        if (kMode.edge && (taps.inside >> q & 1) == 0) continue;
        const VF32 x = hn::LoadU(d, kOffsets ? row + q * c.input_pixel_stride : in);
        LINNET_UNROLL
        for (int t = 0; t < kPixels; ++t) {
          const int j = q - t * kMode.stride;
          if (j >= 0 && j < kMode.taps) sum[t] = hn::MulAdd(weight[j], x, sum[t]);
        }
      }
    } else {
      for (int64_t j = 0; j < taps.columns; ++j, w += job.weight_stride, in += tap_step) {
        const VF32 weight = hn::LoadU(d, w);
        const float* p = in;
        int64_t q = j * c.dilation_w;
        if (kMode.edge && (q < taps.begin || q + (kPixels - 1) * c.stride_w >= taps.end)) {
          LINNET_UNROLL
          for (int t = 0; t < kPixels; ++t, p += step, q += c.stride_w) {
            const float* inside = q < taps.begin || q >= taps.end ? kZeros : p;
            sum[t] = hn::MulAdd(weight, hn::LoadU(d, inside), sum[t]);
          }
        } else {
          LINNET_UNROLL
          for (int t = 0; t < kPixels; ++t, p += step) sum[t] = hn::MulAdd(weight, load(p), sum[t]);
        }
      }
    }
  }
  if (e.residual) {
    const float* residual = e.residual + pixel * e.residual_row_stride + channel;
    LINNET_UNROLL
    for (int t = 0; t < kPixels; ++t, residual += e.residual_row_stride) {
      if (kMode.edge && t >= taps.count) break;
      sum[t] = hn::Add(sum[t], load(residual));
    }
  }
  if (job.clamp.has_low) {
    const VF32 low = hn::Set(d, job.clamp.low);
    LINNET_UNROLL
    for (int t = 0; t < kPixels; ++t) sum[t] = AtLeast(low, sum[t]);
  }
  if (job.clamp.has_high) {
    const VF32 high = hn::Set(d, job.clamp.high);
    LINNET_UNROLL
    for (int t = 0; t < kPixels; ++t) sum[t] = AtMost(high, sum[t]);
  }
  float* out = c.output + pixel * c.output_pixel_stride + channel;
  LINNET_UNROLL
  for (int t = 0; t < kPixels; ++t, out += c.output_pixel_stride) {
    if (kMode.edge && t >= taps.count) break;
    if constexpr (kMode.partial) {
      StoreTail(sum[t], d, out, left);
    } else {
      hn::StoreU(sum[t], d, out);
    }
  }
}

constexpr int64_t kLineFloats = 16;

// A tile's rows and pixels are more streams than a processor follows.
HWY_INLINE void Ask(const DepthwiseF32& c, const Taps& taps, int64_t channel) {
  const float* row = taps.ahead + channel;
  for (int64_t i = 0; i < taps.ahead_rows; ++i, row += c.input_row_stride) {
    const float* at = row;
    for (int64_t x = 0; x < taps.ahead_pixels; ++x, at += c.input_pixel_stride) __builtin_prefetch(at, 0, 2);
  }
}

// The channels of kPixels output pixels from `pixel` on that fill whole vectors.
template <int kPixels, Mode kMode>
void Pixels(const Job& job, const Taps& taps, int64_t pixel) {
  // What no store of a result can change is read once.
  const DepthwiseF32 conv = job.conv;
  const Job own = {conv, job.clamp, job.channel0, job.channel1, job.weight_stride, job.ring_floats, job.input_is_far};
  const Taps near = taps;
  for (int64_t channel = own.channel0; channel + kLanes <= own.channel1; channel += kLanes) {
    if (!kFewTiles && near.ahead_rows > 0 && (kLanes >= kLineFloats || channel % kLineFloats == 0)) Ask(own.conv, near, channel);
    PixelVectors<kPixels, kMode>(own, near, pixel, channel);
  }
}

// The channels that are left.
template <int kPixels>
void Tail(const Job& job, const Taps& taps, int64_t pixel) {
  PixelVectors<kPixels, Mode{.partial = true}>(job, taps, pixel, job.channel1 - job.channel1 % kLanes);
}

// The taps i of [0, count) with 0 <= first + i * dilation < size, as [*begin, *end).
HWY_INLINE void Clip(int64_t first, int64_t dilation, int64_t count, int64_t size, int64_t* begin,
                     int64_t* end) {
  *begin = first >= 0 ? 0 : std::min(count, (-first + dilation - 1) / dilation);
  *end = first >= size ? *begin : std::clamp((size - first + dilation - 1) / dilation, *begin, count);
}

using PixelsFn = void(const Job&, const Taps&, int64_t pixel);

constexpr int kSizes = kFewTiles ? 2 : 3;
constexpr int64_t kPixelsOf[] = {7, kFewTiles ? 1 : 4, 1};

struct Variant {
  int taps, stride;  // 0: any
  PixelsFn* inside[kSizes];
  PixelsFn* edge[kSizes];
};
template <Mode kMode, Mode kEdge>
constexpr Variant VariantOf() {
  if constexpr (kFewTiles) {
    return {kMode.taps, kMode.stride, {Pixels<7, kMode>, Pixels<1, Mode{}>}, {Pixels<7, kEdge>, Pixels<1, Mode{.edge = true}>}};
  } else {
    return {kMode.taps, kMode.stride, {Pixels<7, kMode>, Pixels<4, kMode>, Pixels<1, kMode>},
            {Pixels<7, kEdge>, Pixels<4, kEdge>, Pixels<1, kEdge>}};
  }
}
template <int kTaps, int kStride>
constexpr Variant kVariant = VariantOf<Mode{kTaps, kStride}, Mode{kTaps, kStride, true}>();
constexpr Variant kAny = kFewTiles && !kDepthwiseAny ? Variant{0, 0, {nullptr, Pixels<1, Mode{}>}, {nullptr, Pixels<1, Mode{.edge = true}>}}
                                                     : VariantOf<Mode{}, Mode{.edge = true}>();

// The channels that are left, of as many pixels as the size has.
template <bool kFew = kFewTiles>
HWY_INLINE void RunTail(const Job& job, const Taps& taps, int size, int64_t pixel) {
  if constexpr (kFew) {
    Tail<1>(job, taps, pixel);
  } else {
    constexpr PixelsFn* kTail[] = {Tail<7>, Tail<4>, Tail<1>};
    kTail[size](job, taps, pixel);
  }
}
// Seven taps are for builds that are not small.
template <int kStride>
constexpr const Variant* SevenTaps() {
  if constexpr (kFewTiles) {
    return &kAny;
  } else {
    return &kVariant<7, kStride>;
  }
}
constexpr const Variant* kVariants[] = {SevenTaps<1>(), SevenTaps<2>(),
                                        kDepthwise3 ? &kVariant<3, 1> : &kAny, kDepthwise3 ? &kVariant<3, 2> : &kAny,
                                        kDepthwise5 ? &kVariant<5, 1> : &kAny, kDepthwise5 ? &kVariant<5, 2> : &kAny};

const Variant& PickVariant(const DepthwiseF32& c) {
  if constexpr (kFewTiles && kOffsets) return kAny;   // strips do most of what these would
  for (const Variant* v : kVariants) {
    if (c.dilation_w == 1 && c.kernel_w == v->taps && c.stride_w == v->stride) return *v;
  }
  return kAny;
}

// One output row.
class Row {
 public:
  Row(const Job& job, int64_t row) : job_(job), c_(job.conv), row_(row) {
    top_ = row % c_.out_h * c_.stride_h - c_.pad_top;
    Clip(top_, c_.dilation_h, c_.kernel_h, c_.in_h, &i0_, &i1_);
    image_ = c_.input + row / c_.out_h * c_.input_batch_stride;
    first_ = top_ + i0_ * c_.dilation_h;
    if (!kFewTiles && job.input_is_far) {
      // Pairs of rows follow each other.
      next_ = std::max<int64_t>(0, top_ + c_.kernel_h + c_.stride_h);
      next_rows_ = std::min(c_.stride_h, c_.in_h - next_);
    }
    until_wrap_ = c_.kernel_h;
    if (c_.input_ring_rows > 0 && i0_ < i1_) {
      first_ %= c_.input_ring_rows;
      until_wrap_ = (c_.input_ring_rows - first_ + c_.dilation_h - 1) / c_.dilation_h;
    }
  }

  // Output pixels from x on that are done together; returns how many of them had not been done.
  int64_t Tile(const Variant& variant, int64_t x) {
    const bool tiles = !kFewTiles || kDepthwiseAny || variant.inside[0];
    const int64_t rest = c_.out_w - x;
    int size = tiles ? 0 : kSizes - 1;
    int64_t count = std::min(rest, kPixelsOf[size]), done = count;
    if (count < kPixelsOf[size]) {
      if (c_.out_w >= kPixelsOf[0] && !c_.epilogue.residual) {
        // One whole tile that does some pixels again.
        count = kPixelsOf[0], x = c_.out_w - count;
      } else {
        // The smallest tile that has them all; where there are few sizes, single pixels cost less than most of a tile.
        while (size + 1 < kSizes && (kPixelsOf[size + 1] >= rest || (kFewTiles && rest < 4))) ++size;
        done = count = std::min(rest, kPixelsOf[size]);
      }
    }
    const int64_t pixels = kPixelsOf[size], pixel = row_ * c_.out_w + x;
    const int64_t left = x * c_.stride_w - c_.pad_left;
    const int64_t reach = (pixels - 1) * c_.stride_w + (c_.kernel_w - 1) * c_.dilation_w;
    const bool inside = left >= 0 && left + reach < c_.in_w && count == pixels;
    Taps taps = At(x, 0, c_.kernel_w);
    if (!inside) {
      taps.count = count;
      taps.begin = -left, taps.end = c_.in_w - left;
      const int64_t begin = std::clamp<int64_t>(taps.begin, 0, 31), end = std::clamp<int64_t>(taps.end, begin, 31);
      taps.inside = (uint32_t{1} << end) - (uint32_t{1} << begin);
    }
    if (!kFewTiles && next_rows_ > 0) {
      taps.ahead_pixels = std::min(pixels * c_.stride_w, c_.in_w - x * c_.stride_w), taps.ahead_rows = next_rows_;
      taps.ahead = image_ + next_ * c_.input_row_stride + x * c_.stride_w * c_.input_pixel_stride;
    }
    (inside ? variant.inside : variant.edge)[size](job_, taps, pixel);
    if (job_.channel1 % kLanes != 0) {
      if (inside && !kFewTiles) {
        RunTail(job_, taps, size, pixel);
      } else {
        // Pixels at the edge have their taps clipped.
        for (int64_t i = 0; i < count; ++i) RunTail(job_, Clipped(x + i), kSizes - 1, pixel + i);
      }
    }
    if (job_.clamp.after) {
      ActivateRows(c_.epilogue, c_.output + pixel * c_.output_pixel_stride + job_.channel0, c_.output_pixel_stride,
                   count, job_.channel1 - job_.channel0);
    }
    return done;
  }

 private:
  Taps At(int64_t x, int64_t j0, int64_t j1) const {
    if (i0_ == i1_ || j0 == j1) return {c_.input, c_.packed, 0, 0, 1};
    const int64_t left = x * c_.stride_w - c_.pad_left + j0 * c_.dilation_w;
    return {image_ + first_ * c_.input_row_stride + left * c_.input_pixel_stride,
            c_.packed + (i0_ * c_.kernel_w + j0) * job_.weight_stride, i1_ - i0_, j1 - j0, until_wrap_};
  }
  Taps Clipped(int64_t x) const {
    int64_t j0, j1;
    Clip(x * c_.stride_w - c_.pad_left, c_.dilation_w, c_.kernel_w, c_.in_w, &j0, &j1);
    return At(x, j0, j1);
  }

  const Job& job_;
  const DepthwiseF32& c_;
  int64_t row_, top_, i0_ = 0, i1_ = 0;
  int64_t next_ = 0, next_rows_ = 0;   // rows of the input that the second row after this one reads anew
  int64_t first_, until_wrap_;  // the place of the first input row read, and row steps from there to the ring's end
  const float* image_;
};

// Whether a row is done as `dilation_w` rows of the pixels that lie so far apart, whose taps lie side by side: where these are not few.
bool TakesApart(const DepthwiseF32& c) {
  constexpr int64_t kFew = 4;
  const int64_t d = c.dilation_w, k = c.kernel_w;
  return !kFewTiles && d > 1 && c.stride_w == 1 && ((k == 3 && kDepthwise3) || (k == 5 && kDepthwise5)) && c.out_w >= kFew * d && c.in_w >= d;
}

// The pixels `first`, `first` + dilation_w and so on of an output row.
DepthwiseF32 PixelsApart(const DepthwiseF32& c, int64_t row, int64_t first) {
  const int64_t d = c.dilation_w, left = first - c.pad_left, pixel = (left % d + d) % d;   // of the input, the first one ever read
  DepthwiseF32 part = c;
  part.dilation_w = 1;
  part.pad_left = (pixel - left) / d;
  part.in_w = (c.in_w - pixel + d - 1) / d, part.out_w = (c.out_w - first + d - 1) / d;
  part.input += pixel * c.input_pixel_stride;
  part.input_pixel_stride *= d, part.output_pixel_stride *= d, part.epilogue.residual_row_stride *= d;
  const int64_t begin = row * c.out_w + first - row * part.out_w * d;   // of the output, as its pixels are counted in `part`
  part.output += begin * c.output_pixel_stride;
  if (part.epilogue.residual) part.epilogue.residual += begin * c.epilogue.residual_row_stride;
  return part;
}

constexpr int64_t kFarFloats = 96 << 10;   // of an input that does not stay in a second-level cache

void DepthwiseRows(const DepthwiseF32& c, int64_t row0, int64_t row1, int64_t channel0, int64_t channel1) {
  const bool far = !kFewTiles && c.input_ring_rows == 0 && c.dilation_h == 1 && c.in_h * c.in_w * (channel1 - channel0) > kFarFloats;
  const Job job = {c,        Clamp(c.epilogue),
                   channel0, channel1,
                   PanelCount(c.channels) * kPanelColumns, c.input_ring_rows * c.input_row_stride, far};
#if defined(LINNET_DEPTHWISE_STRIPS)
  if (const StripVariant* variant = PickStripVariant(c)) {
    for (int64_t row = row0; row < row1;) {
      const int64_t left = std::min(row1 - row, c.out_h - row % c.out_h), rows = std::min(left, variant->rows * c.dilation_h);
      for (int64_t i = 0; i < std::min(rows, c.dilation_h); ++i) {
        RunStrips(job, *variant, row + i, i + c.dilation_h < rows ? 2 : 1);
      }
      row += rows;
    }
    return;
  }
#endif
  if (TakesApart(c)) {
    for (int64_t row = row0; row < row1; ++row) {
      for (int64_t x = 0; x < c.dilation_w; ++x) DepthwiseRows(PixelsApart(c, row, x), row, row + 1, channel0, channel1);
    }
    return;
  }
#if defined(LINNET_DEPTHWISE_LINES)
  if (GoesAlongLines(c)) {
    constexpr int64_t kTogether = 4;
    for (int64_t row = row0; row < row1;) {
      const int64_t rows = std::min({kTogether, row1 - row, c.out_h - row % c.out_h});
      RunLines(job, row, rows);
      row += rows;
    }
    return;
  }
#endif
  const Variant& variant = PickVariant(c);
  // Two rows side by side: most of what the second reads, the first has just read.
  const int64_t step = c.dilation_h == 1 ? 2 : 1;
  for (int64_t row = row0; row < row1; row += step) {
    const int64_t last = std::min(row + step, row1) - 1;
    Row first(job, row), second(job, last);
    for (int64_t x = 0; x < c.out_w;) {
      const int64_t done = first.Tile(variant, x);
      if (last > row) second.Tile(variant, x);
      x += done;
    }
  }
}

constexpr GroupedF32Kernels kGroupedF32 = {ServesGroups, DepthwiseRows};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

int64_t PackedDepthwiseSizeF32(int64_t channels, int64_t kernel_h, int64_t kernel_w) {
  return kernel_h * kernel_w * PanelCount(channels) * kPanelColumns;
}

void PackDepthwiseF32(const float* weights, int64_t channels, int64_t kernel_h, int64_t kernel_w,
                      float* out) {
  const int64_t taps = kernel_h * kernel_w, stride = PanelCount(channels) * kPanelColumns;
  for (int64_t t = 0; t < taps; ++t, out += stride) {
    for (int64_t c = 0; c < stride; ++c) out[c] = c < channels ? FloatAt(weights + c * taps + t) : 0.0f;
  }
}

int64_t DepthwiseGrain(const DepthwiseF32& c, int threads) {
  constexpr int64_t kPartsMax = 4, kPair = 10, kSingle = 6;   // rows a dilation apart side by side cost little more than one
  const int64_t rows = c.batch * c.out_h, d = c.dilation_h;
  int64_t best = 0, least = 0;
  for (int64_t parts = 1; parts <= kPartsMax; ++parts) {
    const int64_t each = (rows + threads * parts - 1) / (threads * parts), rest = each % (2 * d);
    const int64_t pairs = each / (2 * d) * d + std::max<int64_t>(0, rest - d), singles = rest <= d ? rest : 2 * d - rest;
    const int64_t chunks = (rows + each - 1) / each, cost = (chunks + threads - 1) / threads * (pairs * kPair + singles * kSingle);
    if (best == 0) least = cost;
    // Several parts, so that a thread that has finished can take one over, where that costs little.
    if (best == 0 || cost * 32 <= least * 33) best = each;
    least = std::min(least, cost);
  }
  return best;
}

DepthwiseF32Fn* PickDepthwiseF32(CpuLevel level) {
  return LINNET_PICK(level, DepthwiseRows);
}

const GroupedF32Kernels& PickGroupedF32(CpuLevel level) {
  return *LINNET_PICK(level, kGroupedF32);
}

}  // namespace linnet
#endif
