// How far one model's numbers are from another's, summed over samples.
#pragma once

#include <stdint.h>

#include "graph/tensor.h"

namespace linnet::quantize {

/// Differences of a value between a model and its reference. Only tensors of float, float16, bfloat16 and double count;
/// others and those of different shape are `unlike`.
struct Agreement {
  double signal = 0, noise = 0;      ///< sums of squares: of the reference, of the difference
  double cross = 0, other = 0;       ///< for the cosine
  double max_error = 0, max_value = 0;
  int64_t count = 0;
  int64_t not_finite = 0;            ///< elements that are finite in the reference alone; those in neither do not count
  int64_t reference_not_finite = 0;
  int64_t unlike = 0;                ///< tensors
  int64_t rows = 0, same_top = 0;    ///< rows along the last axis, and those whose largest element is at the same place
  int64_t labelled = 0, right = 0, reference_right = 0;   ///< tensors with a label, and those whose largest element is there

  /// `label`, where it is not negative, is the place of the element that should be the largest.
  void Add(const Datum& reference, const Datum& actual, int64_t label = -1);
  /// Signal to quantization noise in dB: infinite when equal, -infinite when something is not finite or nothing compares.
  double SqnrDb() const;
  double Cosine() const;
};

/// Fails where a label is no place in what a model makes.
Status CheckLabel(const Datum& output, int64_t label);

}  // namespace linnet::quantize
