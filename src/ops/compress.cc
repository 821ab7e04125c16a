// Compress: the slices along an axis (of the flattened input without one) whose condition is true.
//
// The condition may be shorter than the axis; what lies beyond it is dropped.
#include "ops/movement.h"

namespace linnet {
namespace {

struct Compress {
  int64_t axis = 0;
  bool flat = true;

  Status Parse(const Node& node) {
    flat = !node.Has("axis");
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    return Status();
  }
  static Result<int64_t> Chosen(const bool* condition, int64_t length, int64_t size) {
    int64_t count = 0;
    for (int64_t i = 0; i < length; ++i) {
      if (!condition[i]) continue;
      if (i >= size) return InvalidArgument("condition chooses position ", i, " of an axis of size ", size);
      ++count;
    }
    return count;
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kBool)));
    LINNET_TRY(c.CheckRank(1, 1));
    Shape out = flat ? Shape::OfRank(1) : c.shape(0);
    if (!out.has_rank()) return c.SetOutput(0, c.dtype(0), out);
    int at = 0;
    if (!flat) {
      LINNET_ASSIGN(at, NormalizeAxis(axis, out.rank()));
    }
    int64_t count = kUnknownDim;
    if (c.data(1) && c.shape(1).is_static() && c.shape(0).is_static()) {
      LINNET_ASSIGN(count, Chosen(c.data<bool>(1), c.shape(1)[0], flat ? c.shape(0).elements() : c.shape(0)[at]));
    }
    out[at] = count;
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Run(RunContext& c) const {
    const Shape& in = c.input_shape(0);
    const int at = flat ? 0 : static_cast<int>(axis < 0 ? axis + in.rank() : axis);
    const int64_t outer = flat ? 1 : in.Product(0, at), size = flat ? in.elements() : in[at];
    const int64_t inner = flat ? 1 : in.Product(at + 1, in.rank()), length = c.input_shape(1)[0];
    const bool* condition = c.in<bool>(1);
    LINNET_ASSIGN(int64_t count, Chosen(condition, length, size));
    Shape out = flat ? Shape::OfRank(1) : in;
    out[at] = count;
    LINNET_ASSIGN(void* memory, c.AllocateOutput(0, c.input_dtype(0), out));
    return ForWidth(c.input_dtype(0), [&]<class T>() {
      T* out = static_cast<T*>(memory);
      for (int64_t o = 0; o < outer; ++o) {
        for (int64_t i = 0; i < length; ++i) {
          if (!condition[i]) continue;
          CopyRun(out, c.in<T>(0) + (o * size + i) * inner, inner);
          out += inner;
        }
      }
      return Status();
    });
  }
};

}  // namespace

LINNET_OP(Compress, 9, Compress);

}  // namespace linnet
