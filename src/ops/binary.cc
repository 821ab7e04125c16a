// Add, Sub, Mul, Div, Mod, PRelu: elementwise arithmetic of two tensors with broadcasting.
//
// float32 (and float16, bfloat16 by way of it) run the loops of kernels/pointwise.h. Integers wrap; dividing one by zero
// is an error, and the least integer divided by -1 is itself. Mod follows the sign of the divisor, with fmod=1 that of
// the dividend. Before opset 7: see binary_helpers.h. PRelu broadcasts its slope to the input's shape; until version 6
// the slope of more than one element belongs to axis 1.
#include <math.h>

#include "ops/binary_helpers.h"
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
struct Minus {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kIsFloating<T>) return a - b;
    else return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
  }
};
struct Times {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kIsFloating<T>) return a * b;
    else return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
  }
};
// Divisors are not zero (checked before).
struct Over {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kIsFloating<T>) return a / b;
    else if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Minus()(T{0}, a);
    else return static_cast<T>(a / b);
  }
};
struct Fmod {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (kIsFloating<T>) return fmod(a, b);
    else if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
    else return static_cast<T>(a % b);
  }
};
struct Mod {
  template <class T>
  T operator()(T a, T b) const {
    const T rest = Fmod()(a, b);
    return rest != 0 && ((rest < 0) != (b < 0)) ? static_cast<T>(rest + b) : rest;
  }
};
struct PRelu {
  template <class T>
  T operator()(T x, T slope) const { return x < T{0} ? Times()(slope, x) : x; }
};

/// The loop of F for double and integers.
template <class F, uint32_t mask>
RunFn* Find(DType dtype) {
  RunFn* run = nullptr;
  Status ignored = ForType<mask>(dtype, [&]<class T>() {
    run = RunBinary<F, T>;
    return Status();
  });
  return run;
}

/// As above for F that does not depend on signedness.
template <class F>
RunFn* FindUnsigned(DType dtype) {
  switch (dtype) {
    case DType::kDouble: return RunBinary<F, double>;
    case DType::kInt8:
    case DType::kUint8: return RunBinary<F, uint8_t>;
    case DType::kInt16:
    case DType::kUint16: return RunBinary<F, uint16_t>;
    case DType::kInt32:
    case DType::kUint32: return RunBinary<F, uint32_t>;
    case DType::kInt64:
    case DType::kUint64: return RunBinary<F, uint64_t>;
    default: return nullptr;
  }
}

constexpr uint32_t kOthers = kAnyInteger | Mask(DType::kDouble);

template <class T>
Status CheckNoZero(const void* data, int64_t n) {
  const T* x = static_cast<const T*>(data);
  for (int64_t i = 0; i < n; ++i) {
    if (x[i] == 0) return InvalidArgument("integer division by zero: element ", i, " of input 1 is 0");
  }
  return Status();
}

template <Pointwise function>
struct Arithmetic {
  TwoOperands operands;
  FloatFunction loop;
  bool fmod = false;  ///< of Mod

  Status Parse(const Node& node) {
    LINNET_TRY(operands.Parse(node));
    if (function == P::kFmod) {
      LINNET_ASSIGN(int64_t flag, node.Int("fmod", 0));
      fmod = flag != 0;
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_ASSIGN(DType dtype, TwoOperands::CheckTypes(c, kAnyNumber));
    if (function == P::kFmod && !fmod && IsFloating(dtype)) {
      return InvalidModel("attribute 'fmod' must be 1 for ", DTypeName(dtype));
    }
    LINNET_ASSIGN(Shape shape, operands.InferShape(c));
    return c.SetOutput(0, dtype, shape);
  }

  Status Prepare(PrepareContext& c) {
    loop.loop = PickPointwise(function, c.cpu());
    return Status();
  }

  RunFn* FindRun(DType dtype) const {
    switch (function) {
      case P::kAdd: return FindUnsigned<Plus>(dtype);
      case P::kSub: return FindUnsigned<Minus>(dtype);
      case P::kMul: return FindUnsigned<Times>(dtype);
      case P::kDiv: return Find<Over, kOthers>(dtype);
      case P::kFmod: return fmod ? Find<Fmod, kOthers>(dtype) : Find<Mod, kAnyInteger>(dtype);
      default: return Find<PRelu, kOthers>(dtype);
    }
  }

  Status Bind(BindContext& c) const {
    ElementwiseParams* params = c.Params<ElementwiseParams>();
    Shape shapes[2];
    operands.Shapes(c, shapes);
    const DType dtype = c.dtype(0);
    RunFn* run = FloatRunFor(dtype);
    float ns = dtype == DType::kFloat ? 0.15f : function == P::kDiv || function == P::kFmod ? 5.0f : 1.5f;
    if (!run) run = FindRun(dtype);
    *params = MakeElementwise(c, shapes, run, ns);
    OfferInPlace(c, 2);
    return Status();
  }

  Status Run(RunContext& c) const {
    if ((function == P::kDiv || function == P::kFmod) && c.output_shape(0).elements() > 0) {
      const int64_t n = c.input_shape(1).elements();
      if (IsInteger(c.input_dtype(1))) {
        LINNET_TRY(ForType<kAnyInteger>(c.input_dtype(1), [&]<class T>() { return CheckNoZero<T>(c.input(1), n); }));
      }
    }
    return RunElementwise(c, c.params<ElementwiseParams>(), &loop);
  }
};

struct PReluOp : Arithmetic<P::kPRelu> {
  Status Parse(const Node& node) {
    operands.legacy = node.version < 7;
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_ASSIGN(DType dtype, TwoOperands::CheckTypes(c, kAnyNumber));
    LINNET_ASSIGN(Shape shape, Axis(c).InferShape(c));
    const Shape& x = c.shape(0);
    if (x.has_rank() && shape.has_rank()) {
      bool spreads = shape.rank() != x.rank();
      for (int d = 0; !spreads && d < x.rank(); ++d) spreads = IsKnownDim(x[d]) && IsKnownDim(shape[d]) && x[d] != shape[d];
      if (spreads) {
        return InvalidModel("slope of shape ", ToString(c.shape(1)), " does not broadcast to ", ToString(x));
      }
    }
    return c.SetOutput(0, dtype, x);
  }
  Status Bind(BindContext& c) const {
    Arithmetic<P::kPRelu> bound = *this;
    bound.operands = Axis(c);
    return bound.Bind(c);
  }

 private:
  TwoOperands Axis(const InferContext& c) const {
    TwoOperands out = operands;
    const Shape& slope = c.shape(1);
    if (out.legacy && slope.rank() == 1 && slope[0] != 1 && c.shape(0).rank() > 1) out.axis = 1;
    return out;
  }
};

}  // namespace

LINNET_OP(Add, 1, Arithmetic<Pointwise::kAdd>);
LINNET_OP(Sub, 1, Arithmetic<Pointwise::kSub>);
LINNET_OP(Mul, 1, Arithmetic<Pointwise::kMul>);
LINNET_OP(Div, 1, Arithmetic<Pointwise::kDiv>);
LINNET_OP(Mod, 10, Arithmetic<Pointwise::kFmod>);
LINNET_OP(PRelu, 1, PReluOp);

}  // namespace linnet
