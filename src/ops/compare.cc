// Equal, Less, Greater ... (to bool), And, Or, Xor (of bools), BitwiseAnd ..., BitShift: two tensors, broadcast.
//
// Comparing with NaN is false. Shifting by the width of the type or more gives 0. Before opset 7: binary_helpers.h.
#include <string>

#include "ops/binary_helpers.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

struct EqualTo {
  template <class T>
  bool operator()(T a, T b) const { return a == b; }
};
struct LessThan {
  template <class T>
  bool operator()(T a, T b) const { return a < b; }
};
struct AtMost {
  template <class T>
  bool operator()(T a, T b) const { return a <= b; }
};
/// F with its operands exchanged.
template <class F>
struct Swapped {
  template <class T>
  bool operator()(T a, T b) const { return F()(b, a); }
};
struct BitAnd {
  template <class T>
  T operator()(T a, T b) const { return static_cast<T>(a & b); }
};
struct BitOr {
  template <class T>
  T operator()(T a, T b) const { return static_cast<T>(a | b); }
};
struct BitXor {
  template <class T>
  T operator()(T a, T b) const { return static_cast<T>(a ^ b); }
};
struct ShiftLeft {
  template <class T>
  T operator()(T a, T b) const { return b < 8 * sizeof(T) ? static_cast<T>(a << b) : T{0}; }
};
struct ShiftRight {
  template <class T>
  T operator()(T a, T b) const { return b < 8 * sizeof(T) ? static_cast<T>(a >> b) : T{0}; }
};

void EqualStrings(const void*, void* out, const void* const* in, int64_t n, uint32_t scalars) {
  const std::string* x = static_cast<const std::string*>(in[0]);
  const std::string* y = static_cast<const std::string*>(in[1]);
  const int64_t x_step = (scalars & 1) ? 0 : 1, y_step = (scalars & 2) ? 0 : 1;
  for (int64_t i = 0; i < n; ++i) static_cast<bool*>(out)[i] = x[i * x_step] == y[i * y_step];
}

/// F to bool (compares) or to the operands' own type.
template <class F, uint32_t mask, bool compares>
struct TwoToOne {
  TwoOperands operands;

  Status Parse(const Node& node) { return operands.Parse(node); }

  Status Infer(InferContext& c) const {
    LINNET_ASSIGN(DType dtype, TwoOperands::CheckTypes(c, mask));
    LINNET_ASSIGN(Shape shape, operands.InferShape(c));
    return c.SetOutput(0, compares ? DType::kBool : dtype, shape);
  }

  Status Bind(BindContext& c) const {
    ElementwiseParams* params = c.Params<ElementwiseParams>();
    Shape shapes[2];
    operands.Shapes(c, shapes);
    RunFn* run = nullptr;
    LINNET_TRY(ForType<mask>(c.dtype(0), [&]<class T>() {
      if constexpr (std::is_same_v<T, std::string>) {
        run = EqualStrings;
      } else {
        run = RunBinary<F, T, std::conditional_t<compares, bool, T>>;
      }
      return Status();
    }));
    *params = MakeElementwise(c, shapes, run, c.dtype(0) == DType::kString ? 10.0f : 1.0f);
    if (c.dtype(0) != DType::kString) OfferInPlace(c, 2);
    return Status();
  }

  Status Run(RunContext& c) const { return RunElementwise(c, c.params<ElementwiseParams>(), nullptr); }
};

constexpr uint32_t kBool = Mask(DType::kBool);
constexpr uint32_t kEquatable = kFixedSize | Mask(DType::kString);

template <class F, uint32_t mask = kAnyNumber>
using Compare = TwoToOne<F, mask, true>;
template <class F, uint32_t mask>
using Combine = TwoToOne<F, mask, false>;

struct BitShift {
  Combine<ShiftLeft, kAnyUnsigned> left;
  Combine<ShiftRight, kAnyUnsigned> right;
  bool is_left = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string direction, node.String("direction", ""));
    is_left = direction == "LEFT";
    if (!is_left && direction != "RIGHT") {
      return InvalidModel("attribute 'direction' is ", Quote(direction), "; known are 'LEFT' and 'RIGHT'");
    }
    return left.Parse(node);
  }
  Status Infer(InferContext& c) const { return left.Infer(c); }
  Status Bind(BindContext& c) const { return is_left ? left.Bind(c) : right.Bind(c); }
  Status Run(RunContext& c) const { return left.Run(c); }
};

}  // namespace

LINNET_OP(Equal, 1, Compare<EqualTo, kEquatable>);
LINNET_OP(Less, 1, Compare<LessThan>);
LINNET_OP(LessOrEqual, 12, Compare<AtMost>);
LINNET_OP(Greater, 1, Compare<Swapped<LessThan>>);
LINNET_OP(GreaterOrEqual, 12, Compare<Swapped<AtMost>>);
LINNET_OP(And, 1, Combine<BitAnd, kBool>);
LINNET_OP(Or, 1, Combine<BitOr, kBool>);
LINNET_OP(Xor, 1, Combine<BitXor, kBool>);
LINNET_OP(BitwiseAnd, 18, Combine<BitAnd, kAnyInteger>);
LINNET_OP(BitwiseOr, 18, Combine<BitOr, kAnyInteger>);
LINNET_OP(BitwiseXor, 18, Combine<BitXor, kAnyInteger>);
LINNET_OP(BitShift, 11, BitShift);

}  // namespace linnet
