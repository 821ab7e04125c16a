// LayerNormalization, RMSNormalization: rows of everything from `axis` on are normalised, scaled and shifted.
//
//     LayerNorm  Y = (X - mean) inv_std Scale + B     RMSNorm  Y = X inv_rms scale
//
// Rows of float32 run kernels/normalize.h; float16 and bfloat16 are computed in float and rounded once, double in double.
// Scale and B usually have one value for each element of a row; any other shape that broadcasts to X is applied by
// elementwise steps afterwards. Mean and InvStdDev are float32 (stash_type is taken as 1). RMSNorm's result has the type
// of its scale. SimplifiedLayerNormalization is RMSNorm as earlier exporters call it. SkipLayerNormalization and
// SkipSimplifiedLayerNormalization (com.microsoft) first add `skip` and an optional bias to the input; the sum is their
// fourth output.
#include <math.h>

#include "kernels/normalize.h"
#include "ops/axis_helpers.h"
#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

/// One value of scale or bias for each element of a row, the same for all rows?
bool IsRowOf(const Shape& shape, const Shape& x, int axis) {
  const int shift = x.rank() - shape.rank();
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape[d] != (d + shift < axis ? 1 : x[d + shift])) return false;
  }
  return shape.Product(0, shape.rank()) == x.Product(axis, x.rank());
}

struct RowNormParams {
  AxisSplit split;
  DType y_dtype = DType::kUndefined;
  int64_t y_at = -1;   ///< in scratch, when nobody asked for Y itself
  // Set when scale or bias is not a row.
  bool scale_after = false, bias_after = false;
  ElementwiseParams scale, bias;
  // SkipLayerNormalization.
  ElementwiseParams skip, skip_bias;
};

template <class W>
void NormalizeRow(W* row, int64_t n, float epsilon, bool rms, W* mean, W* inv_std) {
  W sum = 0, squares = 0;
  if (!rms) {
    for (int64_t i = 0; i < n; ++i) sum += row[i];
  }
  *mean = sum / static_cast<W>(n);
  for (int64_t i = 0; i < n; ++i) {
    row[i] -= *mean;
    squares += row[i] * row[i];
  }
  *inv_std = 1 / sqrt(squares / static_cast<W>(n) + static_cast<W>(epsilon));
  for (int64_t i = 0; i < n; ++i) row[i] *= *inv_std;
}

/// The shared part: normalising rows, whatever they come from.
struct RowNorm {
  bool rms = false;
  int64_t axis = -1;
  float epsilon = 1e-5f;
  NormRowsFn* kernel = nullptr;
  PointwiseFn *add = nullptr, *multiply = nullptr;

  void Pick(const PrepareContext& c) {
    kernel = rms ? PickRmsNorm(c.cpu()) : PickLayerNorm(c.cpu());
    add = PickPointwise(Pointwise::kAdd, c.cpu());
    multiply = PickPointwise(Pointwise::kMul, c.cpu());
  }

  /// `scale` and `bias` are input numbers, -1 for none.
  Status Bind(BindContext& c, int scale, int bias, DType y_dtype, RowNormParams* p) const {
    const Shape& x = c.shape(0);
    const int at = static_cast<int>(axis < 0 ? axis + x.rank() : axis);
    p->split = SplitFrom(x, at);
    p->y_dtype = y_dtype;
    auto later = [&](int input, Pointwise function, bool* after, ElementwiseParams* step) {
      if (input < 0 || !c.has_input(input) || IsRowOf(c.shape(input), x, at)) return;
      *after = true;
      const Shape shapes[2] = {x, c.shape(input)};
      step->loop = MakeBroadcastLoop(x, shapes);
      step->run = y_dtype == DType::kDouble ? function == Pointwise::kAdd ? RunBinary<AddDoubles, double> : RunBinary<MultiplyDoubles, double>
                                            : FloatRunFor(y_dtype);
      step->out_bytes = step->in_bytes[0] = step->in_bytes[1] = static_cast<int8_t>(DTypeBytes(y_dtype));
      step->ns = 0.2f;
    };
    later(scale, Pointwise::kMul, &p->scale_after, &p->scale);
    later(bias, Pointwise::kAdd, &p->bias_after, &p->bias);
    if (p->scale_after && bias >= 0 && c.has_input(bias) && !p->bias_after) {
      // The bias must come after the scale.
      p->bias_after = true;
      const Shape shapes[2] = {x, c.shape(bias)};
      p->bias = p->scale;
      p->bias.loop = MakeBroadcastLoop(x, shapes);
      if (y_dtype == DType::kDouble) p->bias.run = RunBinary<AddDoubles, double>;
    }
    int64_t bytes = 0;
    if (c.dtype(0) != DType::kFloat || y_dtype != DType::kFloat) {
      if (!CheckedMul(p->split.n, 8 * (2 + static_cast<int64_t>(c.threads())), &bytes)) return LimitReached("rows are too long");
    }
    if (!c.has_output(0)) {
      p->y_at = RoundUp(bytes, static_cast<int64_t>(kAlignment));
      bytes = p->y_at + x.elements() * static_cast<int64_t>(DTypeBytes(y_dtype));
    }
    c.Scratch(bytes);
    if (c.dtype(0) == y_dtype) c.InPlace(0, 0);
    return Status();
  }

  /// Where Y goes.
  static void* Y(const RunContext& c, const RowNormParams& p) { return p.y_at < 0 ? c.output(0) : c.scratch() + p.y_at; }

  /// Rows of `x` (and `residual`, float32 only) to `y`; outputs that are null are not wanted.
  Status Run(const RunContext& c, const RowNormParams& p, DType x_dtype, const void* x, const void* residual,
             const void* scale, const void* bias, void* y, void* sum, float* mean, float* inv_std) const {
    const int64_t n = p.split.n, rows = p.split.outer;
    if (rows * n == 0) return Status();
    const DType y_dtype = p.y_dtype;
    const void* row_scale = p.scale_after ? nullptr : scale;
    const void* row_bias = p.bias_after ? nullptr : bias;
    if (x_dtype == DType::kFloat && y_dtype == DType::kFloat) {
      LINNET_TRY(c.ParallelFor(rows, 1, static_cast<double>(n) * 0.4, [&](int64_t begin, int64_t end, int) {
        auto from = [&](const void* data) { return data ? static_cast<const float*>(data) + begin * n : nullptr; };
        NormRowsArgs args;
        args.x = from(x);
        args.residual = from(residual);
        args.scale = static_cast<const float*>(row_scale);
        args.bias = static_cast<const float*>(row_bias);
        args.out = static_cast<float*>(y) + begin * n;
        args.sum = sum ? static_cast<float*>(sum) + begin * n : nullptr;
        args.mean = mean ? mean + begin : nullptr;
        args.inv_std = inv_std ? inv_std + begin : nullptr;
        args.rows = end - begin;
        args.n = n;
        args.epsilon = epsilon;
        kernel(args);
      }));
    } else if (x_dtype == DType::kDouble || y_dtype == DType::kDouble) {
      LINNET_TRY(RunWide<double>(c, p, x_dtype, x, row_scale, row_bias, y, mean, inv_std));
    } else {
      LINNET_TRY(RunWide<float>(c, p, x_dtype, x, row_scale, row_bias, y, mean, inv_std));
    }
    const void* in[kOperandsMax] = {y, scale, nullptr};
    const FloatFunction times{multiply}, plus{add};
    if (p.scale_after) LINNET_TRY(RunElementwise(c, p.scale, &times, y, in));
    in[1] = bias;
    if (p.bias_after) LINNET_TRY(RunElementwise(c, p.bias, &plus, y, in));
    return Status();
  }

 private:
  struct AddDoubles {
    double operator()(double a, double b) const { return a + b; }
  };
  struct MultiplyDoubles {
    double operator()(double a, double b) const { return a * b; }
  };

  /// Row by row in W, which is float or double.
  template <class W>
  Status RunWide(const RunContext& c, const RowNormParams& p, DType x_dtype, const void* x, const void* scale,
                 const void* bias, void* y, float* mean, float* inv_std) const {
    const Stage stage = sizeof(W) == 4 ? Stage::kFloat : Stage::kDouble;
    const int64_t n = p.split.n;
    const DType y_dtype = p.y_dtype;
    LoadFn* load = FindLoad(x_dtype, stage);
    StoreFn* store = FindStore(stage, y_dtype);
    StoreOptions options;
    options.dtype = y_dtype;
    W* wide = reinterpret_cast<W*>(c.scratch());
    for (int which = 0; which < 2; ++which) {
      const void* from = which == 0 ? scale : bias;
      if (from) FindLoad(y_dtype, stage)(from, 0, n, wide + which * n);
    }
    return c.ParallelFor(p.split.outer, 1, static_cast<double>(n) * 4, [&](int64_t begin, int64_t end, int worker) {
      W* row = wide + (2 + worker) * n;
      for (int64_t r = begin; r < end; ++r) {
        W row_mean, row_inv_std;
        load(x, r * n, n, row);
        NormalizeRow(row, n, epsilon, rms, &row_mean, &row_inv_std);
        if (mean) mean[r] = static_cast<float>(row_mean);
        if (inv_std) inv_std[r] = static_cast<float>(row_inv_std);
        if (scale) {
          for (int64_t i = 0; i < n; ++i) row[i] *= wide[i];
        }
        if (bias) {
          for (int64_t i = 0; i < n; ++i) row[i] += wide[n + i];
        }
        store(row, n, y, r * n, options);
      }
    });
  }
};

Status CheckBroadcastsTo(const Shape& shape, const Shape& x, const char* what) {
  if (!shape.has_rank() || !x.has_rank()) return Status();
  auto out = Broadcast(shape, x);
  bool grows = !out.ok() || out->rank() != x.rank();
  for (int d = 0; !grows && d < x.rank(); ++d) grows = IsKnownDim(x[d]) && IsKnownDim((*out)[d]) && x[d] != (*out)[d];
  if (grows) return InvalidModel(what, " of shape ", ToString(shape), " does not broadcast to ", ToString(x));
  return Status();
}

/// The shape of statistics: x's with 1 from `axis` on.
Shape StatisticsShape(const Shape& x, int axis) {
  Shape out = x;
  for (int d = axis; d < x.rank(); ++d) out[d] = 1;
  return out;
}

template <bool rms>
struct LayerNormalization {
  RowNorm norm;
  /// SimplifiedLayerNormalization's second output is the inverse of the root mean square.
  static constexpr int kInvStd = rms ? 1 : 2;

  Status Parse(const Node& node) {
    norm.rms = rms;
    LINNET_ASSIGN(norm.axis, node.Int("axis", -1));
    LINNET_ASSIGN(norm.epsilon, node.Float("epsilon", 1e-5f));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, rms ? 2 : 3));
    for (int i = 0; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, kAnyFloat));
    if (!rms) {
      for (int i = 1; i < c.input_count(); ++i) {
        if (c.has_input(i) && c.dtype(i) != c.dtype(0) && c.dtype(i) != DType::kUndefined && c.dtype(0) != DType::kUndefined) {
          return InvalidModel("input ", i, " is ", DTypeName(c.dtype(i)), " and X ", DTypeName(c.dtype(0)));
        }
      }
    }
    const Shape& x = c.shape(0);
    Shape statistics;
    if (x.has_rank()) {
      LINNET_ASSIGN(int at, NormalizeAxis(norm.axis, x.rank()));
      statistics = StatisticsShape(x, at);
      LINNET_TRY(CheckBroadcastsTo(c.shape(1), x, "Scale"));
      if (c.has_input(2)) LINNET_TRY(CheckBroadcastsTo(c.shape(2), x, "B"));
    }
    LINNET_TRY(c.SetOutput(0, rms ? c.dtype(1) : c.dtype(0), x));
    LINNET_TRY(c.SetOutput(1, DType::kFloat, statistics));
    return c.SetOutput(2, DType::kFloat, statistics);
  }

  Status Prepare(PrepareContext& c) {
    norm.Pick(c);
    return Status();
  }

  Status Bind(BindContext& c) const {
    return norm.Bind(c, 1, 2, rms ? c.dtype(1) : c.dtype(0), c.Params<RowNormParams>());
  }

  Status Run(RunContext& c) const {
    float* mean = !rms && c.has_output(1) ? c.out<float>(1) : nullptr;
    float* inv_std = c.has_output(kInvStd) ? c.out<float>(kInvStd) : nullptr;
    const RowNormParams& p = c.params<RowNormParams>();
    return norm.Run(c, p, c.input_dtype(0), c.input(0), nullptr, c.input(1), c.has_input(2) ? c.input(2) : nullptr,
                    RowNorm::Y(c, p), nullptr, mean, inv_std);
  }
};

/// Inputs: input, skip, gamma, (beta unless simplified), bias.
template <bool simplified>
struct SkipLayerNormalization {
  RowNorm norm;
  static constexpr int kBeta = simplified ? -1 : 3, kBias = simplified ? 3 : 4;

  Status Parse(const Node& node) {
    norm.rms = simplified;
    LINNET_ASSIGN(norm.epsilon, node.Float("epsilon", simplified ? 1e-6f : 1e-12f));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, kBias + 1));
    for (int i = 0; i < c.input_count(); ++i) {
      LINNET_TRY(c.CheckType(i, kTypes));
      if (i > 0 && c.has_input(i)) {
        LINNET_TRY(CheckBroadcastsTo(c.shape(i), c.shape(0), "an input"));
        if (c.dtype(i) != c.dtype(0) && c.dtype(i) != DType::kUndefined && c.dtype(0) != DType::kUndefined) {
          return InvalidModel("input ", i, " is ", DTypeName(c.dtype(i)), " and the first ", DTypeName(c.dtype(0)));
        }
      }
    }
    const Shape& x = c.shape(0);
    if (x.rank() == 0) return InvalidModel("input has rank 0");
    const Shape statistics = x.has_rank() ? StatisticsShape(x, x.rank() - 1) : Shape();
    LINNET_TRY(c.SetOutput(0, c.dtype(0), x));
    LINNET_TRY(c.SetOutput(1, DType::kFloat, statistics));
    LINNET_TRY(c.SetOutput(2, DType::kFloat, statistics));
    return c.SetOutput(3, c.dtype(0), x);
  }

  Status Prepare(PrepareContext& c) {
    norm.Pick(c);
    return Status();
  }

  Status Bind(BindContext& c) const {
    RowNormParams& p = *c.Params<RowNormParams>();
    LINNET_TRY(norm.Bind(c, 2, kBeta, c.dtype(0), &p));
    p.skip = Adding(c, 1);
    if (c.has_input(kBias)) p.skip_bias = Adding(c, kBias);
    return Status();
  }

  Status Run(RunContext& c) const {
    const RowNormParams& p = c.params<RowNormParams>();
    const DType dtype = c.input_dtype(0);
    const void* beta = !simplified && c.has_input(3) ? c.input(3) : nullptr;
    void* y = RowNorm::Y(c, p);
    void* sum = c.has_output(3) ? c.output(3) : nullptr;
    float* mean = c.has_output(1) && !simplified ? c.out<float>(1) : nullptr;
    float* inv_std = c.has_output(2) ? c.out<float>(2) : nullptr;
    if (dtype == DType::kFloat && !c.has_input(kBias) && c.input_shape(0) == c.input_shape(1)) {
      return norm.Run(c, p, dtype, c.input(0), c.input(1), c.input(2), beta, y, sum, mean, inv_std);
    }
    void* total = sum ? sum : y;
    const FloatFunction plus{norm.add};
    const void* in[kOperandsMax] = {c.input(0), c.input(1), nullptr};
    LINNET_TRY(RunElementwise(c, p.skip, &plus, total, in));
    if (c.has_input(kBias)) {
      const void* and_bias[kOperandsMax] = {total, c.input(kBias), nullptr};
      LINNET_TRY(RunElementwise(c, p.skip_bias, &plus, total, and_bias));
    }
    return norm.Run(c, p, dtype, total, nullptr, c.input(2), beta, y, nullptr, mean, inv_std);
  }

 private:
  static constexpr uint32_t kTypes = kAnyFloat & ~Mask(DType::kDouble);

  /// Input `i` added to something of the first one's shape.
  static ElementwiseParams Adding(const BindContext& c, int i) {
    ElementwiseParams step;
    const Shape shapes[2] = {c.shape(0), c.shape(i)};
    step.loop = MakeBroadcastLoop(c.shape(0), shapes);
    step.run = FloatRunFor(c.dtype(0));
    step.out_bytes = step.in_bytes[0] = step.in_bytes[1] = static_cast<int8_t>(DTypeBytes(c.dtype(0)));
    step.ns = 0.2f;
    return step;
  }
};

}  // namespace

LINNET_OP(LayerNormalization, 1, LayerNormalization<false>);
LINNET_OP(RMSNormalization, 23, LayerNormalization<true>);
LINNET_OP(SimplifiedLayerNormalization, 1, LayerNormalization<true>);
LINNET_MS_OP(SkipLayerNormalization, 1, SkipLayerNormalization<false>);
LINNET_MS_OP(SkipSimplifiedLayerNormalization, 1, SkipLayerNormalization<true>);

}  // namespace linnet
