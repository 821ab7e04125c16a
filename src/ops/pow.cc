// Pow: x to the power y, elementwise with broadcasting; the result has the type of x, whatever the type of y.
//
// float32 has fast forms for the usual constant exponents (kernels/pointwise.h). An integer to an integer power wraps;
// with a negative exponent it is 1/x^|y| truncated (0 for x = 0). An integer to a real power is computed in double.
#include <math.h>

#include "ops/binary_helpers.h"
#include "ops/convert.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

constexpr int64_t kChunk = kConvertChunk;

struct PowFunction : FloatFunction {
  LoadFn* load = nullptr;   ///< of the exponent: to float, double or int64 as the loop below wants
};

/// x of type float, float16 or bfloat16 to exponents of any type.
template <class T>
void PowFloats(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const PowFunction& f = *static_cast<const PowFunction*>(function);
  RunFn* pow = FloatRunFor(DType::kFloat);
  float x[kChunk], y[kChunk], z[kChunk];
  const T* base = static_cast<const T*>(in[0]);
  for (int64_t begin = 0; begin < n; begin += kChunk) {
    const int64_t count = n - begin < kChunk ? n - begin : kChunk;
    if (scalars & 1) {
      x[0] = Widen(base[0]);
    } else {
      for (int64_t i = 0; i < count; ++i) x[i] = Widen(base[begin + i]);
    }
    f.load(in[1], (scalars & 2) ? 0 : begin, (scalars & 2) ? 1 : count, y);
    const void* const operands[] = {x, y, nullptr};
    pow(function, z, operands, count, scalars);
    for (int64_t i = 0; i < count; ++i) static_cast<T*>(out)[begin + i] = Narrow<T>(z[i]);
  }
}

/// x of type double or an integer to real exponents.
template <class T>
void PowDoubles(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const PowFunction& f = *static_cast<const PowFunction*>(function);
  const T* x = static_cast<const T*>(in[0]);
  const int64_t step = (scalars & 1) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) {
    double exponent;
    f.load(in[1], (scalars & 2) ? 0 : i, 1, &exponent);
    const double power = pow(static_cast<double>(x[i * step]), exponent);
    if constexpr (std::is_integral_v<T>) {
      static_cast<T*>(out)[i] = SaturateTo<T>(power);
    } else {
      static_cast<T*>(out)[i] = power;
    }
  }
}

template <class T>
T IntegerPow(T x, int64_t exponent) {
  if (exponent < 0) return x == 1 ? 1 : x == static_cast<T>(-1) ? ((exponent & 1) ? x : 1) : 0;
  Wrapping<T> base = static_cast<Wrapping<T>>(x), result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result *= base;
    base *= base;
  }
  return static_cast<T>(result);
}

template <class T>
void PowIntegers(const void* function, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const PowFunction& f = *static_cast<const PowFunction*>(function);
  const T* x = static_cast<const T*>(in[0]);
  const int64_t step = (scalars & 1) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) {
    int64_t exponent;
    f.load(in[1], (scalars & 2) ? 0 : i, 1, &exponent);
    static_cast<T*>(out)[i] = IntegerPow(x[i * step], exponent);
  }
}

struct PowParams {
  ElementwiseParams elementwise;
  PowFunction function;
};

struct Pow {
  TwoOperands operands;
  PointwiseFn* loop = nullptr;

  Status Parse(const Node& node) { return operands.Parse(node); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kAnyNumber));
    LINNET_TRY(c.CheckType(1, kAnyNumber));
    LINNET_ASSIGN(Shape shape, operands.InferShape(c));
    return c.SetOutput(0, c.dtype(0), shape);
  }

  Status Prepare(PrepareContext& c) {
    loop = PickPointwise(Pointwise::kPow, c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    PowParams& p = *c.Params<PowParams>();
    const DType base = c.dtype(0), exponent = c.dtype(1);
    p.function.loop = loop;
    RunFn* run = base == exponent ? FloatRunFor(base) : nullptr;
    if (!run) {
      LINNET_TRY(ForType<kAnyNumber>(base, [&]<class T>() {
        if constexpr (kIsHalf<T> || std::is_same_v<T, float>) {
          run = PowFloats<T>;
          p.function.load = FindLoad(exponent, Stage::kFloat);
        } else if (std::is_integral_v<T> && IsInteger(exponent)) {
          if constexpr (std::is_integral_v<T>) run = PowIntegers<T>;
          p.function.load = FindLoad(exponent, Stage::kInt64);
        } else {
          run = PowDoubles<T>;
          p.function.load = FindLoad(exponent, Stage::kDouble);
        }
        return Status();
      }));
    }
    Shape shapes[2];
    operands.Shapes(c, shapes);
    p.elementwise = MakeElementwise(c, shapes, run, c.shape(1).elements() == 1 && base == DType::kFloat ? 0.3f : 12.0f);
    if (c.shape(0) == c.output_shape(0)) c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const PowParams& p = c.params<PowParams>();
    return RunElementwise(c, p.elementwise, &p.function);
  }
};

}  // namespace

LINNET_OP(Pow, 1, Pow);

}  // namespace linnet
