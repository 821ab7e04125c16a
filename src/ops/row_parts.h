// Rows that are made of one contiguous part after the other, as Concat writes and Split reads them.
#pragma once

#include <stdint.h>

#include <algorithm>

namespace linnet {

/// Elements [begin, end) of rows of `row` elements, part by part: f(part, its element, element of all rows, how many). Part i of a row
/// is [start[i], start[i + 1]); its own elements lie row after row too.
template <class F>
inline void ForRowParts(const int64_t* start, int64_t row, int64_t begin, int64_t end, F&& f) {
  int64_t r = begin / row, at = begin % row;
  int i = 0;
  while (begin < end) {
    while (start[i + 1] <= at) ++i;
    const int64_t length = start[i + 1] - start[i], count = std::min(start[i + 1] - at, end - begin);
    f(i, r * length + (at - start[i]), begin, count);
    begin += count;
    at += count;
    if (at == row) {
      at = 0;
      i = 0;
      ++r;
    }
  }
}

}  // namespace linnet
