// Reshape and Flatten: the same elements under another shape.
//
// Reshape's target comes as an attribute before version 5. In it, 0 copies the input's dimension at that position
// (unless `allowzero`, since 14), and one -1 stands for what is left. Copied dimensions cancel on both sides before the
// rest is divided, so that the -1 is found although copied dimensions may be symbols, unknown, or zero.
#include "ops/movement.h"

namespace linnet {
namespace {

struct Reshape : ViewOfInput {
  bool from_attribute = false, allow_zero = false;
  std::vector<int64_t> target;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t zero, node.Int("allowzero", 0));
    allow_zero = zero != 0 && node.version >= 14;
    from_attribute = node.version < 5;
    if (from_attribute) {
      LINNET_ASSIGN(target, node.Ints("shape"));
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(from_attribute ? 1 : 2, from_attribute ? 1 : 2));
    LINNET_TRY(c.CheckType(0, kAnyType));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    if (!from_attribute && !c.KnowsInts(1)) {
      Shape unknown;
      if (c.shape(1).rank() == 1 && IsKnownDim(c.shape(1)[0])) {
        LINNET_TRY(CheckRankLimit(c.shape(1)[0]));
        unknown = Shape::OfRank(static_cast<int>(c.shape(1)[0]));
      }
      return c.SetOutput(0, c.dtype(0), unknown);
    }
    IntList list(target);
    if (!from_attribute) {
      LINNET_ASSIGN(list, IntList::OfInput(c, 1));
    }
    LINNET_ASSIGN(Shape out, Resolve(list, c.shape(0)));
    return c.SetOutput(0, c.dtype(0), out);
  }

  static Status CheckRankLimit(int64_t rank) {
    if (rank <= kMaxRank) return Status();
    return Unsupported("rank ", rank, " is above the limit of ", kMaxRank);
  }

  Result<Shape> Resolve(const IntList& list, const Shape& in) const {
    LINNET_TRY(CheckRankLimit(list.size()));
    Shape out = Shape::OfRank(static_cast<int>(list.size()));
    int rest = -1;                          // position of the -1
    bool zero_asked = false, zero_copied = false;
    uint32_t copied = 0;                    // input dimensions that cancel
    int64_t asked = 1;                      // product of the numbers in the target
    for (int i = 0; i < out.rank(); ++i) {
      int64_t dim = list[i];
      if (dim == -1) {
        if (rest >= 0) return InvalidArgument("two dimensions of the new shape are -1");
        rest = i;
      } else if (dim == 0 && !allow_zero) {
        if (!in.has_rank()) continue;
        if (i >= in.rank()) return InvalidArgument("dimension ", i, " of the new shape is 0, but the input has rank ", in.rank());
        out[i] = in[i];
        copied |= uint32_t{1} << i;
        zero_copied |= in[i] == 0;
      } else if (dim < 0) {
        return InvalidArgument("dimension ", i, " of the new shape is ", dim);
      } else {
        out[i] = dim;
        zero_asked |= dim == 0;
        if (!CheckedMul(asked, dim, &asked)) return LimitReached("the new shape has too many elements");
      }
    }
    if (zero_asked && rest >= 0) return InvalidArgument("the new shape has both 0 and -1");
    if (!in.has_rank()) return out;

    int64_t left = 1, symbol = 0;           // product of the input's numbers that do not cancel; the only other dimension
    int symbols = 0;
    for (int i = 0; i < in.rank(); ++i) {
      if (copied >> i & 1) continue;
      if (!IsKnownDim(in[i])) {
        ++symbols;
        symbol = in[i];
      } else if (!CheckedMul(left, in[i], &left)) {
        return LimitReached("shape ", ToString(in), " has too many elements");
      }
    }
    if (symbols == 0 && rest >= 0) {
      if (left % asked != 0) return Mismatch(in, list);
      out[rest] = left / asked;
    } else if (symbols == 0) {
      if (left != asked && !zero_copied) return Mismatch(in, list);
    } else if (symbols == 1 && rest >= 0 && left == asked) {
      out[rest] = symbol;
    } else if (left == 0 && rest >= 0) {
      out[rest] = 0;
    }
    return out;
  }

  static Status Mismatch(const Shape& in, const IntList& list) {
    std::string text;
    for (int64_t i = 0; i < list.size(); ++i) text += Cat(i ? "," : "", list[i]);
    return InvalidArgument("shape ", ToString(in), " cannot become [", text, "]: different numbers of elements");
  }
};
struct Flatten : ViewOfInput {
  int64_t axis = 1;
  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 1));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyType));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) return c.SetOutput(0, c.dtype(0), Shape::OfRank(2));
    if (axis < -in.rank() || axis > in.rank()) return InvalidModel("axis ", axis, " is outside rank ", in.rank());
    int64_t split = axis < 0 ? axis + in.rank() : axis, rows = 1, columns = 1;
    for (int i = 0; i < in.rank(); ++i) (i < split ? rows : columns) = DimMul(i < split ? rows : columns, in[i]);
    return c.SetOutput(0, c.dtype(0), {rows, columns});
  }
};

}  // namespace

LINNET_OP(Reshape, 1, Reshape);
LINNET_OP(Flatten, 1, Flatten);

}  // namespace linnet
