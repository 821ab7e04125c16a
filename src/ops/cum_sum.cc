// CumSum, CumProd: running sums and products along an axis, which is an input.
//
// `exclusive` leaves each element out of its own sum, `reverse` runs from the end. Integers wrap; float16 and bfloat16
// accumulate in float.
#include "ops/axis_helpers.h"
#include "ops/convert.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

template <class T>
struct WrappingOf {
  using type = Wrapping<T>;
};

template <bool product>
struct Cumulate {
  bool exclusive = false, reverse = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t exclusive_flag, node.Int("exclusive", 0));
    LINNET_ASSIGN(int64_t reverse_flag, node.Int("reverse", 0));
    exclusive = exclusive_flag != 0;
    reverse = reverse_flag != 0;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kAnyNumber));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt32) | Mask(DType::kInt64)));
    const Shape& axis = c.shape(1);
    if (axis.is_static() && axis.elements() != 1) return InvalidModel("axis has shape ", ToString(axis), " where a scalar is expected");
    return c.SetOutput(0, c.type(0));
  }

  Status Run(RunContext& c) const {
    const Shape& shape = c.input_shape(0);
    LINNET_ASSIGN(int axis, NormalizeAxis(LoadInteger(c.input_dtype(1), c.input(1), 0), shape.rank()));
    const AxisSplit split = SplitAt(shape, axis);
    if (split.elements() == 0) return Status();
    return ForType<kAnyNumber>(c.input_dtype(0), [&]<class T>() {
      const double ns = static_cast<double>(split.n) * 1.5;
      const T* x = c.in<T>(0);
      T* y = c.out<T>(0);
      return c.ParallelFor(split.lanes(), 1, ns, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t base = i / split.inner * split.n * split.inner + i % split.inner;
          const int64_t first = reverse ? (split.n - 1) * split.inner : 0, step = reverse ? -split.inner : split.inner;
          Lane(x + base + first, y + base + first, split.n, step);
        }
      });
    });
  }

 private:
  template <class T>
  void Lane(const T* x, T* y, int64_t n, int64_t step) const {
    using A = typename std::conditional_t<kIsFloating<T>, std::type_identity<Wide<T>>, WrappingOf<T>>::type;
    A sum = product ? 1 : 0;
    for (int64_t k = 0; k < n; ++k) {
      const A value = static_cast<A>(Widen(x[k * step]));
      const A next = product ? static_cast<A>(sum * value) : static_cast<A>(sum + value);
      y[k * step] = Narrow<T>(exclusive ? sum : next);
      sum = next;
    }
  }
};

}  // namespace

LINNET_OP(CumSum, 11, Cumulate<false>);
LINNET_OP(CumProd, 26, Cumulate<true>);

}  // namespace linnet
