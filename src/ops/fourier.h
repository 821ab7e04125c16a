// Discrete Fourier transforms of any length, in double: mixed radix, or Bluestein's for lengths with a large prime.
//
// Mixed radix (Cooley, Tukey 1965): n = p m splits a transform into p of length m over every p-th element, which
// butterflies of p combine; a butterfly is computed by the definition, so only small p will do. Bluestein (1970) writes a
// transform of any n as a convolution with a chirp, which three transforms of a power of two compute:
//
//     k j = (k^2 + j^2 - (k - j)^2) / 2      X[k] = c[k] sum_j (x[j] c[j]) conj(c[k - j])      c[k] = exp(-i pi k^2 / n)
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/function_ref.h"

namespace linnet {

struct Complex {
  double re = 0, im = 0;
};
inline Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
inline Complex operator*(Complex a, Complex b) { return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }
inline Complex Conjugate(Complex a) { return {a.re, -a.im}; }

/// Longest transform offered: tables take 16 to 80 bytes an element.
inline constexpr int64_t kFourierMax = int64_t{1} << 24;

/// Looked at every millisecond or so of long work; when true the work ends early and its results mean nothing.
using StopAsked = FunctionRef<bool()>;

/// Elements between two looks.
inline constexpr int64_t kStretch = 1 << 14;

/// body(k) for k in [0, n); false when it was asked to stop.
template <class F>
bool ForEachUnlessAsked(int64_t n, StopAsked asked, F&& body) {
  for (int64_t k = 0; k < n;) {
    if (n > kStretch && asked()) return false;
    for (const int64_t end = n - k > kStretch ? k + kStretch : n; k < end; ++k) body(k);
  }
  return true;
}

class Fourier {
 public:
  /// Sizes for a transform of 1 <= n <= kFourierMax.
  static Fourier OfLength(int64_t n);
  /// Elements of the table, which Fill computes and Run reads.
  int64_t table_count() const;
  /// Elements of scratch a Run needs.
  int64_t scratch_count() const;
  void Fill(Complex* table, StopAsked asked) const;
  /// out[k] = sum over j of x[j] exp(-2 pi i j k / n); x and out have n elements and do not overlap.
  void Run(const Complex* table, const Complex* x, Complex* out, Complex* scratch, StopAsked asked) const;
  int64_t length() const { return n_; }

 private:
  void Split(const Complex* roots, int64_t n, int factor, const Complex* x, int64_t stride, Complex* out,
             StopAsked asked) const;

  static constexpr int kFactorsMax = 32;
  int64_t n_ = 1;       ///< the length asked for
  int64_t radix_ = 1;   ///< the length done by mixed radix: n, or Bluestein's power of two
  int count_ = 0;
  int32_t factors_[kFactorsMax];
};

}  // namespace linnet
