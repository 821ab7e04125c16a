// ScatterND: a copy of the data with slices, named by tuples of indices, replaced or reduced into; in index order.
#include "ops/index_tuples.h"
#include "ops/scatter_reduction.h"

namespace linnet {
namespace {

struct ScatterNd {
  ScatterReduction reduction = ScatterReduction::kNone;

  /// Updates that lie one after the other in the output too: slices that constant indices name, as those of x[:, ::2] = y.
  struct StretchOf {
    int64_t to, count;   ///< elements
  };
  struct Params {
    IndexTuples tuples;
    int64_t stretch_count = 0;   ///< 0: the tuples are looked at in the run
    const StretchOf* stretches = nullptr;
  };

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
    Params* p = c.Params<Params>();
    p->tuples.Set(c.shape(0), c.shape(1), 0);
    c.InPlace(0, 0);
    const int64_t* indices = static_cast<const int64_t*>(c.data(1));
    return indices && p->tuples.slice > 0 ? FindStretches(c, indices, p) : Status();
  }
  /// Where they are a quarter as many as tuples at most. A tuple that is outside is the run's to tell of.
  static Status FindStretches(BindContext& c, const int64_t* indices, Params* p) {
    const IndexTuples& tuples = p->tuples;
    auto walk = [&](StretchOf* out) -> int64_t {
      int64_t found = 0, next = -1;
      for (int64_t i = 0; i < tuples.count; ++i) {
        const int64_t offset = tuples.Offset(indices + i * tuples.width);
        if (offset < 0) return 0;
        if (offset != next) {
          if (out) out[found] = {offset, 0};
          ++found;
        }
        if (out) out[found - 1].count += tuples.slice;
        next = offset + tuples.slice;
      }
      return found;
    };
    const int64_t found = walk(nullptr);
    if (found == 0 || found * 4 > tuples.count) return Status();
    StretchOf* out = c.Table<StretchOf>(found);
    if (!out) return OutOfMemory("no memory for ", found, " stretches");
    walk(out);
    p->stretches = out, p->stretch_count = found;
    return Status();
  }
  Status Run(RunContext& c) const {
    const auto& p = c.params<Params>();
    const IndexTuples& tuples = p.tuples;
    const int64_t* indices = c.in<int64_t>(1);
    CopyElements(c.input_dtype(0), c.output(0), c.input(0), c.input_shape(0).elements());
    return ForReduction(reduction, c.input_dtype(0), [&]<class T>(auto apply) {
      const T* updates = c.in<T>(2);
      auto set = [&](T* to, const T* from, int64_t count) {
        if (reduction == ScatterReduction::kNone) return CopyRun(to, from, count);
        for (int64_t k = 0; k < count; ++k) apply(to[k], from[k]);
      };
      for (int64_t i = 0; i < p.stretch_count; updates += p.stretches[i++].count) {
        set(c.out<T>(0) + p.stretches[i].to, updates, p.stretches[i].count);
      }
      if (p.stretch_count > 0) return Status();
      for (int64_t i = 0; i < tuples.count; ++i) {
        int64_t offset = tuples.Offset(indices + i * tuples.width);
        if (offset < 0) return tuples.Check(indices + i * tuples.width);
        set(c.out<T>(0) + offset, updates + i * tuples.slice, tuples.slice);
        if (i % 1024 == 1023) LINNET_TRY(c.CheckStop());
      }
      return Status();
    });
  }
};

}  // namespace

LINNET_OP(ScatterND, 11, ScatterNd);

}  // namespace linnet
