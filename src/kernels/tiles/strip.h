// A convolution whose taps tiles read in place: the rows of the picture that some output rows need are copied to a strip, with
// their padding, sorted by where they fall in a stride. Tap (i, j) of all output pixels is then one run of equal steps:
//
//     stride 1   one plane       x . x . x . .         stride 2   planes (0, 0) (0, 1)      x . x .   o . o .
//                                . . . . . . .                           (1, 0) (1, 1)
//
// Rows of A are the pixels of a plane, `pitch` a row of the picture; the last of them are no pixels of the output. No vector
// code here.
#pragma once

#include <stdint.h>

#include <algorithm>
#include <utility>

#include "base/memory.h"
#include "kernels/conv/conv_sizes.h"

namespace linnet {

/// How a convolution is cut; of one of groups, the taps of the first, which the others' follow. Lengths are in elements.
struct Strip {
  static constexpr int64_t kBytes = 384 << 10;   // of a strip: leaves a second-level cache room for weights
  static constexpr int64_t kTapsMax = 1024;

  /// Steps have at most `step_max` elements, a multiple of `unit`. Not `usable` where tiles would be mostly empty.
  Strip(const ConvSizes& c, int64_t step_max, int64_t unit, int64_t element_bytes) : c(c) {
    const int64_t group_in = c.in_c / c.groups;
    if (group_in == 0 || group_in % unit != 0 || c.kernel_h * c.kernel_w > kTapsMax) return;
    more_rows = (c.kernel_h - 1) * c.dilation_h / c.stride_h;
    pitch = c.out_w + (c.kernel_w - 1) * c.dilation_w / c.stride_w;
    row_phases = std::min(c.stride_h, (c.kernel_h - 1) * c.dilation_h + 1);
    column_phases = std::min(c.stride_w, (c.kernel_w - 1) * c.dilation_w + 1);
    // Where taps of a kernel row are neighbours, they are one run.
    joined = c.stride_w == 1 && c.dilation_w == 1 && c.groups == 1;
    const int64_t run = joined ? c.kernel_w * group_in : group_in;
    runs = joined ? c.kernel_h : c.kernel_h * c.kernel_w;
    run_steps = DivUp(run, step_max);
    while (run / unit % run_steps != 0 && run_steps * step_max <= 2 * run) ++run_steps;
    step = run / run_steps;
    if (run / unit % run_steps != 0 || 2 * step < std::min(run, step_max)) return;
    const double row_bytes = static_cast<double>(pitch) * static_cast<double>(row_phases * column_phases) *
                             static_cast<double>(c.in_c * element_bytes);
    if (row_bytes * static_cast<double>(more_rows + 1) > 4.0 * kBytes) return;
    rows = std::clamp<int64_t>(kBytes / static_cast<int64_t>(row_bytes) - more_rows, 1, c.out_h);
    rows = DivUp(c.out_h, DivUp(c.out_h, rows));   // strips of about the same height
    plane = (rows + more_rows) * pitch * c.in_c;
    usable = true;
  }

  /// Steps of a row of A.
  int64_t steps() const { return runs * run_steps; }
  int64_t table_bytes() const { return RoundUp(steps() * 8, int64_t{64}); }
  int64_t elements() const { return plane * row_phases * column_phases; }

  /// Where the steps of a row of A are, for `steps()` numbers.
  void Offsets(int64_t* out) const {
    for (int64_t i = 0; i < c.kernel_h; ++i) {
      for (int64_t j = 0; j < (joined ? 1 : c.kernel_w); ++j) {
        const int64_t y = i * c.dilation_h, x = j * c.dilation_w;
        const int64_t at = (y % c.stride_h * column_phases + x % c.stride_w) * plane;
        const int64_t from = at + (y / c.stride_h * pitch + x / c.stride_w) * c.in_c;
        for (int64_t s = 0; s < run_steps; ++s) *out++ = from + s * step;
      }
    }
  }

  /// The rows of the planes that output rows [y, y + count) of a picture read: line(element, in_y, x) for `pitch` pixels from
  /// pixel x on, every stride_w-th; outside(element) for those of a row above or below the picture.
  template <class Line, class Outside>
  void ForLines(int64_t y, int64_t count, Line line, Outside outside) const {
    int64_t at = 0;
    for (int64_t p = 0; p < row_phases; ++p) {
      for (int64_t q = 0; q < column_phases; ++q, at += plane) {
        for (int64_t r = 0; r < count + more_rows; ++r) {
          const int64_t in_y = (y + r) * c.stride_h + p - c.pad_top, to = at + r * pitch * c.in_c;
          in_y < 0 || in_y >= c.in_h ? outside(to) : line(to, in_y, q - c.pad_left);
        }
      }
    }
  }

  /// Output pixels [pixel0, pixel1), strip by strip: run(image, y, count, c_row, row0, row1), which reads `count` output rows from
  /// y on and computes rows [row0, row1) of A, of which row 0 is output pixel c_row.
  template <class Run>
  void ForStrips(int64_t pixel0, int64_t pixel1, Run run) const {
    const int64_t image_pixels = c.out_h * c.out_w;
    while (pixel0 < pixel1) {
      const int64_t image = pixel0 / image_pixels, y = pixel0 % image_pixels / c.out_w, x = pixel0 % c.out_w;
      const int64_t first = image * image_pixels + y * c.out_w;   // pixel of the strip
      const int64_t end = std::min(pixel1, first + std::min(rows, c.out_h - y) * c.out_w), last = end - 1 - first;
      run(image, y, last / c.out_w + 1, first, x, last / c.out_w * pitch + last % c.out_w + 1);
      pixel0 = end;
    }
  }

  const ConvSizes& c;
  bool usable = false, joined = false;
  int64_t pitch = 0, more_rows = 0, row_phases = 1, column_phases = 1, runs = 1, run_steps = 1, step = 4, rows = 1, plane = 0;
};

/// Which of `count` pixels from, from + every, ... lie in a row of `width`: those of [first, second).
inline std::pair<int64_t, int64_t> PixelsInside(int64_t from, int64_t every, int64_t count, int64_t width) {
  const int64_t begin = std::clamp<int64_t>(DivUp(std::max<int64_t>(-from, 0), every), 0, count);
  return {begin, std::clamp<int64_t>(from >= width ? 0 : DivUp(width - from, every), begin, count)};
}

/// Rows [row, row + count) of A, of each `pitch` of which only the first `valid` are rows of C (pitch 0: all are), those follow
/// each other there: store(c_row, at, n) for rows [row + at, row + at + n), which are C's from c_row on. Row 0 is C's `c_row`.
template <class Store>
inline void ForRowsOfC(int64_t pitch, int64_t valid, int64_t c_row, int64_t row, int64_t count, Store store) {
  if (pitch == 0) return store(c_row + row, int64_t{0}, count);
  int64_t y = row / pitch, x = row % pitch;
  for (int64_t at = 0; at < count; at += pitch - x, x = 0, ++y) {
    const int64_t n = std::min(count - at, valid - x);
    if (n > 0) store(c_row + y * valid + x, at, n);
  }
}

}  // namespace linnet
