// QLinearSoftmax (com.microsoft, version 1): Softmax of an 8-bit tensor by a table of exponentials.
//
// Inputs X, X_scale, x_zero_point?, y_scale, y_zero_point. Attribute opset says which Softmax is meant: from 13 on along `axis`
// (default -1), before over all dimensions from `axis` (default 1) on as one. Differences of bytes are whole, so that
// exp(x_scale (x - max)) has 256 values.
#include <cmath>

#include "ops/axis_helpers.h"
#include "ops/byte_scale.h"
#include "ops/for_type.h"
#include "ops/integer_product.h"
#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

struct QLinearSoftmax {
  int64_t axis = -1;
  bool flat = false;

  struct Bound {
    int64_t rows = 0, length = 1, inner = 1;   ///< element l of row (o, i) at (o * length + l) * inner + i
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t opset, node.Int("opset", 13));
    flat = opset < 13;
    LINNET_ASSIGN(axis, node.Int("axis", flat ? 1 : -1));
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(5, 5));
    LINNET_TRY(c.CheckType(0, kByteTypes));
    LINNET_TRY(CheckByteScale(c, 1, 0));
    LINNET_TRY(CheckByteScale(c, 3, 0));
    if (c.shape(0).has_rank()) LINNET_TRY(AxisOf(c.shape(0)).TakeStatus());
    return c.SetOutput(0, c.dtype(0), c.shape(0));
  }

  /// The axis, or the first of them; a flat one may be the rank.
  Result<int> AxisOf(const Shape& x) const {
    if (flat && axis == x.rank()) return x.rank();
    return NormalizeAxis(axis, x.rank());
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape& x = c.shape(0);
    LINNET_ASSIGN(const int a, AxisOf(x));
    b.length = flat ? x.Product(a, x.rank()) : x[a];
    b.inner = flat ? 1 : x.Product(a + 1, x.rank());
    b.rows = b.length == 0 ? 0 : x.elements() / b.length;
    c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if (b.rows == 0) return Status();
    LINNET_ASSIGN(const ByteScale in, ReadByteScale(c, 1, c.input_dtype(0)));
    LINNET_ASSIGN(const ByteScale out, ReadByteScale(c, 3, c.input_dtype(0)));
    float powers[256];   // of how far a byte is below the largest
    for (int i = 0; i < 256; ++i) powers[i] = std::exp(-in.scale * static_cast<float>(i));
    return ForType<kByteTypes>(c.input_dtype(0), [&]<class T>() -> Status {
      return c.ParallelFor(b.rows, 1, static_cast<double>(b.length) * 4, [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t at = row / b.inner * b.length * b.inner + row % b.inner;
          const T* x = c.in<T>(0) + at;
          T* y = c.out<T>(0) + at;
          int most = *x;
          for (int64_t l = 0; l < b.length; ++l) most = std::max<int>(most, x[l * b.inner]);
          double sum = 0;
          for (int64_t l = 0; l < b.length; ++l) sum += static_cast<double>(powers[most - x[l * b.inner]]);
          T table[256];
          bool known[256] = {};
          for (int64_t l = 0; l < b.length; ++l) {
            const int below = most - x[l * b.inner];
            if (!known[below]) {
              known[below] = true;
              table[below] = StoredAs<T>(out, static_cast<float>(static_cast<double>(powers[below]) / sum));
            }
            y[l * b.inner] = table[below];
          }
        }
      });
    });
  }
};

}  // namespace

LINNET_MS_OP(QLinearSoftmax, 1, QLinearSoftmax);

}  // namespace linnet
