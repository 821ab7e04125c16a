// Attention: scaled dot product attention with caches, masks, grouped heads and softcap (versions 23, 24, 25).
//
// Inputs Q, K, V as [B, heads, S, size] or [B, S, heads * size], attn_mask (bool, or added), past_key and past_value (24:
// or nonpad_kv_seqlen, the number of valid keys of each batch entry); outputs Y, present_key, present_value and the scores
// that qk_matmul_output_mode names (0 raw, 1 after softcap, 2 after masking, 3 probabilities). 25 adds the windows.
//
// A query i sees key j <= i + offset when causal, with offset the length of the past, or nonpad_kv_seqlen - queries. A mask
// shorter than the keys hides the rest. A query that sees nothing gives zeros. 16-bit types are computed in float.
#include <string.h>

#include "ops/attention_core.h"
#include "ops/movement.h"

namespace linnet {
namespace {

struct Attention {
  bool causal = false, has_scale = false;
  int64_t q_heads = 0, kv_heads = 0, left = -1, right = -1;
  float scale = 0, softcap = 0;
  DType precision = DType::kUndefined;
  AttentionScores scores = AttentionScores::kRaw;
  AttentionKernels kernels;

  enum { kQ, kK, kV, kMask, kPastKey, kPastValue, kValidKeys };
  enum { kY, kPresentKey, kPresentValue, kScores };

  struct Bound {
    AttentionSizes sizes;
    bool rank3 = false;
    int64_t past = 0, mask_keys = 0, mask_strides[3] = {0, 0, 0};
    // Bytes of scratch, in this order; 0 where inputs or outputs are used as they are.
    int64_t q_bytes = 0, k_bytes = 0, v_bytes = 0, packed_bytes = 0, y_bytes = 0, scores_bytes = 0, worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(int64_t is_causal, node.Int("is_causal", 0));
    causal = is_causal != 0;
    LINNET_ASSIGN(q_heads, node.Int("q_num_heads", 0));
    LINNET_ASSIGN(kv_heads, node.Int("kv_num_heads", 0));
    if (q_heads < 0 || kv_heads < 0 || q_heads > kDimMax || kv_heads > kDimMax) {
      return InvalidModel("attributes q_num_heads and kv_num_heads are ", q_heads, " and ", kv_heads);
    }
    has_scale = node.Has("scale");
    LINNET_ASSIGN(scale, node.Float("scale", 0));
    LINNET_ASSIGN(softcap, node.Float("softcap", 0));
    if (!std::isfinite(scale) || !std::isfinite(softcap)) return InvalidModel("attribute scale or softcap is not finite");
    LINNET_ASSIGN(int64_t type, node.Int("softmax_precision", 0));
    if (type != 0) {
      if (!IsKnown(type) || !(Mask(static_cast<DType>(type)) & kAnyFloat)) {
        return InvalidModel("attribute softmax_precision is ", type);
      }
      precision = static_cast<DType>(type);
    }
    LINNET_ASSIGN(int64_t mode, node.Int("qk_matmul_output_mode", 0));
    if (mode < 0 || mode > 3) return InvalidModel("attribute qk_matmul_output_mode is ", mode);
    scores = static_cast<AttentionScores>(mode);
    LINNET_ASSIGN(left, node.Int("left_window_size", -1));
    LINNET_ASSIGN(right, node.Int("right_window_size", -1));
    if (left < -1 || right < -1) return InvalidModel("attributes left_window_size and right_window_size are ", left, " and ", right);
    left = std::min(left, kDimMax);
    right = std::min(right, kDimMax);
    return Status();
  }

  /// A tensor as [batch, heads, positions, size]; unknown where it is not known.
  struct Dims {
    int64_t batch = kUnknownDim, heads = kUnknownDim, positions = kUnknownDim, size = kUnknownDim;
  };
  static Result<Dims> Read(const Shape& shape, int64_t heads, const char* name) {
    Dims d;
    if (!shape.has_rank()) return d;
    d.batch = shape[0];
    if (shape.rank() == 4) {
      d.heads = shape[1], d.positions = shape[2], d.size = shape[3];
      return d;
    }
    if (heads < 1) return InvalidModel(name, " has shape ", ToString(shape), ", for which the number of heads must be given");
    d.heads = heads, d.positions = shape[1];
    if (IsKnownDim(shape[2]) && shape[2] % heads != 0) {
      return InvalidModel(name, " of shape ", ToString(shape), " does not divide into ", heads, " heads");
    }
    d.size = DimDiv(shape[2], heads);
    return d;
  }

  static Status Same(int64_t a, int64_t b, const char* what) {
    if (!IsKnownDim(a) || !IsKnownDim(b) || a == b) return Status();
    return InvalidModel(what, " differ: ", a, " and ", b);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 7));
    for (int i : {kQ, kK, kV, kPastKey, kPastValue}) LINNET_TRY(c.CheckType(i, kAnyFloat));
    LINNET_TRY(CheckSameType(c, {kQ, kK, kPastKey}));
    LINNET_TRY(CheckSameType(c, {kV, kPastValue}));
    LINNET_TRY(c.CheckType(kMask, kFixedSize));
    LINNET_TRY(c.CheckType(kValidKeys, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckRank(kValidKeys, 1));
    for (int i : {kPastKey, kPastValue}) LINNET_TRY(c.CheckRank(i, 4));
    if (c.has_input(kPastKey) != c.has_input(kPastValue)) return InvalidModel("past_key and past_value go together");
    if (c.has_input(kPastKey) && c.has_input(kValidKeys)) return InvalidModel("nonpad_kv_seqlen does not go with past_key");
    int rank = -1;
    for (int i : {kQ, kK, kV}) {
      const Shape& shape = c.shape(i);
      if (!shape.has_rank()) continue;
      if (shape.rank() != 3 && shape.rank() != 4) return InvalidModel("input ", i, " has shape ", ToString(shape));
      if (rank >= 0 && shape.rank() != rank) return InvalidModel("Q, K and V have different ranks");
      rank = shape.rank();
    }
    LINNET_ASSIGN(Dims q, Read(c.shape(kQ), q_heads, "Q"));
    LINNET_ASSIGN(Dims k, Read(c.shape(kK), kv_heads, "K"));
    LINNET_ASSIGN(Dims v, Read(c.shape(kV), kv_heads, "V"));
    LINNET_TRY(Same(q.batch, k.batch, "batches of Q and K"));
    LINNET_TRY(Same(k.batch, v.batch, "batches of K and V"));
    LINNET_TRY(Same(k.heads, v.heads, "heads of K and V"));
    LINNET_TRY(Same(k.positions, v.positions, "lengths of K and V"));
    LINNET_TRY(Same(q.size, k.size, "head sizes of Q and K"));
    if (IsKnownDim(q.heads) && IsKnownDim(k.heads) && (k.heads == 0 || q.heads % k.heads != 0)) {
      return InvalidModel(q.heads, " query heads do not share ", k.heads, " key heads evenly");
    }
    int64_t total = k.positions;
    if (c.has_input(kPastKey)) {
      const Shape &pk = c.shape(kPastKey), &pv = c.shape(kPastValue);
      if (pk.has_rank()) {
        LINNET_TRY(Same(pk[0], k.batch, "batches of past_key and K"));
        LINNET_TRY(Same(pk[1], k.heads, "heads of past_key and K"));
        LINNET_TRY(Same(pk[3], k.size, "head sizes of past_key and K"));
      }
      if (pv.has_rank()) {
        LINNET_TRY(Same(pv[0], v.batch, "batches of past_value and V"));
        LINNET_TRY(Same(pv[1], v.heads, "heads of past_value and V"));
        LINNET_TRY(Same(pv[3], v.size, "head sizes of past_value and V"));
        if (pk.has_rank()) LINNET_TRY(Same(pk[2], pv[2], "lengths of past_key and past_value"));
      }
      total = DimAdd(total, pk.has_rank() ? pk[2] : kUnknownDim);
    }
    if (c.has_input(kValidKeys) && c.shape(kValidKeys).has_rank()) {
      LINNET_TRY(Same(c.shape(kValidKeys)[0], q.batch, "length of nonpad_kv_seqlen and the batch"));
    }
    LINNET_TRY(CheckMask(c, q, total));
    LINNET_TRY(CheckShape(Shape{q.batch, q.heads, q.positions, total}));
    LINNET_TRY(CheckShape(Shape{q.batch, q.heads, std::max(q.positions, total), std::max(q.size, v.size)}));
    const DType t1 = c.dtype(kQ), t2 = c.dtype(kV);
    LINNET_TRY(c.SetOutput(kPresentKey, t1, Shape{k.batch, k.heads, total, k.size}));
    LINNET_TRY(c.SetOutput(kPresentValue, t2, Shape{v.batch, v.heads, total, v.size}));
    LINNET_TRY(c.SetOutput(kScores, t1, Shape{q.batch, q.heads, q.positions, total}));
    if (rank < 0) return c.SetOutput(kY, t1, Shape());
    if (rank == 3) return c.SetOutput(kY, t1, Shape{q.batch, q.positions, DimMul(q.heads, v.size)});
    return c.SetOutput(kY, t1, Shape{q.batch, q.heads, q.positions, v.size});
  }

  static Status CheckMask(const InferContext& c, const Dims& q, int64_t total) {
    if (!c.has_input(kMask) || !c.shape(kMask).has_rank()) return Status();
    const Shape& mask = c.shape(kMask);
    if (mask.rank() < 1 || mask.rank() > 4) return InvalidModel("attn_mask has shape ", ToString(mask));
    const int64_t wanted[] = {q.batch, q.heads, q.positions};
    for (int i = 0; i + 1 < mask.rank(); ++i) {
      const int64_t is = mask[i], should = wanted[3 - (mask.rank() - 1) + i];
      if (IsKnownDim(is) && IsKnownDim(should) && is != 1 && is != should) {
        return InvalidModel("attn_mask of shape ", ToString(mask), " does not broadcast: ", is, " where ", should, " is expected");
      }
    }
    const int64_t keys = mask[mask.rank() - 1];
    if (IsKnownDim(keys) && IsKnownDim(total) && keys > total) {
      return InvalidModel("attn_mask of shape ", ToString(mask), " is longer than ", total, " keys");
    }
    return Status();
  }

  Status Prepare(PrepareContext& c) {
    kernels.Pick(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    c.GrowInPlace(kPresentKey, kPastKey);
    c.GrowInPlace(kPresentValue, kPastValue);
    LINNET_ASSIGN(Dims q, Read(c.shape(kQ), q_heads, "Q"));
    LINNET_ASSIGN(Dims k, Read(c.shape(kK), kv_heads, "K"));
    LINNET_ASSIGN(Dims v, Read(c.shape(kV), kv_heads, "V"));
    b.rank3 = c.shape(kQ).rank() == 3;
    b.past = c.has_input(kPastKey) ? c.shape(kPastKey)[2] : 0;
    b.sizes = {q.batch, q.heads, k.heads, q.positions, b.past + k.positions, q.size, v.size};
    if (c.has_input(kMask)) {
      const Shape& mask = c.shape(kMask);
      b.mask_keys = mask[mask.rank() - 1];
      int64_t stride = b.mask_keys;
      for (int i = mask.rank() - 2, d = 2; i >= 0; --i, --d) {
        b.mask_strides[d] = mask[i] == 1 ? 0 : stride;
        stride *= mask[i];
      }
    }
    if (c.dtype(kQ) == DType::kDouble || c.dtype(kV) == DType::kDouble) {
      BindScratch<double>(c, &b);
    } else {
      BindScratch<float>(c, &b);
    }
    return Status();
  }

  template <class W>
  void BindScratch(BindContext& c, Bound* b) const {
    const AttentionSizes& s = b->sizes;
    if (s.batch * s.heads * s.queries == 0) return;
    const bool q_same = c.dtype(kQ) == kDTypeOf<W>, v_same = c.dtype(kV) == kDTypeOf<W>;
    auto bytes = [](int64_t count) { return RoundUp(count * static_cast<int64_t>(sizeof(W)), kAlignment); };
    const int64_t rows = s.batch * s.kv_heads * s.keys, queries = s.batch * s.heads * s.queries;
    if (!q_same) b->q_bytes = bytes(queries * s.size);
    if (!q_same || (b->past > 0 && !c.has_output(kPresentKey))) b->k_bytes = bytes(rows * s.size);
    if (!v_same || (b->past > 0 && !c.has_output(kPresentValue))) b->v_bytes = bytes(rows * s.value_size);
    b->packed_bytes = bytes(s.batch * s.kv_heads * AttentionCore<W>::PackedCount(s));
    if (!q_same || !c.has_output(kY)) b->y_bytes = bytes(queries * s.value_size);
    if (!q_same && c.has_output(kScores)) b->scores_bytes = bytes(queries * s.keys);
    b->worker_bytes = bytes(AttentionCore<W>::ScratchCount(s));
    c.Scratch(b->q_bytes + b->k_bytes + b->v_bytes + b->packed_bytes + b->y_bytes + b->scores_bytes +
              b->worker_bytes * c.threads());
  }

  Status Run(RunContext& c) const {
    return ForType<kAnyFloat>(c.input_dtype(kQ), [&]<class T>() -> Status {
      return ForType<kAnyFloat>(c.input_dtype(kV), [&]<class V>() -> Status { return RunAs<T, V>(c); });
    });
  }

  template <class W, class T>
  static const W* Widened(const T* from, int64_t count, std::byte* to) {
    if constexpr (std::is_same_v<T, W>) {
      return from;
    } else {
      W* out = reinterpret_cast<W*>(to);
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<W>(Widen(from[i]));
      return out;
    }
  }

  /// past ++ present as [batch, heads, positions, size]. The past may lie where that begins.
  template <class U, class T>
  static void Join(const T* past, int64_t past_length, HeadView<const T> now, int64_t batch, int64_t heads, int64_t total,
                   int64_t size, U* out) {
    if constexpr (std::is_same_v<U, T>) {
      if (past == out && past_length > 0) {
        SpreadRows(out, batch * heads, past_length * size, total * size);
        for (int64_t row = 0; row < batch * heads; ++row) {
          T* to = out + (row * total + past_length) * size;
          for (int64_t p = past_length; p < total; ++p, to += size) CopyRun(to, now.at(row / heads, row % heads, p - past_length), size);
        }
        return;
      }
    }
    for (int64_t i = 0; i < batch; ++i) {
      for (int64_t h = 0; h < heads; ++h) {
        for (int64_t p = 0; p < total; ++p) {
          const T* row = p < past_length ? past + ((i * heads + h) * past_length + p) * size : now.at(i, h, p - past_length);
          for (int64_t j = 0; j < size; ++j) {
            if constexpr (std::is_same_v<U, T>) {
              *out++ = row[j];
            } else {
              *out++ = static_cast<U>(Widen(row[j]));
            }
          }
        }
      }
    }
  }

  template <class T>
  static HeadView<T> View(T* data, bool rank3, int64_t heads, int64_t positions, int64_t size) {
    if (rank3) return {data, positions * heads * size, size, heads * size};
    return {data, heads * positions * size, positions * size, size};
  }

  /// Keys or values as W: the input as it is, or joined with the past into the present output or scratch.
  template <class W, class T>
  HeadView<const W> Gather(RunContext& c, const Bound& b, int input, int past_input, int output, int64_t size,
                           std::byte* memory) const {
    const AttentionSizes& s = b.sizes;
    const HeadView<const T> now = View(c.in<T>(input), b.rank3, s.kv_heads, s.keys - b.past, size);
    const T* past = c.has_input(past_input) ? c.in<T>(past_input) : nullptr;
    if (c.has_output(output)) Join(past, b.past, now, s.batch, s.kv_heads, s.keys, size, c.out<T>(output));
    if (s.batch * s.heads * s.queries == 0) return {};  // nobody asks, and there is no scratch memory
    if constexpr (std::is_same_v<T, W>) {
      if (b.past == 0) return now;
      if (c.has_output(output)) return View(static_cast<const W*>(c.out<T>(output)), false, s.kv_heads, s.keys, size);
    }
    W* joined = reinterpret_cast<W*>(memory);
    if (c.has_output(output)) {   // the past may be gone
      return View(Widened<W>(static_cast<const T*>(c.out<T>(output)), s.batch * s.kv_heads * s.keys * size, memory), false, s.kv_heads, s.keys, size);
    }
    Join(past, b.past, now, s.batch, s.kv_heads, s.keys, size, joined);
    return View(static_cast<const W*>(joined), false, s.kv_heads, s.keys, size);
  }

  template <class T, class V>
  Status RunAs(RunContext& c) const {
    using W = std::conditional_t<std::is_same_v<T, double> || std::is_same_v<V, double>, double, float>;
    const Bound& b = c.params<Bound>();
    const AttentionSizes& s = b.sizes;
    std::byte* memory = c.scratch();
    auto take = [&memory](int64_t bytes) {
      std::byte* at = memory;
      memory += bytes;
      return at;
    };
    std::byte *q_memory = take(b.q_bytes), *k_memory = take(b.k_bytes), *v_memory = take(b.v_bytes);
    const int64_t queries = s.batch * s.heads * s.queries;
    AttentionCore<W> core;
    core.k = Gather<W, T>(c, b, kK, kPastKey, kPresentKey, s.size, k_memory);
    core.v = Gather<W, V>(c, b, kV, kPastValue, kPresentValue, s.value_size, v_memory);
    if (queries == 0) return Status();
    core.q = View(Widened<W>(c.in<T>(kQ), queries * s.size, q_memory), b.rank3, s.heads, s.queries, s.size);
    float* packed = reinterpret_cast<float*>(take(b.packed_bytes));
    W* y = reinterpret_cast<W*>(take(b.y_bytes));
    W* shown = reinterpret_cast<W*>(take(b.scores_bytes));
    if constexpr (std::is_same_v<T, W>) {
      if (c.has_output(kY)) y = c.out<W>(kY);
      shown = c.has_output(kScores) ? c.out<W>(kScores) : nullptr;
    }
    if (!c.has_output(kScores)) shown = nullptr;
    core.sizes = s;
    core.y = View(y, b.rank3, s.heads, s.queries, s.value_size);
    core.scale = has_scale ? static_cast<W>(scale) : static_cast<W>(1 / std::sqrt(static_cast<double>(std::max<int64_t>(s.size, 1))));
    core.softcap = static_cast<W>(softcap);
    if (precision != DType::kDouble && precision != kDTypeOf<W>) core.precision = precision;
    core.scores_kind = scores;
    core.scores_out = shown;
    static_cast<AttentionKernels&>(core) = kernels;
    core.masks.causal = causal;
    core.masks.left = left, core.masks.right = right;
    core.masks.offset = b.past;
    if (c.has_input(kValidKeys)) {
      core.masks.valid_keys = c.in<int64_t>(kValidKeys);
      for (int64_t i = 0; i < s.batch; ++i) {
        const int64_t valid = core.masks.valid_keys[i];
        if (valid < 0 || valid > s.keys) return InvalidArgument("nonpad_kv_seqlen[", i, "] is ", valid, "; there are ", s.keys, " keys");
      }
    }
    if (c.has_input(kMask)) {
      core.masks.mask = c.input(kMask);
      core.masks.mask_dtype = c.input_dtype(kMask);
      core.masks.mask_keys = b.mask_keys;
      for (int i = 0; i < 3; ++i) core.masks.mask_strides[i] = b.mask_strides[i];
    }
    if constexpr (std::is_same_v<W, float>) {
      if (b.packed_bytes > 0) LINNET_TRY(core.Pack(c, packed));
    }
    LINNET_TRY(core.RunAll(c, memory, b.worker_bytes));
    if constexpr (!std::is_same_v<T, W>) {
      for (int64_t i = 0; c.has_output(kY) && i < queries * s.value_size; ++i) c.out<T>(kY)[i] = Narrow<T>(y[i]);
      for (int64_t i = 0; shown && i < queries * s.keys; ++i) c.out<T>(kScores)[i] = Narrow<T>(shown[i]);
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(Attention, 23, Attention);

}  // namespace linnet
