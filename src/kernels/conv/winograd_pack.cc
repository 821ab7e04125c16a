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

/// Cost in multiply-adds, for any machine alike. Weights beyond what a cache keeps come from memory at every run.
double WeightCost(double bytes) {
  constexpr double kCache = 1 << 20, kFromCache = 0.25, kFromMemory = 3;
  return bytes <= kCache ? bytes * kFromCache : kCache * kFromCache + (bytes - kCache) * kFromMemory;
}

double WinogradBytes(double in_c, double out_c, int tile) { return (tile + 2) * (tile + 2) * in_c * out_c * 4; }

double WinogradCost(const ConvSizes& c, int tile) {
  // Starting and storing a row of a product costs as much as some channels; a transform, per channel of a tile.
  constexpr double kRow = 8;
  const double transform = tile == 2 ? 130 : tile == 4 ? 400 : 700;
  const double positions = (tile + 2) * (tile + 2);
  const double in_c = static_cast<double>(c.in_c), out_c = static_cast<double>(c.out_c);
  return static_cast<double>(WinogradTiles(c, tile)) * (positions * (in_c + kRow) * out_c + transform * (in_c + out_c)) +
         WeightCost(WinogradBytes(in_c, out_c, tile));
}

}  // namespace

int WinogradTile(int64_t in_c, int64_t out_c, int64_t out_h, int64_t out_w, int64_t dilation_h, int64_t dilation_w) {
  // What is not known is taken to be a picture in the middle of a network.
  constexpr int64_t kUsual = 28;
  ConvSizes c;
  c.in_c = in_c, c.out_c = out_c, c.dilation_h = dilation_h, c.dilation_w = dilation_w;
  c.out_h = out_h > 0 ? out_h : kUsual, c.out_w = out_w > 0 ? out_w : kUsual;
  const double in = static_cast<double>(in_c), out = static_cast<double>(out_c);
  // Taps of dilated kernels that lie outside are left out (conv_taps.h).
  auto taps = [](int64_t size, int64_t dilation) { return dilation == 1 ? 3 : ConvAxis{size, size, 3, 1, dilation, dilation}.mean_taps(); };
  const double inside = taps(c.out_h, dilation_h) * taps(c.out_w, dilation_w);
  const double direct = static_cast<double>(c.out_h) * static_cast<double>(c.out_w) * inside * in * out + WeightCost(9 * in * out * 4);
  // Larger tiles must gain clearly: they are less exact and their weights are 2.25 and 1.78 times as big. Each byte of these must save
  // so many multiply-adds, but for the first MiB of tiles of 4 x 4: on maps of less than about 38 x 38, and of 84 x 84 for tiles of
  // 6 x 6, it saves fewer, and there weights are most of a model's memory.
  auto pays = [&](int larger, int tile, double share, double free) {
    const double cost = WinogradCost(c, tile), gain = cost - WinogradCost(c, larger);
    const double more = WinogradBytes(in, out, larger) - WinogradBytes(in, out, tile);
    return gain > share * cost && (more <= free || gain > 30 * more);
  };
  const int tile = !pays(4, 2, 0.22, 1 << 20) ? 2 : !pays(6, 4, 0.125, 0) ? 4 : 6;
  return WinogradCost(c, tile) < 0.9 * direct ? tile : 0;
}

int64_t PackedWinogradSizeF32(int64_t out_c, int64_t in_c, int tile) {
  return (tile + 2) * (tile + 2) * PackedSizeF32(in_c, out_c);
}

void PackWinogradF32(const float* weights, int64_t out_c, int64_t in_c, int tile, float* out) {
  LINNET_PICK(DetectedCpuLevel(), PackWinograd)(weights, out_c, in_c, tile, out);
}

}  // namespace linnet
#endif  // HWY_ONCE
