// 8-bit convolutions of few outputs: what words are made of, and what follows their sums.
#include "kernels/int8/int8_narrow.h"

#include <string.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_narrow.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "base/memory.h"
#include "kernels/conv/narrow-inl.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"

#if defined(__x86_64__) && !defined(LINNET_SMALL)

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Words of two 16-bit numbers, which are the bytes themselves.
struct NarrowPairs {
  using T = int32_t;
  using Element = int16_t;
  static constexpr int64_t kUnit = 2;
  static constexpr int32_t kSignedShift = 0;
  static HWY_INLINE void Add(hn::Vec<I32>& sum, hn::Vec<I32> pixels, hn::Vec<I32> weights) {
    const I16 d;
    sum = hn::Add(sum, PairProducts(hn::BitCast(d, pixels), hn::BitCast(d, weights)));
  }
  static void Copy(const uint8_t* from, int64_t n, bool is_signed, int16_t* to) {
    is_signed ? Widen(reinterpret_cast<const int8_t*>(from), n, to) : Widen(from, n, to);
  }
  static void Outside(int64_t n, uint8_t byte, bool is_signed, int16_t* to) {
    std::fill(to, to + n, static_cast<int16_t>(is_signed ? static_cast<int8_t>(byte) : byte));
  }

 private:
  template <class B>
  static void Widen(const B* from, int64_t n, int16_t* to) {
    const I16 d;
    const hn::Rebind<B, I16> d8;
    constexpr int64_t kLanes = HWY_LANES(int16_t);
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) hn::StoreU(hn::PromoteTo(d, hn::LoadU(d8, from + i)), d, to + i);
    for (; i < n; ++i) to[i] = from[i];
  }
};

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

// Words of four unsigned bytes: signed ones are 128 more.
struct NarrowBytes {
  using T = int32_t;
  using Element = uint8_t;
  static constexpr int64_t kUnit = 4;
  static constexpr int32_t kSignedShift = 128;
  static HWY_INLINE void Add(hn::Vec<I32>& sum, hn::Vec<I32> pixels, hn::Vec<I32> weights) {
#if HWY_TARGET == HWY_AVX2
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.raw) : "x"(pixels.raw), "x"(weights.raw));
#else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(pixels.raw), "v"(weights.raw));
#endif
  }
  static void Copy(const uint8_t* from, int64_t n, bool is_signed, uint8_t* to) {
    if (!is_signed) return CopyLong(to, from, static_cast<size_t>(n));
    const hn::ScalableTag<uint8_t> d;
    constexpr int64_t kLanes = HWY_LANES(uint8_t);
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) hn::StoreU(hn::Xor(hn::LoadU(d, from + i), hn::Set(d, 0x80)), d, to + i);
    for (; i < n; ++i) to[i] = from[i] ^ 0x80;
  }
  static void Outside(int64_t n, uint8_t byte, bool is_signed, uint8_t* to) {
    memset(to, byte ^ (is_signed ? 0x80 : 0), static_cast<size_t>(n));
  }
};

#endif

// Where bits of unsigned numbers count, and sums wrap.
inline int32_t Wrapped(int64_t x) { return static_cast<int32_t>(static_cast<uint32_t>(x)); }

// What the sums of an output begin with: its offset, and what words have of their own shift.
template <class Leaf>
int32_t NarrowFirst(const Int8Kernels& kernels, const ConvInt8& c, int64_t output, int64_t k) {
  const int64_t offset = c.finish.offset ? c.finish.offset[output] : 0, shift = c.input_signed ? Leaf::kSignedShift : 0;
  if (!c.line) return Wrapped(offset + (BlockShift(kernels, c.input_signed) - shift) * int64_t{PackedSums(c.packed)[output]});
  int64_t sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += c.line[i / 2 * kLineStrideInt8 + i % 2];
  return Wrapped(offset - ((c.input_signed ? static_cast<int8_t>(c.input_zero) : c.input_zero) + shift) * sum);
}

// Stores the sums of `count` output pixels from `pixel` on.
class NarrowFinish {
 public:
  /// `row`: pixels of an output row.
  NarrowFinish(const Int8Kernels& kernels, const FinishInt8& finish, int64_t outputs, int64_t row)
      : kernels_(kernels), f_(finish), n_(outputs) {
    constexpr int64_t kLong = 64, kFew = kPhases;   // from where on, and below how many outputs, several phases pay
    f_.offset = nullptr;
    const Epilogue& e = f_.epilogue;
    // Pixels whose outputs follow one another are rows of 16 of them; the scales of a row are those of another so many rows on.
    while (period_ * kPanelColumns % n_ != 0) ++period_;
    dense_ = f_.c_row_stride == n_ && (!e.residual || e.residual_row_stride == n_) && (period_ == 1 || (n_ < kFew && row >= kLong));
    if (!dense_) return;
    for (int64_t j = 0; j < period_ * kPanelColumns; ++j) {
      if (f_.scale) scale_[j] = f_.scale[f_.one_scale ? 0 : j % n_];
      if (e.bias) bias_[j] = e.bias[j % n_];
    }
    f_.one_scale = false;
    if (f_.scale) f_.scale = scale_;
    if (e.bias) f_.epilogue.bias = bias_;
    f_.c_row_stride = f_.epilogue.residual_row_stride = period_ * kPanelColumns;
  }

  void operator()(int64_t pixel, int64_t count, const int32_t* sums) const {
    constexpr int64_t kSums = kNarrowStride * kPanelColumns;
    alignas(64) int32_t turned[kSums + kPanelColumns];
    if (!dense_) {
      TurnSums(sums, n_, count, kPanelColumns, turned);
      return Rows(f_, turned, pixel, count, 0, n_);
    }
    if (n_ > 1) TurnSums(sums, n_, count, n_, turned);
    const int32_t* from = n_ > 1 ? turned : sums;
    const bool wide = f_.to == FinishInt8::To::kInt32 || f_.to == FinishInt8::To::kFloat;
    FinishInt8 f = f_;
    f.c = static_cast<char*>(f.c) + pixel * n_ * (wide ? 4 : 1);
    if (f.epilogue.residual) f.epilogue.residual += pixel * n_;
    const int64_t whole = count * n_ / kPanelColumns, rest = count * n_ % kPanelColumns;
    alignas(64) int32_t sorted[kNarrowStride * kPhases];
    for (int64_t phase = 0; phase < period_; ++phase) {
      const int64_t rows = DivUp(whole - phase, period_), column = phase * kPanelColumns;
      if (period_ > 1) {
        for (int64_t i = 0; i < rows; ++i) {
          memcpy(sorted + i * kPanelColumns, from + (i * period_ + phase) * kPanelColumns, kPanelColumns * sizeof(int32_t));
        }
      }
      Rows(f, period_ > 1 ? sorted : from, 0, rows, column, kPanelColumns);
    }
    if (rest > 0) kernels_.finish(f, from + whole * kPanelColumns, nullptr, whole / period_, 1, whole % period_ * kPanelColumns, rest);
  }

 private:
  void Rows(const FinishInt8& f, const int32_t* sums, int64_t row, int64_t rows, int64_t column, int64_t columns) const {
    constexpr int64_t kRows = 32;   // that `finish` does at once at every level
    for (int64_t i = 0; i < rows; i += kRows) {
      kernels_.finish(f, sums + i * kPanelColumns, nullptr, row + i, static_cast<int>(std::min(kRows, rows - i)), column, columns);
    }
  }

  static constexpr int64_t kPhases = 8;
  const Int8Kernels& kernels_;
  FinishInt8 f_;
  int64_t n_, period_ = 1;
  bool dense_;
  alignas(64) float scale_[kPhases * kPanelColumns], bias_[kPhases * kPanelColumns];
};

template <class Leaf>
void NarrowRun(const Int8Kernels& kernels, const ConvInt8& c, int64_t pixel0, int64_t pixel1, void* scratch) {
  using Element = typename Leaf::Element;
  const Narrow narrow(c, Leaf::kUnit);
  const ConvSizes& s = narrow.c;
  const int64_t row = s.kernel_w * s.in_c, k = s.kernel_h * row;
  NarrowConv<Leaf> conv(narrow, scratch);
  const int8_t* const panel = c.line ? nullptr : PackedPanels(c.packed, c.out_c);
  if (c.line) {
    conv.CopyWeights([&](int64_t i, int64_t from, int64_t count, Element* to) {
      for (int64_t u = 0, at = i * row + from; u < Leaf::kUnit; ++u, ++at) {
        to[u] = u < count ? static_cast<Element>(c.line[at / 2 * kLineStrideInt8 + at % 2]) : Element(0);
      }
    });
  } else if (Leaf::kUnit == 4 && s.in_c % 4 == 0 && c.out_c > 4) {   // words of a panel
    conv.UseWeights(reinterpret_cast<const int32_t*>(panel), kPanelColumns);
  } else {
    conv.CopyWeights([&](int64_t i, int64_t from, int64_t count, Element* to) {
      for (int64_t u = 0, at = i * row + from; u < Leaf::kUnit; ++u, ++at) {
        const int8_t* const column = panel + at / 4 * (4 * kPanelColumns) + at % 4;
        for (int64_t n = 0; n < c.out_c; ++n) to[n * Leaf::kUnit + u] = u < count ? static_cast<Element>(column[n * 4]) : Element(0);
      }
    });
  }
  int32_t first[kNarrowOutputs];
  for (int64_t n = 0; n < c.out_c; ++n) first[n] = NarrowFirst<Leaf>(kernels, c, n, k);
  auto outside = [&](int64_t count, Element* to) { Leaf::Outside(count, c.input_zero, c.input_signed, to); };
  const uint8_t* const input_end = c.input + s.batch * s.in_h * s.in_w * s.in_c;
  auto line = [&](int64_t image, int64_t y, int64_t x, int64_t count, Element* to) -> const Element* {
    const int64_t begin = std::clamp<int64_t>(-x, 0, count), end = std::clamp<int64_t>(s.in_w - x, begin, count);
    const uint8_t* const from = c.input + ((image * s.in_h + y) * s.in_w + x + begin) * s.in_c;
    if constexpr (Leaf::kUnit == 4) {
      // In place, if nothing of it is outside of the picture, or beyond the end of all.
      if (!c.input_signed && end - begin == count && from + count * s.in_c + NarrowScratch::kBeyond <= input_end) return from;
    }
    outside(begin * s.in_c, to);
    if (end > begin) Leaf::Copy(from, (end - begin) * s.in_c, c.input_signed, to + begin * s.in_c);
    outside((count - end) * s.in_c, to + end * s.in_c);
    return to;
  };
  conv.Run(first, pixel0, pixel1, line, outside, NarrowFinish(kernels, c.finish, c.out_c, s.out_w));
}

#if HWY_TARGET == HWY_AVX3
constexpr NarrowInt8Kernels kNarrowPairs = {2, {0.75, 0.5, 0.39, 0.4, 0.15, 0.3}, 4, 16, NarrowRun<NarrowPairs>};
constexpr NarrowInt8Kernels kNarrowBytes = {4, {0.5, 0.33, 0.19, 1.7, 0.15, 0.25}, 2.7, 16, NarrowRun<NarrowBytes>};
#elif HWY_TARGET == HWY_AVX2
constexpr NarrowInt8Kernels kNarrowPairs = {2, {0.7, 0.55, 0.45, 0.3, 0.15, 0.4}, 5, 16, NarrowRun<NarrowPairs>};
constexpr NarrowInt8Kernels kNarrowBytes = {4, {0.55, 0.45, 0.4, 0.9, 0.15, 0.4}, 4, 16, NarrowRun<NarrowBytes>};
#else
constexpr NarrowInt8Kernels kNarrowPairs = {2, {1.15, 1.05, 1.0, 0.3, 0.15, 0.6}, 6, 4, NarrowRun<NarrowPairs>};
#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif

#if HWY_ONCE
namespace linnet {

const NarrowInt8Kernels* PickNarrowInt8([[maybe_unused]] CpuLevel level, [[maybe_unused]] bool wide) {
#if defined(__x86_64__) && !defined(LINNET_SMALL)
  if (!wide && Supports(level, CpuLevel::kAvx512Vnni)) return &N_AVX3::kNarrowBytes;
  if (!wide && Supports(level, CpuLevel::kAvxVnni)) return &N_AVX2::kNarrowBytes;
  return LINNET_PICK(level, kNarrowPairs);
#else
  return nullptr;
#endif
}

bool NarrowPaysInt8(const Int8Kernels& kernels, const NarrowInt8Kernels* narrow, const ConvInt8& conv, bool line) {
  if (!kNarrow || !narrow || !MayBeNarrow(conv)) return false;
  const Narrow cut(conv, narrow->unit);
  if (!cut.Fits(4 / narrow->unit)) return false;
  const double k = static_cast<double>(conv.kernel_h * conv.kernel_w) * static_cast<double>(conv.in_c);
  // Depthwise kernels; copying a row of a kernel, in strips or pixel by pixel, and where pixels lie partly beside the picture.
  constexpr double kLineNs = 5, kTapNs = 0.5, kStripNs = 0.3, kRowNs = 0.8, kMargin = 1.15;
  const bool strips = kTilesInPlace && kernels.tiles && conv.in_c % 4 == 0;
  const double edge_ns = conv.kernel_h == 3 && conv.kernel_w * conv.in_c <= 16 ? 5 : 30;   // the Gatherer's ways of short rows
  const double columns = static_cast<double>(RoundUp(conv.out_c, narrow->columns)), rows = static_cast<double>(conv.kernel_h);
  double other = kLineNs + k * kTapNs;
  if (!line) {
    other = narrow->pixel_ns + k * columns * kernels.mac_ns;
    if (!conv.pointwise()) other += strips ? rows * kStripNs : rows * (kRowNs + edge_ns / static_cast<double>(conv.out_w));
  }
  return cut.Ns(narrow->costs) * kMargin < static_cast<double>(conv.pixels()) * other;
}

int64_t NarrowScratchBytesInt8(const ConvInt8& conv) {
  return NarrowScratch(Narrow(conv, conv.narrow->unit), 4 / conv.narrow->unit).bytes;
}

GemmGrain NarrowGrainInt8(const ConvInt8& conv, int threads) {
  const Narrow n(conv, conv.narrow->unit);
  return n.Grain(n.Ns(conv.narrow->costs), threads);
}

}  // namespace linnet
#endif
