// Sum, Mean, Max, Min of any number of tensors, elementwise with broadcasting: a chain of two-operand steps.
//
// NaN wins in Max and Min. Integer sums wrap. Mean is the sum divided by the number of tensors. Broadcasting came with
// version 8; before, all shapes are equal.
#include "ops/elementwise.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

using P = Pointwise;

struct Plus {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kIsFloating<T>) return a + b;
    else return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  }
};
struct Largest {
  template <class T>
  T operator()(T a, T b) const { return a > b || a != a ? a : b; }
};
struct Smallest {
  template <class T>
  T operator()(T a, T b) const { return a < b || a != a ? a : b; }
};

void DivideDoubles(const void* function, void* out, const void* const* in, int64_t n, uint32_t) {
  const double divisor = *static_cast<const double*>(function);
  for (int64_t i = 0; i < n; ++i) static_cast<double*>(out)[i] = static_cast<const double*>(in[0])[i] / divisor;
}

struct Step {
  ElementwiseParams elementwise;
};

template <Pointwise function, bool mean = false>
struct Variadic {
  static constexpr uint32_t kTypes = function == P::kAdd ? kAnyFloat : kAnyNumber;
  FloatFunction loop, divide;

  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    if (c.input_count() == 0) return InvalidModel("has no inputs");
    LINNET_TRY(c.CheckInputs(c.input_count(), c.input_count()));
    DType dtype = DType::kUndefined;
    Shape shape = c.shape(0);
    for (int i = 0; i < c.input_count(); ++i) {
      LINNET_TRY(c.CheckType(i, kTypes));
      if (dtype == DType::kUndefined) dtype = c.dtype(i);
      if (c.dtype(i) != dtype && c.dtype(i) != DType::kUndefined) {
        return InvalidModel("inputs have different element types: ", DTypeName(dtype), " and ", DTypeName(c.dtype(i)));
      }
      LINNET_ASSIGN(shape, Broadcast(shape, c.shape(i)));
    }
    return c.SetOutput(0, dtype, shape);
  }

  Status Prepare(PrepareContext& c) {
    loop.loop = PickPointwise(function, c.cpu());
    divide.loop = PickPointwise(P::kDiv, c.cpu());
    return Status();
  }

  static RunFn* FindRun(DType dtype) {
    RunFn* run = FloatRunFor(dtype);
    if (run) return run;
    Status ignored = ForType<kTypes>(dtype, [&]<class T>() {
      if constexpr (function == P::kMax) {
        run = RunBinary<Largest, T>;
      } else if constexpr (function == P::kMin) {
        run = RunBinary<Smallest, T>;
      } else {
        run = RunBinary<Plus, T>;
      }
      return Status();
    });
    return run;
  }

  Status Bind(BindContext& c) const {
    const int count = c.input_count();
    if (count == 1) {
      c.Alias(0, 0);
      return Status();
    }
    Step* steps = static_cast<Step*>(c.Table<Step>(count));
    if (!steps) return OutOfMemory("no memory for ", count, " steps");
    RunFn* run = FindRun(c.dtype(0));
    const Shape& out = c.output_shape(0);
    for (int k = 1; k < count; ++k) {
      const Shape shapes[2] = {k == 1 ? c.shape(0) : out, c.shape(k)};
      steps[k].elementwise = MakeElementwise(c, shapes, run, 0.15f);
    }
    *c.Params<const Step*>() = steps;
    // Further inputs are read after the output was written: they must not share its memory.
    if (count == 2) OfferInPlace(c, 2);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Step* steps = c.params<const Step*>();
    const int count = c.input_count();
    void* out = c.output(0);
    for (int k = 1; k < count; ++k) {
      const void* in[kOperandsMax] = {k == 1 ? c.input(0) : out, c.input(k), nullptr};
      LINNET_TRY(RunElementwise(c, steps[k].elementwise, &loop, out, in));
    }
    if (!mean) return Status();
    const double divisor = count;
    if (c.output_dtype(0) == DType::kDouble) {
      const void* in[kOperandsMax] = {out, nullptr, nullptr};
      DivideDoubles(&divisor, out, in, c.output_shape(0).elements(), 0);
      return Status();
    }
    // One value is small enough to be exact in every type.
    float divisor_float = static_cast<float>(count);
    Float16 divisor_float16 = ToFloat16(divisor_float);
    Bfloat16 divisor_bfloat16 = ToBfloat16(divisor_float);
    const DType dtype = c.output_dtype(0);
    const void* divisor_at = dtype == DType::kFloat     ? static_cast<const void*>(&divisor_float)
                             : dtype == DType::kFloat16 ? static_cast<const void*>(&divisor_float16)
                                                        : static_cast<const void*>(&divisor_bfloat16);
    const void* in[kOperandsMax] = {out, divisor_at, nullptr};
    FloatRunFor(dtype)(&divide, out, in, c.output_shape(0).elements(), 2);
    return Status();
  }
};

}  // namespace

LINNET_OP(Sum, 1, Variadic<Pointwise::kAdd>);
LINNET_OP(Mean, 1, Variadic<Pointwise::kAdd, true>);
LINNET_OP(Max, 1, Variadic<Pointwise::kMax>);
LINNET_OP(Min, 1, Variadic<Pointwise::kMin>);

}  // namespace linnet
