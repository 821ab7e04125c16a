// Split: a tensor cut into pieces along one axis; the inverse of Concat.
//
// The sizes come as an attribute before version 13, as an input since (and in version 1); without them the pieces are
// equal. Since 18 `num_outputs` asks for equal pieces of which the last may be smaller.
// Pieces that are contiguous in the input are views.
#include "ops/movement.h"
#include "ops/row_parts.h"

namespace linnet {
namespace {

struct Split {
  static constexpr int64_t kBlockBytes = 16 << 10;
  int64_t axis = 0;
  int32_t parts = 0;
  bool uneven = false;      ///< the last of equal pieces may be smaller
  bool from_attribute = false;
  std::vector<int64_t> sizes;

  struct Params {
    int64_t rows, row;
    const int64_t* start;   ///< where output i starts in an input row; one more entry than outputs
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 0));
    parts = static_cast<int32_t>(node.outputs.size());
    if (parts == 0) return InvalidModel("has no outputs");
    from_attribute = node.version < 13 && node.Has("split");
    if (from_attribute) {
      LINNET_ASSIGN(sizes, node.Ints("split"));
    }
    if (from_attribute && sizes.size() != static_cast<size_t>(parts)) {
      return InvalidModel("attribute 'split' has ", sizes.size(), " sizes for ", parts, " outputs");
    }
    uneven = node.version >= 18;
    if (uneven && node.Has("num_outputs")) {
      LINNET_ASSIGN(int64_t asked, node.Int("num_outputs", 0));
      if (asked != parts) return InvalidModel("attribute 'num_outputs' is ", asked, " where the node has ", parts, " outputs");
    }
    return Status();
  }

  /// Size of piece i of an axis of `dim`: known sizes, or equal pieces.
  Result<int64_t> Piece(const InferContext& c, int i, int64_t dim) const {
    if (from_attribute) return sizes[static_cast<size_t>(i)];
    if (c.has_input(1)) {
      if (!c.data(1) || !c.shape(1).is_static()) return parts == 1 ? dim : kUnknownDim;
      return IntegerAt(c.fact(1), i);
    }
    if (parts == 1) return dim;
    if (!IsKnownDim(dim)) return kUnknownDim;
    if (!uneven && dim % parts != 0) return InvalidArgument("axis of size ", dim, " does not split into ", parts, " equal parts");
    int64_t piece = DivUp(dim, parts);
    return std::clamp<int64_t>(dim - piece * i, 0, piece);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    if (c.has_input(1) && c.data(1) && c.shape(1).is_static() && c.shape(1).elements() != parts) {
      return InvalidArgument("split lists ", c.shape(1).elements(), " sizes for ", parts, " outputs");
    }
    Shape out = c.shape(0);
    int at = 0;
    int64_t dim = kUnknownDim;
    if (out.has_rank()) {
      LINNET_ASSIGN(at, NormalizeAxis(axis, out.rank()));
      dim = out[at];
    }
    int64_t sum = 0;
    for (int i = 0; i < parts; ++i) {
      LINNET_ASSIGN(int64_t piece, Piece(c, i, dim));
      if (piece < 0 && (from_attribute || (c.has_input(1) && c.data(1)))) {
        return InvalidArgument("size ", piece, " of output ", i, " is negative");
      }
      sum = sum < 0 ? sum : IsKnownDim(piece) ? (CheckedAdd(sum, piece, &sum) ? sum : INT64_MAX) : kUnknownDim;
      if (out.has_rank()) out[at] = piece;
      LINNET_TRY(c.SetOutput(i, c.dtype(0), out));
    }
    if (IsKnownDim(dim) && sum >= 0 && sum != dim) {
      return InvalidArgument("sizes of the outputs sum to ", sum, " where the axis has ", dim);
    }
    return Status();
  }
  Status Bind(BindContext& c) const {
    const Shape& in = c.shape(0);
    int at = static_cast<int>(axis < 0 ? axis + in.rank() : axis);
    auto* p = c.Params<Params>();
    auto* start = c.Table<int64_t>(parts + 1);
    if (!start) return OutOfMemory("no memory for ", parts, " offsets");
    p->rows = in.Product(0, at);
    p->row = in.Product(at, in.rank());
    p->start = start;
    start[0] = 0;
    for (int i = 0; i < parts; ++i) {
      LINNET_ASSIGN(int64_t piece, Piece(c, i, in[at]));
      start[i + 1] = start[i] + piece * in.Product(at + 1, in.rank());
    }
    if (p->rows == 1 && parts <= BindContext::kAliasesMax) {
      for (int i = 0; i < parts; ++i) c.Alias(i, 0, start[i] * static_cast<int64_t>(DTypeBytes(c.dtype(0))));
    }
    return Status();
  }
  Status Run(RunContext& c) const {
    return ForWidth(c.input_dtype(0), [&]<class T>() { return Cut(c, c.params<Params>(), c.in<T>(0)); });
  }

  template <class T>
  Status Cut(RunContext& c, const Params& p, const T* in) const {
    if (p.rows == 0 || p.row == 0) return Status();
    double ns = 0.1 * sizeof(T) + 4.0 * parts / static_cast<double>(p.row);
    auto pieces = [&](int64_t begin, int64_t end) {
      ForRowParts(p.start, p.row, begin, end, [&](int i, int64_t to, int64_t from, int64_t count) {
        if (c.has_output(i)) CopyRun(c.out<T>(i) + to, in + from, count);
      });
    };
    return c.ParallelFor(p.rows * p.row, 256, ns, [&](int64_t begin, int64_t end, int) {
      if constexpr (std::is_same_v<T, std::string>) return pieces(begin, end);
      // Whole rows part by part, a block at a time that stays in the first-level cache; pieces of rows at both ends.
      const int64_t row0 = DivUp(begin, p.row), row1 = std::max(row0, end / p.row);
      pieces(begin, std::min(end, row0 * p.row));
      const int64_t block = std::max<int64_t>(1, kBlockBytes / (p.row * static_cast<int64_t>(sizeof(T))));
      for (int64_t row = row0; row < row1; row += block) {
        for (int i = 0; i < parts; ++i) {
          const int64_t length = p.start[i + 1] - p.start[i], bytes = length * static_cast<int64_t>(sizeof(T));
          if (bytes == 0 || !c.has_output(i)) continue;
          CopyRows(in + row * p.row + p.start[i], p.row * static_cast<int64_t>(sizeof(T)), c.out<T>(i) + row * length, bytes, bytes,
                   std::min(block, row1 - row));
        }
      }
      pieces(std::max(begin, row1 * p.row), end);
    });
  }
};

}  // namespace

LINNET_OP(Split, 1, Split);

}  // namespace linnet
