// OneHot: a new axis of size `depth` that holds values[1] at each index and values[0] elsewhere.
//
// Since version 11 an index in [-depth, 0) counts from the end; before, and outside the range, nothing is marked.
#include "ops/movement.h"

namespace linnet {
namespace {

struct OneHot {
  int64_t axis = -1;
  bool wraps = true;

  struct Params {
    int64_t outer, depth, inner;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", -1));
    wraps = node.version >= 11;
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    LINNET_TRY(c.CheckType(0, kAnyNumber & ~Mask(DType::kBfloat16)));
    LINNET_TRY(c.CheckType(1, kAnyNumber & ~Mask(DType::kBfloat16)));
    LINNET_TRY(c.CheckType(2, kWholeBytes));
    if (c.shape(2).is_static() && c.shape(2).elements() != 2) {
      return InvalidArgument("values has shape ", ToString(c.shape(2)), " where two elements are expected");
    }
    const Shape& indices = c.shape(0);
    if (!indices.has_rank()) return c.SetOutput(0, c.dtype(2), Shape());
    if (indices.rank() == kMaxRank) return Unsupported("rank ", kMaxRank + 1, " is above the limit of ", kMaxRank);
    LINNET_ASSIGN(int at, NormalizeAxis(axis, indices.rank() + 1));
    int64_t depth = kUnknownDim;
    if (c.data(1) && c.shape(1).is_static()) {
      if (c.shape(1).elements() != 1) return InvalidArgument("depth has shape ", ToString(c.shape(1)), " where a scalar is expected");
      LINNET_ASSIGN(depth, IntegerAt(c.fact(1), 0));
      if (depth < 0) return InvalidArgument("depth is ", depth);
    }
    Shape out = Shape::OfRank(0);
    for (int i = 0; i < at; ++i) out.Append(indices[i]);
    out.Append(depth);
    for (int i = at; i < indices.rank(); ++i) out.Append(indices[i]);
    return c.SetOutput(0, c.dtype(2), out);
  }
  Status Bind(BindContext& c) const {
    const Shape& out = c.output_shape(0);
    int at = static_cast<int>(axis < 0 ? axis + out.rank() : axis);
    auto* p = c.Params<Params>();
    *p = {out.Product(0, at), out[at], out.Product(at + 1, out.rank())};
    return Status();
  }
  Status Run(RunContext& c) const {
    const auto& p = c.params<Params>();
    const Fact indices = c.input_fact(0);
    return ForWidth(c.output_dtype(0), [&]<class T>() -> Status {
      const T *values = c.in<T>(2), off = values[0], on = values[1];
      T* out = c.out<T>(0);
      std::fill_n(out, c.output_shape(0).elements(), off);
      for (int64_t o = 0; o < p.outer; ++o) {
        for (int64_t i = 0; i < p.inner; ++i) {
          LINNET_ASSIGN(int64_t index, IntegerAt(indices, o * p.inner + i));
          if (wraps && index < 0) index += p.depth;
          if (index >= 0 && index < p.depth) out[(o * p.depth + index) * p.inner + i] = on;
        }
      }
      return Status();
    });
  }
};

}  // namespace

LINNET_OP(OneHot, 9, OneHot);

}  // namespace linnet
