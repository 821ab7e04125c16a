// Elementwise 8-bit loops, through float.
#include "kernels/int8/qlinear.h"

#include <string.h>

#include <limits>

#include "base/parts.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/qlinear.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/dispatch.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/unroll.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

#if HWY_ARCH_ARM_A64

// Sixteen bytes at a time. Narrowing saturates, which is what an upper bound before it would do.
template <QBinary op, class T>
class BytesCombined {
 public:
  static constexpr int64_t kStep = 16;
  explicit BytesCombined(const QBinaryArgs& args)
      : x_scale_(vdupq_n_f32(args.x.scale)), y_scale_(vdupq_n_f32(args.y.scale)), divisor_(vdupq_n_f32(args.out.scale)),
        lowest_(vdupq_n_f32(static_cast<float>(args.low - args.out.zero))), x_zero_(hn::Set(d8_, static_cast<T>(args.x.zero))),
        y_zero_(hn::Set(d8_, static_cast<T>(args.y.zero))), least_(hn::Set(d_, static_cast<T>(args.low))),
        most_(hn::Set(d_, static_cast<T>(args.high))), zero_(vdupq_n_s16(static_cast<int16_t>(args.out.zero))) {}

  HWY_INLINE void Store(const T* x, const T* y, T* to) const {
    const auto xs = hn::LoadU(d_, x), ys = hn::LoadU(d_, y);
    const int16x8_t low = Eight(hn::LowerHalf(d8_, xs), hn::LowerHalf(d8_, ys)), high = Eight(hn::UpperHalf(d8_, xs), hn::UpperHalf(d8_, ys));
    hn::Vec<D> bytes;
    if constexpr (std::is_signed_v<T>) {
      bytes.raw = vqmovn_high_s16(vqmovn_s16(low), high);
    } else {
      bytes.raw = vqmovun_high_s16(vqmovun_s16(low), high);
    }
    hn::StoreU(hn::Min(hn::Max(bytes, least_), most_), d_, to);
  }

 private:
  using D = hn::FixedTag<T, 16>;
  using D8 = hn::FixedTag<T, 8>;

  HWY_INLINE int16x8_t Eight(hn::Vec<D8> x, hn::Vec<D8> y) const {
    const int16x8_t a = Less(x, x_zero_), b = Less(y, y_zero_);
    const int32x4_t first = Four(vmovl_s16(vget_low_s16(a)), vmovl_s16(vget_low_s16(b)));
    return vqaddq_s16(vqmovn_high_s32(vqmovn_s32(first), Four(vmovl_high_s16(a), vmovl_high_s16(b))), zero_);
  }
  static HWY_INLINE int16x8_t Less(hn::Vec<D8> x, hn::Vec<D8> zero) {
    if constexpr (std::is_signed_v<T>) {
      return vsubl_s8(x.raw, zero.raw);
    } else {
      return vreinterpretq_s16_u16(vsubl_u8(x.raw, zero.raw));
    }
  }
  HWY_INLINE int32x4_t Four(int32x4_t a, int32x4_t b) const {
    const float32x4_t u = vmulq_f32(x_scale_, vcvtq_f32_s32(a)), v = vmulq_f32(y_scale_, vcvtq_f32_s32(b));
    const float32x4_t t = vdivq_f32(op == QBinary::kAdd ? vaddq_f32(u, v) : vmulq_f32(u, v), divisor_);
    return vcvtnq_s32_f32(vmaxnmq_f32(t, lowest_));   // of a number and NaN, the number
  }

  D d_;
  D8 d8_;
  float32x4_t x_scale_, y_scale_, divisor_, lowest_;
  hn::Vec<D8> x_zero_, y_zero_;
  hn::Vec<D> least_, most_;
  int16x8_t zero_;
};

#else

template <class T>
class RealBytes {
 public:
  explicit RealBytes(const ByteScale& s) : scale_(hn::Set(df_, s.scale)), zero_(hn::Set(d32_, s.zero)) {}
  using V = hn::Vec<hn::FixedTag<float, 4>>;
  // Four bytes as real numbers.
  HWY_INLINE V Load(const T* p) const {
    return hn::Mul(scale_, hn::ConvertTo(df_, hn::Sub(hn::PromoteTo(d32_, hn::LoadU(d8_, p)), zero_)));
  }

 private:
  hn::FixedTag<float, 4> df_;
  hn::FixedTag<int32_t, 4> d32_;
  hn::Rebind<T, hn::FixedTag<int32_t, 4>> d8_;
  V scale_;
  hn::Vec<hn::FixedTag<int32_t, 4>> zero_;
};

// Eight bytes at a time.
template <QBinary op, class T>
class BytesCombined {
 public:
  static constexpr int64_t kStep = 8;
  explicit BytesCombined(const QBinaryArgs& args)
      : x_(args.x), y_(args.y), divisor_(hn::Set(df_, args.out.scale)),
        rounding_(static_cast<float>(args.low - args.out.zero), static_cast<float>(args.high - args.out.zero), args.out.zero) {}

  HWY_INLINE void Store(const T* x, const T* y, T* to) const { rounding_.Store(Four(x, y), Four(x + 4, y + 4), to); }

 private:
  HWY_INLINE hn::Vec<hn::FixedTag<float, 4>> Four(const T* x, const T* y) const {
    const auto u = x_.Load(x), v = y_.Load(y);
    return Quotient(op == QBinary::kAdd ? hn::Add(u, v) : hn::Mul(u, v), divisor_);
  }

  hn::FixedTag<float, 4> df_;
  RealBytes<T> x_, y_;
  hn::Vec<hn::FixedTag<float, 4>> divisor_;
  ByteRounding<T> rounding_;
};

#endif

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2

// Four vectors of floats at a time; returns how many bytes were done. Steps are 0 for a byte repeated 64 times.
template <QBinary op, class T>
int64_t QBinaryWide(const QBinaryArgs& args, const T* a, int64_t a_step, const T* b, int64_t b_step, T* to, int64_t n) {
  const double largest = 256.0 * 256.0 * (op == QBinary::kAdd ? static_cast<double>(args.x.scale) + args.y.scale
                                                              : static_cast<double>(args.x.scale) * args.y.scale);
  if (!WideDivision::Serves(args.out.scale) || !(largest < 0x1p60)) return 0;
  const WideDivision division(args.out.scale);
  const WideByteRounding rounding(std::is_signed_v<T>, static_cast<float>(args.low - args.out.zero),
                                  static_cast<float>(args.high - args.out.zero), args.out.zero);
  const F32 df;
  const I32 d;
  const hn::Rebind<T, I32> d8;
  constexpr int64_t kLanes = HWY_LANES(float);
  const VF32 x_scale = hn::Set(df, args.x.scale), y_scale = hn::Set(df, args.y.scale);
  const auto x_zero = hn::Set(d, args.x.zero), y_zero = hn::Set(d, args.y.zero);
  auto real = [&](const T* p, hn::Vec<I32> zero, VF32 scale) HWY_ATTR {
    return hn::Mul(scale, hn::ConvertTo(df, hn::Sub(hn::PromoteTo(d, hn::LoadU(d8, p)), zero)));
  };
  auto some = [&](const T* p, const T* q) HWY_ATTR {
    const VF32 u = real(p, x_zero, x_scale), v = real(q, y_zero, y_scale);
    return division((op == QBinary::kAdd ? hn::Add(u, v) : hn::Mul(u, v)).raw);
  };
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    const T* p = a + i * a_step;
    const T* q = b + i * b_step;
    const auto bytes = rounding.Bytes(some(p, q), some(p + kLanes, q + kLanes), some(p + 2 * kLanes, q + 2 * kLanes),
                                      some(p + 3 * kLanes, q + 3 * kLanes));
    memcpy(to + i, &bytes, sizeof(bytes));
  }
  return i;
}

#endif

template <QBinary op, class T>
void QBinaryRun(const QBinaryArgs& args, const void* x, const void* y, void* out, int64_t n, uint32_t scalars) {
  const BytesCombined<op, T> combined(args);
  constexpr int64_t kStep = combined.kStep;
  const T* a = static_cast<const T*>(x);
  const T* b = static_cast<const T*>(y);
  T* to = static_cast<T*>(out);
  T a_all[64], b_all[64], a_tail[kStep], b_tail[kStep], to_tail[kStep];
  const int64_t a_step = scalars & 1 ? 0 : 1, b_step = scalars & 2 ? 0 : 1;
  if (a_step == 0) {
    memset(a_all, static_cast<uint8_t>(*a), sizeof(a_all));
    a = a_all;
  }
  if (b_step == 0) {
    memset(b_all, static_cast<uint8_t>(*b), sizeof(b_all));
    b = b_all;
  }
  int64_t i = 0;
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  i = QBinaryWide<op, T>(args, a, a_step, b, b_step, to, n);
#endif
  for (; i + kStep <= n; i += kStep) combined.Store(a + i * a_step, b + i * b_step, to + i);
  if (i == n) return;
  const size_t rest = static_cast<size_t>(n - i);
  memset(a_tail, 0, kStep);
  memset(b_tail, 0, kStep);
  memcpy(a_tail, a + i * a_step, rest);
  memcpy(b_tail, b + i * b_step, rest);
  combined.Store(a_tail, b_tail, to_tail);
  memcpy(to + i, to_tail, rest);
}

template <class T>
void SumRowsRun(const void* x, int64_t rows, int64_t row_stride, int64_t n, int32_t* sums) {
  using Wide = std::conditional_t<std::is_signed_v<T>, int16_t, uint16_t>;
  constexpr int64_t kRows = 256;   // whose sum 16 bits hold
  // The columns of a vector of 16-bit sums, or of `kCount`, side by side.
  auto columns = [&]<int kCount>(auto d16, int64_t i) HWY_ATTR {
    using D16 = decltype(d16);
    const hn::Rebind<T, D16> d8;
    const hn::Half<D16> half;
    const hn::Rebind<int32_t, decltype(half)> d32;
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(d16));
    for (int64_t done = 0; done < rows; done += kRows) {
      const T* row = static_cast<const T*>(x) + done * row_stride + i;
      hn::Vec<D16> added[kCount];
      LINNET_UNROLL
      for (int k = 0; k < kCount; ++k) added[k] = hn::Zero(d16);
      for (int64_t r = rows - done < kRows ? rows - done : kRows; r > 0; --r, row += row_stride) {
        LINNET_UNROLL
        for (int k = 0; k < kCount; ++k) added[k] = hn::Add(added[k], hn::PromoteTo(d16, hn::LoadU(d8, row + k * lanes)));
      }
      LINNET_UNROLL
      for (int k = 0; k < kCount; ++k) {
        int32_t *low = sums + i + k * lanes, *high = low + lanes / 2;
        hn::StoreU(hn::Add(hn::LoadU(d32, low), hn::PromoteTo(d32, hn::LowerHalf(half, added[k]))), d32, low);
        hn::StoreU(hn::Add(hn::LoadU(d32, high), hn::PromoteTo(d32, hn::UpperHalf(half, added[k]))), d32, high);
      }
    }
  };
  const hn::ScalableTag<Wide> d;
  constexpr int64_t kLanes = HWY_LANES(Wide);
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) columns.template operator()<4>(d, i);
  for (; i + kLanes <= n; i += kLanes) columns.template operator()<1>(d, i);
  for (; i + 8 <= n; i += 8) columns.template operator()<1>(hn::FixedTag<Wide, 8>(), i);
  for (; i < n; ++i) {
    const T* at = static_cast<const T*>(x) + i;
    for (int64_t r = 0; r < rows; ++r) sums[i] += at[r * row_stride];
  }
}

SumRowsFn* SumRowsOf(bool is_signed) { return kSignedBytes && is_signed ? SumRowsRun<int8_t> : SumRowsRun<uint8_t>; }

void SumTapsRun(const int32_t* x, int64_t pixels, int64_t step, int64_t taps, int64_t tap_step, int64_t n, int32_t* sums) {
  auto run = [&](auto d) HWY_ATTR {
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
    for (int64_t p = 0; p < pixels; ++p, x += step, sums += n) {
      // What a vector has too many is written again by the next pixel.
      for (int64_t i = 0; i < n; i += lanes) {
        auto sum = hn::LoadU(d, x + i);
        for (int64_t t = 1; t < taps; ++t) sum = hn::Add(sum, hn::LoadU(d, x + t * tap_step + i));
        hn::StoreU(sum, d, sums + i);
      }
    }
  };
  if (n <= 4) return run(hn::FixedTag<int32_t, 4>());
  run(hn::ScalableTag<int32_t>());
}

SumTapsFn* SumTapsOf() { return SumTapsRun; }

template <class T>
void QMeanRun(const QMeanArgs& args, const int32_t* sums, int64_t n, void* out) {
  constexpr int64_t kStep = 8, kHalf = 4;
  const hn::FixedTag<float, kHalf> df;
  const hn::FixedTag<int32_t, kHalf> d;
  constexpr float kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  const float zero = static_cast<float>(args.out.zero);
  const ByteRounding<T> rounding(kLow - zero, kHigh - zero, args.out.zero);
  const auto shift = hn::Set(d, args.shift);
  const auto count = hn::Set(df, args.count), less = hn::Set(df, args.less), scale = hn::Set(df, args.scale), divisor = hn::Set(df, args.out.scale);
  auto four = [&](const int32_t* from) HWY_ATTR {
    const auto mean = Quotient(hn::ConvertTo(df, hn::Sub(hn::LoadU(d, from), shift)), count);
    return Quotient(hn::Mul(scale, hn::Sub(mean, less)), divisor);
  };
  T* to = static_cast<T*>(out);
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) rounding.Store(four(sums + i), four(sums + i + kHalf), to + i);
  if (i == n) return;
  int32_t rest[kStep] = {};
  T bytes[kStep];
  memcpy(rest, sums + i, static_cast<size_t>(n - i) * sizeof(int32_t));
  rounding.Store(four(rest), four(rest + kHalf), bytes);
  memcpy(to + i, bytes, static_cast<size_t>(n - i));
}

QMeanFn* QMeanOf(bool is_signed) { return kSignedBytes && is_signed ? QMeanRun<int8_t> : QMeanRun<uint8_t>; }

template <class T>
void QSoftmaxRun(const QSoftmaxArgs& args, const void* from, int64_t n, void* to) {
  const T* x = static_cast<const T*>(from);
  T* y = static_cast<T*>(to);
  const hn::ScalableTag<T> d8;
  constexpr int64_t kLanes = HWY_LANES(T), kStep = 8, kHalf = kStep / 2;
  int32_t most = x[0];
  int64_t i = 0;
  if (n >= kLanes) {
    auto largest = hn::LoadU(d8, x + n - kLanes);
    for (; i + kLanes <= n; i += kLanes) largest = hn::Max(largest, hn::LoadU(d8, x + i));
    HWY_ALIGN T lanes[kLanes];
    hn::Store(largest, d8, lanes);
    for (T lane : lanes) most = lane > most ? lane : most;
  }
  for (; i < n; ++i) most = x[i] > most ? x[i] : most;
  const uint32_t* const whole = args.whole + most;
  uint64_t sum = 0;
  for (i = 0; i < n; ++i) sum += whole[-static_cast<int64_t>(x[i])];

  const hn::FixedTag<float, kHalf> df;
  const hn::FixedTag<int32_t, kHalf> d;
  const hn::Rebind<T, decltype(d)> bytes;
  const float zero = static_cast<float>(args.out.zero);
  const ByteRounding<T> rounding(std::numeric_limits<T>::min() - zero, std::numeric_limits<T>::max() - zero, args.out.zero);
  const auto scale = hn::Set(df, args.ScaleOf(sum));
  const auto top = hn::Set(d, most);
  auto four = [&](const T* at) HWY_ATTR {
    return hn::Mul(hn::GatherIndex(df, args.real, hn::Sub(top, hn::PromoteTo(d, hn::LoadU(bytes, at)))), scale);
  };
  for (i = 0; i + kStep <= n; i += kStep) rounding.Store(four(x + i), four(x + i + kHalf), y + i);
  if (i == n) return;
  T rest[kStep], made[kStep];
  for (T& each : rest) each = static_cast<T>(most);
  memcpy(rest, x + i, static_cast<size_t>(n - i));
  rounding.Store(four(rest), four(rest + kHalf), made);
  memcpy(y + i, made, static_cast<size_t>(n - i));
}

QSoftmaxFn* QSoftmaxOf(bool is_signed) { return kSignedBytes && is_signed ? QSoftmaxRun<int8_t> : QSoftmaxRun<uint8_t>; }

#if HWY_ARCH_ARM_A64

void LookUpBytesRun(const uint8_t* table, const uint8_t* x, int64_t n, uint8_t* out) {
  const uint8x16x4_t a = vld1q_u8_x4(table), b = vld1q_u8_x4(table + 64), c = vld1q_u8_x4(table + 128), d = vld1q_u8_x4(table + 192);
  const uint8x16_t step = vdupq_n_u8(64);
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    // What lies outside of a quarter leaves the result as it is.
    uint8x16_t at = vld1q_u8(x + i), y = vqtbl4q_u8(a, at);
    y = vqtbx4q_u8(y, b, at = vsubq_u8(at, step));
    y = vqtbx4q_u8(y, c, at = vsubq_u8(at, step));
    vst1q_u8(out + i, vqtbx4q_u8(y, d, vsubq_u8(at, step)));
  }
  for (; i < n; ++i) out[i] = table[x[i]];
}

#elif HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

// A shuffle looks up 16 bytes, and gives 0 where the highest bit of an index is set. For a byte below 128, the indices x, x - 16,
// x - 32 ... are so while they are not negative: the shuffles' tables are the differences of neighbouring parts of 16, which
// add up to the part x lies in. The same for x - 128 and the upper half; saturation keeps the other half's bytes negative.
void LookUpBytesRun(const uint8_t* table, const uint8_t* x, int64_t n, uint8_t* out) {
  constexpr int64_t kLanes = HWY_LANES(uint8_t);
  int64_t i = 0;
  if (n >= 8 * kLanes) {
    const hn::ScalableTag<int8_t> d;
    const hn::FixedTag<int8_t, 16> part;
    HWY_ALIGN int8_t parts[256];
    const int8_t* t = reinterpret_cast<const int8_t*>(table);
    for (int k = 0; k < 16; ++k) {
      const auto own = hn::LoadU(part, t + 16 * k);
      hn::Store(k % 8 == 0 ? own : hn::Xor(own, hn::LoadU(part, t + 16 * k - 16)), part, parts + 16 * k);
    }
    const auto step = hn::Set(d, 16), upper = hn::Set(d, -128);
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
      const int8_t* from = reinterpret_cast<const int8_t*>(x + i);
      const auto bytes0 = hn::LoadU(d, from), bytes1 = hn::LoadU(d, from + kLanes);
      auto y0 = hn::Zero(d), y1 = hn::Zero(d);
      for (int half = 0; half < 2; ++half) {
        auto at0 = half == 0 ? bytes0 : hn::Xor(bytes0, upper), at1 = half == 0 ? bytes1 : hn::Xor(bytes1, upper);
        LINNET_UNROLL
        for (int k = 0; k < 8; ++k) {
          const auto differences = hn::LoadDup128(d, parts + 128 * half + 16 * k);
          y0 = hn::Xor(y0, hn::TableLookupBytesOr0(differences, at0));
          y1 = hn::Xor(y1, hn::TableLookupBytesOr0(differences, at1));
          at0 = hn::SaturatedSub(at0, step);
          at1 = hn::SaturatedSub(at1, step);
        }
      }
      int8_t* to = reinterpret_cast<int8_t*>(out + i);
      hn::StoreU(y0, d, to);
      hn::StoreU(y1, d, to + kLanes);
    }
  }
  for (; i < n; ++i) out[i] = table[x[i]];
}

#else

void LookUpBytesRun(const uint8_t* table, const uint8_t* x, int64_t n, uint8_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = table[x[i]];
}

#endif

LookUpBytesFn* LookUpBytesOf() { return LookUpBytesRun; }

QBinaryFn* QBinaryOf(QBinary op, bool is_signed) {
  if (op == QBinary::kAdd) return kSignedBytes && is_signed ? QBinaryRun<QBinary::kAdd, int8_t> : QBinaryRun<QBinary::kAdd, uint8_t>;
  return kSignedBytes && is_signed ? QBinaryRun<QBinary::kMul, int8_t> : QBinaryRun<QBinary::kMul, uint8_t>;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

QBinaryFn* PickQBinary(QBinary op, bool is_signed, CpuLevel level) { return LINNET_PICK(level, QBinaryOf)(op, is_signed); }

SumRowsFn* PickSumRows(bool is_signed, CpuLevel level) { return LINNET_PICK(level, SumRowsOf)(is_signed); }

SumTapsFn* PickSumTaps(CpuLevel level) { return LINNET_PICK(level, SumTapsOf)(); }

QMeanFn* PickQMean(bool is_signed, CpuLevel level) { return LINNET_PICK(level, QMeanOf)(is_signed); }

QSoftmaxFn* PickQSoftmax(bool is_signed, CpuLevel level) { return LINNET_PICK(level, QSoftmaxOf)(is_signed); }

LookUpBytesFn* PickLookUpBytes(CpuLevel level) { return LINNET_PICK(level, LookUpBytesOf)(); }

}  // namespace linnet
#endif
