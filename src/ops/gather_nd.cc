// GatherND: slices of the data named by tuples of indices, after `batch_dims` shared leading axes.
#include <atomic>

#include "ops/index_tuples.h"

namespace linnet {
namespace {

struct GatherNd {
  int64_t batch_dims = 0;

  struct Params {
    IndexTuples tuples;
    int64_t tuples_per_batch, data_per_batch;
  };

  Status Parse(const Node& node) {
    if (node.version >= 12) {
      LINNET_ASSIGN(batch_dims, node.Int("batch_dims", 0));
    }
    if (batch_dims < 0 || batch_dims >= kMaxRank) return InvalidModel("attribute 'batch_dims' is ", batch_dims);
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    const Shape &data = c.shape(0), &indices = c.shape(1);
    if (!data.has_rank() || !indices.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    const int batch = static_cast<int>(batch_dims), last = indices.rank() - 1;
    if (last < 0 || batch > last || batch >= std::max(data.rank(), 1)) {
      return InvalidArgument("batch_dims ", batch, " does not fit data of rank ", data.rank(), " and indices of rank ", indices.rank());
    }
    if (!IsKnownDim(indices[last])) return c.SetOutput(0, c.dtype(0), Shape());
    const int64_t width = indices[last];
    if (width < 1 || batch + width > data.rank()) {
      return InvalidArgument("index tuples of ", width, " do not fit rank ", data.rank(), " after ", batch, " batch axes");
    }
    Shape out = Shape::OfRank(0);
    for (int i = 0; i < last; ++i) {
      if (i < batch && IsKnownDim(data[i]) && IsKnownDim(indices[i]) && data[i] != indices[i]) {
        return InvalidArgument("batch axis ", i, " is ", data[i], " in data and ", indices[i], " in indices");
      }
      out.Append(i < batch && !IsKnownDim(indices[i]) ? data[i] : indices[i]);
    }
    int rank = out.rank() + data.rank() - batch - static_cast<int>(width);
    if (rank > kMaxRank) return Unsupported("rank ", rank, " is above the limit of ", kMaxRank);
    for (int i = batch + static_cast<int>(width); i < data.rank(); ++i) out.Append(data[i]);
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Bind(BindContext& c) const {
    const Shape &data = c.shape(0), &indices = c.shape(1);
    const int batch = static_cast<int>(batch_dims);
    auto* p = c.Params<Params>();
    p->tuples.Set(data, indices, batch);
    p->tuples_per_batch = indices.Product(batch, indices.rank() - 1);
    p->data_per_batch = data.Product(batch, data.rank());
    return Status();
  }
  Status Run(RunContext& c) const {
    return ForWidth(c.input_dtype(0), [&]<class T>() { return Pick(c, c.params<Params>(), c.in<T>(0), c.out<T>(0)); });
  }
  template <class T>
  static Status Pick(RunContext& c, const Params& p, const T* data, T* out) {
    const IndexTuples& tuples = p.tuples;
    const int64_t* indices = c.in<int64_t>(1);
    if (tuples.count == 0 || tuples.slice == 0) return Status();
    std::atomic<bool> bad{false};
    double ns = 3 + 0.1 * static_cast<double>(sizeof(T)) * static_cast<double>(tuples.slice);
    LINNET_TRY(c.ParallelFor(tuples.count, 1, ns, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        int64_t offset = tuples.Offset(indices + i * tuples.width);
        if (offset < 0) {
          bad.store(true, std::memory_order_relaxed);
          return;
        }
        CopyRun(out + i * tuples.slice, data + i / p.tuples_per_batch * p.data_per_batch + offset, tuples.slice);
      }
    }));
    for (int64_t i = 0; bad && i < tuples.count; ++i) LINNET_TRY(tuples.Check(indices + i * tuples.width));
    return Status();
  }
};

}  // namespace

LINNET_OP(GatherND, 11, GatherNd);

}  // namespace linnet
