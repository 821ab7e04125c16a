// What calibration keeps of a value: extremes and a histogram, of a size that does not grow with the data.
#pragma once

#include <stdint.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace linnet::quantize {

/// Bins of equal width around zero:
///
///     |--------|--------|---- ... ----|--------|--------|        2 * kBinsASide bins
///   -kBinsASide * width               0               kBinsASide * width
///
/// The width is a power of two. It doubles, and neighbours are merged, when a value lies outside, so that the counts do not
/// depend on how the values arrive. Zeros are counted apart: every choice of parameters keeps them exact.
class Histogram {
 public:
  static constexpr int kBinsASide = 4096;

  /// Counts one sample's values; values that are not finite are counted as such and otherwise ignored.
  void Add(const float* values, int64_t count);

  int64_t count() const { return count_; }              ///< finite values, zeros included
  int64_t zeros() const { return zeros_; }
  int64_t not_finite() const { return not_finite_; }
  double low() const { return low_; }                   ///< extremes of the finite values; 0 when there are none
  double high() const { return high_; }
  double average_low() const { return average_low_; }   ///< moving averages of the samples' extremes
  double average_high() const { return average_high_; }

  /// Extremes that a further sample may have: the mean of the samples' plus `deviations` times their standard deviation, but at
  /// least what was seen. Equal extremes (a clipped value) stay.
  double LikelyLow(double deviations) const;
  double LikelyHigh(double deviations) const;

  double width() const { return width_; }               ///< 0 while only zeros were seen
  /// How many values lie in bin `i`, 0 <= i < 2 * kBinsASide; empty while width() is 0.
  const std::vector<int64_t>& bins() const { return bins_; }
  double Centre(int i) const { return (i - kBinsASide + 0.5) * width_; }

  /// All of it as one line of numbers, exactly; bins that are not empty as place:count.
  std::string ToText() const;
  static Result<Histogram> FromText(std::string_view text);

 private:
  void Reach(double magnitude);

  std::vector<int64_t> bins_;
  double width_ = 0;
  int64_t count_ = 0, zeros_ = 0, not_finite_ = 0;
  double low_ = 0, high_ = 0, average_low_ = 0, average_high_ = 0;
  int64_t samples_ = 0;
  double sum_low_ = 0, sum_high_ = 0, squares_low_ = 0, squares_high_ = 0;   ///< of the samples' extremes
};

}  // namespace linnet::quantize
