// ToChannelsLast and ToChannelsFirst: N C S... to N S... C and back, for images of any rank.
//
// The resolve pass puts these around image operators; the layout pass moves and cancels them. Where one channel or one
// pixel makes the two layouts the same bytes, they are views.
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

template <class T>
void Transpose(const T* from, T* to, int64_t rows, int64_t columns, int64_t row_begin, int64_t row_end) {
  constexpr int64_t kTile = 16;
  for (int64_t r0 = row_begin; r0 < row_end; r0 += kTile) {
    int64_t r1 = std::min(r0 + kTile, row_end);
    for (int64_t c0 = 0; c0 < columns; c0 += kTile) {
      int64_t c1 = std::min(c0 + kTile, columns);
      for (int64_t c = c0; c < c1; ++c) {
        for (int64_t r = r0; r < r1; ++r) to[c * rows + r] = from[r * columns + c];
      }
    }
  }
}

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

  Status Bind(BindContext& c) const {
    const Shape& in = c.shape(0);
    int last = in.rank() - 1;
    Sizes& sizes = *c.Params<Sizes>();
    sizes.batch = in[0];
    sizes.rows = kLast ? in[1] : in.Product(1, last);
    sizes.columns = kLast ? in.Product(2, in.rank()) : in[last];
    if (sizes.rows <= 1 || sizes.columns <= 1) c.Alias(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const Sizes s = c.params<Sizes>();
    size_t bytes = DTypeBytes(c.input_dtype(0));
    return bytes == 1   ? Move<uint8_t>(c, s)
           : bytes == 2 ? Move<uint16_t>(c, s)
           : bytes == 4 ? Move<uint32_t>(c, s)
                        : Move<uint64_t>(c, s);
  }

  template <class T>
  Status Move(RunContext& c, const Sizes& s) const {
    const T* from = c.in<T>(0);
    T* to = c.out<T>(0);
    return c.ParallelFor(s.batch * s.rows, 16, 0.7 * static_cast<double>(s.columns),
                         [&](int64_t begin, int64_t end, int) {
      while (begin < end) {
        int64_t image = begin / s.rows, row = begin % s.rows;
        int64_t row_end = std::min(s.rows, row + end - begin);
        int64_t offset = image * s.rows * s.columns;
        Transpose(from + offset, to + offset, s.rows, s.columns, row, row_end);
        begin += row_end - row;
      }
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(ToChannelsLast, 1, MoveChannels<true>);
LINNET_INTERNAL_OP(ToChannelsFirst, 1, MoveChannels<false>);

}  // namespace linnet
