// A copy of a panel of 8-bit weights, its rows sorted by how large sums of two of their weights are (int8_gemm_pairs.cc).
//
// Per-target header: include after hwy/highway.h, inside a source compiled by foreach_target (kernels/dispatch.h).
#if defined(LINNET_KERNELS_INT8_SORTED_PANEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LINNET_KERNELS_INT8_SORTED_PANEL_INL_H_
#undef LINNET_KERNELS_INT8_SORTED_PANEL_INL_H_
#else
#define LINNET_KERNELS_INT8_SORTED_PANEL_INL_H_
#endif

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>

#include "hwy/highway.h"
#include "kernels/int8/int8_gemm.h"
#include "kernels/unroll.h"

#if defined(__x86_64__) && !defined(LINNET_SMALL) && HWY_TARGET == HWY_AVX2

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {

constexpr int64_t kFoursMax = kSortedKInt8 / 4;   // rows of a panel
constexpr int64_t kRow = kPanelColumns * 4;       // bytes of one

// Sums of two weights of one sign reach 256. Class c has those up to kSafeSum + c kClassWidth.
constexpr int kSafeSum = 128, kClassWidth = 8, kClasses = (256 - kSafeSum) / kClassWidth + 1;

// The classes, from 0 on, that bytes up to `largest` may be multiplied with.
inline int ClassesFor(int largest) {
  constexpr int kFits = 32767;
  return largest * 256 <= kFits ? kClasses : (kFits / largest - kSafeSum) / kClassWidth + 1;
}

// What sums of two weights come to, at most, in each row of a panel. Those of two signs never exceed 128.
HWY_INLINE __m256i LargestSums(const int8_t* b) {
  const __m256i ones = _mm256_set1_epi8(1);
  auto sums = [&](int i) HWY_ATTR {
    return _mm256_abs_epi16(_mm256_maddubs_epi16(ones, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b) + i)));
  };
  return _mm256_max_epi16(sums(0), sums(1));
}

// The classes of four rows of a panel, a byte each. A sum of 256 counts as 255, which is of the same class.
HWY_INLINE uint32_t ClassesOfFour(const int8_t* b) {
  auto two = [&](const int8_t* p) HWY_ATTR {   // the first in the lower half
    const __m256i bytes = _mm256_packus_epi16(LargestSums(p), LargestSums(p + kRow));
    return _mm_castsi128_ps(_mm_max_epu8(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1)));
  };
  const __m128 low = two(b), high = two(b + 2 * kRow);
  __m128i most = _mm_castps_si128(_mm_shuffle_ps(low, high, 0x88));
  most = _mm_max_epu8(most, _mm_castps_si128(_mm_shuffle_ps(low, high, 0xdd)));
  most = _mm_max_epu8(most, _mm_srli_epi32(most, 16));
  most = _mm_and_si128(_mm_max_epu8(most, _mm_srli_epi32(most, 8)), _mm_set1_epi32(0xff));
  static_assert(kClassWidth == 8);
  const __m128i above = _mm_max_epi32(_mm_sub_epi32(most, _mm_set1_epi32(kSafeSum - kClassWidth + 1)), _mm_setzero_si128());
  const __m128i bytes = _mm_shuffle_epi8(_mm_srli_epi32(above, 3), _mm_set1_epi32(0x0c080400));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(bytes));
}

// The rows of a panel class by class, which does not depend on A.
struct PanelOrder {
  enum State : uint32_t { kNone, kBeingMade, kMade };
  uint32_t state;                // where it is kept from call to call
  uint16_t ends[kClasses + 1];   // ends[n]: behind the first n classes
  uint16_t rows[kFoursMax];      // as many as the panel has

  void Make(const int8_t* panel, int64_t count) {
    uint8_t class_of[kFoursMax + 4];
    uint16_t others[kFoursMax + 1];   // those of class 0 come first, and are most
    int64_t safe = 0, rest = 0;
    for (int64_t i = 0; i < count; i += 4) {
      alignas(64) int8_t last[4 * kRow];   // what is behind the panel's end is not read
      const int8_t* from = panel + i * kRow;
      if (i + 4 > count) from = static_cast<const int8_t*>(memcpy(last, from, static_cast<size_t>((count - i) * kRow)));
      const uint32_t four = ClassesOfFour(from);
      if (HWY_LIKELY(four == 0 && i + 4 <= count)) {
        const uint64_t next = static_cast<uint64_t>(i) * 0x0001000100010001 + 0x0003000200010000;
        memcpy(rows + safe, &next, sizeof(next));
        safe += 4;
        continue;
      }
      memcpy(class_of + i, &four, sizeof(four));
      for (int64_t j = i; j < std::min(i + 4, count); ++j) {
        const bool other = class_of[j] != 0;
        rows[safe] = others[rest] = static_cast<uint16_t>(j);
        safe += !other, rest += other;
      }
    }
    int64_t sizes[kClasses] = {safe}, next[kClasses], end = 0;
    for (int64_t i = 0; i < rest; ++i) ++sizes[class_of[others[i]]];
    ends[0] = 0;
    for (int c = 0; c < kClasses; ++c) {
      next[c] = end;
      ends[c + 1] = static_cast<uint16_t>(end += sizes[c]);
    }
    for (int64_t i = 0; i < rest; ++i) rows[next[class_of[others[i]]]++] = others[i];
  }

  // That of a panel of `count` rows: the one that is kept, or `made`, which is then kept unless another thread does that.
  static const PanelOrder& Of(const int8_t* panel, int64_t count, PanelOrder* kept, PanelOrder& made) {
    if (kept && __atomic_load_n(&kept->state, __ATOMIC_ACQUIRE) == kMade) return *kept;
    made.Make(panel, count);
    uint32_t none = kNone;
    if (kept && __atomic_compare_exchange_n(&kept->state, &none, kBeingMade, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      memcpy(kept->ends, made.ends, sizeof(made.ends));
      memcpy(kept->rows, made.rows, static_cast<size_t>(count) * sizeof(made.rows[0]));
      __atomic_store_n(&kept->state, kMade, __ATOMIC_RELEASE);
    }
    return made;
  }
};
static_assert(offsetof(PanelOrder, rows) == kOrderHeadInt8);

// A copy of a panel in that order, and of some rows widened. Memory: kSortedBytesInt8 for each row.
struct SortedPanel {
  int8_t* bytes;
  int16_t* words;   // of columns 0 to 7, then 8 to 15: even bytes, then odd ones
  int32_t* at;      // where the four k of a row are in a row of A
  static_assert(kSortedBytesInt8 == 3 * kRow + sizeof(int32_t));

  SortedPanel(uint8_t* memory, int64_t count)
      : bytes(reinterpret_cast<int8_t*>(memory)), words(reinterpret_cast<int16_t*>(memory + kRow * count)),
        at(reinterpret_cast<int32_t*>(memory + 3 * kRow * count)) {}

  /// Tiles read the rows of `least` to `most` classes as bytes, and others as words.
  void Copy(const int8_t* panel, const int32_t* from, const PanelOrder& order, int least, int most) {
    const int64_t narrow = order.ends[least], narrow_end = order.ends[most], count = order.ends[kClasses];
    for (int64_t i = 0; i < narrow_end; ++i) {
      const int64_t row = order.rows[i];
      at[i] = from[row];
      CopyRow(panel + row * kRow, bytes + i * kRow);
    }
    for (int64_t i = narrow; i < count; ++i) {
      const int64_t row = order.rows[i];
      at[i] = from[row];
      Widen(panel + row * kRow, words + (i - narrow) * kRow);
    }
  }

 private:
  static __m256i Load(const int8_t* from, int v) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + v); }
  static void CopyRow(const int8_t* from, int8_t* to) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), Load(from, 0));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to) + 1, Load(from, 1));
  }
  static void Widen(const int8_t* from, int16_t* to) {
    LINNET_UNROLL
    for (int v = 0; v < 2; ++v) {
      const __m256i w = Load(from, v);
      _mm256_store_si256(reinterpret_cast<__m256i*>(to) + 2 * v, _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
      _mm256_store_si256(reinterpret_cast<__m256i*>(to) + 2 * v + 1, _mm256_srai_epi16(w, 8));
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#endif  // AVX2

#endif  // per-target guard
