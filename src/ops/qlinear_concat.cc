// QLinearConcat (com.microsoft, version 1): 8-bit tensors joined along attribute `axis`, each requantized by a table.
//
// Inputs Y_scale, Y_zero_point, then a triple tensor, scale, zero point for each part. Parts with the output's scale and zero
// point are copied.
#include <string.h>

#include "ops/axis_helpers.h"
#include "ops/byte_scale.h"
#include "ops/integer_product.h"
#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

struct QLinearConcat {
  int64_t axis = 0;

  LookUpBytesFn* look_up = nullptr;

  struct Bound {
    int axis = 0;
    int64_t outer = 1, inner = 1;   ///< runs of a part: its dimension `axis` times inner
  };

  Status Parse(const Node& node) {
    if (!node.Has("axis")) return InvalidModel("attribute axis is missing");
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    return Status();
  }

  static int Parts(const InferContext& c) { return (c.input_count() - 2) / 3; }

  Status Infer(InferContext& c) const {
    if (c.input_count() < 5 || (c.input_count() - 2) % 3 != 0) {
      return InvalidModel("there are ", c.input_count(), " inputs where a scale, a zero point and triples are expected");
    }
    LINNET_TRY(CheckByteScale(c, 0, 2));
    DType dtype = c.dtype(1);
    Shape y;
    for (int part = 0; part < Parts(c); ++part) {
      const int i = 2 + 3 * part;
      if (!c.has_input(i)) return InvalidModel("input ", i, " is missing");
      LINNET_TRY(c.CheckType(i, kByteTypes));
      LINNET_TRY(CheckSameType(c, {2, i}));
      LINNET_TRY(CheckByteScale(c, i + 1, 2));
      if (dtype == DType::kUndefined) dtype = c.dtype(i);
      const Shape& x = c.shape(i);
      if (!x.has_rank()) continue;
      LINNET_ASSIGN(const int a, NormalizeAxis(axis, x.rank()));
      if (!y.has_rank()) {
        y = x;
        if (part > 0) y[a] = kUnknownDim;
        continue;
      }
      if (y.rank() != x.rank()) return InvalidModel("inputs of shapes ", ToString(y), " and ", ToString(x), " are joined");
      for (int d = 0; d < x.rank(); ++d) {
        if (d == a) {
          y[d] = DimAdd(y[d], x[d]);
        } else if (!IsKnownDim(y[d])) {
          y[d] = x[d];
        } else if (IsKnownDim(x[d]) && x[d] != y[d]) {
          return InvalidModel("inputs of shapes ", ToString(y), " and ", ToString(x), " are joined along axis ", a);
        }
      }
    }
    for (int part = 0; part < Parts(c) && y.has_rank(); ++part) {   // one of unknown rank has any size
      if (!c.shape(2 + 3 * part).has_rank()) y[*NormalizeAxis(axis, y.rank())] = kUnknownDim;
    }
    return c.SetOutput(0, dtype, y);
  }

  Status Prepare(PrepareContext& c) {
    look_up = PickLookUpBytes(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape& y = c.output_shape(0);
    LINNET_ASSIGN(b.axis, NormalizeAxis(axis, y.rank()));
    b.outer = y.Product(0, b.axis);
    b.inner = y.Product(b.axis + 1, y.rank());
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    const DType dtype = c.output_dtype(0);
    const int64_t row = c.output_shape(0)[b.axis] * b.inner;
    LINNET_ASSIGN(const ByteScale out, ReadByteScale(c, 0, dtype));
    uint8_t* to = c.out<uint8_t>(0);
    for (int i = 2; i < c.input_count(); i += 3) {
      const int64_t run = c.input_shape(i)[b.axis] * b.inner;
      if (run == 0) continue;
      LINNET_ASSIGN(const ByteScale in, ReadByteScale(c, i + 1, dtype));
      const bool same = in.scale == out.scale && in.zero == out.zero;
      uint8_t table[256];
      if (!same) FillByteTable(dtype, in, out, table, [](float x) { return x; });
      const uint8_t* x = c.in<uint8_t>(i);
      LINNET_TRY(c.ParallelFor(b.outer, 1, static_cast<double>(run) * (same ? 0.05 : 0.5), [&](int64_t begin, int64_t end, int) {
        for (int64_t o = begin; o < end; ++o) {
          if (same) {
            CopyLong(to + o * row, x + o * run, static_cast<size_t>(run));
          } else {
            look_up(table, x + o * run, run, to + o * row);
          }
        }
      }));
      to += run;
    }
    return Status();
  }
};

}  // namespace

LINNET_MS_OP(QLinearConcat, 1, QLinearConcat);

}  // namespace linnet
