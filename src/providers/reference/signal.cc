// Signal processing: Fourier transforms by their definition, windows, mel filters.
#include <math.h>

#include <algorithm>
#include <complex>
#include <numbers>

#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

using Complex = std::complex<double>;

/// out[k] = sum of x[n] exp(-+2 pi i k n / N), for N = x.size(); the inverse divided by N.
std::vector<Complex> Transform(const std::vector<Complex>& x, bool inverse) {
  const int64_t n = static_cast<int64_t>(x.size());
  std::vector<Complex> turns(x.size()), out(x.size());
  for (int64_t i = 0; i < n; ++i)
    turns[U(i)] = std::polar(1.0, (inverse ? 2 : -2) * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n));
  for (int64_t k = 0; k < n; ++k) {
    for (int64_t i = 0; i < n; ++i) out[U(k)] += x[U(i)] * turns[U(k * i % n)];
    if (inverse) out[U(k)] /= static_cast<double>(n);
  }
  return out;
}

/// The last dimension holds real parts, or real and imaginary ones. The signal is cut or filled with zeros to dft_length.
/// onesided keeps the first half of the bins; its inverse takes those and gives a real signal.
Status Dft(Call& c) {
  const Reals x = c.In(0);
  const bool inverse = c.Flag("inverse"), onesided = c.Flag("onesided");
  const int last = x.shape.rank() - 1;
  const int axis = AxisOf(c.version() < 20 ? c.Int("axis", 1) : c.First<int64_t>(2, -2), x.shape.rank());
  const bool halved = inverse && onesided;
  const int64_t parts = x.shape[last], given = x.shape[axis];
  const int64_t n = c.Has(1) ? c.First<int64_t>(1) : halved ? 2 * (given - 1) : given;
  if (n < 1 || n > 1 << 24) return InvalidArgument("the length of the transform is ", n);
  Reals y(WithDim(WithDim(x.shape, axis, onesided && !inverse ? n / 2 + 1 : n), last, halved ? 1 : 2));
  ForEachIndex(WithDim(WithDim(x.shape, axis, 1), last, 1), [&](Index at, int64_t) {
    std::vector<Complex> signal(U(n));
    for (int64_t i = 0; i < std::min(n, given); ++i) {
      at[U(axis)] = i;
      at[U(last)] = 0;
      const double real = x[at];
      at[U(last)] = 1;
      const Complex value(real, parts == 2 ? x[at] : 0);
      if (halved && i > n / 2) break;
      signal[U(i)] = value;
      if (halved && i > 0 && n - i > i) signal[U(n - i)] = std::conj(value);
    }
    const std::vector<Complex> bins = Transform(signal, inverse);
    for (int64_t i = 0; i < y.shape[axis]; ++i) {
      at[U(axis)] = i;
      at[U(last)] = 0;
      y[at] = bins[U(i)].real();
      if (halved) continue;
      at[U(last)] = 1;
      y[at] = bins[U(i)].imag();
    }
  });
  return c.Out(0, y);
}

/// Transforms of overlapping frames of a signal, times a window: [batch, frames, bins, 2].
Status Stft(Call& c) {
  const Reals x = c.In(0);
  const int64_t step = c.First<int64_t>(1);
  const int64_t length = c.Has(3) ? c.First<int64_t>(3) : c.shape(2)[0];
  const Reals window = c.InOr(2, 1, Shape{length});
  const int64_t parts = x.shape.rank() == 3 ? x.shape[2] : 1, frames = (x.shape[1] - length) / step + 1;
  const int64_t bins = c.Flag("onesided", true) ? length / 2 + 1 : length;
  Reals y(Shape{x.shape[0], frames, bins, 2});
  ForEachIndex(Shape{x.shape[0], frames}, [&](const Index& at, int64_t) {
    std::vector<Complex> signal(U(length));
    for (int64_t i = 0; i < length; ++i) {
      const int64_t from = (at[0] * x.shape[1] + at[1] * step + i) * parts;
      signal[U(i)] = window[i] * Complex(x[from], parts == 2 ? x[from + 1] : 0);
    }
    const std::vector<Complex> out = Transform(signal, false);
    for (int64_t k = 0; k < bins; ++k) {
      y[Index{at[0], at[1], k, 0}] = out[U(k)].real();
      y[Index{at[0], at[1], k, 1}] = out[U(k)].imag();
    }
  });
  return c.Out(0, y);
}

/// a0 - a1 cos(2 pi i / N) + a2 cos(4 pi i / N), N the size, or one less for a symmetric window.
Status Window(Call& c, double a0, double a1, double a2) {
  const int64_t size = c.First<int64_t>(0), n = c.Flag("periodic", true) ? size : size - 1;
  Reals y(Shape{size});
  for (int64_t i = 0; i < size; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
    y[i] = n == 0 ? 1 : a0 - a1 * cos(angle) + a2 * cos(2 * angle);
  }
  return c.Out(0, y);
}
Status HannWindow(Call& c) { return Window(c, 0.5, 0.5, 0); }
Status HammingWindow(Call& c) { return Window(c, 25.0 / 46, 21.0 / 46, 0); }
Status BlackmanWindow(Call& c) { return Window(c, 0.42, 0.5, 0.08); }

/// Triangles over the bins of a spectrogram, evenly spaced on the mel scale.
Status MelWeightMatrix(Call& c) {
  const int64_t bins = c.First<int64_t>(0), length = c.First<int64_t>(1), rate = c.First<int64_t>(2);
  auto mel = [](double hertz) { return 2595 * log10(1 + hertz / 700); };
  const double low = mel(c.First(3)), step = (mel(c.First(4)) - low) / static_cast<double>(bins + 2);
  if (rate < 1 || !isfinite(step))
    return InvalidArgument("sample_rate is ", rate, ", the mel range ", c.First(3), " to ", c.First(4));
  auto edge = [&](int64_t i) {
    const double hertz = 700 * (pow(10, (low + static_cast<double>(i) * step) / 2595) - 1);
    return std::clamp(floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate)), -1e15, 1e15);
  };
  Reals y(Shape{length / 2 + 1, bins});
  ForEachIndex(y.shape, [&](const Index& index, int64_t at) {
    const double k = static_cast<double>(index[0]), begin = edge(index[1]), peak = edge(index[1] + 1), end = edge(index[1] + 2);
    if (k >= begin && k <= peak) y[at] = peak == begin ? 1 : (k - begin) / (peak - begin);
    if (k >= peak && k < end) y[at] = (end - k) / (end - peak);
  });
  return c.Out(0, y);
}

constexpr Row kRows[] = {
    {"DFT", Dft}, {"STFT", Stft}, {"HannWindow", HannWindow}, {"HammingWindow", HammingWindow},
    {"BlackmanWindow", BlackmanWindow}, {"MelWeightMatrix", MelWeightMatrix},
};

}  // namespace

std::span<const Row> SignalRows() { return kRows; }

}  // namespace linnet::reference
