// AffineGrid: the positions (for GridSample) of an affine transformation of an image (version 20).
//
// theta is [N, 2, 3] or [N, 3, 4]; size lists the image's dimensions [N, C, (D,) H, W]; the output is [N, (D,) H, W, 2 or 3]
// with x first. Positions run from -1 to 1 over the corners' centres (align_corners) or outer edges. A dimension of size
// 1 with align_corners is at 0.
#include "ops/scalar_helpers.h"

#include "ops/op.h"

namespace linnet {
namespace {

struct AffineGrid {
  bool align_corners = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t align, node.Int("align_corners", 0));
    align_corners = align != 0;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckRank(0, 3));
    LINNET_TRY(c.CheckRank(1, 1));
    const Shape &theta = c.shape(0), &size = c.shape(1);
    int64_t length = size.has_rank() && IsKnownDim(size[0]) ? size[0] : theta.has_rank() ? DimAdd(theta[1], 2) : kUnknownDim;
    if (!IsKnownDim(length)) return c.SetOutput(0, c.dtype(0), Shape());
    if (length != 4 && length != 5) return InvalidModel("size has ", length, " numbers; 4 or 5 are expected");
    const int spatial = static_cast<int>(length) - 2;
    if (theta.has_rank()) {
      const int64_t wanted[] = {spatial, spatial + 1};
      for (int i = 0; i < 2; ++i) {
        if (IsKnownDim(theta[1 + i]) && theta[1 + i] != wanted[i]) {
          return InvalidModel("theta has shape ", ToString(theta), " where [N,", spatial, ",", spatial + 1, "] is expected");
        }
      }
    }
    Shape y = Shape::OfRank(spatial + 2);
    if (theta.has_rank()) y[0] = theta[0];
    y[spatial + 1] = spatial;
    if (c.KnowsInts(1)) {
      LINNET_ASSIGN(InferContext::SmallInts dims, c.ReadInts(1));
      for (int i = 0; i < dims.count; ++i) {
        if (dims[i] < 0 || dims[i] > kDimMax) return InvalidModel("size has ", dims[i]);
      }
      if (IsKnownDim(y[0]) && y[0] != dims[0]) return InvalidModel("theta has a batch of ", y[0], ", size one of ", dims[0]);
      y[0] = dims[0];
      for (int i = 0; i < spatial; ++i) y[1 + i] = dims[2 + i];
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  double Position(int64_t i, int64_t n) const {
    if (align_corners) return n == 1 ? 0 : -1 + 2 * static_cast<double>(i) / static_cast<double>(n - 1);
    return (2 * static_cast<double>(i) + 1) / static_cast<double>(n) - 1;
  }

  Status Run(RunContext& c) const {
    const Shape y = c.output_shape(0);
    if (y.elements() == 0) return Status();
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      const int n = y.rank() - 2;
      const int64_t points = y.Product(1, y.rank() - 1);
      return c.ParallelFor(y[0] * points, 1, 10, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const T* theta = c.in<T>(0) + i / points * n * (n + 1);
          T* to = c.out<T>(0) + i * n;
          double at[4];
          int64_t rest = i % points;
          for (int d = n - 1; d >= 0; --d) {
            at[n - 1 - d] = Position(rest % y[1 + d], y[1 + d]);   // x is the last dimension
            rest /= y[1 + d];
          }
          at[n] = 1;
          for (int r = 0; r < n; ++r) {
            double sum = 0;
            for (int k = 0; k <= n; ++k) sum += static_cast<double>(Widen(theta[r * (n + 1) + k])) * at[k];
            to[r] = Narrow<T>(sum);
          }
        }
      });
    });
  }
};

}  // namespace

LINNET_OP(AffineGrid, 20, AffineGrid);

}  // namespace linnet
