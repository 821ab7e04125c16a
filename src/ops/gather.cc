// Gather: slices of the data picked by index along one axis.
//
//     out[outer][k][inner] = data[outer][indices[k]][inner]
//
// Indices count from the end when negative; one outside the axis is an error. A single index that is known when the
// plan is made, on the outermost axis, is a view.
#include "ops/movement.h"

namespace linnet {
namespace {

struct Gather {
  int64_t axis = 0;

  struct Params {
    int64_t outer, size, inner, count;
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
    if (!data.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    LINNET_ASSIGN(int at, NormalizeAxis(axis, data.rank()));
    if (!indices.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    int rank = data.rank() - 1 + indices.rank();
    if (rank > kMaxRank) return Unsupported("rank ", rank, " is above the limit of ", kMaxRank);
    Shape out = Shape::OfRank(0);
    for (int i = 0; i < at; ++i) out.Append(data[i]);
    for (int64_t dim : indices) out.Append(dim);
    for (int i = at + 1; i < data.rank(); ++i) out.Append(data[i]);
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Bind(BindContext& c) const {
    const Shape& data = c.shape(0);
    int at = static_cast<int>(axis < 0 ? axis + data.rank() : axis);
    auto* p = c.Params<Params>();
    p->outer = data.Product(0, at);
    p->size = data[at];
    p->inner = data.Product(at + 1, data.rank());
    p->count = c.shape(1).elements();
    // A view must be aligned, which contents in a .onnx file need not be.
    const bool aligned = reinterpret_cast<uintptr_t>(c.data(0)) % std::max<size_t>(1, DTypeBytes(c.dtype(0))) == 0;
    if (p->outer == 1 && p->count == 1 && c.data(1) && aligned) {
      LINNET_ASSIGN(int64_t index, IntegerAt(c.fact(1), 0));
      LINNET_TRY(CheckIndices(&index, 1, p->size, at));
      if (index < 0) index += p->size;
      c.Alias(0, 0, index * p->inner * static_cast<int64_t>(DTypeBytes(c.dtype(0))));
    }
    return Status();
  }
  Status Run(RunContext& c) const {
    return ForIndices(c.input_dtype(1), [&]<class T>() { return RunIndexed(c, c.in<T>(1)); });
  }
  template <class Index>
  Status RunIndexed(RunContext& c, const Index* indices) const {
    const auto& p = c.params<Params>();
    LINNET_TRY(CheckIndices(indices, p.count, p.size, static_cast<int>(axis < 0 ? axis + c.input_shape(0).rank() : axis)));
    return ForWidth(c.input_dtype(0), [&]<class T>() { return Pick(c, p, c.in<T>(0), indices, c.out<T>(0)); });
  }
  template <class T, class Index>
  static Status Pick(RunContext& c, const Params& p, const T* data, const Index* indices, T* out) {
    double ns = 1.5 + 0.1 * static_cast<double>(sizeof(T)) * static_cast<double>(p.inner);
    return c.ParallelFor(p.outer * p.count, 1, ns, [&](int64_t begin, int64_t end, int) {
      while (begin < end) {
        int64_t k = begin % p.count;
        const T* from = data + begin / p.count * p.size * p.inner;
        int64_t stop = std::min(end, begin - k + p.count);
        for (; begin < stop; ++begin, ++k) {
          int64_t index = indices[k] < 0 ? indices[k] + p.size : indices[k];
          if (p.inner == 1) {
            CopyRun(out + begin, from + index, 1);
          } else {
            CopyRun(out + begin * p.inner, from + index * p.inner, p.inner);
          }
        }
      }
    });
  }
};

}  // namespace

LINNET_OP(Gather, 1, Gather);

}  // namespace linnet
