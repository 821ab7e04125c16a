// Choosing a range from a histogram: all of it, most of it, or what costs least.
#pragma once

#include <string_view>

#include "quantize/calibration/histogram.h"
#include "quantize/scale.h"

namespace linnet::quantize {

enum class Calibrator : uint8_t {
  kMinMax,         ///< all that was seen
  kLikely,         ///< all that was seen and what a further sample may have: see Histogram::LikelyHigh
  kMovingAverage,  ///< the moving average of the samples' extremes
  kPercentile,     ///< cut equally rare tails
  kEntropy,        ///< least Kullback-Leibler divergence of the quantized distribution
  kMse,            ///< least mean squared error
};

/// "minmax", "likely", "average", "percentile", "entropy", "mse".
const char* CalibratorName(Calibrator calibrator);
/// False when no calibrator has that name.
bool CalibratorFromName(std::string_view name, Calibrator* out);

struct CalibrationChoice {
  Calibrator calibrator = Calibrator::kMinMax;
  double percentile = 99.999;     ///< of the values inside the range
  DType dtype = DType::kUint8;    ///< what the range will be expressed in
  bool symmetric = false;
};

/// The range to express, which contains 0. Fails when no finite value was seen.
Result<Range> ChooseRange(const Histogram& seen, const CalibrationChoice& choice);

/// The mean squared error of the values seen when `params` express them: out of range they saturate, inside they are
/// rounded. Bins stand for their centres.
double QuantizationError(const Histogram& seen, const Params& params);

/// The divergence of the distribution that `params` express from the one seen, in nats. Zeros are left out.
double QuantizationDivergence(const Histogram& seen, const Params& params);

}  // namespace linnet::quantize
