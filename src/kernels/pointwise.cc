// The loops behind PickPointwise: every function is a formula on vectors, applied by one of three loops.
#include "kernels/pointwise.h"

#include <math.h>
#include <stddef.h>

#include "kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pointwise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/math-inl.h"
#include "kernels/tiles/steps-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

// An operand of a loop: a run, or one value repeated. The repeated value is read from a buffer of one vector
// over which the pointer does not advance, so that one loop serves every combination.
struct Spread {
  HWY_ALIGN float lanes[hn::MaxLanes(F32())];
};
struct Operand {
  HWY_INLINE Operand(const float* run, bool is_scalar, Spread& spread) : at(run), step(hn::Lanes(F32())) {
    if (!is_scalar) return;
    const F32 d;
    hn::Store(hn::Set(d, run[0]), d, spread.lanes);
    at = spread.lanes;
    step = 0;
  }
  /// The next vector, or its first `left` lanes.
  HWY_INLINE VF32 Next(F32 d, size_t left) {
    const float* p = at;
    at += step;
    return LoadSome(d, p, left);
  }
  const float* at;
  size_t step;
};

template <class Function>
void Loop1(float* out, const float* x, const float*, const float*, int64_t n, uint32_t scalars, float alpha,
           float beta) {
  const F32 d;
  const auto va = hn::Set(d, alpha), vb = hn::Set(d, beta);
  Spread spread;
  Operand ox(x, scalars & 1, spread);
  for (int64_t left = n; left > 0; left -= hn::Lanes(d), out += hn::Lanes(d)) {
    StoreSome(Function::Apply(d, ox.Next(d, left), va, vb), d, out, left);
  }
}

template <class Function>
void Loop2(float* out, const float* x, const float* y, const float*, int64_t n, uint32_t scalars, float,
           float) {
  const F32 d;
  Spread spread[2];
  Operand ox(x, scalars & 1, spread[0]), oy(y, scalars & 2, spread[1]);
  for (int64_t left = n; left > 0; left -= hn::Lanes(d), out += hn::Lanes(d)) {
    const VF32 vx = ox.Next(d, left), vy = oy.Next(d, left);
    StoreSome(Function::Apply(d, vx, vy), d, out, left);
  }
}

template <class Function>
void Loop3(float* out, const float* x, const float* y, const float* z, int64_t n, uint32_t scalars, float,
           float) {
  const F32 d;
  Spread spread[3];
  Operand ox(x, scalars & 1, spread[0]), oy(y, scalars & 2, spread[1]), oz(z, scalars & 4, spread[2]);
  for (int64_t left = n; left > 0; left -= hn::Lanes(d), out += hn::Lanes(d)) {
    const VF32 vx = ox.Next(d, left), vy = oy.Next(d, left), vz = oz.Next(d, left);
    StoreSome(Function::Apply(d, vx, vy, vz), d, out, left);
  }
}

#define LINNET_POINTWISE1(name, formula)                                                                   \
  struct name {                                                                                            \
    static HWY_INLINE VF32 Apply(F32 d, VF32 x, [[maybe_unused]] VF32 alpha, [[maybe_unused]] VF32 beta) { \
      [[maybe_unused]] const VF32 zero = hn::Zero(d), one = hn::Set(d, 1.0f);                              \
      return formula;                                                                                      \
    }                                                                                                      \
  };
#define LINNET_POINTWISE2(name, formula)                                                     \
  struct name {                                                                              \
    static HWY_INLINE VF32 Apply([[maybe_unused]] F32 d, VF32 x, VF32 y) { return formula; } \
  };
#define LINNET_POINTWISE3(name, formula)                                                             \
  struct name {                                                                                      \
    static HWY_INLINE VF32 Apply([[maybe_unused]] F32 d, VF32 x, VF32 y, VF32 z) { return formula; } \
  };

HWY_INLINE VF32 Clamp(VF32 least, VF32 most, VF32 x) {
  return AtMost(most, AtLeast(least, x));
}
HWY_INLINE VF32 Expm1OfNegative(F32 d, VF32 x) {
  return Expm1NonPos(d, AtMost(hn::Zero(d), x));
}
HWY_INLINE VF32 OneWhere(F32 d, hn::Mask<F32> mask) {
  return hn::IfThenElseZero(mask, hn::Set(d, 1.0f));
}

LINNET_POINTWISE1(AbsF, hn::Abs(x))
LINNET_POINTWISE1(NegF, hn::Neg(x))
LINNET_POINTWISE1(SqrtF, SquareRoot(x))
LINNET_POINTWISE1(ExpF, Exp(d, x))
LINNET_POINTWISE1(LogF, Log(d, x))
LINNET_POINTWISE1(SigmoidF, Sigmoid(d, x))
LINNET_POINTWISE1(TanhF, Tanh(d, x))
LINNET_POINTWISE1(ErfF, Erf(d, x))
LINNET_POINTWISE1(ReluF, AtLeast(zero, x))
LINNET_POINTWISE1(LeakyReluF, hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, x), x))
LINNET_POINTWISE1(EluF, hn::IfThenElse(hn::Lt(x, zero), hn::Mul(alpha, Expm1OfNegative(d, x)), x))
LINNET_POINTWISE1(SeluF,
                  hn::Mul(beta, hn::IfThenElse(hn::Gt(x, zero), x, hn::Mul(alpha, Expm1OfNegative(d, x)))))
LINNET_POINTWISE1(HardSigmoidF, Clamp(zero, one, hn::MulAdd(alpha, x, beta)))
LINNET_POINTWISE1(HardSwishF,
                  hn::Mul(x, Clamp(zero, one, hn::MulAdd(x, hn::Set(d, 1.0f / 6.0f), hn::Set(d, 0.5f)))))
LINNET_POINTWISE1(SoftplusF, Softplus(d, x))
LINNET_POINTWISE1(SoftsignF, Quotient(x, hn::Add(one, hn::Abs(x))))
LINNET_POINTWISE1(ThresholdedReluF, hn::IfThenElseZero(hn::Gt(x, alpha), x))
LINNET_POINTWISE1(GeluF, Gelu(d, x))
LINNET_POINTWISE1(GeluTanhF, GeluTanh(d, x))
LINNET_POINTWISE1(MishF, Mish(d, x))
LINNET_POINTWISE1(SwishF, Swish(d, x, alpha))
LINNET_POINTWISE1(ReciprocalF, Quotient(one, x))
LINNET_POINTWISE1(RsqrtF, Quotient(one, SquareRoot(x)))
LINNET_POINTWISE1(SquareF, hn::Mul(x, x))
LINNET_POINTWISE1(FloorF, hn::Floor(x))
LINNET_POINTWISE1(CeilF, hn::Ceil(x))
LINNET_POINTWISE1(RoundF, hn::Round(x))
LINNET_POINTWISE1(SignF,
                  hn::IfThenElse(hn::Gt(x, zero), one, hn::IfThenElse(hn::Lt(x, zero), hn::Neg(one), x)))
LINNET_POINTWISE1(ShrinkF, hn::IfThenElse(hn::Lt(x, hn::Neg(alpha)), hn::Add(x, beta),
                                          hn::IfThenElseZero(hn::Gt(x, alpha), hn::Sub(x, beta))))
LINNET_POINTWISE1(ClipF, Clamp(alpha, beta, x))
LINNET_POINTWISE1(AffineF, hn::MulAdd(alpha, x, beta))

struct CeluF {
  static HWY_INLINE VF32 Apply(F32 d, VF32 x, VF32 alpha, VF32) {
    const VF32 zero = hn::Zero(d), t = Quotient(x, alpha);
    const VF32 above = hn::Sub(Exp(d, t), hn::Set(d, 1.0f));  // reached by negative alpha
    const VF32 e = hn::IfThenElse(hn::Gt(t, zero), above, Expm1OfNegative(d, t));
    return hn::Add(AtLeast(zero, x), AtMost(zero, hn::Mul(alpha, e)));
  }
};

LINNET_POINTWISE2(AddF, hn::Add(x, y))
LINNET_POINTWISE2(SubF, hn::Sub(x, y))
LINNET_POINTWISE2(MulF, hn::Mul(x, y))
LINNET_POINTWISE2(DivF, Quotient(x, y))
LINNET_POINTWISE2(MinF, MinNaN(x, y))
LINNET_POINTWISE2(MaxF, MaxNaN(x, y))
LINNET_POINTWISE2(PReluF, hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(y, x), x))
LINNET_POINTWISE2(EqualF, OneWhere(d, hn::Eq(x, y)))
LINNET_POINTWISE2(LessF, OneWhere(d, hn::Lt(x, y)))
LINNET_POINTWISE2(LessOrEqualF, OneWhere(d, hn::Le(x, y)))
LINNET_POINTWISE2(GreaterF, OneWhere(d, hn::Gt(x, y)))
LINNET_POINTWISE2(GreaterOrEqualF, OneWhere(d, hn::Ge(x, y)))

LINNET_POINTWISE3(MulAddF, hn::MulAdd(x, y, z))
LINNET_POINTWISE3(WhereF, hn::IfThenElse(hn::Eq(x, hn::Zero(d)), z, y))

LINNET_POINTWISE1(CubeF, hn::Mul(hn::Mul(x, x), x))
// Unlike sqrt: +0 at -0 and infinity at -infinity.
LINNET_POINTWISE1(PowHalfF, hn::IfThenElse(hn::Eq(x, hn::Set(d, -__builtin_inff())),
                                           hn::Set(d, __builtin_inff()), SquareRoot(hn::Add(x, zero))))

// Most exponents in models are one of a few constants; those whose formula is exact to two ulp become it.
void PowLoop(float* out, const float* x, const float* y, const float* z, int64_t n, uint32_t scalars, float,
             float) {
  if (scalars == 2) {
    const float exponent = y[0];
    if (exponent == 2.0f) return Loop1<SquareF>(out, x, y, z, n, 0, 0, 0);
    if (exponent == 3.0f) return Loop1<CubeF>(out, x, y, z, n, 0, 0, 0);
    if (exponent == 0.5f) return Loop1<PowHalfF>(out, x, y, z, n, 0, 0, 0);
    if (exponent == -1.0f) return Loop1<ReciprocalF>(out, x, y, z, n, 0, 0, 0);
  }
  const int64_t x_step = (scalars & 1) ? 0 : 1, y_step = (scalars & 2) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) out[i] = powf(x[i * x_step], y[i * y_step]);
}

template <bool kFast>
void EachStep(float* out, const float* x, int64_t n, uint32_t scalars, float alpha, float beta) {
  const F32 d;
  const StepsOf<kFast> steps(alpha, beta);
  Spread spread;
  Operand ox(x, scalars & 1, spread);
  for (int64_t left = n; left > 0; left -= hn::Lanes(d), out += hn::Lanes(d)) StoreSome(steps(ox.Next(d, left)), d, out, left);
}
void StepsLoop(float* out, const float* x, const float*, const float*, int64_t n, uint32_t scalars, float alpha, float beta) {
  return QuickSteps(alpha) ? EachStep<true>(out, x, n, scalars, alpha, beta) : EachStep<false>(out, x, n, scalars, alpha, beta);
}

// In the order of Pointwise; null where a scalar library function serves on every processor.
PointwiseFn* const kLoops[kPointwiseCount] = {
    Loop1<AbsF>,
    Loop1<NegF>,
    Loop1<SqrtF>,
    Loop1<ExpF>,
    Loop1<LogF>,
    Loop1<SigmoidF>,
    Loop1<TanhF>,
    Loop1<ErfF>,
    Loop1<ReluF>,
    Loop1<LeakyReluF>,
    Loop1<EluF>,
    Loop1<SeluF>,
    Loop1<CeluF>,
    Loop1<HardSigmoidF>,
    Loop1<HardSwishF>,
    Loop1<SoftplusF>,
    Loop1<SoftsignF>,
    Loop1<ThresholdedReluF>,
    Loop1<GeluF>,
    Loop1<GeluTanhF>,
    Loop1<MishF>,
    Loop1<SwishF>,
    Loop1<ReciprocalF>,
    Loop1<RsqrtF>,
    Loop1<SquareF>,
    Loop1<FloorF>,
    Loop1<CeilF>,
    Loop1<RoundF>,
    Loop1<SignF>,
    Loop1<ShrinkF>,
    Loop1<ClipF>,
    Loop1<AffineF>,
    StepsLoop,
    // kSin ... kAtanh
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    //
    Loop2<AddF>,
    Loop2<SubF>,
    Loop2<MulF>,
    Loop2<DivF>,
    Loop2<MinF>,
    Loop2<MaxF>,
    PowLoop,
    Loop2<PReluF>,
    nullptr /* kFmod */,
    Loop2<EqualF>,
    Loop2<LessF>,
    Loop2<LessOrEqualF>,
    Loop2<GreaterF>,
    Loop2<GreaterOrEqualF>,
    //
    Loop3<MulAddF>,
    Loop3<WhereF>,
};

}  // namespace

PointwiseFn* PointwiseLoop(Pointwise function) {
  return kLoops[static_cast<int>(function)];
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {
namespace {

// That of some C libraries is ten units in the last place off near 1.
float Acosh(float x) {
  if (x < 1) return NAN;
  const double above = static_cast<double>(x) - 1;
  return static_cast<float>(log1p(above + sqrt(above * (above + 2))));
}

template <float (*kFunction)(float)>
void Scalar1(float* out, const float* x, const float*, const float*, int64_t n, uint32_t scalars, float,
             float) {
  const int64_t step = (scalars & 1) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) out[i] = kFunction(x[i * step]);
}

template <float (*kFunction)(float, float)>
void Scalar2(float* out, const float* x, const float* y, const float*, int64_t n, uint32_t scalars, float,
             float) {
  const int64_t x_step = (scalars & 1) ? 0 : 1, y_step = (scalars & 2) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) out[i] = kFunction(x[i * x_step], y[i * y_step]);
}

struct Row {
  const char* name;
  int arity;
  PointwiseFn* scalar;  ///< the same loop on every processor; null where there is a vector loop
};
constexpr Row kRows[kPointwiseCount] = {
    {"Abs", 1},
    {"Neg", 1},
    {"Sqrt", 1},
    {"Exp", 1},
    {"Log", 1},
    {"Sigmoid", 1},
    {"Tanh", 1},
    {"Erf", 1},
    {"Relu", 1},
    {"LeakyRelu", 1},
    {"Elu", 1},
    {"Selu", 1},
    {"Celu", 1},
    {"HardSigmoid", 1},
    {"HardSwish", 1},
    {"Softplus", 1},
    {"Softsign", 1},
    {"ThresholdedRelu", 1},
    {"Gelu", 1},
    {"GeluTanh", 1},
    {"Mish", 1},
    {"Swish", 1},
    {"Reciprocal", 1},
    {"Rsqrt", 1},
    {"Square", 1},
    {"Floor", 1},
    {"Ceil", 1},
    {"Round", 1},
    {"Sign", 1},
    {"Shrink", 1},
    {"Clip", 1},
    {"Affine", 1},
    {"Steps", 1},
    {"Sin", 1, Scalar1<sinf>},
    {"Cos", 1, Scalar1<cosf>},
    {"Tan", 1, Scalar1<tanf>},
    {"Asin", 1, Scalar1<asinf>},
    {"Acos", 1, Scalar1<acosf>},
    {"Atan", 1, Scalar1<atanf>},
    {"Sinh", 1, Scalar1<sinhf>},
    {"Cosh", 1, Scalar1<coshf>},
    {"Asinh", 1, Scalar1<asinhf>},
    {"Acosh", 1, Scalar1<Acosh>},
    {"Atanh", 1, Scalar1<atanhf>},
    {"Add", 2},
    {"Sub", 2},
    {"Mul", 2},
    {"Div", 2},
    {"Min", 2},
    {"Max", 2},
    {"Pow", 2},
    {"PRelu", 2},
    {"Fmod", 2, Scalar2<fmodf>},
    {"Equal", 2},
    {"Less", 2},
    {"LessOrEqual", 2},
    {"Greater", 2},
    {"GreaterOrEqual", 2},
    {"MulAdd", 3},
    {"Where", 3},
};

}  // namespace

const char* PointwiseName(Pointwise function) {
  return kRows[static_cast<int>(function)].name;
}
int PointwiseArity(Pointwise function) {
  return kRows[static_cast<int>(function)].arity;
}

PointwiseFn* PickPointwise(Pointwise function, CpuLevel level) {
  PointwiseFn* scalar = kRows[static_cast<int>(function)].scalar;
  return scalar ? scalar : LINNET_PICK(level, PointwiseLoop)(function);
}

}  // namespace linnet
#endif  // HWY_ONCE
