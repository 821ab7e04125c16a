// Elementwise operators: functions of one tensor, of two that broadcast, of any number; comparisons; choices.
//
// Integers wrap. Dividing one by zero is an error, and so is its remainder. NaN wins in Max and Min and stays NaN in Relu
// and Clip; comparing with it is false. Shifting by the width of the type or more gives 0.
#include "providers/reference/elementwise.h"

#include <math.h>

#include <numbers>

#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

double Sigmoid(double x) { return 1 / (1 + exp(-x)); }
double Softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
double Gelu(double x) { return 0.5 * x * (1 + erf(x / sqrt(2.0))); }
double GeluTanh(double x) { return 0.5 * x * (1 + tanh(sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x))); }

template <double (*f)(double)>
Status Function(Call& c) {
  return Map(c, f);
}

Status Round(Call& c) { return Map(c, [](double x) { return nearbyint(x); }); }
Status Reciprocal(Call& c) { return Map(c, [](double x) { return 1 / x; }); }
Status Softsign(Call& c) { return Map(c, [](double x) { return x / (1 + fabs(x)); }); }
Status HardSwish(Call& c) { return Map(c, [](double x) { return x * fmax(0, fmin(1, x / 6 + 0.5)); }); }
Status Mish(Call& c) { return Map(c, [](double x) { return x * tanh(Softplus(x)); }); }

Status Abs(Call& c) { return MapNumbers(c, []<class T>(T x) { return x < 0 ? Times(T(-1), x) : x == 0 ? T(0) : x; }); }
Status Neg(Call& c) { return MapNumbers(c, []<class T>(T x) { return Times(T(-1), x); }); }
Status Sign(Call& c) { return MapNumbers(c, []<class T>(T x) { return x > 0 ? T(1) : x < 0 ? T(-1) : x; }); }
Status Relu(Call& c) { return MapNumbers(c, []<class T>(T x) { return x < 0 ? T(0) : x; }); }
Status BitwiseNot(Call& c) {
  return MapNumbers(c, []<class T>(T x) {
    if constexpr (std::is_integral_v<T>) return static_cast<T>(~x);
    else return x;
  });
}
Status Not(Call& c) { return MapNumbers(c, []<class T>(T x) { return T(x == 0); }); }

Status LeakyRelu(Call& c) {
  const double a = c.Float("alpha", 0.01f);
  return Map(c, [=](double x) { return x < 0 ? a * x : x; });
}
Status Elu(Call& c) {
  const double a = c.Float("alpha", 1);
  return Map(c, [=](double x) { return x < 0 ? a * expm1(x) : x; });
}
Status Selu(Call& c) {
  const bool first = c.version() < 6;
  const double a = c.Float("alpha", first ? 1.6732f : 1.67326319217681884765625f);
  const double g = c.Float("gamma", first ? 1.0507f : 1.05070102214813232421875f);
  return Map(c, [=](double x) { return x > 0 ? g * x : g * a * expm1(x); });
}
Status Celu(Call& c) {
  const double a = c.Float("alpha", 1);
  return Map(c, [=](double x) { return isnan(x) ? x : fmax(0, x) + fmin(0, a * expm1(x / a)); });
}
Status HardSigmoid(Call& c) {
  const double a = c.Float("alpha", 0.2f), b = c.Float("beta", 0.5f);
  return Map(c, [=](double x) { return isnan(x) ? x : fmax(0, fmin(1, a * x + b)); });
}
Status ThresholdedRelu(Call& c) {
  const double a = c.Float("alpha", 1);
  return Map(c, [=](double x) { return x > a ? x : 0; });
}
Status GeluOf(Call& c) { return Map(c, c.Text("approximate", "none") == "tanh" ? GeluTanh : Gelu); }
Status Swish(Call& c) {
  const double a = c.Float("alpha", c.node().op == "QuickGelu" ? 1.702f : 1);
  return Map(c, [=](double x) { return x * Sigmoid(a * x); });
}
Status Shrink(Call& c) {
  const double lambd = c.Float("lambd", 0.5f), bias = c.Float("bias", 0);
  return Map(c, [=](double x) { return x < -lambd ? x + bias : x > lambd ? x - bias : 0; });
}
Status SwiGlu(Call& c) {
  const double a = c.Float("alpha", 1);
  return Zip(c, [=]<class T>(T x, T y) {
    return T(static_cast<double>(x) * Sigmoid(a * static_cast<double>(x)) * static_cast<double>(y));
  });
}
template <double (*f)(double)>
Status WithBias(Call& c) {
  return c.Out(0, Combine(c.In(0), c.InOr(1, 0, Shape{1}), [](double x, double b) { return f(x + b); }));
}

Status IsNaNs(Call& c) { return Map(c, [](double x) { return isnan(x) ? 1.0 : 0.0; }); }
Status IsInf(Call& c) {
  const bool positive = c.Flag("detect_positive", true), negative = c.Flag("detect_negative", true);
  return Map(c, [=](double x) { return isinf(x) && (x > 0 ? positive : negative) ? 1.0 : 0.0; });
}

// Of two ----------------------------------------------------------------------------------------------------------------

Status Add(Call& c) { return Zip(c, []<class T>(T a, T b) { return Plus(a, b); }); }
Status Sub(Call& c) { return Zip(c, []<class T>(T a, T b) { return Plus(a, Times(T(-1), b)); }); }
Status Mul(Call& c) { return Zip(c, []<class T>(T a, T b) { return Times(a, b); }); }

Status CheckDivisors(const Call& c) {
  if (IsFloating(c.dtype(1)) || c.shape(0).elements() == 0) return Status();
  for (uint64_t b : c.In<uint64_t>(1).data) {
    if (b == 0) return InvalidArgument("integer division by zero");
  }
  return Status();
}
/// The remainder with the sign of a.
template <class T>
T Remainder(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return fmod(a, b);
  else return std::is_signed_v<T> && b == T(-1) ? T(0) : T(a % b);
}
Status Div(Call& c) {
  LINNET_TRY(CheckDivisors(c));
  return Zip(c, []<class T>(T a, T b) { return std::is_signed_v<T> && b == T(-1) ? Times(T(-1), a) : T(a / b); });
}
Status Mod(Call& c) {
  LINNET_TRY(CheckDivisors(c));
  const bool sign_of_dividend = c.Flag("fmod");
  return Zip(c, [=]<class T>(T a, T b) {
    const T rest = Remainder(a, b);
    return sign_of_dividend || rest == 0 || (rest < 0) == (b < 0) ? rest : Plus(rest, b);
  });
}
Status PRelu(Call& c) {
  return ForWide(c.dtype(0), [&]<class T>() {
    Array<T> slope = c.In<T>(1);
    // Before version 7 the slope belongs to dimension 1, whatever its position from the end.
    if (c.version() < 7 && slope.shape.rank() == 1 && slope.size() > 1) {
      while (1 + slope.shape.rank() < c.rank()) slope.shape.Append(1);
    }
    return c.Out(0, Combine(c.In<T>(0), slope, [](T x, T s) { return x < 0 ? Times(s, x) : x; }));
  });
}

/// An integer to an integer power wraps; a negative one is the reciprocal, cut (0 where it does not exist).
template <class T>
T Power(T x, int64_t exponent) {
  if (exponent < 0) return x == T(1) ? x : x == T(-1) && std::is_signed_v<T> ? (exponent % 2 ? x : T(1)) : T(0);
  T y = 1;
  for (T square = x; exponent > 0; exponent /= 2, square = Times(square, square)) {
    if (exponent % 2) y = Times(y, square);
  }
  return y;
}
Status Pow(Call& c) {
  if (IsFloating(c.dtype(0)) || IsFloating(c.dtype(1))) {
    Reals b = c.In(1);
    b.shape = SecondShape(c);
    return c.Out(0, Combine(c.In(0), b, [](double x, double y) { return pow(x, y); }));
  }
  return ForWide(c.dtype(0), [&]<class T>() {
    Array<T> exponents = c.In<T>(1);
    exponents.shape = SecondShape(c);
    return c.Out(0, Combine(c.In<T>(0), exponents, [](T x, T y) { return Power(x, static_cast<int64_t>(y)); }));
  });
}

template <class F>
Status Compare(Call& c, F f) {
  if (c.dtype(0) != DType::kString) return Zip(c, [=]<class T>(T a, T b) { return T(f(a, b)); });
  const Cells a = c.Raw(0), b = c.Raw(1);
  Integers y(Broadcast(a.shape, b.shape).value());
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) {
    auto text = [&](const Cells& x) {
      return static_cast<const std::string*>(x.data)[BroadcastOffsetOf(x.shape, index, y.shape.rank())];
    };
    y[at] = text(a) == text(b);
  });
  return c.Out(0, y);
}
Status Equal(Call& c) { return Compare(c, [](auto a, auto b) { return a == b; }); }
Status Less(Call& c) { return Compare(c, [](auto a, auto b) { return a < b; }); }
Status LessOrEqual(Call& c) { return Compare(c, [](auto a, auto b) { return a <= b; }); }
Status Greater(Call& c) { return Compare(c, [](auto a, auto b) { return a > b; }); }
Status GreaterOrEqual(Call& c) { return Compare(c, [](auto a, auto b) { return a >= b; }); }

template <class F>
Status Bitwise(Call& c, F f) {
  return Zip(c, [=]<class T>(T a, T b) { return static_cast<T>(f(static_cast<uint64_t>(a), static_cast<uint64_t>(b))); });
}
Status And(Call& c) { return Bitwise(c, [](uint64_t a, uint64_t b) { return a & b; }); }
Status Or(Call& c) { return Bitwise(c, [](uint64_t a, uint64_t b) { return a | b; }); }
Status Xor(Call& c) { return Bitwise(c, [](uint64_t a, uint64_t b) { return a ^ b; }); }
Status BitShift(Call& c) {
  const bool left = c.Text("direction", "") == "LEFT";
  return Bitwise(c, [=](uint64_t a, uint64_t b) { return b > 63 ? 0 : left ? a << b : a >> b; });
}

// Of many, and choices --------------------------------------------------------------------------------------------------

/// f(f(a, b), c) ... of all inputs, then `last` of the result.
template <class F, class Last>
Status Fold(Call& c, F f, Last last) {
  return ForWide(c.dtype(0), [&]<class T>() {
    Array<T> y = c.In<T>(0);
    for (int i = 1; i < c.inputs(); ++i) y = Combine(y, c.In<T>(i), f);
    for (T& v : y.data) v = last(v);
    return c.Out(0, y);
  });
}
Status Sum(Call& c) { return Fold(c, []<class T>(T a, T b) { return Plus(a, b); }, [](auto v) { return v; }); }
Status Mean(Call& c) {
  return Fold(c, []<class T>(T a, T b) { return Plus(a, b); }, [&]<class T>(T v) { return T(v / static_cast<T>(c.inputs())); });
}
Status Max(Call& c) { return Fold(c, []<class T>(T a, T b) { return IsNaN(a) || a > b ? a : b; }, [](auto v) { return v; }); }
Status Min(Call& c) { return Fold(c, []<class T>(T a, T b) { return IsNaN(a) || a < b ? a : b; }, [](auto v) { return v; }); }

/// min(max(x, least), most): `most` wins where they cross. The bounds are attributes before version 11.
Status Clip(Call& c) {
  auto clip = []<class T>(T x, T least, T most) {
    const T raised = x < least ? least : x;
    return raised > most ? most : raised;
  };
  if (c.version() < 11) {
    const double least = c.Float("min", -INFINITY), most = c.Float("max", INFINITY);
    return Map(c, [=](double x) { return clip(x, least, most); });
  }
  return ForWide(c.dtype(0), [&]<class T>() {
    const T least = c.First<T>(1, Lowest<T>(c.dtype(0))), most = c.First<T>(2, Highest<T>(c.dtype(0)));
    Array<T> x = c.In<T>(0);
    for (T& v : x.data) v = clip(v, least, most);
    return c.Out(0, x);
  });
}

Status Where(Call& c) {
  const Integers condition = c.In<int64_t>(0);
  const Cells x = c.Raw(1), y = c.Raw(2);
  const Shape shape = Broadcast(Broadcast(condition.shape, x.shape).value(), y.shape).value();
  LINNET_ASSIGN(Cells out, c.Make(0, shape));
  ForEachIndex(shape, [&](const Index& index, int64_t at) {
    const Cells& from = condition.Broadcast(index, shape.rank()) ? x : y;
    out.Copy(at, from, BroadcastOffsetOf(from.shape, index, shape.rank()));
  });
  return Status();
}

constexpr Row kRows[] = {
    {"Abs", Abs}, {"Neg", Neg}, {"Sign", Sign}, {"Relu", Relu}, {"BitwiseNot", BitwiseNot}, {"Not", Not},
    {"Sqrt", Function<sqrt>}, {"Exp", Function<exp>}, {"Log", Function<log>}, {"Erf", Function<erf>},
    {"Sigmoid", Function<Sigmoid>}, {"Tanh", Function<tanh>}, {"Softplus", Function<Softplus>},
    {"Floor", Function<floor>}, {"Ceil", Function<ceil>}, {"Round", Round}, {"Reciprocal", Reciprocal},
    {"Sin", Function<sin>}, {"Cos", Function<cos>}, {"Tan", Function<tan>}, {"Asin", Function<asin>},
    {"Acos", Function<acos>}, {"Atan", Function<atan>}, {"Sinh", Function<sinh>}, {"Cosh", Function<cosh>},
    {"Asinh", Function<asinh>}, {"Acosh", Function<acosh>}, {"Atanh", Function<atanh>},
    {"Softsign", Softsign}, {"HardSwish", HardSwish}, {"Mish", Mish}, {"LeakyRelu", LeakyRelu}, {"Elu", Elu},
    {"Selu", Selu}, {"Celu", Celu}, {"HardSigmoid", HardSigmoid}, {"ThresholdedRelu", ThresholdedRelu},
    {"Gelu", GeluOf}, {"Swish", Swish}, {"Shrink", Shrink}, {"SwiGLU", SwiGlu}, {"IsNaN", IsNaNs}, {"IsInf", IsInf},
    {"Gelu", Function<Gelu>, "com.microsoft"}, {"QuickGelu", Swish, "com.microsoft"},
    {"BiasGelu", WithBias<Gelu>, "com.microsoft"}, {"FastGelu", WithBias<GeluTanh>, "com.microsoft"},
    {"Add", Add}, {"Sub", Sub}, {"Mul", Mul}, {"Div", Div}, {"Mod", Mod}, {"PRelu", PRelu}, {"Pow", Pow},
    {"Equal", Equal}, {"Less", Less}, {"LessOrEqual", LessOrEqual}, {"Greater", Greater},
    {"GreaterOrEqual", GreaterOrEqual}, {"And", And}, {"Or", Or}, {"Xor", Xor}, {"BitwiseAnd", And}, {"BitwiseOr", Or},
    {"BitwiseXor", Xor}, {"BitShift", BitShift},
    {"Sum", Sum}, {"Mean", Mean}, {"Max", Max}, {"Min", Min}, {"Clip", Clip}, {"Where", Where},
};

}  // namespace

std::span<const Row> ElementwiseRows() { return kRows; }

}  // namespace linnet::reference
