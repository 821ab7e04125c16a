// Copies of N-dimensional arrays: permuted, sliced, reversed, repeated, into part of a larger array.
//
// Transpose, Slice, Expand, Tile, Split, Concat and the inside of Pad are all dst[c] = src[c] over
// coordinates c with different strides on the two sides:
//
//     Transpose       src strides permuted           Slice    src strides times the step, src moved to the
//     start Expand, Tile    src stride 0                    Concat, Pad    dst strides of the larger array,
//     dst moved
//
// MakeCopy reduces such a copy to the fewest dimensions and chooses how its two innermost are copied; RunCopy
// runs a part of it.
#pragma once

#include <stdint.h>
#include <string.h>

#include <span>

#include "base/cpu.h"
#include "base/memory.h"
#include "base/status.h"
#include "kernels/transpose.h"

namespace linnet {

inline constexpr int kCopyRankMax = 8;

/// A bound copy; plain data. Strides are in bytes. The copy is `units` pieces of the plane [rows][cols] of
/// its two innermost dimensions, a piece being at most rows_piece x cols_piece elements, over all coordinates
/// of the outer dimensions.
struct CopyPlan {
  enum class Kind : uint8_t {
    kRuns,       ///< rows of consecutive elements
    kFill,       ///< rows of one element repeated
    kTranspose,  ///< consecutive elements of src are a column of dst
    kStrided,
  };
  int64_t units = 0;
  int64_t rows = 1, cols = 1;
  int64_t src_row = 0, src_col = 0, dst_row = 0, dst_col = 0;
  int64_t rows_piece = 1, cols_piece = 1;
  int64_t dims[kCopyRankMax];  ///< outer dimensions
  int64_t src_strides[kCopyRankMax], dst_strides[kCopyRankMax];
  TransposeFn* transpose = nullptr;
  TakeEveryFn* take = nullptr;   ///< of kStrided: rows, where columns of dst follow one another
  int32_t rank = 0;  ///< of the outer dimensions
  uint8_t element_bytes = 0;
  Kind kind = Kind::kRuns;
};

/// dst[sum c[i] dst_strides[i]] = src[sum c[i] src_strides[i]] for all coordinates c of `dims`; strides in
/// elements, src's of any sign or 0, dst's positive and such that no element is written twice. Elements have
/// 1, 2, 4, 8 or 16 bytes. Fails with kInvalidArgument for other sizes and negative dims, with kUnsupported
/// when more than kCopyRankMax + 2 dimensions remain. The caller has checked that every element lies inside
/// its array.
Status MakeCopy(int64_t element_bytes, std::span<const int64_t> dims, std::span<const int64_t> src_strides,
                std::span<const int64_t> dst_strides, CpuLevel level, CopyPlan* plan);

/// The copy from a dense array of `dims` to a dense one whose dimension i is dimension permutation[i] of it
/// (ONNX's Transpose). Fails with kInvalidArgument when `permutation` is not one.
Status MakeTranspose(int64_t element_bytes, std::span<const int64_t> dims,
                     std::span<const int64_t> permutation, CpuLevel level, CopyPlan* plan);

/// Copies a run of bytes, of which there may be few: those would spend their time in memcpy's preamble.
inline void CopyShort(char* to, const char* from, size_t bytes) {
  if (bytes > 128) {
    CopyLong(to, from, bytes);
  } else if (bytes >= 16) {
    for (size_t i = 0; i + 16 < bytes; i += 16) memcpy(to + i, from + i, 16);
    memcpy(to + bytes - 16, from + bytes - 16, 16);
  } else {
    size_t i = 0;
    if (bytes & 8) memcpy(to, from, 8), i = 8;
    if (bytes & 4) memcpy(to + i, from + i, 4), i += 4;
    if (bytes & 2) memcpy(to + i, from + i, 2), i += 2;
    if (bytes & 1) to[i] = from[i];
  }
}

/// Copies `rows` rows of `bytes` consecutive bytes, src_row and dst_row bytes apart. They do not overlap.
void CopyRows(const void* src, int64_t src_row, void* dst, int64_t dst_row, int64_t bytes, int64_t rows);

/// Row r of dst, `bytes` consecutive bytes, becomes row index[r] of src, for `rows` rows that follow one another on both sides.
void GatherRows(const void* src, const int32_t* index, void* dst, int64_t bytes, int64_t rows);

/// Copies the pieces [begin, end), 0 <= begin <= end <= plan.units, each a few KiB to 64 KiB or a whole small
/// plane. src and dst point to the elements of coordinate 0 and do not overlap. Touches nothing but the
/// elements copied.
void RunCopy(const CopyPlan& plan, const void* src, void* dst, int64_t begin, int64_t end);

}  // namespace linnet
