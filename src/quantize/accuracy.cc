// Summing differences.
#include "quantize/accuracy.h"

#include <math.h>

#include <algorithm>

#include "ops/convert.h"

namespace linnet::quantize {

void Agreement::Add(const Datum& reference, const Datum& actual, int64_t label) {
  const Tensor &e = reference.tensor, &a = actual.tensor;
  constexpr uint32_t kNumbers = Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16) | Mask(DType::kDouble);
  if (!reference.type.is_tensor() || !actual.type.is_tensor() || !(Mask(e.dtype()) & kNumbers) || !(Mask(a.dtype()) & kNumbers) ||
      !(e.shape() == a.shape())) {
    ++unlike;
    return;
  }
  const int64_t elements = e.elements(), row = e.shape().rank() > 0 ? std::max<int64_t>(e.shape()[e.shape().rank() - 1], 1) : 1;
  LoadFn *load_e = FindLoad(e.dtype(), Stage::kFloat), *load_a = FindLoad(a.dtype(), Stage::kFloat);
  float top_e = 0, top_a = 0, most_e = -INFINITY, most_a = -INFINITY;
  int64_t at_e = 0, at_a = 0, class_e = 0, class_a = 0;
  for (int64_t i = 0; i < elements; ++i) {
    float x, y;
    load_e(e.data(), i, 1, &x);
    load_a(a.data(), i, 1, &y);
    if (i % row == 0 || x > top_e) top_e = x, at_e = i;
    if (i % row == 0 || y > top_a) top_a = y, at_a = i;
    if (x > most_e) most_e = x, class_e = i;
    if (y > most_a) most_a = y, class_a = i;
    if (i % row == row - 1) ++rows, same_top += at_e == at_a;
    if (!isfinite(x)) {
      ++reference_not_finite;
      continue;
    }
    if (!isfinite(y)) {
      ++not_finite;
      continue;
    }
    const double d = static_cast<double>(y) - x;
    ++count;
    signal += static_cast<double>(x) * x;
    other += static_cast<double>(y) * y;
    cross += static_cast<double>(x) * y;
    noise += d * d;
    max_error = std::max(max_error, fabs(d));
    max_value = std::max(max_value, static_cast<double>(fabsf(x)));
  }
  if (label >= 0) ++labelled, right += class_a == label, reference_right += class_e == label;
}

Status CheckLabel(const Datum& output, int64_t label) {
  if (label < 0 || !output.type.is_tensor() || label < output.tensor.elements()) return Status();
  return InvalidArgument("there is a label ", label, ", but the model's first output has ", output.tensor.elements(), " numbers: classes are counted from 0");
}

double Agreement::SqnrDb() const {
  if (count == 0 || not_finite > 0) return -INFINITY;
  return noise == 0 ? INFINITY : 10 * log10(signal / noise);
}

double Agreement::Cosine() const {
  const double norm = sqrt(signal) * sqrt(other);
  return norm == 0 ? (noise == 0 ? 1 : 0) : cross / norm;
}

}  // namespace linnet::quantize
