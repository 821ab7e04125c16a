// Transposing matrices of 1 to 16-byte elements in registers.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// dst[r][c] = src[c][r] for 0 <= r < rows, 0 <= c < cols. Strides are bytes from one row of src or dst to
/// the next, of any sign. src and dst do not overlap; neither is touched outside its elements; no alignment
/// is needed. Caches are the caller's concern: RunCopy (kernels/copy.h) calls this for pieces that fit L1.
using TransposeFn = void(const void* src, int64_t src_stride, void* dst, int64_t dst_stride, int64_t rows,
                         int64_t cols);

/// For elements of 1, 2, 4, 8 or 16 bytes; null for other sizes.
TransposeFn* PickTranspose(int64_t element_bytes, CpuLevel level);
/// The same where the size is known when the caller is compiled: a small build then links no other. 1, 2, 4 and 8 exist.
template <int kElementBytes>
TransposeFn* PickTranspose(CpuLevel level);

/// dst[r][i] = src[r][i * step], r < rows, i < count, step 2 to 4, of elements of 1, 2 or 4 bytes; strides are bytes from row to row, of any
/// sign. Touches nothing outside a row's elements from the first to the last. Null where no such loop exists: for other sizes, and in small builds for all but every second of 4 bytes.
using TakeEveryFn = void(const void* src, int64_t src_stride, void* dst, int64_t dst_stride, int64_t rows, int64_t count);
TakeEveryFn* PickTakeEvery(int64_t element_bytes, int64_t step, CpuLevel level);

}  // namespace linnet
