// Attention of float32 numbers split into three parts.
//
// Two vectors of 16 numbers become one of bfloat16 whose pairs are numbers i and 16 + i: what a tile
// instruction sums does not depend on the order, as long as both operands have the same.
//
//     queries         [part][row][size]
//     keys            [16 keys][32 of size][part][16 pairs][16 keys][2]
//     probabilities   [part][row][keys]                                        keys: a multiple of 32
//     values          [16 of value size][32 keys][part][16 pairs][16][2]
#include "kernels/half/split_attention.h"

#include <string.h>

#include <algorithm>

#include "base/memory.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half/split_attention.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/half/split-inl.h"
#include "kernels/dispatch.h"
#include "kernels/math-inl.h"
#include "kernels/unroll.h"

#if defined(__x86_64__) && HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

/// 16 vectors as a matrix, transposed.
HWY_INLINE void Transpose16(__m512 (&x)[16]) {
  __m512 t[16];
  LINNET_UNROLL
  for (int i = 0; i < 16; i += 2)
    t[i] = _mm512_unpacklo_ps(x[i], x[i + 1]), t[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
  LINNET_UNROLL
  for (int i = 0; i < 16; i += 4) {
    LINNET_UNROLL
    for (int j = 0; j < 2; ++j) {
      const __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);
      x[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                x[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  }
  // x[4 r + c]: column c, and 4, 8, 12 further on, of rows 4 r .. 4 r + 3.
  LINNET_UNROLL
  for (int c = 0; c < 4; ++c) {
    const __m512 low = _mm512_shuffle_f32x4(x[c], x[4 + c], 0x88),
                 high = _mm512_shuffle_f32x4(x[c], x[4 + c], 0xdd);
    const __m512 low2 = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0x88),
                 high2 = _mm512_shuffle_f32x4(x[8 + c], x[12 + c], 0xdd);
    t[c] = _mm512_shuffle_f32x4(low, low2, 0x88), t[8 + c] = _mm512_shuffle_f32x4(low, low2, 0xdd);
    t[4 + c] = _mm512_shuffle_f32x4(high, high2, 0x88), t[12 + c] = _mm512_shuffle_f32x4(high, high2, 0xdd);
  }
  LINNET_UNROLL
  for (int i = 0; i < 16; ++i) x[i] = t[i];
}

bool PackSplitKeys(const SplitAttentionSizes& s, const float* k, int64_t stride, void* out) {
  char* to = static_cast<char*>(out);
  Finite finite;
  for (int64_t key = 0; key < RoundUp(s.keys, kSplitStep); key += 16) {
    for (int64_t at = 0; at < s.size; at += kSplitStep, to += kSplitParts * kSplitTile) {
      __m512 half[2][16];
      LINNET_UNROLL
      for (int h = 0; h < 2; ++h) {
        LINNET_UNROLL
        for (int i = 0; i < 16; ++i) {
          half[h][i] = key + i < s.keys ? finite(_mm512_loadu_ps(k + (key + i) * stride + at + h * 16))
                                        : _mm512_setzero_ps();
        }
        Transpose16(half[h]);
      }
      LINNET_UNROLL
      for (int i = 0; i < 16; ++i) SplitPairs(half[0][i], half[1][i], kSplitTile, to + i * 64);
    }
  }
  return finite.all();
}

bool PackSplitValues(const SplitAttentionSizes& s, const float* v, int64_t stride, void* out) {
  char* to = static_cast<char*>(out);
  Finite finite;
  for (int64_t column = 0; column < s.value_size; column += 16) {
    for (int64_t key = 0; key < s.keys; key += kSplitStep, to += kSplitParts * kSplitTile) {
      for (int64_t i = 0; i < 16; ++i) {
        auto row = [&](int64_t r) HWY_ATTR {
          return r < s.keys ? finite(_mm512_loadu_ps(v + r * stride + column)) : _mm512_setzero_ps();
        };
        const __m512 first = row(key + i), second = row(key + 16 + i);
        SplitPairs(first, second, kSplitTile, to + i * 64);
      }
    }
  }
  return finite.all();
}

/// Scratch of a block.
struct SplitParts {
  explicit SplitParts(const SplitAttentionSizes& s) : keys(RoundUp(s.keys, kSplitStep)) {
    q_part = kSplitRows * s.size * 2;
    p_part = kSplitRows * keys * 2;
    p_at = kSplitParts * q_part;
    scores_at = p_at + kSplitParts * p_part;
    y_at = scores_at + kSplitRows * keys * 4;
    bytes = y_at + kSplitRows * s.value_size * 4;
  }
  int64_t keys, q_part, p_part, p_at, scores_at, y_at, bytes;
};

/// exp(scale x + mask - largest) of a row as split parts, zeros behind it; returns one over their sum.
template <bool kMask>
HWY_INLINE float SplitSoftmax(const float* x, float scale, const float* mask, int64_t n, int64_t part_stride,
                              char* out) {
  const F32 d;
  const __m512 s = _mm512_set1_ps(scale), none = _mm512_set1_ps(-__builtin_inff());
  auto score = [&](int64_t i) HWY_ATTR {
    const __m512 v = _mm512_loadu_ps(x + i);
    return kMask ? _mm512_fmadd_ps(v, s, _mm512_loadu_ps(mask + i)) : _mm512_mul_ps(v, s);
  };
  // The last numbers: -infinity where there are none.
  const int64_t whole = n / 32 * 32;
  __m512 last[2] = {none, none};
  for (int h = 0; h < 2; ++h) {
    const int64_t i = whole + h * 16, left = n - i;
    if (left <= 0) break;
    const __mmask16 have = left >= 16 ? 0xffff : static_cast<__mmask16>((1u << left) - 1);
    const __m512 v = _mm512_maskz_loadu_ps(have, x + i);
    last[h] = _mm512_mask_mov_ps(
        none, have,
        kMask ? _mm512_fmadd_ps(v, s, _mm512_maskz_loadu_ps(have, mask + i)) : _mm512_mul_ps(v, s));
  }
  __m512 a = last[0], b = last[1];
  for (int64_t i = 0; i < whole; i += 32) a = _mm512_max_ps(a, score(i)), b = _mm512_max_ps(b, score(i + 16));
  const __m512 most = _mm512_set1_ps(_mm512_reduce_max_ps(_mm512_max_ps(a, b)));
  __m512 sums = _mm512_setzero_ps(), more = sums;
  auto two = [&](__m512 low, __m512 high) HWY_ATTR {
    const __m512 e = ExpFlush(d, VF32{_mm512_sub_ps(low, most)}).raw,
                 f = ExpFlush(d, VF32{_mm512_sub_ps(high, most)}).raw;
    sums = _mm512_add_ps(sums, e), more = _mm512_add_ps(more, f);
    SplitPairs(e, f, part_stride, out);
    out += 64;
  };
  for (int64_t i = 0; i < whole; i += 32) two(score(i), score(i + 16));
  if (whole < n) two(last[0], last[1]);
  return 1 / FoldLanes(d, VF32{_mm512_add_ps(sums, more)}, AddOp());
}

template <class Tiles>
bool RunSplitAttention(const SplitAttention& t, void* scratch) {
  const SplitAttentionSizes& s = t.sizes;
  const SplitParts parts(s);
  char* const base = static_cast<char*>(scratch);
  char *const p = base + parts.p_at, *const scores = base + parts.scores_at, *const sums = base + parts.y_at;
  Finite finite;
  for (int64_t r = 0; r < t.rows; ++r) {
    const float* from = t.q + r * t.q_stride;
    for (int64_t i = 0; i < s.size; i += kSplitStep) {
      const __m512 first = finite(_mm512_loadu_ps(from + i)), second = finite(_mm512_loadu_ps(from + i + 16));
      SplitPairs(first, second, parts.q_part, base + (r * s.size + i) * 2);
    }
  }
  if (!finite.all()) return false;
  for (int64_t part = 0; part < kSplitParts && t.rows < kSplitRows; ++part) {  // rows that are missing
    memset(base + part * parts.q_part + t.rows * s.size * 2, 0,
           static_cast<size_t>((kSplitRows - t.rows) * s.size * 2));
    memset(p + part * parts.p_part + t.rows * parts.keys * 2, 0,
           static_cast<size_t>((kSplitRows - t.rows) * parts.keys * 2));
  }
  Tiles::Configure(TileConfig(kTileRows, 64, true));
  const int64_t key_steps = s.size / kSplitStep, key_panel = key_steps * kSplitParts * kSplitTile;
  for (int64_t key = 0; key < parts.keys; key += 32) {
    SplitProduct<Tiles>(base, parts.q_part, s.size * 2, 64,
                        static_cast<const char*>(t.keys) + key / 16 * key_panel, key_panel, key_steps,
                        kSplitZeros, 0, scores + key * 4, parts.keys * 4, [] {});
  }
  float over[kSplitRows];
  for (int64_t r = 0; r < t.rows; ++r) {
    const float* row = reinterpret_cast<const float*>(scores) + r * parts.keys;
    char* to = p + r * parts.keys * 2;
    over[r] = t.mask ? SplitSoftmax<true>(row, t.scale, t.mask + r * t.mask_stride, s.keys, parts.p_part, to)
                     : SplitSoftmax<false>(row, t.scale, nullptr, s.keys, parts.p_part, to);
  }
  const int64_t value_steps = parts.keys / kSplitStep, value_panel = value_steps * kSplitParts * kSplitTile;
  for (int64_t column = 0; column < s.value_size; column += 32) {
    SplitProduct<Tiles>(p, parts.p_part, parts.keys * 2, 64,
                        static_cast<const char*>(t.values) + column / 16 * value_panel, value_panel,
                        value_steps, kSplitZeros, 0, sums + column * 4, s.value_size * 4, [] {});
  }
  Tiles::Release();
  for (int64_t r = 0; r < t.rows; ++r) {
    const float* from = reinterpret_cast<const float*>(sums) + r * s.value_size;
    const __m512 factor = _mm512_set1_ps(over[r]);
    for (int64_t i = 0; i < s.value_size; i += 16) {
      _mm512_storeu_ps(t.y + r * t.y_stride + i, _mm512_mul_ps(_mm512_loadu_ps(from + i), factor));
    }
  }
  return true;
}

}  // namespace

const SplitAttentionKernels& SplitAttentionOf(bool emulated);
const SplitAttentionKernels& SplitAttentionOf(bool emulated) {
  static constexpr SplitAttentionKernels amx = {PackSplitKeys, PackSplitValues, RunSplitAttention<AmxBf16>};
  static constexpr SplitAttentionKernels same = {PackSplitKeys, PackSplitValues,
                                                 RunSplitAttention<EmulatedBf16>};
  return emulated ? same : amx;
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has tiles

#if HWY_ONCE
namespace linnet {

int64_t SplitKeysBytes(const SplitAttentionSizes& s) {
  return RoundUp(s.keys, int64_t{32}) * s.size * 6;
}
int64_t SplitValuesBytes(const SplitAttentionSizes& s) {
  return RoundUp(s.keys, int64_t{32}) * s.value_size * 6;
}
int64_t SplitScratchBytes(const SplitAttentionSizes& s) {
  const int64_t keys = RoundUp(s.keys, int64_t{32});
  return kSplitRows * (6 * s.size + 6 * keys + 4 * keys + 4 * s.value_size);
}

const SplitAttentionKernels* PickSplitAttention(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAmx)) return &N_AVX3::SplitAttentionOf(false);
#endif
  return nullptr;
}

const SplitAttentionKernels* EmulatedSplitAttention(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAvx512)) return &N_AVX3::SplitAttentionOf(true);
#endif
  return nullptr;
}

}  // namespace linnet
#endif  // HWY_ONCE
