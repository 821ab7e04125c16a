// RotaryEmbedding: turns pairs of each head's numbers by angles that depend on the position (version 23).
//
// X is [B, heads, S, size] or [B, S, heads * size]; the caches are [positions, half] with position_ids [B, S], or
// [B, S, half] without, half being rotary_embedding_dim / 2 (of the whole size when that is 0). A pair is (i, i + half), or
// (2 i, 2 i + 1) when interleaved. Numbers behind rotary_embedding_dim stay.
//
// That of com.microsoft has position_ids before the caches, of which it may give the first alone, [1], and follows the caches where the
// number of heads is not said.
#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

template <bool kMicrosoft>
struct RotaryEmbedding {
  bool interleaved = false;
  int64_t rotary = 0, heads = 0;

  enum { kX, kPositions = kMicrosoft ? 1 : 3, kCosine = kMicrosoft ? 2 : 1, kSine };

  struct Bound {
    bool first_alone = false;   ///< of the positions
    int64_t batch = 0, heads = 0, length = 0, size = 0, half = 0, positions = 0;
    int64_t head_stride = 0, position_stride = 0;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t inter, node.Int("interleaved", 0));
    interleaved = inter != 0;
    LINNET_ASSIGN(rotary, node.Int("rotary_embedding_dim", 0));
    LINNET_ASSIGN(heads, node.Int("num_heads", 0));
    if (rotary < 0 || rotary > kDimMax || rotary % 2 != 0) return InvalidModel("attribute rotary_embedding_dim is ", rotary);
    if (heads < 0 || heads > kDimMax) return InvalidModel("attribute num_heads is ", heads);
    if (!kMicrosoft) return Status();
    LINNET_ASSIGN(float scale, node.Float("scale", 1));
    LINNET_ASSIGN(int64_t ragged, node.Int("is_packed_batching", 0));
    if (scale != 1) return Unsupported("attribute scale of ", scale);
    if (ragged != 0) return Unsupported("attribute is_packed_batching");
    if (rotary > 0 && heads == 0) return InvalidModel("attribute rotary_embedding_dim needs attribute num_heads");
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kMicrosoft ? 4 : 3, 4));
    for (int i : {kX, kCosine, kSine}) LINNET_TRY(c.CheckType(i, kAnyFloat));
    LINNET_TRY(CheckSameType(c, {kX, kCosine, kSine}));
    LINNET_TRY(c.CheckType(kPositions, Mask(DType::kInt64)));
    if (!kMicrosoft || c.shape(kPositions).rank() != 1) {
      LINNET_TRY(c.CheckRank(kPositions, 2));
    } else if (IsKnownDim(c.shape(kPositions)[0]) && c.shape(kPositions)[0] != 1) {
      return InvalidModel("position_ids has shape ", ToString(c.shape(kPositions)), " where one number, or one for each position of each sequence, is expected");
    }
    for (int i : {kCosine, kSine}) LINNET_TRY(c.CheckRank(i, c.has_input(kPositions) ? 2 : 3));
    const Shape& x = c.shape(0);
    if (x.has_rank() && x.rank() != 3 && x.rank() != 4) return InvalidModel("input has shape ", ToString(x));
    if (x.rank() == 3 && kMicrosoft && heads == 0) {
      const int64_t size = c.shape(kCosine).has_rank() ? DimMul(2, c.shape(kCosine)[1]) : kUnknownDim;
      if (IsKnownDim(size) && IsKnownDim(x[2]) && (size == 0 || x[2] % size != 0)) {
        return InvalidModel(x[2], " numbers do not divide into heads of ", size, ", which the caches are for");
      }
    } else if (x.rank() == 3) {
      if (heads < 1) return InvalidModel("attribute num_heads is needed for an input of shape ", ToString(x));
      if (IsKnownDim(x[2]) && x[2] % heads != 0) return InvalidModel(x[2], " numbers do not divide into ", heads, " heads");
    }
    if (x.has_rank()) LINNET_TRY(CheckCaches(c, x));
    return c.SetOutput(0, c.dtype(0), x);
  }

  Status CheckCaches(const InferContext& c, const Shape& x) const {
    const int64_t size = x.rank() == 4 ? x[3] : SizeOf(c, x), length = x.rank() == 4 ? x[2] : x[1];
    if (IsKnownDim(size) && (rotary > size || (rotary == 0 && size % 2 != 0))) {
      return InvalidModel("heads of ", size, " numbers cannot turn ", rotary == 0 ? size : rotary);
    }
    const int64_t half = rotary > 0 ? rotary / 2 : DimDiv(size, 2);
    auto same = [&](int i, int axis, int64_t wanted) {
      if (!c.has_input(i)) return Status();
      const Shape& shape = c.shape(i);
      if (!shape.has_rank() || !IsKnownDim(shape[axis]) || !IsKnownDim(wanted) || shape[axis] == wanted) return Status();
      return InvalidModel("input ", i, " has shape ", ToString(shape), " where dimension ", axis, " should be ", wanted);
    };
    for (int i : {kCosine, kSine}) {
      LINNET_TRY(same(i, c.has_input(kPositions) ? 1 : 2, half));
      if (!c.has_input(kPositions)) {
        LINNET_TRY(same(i, 0, x[0]));
        LINNET_TRY(same(i, 1, length));
      }
    }
    if (c.has_input(kPositions) && c.shape(kCosine).has_rank()) LINNET_TRY(same(kSine, 0, c.shape(kCosine)[0]));
    if (c.has_input(kPositions) && c.shape(kPositions).rank() != 2) return Status();
    LINNET_TRY(same(kPositions, 0, x[0]));
    return same(kPositions, 1, length);
  }

  /// Of a head of x, of three dimensions.
  int64_t SizeOf(const InferContext& c, const Shape& x) const {
    if (heads > 0) return DimDiv(x[2], heads);
    return c.shape(kCosine).has_rank() ? DimMul(2, c.shape(kCosine)[1]) : kUnknownDim;
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape& x = c.shape(0);
    b.batch = x[0];
    if (x.rank() == 4) {
      b.heads = x[1], b.length = x[2], b.size = x[3];
      b.head_stride = b.length * b.size, b.position_stride = b.size;
    } else {
      b.length = x[1], b.size = SizeOf(c, x);
      b.heads = heads > 0 ? heads : x[2] / b.size;
      b.head_stride = b.size, b.position_stride = x[2];
    }
    b.half = rotary > 0 ? rotary / 2 : b.size / 2;
    b.positions = c.shape(kCosine)[0];
    b.first_alone = kMicrosoft && c.shape(kPositions).rank() == 1;
    return Status();
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    const int64_t* ids = c.has_input(kPositions) ? c.in<int64_t>(kPositions) : nullptr;
    if (b.first_alone && (ids[0] < 0 || ids[0] > b.positions - b.length)) {
      return InvalidArgument("position_ids is ", ids[0], "; the caches have ", b.positions, " positions, the input ", b.length);
    }
    for (int64_t i = 0; ids && !b.first_alone && i < b.batch * b.length; ++i) {
      if (ids[i] < 0 || ids[i] >= b.positions) {
        return InvalidArgument("position_ids[", i, "] is ", ids[i], "; the caches have ", b.positions, " positions");
      }
    }
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      return c.ParallelFor(b.batch * b.length, 1, 2.0 * static_cast<double>(b.heads * b.size), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t angle = (b.first_alone ? ids[0] + i % b.length : ids ? ids[i] : i) * b.half;
          const int64_t at = i / b.length * b.heads * b.length * b.size + i % b.length * b.position_stride;
          for (int64_t h = 0; h < b.heads; ++h) {
            Turn(b, c.in<T>(0) + at + h * b.head_stride, c.in<T>(kCosine) + angle, c.in<T>(kSine) + angle, c.out<T>(0) + at + h * b.head_stride);
          }
        }
      });
    });
  }

  template <class T>
  void Turn(const Bound& b, const T* x, const T* cosine, const T* sine, T* y) const {
    const int64_t step = interleaved ? 2 : 1, other = interleaved ? 1 : b.half;
    for (int64_t i = 0; i < b.half; ++i) {
      const Wide<T> re = Widen(x[i * step]), im = Widen(x[i * step + other]), c = Widen(cosine[i]), s = Widen(sine[i]);
      y[i * step] = Narrow<T>(c * re - s * im);
      y[i * step + other] = Narrow<T>(s * re + c * im);
    }
    for (int64_t i = 2 * b.half; i < b.size; ++i) y[i] = x[i];
  }
};

}  // namespace

LINNET_OP(RotaryEmbedding, 23, RotaryEmbedding<false>);
LINNET_MS_OP(RotaryEmbedding, 1, RotaryEmbedding<true>);

}  // namespace linnet
