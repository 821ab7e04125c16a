// Expand and Tile: a tensor repeated along its axes, by broadcasting or end to end.
//
// Expand broadcasts the input and the asked shape against each other, so a 1 in the asked shape keeps the input's
// dimension. Tile repeats every axis; version 1 repeats one axis and takes its numbers as scalars.
#include "ops/movement.h"

namespace linnet {
namespace {

struct Expand : CopyOfInput {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    const Shape& in = c.shape(0);
    if (!c.KnowsInts(1)) {
      Shape out;
      if (in.has_rank() && c.shape(1).rank() == 1 && IsKnownDim(c.shape(1)[0]) && c.shape(1)[0] <= kMaxRank) {
        out = Shape::OfRank(std::max(in.rank(), static_cast<int>(c.shape(1)[0])));
      }
      return c.SetOutput(0, c.dtype(0), out);
    }
    LINNET_ASSIGN(IntList list, IntList::OfInput(c, 1));
    if (list.size() > kMaxRank) return Unsupported("rank ", list.size(), " is above the limit of ", kMaxRank);
    Shape asked = Shape::OfRank(static_cast<int>(list.size()));
    for (int i = 0; i < asked.rank(); ++i) {
      if (list[i] < 0) return InvalidArgument("dimension ", i, " of the asked shape is ", list[i]);
      asked[i] = list[i];
    }
    LINNET_ASSIGN(Shape out, Broadcast(in, asked));
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Bind(BindContext& c) const {
    const Shape &in = c.shape(0), &out = c.output_shape(0);
    Strides from(in), to(out);
    auto* copy = c.Params<StridedCopy>();
    const int shift = out.rank() - in.rank();
    for (int i = 0; i < out.rank(); ++i) {
      bool repeated = i < shift || in[i - shift] != out[i];
      copy->Add(out[i], repeated ? 0 : from[i - shift], to[i]);
    }
    Finish(c, copy);
    return Status();
  }
};

struct Tile : CopyOfInput {
  bool one_axis = false;   ///< version 1

  Status Parse(const Node& node) {
    one_axis = node.version < 6;
    return Status();
  }
  bool known(const InferContext& c) const {
    for (int i = 1; i < c.input_count(); ++i) {
      if (!c.data(i) || !c.shape(i).is_static()) return false;
    }
    return true;
  }
  /// How often axis i repeats.
  Result<int64_t> Repeats(const InferContext& c, int i, int rank) const {
    int64_t repeats = 1;
    if (one_axis) {
      LINNET_ASSIGN(int64_t asked, IntegerAt(c.fact(2), 0));
      LINNET_ASSIGN(int axis, NormalizeAxis(asked, rank));
      if (axis != i) return repeats;
    }
    LINNET_ASSIGN(repeats, IntegerAt(c.fact(1), one_axis ? 0 : i));
    if (repeats < 0) return InvalidArgument("axis ", i, " is asked to repeat ", repeats, " times");
    return repeats;
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(one_axis ? 3 : 2, one_axis ? 3 : 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    for (int i = 1; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, kAnyNumber));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) return c.SetOutput(0, c.dtype(0), in);
    Shape out = Shape::OfRank(in.rank());
    if (!known(c)) return c.SetOutput(0, c.dtype(0), out);
    for (int i = 1; i < c.input_count(); ++i) {
      if (c.shape(i).elements() != (one_axis ? 1 : in.rank())) {
        return InvalidArgument("input ", i, " has ", c.shape(i).elements(), " numbers for a tensor of rank ", in.rank());
      }
    }
    for (int i = 0; i < in.rank(); ++i) {
      LINNET_ASSIGN(int64_t repeats, Repeats(c, i, in.rank()));
      out[i] = DimMul(in[i], repeats);
      if (IsKnownDim(in[i]) && out[i] == kUnknownDim) return LimitReached("axis ", i, " of ", in[i], " repeated ", repeats, " times is too large");
    }
    return c.SetOutput(0, c.dtype(0), out);
  }
  Status Bind(BindContext& c) const {
    const Shape &in = c.shape(0), &out = c.output_shape(0);
    Strides from(in), to(out);
    auto* copy = c.Params<StridedCopy>();
    for (int i = 0; i < in.rank(); ++i) {
      LINNET_ASSIGN(int64_t repeats, Repeats(c, i, in.rank()));
      copy->Add(repeats, 0, to[i] * in[i]);
      copy->Add(in[i], from[i], to[i]);
    }
    Finish(c, copy);
    return Status();
  }
};

}  // namespace

LINNET_OP(Expand, 8, Expand);
LINNET_OP(Tile, 1, Tile);

}  // namespace linnet
