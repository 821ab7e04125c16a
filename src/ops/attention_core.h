// Scaled dot product attention over memory: blocks of query rows against all keys, never the whole score matrix.
//
//     scores[m][n] = q k'      ->  scale, softcap, masks, softmax     ->  y[m][dv] = scores v
//
// A block has as many query rows as keep its scores near the second-level cache. Keys are packed once a head when there are
// many rows; a few rows meet them as dot products in place. Values are packed for many rows too: in place each lies on a page
// of its own, and few lines of a cache serve them all. With one query position the rows of a block are the query
// heads that share a key head. Keys no row of the block may see at its end are not visited.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/gemm.h"
#include "kernels/pointwise.h"
#include "kernels/softmax.h"
#include "ops/scalar_helpers.h"

namespace linnet {

/// [batch][heads][positions][size] with the last dimension contiguous.
template <class T>
struct HeadView {
  T* data = nullptr;
  int64_t batch_stride = 0, head_stride = 0, position_stride = 0;
  T* at(int64_t batch, int64_t head, int64_t position) const {
    return data + batch * batch_stride + head * head_stride + position * position_stride;
  }
};

struct AttentionSizes {
  int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, size = 0, value_size = 0;
  bool sink = false;                         ///< one more score, of no key
  int64_t group() const { return heads / kv_heads; }
};

/// Which keys a query sees, besides the mask tensor.
struct AttentionMasks {
  bool causal = false;
  int64_t left = -1, right = -1;             ///< window around the query's position; -1: unbounded
  int64_t offset = 0;                        ///< position of the first query
  const int64_t* valid_keys = nullptr;       ///< [batch] or null; then a query's offset is valid_keys - queries
  const int64_t* offsets = nullptr;          ///< [batch] or null: positions of first queries, whatever else is said
  // The mask tensor, broadcast by zero strides; keys from mask_keys on are not seen.
  const void* mask = nullptr;
  DType mask_dtype = DType::kUndefined;
  int64_t mask_strides[3] = {0, 0, 0};       ///< batch, head, query
  int64_t mask_keys = 0;
};

/// What the optional output of scores shows.
enum class AttentionScores : uint8_t { kRaw, kCapped, kMasked, kProbabilities };

/// What the products, the softmax and the softcap run on; for float.
struct AttentionKernels {
  const GemmF32Kernels* gemm = nullptr;
  SoftmaxRowsFn* softmax = nullptr;
  PointwiseFn* tanh = nullptr;

  void Pick(CpuLevel cpu) {
    gemm = &PickGemmF32(cpu);
    softmax = PickSoftmaxRows(false, cpu);
    tanh = PickPointwise(Pointwise::kTanh, cpu);
  }
};

template <class W>
struct AttentionCore : AttentionKernels {
  AttentionSizes sizes;
  AttentionMasks masks;
  HeadView<const W> q, k, v;
  HeadView<W> y;
  W scale = 1, softcap = 0;
  DType precision = DType::kUndefined;   ///< of the softmax, when it is narrower than W
  AttentionScores scores_kind = AttentionScores::kRaw;
  W* scores_out = nullptr;               ///< [batch][heads][queries][keys] or null
  const W* sinks = nullptr;              ///< [heads], where sizes say so, with masks
  // Numbers added to the scaled scores, broadcast by zero strides (batch, head, query); instead of `masks`.
  const W* bias = nullptr;
  int64_t bias_strides[3] = {0, 0, 0};
  bool bias_per_row = false;             ///< one number for all keys
  const W* packed_k = nullptr;           ///< [batch][kv_heads] packed matrices or null
  const W* packed_v = nullptr;

  /// A block of rows of one batch: rows are positions of one head, or heads at one position.
  struct Block {
    int64_t batch, head, query, rows;
    bool by_head;
    int64_t head_of(int64_t row) const { return by_head ? head + row : head; }
    int64_t query_of(int64_t row) const { return by_head ? query : query + row; }
  };

  static bool ByHead(const AttentionSizes& s) { return s.queries == 1; }
  static int64_t RowsPerBlock(const AttentionSizes& s) {
    if (ByHead(s)) return s.group();
    return std::clamp<int64_t>((int64_t{1} << 16) / std::max<int64_t>(s.keys, 1) / 8 * 8, 8, std::min<int64_t>(s.queries, 128));
  }
  static int64_t Blocks(const AttentionSizes& s) {
    return ByHead(s) ? s.batch * s.kv_heads : s.batch * s.heads * DivUp(s.queries, RowsPerBlock(s));
  }
  /// An odd number of cache lines: rows of a power of two would share a few.
  static int64_t ScoreStride(const AttentionSizes& s) { return (DivUp(std::max<int64_t>(s.keys + s.sink, 1), kPanelColumns) | 1) * kPanelColumns; }
  /// Elements of scratch for one block: scores, and a panel for values whose size is not a multiple of 16.
  static int64_t ScratchCount(const AttentionSizes& s) {
    return RowsPerBlock(s) * ScoreStride(s) + kPanelColumns * std::max<int64_t>(std::max(s.keys, s.size), 1);
  }
  static bool PacksKeys(const AttentionSizes& s) { return std::is_same_v<W, float> && !ByHead(s) && s.queries > 8; }
  static bool PacksValues(const AttentionSizes& s) { return PacksKeys(s) && s.queries > 24; }
  /// Elements of what Pack writes for one head of keys and values.
  static int64_t PackedCount(const AttentionSizes& s) {
    return (PacksKeys(s) ? PackedSizeF32(s.size, s.keys) : 0) + (PacksValues(s) ? PackedSizeF32(s.keys, s.value_size) : 0);
  }

  Block BlockAt(int64_t index) const {
    if (ByHead(sizes)) {
      return {index / sizes.kv_heads, index % sizes.kv_heads * sizes.group(), 0, sizes.group(), true};
    }
    const int64_t rows = RowsPerBlock(sizes), blocks = DivUp(sizes.queries, rows), first = index % blocks * rows;
    const int64_t head = index / blocks;
    return {head / sizes.heads, head % sizes.heads, first, std::min(rows, sizes.queries - first), false};
  }

  /// Packs the keys and values of every head into `packed` (batch * kv_heads * PackedCount floats); where PackedCount is not 0.
  Status Pack(const RunContext& c, float* packed) {
    const AttentionSizes& s = sizes;
    const int64_t keys_count = PackedSizeF32(s.size, s.keys), values_count = PackedSizeF32(s.keys, s.value_size);
    float* packed_values = PacksValues(s) ? packed + s.batch * s.kv_heads * keys_count : nullptr;
    packed_k = packed, packed_v = packed_values;
    const double ns = static_cast<double>(s.keys * (s.size + (packed_v ? s.value_size : 0))) * 0.25;
    return c.ParallelFor(s.batch * s.kv_heads, 1, ns, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t b = i / s.kv_heads, head = i % s.kv_heads;
        PackF32(k.at(b, head, 0), s.size, s.keys, 1, k.position_stride, packed + i * keys_count);
        if (packed_v) PackF32(v.at(b, head, 0), s.keys, s.value_size, v.position_stride, 1, packed_values + i * values_count);
      }
    });
  }

  /// All blocks, spread over threads; each worker has `worker_bytes` of `scratch` (ScratchCount elements).
  Status RunAll(const RunContext& c, std::byte* scratch, int64_t worker_bytes) const {
    // The arithmetic, or the reading of keys and values; and the softmax.
    const double rows = static_cast<double>(RowsPerBlock(sizes)), keys = static_cast<double>(sizes.keys);
    const double key_ns = static_cast<double>(sizes.size + sizes.value_size) * std::max(0.05, 1.3 * rows * gemm->ns_per_mac);
    const double block_ns = 400 + keys * (key_ns + 0.3 * rows);
    return c.ParallelFor(Blocks(sizes), 1, block_ns, [&](int64_t begin, int64_t end, int worker) {
      for (int64_t i = begin; i < end; ++i) Run(i, reinterpret_cast<W*>(scratch + worker * worker_bytes));
    });
  }

  void Run(int64_t index, W* scratch) const {
    const Block block = BlockAt(index);
    const int64_t stride = ScoreStride(sizes), kv = block.head / sizes.group();
    W* scores = scratch;
    W* panel = scratch + RowsPerBlock(sizes) * stride;
    const int64_t seen = SeenKeys(block);
    W* y_rows = y.at(block.batch, block.head, block.query);
    const int64_t y_stride = block.by_head ? y.head_stride : y.position_stride;
    if (seen > 0) {
      Scores(block, kv, seen, scores, stride);
      if (IsPlain()) {
        Softmax(block, scores, stride, seen);
      } else {
        for (int64_t r = 0; r < block.rows; ++r) MaskRow(block, r, scores + r * stride, seen);
      }
      Values(block, kv, seen, scores, stride, y_rows, y_stride, panel);
    }
    for (int64_t r = 0; r < block.rows; ++r) {
      if (seen > 0 && AnySeen(block, r)) continue;
      for (int64_t i = 0; i < sizes.value_size; ++i) y_rows[r * y_stride + i] = 0;
    }
  }

 private:
  bool IsPlain() const {
    return !masks.causal && masks.left < 0 && masks.right < 0 && !masks.valid_keys && !masks.mask && softcap == 0 &&
           precision == DType::kUndefined && !scores_out;
  }

  int64_t Position(int64_t batch, int64_t query) const {
    return query + (masks.offsets ? masks.offsets[batch] : masks.valid_keys ? masks.valid_keys[batch] - sizes.queries : masks.offset);
  }

  /// Keys [begin, end) that the rules other than the mask tensor let a row see.
  void Range(int64_t batch, int64_t query, int64_t* begin, int64_t* end) const {
    const int64_t p = Position(batch, query);
    *begin = masks.left >= 0 ? std::max<int64_t>(0, p - masks.left) : 0;
    *end = sizes.keys;
    if (masks.causal) *end = std::min(*end, p + 1);
    if (masks.right >= 0) *end = std::min(*end, p + masks.right + 1);
    if (masks.valid_keys) *end = std::min(*end, masks.valid_keys[batch]);
    if (masks.mask) *end = std::min(*end, masks.mask_keys);
    *end = std::max<int64_t>(*end, 0);
  }

  /// One past the last key any row of the block sees; all when scores are an output.
  int64_t SeenKeys(const Block& block) const {
    if (scores_out) return sizes.keys;
    int64_t begin, end;
    Range(block.batch, block.query_of(block.rows - 1), &begin, &end);   // later queries see further
    return end;
  }

  const void* MaskRowData(const Block& block, int64_t row, size_t element) const {
    const int64_t at = block.batch * masks.mask_strides[0] + block.head_of(row) * masks.mask_strides[1] +
                       block.query_of(row) * masks.mask_strides[2];
    return static_cast<const std::byte*>(masks.mask) + static_cast<size_t>(at) * element;
  }

  /// Calls f(key, additive bias) for the keys [begin, end) by the mask tensor.
  template <class F>
  void ForMask(const Block& block, int64_t row, int64_t begin, int64_t end, F&& f) const {
    Status ignored = ForType<kFixedSize>(masks.mask_dtype, [&]<class M>() -> Status {
      const M* mask = static_cast<const M*>(MaskRowData(block, row, sizeof(M)));
      for (int64_t j = begin; j < end; ++j) {
        if constexpr (std::is_same_v<M, bool>) {
          f(j, mask[j] ? W(0) : -std::numeric_limits<W>::infinity());
        } else {
          f(j, static_cast<W>(Widen(mask[j])));
        }
      }
      return Status();
    });
    (void)ignored;   // the type was checked by Infer
  }

  bool AnySeen(const Block& block, int64_t row) const {
    int64_t begin, end;
    Range(block.batch, block.query_of(row), &begin, &end);
    if (begin >= end) return false;
    if (!masks.mask) return true;
    bool any = false;
    ForMask(block, row, begin, end, [&](int64_t, W bias) { any = any || bias != -std::numeric_limits<W>::infinity(); });
    return any;
  }

  void Scores(const Block& block, int64_t kv, int64_t seen, W* scores, int64_t stride) const {
    const W* a = q.at(block.batch, block.head, block.query);
    const int64_t a_stride = block.by_head ? q.head_stride : q.position_stride;
    const W* b = k.at(block.batch, kv, 0);
    if constexpr (std::is_same_v<W, float>) {
      GemmF32 g;
      g.a = a, g.a_row_stride = a_stride;
      g.m = block.rows, g.n = seen, g.k = sizes.size;
      g.c = scores, g.c_row_stride = stride;
      if (packed_k) {
        UsePackedB(&g, packed_k + (block.batch * sizes.kv_heads + kv) * PackedSizeF32(sizes.size, sizes.keys));
        gemm->run(g, 0, block.rows, 0, PanelCount(seen));
      } else {
        g.b = b, g.b_row_stride = k.position_stride;
        gemm->run_transposed(g, 0, seen);
      }
    } else {
      for (int64_t r = 0; r < block.rows; ++r) {
        for (int64_t j = 0; j < seen; ++j) {
          W sum = 0;
          for (int64_t i = 0; i < sizes.size; ++i) sum += a[r * a_stride + i] * b[j * k.position_stride + i];
          scores[r * stride + j] = sum;
        }
      }
    }
  }

  /// Of scale s + bias, for all rows of a block.
  void Softmax(const Block& block, W* scores, int64_t stride, int64_t n) const {
    if (!bias) return Softmax(scores, stride, block.rows, n, scale, nullptr, 0);
    const W* from = bias + block.batch * bias_strides[0] + block.head * bias_strides[1] + block.query * bias_strides[2];
    const int64_t row_stride = bias_strides[block.by_head ? 1 : 2];
    if (!bias_per_row) return Softmax(scores, stride, block.rows, n, scale, from, row_stride);
    for (int64_t r = 0; r < block.rows; ++r) {
      for (int64_t j = 0; j < n; ++j) scores[r * stride + j] = scores[r * stride + j] * scale + from[r * row_stride];
    }
    Softmax(scores, stride, block.rows, n, W(1), nullptr, 0);
  }

  void Softmax(W* scores, int64_t stride, int64_t rows, int64_t n, W row_scale, const W* mask, int64_t mask_stride) const {
    if constexpr (std::is_same_v<W, float>) {
      SoftmaxRowsArgs args;
      args.x = scores, args.x_stride = stride;
      args.out = scores, args.out_stride = stride;
      args.mask = mask, args.mask_stride = mask_stride;
      args.rows = rows, args.n = n, args.scale = row_scale;
      softmax(args);
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        W* s = scores + r * stride;
        W most = -std::numeric_limits<W>::infinity(), sum = 0;
        for (int64_t j = 0; j < n; ++j) most = std::max(most, s[j] = s[j] * row_scale + (mask ? mask[r * mask_stride + j] : 0));
        for (int64_t j = 0; j < n; ++j) sum += s[j] = std::exp(s[j] - most);
        for (int64_t j = 0; j < n; ++j) s[j] /= sum;
      }
    }
  }

  void Show(const Block& block, int64_t row, AttentionScores kind, const W* s) const {
    if (!scores_out || kind != scores_kind) return;
    W* to = scores_out + ((block.batch * sizes.heads + block.head_of(row)) * sizes.queries + block.query_of(row)) * sizes.keys;
    for (int64_t j = 0; j < sizes.keys; ++j) to[j] = s[j];
  }

  void RoundToPrecision(W* s, int64_t n) const {
    for (int64_t j = 0; j < n; ++j) {
      const float value = static_cast<float>(s[j]);
      if (precision == DType::kFloat16) s[j] = static_cast<W>(ToFloat(ToFloat16(value)));
      if (precision == DType::kBfloat16) s[j] = static_cast<W>(ToFloat(ToBfloat16(value)));
      if (precision == DType::kFloat) s[j] = static_cast<W>(value);
    }
  }

  /// From raw products to probabilities, with everything in between.
  void MaskRow(const Block& block, int64_t row, W* s, int64_t seen) const {
    constexpr W kNever = -std::numeric_limits<W>::infinity();
    for (int64_t j = 0; j < seen; ++j) s[j] *= scale;
    Show(block, row, AttentionScores::kRaw, s);
    if (softcap > 0) {
      const W inverse = W(1) / softcap;
      for (int64_t j = 0; j < seen; ++j) s[j] *= inverse;
      if constexpr (std::is_same_v<W, float>) {
        tanh(s, s, nullptr, nullptr, seen, 0, 0, 0);
      } else {
        for (int64_t j = 0; j < seen; ++j) s[j] = std::tanh(s[j]);
      }
      for (int64_t j = 0; j < seen; ++j) s[j] *= softcap;
    }
    Show(block, row, AttentionScores::kCapped, s);
    int64_t begin, end;
    Range(block.batch, block.query_of(row), &begin, &end);
    end = std::min(end, seen);
    bool any = begin < end;
    for (int64_t j = 0; j < std::min(begin, seen); ++j) s[j] = kNever;
    if (masks.mask) {
      any = false;
      ForMask(block, row, begin, end, [&](int64_t j, W bias) {
        s[j] = bias == kNever ? kNever : s[j] + bias;
        any = any || bias != kNever;
      });
    }
    for (int64_t j = std::max<int64_t>(end, 0); j < seen; ++j) s[j] = kNever;
    Show(block, row, AttentionScores::kMasked, s);
    if (!any) {
      for (int64_t j = 0; j < seen; ++j) s[j] = 0;
    } else {
      if (precision != DType::kUndefined) RoundToPrecision(s, seen);
      if (sinks) s[seen] = sinks[block.head_of(row)];
      Softmax(s, 0, 1, seen + (sinks ? 1 : 0), W(1), nullptr, 0);
      if (precision != DType::kUndefined) RoundToPrecision(s, seen);
    }
    Show(block, row, AttentionScores::kProbabilities, s);
  }

  void Values(const Block& block, int64_t kv, int64_t seen, const W* scores, int64_t stride, W* out, int64_t out_stride,
              W* panel) const {
    const W* b = v.at(block.batch, kv, 0);
    if constexpr (std::is_same_v<W, float>) {
      GemmF32 g;
      g.a = scores, g.a_row_stride = stride;
      g.m = block.rows, g.n = sizes.value_size, g.k = seen;
      g.b = b, g.b_row_stride = v.position_stride, g.b_panel_stride = kPanelColumns;
      g.c = out, g.c_row_stride = out_stride;
      if (packed_v) {
        g.b = packed_v + (block.batch * sizes.kv_heads + kv) * PackedSizeF32(sizes.keys, sizes.value_size);
        g.b_row_stride = kPanelColumns, g.b_panel_stride = kPanelColumns * sizes.keys;
        gemm->run(g, 0, block.rows, 0, PanelCount(sizes.value_size));
      } else if (sizes.value_size % kPanelColumns == 0) {
        gemm->run(g, 0, block.rows, 0, PanelCount(sizes.value_size));
      } else {
        gemm->run_row_major(g, 0, block.rows, panel);
      }
    } else {
      for (int64_t r = 0; r < block.rows; ++r) {
        for (int64_t i = 0; i < sizes.value_size; ++i) out[r * out_stride + i] = 0;
        for (int64_t j = 0; j < seen; ++j) {
          const W p = scores[r * stride + j];
          for (int64_t i = 0; i < sizes.value_size; ++i) out[r * out_stride + i] += p * b[j * v.position_stride + i];
        }
      }
    }
  }
};

}  // namespace linnet
