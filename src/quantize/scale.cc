// Scales, zero points and rounding. Arithmetic is in double; scales are rounded to float before they are used.
#include "quantize/scale.h"

#include <float.h>
#include <math.h>

#include <algorithm>

namespace linnet::quantize {
namespace {

float AsScale(double scale) {
  return static_cast<float>(std::clamp(scale, static_cast<double>(FLT_MIN), static_cast<double>(FLT_MAX)));
}

int64_t ZeroOfSymmetric(DType dtype, const IntegerRange& codes) { return IsSigned(dtype) ? 0 : (codes.high + 1) / 2; }

template <class T>
Tensor Narrow(const Shape& shape, const std::vector<int32_t>& values) {
  std::vector<T> out(values.begin(), values.end());
  return Tensor::Of<T>(shape, out);
}

/// Writes integer `value` at element `i` of packed or whole types.
void Store(DType dtype, void* data, int64_t i, int64_t value) {
  switch (dtype) {
    case DType::kInt8: static_cast<int8_t*>(data)[i] = static_cast<int8_t>(value); break;
    case DType::kUint8: static_cast<uint8_t*>(data)[i] = static_cast<uint8_t>(value); break;
    case DType::kInt16: static_cast<int16_t*>(data)[i] = static_cast<int16_t>(value); break;
    case DType::kUint16: static_cast<uint16_t*>(data)[i] = static_cast<uint16_t>(value); break;
    case DType::kInt32: static_cast<int32_t*>(data)[i] = static_cast<int32_t>(value); break;
    default: {  // 4 bits, low half first
      uint8_t& byte = static_cast<uint8_t*>(data)[i / 2];
      const uint8_t code = static_cast<uint8_t>(value & 15);
      byte = static_cast<uint8_t>(i % 2 ? (byte & 0x0f) | code << 4 : (byte & 0xf0) | code);
    }
  }
}

Range RangeOfChannel(const float* x, int64_t outer, int64_t channels, int64_t inner, int64_t c, bool* finite) {
  Range range;
  for (int64_t o = 0; o < outer; ++o) {
    const float* at = x + (o * channels + c) * inner;
    for (int64_t i = 0; i < inner; ++i) {
      const double value = at[i];
      *finite = *finite && isfinite(value);
      range.low = std::min(range.low, value);
      range.high = std::max(range.high, value);
    }
  }
  return range;
}

}  // namespace

Tensor Params::ScaleTensor() const {
  const Shape shape = axis < 0 ? Shape::OfRank(0) : Shape{static_cast<int64_t>(scales.size())};
  return Tensor::Of<float>(shape, scales);
}

Tensor Params::ZeroTensor() const {
  const Shape shape = axis < 0 ? Shape::OfRank(0) : Shape{static_cast<int64_t>(zeros.size())};
  Result<Tensor> out = Tensor::Allocate(dtype, shape);
  if (!out.ok()) return Tensor();
  for (size_t i = 0; i < zeros.size(); ++i) Store(dtype, out->mutable_data(), static_cast<int64_t>(i), zeros[i]);
  return std::move(*out);
}

IntegerRange Params::Codes() const {
  IntegerRange codes = RangeOf(dtype);
  if (reduced && dtype == DType::kInt8) codes.low = -64, codes.high = 64;
  if (reduced && dtype == DType::kUint8) codes.high = 127;
  return codes;
}

Range Params::Expressed(size_t i) const {
  const IntegerRange codes = Codes();
  const double scale = scales[i];
  return {static_cast<double>(codes.low - zeros[i]) * scale, static_cast<double>(codes.high - zeros[i]) * scale};
}

Params ChooseParams(const Range& range, DType dtype, bool symmetric, bool reduced) {
  const double low = std::min(range.low, 0.0), high = std::max(range.high, 0.0);
  Params params;
  params.dtype = dtype;
  params.reduced = reduced;
  const IntegerRange codes = params.Codes();
  if (low == 0 && high == 0) {
    params.scales = {1.0f};
    params.zeros = {static_cast<int32_t>(symmetric ? ZeroOfSymmetric(dtype, codes) : std::max<int64_t>(codes.low, 0))};
    return params;
  }
  if (symmetric) {
    const int64_t zero = ZeroOfSymmetric(dtype, codes);
    params.scales = {AsScale(std::max(-low, high) / static_cast<double>(codes.high - zero))};
    params.zeros = {static_cast<int32_t>(zero)};
    return params;
  }
  const float scale = AsScale((high - low) / static_cast<double>(codes.high - codes.low));
  const double zero = nearbyint(static_cast<double>(codes.low) - low / scale);
  params.scales = {scale};
  params.zeros = {static_cast<int32_t>(std::clamp(zero, static_cast<double>(codes.low), static_cast<double>(codes.high)))};
  return params;
}

Result<Tensor> QuantizeTensor(const Tensor& x, const Params& params) {
  LINNET_ASSIGN(Tensor out, Tensor::Allocate(params.dtype, x.shape()));
  const IntegerRange codes = params.Codes();
  const int64_t channels = params.axis < 0 ? 1 : x.shape()[params.axis];
  const int64_t inner = params.axis < 0 ? x.elements() : x.shape().Product(params.axis + 1, x.shape().rank());
  if (static_cast<int64_t>(params.scales.size()) != channels) return Internal("a scale for each channel is needed");
  if (!out.has_data()) return out;
  if (DTypeBits(params.dtype) == 4) std::fill_n(out.mutable_as<uint8_t>(), out.bytes(), uint8_t{0});
  const float* from = x.as<float>();
  for (int64_t i = 0, outer = 0; i < x.elements(); i += inner, ++outer) {
    const size_t c = static_cast<size_t>(outer % channels);
    const double zero = params.zeros[c];
    for (int64_t k = i; k < i + inner; ++k) {
      const double code = static_cast<double>(nearbyintf(from[k] / params.scales[c])) + zero;
      const double held = code != code ? zero : std::clamp(code, static_cast<double>(codes.low), static_cast<double>(codes.high));
      Store(params.dtype, out.mutable_data(), k, static_cast<int64_t>(held));
    }
  }
  return out;
}

Result<QuantizedTensor> QuantizeWeights(const Tensor& x, int axis, DType dtype, bool symmetric, bool reduced) {
  QuantizedTensor out;
  out.params.dtype = dtype;
  out.params.reduced = reduced;
  out.params.axis = axis;
  const int64_t channels = axis < 0 ? 1 : x.shape()[axis];
  const int64_t inner = axis < 0 ? x.elements() : x.shape().Product(axis + 1, x.shape().rank());
  const int64_t outer = inner * channels == 0 ? 0 : x.elements() / (inner * channels);
  bool finite = true;
  for (int64_t c = 0; c < channels; ++c) {
    const Params one = ChooseParams(RangeOfChannel(x.as<float>(), outer, channels, inner, c, &finite), dtype, symmetric, reduced);
    out.params.scales.push_back(one.scales[0]);
    out.params.zeros.push_back(one.zeros[0]);
  }
  if (!finite) return InvalidModel("a weight is not finite");
  LINNET_ASSIGN(out.integers, QuantizeTensor(x, out.params));
  return out;
}

void KeepKernelSums(const Tensor& x, QuantizedTensor* weights) {
  const Params& params = weights->params;
  const int64_t taps = x.shape().Product(2, x.shape().rank()), kernels = x.elements() / std::max<int64_t>(taps, 1);
  const int64_t each = kernels / x.shape()[0];   // of an output channel
  const IntegerRange codes = params.Codes();
  std::vector<double> over(static_cast<size_t>(taps));   // what a code is too much, in steps
  for (int64_t k = 0; k < kernels && taps > 1; ++k) {
    const size_t channel = params.axis < 0 ? 0 : static_cast<size_t>(k / each);
    double sum = 0;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t code = LoadInteger(params.dtype, weights->integers.data(), k * taps + t);
      over[static_cast<size_t>(t)] = static_cast<double>(code - params.zeros[channel]) - static_cast<double>(x.as<float>()[k * taps + t]) / params.scales[channel];
      sum += over[static_cast<size_t>(t)];
    }
    for (int64_t turn = 0; turn < taps && fabs(sum) > 0.5; ++turn) {
      const double sign = sum > 0 ? 1 : -1;
      const int64_t t = std::max_element(over.begin(), over.end(), [&](double a, double b) { return a * sign < b * sign; }) - over.begin();
      const int64_t code = LoadInteger(params.dtype, weights->integers.data(), k * taps + t) - static_cast<int64_t>(sign);
      if (over[static_cast<size_t>(t)] * sign <= 0 || code <= codes.low || code > codes.high) break;
      Store(params.dtype, weights->integers.mutable_data(), k * taps + t, code);
      over[static_cast<size_t>(t)] -= sign, sum -= sign;
    }
  }
}

void FitBias(const Tensor& bias, float input_scale, Params* weights) {
  constexpr double kCodeMax = 1 << 30;
  for (int64_t c = 0; c < bias.elements(); ++c) {
    float& scale = weights->scales[weights->scales.size() == 1 ? 0 : static_cast<size_t>(c) % weights->scales.size()];
    const double least = fabs(static_cast<double>(bias.as<float>()[c])) / kCodeMax / input_scale;
    if (isfinite(least)) scale = std::max(scale, AsScale(least));
    // The product of both scales is the bias's scale, which must be a normal float too.
    scale = std::max(scale, AsScale(FLT_MIN / static_cast<double>(input_scale)));
  }
}

Result<QuantizedTensor> QuantizeBias(const Tensor& bias, float input_scale, const Params& weights) {
  QuantizedTensor out;
  out.params.dtype = DType::kInt32;
  out.params.axis = weights.scales.size() == 1 ? -1 : 0;
  const size_t count = weights.scales.size() == 1 ? 1 : static_cast<size_t>(bias.elements());
  for (size_t c = 0; c < count; ++c) out.params.scales.push_back(input_scale * weights.scales[c % weights.scales.size()]);
  out.params.zeros.assign(count, 0);
  LINNET_ASSIGN(out.integers, QuantizeTensor(bias, out.params));
  return out;
}

}  // namespace linnet::quantize
