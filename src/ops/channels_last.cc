// ToChannelsLast and ToChannelsFirst: N C S... to N S... C and back, for images of any rank.
//
// The resolve pass puts these around image operators; the layout pass moves and cancels them. Where one channel or one
// pixel makes the two layouts the same bytes, they are views.
#include "kernels/transpose.h"

#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

template <bool kLast>
struct MoveChannels {
  struct Sizes {
    int64_t batch, rows, columns;
  };

  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kFixedSize));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) return c.SetOutput(0, c.dtype(0), Shape());
    if (in.rank() < 3) return InvalidModel("input has shape ", ToString(in), " where an image is expected");
    Shape out = Shape::OfRank(in.rank());
    int last = in.rank() - 1;
    out[0] = in[0];
    for (int i = 1; i < last; ++i) out[kLast ? i : i + 1] = in[kLast ? i + 1 : i];
    out[kLast ? last : 1] = in[kLast ? 1 : last];
    return c.SetOutput(0, c.dtype(0), out);
  }

  TransposeFn* transposers[9] = {};   ///< by bytes of an element

  Status Prepare(PrepareContext& c) {
    Pick<1, Mask(DType::kUint8) | Mask(DType::kInt8) | Mask(DType::kBool)>(c.cpu());
    Pick<2, Mask(DType::kUint16) | Mask(DType::kInt16) | Mask(DType::kFloat16) | Mask(DType::kBfloat16)>(c.cpu());
    Pick<4, Mask(DType::kFloat) | Mask(DType::kUint32) | Mask(DType::kInt32)>(c.cpu());
    Pick<8, Mask(DType::kDouble) | Mask(DType::kUint64) | Mask(DType::kInt64)>(c.cpu());
    return Status();
  }
  template <int bytes, uint32_t types>
  void Pick(CpuLevel cpu) {
    if constexpr ((types & LINNET_TYPES) != 0) transposers[bytes] = PickTranspose<bytes>(cpu);
  }

  Status Bind(BindContext& c) const {
    const Shape& in = c.shape(0);
    int last = in.rank() - 1;
    Sizes& sizes = *c.Params<Sizes>();
    if (in.elements() == 0) return Status();
    sizes.batch = in[0];
    sizes.rows = kLast ? in[1] : in.Product(1, last);
    sizes.columns = kLast ? in.Product(2, in.rank()) : in[last];
    if (sizes.rows <= 1 || sizes.columns <= 1) c.Alias(0, 0);
    return Status();
  }

  /// Tiles of rows by columns small enough for the first cache, of more columns where rows are few.
  Status Run(RunContext& c) const {
    const Sizes s = c.params<Sizes>();
    const int64_t bytes = static_cast<int64_t>(DTypeBytes(c.input_dtype(0))), side = 128 / bytes;
    const int64_t column_side = side * std::max<int64_t>(1, side / std::max<int64_t>(1, s.rows));
    TransposeFn* transpose = transposers[bytes];
    if (!transpose) return NoLoopFor(c.input_dtype(0), kFixedSize);
    const std::byte* from = c.in<std::byte>(0);
    std::byte* to = c.out<std::byte>(0);
    const int64_t row_tiles = DivUp(s.rows, side), column_tiles = DivUp(s.columns, column_side), tiles = row_tiles * column_tiles;
    const double tile_ns = static_cast<double>(std::min(side, s.rows) * std::min(column_side, s.columns)) / 4;
    return c.ParallelFor(s.batch * tiles, 1, tile_ns, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        // Along the output's rows, so that writes are contiguous from tile to tile.
        const int64_t image = i / tiles * s.rows * s.columns, column = i % tiles / row_tiles * column_side, row = i % row_tiles * side;
        transpose(from + (image + row * s.columns + column) * bytes, s.columns * bytes,
                  to + (image + column * s.rows + row) * bytes, s.rows * bytes, std::min(column_side, s.columns - column),
                  std::min(side, s.rows - row));
      }
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(ToChannelsLast, 1, MoveChannels<true>);
LINNET_INTERNAL_OP(ToChannelsFirst, 1, MoveChannels<false>);

}  // namespace linnet
