// Convolutions with few outputs: lanes of a vector are pixels of an output row, where tiles would leave most of their columns empty.
//
// Of an input row, words of 4 bytes are laid out so that what neighbouring output pixels read lies side by side. A word has one float, two
// 16-bit numbers or four bytes, which are channels of a pixel, or, where pixels have fewer channels than that, neighbouring pixels too:
//
//     row         p0c0 p0c1 p0c2 p0c3 p0c4 p0c5 | p1c0 ...            six channels of a byte
//     plane 0     p0c0..3 | p1c0..3 | p2c0..3 | ...                    a word for each pixel that a stride meets
//     plane 1     p0c4..p1c1 | p1c4..p2c1 | ...                        weights are zeros for what is too much
//
// A tap of all output pixels of a row is then words of one plane from some word on. Rows are kept in a ring as long as kernels read them. A
// convolution of one row or of 1x1 is cut into pieces of some pixels. No vector code here.
#pragma once

#include <stdint.h>

#include <algorithm>

#include "base/memory.h"
#include "kernels/conv/conv_sizes.h"
#include "kernels/gemm.h"

namespace linnet {

/// A small build does without.
#if defined(LINNET_SMALL) || !defined(__x86_64__)
inline constexpr bool kNarrow = false;
#else
inline constexpr bool kNarrow = true;
#endif

/// Pixels that tiles read at once, whatever the vectors.
inline constexpr int64_t kNarrowLanes = 16;
/// The most outputs that may pay.
inline constexpr int64_t kNarrowOutputs = 16;

/// About how long parts of the work take, in nanoseconds.
struct NarrowCosts {
  double one, two, four;   ///< multiplying and adding the words of kNarrowLanes pixels, where so many outputs are done at once
  double wait;             ///< for the sum before
  double fill, finish;     ///< a word of a plane, and a result
};

/// Whether a convolution may be cut so at all: of one group, with few outputs, and of sizes whose products are numbers.
inline bool MayBeNarrow(const ConvSizes& c) {
  constexpr int64_t kMost = 1 << 12;
  return c.groups == 1 && c.out_c <= kNarrowOutputs && c.in_c > 0 && c.in_c <= kMost && c.kernel_h * c.dilation_h <= kMost &&
         c.kernel_w * c.dilation_w <= kMost && c.stride_h <= kMost && c.stride_w <= kMost;
}

/// How such a convolution is cut. `unit`: elements of a word.
struct Narrow {
  Narrow(const ConvSizes& sizes, int64_t unit) : c(sizes), unit(unit) {
    if (c.pointwise()) {   // one row of all pixels
      c.in_w = c.out_w = c.pixels();
      c.batch = c.in_h = c.out_h = 1;
    }
    // Taps that lie side by side in fewer words than they would have alone.
    const int64_t row = c.kernel_w * c.in_c;
    joined = c.dilation_w == 1 && c.in_c < unit && DivUp(row, unit) < c.kernel_w;
    parts = joined ? 1 : DivUp(c.in_c, unit);
    groups = joined ? DivUp(row, unit) : c.kernel_w * parts;
    step = c.stride_w * c.in_c;
    if (joined) {
      int64_t common = unit;
      while (step % common != 0) common /= 2;
      cycle = step / common, moved = unit / common;
      planes = std::min(cycle, groups);
      more = (groups - 1) / cycle * moved;
    } else {
      phases = std::min(c.stride_w, (c.kernel_w - 1) * c.dilation_w + 1);
      planes = phases * parts;
      more = (c.kernel_w - 1) * c.dilation_w / c.stride_w;
    }
    pairs = c.out_c == 1 && c.stride_h == 1 && c.dilation_h == 1 && c.kernel_h > 1 && c.out_h > 1;
    ring_rows = (c.kernel_h - 1) * c.dilation_h + (pairs ? 2 : 1);
    // Pieces stay in a first-level cache, beside the line that they are made of, where that leaves them long.
    constexpr int64_t kBytes = 20 << 10, kLeast = 128;
    const int64_t fit = kBytes / (planes * ring_rows * 4 + step * 4 / unit) - more;
    piece = std::min(c.out_w, std::max(fit / kNarrowLanes * kNarrowLanes, kLeast));
    piece = std::min(c.out_w, RoundUp(DivUp(c.out_w, DivUp(c.out_w, piece)), kNarrowLanes));
    pitch = RoundUp(piece + more, kNarrowLanes) + kNarrowLanes;   // the last vector of any part of a piece
  }

  int64_t row_words() const { return planes * pitch; }
  /// Where words of a plane begin in a row of pixels, in elements.
  int64_t PlaneAt(int64_t plane) const { return joined ? plane * unit : plane / parts * c.in_c + plane % parts * unit; }
  /// Where the words of a kernel row begin in a row of planes.
  int64_t GroupAt(int64_t group) const {
    if (joined) return group % cycle * pitch + group / cycle * moved;
    const int64_t tap = group / parts * c.dilation_w;
    return (tap % c.stride_w * parts + group % parts) * pitch + tap / c.stride_w;
  }
  /// Which k of a kernel row the elements of a group begin with, and how many there are.
  int64_t GroupK(int64_t group) const { return joined ? group * unit : group / parts * c.in_c + group % parts * unit; }
  int64_t GroupCount(int64_t group) const {
    return std::min(unit, joined ? c.kernel_w * c.in_c - group * unit : c.in_c - group % parts * unit);
  }
  /// Words of a plane that `count` output pixels read, a multiple of 4, and the pixels of the input that they are made of.
  int64_t Words(int64_t count) const { return RoundUp(count + more, int64_t{4}); }
  int64_t LinePixels(int64_t count) const { return DivUp((Words(count) - 1) * step + PlaneAt(planes - 1) + unit, c.in_c); }
  int64_t Summands() const { return c.kernel_h * groups; }
  /// Whether what it takes stays in a second-level cache.
  bool Fits(int64_t element_bytes) const {
    constexpr double kMost = 512 << 10;
    const double ring = static_cast<double>(ring_rows + 1) * static_cast<double>(row_words()) * 4;
    return ring + static_cast<double>(Summands()) * static_cast<double>(c.out_c) * 4 +
           static_cast<double>(LinePixels(piece)) * static_cast<double>(c.in_c * element_bytes) <= kMost;
  }

  /// About how long a convolution takes.
  double Ns(const NarrowCosts& costs) const {
    constexpr double kStartNs = 300, kRowNs = 70, kWeightNs = 0.4;
    const double lines = static_cast<double>(c.batch * c.out_h * DivUp(c.out_w, piece)), outputs = static_cast<double>(c.out_c);
    const double read = static_cast<double>(c.batch * std::min(c.in_h, c.out_h * c.stride_h)) * static_cast<double>(c.out_w + more);
    const double products = static_cast<double>(c.batch * c.out_h) * static_cast<double>(DivUp(c.out_w, kNarrowLanes) * Summands());
    const double vectors = static_cast<double>(std::min<int64_t>(DivUp(c.out_w, kNarrowLanes), 8));
    // Outputs in fours, a pair and a single one.
    const double fours = static_cast<double>(c.out_c / 4 * 4), pairs = c.out_c % 4 >= 2 ? 2 : 0, ones = static_cast<double>(c.out_c % 2);
    const double each = fours * std::max(costs.four, costs.wait / (4 * std::min(vectors, 4.0))) +
                        pairs * std::max(costs.two, costs.wait / (2 * vectors)) + ones * std::max(costs.one * (pairs ? 0.65 : 1), costs.wait / (vectors * (pairs ? 2 : 1)));
    return kStartNs + lines * kRowNs + static_cast<double>(Summands() * unit) * outputs * kWeightNs + products * each +
           static_cast<double>(c.pixels()) * outputs * costs.finish + read * static_cast<double>(planes) * costs.fill;
  }
  /// A good unit of work for what takes so long.
  GemmGrain Grain(double ns, int threads) const {
    constexpr double kTaskNs = 2500, kMostNs = 2e6;   // no task is so long that a run cannot be stopped
    const double wanted = threads > 1 ? std::min(ns / kTaskNs + 0.75, 4.0 * threads) : 1.0;
    const int64_t parts = std::max<int64_t>(1, static_cast<int64_t>(std::max(wanted, ns / kMostNs)));
    const int64_t pixels = c.pixels(), lines = c.batch * c.out_h;
    // Whole rows, of which each part reads some that others read too.
    if (lines == 1) return {std::min(pixels, RoundUp(DivUp(pixels, parts), 8 * kNarrowLanes)), 1};
    const int64_t least = std::min(lines, DivUp(2 * ring_rows, c.stride_h));
    return {std::min(pixels, std::max(DivUp(lines, parts), least) * c.out_w), 1};
  }

  ConvSizes c;
  int64_t unit, parts, groups, step, phases = 1, cycle = 1, moved = 1, planes, more, ring_rows, piece, pitch;
  bool joined, pairs;   ///< pairs: two rows of one output at a time, which read most rows of the input together
};

/// The part of scratch that every such convolution has: where things are, in bytes.
struct NarrowScratch {
  static constexpr int64_t kBeyond = 64;   ///< bytes behind a line that are read
  NarrowScratch(const Narrow& n, int64_t element_bytes) {
    int64_t at = 0;
    auto take = [&at](int64_t size) {
      const int64_t from = at;
      at += RoundUp(size, int64_t{64});
      return from;
    };
    offsets = take(n.groups * 8);
    holds = take(n.ring_rows * 8);
    rows = take((n.c.kernel_h + 1) * 8);
    weights = take(n.Summands() * n.c.out_c * 4);
    line = take(n.LinePixels(n.piece) * n.c.in_c * element_bytes + kBeyond);
    ring = take((n.ring_rows + 1) * n.row_words() * 4);   // and a row of what is outside
    bytes = at;
  }
  int64_t offsets, holds, rows, weights, line, ring, bytes;
};

}  // namespace linnet
