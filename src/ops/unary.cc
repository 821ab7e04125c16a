// Elementwise functions of one tensor: Abs ... Tanh, activations, Not.
//
// float32 (and float16, bfloat16 by way of it) run the loops of kernels/pointwise.h, which ops/pointwise_function.cc names with
// their attributes. One table row per function: its formula in double. Integers have loops of their own where ONNX defines the
// operator for them; integer arithmetic wraps. Versions of an operator differ in types and in Selu-1's shorter defaults.
#include <math.h>

#include <numbers>

#include "ops/elementwise.h"
#include "ops/for_type.h"
#include "ops/pointwise_function.h"

namespace linnet {
namespace {

using P = Pointwise;

/// What a function is of doubles, and which integer types it is defined for.
struct Row {
  Pointwise function;
  double (*f64)(double x, double alpha, double beta);
  uint32_t integers = 0;
};

double Sigmoid(double x) { return 1 / (1 + exp(-x)); }
double Softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
double Clamp01(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }

// clang-format off
constexpr Row kRows[] = {
    {P::kAbs, [](double x, double, double) { return fabs(x); }, kAnyInteger},
    {P::kNeg, [](double x, double, double) { return -x; }, kAnySigned},
    {P::kSign, [](double x, double, double) { return x > 0 ? 1.0 : x < 0 ? -1.0 : x; }, kAnyInteger},
    {P::kSqrt, [](double x, double, double) { return sqrt(x); }},
    {P::kExp, [](double x, double, double) { return exp(x); }},
    {P::kLog, [](double x, double, double) { return log(x); }},
    {P::kErf, [](double x, double, double) { return erf(x); }},
    {P::kSigmoid, [](double x, double, double) { return Sigmoid(x); }},
    {P::kTanh, [](double x, double, double) { return tanh(x); }},
    {P::kRelu, [](double x, double, double) { return x < 0 ? 0 : x; }, kAnySigned},
    {P::kLeakyRelu, [](double x, double a, double) { return x < 0 ? a * x : x; }},
    {P::kElu, [](double x, double a, double) { return x < 0 ? a * expm1(x) : x; }},
    {P::kSelu, [](double x, double a, double b) { return b * (x > 0 ? x : a * expm1(x)); }},
    {P::kCelu, [](double x, double a, double) { return (x < 0 ? 0 : x) + fmin(0, a * expm1(x / a)); }},
    {P::kHardSigmoid, [](double x, double a, double b) { return Clamp01(a * x + b); }},
    {P::kHardSwish, [](double x, double, double) { return x * Clamp01(x / 6 + 0.5); }},
    {P::kSoftplus, [](double x, double, double) { return Softplus(x); }},
    {P::kSoftsign, [](double x, double, double) { return x / (1 + fabs(x)); }},
    {P::kThresholdedRelu, [](double x, double a, double) { return x > a ? x : 0; }},
    {P::kGelu, [](double x, double, double) { return 0.5 * x * (1 + erf(x * (std::numbers::sqrt2 / 2))); }},
    {P::kGeluTanh, [](double x, double, double) { return 0.5 * x * (1 + tanh(std::numbers::inv_sqrtpi * std::numbers::sqrt2 * (x + 0.044715 * x * x * x))); }},
    {P::kSwish, [](double x, double a, double) { return x * Sigmoid(a * x); }},
    {P::kMish, [](double x, double, double) { return x * tanh(Softplus(x)); }},
    {P::kShrink, [](double x, double a, double b) { return x < -a ? x + b : x > a ? x - b : 0; }, kAnyInteger},
    {P::kSteps, [](double x, double a, double b) { return x != x ? 0 : a * fmax(b, fmin(b + 65535, rint(x / a))); }},
    {P::kReciprocal, [](double x, double, double) { return 1 / x; }},
    {P::kFloor, [](double x, double, double) { return floor(x); }},
    {P::kCeil, [](double x, double, double) { return ceil(x); }},
    {P::kRound, [](double x, double, double) { return rint(x); }},
    {P::kSin, [](double x, double, double) { return sin(x); }},
    {P::kCos, [](double x, double, double) { return cos(x); }},
    {P::kTan, [](double x, double, double) { return tan(x); }},
    {P::kAsin, [](double x, double, double) { return asin(x); }},
    {P::kAcos, [](double x, double, double) { return acos(x); }},
    {P::kAtan, [](double x, double, double) { return atan(x); }},
    {P::kSinh, [](double x, double, double) { return sinh(x); }},
    {P::kCosh, [](double x, double, double) { return cosh(x); }},
    {P::kAsinh, [](double x, double, double) { return asinh(x); }},
    {P::kAcosh, [](double x, double, double) { return acosh(x); }},
    {P::kAtanh, [](double x, double, double) { return atanh(x); }},
};
// clang-format on

const Row* FindRow(Pointwise function) {
  for (const Row& row : kRows) {
    if (function == row.function) return &row;
  }
  return nullptr;
}

struct UnaryFunction : FloatFunction {
  double (*f64)(double x, double alpha, double beta) = nullptr;
};

void RunDouble(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const UnaryFunction& f = *static_cast<const UnaryFunction*>(function);
  const double* x = static_cast<const double*>(in[0]);
  double* y = static_cast<double*>(out);
  for (int64_t i = 0; i < n; ++i) y[i] = f.f64(x[i], f.alpha, f.beta);
}

/// Integers through double: for Shrink, whose attributes are floats.
template <class T>
void RunThroughDouble(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const UnaryFunction& f = *static_cast<const UnaryFunction*>(function);
  const T* x = static_cast<const T*>(in[0]);
  T* y = static_cast<T*>(out);
  for (int64_t i = 0; i < n; ++i) y[i] = SaturateTo<T>(f.f64(static_cast<double>(x[i]), f.alpha, f.beta));
}

struct IntNeg {
  template <class T>
  T operator()(T x) const { return static_cast<T>(Wrapping<T>{0} - static_cast<Wrapping<T>>(x)); }
};
struct IntAbs {
  template <class T>
  T operator()(T x) const { return x < T{0} ? IntNeg()(x) : x; }
};
struct IntSign {
  template <class T>
  T operator()(T x) const { return static_cast<T>((x > T{0}) - (x < T{0})); }
};
struct IntRelu {
  template <class T>
  T operator()(T x) const { return x < T{0} ? T{0} : x; }
};
struct IntNot {
  template <class T>
  T operator()(T x) const { return static_cast<T>(~x); }
};
struct BoolNot {
  bool operator()(bool x) const { return !x; }
};

template <class T>
RunFn* IntegerRunFor(Pointwise function) {
  switch (function) {
    case P::kAbs: return RunUnary<IntAbs, T>;
    case P::kNeg: return RunUnary<IntNeg, T>;
    case P::kSign: return RunUnary<IntSign, T>;
    case P::kRelu: return RunUnary<IntRelu, T>;
    default: return RunThroughDouble<T>;
  }
}

struct Unary {
  const Row* row = nullptr;
  UnaryFunction function;
  float ns = 0;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::optional<PointwiseFunction> found, UnaryFunctionOf(node));
    row = found ? FindRow(found->function) : nullptr;
    if (!row) return Internal("no row for ", node.op);
    function.alpha = found->alpha, function.beta = found->beta;
    function.f64 = row->f64;
    ns = found->ns;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat | row->integers));
    return c.SetOutput(0, c.type(0));
  }

  Status Prepare(PrepareContext& c) {
    function.loop = PickPointwise(row->function, c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    ElementwiseParams* params = c.Params<ElementwiseParams>();
    const DType dtype = c.dtype(0);
    RunFn* run = FloatRunFor(dtype);
    if (dtype == DType::kDouble) run = RunDouble;
    if (!run) {
      LINNET_TRY(ForType<kAnyInteger>(dtype, [&]<class T>() {
        run = IntegerRunFor<T>(row->function);
        return Status();
      }));
    }
    *params = MakeElementwise(c, 1, run, dtype == DType::kFloat ? ns : ns + 2);
    OfferInPlace(c, 1);
    return Status();
  }

  Status Run(RunContext& c) const { return RunElementwise(c, c.params<ElementwiseParams>(), &function); }
};

/// Not (bool) and BitwiseNot (integers).
template <uint32_t mask>
struct Complement {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, mask));
    return c.SetOutput(0, c.type(0));
  }
  Status Bind(BindContext& c) const {
    ElementwiseParams* params = c.Params<ElementwiseParams>();
    OfferInPlace(c, 1);
    return ForType<mask>(c.dtype(0), [&]<class T>() {
      if constexpr (std::is_same_v<T, bool>) {
        *params = MakeElementwise(c, 1, RunUnary<BoolNot, T>, 0.5f);
      } else {
        *params = MakeElementwise(c, 1, RunUnary<IntNot, T>, 0.5f);
      }
      return Status();
    });
  }
  Status Run(RunContext& c) const { return RunElementwise(c, c.params<ElementwiseParams>(), nullptr); }
};

}  // namespace

LINNET_OP(Abs, 1, Unary);
LINNET_OP(Neg, 1, Unary);
LINNET_OP(Sign, 9, Unary);
LINNET_OP(Sqrt, 1, Unary);
LINNET_OP(Exp, 1, Unary);
LINNET_OP(Log, 1, Unary);
LINNET_OP(Erf, 9, Unary);
LINNET_OP(Sigmoid, 1, Unary);
LINNET_OP(Tanh, 1, Unary);
LINNET_OP(Relu, 1, Unary);
LINNET_OP(LeakyRelu, 1, Unary);
LINNET_OP(Elu, 1, Unary);
LINNET_OP(Selu, 1, Unary);
LINNET_OP(Celu, 12, Unary);
LINNET_OP(HardSigmoid, 1, Unary);
LINNET_OP(HardSwish, 14, Unary);
LINNET_OP(Softplus, 1, Unary);
LINNET_OP(Softsign, 1, Unary);
LINNET_OP(ThresholdedRelu, 10, Unary);
LINNET_OP(Gelu, 20, Unary);
LINNET_OP(Swish, 24, Unary);
LINNET_OP(Mish, 18, Unary);
LINNET_OP(Shrink, 9, Unary);
LINNET_OP(Reciprocal, 1, Unary);
LINNET_OP(Floor, 1, Unary);
LINNET_OP(Ceil, 1, Unary);
LINNET_OP(Round, 11, Unary);
LINNET_OP(Sin, 7, Unary);
LINNET_OP(Cos, 7, Unary);
LINNET_OP(Tan, 7, Unary);
LINNET_OP(Asin, 7, Unary);
LINNET_OP(Acos, 7, Unary);
LINNET_OP(Atan, 7, Unary);
LINNET_OP(Sinh, 9, Unary);
LINNET_OP(Cosh, 9, Unary);
LINNET_OP(Asinh, 9, Unary);
LINNET_OP(Acosh, 9, Unary);
LINNET_OP(Atanh, 9, Unary);
LINNET_OP(Not, 1, Complement<Mask(DType::kBool)>);
LINNET_OP(BitwiseNot, 18, Complement<kAnyInteger>);
LINNET_MS_OP(Gelu, 1, Unary);
LINNET_MS_OP(QuickGelu, 1, Unary);
LINNET_INTERNAL_OP(Steps, 1, Unary);

}  // namespace linnet
