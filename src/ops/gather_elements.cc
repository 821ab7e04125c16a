// GatherElements: for every index its element, e.g. along axis 1 of a matrix out[i][j] = data[i][indices[i][j]].
//
// `indices` may be smaller than `data` on the other axes, as in the operator's model, torch.gather.
#include "ops/movement.h"

namespace linnet {
namespace {

struct GatherElements {
  int64_t axis = 0;

  struct Params {
    int64_t rows, row;           ///< index rows: the last axis
    int64_t size, step;          ///< of the axis in data
    int64_t column_step;         ///< data elements between neighbours of a row; 0 when the row runs along the axis
    StridedCopy walk;            ///< over the rows, from = data offsets; the axis itself stands still
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt32) | Mask(DType::kInt64)));
    const Shape &data = c.shape(0), &indices = c.shape(1);
    if (data.has_rank() && indices.has_rank()) {
      LINNET_TRY(c.CheckRank(1, data.rank()));
      LINNET_ASSIGN(int at, NormalizeAxis(axis, data.rank()));
      for (int i = 0; i < data.rank(); ++i) {
        if (i != at && IsKnownDim(data[i]) && indices[i] > data[i]) {
          return InvalidArgument("indices of shape ", ToString(indices), " exceed data of shape ", ToString(data));
        }
      }
    }
    return c.SetOutput(0, c.dtype(0), indices);
  }
  Status Bind(BindContext& c) const {
    const Shape &data = c.shape(0), &indices = c.shape(1);
    const int rank = data.rank(), at = static_cast<int>(axis < 0 ? axis + rank : axis);
    Strides from(data), to(indices);
    auto* p = c.Params<Params>();
    p->row = indices[rank - 1];
    p->rows = indices.Product(0, rank - 1);
    p->size = data[at];
    p->step = from[at];
    p->column_step = at == rank - 1 ? 0 : 1;
    for (int i = 0; i < rank - 1; ++i) p->walk.Add(indices[i], i == at ? 0 : from[i], to[i]);
    return Status();
  }
  Status Run(RunContext& c) const {
    return ForIndices(c.input_dtype(1), [&]<class T>() { return RunIndexed(c, c.in<T>(1)); });
  }
  template <class Index>
  Status RunIndexed(RunContext& c, const Index* indices) const {
    const auto& p = c.params<Params>();
    if (p.rows == 0 || p.row == 0) return Status();
    const int rank = c.input_shape(0).rank();
    LINNET_TRY(CheckIndices(indices, p.rows * p.row, p.size, static_cast<int>(axis < 0 ? axis + rank : axis)));
    return ForWidth(c.input_dtype(0), [&]<class T>() {
      const T* data = c.in<T>(0);
      T* out = c.out<T>(0);
      return c.ParallelFor(p.rows, 1, 1.5 * static_cast<double>(p.row), [&](int64_t begin, int64_t end, int) {
        Odometer at(p.walk, p.walk.loops, begin);
        for (int64_t r = begin; r < end; ++r, at.Next()) {
          const Index* index = indices + r * p.row;
          const T* from = data + at.from;
          for (int64_t j = 0; j < p.row; ++j) {
            out[r * p.row + j] = from[(index[j] < 0 ? index[j] + p.size : index[j]) * p.step + j * p.column_step];
          }
        }
      });
    });
  }
};

}  // namespace

LINNET_OP(GatherElements, 11, GatherElements);

}  // namespace linnet
