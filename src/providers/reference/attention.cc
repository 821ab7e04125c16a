// Attention, LinearAttention, RotaryEmbedding.
#include <math.h>

#include <algorithm>

#include "providers/reference/heads.h"

namespace linnet::reference {
namespace {

/// [B, S, heads * size] as [B, heads, S, size]; four dimensions stay.
Reals Heads(Reals x, int64_t heads) {
  if (x.shape.rank() == 4) return x;
  const Shape split{x.shape[0], x.shape[1], heads, x.shape[2] / heads};
  Reals y(Shape{split[0], heads, split[1], split[3]});
  ForEachIndex(y.shape, [&](const Index& i, int64_t at) { y[at] = x[OffsetOf(split, {i[0], i[2], i[1], i[3]})]; });
  return y;
}

struct Masks {
  bool causal = false, boolean = false;
  int64_t left = -1, right = -1;
  Reals added;              ///< broadcasts to [B, heads, queries, keys]; what it is too short for is hidden
  bool has_mask = false;
  Integers valid_keys;      ///< of each batch entry; rank 0 when there is no limit
  int64_t past = 0, queries = 0;

  /// What is added to a score; -infinity hides it.
  double At(int64_t b, int64_t h, int64_t i, int64_t j) const {
    const bool limited = valid_keys.shape.rank() == 1;
    const int64_t position = i + (limited ? valid_keys[b] - queries : past);
    if (limited && j >= valid_keys[b]) return -INFINITY;
    if (causal && j > position) return -INFINITY;
    if ((left >= 0 && j < position - left) || (right >= 0 && j > position + right)) return -INFINITY;
    if (!has_mask) return 0;
    if (j >= added.shape[added.shape.rank() - 1]) return -INFINITY;
    Index at{b, h, i, j};
    const int shift = 4 - added.shape.rank();
    for (int d = 0; d < added.shape.rank(); ++d)
      at[U(d)] = d + 1 < added.shape.rank() && added.shape[d] == 1 ? 0 : at[U(d + shift)];
    const double value = added[at];
    return boolean ? (value != 0 ? 0 : -INFINITY) : value;
  }
};

/// In place; a row that sees nothing becomes zeros.
void Softmax(std::vector<double>* row) {
  const double most = row->empty() ? 0 : *std::max_element(row->begin(), row->end());
  if (most == -INFINITY) return std::fill(row->begin(), row->end(), 0.0);
  double sum = 0;
  for (double& v : *row) sum += v = exp(v - most);
  for (double& v : *row) v /= sum;
}

/// Y = softmax(softcap(scale Q K') + masks) V for each query head, key heads shared by groups of them. Mode of the fourth
/// output: 0 raw scores, 1 after softcap, 2 after the masks, 3 probabilities.
Status Attention(Call& c) {
  const bool flat = c.rank() == 3;
  const Reals q = Heads(c.In(0), c.Int("q_num_heads", 1));
  Reals k = Heads(c.In(1), c.Int("kv_num_heads", 1)), v = Heads(c.In(2), c.Int("kv_num_heads", 1));
  Masks masks;
  if (c.Has(4)) {
    const Reals past_key = c.In(4), past_value = c.In(5);
    masks.past = past_key.shape[2];
    k = Joined(past_key, k);
    v = Joined(past_value, v);
  }
  const int64_t queries = q.shape[2], keys = k.shape[2], size = q.shape[3], group = q.shape[1] / k.shape[1];
  masks.causal = c.Flag("is_causal");
  masks.left = c.Int("left_window_size", -1);
  masks.right = c.Int("right_window_size", -1);
  masks.queries = queries;
  if ((masks.has_mask = c.Has(3))) masks.added = c.In(3), masks.boolean = c.dtype(3) == DType::kBool;
  masks.valid_keys.shape = Shape::OfRank(0);
  if (c.Has(6)) masks.valid_keys = c.In<int64_t>(6);
  const double scale = c.HasAttribute("scale") ? c.Float("scale", 1) : 1 / sqrt(static_cast<double>(size)),
               softcap = c.Float("softcap", 0);
  const int64_t mode = c.Int("qk_matmul_output_mode", 0), type = c.Int("softmax_precision", 0);

  Reals y(Shape{q.shape[0], q.shape[1], queries, v.shape[3]}), shown(Shape{q.shape[0], q.shape[1], queries, keys});
  ForEachIndex(Shape{q.shape[0], q.shape[1], queries}, [&](const Index& at, int64_t row_number) {
    const auto [b, h, i] = std::tie(at[0], at[1], at[2]);
    std::vector<double> row;
    auto show = [&](int64_t stage) {
      if (stage == mode) std::copy(row.begin(), row.end(), shown.data.begin() + row_number * keys);
    };
    auto round = [&] {
      for (double& value : row) if (type != 0) value = RoundedTo(static_cast<DType>(type), value);
    };
    for (int64_t j = 0; j < keys; ++j) {
      double sum = 0;
      for (int64_t d = 0; d < size; ++d) sum += q[Index{b, h, i, d}] * k[Index{b, h / group, j, d}];
      row.push_back(sum * scale);
    }
    show(0);
    for (double& value : row) if (softcap > 0) value = softcap * tanh(value / softcap);
    show(1);
    for (int64_t j = 0; j < keys; ++j) row[U(j)] += masks.At(b, h, i, j);
    show(2);
    round();
    Softmax(&row);
    round();
    show(3);
    for (int64_t d = 0; d < v.shape[3]; ++d) {
      double sum = 0;
      for (int64_t j = 0; j < keys; ++j) sum += row[U(j)] == 0 ? 0 : row[U(j)] * v[Index{b, h / group, j, d}];
      y[Index{b, h, i, d}] = sum;
    }
  });
  LINNET_TRY(c.Out(0, flat ? Merged(y) : y));
  LINNET_TRY(c.Out(1, k));
  LINNET_TRY(c.Out(2, v));
  return c.Out(3, shown);
}

/// A recurrence over a matrix of each key head:
///     state *= exp(decay)      v = beta (v - state' k)      state += k v'      y = scale q' state
/// the first only for gated rules, the second only for delta rules. Query heads of a group share a state.
Status LinearAttention(Call& c) {
  const int64_t heads = c.Int("q_num_heads", 1), kv_heads = c.Int("kv_num_heads", 1), group = heads / kv_heads;
  const Reals q = Heads(c.In(0), heads), k = Heads(c.In(1), kv_heads), v = Heads(c.In(2), kv_heads);
  const std::string rule = c.Text("update_rule", "gated_delta");
  const bool gated = rule.starts_with("gated"), delta = rule.ends_with("delta");
  const int64_t batch = q.shape[0], steps = q.shape[2], keys = k.shape[3], values = v.shape[3];
  const double given = c.Float("scale", 0), scale = given != 0 ? given : 1 / sqrt(static_cast<double>(keys));
  Reals state = c.InOr(3, 0, Shape{batch, kv_heads, keys, values}), y(Shape{batch, heads, steps, values});
  // One number a head, or one for each key number; one a head, or one for all.
  const Reals decay = c.InOr(4, 0, Shape{batch, steps, kv_heads}), beta = c.InOr(5, 1, Shape{batch, steps, 1});
  ForEachIndex(Shape{batch, kv_heads, steps}, [&](const Index& at, int64_t) {
    const auto [b, h, t] = std::tie(at[0], at[1], at[2]);
    for (int64_t m = 0; m < values; ++m) {
      double stored = 0, value = v[Index{b, h, t, m}];
      for (int64_t d = 0; d < keys; ++d) {
        double& cell = state[Index{b, h, d, m}];
        if (gated) cell *= exp(decay[Index{b, t, decay.shape[2] == kv_heads ? h : h * keys + d}]);
        stored += cell * k[Index{b, h, t, d}];
      }
      if (delta) value = beta[Index{b, t, beta.shape[2] == 1 ? 0 : h}] * (value - stored);
      for (int64_t d = 0; d < keys; ++d) state[Index{b, h, d, m}] += k[Index{b, h, t, d}] * value;
      for (int64_t g = h * group; g < (h + 1) * group; ++g) {
        double& sum = y[Index{b, g, t, m}];
        for (int64_t d = 0; d < keys; ++d) sum += scale * q[Index{b, g, t, d}] * state[Index{b, h, d, m}];
      }
    }
  });
  LINNET_TRY(c.Out(0, Merged(y)));
  return c.Out(1, state);
}

/// Turns pairs of each head's numbers by the angle of their position: (i, i + half), or (2 i, 2 i + 1) when interleaved.
Status RotaryEmbedding(Call& c) {
  const bool flat = c.rank() == 3, interleaved = c.Flag("interleaved");
  const Reals x = Heads(c.In(0), c.Int("num_heads", 1)), cosine = c.In(1), sine = c.In(2);
  const int64_t given = c.Int("rotary_embedding_dim", 0), turned = given > 0 ? given : x.shape[3], half = turned / 2;
  Integers positions;
  if (c.Has(3)) positions = c.In<int64_t>(3);
  for (int64_t p : positions.data) {
    if (p < 0 || p >= cosine.shape[0]) return InvalidArgument("position ", p, " is outside a cache of ", cosine.shape[0]);
  }
  Reals y = x;
  ForEachIndex(x.shape, [&](const Index& i, int64_t at) {
    if (i[3] >= turned) return;
    const int64_t pair = interleaved ? i[3] / 2 : i[3] % half;
    const bool second = interleaved ? i[3] % 2 : i[3] >= half;
    Index first_at = i, second_at = i;
    first_at[3] = interleaved ? 2 * pair : pair;
    second_at[3] = interleaved ? 2 * pair + 1 : pair + half;
    const int64_t position = c.Has(3) ? positions[Index{i[0], i[2]}] : i[0] * x.shape[2] + i[2];
    const double co = cosine[position * half + pair], si = sine[position * half + pair];
    y[at] = second ? si * x[first_at] + co * x[second_at] : co * x[first_at] - si * x[second_at];
  });
  return c.Out(0, flat ? Merged(y) : y);
}

constexpr Row kRows[] = {
    {"Attention", Attention}, {"LinearAttention", LinearAttention}, {"RotaryEmbedding", RotaryEmbedding},
};

}  // namespace

std::span<const Row> AttentionRows() { return kRows; }

}  // namespace linnet::reference
