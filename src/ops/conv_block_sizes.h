// When a depthwise convolution and its neighbours run strip by strip (linnet:ConvBlock): the rule that the pass and the
// operator share.
#pragma once

#include <stdint.h>

#include <algorithm>

namespace linnet {

/// Sizes of expand -> depthwise -> project. All known and >= 1, as far as the part is there.
struct ConvBlockSizes {
  bool expand = false, project = false;
  int64_t batch = 1;
  int64_t in_h = 1, in_w = 1, out_h = 1, out_w = 1, channels = 1;   ///< of the depthwise part
  int64_t window_h = 1, stride_h = 1;                               ///< rows its kernel spans, rows it moves
  int64_t weight_floats = 0;                                        ///< of expand and project

  /// About what one core has of second-level cache.
  static constexpr double kCacheBytes = 512 << 10;
  /// What a strip may take of it: the rest is for weights, input and output.
  static constexpr double kStripBytes = 256 << 10;

  /// Memory that strips of `rows` output rows work in: expanded rows and depthwise rows.
  double StripBytes(int64_t rows) const {
    const double pixel = static_cast<double>(channels) * 4;
    const double span = static_cast<double>(rows - 1) * static_cast<double>(stride_h) + static_cast<double>(window_h);
    const double ring = std::min(span, static_cast<double>(in_h)) * static_cast<double>(in_w) * pixel;
    return (expand ? ring : 0) + (project ? static_cast<double>(rows) * static_cast<double>(out_w) * pixel : 0);
  }

  /// Output rows of a strip: as many as fit, at least one; all strips of an image as equal as possible.
  int64_t StripRows() const {
    int64_t low = 1, high = out_h;
    while (low < high) {
      const int64_t middle = low + (high - low + 1) / 2;
      if (StripBytes(middle) <= kStripBytes) low = middle; else high = middle - 1;
    }
    const int64_t strips = (out_h + low - 1) / low;
    return (out_h + strips - 1) / strips;
  }

  /// The same where threads share the rows of an image: strips of which every thread gets as many, and about as many rows.
  int64_t StripRows(int threads) const {
    if (threads == 1 || batch > 1 || out_h < threads) return StripRows();
    constexpr int64_t kMore = 3;   // strips that may be added for the sake of equal shares
    const int64_t share = (out_h + threads - 1) / threads;
    int64_t least = 1;
    while (least < share && StripBytes((share + least - 1) / least) > 1.5 * kStripBytes) ++least;
    int64_t best = 0, best_rows = 0;
    for (int64_t strips = least; strips <= std::min(share, least + kMore); ++strips) {
      const int64_t rows = (share + strips - 1) / strips;
      if (best == 0 || rows * strips < best_rows * best) best = strips, best_rows = rows;
    }
    return best_rows;
  }

  /// Strips pay where the images between the parts do not stay in the second-level cache, while a strip does, and
  /// where reading the weights again for every strip is less than what the images cost.
  bool StripsPay() const {
    const double pixel = static_cast<double>(channels) * 4 * static_cast<double>(batch);
    const double between = (expand ? static_cast<double>(in_h) * static_cast<double>(in_w) * pixel : 0) +
                           (project ? static_cast<double>(out_h) * static_cast<double>(out_w) * pixel : 0);
    const int64_t rows = StripRows();
    const double strips = static_cast<double>((out_h + rows - 1) / rows) * static_cast<double>(batch);
    return between > kCacheBytes && StripBytes(rows) <= kCacheBytes &&
           static_cast<double>(weight_floats) * 4 * strips <= between;
  }
};

}  // namespace linnet
