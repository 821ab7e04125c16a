// MatMulIntegerToFloat and DynamicQuantizeMatMul (com.microsoft, version 1): products of 8-bit matrices as floats.
//
//     MatMulIntegerToFloat    y = a_scale b_scale (A - a_zero) (B - b_zero) + bias
//                             inputs A, B, a_scale, b_scale, a_zero_point?, b_zero_point?, bias?
//     DynamicQuantizeMatMul   the same with A float, quantized to uint8 by its own range
//                             inputs A, B, b_scale, b_zero_point?, bias?
//
// a's scale and zero point are one number, b's one number or one per column. The internal linnet:MatMulIntegerToFloat, which
// fuse_integer_matmul makes, may add a tensor of the output's shape (input 7) and apply an activation (attributes activation,
// alpha, beta), or make bytes (inputs 8 and 9, IntegerProduct's ActivatedBytes), and may take LogSoftmax along the columns (attribute
// log_softmax), whose sums are made of each part of the product while it is in the cache.
#include "kernels/softmax.h"
#include "ops/activation_helpers.h"
#include "ops/convert.h"
#include "ops/dense_helpers.h"
#include "ops/dynamic_quantizer.h"
#include "ops/integer_product.h"

namespace linnet {
namespace {

enum class Form { kInteger, kFused, kDynamic };

template <Form form>
struct MatMulToFloat {
  static constexpr bool kDynamic = form == Form::kDynamic;
  static constexpr int kA = 0, kB = 1, kAScale = kDynamic ? -1 : 2, kBScale = kDynamic ? 2 : 3, kAZero = kDynamic ? -1 : 4;
  static constexpr int kBZero = kDynamic ? 3 : 5, kBias = kDynamic ? 4 : 6, kResidual = 7, kTable = 8, kYZero = 9;
  static constexpr ActivatedBytes kBytes = {kTable, kYZero, kResidual};
  static constexpr int kRequired = kDynamic ? 3 : 4, kMax = form == Form::kFused ? 10 : kDynamic ? 5 : 7;

  struct Bound {
    IntegerProductParams product;
    int64_t quantized_at = 0, elements = 0;
    int64_t sums_at = 0;
  };

  IntegerProduct product;
  DynamicQuantizer quantizer;
  FusedActivation activation;
  bool log_softmax = false;
  LogSumPartFn* log_sum_part = nullptr;
  LogSumShiftFn* log_sum_shift = nullptr;

  // Parts of a product that LogSoftmax follows: their sums do not depend on how threads share them.
  static constexpr int64_t kPartRows = 64, kPartPanels = 64;

  Status Parse(const Node& node) {
    if (form != Form::kFused) return Status();
    LINNET_ASSIGN(const int64_t follows, node.Int("log_softmax", 0));
    log_softmax = follows != 0;
    return activation.Parse(node);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kRequired, kMax));
    LINNET_TRY(c.CheckType(kA, kDynamic ? Mask(DType::kFloat) : kByteTypes));
    LINNET_TRY(c.CheckType(kB, kByteTypes));
    LINNET_TRY(c.CheckType(kBScale, Mask(DType::kFloat)));
    LINNET_TRY(c.CheckType(kBZero, kByteTypes));
    LINNET_TRY(c.CheckType(kBias, Mask(DType::kFloat)));
    LINNET_TRY(CheckSame(c, kB, kBZero));
    LINNET_ASSIGN(const Shape y, MatMulShape(c.shape(kA), false, c.shape(kB), false));
    const Shape& b = c.shape(kB);
    const int64_t columns = !b.has_rank() ? kUnknownDim : b.rank() >= 2 ? b[b.rank() - 1] : 1;
    LINNET_TRY(CheckCount(c, kBScale, columns));
    LINNET_TRY(CheckCount(c, kBZero, columns));
    if (c.has_input(kBias) && c.shape(kBias).is_static() && IsKnownDim(columns) && c.shape(kBias).elements() != columns) {
      return InvalidModel("the bias has shape ", ToString(c.shape(kBias)), " where there are ", columns, " columns");
    }
    if constexpr (!kDynamic) {
      LINNET_TRY(c.CheckType(kAScale, Mask(DType::kFloat)));
      LINNET_TRY(CheckSame(c, kA, kAZero));
      LINNET_TRY(CheckCount(c, kAScale, 1));
      LINNET_TRY(CheckCount(c, kAZero, 1));
    }
    if (form == Form::kFused) {
      LINNET_TRY(c.CheckType(kResidual, Mask(DType::kFloat)));
      if (c.has_input(kResidual) && c.shape(kResidual).is_static() && y.is_static() && !(c.shape(kResidual) == y)) {
        return InvalidModel("residual of shape ", ToString(c.shape(kResidual)), " where ", ToString(y), " is expected");
      }
    }
    DType to = DType::kFloat;
    if (form == Form::kFused) {
      LINNET_ASSIGN(to, kBytes.Infer(c, activation));
    }
    if (to != DType::kFloat && (log_softmax || !c.has_input(kBias))) return InvalidModel("bytes are asked for with log_softmax, or without a bias");
    return c.SetOutput(0, to, y);
  }

  static Status CheckSame(const InferContext& c, int i, int j) {
    if (!c.has_input(j) || c.dtype(i) == DType::kUndefined || c.dtype(j) == DType::kUndefined || c.dtype(i) == c.dtype(j)) return Status();
    return InvalidModel("inputs ", i, " and ", j, " are ", DTypeName(c.dtype(i)), " and ", DTypeName(c.dtype(j)));
  }
  static Status CheckCount(const InferContext& c, int i, int64_t count) {
    if (!c.has_input(i) || !c.shape(i).is_static()) return Status();
    const int64_t have = c.shape(i).elements();
    if (have == 1 || !IsKnownDim(count) || have == count) return Status();
    return InvalidModel("input ", i, " has ", have, " elements where 1 or ", count, " are expected");
  }

  Status Prepare(PrepareContext& c) {
    quantizer.Pick(c.cpu());
    if (log_softmax) log_sum_part = PickLogSumPart(c.cpu()), log_sum_shift = PickLogSumShift(c.cpu());
    return product.Prepare(c, kB);
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    b.elements = c.shape(kA).elements();
    int64_t bytes = 0;
    if constexpr (kDynamic) {
      b.quantized_at = RoundUp(DynamicQuantizer::ScratchBytes(c.threads()), kAlignment);
      bytes = b.quantized_at + RoundUp(b.elements, kAlignment);
    }
    LINNET_ASSIGN(int64_t more, product.Plan(c.shape(kA), c.shape(kB), c.threads(), bytes, &b.product));
    bytes += more;
    if (log_softmax) {
      b.sums_at = bytes;
      bytes += RoundUp(2 * b.product.m * (DivUp(PanelCount(b.product.n), kPartPanels) + 1) * 4, kAlignment);
    }
    c.Scratch(bytes);
    if (form == Form::kFused && c.has_input(kResidual)) c.InPlace(0, kResidual);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    IntegerProduct::Operands o;
    o.b = c.input(kB), o.y = c.output(0);
    o.b_signed = c.input_dtype(kB) == DType::kInt8;
    if constexpr (kDynamic) {
      uint8_t* quantized = reinterpret_cast<uint8_t*>(c.scratch() + b.quantized_at);
      uint8_t zero;
      LINNET_TRY(quantizer.Run(c, c.in<float>(kA), b.elements, quantized, &o.a_scale, &zero, c.scratch()));
      o.a = quantized, o.a_zero = zero;
    } else {
      o.a = c.input(kA);
      o.a_signed = c.input_dtype(kA) == DType::kInt8;
      o.a_scale = *c.in<float>(kAScale);
      if (c.has_input(kAZero)) o.a_zero = static_cast<int32_t>(LoadInteger(c.input_dtype(kAZero), c.input(kAZero), 0));
    }
    o.b_scale = {c.input(kBScale), DType::kFloat, c.input_shape(kBScale).elements()};
    if (c.has_input(kBZero)) o.b_zero = {c.input(kBZero), c.input_dtype(kBZero), c.input_shape(kBZero).elements()};
    if (c.has_input(kBias)) o.float_bias = c.in<float>(kBias);
    o.finish.to = FinishInt8::To::kFloat;
    if (form == Form::kFused) {
      activation.Set(&o.finish.epilogue);
      if (c.has_input(kResidual)) o.finish.epilogue.residual = c.in<float>(kResidual);
      kBytes.Set(c, &o.finish);
    }
    return log_softmax ? RunLogSoftmax(c, b, o) : product.Run(c, b.product, o);
  }

  Status RunLogSoftmax(RunContext& c, const Bound& b, const IntegerProduct::Operands& o) const {
    const IntegerProductParams& p = b.product;
    const int64_t m = p.m, n = p.n, panels = PanelCount(n);
    const int64_t parts = DivUp(panels, kPartPanels), blocks = DivUp(m, kPartRows);
    if (m * n == 0) return Status();
    // Of part and row: the largest and the sum; then of the row.
    float* most = reinterpret_cast<float*>(c.scratch() + b.sums_at);
    float *sum = most + parts * m, *all_most = sum + parts * m, *log_sum = all_most + m;
    float* y = c.out<float>(0);
    const GemmInt8 g = product.Start(c, p, o);
    auto for_parts = [&](double ns, auto body) {
      const int64_t tasks = parts * blocks;
      return c.ParallelFor(tasks, 1, ns / static_cast<double>(tasks), [&](int64_t begin, int64_t end, int worker) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t part = i / blocks, row = i % blocks * kPartRows, column = part * kPartPanels * kPanelColumns;
          const int64_t rows = std::min(m - row, kPartRows);
          const int64_t columns = std::min(n - column, kPartPanels * kPanelColumns);
          body(part, row, rows, column, columns, worker);
        }
      });
    };
    auto multiply = [&](int64_t part, int64_t row, int64_t rows, int64_t column, int64_t columns, int worker) {
      product.Part(c, p, g, row, row + rows, part * kPartPanels, std::min(panels, (part + 1) * kPartPanels), worker);
      log_sum_part(y + row * n + column, n, rows, columns, most + part * m + row, sum + part * m + row);
    };
    LINNET_TRY(for_parts(product.Ns(p) + static_cast<double>(m * n) * 0.15, multiply));
    for (int64_t i = 0; i < m; ++i) LogSumTotal(most + i, sum + i, parts, m, all_most + i, log_sum + i);
    auto shift = [&](int64_t, int64_t row, int64_t rows, int64_t column, int64_t columns, int) {
      log_sum_shift(y + row * n + column, n, rows, columns, all_most + row, log_sum + row);
    };
    return for_parts(static_cast<double>(m * n) * 0.1, shift);
  }
};

}  // namespace

LINNET_MS_OP(MatMulIntegerToFloat, 1, MatMulToFloat<Form::kInteger>);
LINNET_MS_OP(DynamicQuantizeMatMul, 1, MatMulToFloat<Form::kDynamic>);
LINNET_INTERNAL_OP(MatMulIntegerToFloat, 1, MatMulToFloat<Form::kFused>);

}  // namespace linnet
