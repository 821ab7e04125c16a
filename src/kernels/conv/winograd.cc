// The transforms of Winograd convolution for each instruction set: channels lie across the lanes.
//
// A two-dimensional transform is a one-dimensional one of all columns, then of all rows. What lies between them, more
// than 16 registers hold, goes through an array in the first-level cache; one column or row stays in registers. With 32 registers a few
// rows are made of all columns at a time, which are read again for the next few: nothing lies between.
#include "kernels/conv/winograd.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv/winograd.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/epilogue-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int64_t kLanes = HWY_LANES(float);

constexpr bool kManyRegisters = HWY_TARGET == HWY_AVX3 || (HWY_TARGET == HWY_NEON && HWY_ARCH_ARM_A64);

// Rows of a transform that are made together with many registers: those that share most of their sums.
template <int kTile>
struct RowGroups {
  static constexpr int kInput[1][4] = {{0, 1, 2, 3}}, kOutput[1][2] = {{0, 1}};
};
template <>
struct RowGroups<4> {
  static constexpr int kInput[2][3] = {{0, 1, 2}, {5, 3, 4}}, kOutput[2][2] = {{0, 2}, {1, 3}};
};
template <>
struct RowGroups<6> {
  static constexpr int kInput[4][2] = {{0, 7}, {1, 2}, {3, 4}, {5, 6}}, kOutput[2][3] = {{0, 2, 4}, {1, 3, 5}};
};

HWY_INLINE VF32 Set(float x) {
  return hn::Set(F32(), x);
}

/// B' of m = 2, and A'.
HWY_INLINE void Forward(const VF32 (&d)[4], VF32 (&v)[4]) {
  v[0] = hn::Sub(d[0], d[2]);
  v[1] = hn::Add(d[2], d[1]);
  v[2] = hn::Sub(d[2], d[1]);
  v[3] = hn::Sub(d[3], d[1]);
}
HWY_INLINE void Backward(const VF32 (&m)[4], VF32 (&y)[2]) {
  y[0] = hn::Add(m[0], hn::Add(m[1], m[2]));
  y[1] = hn::Add(hn::Sub(m[1], m[2]), m[3]);
}

/// The same of m = 4. Points +-p and +-q give sums and differences of the same even and odd parts.
constexpr float kP = 0.75f, kQ = 1.5f, kP2 = kP * kP, kQ2 = kQ * kQ;
HWY_INLINE void Forward(const VF32 (&d)[6], VF32 (&v)[6]) {
  const VF32 p2 = Set(kP2), q2 = Set(kQ2), sum = Set(kP2 + kQ2), product = Set(kP2 * kQ2), p = Set(kP), q = Set(kQ);
  const VF32 even_p = hn::NegMulAdd(q2, d[2], d[4]), odd_p = hn::NegMulAdd(q2, d[1], d[3]);
  const VF32 even_q = hn::NegMulAdd(p2, d[2], d[4]), odd_q = hn::NegMulAdd(p2, d[1], d[3]);
  v[0] = hn::MulAdd(product, d[0], hn::NegMulAdd(sum, d[2], d[4]));
  v[1] = hn::MulAdd(p, odd_p, even_p);
  v[2] = hn::NegMulAdd(p, odd_p, even_p);
  v[3] = hn::MulAdd(q, odd_q, even_q);
  v[4] = hn::NegMulAdd(q, odd_q, even_q);
  v[5] = hn::MulAdd(product, d[1], hn::NegMulAdd(sum, d[3], d[5]));
}
HWY_INLINE void Backward(const VF32 (&m)[6], VF32 (&y)[4]) {
  const VF32 even_p = hn::Add(m[1], m[2]), odd_p = hn::Sub(m[1], m[2]);
  const VF32 even_q = hn::Add(m[3], m[4]), odd_q = hn::Sub(m[3], m[4]);
  y[0] = hn::Add(m[0], hn::Add(even_p, even_q));
  y[1] = hn::MulAdd(Set(kQ), odd_q, hn::Mul(Set(kP), odd_p));
  y[2] = hn::MulAdd(Set(kQ2), even_q, hn::Mul(Set(kP2), even_p));
  y[3] = hn::MulAdd(Set(kQ2 * kQ), odd_q, hn::MulAdd(Set(kP2 * kP), odd_p, m[5]));
}

/// And of m = 6, points +-1/2, +-1 and +-2.
HWY_INLINE void Forward(const VF32 (&d)[8], VF32 (&v)[8]) {
  const VF32 sum = Set(5.25f);
  v[0] = hn::MulAdd(sum, hn::Sub(d[2], d[4]), hn::Sub(d[6], d[0]));
  v[7] = hn::MulAdd(sum, hn::Sub(d[3], d[5]), hn::Sub(d[7], d[1]));
  auto pair = [&](float x, float fourth, float second, VF32* plus, VF32* minus) HWY_ATTR {
    const VF32 even = hn::MulAdd(Set(second), d[2], hn::NegMulAdd(Set(fourth), d[4], d[6]));
    const VF32 odd = hn::MulAdd(Set(second), d[1], hn::NegMulAdd(Set(fourth), d[3], d[5]));
    *plus = hn::MulAdd(Set(x), odd, even);
    *minus = hn::NegMulAdd(Set(x), odd, even);
  };
  pair(0.5f, 5, 4, &v[1], &v[2]);
  pair(1, 4.25f, 1, &v[3], &v[4]);
  pair(2, 1.25f, 0.25f, &v[5], &v[6]);
}
HWY_INLINE void Backward(const VF32 (&m)[8], VF32 (&y)[6]) {
  const VF32 even_half = hn::Add(m[1], m[2]), odd_half = hn::Sub(m[1], m[2]);
  const VF32 even_one = hn::Add(m[3], m[4]), odd_one = hn::Sub(m[3], m[4]);
  const VF32 even_two = hn::Add(m[5], m[6]), odd_two = hn::Sub(m[5], m[6]);
  y[0] = hn::Add(hn::Add(m[0], even_half), hn::Add(even_one, even_two));
  y[1] = hn::MulAdd(Set(2), odd_two, hn::MulAdd(Set(0.5f), odd_half, odd_one));
  y[2] = hn::MulAdd(Set(4), even_two, hn::MulAdd(Set(0.25f), even_half, even_one));
  y[3] = hn::MulAdd(Set(8), odd_two, hn::MulAdd(Set(0.125f), odd_half, odd_one));
  y[4] = hn::MulAdd(Set(16), even_two, hn::MulAdd(Set(0.0625f), even_half, even_one));
  y[5] = hn::MulAdd(Set(32), odd_two, hn::MulAdd(Set(0.03125f), odd_half, hn::Add(odd_one, m[7])));
}

/// G, m = 2: 1, x, x^2 at each point over the product of x minus the other points; of a point and its negative even and odd parts.
HWY_INLINE void OfTaps(VF32 a, VF32 b, VF32 c, VF32 (&u)[4]) {
  const VF32 half = Set(0.5f), even = hn::Mul(half, hn::Add(a, c));
  u[0] = a;
  u[1] = hn::MulAdd(half, b, even);
  u[2] = hn::NegMulAdd(half, b, even);
  u[3] = c;
}

/// m = 4.
HWY_INLINE void OfTaps(VF32 a, VF32 b, VF32 c, VF32 (&u)[6]) {
  constexpr double p2 = kP2, q2 = kQ2, at_p = 1 / (2 * p2 * (p2 - q2)), at_q = 1 / (2 * q2 * (q2 - p2));
  auto real = [](double x) HWY_ATTR { return Set(static_cast<float>(x)); };
  const VF32 even_p = hn::MulAdd(real(at_p), a, hn::Mul(real(at_p * p2), c)), odd_p = real(at_p * kP);
  const VF32 even_q = hn::MulAdd(real(at_q), a, hn::Mul(real(at_q * q2), c)), odd_q = real(at_q * kQ);
  u[0] = hn::Mul(real(1 / (p2 * q2)), a);
  u[1] = hn::MulAdd(odd_p, b, even_p);
  u[2] = hn::NegMulAdd(odd_p, b, even_p);
  u[3] = hn::MulAdd(odd_q, b, even_q);
  u[4] = hn::NegMulAdd(odd_q, b, even_q);
  u[5] = c;
}

/// m = 6.
HWY_INLINE void OfTaps(VF32 a, VF32 b, VF32 c, VF32 (&u)[8]) {
  constexpr double kPoints[3] = {0.5, 1, 2}, kOver[3] = {1 / 1.40625, 1 / -4.5, 1 / 90.0};
  u[0] = hn::Neg(a);
  LINNET_UNROLL
  for (int i = 0; i < 3; ++i) {
    const double x = kPoints[i], over = kOver[i];
    const VF32 square = Set(static_cast<float>(over * x * x)), odd = Set(static_cast<float>(over * x));
    const VF32 even = hn::MulAdd(Set(static_cast<float>(over)), a, hn::Mul(square, c));
    u[1 + 2 * i] = hn::MulAdd(odd, b, even);
    u[2 + 2 * i] = hn::NegMulAdd(odd, b, even);
  }
  u[7] = c;
}

template <int kTile>
void Weights(const float* packed, int64_t tap_stride, int64_t channels, float* u, int64_t position_stride) {
  constexpr int kSide = kTile + 2;
  const F32 d;
  for (int64_t at = 0; at < channels * kPanelColumns; at += kLanes) {
    VF32 half[3][kSide];
    LINNET_UNROLL
    for (int j = 0; j < 3; ++j) {
      auto tap = [&](int i) HWY_ATTR { return hn::LoadU(d, packed + (i * 3 + j) * tap_stride + at); };
      OfTaps(tap(0), tap(1), tap(2), half[j]);
    }
    LINNET_UNROLL
    for (int i = 0; i < kSide; ++i) {
      VF32 out[kSide];
      OfTaps(half[0][i], half[1][i], half[2][i], out);
      LINNET_UNROLL
      for (int j = 0; j < kSide; ++j) hn::Store(out[j], d, u + (i * kSide + j) * position_stride + at);
    }
  }
}

// Few tiles: a row of positions of a transformed weight is made in registers, four tiles' sums of these six positions stay there. G's
// factors come last, so that a point's row is 1, x, x^2.
constexpr double kAtP = 1 / (2.0 * kP2 * (kP2 - kQ2)), kAtQ = 1 / (2.0 * kQ2 * (kQ2 - kP2));
constexpr double kFactors[6] = {1 / (static_cast<double>(kP2) * kQ2), kAtP, kAtP, kAtQ, kAtQ, 1};

template <int kRow>
HWY_INLINE void FewRow(const float* taps, int64_t tap_stride, int64_t channels, const float* v, const char* next, bool first, float* sums) {
  constexpr int kSide = 6, kTiles = 4;
  const F32 d;
  const VF32 p = Set(kP), p2 = Set(kP2), q = Set(kQ), q2 = Set(kQ2);
  VF32 sum[kSide][kTiles];
  LINNET_UNROLL
  for (int j = 0; j < kSide; ++j) {
    LINNET_UNROLL
    for (int t = 0; t < kTiles; ++t) sum[j][t] = first ? hn::Zero(d) : hn::Load(d, sums + (j * kTiles + t) * kLanes);
  }
  for (int64_t c = 0; c < channels; ++c, taps += kPanelColumns, v += kSide * kTiles) {
    if (next) {
      __builtin_prefetch(next, 0, 2), __builtin_prefetch(next + 64, 0, 2);
      next += 96;   // 9 taps of 64 bytes in 6 rows
    }
    auto column = [&](int b) HWY_ATTR {
      const float* tap = taps + b * tap_stride;
      if constexpr (kRow == 0) return hn::LoadU(d, tap);
      if constexpr (kRow == 5) return hn::LoadU(d, tap + 6 * tap_stride);
      const VF32 even = hn::MulAdd(kRow < 3 ? p2 : q2, hn::LoadU(d, tap + 6 * tap_stride), hn::LoadU(d, tap));
      const VF32 odd = hn::LoadU(d, tap + 3 * tap_stride), x = kRow < 3 ? p : q;
      return kRow % 2 ? hn::MulAdd(x, odd, even) : hn::NegMulAdd(x, odd, even);
    };
    auto add = [&](int j, VF32 u) HWY_ATTR {
      LINNET_UNROLL
      for (int t = 0; t < kTiles; ++t) sum[j][t] = hn::MulAdd(Set(v[j * kTiles + t]), u, sum[j][t]);
    };
    const VF32 low = column(0), middle = column(1), high = column(2);
    add(0, low);
    const VF32 even_p = hn::MulAdd(p2, high, low), even_q = hn::MulAdd(q2, high, low);
    add(1, hn::MulAdd(p, middle, even_p));
    add(2, hn::NegMulAdd(p, middle, even_p));
    add(3, hn::MulAdd(q, middle, even_q));
    add(4, hn::NegMulAdd(q, middle, even_q));
    add(5, high);
  }
  LINNET_UNROLL
  for (int j = 0; j < kSide; ++j) {
    LINNET_UNROLL
    for (int t = 0; t < kTiles; ++t) hn::Store(sum[j][t], d, sums + (j * kTiles + t) * kLanes);
  }
}

void Few(const float* packed, int64_t channels, const float* v, const float* next, float* m, int64_t position_stride, int64_t row_stride) {
  // Taps and tiles of so many channels stay in the first-level cache for all rows.
  constexpr int64_t kChannels = 32, kSide = 6, kTiles = 4, kRowFloats = kSide * kTiles * kLanes;
  HWY_ALIGN float sums[kSide * kRowFloats];
  for (int64_t lane = 0; lane < kPanelColumns; lane += kLanes) {
    for (int64_t c = 0; c < channels; c += kChannels) {
      const int64_t count = HWY_MIN(kChannels, channels - c);
      const char* ask = lane == 0 && next ? reinterpret_cast<const char*>(next) + c * kSide * 96 : nullptr;
      auto row = [&](auto index) HWY_ATTR {
        constexpr int kRow = index.value;
        FewRow<kRow>(packed + c * kPanelColumns + lane, channels * kPanelColumns, count, v + (kRow * channels + c) * kSide * kTiles,
                     ask ? ask + kRow * count * 96 : nullptr, c == 0, sums + kRow * kRowFloats);
      };
      row(std::integral_constant<int, 0>()), row(std::integral_constant<int, 1>()), row(std::integral_constant<int, 2>());
      row(std::integral_constant<int, 3>()), row(std::integral_constant<int, 4>()), row(std::integral_constant<int, 5>());
    }
    for (int64_t i = 0; i < kSide * kSide; ++i) {
      const VF32 factor = Set(static_cast<float>(kFactors[i / kSide] * kFactors[i % kSide]));
      for (int64_t t = 0; t < kTiles; ++t) {
        hn::StoreU(hn::Mul(factor, hn::Load(F32(), sums + (i * kTiles + t) * kLanes)), F32(), m + i * position_stride + t * row_stride + lane);
      }
    }
  }
}

/// One vector of channels of a patch; `left` of them exist.
template <int kTile, bool kTail>
HWY_INLINE void InputVector(const float* const* pixels, int64_t c, size_t left, float* v, int64_t position_stride) {
  constexpr int kSide = kTile + 2;
  const F32 d;
  auto column = [&](int j, VF32(&out)[kSide]) HWY_ATTR {
    VF32 in[kSide];
    LINNET_UNROLL
    for (int i = 0; i < kSide; ++i) {
      const float* p = pixels[i * kSide + j] + c;
      in[i] = kTail ? LoadTail(d, p, left) : hn::LoadU(d, p);
    }
    Forward(in, out);
  };
  if constexpr (kManyRegisters && !kTail) {
    LINNET_UNROLL
    for (const auto& rows : RowGroups<kTile>::kInput) {
      constexpr int kRows = sizeof(rows) / sizeof(rows[0]);
      VF32 half[kRows][kSide];
      LINNET_UNROLL
      for (int j = 0; j < kSide; ++j) {
        VF32 out[kSide];
        column(j, out);
        LINNET_UNROLL
        for (int r = 0; r < kRows; ++r) half[r][j] = out[rows[r]];
      }
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        VF32 out[kSide];
        Forward(half[r], out);
        LINNET_UNROLL
        for (int j = 0; j < kSide; ++j) hn::Store(out[j], d, v + (rows[r] * kSide + j) * position_stride + c);
      }
    }
    return;
  }
  HWY_ALIGN float half[kSide * kSide * kLanes];
  for (int j = 0; j < kSide; ++j) {
    VF32 out[kSide];
    column(j, out);
    LINNET_UNROLL
    for (int i = 0; i < kSide; ++i) hn::Store(out[i], d, half + (i * kSide + j) * kLanes);
  }
  for (int i = 0; i < kSide; ++i) {
    VF32 in[kSide], out[kSide];
    LINNET_UNROLL
    for (int j = 0; j < kSide; ++j) in[j] = hn::Load(d, half + (i * kSide + j) * kLanes);
    Forward(in, out);
    LINNET_UNROLL
    for (int j = 0; j < kSide; ++j) hn::Store(out[j], d, v + (i * kSide + j) * position_stride + c);
  }
}

template <int kTile>
void Input(const float* const* pixels, int64_t channels, float* v, int64_t position_stride) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) InputVector<kTile, false>(pixels, c, 0, v, position_stride);
  if (c < channels) {
    InputVector<kTile, true>(pixels, c, static_cast<size_t>(channels - c), v, position_stride);
    c += kLanes;
  }
  for (; c % kPanelColumns != 0; c += kLanes) {
    for (int i = 0; i < (kTile + 2) * (kTile + 2); ++i) {
      hn::Store(hn::Zero(F32()), F32(), v + i * position_stride + c);
    }
  }
}

/// Where a tile's pixels go, and what is added on the way.
struct Destination {
  int64_t rows, columns;
  const Epilogue& epilogue;
  Clamp clamp;
  int64_t residual_line_stride;
  float* output;
  int64_t row_stride, pixel_stride;
};

template <int kTile, bool kTail>
HWY_INLINE void OutputVector(const float* m, int64_t position_stride, int64_t c, size_t left, const Destination& to) {
  constexpr int kSide = kTile + 2;
  const F32 d;
  VF32 bias = hn::Zero(d);
  if (const float* p = to.epilogue.bias) bias = kTail ? LoadTail(d, p + c, left) : hn::LoadU(d, p + c);
  auto column = [&](int j, VF32(&out)[kTile]) HWY_ATTR {
    VF32 in[kSide];
    LINNET_UNROLL
    for (int i = 0; i < kSide; ++i) in[i] = hn::Load(d, m + (i * kSide + j) * position_stride + c);
    Backward(in, out);
  };
  auto row = [&](int64_t y, const VF32(&in)[kSide]) HWY_ATTR {
    VF32 out[kTile];
    Backward(in, out);
    float* line = to.output + y * to.row_stride + c;
    const float* residual = to.epilogue.residual;
    if (residual) residual += y * to.residual_line_stride + c;
    LINNET_UNROLL
    for (int x = 0; x < kTile; ++x) {
      if (x >= to.columns) break;
      VF32 value = hn::Add(out[x], bias);
      if (residual) {
        const float* p = residual + x * to.epilogue.residual_row_stride;
        value = hn::Add(value, kTail ? LoadTail(d, p, left) : hn::LoadU(d, p));
      }
      if (to.clamp.has_low) value = AtLeast(hn::Set(d, to.clamp.low), value);
      if (to.clamp.has_high) value = AtMost(hn::Set(d, to.clamp.high), value);
      float* p = line + x * to.pixel_stride;
      if (kTail) {
        StoreTail(value, d, p, left);
      } else {
        hn::StoreU(value, d, p);
      }
    }
  };
  if constexpr (kManyRegisters && !kTail) {
    LINNET_UNROLL
    for (const auto& rows : RowGroups<kTile>::kOutput) {
      constexpr int kRows = sizeof(rows) / sizeof(rows[0]);
      VF32 half[kRows][kSide];
      LINNET_UNROLL
      for (int j = 0; j < kSide; ++j) {
        VF32 out[kTile];
        column(j, out);
        LINNET_UNROLL
        for (int r = 0; r < kRows; ++r) half[r][j] = out[rows[r]];
      }
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        if (rows[r] < to.rows) row(rows[r], half[r]);
      }
    }
    return;
  }
  HWY_ALIGN float half[kTile * kSide * kLanes];
  for (int j = 0; j < kSide; ++j) {
    VF32 out[kTile];
    column(j, out);
    LINNET_UNROLL
    for (int i = 0; i < kTile; ++i) hn::Store(out[i], d, half + (i * kSide + j) * kLanes);
  }
  for (int64_t y = 0; y < to.rows; ++y) {
    VF32 in[kSide];
    LINNET_UNROLL
    for (int j = 0; j < kSide; ++j) in[j] = hn::Load(d, half + (y * kSide + j) * kLanes);
    row(y, in);
  }
}

template <int kTile>
void Output(const float* m, int64_t position_stride, int64_t channels, int64_t rows, int64_t columns,
            const Epilogue& epilogue, int64_t residual_line_stride, float* output, int64_t row_stride,
            int64_t pixel_stride) {
  const Destination to = {rows,   columns,    epilogue,    Clamp(epilogue), residual_line_stride,
                          output, row_stride, pixel_stride};
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) OutputVector<kTile, false>(m, position_stride, c, 0, to);
  if (c < channels) OutputVector<kTile, true>(m, position_stride, c, static_cast<size_t>(channels - c), to);
  if (!to.clamp.after) return;
  for (int64_t y = 0; y < rows; ++y) ActivateRows(epilogue, output + y * row_stride, pixel_stride, columns, channels);
}

constexpr WinogradF32Kernels kWinogradF32 = {
    {Weights<2>, Weights<4>, Weights<6>}, kManyRegisters ? Few : nullptr, {Input<2>, Input<4>, Input<6>}, {Output<2>, Output<4>, Output<6>}};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const WinogradF32Kernels& PickWinogradF32(CpuLevel level) {
  return *LINNET_PICK(level, kWinogradF32);
}

}  // namespace linnet
#endif
