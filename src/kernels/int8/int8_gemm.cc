// Product of 8-bit matrices: tiles of exact sums by 16-bit multiply-adds, and the table of instruction sets.
//
// A block of A holds 16-bit numbers. A vector of B's panel is widened to 16 bits and multiplied by four k of a row of A,
// repeated; neighbouring products are added in the multiplication, so that every column has two partial sums:
//
//     B    c0k0 c0k1 c0k2 c0k3 | c1k0 ...        A    k0 k1 k2 k3 | k0 ...
//     sum  c0(k0+k1)  c0(k2+k3) | c1(k0+k1) ...
//
// A tile of R rows by V vectors keeps R V sums in registers. Where there is an instruction for four byte products, blocks
// hold bytes and every column has one sum; the rest is shared. 64-bit Arm's blocks hold signed bytes at every level.
#include "kernels/int8/int8_gemm.h"

#include <string.h>

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int8/int8_gemm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "base/memory.h"
#include "kernels/dispatch.h"
#include "kernels/epilogue-inl.h"
#include "kernels/int8/int8-inl.h"
#include "kernels/unroll.h"
#include "kernels/vec-inl.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {

#if HWY_ARCH_ARM_A64
// Int8Kernels::tiles. Defined in int8_gemm_lanes.cc.
void Int8TilesDotprod(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                      const int32_t* row_sums);
void Int8TilesSquares(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                      const int32_t* row_sums);
#endif

namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX3
constexpr char kInt8Name[] = "avx512";
constexpr double kInt8Ns = 0.008;
constexpr int kInt8Rows = 14;
#elif HWY_TARGET == HWY_AVX2
constexpr char kInt8Name[] = "avx2";
constexpr double kInt8Ns = 0.011;
constexpr int kInt8Rows = 6;
#elif HWY_TARGET == HWY_NEON
constexpr char kInt8Name[] = "neon";
constexpr double kInt8Ns = 0.05;
constexpr int kInt8Rows = 6;
#else
constexpr char kInt8Name[] = "128-bit";
constexpr double kInt8Ns = 0.03;
constexpr int kInt8Rows = 6;
#endif

// Bytes between the row of a panel in use and the one asked for.
constexpr int kInt8Ahead = 2048;

constexpr int kVectorColumns = HWY_LANES(int16_t) / 4;
// Vectors of columns: few rows leave registers for more of them.
constexpr int Int8Vectors(int rows) { return rows <= 2 && kVectorColumns * 4 <= kPanelColumns ? 4 : 2; }

template <int kRows>
void TileDots(const void* block, int64_t row_bytes, int64_t k4, const int8_t* panel, int64_t columns, int32_t* sums) {
  const I16 d16;
  const I32 d32;
  const hn::Repartition<uint64_t, I16> d64;
  constexpr int kVectors = Int8Vectors(kRows);
  static_assert(kPanelColumns % (kVectorColumns * kVectors) == 0);
  for (int64_t column = 0; column < columns; column += kVectorColumns * kVectors) {
    hn::Vec<I32> sum[kRows][kVectors];
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d32);
    }
    constexpr int kBases = (kRows + 3) / 4;
    const char* base[kBases];
    LINNET_UNROLL
    for (int i = 0; i < kBases; ++i) {
      base[i] = static_cast<const char*>(block) + i * 4 * row_bytes;
      LINNET_OPAQUE(base[i]);
    }
    const int8_t* b = panel + column * 4;
    for (int64_t k = k4; k > 0; --k, b += kPanelColumns * 4) {
      hn::Vec<I16> bv[kVectors];
      LINNET_UNROLL
      for (int v = 0; v < kVectors; v += 2) WidenTwo(b + v * kVectorColumns * 4, bv[v], bv[v + 1]);
      __builtin_prefetch(b + kInt8Ahead);
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        uint64_t four;
        memcpy(&four, base[r / 4] + r % 4 * row_bytes, sizeof(four));
        hn::Vec<I16> av = hn::BitCast(d16, hn::Set(d64, four));
        LINNET_IN_ORDER(av);
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) AddInPlace(sum[r][v], PairProducts(av, bv[v]));
      }
      LINNET_UNROLL
      for (int i = 0; i < kBases; ++i) base[i] += 4 * sizeof(int16_t);
    }
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      int32_t* to = sums + r * kPanelColumns + column;
      LINNET_UNROLL
      for (int v = 0; v < kVectors; v += 2) hn::StoreU(PairSums(sum[r][v], sum[r][v + 1]), d32, to + v * kVectorColumns);
    }
  }
}

// A small build does other numbers of rows in parts.
#if defined(LINNET_SMALL)
constexpr bool kFewTiles = true;
#else
constexpr bool kFewTiles = false;
#endif

using TileDotsFn = void(const void* block, int64_t row_bytes, int64_t k4, const int8_t* panel, int64_t columns, int32_t* sums);
template <TileDotsFn* kSix, TileDotsFn* kThree, TileDotsFn* kOne>
void DotsInParts(const void* block, int64_t row_bytes, int rows, int64_t k4, const int8_t* panel, int64_t columns, int32_t* sums) {
  while (rows > 0) {
    const int n = rows >= 6 ? 6 : rows >= 3 ? 3 : 1;
    (n == 6 ? kSix : n == 3 ? kThree : kOne)(block, row_bytes, k4, panel, columns, sums);
    block = static_cast<const char*>(block) + n * row_bytes;
    sums += n * kPanelColumns;
    rows -= n;
  }
}

TileDotsFn* const kTileDots[] = {
    nullptr, TileDots<1>, TileDots<2>, TileDots<3>, TileDots<4>, TileDots<5>, TileDots<6>,
#if HWY_TARGET == HWY_AVX3
    TileDots<7>, TileDots<8>, TileDots<9>, TileDots<10>, TileDots<11>, TileDots<12>, TileDots<13>, TileDots<14>,
#endif
};

void Int8Dots(const void* block, int64_t row_bytes, int rows, int64_t k4, const int8_t* panel, int64_t columns,
              int32_t* sums) {
  if (kFewTiles) return DotsInParts<TileDots<6>, TileDots<3>, TileDots<1>>(block, row_bytes, rows, k4, panel, columns, sums);
  kTileDots[rows](block, row_bytes, k4, panel, columns, sums);
}

// n bytes as 16-bit numbers.
template <class T>
HWY_INLINE void WidenBytes(const T* from, int64_t n, int16_t* to) {
  const I16 d16;
  const hn::Rebind<T, I16> d8;
  constexpr int64_t kLanes = HWY_LANES(int16_t);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(hn::PromoteTo(d16, hn::LoadU(d8, from + i)), d16, to + i);
  if (i == n) return;
  if (n >= kLanes) {  // the last vector overlaps the one before
    i = n - kLanes;
    return hn::StoreU(hn::PromoteTo(d16, hn::LoadU(d8, from + i)), d16, to + i);
  }
  const hn::FixedTag<int16_t, 8> d16_8;
  const hn::FixedTag<int16_t, 4> d16_4;
  const hn::Rebind<T, decltype(d16_8)> d8_8;
  const hn::Rebind<T, decltype(d16_4)> d8_4;
  if (n >= 8) {
    for (; i + 8 <= n; i += 8) hn::StoreU(hn::PromoteTo(d16_8, hn::LoadU(d8_8, from + i)), d16_8, to + i);
    hn::StoreU(hn::PromoteTo(d16_8, hn::LoadU(d8_8, from + n - 8)), d16_8, to + n - 8);
  } else if (n >= 4) {
    const auto first = hn::PromoteTo(d16_4, hn::LoadU(d8_4, from)), last = hn::PromoteTo(d16_4, hn::LoadU(d8_4, from + n - 4));
    hn::StoreU(first, d16_4, to);
    hn::StoreU(last, d16_4, to + n - 4);
  } else {
    for (; i < n; ++i) to[i] = static_cast<int16_t>(from[i]);
  }
}

void Int8Load(const uint8_t* a, int64_t n, bool is_signed, void* block) {
  int16_t* to = static_cast<int16_t*>(block);
  if (is_signed) {
    WidenBytes(reinterpret_cast<const int8_t*>(a), n, to);
  } else {
    WidenBytes(a, n, to);
  }
}

// The same from blocks of unsigned bytes, four k of a column at a time, by an instruction that multiplies and adds bytes.
//
// kLeaf says by which. kEmulated is for tests on processors that have none of the others: it is exact,
// and slow.
enum class ByteLeaf { kEmulated, kAvxVnni };

// Lane i: sum[i] += a[4 i] b[4 i] + ... + a[4 i + 3] b[4 i + 3], a's bytes unsigned, b's signed, modulo 2^32.
template <ByteLeaf kLeaf>
HWY_INLINE void AddByteProducts(hn::Vec<I32>& sum, hn::Vec<I32> a, hn::Vec<I32> b) {
#if HWY_TARGET == HWY_AVX2
  if constexpr (kLeaf == ByteLeaf::kAvxVnni) {
    __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.raw) : "x"(a.raw), "x"(b.raw));
    return;
  }
#endif
  const I16 d16;
  const hn::RebindToUnsigned<I16> du16;
  const auto a16 = hn::BitCast(du16, a);
  const auto b16 = hn::BitCast(d16, b);
  const auto even = PairProducts(hn::BitCast(d16, hn::And(a16, hn::Set(du16, 0xff))), hn::ShiftRight<8>(hn::ShiftLeft<8>(b16)));
  const auto odd = PairProducts(hn::BitCast(d16, hn::ShiftRight<8>(a16)), hn::ShiftRight<8>(b16));
  sum = hn::Add(sum, hn::Add(even, odd));
}

template <ByteLeaf kLeaf, int kRows>
void ByteDots(const void* block, int64_t row_bytes, int64_t k4, const int8_t* panel, int64_t columns, int32_t* sums) {
  const I32 d;
  constexpr int64_t kLanes = HWY_LANES(int32_t);
  constexpr int kVectors = kLanes * 2 <= kPanelColumns ? 2 : 1;
  for (int64_t column = 0; column < columns; column += kLanes * kVectors) {
    hn::Vec<I32> sum[kRows][kVectors];
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) sum[r][v] = hn::Zero(d);
    }
    constexpr int kBases = (kRows + 3) / 4;
    const char* base[kBases];
    LINNET_UNROLL
    for (int i = 0; i < kBases; ++i) {
      base[i] = static_cast<const char*>(block) + i * 4 * row_bytes;
      LINNET_OPAQUE(base[i]);
    }
    const int8_t* b = panel + column * 4;
    for (int64_t k = k4; k > 0; --k, b += kPanelColumns * 4) {
      hn::Vec<I32> bv[kVectors];
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) bv[v] = hn::BitCast(d, hn::LoadU(hn::Repartition<int8_t, I32>(), b + v * kLanes * 4));
      __builtin_prefetch(b + kInt8Ahead);
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        int32_t four;
        memcpy(&four, base[r / 4] + r % 4 * row_bytes, sizeof(four));
        const hn::Vec<I32> av = hn::Set(d, four);
        LINNET_UNROLL
        for (int v = 0; v < kVectors; ++v) AddByteProducts<kLeaf>(sum[r][v], av, bv[v]);
      }
      LINNET_UNROLL
      for (int i = 0; i < kBases; ++i) base[i] += 4;
    }
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      LINNET_UNROLL
      for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, sums + r * kPanelColumns + column + v * kLanes);
    }
  }
}

template <ByteLeaf kLeaf>
void Int8ByteDots(const void* block, int64_t row_bytes, int rows, int64_t k4, const int8_t* panel, int64_t columns,
                  int32_t* sums) {
  if constexpr (kFewTiles) {
    return DotsInParts<ByteDots<kLeaf, 6>, ByteDots<kLeaf, 3>, ByteDots<kLeaf, 1>>(block, row_bytes, rows, k4, panel, columns, sums);
  }
  static constexpr TileDotsFn* kDots[] = {
      nullptr, ByteDots<kLeaf, 1>, ByteDots<kLeaf, 2>, ByteDots<kLeaf, 3>, ByteDots<kLeaf, 4>, ByteDots<kLeaf, 5>, ByteDots<kLeaf, 6>,
#if HWY_TARGET == HWY_AVX3
      ByteDots<kLeaf, 7>, ByteDots<kLeaf, 8>, ByteDots<kLeaf, 9>, ByteDots<kLeaf, 10>, ByteDots<kLeaf, 11>, ByteDots<kLeaf, 12>,
      ByteDots<kLeaf, 13>, ByteDots<kLeaf, 14>,
#endif
  };
  kDots[rows](block, row_bytes, k4, panel, columns, sums);
}

// Fewer bytes than a vector, by words of which the last goes over some again.
template <class Word>
HWY_INLINE void TurnWords(const uint8_t* a, int64_t n, uint8_t* to) {
  constexpr int64_t kSize = sizeof(Word);
  auto turn = [&](int64_t at) {
    Word word;
    memcpy(&word, a + at, kSize);
    word ^= static_cast<Word>(0x8080808080808080);
    memcpy(to + at, &word, kSize);
  };
  for (int64_t i = 0; i + kSize < n; i += kSize) turn(i);
  turn(n - kSize);
}
HWY_INLINE void TurnRest(const uint8_t* a, int64_t n, uint8_t* to) {
  if (n >= 8) return TurnWords<uint64_t>(a, n, to);
  if (n >= 4) return TurnWords<uint32_t>(a, n, to);
  for (int64_t i = 0; i < n; ++i) to[i] = a[i] ^ 0x80;
}

// Bytes as they are, or with the highest bit turned where A is signed, or is not.
template <bool kTurnSigned>
void Int8LoadBytes(const uint8_t* a, int64_t n, bool is_signed, void* block) {
  uint8_t* to = static_cast<uint8_t*>(block);
  if (is_signed != kTurnSigned) {
    CopyLong(to, a, static_cast<size_t>(n));
    return;
  }
  const hn::ScalableTag<uint8_t> d;
  const auto flip = hn::Set(d, 0x80);
  constexpr int64_t kLanes = HWY_LANES(uint8_t);
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    LINNET_UNROLL
    for (int64_t j = 0; j < 4 * kLanes; j += kLanes) hn::StoreU(hn::Xor(hn::LoadU(d, a + i + j), flip), d, to + i + j);
  }
  for (; i + kLanes <= n; i += kLanes) hn::StoreU(hn::Xor(hn::LoadU(d, a + i), flip), d, to + i);
  TurnRest(a + i, n - i, to + i);
}

#if HWY_ARCH_ARM_A64

// Signed bytes where there are no dot products: eight products of 16 bits at a time, pairs of which are added to sums of 32.
template <int kRows>
void PairDots(const void* block, int64_t row_bytes, int64_t k4, const int8_t* panel, int64_t columns, int32_t* sums) {
  for (int64_t column = 0; column < columns; column += 8) {
    int32x4_t sum[kRows][4];   // of two columns each: k 0 and 1, 2 and 3
    LINNET_UNROLL
    for (int i = 0; i < kRows * 4; ++i) sum[i / 4][i % 4] = vdupq_n_s32(0);
    const int8_t* b = panel + column * 4;
    const int32_t* a = static_cast<const int32_t*>(block);
    const int32_t* const end = a + k4;
    for (; a < end; ++a, b += kPanelColumns * 4) {
      const int8x16_t b0 = vld1q_s8(b), b1 = vld1q_s8(b + 16);
      LINNET_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int8x16_t av = vreinterpretq_s8_s32(vld1q_dup_s32(a + r * (row_bytes / 4)));
        sum[r][0] = vpadalq_s16(sum[r][0], vmull_s8(vget_low_s8(av), vget_low_s8(b0)));
        sum[r][1] = vpadalq_s16(sum[r][1], vmull_high_s8(av, b0));
        sum[r][2] = vpadalq_s16(sum[r][2], vmull_s8(vget_low_s8(av), vget_low_s8(b1)));
        sum[r][3] = vpadalq_s16(sum[r][3], vmull_high_s8(av, b1));
      }
    }
    LINNET_UNROLL
    for (int r = 0; r < kRows; ++r) {
      int32_t* to = sums + r * kPanelColumns + column;
      vst1q_s32(to, vpaddq_s32(sum[r][0], sum[r][1]));
      vst1q_s32(to + 4, vpaddq_s32(sum[r][2], sum[r][3]));
    }
  }
}

void Int8PairDots(const void* block, int64_t row_bytes, int rows, int64_t k4, const int8_t* panel, int64_t columns, int32_t* sums) {
  if constexpr (kFewTiles) {
    return DotsInParts<PairDots<6>, PairDots<3>, PairDots<1>>(block, row_bytes, rows, k4, panel, columns, sums);
  }
  static constexpr TileDotsFn* kDots[] = {nullptr, PairDots<1>, PairDots<2>, PairDots<3>, PairDots<4>, PairDots<5>, PairDots<6>};
  kDots[rows](block, row_bytes, k4, panel, columns, sums);
}

#endif

#if HWY_TARGET == HWY_AVX3
// Bytes as they are.
void CopyBytes(const uint8_t* a, int64_t n, bool, void* block) { memcpy(block, a, static_cast<size_t>(n)); }
#endif

// Int8Kernels::finish of this target. Defined in int8_gemm_finish.cc.
void Int8Finish(const FinishInt8& f, const int32_t* sums, const int32_t* row_sums, int64_t row, int rows, int64_t column,
                int64_t columns);
void Int8Offsets(int32_t zero, const int32_t* sums, int64_t n, int32_t* out);

#if HWY_TARGET == HWY_AVX3
// Int8Kernels::tiles. Defined in int8_gemm_rows.cc and int8_gemm_tiles.cc.
void Int8TilesVnni(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                   const int32_t* row_sums);
void Int8TilesAmx(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                  const int32_t* row_sums);
void Int8TilesEmulated(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                       const int32_t* row_sums);
#elif HWY_TARGET == HWY_AVX2 && !defined(LINNET_SMALL)
// The same. Defined in int8_gemm_pairs.cc.
void Int8TilesPairs(const BlocksInt8& job, const RowsInt8& rows, int64_t row0, int64_t row1, int64_t panel0, int64_t panel1,
                    const int32_t* row_sums);
#endif

#if HWY_ARCH_ARM_A64
constexpr Int8Kernels kInt8 = {kInt8Name, kInt8Ns, 8, kInt8Rows, 1, -128, 0, Int8LoadBytes<false>, Int8PairDots, Int8Finish, nullptr, Int8Offsets};
#elif HWY_TARGET == HWY_AVX2 && !defined(LINNET_SMALL)
constexpr Int8Kernels kInt8 = {kInt8Name, kInt8Ns, 8, kInt8Rows, 1, 0, 128, Int8LoadBytes<true>, nullptr, Int8Finish, Int8TilesPairs, Int8Offsets, true};
#else
constexpr Int8Kernels kInt8 = {kInt8Name, kInt8Ns, 8, kInt8Rows, 2, 0, 0, Int8Load, Int8Dots, Int8Finish, nullptr, Int8Offsets};
#endif
constexpr Int8Kernels kInt8Emulated = {"bytes, emulated", kInt8Ns, 8, kInt8Rows, 1, 0, 128, Int8LoadBytes<true>, Int8ByteDots<ByteLeaf::kEmulated>, Int8Finish, nullptr, Int8Offsets};
#if HWY_TARGET == HWY_AVX3
constexpr Int8Kernels kInt8Bytes = {"avx512vnni", 0.003, 20, kInt8Rows, 1, 0, 128, Int8LoadBytes<true>, nullptr, Int8Finish, Int8TilesVnni, Int8Offsets, false, true};
constexpr Int8Kernels kInt8Tiles = {"amx", 0.0006, 90, 32, 1, 0, 0, CopyBytes, nullptr, Int8Finish, Int8TilesAmx, Int8Offsets};
constexpr Int8Kernels kInt8TilesEmulated = {"amx, emulated", 0.0006, 90, 32, 1, 0, 0, CopyBytes, nullptr, Int8Finish, Int8TilesEmulated, Int8Offsets};
#elif HWY_TARGET == HWY_AVX2
constexpr Int8Kernels kInt8Bytes = {"avxvnni", 0.005, 20, kInt8Rows, 1, 0, 128, Int8LoadBytes<true>, Int8ByteDots<ByteLeaf::kAvxVnni>, Int8Finish, nullptr, Int8Offsets};
#elif HWY_ARCH_ARM_A64
constexpr Int8Kernels kInt8Dotprod = {"dotprod", 0.02, 8, kInt8Rows, 1, -128, 0, Int8LoadBytes<false>, nullptr, Int8Finish, Int8TilesDotprod, Int8Offsets};
constexpr Int8Kernels kInt8Squares = {"i8mm", 0.012, 8, kInt8Rows, 1, -128, 0, Int8LoadBytes<false>, nullptr, Int8Finish, Int8TilesSquares, Int8Offsets};
#endif

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

const Int8Kernels& PickInt8(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAmx)) return N_AVX3::kInt8Tiles;
  if (Supports(level, CpuLevel::kAvx512Vnni)) return N_AVX3::kInt8Bytes;
  if (Supports(level, CpuLevel::kAvxVnni)) return N_AVX2::kInt8Bytes;
#elif HWY_ARCH_ARM_A64
  if (Supports(level, CpuLevel::kI8mm)) return HWY_STATIC_DISPATCH(kInt8Squares);
  if (Supports(level, CpuLevel::kDotprod)) return HWY_STATIC_DISPATCH(kInt8Dotprod);
#endif
  return *LINNET_PICK(level, kInt8);
}

const Int8Kernels& EmulatedInt8(CpuLevel level) {
#if defined(__x86_64__)
  if (Supports(level, CpuLevel::kAmx)) return N_AVX3::kInt8TilesEmulated;
#endif
  return *LINNET_PICK(level, kInt8Emulated);
}

}  // namespace linnet
#endif
