// The loops of convolutions whose lanes are pixels (narrow.h): rows of planes, tiles of outputs by vectors of pixels.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_CONV_NARROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_CONV_NARROW_INL_H_
#undef LINNET_KERNELS_CONV_NARROW_INL_H_
#else
#define LINNET_KERNELS_CONV_NARROW_INL_H_
#endif

#include <stdint.h>
#include <string.h>

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/conv/narrow.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

// Keeps a vector that several multiplications read in a register: compilers load it for each of them.
#undef LINNET_LOADED
#if defined(__x86_64__)
#define LINNET_LOADED(vector) __asm__("" : "+v"((vector).raw))
#else
#define LINNET_LOADED(vector) static_cast<void>(vector)
#endif

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

// Vectors of pixels that registers hold the sums of, for so many outputs at once.
constexpr int kNarrowVectorsMax = 8;
constexpr int NarrowVectors(int outputs) {
#if HWY_TARGET == HWY_AVX3
  return outputs == 8 ? 2 : outputs == 4 ? 4 : kNarrowVectorsMax;
#else
  return outputs == 4 ? 2 : outputs == 2 ? 4 : kNarrowVectorsMax;
#endif
}
/// Outputs that are done at once where so many are left. Of few pixels more are, so that sums need not wait for each other.
constexpr int64_t NarrowOutputs(int64_t left, [[maybe_unused]] int64_t vectors) {
#if HWY_TARGET == HWY_AVX3
  if (left >= 8 && vectors <= NarrowVectors(8)) return 8;
#endif
  return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}
/// Sums of an output: of a tile.
constexpr int64_t kNarrowStride = kNarrowVectorsMax * kNarrowLanes;

/// What tiles of a piece of an output row read.
template <class T>
struct NarrowTaps {
  const T* const* rows;      ///< of planes, one for each kernel row
  int64_t kernel_rows;
  const int64_t* offsets;    ///< of the groups in a row
  int64_t groups;
  int64_t weight_stride;     ///< from group to group
};

// Sums of kN outputs at kV vectors of pixels from `x` on, to sums[output * kNarrowStride + pixel]. weights[row][group][weight_stride], of which kN are read.
template <class Leaf, int kN, int kV>
void NarrowTile(const NarrowTaps<typename Leaf::T>& taps, const typename Leaf::T* weights, const typename Leaf::T* first, int64_t x,
                typename Leaf::T* sums) {
  using T = typename Leaf::T;
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t kLanes = HWY_LANES(T);
  const int64_t stride = taps.weight_stride;
  V sum[kN][kV];
  LINNET_UNROLL
  for (int n = 0; n < kN; ++n) {
    LINNET_UNROLL
    for (int v = 0; v < kV; ++v) sum[n][v] = hn::Set(d, first[n]);
  }
  for (int64_t i = 0; i < taps.kernel_rows; ++i) {
    const T* const row = taps.rows[i] + x;
    for (const int64_t *at = taps.offsets, *const end = at + taps.groups; at < end; ++at, weights += stride) {
      const T* from = row + *at;
      V w[kN];
      LINNET_UNROLL
      for (int n = 0; n < kN; ++n) w[n] = hn::Set(d, weights[n]);
      LINNET_UNROLL
      for (int v = 0; v < kV; ++v) {
        V pixels = hn::LoadU(d, from + v * kLanes);
        if (kN > 1) LINNET_LOADED(pixels);
        LINNET_UNROLL
        for (int n = 0; n < kN; ++n) Leaf::Add(sum[n][v], pixels, w[n]);
      }
    }
  }
  LINNET_UNROLL
  for (int n = 0; n < kN; ++n) {
    LINNET_UNROLL
    for (int v = 0; v < kV; ++v) hn::StoreU(sum[n][v], d, sums + n * kNarrowStride + v * kLanes);
  }
}

// Of two rows of one output, those from kFirst to kLast that row i of the kernel of the first, and so row i - 1 of the second, belongs to.
template <class Leaf, int kV, int kFirst, int kLast, class V>
HWY_INLINE void NarrowPairRow(const NarrowTaps<typename Leaf::T>& taps, const typename Leaf::T* weights, int64_t i, int64_t x, V (&sum)[2][kV]) {
  using T = typename Leaf::T;
  const hn::ScalableTag<T> d;
  constexpr int64_t kLanes = HWY_LANES(T);
  const int64_t stride = taps.weight_stride, kernel_row = taps.groups * stride;
  const T* const row = taps.rows[i] + x;
  weights += i * kernel_row;
  for (const int64_t *at = taps.offsets, *const end = at + taps.groups; at < end; ++at, weights += stride) {
    const T* from = row + *at;
    V w[2];
    LINNET_UNROLL
    for (int r = kFirst; r <= kLast; ++r) w[r] = hn::Set(d, weights[-r * kernel_row]);
    LINNET_UNROLL
    for (int v = 0; v < kV; ++v) {
      V pixels = hn::LoadU(d, from + v * kLanes);
      if (kLast > kFirst) LINNET_LOADED(pixels);
      LINNET_UNROLL
      for (int r = kFirst; r <= kLast; ++r) Leaf::Add(sum[r][v], pixels, w[r]);
    }
  }
}

// As NarrowTile of one output, of two rows, whose sums are kNarrowStride apart.
template <class Leaf, int kV>
void NarrowPairTile(const NarrowTaps<typename Leaf::T>& taps, const typename Leaf::T* weights, const typename Leaf::T* first, int64_t x,
                    typename Leaf::T* sums) {
  using T = typename Leaf::T;
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t kLanes = HWY_LANES(T);
  V sum[2][kV];
  LINNET_UNROLL
  for (int v = 0; v < kV; ++v) sum[0][v] = sum[1][v] = hn::Set(d, *first);
  NarrowPairRow<Leaf, kV, 0, 0>(taps, weights, 0, x, sum);
  for (int64_t i = 1; i < taps.kernel_rows; ++i) NarrowPairRow<Leaf, kV, 0, 1>(taps, weights, i, x, sum);
  NarrowPairRow<Leaf, kV, 1, 1>(taps, weights, taps.kernel_rows, x, sum);
  LINNET_UNROLL
  for (int v = 0; v < kV; ++v) {
    hn::StoreU(sum[0][v], d, sums + v * kLanes);
    hn::StoreU(sum[1][v], d, sums + kNarrowStride + v * kLanes);
  }
}

template <class Leaf, int kN>
void NarrowTiles(int vectors, const NarrowTaps<typename Leaf::T>& taps, const typename Leaf::T* weights, const typename Leaf::T* first,
                 int64_t x, typename Leaf::T* sums) {
  using T = typename Leaf::T;
  using Tile = void(const NarrowTaps<T>&, const T*, const T*, int64_t, T*);
  constexpr int kMost = NarrowVectors(kN);
  static constexpr Tile* kTiles[] = {
      NarrowTile<Leaf, kN, 1>,
      NarrowTile<Leaf, kN, std::min(2, kMost)>,
      NarrowTile<Leaf, kN, std::min(3, kMost)>,
      NarrowTile<Leaf, kN, std::min(4, kMost)>,
      NarrowTile<Leaf, kN, std::min(5, kMost)>,
      NarrowTile<Leaf, kN, std::min(6, kMost)>,
      NarrowTile<Leaf, kN, std::min(7, kMost)>,
      NarrowTile<Leaf, kN, std::min(8, kMost)>,
  };
  kTiles[vectors - 1](taps, weights, first, x, sums);
}

template <class Leaf>
void NarrowPairTiles(int vectors, const NarrowTaps<typename Leaf::T>& taps, const typename Leaf::T* weights, const typename Leaf::T* first,
                     int64_t x, typename Leaf::T* sums) {
  using T = typename Leaf::T;
  using Tile = void(const NarrowTaps<T>&, const T*, const T*, int64_t, T*);
  constexpr int kMost = NarrowVectors(2);
  static constexpr Tile* kTiles[] = {
      NarrowPairTile<Leaf, 1>,
      NarrowPairTile<Leaf, 2>,
      NarrowPairTile<Leaf, 3>,
      NarrowPairTile<Leaf, 4>,
      NarrowPairTile<Leaf, std::min(5, kMost)>,
      NarrowPairTile<Leaf, std::min(6, kMost)>,
      NarrowPairTile<Leaf, std::min(7, kMost)>,
      NarrowPairTile<Leaf, std::min(8, kMost)>,
  };
  kTiles[vectors - 1](taps, weights, first, x, sums);
}

using NarrowFour = hn::FixedTag<uint32_t, 4>;

// Rows of four words turned: word i of all four.
template <class V>
HWY_INLINE void TurnFour(V& a, V& b, V& c, V& d) {
  const NarrowFour d32;
  const hn::Repartition<uint64_t, NarrowFour> d64;
  auto pair = [&](V low, V high) HWY_ATTR { return hn::BitCast(d64, hn::InterleaveLower(d32, low, high)); };
  auto upper = [&](V low, V high) HWY_ATTR { return hn::BitCast(d64, hn::InterleaveUpper(d32, low, high)); };
  const auto ab0 = pair(a, b), ab1 = upper(a, b), cd0 = pair(c, d), cd1 = upper(c, d);
  a = hn::BitCast(d32, hn::InterleaveLower(d64, ab0, cd0)), b = hn::BitCast(d32, hn::InterleaveUpper(d64, ab0, cd0));
  c = hn::BitCast(d32, hn::InterleaveLower(d64, ab1, cd1)), d = hn::BitCast(d32, hn::InterleaveUpper(d64, ab1, cd1));
}

// Words of kPlanes neighbouring words of a line, which begin `step` bytes apart, to planes `pitch` words apart. `count`: a multiple of 4.
template <int kPlanes>
void FillPlanes(const char* line, int64_t step, int64_t count, uint32_t* to, int64_t pitch) {
  const NarrowFour d;
  auto load = [&](const char* p) HWY_ATTR { return hn::BitCast(d, hn::LoadU(hn::Repartition<uint8_t, NarrowFour>(), reinterpret_cast<const uint8_t*>(p))); };
  for (int64_t q = 0; q < count; q += 4, line += 4 * step) {
    auto w0 = load(line), w1 = load(line + step), w2 = load(line + 2 * step), w3 = load(line + 3 * step);
    TurnFour(w0, w1, w2, w3);
    hn::StoreU(w0, d, to + q);
    if (kPlanes > 1) hn::StoreU(w1, d, to + pitch + q);
    if (kPlanes > 2) hn::StoreU(w2, d, to + 2 * pitch + q);
    if (kPlanes > 3) hn::StoreU(w3, d, to + 3 * pitch + q);
  }
}

// Of one plane, where words begin at most 4 bytes apart.
inline void FillPlane(const char* line, int64_t step, int64_t count, uint32_t* to) {
  const hn::Repartition<uint8_t, NarrowFour> d8;
  alignas(16) uint8_t places[16];
  for (int i = 0; i < 16; ++i) places[i] = static_cast<uint8_t>(i / 4 * step + i % 4);
  const auto at = hn::Load(d8, places);
  for (int64_t q = 0; q < count; q += 4, line += 4 * step) {
    hn::StoreU(hn::BitCast(NarrowFour(), hn::TableLookupBytes(hn::LoadU(d8, reinterpret_cast<const uint8_t*>(line)), at)), NarrowFour(), to + q);
  }
}

// Sums of outputs one after the other as those of pixels: out[pixel * stride + output], four outputs at a time, the last of which may be
// none. What is written behind a pixel's is overwritten by the next; up to 3 words behind the last. `count` is rounded up to 4.
template <int kFours, class T>
void TurnSums(const T* sums, int64_t count, int64_t stride, T* out) {
  const NarrowFour d;
  const uint32_t* from = reinterpret_cast<const uint32_t*>(sums);
  uint32_t* to = reinterpret_cast<uint32_t*>(out);
  for (int64_t p = 0; p < count; p += 4, from += 4, to += 4 * stride) {
    hn::Vec<NarrowFour> w[kFours][4];
    LINNET_UNROLL
    for (int f = 0; f < kFours; ++f) {
      LINNET_UNROLL
      for (int i = 0; i < 4; ++i) w[f][i] = hn::LoadU(d, from + (f * 4 + i) * kNarrowStride);
      TurnFour(w[f][0], w[f][1], w[f][2], w[f][3]);
    }
    LINNET_UNROLL
    for (int i = 0; i < 4; ++i) {
      LINNET_UNROLL
      for (int f = 0; f < kFours; ++f) hn::StoreU(w[f][i], d, to + i * stride + f * 4);
    }
  }
}
template <class T>
void TurnSums(const T* sums, int64_t outputs, int64_t count, int64_t stride, T* out) {
  switch ((outputs + 3) / 4) {
    case 1: return TurnSums<1>(sums, count, stride, out);
    case 2: return TurnSums<2>(sums, count, stride, out);
    case 3: return TurnSums<3>(sums, count, stride, out);
    default: return TurnSums<4>(sums, count, stride, out);
  }
}

/// One convolution. Leaf: T, the type of a sum, of which a word of pixels and one of weights have the size; Element, what words are made of;
/// Add(sum, pixels, weights).
template <class Leaf>
class NarrowConv {
 public:
  using T = typename Leaf::T;
  using Element = typename Leaf::Element;

  NarrowConv(const Narrow& narrow, void* scratch) : n_(narrow), at_(narrow, sizeof(Element)), scratch_(static_cast<char*>(scratch)) {
    for (int64_t g = 0; g < n_.groups; ++g) offsets()[g] = n_.GroupAt(g);
  }

  /// Weights that lie as tiles read them: words [row][group][stride].
  void UseWeights(const T* weights, int64_t stride) { weights_ = weights, stride_ = stride; }
  /// Others: words(row, k, count, to): the word of each output that has `count` elements from the k-th of a kernel row on.
  template <class Words>
  void CopyWeights(const Words& words) {
    T* to = At<T>(at_.weights);
    UseWeights(to, n_.c.out_c);
    for (int64_t i = 0; i < n_.c.kernel_h; ++i) {
      for (int64_t g = 0; g < n_.groups; ++g, to += n_.c.out_c) words(i, n_.GroupK(g), n_.GroupCount(g), reinterpret_cast<Element*>(to));
    }
  }

  /// Output pixels [pixel0, pixel1). line(image, y, x, count, to): where `count` pixels of a row of the input from pixel x on are, some of
  /// which may lie outside: at `to` if need be; outside(count, to): elements that do. finish(pixel, count, sums): sums[output * kNarrowStride + i] of output pixels
  /// pixel + i, each begun with first[output].
  template <class Line, class Outside, class Finish>
  void Run(const T* first, int64_t pixel0, int64_t pixel1, const Line& line, const Outside& outside, const Finish& finish) {
    const ConvSizes& c = n_.c;
    uint32_t* const beside = ring() + n_.ring_rows * n_.row_words();
    bool made = false;   // what is beside
    int64_t* const holds = At<int64_t>(at_.holds);
    const T** const rows = At<const T*>(at_.rows);
    for (int64_t x0 = 0; x0 < c.out_w; x0 += n_.piece) {
      const int64_t x1 = std::min(c.out_w, x0 + n_.piece);
      int64_t image = -1;
      for (int64_t y = pixel0 / c.out_w, count = 1; y * c.out_w < pixel1; y += count) {
        const int64_t begin = std::max(x0, pixel0 - y * c.out_w), end = std::min(x1, pixel1 - y * c.out_w);
        const bool pair = n_.pairs && begin == x0 && end == x1 && (y + 1) % c.out_h != 0 && (y + 1) * c.out_w + x1 <= pixel1;
        count = pair ? 2 : 1;
        if (begin >= end) continue;
        if (y / c.out_h != image) {
          image = y / c.out_h;
          std::fill(holds, holds + n_.ring_rows, int64_t{-1});
        }
        for (int64_t i = 0; i < c.kernel_h + count - 1; ++i) {
          const int64_t row = y % c.out_h * c.stride_h + i * c.dilation_h, slot = row % n_.ring_rows, in_y = row - c.pad_top;
          uint32_t* kept = ring() + slot * n_.row_words();
          if (in_y < 0 || in_y >= c.in_h) {
            if (!made) outside(n_.row_words() * n_.unit, reinterpret_cast<Element*>(beside));
            kept = beside, made = true;
          } else if (holds[slot] != row) {
            holds[slot] = row;
            Fill(line(image, in_y, x0 * c.stride_w - c.pad_left, n_.LinePixels(x1 - x0), At<Element>(at_.line)), n_.Words(x1 - x0), kept);
          }
          rows[i] = reinterpret_cast<const T*>(kept);
        }
        pair ? Pair(first, x1 - x0, y * c.out_w + x0, finish) : Row(first, begin - x0, end - x0, y * c.out_w + x0, finish);
      }
    }
  }

 private:
  template <class U>
  U* At(int64_t offset) const { return reinterpret_cast<U*>(scratch_ + offset); }
  int64_t* offsets() const { return At<int64_t>(at_.offsets); }
  uint32_t* ring() const { return At<uint32_t>(at_.ring); }

  void Fill(const Element* elements, int64_t words, uint32_t* to) const {
    const char* const line = reinterpret_cast<const char*>(elements);
    const int64_t size = sizeof(Element), step = n_.step * size;
    for (int64_t plane = 0; plane < n_.planes;) {
      const int64_t from = n_.PlaneAt(plane) * size;
      int64_t count = 1;
      while (count < 4 && plane + count < n_.planes && n_.PlaneAt(plane + count) * size == from + 4 * count) ++count;
      uint32_t* const first = to + plane * n_.pitch;
      switch (count) {
        case 1: step <= 4 ? FillPlane(line + from, step, words, first) : FillPlanes<1>(line + from, step, words, first, n_.pitch); break;
        case 2: FillPlanes<2>(line + from, step, words, first, n_.pitch); break;
        case 3: FillPlanes<3>(line + from, step, words, first, n_.pitch); break;
        default: FillPlanes<4>(line + from, step, words, first, n_.pitch); break;
      }
      plane += count;
    }
  }

  /// Pixels [begin, end) of a piece, whose first is output pixel `pixel`.
  template <class Finish>
  void Row(const T* first, int64_t begin, int64_t end, int64_t pixel, const Finish& finish) {
    constexpr int64_t kLanes = HWY_LANES(T);
    const NarrowTaps<T> taps = {At<const T*>(at_.rows), n_.c.kernel_h, offsets(), n_.groups, stride_};
    alignas(64) T sums[kNarrowOutputs * kNarrowStride];
    while (begin < end) {
      const int64_t block = std::min(end - begin, kNarrowStride);
      for (int64_t n = 0; n < n_.c.out_c;) {
        const int64_t together = NarrowOutputs(n_.c.out_c - n, DivUp(block, kLanes)), most = NarrowVectors(static_cast<int>(together));
        for (int64_t x = 0, left = DivUp(block, kLanes); left > 0;) {
          const int vectors = static_cast<int>(DivUp(left, DivUp(left, most)));   // tiles of about the same size
          T* const to = sums + n * kNarrowStride + x;
#if HWY_TARGET == HWY_AVX3
          if (together == 8) NarrowTiles<Leaf, 8>(vectors, taps, weights_ + n, first + n, begin + x, to);
#endif
          if (together == 4) NarrowTiles<Leaf, 4>(vectors, taps, weights_ + n, first + n, begin + x, to);
          if (together == 2) NarrowTiles<Leaf, 2>(vectors, taps, weights_ + n, first + n, begin + x, to);
          if (together == 1) NarrowTiles<Leaf, 1>(vectors, taps, weights_ + n, first + n, begin + x, to);
          x += vectors * kLanes, left -= vectors;
        }
        n += together;
      }
      finish(pixel + begin, block, static_cast<const T*>(sums));
      begin += block;
    }
  }

  /// All `count` pixels of a piece, of two rows of one output.
  template <class Finish>
  void Pair(const T* first, int64_t count, int64_t pixel, const Finish& finish) {
    constexpr int64_t kLanes = HWY_LANES(T), kMost = NarrowVectors(2);
    const NarrowTaps<T> taps = {At<const T*>(at_.rows), n_.c.kernel_h, offsets(), n_.groups, stride_};
    alignas(64) T sums[2 * kNarrowStride];
    for (int64_t begin = 0; begin < count; begin += kNarrowStride) {
      const int64_t block = std::min(count - begin, kNarrowStride);
      for (int64_t x = 0, left = DivUp(block, kLanes); left > 0;) {
        const int vectors = static_cast<int>(DivUp(left, DivUp(left, kMost)));
        NarrowPairTiles<Leaf>(vectors, taps, weights_, first, begin + x, sums + x);
        x += vectors * kLanes, left -= vectors;
      }
      for (int64_t r = 0; r < 2; ++r) finish(pixel + r * n_.c.out_w + begin, block, static_cast<const T*>(sums + r * kNarrowStride));
    }
  }

  const Narrow& n_;
  const NarrowScratch at_;
  char* scratch_;
  const T* weights_ = nullptr;
  int64_t stride_ = 0;
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
