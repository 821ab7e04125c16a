// Squeeze and Unsqueeze: dimensions of size one go or come.
//
// The axes are an attribute before version 13 and an input since.
#include "ops/movement.h"

namespace linnet {
namespace {

struct AxesParameter : ViewOfInput {
  bool from_attribute = false, attribute = false;
  std::vector<int64_t> axes;

  Status Parse(const Node& node) {
    from_attribute = node.version < 13;
    attribute = node.Has("axes");
    if (from_attribute) {
      LINNET_ASSIGN(axes, node.Ints("axes"));
    }
    return Status();
  }
  Status Check(InferContext& c, int required) const {
    LINNET_TRY(c.CheckInputs(required, from_attribute ? 1 : 2));
    LINNET_TRY(c.CheckType(0, kAnyType));
    return c.CheckType(1, Mask(DType::kInt64));
  }
  bool known(const InferContext& c) const { return from_attribute || c.KnowsInts(1); }
  Result<IntList> List(const InferContext& c) const {
    if (from_attribute) return IntList(axes);
    return IntList::OfInput(c, 1);
  }
  /// How many axes there are, or -1.
  int64_t Count(const InferContext& c) const {
    return c.shape(1).rank() == 1 && IsKnownDim(c.shape(1)[0]) ? c.shape(1)[0] : -1;
  }
};

struct Squeeze : AxesParameter {
  Status Infer(InferContext& c) const {
    LINNET_TRY(Check(c, 1));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    if (from_attribute ? !attribute : !c.has_input(1)) {
      Shape out = Shape::OfRank(0);
      for (int64_t dim : in) {
        if (!IsKnownDim(dim)) return c.SetOutput(0, c.dtype(0), Shape());
        if (dim != 1) out.Append(dim);
      }
      return c.SetOutput(0, c.dtype(0), out);
    }
    if (!known(c)) {
      int64_t count = Count(c);
      bool fits = count >= 0 && count <= in.rank();
      return c.SetOutput(0, c.dtype(0), fits ? Shape::OfRank(in.rank() - static_cast<int>(count)) : Shape());
    }
    LINNET_ASSIGN(IntList list, List(c));
    uint32_t gone = 0;
    for (int64_t i = 0; i < list.size(); ++i) {
      LINNET_ASSIGN(int axis, NormalizeAxis(list[i], in.rank()));
      gone |= uint32_t{1} << axis;
    }
    Shape out = Shape::OfRank(0);
    for (int i = 0; i < in.rank(); ++i) {
      if (!(gone >> i & 1)) {
        out.Append(in[i]);
      } else if (IsKnownDim(in[i]) && in[i] != 1) {
        return InvalidArgument("axis ", i, " of size ", in[i], " cannot be squeezed");
      }
    }
    return c.SetOutput(0, c.dtype(0), out);
  }
};
struct Unsqueeze : AxesParameter {
  Status Infer(InferContext& c) const {
    LINNET_TRY(Check(c, from_attribute ? 1 : 2));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    if (!known(c)) {
      int64_t count = Count(c);
      bool fits = count >= 0 && count <= kMaxRank - in.rank();
      return c.SetOutput(0, c.dtype(0), fits ? Shape::OfRank(in.rank() + static_cast<int>(count)) : Shape());
    }
    LINNET_ASSIGN(IntList list, List(c));
    int64_t rank = in.rank() + list.size();
    if (rank > kMaxRank) return Unsupported("rank ", rank, " is above the limit of ", kMaxRank);
    LINNET_ASSIGN(uint32_t added, AxisSet(list, static_cast<int>(rank)));
    Shape out = Shape::OfRank(0);
    for (int i = 0, from = 0; i < rank; ++i) out.Append(added >> i & 1 ? 1 : in[from++]);
    return c.SetOutput(0, c.dtype(0), out);
  }
};

}  // namespace

LINNET_OP(Squeeze, 1, Squeeze);
LINNET_OP(Unsqueeze, 1, Unsqueeze);

}  // namespace linnet
