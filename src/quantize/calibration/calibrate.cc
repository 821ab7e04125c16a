// The calibrators. Those that search try ranges [a * low, b * high] for factors a, b on a grid in (0, 1].
#include "quantize/calibration/calibrate.h"

#include <math.h>

#include <algorithm>

#include "base/function_ref.h"
#include "ops/quantize_helpers.h"

namespace linnet::quantize {
namespace {

/// Factors are multiples of 1 / kSteps, so 1 (all of the range) is among them.
constexpr int kSteps = 64;

/// Standard deviations of the samples' extremes beyond their mean that a range leaves room for.
constexpr double kDeviations = 2.5;

constexpr const char* kNames[] = {"minmax", "likely", "average", "percentile", "entropy", "mse"};

/// The code that `value` rounds to, saturated.
int64_t CodeOf(double value, const Params& params, const IntegerRange& codes) {
  const double code = nearbyint(value / params.scales[0]) + params.zeros[0];
  return static_cast<int64_t>(std::clamp(code, static_cast<double>(codes.low), static_cast<double>(codes.high)));
}

Range Percentile(const Histogram& seen, double percentile) {
  const std::vector<int64_t>& bins = seen.bins();
  // Tails are cut where there are two; zeros lie between the halves.
  const bool two = seen.low() < 0 && seen.high() > 0;
  const double cut = std::clamp(1 - percentile / 100, 0.0, 1.0) * static_cast<double>(seen.count()) / (two ? 2 : 1);
  Range range{std::min(seen.low(), 0.0), std::max(seen.high(), 0.0)};
  const int half = Histogram::kBinsASide;
  int64_t passed = 0;
  for (int i = 2 * half - 1; i >= half; --i) {
    passed += bins[static_cast<size_t>(i)];
    if (static_cast<double>(passed) <= cut) continue;
    range.high = std::min(range.high, (i - half + 1) * seen.width());
    break;
  }
  passed = 0;
  for (int i = 0; i < half; ++i) {
    passed += bins[static_cast<size_t>(i)];
    if (static_cast<double>(passed) <= cut) continue;
    range.low = std::max(range.low, (i - half) * seen.width());
    break;
  }
  return range;
}

/// The range of least `cost`: both ends together first, then each end alone, coarse to fine.
Range Search(const Histogram& seen, const CalibrationChoice& choice, FunctionRef<double(const Params&)> cost) {
  const double low = std::min(seen.low(), 0.0), high = std::max(seen.high(), 0.0);
  double best_cost = INFINITY;
  int best[2] = {kSteps, kSteps};
  auto attempt = [&](int a, int b) {
    const double c = cost(ChooseParams({low * a / kSteps, high * b / kSteps}, choice.dtype, choice.symmetric));
    // On equal costs the wider range wins.
    if (c < best_cost) best_cost = c, best[0] = a, best[1] = b;
  };
  for (int factor = kSteps; factor >= 1; --factor) attempt(factor, factor);
  if (!choice.symmetric && low < 0 && high > 0) {
    for (int turn = 0; turn < 2; ++turn) {
      for (int a = kSteps, b = best[1]; a >= 1; --a) attempt(a, b);
      for (int b = kSteps, a = best[0]; b >= 1; --b) attempt(a, b);
    }
  }
  return {low * best[0] / kSteps, high * best[1] / kSteps};
}

}  // namespace

const char* CalibratorName(Calibrator calibrator) { return kNames[static_cast<size_t>(calibrator)]; }

bool CalibratorFromName(std::string_view name, Calibrator* out) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name == kNames[i]) {
      *out = static_cast<Calibrator>(i);
      return true;
    }
  }
  return false;
}

double QuantizationError(const Histogram& seen, const Params& params) {
  const IntegerRange codes = RangeOf(params.dtype);
  const double scale = params.scales[0], zero = params.zeros[0];
  double sum = 0;
  for (int i = 0; i < static_cast<int>(seen.bins().size()); ++i) {
    const int64_t n = seen.bins()[static_cast<size_t>(i)];
    if (n == 0) continue;
    const double value = seen.Centre(i);
    const double error = (static_cast<double>(CodeOf(value, params, codes)) - zero) * scale - value;
    // Within a bin values spread evenly: what a code finer than the bins cannot show, rounding to the code still costs.
    const double spread = scale < seen.width() ? scale * scale / 12 : 0;
    sum += static_cast<double>(n) * std::max(error * error, spread);
  }
  return seen.count() == 0 ? 0 : sum / static_cast<double>(seen.count());
}

double QuantizationDivergence(const Histogram& seen, const Params& params) {
  const IntegerRange codes = RangeOf(params.dtype);
  const size_t levels = static_cast<size_t>(codes.high - codes.low + 1);
  // P: the distribution seen, with what saturates put on the last bin inside. Q: each code's values spread evenly over the
  // bins of that code in which P has some, without what saturated.
  std::vector<double> inside(levels, 0);
  std::vector<int32_t> filled(levels, 0);
  std::vector<double> p(seen.bins().size(), 0);
  const Range range = params.Expressed();
  const int bins = static_cast<int>(seen.bins().size());
  int first = bins, last = -1;
  for (int i = 0; i < bins; ++i) {
    if (seen.Centre(i) >= range.low && seen.Centre(i) <= range.high) first = std::min(first, i), last = i;
  }
  if (last < first) return INFINITY;
  double total_p = 0, total_q = 0;
  for (int i = 0; i < bins; ++i) {
    const double n = static_cast<double>(seen.bins()[static_cast<size_t>(i)]);
    p[static_cast<size_t>(std::clamp(i, first, last))] += n;
    total_p += n;
  }
  for (int i = first; i <= last; ++i) {
    const size_t code = static_cast<size_t>(CodeOf(seen.Centre(i), params, codes) - codes.low);
    const double n = static_cast<double>(seen.bins()[static_cast<size_t>(i)]);
    inside[code] += n;
    total_q += n;
    if (p[static_cast<size_t>(i)] > 0) ++filled[code];
  }
  if (total_p == 0) return 0;
  if (total_q == 0) return INFINITY;
  double divergence = 0;
  for (int i = first; i <= last; ++i) {
    const double pi = p[static_cast<size_t>(i)] / total_p;
    if (pi == 0) continue;
    const size_t code = static_cast<size_t>(CodeOf(seen.Centre(i), params, codes) - codes.low);
    // An empty code under saturated values: a tiny probability instead of an infinite divergence.
    const double qi = std::max(inside[code] / filled[code] / total_q, 1e-12);
    divergence += pi * log(pi / qi);
  }
  return divergence;
}

Result<Range> ChooseRange(const Histogram& seen, const CalibrationChoice& choice) {
  if (seen.count() == 0) {
    return InvalidArgument("calibration saw no finite number",
                           seen.not_finite() > 0 ? Cat(" among ", seen.not_finite(), ": all are NaN or infinite") : std::string());
  }
  const Range all{std::min(seen.low(), 0.0), std::max(seen.high(), 0.0)};
  if (seen.width() == 0) return all;
  switch (choice.calibrator) {
    case Calibrator::kMinMax: return all;
    case Calibrator::kLikely: {
      // A side that never was crossed is a bound of the operator (a Relu's 0), not chance.
      Range range = all;
      if (seen.low() < 0) range.low = std::min(seen.LikelyLow(kDeviations), all.low);
      if (seen.high() > 0) range.high = std::max(seen.LikelyHigh(kDeviations), all.high);
      return range;
    }
    case Calibrator::kMovingAverage: return Range{std::min(seen.average_low(), 0.0), std::max(seen.average_high(), 0.0)};
    case Calibrator::kPercentile: return Percentile(seen, choice.percentile);
    case Calibrator::kEntropy: return Search(seen, choice, [&](const Params& p) { return QuantizationDivergence(seen, p); });
    case Calibrator::kMse: return Search(seen, choice, [&](const Params& p) { return QuantizationError(seen, p); });
  }
  return all;
}

}  // namespace linnet::quantize
