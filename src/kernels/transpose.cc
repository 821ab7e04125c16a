// Matrix transposition by interleaving registers.
//
// With S elements to a 128-bit block, S vectors are loaded so that block k of vector i holds S elements of
// source row i + S k. Interleaving vector i with vector i + S/2, log2 S times, transposes all blocks at once,
// and then vector j is destination row j. For 4-byte elements and 256-bit vectors (letters are source rows,
// digits columns):
//
//     v0 = a0 a1 a2 a3 | e0 e1 e2 e3          a0 b0 c0 d0 | e0 f0 g0 h0
//     v1 = b0 b1 b2 b3 | f0 f1 f2 f3   ──▶    a1 b1 c1 d1 | e1 f1 g1 h1
//     v2 = c0 c1 c2 c3 | g0 g1 g2 g3          a2 b2 c2 d2 | e2 f2 g2 h2
//     v3 = d0 d1 d2 d3 | h0 h1 h2 h3          a3 b3 c3 d3 | e3 f3 g3 h3
#include "kernels/transpose.h"

#include <stddef.h>
#include <string.h>

#include "base/memory.h"
#include "kernels/dispatch.h"
#include "kernels/unroll.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/transpose.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace linnet {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
inline constexpr size_t kBlockLanes = 16 / sizeof(hn::TFromD<D>);

// Blocks from p, p + S src_stride, ...
template <class D>
HWY_INLINE hn::Vec<D> LoadBlocks(D d, const char* p, int64_t src_stride) {
  if constexpr (hn::MaxLanes(D()) <= kBlockLanes<D>) {
    return hn::LoadU(d, reinterpret_cast<const hn::TFromD<D>*>(p));
  } else {
    const hn::Half<D> half;
    const int64_t rows = hn::MaxLanes(D()) / 2;
    return hn::Combine(d, LoadBlocks(half, p + rows * src_stride, src_stride),
                       LoadBlocks(half, p, src_stride));
  }
}

// log2 kCount interleavings of kCount vectors: of each, what was first in the vectors, second ... comes together.
template <size_t kCount, class D>
HWY_INLINE void Interleave(D d, hn::Vec<D> (&v)[kCount]) {
  hn::Vec<D> w[kCount];
  LINNET_UNROLL
  for (size_t step = 1; step < kCount; step *= 2) {
    LINNET_UNROLL
    for (size_t i = 0; i < kCount / 2; ++i) {
      w[2 * i] = hn::InterleaveLower(d, v[i], v[i + kCount / 2]);
      w[2 * i + 1] = hn::InterleaveUpper(d, v[i], v[i + kCount / 2]);
    }
    LINNET_UNROLL
    for (size_t i = 0; i < kCount; ++i) v[i] = w[i];
  }
}

// S rows and Lanes(d) columns of dst, the first `rows` of which are written.
template <class D>
HWY_INLINE void TransposeTile(D d, const char* src, int64_t src_stride, char* dst, int64_t dst_stride, size_t rows = kBlockLanes<D>) {
  using T = hn::TFromD<D>;
  constexpr size_t kS = kBlockLanes<D>;
  hn::Vec<D> v[kS];
  LINNET_UNROLL
  for (size_t i = 0; i < kS; ++i)
    v[i] = LoadBlocks(d, src + static_cast<int64_t>(i) * src_stride, src_stride);
  Interleave(d, v);
  LINNET_UNROLL
  for (size_t i = 0; i < kS; ++i) {
    if (i < rows) hn::StoreU(v[i], d, reinterpret_cast<T*>(dst + static_cast<int64_t>(i) * dst_stride));
  }
}

template <class T>
void TransposeScalar(const char* src, int64_t src_stride, char* dst, int64_t dst_stride, int64_t rows,
                     int64_t cols) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c)
      memcpy(dst + r * dst_stride + c * sizeof(T), src + c * src_stride + r * sizeof(T), sizeof(T));
  }
}

#if defined(LINNET_SMALL)
template <class D>
constexpr bool kMayShorten = false;
#else
template <class D>
constexpr bool kMayShorten = hn::MaxLanes(D()) * sizeof(hn::TFromD<D>) > 8;
#endif

// Two to four columns that follow one another in dst, or rows in src: interleaving stores and loads, of shorter
// vectors where the long side is shorter than one. Returns how many of it are done.
template <size_t kFew, class D>
int64_t InterleaveColumns(D d, const char* src, int64_t src_stride, char* dst, int64_t rows) {
  using T = hn::TFromD<D>;
  const int64_t lanes = hn::Lanes(d);
  if constexpr (kMayShorten<D>) {
    if (rows < lanes) return InterleaveColumns<kFew>(hn::Half<D>(), src, src_stride, dst, rows);
  }
  T* out = reinterpret_cast<T*>(dst);
  auto row = [&](int64_t c, int64_t r)
                 HWY_ATTR { return hn::LoadU(d, reinterpret_cast<const T*>(src + c * src_stride) + r); };
  auto vector = [&](int64_t r) HWY_ATTR {
    T* to = out + r * static_cast<int64_t>(kFew);
    if constexpr (kFew == 2) hn::StoreInterleaved2(row(0, r), row(1, r), d, to);
    if constexpr (kFew == 3) hn::StoreInterleaved3(row(0, r), row(1, r), row(2, r), d, to);
    if constexpr (kFew == 4) hn::StoreInterleaved4(row(0, r), row(1, r), row(2, r), row(3, r), d, to);
  };
  int64_t r = 0;
  for (; r + lanes <= rows; r += lanes) vector(r);
  // The last one is moved back to end where they do.
  if (r == 0 || r == rows) return r;
  vector(rows - lanes);
  return rows;
}
template <size_t kFew, class D>
int64_t DeinterleaveRows(D d, const char* src, char* dst, int64_t dst_stride, int64_t cols) {
  using T = hn::TFromD<D>;
  const int64_t lanes = hn::Lanes(d);
  if constexpr (kMayShorten<D>) {
    if (cols < lanes) return DeinterleaveRows<kFew>(hn::Half<D>(), src, dst, dst_stride, cols);
  }
  auto vector = [&](int64_t c) HWY_ATTR {
    const T* in = reinterpret_cast<const T*>(src) + static_cast<int64_t>(kFew) * c;
    hn::Vec<D> v[4];
    if constexpr (kFew == 2) hn::LoadInterleaved2(d, in, v[0], v[1]);
    if constexpr (kFew == 3) hn::LoadInterleaved3(d, in, v[0], v[1], v[2]);
    if constexpr (kFew == 4) hn::LoadInterleaved4(d, in, v[0], v[1], v[2], v[3]);
    LINNET_UNROLL
    for (size_t r = 0; r < kFew; ++r) {
      hn::StoreU(v[r], d, reinterpret_cast<T*>(dst + static_cast<int64_t>(r) * dst_stride) + c);
    }
  };
  int64_t c = 0;
  for (; c + lanes <= cols; c += lanes) vector(c);
  if (c == 0 || c == cols) return c;
  vector(cols - lanes);
  return cols;
}

template <size_t kFew, class D>
void TransposeFew(D d, const char* src, int64_t src_stride, char* dst, int64_t dst_stride, int64_t rows,
                  int64_t cols) {
  using T = hn::TFromD<D>;
  constexpr int64_t kSize = sizeof(T), kBytes = kFew * kSize;
  if (cols == kFew && dst_stride == kBytes) {
    const int64_t done = InterleaveColumns<kFew>(d, src, src_stride, dst, rows);
    src += done * kSize, dst += done * kBytes, rows -= done;
  } else if (rows == kFew && src_stride == kBytes) {
    const int64_t done = DeinterleaveRows<kFew>(d, src, dst, dst_stride, cols);
    src += done * kBytes, dst += done * kSize, cols -= done;
  }
  TransposeScalar<T>(src, src_stride, dst, dst_stride, rows, cols);
}

// Blocks, which hold as many rows of dst as fit, first those of all vectors that come first. Each row is written whole, and what lies
// behind its columns by the row after it.
template <size_t kWide, size_t kCount, class D>
HWY_INLINE char* StoreBlocks(D d, const hn::Vec<D> (&v)[kCount], char* dst, int64_t dst_stride) {
  using T = hn::TFromD<D>;
  const hn::Half<D> half;
  if constexpr (hn::MaxLanes(D()) > kWide && hn::MaxLanes(D()) <= kBlockLanes<D>) {
    LINNET_UNROLL
    for (size_t j = 0; j < kCount; ++j, dst += 2 * dst_stride) {
      hn::StoreU(hn::LowerHalf(half, v[j]), half, reinterpret_cast<T*>(dst));
      hn::StoreU(hn::UpperHalf(half, v[j]), half, reinterpret_cast<T*>(dst + dst_stride));
    }
  } else if constexpr (hn::MaxLanes(D()) > kWide) {
    hn::Vec<hn::Half<D>> part[kCount];
    LINNET_UNROLL
    for (size_t j = 0; j < kCount; ++j) part[j] = hn::LowerHalf(half, v[j]);
    dst = StoreBlocks<kWide>(half, part, dst, dst_stride);
    LINNET_UNROLL
    for (size_t j = 0; j < kCount; ++j) part[j] = hn::UpperHalf(half, v[j]);
    dst = StoreBlocks<kWide>(half, part, dst, dst_stride);
  } else {
    LINNET_UNROLL
    for (size_t j = 0; j < kCount; ++j, dst += dst_stride) hn::StoreU(v[j], d, reinterpret_cast<T*>(dst));
  }
  return dst;
}

// More than kWide / 2 columns and at most kWide, which is S or half of it: vectors run along the rows of src, and a block of them becomes
// rows of dst. Unless there are kWide columns, rows of dst follow one another. At least Lanes(d) rows.
template <size_t kWide, class D>
void TransposeNarrow(D d, const char* src, int64_t src_stride, char* dst, int64_t dst_stride, int64_t rows, int64_t cols) {
  using T = hn::TFromD<D>;
  constexpr int64_t kLanes = hn::MaxLanes(D()), kSize = sizeof(T);
  auto tile = [&](int64_t r, char* to, int64_t to_stride) HWY_ATTR {
    hn::Vec<D> v[kWide];
    LINNET_UNROLL
    for (size_t i = 0; i < kWide; ++i) {
      const int64_t c = static_cast<int64_t>(i) < cols ? static_cast<int64_t>(i) : 0;
      v[i] = hn::LoadU(d, reinterpret_cast<const T*>(src + c * src_stride) + r);
    }
    Interleave(d, v);
    StoreBlocks<kWide>(d, v, to, to_stride);
  };
  const int64_t beyond = (static_cast<int64_t>(kWide) - cols) * kSize;   // bytes that the last row of a tile writes behind it
  int64_t r = 0;
  for (; r + kLanes <= rows && (rows - r - kLanes) * dst_stride >= beyond; r += kLanes) tile(r, dst + r * dst_stride, dst_stride);
  if (r == rows) return;
  r = rows - kLanes;
  if (beyond == 0) return tile(r, dst + r * dst_stride, dst_stride);
  char last[(kLanes + 1) * static_cast<int64_t>(kWide) * kSize];
  tile(r, last, dst_stride);
  memcpy(dst + r * dst_stride, last, static_cast<size_t>(kLanes * dst_stride));
}

// Fewer than S rows of dst. Blocks are read whole; the last columns, behind which nothing may be read, from a copy. At least Lanes(d) columns.
template <class D>
void TransposeLow(D d, const char* src, int64_t src_stride, char* dst, int64_t dst_stride, int64_t rows, int64_t cols) {
  using T = hn::TFromD<D>;
  constexpr int64_t kLanes = hn::MaxLanes(D()), kSize = sizeof(T), kBlock = 16;
  int64_t c = 0;
  for (; (c + kLanes - 1) * src_stride + kBlock <= (cols - 1) * src_stride + rows * kSize; c += kLanes) {
    TransposeTile(d, src + c * src_stride, src_stride, dst + c * kSize, dst_stride, static_cast<size_t>(rows));
  }
  for (; c < cols; c += kLanes) {
    if (c > cols - kLanes) c = cols - kLanes;
    char last[kLanes * kBlock];
    for (int64_t i = 0; i < kLanes; ++i) memcpy(last + i * kBlock, src + (c + i) * src_stride, static_cast<size_t>(rows * kSize));
    TransposeTile(d, last, kBlock, dst + c * kSize, dst_stride, static_cast<size_t>(rows));
  }
}

HWY_INLINE int64_t LowestBit(int64_t x) {
  return x & -x;
}

#if defined(LINNET_SMALL)
constexpr bool kFewLoops = true;
#else
constexpr bool kFewLoops = false;
#endif

// Whole tiles, then tiles moved back to end at the last row and column, which write some elements twice.
// Fewer columns than a vector has lanes are left to shorter vectors.
template <class D>
void TransposeWith(D d, const char* src, int64_t src_stride, char* dst, int64_t dst_stride, int64_t rows,
                   int64_t cols) {
  using T = hn::TFromD<D>;
  constexpr int64_t kRows = kBlockLanes<D>, kCols = hn::MaxLanes(D());
  const int64_t few = rows < cols ? rows : cols;
#if !defined(LINNET_SMALL)
  if constexpr (kCols > kRows) {
    const int64_t many = rows < cols ? cols : rows;
    if (few <= kRows && many >= kRows && many < kCols) return TransposeWith(hn::Half<D>(), src, src_stride, dst, dst_stride, rows, cols);
  }
  const bool dense = dst_stride == cols * static_cast<int64_t>(sizeof(T));
  if (rows >= kCols && cols > 4 && cols <= kRows && (dense || cols == kRows)) {
    if constexpr (kRows == 16) {
      if (cols < 8 || (cols == 8 && dense)) return TransposeNarrow<8>(d, src, src_stride, dst, dst_stride, rows, cols);
    }
    if constexpr (kRows > 4) return TransposeNarrow<kRows>(d, src, src_stride, dst, dst_stride, rows, cols);
  }
  if (kRows > 4 && rows < kRows && rows > 4 && cols >= kCols) return TransposeLow(d, src, src_stride, dst, dst_stride, rows, cols);
#endif
  if (few < kRows) {
    if constexpr (kFewLoops) {
      if (few == 3) return TransposeFew<3>(d, src, src_stride, dst, dst_stride, rows, cols);   // pictures
    }
    if constexpr (kRows > 2 && !kFewLoops) {
      if (few == 2) return TransposeFew<2>(d, src, src_stride, dst, dst_stride, rows, cols);
      if (few == 3) return TransposeFew<3>(d, src, src_stride, dst, dst_stride, rows, cols);
    }
    if constexpr (kRows > 4 && !kFewLoops) {
      if (few == 4) return TransposeFew<4>(d, src, src_stride, dst, dst_stride, rows, cols);
    }
    return TransposeScalar<T>(src, src_stride, dst, dst_stride, rows, cols);
  }
  if constexpr (kCols > kRows) {
    if (cols < kCols) return TransposeWith(hn::Half<D>(), src, src_stride, dst, dst_stride, rows, cols);
  }
  // Reads run along the cache lines of src, unless the rows of dst, being the more aligned, would evict one
  // another.
  const int64_t row_tiles = DivUp(rows, kRows), col_tiles = DivUp(cols, kCols);
  const bool along_dst = dst_stride % 1024 == 0 && LowestBit(dst_stride) > LowestBit(src_stride);
  const int64_t outer = along_dst ? row_tiles : col_tiles, inner = along_dst ? col_tiles : row_tiles;
  for (int64_t i = 0; i < outer; ++i) {
    for (int64_t j = 0; j < inner; ++j) {
      int64_t r = (along_dst ? i : j) * kRows, c = (along_dst ? j : i) * kCols;
      if (r > rows - kRows) r = rows - kRows;
      if (c > cols - kCols) c = cols - kCols;
      TransposeTile(d, src + c * src_stride + r * sizeof(T), src_stride, dst + r * dst_stride + c * sizeof(T),
                    dst_stride);
    }
  }
}

template <class T>
void Transpose(const void* src, int64_t src_stride, void* dst, int64_t dst_stride, int64_t rows,
               int64_t cols) {
  TransposeWith(hn::ScalableTag<T>(), static_cast<const char*>(src), src_stride, static_cast<char*>(dst),
                dst_stride, rows, cols);
}

template <size_t kStep, class D, class T = hn::TFromD<D>>
HWY_INLINE void TakeEveryBy(D d, const T* from, T* to, int64_t count) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)), step = kStep;
  auto vector = [&](int64_t i) HWY_ATTR {
    hn::Vec<D> v[4];
    if constexpr (kStep == 2) hn::LoadInterleaved2(d, from + i * step, v[0], v[1]);
    if constexpr (kStep == 3) hn::LoadInterleaved3(d, from + i * step, v[0], v[1], v[2]);
    if constexpr (kStep == 4) hn::LoadInterleaved4(d, from + i * step, v[0], v[1], v[2], v[3]);
    hn::StoreU(v[0], d, to + i);
  };
  // A vector reads what lies behind its last element too: the array's last one is not part of any.
  int64_t i = 0;
  for (; i + lanes < count; i += lanes) vector(i);
  if (i > 0) {
    vector(count - 1 - lanes);
    i = count - 1;
  }
  for (; i < count; ++i) to[i] = from[i * step];
}

// By the widest vectors of which there is one.
template <class T, size_t kStep>
void TakeEvery(const void* src, int64_t src_stride, void* dst, int64_t dst_stride, int64_t rows, int64_t count) {
  const hn::ScalableTag<T> wide;
  auto each = [&](auto d) HWY_ATTR {
    const char* from = static_cast<const char*>(src);
    char* to = static_cast<char*>(dst);
    for (int64_t r = 0; r < rows; ++r, from += src_stride, to += dst_stride) {
      TakeEveryBy<kStep>(d, reinterpret_cast<const T*>(from), reinterpret_cast<T*>(to), count);
    }
  };
  const hn::CappedTag<T, 16 / sizeof(T)> narrow;
  if (hn::MaxLanes(wide) == hn::MaxLanes(narrow) || count > static_cast<int64_t>(hn::Lanes(wide))) return each(wide);
  if constexpr (hn::MaxLanes(wide) > hn::MaxLanes(narrow)) each(narrow);
}

struct Bytes16 {
  char bytes[16];
};
void Transpose16(const void* src, int64_t src_stride, void* dst, int64_t dst_stride, int64_t rows,
                 int64_t cols) {
  TransposeScalar<Bytes16>(static_cast<const char*>(src), src_stride, static_cast<char*>(dst), dst_stride,
                           rows, cols);
}

}  // namespace

TransposeFn* TransposeOf(int64_t element_bytes) {
  switch (element_bytes) {
    case 1:
      return Transpose<uint8_t>;
    case 2:
      return Transpose<uint16_t>;
    case 4:
      return Transpose<uint32_t>;
    case 8:
      return Transpose<uint64_t>;
    case 16:
      return Transpose16;
    default:
      return nullptr;
  }
}

template <class T>
TakeEveryFn* TakeEveryStep(int64_t step) {
  return step == 2 ? TakeEvery<T, 2> : step == 3 ? TakeEvery<T, 3> : step == 4 ? TakeEvery<T, 4> : nullptr;
}
TakeEveryFn* TakeEveryOf(int64_t element_bytes, int64_t step) {
  if constexpr (kFewLoops) return element_bytes == 4 && step == 2 ? TakeEvery<uint32_t, 2> : nullptr;
  switch (element_bytes) {
    case 1:
      return TakeEveryStep<uint8_t>(step);
    case 2:
      return TakeEveryStep<uint16_t>(step);
    case 4:
      return TakeEveryStep<uint32_t>(step);
    default:
      return nullptr;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace linnet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace linnet {

TakeEveryFn* PickTakeEvery(int64_t element_bytes, int64_t step, CpuLevel level) {
  return LINNET_PICK(level, TakeEveryOf)(element_bytes, step);
}

TransposeFn* PickTranspose(int64_t element_bytes, CpuLevel level) {
  return LINNET_PICK(level, TransposeOf)(element_bytes);
}

template <>
TransposeFn* PickTranspose<1>(CpuLevel level) {
  return LINNET_PICK(level, Transpose<uint8_t>);
}
template <>
TransposeFn* PickTranspose<2>(CpuLevel level) {
  return LINNET_PICK(level, Transpose<uint16_t>);
}
template <>
TransposeFn* PickTranspose<4>(CpuLevel level) {
  return LINNET_PICK(level, Transpose<uint32_t>);
}
template <>
TransposeFn* PickTranspose<8>(CpuLevel level) {
  return LINNET_PICK(level, Transpose<uint64_t>);
}

}  // namespace linnet
#endif  // HWY_ONCE
