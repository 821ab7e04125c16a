// Elementary functions on vectors of float: exp, log, tanh, erf, sigmoid and what activations need of them.
//
// Per-target header (see vec-inl.h). Every function is one algorithm on all targets; results differ between
// targets only by fused or separate multiply-add. Largest errors over all inputs, in units of the last place
// of the result (tests/pointwise_test.cc measures them):
//
//     function        fused   separate   notes
//     Exp             1.0     1.3        full range, denormal results included
//     ExpFlush        1.0     1.3        results below 2^-126 may be 0; x <= 88
//     Expm1NonPos     1.0     1.2        x <= 0
//     Log             0.9     0.9        denormals included; x < 0 gives NaN, 0 gives -infinity
//     Log1pUnit       1.5     1.5        0 <= x <= 1
//     Sigmoid         2.4     2.4        results below 2^-126 may be 0
//     Tanh            2.7     2.7
//     Erf             5.2     5.9
//     Softplus        1.9     1.9        results below 2^-126 may be 0
//     Gelu, GeluTanh, Swish, Mish: absolute error below 2.5e-7 max(1, |x|)
//
// NaN gives NaN and infinities give the limits, except that x * f(x) forms give NaN at -infinity, as their
// formulas do. Polynomials are minimax fits over the reduced range.
#if defined(LINNET_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_MATH_INL_H_
#undef LINNET_KERNELS_MATH_INL_H_
#else
#define LINNET_KERNELS_MATH_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

/// c0 + c1 x + c2 x^2 + ... by Horner's rule.
template <class D, class... Floats>
HWY_INLINE hn::Vec<D> Polynomial(D d, hn::Vec<D> x, float c0, Floats... rest) {
  if constexpr (sizeof...(rest) == 0) {
    return hn::Set(d, c0);
  } else {
    return hn::MulAdd(Polynomial(d, x, rest...), x, hn::Set(d, c0));
  }
}

// exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln(2)/2. Adding 1.5 * 2^23 rounds x / ln 2 to an
// integer and leaves n in the low bits of the sum. ln 2 is split so that n * kLn2High is exact for |n| <
// 2^15.
inline constexpr float kLog2E = 1.44269504088896341f;
inline constexpr float kLn2High = 0.693359375f;
inline constexpr float kLn2Low = -2.12194440e-4f;
inline constexpr float kRounder = 12582912.0f;

template <class D>
struct ExpParts {
  hn::Vec<D> rounded;  ///< kRounder + n
  hn::Vec<D> n, r;
  hn::Vec<D> q;  ///< exp(r) = 1 + r + r^2 q, to 2^-26 of r
};

/// |x| < 2^20.
template <class D>
HWY_INLINE ExpParts<D> ReduceExp(D d, hn::Vec<D> x) {
  ExpParts<D> parts;
  const auto rounder = hn::Set(d, kRounder);
  parts.rounded = hn::MulAdd(x, hn::Set(d, kLog2E), rounder);
  parts.n = hn::Sub(parts.rounded, rounder);
  parts.r = hn::NegMulAdd(parts.n, hn::Set(d, kLn2High), x);
  parts.r = hn::NegMulAdd(parts.n, hn::Set(d, kLn2Low), parts.r);
  parts.q = Polynomial(d, parts.r, 0.5000000062086477f, 0.16666542793863443f, 0.04166628139742322f,
                       0.008366610602269441f, 0.0013946497161755982f);
  return parts;
}

template <class D>
HWY_INLINE hn::Vec<D> ExpOfRest(D d, const ExpParts<D>& parts) {
  const auto one = hn::Set(d, 1.0f);
  return hn::MulAdd(hn::MulAdd(parts.q, parts.r, one), parts.r, one);
}

/// 2^n, -126 <= n <= 127.
template <class D>
HWY_INLINE hn::Vec<D> PowerOfTwo(D d, const ExpParts<D>& parts) {
  const hn::RebindToSigned<D> di;
  const auto bits = hn::ShiftLeft<23>(hn::BitCast(di, parts.rounded));
  return hn::BitCast(d, hn::Add(bits, hn::Set(di, 127 << 23)));
}

#if HWY_TARGET == HWY_AVX3
template <size_t N>
HWY_INLINE hn::Vec128<float, N> Scale(hn::Vec128<float, N> v, hn::Vec128<float, N> n) {
  return hn::Vec128<float, N>{_mm_scalef_ps(v.raw, n.raw)};
}
HWY_INLINE hn::Vec256<float> Scale(hn::Vec256<float> v, hn::Vec256<float> n) {
  return hn::Vec256<float>{_mm256_scalef_ps(v.raw, n.raw)};
}
HWY_INLINE hn::Vec512<float> Scale(hn::Vec512<float> v, hn::Vec512<float> n) {
  return hn::Vec512<float>{_mm512_scalef_ps(v.raw, n.raw)};
}
#endif

/// e^x.
template <class D>
HWY_INLINE hn::Vec<D> Exp(D d, hn::Vec<D> x) {
  // Beyond these bounds the result is 0 or infinity; inside, |n| <= 150.
  x = AtMost(hn::Set(d, 89.0f), AtLeast(hn::Set(d, -104.0f), x));
  const auto parts = ReduceExp(d, x);
  const auto p = ExpOfRest(d, parts);
#if HWY_TARGET == HWY_AVX3
  return Scale(p, parts.n);
#else
  // 2^n in two factors, neither of which overflows; only the second product rounds.
  const hn::RebindToSigned<D> di;
  const auto n = hn::Sub(hn::BitCast(di, parts.rounded), hn::BitCast(di, hn::Set(d, kRounder)));
  const auto half = hn::ShiftRight<1>(n);
  const auto bias = hn::Set(di, 127);
  const auto s0 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const auto s1 = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(n, half), bias)));
  return hn::Mul(hn::Mul(p, s0), s1);
#endif
}

/// e^x for x <= 88 (or NaN), where results below 2^-126 may be 0: cheaper than Exp without scalef.
template <class D>
HWY_INLINE hn::Vec<D> ExpFlush(D d, hn::Vec<D> x) {
#if HWY_TARGET == HWY_AVX3
  const auto parts = ReduceExp(d, AtLeast(hn::Set(d, -104.0f), x));
  return Scale(ExpOfRest(d, parts), parts.n);
#else
  const auto least = hn::Set(d, -87.33654f);
  const auto parts = ReduceExp(d, AtLeast(least, x));
  const auto e = hn::Mul(ExpOfRest(d, parts), PowerOfTwo(d, parts));
  return hn::IfThenElse(hn::Lt(x, least), hn::Zero(d), e);
#endif
}

/// e^x - 1 for x <= 0 (or NaN): 2^n (exp(r) - 1) + (2^n - 1).
template <class D>
HWY_INLINE hn::Vec<D> Expm1NonPos(D d, hn::Vec<D> x) {
  const auto parts = ReduceExp(d, AtLeast(hn::Set(d, -20.0f), x));
  const auto p = hn::MulAdd(hn::Mul(parts.r, parts.r), parts.q, parts.r);
  const auto scale = PowerOfTwo(d, parts);
  return hn::MulAdd(scale, p, hn::Sub(scale, hn::Set(d, 1.0f)));
}

/// log(1 + f) + e ln 2 for sqrt(1/2) <= 1 + f <= sqrt(2): f - f^2/2 + f^3 P(f), P to 2^-27 of f.
template <class D>
HWY_INLINE hn::Vec<D> LogOfParts(D d, hn::Vec<D> f, hn::Vec<D> e) {
  const auto f2 = hn::Mul(f, f);
  const auto p =
      Polynomial(d, f, 0.3333331672536984f, -0.25000810403032586f, 0.20002286315903034f, -0.1662455413056571f,
                 0.14181191136531532f, -0.13128753292044834f, 0.12881652059571916f, -0.0785962066648996f);
  auto y = hn::Mul(hn::Mul(p, f), f2);
  y = hn::MulAdd(e, hn::Set(d, kLn2Low), y);
  y = hn::NegMulAdd(hn::Set(d, 0.5f), f2, y);
  return hn::MulAdd(e, hn::Set(d, kLn2High), hn::Add(f, y));
}

/// Natural logarithm.
template <class D>
HWY_INLINE hn::Vec<D> Log(D d, hn::Vec<D> x) {
  const hn::RebindToSigned<D> di;
  const auto denormal = hn::Lt(x, hn::Set(d, 1.17549435e-38f));
  const auto scaled = hn::IfThenElse(denormal, hn::Mul(x, hn::Set(d, 16777216.0f)), x);
  // Subtracting the bits of sqrt(1/2) leaves in the exponent field e such that x / 2^e lies in [sqrt(1/2),
  // sqrt(2)).
  const auto root_half = hn::Set(di, 0x3F3504F3);
  const auto offset = hn::Sub(hn::BitCast(di, scaled), root_half);
  const auto mantissa = hn::Add(hn::And(offset, hn::Set(di, 0x007FFFFF)), root_half);
  auto e = hn::ConvertTo(d, hn::ShiftRight<23>(offset));
  e = hn::Sub(e, hn::IfThenElseZero(denormal, hn::Set(d, 24.0f)));
  auto y = LogOfParts(d, hn::Sub(hn::BitCast(d, mantissa), hn::Set(d, 1.0f)), e);
  const auto infinity = hn::Set(d, __builtin_inff());
  y = hn::IfThenElse(hn::Eq(x, infinity), x, y);
  y = hn::IfThenElse(hn::Ge(x, hn::Zero(d)), y, hn::Set(d, __builtin_nanf("")));
  return hn::IfThenElse(hn::Eq(scaled, hn::Zero(d)), hn::Neg(infinity), y);
}

/// log(1 + x) for 0 <= x <= 1 (or NaN): halving 1 + x when it exceeds sqrt(2) leaves an exact argument.
template <class D>
HWY_INLINE hn::Vec<D> Log1pUnit(D d, hn::Vec<D> x) {
  const auto halve = hn::Gt(x, hn::Set(d, 0.41421356f));
  const auto f = hn::IfThenElse(halve, hn::Mul(hn::Sub(x, hn::Set(d, 1.0f)), hn::Set(d, 0.5f)), x);
  return LogOfParts(d, f, hn::IfThenElseZero(halve, hn::Set(d, 1.0f)));
}

#if HWY_TARGET == HWY_AVX3
/// over[i] / (1 + e^-x[i]) in place of over[i], as DivideByOnePlusExp's rough form, in three quarters of its instructions:
/// e^-x = 2^t as 2^(t - floor t), a polynomial, scaled by 2^floor t, neither of which needs bounds; and the quotient by an
/// estimate of 14 bits and a step of Newton's, which doubles them.
template <int kCount>
HWY_INLINE void DivideByOnePlusPower(const hn::Vec512<float> (&x)[kCount], hn::Vec512<float> (&over)[kCount]) {
  const hn::ScalableTag<float> d;
  const auto one = hn::Set(d, 1.0f);
  constexpr int kDownFromWhole = 9;
  constexpr float kPower[] = {0.00894959085f, 0.0558603369f, 0.240141824f, 0.693154514f, 0.999999881f};
  hn::Vec512<float> t[kCount], rest[kCount], p[kCount];
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) t[i] = hn::Mul(x[i], hn::Set(d, -kLog2E));
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) rest[i].raw = _mm512_reduce_ps(t[i].raw, kDownFromWhole);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) p[i] = hn::Set(d, 0.001893754f);
  LINNET_UNROLL
  for (float factor : kPower) {
    LINNET_UNROLL
    for (int i = 0; i < kCount; ++i) p[i] = hn::MulAdd(p[i], rest[i], hn::Set(d, factor));
  }
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) p[i] = hn::Add(Scale(p[i], t[i]), one);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    // Where the power is infinity, the estimate is 0 and its error NaN, which the maximum replaces.
    const auto estimate = hn::ApproximateReciprocal(p[i]);
    const auto error = hn::Max(hn::NegMulAdd(p[i], estimate, one), hn::Set(d, -1.0f));
    over[i] = hn::Mul(over[i], hn::MulAdd(estimate, error, estimate));
  }
}
#endif

/// over[i] / (1 + e^-x[i]) in place of over[i], several vectors at once, step by step, to hide each other's latency.
/// kRough: e^-x with a relative error of 1e-7 where |x| < 20, for quotients that need an absolute error only.
template <bool kRough, int kCount, class D>
HWY_INLINE void DivideByOnePlusExp(D d, const hn::Vec<D> (&x)[kCount], hn::Vec<D> (&over)[kCount]) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (kRough && hn::MaxLanes(D()) == 16) return DivideByOnePlusPower(x, over);
#endif
  using V = hn::Vec<D>;
  const hn::RebindToSigned<D> di;
  // e^-x = 2^n e^-s with s = x + n ln 2. The rounder brings along the exponent's bias.
  const V rounder = hn::Set(d, kRounder + 127), one = hn::Set(d, 1.0f);
  V s[kCount], rounded[kCount], p[kCount];
  // At one bound the power is infinity, at the other 2^-126: neither changes a result of 2^-126 or more.
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) s[i] = AtMost(hn::Set(d, 87.33654f), AtLeast(hn::Set(d, -89.0f), x[i]));
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) rounded[i] = hn::NegMulAdd(s[i], hn::Set(d, kLog2E), rounder);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) p[i] = hn::Sub(rounded[i], rounder);
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    s[i] = hn::MulAdd(p[i], hn::Set(d, kRough ? kLn2High + kLn2Low : kLn2High), s[i]);
    if constexpr (!kRough) s[i] = hn::MulAdd(p[i], hn::Set(d, kLn2Low), s[i]);
  }
  constexpr int kFirst = kRough ? 1 : 0, kLast = 6;
  constexpr float kSums[2][kLast + 1] = {
      {0.00138436444f, -0.00837416295f, 0.0416680016f, -0.166664317f, 0.49999994f, -1.0f, 1.0f},
      {0.0f, -0.00829030666f, 0.041897975f, -0.166676372f, 0.499991506f, -0.999999702f, 1.0f}};
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) p[i] = hn::Set(d, kSums[kRough][kFirst]);
  LINNET_UNROLL
  for (int k = kFirst + 1; k <= kLast; ++k) {
    LINNET_UNROLL
    for (int i = 0; i < kCount; ++i) p[i] = hn::MulAdd(p[i], s[i], hn::Set(d, kSums[kRough][k]));
  }
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) {
    const V power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, rounded[i])));
    p[i] = hn::MulAdd(p[i], power, one);
  }
  LINNET_UNROLL
  for (int i = 0; i < kCount; ++i) over[i] = Quotient(over[i], p[i]);
}

/// 1 / (1 + e^-x).
template <class D>
HWY_INLINE hn::Vec<D> Sigmoid(D d, hn::Vec<D> x) {
  const hn::Vec<D> at[1] = {x};
  hn::Vec<D> over[1] = {hn::Set(d, 1.0f)};
  DivideByOnePlusExp<false>(d, at, over);
  return over[0];
}

/// tanh|x| = -m / (m + 2) with m = exp(-2|x|) - 1.
template <class D>
HWY_INLINE hn::Vec<D> Tanh(D d, hn::Vec<D> x) {
  const auto m = Expm1NonPos(d, hn::Mul(hn::Abs(x), hn::Set(d, -2.0f)));
  return hn::CopySign(Quotient(m, hn::Add(m, hn::Set(d, 2.0f))), x);
}

/// 1 / q, to about one unit in the last place, for normal q whose reciprocal is normal.
template <class D>
HWY_INLINE hn::Vec<D> Reciprocal(D d, hn::Vec<D> q) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (hn::MaxLanes(D()) == 16) {
    // An estimate and a step of Newton's: a division of 16 lanes takes 16 cycles.
    const auto r = hn::ApproximateReciprocal(q);
    return hn::Mul(r, hn::NegMulAdd(q, r, hn::Set(d, 2.0f)));
  }
#endif
  return Quotient(hn::Set(d, 1.0f), q);
}

/// erf(x) = x P(x^2) / Q(x^2) on |x| <= 3.925, beyond which it rounds to 1; the fit is good to 2^-25.
template <class D>
HWY_INLINE hn::Vec<D> Erf(D d, hn::Vec<D> x) {
  const auto bound = hn::Set(d, 3.925f), one = hn::Set(d, 1.0f);
  const auto a = AtMost(bound, hn::Abs(x));
  const auto t = hn::Mul(a, a);
  const auto p = Polynomial(d, t, 1.1283791463284016f, 0.1905551267863593f, 0.052763559702668446f,
                            0.0037707307846727256f, 0.0002847759334835413f, 2.0459713736241754e-06f);
  const auto q = Polynomial(d, t, 1.0f, 0.5022078245065335f, 0.11416618797354305f, 0.014979562136487651f,
                            0.0011633675354723787f, 3.80436629238252e-05f);
  const auto y = hn::Mul(hn::Mul(a, p), Reciprocal(d, q));
  return hn::CopySign(AtMost(one, y), x);
}

/// x sigmoid(alpha x): SiLU for alpha 1, Swish.
template <class D>
HWY_INLINE hn::Vec<D> Swish(D d, hn::Vec<D> x, hn::Vec<D> alpha) {
  const hn::Vec<D> at[1] = {hn::Mul(alpha, x)};
  hn::Vec<D> over[1] = {x};
  DivideByOnePlusExp<true>(d, at, over);
  return over[0];
}

#if HWY_TARGET == HWY_AVX3

/// Phi - 1/2 of |x| in 32 pieces: coefficient d of piece i, whose middle is i kGeluStep; the last is 1/2 for all else.
inline constexpr float kGeluStep = 0.1875f;
alignas(64) inline constexpr float kGeluTable[5][32] = {
    {0.0f, 0.0743656904f, 0.146169767f, 0.213112295f, 0.27337265f, 0.325749278f, 0.369705468f, 0.40532425f,
     0.43319279f, 0.454246372f, 0.469603628f, 0.480419934f, 0.487775534f, 0.492605388f, 0.495667547f,
     0.497542113f, 0.498650104f, 0.499282449f, 0.499630928f, 0.499816328f, 0.499911577f, 0.499958843f,
     0.499981463f, 0.499991924f, 0.499996603f, 0.499998629f, 0.499999464f, 0.499999791f, 0.499999911f,
     0.49999997f, 0.5f, 0.5f},
    {0.398942202f, 0.391990691f, 0.371854931f, 0.340567499f, 0.301137447f, 0.257073998f, 0.21187678f,
     0.168593332f, 0.129517734f, 0.0960616171f, 0.0687863529f, 0.0475539342f, 0.0317396633f, 0.0204526633f,
     0.0127241584f, 0.00764257787f, 0.00443182187f, 0.00248116814f, 0.00134110148f, 0.000699839613f,
     0.000352587405f, 0.000171500913f, 8.05373566e-05f, 3.65140113e-05f, 1.59828014e-05f, 6.75425372e-06f,
     2.75570596e-06f, 1.08547385e-06f, 4.12797249e-07f, 1.51560158e-07f, 5.37234719e-08f, 0.0f},
    {6.39510563e-06f, -0.0367491096f, -0.0697227642f, -0.0957845598f, -0.112926461f, -0.120503336f,
     -0.119180582f, -0.110639274f, -0.0971382111f, -0.0810519233f, -0.0644871667f, -0.0490399823f,
     -0.035707131f, -0.0249267109f, -0.016700495f, -0.0107474159f, -0.00664776983f, -0.00395439332f,
     -0.00226313341f, -0.00124660728f, -0.000661113707f, -0.000337650388f, -0.000166113183f, -7.87361787e-05f,
     -3.59628793e-05f, -1.58311177e-05f, -6.71745556e-06f, -2.74780996e-06f, -1.08368727e-06f,
     -4.12096057e-07f, -1.51115046e-07f, 0.0f},
    {-0.0666814893f, -0.0629349574f, -0.0531864762f, -0.0387641937f, -0.0219595209f, -0.00522359973f,
     0.0093219988f, 0.0202384684f, 0.0269184094f, 0.029528901f, 0.0288039707f, 0.0257700235f, 0.0214852896f,
     0.0168491006f, 0.0125028528f, 0.00881459005f, 0.00592129538f, 0.00379829621f, 0.00233041891f,
     0.001369345f, 0.000771389925f, 0.00041694814f, 0.000216390559f, 0.000107893349f, 5.17087647e-05f,
     2.38302509e-05f, 1.05643967e-05f, 4.50659445e-06f, 1.85037072e-06f, 7.31442469e-07f, 2.78423073e-07f,
     0.0f},
    {0.00233220845f, 0.00906321127f, 0.0165847074f, 0.0213857312f, 0.0229048319f, 0.0212742519f, 0.0172109753f,
     0.0117745204f, 0.00607834617f, 0.00104223727f, -0.00275560259f, -0.0051101679f, -0.0061262697f,
     -0.00610302715f, -0.00541133247f, -0.0043971166f, -0.00332509936f, -0.00236151251f, -0.00158455689f,
     -0.00100865425f, -0.000610922405f, -0.000352865609f, -0.000194698368f, -0.000102763493f, -5.19419737e-05f,
     -2.5164878e-05f, -1.16948841e-05f, -5.21672791e-06f, -2.23479265e-06f, -9.19847423e-07f, -3.63923192e-07f,
     0.0f},
};

/// x Phi(x), to 1e-7 max(1, |x|): one instruction looks up 16 of 32 coefficients, which makes 16 instead of 25.
HWY_INLINE VF32 GeluByTable(VF32 x) {
  const __m512 a = hn::Abs(x).raw, rounder = _mm512_set1_ps(kRounder);
  const __m512 near = _mm512_min_ps(_mm512_set1_ps(31 * kGeluStep), a);   // NaN, the second operand, stays
  const __m512 rounded = _mm512_fmadd_ps(near, _mm512_set1_ps(1 / kGeluStep), rounder);
  const __m512i piece = _mm512_castps_si512(rounded);   // its low bits
  const __m512 r = _mm512_fnmadd_ps(_mm512_sub_ps(rounded, rounder), _mm512_set1_ps(kGeluStep), near);
  auto coefficient = [&](int i) HWY_ATTR {
    return _mm512_permutex2var_ps(_mm512_load_ps(kGeluTable[i]), piece, _mm512_load_ps(kGeluTable[i] + 16));
  };
  __m512 y = coefficient(4);
  y = _mm512_fmadd_ps(y, r, coefficient(3));
  y = _mm512_fmadd_ps(y, r, coefficient(2));
  y = _mm512_fmadd_ps(y, r, coefficient(1));
  y = _mm512_fmadd_ps(y, r, coefficient(0));
  return VF32{_mm512_fmadd_ps(a, y, _mm512_mul_ps(x.raw, _mm512_set1_ps(0.5f)))};
}
#endif

/// x/2 (1 + erf(x / sqrt 2)).
template <class D>
HWY_INLINE hn::Vec<D> Gelu(D d, hn::Vec<D> x) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (hn::MaxLanes(D()) == 16) return GeluByTable(x);
#endif
  const auto half = hn::Mul(hn::Set(d, 0.5f), x);
  return hn::MulAdd(half, Erf(d, hn::Mul(x, hn::Set(d, 0.70710678118654752f))), half);
}

/// x/2 (1 + tanh u) with u = sqrt(2/pi) (x + 0.044715 x^3), as x sigmoid(2u).
template <class D>
HWY_INLINE hn::Vec<D> GeluTanh(D d, hn::Vec<D> x) {
  constexpr float kC1 = 1.5957691216057308f, kC3 = 0.071354816272600249f;
  const auto u = hn::Mul(x, hn::MulAdd(hn::Mul(x, x), hn::Set(d, kC3), hn::Set(d, kC1)));
  return hn::Mul(x, Sigmoid(d, u));
}

/// log(1 + e^x).
template <class D>
HWY_INLINE hn::Vec<D> Softplus(D d, hn::Vec<D> x) {
  const auto rest = Log1pUnit(d, ExpFlush(d, hn::Neg(hn::Abs(x))));
  return hn::Add(AtLeast(hn::Zero(d), x), rest);
}

/// x tanh(softplus(x)) = x w / (w + 2) with w = e^x (e^x + 2).
template <class D>
HWY_INLINE hn::Vec<D> Mish(D d, hn::Vec<D> x) {
  const auto two = hn::Set(d, 2.0f);
  const auto e = ExpFlush(d, AtMost(hn::Set(d, 20.0f), x));
  const auto w = hn::Mul(e, hn::Add(e, two));
  return hn::Mul(x, Quotient(w, hn::Add(w, two)));
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // per-target guard
