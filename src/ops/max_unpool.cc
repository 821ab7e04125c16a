// MaxUnpool: puts the maxima of a MaxPool back to where they came from, zeros elsewhere (versions 9, 11, 22).
//
// Indices count over the whole tensor that kernel_shape, strides and pads imply. A larger output_shape only adds zeros
// behind it: an index keeps its row and column.
#include "ops/for_type.h"
#include "ops/window_helpers.h"

namespace linnet {
namespace {

struct MaxUnpool {
  WindowAttributes window;

  Status Parse(const Node& node) {
    LINNET_TRY(window.Parse(node));
    if (window.kernel_shape.empty()) return InvalidModel("attribute kernel_shape is missing");
    return Status();
  }

  /// The shape that indices refer to.
  Result<Shape> Implied(const Shape& x) const {
    if (x.rank() != window.rank() + 2) {
      return InvalidModel("attributes are for ", window.rank(), " spatial dimensions, the input has shape ", ToString(x));
    }
    Shape y = x;
    for (int i = 0; i < window.rank(); ++i) {
      size_t k = static_cast<size_t>(i);
      if (!IsKnownDim(x[2 + i])) {
        y[2 + i] = kUnknownDim;
        continue;
      }
      int64_t pads = window.pads.empty() ? 0 : window.pads[k] + window.pads[k + static_cast<size_t>(window.rank())];
      int64_t stride = window.strides.empty() ? 1 : window.strides[k];
      y[2 + i] = x[2 + i] == 0 ? 0 : (x[2 + i] - 1) * stride - pads + window.kernel_shape[k];
      if (y[2 + i] < 0) return InvalidModel("padding leaves ", y[2 + i], " elements in spatial dimension ", i);
    }
    LINNET_TRY(CheckShape(y));
    return y;
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 3));
    LINNET_TRY(c.CheckType(0, kAnyNumber));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckType(2, Mask(DType::kInt64)));
    const Shape &x = c.shape(0), &indices = c.shape(1);
    if (x.is_static() && indices.is_static() && !(x == indices)) {
      return InvalidModel("input and indices have shapes ", ToString(x), " and ", ToString(indices));
    }
    Shape y = Shape::OfRank(window.rank() + 2);
    if (x.has_rank()) {
      LINNET_ASSIGN(y, Implied(x));
    }
    if (!c.has_input(2)) return c.SetOutput(0, c.dtype(0), y);
    if (!c.KnowsInts(2)) return c.SetOutput(0, c.dtype(0), Shape::OfRank(y.rank()));
    LINNET_ASSIGN(InferContext::SmallInts dims, c.ReadInts(2));
    if (dims.count != y.rank()) return InvalidModel("output_shape has ", dims.count, " numbers where ", y.rank(), " are expected");
    for (int i = 0; i < dims.count; ++i) {
      if (dims[i] < 0 || dims[i] > kDimMax || (IsKnownDim(y[i]) && dims[i] < y[i])) {
        return InvalidModel("output_shape has ", dims[i], " where at least ", y[i], " is needed");
      }
      y[i] = dims[i];
    }
    return c.SetOutput(0, c.dtype(0), y);
  }

  Status Run(RunContext& c) const {
    LINNET_ASSIGN(const Shape from, Implied(c.input_shape(0)));
    const Shape& y = c.output_shape(0);
    const bool same = from == y;
    const int64_t count = c.input_shape(0).elements(), room = from.elements();
    return ForType<kAnyNumber>(c.input_dtype(0), [&]<class T>() -> Status {
      T* out = c.out<T>(0);
      const int64_t total = y.elements();
      for (int64_t i = 0; i < total; ++i) out[i] = T();
      for (int64_t i = 0; i < count; ++i) {
        int64_t index = c.in<int64_t>(1)[i];
        if (index < 0 || index >= room) return InvalidArgument("index ", index, " at ", i, " is outside ", room, " elements");
        out[same ? index : Move(index, from, y)] = c.in<T>(0)[i];
      }
      return Status();
    });
  }

  /// The number in `to` of the element that has number `index` in `from`.
  static int64_t Move(int64_t index, const Shape& from, const Shape& to) {
    int64_t out = 0, stride = 1;
    for (int i = from.rank() - 1; i >= 0; --i) {
      out += index % from[i] * stride;
      index /= from[i];
      stride *= to[i];
    }
    return out;
  }
};

}  // namespace

LINNET_OP(MaxUnpool, 9, MaxUnpool);

}  // namespace linnet
