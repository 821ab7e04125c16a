// ReduceSum, ReduceMax and the other eight: one value for every lane along the reduced axes.
//
// Axes are an attribute until version 13 (ReduceSum) or 18 (the others), afterwards an optional input. No axes mean all of
// them, unless noop_with_empty_axes asks for none: then each element is a lane of its own, so that ReduceL1 is Abs.
//
// Neighbouring axes are merged. float32 that is then [outer][n][inner] runs kernels/reduce.h in place; any other
// arrangement is first copied to rows [kept][reduced]. Other types are summed in double or in integers that wrap; results
// that ONNX rounds to integers (means, logarithms, norms) are truncated. Of nothing, the sum is 0, the product 1, the
// maximum the least value of the type.
#include "kernels/reduce.h"

#include <math.h>

#include <limits>

#include "kernels/copy.h"
#include "ops/arithmetic.h"
#include "ops/convert.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

using R = Reduction;

struct ReduceParams {
  int64_t rows = 1, n = 1, inner = 1;   ///< [rows][n][inner]; inner 1 when copied
  bool copies = false;
  CopyPlan copy;
};

bool IsOf(Reduction reduction, std::initializer_list<Reduction> list) {
  for (Reduction one : list) {
    if (one == reduction) return true;
  }
  return false;
}

/// One lane, its values passed in chunks. A: double, int64_t or uint64_t. LogSumExp needs `shift`, its maximum.
template <class A>
struct Accumulator {
  Reduction reduction;
  A value;
  A shift = 0;

  explicit Accumulator(Reduction r, A low, A high) : reduction(r), value(0) {
    if (r == R::kProd) value = 1;
    if (r == R::kMax) value = low;
    if (r == R::kMin) value = high;
  }
  void Add(const A* x, int64_t n) {
    using W = std::conditional_t<std::is_same_v<A, int64_t>, uint64_t, A>;
    W sum = static_cast<W>(value);
    switch (reduction) {
      case R::kMax:
        for (int64_t i = 0; i < n; ++i) value = x[i] > value || x[i] != x[i] ? x[i] : value;
        return;
      case R::kMin:
        for (int64_t i = 0; i < n; ++i) value = x[i] < value || x[i] != x[i] ? x[i] : value;
        return;
      case R::kProd:
        for (int64_t i = 0; i < n; ++i) sum *= static_cast<W>(x[i]);
        break;
      case R::kL1:
        for (int64_t i = 0; i < n; ++i) sum += x[i] < A{0} ? W{0} - static_cast<W>(x[i]) : static_cast<W>(x[i]);
        break;
      case R::kL2:
      case R::kSumSquare:
        for (int64_t i = 0; i < n; ++i) sum += static_cast<W>(x[i]) * static_cast<W>(x[i]);
        break;
      case R::kLogSumExp:
        if constexpr (std::is_floating_point_v<A>) {
          for (int64_t i = 0; i < n; ++i) sum += exp(x[i] - shift);
        }
        break;
      default:
        for (int64_t i = 0; i < n; ++i) sum += static_cast<W>(x[i]);
        break;
    }
    value = static_cast<A>(sum);
  }
};

/// The result of a lane of n elements from what was accumulated in double.
double Finish(const Accumulator<double>& lane, int64_t n) {
  switch (lane.reduction) {
    case R::kMean: return lane.value / static_cast<double>(n);
    case R::kL2: return sqrt(lane.value);
    case R::kLogSum: return log(lane.value);
    case R::kLogSumExp: return n == 0 ? -INFINITY : lane.shift + log(lane.value);
    default: return lane.value;
  }
}

/// Rows of n elements of a type other than float.
template <class T>
void ReduceRows(Reduction reduction, const T* x, int64_t n, int64_t begin, int64_t end, T* y) {
  // Integers stay integers where the result is exact in them.
  using Exact = std::conditional_t<kIsFloating<T>, double, std::conditional_t<std::is_unsigned_v<T>, uint64_t, int64_t>>;
  using Limits = std::numeric_limits<std::conditional_t<kIsFloating<T>, double, T>>;
  const bool real = kIsFloating<T> || IsOf(reduction, {R::kMean, R::kL2, R::kLogSum, R::kLogSumExp});
  LoadFn* load_real = FindLoad(kDTypeOf<T>, Stage::kDouble);
  for (int64_t row = begin; row < end; ++row) {
    const T* lane = x + row * n;
    if (real) {
      double chunk[kConvertChunk];
      Accumulator<double> sum(reduction, -INFINITY, INFINITY);
      auto add = [&](Accumulator<double>& to) {
        for (int64_t at = 0; at < n; at += kConvertChunk) {
          const int64_t count = n - at < kConvertChunk ? n - at : kConvertChunk;
          load_real(lane, at, count, chunk);
          to.Add(chunk, count);
        }
      };
      if (reduction == R::kLogSumExp && n > 0) {
        Accumulator<double> most(R::kMax, -INFINITY, INFINITY);
        add(most);
        // An infinite maximum is the result by itself; subtracting it would give NaN.
        sum.shift = isinf(most.value) ? 0 : most.value;
      }
      add(sum);
      const double result = Finish(sum, n);
      if constexpr (kIsFloating<T>) {
        y[row] = Narrow<T>(result);
      } else if constexpr (std::is_same_v<T, bool>) {
        y[row] = result != 0;
      } else {
        y[row] = SaturateTo<T>(result);
      }
    } else if constexpr (!kIsFloating<T>) {
      Accumulator<Exact> sum(reduction, static_cast<Exact>(Limits::lowest()), static_cast<Exact>(Limits::max()));
      Exact chunk[kConvertChunk];
      for (int64_t at = 0; at < n; at += kConvertChunk) {
        const int64_t count = n - at < kConvertChunk ? n - at : kConvertChunk;
        for (int64_t i = 0; i < count; ++i) chunk[i] = static_cast<Exact>(lane[at + i]);
        sum.Add(chunk, count);
      }
      y[row] = static_cast<T>(sum.value);
    }
  }
}

template <Reduction reduction, int axes_input_since>
struct Reduce {
  static constexpr bool kOrders = reduction == R::kMax || reduction == R::kMin;
  static constexpr uint32_t kTypes = kAnyNumber | (kOrders ? Mask(DType::kBool) : 0);

  bool keepdims = true, noop = false, axes_by_input = false;
  int axis_count = 0;
  int64_t axes[kMaxRank];
  CpuLevel cpu = CpuLevel::kSse4;
  ReduceRowsFn* rows = nullptr;
  ReduceColumnsFn* columns = nullptr;

  Status Parse(const Node& node) {
    axes_by_input = node.version >= axes_input_since;
    LINNET_ASSIGN(int64_t keep, node.Int("keepdims", 1));
    LINNET_ASSIGN(int64_t no_axes, node.Int("noop_with_empty_axes", 0));
    keepdims = keep != 0;
    noop = no_axes != 0;
    if (axes_by_input) return Status();
    LINNET_ASSIGN(std::vector<int64_t> list, node.Ints("axes"));
    if (list.size() > static_cast<size_t>(kMaxRank)) return InvalidModel("attribute 'axes' lists ", list.size(), " axes");
    for (int64_t axis : list) axes[axis_count++] = axis;
    return Status();
  }

  /// Which axes are reduced, as bits, for a tensor of this rank; `*known` false when the axes are not known yet.
  Status ReducedAxes(const InferContext& c, int rank, uint32_t* reduced, bool* known) const {
    *reduced = 0;
    *known = true;
    std::span<const int64_t> list(axes, static_cast<size_t>(axis_count));
    InferContext::SmallInts from_input;
    if (axes_by_input && c.has_input(1)) {
      const bool is_empty = c.shape(1).is_static() && c.shape(1).elements() == 0;
      *known = is_empty || c.KnowsInts(1);
      if (!*known) return Status();
      if (!is_empty) {
        LINNET_ASSIGN(from_input, c.ReadInts(1));
        list = from_input.span();
      }
    }
    if (list.empty() && !noop) *reduced = (uint32_t{1} << rank) - 1;
    for (int64_t axis : list) {
      if (rank == 0 && (axis == 0 || axis == -1)) continue;
      LINNET_ASSIGN(int at, NormalizeAxis(axis, rank));
      *reduced |= uint32_t{1} << at;
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, axes_by_input ? 2 : 1));
    LINNET_TRY(c.CheckType(0, kTypes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64) | Mask(DType::kInt32)));
    const Shape& x = c.shape(0);
    if (!x.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    uint32_t reduced;
    bool known;
    LINNET_TRY(ReducedAxes(c, x.rank(), &reduced, &known));
    if (!known) {
      if (keepdims) return c.SetOutput(0, c.dtype(0), Shape::OfRank(x.rank()));
      const Shape& list = c.shape(1);
      // A rank of 0 would be a complete shape, and the axes would never be looked at.
      const bool counted = list.rank() == 1 && IsKnownDim(list[0]) && list[0] < x.rank();
      return c.SetOutput(0, c.dtype(0), counted ? Shape::OfRank(x.rank() - static_cast<int>(list[0])) : Shape());
    }
    Shape out = Shape::OfRank(0);
    for (int d = 0; d < x.rank(); ++d) {
      if (!((reduced >> d) & 1)) {
        out.Append(x[d]);
      } else if (keepdims) {
        out.Append(1);
      }
    }
    return c.SetOutput(0, c.dtype(0), out);
  }

  Status Prepare(PrepareContext& c) {
    cpu = c.cpu();
    rows = PickReduceRows(reduction, cpu);
    columns = PickReduceColumns(reduction, cpu);
    return Status();
  }

  Status Bind(BindContext& c) const {
    ReduceParams& p = *c.Params<ReduceParams>();
    const Shape& x = c.shape(0);
    uint32_t reduced;
    bool known;
    LINNET_TRY(ReducedAxes(c, x.rank(), &reduced, &known));
    // Groups of neighbouring axes that are all kept or all reduced.
    int groups = 0;
    int64_t dims[kMaxRank];
    bool is_reduced[kMaxRank];
    for (int d = 0; d < x.rank(); ++d) {
      const bool reduces = (reduced >> d) & 1;
      (reduces ? p.n : p.rows) *= x[d];
      if (x[d] == 1) continue;
      if (groups > 0 && is_reduced[groups - 1] == reduces) {
        dims[groups - 1] *= x[d];
      } else {
        dims[groups] = x[d];
        is_reduced[groups++] = reduces;
      }
    }
    if (p.rows == 0 || p.n == 0) return Status();
    int reduced_groups = 0;
    for (int g = 0; g < groups; ++g) reduced_groups += is_reduced[g];
    const bool ends_reduced = groups == 0 || is_reduced[groups - 1] || reduced_groups == 0;
    if (reduced_groups <= 1 && (ends_reduced || c.dtype(0) == DType::kFloat)) {
      if (!ends_reduced) {
        p.inner = dims[groups - 1];
        p.rows /= p.inner;
      }
      return Status();
    }
    p.copies = true;
    int64_t permutation[kMaxRank];
    int at = 0;
    for (bool want : {false, true}) {
      for (int g = 0; g < groups; ++g) {
        if (is_reduced[g] == want) permutation[at++] = g;
      }
    }
    const int64_t bytes = static_cast<int64_t>(DTypeBytes(c.dtype(0)));
    const size_t count = static_cast<size_t>(groups);
    LINNET_TRY(MakeTranspose(bytes, {dims, count}, {permutation, count}, cpu, &p.copy));
    c.Scratch(p.rows * p.n * bytes);
    return Status();
  }

  Status Run(RunContext& c) const {
    const ReduceParams& p = c.params<ReduceParams>();
    if (p.rows == 0) return Status();
    const void* x = c.input(0);
    if (p.copies) {
      LINNET_TRY(c.ParallelFor(p.copy.units, 1, 4000, [&](int64_t begin, int64_t end, int) {
        RunCopy(p.copy, x, c.scratch(), begin, end);
      }));
      x = c.scratch();
    }
    const double row_ns = static_cast<double>(p.n) * 0.2 + 5;
    if (c.input_dtype(0) == DType::kFloat) return RunFloat(c, p, static_cast<const float*>(x), row_ns);
    return ForType<kTypes & ~Mask(DType::kFloat)>(c.input_dtype(0), [&]<class T>() {
      return c.ParallelFor(p.rows, 1, row_ns * 5, [&](int64_t begin, int64_t end, int) {
        ReduceRows(reduction, static_cast<const T*>(x), p.n, begin, end, c.out<T>(0));
      });
    });
  }

 private:
  /// Columns that one task reduces side by side: whole cache lines.
  static constexpr int64_t kColumns = 256;

  Status RunFloat(const RunContext& c, const ReduceParams& p, const float* x, double row_ns) const {
    float* y = c.out<float>(0);
    const int64_t n = p.n, inner = p.inner;
    if (inner == 1) {
      return c.ParallelFor(p.rows, 1, row_ns, [&](int64_t begin, int64_t end, int) {
        rows(x + begin * n, n, end - begin, n, y + begin);
      });
    }
    const int64_t blocks = DivUp(inner, kColumns);
    return c.ParallelFor(p.rows * blocks, 1, row_ns * kColumns, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % blocks * kColumns, count = inner - first < kColumns ? inner - first : kColumns;
        columns(x + i / blocks * n * inner + first, inner, n, count, y + i / blocks * inner + first);
      }
    });
  }
};

}  // namespace

LINNET_OP(ReduceSum, 1, Reduce<Reduction::kSum, 13>);
LINNET_OP(ReduceMean, 1, Reduce<Reduction::kMean, 18>);
LINNET_OP(ReduceMax, 1, Reduce<Reduction::kMax, 18>);
LINNET_OP(ReduceMin, 1, Reduce<Reduction::kMin, 18>);
LINNET_OP(ReduceProd, 1, Reduce<Reduction::kProd, 18>);
LINNET_OP(ReduceL1, 1, Reduce<Reduction::kL1, 18>);
LINNET_OP(ReduceL2, 1, Reduce<Reduction::kL2, 18>);
LINNET_OP(ReduceLogSum, 1, Reduce<Reduction::kLogSum, 18>);
LINNET_OP(ReduceLogSumExp, 1, Reduce<Reduction::kLogSumExp, 18>);
LINNET_OP(ReduceSumSquare, 1, Reduce<Reduction::kSumSquare, 18>);

}  // namespace linnet
