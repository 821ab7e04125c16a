// StringConcat: strings put together element by element, with broadcasting.
#include "ops/movement.h"

namespace linnet {
namespace {

struct StringConcat {
  struct Params {
    StridedCopy x, y;      ///< walks of both inputs in the order of the output
  };

  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    for (int i = 0; i < 2; ++i) LINNET_TRY(c.CheckType(i, Mask(DType::kString)));
    LINNET_ASSIGN(Shape out, Broadcast(c.shape(0), c.shape(1)));
    return c.SetOutput(0, DType::kString, out);
  }
  Status Bind(BindContext& c) const {
    const Shape& out = c.output_shape(0);
    auto* p = c.Params<Params>();
    Strides to(out);
    for (int i = 0; i < 2; ++i) {
      const Shape& in = c.shape(i);
      Strides from(in);
      const int shift = out.rank() - in.rank();
      for (int d = 0; d < out.rank(); ++d) {
        const bool repeated = d < shift || in[d - shift] != out[d];
        (i == 0 ? p->x : p->y).Add(out[d], repeated ? 0 : from[d - shift], to[d]);
      }
    }
    return Status();
  }
  Status Run(RunContext& c) const {
    const auto& p = c.params<Params>();
    const auto *x = c.in<std::string>(0), *y = c.in<std::string>(1);
    auto* out = c.out<std::string>(0);
    return c.ParallelFor(c.output_shape(0).elements(), 64, 50, [&](int64_t begin, int64_t end, int) {
      Odometer at_x(p.x, p.x.loops, begin), at_y(p.y, p.y.loops, begin);
      for (int64_t i = begin; i < end; ++i, at_x.Next(), at_y.Next()) {
        std::string joined;
        joined.reserve(x[at_x.from].size() + y[at_y.from].size());
        joined += x[at_x.from];
        joined += y[at_y.from];
        out[i] = std::move(joined);
      }
    });
  }
};

}  // namespace

LINNET_OP(StringConcat, 20, StringConcat);

}  // namespace linnet
