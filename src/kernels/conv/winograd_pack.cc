// Weights of Winograd convolution: when they pay, and how they are made.
#include "kernels/conv/winograd.h"

#include <string.h>

#include <algorithm>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/winograd_pack.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {
// Doubles: each weight is rounded once. The same operations at every width, so the same bits.
#if HWY_HAVE_FLOAT64
namespace hn = hwy::HWY_NAMESPACE;
using Doubles = hn::CappedTag<double, 8>;
using Narrow = hn::Rebind<float, Doubles>;
using Wide = hn::Vec<Doubles>;
#else
// ARMv7's vectors have none: one at a time.
struct Doubles {};
struct Narrow {};
using Wide = double;
namespace hn {
inline size_t Lanes(Doubles) { return 1; }
inline double Set(Doubles, double x) { return x; }
inline double Add(double a, double b) { return a + b; }
inline double Sub(double a, double b) { return a - b; }
inline double Mul(double a, double b) { return a * b; }
inline float LoadU(Narrow, const float* p) { return *p; }
inline void StoreU(float x, Narrow, float* p) { *p = x; }
inline double PromoteTo(Doubles, float x) { return x; }
inline float DemoteTo(Narrow, double x) { return static_cast<float>(x); }
}  // namespace hn
#endif

/// G times a column of three, for m = 2 (points 0, 1, -1, infinity).
HWY_INLINE void Transform(Wide a, Wide b, Wide c, Wide (&u)[4]) {
  const Doubles d;
  const Wide half = hn::Set(d, 0.5), even = hn::Mul(half, hn::Add(a, c)), odd = hn::Mul(half, b);
  u[0] = a;
  u[1] = hn::Add(even, odd);
  u[2] = hn::Sub(even, odd);
  u[3] = c;
}

/// The same for m = 4 (points 0, +-p, +-q, infinity): a row is 1, x, x^2 over the product of x minus the other points.
HWY_INLINE void Transform(Wide a, Wide b, Wide c, Wide (&u)[6]) {
  constexpr double p = 0.75, q = 1.5, p2 = p * p, q2 = q * q;
  constexpr double at_p = 1 / (2 * p2 * (p2 - q2)), at_q = 1 / (2 * q2 * (q2 - p2));
  const Doubles d;
  const Wide even_p = hn::Add(hn::Mul(hn::Set(d, at_p), a), hn::Mul(hn::Set(d, at_p * p2), c));
  const Wide even_q = hn::Add(hn::Mul(hn::Set(d, at_q), a), hn::Mul(hn::Set(d, at_q * q2), c));
  const Wide odd_p = hn::Mul(hn::Set(d, at_p * p), b), odd_q = hn::Mul(hn::Set(d, at_q * q), b);
  u[0] = hn::Mul(hn::Set(d, 1 / (p2 * q2)), a);
  u[1] = hn::Add(even_p, odd_p);
  u[2] = hn::Sub(even_p, odd_p);
  u[3] = hn::Add(even_q, odd_q);
  u[4] = hn::Sub(even_q, odd_q);
  u[5] = c;
}

/// And for m = 6 (points 0, +-1/2, +-1, +-2, infinity).
HWY_INLINE void Transform(Wide a, Wide b, Wide c, Wide (&u)[8]) {
  constexpr double kPoints[3] = {0.5, 1, 2}, kOver[3] = {1 / 1.40625, 1 / -4.5, 1 / 90.0};
  const Doubles d;
  u[0] = hn::Mul(hn::Set(d, -1.0), a);
  for (int i = 0; i < 3; ++i) {
    const double x = kPoints[i], over = kOver[i];
    const Wide even = hn::Add(hn::Mul(hn::Set(d, over), a), hn::Mul(hn::Set(d, over * (x * x)), c));
    const Wide odd = hn::Mul(hn::Set(d, over * x), b);
    u[1 + 2 * i] = hn::Add(even, odd);
    u[2 + 2 * i] = hn::Sub(even, odd);
  }
  u[7] = c;
}

/// One input channel of a panel: `taps` 9 rows of 16 floats, position i to out + i * position_stride.
template <int kSide>
void PackChannel(const float* taps, float* out, int64_t position_stride) {
  const Doubles d;
  const Narrow narrow;
  for (int64_t lane = 0; lane < kPanelColumns; lane += static_cast<int64_t>(hn::Lanes(d))) {
    Wide half[3][kSide];
    for (int64_t j = 0; j < 3; ++j) {
      auto tap = [&](int64_t i) {
        return hn::PromoteTo(d, hn::LoadU(narrow, taps + (i * 3 + j) * kPanelColumns + lane));
      };
      Transform(tap(0), tap(1), tap(2), half[j]);
    }
    for (int64_t i = 0; i < kSide; ++i) {
      Wide u[kSide];
      Transform(half[0][i], half[1][i], half[2][i], u);
      for (int64_t j = 0; j < kSide; ++j) {
        hn::StoreU(hn::DemoteTo(narrow, u[j]), narrow, out + (i * kSide + j) * position_stride + lane);
      }
    }
  }
}

template <int kSide>
void Pack(const float* weights, int64_t out_c, int64_t in_c, float* out) {
  // The matrices often lie a power of two apart and crowd one cache set: their lines are written once, whole.
  constexpr int64_t kChannels = 4, kPositions = kSide * kSide, kStride = kChannels * kPanelColumns;
  float taps[kStride * 9], made[kStride * kPositions];
  const int64_t panels = PanelCount(out_c), position_stride = panels * in_c * kPanelColumns;
  for (int64_t panel = 0; panel < panels; ++panel) {
    const int64_t first = panel * kPanelColumns, columns = std::min(kPanelColumns, out_c - first);
    for (int64_t c0 = 0; c0 < in_c; c0 += kChannels) {
      const int64_t channels = std::min(kChannels, in_c - c0);
      PackF32(weights + (first * in_c + c0) * 9, channels * 9, columns, 1, in_c * 9, taps);
      for (int64_t c = 0; c < channels; ++c) {
        PackChannel<kSide>(taps + c * 9 * kPanelColumns, made + c * kPanelColumns, kStride);
      }
      float* to = out + (panel * in_c + c0) * kPanelColumns;
      for (int64_t i = 0; i < kPositions; ++i) {
        memcpy(to + i * position_stride, made + i * kStride, static_cast<size_t>(channels * kPanelColumns) * 4);
      }
    }
  }
}

}  // namespace

void PackWinograd(const float* weights, int64_t out_c, int64_t in_c, int tile, float* out) {
  if (tile == 6) return Pack<8>(weights, out_c, in_c, out);
  if (tile == 4) return Pack<6>(weights, out_c, in_c, out);
  Pack<4>(weights, out_c, in_c, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {
namespace {

/// Floats that weights grow by when they are transformed ahead.
double Growth(const ConvSizes& c, int tile) { return ((tile + 2.0) * (tile + 2) - 9) * static_cast<double>(c.in_c) * static_cast<double>(c.out_c); }

/// Cost in multiply-adds, for any machine alike, but that some, those with more registers, do a `few` tiles by themselves and multiply faster
/// beside what they write.
double WinogradCost(const ConvSizes& c, WinogradWay way, bool few) {
  // Starting and storing a row of a product costs as much as some channels. A transform costs so much a channel of a tile; of a weight, what
  // writing it into the second-level cache takes. What is made larger ahead is read from memory, and is a model's memory.
  constexpr double kRow = 8, kFewWeight = 210, kRead = 12, kReadMuch = 32, kMuch = 1 << 19;
  const int tile = way.tile;
  const double transform = tile == 2 ? 130 : tile == 4 ? 400 : 700, weight = (few ? 1 : 0.5) * (tile == 2 ? 220 : 400);
  const double positions = (tile + 2) * (tile + 2), in = static_cast<double>(c.in_c), out = static_cast<double>(c.out_c);
  const double tiles = static_cast<double>(WinogradTiles(c, tile)), transforms = tiles * transform * (in + out);
  if (few && WinogradTakesFew(way, WinogradTiles(c, tile))) return transforms + kFewWeight * in * out;
  const double growth = Growth(c, tile), ahead = kRead * std::min(growth, kMuch) + kReadMuch * std::max(0.0, growth - kMuch);
  return transforms + tiles * positions * (in + kRow) * out + (way.ahead ? ahead : weight * in * out);
}

}  // namespace

WinogradWay ChooseWinograd(ConvSizes c, const WinogradF32Kernels* late) {
  constexpr int64_t kUsual = 28;
  if (c.batch <= 0) c.batch = 1;
  if (c.out_h <= 0) c.out_h = kUsual;
  if (c.out_w <= 0) c.out_w = kUsual;
  // Taps of dilated kernels that lie outside are left out (conv_taps.h).
  auto taps = [](int64_t size, int64_t dilation) { return dilation == 1 ? 3 : ConvAxis{size, size, 3, 1, dilation, dilation}.mean_taps(); };
  const double pixels = static_cast<double>(c.batch) * static_cast<double>(c.out_h) * static_cast<double>(c.out_w);
  const double direct = pixels * taps(c.out_h, c.dilation_h) * taps(c.out_w, c.dilation_w) * static_cast<double>(c.in_c) * static_cast<double>(c.out_c);
  WinogradWay best;
  double least = 0.9 * direct;
  auto better = [&](WinogradWay way, double most) {
    const double cost = WinogradCost(c, way, !late || late->few);
    return cost < most ? (best = way, least = cost, true) : false;
  };
  if (late) {
    better({2, false}, least), better({4, false}, best.tile ? 0.87 * least : least);
    return best;
  }
  // Larger tiles are less exact: they must gain clearly. Those of 6 x 6 save little beside their weights, 7 times as many.
  better({2, true}, least);
  better({4, true}, best.tile ? 0.87 * least : least);
  const double more = Growth(c, 6) - Growth(c, 4);
  if (best.tile == 4) better({6, true}, std::min(0.875 * least, least - 120 * more));
  if (best.tile != 6) better({4, false}, best.tile == 2 ? 0.87 * least : least);
  return best;
}

int64_t PackedWinogradSizeF32(int64_t out_c, int64_t in_c, int tile) {
  return (tile + 2) * (tile + 2) * PackedSizeF32(in_c, out_c);
}

void PackWinogradF32(const float* weights, int64_t out_c, int64_t in_c, int tile, float* out) {
  LINNET_PICK(DetectedCpuLevel(), PackWinograd)(weights, out_c, in_c, tile, out);
}

}  // namespace linnet
#endif  // HWY_ONCE
