// GroupQueryAttention (com.microsoft, version 1): attention whose keys and values are kept in a cache, of which each sequence has filled
// a part of its own; query heads share key heads.
//
// Inputs query, key and value [B, S, heads * size] (or all of them side by side in query), past_key and past_value [B, kv_heads, past,
// size], seqlens_k [B], the number of keys of each sequence less one, total_sequence_length, the most of them, cos_cache and sin_cache
// [positions, half], position_ids [B, S], attention_bias [B or 1, heads or 1, S, total] and head_sink [heads]. New keys go behind the
// seqlens_k + 1 - S that were there before, or, in a prompt (S is the total), to the front; there the first of position_ids counts
// alone. The present has room for past or total,
// whichever is more: a cache that has room already, or one that grows. What of it is not filled stays as it was in the past.
#include <string.h>

#include "ops/attention_core.h"
#include "ops/movement.h"

namespace linnet {
namespace {

struct GroupQueryAttention {
  int64_t heads = 1, kv_heads = 1, window = -1;
  bool rotary = false, interleaved = false, causal = true, smooth = false;
  float scale = 0, softcap = 0;
  AttentionKernels kernels;

  enum { kQuery, kKey, kValue, kPastKey, kPastValue, kLengths, kTotal, kCosine, kSine, kPositions, kBias, kSinks };
  static constexpr uint32_t kTypes = Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16);

  struct Bound {
    AttentionSizes sizes;           ///< keys: of the present
    bool packed = false;
    int64_t past = 0, half = 0, positions = 0, bias_keys = 0, bias_strides[3] = {0, 0, 0};
    // Bytes of scratch, in this order; 0 where inputs or outputs are used as they are.
    int64_t lengths_bytes = 0, q_bytes = 0, present_bytes[2] = {0, 0}, wide_bytes = 0, sinks_bytes = 0, y_bytes = 0, packed_bytes = 0, worker_bytes = 0;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(heads, node.Int("num_heads", 0));
    LINNET_ASSIGN(kv_heads, node.Int("kv_num_heads", 0));
    if (heads < 1 || kv_heads < 1 || heads > kDimMax || heads % kv_heads != 0) {
      return InvalidModel("attributes num_heads and kv_num_heads are ", heads, " and ", kv_heads);
    }
    LINNET_ASSIGN(scale, node.Float("scale", 0));
    LINNET_ASSIGN(softcap, node.Float("softcap", 0));
    if (!std::isfinite(scale) || !std::isfinite(softcap)) return InvalidModel("attribute scale or softcap is not finite");
    LINNET_ASSIGN(window, node.Int("local_window_size", -1));
    if (window < -1 || window == 0) return InvalidModel("attribute local_window_size is ", window);
    window = std::min(window, kDimMax);
    const std::pair<const char*, bool*> flags[] = {{"do_rotary", &rotary}, {"rotary_interleaved", &interleaved}, {"causal", &causal}, {"smooth_softmax", &smooth}};
    for (const auto& [name, flag] : flags) {
      LINNET_ASSIGN(int64_t value, node.Int(name, *flag));
      *flag = value == 1;
    }
    for (const char* name : {"qk_output", "sliding_window_cache", "kv_cache_bit_width"}) {
      LINNET_ASSIGN(int64_t value, node.Int(name, 0));
      if (value != 0) return Unsupported("attribute ", name, " of ", value);
    }
    if (!causal && window > 0) return InvalidModel("attribute local_window_size is ", window, " where causal is 0");
    return Status();
  }

  struct Dims {
    int64_t batch, length, size, past, present;
  };

  static Status Same(int64_t a, int64_t b, const char* what) {
    if (!IsKnownDim(a) || !IsKnownDim(b) || a == b) return Status();
    return InvalidModel(what, " differ: ", a, " and ", b);
  }

  Result<Dims> Read(const InferContext& c) const {
    const bool packed = !c.has_input(kKey);
    const Shape q = c.shape(kQuery).has_rank() ? c.shape(kQuery) : Shape::OfRank(3);
    const int64_t parts = packed ? heads + 2 * kv_heads : heads;
    if (IsKnownDim(q[2]) && q[2] % parts != 0) return InvalidModel("query of shape ", ToString(q), " does not divide into ", parts, " heads");
    Dims d = {q[0], q[1], DimDiv(q[2], parts), 0, kUnknownDim};
    if (c.has_input(kPastKey)) d.past = c.shape(kPastKey).has_rank() ? c.shape(kPastKey)[2] : kUnknownDim;
    if (c.KnowsInts(kTotal)) {
      LINNET_ASSIGN(const auto total, c.ReadInts(kTotal));
      if (total[0] < 1) return InvalidArgument("total_sequence_length is ", total[0]);
      const int64_t most = DimAdd(d.past, d.length);   // more would be room for keys that nobody has
      if (IsKnownDim(most) && total[0] > most) return InvalidArgument("total_sequence_length is ", total[0], " with a past of ", d.past, " and ", d.length, " new keys");
      if (IsKnownDim(d.past)) d.present = std::max<int64_t>(d.past, total[0]);
    }
    return d;
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 16));
    for (int i : {kLengths, kTotal}) {
      if (!c.has_input(i)) return InvalidModel("required input ", i, " is missing");
      LINNET_TRY(c.CheckType(i, Mask(DType::kInt32)));
    }
    const char* const others[] = {"k_scale", "v_scale", "q_norm_weight", "k_norm_weight"};
    for (int i = 12; i < 16; ++i) if (c.has_input(i)) return Unsupported("input ", others[i - 12]);
    if (c.has_output(3)) return Unsupported("output output_qk");
    for (int i : {kQuery, kKey, kValue, kPastKey, kPastValue, kCosine, kSine, kBias, kSinks}) LINNET_TRY(c.CheckType(i, kTypes));
    LINNET_TRY(CheckSameType(c, {kQuery, kKey, kValue, kPastKey, kPastValue, kCosine, kSine, kBias, kSinks}));
    if (c.shape(kTotal).is_static() && c.shape(kTotal).elements() != 1) {
      return InvalidModel("total_sequence_length has shape ", ToString(c.shape(kTotal)), " where one number is expected");
    }
    LINNET_TRY(c.CheckType(kPositions, Mask(DType::kInt64)));
    for (const auto& [input, rank] : {std::pair(kQuery, 3), {kKey, 3}, {kValue, 3}, {kPastKey, 4}, {kPastValue, 4}, {kCosine, 2}, {kSine, 2}, {kPositions, 2}, {kBias, 4}, {kSinks, 1}}) {
      LINNET_TRY(c.CheckRank(input, rank));
    }
    if (c.has_input(kKey) != c.has_input(kValue)) return InvalidModel("key and value go together");
    if (c.has_input(kPastKey) != c.has_input(kPastValue)) return InvalidModel("past_key and past_value go together");
    if (rotary && (!c.has_input(kCosine) || !c.has_input(kSine))) return InvalidModel("attribute do_rotary is 1 and cos_cache or sin_cache is missing");
    LINNET_ASSIGN(const Dims d, Read(c));
    auto fits = [&](int input, std::initializer_list<int64_t> wanted) -> Status {
      if (!c.has_input(input) || !c.shape(input).has_rank()) return Status();
      const Shape& shape = c.shape(input);
      for (int i = 0; i < shape.rank(); ++i) {
        const int64_t should = wanted.begin()[i];
        const bool repeats = input == kBias && i < 2 && shape[i] == 1;
        if (IsKnownDim(shape[i]) && IsKnownDim(should) && shape[i] != should && !repeats) {
          return InvalidModel("input ", input, " has shape ", ToString(shape), " where dimension ", i, " should be ", should);
        }
      }
      return Status();
    };
    for (int i : {kKey, kValue}) LINNET_TRY(fits(i, {d.batch, d.length, DimMul(kv_heads, d.size)}));
    for (int i : {kPastKey, kPastValue}) LINNET_TRY(fits(i, {d.batch, kv_heads, d.past, d.size}));
    LINNET_TRY(fits(kPositions, {d.batch, d.length}));
    LINNET_TRY(fits(kBias, {d.batch, heads, d.length, kUnknownDim}));
    LINNET_TRY(fits(kSinks, {heads}));
    if (c.shape(kLengths).is_static() && IsKnownDim(d.batch)) LINNET_TRY(Same(c.shape(kLengths).elements(), d.batch, "length of seqlens_k and the batch"));
    if (rotary) {
      if (c.shape(kCosine).has_rank() && IsKnownDim(c.shape(kCosine)[1]) && IsKnownDim(d.size) && c.shape(kCosine)[1] * 2 > d.size) {
        return InvalidModel("heads of ", d.size, " numbers cannot turn ", c.shape(kCosine)[1] * 2);
      }
      if (c.shape(kCosine).has_rank()) LINNET_TRY(fits(kSine, {c.shape(kCosine)[0], c.shape(kCosine)[1]}));
    }
    LINNET_TRY(CheckShape(Shape{d.batch, heads, d.length, d.present}));
    LINNET_TRY(CheckShape(Shape{d.batch, heads, std::max(d.length, d.present), d.size}));
    for (int i : {1, 2}) LINNET_TRY(c.SetOutput(i, c.dtype(kQuery), Shape{d.batch, kv_heads, d.present, d.size}));
    return c.SetOutput(0, c.dtype(kQuery), Shape{d.batch, d.length, DimMul(heads, d.size)});
  }

  Status Prepare(PrepareContext& c) {
    kernels.Pick(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    Bound& b = *c.Params<Bound>();
    LINNET_ASSIGN(Dims d, Read(c));
    if (!IsKnownDim(d.present)) d.present = d.past + d.length;   // nobody asked for it, and no more keys can be there
    c.GrowInPlace(1, kPastKey);
    c.GrowInPlace(2, kPastValue);
    b.packed = !c.has_input(kKey);
    b.past = d.past;
    b.sizes = {d.batch, heads, kv_heads, d.length, d.present, d.size, d.size, smooth || c.has_input(kSinks)};
    if (rotary) b.half = c.shape(kCosine)[1], b.positions = c.shape(kCosine)[0];
    if (c.has_input(kBias)) {
      const Shape& bias = c.shape(kBias);
      b.bias_keys = bias[3];
      int64_t stride = bias[3];
      for (int i = 2; i >= 0; --i) {
        b.bias_strides[i] = i < 2 && bias[i] == 1 ? 0 : stride;
        stride *= bias[i];
      }
    }
    const AttentionSizes& s = b.sizes;
    using Core = AttentionCore<float>;
    auto bytes = [](int64_t count, int64_t each = 4) { return RoundUp(count * each, static_cast<int64_t>(kAlignment)); };
    const bool same = c.dtype(kQuery) == DType::kFloat;
    const int64_t queries = s.batch * s.heads * s.queries * s.size, keys = s.batch * s.kv_heads * s.keys * s.size;
    b.lengths_bytes = bytes(2 * s.batch, 8);
    if (!same || rotary) b.q_bytes = bytes(queries);
    for (int i = 0; i < 2; ++i) if (!c.has_output(1 + i)) b.present_bytes[i] = bytes(keys, static_cast<int64_t>(DTypeBytes(c.dtype(kQuery))));
    if (!same) b.wide_bytes = bytes(keys);
    if (s.sink) b.sinks_bytes = bytes(s.heads);
    if (!same || !c.has_output(0)) b.y_bytes = bytes(queries);
    b.packed_bytes = bytes(s.batch * s.kv_heads * Core::PackedCount(s));
    // Blocks have more rows where fewer keys are filled.
    const int64_t most = Core::ByHead(s) ? 0 : (int64_t{1} << 16) + 128 * 4 * kPanelColumns + kPanelColumns * std::max(s.keys, s.size);
    b.worker_bytes = bytes(std::max(Core::ScratchCount(s), most));
    c.Scratch(b.lengths_bytes + b.q_bytes + b.present_bytes[0] + b.present_bytes[1] + 2 * b.wide_bytes + b.sinks_bytes + b.y_bytes +
              b.packed_bytes + b.worker_bytes * c.threads());
    return Status();
  }

  Status Run(RunContext& c) const {
    return ForType<kTypes>(c.input_dtype(kQuery), [&]<class T>() -> Status { return RunAs<T>(c); });
  }

  /// Numbers of keys and positions of first queries; the most keys.
  Result<int64_t> ReadLengths(RunContext& c, const Bound& b, int64_t* valid, int64_t* offsets) const {
    const AttentionSizes& s = b.sizes;
    const int64_t total = c.in<int32_t>(kTotal)[0];
    if (total > s.keys || total < s.queries) return InvalidArgument("total_sequence_length is ", total, " with ", s.queries, " queries and a cache of ", s.keys);
    const bool prompt = total == s.queries;
    int64_t most = 0;
    for (int64_t i = 0; i < s.batch; ++i) {
      valid[i] = int64_t{c.in<int32_t>(kLengths)[i]} + 1;
      offsets[i] = prompt ? 0 : valid[i] - s.queries;
      if (valid[i] < 1 || valid[i] > total || offsets[i] < 0 || offsets[i] > b.past) {
        return InvalidArgument("seqlens_k[", i, "] is ", valid[i] - 1, " with a total of ", total, ", ", s.queries, " queries and a past of ", b.past);
      }
      most = std::max(most, valid[i]);
    }
    return most;
  }

  /// Position of query `q` of a sequence that has `offset` before; fails outside the caches.
  Status CheckPositions(RunContext& c, const Bound& b, const int64_t* offsets) const {
    for (int64_t i = 0; rotary && i < b.sizes.batch * b.sizes.queries; ++i) {
      const int64_t position = PositionOf(c, b, offsets, i / b.sizes.queries, i % b.sizes.queries);
      if (position < 0 || position >= b.positions) return InvalidArgument("position ", position, " is outside caches of ", b.positions);
    }
    return Status();
  }
  int64_t PositionOf(RunContext& c, const Bound& b, const int64_t* offsets, int64_t batch, int64_t query) const {
    if (!c.has_input(kPositions)) return offsets[batch] + query;
    const int64_t* ids = c.in<int64_t>(kPositions);
    return c.in<int32_t>(kTotal)[0] == b.sizes.queries ? ids[0] + query : ids[batch * b.sizes.queries + query];
  }

  /// `size` numbers of a head, the first of them turned.
  template <class To, class T>
  void Turn(RunContext& c, const Bound& b, int64_t position, const T* x, To* y) const {
    int64_t i = 0;
    if (rotary) {
      const T *cosine = c.in<T>(kCosine) + position * b.half, *sine = c.in<T>(kSine) + position * b.half;
      const int64_t step = interleaved ? 2 : 1, other = interleaved ? 1 : b.half;
      for (; i < b.half; ++i) {
        const float re = Widen(x[i * step]), im = Widen(x[i * step + other]), co = Widen(cosine[i]), si = Widen(sine[i]);
        y[i * step] = Narrow<To>(co * re - si * im);
        y[i * step + other] = Narrow<To>(si * re + co * im);
      }
      i *= 2;
    }
    for (; i < b.sizes.size; ++i) y[i] = Narrow<To>(static_cast<float>(Widen(x[i])));
  }

  /// The past in the present, and new rows behind it: row p of head h of sequence i by write(i, h, p, to).
  template <class T, class Write>
  static Status Fill(RunContext& c, const Bound& b, const T* past, T* present, const int64_t* offsets, Write write) {
    const AttentionSizes& s = b.sizes;
    const int64_t before = b.past * s.size, row = s.keys * s.size;
    if (past && past == present) SpreadRows(present, s.batch * s.kv_heads, before, row);
    return c.ParallelFor(s.batch * s.kv_heads, 1, static_cast<double>(row) / 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        T* to = present + i * row;
        if (past && past != present) CopyRun(to, past + i * before, before);
        if (row > before) memset(static_cast<void*>(to + before), 0, static_cast<size_t>(row - before) * sizeof(T));
        for (int64_t p = 0; p < s.queries; ++p) write(i / s.kv_heads, i % s.kv_heads, p, to + (offsets[i / s.kv_heads] + p) * s.size);
      }
    });
  }

  template <class T>
  Status RunAs(RunContext& c) const {
    const Bound& b = c.params<Bound>();
    AttentionSizes s = b.sizes;
    std::byte* memory = c.scratch();
    auto take = [&memory](int64_t bytes) {
      std::byte* at = memory;
      memory += bytes;
      return at;
    };
    int64_t* valid = reinterpret_cast<int64_t*>(take(b.lengths_bytes));
    int64_t* offsets = valid + s.batch;
    LINNET_ASSIGN(const int64_t most, ReadLengths(c, b, valid, offsets));
    LINNET_TRY(CheckPositions(c, b, offsets));
    if (s.size == 0) return Status();   // of any number of heads

    // Rows of queries, keys and values as they are given.
    const int64_t row = (b.packed ? heads + 2 * kv_heads : heads) * s.size, kv_row = b.packed ? row : kv_heads * s.size;
    const T* queries = c.in<T>(kQuery);
    const T* keys = b.packed ? queries + heads * s.size : c.in<T>(kKey);
    const T* values = b.packed ? keys + kv_heads * s.size : c.in<T>(kValue);
    float* q = reinterpret_cast<float*>(take(b.q_bytes));
    T* presents[2];
    for (int i = 0; i < 2; ++i) {
      T* own = reinterpret_cast<T*>(take(b.present_bytes[i]));
      presents[i] = c.has_output(1 + i) ? c.out<T>(1 + i) : own;
    }
    LINNET_TRY(Fill(c, b, c.has_input(kPastKey) ? c.in<T>(kPastKey) : nullptr, presents[0], offsets, [&](int64_t i, int64_t h, int64_t p, T* to) {
      Turn(c, b, rotary ? PositionOf(c, b, offsets, i, p) : 0, keys + (i * s.queries + p) * kv_row + h * s.size, to);
    }));
    LINNET_TRY(Fill(c, b, c.has_input(kPastValue) ? c.in<T>(kPastValue) : nullptr, presents[1], offsets, [&](int64_t i, int64_t h, int64_t p, T* to) {
      CopyRun(to, values + (i * s.queries + p) * kv_row + h * s.size, s.size);
    }));
    if (s.batch * s.queries == 0) return Status();

    AttentionCore<float> core;
    const int64_t head = s.keys * s.size;
    core.k = {nullptr, kv_heads * head, head, s.size};
    core.v = core.k;
    float* wide[2] = {reinterpret_cast<float*>(take(b.wide_bytes)), reinterpret_cast<float*>(take(b.wide_bytes))};
    if constexpr (std::is_same_v<T, float>) {
      core.k.data = presents[0], core.v.data = presents[1];
      core.q = {queries, s.queries * row, s.size, row};
    } else {
      for (int i = 0; i < 2; ++i) for (int64_t j = 0; j < s.batch * kv_heads * head; ++j) wide[i][j] = Widen(presents[i][j]);
      core.k.data = wide[0], core.v.data = wide[1];
    }
    if (b.q_bytes > 0) {
      LINNET_TRY(c.ParallelFor(s.batch * s.queries, 1, static_cast<double>(heads * s.size), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t position = rotary ? PositionOf(c, b, offsets, i / s.queries, i % s.queries) : 0;
          for (int64_t h = 0; h < heads; ++h) Turn(c, b, position, queries + i * row + h * s.size, q + (i * heads + h) * s.size);
        }
      }));
      core.q = {q, s.queries * heads * s.size, s.size, heads * s.size};
    }
    if (s.sink) {
      float* sinks = reinterpret_cast<float*>(take(b.sinks_bytes));
      for (int64_t h = 0; h < heads; ++h) sinks[h] = c.has_input(kSinks) ? static_cast<float>(Widen(c.in<T>(kSinks)[h])) : 0;
      core.sinks = sinks;
    }
    float* y = reinterpret_cast<float*>(take(b.y_bytes));
    if constexpr (std::is_same_v<T, float>) {
      if (c.has_output(0)) y = c.out<float>(0);
    }
    core.y = {y, s.queries * heads * s.size, s.size, heads * s.size};
    s.keys = most;   // what is behind is not filled
    core.sizes = s;
    core.scale = scale != 0 ? scale : static_cast<float>(1 / std::sqrt(static_cast<double>(s.size)));
    core.softcap = softcap;
    static_cast<AttentionKernels&>(core) = kernels;
    core.masks.causal = causal;
    core.masks.left = window > 0 ? window - 1 : -1;
    core.masks.valid_keys = valid;
    core.masks.offsets = offsets;
    if (c.has_input(kBias)) {
      core.masks.mask = c.input(kBias);
      core.masks.mask_dtype = c.input_dtype(kBias);
      core.masks.mask_keys = b.bias_keys;
      for (int i = 0; i < 3; ++i) core.masks.mask_strides[i] = b.bias_strides[i];
    }
    float* packed = reinterpret_cast<float*>(take(b.packed_bytes));
    if (b.packed_bytes > 0) LINNET_TRY(core.Pack(c, packed));
    LINNET_TRY(core.RunAll(c, memory, b.worker_bytes));
    if constexpr (!std::is_same_v<T, float>) {
      for (int64_t i = 0; c.has_output(0) && i < s.batch * s.queries * heads * s.size; ++i) c.out<T>(0)[i] = Narrow<T>(y[i]);
    }
    return Status();
  }
};

}  // namespace

LINNET_MS_OP(GroupQueryAttention, 1, GroupQueryAttention);

}  // namespace linnet
