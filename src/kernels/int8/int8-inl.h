// Vector helpers of the 8-bit kernels: products of 16-bit pairs, and rounding to bytes.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_INT8_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_INT8_INL_H_
#undef LINNET_KERNELS_INT8_INL_H_
#else
#define LINNET_KERNELS_INT8_INL_H_
#endif

#include <stdint.h>
#include <string.h>

#include <algorithm>

// Keeps the computation of `vector` where it is written: compilers that first load everything that a step of a loop needs
// run out of registers, and keep the sums on the stack.
#undef LINNET_IN_ORDER
#if defined(__x86_64__)
#define LINNET_IN_ORDER(vector) __asm__ volatile("" : "+v"((vector).raw))
#else
#define LINNET_IN_ORDER(vector) static_cast<void>(vector)
#endif

#include "hwy/highway.h"
#include "kernels/int8/int8_gemm.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

using I16 = hn::ScalableTag<int16_t>;
using I32 = hn::ScalableTag<int32_t>;

/// Lane i is a[2 i] b[2 i] + a[2 i + 1] b[2 i + 1], exact (but for -2^15 everywhere, which bytes do not reach).
template <class V16>
HWY_INLINE auto PairProducts(V16 a, V16 b) {
  const hn::RepartitionToWide<hn::DFromV<V16>> d32;
#if HWY_ARCH_X86
  auto unused = hn::Zero(d32);
  return hn::ReorderWidenMulAccumulate(d32, a, b, hn::Zero(d32), unused);
#elif HWY_ARCH_WASM
  return hn::Vec<decltype(d32)>{wasm_i32x4_dot_i16x8(a.raw, b.raw)};
#elif HWY_ARCH_ARM_A64
  return hn::Vec<decltype(d32)>{vpaddq_s32(vmull_s16(vget_low_s16(a.raw), vget_low_s16(b.raw)), vmull_high_s16(a.raw, b.raw))};
#else
  auto high = hn::Zero(d32);
  const auto low = hn::ReorderWidenMulAccumulate(d32, a, b, hn::Zero(d32), high);
  return hn::Add(hn::ConcatEven(d32, high, low), hn::ConcatOdd(d32, high, low));
#endif
}

/// sum += v, in this place and in this register: compilers put the result elsewhere and move it back.
HWY_INLINE void AddInPlace(hn::Vec<I32>& sum, hn::Vec<I32> v) {
#if HWY_TARGET == HWY_SSE4
  __asm__ volatile("paddd %1, %0" : "+x"(sum.raw) : "x"(v.raw));
#elif HWY_ARCH_X86_64
  __asm__ volatile("vpaddd %1, %0, %0" : "+v"(sum.raw) : "v"(v.raw));
#else
  sum = hn::Add(sum, v);
#endif
}

/// Bytes of a panel as two vectors of 16-bit numbers, whose products' PairSums are in the order of its columns.
HWY_INLINE void WidenTwo(const int8_t* p, hn::Vec<I16>& first, hn::Vec<I16>& second) {
#if HWY_TARGET == HWY_AVX2
  // Within the halves of the register, as PairSums does: cheaper than what crosses them.
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  first.raw = _mm256_srai_epi16(_mm256_unpacklo_epi8(bytes, bytes), 8);
  second.raw = _mm256_srai_epi16(_mm256_unpackhi_epi8(bytes, bytes), 8);
#else
  const I16 d;
  const hn::Rebind<int8_t, I16> d8;
  first = hn::PromoteTo(d, hn::LoadU(d8, p));
  second = hn::PromoteTo(d, hn::LoadU(d8, p + hn::Lanes(d)));
#endif
}

/// Sums of neighbouring lanes of what came from WidenTwo's vectors.
HWY_INLINE hn::Vec<I32> PairSums(hn::Vec<I32> a, hn::Vec<I32> b) {
  const I32 d;
#if HWY_TARGET == HWY_AVX2
  const __m256 x = _mm256_castsi256_ps(a.raw), y = _mm256_castsi256_ps(b.raw);
  return hn::Vec<I32>{_mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(x, y, 0x88)),
                                       _mm256_castps_si256(_mm256_shuffle_ps(x, y, 0xdd)))};
#else
  return hn::Add(hn::ConcatEven(d, b, a), hn::ConcatOdd(d, b, a));
#endif
}

/// zero + round(min(max(t, low), high)) as bytes, halves to even; NaN as `low`. The bounds are integers, and with zero added
/// of type T.
template <class T>
class ByteRounding {
 public:
  HWY_INLINE ByteRounding(float low, float high, int32_t zero)
      : low_(hn::Set(df_, low)), high_(hn::Set(df_, high)), zero_(hn::Set(d16_, static_cast<int16_t>(zero))),
        least_(hn::Set(d16_, static_cast<int16_t>(static_cast<int32_t>(low) + zero))) {}

  using V = hn::Vec<hn::FixedTag<float, 4>>;

  /// Eight bytes from two vectors of four.
  HWY_INLINE void Store(V t0, V t1, T* to) const {
    const auto v = hn::Max(hn::SaturatedAdd(Narrow(Whole(t0), Whole(t1)), zero_), least_);
    hn::StoreU(hn::DemoteTo(d8_, v), d8_, to);
  }

 private:
  HWY_INLINE auto Whole(V t) const {
#if HWY_ARCH_X86
    // minps yields its second operand when it is NaN; NaN and what is too small become the least integer. Highway's
    // NearestInt would treat overflow, which cannot be, as well.
    return hn::Vec<hn::FixedTag<int32_t, 4>>{_mm_cvtps_epi32(hn::Min(high_, t).raw)};
#elif HWY_ARCH_ARM_A64
    return hn::NearestInt(hn::Min(V{vmaxnmq_f32(t.raw, low_.raw)}, high_));   // of a number and NaN, the number
#else
    t = hn::IfThenElse(hn::Gt(t, low_), t, low_);
    return hn::NearestInt(hn::Min(t, high_));
#endif
  }

  using I = hn::Vec<hn::FixedTag<int32_t, 4>>;

  /// Saturated, a's first.
  HWY_INLINE hn::Vec<hn::FixedTag<int16_t, 8>> Narrow(I a, I b) const {
#if HWY_ARCH_ARM_V7
    return hn::Vec<hn::FixedTag<int16_t, 8>>{vcombine_s16(vqmovn_s32(a.raw), vqmovn_s32(b.raw))};   // Highway's has b's first
#else
    return hn::ReorderDemote2To(d16_, a, b);
#endif
  }

  hn::FixedTag<float, 4> df_;
  hn::FixedTag<int16_t, 8> d16_;
  hn::Rebind<T, hn::FixedTag<int16_t, 8>> d8_;
  V low_, high_;
  hn::Vec<hn::FixedTag<int16_t, 8>> zero_, least_;
};

/// round(min(max(t, 0), high)), halves to even, high below 2^23; NaN as 0.
class TablePlaces {
 public:
  HWY_INLINE explicit TablePlaces(float high) : high_(high) {}
  template <class D>
  HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> operator()(D d, hn::Vec<D> t) const {
    // Where a unit is the last bit, an addition rounds, and the sum's bits count.
    const hn::RebindToUnsigned<D> du;
    t = hn::Min(hn::IfThenElseZero(hn::Gt(t, hn::Zero(d)), t), hn::Set(d, high_));
    return hn::Sub(hn::BitCast(du, hn::Add(t, hn::Set(d, 0x1p23f))), hn::Set(du, 0x4b000000));
  }

 private:
  float high_;
};

/// FinishInt8's f for kActivated: no exponentials, so the same bits at every level.
class Bend {
 public:
  HWY_INLINE explicit Bend(const FinishInt8& f) : swish_(f.epilogue.activation == Activation::kHardSwish),
        slope_(f.epilogue.activation == Activation::kNone ? 1 : f.epilogue.alpha) {}
  template <class D>
  HWY_INLINE hn::Vec<D> operator()(D d, hn::Vec<D> v) const {
    const auto by_slope = hn::Mul(v, hn::Set(d, slope_)), zero = hn::Zero(d);
    if (swish_) return hn::Mul(v, hn::Min(hn::Max(hn::Add(by_slope, hn::Set(d, 0.5f)), zero), hn::Set(d, 1.0f)));
    return hn::IfThenElse(hn::Lt(v, zero), by_slope, v);
  }

 private:
  bool swish_;
  float slope_;
};

#if HWY_TARGET == HWY_AVX2

// The same of four vectors of eight at a time.
class WideByteRounding {
 public:
  HWY_INLINE WideByteRounding(bool is_signed, float low, float high, int32_t zero)
      : is_signed_(is_signed), high_(_mm256_set1_ps(high)), zero_(_mm256_set1_epi16(static_cast<int16_t>(zero))),
        least_(_mm256_set1_epi8(static_cast<char>(static_cast<int32_t>(low) + zero))),
        most_(_mm256_set1_epi8(static_cast<char>(static_cast<int32_t>(high) + zero))), order_(_mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)) {}

  /// 32 bytes in the order of the vectors. kBounded: all are known to be numbers below 2^31 in magnitude.
  template <bool kBounded = false>
  HWY_INLINE __m256i Bytes(__m256 t0, __m256 t1, __m256 t2, __m256 t3) const {
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(Whole<kBounded>(t0), Whole<kBounded>(t1)), zero_);
    const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(Whole<kBounded>(t2), Whole<kBounded>(t3)), zero_);
    __m256i bytes;
    if (is_signed_) {
      bytes = _mm256_max_epi8(_mm256_packs_epi16(low, high), least_);
      if (kBounded) bytes = _mm256_min_epi8(bytes, most_);
    } else {
      bytes = _mm256_max_epu8(_mm256_packus_epi16(low, high), least_);
      if (kBounded) bytes = _mm256_min_epu8(bytes, most_);
    }
    return _mm256_permutevar8x32_epi32(bytes, order_);
  }
  /// 16 bytes: of every 128 bits, those of both vectors one after the other.
  HWY_INLINE __m128i Half(__m256 t0, __m256 t1) const {
    const __m256i words = _mm256_adds_epi16(_mm256_packs_epi32(Whole<false>(t0), Whole<false>(t1)), zero_);
    const __m128i low = _mm256_castsi256_si128(words), high = _mm256_extracti128_si256(words, 1), least = _mm256_castsi256_si128(least_);
    return is_signed_ ? _mm_max_epi8(_mm_packs_epi16(low, high), least) : _mm_max_epu8(_mm_packus_epi16(low, high), least);
  }
  /// Whether sums of 32 bits times these are so bounded.
  static HWY_INLINE bool Bounds(__m256 scale) {
    const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), scale);
    return _mm256_movemask_ps(_mm256_cmp_ps(magnitude, _mm256_set1_ps(1.0f), _CMP_LT_OQ)) == 0xff;
  }

 private:
  // NaN, the second operand, becomes the least integer.
  template <bool kBounded>
  HWY_INLINE __m256i Whole(__m256 t) const { return _mm256_cvtps_epi32(kBounded ? t : _mm256_min_ps(high_, t)); }
  bool is_signed_;
  __m256 high_;
  __m256i zero_, least_, most_, order_;
};

#elif HWY_TARGET == HWY_AVX3

// The same of four vectors of sixteen at a time.
class WideByteRounding {
 public:
  HWY_INLINE WideByteRounding(bool is_signed, float low, float high, int32_t zero)
      : is_signed_(is_signed), high_(_mm512_set1_ps(high)), zero_(_mm512_set1_epi16(static_cast<int16_t>(zero))),
        least_(_mm512_set1_epi8(static_cast<char>(static_cast<int32_t>(low) + zero))),
        most_(_mm512_set1_epi8(static_cast<char>(static_cast<int32_t>(high) + zero))),
        order_(_mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0)) {}

  /// 64 bytes in the order of the vectors. kBounded: all are known to be numbers below 2^31 in magnitude.
  template <bool kBounded = false>
  HWY_INLINE __m512i Bytes(__m512 t0, __m512 t1, __m512 t2, __m512 t3) const {
    return _mm512_permutexvar_epi32(order_, InLanes<kBounded>(t0, t1, t2, t3));
  }
  /// Of every 128 bits: four bytes of each vector, one after the other.
  template <bool kBounded = false>
  HWY_INLINE __m512i InLanes(__m512 t0, __m512 t1, __m512 t2, __m512 t3) const {
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(Whole<kBounded>(t0), Whole<kBounded>(t1)), zero_);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(Whole<kBounded>(t2), Whole<kBounded>(t3)), zero_);
    if (is_signed_) {
      const __m512i bytes = _mm512_max_epi8(_mm512_packs_epi16(low, high), least_);
      return kBounded ? _mm512_min_epi8(bytes, most_) : bytes;
    }
    const __m512i bytes = _mm512_max_epu8(_mm512_packus_epi16(low, high), least_);
    return kBounded ? _mm512_min_epu8(bytes, most_) : bytes;
  }
  /// Whether sums of 32 bits times these are so bounded.
  static HWY_INLINE bool Bounds(__m512 scale) {
    return _mm512_cmp_ps_mask(_mm512_abs_ps(scale), _mm512_set1_ps(1.0f), _CMP_LT_OQ) == 0xffff;
  }

 private:
  // NaN, the second operand, becomes the least integer.
  template <bool kBounded>
  HWY_INLINE __m512i Whole(__m512 t) const { return _mm512_cvtps_epi32(kBounded ? t : _mm512_min_ps(high_, t)); }
  bool is_signed_;
  __m512 high_;
  __m512i zero_, least_, most_, order_;
};

// The same where the lower bound is no negative number, as behind a Relu, so that all negative sums become one byte: sums begin with the bits
// of 2^23, whose units are the last bit there. Read as floats they are 2^23 + sum, and below it where sums are negative: one multiply-add
// takes 2^23 away, scales and rounds once, as a conversion and a multiplication would.
class FloorRounding {
 public:
  HWY_INLINE explicit FloorRounding(const FinishInt8& f)
      : limited_(f.low > 0 || f.high < 255), moved_(f.zero != 0), least_(_mm512_set1_epi8(static_cast<char>(static_cast<int32_t>(f.low)))),
        most_(_mm512_set1_epi8(static_cast<char>(static_cast<int32_t>(f.high)))), zero_(_mm512_set1_epi8(static_cast<char>(f.zero))) {}

  /// Whether that is exact for sums of k products of bytes and what they begin with: all numbers up to 2^23 are, those beyond become bytes
  /// beyond the upper bound, and none is so large that it would not fit an integer.
  static HWY_INLINE bool Serves(__m512 scale, __m512i first, int64_t k) {
    constexpr int64_t kProduct = 255 * 128, kExact = 1 << 23, kMost = 12 * kExact;
    const int64_t reach = std::min(k * kProduct, kMost);
    auto all = [](__mmask16 mask) { return mask == 0xffff; };
    auto within = [&](int64_t most) HWY_ATTR {   // |first| + reach < most
      const __m512i magnitude = _mm512_abs_epi32(first);
      return all(_mm512_cmp_epu32_mask(magnitude, _mm512_set1_epi32(static_cast<int>(std::max<int64_t>(most - reach, 0))), _MM_CMPINT_LT));
    };
    auto scales = [&](float least, float most) HWY_ATTR {
      return all(_mm512_cmp_ps_mask(scale, _mm512_set1_ps(least), _CMP_GE_OQ) & _mm512_cmp_ps_mask(scale, _mm512_set1_ps(most), _CMP_LT_OQ));
    };
    return within(kExact) ? scales(0, 1) : within(kMost) && scales(0x1p-15f, 0x1p-4f);
  }
  static HWY_INLINE __m512i Begin(__m512i first) { return _mm512_add_epi32(first, _mm512_set1_epi32(0x4b000000)); }
  static HWY_INLINE __m512 Back(__m512 scale) { return _mm512_mul_ps(scale, _mm512_set1_ps(-0x1p23f)); }

  static HWY_INLINE __m512i Whole(__m512i sum, __m512 scale, __m512 back) {
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_castsi512_ps(sum), scale, back));
  }
  /// 64 bytes in the order of four vectors of what Whole makes.
  HWY_INLINE __m512i Bytes(const __m512i* v) const {
    return _mm512_permutexvar_epi32(_mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0), InLanes(v));
  }
  /// Of every 128 bits: four bytes of each vector, one after the other.
  HWY_INLINE __m512i InLanes(const __m512i* v) const {
    __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
    if (limited_) bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, least_), most_);
    return moved_ ? _mm512_add_epi8(bytes, zero_) : bytes;
  }

 private:
  bool limited_, moved_;
  __m512i least_, most_, zero_;
};

/// sum += products of unsigned a and the signed bytes at `at`, in fours. kEmulated: by other instructions.
template <bool kEmulated>
HWY_INLINE void AddProducts(__m512i& sum, __m512i a, const __m512i* at) {
  if constexpr (kEmulated) {
    const __m512i b = *at;
    const __m512i even = _mm512_madd_epi16(_mm512_and_si512(a, _mm512_set1_epi16(0xff)), _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8));
    sum = _mm512_add_epi32(sum, _mm512_add_epi32(even, _mm512_madd_epi16(_mm512_srli_epi16(a, 8), _mm512_srai_epi16(b, 8))));
  } else {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "m"(*at));
  }
}

#endif

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

// x / divisor, correctly rounded, by its reciprocal and the remainder (Markstein 1990, "Computation of elementary functions on
// the IBM RISC System/6000 processor", theorem on division): a third of the time of a division.
class WideDivision {
 public:
  /// Whether that holds: away from underflow and overflow, and not for significands of ones only. Dividends are below 2^100 in
  /// magnitude, and quotients too.
  static bool Serves(float divisor) {
    uint32_t bits;
    memcpy(&bits, &divisor, sizeof(bits));
    return divisor > 0x1p-60f && divisor < 0x1p60f && (bits & 0x7fffff) != 0x7fffff;
  }
#if HWY_TARGET == HWY_AVX2
  HWY_INLINE explicit WideDivision(float divisor) : divisor_(_mm256_set1_ps(divisor)), reciprocal_(_mm256_set1_ps(1.0f / divisor)) {}
  HWY_INLINE __m256 operator()(__m256 x) const {
    const __m256 q = _mm256_mul_ps(x, reciprocal_);
    return _mm256_fmadd_ps(_mm256_fnmadd_ps(q, divisor_, x), reciprocal_, q);
  }
  /// Zero where v is no number.
  HWY_INLINE __m256 OrZero(__m256 v, __m256 x) const { return _mm256_and_ps(_mm256_cmp_ps(v, v, _CMP_ORD_Q), (*this)(x)); }

 private:
  __m256 divisor_, reciprocal_;
#else
  HWY_INLINE explicit WideDivision(float divisor) : divisor_(_mm512_set1_ps(divisor)), reciprocal_(_mm512_set1_ps(1.0f / divisor)) {}
  HWY_INLINE __m512 operator()(__m512 x) const { return Masked(~__mmask16{0}, x); }
  HWY_INLINE __m512 OrZero(__m512 v, __m512 x) const { return Masked(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), x); }

 private:
  HWY_INLINE __m512 Masked(__mmask16 mask, __m512 x) const {
    const __m512 q = _mm512_mul_ps(x, reciprocal_);
    return _mm512_maskz_fmadd_ps(mask, _mm512_fnmadd_ps(q, divisor_, x), reciprocal_, q);
  }
  __m512 divisor_, reciprocal_;
#endif
};

#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
