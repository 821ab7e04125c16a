// ScatterElements and its older name Scatter: a copy of the data with single elements replaced, or reduced into.
//
// Updates along the axis are applied in order; other positions never meet, so work is split over them.
#include "ops/scatter_reduction.h"

namespace linnet {
namespace {

struct ScatterElements {
  int64_t axis = 0;
  ScatterReduction reduction = ScatterReduction::kNone;

  struct Params {
    int64_t lines;               ///< lines of updates along the axis
    int64_t length;              ///< updates in a line
    int64_t size, step;          ///< of the axis in data
    int64_t update_step;         ///< of the axis in updates
    StridedCopy walk;            ///< over the lines: from = updates, to = data
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    if (node.version >= 16) {
      LINNET_ASSIGN(reduction, ParseScatterReduction(node));
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt32) | Mask(DType::kInt64)));
    if (c.dtype(0) != DType::kUndefined) LINNET_TRY(c.CheckType(2, Mask(c.dtype(0))));
    const Shape &data = c.shape(0), &indices = c.shape(1), &updates = c.shape(2);
    if (data.has_rank()) {
      LINNET_ASSIGN(int at, NormalizeAxis(axis, data.rank()));
      LINNET_TRY(c.CheckRank(1, data.rank()));
      LINNET_TRY(c.CheckRank(2, data.rank()));
      for (int i = 0; i < data.rank() && indices.has_rank(); ++i) {
        if (i != at && IsKnownDim(data[i]) && indices[i] > data[i]) {
          return InvalidArgument("indices of shape ", ToString(indices), " exceed data of shape ", ToString(data));
        }
        if (updates.has_rank() && IsKnownDim(updates[i]) && IsKnownDim(indices[i]) && updates[i] != indices[i]) {
          return InvalidArgument("updates of shape ", ToString(updates), " do not match indices of shape ", ToString(indices));
        }
      }
    }
    return c.SetOutput(0, c.dtype(0), data);
  }
  Status Bind(BindContext& c) const {
    const Shape &data = c.shape(0), &updates = c.shape(2);
    const int rank = data.rank(), at = static_cast<int>(axis < 0 ? axis + rank : axis);
    Strides from(updates), to(data);
    auto* p = c.Params<Params>();
    p->length = updates[at];
    p->size = data[at];
    p->step = to[at];
    p->update_step = from[at];
    p->lines = 1;
    for (int i = 0; i < rank; ++i) {
      if (i == at) continue;
      p->lines *= updates[i];
      p->walk.Add(updates[i], from[i], to[i]);
    }
    c.InPlace(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    return ForIndices(c.input_dtype(1), [&]<class T>() { return RunIndexed(c, c.in<T>(1)); });
  }
  template <class Index>
  Status RunIndexed(RunContext& c, const Index* indices) const {
    const auto& p = c.params<Params>();
    LINNET_TRY(CheckIndices(indices, p.lines * p.length, p.size,
                            static_cast<int>(axis < 0 ? axis + c.input_shape(0).rank() : axis)));
    CopyElements(c.input_dtype(0), c.output(0), c.input(0), c.input_shape(0).elements());
    if (p.lines == 0) return Status();
    return ForReduction(reduction, c.input_dtype(0), [&]<class T>(auto apply) {
      const T* updates = c.in<T>(2);
      T* out = c.out<T>(0);
      return c.ParallelFor(p.lines, 1, 2.0 * static_cast<double>(p.length), [&](int64_t begin, int64_t end, int) {
        Odometer at(p.walk, p.walk.loops, begin);
        for (int64_t line = begin; line < end; ++line, at.Next()) {
          for (int64_t k = 0; k < p.length; ++k) {
            int64_t from = at.from + k * p.update_step, index = indices[from];
            apply(out[at.to + (index < 0 ? index + p.size : index) * p.step], updates[from]);
          }
        }
      });
    });
  }
};

}  // namespace

LINNET_OP(Scatter, 9, ScatterElements);
LINNET_OP(ScatterElements, 11, ScatterElements);

}  // namespace linnet
