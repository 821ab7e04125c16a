// MultiHeadAttention, Attention and QAttention (com.microsoft, version 1): attention with biases, masks of integers and caches.
//
// Only their types are known here: the pass `lower` makes them of products, masks as real numbers and attention.
//
//     MultiHeadAttention   query, key, value, bias, key_padding_mask, attention_bias, past_key, past_value
//     Attention            input, weights, bias, mask_index, past, attention_bias
//     QAttention           input, weight, bias, input_scale, weight_scale, mask_index, input_zero_point, weight_zero_point, past
//
// Queries, keys and values are [B, S, heads * size] (projections of the input in the latter two); keys and values also
// [B, heads, S, size], or together [B, S, heads, 2, size], with the queries [B, S, heads, 3, size].
#include <math.h>

#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

constexpr uint32_t kReal = Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16);
constexpr uint32_t kByte = Mask(DType::kUint8) | Mask(DType::kInt8);

Status Same(int64_t a, int64_t b, const char* what) {
  if (!IsKnownDim(a) || !IsKnownDim(b) || a == b) return Status();
  return InvalidModel(what, " differ: ", a, " and ", b);
}

/// A tensor as [batch, heads, positions, size]; unknown where it is not known.
struct Dims {
  int64_t batch = kUnknownDim, heads = kUnknownDim, positions = kUnknownDim, size = kUnknownDim;
};

/// What every one of them has: heads, scale, what hidden keys get.
Result<int64_t> ParseHeads(const Node& node) {
  LINNET_ASSIGN(int64_t heads, node.Int("num_heads", 0));
  if (heads < 1 || heads > kDimMax) return InvalidModel("attribute num_heads is ", heads);
  LINNET_ASSIGN(float scale, node.Float("scale", 0));
  LINNET_ASSIGN(float filter, node.Float("mask_filter_value", -10000));
  if (!isfinite(scale)) return InvalidModel("attribute scale is ", scale);
  if (isnan(filter)) return InvalidModel("attribute mask_filter_value is ", filter);
  for (const char* name : {"do_rotary", "past_present_share_buffer"}) {
    LINNET_ASSIGN(int64_t flag, node.Int(name, 0));
    if (flag != 0) return Unsupported("attribute ", name);
  }
  LINNET_ASSIGN(int64_t causal, node.Int("unidirectional", 0));
  if (causal != 0 && causal != 1) return InvalidModel("attribute unidirectional is ", causal);
  return heads;
}

/// The mask of integers in its forms: [B] numbers of keys, [2 B] their ends and then their beginnings, [B, keys], [B, queries, keys].
Status CheckMask(const InferContext& c, int input, int64_t batch, int64_t queries, int64_t keys, bool beginnings) {
  LINNET_TRY(c.CheckType(input, Mask(DType::kInt32)));
  if (!c.has_input(input) || !c.shape(input).has_rank()) return Status();
  const Shape& mask = c.shape(input);
  auto is = [](int64_t a, int64_t b) { return !IsKnownDim(a) || !IsKnownDim(b) || a == b; };
  bool fits = false;
  if (mask.rank() == 1) fits = is(mask[0], batch) || (beginnings && is(mask[0], DimMul(batch, 2)));
  if (mask.rank() == 2) fits = (is(mask[0], batch) && is(mask[1], keys)) || (beginnings && mask[1] == 1 && (mask[0] == 1 || is(mask[0], batch)));
  if (mask.rank() == 3) fits = is(mask[0], batch) && is(mask[1], queries) && is(mask[2], keys);
  if (mask.rank() == 4) return Unsupported("a mask of four dimensions");
  if (!fits) return InvalidModel("the mask of shape ", ToString(mask), " does not fit ", batch, " sequences of ", queries, " queries and ", keys, " keys");
  return Status();
}

/// What is added to the scores: [B or 1, heads or 1, queries, keys].
Status CheckBias(const InferContext& c, int input, const Dims& q, int64_t keys) {
  LINNET_TRY(c.CheckType(input, kReal));
  LINNET_TRY(c.CheckRank(input, 4));
  if (!c.has_input(input) || !c.shape(input).has_rank()) return Status();
  const Shape& bias = c.shape(input);
  const int64_t wanted[] = {q.batch, q.heads, q.positions, keys};
  for (int d = 0; d < 4; ++d) {
    if (IsKnownDim(bias[d]) && IsKnownDim(wanted[d]) && bias[d] != wanted[d] && (d > 1 || bias[d] != 1)) {
      return InvalidModel("attention_bias of shape ", ToString(bias), " has ", bias[d], " where ", wanted[d], " is expected");
    }
  }
  return Status();
}

struct MultiHeadAttention {
  int64_t heads = 1;

  enum { kQuery, kKey, kValue, kBias, kMask, kAttentionBias, kPastKey, kPastValue };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(heads, ParseHeads(node));
    LINNET_ASSIGN(int64_t causal, node.Int("unidirectional", 0));
    if (causal && node.outputs.size() > 3 && node.outputs[3] != kNoValue) return Unsupported("output qk where attribute unidirectional is 1");
    return Status();
  }

  Result<Dims> Read(const Shape& shape, const char* name) const {
    Dims d;
    d.heads = heads;
    if (!shape.has_rank()) return d;
    d.batch = shape[0];
    if (shape.rank() == 4) {
      d.positions = shape[2], d.size = shape[3];
      LINNET_TRY(Same(shape[1], heads, "heads of a cache and of the node"));
      return d;
    }
    d.positions = shape[1];
    if (shape.rank() == 5) {
      LINNET_TRY(Same(shape[2], heads, "heads of a packed input and of the node"));
      d.size = shape[4];
      return d;
    }
    if (shape.rank() != 3) return InvalidModel("input ", name, " has shape ", ToString(shape));
    if (IsKnownDim(shape[2]) && shape[2] % heads != 0) return InvalidModel(name, " of shape ", ToString(shape), " does not divide into ", heads, " heads");
    d.size = DimDiv(shape[2], heads);
    return d;
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 10));
    for (int i : {8, 9}) {
      if (c.has_input(i)) return Unsupported("input ", i, " (", i == 8 ? "past_sequence_length" : "cache_indirection", ")");
    }
    for (int i : {kQuery, kKey, kValue, kBias, kPastKey, kPastValue}) LINNET_TRY(c.CheckType(i, kReal));
    LINNET_TRY(CheckSameType(c, {kQuery, kKey, kValue, kBias, kAttentionBias, kPastKey, kPastValue}));
    const Shape& query = c.shape(kQuery);
    const bool packed = !c.has_input(kKey), packed_keys = !packed && !c.has_input(kValue);
    if (packed && c.has_input(kValue)) return InvalidModel("a value is given and no key");
    if (query.has_rank() && query.rank() != (packed ? 5 : 3)) return InvalidModel("query has shape ", ToString(query), packed ? " and there is no key" : "");
    if (packed && query.rank() == 5) LINNET_TRY(Same(query[3], 3, "parts of a packed query"));
    LINNET_ASSIGN(const Dims q, Read(query, "query"));
    Dims k = q, v = q;
    if (!packed) {
      const Shape& key = c.shape(kKey);
      if (packed_keys && key.has_rank() && key.rank() != 5) return InvalidModel("key has shape ", ToString(key), " and there is no value");
      if (!packed_keys && key.rank() == 5) return InvalidModel("key has shape ", ToString(key), " and there is a value");
      if (key.rank() == 5) LINNET_TRY(Same(key[3], 2, "parts of a packed key"));
      LINNET_ASSIGN(k, Read(key, "key"));
      v = k;
      if (!packed_keys) {
        if (c.shape(kValue).rank() == 5 || (key.has_rank() && c.shape(kValue).has_rank() && key.rank() != c.shape(kValue).rank())) {
          return InvalidModel("key has shape ", ToString(key), " and value ", ToString(c.shape(kValue)));
        }
        LINNET_ASSIGN(v, Read(c.shape(kValue), "value"));
      }
      LINNET_TRY(Same(q.batch, k.batch, "batches of query and key"));
      LINNET_TRY(Same(k.batch, v.batch, "batches of key and value"));
      LINNET_TRY(Same(k.positions, v.positions, "lengths of key and value"));
      LINNET_TRY(Same(q.size, k.size, "head sizes of query and key"));
    }
    if (c.has_input(kBias)) {
      LINNET_TRY(c.CheckRank(kBias, 1));
      if (packed || packed_keys || c.shape(kKey).rank() == 4) return Unsupported("a bias of keys that are not [batch, length, heads * size]");
      if (c.shape(kBias).has_rank()) {
        LINNET_TRY(Same(c.shape(kBias)[0], DimMul(heads, DimAdd(DimMul(2, q.size), v.size)), "length of the bias and sum of the hidden sizes"));
      }
    }
    int64_t total = k.positions;
    if (c.has_input(kPastKey) != c.has_input(kPastValue)) return InvalidModel("past_key and past_value go together");
    if (c.has_input(kPastKey)) {
      if (!packed && c.shape(kKey).rank() == 4) return InvalidModel("past_key is given where key is a cache itself");
      for (int i : {kPastKey, kPastValue}) {
        LINNET_TRY(c.CheckRank(i, 4));
        if (!c.shape(i).has_rank()) continue;
        LINNET_ASSIGN(const Dims past, Read(c.shape(i), "past"));
        LINNET_TRY(Same(past.batch, q.batch, "batches of a cache and of query"));
        LINNET_TRY(Same(past.size, i == kPastKey ? k.size : v.size, "head sizes of a cache and of what follows it"));
      }
      const Shape &pk = c.shape(kPastKey), &pv = c.shape(kPastValue);
      if (pk.has_rank() && pv.has_rank()) LINNET_TRY(Same(pk[2], pv[2], "lengths of past_key and past_value"));
      total = DimAdd(total, pk.has_rank() ? pk[2] : kUnknownDim);
    }
    LINNET_TRY(CheckMask(c, kMask, q.batch, q.positions, total, false));
    LINNET_TRY(CheckBias(c, kAttentionBias, q, total));
    const DType dtype = c.dtype(kQuery);
    LINNET_TRY(c.SetOutput(1, dtype, Shape{q.batch, heads, total, k.size}));
    LINNET_TRY(c.SetOutput(2, dtype, Shape{q.batch, heads, total, v.size}));
    LINNET_TRY(c.SetOutput(3, dtype, Shape{q.batch, heads, q.positions, total}));
    return c.SetOutput(0, dtype, Shape{q.batch, q.positions, DimMul(heads, v.size)});
  }
};

template <bool kQuantized>
struct AttentionOfInput {
  int64_t heads = 1;
  std::vector<int64_t> hidden;   ///< of Q, K and V; empty: thirds

  enum { kInput, kWeights, kBias, kMask = kQuantized ? 5 : 3, kPast = kQuantized ? 8 : 4, kAttentionBias = kQuantized ? 9 : 5 };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(heads, ParseHeads(node));
    LINNET_ASSIGN(hidden, node.Ints("qkv_hidden_sizes"));
    if (hidden.empty()) return Status();
    if (kQuantized) return Unsupported("attribute qkv_hidden_sizes");
    if (hidden.size() != 3 || hidden[0] != hidden[1]) return InvalidModel("attribute qkv_hidden_sizes has ", hidden.size(), " numbers, or not the same for Q and K");
    for (int64_t size : hidden) {
      if (size < 0 || size > kDimMax || size % heads != 0) return InvalidModel("attribute qkv_hidden_sizes has ", size, ", which does not divide into ", heads, " heads");
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(kQuantized ? 5 : 2, kQuantized ? 9 : 7));
    if (!kQuantized && c.has_input(6)) return Unsupported("input 6 (past_sequence_length)");
    for (int i : {kInput, kWeights}) LINNET_TRY(c.CheckType(i, kQuantized ? kByte : kReal));
    for (int i : {int{kBias}, int{kPast}}) LINNET_TRY(c.CheckType(i, kReal));
    if (!kQuantized) LINNET_TRY(CheckSameType(c, {kInput, kWeights, kBias, kPast, kAttentionBias}));
    LINNET_TRY(c.CheckRank(kInput, 3));
    LINNET_TRY(c.CheckRank(kWeights, 2));
    LINNET_TRY(c.CheckRank(kBias, 1));
    LINNET_TRY(c.CheckRank(kPast, 5));
    const Shape x = c.shape(kInput).has_rank() ? c.shape(kInput) : Shape::OfRank(3);
    const Shape w = c.shape(kWeights).has_rank() ? c.shape(kWeights) : Shape::OfRank(2);
    LINNET_TRY(Same(x[2], w[0], "size of the input and rows of the weights"));
    if (kQuantized) LINNET_TRY(CheckScales(c, w[1]));
    int64_t sizes[2] = {kUnknownDim, kUnknownDim};   // of a head of Q and K, and of V
    if (!hidden.empty()) {
      LINNET_TRY(Same(w[1], hidden[0] + hidden[1] + hidden[2], "columns of the weights and sum of qkv_hidden_sizes"));
      sizes[0] = hidden[0] / heads, sizes[1] = hidden[2] / heads;
    } else if (IsKnownDim(w[1])) {
      if (w[1] % 3 != 0 || w[1] / 3 % heads != 0) return InvalidModel(w[1], " columns of weights do not divide into Q, K and V of ", heads, " heads");
      sizes[0] = sizes[1] = w[1] / 3 / heads;
    }
    if (c.has_input(kBias) && c.shape(kBias).has_rank()) LINNET_TRY(Same(c.shape(kBias)[0], w[1], "length of the bias and columns of the weights"));
    int64_t total = x[1];
    if (c.has_input(kPast)) {
      const Shape past = c.shape(kPast).has_rank() ? c.shape(kPast) : Shape::OfRank(5);
      LINNET_TRY(Same(past[0], 2, "parts of the past"));
      LINNET_TRY(Same(past[1], x[0], "batches of the past and of the input"));
      LINNET_TRY(Same(past[2], heads, "heads of the past and of the node"));
      for (int64_t size : sizes) LINNET_TRY(Same(past[4], size, "head sizes of the past and of the weights"));
      total = DimAdd(total, past[3]);
    }
    if (c.has_output(1)) LINNET_TRY(Same(sizes[0], sizes[1], "head sizes of keys and values that are given as one"));
    LINNET_TRY(CheckMask(c, kMask, x[0], x[1], total, true));
    if (!kQuantized) LINNET_TRY(CheckBias(c, kAttentionBias, {x[0], heads, x[1], sizes[0]}, total));
    const DType dtype = kQuantized ? DType::kFloat : c.dtype(kInput);
    LINNET_TRY(c.SetOutput(1, dtype, Shape{2, x[0], heads, total, sizes[0]}));
    return c.SetOutput(0, dtype, Shape{x[0], x[1], DimMul(heads, sizes[1])});
  }

  /// One scale and zero point for the input; one, or one a column, for the weights.
  static Status CheckScales(const InferContext& c, int64_t columns) {
    for (int i : {3, 4}) LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
    for (int i : {3, 4, 6, 7}) {
      if (i > 4) LINNET_TRY(c.CheckType(i, kByte));
      if (!c.has_input(i) || !c.shape(i).has_rank()) continue;
      const Shape& shape = c.shape(i);
      const bool one = shape.is_static() && shape.elements() == 1, each = i % 3 == 1 && shape.rank() == 1 && (!IsKnownDim(shape[0]) || !IsKnownDim(columns) || shape[0] == columns);
      if (shape.is_static() && !one && !each) return InvalidModel("input ", i, " has shape ", ToString(shape), i % 3 == 1 ? " where one number, or one a column, is expected" : " where one number is expected");
    }
    return Status();
  }
};

}  // namespace

LINNET_MS_OP(Attention, 1, AttentionOfInput<false>);
LINNET_MS_OP(QAttention, 1, AttentionOfInput<true>);
LINNET_MS_OP(MultiHeadAttention, 1, MultiHeadAttention);

}  // namespace linnet
