// MatMul: numpy.matmul. Vectors become a row or a column, leading dimensions broadcast.
//
// FusedMatMul (com.microsoft) adds alpha and transposition of the last two dimensions of either operand.
#include "ops/dense_helpers.h"
#include "ops/for_type.h"
#include "ops/precision.h"

namespace linnet {
namespace {

constexpr uint32_t kFloats = Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16);
constexpr uint32_t kPlain = Mask(DType::kDouble) | Mask(DType::kInt32) | Mask(DType::kInt64) | Mask(DType::kUint32) |
                            Mask(DType::kUint64);

struct MatMul {
  Dense dense;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(dense.reduce, ReducedFormat(node));
    if (node.op != "FusedMatMul") return Status();
    LINNET_ASSIGN(dense.alpha, node.Float("alpha", 1));
    LINNET_ASSIGN(int64_t transpose_x, node.Int("transA", 0));
    LINNET_ASSIGN(int64_t transpose_w, node.Int("transB", 0));
    dense.transpose_x = transpose_x != 0;
    dense.transpose_w = transpose_w != 0;
    for (const char* unsupported : {"transBatchA", "transBatchB"}) {
      LINNET_ASSIGN(int64_t flag, node.Int(unsupported, 0));
      if (flag != 0) return Unsupported("attribute '", unsupported, "'");
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    DType dtype = c.dtype(0);
    for (int i = 0; i < 2; ++i) LINNET_TRY(c.CheckType(i, dense.alpha == 1 ? kFloats | kPlain : kFloats));
    if (dtype == DType::kUndefined) dtype = c.dtype(1);
    if (c.dtype(1) != dtype && c.dtype(1) != DType::kUndefined) {
      return InvalidModel("inputs have different element types: ", DTypeName(dtype), " and ", DTypeName(c.dtype(1)));
    }
    LINNET_ASSIGN(Shape shape, MatMulShape(c.shape(0), dense.transpose_x, c.shape(1), dense.transpose_w));
    return c.SetOutput(0, dtype, shape);
  }

  Status Prepare(PrepareContext& c) { return dense.Prepare(c, 1); }

  Status Bind(BindContext& c) const {
    return dense.Bind(c, nullptr, false, c.Params<DenseParams>());
  }

  Status Run(RunContext& c) const {
    const DenseParams& p = c.params<DenseParams>();
    const DType dtype = c.output_dtype(0);
    if (!(Mask(dtype) & kFloats)) {
      if (p.batches * p.m * p.n == 0) return Status();
      return MultiplyPlain(c, dtype, p, dense.transpose_x && c.input_shape(0).rank() > 1,
                           dense.transpose_w && c.input_shape(1).rank() > 1, c.input(0), c.input(1), c.output(0));
    }
    return dense.Run(c, p, c.input(0), c.input(1), nullptr, nullptr, c.output(0));
  }
};

}  // namespace

LINNET_OP(MatMul, 1, MatMul);
LINNET_MS_OP(FusedMatMul, 1, MatMul);

}  // namespace linnet
