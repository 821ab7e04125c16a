// Products of split float32 numbers on tiles against double precision, and against the vectors' where numbers are not finite.
#include "kernels/half/split_gemm.h"

#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <vector>

#include "guarded.h"

namespace linnet {
namespace {

std::vector<const SplitGemmKernels*> AllKernels() {
  std::vector<const SplitGemmKernels*> all;
  if (const SplitGemmKernels* emulated = EmulatedSplitGemm(DetectedCpuLevel())) all.push_back(emulated);
  if (const SplitGemmKernels* amx = PickSplitGemm(DetectedCpuLevel())) all.push_back(amx);
  return all;
}

/// A product, its operands between guards; A in one piece or in segments of `segment` numbers.
struct Problem {
  Problem(int64_t m, int64_t n, int64_t k, int64_t segment = 0)
      : m(m), n(n), k(k), a(m * k), b(k * n), packed(PackedSizeF32(k, n)), bias(n), residual(m * (n + 2)), c(m * (n + 5), 77.0f) {
    Numbers numbers;
    numbers.Fill(a);
    numbers.Fill(b);
    numbers.Fill(bias);
    numbers.Fill(residual);
    g.m = m, g.n = n, g.k = k;
    g.c_row_stride = n + 5;
    g.epilogue.residual_row_stride = n + 2;
    g.a_row_stride = k;
    for (int64_t at = 0; segment > 0 && at < k; at += segment) segments.push_back({nullptr, std::min(segment, k - at)});
  }

  void Aim() {
    g.a = segments.empty() ? a.data() : nullptr;
    int64_t at = 0;
    for (SegmentF32& s : segments) s.a = a.data() + at, at += s.k;
    g.segments = segments.data();
    g.segment_count = static_cast<int64_t>(segments.size());
    PackF32(b.data(), k, n, n, 1, packed.data());
    UsePackedB(&g, packed.data());
    g.c = c.data();
  }

  void Run(const SplitGemmKernels& kernels, int64_t rows, int64_t panels) {
    Aim();
    Guarded<std::byte> scratch(SplitGemmScratchBytes());
    const GemmF32Kernels& plain = PickGemmF32(DetectedCpuLevel());
    for (int64_t row = 0; row < m; row += rows) {
      for (int64_t panel = 0; panel < PanelCount(n); panel += panels) {
        kernels.run(g, row, std::min(m, row + rows), panel, std::min(PanelCount(n), panel + panels), plain, scratch.data());
      }
    }
    EXPECT_TRUE(c.Intact() && a.Intact() && packed.Intact() && scratch.Intact());
  }
  void RunWhole(const SplitGemmKernels& kernels) { Run(kernels, RoundUp(m, kSplitBlock), RoundUp(PanelCount(n), int64_t{2})); }

  double Expected(int64_t i, int64_t j) const {
    double sum = 0;
    for (int64_t l = 0; l < k; ++l) sum += double{a[i * k + l]} * double{b[l * n + j]};
    if (g.epilogue.bias) sum += double{bias[j]};
    if (g.epilogue.residual) sum += double{residual[i * (n + 2) + j]};
    return sum;
  }

  static int64_t RoundUp(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

  int64_t m, n, k;
  Guarded<float> a, b, packed, bias, residual, c;
  std::vector<SegmentF32> segments;
  GemmF32 g;
};

TEST(SplitGemm, IsAsExactAsFloats) {
  for (const SplitGemmKernels* kernels : AllKernels()) {
    for (auto [m, n, k, segment] : {std::array<int64_t, 4>{1, 1, 1, 0}, {32, 32, 32, 0}, {33, 17, 40, 0}, {5, 48, 129, 7}, {70, 100, 300, 100}, {31, 400, 64, 0},
                                    {300, 40, 260, 0}, {64, 33, 15, 4}}) {
      Problem t(m, n, k, segment), vectors(m, n, k, segment);
      t.RunWhole(*kernels);
      vectors.Aim();
      PickGemmF32(DetectedCpuLevel()).run(vectors.g, 0, m, 0, PanelCount(n));
      double worst = 0, worst_of_vectors = 0;
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          const double expected = t.Expected(i, j);
          worst = std::max(worst, fabs(double{t.c[i * (n + 5) + j]} - expected));
          worst_of_vectors = std::max(worst_of_vectors, fabs(double{vectors.c[i * (n + 5) + j]} - expected));
        }
        if (i + 1 < m) {
          ASSERT_EQ(t.c[i * (n + 5) + n], 77.0f) << "wrote beyond a row";
        }
      }
      EXPECT_LE(worst, worst_of_vectors + 3e-7) << m << " x " << n << " x " << k;
    }
  }
}

TEST(SplitGemm, EpiloguesFollow) {
  for (const SplitGemmKernels* kernels : AllKernels()) {
    for (Activation activation : {Activation::kNone, Activation::kRelu, Activation::kClip, Activation::kTanh}) {
      for (int64_t k : {60, 200}) {
        Problem t(45, 70, k);
        t.g.epilogue.bias = t.bias.data();
        t.g.epilogue.residual = t.residual.data();
        t.g.epilogue.activation = activation;
        t.g.epilogue.alpha = -0.5f, t.g.epilogue.beta = 0.75f;
        t.RunWhole(*kernels);
        for (int64_t i = 0; i < t.m; ++i) {
          for (int64_t j = 0; j < t.n; ++j) {
            double y = t.Expected(i, j);
            if (activation == Activation::kRelu) y = fmax(y, 0);
            if (activation == Activation::kClip) y = fmin(fmax(y, -0.5), 0.75);
            if (activation == Activation::kTanh) y = tanh(y);
            ASSERT_NEAR(t.c[i * (t.n + 5) + j], y, 1e-5) << static_cast<int>(activation) << ": " << i << ", " << j;
          }
        }
      }
    }
  }
}

TEST(SplitGemm, AnySplitGivesTheSameBits) {
  for (const SplitGemmKernels* kernels : AllKernels()) {
    Problem whole(200, 500, 300), parts(200, 500, 300);
    whole.a[77 * 300 + 5] = INFINITY;
    parts.a[77 * 300 + 5] = INFINITY;
    whole.RunWhole(*kernels);
    parts.Run(*kernels, 64, 6);
    ASSERT_EQ(memcmp(whole.c.data(), parts.c.data(), static_cast<size_t>(whole.c.size()) * 4), 0);
  }
}

TEST(SplitGemm, WhatIsNotFiniteIsAsVectorsComputeIt) {
  for (const SplitGemmKernels* kernels : AllKernels()) {
    for (float bad : {INFINITY, -INFINITY, static_cast<float>(NAN)}) {
      for (int where : {0, 1, 2}) {   // A, B, both
        for (bool in_place : {false, true}) {
          Problem t(100, 130, 200), vectors(100, 130, 200);
          for (Problem* p : {&t, &vectors}) {
            if (where != 1) p->a[50 * 200 + 199] = bad;
            if (where != 0) p->b[150 * 130 + 40] = bad;
            p->g.epilogue.activation = Activation::kSigmoid;
            if (in_place) {
              for (int64_t i = 0; i < p->c.size(); ++i) p->c[i] = static_cast<float>(i % 11) - 5;
              p->g.epilogue.residual = p->c.data(), p->g.epilogue.residual_row_stride = p->g.c_row_stride;
            }
          }
          t.RunWhole(*kernels);
          vectors.Aim();
          PickGemmF32(DetectedCpuLevel()).run(vectors.g, 0, 100, 0, PanelCount(130));
          for (int64_t i = 0; i < 100; ++i) {
            for (int64_t j = 0; j < 130; ++j) {
              const float x = t.c[i * 135 + j], y = vectors.c[i * 135 + j];
              ASSERT_TRUE((isnan(x) && isnan(y)) || fabs(x - y) < 1e-5) << i << ", " << j << ": " << x << " where vectors make " << y;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace linnet
