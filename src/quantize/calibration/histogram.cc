// Counting values into bins whose width doubles as needed.
#include "quantize/calibration/histogram.h"

#include <math.h>

#include <algorithm>

#include "base/number_text.h"

namespace linnet::quantize {
namespace {

/// Weight of a new sample in the moving averages.
constexpr double kMomentum = 0.01;

double Deviation(double sum, double squares, int64_t n) {
  if (n < 2) return 0;
  const double mean = sum / static_cast<double>(n);
  const double variance = (squares - sum * mean) / static_cast<double>(n - 1);
  // What is left of equal numbers is rounding.
  return variance > 1e-12 * mean * mean ? sqrt(variance) : 0;
}

}  // namespace

double Histogram::LikelyLow(double deviations) const {
  if (samples_ == 0) return 0;
  return std::min(low_, sum_low_ / static_cast<double>(samples_) - deviations * Deviation(sum_low_, squares_low_, samples_));
}
double Histogram::LikelyHigh(double deviations) const {
  if (samples_ == 0) return 0;
  return std::max(high_, sum_high_ / static_cast<double>(samples_) + deviations * Deviation(sum_high_, squares_high_, samples_));
}

void Histogram::Reach(double magnitude) {
  if (magnitude == 0) return;
  if (width_ == 0) {
    width_ = exp2(ceil(log2(magnitude / kBinsASide)));
    bins_.assign(2 * kBinsASide, 0);
  }
  while (magnitude >= width_ * kBinsASide) {
    std::vector<int64_t> wider(bins_.size(), 0);
    for (int i = 0; i < 2 * kBinsASide; ++i) {
      // Bin i covers [i - half, i - half + 1) widths; the wider bin is its floor half.
      const int place = i - kBinsASide;
      wider[static_cast<size_t>((place >= 0 ? place / 2 : (place - 1) / 2) + kBinsASide)] += bins_[static_cast<size_t>(i)];
    }
    bins_ = std::move(wider);
    width_ *= 2;
  }
}

void Histogram::Add(const float* values, int64_t count) {
  double low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < count; ++i) {
    if (!isfinite(values[i])) continue;
    low = std::min(low, static_cast<double>(values[i]));
    high = std::max(high, static_cast<double>(values[i]));
  }
  if (low > high) {
    not_finite_ += count;
    return;
  }
  const bool first = count_ == 0;
  low_ = first ? low : std::min(low_, low);
  high_ = first ? high : std::max(high_, high);
  average_low_ = first ? low : average_low_ + kMomentum * (low - average_low_);
  average_high_ = first ? high : average_high_ + kMomentum * (high - average_high_);
  ++samples_;
  sum_low_ += low, sum_high_ += high, squares_low_ += low * low, squares_high_ += high * high;
  Reach(std::max(fabs(low), fabs(high)));
  const double per_width = width_ == 0 ? 0 : 1 / width_;
  for (int64_t i = 0; i < count; ++i) {
    if (!isfinite(values[i])) {
      ++not_finite_;
      continue;
    }
    ++count_;
    if (values[i] == 0) {
      ++zeros_;
      continue;
    }
    const int bin = static_cast<int>(floor(values[i] * per_width)) + kBinsASide;
    ++bins_[static_cast<size_t>(std::clamp(bin, 0, 2 * kBinsASide - 1))];
  }
}

std::string Histogram::ToText() const {
  std::string out = Cat(samples_, " ", count_, " ", zeros_, " ", not_finite_);
  for (double number : {low_, high_, average_low_, average_high_, sum_low_, sum_high_, squares_low_, squares_high_, width_}) {
    out += " " + FormatNumber(number);
  }
  for (size_t i = 0; i < bins_.size(); ++i) {
    if (bins_[i] != 0) out += Cat(" ", i, ":", bins_[i]);
  }
  return out;
}

Result<Histogram> Histogram::FromText(std::string_view text) {
  Histogram out;
  auto word = [&]() -> std::string_view {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const std::string_view first = text.substr(0, text.find(' '));
    text.remove_prefix(first.size());
    return first;
  };
  auto count = [](std::string_view digits, int64_t* to) {
    Result<double> number = ParseNumber(digits);
    if (!number.ok() || !(*number >= 0 && *number <= 0x1p62) || *number != floor(*number)) return false;
    *to = static_cast<int64_t>(*number);
    return true;
  };
  for (int64_t* each : {&out.samples_, &out.count_, &out.zeros_, &out.not_finite_}) {
    if (!count(word(), each)) return InvalidArgument("a count is missing");
  }
  for (double* each : {&out.low_, &out.high_, &out.average_low_, &out.average_high_, &out.sum_low_, &out.sum_high_, &out.squares_low_,
                       &out.squares_high_, &out.width_}) {
    Result<double> number = ParseNumber(word());
    if (!number.ok()) return number.TakeStatus();
    *each = *number;
  }
  int exponent;
  const bool power_of_two = out.width_ > 0 && isfinite(out.width_) && frexp(out.width_, &exponent) == 0.5;
  if (out.width_ != 0 && !power_of_two) return InvalidArgument("the bins' width is no power of two");
  if (!isfinite(out.low_) || !isfinite(out.high_) || out.low_ > out.high_) return InvalidArgument("the extremes are no numbers");
  if (out.width_ != 0) out.bins_.assign(2 * kBinsASide, 0);
  for (std::string_view bin = word(); !bin.empty(); bin = word()) {
    const size_t colon = bin.find(':');
    int64_t place, held;
    if (colon == std::string_view::npos || !count(bin.substr(0, colon), &place) || !count(bin.substr(colon + 1), &held) ||
        place >= static_cast<int64_t>(out.bins_.size())) {
      return InvalidArgument("a bin is not place:count");
    }
    out.bins_[static_cast<size_t>(place)] = held;
  }
  return out;
}

}  // namespace linnet::quantize
