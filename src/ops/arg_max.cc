// ArgMax, ArgMin: where along an axis the largest or smallest element stands.
//
// The first of equals, or with select_last_index the last. NaN counts as the extreme, as in numpy.
#include <algorithm>

#include "ops/axis_helpers.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

/// Columns a task scans side by side.
constexpr int64_t kColumns = 512;

template <bool largest>
struct Arg {
  int64_t axis = 0;
  bool keepdims = true, last = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    LINNET_ASSIGN(int64_t keep, node.Int("keepdims", 1));
    LINNET_ASSIGN(int64_t select_last, node.Int("select_last_index", 0));
    keepdims = keep != 0;
    last = select_last != 0;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyNumber));
    const Shape& x = c.shape(0);
    if (!x.has_rank()) return c.SetOutput(0, DType::kInt64, Shape());
    LINNET_ASSIGN(int at, NormalizeAxis(axis, x.rank()));
    if (x[at] == 0) return InvalidArgument("axis ", at, " of shape ", ToString(x), " is empty: there is no index to give");
    Shape out = Shape::OfRank(0);
    for (int d = 0; d < x.rank(); ++d) {
      if (d != at) {
        out.Append(x[d]);
      } else if (keepdims) {
        out.Append(1);
      }
    }
    return c.SetOutput(0, DType::kInt64, out);
  }

  Status Bind(BindContext& c) const {
    const Shape& x = c.shape(0);
    *c.Params<AxisSplit>() = SplitAt(x, static_cast<int>(axis < 0 ? axis + x.rank() : axis));
    return Status();
  }

  Status Run(RunContext& c) const {
    const AxisSplit& split = c.params<AxisSplit>();
    return ForType<kAnyNumber>(c.input_dtype(0), [&]<class T>() {
      const int64_t blocks = DivUp(split.inner, kColumns);
      const double ns = static_cast<double>(split.n) * static_cast<double>(std::min(split.inner, kColumns));
      return c.ParallelFor(split.outer * blocks, 1, ns, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t first = i % blocks * kColumns, outer = i / blocks;
          Scan(c.in<T>(0) + outer * split.n * split.inner + first, split,
               std::min(kColumns, split.inner - first), c.out<int64_t>(0) + outer * split.inner + first);
        }
      });
    });
  }

 private:
  template <class T>
  void Scan(const T* x, const AxisSplit& split, int64_t columns, int64_t* out) const {
    std::fill(out, out + columns, int64_t{0});
    for (int64_t k = 1; k < split.n; ++k) {
      const T* row = x + k * split.inner;
      for (int64_t j = 0; j < columns; ++j) {
        const auto value = Widen(row[j]), best = Widen(x[out[j] * split.inner + j]);
        const bool best_is_nan = best != best, is_nan = value != value;
        bool better = largest ? value > best : value < best;
        if (last) better = better || value == best;
        if (best_is_nan ? is_nan && last : better || is_nan) out[j] = k;
      }
    }
  }
};

}  // namespace

LINNET_OP(ArgMax, 1, Arg<true>);
LINNET_OP(ArgMin, 1, Arg<false>);

}  // namespace linnet
