// Statistics in double unless a float32 kernel has them; scaling through the elementwise loops.
#include "ops/channel_norm_helpers.h"

#include <algorithm>

#include "ops/convert.h"

namespace linnet {
namespace {

/// Sum of f(x) over n elements from `begin`.
template <class F>
double Sum(LoadFn* load, const void* x, int64_t begin, int64_t n, F f) {
  double chunk[kConvertChunk], sum = 0;
  for (int64_t at = 0; at < n; at += kConvertChunk) {
    const int64_t count = std::min(kConvertChunk, n - at);
    load(x, begin + at, count, chunk);
    for (int64_t i = 0; i < count; ++i) sum += f(chunk[i]);
  }
  return sum;
}

}  // namespace

void LoadDoubles(DType dtype, const void* x, int64_t n, double* out) { FindLoad(dtype, Stage::kDouble)(x, 0, n, out); }

Status StretchMoments(const RunContext& c, const ChannelKernels& kernels, DType dtype, const void* x, int64_t rows,
                      int64_t n, double* mean, double* variance) {
  LoadFn* load = FindLoad(dtype, Stage::kDouble);
  return c.ParallelFor(rows, 1, static_cast<double>(n) * (dtype == DType::kFloat ? 0.3 : 4), [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      if (dtype == DType::kFloat) {
        float row_mean, row_variance;
        kernels.moments(static_cast<const float*>(x) + r * n, n, 1, n, &row_mean, &row_variance);
        mean[r] = row_mean;
        variance[r] = row_variance;
        continue;
      }
      const double count = static_cast<double>(n);
      const double m = Sum(load, x, r * n, n, [](double v) { return v; }) / count;
      mean[r] = m;
      variance[r] = Sum(load, x, r * n, n, [m](double v) { return (v - m) * (v - m); }) / count;
    }
  });
}

void ChannelMoments(DType dtype, const void* x, int64_t outer, int64_t channels, int64_t inner, double* mean,
                    double* variance) {
  LoadFn* load = FindLoad(dtype, Stage::kDouble);
  const double count = static_cast<double>(outer) * static_cast<double>(inner);
  for (int64_t channel = 0; channel < channels; ++channel) {
    auto total = [&](auto f) {
      double sum = 0;
      for (int64_t o = 0; o < outer; ++o) sum += Sum(load, x, (o * channels + channel) * inner, inner, f);
      return sum;
    };
    const double m = total([](double v) { return v; }) / count;
    mean[channel] = m;
    variance[channel] = total([m](double v) { return (v - m) * (v - m); }) / count;
  }
}

Status ScaleStretches(const RunContext& c, const ChannelKernels& kernels, DType dtype, const void* x, void* y,
                      int64_t count, int64_t n, int64_t period, const double* scale, const double* shift, float* floats) {
  if (dtype == DType::kFloat && n == 1) {
    for (int64_t i = 0; i < period; ++i) {
      floats[i] = static_cast<float>(scale[i]);
      floats[period + i] = static_cast<float>(shift[i]);
    }
    return c.ParallelFor(count / period, 1, static_cast<double>(period) * 0.3, [&](int64_t begin, int64_t end, int) {
      kernels.columns(static_cast<const float*>(x) + begin * period, period, end - begin, period, floats, floats + period,
                      static_cast<float*>(y) + begin * period, period);
    });
  }
  const int64_t bytes = static_cast<int64_t>(DTypeBytes(dtype));
  RunFn* run = FloatRunFor(dtype);
  return c.ParallelFor(count, 1, static_cast<double>(n) * 0.3 + 5, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const double s = scale[i % period], b = shift[i % period];
      const std::byte* from = static_cast<const std::byte*>(x) + i * n * bytes;
      std::byte* to = static_cast<std::byte*>(y) + i * n * bytes;
      if (run) {
        const FloatFunction affine{kernels.affine, static_cast<float>(s), static_cast<float>(b)};
        const void* in[kOperandsMax] = {from, nullptr, nullptr};
        run(&affine, to, in, n, 0);
      } else {
        const double* source = reinterpret_cast<const double*>(from);
        double* target = reinterpret_cast<double*>(to);
        for (int64_t k = 0; k < n; ++k) target[k] = source[k] * s + b;
      }
    }
  });
}

}  // namespace linnet
