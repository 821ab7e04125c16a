// Float32 matrix product at every instruction set against sums in double precision, with unreadable memory
// behind each array.
#include "kernels/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "guarded.h"

namespace linnet {
namespace {

double Activate(const Epilogue& e, double x) {
  auto clip = [](double v, double low, double high) { return std::min(std::max(v, low), high); };
  switch (e.activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kClip:
      return clip(x, e.alpha, e.beta);
    case Activation::kLeakyRelu:
      return x < 0 ? e.alpha * x : x;
    case Activation::kHardSigmoid:
      return clip(e.alpha * x + e.beta, 0, 1);
    case Activation::kHardSwish:
      return x * clip(x / 6 + 0.5, 0, 1);
    case Activation::kElu:
      return x < 0 ? e.alpha * std::expm1(x) : x;
    case Activation::kSelu:
      return e.beta * (x < 0 ? e.alpha * std::expm1(x) : x);
    case Activation::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSilu:
      return x / (1 + std::exp(-e.alpha * x));
    case Activation::kGelu:
      return x * (1 + std::erf(x / std::sqrt(2.0))) / 2;
    case Activation::kGeluTanh:
      return x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))) / 2;
    case Activation::kSoftplus:
      return std::log1p(std::exp(x));
    case Activation::kMish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case Activation::kSteps:
      return e.alpha * clip(std::nearbyint(x / e.alpha), e.beta, static_cast<double>(e.beta) + 65535);
  }
  return NAN;
}

enum class Form { kPacked, kRowMajor, kTransposed };

struct Case {
  int64_t m, n, k;
  Form form = Form::kPacked;
  bool bias = true, residual = false;
  Activation activation = Activation::kNone;
};

void Check(CpuLevel level, const Case& t) {
  SCOPED_TRACE(testing::Message() << CpuLevelName(level) << " m " << t.m << " n " << t.n << " k " << t.k
                                  << " form " << static_cast<int>(t.form) << " activation "
                                  << static_cast<int>(t.activation));
  const GemmF32Kernels& kernels = PickGemmF32(level);
  Numbers numbers;
  const bool transposed = t.form == Form::kTransposed;
  const int64_t a_stride = t.k + 3, c_stride = t.n + 5, r_stride = t.n + 1,
                b_stride = (transposed ? t.k : t.n) + 2;
  Guarded<float> a(std::max<int64_t>(0, (t.m - 1) * a_stride + t.k)), bias(t.n), scratch(16 * t.k);
  Guarded<float> b(transposed ? (t.n - 1) * b_stride + t.k
                              : std::max<int64_t>(0, (t.k - 1) * b_stride + t.n));
  Guarded<float> c((t.m - 1) * c_stride + t.n, 77.0f), residual((t.m - 1) * r_stride + t.n);
  Guarded<float> packed(PackedSizeF32(t.k, t.n));
  numbers.Fill(a), numbers.Fill(b), numbers.Fill(bias), numbers.Fill(residual);
  GemmF32 g;
  g.a = a.data(), g.a_row_stride = a_stride;
  g.m = t.m, g.n = t.n, g.k = t.k;
  g.only_row = t.m == 1;
  g.c = c.data(), g.c_row_stride = c_stride;
  g.epilogue.activation = t.activation;
  g.epilogue.alpha = t.activation == Activation::kClip ? -0.5f : 0.25f, g.epilogue.beta = 0.4f;
  if (t.bias) g.epilogue.bias = bias.data();
  if (t.residual) g.epilogue.residual = residual.data(), g.epilogue.residual_row_stride = r_stride;
  if (t.form == Form::kPacked) {
    PackF32(b.data(), t.k, t.n, b_stride, 1, packed.data());
    UsePackedB(&g, packed.data());
    kernels.run(g, 0, t.m, 0, PanelCount(t.n));
  } else {
    g.b = b.data(), g.b_row_stride = b_stride;
    if (transposed) {
      kernels.run_transposed(g, 0, t.n);
    } else {
      kernels.run_row_major(g, 0, t.m, scratch.data());
    }
  }
  for (int64_t i = 0; i < t.m; ++i) {
    for (int64_t j = 0; j < t.n; ++j) {
      double sum = 0, size = 1;
      for (int64_t x = 0; x < t.k; ++x) {
        double y = static_cast<double>(a[i * a_stride + x]) *
                   (transposed ? b[j * b_stride + x] : b[x * b_stride + j]);
        sum += y, size += std::fabs(y);
      }
      if (t.bias) sum += bias[j];
      if (t.residual) sum += residual[i * r_stride + j];
      ASSERT_NEAR(c[i * c_stride + j], Activate(g.epilogue, sum), size * 1e-6) << "at " << i << ", " << j;
    }
    for (int64_t j = t.n; j < c_stride && i + 1 < t.m; ++j)
      ASSERT_EQ(c[i * c_stride + j], 77.0f) << "wrote beyond a row";
  }
}

TEST(Gemm, EveryTileHeightAndWidth) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t m = 1; m <= 30; ++m) {
      for (int64_t n : {1, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 47, 63, 64, 65})
        Check(level, {m, n, 5});
    }
    for (int64_t m : {1, 2, 3, 4, 5, 6, 9}) {
      for (int64_t n = 1; n <= 150; ++n) Check(level, {m, n, 3});
    }
    for (int64_t k : {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 64, 65, 300}) {
      Check(level, {19, 37, k});
      for (int64_t n : {7, 16, 37, 90}) Check(level, {1, n, k});
    }
  }
}

TEST(Gemm, Epilogues) {
  for (CpuLevel level : FloatLevels()) {
    for (int i = 0; i <= static_cast<int>(Activation::kMish); ++i) {
      const Activation activation = static_cast<Activation>(i);
      for (bool bias : {false, true}) {
        for (bool residual : {false, true}) {
          for (Form form : {Form::kPacked, Form::kRowMajor, Form::kTransposed}) {
            Check(level, {5, 43, 6, form, bias, residual, activation});
            Check(level, {16, 32, 3, form, bias, residual, activation});
            Check(level, {31, 9, 20, form, bias, residual, activation});
          }
          // Tiles one below and beside the other, and a last panel that C has some of.
          for (int64_t n : {16, 20, 57, 75}) Check(level, {61, n, n, Form::kPacked, bias, residual, activation});
        }
      }
    }
  }
}

TEST(Gemm, UnpackedForms) {
  for (CpuLevel level : FloatLevels()) {
    for (Form form : {Form::kRowMajor, Form::kTransposed}) {
      for (int64_t m : {1, 2, 5, 17}) {
        for (int64_t n : {1, 7, 8, 15, 16, 17, 40, 65}) {
          for (int64_t k : {0, 1, 5, 16, 39}) Check(level, {m, n, k, form});
        }
      }
    }
  }
}

// Big enough for every loop order: B beyond the cache with A inside it, and both beyond.
TEST(Gemm, LoopOrders) {
  for (CpuLevel level : FloatLevels()) {
    Check(level, {20, 530, 300});
    Check(level, {150, 150, 1000});
    // So many summands that C is summed up part by part.
    Check(level, {33, 90, 4700, Form::kPacked, true, true, Activation::kClip});
    Check(level, {16, 53, 6200, Form::kRowMajor, true, false, Activation::kTanh});
    Check(level, {15, 40, 4100, Form::kPacked, false, true, Activation::kRelu});
  }
}

TEST(Gemm, SplitsAreBitEqual) {
  for (CpuLevel level : FloatLevels()) {
    const GemmF32Kernels& kernels = PickGemmF32(level);
    for (int64_t k : {50, 700, 5000}) {
      const int64_t m = 43, n = 217;
      std::vector<float> a(m * k), b(k * n), packed(PackedSizeF32(k, n)), bias(n), residual(m * n), whole(m * n);
      std::vector<float> parts(m * n), in_place;
      Numbers numbers;
      numbers.Fill(a), numbers.Fill(b), numbers.Fill(bias), numbers.Fill(residual);
      PackF32(b.data(), k, n, n, 1, packed.data());
      GemmF32 g;
      g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.c = whole.data(), g.c_row_stride = n;
      UsePackedB(&g, packed.data());
      g.epilogue.bias = bias.data(), g.epilogue.activation = Activation::kRelu;
      g.epilogue.residual = residual.data(), g.epilogue.residual_row_stride = n;
      kernels.run(g, 0, m, 0, PanelCount(n));
      g.c = parts.data();
      for (int64_t i = 0; i < m; i += 5) {
        for (int64_t p = 0; p < PanelCount(n); p += 3) {
          kernels.run(g, i, std::min(m, i + 5), p, std::min(PanelCount(n), p + 3));
        }
      }
      EXPECT_EQ(whole, parts) << k;
      in_place = residual;
      g.c = in_place.data(), g.epilogue.residual = in_place.data();
      kernels.run(g, 0, m, 0, PanelCount(n));
      EXPECT_EQ(whole, in_place) << k;
    }
  }
}

TEST(Gemm, SegmentsOfARow) {
  for (CpuLevel level : FloatLevels()) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{9, 20}, {61, 16}, {61, 71}}) {
      const int64_t k = 10;
      std::vector<float> a(300), b(k * n), packed(PackedSizeF32(k, n)), c(m * n);
      Numbers numbers;
      numbers.Fill(a), numbers.Fill(b);
      PackF32(b.data(), k, n, n, 1, packed.data());
      const SegmentF32 segments[] = {{&a[7], 3}, {&a[90], 6}, {&a[1], 0}, {&a[150], 1}};
      GemmF32 g;
      g.segments = segments, g.segment_count = 4, g.a_row_stride = 2;
      g.m = m, g.n = n, g.k = k, g.c = c.data(), g.c_row_stride = n;
      UsePackedB(&g, packed.data());
      PickGemmF32(level).run(g, 0, m, 0, PanelCount(n));
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          int64_t row = 0;
          for (const SegmentF32& s : segments) {
            for (int64_t x = 0; x < s.k; ++x) sum += static_cast<double>(s.a[i * 2 + x]) * b[row++ * n + j];
          }
          ASSERT_NEAR(c[i * n + j], sum, 1e-5);
        }
      }
    }
  }
}

TEST(Gemm, ResidualInPlace) {
  for (CpuLevel level : FloatLevels()) {
    const int64_t m = 15, n = 35;
    std::vector<float> a(m, 1), packed(PackedSizeF32(1, n)), b(n, 2.0f), c(m * n, 3.0f);
    PackF32(b.data(), 1, n, n, 1, packed.data());
    GemmF32 g;
    g.a = a.data(), g.a_row_stride = 1, g.m = m, g.n = n, g.k = 1, g.c = c.data(), g.c_row_stride = n;
    UsePackedB(&g, packed.data());
    g.epilogue.residual = c.data(), g.epilogue.residual_row_stride = n;
    PickGemmF32(level).run(g, 0, m, 0, PanelCount(n));
    EXPECT_EQ(c, std::vector<float>(m * n, 5.0f));
  }
}

TEST(Gemm, BoundsKeepNotANumber) {
  for (CpuLevel level : FloatLevels()) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {15, 35}, {30, 16}}) {
      for (Activation activation : {Activation::kRelu, Activation::kClip}) {
        std::vector<float> a(m, std::numeric_limits<float>::quiet_NaN()), b(n, 1.0f), c(m * n), packed(PackedSizeF32(1, n));
        PackF32(b.data(), 1, n, n, 1, packed.data());
        GemmF32 g;
        g.a = a.data(), g.a_row_stride = 1, g.m = m, g.n = n, g.k = 1, g.c = c.data(), g.c_row_stride = n;
        UsePackedB(&g, packed.data());
        g.epilogue.activation = activation, g.epilogue.alpha = 0, g.epilogue.beta = 6;
        PickGemmF32(level).run(g, 0, m, 0, PanelCount(n));
        for (float x : c) ASSERT_TRUE(std::isnan(x)) << CpuLevelName(level) << " " << m << " x " << n;
      }
    }
  }
}

TEST(Gemm, PackAnyStrides) {
  for (int64_t k : {1, 3, 4, 9}) {
    for (int64_t n : {1, 15, 16, 33}) {
      for (bool columns_contiguous : {false, true}) {
        const int64_t row_stride = columns_contiguous ? 1 : n + 1,
                      col_stride = columns_contiguous ? k + 2 : 1;
        Guarded<float> b((k - 1) * row_stride + (n - 1) * col_stride + 1), out(PackedSizeF32(k, n), 9.0f);
        Numbers().Fill(b);
        PackPanelsF32(b.data(), k, n, row_stride, col_stride, 2.0f, 0, PanelCount(n), out.data());
        for (int64_t j = 0; j < PanelCount(n) * 16; ++j) {
          for (int64_t i = 0; i < k; ++i) {
            float expected = j < n ? 2.0f * b[i * row_stride + j * col_stride] : 0.0f;
            ASSERT_EQ(out[(j / 16 * k + i) * 16 + j % 16], expected);
          }
        }
      }
    }
  }
}

TEST(Gemm, GrainCoversTheProblem) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t m : {1, 4, 49, 3136}) {
      for (int64_t n : {1, 16, 1000}) {
        GemmGrain grain = GemmGrainF32(PickGemmF32(level), m, n, 256, 2);
        EXPECT_GE(grain.rows, 1);
        EXPECT_LE(grain.rows, m);
        EXPECT_GE(grain.panels, 1);
        EXPECT_LE(grain.panels, PanelCount(n));
      }
    }
  }
}

}  // namespace
}  // namespace linnet
