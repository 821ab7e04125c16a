// Comparing outputs with expected ones.
#include "cli/data/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/float_types.h"

namespace linnet::cli {
namespace {

bool IsComplex(DType dtype) { return dtype == DType::kComplex64 || dtype == DType::kComplex128; }

int64_t NumberCount(const Tensor& t) { return t.elements() * (IsComplex(t.dtype()) ? 2 : 1); }

std::string Index(const Shape& shape, int64_t flat) {
  std::string out = "]";
  for (int d = shape.rank() - 1; d >= 0; --d) {
    out = fmt::format("{}{}", flat % shape[d], out == "]" ? out : "," + out);
    flat /= shape[d];
  }
  return "[" + out;
}

std::string CompareStrings(const Tensor& actual, const Tensor& expected) {
  for (int64_t i = 0; i < expected.elements(); ++i) {
    const std::string &a = actual.as<std::string>()[i], &e = expected.as<std::string>()[i];
    if (a != e) return fmt::format("{} is {} where {} is expected", Index(expected.shape(), i), Quote(a), Quote(e));
  }
  return "";
}

std::string CompareTensors(const Tensor& actual, const Tensor& expected, const Tolerance& tolerance) {
  if (actual.dtype() != expected.dtype() || !(actual.shape() == expected.shape())) {
    return fmt::format("is {} where {} is expected", ToString(actual.type()), ToString(expected.type()));
  }
  if (expected.dtype() == DType::kString) return CompareStrings(actual, expected);
  int64_t count = NumberCount(expected);
  int per_item = IsComplex(expected.dtype()) ? 2 : 1;
  bool integer = IsInteger(expected.dtype()) || expected.dtype() == DType::kBool;
  double largest = 0;
  for (int64_t i = 0; tolerance.of_max > 0 && i < count; ++i) {
    double e = std::fabs(ElementAsDouble(expected.dtype(), expected.data(), i));
    if (std::isfinite(e)) largest = std::max(largest, e);
  }
  int64_t wrong = 0, worst = -1;
  double worst_excess = -1;
  for (int64_t i = 0; i < count; ++i) {
    double a = ElementAsDouble(actual.dtype(), actual.data(), i);
    double e = ElementAsDouble(expected.dtype(), expected.data(), i);
    if (a == e || (std::isnan(a) && std::isnan(e))) continue;
    double allowed = tolerance.atol + tolerance.rtol * std::fabs(e);
    if (tolerance.of_max > 0) allowed = integer ? static_cast<double>(tolerance.integer_steps) : tolerance.of_max * largest;
    double difference = std::fabs(a - e);
    if (difference <= allowed) continue;
    ++wrong;
    double excess = std::isnan(difference) || std::isinf(difference) ? INFINITY : difference - allowed;
    if (excess > worst_excess) worst_excess = excess, worst = i;
  }
  if (wrong == 0) return "";
  return fmt::format("{} of {} elements differ; worst at {}: {:.9g} where {:.9g} is expected", wrong, count,
                     Index(expected.shape(), worst / per_item), ElementAsDouble(actual.dtype(), actual.data(), worst),
                     ElementAsDouble(expected.dtype(), expected.data(), worst));
}

}  // namespace

double ElementAsDouble(DType dtype, const void* data, int64_t i) {
  auto at = [&]<class T>(T) { return static_cast<const T*>(data)[i]; };
  auto packed = [&](int bits) {
    int per_byte = 8 / bits;
    return static_cast<int>(static_cast<const uint8_t*>(data)[i / per_byte] >> (i % per_byte * bits)) & ((1 << bits) - 1);
  };
  auto extend = [](int value, int bits) { return value >= 1 << (bits - 1) ? value - (1 << bits) : value; };
  switch (dtype) {
    case DType::kFloat: case DType::kComplex64: return at(float{});
    case DType::kDouble: case DType::kComplex128: return at(double{});
    case DType::kUint8: return at(uint8_t{});
    case DType::kInt8: return at(int8_t{});
    case DType::kUint16: return at(uint16_t{});
    case DType::kInt16: return at(int16_t{});
    case DType::kInt32: return at(int32_t{});
    case DType::kInt64: return static_cast<double>(at(int64_t{}));
    case DType::kUint32: return at(uint32_t{});
    case DType::kUint64: return static_cast<double>(at(uint64_t{}));
    case DType::kBool: return at(uint8_t{}) != 0;
    case DType::kFloat16: return ToFloat(at(Float16{}));
    case DType::kBfloat16: return ToFloat(at(Bfloat16{}));
    case DType::kUint4: return packed(4);
    case DType::kInt4: return extend(packed(4), 4);
    case DType::kUint2: return packed(2);
    case DType::kInt2: return extend(packed(2), 2);
    case DType::kFloat4e2m1: return SmallFloatToFloat(dtype, static_cast<uint8_t>(packed(4)));
    case DType::kFloat8e4m3fn: case DType::kFloat8e4m3fnuz: case DType::kFloat8e5m2: case DType::kFloat8e5m2fnuz:
    case DType::kFloat8e8m0: return SmallFloatToFloat(dtype, at(uint8_t{}));
    case DType::kString: case DType::kUndefined: break;
  }
  return 0;
}

std::string Compare(const Datum& actual, const Datum& expected, const Tolerance& tolerance) {
  // The files of expected values do not say whether a tensor or sequence was optional.
  bool optional = actual.type.kind == Kind::kOptional || actual.type.kind == Kind::kOptionalSequence;
  bool expected_optional = expected.type.kind == Kind::kOptional || expected.type.kind == Kind::kOptionalSequence;
  if (optional && !actual.present) {
    return expected_optional && !expected.present ? "" : "is an empty optional where a value is expected";
  }
  if (expected_optional && !expected.present) return "has a value where an empty optional is expected";
  bool has_items = !expected.items.empty() || expected.type.kind == Kind::kSequence ||
                   expected.type.kind == Kind::kOptionalSequence || expected.type.kind == Kind::kSequenceOfMaps;
  if (!has_items) {
    if (expected.type.kind == Kind::kMap) {
      std::string keys = CompareTensors(actual.keys, expected.keys, tolerance);
      if (!keys.empty()) return "keys: " + keys;
    }
    return CompareTensors(actual.tensor, expected.tensor, tolerance);
  }
  if (actual.items.size() != expected.items.size()) {
    return fmt::format("has {} items where {} are expected", actual.items.size(), expected.items.size());
  }
  for (size_t i = 0; i < expected.items.size(); ++i) {
    std::string why = Compare(actual.items[i], expected.items[i], tolerance);
    if (!why.empty()) return fmt::format("item {}: {}", i, why);
  }
  return "";
}

std::string CompareStatistics(const Datum& actual, const Datum& expected) {
  if (!(actual.type == expected.type)) {
    return fmt::format("is {} where {} is expected", ToString(actual.type), ToString(expected.type));
  }
  if (!expected.type.is_tensor() || expected.type.dtype == DType::kString) return "";
  struct Moments { double mean = 0, deviation = 0; };
  auto moments = [](const Tensor& t) {
    Moments m;
    double n = static_cast<double>(std::max<int64_t>(t.elements(), 1));
    for (int64_t i = 0; i < t.elements(); ++i) m.mean += ElementAsDouble(t.dtype(), t.data(), i) / n;
    for (int64_t i = 0; i < t.elements(); ++i) {
      double d = ElementAsDouble(t.dtype(), t.data(), i) - m.mean;
      m.deviation += d * d / n;
    }
    m.deviation = std::sqrt(m.deviation);
    return m;
  };
  Moments a = moments(actual.tensor), e = moments(expected.tensor);
  double n = static_cast<double>(std::max<int64_t>(expected.tensor.elements(), 1));
  double spread = std::max(a.deviation, e.deviation);
  if (std::isnan(a.mean) != std::isnan(e.mean)) return fmt::format("mean is {} where {} is expected", a.mean, e.mean);
  if (n >= 8 && std::fabs(a.mean - e.mean) > 6 * std::sqrt(2 / n) * spread + 1e-6) {
    return fmt::format("mean is {:.4g} where about {:.4g} is expected", a.mean, e.mean);
  }
  if (n >= 100 && (a.deviation > 3 * e.deviation + 1e-6 || e.deviation > 3 * a.deviation + 1e-6)) {
    return fmt::format("standard deviation is {:.4g} where about {:.4g} is expected", a.deviation, e.deviation);
  }
  return "";
}

Difference Measure(const Tensor& actual, const Tensor& expected) {
  Difference out;
  if (!(actual.type() == expected.type())) return {INFINITY, INFINITY};
  if (expected.dtype() == DType::kString) return CompareStrings(actual, expected).empty() ? out : Difference{INFINITY, INFINITY};
  double largest = 0;
  for (int64_t i = 0; i < NumberCount(expected); ++i) {
    double a = ElementAsDouble(actual.dtype(), actual.data(), i), e = ElementAsDouble(expected.dtype(), expected.data(), i);
    if (std::isfinite(e)) largest = std::max(largest, std::fabs(e));
    if (a == e || (std::isnan(a) && std::isnan(e))) continue;
    double difference = std::fabs(a - e);
    out.max_abs = std::max(out.max_abs, std::isnan(difference) ? INFINITY : difference);
  }
  out.max_rel = out.max_abs == 0 ? 0 : largest > 0 ? out.max_abs / largest : INFINITY;
  return out;
}

}  // namespace linnet::cli
