// Float32 convolutions of few outputs: rows of the input, and what follows sums.
#include "kernels/conv/conv_narrow.h"

#include <string.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/conv_narrow.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "base/memory.h"
#include "kernels/conv/narrow-inl.h"
#include "kernels/dispatch.h"
#include "kernels/epilogue-inl.h"

#if defined(__x86_64__) && !defined(LINNET_SMALL)

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

struct NarrowFloats {
  using T = float;
  using Element = float;
  static HWY_INLINE void Add(VF32& sum, VF32 pixels, VF32 weights) { sum = hn::MulAdd(pixels, weights, sum); }
};

// Stores the sums of `count` output pixels from `pixel` on.
class NarrowStore {
 public:
  explicit NarrowStore(const ConvF32& conv)
      : c_(conv), clamp_(conv.epilogue), n_(conv.out_c),
        dense_(conv.output_pixel_stride == n_ && (!conv.epilogue.residual || conv.epilogue.residual_row_stride == n_)) {}

  void operator()(int64_t pixel, int64_t count, const float* sums) const {
    alignas(64) float turned[kNarrowStride * kNarrowOutputs + kNarrowLanes];
    if (n_ > 1) TurnSums(sums, n_, count, n_, turned);
    const float* const from = n_ > 1 ? turned : sums;
    if (dense_) return Row(from, pixel, count * n_);
    for (int64_t p = 0; p < count; ++p) Row(from + p * n_, pixel + p, n_);
  }

 private:
  // n results from a pixel on.
  void Row(const float* sums, int64_t pixel, int64_t n) const {
    const F32 d;
    constexpr int64_t kLanes = HWY_LANES(float);
    const Epilogue& e = c_.epilogue;
    float* const to = c_.output + pixel * c_.output_pixel_stride;
    const float* const residual = e.residual ? e.residual + pixel * e.residual_row_stride : nullptr;
    for (int64_t i = 0; i < n; i += kLanes) {
      const size_t left = static_cast<size_t>(n - i);
      VF32 t = hn::LoadU(d, sums + i);
      if (residual) t = hn::Add(t, LoadSome(d, residual + i, left));
      if (clamp_.has_low) t = AtLeast(hn::Set(d, clamp_.low), t);
      if (clamp_.has_high) t = AtMost(hn::Set(d, clamp_.high), t);
      StoreSome(t, d, to + i, left);
    }
    if (clamp_.after) ActivateRows(e, to, 0, 1, n);
  }

  const ConvF32& c_;
  const Clamp clamp_;
  const int64_t n_;
  const bool dense_;
};

void NarrowRunF32(const ConvF32& c, int64_t pixel0, int64_t pixel1, void* scratch) {
  const Narrow narrow(c, 1);
  const ConvSizes& s = narrow.c;
  NarrowConv<NarrowFloats> conv(narrow, scratch);
  if (c.out_c > 4) {
    conv.UseWeights(c.packed, kPanelColumns);
  } else {
    conv.CopyWeights([&](int64_t i, int64_t k, int64_t, float* to) {
      const float* const from = c.packed + (i * s.kernel_w * s.in_c + k) * kPanelColumns;
      std::copy(from, from + c.out_c, to);
    });
  }
  float first[kNarrowOutputs];
  for (int64_t n = 0; n < c.out_c; ++n) first[n] = c.epilogue.bias ? c.epilogue.bias[n] : 0.0f;
  auto outside = [](int64_t count, float* to) { memset(to, 0, static_cast<size_t>(count) * 4); };
  const bool dense = c.input_pixel_stride == s.in_c;
  const float* const last = c.input + (s.batch - 1) * c.input_batch_stride + (s.in_h - 1) * c.input_row_stride;
  auto line = [&](int64_t image, int64_t y, int64_t x, int64_t count, float* to) -> const float* {
    const int64_t begin = std::clamp<int64_t>(-x, 0, count), end = std::clamp<int64_t>(s.in_w - x, begin, count);
    const float* from = c.input + image * c.input_batch_stride + y * c.input_row_stride + (x + begin) * c.input_pixel_stride;
    // In place, if nothing of it is outside of the picture, or beyond the end of all.
    if (dense && end - begin == count && from + count * s.in_c + NarrowScratch::kBeyond / 4 <= last + s.in_w * s.in_c) return from;
    outside(begin * s.in_c, to);
    if (dense) {
      CopyLong(to + begin * s.in_c, from, static_cast<size_t>((end - begin) * s.in_c) * 4);
    } else {
      for (int64_t i = begin; i < end; ++i, from += c.input_pixel_stride) memcpy(to + i * s.in_c, from, static_cast<size_t>(s.in_c) * 4);
    }
    outside((count - end) * s.in_c, to + end * s.in_c);
    return to;
  };
  conv.Run(first, pixel0, pixel1, line, outside, NarrowStore(c));
}

#if HWY_TARGET == HWY_AVX3
constexpr NarrowF32Kernels kNarrowF32 = {{0.55, 0.35, 0.22, 1.3, 0.3, 0.3}, 0.15, 16, NarrowRunF32};
#elif HWY_TARGET == HWY_AVX2
constexpr NarrowF32Kernels kNarrowF32 = {{0.6, 0.45, 0.4, 0.7, 0.3, 0.4}, 0.2, 16, NarrowRunF32};
#else
constexpr NarrowF32Kernels kNarrowF32 = {{1.0, 1.0, 0.95, 0.6, 0.3, 0.5}, 0.33, 4, NarrowRunF32};
#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif

#if HWY_ONCE
namespace linnet {

const NarrowF32Kernels* PickNarrowF32([[maybe_unused]] CpuLevel level) {
#if defined(__x86_64__) && !defined(LINNET_SMALL)
  return LINNET_PICK(level, kNarrowF32);
#else
  return nullptr;
#endif
}

bool NarrowPaysF32(const NarrowF32Kernels* narrow, const ConvF32& c) {
  if (!kNarrow || !narrow || !MayBeNarrow(c) || c.output_row_stride != 0) return false;
  if (c.input_channel_stride != 1 && c.in_c != 1) return false;
  const bool dense = c.input_row_stride == c.in_w * c.input_pixel_stride && (c.batch == 1 || c.input_batch_stride == c.in_h * c.input_row_stride);
  const bool pointwise = c.pointwise();
  if (pointwise && !dense) return false;
  const Narrow cut(c, 1);
  if (!cut.Fits(4)) return false;
  // Of one output, other ways sum up vectors of inputs.
  constexpr double kPixelNs = 2.5, kPointNs = 1.4, kOneNs = 0.07, kLineNs = 0.15, kMargin = 1.2;
  const double k = static_cast<double>(cut.Summands());
  const double each = c.out_c == 1 ? (c.in_c == 1 ? kLineNs : kOneNs)
                                   : static_cast<double>(DivUp(c.out_c, narrow->columns)) * narrow->other_ns;
  return cut.Ns(narrow->costs) * kMargin < static_cast<double>(c.pixels()) * ((pointwise ? kPointNs : kPixelNs) + k * each);
}

int64_t NarrowScratchBytesF32(const ConvF32& conv) { return NarrowScratch(Narrow(conv, 1), 4).bytes; }

GemmGrain NarrowGrainF32(const ConvF32& conv, int threads) {
  const Narrow n(conv, 1);
  return n.Grain(n.Ns(conv.narrow->costs), threads);
}

}  // namespace linnet
#endif
