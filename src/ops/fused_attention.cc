// linnet:Attention: what fuse_attention makes of MatMul, scale, mask, Softmax, MatMul and the transpositions around them.
//
//     Y = softmax(scale Q K' + bias) V        Q[B,H,S,D]  K[B,H,T,D]  V[B,H,T,E]  bias broadcast to [B,H,S,T]  Y[B,H,S,E]
//
// Each of Q, K, V and Y may instead have its positions before its heads ([B,S,H,D], as a projection leaves them):
// attributes q_axis, k_axis, v_axis, y_axis say where positions are, 1 or 2. Sizes broadcast as in the MatMul and Add it
// stands for. The scores are never all in memory; see attention_core.h. Where there are tiles, and enough queries and
// keys for them, they multiply (kernels/half/split_attention.h), a head at a time.
#include "kernels/half/split_attention.h"
#include "ops/attention_core.h"
#include "ops/op.h"

namespace linnet {
namespace {

enum Input { kQ, kK, kV, kBias };

struct FusedAttention {
  int64_t axis[4] = {2, 2, 2, 2};        ///< of positions in Q, K, V and Y
  float scale = 1;
  const GemmF32Kernels* gemm = nullptr;
  SoftmaxRowsFn* softmax = nullptr;
  const SplitAttentionKernels* split = nullptr;

  struct Bound {
    AttentionSizes sizes;
    HeadView<const float> q, k, v;       ///< strides only
    HeadView<float> y;
    int64_t bias_strides[3];
    bool bias_per_row;
    int64_t packed_bytes, worker_bytes;
    bool splits;
    int64_t parts;                       ///< of a head's queries, that are tasks of their own
    SplitAttentionSizes head;
  };

  Status Parse(const Node& node) {
    const char* const names[4] = {"q_axis", "k_axis", "v_axis", "y_axis"};
    for (int i = 0; i < 4; ++i) {
      LINNET_ASSIGN(axis[i], node.Int(names[i], 2));
      if (axis[i] != 1 && axis[i] != 2) return InvalidModel(names[i], " is ", axis[i], "; positions are axis 1 or 2");
    }
    LINNET_ASSIGN(scale, node.Float("scale", 1));
    if (!std::isfinite(scale)) return InvalidModel("scale is ", scale);
    return Status();
  }

  /// [batch, heads, positions, size], whatever order the tensor has.
  Shape Canonical(const Shape& shape, int which) const {
    Shape out = shape;
    if (axis[which] == 1) std::swap(out[1], out[2]);
    return out;
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 4));
    for (int i = 0; i < 4; ++i) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    Shape out;
    for (int i = 0; i < 3; ++i) {
      LINNET_TRY(c.CheckRank(i, 4));
      if (!c.shape(i).has_rank()) return c.SetOutput(0, DType::kFloat, Shape::OfRank(4));
    }
    Shape q = Canonical(c.shape(kQ), kQ), k = Canonical(c.shape(kK), kK), v = Canonical(c.shape(kV), kV);
    LINNET_TRY(Same(q[3], k[3], "the sizes of Q and K"));
    LINNET_ASSIGN(Shape batch, Broadcast({q[0], q[1]}, {k[0], k[1]}));
    Shape scores{batch[0], batch[1], q[2], k[2]};
    if (c.has_input(kBias)) {
      if (c.shape(kBias).rank() > 4) return InvalidModel("the bias has rank ", c.shape(kBias).rank());
      LINNET_ASSIGN(scores, Broadcast(scores, c.shape(kBias)));
      if (!scores.has_rank()) return c.SetOutput(0, DType::kFloat, Shape::OfRank(4));
    }
    LINNET_TRY(Same(scores[3], v[2], "the positions of K and V"));
    LINNET_ASSIGN(batch, Broadcast({scores[0], scores[1]}, {v[0], v[1]}));
    return c.SetOutput(0, DType::kFloat, Canonical({batch[0], batch[1], scores[2], v[3]}, 3));
  }

  static Status Same(int64_t a, int64_t b, const char* what) {
    if (!IsKnownDim(a) || !IsKnownDim(b) || a == b) return Status();
    return InvalidArgument(what, " differ: ", a, " and ", b);
  }

  Status Prepare(PrepareContext& c) {
    gemm = &PickGemmF32(c.cpu());
    softmax = PickSoftmaxRows(false, c.cpu());
    split = PickSplitAttention(c.cpu());
    return Status();
  }

  /// Strides of one operand; 0 where it has one of what the result has more of.
  template <class T>
  HeadView<T> View(const Shape& shape, int which, const AttentionSizes& s, int64_t positions) const {
    const Shape sizes = Canonical(shape, which);
    const int64_t inner = shape[3], outer = shape[2] * shape[3];
    HeadView<T> view{nullptr, shape[1] * outer, axis[which] == 1 ? inner : outer, axis[which] == 1 ? outer : inner};
    if (sizes[0] == 1 && s.batch != 1) view.batch_stride = 0;
    if (sizes[1] == 1 && s.heads != 1) view.head_stride = 0;
    if (sizes[2] == 1 && positions != 1) view.position_stride = 0;
    return view;
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    const Shape y = Canonical(c.output_shape(0), 3), v = Canonical(c.shape(kV), kV);
    b.sizes = {y[0], y[1], y[1], y[2], v[2], c.shape(kQ)[3], y[3]};
    b.q = View<const float>(c.shape(kQ), kQ, b.sizes, y[2]);
    b.k = View<const float>(c.shape(kK), kK, b.sizes, v[2]);
    b.v = View<const float>(c.shape(kV), kV, b.sizes, v[2]);
    b.y = View<float>(c.output_shape(0), 3, b.sizes, y[2]);
    if (c.has_input(kBias)) {
      const Shape& bias = c.shape(kBias);
      const int64_t keys = bias.rank() > 0 ? bias[bias.rank() - 1] : 1;
      b.bias_per_row = keys == 1 && v[2] != 1;
      int64_t stride = keys;
      for (int i = bias.rank() - 2, d = 2; i >= 0; --i, --d) {
        b.bias_strides[d] = bias[i] == 1 ? 0 : stride;
        stride *= bias[i];
      }
    }
    if (y.elements() == 0) return Status();
    using Core = AttentionCore<float>;
    int64_t packed = 0;
    b.head = {b.sizes.keys, b.sizes.size, b.sizes.value_size};
    b.splits = split && !b.bias_per_row && Splits(b.sizes);
    // Keys and values are packed again for each part.
    const int64_t heads = b.sizes.batch * b.sizes.heads, wanted = DivUp(int64_t{2} * c.threads(), heads);
    b.parts = c.threads() == 1 ? 1 : std::min(DivUp(b.sizes.queries, kSplitRows), wanted);
    if (!b.splits && !CheckedMul(heads, Core::PackedCount(b.sizes) * 4, &packed)) {
      return LimitReached("packing keys and values overflows");
    }
    b.packed_bytes = RoundUp(packed, static_cast<int64_t>(kAlignment));
    b.worker_bytes = RoundUp(Core::ScratchCount(b.sizes) * 4, static_cast<int64_t>(kAlignment));
    if (b.splits) b.worker_bytes = RoundUp(SplitBytes(b.head), static_cast<int64_t>(kAlignment));
    c.Scratch(b.packed_bytes + b.worker_bytes * c.threads());
    return Status();
  }

  /// Whether tiles pay: enough rows and keys, and all of a head in the second-level cache.
  static bool Splits(const AttentionSizes& s) {
    constexpr int64_t kLeast = 32, kMost = 1024, kCacheBytes = 1 << 20;
    if (s.queries < kLeast || s.keys < kLeast || s.keys > kMost || s.size == 0) return false;
    if (s.size > kMost || s.size % 32 != 0 || s.value_size > kMost || s.value_size % 32 != 0) return false;
    return SplitBytes({s.keys, s.size, s.value_size}) <= kCacheBytes;
  }
  static int64_t SplitBytes(const SplitAttentionSizes& s) {
    AttentionSizes block{1, 1, 1, kSplitRows, s.keys, s.size, s.value_size};
    const int64_t rest = std::max(SplitScratchBytes(s), AttentionCore<float>::ScratchCount(block) * 4);
    return SplitKeysBytes(s) + SplitValuesBytes(s) + rest;
  }

  /// A part of the queries of one head by tiles. What has a number that is not finite, which has no parts, goes the
  /// usual way: blocks of queries, or all of them for keys' and values' sake.
  void RunSplit(const AttentionCore<float>& core, const Bound& b, int64_t head, int64_t part,
                std::byte* scratch) const {
    const AttentionSizes& s = b.sizes;
    const int64_t batch = head / s.heads, h = head % s.heads, blocks = DivUp(s.queries, kSplitRows);
    std::byte *keys = scratch, *values = keys + SplitKeysBytes(b.head), *rest = values + SplitValuesBytes(b.head);
    const bool finite = split->pack_keys(b.head, core.k.at(batch, h, 0), core.k.position_stride, keys) &&
                        split->pack_values(b.head, core.v.at(batch, h, 0), core.v.position_stride, values);
    for (int64_t i = blocks * part / b.parts; i < blocks * (part + 1) / b.parts; ++i) {
      const int64_t row = i * kSplitRows;
      SplitAttention t;
      t.sizes = b.head;
      t.keys = keys, t.values = values;
      t.q = core.q.at(batch, h, row), t.q_stride = core.q.position_stride;
      t.rows = std::min(s.queries - row, kSplitRows);
      t.scale = scale;
      if (core.bias) {
        t.mask = core.bias + batch * core.bias_strides[0] + h * core.bias_strides[1] + row * core.bias_strides[2];
        t.mask_stride = core.bias_strides[2];
      }
      t.y = core.y.at(batch, h, row), t.y_stride = core.y.position_stride;
      if (finite && split->run(t, rest)) continue;
      AttentionCore<float> one = core;
      one.sizes = {1, 1, 1, t.rows, s.keys, s.size, s.value_size};
      one.q.data = t.q, one.k.data = core.k.at(batch, h, 0), one.v.data = core.v.at(batch, h, 0), one.y.data = t.y;
      one.bias = t.mask;
      for (int64_t j = 0; j < AttentionCore<float>::Blocks(one.sizes); ++j) one.Run(j, reinterpret_cast<float*>(rest));
    }
  }

  Status Run(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    const AttentionSizes& s = b.sizes;
    if (s.batch * s.heads * s.queries * s.value_size == 0) return Status();
    AttentionCore<float> core;
    core.sizes = s;
    core.q = b.q, core.k = b.k, core.v = b.v, core.y = b.y;
    core.q.data = c.in<float>(kQ), core.k.data = c.in<float>(kK), core.v.data = c.in<float>(kV);
    core.y.data = c.out<float>(0);
    core.scale = scale;
    core.gemm = gemm, core.softmax = softmax;
    if (c.has_input(kBias)) {
      core.bias = c.in<float>(kBias);
      core.bias_per_row = b.bias_per_row;
      for (int i = 0; i < 3; ++i) core.bias_strides[i] = b.bias_strides[i];
    }
    if (b.splits) {
      const int64_t work = s.queries * s.keys * (s.size + s.value_size + 64);
      const double ns = static_cast<double>(work) / 400 / static_cast<double>(b.parts);
      return c.ParallelFor(s.batch * s.heads * b.parts, 1, ns, [&](int64_t begin, int64_t end, int worker) {
        std::byte* scratch = c.scratch() + worker * b.worker_bytes;
        for (int64_t i = begin; i < end; ++i) RunSplit(core, b, i / b.parts, i % b.parts, scratch);
      });
    }
    if (b.packed_bytes > 0) LINNET_TRY(core.Pack(c, reinterpret_cast<float*>(c.scratch())));
    return core.RunAll(c, c.scratch() + b.packed_bytes, b.worker_bytes);
  }
};

}  // namespace

LINNET_INTERNAL_OP(Attention, 1, FusedAttention);

}  // namespace linnet
