// linnet:ShuffleChannels(x) {axis, groups, first, count}: what a transposition of the channels seen as a matrix of `groups` rows leaves of
// them, as ShuffleNet writes it: of C = groups * width channels, output channel j * groups + i is input channel i * width + first + j,
// for j < count. All of them are shuffled with first 0 and count `width`; with count 1 every width-th channel is taken.
#include "kernels/move/interleave.h"
#include "ops/movement.h"

namespace linnet {
namespace {

struct ShuffleChannels : CopyOfInput {
  struct Bound : StridedCopy {
    InterleaveFn* interleave = nullptr;
    TakeEveryFn* take = nullptr;
    int64_t from_row = 0, rows = 0;
  };
  int64_t axis = 1, groups = 1, first = 0, count = 1;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", 1));
    LINNET_ASSIGN(groups, node.Int("groups", 1));
    LINNET_ASSIGN(first, node.Int("first", 0));
    LINNET_ASSIGN(count, node.Int("count", 1));
    if (groups < 1 || first < 0 || count < 1 || groups > kDimMax || count > kDimMax || first > kDimMax) {
      return InvalidModel("attributes groups ", groups, ", first ", first, " and count ", count);
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    Shape out = c.shape(0);
    if (!out.has_rank()) return c.SetOutput(0, c.dtype(0), out);
    LINNET_ASSIGN(const int at, NormalizeAxis(axis, out.rank()));
    if (IsKnownDim(out[at]) && (out[at] % groups != 0 || first + count > out[at] / groups)) {
      return InvalidArgument("axis ", axis, " of size ", out[at], " has no channels [", first, ", ", first + count, ") of ", groups, " groups");
    }
    LINNET_ASSIGN(out[at], CheckedDim(count, groups));
    return c.SetOutput(0, c.dtype(0), out);
  }
  static Result<int64_t> CheckedDim(int64_t a, int64_t b) {
    int64_t product;
    if (!CheckedMul(a, b, &product) || product > kDimMax) return InvalidModel("a dimension of ", a, " times ", b);
    return product;
  }
  Status Bind(BindContext& c) const {
    const Shape &in = c.shape(0), &out = c.output_shape(0);
    LINNET_ASSIGN(const int at, NormalizeAxis(axis, in.rank()));
    const int64_t inner = in.Product(at + 1, in.rank()), width = in[at] / groups;
    auto* copy = c.Params<Bound>();
    // Contiguous channels of two groups, or every few of them, go by vectors.
    const int64_t bytes = DTypeBits(c.dtype(0)) / 8;
    copy->from_row = in[at], copy->rows = in.Product(0, at);
    if (groups == 2 && inner == 1 && count * bytes >= 8) copy->interleave = PickInterleave(bytes, cpu);
    if (count == 1 && inner == 1) copy->take = PickTakeEvery(bytes, width, cpu);
    copy->from_offset = first * inner;
    copy->Add(in.Product(0, at), in[at] * inner, out[at] * inner);
    copy->Add(count, inner, groups * inner);
    copy->Add(groups, width * inner, inner);
    copy->Add(inner, 1, 1);
    Finish(c, copy);
    return Status();
  }
  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    if ((!b.interleave && !b.take) || b.empty) return CopyOfInput::Run(c);
    const int64_t bytes = b.bits / 8, row = b.from_row * bytes, to_row = count * groups * bytes;
    const std::byte* const from = c.in<std::byte>(0) + first * bytes;
    std::byte* const to = c.out<std::byte>(0);
    return c.ParallelFor(b.rows, 1, 2 + 0.05 * static_cast<double>(to_row), [&](int64_t begin, int64_t end, int) {
      if (b.interleave) return b.interleave(from + begin * row, b.from_row, b.from_row / 2, to + begin * to_row, end - begin, count);
      b.take(from + begin * row, row, to + begin * to_row, to_row, end - begin, groups);
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(ShuffleChannels, 1, ShuffleChannels);

}  // namespace linnet
