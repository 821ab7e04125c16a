// QGemm (com.microsoft, version 1): Gemm of 8-bit matrices.
//
//     Y = saturate(round(alpha a_scale b_scale / y_scale ((A' - a_zero) (B' - b_zero) + C)) + y_zero)
//
// Inputs A, a_scale, a_zero_point, B, b_scale, b_zero_point, C?, y_scale?, y_zero_point?. A' and B' are A and B, transposed
// where transA and transB say so; b's scale and zero point are one number or one per column; C is int32, one number or a row of
// them. Without y_scale and y_zero_point the result is float, neither divided nor rounded.
#include "ops/convert.h"
#include "ops/dense_helpers.h"
#include "ops/integer_product.h"
#include "ops/quantize_helpers.h"
#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

struct QGemm {
  enum Input { kA, kAScale, kAZero, kB, kBScale, kBZero, kC, kYScale, kYZero, kInputs };

  struct Bound {
    IntegerProductParams product;
    int64_t turned_at = -1, bias_at = 0;
  };

  IntegerProduct product;
  bool transpose_a = false;
  float alpha = 1;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(alpha, node.Float("alpha", 1));
    LINNET_ASSIGN(int64_t a, node.Int("transA", 0));
    LINNET_ASSIGN(int64_t b, node.Int("transB", 0));
    transpose_a = a != 0;
    product.transpose_b = b != 0;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kBScale + 1, kInputs));
    for (int i : {kA, kAZero, kB, kBZero, kYZero}) LINNET_TRY(c.CheckType(i, kByteTypes));
    for (int i : {kAScale, kBScale, kYScale}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    LINNET_TRY(c.CheckType(kC, Mask(DType::kInt32)));
    LINNET_TRY(CheckSameType(c, {kA, kAZero}));
    LINNET_TRY(CheckSameType(c, {kB, kBZero}));
    if (c.has_input(kYScale) != c.has_input(kYZero)) return InvalidModel("only one of y_scale and y_zero_point is given");
    for (int i : {kA, kB}) LINNET_TRY(c.CheckRank(i, 2));
    LINNET_ASSIGN(const Shape y, MatMulShape(c.shape(kA), transpose_a, c.shape(kB), product.transpose_b));
    const int64_t columns = y.has_rank() ? y[1] : kUnknownDim;
    for (int i : {kAScale, kAZero, kYScale, kYZero}) LINNET_TRY(CheckCount(c, i, 1));
    for (int i : {kBScale, kBZero}) LINNET_TRY(CheckCount(c, i, columns));
    if (c.has_input(kC) && c.shape(kC).is_static()) {
      const Shape& added = c.shape(kC);
      const int64_t last = added.rank() == 0 ? 1 : added[added.rank() - 1];
      if (added.rank() > 2 || (IsKnownDim(columns) && last != 1 && last != columns)) {
        return InvalidModel("C of shape ", ToString(added), " does not broadcast to ", ToString(y));
      }
      if (added.elements() != last) return Unsupported("C of shape ", ToString(added), ": only a row or one number is added");
    }
    return c.SetOutput(0, c.has_input(kYZero) ? c.dtype(kYZero) : DType::kFloat, y);
  }

  static Status CheckCount(const InferContext& c, int i, int64_t count) {
    if (!c.has_input(i) || !c.shape(i).is_static()) return Status();
    const int64_t have = c.shape(i).elements();
    if (have == 1 || !IsKnownDim(count) || have == count) return Status();
    return InvalidModel("input ", i, " has ", have, " elements where 1 or ", count, " are expected");
  }

  Status Prepare(PrepareContext& c) { return product.Prepare(c, kB); }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape& a = c.shape(kA);
    const Shape rows = transpose_a ? Shape{a[1], a[0]} : a;
    LINNET_ASSIGN(int64_t bytes, product.Plan(rows, c.shape(kB), c.threads(), 0, &b.product));
    b.bias_at = RoundUp(bytes, kAlignment);
    bytes = b.bias_at + RoundUp(c.output_shape(0)[1] * 4, kAlignment);
    if (transpose_a) {
      b.turned_at = bytes;
      bytes += RoundUp(a.elements(), kAlignment);
    }
    c.Scratch(bytes);
    return Status();
  }

  static int32_t ZeroOf(const RunContext& c, int i) {
    return c.has_input(i) ? static_cast<int32_t>(LoadInteger(c.input_dtype(i), c.input(i), 0)) : 0;
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    IntegerProduct::Operands o;
    o.a = c.input(kA), o.b = c.input(kB), o.y = c.output(0);
    o.a_signed = c.input_dtype(kA) == DType::kInt8, o.b_signed = c.input_dtype(kB) == DType::kInt8;
    o.a_zero = ZeroOf(c, kAZero);
    o.a_scale = alpha * *c.in<float>(kAScale);
    o.b_scale = {c.input(kBScale), DType::kFloat, c.input_shape(kBScale).elements()};
    if (c.has_input(kBZero)) o.b_zero = {c.input(kBZero), c.input_dtype(kBZero), c.input_shape(kBZero).elements()};
    if (transpose_a) {
      uint8_t* turned = reinterpret_cast<uint8_t*>(c.scratch() + b.turned_at);
      const int64_t m = b.product.m, k = b.product.k;
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t l = 0; l < k; ++l) turned[i * k + l] = c.in<uint8_t>(kA)[l * m + i];
      }
      o.a = turned;
    }
    if (c.has_input(kC)) {
      o.bias = c.in<int32_t>(kC);
      if (c.input_shape(kC).elements() == 1) {
        int32_t* all = reinterpret_cast<int32_t*>(c.scratch() + b.bias_at);
        std::fill_n(all, b.product.n, *c.in<int32_t>(kC));
        o.bias = all;
      }
    }
    o.finish.to = FinishInt8::To::kFloat;
    if (c.has_input(kYZero)) {
      const IntegerRange range = RangeOf(c.output_dtype(0));
      o.y_scale = *c.in<float>(kYScale);
      FinishBytes(c.output_dtype(0), ZeroOf(c, kYZero), range.low, range.high, &o.finish);
    }
    return product.Run(c, b.product, o);
  }
};

}  // namespace

LINNET_MS_OP(QGemm, 1, QGemm);

}  // namespace linnet
