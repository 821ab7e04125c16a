// Operators of com.microsoft that ONNX spells as several, by what its documentation says of them: attention and its kin, embeddings.
#include <math.h>

#include <algorithm>
#include <functional>

#include "providers/reference/heads.h"

namespace linnet::reference {
namespace {

/// [B, S, heads * size] as [B, heads, S, size]; four dimensions stay; of [B, S, heads, parts, size] one part.
Reals Heads(const Reals& x, int64_t heads, int64_t part = 0) {
  if (x.shape.rank() == 4) return x;
  if (x.shape.rank() == 5) {
    Reals y(Shape{x.shape[0], heads, x.shape[1], x.shape[4]});
    ForEachIndex(y.shape, [&](const Index& i, int64_t at) { y[at] = x[Index{i[0], i[2], i[1], part, i[3]}]; });
    return y;
  }
  const int64_t size = x.shape[2] / heads;
  Reals y(Shape{x.shape[0], heads, x.shape[1], size});
  ForEachIndex(y.shape, [&](const Index& i, int64_t at) { y[at] = x[Index{i[0], i[2], i[1] * size + i[3]}]; });
  return y;
}
/// Columns [first, first + count) of the last dimension.
Reals Columns(const Reals& x, int64_t first, int64_t count) {
  const int last = x.shape.rank() - 1;
  Reals y(WithDim(x.shape, last, count));
  ForEachIndex(y.shape, [&](Index i, int64_t at) {
    i[U(last)] += first;
    y[at] = x[i];
  });
  return y;
}
void AddRow(Reals* x, const Reals& row) {
  for (int64_t i = 0; i < x->size(); ++i) (*x)[i] += row[i % row.size()];
}

/// y = softmax(added(b, h, i, j, scale q k')) v; key heads are shared by groups. A sink is one more score, for no key.
Reals Attend(const Reals& q, const Reals& k, const Reals& v, double scale, const std::function<double(const Index&, double)>& added,
             const Reals& sinks = Reals(Shape{0}), Reals* shown = nullptr) {
  Reals y(WithDim(q.shape, 3, v.shape[3]));
  const int64_t keys = k.shape[2], group = q.shape[1] / k.shape[1];
  ForEachIndex(Shape{q.shape[0], q.shape[1], q.shape[2]}, [&](const Index& at, int64_t number) {
    const auto [b, h, i] = std::tie(at[0], at[1], at[2]);
    std::vector<double> row;
    for (int64_t j = 0; j < keys; ++j) {
      double sum = 0;
      for (int64_t d = 0; d < q.shape[3]; ++d) sum += q[Index{b, h, i, d}] * k[Index{b, h / group, j, d}];
      row.push_back(added(Index{b, h, i, j}, sum * scale));
      if (shown) (*shown)[number * keys + j] = row.back();
    }
    if (sinks.size() > 0) row.push_back(sinks[h]);
    const double most = row.empty() ? 0 : *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (double& p : row) sum += p = most == -INFINITY ? 0 : exp(p - most);
    for (int64_t d = 0; d < v.shape[3]; ++d) {
      double value = 0;
      for (int64_t j = 0; j < keys; ++j) value += row[U(j)] == 0 ? 0 : row[U(j)] / sum * v[Index{b, h / group, j, d}];
      y[Index{b, h, i, d}] = value;
    }
  });
  return y;
}

/// Masks of integers, in all their forms: whether query i of sequence b may see key j.
struct IntegerMask {
  bool given = false;
  Integers mask;
  int64_t batch = 0;
  IntegerMask(Call& c, int input, int64_t sequences) : given(c.Has(input)), batch(sequences) {
    if (given) mask = c.In<int64_t>(input);
  }
  bool Sees(int64_t b, int64_t i, int64_t j) const {
    if (!given) return true;
    if (mask.shape.rank() == 1) return j < mask[b] && (mask.size() == batch || j >= mask[batch + b]);
    if (mask.shape.rank() == 2) return mask.shape[1] == 1 || mask[Index{b, j}] > 0;
    return mask[Index{b, i, j}] > 0;
  }
};

/// What MultiHeadAttention and Attention share behind their projections.
Status Masked(Call& c, const Reals& q, const Reals& k, const Reals& v, int64_t past, int mask_input, int bias_input, Reals* y, Reals* shown) {
  const IntegerMask mask(c, mask_input, q.shape[0]);
  const double given = c.Float("scale", 0), scale = given != 0 ? given : 1 / sqrt(static_cast<double>(q.shape[3])),
               filter = c.Float("mask_filter_value", -10000);
  const bool causal = c.Flag("unidirectional"), biased = bias_input >= 0 && c.Has(bias_input);
  const Reals bias = biased ? c.In(bias_input) : Reals(Shape{1, 1, 1, 1});
  *y = Merged(Attend(q, k, v, scale, [&](const Index& at, double score) -> double {
    // The last one sees all: more than the past where there are more keys than queries.
    if (causal && at[3] > at[2] + past && at[2] + 1 < q.shape[2]) return -INFINITY;
    return score + (mask.Sees(at[0], at[2], at[3]) ? 0 : filter) + (biased ? bias.Broadcast(at, 4) : 0);
  }, Reals(Shape{0}), shown));
  return Status();
}

Status MultiHeadAttention(Call& c) {
  const int64_t heads = c.Int("num_heads", 1);
  Reals query = c.In(0), key = c.Has(1) ? c.In(1) : query, value = c.Has(2) ? c.In(2) : key;
  if (c.Has(3)) {
    const Reals bias = c.In(3);
    const int64_t size = query.shape[2];
    AddRow(&query, Columns(bias, 0, size));
    AddRow(&key, Columns(bias, size, size));
    AddRow(&value, Columns(bias, 2 * size, value.shape[2]));
  }
  const Reals q = Heads(query, heads);
  Reals k = Heads(key, heads, c.Has(1) ? 0 : 1), v = Heads(value, heads, c.Has(2) ? 0 : c.Has(1) ? 1 : 2);
  int64_t past = 0;
  if (c.Has(6)) {
    past = c.shape(6)[2];
    k = Joined(c.In(6), k);
    v = Joined(c.In(7), v);
  }
  Reals y, shown(Shape{q.shape[0], heads, q.shape[2], k.shape[2]});
  LINNET_TRY(Masked(c, q, k, v, past, 4, 5, &y, &shown));
  LINNET_TRY(c.Out(0, y));
  LINNET_TRY(c.Out(1, k));
  LINNET_TRY(c.Out(2, v));
  return c.Out(3, shown);
}

/// `projected`: [B, S, Q ++ K ++ V].
Status AttentionOf(Call& c, const Reals& projected, int mask, int past_input, int bias) {
  const int64_t heads = c.Int("num_heads", 1);
  std::vector<int64_t> hidden = c.Ints("qkv_hidden_sizes");
  if (hidden.empty()) hidden.assign(3, projected.shape[2] / 3);
  const Reals q = Heads(Columns(projected, 0, hidden[0]), heads);
  Reals k = Heads(Columns(projected, hidden[0], hidden[1]), heads), v = Heads(Columns(projected, hidden[0] + hidden[1], hidden[2]), heads);
  int64_t past = 0;
  if (c.Has(past_input)) {
    const Reals both = c.In(past_input);
    past = both.shape[3];
    const Shape half{both.shape[1], both.shape[2], both.shape[3], both.shape[4]};
    Reals past_key(half), past_value(half);
    std::copy_n(both.data.begin(), half.elements(), past_key.data.begin());
    std::copy_n(both.data.begin() + half.elements(), half.elements(), past_value.data.begin());
    k = Joined(past_key, k);
    v = Joined(past_value, v);
  }
  Reals y;
  LINNET_TRY(Masked(c, q, k, v, past, mask, bias, &y, nullptr));
  LINNET_TRY(c.Out(0, y));
  if (!c.Wants(1)) return Status();
  Reals present(Shape{2, k.shape[0], k.shape[1], k.shape[2], k.shape[3]});
  std::copy(k.data.begin(), k.data.end(), present.data.begin());
  std::copy(v.data.begin(), v.data.end(), present.data.begin() + k.size());
  return c.Out(1, present);
}

/// x w + b, x of [B, S, size].
Reals Projected(const Reals& x, const Reals& w, const Reals& bias) {
  Reals y(WithDim(x.shape, 2, w.shape[1]));
  ForEachIndex(y.shape, [&](const Index& i, int64_t at) {
    double sum = bias.size() > 0 ? bias[i[2]] : 0;
    for (int64_t d = 0; d < x.shape[2]; ++d) sum += x[Index{i[0], i[1], d}] * w[Index{d, i[2]}];
    y[at] = sum;
  });
  return y;
}

Status Attention(Call& c) { return AttentionOf(c, Projected(c.In(0), c.In(1), c.Has(2) ? c.In(2) : Reals(Shape{0})), 3, 4, 5); }

Status QAttention(Call& c) {
  const Integers x8 = c.In<int64_t>(0), w8 = c.In<int64_t>(1);
  const Reals scales = c.In(4), zeros = c.InOr(7, 0, Shape{1});
  const double scale = c.First(3), zero = c.First(6, 0.0);
  Reals x(x8.shape), w(w8.shape);
  for (int64_t i = 0; i < x.size(); ++i) x[i] = (static_cast<double>(x8[i]) - zero) * scale;
  for (int64_t i = 0; i < w.size(); ++i) {
    const int64_t column = i % w.shape[1];
    w[i] = (static_cast<double>(w8[i]) - zeros[zeros.size() == 1 ? 0 : column]) * scales[scales.size() == 1 ? 0 : column];
  }
  return AttentionOf(c, Projected(x, w, c.Has(2) ? c.In(2) : Reals(Shape{0})), 5, 8, -1);
}

/// Turns pairs of each head's numbers, (i, i + half) or (2 i, 2 i + 1), by the angle of their position.
void Turn(Reals* x, const Reals& cosine, const Reals& sine, bool interleaved, const std::function<int64_t(int64_t b, int64_t s)>& position) {
  const int64_t half = cosine.shape[1];
  const Reals from = *x;
  ForEachIndex(Shape{x->shape[0], x->shape[1], x->shape[2], half}, [&](const Index& i, int64_t) {
    Index re = i, im = i;
    re[3] = interleaved ? 2 * i[3] : i[3];
    im[3] = interleaved ? 2 * i[3] + 1 : i[3] + half;
    const int64_t angle = position(i[0], i[2]) * half + i[3];
    (*x)[re] = cosine[angle] * from[re] - sine[angle] * from[im];
    (*x)[im] = sine[angle] * from[re] + cosine[angle] * from[im];
  });
}

Status RotaryEmbedding(Call& c) {
  const Reals cosine = c.In(2), sine = c.In(3);
  const Integers ids = c.In<int64_t>(1);
  const int64_t given = c.Int("num_heads", 0), heads = given > 0 ? given : c.rank() == 3 ? c.shape(0)[2] / (2 * cosine.shape[1]) : 1;
  Reals x = Heads(c.In(0), heads);
  const int64_t length = x.shape[2], last = ids.shape.rank() == 1 ? length - 1 : 0;
  for (int64_t id : ids.data) {
    if (id < 0 || id + last >= cosine.shape[0]) return InvalidArgument("position ", id, " is outside a cache of ", cosine.shape[0]);
  }
  Turn(&x, cosine, sine, c.Flag("interleaved"), [&](int64_t b, int64_t s) { return ids.shape.rank() == 1 ? ids[0] + s : ids[b * length + s]; });
  return c.Out(0, c.rank() == 3 ? Merged(x) : x);
}

/// Keys and values of sequence b are its first seqlens_k[b] + 1; new ones are the last of them, or in a prompt the first.
Status GroupQueryAttention(Call& c) {
  const int64_t heads = c.Int("num_heads", 1), kv_heads = c.Int("kv_num_heads", 1), length = c.shape(0)[1], total = c.First<int64_t>(6);
  Reals query = c.In(0), key, value;
  if (c.Has(1)) {
    key = c.In(1), value = c.In(2);
  } else {
    const int64_t size = query.shape[2] / (heads + 2 * kv_heads);
    key = Columns(query, heads * size, kv_heads * size);
    value = Columns(query, (heads + kv_heads) * size, kv_heads * size);
    query = Columns(query, 0, heads * size);
  }
  Reals q = Heads(query, heads), k = Heads(key, kv_heads), v = Heads(value, kv_heads);
  const Integers lengths = c.In<int64_t>(5), ids = c.Has(9) ? c.In<int64_t>(9) : Integers(Shape{0});
  const int64_t past = c.Has(3) ? c.shape(3)[2] : 0;
  if (total < length) return InvalidArgument("a total of ", total, " for ", length, " queries");
  auto before = [&](int64_t b) { return total == length ? 0 : lengths[b] + 1 - length; };
  for (int64_t b = 0; b < q.shape[0]; ++b) {
    if (lengths[b] < 0 || lengths[b] >= total || before(b) < 0 || before(b) > past) return InvalidArgument("seqlens_k has ", lengths[b]);
  }
  if (c.Flag("do_rotary")) {
    auto position = [&](int64_t b, int64_t s) { return !c.Has(9) ? before(b) + s : total == length ? ids[0] + s : ids[b * length + s]; };
    for (int64_t i = 0; i < q.shape[0] * length; ++i) {
      const int64_t p = position(i / length, i % length);
      if (p < 0 || p >= c.shape(7)[0]) return InvalidArgument("position ", p);
    }
    for (Reals* x : {&q, &k}) Turn(x, c.In(7), c.In(8), c.Flag("rotary_interleaved"), position);
  }
  Reals present[2];
  for (int i = 0; i < 2; ++i) {
    present[i] = Reals(WithDim(k.shape, 2, std::max(past, total)));
    if (c.Has(3 + i)) {
      const Reals old = c.In(3 + i);
      ForEachIndex(old.shape, [&](const Index& at, int64_t offset) { present[i][at] = old[offset]; });
    }
    const Reals& added = i == 0 ? k : v;
    ForEachIndex(added.shape, [&](const Index& at, int64_t offset) { present[i][Index{at[0], at[1], before(at[0]) + at[2], at[3]}] = added[offset]; });
  }
  const double given = c.Float("scale", 0), scale = given != 0 ? given : 1 / sqrt(static_cast<double>(q.shape[3])), softcap = c.Float("softcap", 0);
  const bool causal = c.Flag("causal", true), biased = c.Has(10);
  const Reals bias = biased ? c.In(10) : Reals(Shape{1, 1, 1, 1});
  const int64_t window = c.Int("local_window_size", -1);
  const Reals sinks = c.Has(11) ? c.In(11) : Reals(Shape{c.Flag("smooth_softmax") ? heads : 0});
  const Reals y = Attend(q, present[0], present[1], scale, [&](const Index& at, double score) -> double {
    const int64_t position = before(at[0]) + at[2];
    if (at[3] > lengths[at[0]] || (causal && at[3] > position) || (window > 0 && at[3] <= position - window)) return -INFINITY;
    if (softcap > 0) score = softcap * tanh(score / softcap);
    return score + (biased ? bias.Broadcast(Index{at[0], at[1], at[2], at[3]}, 4) : 0);
  }, sinks);
  LINNET_TRY(c.Out(0, Merged(y)));
  LINNET_TRY(c.Out(1, present[0]));
  return c.Out(2, present[1]);
}

/// Rows of the three tables, added up and normalized.
Status EmbedLayerNormalization(Call& c) {
  const Integers ids = c.In<int64_t>(0);
  const Reals word = c.In(2), position = c.In(3), gamma = c.In(5), beta = c.In(6);
  const bool segments = c.Has(1);
  const Integers segment_ids = segments ? c.In<int64_t>(1) : ids, position_ids = c.Has(8) ? c.In<int64_t>(8) : ids;
  const Reals segment = segments ? c.In(4) : word;
  const int64_t length = ids.shape[1], size = word.shape[1];
  Reals sum(Shape{ids.shape[0], length, size}), y(sum.shape);
  for (int64_t row = 0; row < ids.size(); ++row) {
    const int64_t p = c.Has(8) ? position_ids[row % position_ids.size()] : row % length;
    auto wrapped = [](int64_t id, const Reals& table) { return id < 0 ? id + table.shape[0] : id; };
    for (const auto& [id, table] : {std::pair(ids[row], &word), std::pair(p, &position)}) {
      if (wrapped(id, *table) < 0 || wrapped(id, *table) >= table->shape[0]) return InvalidArgument("row ", id, " of a table of ", table->shape[0]);
    }
    if (segments && (wrapped(segment_ids[row], segment) < 0 || wrapped(segment_ids[row], segment) >= segment.shape[0])) return InvalidArgument("segment ", segment_ids[row]);
    double mean = 0, squares = 0;
    for (int64_t d = 0; d < size; ++d) {
      double& value = sum[row * size + d];
      value = word[wrapped(ids[row], word) * size + d] + position[wrapped(p, position) * size + d];
      if (segments) value += segment[wrapped(segment_ids[row], segment) * size + d];
      mean += value / static_cast<double>(size);
    }
    for (int64_t d = 0; d < size; ++d) squares += pow(sum[row * size + d] - mean, 2);
    const double deviation = sqrt(squares / static_cast<double>(size) + c.Float("epsilon", 1e-12f));
    for (int64_t d = 0; d < size; ++d) y[row * size + d] = (sum[row * size + d] - mean) / deviation * gamma[d] + beta[d];
  }
  Integers ones(Shape{ids.shape[0]});
  if (c.Has(7)) {
    const Integers mask = c.In<int64_t>(7);
    for (int64_t i = 0; i < mask.size(); ++i) ones[i / length] += mask[i] == 1;
  }
  LINNET_TRY(c.Out(0, y));
  LINNET_TRY(c.Out(1, ones));
  return c.Out(2, sum);
}

/// As real numbers, chosen, and rounded again.
Status QLinearWhere(Call& c) {
  const Integers condition = c.In<int64_t>(0);
  const Reals x = c.In(1), y = c.In(4);
  const Shape shape = c.out_shape();
  Reals z(shape);
  const double low = c.out_dtype() == DType::kInt8 ? -128 : 0;
  ForEachIndex(shape, [&](const Index& i, int64_t at) {
    const bool first = condition.Broadcast(i, shape.rank()) != 0;
    const double value = first ? (x.Broadcast(i, shape.rank()) - c.First(3)) * c.First(2) : (y.Broadcast(i, shape.rank()) - c.First(6)) * c.First(5);
    z[at] = std::clamp(nearbyint(value / c.First(7)) + c.First(8), low, low + 255);
  });
  return c.Out(0, z);
}

/// Slices of codes, each minus its zero point and times its scale.
Status GatherBlockQuantized(Call& c) {
  const bool bytes = c.dtype(0) == DType::kUint8;
  const int64_t bits = bytes ? c.Int("bits", 4) : 8, each = 8 / bits, block = c.Int("block_size", 128);
  const int rank = c.rank(), g = AxisOf(c.Int("gather_axis", 0), rank), q = AxisOf(c.Int("quantize_axis", 1), rank);
  const Integers data = c.In<int64_t>(0), indices = c.In<int64_t>(1), zeros = c.Has(3) ? c.In<int64_t>(3) : data;
  const Reals scales = c.In(2);
  // Of uint8, an element is some bits of a byte; the other types are told apart by Load.
  auto code = [&](const Integers& from, Index at) {
    const int64_t part = at[U(rank - 1)] % each;
    at[U(rank - 1)] /= each;
    return bytes ? from[at] >> part * bits & ((1 << bits) - 1) : from[at];
  };
  Reals y(c.out_shape());
  ForEachIndex(y.shape, [&](const Index& i, int64_t at) {
    Index picked{}, from{};
    for (int d = 0; d < indices.shape.rank(); ++d) picked[U(d)] = i[U(g + d)];
    for (int d = 0; d < rank; ++d) from[U(d)] = i[U(d <= g ? d : d + indices.shape.rank() - 1)];
    const int64_t index = indices[picked], size = data.shape[g];
    if (index < -size || index >= size) return;
    from[U(g)] = index < 0 ? index + size : index;
    Index of = from;
    of[U(q)] /= block;
    const int64_t zero = c.Has(3) ? code(zeros, of) : bytes ? 1 << (bits - 1) : 0;
    y[at] = static_cast<double>(code(data, from) - zero) * scales[of];
  });
  return c.Out(0, y);
}

constexpr char kMicrosoft[] = "com.microsoft";
constexpr Row kRows[] = {
    {"Attention", Attention, kMicrosoft}, {"EmbedLayerNormalization", EmbedLayerNormalization, kMicrosoft},
    {"GatherBlockQuantized", GatherBlockQuantized, kMicrosoft}, {"MultiHeadAttention", MultiHeadAttention, kMicrosoft}, {"QAttention", QAttention, kMicrosoft},
    {"GroupQueryAttention", GroupQueryAttention, kMicrosoft},
    {"QLinearWhere", QLinearWhere, kMicrosoft}, {"RotaryEmbedding", RotaryEmbedding, kMicrosoft},
};

}  // namespace

std::span<const Row> MicrosoftRows() { return kRows; }

}  // namespace linnet::reference
