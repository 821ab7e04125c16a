// Rows made of two runs, element by element in turns.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// to[r * 2 count + 2 j] = from[r * from_row + j] and to[r * 2 count + 2 j + 1] = from[r * from_row + apart + j], for 0 <= r < rows and
/// 0 <= j < count; all in elements. count is at least 8 bytes' worth. `from` and `to` do not overlap; nothing else is touched.
using InterleaveFn = void(const void* from, int64_t from_row, int64_t apart, void* to, int64_t rows, int64_t count);

/// For elements of 1, 2, 4 or 8 bytes; null for other sizes.
InterleaveFn* PickInterleave(int64_t element_bytes, CpuLevel level);

}  // namespace linnet
