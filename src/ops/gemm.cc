// Gemm: Y = alpha A' B' + beta C, A' and B' transposed on demand; and linnet:Gemm, what fusion makes of products.
//
// C broadcasts to Y; before version 7 it needs attribute `broadcast`, from 11 on it is optional. For integer types alpha
// and beta other than 1 are applied in double and the result truncated.
//
// linnet:Gemm: inputs x [..., K], w [K, N] (attribute transB: [N, K]), optional bias [N], optional residual (the output's
// shape); Y = activation(x w + bias + residual). Attributes: activation ("", "Relu", "Clip", "LeakyRelu", ...: names of
// kernels/epilogue.h without the k), alpha, beta: its parameters there.
#include "ops/activation_helpers.h"
#include "ops/dense_helpers.h"
#include "ops/for_type.h"
#include "ops/precision.h"

namespace linnet {
namespace {

constexpr uint32_t kFloats = Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16);
constexpr uint32_t kPlain = Mask(DType::kDouble) | Mask(DType::kInt32) | Mask(DType::kInt64) | Mask(DType::kUint32) |
                            Mask(DType::kUint64);

Status CheckSameTypes(const InferContext& c, uint32_t mask, DType* dtype) {
  *dtype = DType::kUndefined;
  for (int i = 0; i < c.input_count(); ++i) {
    if (!c.has_input(i)) continue;
    LINNET_TRY(c.CheckType(i, mask));
    if (*dtype == DType::kUndefined) *dtype = c.dtype(i);
    if (c.dtype(i) != DType::kUndefined && c.dtype(i) != *dtype) {
      return InvalidModel("inputs have different element types: ", DTypeName(*dtype), " and ", DTypeName(c.dtype(i)));
    }
  }
  return Status();
}

struct Gemm {
  Dense dense;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(dense.alpha, node.Float("alpha", 1));
    LINNET_ASSIGN(dense.beta, node.Float("beta", 1));
    LINNET_ASSIGN(int64_t transpose_a, node.Int("transA", 0));
    LINNET_ASSIGN(int64_t transpose_b, node.Int("transB", 0));
    LINNET_ASSIGN(dense.reduce, ReducedFormat(node));
    dense.transpose_x = transpose_a != 0;
    dense.transpose_w = transpose_b != 0;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 3));
    DType dtype;
    LINNET_TRY(CheckSameTypes(c, kFloats | kPlain, &dtype));
    LINNET_TRY(c.CheckRank(0, 2));
    LINNET_TRY(c.CheckRank(1, 2));
    const Shape &a = c.shape(0), &b = c.shape(1);
    Shape out = Shape::OfRank(2);
    if (a.has_rank()) out[0] = a[dense.transpose_x ? 1 : 0];
    if (b.has_rank()) out[1] = b[dense.transpose_w ? 0 : 1];
    if (a.has_rank() && b.has_rank()) {
      LINNET_ASSIGN(out, MatMulShape(a, dense.transpose_x, b, dense.transpose_w));
    }
    if (c.has_input(2) && c.shape(2).has_rank()) {
      LINNET_ASSIGN(Shape with_c, Broadcast(out, c.shape(2)));
      bool grows = with_c.rank() != 2;
      for (int d = 0; !grows && d < 2; ++d) grows = IsKnownDim(out[d]) && IsKnownDim(with_c[d]) && with_c[d] != out[d];
      if (grows) return InvalidModel("C of shape ", ToString(c.shape(2)), " does not broadcast to ", ToString(out));
    }
    return c.SetOutput(0, dtype, out);
  }

  Status Prepare(PrepareContext& c) { return dense.Prepare(c, 1); }

  Status Bind(BindContext& c) const {
    return dense.Bind(c, c.has_input(2) ? &c.shape(2) : nullptr, false, c.Params<DenseParams>());
  }

  Status Run(RunContext& c) const {
    const DenseParams& p = c.params<DenseParams>();
    const void* added = c.has_input(2) ? c.input(2) : nullptr;
    if (!(Mask(c.output_dtype(0)) & kPlain)) return dense.Run(c, p, c.input(0), c.input(1), nullptr, added, c.output(0));
    if (p.m * p.n == 0) return Status();
    LINNET_TRY(MultiplyPlain(c, c.output_dtype(0), p, dense.transpose_x, dense.transpose_w, c.input(0), c.input(1), c.output(0)));
    return ForType<kPlain>(c.output_dtype(0), [&]<class T>() {
      Combine(p, static_cast<const T*>(added), c.out<T>(0));
      return Status();
    });
  }

 private:
  template <class T>
  void Combine(const DenseParams& p, const T* added, T* y) const {
    const bool exact = std::is_integral_v<T> && dense.alpha == 1 && dense.beta == 1;
    int64_t row_step = p.c_row_step, column_step = p.c_column_step;
    if (p.added == DenseParams::Added::kRow) row_step = 0, column_step = 1;
    if (p.added == DenseParams::Added::kSame) row_step = p.n, column_step = 1;
    for (int64_t i = 0; i < p.m; ++i) {
      for (int64_t j = 0; j < p.n; ++j) {
        T& value = y[i * p.n + j];
        const T more = added ? added[i * row_step + j * column_step] : T{0};
        if (exact) {
          if constexpr (std::is_integral_v<T>) value = static_cast<T>(static_cast<Wrapping<T>>(value) + static_cast<Wrapping<T>>(more));
        } else {
          const double sum = static_cast<double>(dense.alpha) * static_cast<double>(value) +
                             (added ? static_cast<double>(dense.beta) * static_cast<double>(more) : 0.0);
          if constexpr (std::is_integral_v<T>) {
            value = SaturateTo<T>(sum);
          } else {
            value = sum;
          }
        }
      }
    }
  }
};

struct FusedGemm {
  Dense dense;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t transpose_b, node.Int("transB", 0));
    dense.transpose_w = transpose_b != 0;
    LINNET_ASSIGN(dense.reduce, ReducedFormat(node));
    LINNET_ASSIGN(std::string name, node.String("activation", ""));
    LINNET_ASSIGN(dense.activation, ActivationFromName(name));
    LINNET_ASSIGN(dense.activation_alpha, node.Float("alpha", 0));
    LINNET_ASSIGN(dense.activation_beta, node.Float("beta", 0));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 4));
    DType dtype;
    LINNET_TRY(CheckSameTypes(c, kFloats, &dtype));
    LINNET_TRY(c.CheckRank(1, 2));
    LINNET_ASSIGN(Shape out, MatMulShape(c.shape(0), false, c.shape(1), dense.transpose_w));
    if (c.shape(0).has_rank() && c.shape(0).rank() < 1) return InvalidModel("x has rank 0");
    if (c.has_input(2)) {
      LINNET_TRY(c.CheckRank(2, 1));
      if (out.has_rank() && c.shape(2).has_rank() && IsKnownDim(c.shape(2)[0]) && IsKnownDim(out[out.rank() - 1]) &&
          c.shape(2)[0] != out[out.rank() - 1]) {
        return InvalidModel("bias of ", c.shape(2)[0], " values for ", out[out.rank() - 1], " columns");
      }
    }
    if (c.has_input(3) && c.shape(3).is_static() && out.is_static() && !(c.shape(3) == out)) {
      return InvalidModel("residual of shape ", ToString(c.shape(3)), " where ", ToString(out), " is expected");
    }
    return c.SetOutput(0, dtype, out);
  }

  Status Prepare(PrepareContext& c) { return dense.Prepare(c, 1); }

  Status Bind(BindContext& c) const {
    if (c.has_input(3)) c.InPlace(0, 3);
    return dense.Bind(c, c.has_input(3) ? &c.shape(3) : nullptr, c.has_input(2), c.Params<DenseParams>());
  }

  Status Run(RunContext& c) const {
    return dense.Run(c, c.params<DenseParams>(), c.input(0), c.input(1), c.has_input(2) ? c.input(2) : nullptr,
                     c.has_input(3) ? c.input(3) : nullptr, c.output(0));
  }
};

}  // namespace

LINNET_OP(Gemm, 1, Gemm);
LINNET_INTERNAL_OP(Gemm, 1, FusedGemm);

}  // namespace linnet
