// ScatterND: a copy of the data with slices, named by tuples of indices, replaced or reduced into; in index order.
#include "ops/index_tuples.h"
#include "ops/scatter_reduction.h"

namespace linnet {
namespace {

struct ScatterNd {
  ScatterReduction reduction = ScatterReduction::kNone;

  Status Parse(const Node& node) {
    if (node.version >= 16) {
      LINNET_ASSIGN(reduction, ParseScatterReduction(node));
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    if (c.dtype(0) != DType::kUndefined) LINNET_TRY(c.CheckType(2, Mask(c.dtype(0))));
    LINNET_TRY(CheckShapes(c.shape(0), c.shape(1), c.shape(2)));
    return c.SetOutput(0, c.dtype(0), c.shape(0));
  }
  static Status CheckShapes(const Shape& data, const Shape& indices, const Shape& updates) {
    if (!data.has_rank() || !indices.has_rank()) return Status();
    const int last = indices.rank() - 1;
    if (data.rank() < 1 || last < 0) return InvalidArgument("data and indices need a rank of 1 or more");
    if (!IsKnownDim(indices[last])) return Status();
    const int64_t width = indices[last];
    if (width > data.rank()) return InvalidArgument("index tuples of ", width, " do not fit rank ", data.rank());
    if (!updates.has_rank()) return Status();
    bool fits = updates.rank() == last + data.rank() - width;
    for (int i = 0; fits && i < updates.rank(); ++i) {
      int64_t expected = i < last ? indices[i] : data[i - last + static_cast<int>(width)];
      fits = !IsKnownDim(expected) || !IsKnownDim(updates[i]) || expected == updates[i];
    }
    if (fits) return Status();
    return InvalidArgument("updates of shape ", ToString(updates), " do not match data of shape ", ToString(data),
                           " and indices of shape ", ToString(indices));
  }
  Status Bind(BindContext& c) const {
    c.Params<IndexTuples>()->Set(c.shape(0), c.shape(1), 0);
    c.InPlace(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    const auto& tuples = c.params<IndexTuples>();
    const int64_t* indices = c.in<int64_t>(1);
    CopyElements(c.input_dtype(0), c.output(0), c.input(0), c.input_shape(0).elements());
    return ForReduction(reduction, c.input_dtype(0), [&]<class T>(auto apply) {
      const T* updates = c.in<T>(2);
      for (int64_t i = 0; i < tuples.count; ++i) {
        int64_t offset = tuples.Offset(indices + i * tuples.width);
        if (offset < 0) return tuples.Check(indices + i * tuples.width);
        T* to = c.out<T>(0) + offset;
        if (reduction == ScatterReduction::kNone) {
          CopyRun(to, updates + i * tuples.slice, tuples.slice);
        } else {
          for (int64_t k = 0; k < tuples.slice; ++k) apply(to[k], updates[i * tuples.slice + k]);
        }
        if (i % 1024 == 1023) LINNET_TRY(c.CheckStop());
      }
      return Status();
    });
  }
};

}  // namespace

LINNET_OP(ScatterND, 11, ScatterNd);

}  // namespace linnet
