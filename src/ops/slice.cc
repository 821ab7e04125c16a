// Slice: start:end:step along some axes, with numpy's rules for negative and far-away bounds.
//
// Attributes without steps before version 10, inputs since. A slice that is contiguous in the input is a view.
#include "ops/movement.h"

namespace linnet {
namespace {

/// One axis after clamping: `count` elements from `start`, `step` apart.
struct Bounds {
  int64_t start, step, count;
};

Bounds Clamp(int64_t start, int64_t end, int64_t step, int64_t dim) {
  if (dim == 0) return {0, 1, 0};
  step = std::clamp<int64_t>(step, -kDimMax, kDimMax);
  if (start < 0) start += dim;
  if (end < 0) end += dim;
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
  start = std::clamp<int64_t>(start, 0, high);
  end = std::clamp<int64_t>(end, low, high);
  int64_t count = std::max<int64_t>(0, step > 0 ? DivUp(end - start, step) : DivUp(start - end, -step));
  return {start, count > 1 ? step : 1, count};
}

struct Slice : CopyOfInput {
  bool from_attributes = false, axes_attribute = false;
  std::vector<int64_t> starts, ends, axes;

  Status Parse(const Node& node) {
    from_attributes = node.version < 10;
    if (!from_attributes) return Status();
    LINNET_ASSIGN(starts, node.Ints("starts"));
    LINNET_ASSIGN(ends, node.Ints("ends"));
    LINNET_ASSIGN(axes, node.Ints("axes"));
    axes_attribute = node.Has("axes");
    return Status();
  }
  bool HasAxes(const InferContext& c) const { return from_attributes ? axes_attribute : c.has_input(3); }

  /// The slices of an input of rank `rank`: dimension by dimension, in f(axis, start, end, step).
  template <class F>
  Status ForEach(const InferContext& c, int rank, F&& f) const {
    const bool has_axes = HasAxes(c), has_steps = c.has_input(4);
    IntList start(starts), end(ends), axis(axes), step;
    if (!from_attributes) {
      LINNET_ASSIGN(start, IntList::OfInput(c, 1));
      LINNET_ASSIGN(end, IntList::OfInput(c, 2));
      if (has_axes) {
        LINNET_ASSIGN(axis, IntList::OfInput(c, 3));
      }
      if (has_steps) {
        LINNET_ASSIGN(step, IntList::OfInput(c, 4));
      }
    }
    int64_t count = start.size();
    if (end.size() != count || (has_axes && axis.size() != count) || (has_steps && step.size() != count)) {
      return InvalidArgument("starts, ends, axes and steps have different lengths");
    }
    if (count > rank) return InvalidArgument("slices ", count, " axes of a tensor of rank ", rank);
    uint32_t seen = 0;
    for (int64_t i = 0; i < count; ++i) {
      int at = static_cast<int>(i);
      if (has_axes) {
        LINNET_ASSIGN(at, NormalizeAxis(axis[i], rank));
      }
      if (seen >> at & 1) return InvalidArgument("axis ", at, " is sliced twice");
      seen |= uint32_t{1} << at;
      int64_t by = has_steps ? step[i] : 1;
      if (by == 0) return InvalidArgument("step of axis ", at, " is 0");
      f(at, start[i], end[i], by);
    }
    return Status();
  }
  bool KnowsBounds(const InferContext& c) const {
    return from_attributes || (c.KnowsInts(1) && c.KnowsInts(2) && (!c.has_input(3) || c.KnowsInts(3)) && (!c.has_input(4) || c.KnowsInts(4)));
  }
  /// Makes the dimensions unknown that are sliced by bounds not known yet.
  Status Blur(const InferContext& c, Shape& out) const {
    if (c.KnowsInts(3)) {
      LINNET_ASSIGN(IntList axis, IntList::OfInput(c, 3));
      for (int64_t i = 0; i < axis.size(); ++i) {
        LINNET_ASSIGN(int at, NormalizeAxis(axis[i], out.rank()));
        out[at] = kUnknownDim;
      }
      return Status();
    }
    int64_t sliced = out.rank();
    if (!c.has_input(3) && c.shape(1).rank() == 1 && IsKnownDim(c.shape(1)[0])) sliced = std::min(sliced, c.shape(1)[0]);
    for (int i = 0; i < sliced; ++i) out[i] = kUnknownDim;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(from_attributes ? 1 : 3, from_attributes ? 1 : 5));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    for (int i = 1; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, Mask(DType::kInt32) | Mask(DType::kInt64)));
    Shape out = c.shape(0);
    if (!out.has_rank()) return c.SetOutput(0, c.dtype(0), out);
    if (!KnowsBounds(c)) {
      LINNET_TRY(Blur(c, out));
    } else {
      LINNET_TRY(ForEach(c, out.rank(), [&](int at, int64_t start, int64_t end, int64_t step) {
        if (IsKnownDim(out[at])) {
          out[at] = Clamp(start, end, step, out[at]).count;
        } else if (start != 0 || step != 1 || end < kDimMax) {
          out[at] = kUnknownDim;
        }
      }));
    }
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Bind(BindContext& c) const {
    const Shape& in = c.shape(0);
    const Shape& out = c.output_shape(0);
    Bounds bounds[kMaxRank];
    for (int i = 0; i < in.rank(); ++i) bounds[i] = {0, 1, in[i]};
    LINNET_TRY(ForEach(c, in.rank(), [&](int at, int64_t start, int64_t end, int64_t step) {
      bounds[at] = Clamp(start, end, step, in[at]);
    }));
    Strides from(in), to(out);
    auto* copy = c.Params<StridedCopy>();
    for (int i = 0; i < in.rank(); ++i) {
      copy->from_offset += bounds[i].start * from[i];
      copy->Add(bounds[i].count, bounds[i].step * from[i], to[i]);
    }
    Finish(c, copy);
    return Status();
  }
};

}  // namespace

LINNET_OP(Slice, 1, Slice);

}  // namespace linnet
