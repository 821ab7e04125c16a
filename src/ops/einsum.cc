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

#include "kernels/reduce.h"
#include "ops/convert.h"
#include "ops/einsum_builder.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

struct EinsumParams {
  DType compute;
  int step_count = 0;
  EinsumStep* steps = nullptr;
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
    sum_rows = PickReduceRows<Reduction::kSum>(cpu);
    return Status();
  }

  Status Bind(BindContext& c) const {
    EinsumParams& p = *c.Params<EinsumParams>();
    const int inputs = c.input_count();
    const DType dtype = c.dtype(0);
    p.compute = ComputeType(dtype);
    const Shape& out = c.output_shape(0);
    if (out.elements() == 0) return Status();
    p.steps = c.Table<EinsumStep>(inputs * EinsumBuilder::kStepsPerOperand + 4);
    if (!p.steps) return OutOfMemory("no memory for the steps of an equation");
    EinsumBuilder build(p.compute, cpu, plain, turned, c.threads(), p.steps);
    LINNET_TRY(Sizes(c, build.dims));
    LINNET_ASSIGN(EinsumIndices output, OutputIndices(EllipsisRank(c)));
    int8_t wanted[kMaxRank];
    size_t wanted_count = 0;
    for (int8_t index : output.span()) {
      if (build.dims[index] != 1) wanted[wanted_count++] = index;
    }

    EinsumOperand result;
    for (int i = 0; i < inputs; ++i) {
      LINNET_ASSIGN(EinsumOperand operand, InputOperand(c, i, &build));
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
    p.step_count = build.step_count();
    c.Scratch(build.scratch_bytes());
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
  Result<EinsumOperand> InputOperand(const BindContext& c, int i, EinsumBuilder* build) const {
    const Shape& shape = c.shape(i);
    LINNET_ASSIGN(EinsumIndices indices, Indices(c, i));
    EinsumOperand operand;
    operand.source = i;
    if (ConvertsTypes(c.dtype(0))) {
      EinsumStep& step = build->Add(EinsumStep::kConvertIn);
      step.x = i;
      step.y = operand.source = EinsumOperand::kScratch;
      step.elements = shape.elements();
      step.y_at = operand.at = build->Take(step.elements);
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
  static Status Finish(const EinsumOperand& result, std::span<const int8_t> order, bool converts, EinsumBuilder* build) {
    if (converts) {
      LINNET_ASSIGN(EinsumOperand ordered, build->Arrange(result, order));
      EinsumStep& step = build->Add(EinsumStep::kConvertOut);
      step.x = ordered.source, step.x_at = ordered.at;
      step.y = EinsumOperand::kOutput;
      step.elements = build->Size(order);
    } else if (result.source == EinsumOperand::kScratch && build->IsDense(result, order)) {
      build->last().y = EinsumOperand::kOutput;
    } else {
      return build->Arrange(result, order, true).TakeStatus();
    }
    return Status();
  }

  Status RunStep(const RunContext& c, DType compute, const EinsumStep& step) const {
    auto read = [&](int source, int64_t at) {
      return source >= 0 ? static_cast<const void*>(c.input(source)) : c.scratch() + at;
    };
    const void* x = read(step.x, step.x_at);
    void* y = step.y == EinsumOperand::kOutput ? c.output(0) : c.scratch() + step.y_at;
    switch (step.kind) {
      case EinsumStep::kConvertIn:
      case EinsumStep::kConvertOut: return Convert(c, compute, step, x, y);
      case EinsumStep::kCopy:
        return c.ParallelFor(step.copy.units, 1, 4000, [&](int64_t begin, int64_t end, int) { RunCopy(step.copy, x, y, begin, end); });
      case EinsumStep::kSumRows: return SumRows(c, compute, step, x, y);
      case EinsumStep::kProduct:
        return (step.transposed ? turned : plain).Run(c, step.product, x, read(step.w, step.w_at), nullptr, nullptr, y);
      default:
        return MultiplyPlain(c, compute, step.product, false, step.transposed, x, read(step.w, step.w_at), y);
    }
  }

  static Status Convert(const RunContext& c, DType compute, const EinsumStep& step, const void* x, void* y) {
    const DType dtype = c.output_dtype(0);
    const bool in = step.kind == EinsumStep::kConvertIn;
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

  Status SumRows(const RunContext& c, DType compute, const EinsumStep& step, const void* x, void* y) const {
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
