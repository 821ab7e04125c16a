// The transforms of Winograd convolution for each instruction set: channels lie across the lanes.
//
// A two-dimensional transform is a one-dimensional one of all columns, then of all rows. What lies between them, more
// than 16 registers hold, goes through an array in the first-level cache; one column or row stays in registers. With 32 registers a few
// rows are made of all columns at a time, which are read again for the next few: nothing lies between.
#include "kernels/conv/winograd.h"

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

constexpr WinogradF32Kernels kWinogradF32 = {{Input<2>, Input<4>, Input<6>}, {Output<2>, Output<4>, Output<6>}};

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
