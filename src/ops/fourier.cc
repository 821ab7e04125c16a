// Mixed-radix and Bluestein transforms.
#include "ops/fourier.h"

#include <cmath>

namespace linnet {
namespace {

constexpr int kPrimeMax = 31;   // above this Bluestein's is faster

Complex Root(int64_t k, int64_t n) {
  const double angle = -2 * 3.14159265358979323846 * static_cast<double>(k) / static_cast<double>(n);
  return {std::cos(angle), std::sin(angle)};
}

/// exp(-i pi k^2 / n): k^2 is reduced first, as it matters modulo 2 n only.
Complex Chirp(int64_t k, int64_t n) { return Root(k * k % (2 * n), 2 * n); }

}  // namespace

Fourier Fourier::OfLength(int64_t n) {
  Fourier f;
  f.n_ = f.radix_ = n;
  int64_t rest = n;
  auto take = [&](int p) {
    while (rest % p == 0) {
      f.factors_[f.count_++] = p;
      rest /= p;
    }
  };
  take(4);
  for (int p = 2; p <= kPrimeMax; ++p) take(p);
  if (rest == 1) return f;
  f.radix_ = 1;
  while (f.radix_ < 2 * n - 1) f.radix_ *= 2;
  f.count_ = 0;
  rest = f.radix_;
  take(4);
  take(2);
  return f;
}

// Bluestein's table: roots of unity [radix], chirp [n], spectrum of the wrapped chirp [radix], room to make it [radix].
int64_t Fourier::table_count() const { return radix_ == n_ ? n_ : radix_ + n_ + 2 * radix_; }
int64_t Fourier::scratch_count() const { return radix_ == n_ ? 0 : 2 * radix_; }

void Fourier::Fill(Complex* table, StopAsked asked) const {
  if (!ForEachUnlessAsked(radix_, asked, [&](int64_t k) { table[k] = Root(k, radix_); }) || radix_ == n_) return;
  Complex *chirp = table + radix_, *spectrum = chirp + n_, *wrapped = spectrum + radix_;
  if (!ForEachUnlessAsked(n_, asked, [&](int64_t k) { chirp[k] = Chirp(k, n_); })) return;
  if (!ForEachUnlessAsked(radix_, asked, [&](int64_t k) {
        wrapped[k] = k < n_ ? Conjugate(chirp[k]) : k > radix_ - n_ ? Conjugate(chirp[radix_ - k]) : Complex();
      })) {
    return;
  }
  Split(table, radix_, 0, wrapped, 1, spectrum, asked);
}

void Fourier::Run(const Complex* table, const Complex* x, Complex* out, Complex* scratch, StopAsked asked) const {
  if (radix_ == n_) return Split(table, n_, 0, x, 1, out, asked);
  const Complex *chirp = table + radix_, *spectrum = chirp + n_;
  Complex *a = scratch, *b = scratch + radix_;
  if (!ForEachUnlessAsked(radix_, asked, [&](int64_t k) { a[k] = k < n_ ? x[k] * chirp[k] : Complex(); })) return;
  Split(table, radix_, 0, a, 1, b, asked);
  // The inverse transform of a product is the conjugate of the transform of its conjugate, by the length.
  if (!ForEachUnlessAsked(radix_, asked, [&](int64_t k) { b[k] = Conjugate(b[k] * spectrum[k]); })) return;
  Split(table, radix_, 0, b, 1, a, asked);
  const double scale = 1 / static_cast<double>(radix_);
  ForEachUnlessAsked(n_, asked, [&](int64_t k) {
    const Complex y = Conjugate(a[k]) * chirp[k];
    out[k] = {y.re * scale, y.im * scale};
  });
}

/// Transforms the n elements x[0], x[stride], ... into out.
void Fourier::Split(const Complex* roots, int64_t n, int factor, const Complex* x, int64_t stride, Complex* out,
                    StopAsked asked) const {
  if (n == 1) {
    out[0] = x[0];
    return;
  }
  if (n > kStretch && asked()) return;
  const int p = factors_[factor];
  const int64_t m = n / p, step = radix_ / n, turn = radix_ / p;
  for (int r = 0; r < p; ++r) Split(roots, m, factor + 1, x + r * stride, stride * p, out + r * m, asked);
  ForEachUnlessAsked(m, asked, [&](int64_t k) {
    Complex t[kPrimeMax];
    t[0] = out[k];
    for (int r = 1; r < p; ++r) t[r] = out[k + r * m] * roots[r * k * step];
    if (p == 2) {
      out[k] = t[0] + t[1];
      out[k + m] = {t[0].re - t[1].re, t[0].im - t[1].im};
    } else if (p == 4) {
      const Complex s02 = t[0] + t[2], s13 = t[1] + t[3];
      const Complex d02{t[0].re - t[2].re, t[0].im - t[2].im}, d13{t[1].re - t[3].re, t[1].im - t[3].im};
      out[k] = s02 + s13;
      out[k + m] = {d02.re + d13.im, d02.im - d13.re};
      out[k + 2 * m] = {s02.re - s13.re, s02.im - s13.im};
      out[k + 3 * m] = {d02.re - d13.im, d02.im + d13.re};
    } else {
      for (int q = 0; q < p; ++q) {
        Complex sum = t[0];
        for (int r = 1; r < p; ++r) sum = sum + t[r] * roots[r * q % p * turn];
        out[k + q * m] = sum;
      }
    }
  });
}

}  // namespace linnet
