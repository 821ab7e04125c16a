// Float32 numbers as sums of three bfloat16, which have their 24 bits together, and products of such parts on
// tiles.
//
// Of the nine products of two numbers' parts the six largest are summed: what the others add is below the
// last bit. Two vectors of 16 numbers become one of bfloat16 whose pairs are numbers i and 16 + i: what a
// tile instruction sums does not depend on the order, as long as both operands have the same. Numbers that
// are not finite have no parts.
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target
// (kernels/dispatch.h).
#if defined(LINNET_KERNELS_BF16_SPLIT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_BF16_SPLIT_INL_H_
#undef LINNET_KERNELS_BF16_SPLIT_INL_H_
#else
#define LINNET_KERNELS_BF16_SPLIT_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/half/bf16_tiles-inl.h"
#include "kernels/unroll.h"

#if defined(__x86_64__) && HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {

constexpr int64_t kSplitParts = 3, kSplitStep = 32,
                  kSplitTile = 1024;  // numbers of a tile instruction, bytes of a tile

/// The parts of numbers a and b, pair by pair, `part_stride` bytes apart.
HWY_INLINE void SplitPairs(__m512 a, __m512 b, int64_t part_stride, char* out) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  LINNET_UNROLL
  for (int part = 0; part < kSplitParts; ++part, out += part_stride) {
    const __m512i low = _mm512_srli_epi32(_mm512_castps_si512(a), 16), high = _mm512_castps_si512(b);
    _mm512_storeu_si512(out, _mm512_ternarylogic_epi32(low, high, upper, 0xf8));  // low | (high & upper)
    a = _mm512_sub_ps(a, _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), upper)));
    b = _mm512_sub_ps(b, _mm512_castsi512_ps(_mm512_and_si512(high, upper)));
  }
}

/// Remembers the largest magnitude.
struct Finite {
  __m512i largest;
  HWY_INLINE Finite() { largest = _mm512_setzero_si512(); }
  HWY_INLINE __m512 operator()(__m512 x) {
    largest =
        _mm512_max_epu32(largest, _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)));
    return x;
  }
  HWY_INLINE bool all() const { return _mm512_reduce_max_epu32(largest) < 0x7f800000u; }
};

alignas(64) constexpr char kSplitZeros[64] = {};

/// c[32][32] (rows c_stride bytes apart) = the product of the split rows at `a` (parts a_part apart, rows
/// a_stride, steps a_step) and the two split panels at `b`, `b_panel` apart, over `steps` steps, added to
/// what is at `begin` (rows begin_stride bytes apart; 0 and kSplitZeros: nothing). Tiles multiply by
/// themselves: six times a step, between() may do some 50 cycles of something else meanwhile.
template <class Tiles, class Between>
HWY_INLINE void SplitProduct(const char* a, int64_t a_part, int64_t a_stride, int64_t a_step, const char* b,
                             int64_t b_panel, int64_t steps, const char* begin, int64_t begin_stride, char* c,
                             int64_t c_stride, const Between& between) {
  const int64_t right = begin_stride ? 64 : 0;
  Tiles::template Load<0>(begin, begin_stride);
  Tiles::template Load<1>(begin + right, begin_stride);
  Tiles::template Load<2>(begin + kTileRows * begin_stride, begin_stride);
  Tiles::template Load<3>(begin + kTileRows * begin_stride + right, begin_stride);
  // A tile is loaded right before it is first used: the tiles multiply meanwhile.
  const char* const below = a + kTileRows * a_stride;
  auto with_a = [&](int64_t at) HWY_ATTR {
    Tiles::template Load<4>(a + at, a_stride);
    Tiles::template Multiply<0, 4, 6>();
    Tiles::template Multiply<1, 4, 7>();
    Tiles::template Load<5>(below + at, a_stride);
    Tiles::template Multiply<2, 5, 6>();
    Tiles::template Multiply<3, 5, 7>();
    between();
  };
  auto with_b = [&](int64_t at) HWY_ATTR {
    Tiles::template Load<6>(b + at, 64);
    Tiles::template Multiply<0, 4, 6>();
    Tiles::template Multiply<2, 5, 6>();
    Tiles::template Load<7>(b + at + b_panel, 64);
    Tiles::template Multiply<1, 4, 7>();
    Tiles::template Multiply<3, 5, 7>();
    between();
  };
  for (int64_t s = 0, at = 0; s < steps; ++s, at += a_step, b += kSplitParts * kSplitTile) {
    Tiles::template Load<6>(b, 64);
    Tiles::template Load<7>(b + b_panel, 64);
    with_a(at + 2 * a_part);
    with_a(at + a_part);
    with_b(kSplitTile);
    with_a(at);
    with_b(2 * kSplitTile);
    with_b(0);
  }
  Tiles::template StoreRows<0>(c, c_stride);
  Tiles::template StoreRows<1>(c + 64, c_stride);
  Tiles::template StoreRows<2>(c + kTileRows * c_stride, c_stride);
  Tiles::template StoreRows<3>(c + kTileRows * c_stride + 64, c_stride);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // the target that has tiles
#endif  // per-target guard
