// linnet:QLinearLayerNormalization: LayerNormalization between DequantizeLinear and QuantizeLinear, a few rows of floats at a time.
//
// Inputs X, X_scale, X_zero_point, Scale, Y_scale, Y_zero_point, B?: X and the output are bytes, Scale and B floats, one for each element of a
// row. Attributes axis (-1) and epsilon (1e-5) are LayerNormalization's, and the bits those of the three operators.
#include <algorithm>

#include "kernels/convert.h"
#include "kernels/normalize.h"
#include "ops/axis_helpers.h"
#include "ops/byte_scale.h"
#include "ops/integer_product.h"

namespace linnet {
namespace {

struct QLinearLayerNormalization {
  static constexpr int kScale = 3, kOut = 4, kBias = 6;
  int64_t axis = -1;
  float epsilon = 1e-5f;
  NormRowsFn* normalize = nullptr;
  DequantizeFn* widen[2] = {};   ///< unsigned, signed bytes
  QuantizeFn* narrow[2] = {};

  struct Bound {
    int64_t rows = 0, n = 0, together = 1;   ///< rows that are floats at a time
    int64_t worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", -1));
    LINNET_ASSIGN(epsilon, node.Float("epsilon", 1e-5f));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kBias, kBias + 1));
    LINNET_TRY(c.CheckType(0, kByteTypes));
    for (int scale : {1, kOut}) LINNET_TRY(CheckByteScale(c, scale, 0));
    for (int i : {kScale, kBias}) {
      if (c.has_input(i)) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    }
    const Shape& x = c.shape(0);
    if (x.has_rank()) {
      LINNET_ASSIGN(const int at, NormalizeAxis(axis, x.rank()));
      const int64_t n = x.is_static() ? x.Product(at, x.rank()) : kUnknownDim;
      for (int i : {kScale, kBias}) {
        if (!c.has_input(i) || !c.shape(i).is_static() || n < 0 || c.shape(i).elements() == n) continue;
        return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)), " where ", n, " numbers are expected");
      }
    }
    return c.SetOutput(0, c.dtype(0), x);
  }

  Status Prepare(PrepareContext& c) {
    normalize = PickLayerNorm(c.cpu());
    for (bool is_signed : {false, true}) {
      const DType type = is_signed ? DType::kInt8 : DType::kUint8;
      widen[is_signed] = PickDequantize(type, c.cpu());
      narrow[is_signed] = PickQuantize(type, c.cpu());
    }
    return Status();
  }

  Status Bind(BindContext& c) const {
    constexpr int64_t kFloats = 4096;   // of a block, which stays in a first-level cache
    Bound& b = *c.Params<Bound>();
    const AxisSplit split = SplitFrom(c.shape(0), static_cast<int>(axis < 0 ? axis + c.shape(0).rank() : axis));
    b.rows = split.outer, b.n = split.n;
    if (c.shape(0).elements() == 0) return Status();
    b.together = std::clamp<int64_t>(kFloats / b.n, 1, b.rows);
    if (!CheckedMul(b.together * b.n, int64_t{4}, &b.worker_bytes) || b.worker_bytes > INT64_MAX / (2 * c.threads())) {
      return LimitReached("rows of ", b.n, " elements are too long");
    }
    b.worker_bytes = RoundUp(b.worker_bytes, kAlignment);
    c.Scratch(b.worker_bytes * c.threads());
    c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (c.output_shape(0).elements() == 0) return Status();
    const DType type = c.input_dtype(0);
    const bool is_signed = type == DType::kInt8;
    LINNET_ASSIGN(const ByteScale in, ReadByteScale(c, 1, type));
    LINNET_ASSIGN(const ByteScale out, ReadByteScale(c, kOut, type));
    return c.ParallelFor(b.rows, b.together, static_cast<double>(b.n) * 0.8, [&](int64_t begin, int64_t end, int worker) {
      NormRowsArgs args;
      float* floats = reinterpret_cast<float*>(c.scratch() + worker * b.worker_bytes);
      args.x = args.out = floats;
      args.scale = c.in<float>(kScale);
      args.bias = c.has_input(kBias) ? c.in<float>(kBias) : nullptr;
      args.n = b.n, args.epsilon = epsilon;
      for (int64_t row = begin; row < end; row += args.rows) {
        args.rows = std::min(b.together, end - row);
        widen[is_signed](c.in<uint8_t>(0) + row * b.n, floats, args.rows * b.n, in.scale, in.zero);
        normalize(args);
        narrow[is_signed](floats, c.out<uint8_t>(0) + row * b.n, args.rows * b.n, out.scale, out.zero);
      }
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(QLinearLayerNormalization, 1, QLinearLayerNormalization);

}  // namespace linnet
