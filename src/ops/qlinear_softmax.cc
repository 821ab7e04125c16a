// QLinearSoftmax (com.microsoft, version 1): Softmax of an 8-bit tensor by a table of exponentials.
//
// Inputs X, X_scale, x_zero_point?, y_scale, y_zero_point. Attribute opset says which Softmax is meant: from 13 on along `axis`
// (default -1), before over all dimensions from `axis` (default 1) on as one. Differences of bytes are whole, so that
// exp(x_scale (x - max)) has 256 values. They are summed as whole numbers of 2^-24, so that the order does not matter.
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
  QSoftmaxFn* rows[2] = {};   ///< unsigned, signed

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

  Status Prepare(PrepareContext& c) {
    for (bool is_signed : {false, true}) rows[is_signed] = PickQSoftmax(is_signed, c.cpu());
    return Status();
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
    QSoftmaxArgs args;
    args.out = out;
    for (int i = 0; i < 256; ++i) {
      const double power = std::exp(-static_cast<double>(in.scale) * i);
      args.real[i] = static_cast<float>(power);
      args.whole[i] = static_cast<uint32_t>(power * (1 << 24) + 0.5);
    }
    return ForType<kByteTypes>(c.input_dtype(0), [&]<class T>() -> Status {
      return c.ParallelFor(b.rows, 1, static_cast<double>(b.length), [&](int64_t begin, int64_t end, int) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t at = row / b.inner * b.length * b.inner + row % b.inner;
          const T* x = c.in<T>(0) + at;
          T* y = c.out<T>(0) + at;
          b.inner == 1 ? rows[std::is_signed_v<T>](args, x, b.length, y) : Column(args, x, b.length, b.inner, y);
        }
      });
    });
  }

 private:
  /// The same of numbers that are `step` apart.
  template <class T>
  static void Column(const QSoftmaxArgs& args, const T* x, int64_t n, int64_t step, T* y) {
    int most = *x;
    for (int64_t i = 0; i < n; ++i) most = std::max<int>(most, x[i * step]);
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += args.whole[most - x[i * step]];
    const float scale = args.ScaleOf(sum);
    const ByteScale steps{1, args.out.zero};
    for (int64_t i = 0; i < n; ++i) y[i * step] = StoredAs<T>(steps, args.real[most - x[i * step]] * scale);
  }
};

}  // namespace

LINNET_MS_OP(QLinearSoftmax, 1, QLinearSoftmax);

}  // namespace linnet
