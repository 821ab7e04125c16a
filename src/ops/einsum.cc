// Einsum: sums of products over named indices.
//
// Bind turns the equation into a short program of copies, row sums and matrix products over scratch:
//
//   * A dimension of size 1 is dropped wherever it occurs; a repeated index in a term becomes a diagonal (the strides
//     are added).
//   * Operands are contracted from left to right. For X and W, an index is
//         batch     in both, needed later     M     in X alone, needed later
//         summed    in both, not needed       N     in W alone, needed later
//     indices in one operand alone that nobody needs are summed out first; then X is laid out as [batch, M, summed], W as
//     [batch, summed, N] or [batch, N, summed], whichever costs no copy, and their product is [batch, M, N].
//   * A last copy puts the output's indices in order.
//
// float16 and bfloat16 are computed in float; integers in 32 or 64 bits, wrapping.
#include <algorithm>

#include "kernels/copy.h"
#include "kernels/reduce.h"
#include "ops/convert.h"
#include "ops/dense_helpers.h"
#include "ops/einsum_equation.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

/// A tensor in mid-computation. Sizes of indices are in EinsumBuilder::dims.
struct Operand {
  static constexpr int kOutput = -1, kScratch = -2;
  int source = kScratch;          ///< an input's number, or one of the above
  int64_t at = 0;                 ///< bytes into scratch
  int count = 0;
  int8_t indices[2 * kMaxRank];
  int64_t strides[2 * kMaxRank];  ///< in elements
};

struct Step {
  enum Kind : uint8_t { kConvertIn, kCopy, kSumRows, kProduct, kSmallProduct, kConvertOut } kind;
  int x = 0, w = 0, y = 0;               ///< as Operand::source
  int64_t x_at = 0, w_at = 0, y_at = 0;
  int64_t elements = 0, rows = 0, n = 0;
  bool transposed = false;               ///< W is [N, summed]
  CopyPlan copy;
  DenseParams product;
};

struct EinsumParams {
  DType compute;
  int step_count = 0;
  Step* steps = nullptr;
};

/// What an element type is computed in.
DType ComputeType(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
    case DType::kBfloat16: return DType::kFloat;
    case DType::kInt32: return DType::kUint32;
    case DType::kFloat:
    case DType::kDouble:
    case DType::kUint32: return dtype;
    default: return DType::kUint64;
  }
}
bool ConvertsTypes(DType dtype) {
  return DTypeBytes(dtype) != DTypeBytes(ComputeType(dtype));
}
Stage StageOf(DType compute) { return compute == DType::kFloat ? Stage::kFloat : Stage::kInt64; }

bool Contains(const Operand& operand, int8_t index) {
  return std::find(operand.indices, operand.indices + operand.count, index) != operand.indices + operand.count;
}

/// Writes the program of one node.
struct EinsumBuilder {
  DType compute;
  CpuLevel cpu;
  const Dense& plain;        ///< products W as it lies
  const Dense& turned;       ///< products with W transposed
  int threads;
  Step* steps;
  int64_t dims[kEinsumIndices];
  int count = 0;
  int64_t scratch = 0;

  int64_t bytes() const { return static_cast<int64_t>(DTypeBytes(compute)); }
  int64_t Size(std::span<const int8_t> indices) const {
    int64_t size = 1;
    for (int8_t index : indices) size *= dims[index];
    return size;
  }

  Step& Add(Step::Kind kind) {
    Step& step = *new (&steps[count++]) Step();
    step.kind = kind;
    return step;
  }

  /// Scratch for a dense tensor of these indices, bounded like any tensor.
  Result<Operand> Fresh(std::span<const int8_t> indices) {
    Operand out;
    int64_t elements = 1;
    for (int8_t index : indices) {
      if (!CheckedMul(elements, dims[index], &elements) || elements > kElementsMax) {
        return LimitReached("an intermediate result has more than ", kElementsMax, " elements");
      }
      out.indices[out.count++] = index;
    }
    int64_t stride = 1;
    for (int i = out.count - 1; i >= 0; --i) {
      out.strides[i] = stride;
      stride *= dims[out.indices[i]];
    }
    out.at = scratch;
    scratch += RoundUp(elements * bytes(), static_cast<int64_t>(kAlignment));
    return out;
  }

  bool IsDense(const Operand& operand, std::span<const int8_t> order) const {
    int64_t stride = 1;
    for (int i = static_cast<int>(order.size()) - 1; i >= 0; --i) {
      if (operand.indices[i] != order[static_cast<size_t>(i)] || operand.strides[i] != stride) return false;
      stride *= dims[order[static_cast<size_t>(i)]];
    }
    return true;
  }

  /// The operand dense in this order of all its indices; copied when it is not. `output`: where the copy goes to.
  Result<Operand> Arrange(const Operand& operand, std::span<const int8_t> order, bool to_output = false) {
    if (IsDense(operand, order) && !to_output) return operand;
    Operand out;
    if (to_output) {
      out.source = Operand::kOutput;
    } else {
      LINNET_ASSIGN(out, Fresh(order));
    }
    Step& step = Add(Step::kCopy);
    step.x = operand.source, step.x_at = operand.at;
    step.y = out.source, step.y_at = out.at;
    int64_t sizes[2 * kMaxRank], from[2 * kMaxRank], to[2 * kMaxRank], stride = 1;
    for (size_t i = order.size(); i-- > 0;) {
      const int8_t* found = std::find(operand.indices, operand.indices + operand.count, order[i]);
      sizes[i] = dims[order[i]];
      from[i] = operand.strides[found - operand.indices];
      to[i] = stride;
      stride *= sizes[i];
    }
    const size_t rank = order.size();
    LINNET_TRY(MakeCopy(bytes(), {sizes, rank}, {from, rank}, {to, rank}, cpu, &step.copy));
    return out;
  }

  /// Sums out the indices that are not in `keep`; what is left is dense in the order of `keep`.
  Result<Operand> SumOut(const Operand& operand, std::span<const int8_t> keep) {
    if (static_cast<int>(keep.size()) == operand.count) return operand;
    int8_t order[2 * kMaxRank];
    size_t length = 0;
    for (int8_t index : keep) order[length++] = index;
    for (int i = 0; i < operand.count; ++i) {
      if (std::find(keep.begin(), keep.end(), operand.indices[i]) == keep.end()) order[length++] = operand.indices[i];
    }
    LINNET_ASSIGN(Operand from, Arrange(operand, {order, length}));
    LINNET_ASSIGN(Operand out, Fresh(keep));
    Step& step = Add(Step::kSumRows);
    step.x = from.source, step.x_at = from.at;
    step.y = out.source, step.y_at = out.at;
    step.rows = Size(keep);
    step.n = Size({order + keep.size(), length - keep.size()});
    return out;
  }

  Result<Operand> Contract(const Operand& left, const Operand& right, const bool* needed) {
    int8_t batch[2 * kMaxRank], m[2 * kMaxRank], n[2 * kMaxRank], summed[2 * kMaxRank];
    size_t batches = 0, ms = 0, ns = 0, sums = 0;
    for (int i = 0; i < left.count; ++i) {
      const int8_t index = left.indices[i];
      if (Contains(right, index)) {
        (needed[index] ? batch[batches++] : summed[sums++]) = index;
      } else if (needed[index]) {
        m[ms++] = index;
      }
    }
    for (int i = 0; i < right.count; ++i) {
      if (needed[right.indices[i]] && !Contains(left, right.indices[i])) n[ns++] = right.indices[i];
    }
    auto join = [](int8_t* out, std::initializer_list<std::span<const int8_t>> parts) {
      size_t length = 0;
      for (auto part : parts) {
        for (int8_t index : part) out[length++] = index;
      }
      return std::span<const int8_t>(out, length);
    };
    const std::span<const int8_t> b(batch, batches), rows(m, ms), columns(n, ns), k(summed, sums);
    int8_t order[4 * kMaxRank];
    LINNET_ASSIGN(Operand x, SumOut(left, join(order, {b, rows, k})));
    LINNET_ASSIGN(x, Arrange(x, join(order, {b, rows, k})));
    LINNET_ASSIGN(Operand w, SumOut(right, join(order, {b, k, columns})));
    const bool transposed = IsDense(w, join(order, {b, columns, k})) && ns > 0;
    if (!transposed) {
      LINNET_ASSIGN(w, Arrange(w, join(order, {b, k, columns})));
    }
    auto result = join(order, {b, rows, columns});
    if (result.size() > 2 * static_cast<size_t>(kMaxRank)) return Unsupported("an intermediate result has ", result.size(), " indices");
    LINNET_ASSIGN(Operand out, Fresh(result));

    const int64_t batch_size = Size(b), m_size = Size(rows), n_size = Size(columns), k_size = Size(k);
    const bool small = compute != DType::kFloat || m_size * n_size * k_size < 512 || m_size * k_size == 1;
    Step& step = Add(small ? Step::kSmallProduct : Step::kProduct);
    step.x = x.source, step.x_at = x.at;
    step.w = w.source, step.w_at = w.at;
    step.y = out.source, step.y_at = out.at;
    step.transposed = transposed;
    const Shape x_shape{batch_size, m_size, k_size};
    const Shape w_shape = transposed ? Shape{batch_size, n_size, k_size} : Shape{batch_size, k_size, n_size};
    // A small product only needs the sizes, which planning for double leaves it at.
    LINNET_ASSIGN(int64_t used, (transposed ? turned : plain).Plan(small ? DType::kDouble : DType::kFloat, x_shape, w_shape,
                                                                   nullptr, false, threads, scratch, &step.product));
    scratch += used;
    return out;
  }
};

struct Einsum {
  EinsumEquation equation;
  Dense plain, turned;
  CpuLevel cpu = CpuLevel::kSse4;
  ReduceRowsFn* sum_rows = nullptr;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string text, node.String("equation", ""));
    if (!node.Has("equation")) return InvalidModel("attribute 'equation' is missing");
    LINNET_ASSIGN(equation, ParseEinsum(text));
    turned.transpose_w = true;
    return Status();
  }

  /// Sizes of all indices, 1 for unused ones.
  Status Sizes(const InferContext& c, int64_t* dims) const {
    std::fill(dims, dims + kEinsumIndices, int64_t{1});
    for (int i = 0; i < c.input_count(); ++i) {
      const Shape& shape = c.shape(i);
      if (!shape.has_rank()) continue;
      LINNET_ASSIGN(EinsumIndices indices, ExpandTerm(equation.inputs[static_cast<size_t>(i)], shape.rank()));
      for (int d = 0; d < indices.count; ++d) {
        int64_t& known = dims[indices.list[d]];
        const int64_t dim = shape[d];
        if (dim == known || dim == 1) continue;
        if (known == 1) {
          known = dim;
        } else if (IsKnownDim(known) && IsKnownDim(dim)) {
          return InvalidModel("an index has size ", known, " and ", dim, " (dimension ", d, " of input ", i, ")");
        } else if (!IsKnownDim(known)) {
          known = IsKnownDim(dim) ? dim : kUnknownDim;
        }
      }
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    const int inputs = static_cast<int>(equation.inputs.size());
    if (c.input_count() != inputs) return InvalidModel("the equation has ", inputs, " terms for ", c.input_count(), " inputs");
    LINNET_TRY(c.CheckInputs(inputs, inputs));
    DType dtype = DType::kUndefined;
    bool ranked = true;
    for (int i = 0; i < inputs; ++i) {
      LINNET_TRY(c.CheckType(i, kAnyNumber));
      if (dtype == DType::kUndefined) dtype = c.dtype(i);
      if (c.dtype(i) != DType::kUndefined && c.dtype(i) != dtype) {
        return InvalidModel("inputs have different element types: ", DTypeName(dtype), " and ", DTypeName(c.dtype(i)));
      }
      const EinsumTerm& term = equation.inputs[static_cast<size_t>(i)];
      ranked = ranked && (c.shape(i).has_rank() || !term.has_ellipsis);
    }
    int64_t dims[kEinsumIndices];
    LINNET_TRY(Sizes(c, dims));
    if (!ranked && equation.output.has_ellipsis) return c.SetOutput(0, dtype, Shape());
    LINNET_ASSIGN(EinsumIndices indices, OutputIndices(EllipsisRank(c)));
    Shape out = Shape::OfRank(0);
    for (int8_t index : indices.span()) {
      bool known = true;
      for (int i = 0; i < inputs; ++i) known = known && (c.shape(i).has_rank() || !Has(equation.inputs[static_cast<size_t>(i)], index));
      out.Append(known || dims[index] > 1 ? dims[index] : kUnknownDim);
    }
    return c.SetOutput(0, dtype, out);
  }

  Status Prepare(PrepareContext& c) {
    cpu = c.cpu();
    plain.Pick(cpu);
    turned.Pick(cpu);
    sum_rows = PickReduceRows(Reduction::kSum, cpu);
    return Status();
  }

  Status Bind(BindContext& c) const {
    EinsumParams& p = *c.Params<EinsumParams>();
    const int inputs = c.input_count();
    const DType dtype = c.dtype(0);
    p.compute = ComputeType(dtype);
    const Shape& out = c.output_shape(0);
    if (out.elements() == 0) return Status();
    // Per operand: a conversion, two copies and a sum on either side, a product; then the end.
    p.steps = c.Table<Step>(inputs * 8 + 4);
    if (!p.steps) return OutOfMemory("no memory for the steps of an equation");
    EinsumBuilder build{p.compute, cpu, plain, turned, c.threads(), p.steps, {}};
    LINNET_TRY(Sizes(c, build.dims));
    LINNET_ASSIGN(EinsumIndices output, OutputIndices(EllipsisRank(c)));
    int8_t wanted[kMaxRank];
    size_t wanted_count = 0;
    for (int8_t index : output.span()) {
      if (build.dims[index] != 1) wanted[wanted_count++] = index;
    }

    Operand result;
    for (int i = 0; i < inputs; ++i) {
      LINNET_ASSIGN(Operand operand, InputOperand(c, i, &build));
      // What is needed after this contraction: the output's indices and those of later terms.
      bool needed[kEinsumIndices] = {};
      for (size_t k = 0; k < wanted_count; ++k) needed[wanted[k]] = true;
      for (int later = i + 1; later < inputs; ++later) {
        LINNET_ASSIGN(EinsumIndices indices, Indices(c, later));
        for (int8_t index : indices.span()) needed[index] = true;
      }
      if (i > 0) {
        LINNET_ASSIGN(result, build.Contract(result, operand, needed));
      } else if (inputs == 1) {
        LINNET_ASSIGN(result, build.SumOut(operand, {wanted, wanted_count}));
      } else {
        result = operand;
      }
    }
    LINNET_TRY(Finish(result, {wanted, wanted_count}, ConvertsTypes(dtype), &build));
    p.step_count = build.count;
    c.Scratch(build.scratch);
    return Status();
  }

  Status Run(RunContext& c) const {
    const EinsumParams& p = c.params<EinsumParams>();
    for (int i = 0; i < p.step_count; ++i) LINNET_TRY(RunStep(c, p.compute, p.steps[i]));
    return Status();
  }

 private:
  static bool Has(const EinsumTerm& term, int8_t index) {
    for (int i = 0; i < term.count; ++i) {
      if (term.items[i] == index || (term.items[i] == kEinsumEllipsis && index >= 52)) return true;
    }
    return false;
  }
  Result<EinsumIndices> Indices(const InferContext& c, int input) const {
    return ExpandTerm(equation.inputs[static_cast<size_t>(input)], c.shape(input).rank());
  }
  /// The most dimensions an ellipsis stands for, among inputs of known rank.
  int EllipsisRank(const InferContext& c) const {
    int rank = 0;
    for (int i = 0; i < c.input_count(); ++i) {
      const EinsumTerm& term = equation.inputs[static_cast<size_t>(i)];
      if (term.has_ellipsis) rank = std::max(rank, c.shape(i).rank() - (term.count - 1));
    }
    return rank;
  }
  Result<EinsumIndices> OutputIndices(int ellipsis) const {
    const EinsumTerm& term = equation.output;
    const int rank = term.has_ellipsis ? term.count - 1 + ellipsis : term.count;
    if (rank > kMaxRank) return Unsupported("the result has rank ", rank, "; the limit is ", kMaxRank);
    return ExpandTerm(term, rank);
  }

  /// Input i by the indices of its term, converted when its type is not computed in.
  Result<Operand> InputOperand(const BindContext& c, int i, EinsumBuilder* build) const {
    const Shape& shape = c.shape(i);
    LINNET_ASSIGN(EinsumIndices indices, Indices(c, i));
    Operand operand;
    operand.source = i;
    if (ConvertsTypes(c.dtype(0))) {
      Step& step = build->Add(Step::kConvertIn);
      step.x = i;
      step.y = operand.source = Operand::kScratch;
      step.y_at = operand.at = build->scratch;
      step.elements = shape.elements();
      build->scratch += RoundUp(step.elements * build->bytes(), static_cast<int64_t>(kAlignment));
    }
    int64_t stride = 1;
    for (int d = shape.rank() - 1; d >= 0; stride *= shape[d], --d) {
      const int8_t index = indices.list[d];
      if (shape[d] == 1) continue;
      int8_t* found = std::find(operand.indices, operand.indices + operand.count, index);
      if (found != operand.indices + operand.count) {
        operand.strides[found - operand.indices] += stride;
        continue;
      }
      operand.indices[operand.count] = index;
      operand.strides[operand.count++] = stride;
    }
    std::reverse(operand.indices, operand.indices + operand.count);
    std::reverse(operand.strides, operand.strides + operand.count);
    return operand;
  }

  /// The result in the output's order, type and memory.
  static Status Finish(const Operand& result, std::span<const int8_t> order, bool converts, EinsumBuilder* build) {
    if (converts) {
      LINNET_ASSIGN(Operand ordered, build->Arrange(result, order));
      Step& step = build->Add(Step::kConvertOut);
      step.x = ordered.source, step.x_at = ordered.at;
      step.y = Operand::kOutput;
      step.elements = build->Size(order);
    } else if (result.source == Operand::kScratch && build->IsDense(result, order)) {
      build->steps[build->count - 1].y = Operand::kOutput;
    } else {
      return build->Arrange(result, order, true).TakeStatus();
    }
    return Status();
  }

  Status RunStep(const RunContext& c, DType compute, const Step& step) const {
    auto read = [&](int source, int64_t at) {
      return source >= 0 ? static_cast<const void*>(c.input(source)) : c.scratch() + at;
    };
    const void* x = read(step.x, step.x_at);
    void* y = step.y == Operand::kOutput ? c.output(0) : c.scratch() + step.y_at;
    switch (step.kind) {
      case Step::kConvertIn:
      case Step::kConvertOut: return Convert(c, compute, step, x, y);
      case Step::kCopy:
        return c.ParallelFor(step.copy.units, 1, 4000, [&](int64_t begin, int64_t end, int) { RunCopy(step.copy, x, y, begin, end); });
      case Step::kSumRows: return SumRows(c, compute, step, x, y);
      case Step::kProduct:
        return (step.transposed ? turned : plain).Run(c, step.product, x, read(step.w, step.w_at), nullptr, nullptr, y);
      default:
        return MultiplyPlain(c, compute, step.product, false, step.transposed, x, read(step.w, step.w_at), y);
    }
  }

  static Status Convert(const RunContext& c, DType compute, const Step& step, const void* x, void* y) {
    const DType dtype = c.output_dtype(0);
    const bool in = step.kind == Step::kConvertIn;
    LoadFn* load = FindLoad(dtype, StageOf(compute));
    StoreFn* store = FindStore(StageOf(compute), dtype);
    StoreOptions options;
    options.dtype = dtype;
    const int64_t bytes = static_cast<int64_t>(DTypeBytes(compute)), grain = 16 * kConvertChunk;
    return c.ParallelFor(step.elements, grain, 1, [&](int64_t begin, int64_t end, int) {
      if (in) {
        load(x, begin, end - begin, static_cast<std::byte*>(y) + begin * bytes);
      } else {
        store(static_cast<const std::byte*>(x) + begin * bytes, end - begin, y, begin, options);
      }
    });
  }

  Status SumRows(const RunContext& c, DType compute, const Step& step, const void* x, void* y) const {
    constexpr uint32_t kTypes = Mask(DType::kFloat) | Mask(DType::kDouble) | Mask(DType::kUint32) | Mask(DType::kUint64);
    return c.ParallelFor(step.rows, 1, static_cast<double>(step.n) * 0.3, [&](int64_t begin, int64_t end, int) {
      Status ignored = ForType<kTypes>(compute, [&]<class T>() {
        const T* rows = static_cast<const T*>(x);
        T* sums = static_cast<T*>(y);
        if constexpr (std::is_same_v<T, float>) {
          sum_rows(rows + begin * step.n, step.n, end - begin, step.n, sums + begin);
        } else {
          for (int64_t r = begin; r < end; ++r) {
            T sum = 0;
            for (int64_t i = 0; i < step.n; ++i) sum += rows[r * step.n + i];
            sums[r] = sum;
          }
        }
        return Status();
      });
    });
  }
};

}  // namespace

LINNET_OP(Einsum, 12, Einsum);

}  // namespace linnet
