// Matrix product of operands rounded to bfloat16 and float16, at every instruction set and on emulated tiles, against sums in double
// precision of operands rounded one by one, with unreadable memory behind each array.
#include "kernels/half/half_gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/float_types.h"
#include "half_test_util.h"
#include "guarded.h"

namespace linnet {
namespace {

struct Case {
  int64_t m, n, k;
  bool bias = true, residual = false;
  Activation activation = Activation::kNone;
};

/// Rows [0, m) in pieces of `rows`, panels in pieces of `panels`.
void RunInPieces(const HalfKernels& kernels, const GemmHalf& g, int64_t rows, int64_t panels, void* scratch) {
  for (int64_t i = 0; i < g.m; i += rows) {
    for (int64_t p = 0; p < PanelCount(g.n); p += panels) {
      RunGemmHalf(kernels, g, i, std::min(g.m, i + rows), p, std::min(PanelCount(g.n), p + panels), scratch);
    }
  }
}

void Check(const HalfKernels& kernels, const Case& t) {
  SCOPED_TRACE(testing::Message() << kernels.name << " m " << t.m << " n " << t.n << " k " << t.k << " activation "
                                  << static_cast<int>(t.activation));
  Numbers numbers;
  const int64_t a_stride = t.k + 3, c_stride = t.n + 5, r_stride = t.n + 1, b_stride = t.n + 2;
  Guarded<float> a(std::max<int64_t>(0, (t.m - 1) * a_stride + t.k)), b(std::max<int64_t>(0, (t.k - 1) * b_stride + t.n)), bias(t.n);
  Guarded<float> c((t.m - 1) * c_stride + t.n, 77.0f), residual((t.m - 1) * r_stride + t.n);
  Guarded<char> packed(PackedSizeHalf(t.k, t.n)), scratch(GemmHalfScratchBytes(kernels, t.m, t.n, t.k));
  numbers.Fill(a), numbers.Fill(b), numbers.Fill(bias), numbers.Fill(residual);
  GemmHalf g;
  g.a = a.data(), g.a_row_stride = a_stride;
  g.m = t.m, g.n = t.n, g.k = t.k;
  g.packed = packed.data();
  g.c = c.data(), g.c_row_stride = c_stride;
  g.epilogue.activation = t.activation;
  g.epilogue.alpha = t.activation == Activation::kClip ? -0.5f : 0.25f, g.epilogue.beta = 0.4f;
  if (t.bias) g.epilogue.bias = bias.data();
  if (t.residual) g.epilogue.residual = residual.data(), g.epilogue.residual_row_stride = r_stride;
  PackHalf(kernels.format, b.data(), t.k, t.n, b_stride, 1, packed.data());
  RunGemmHalf(kernels, g, 0, t.m, 0, PanelCount(t.n), scratch.data());
  for (int64_t i = 0; i < t.m; ++i) {
    for (int64_t j = 0; j < t.n; ++j) {
      double sum = 0, size = 1;
      for (int64_t x = 0; x < t.k; ++x) {
        const double y = double{RoundedTo(kernels.format, a[i * a_stride + x])} * double{RoundedTo(kernels.format, b[x * b_stride + j])};
        sum += y, size += std::fabs(y);
      }
      if (t.bias) sum += static_cast<double>(bias[j]);
      if (t.residual) sum += static_cast<double>(residual[i * r_stride + j]);
      double wanted = sum;
      if (t.activation == Activation::kRelu) wanted = std::max(sum, 0.0);
      if (t.activation == Activation::kClip) wanted = std::min(std::max(sum, -0.5), 0.4);
      if (t.activation == Activation::kGelu) wanted = sum * (1 + std::erf(sum / std::sqrt(2.0))) / 2;
      ASSERT_NEAR(static_cast<double>(c[i * c_stride + j]), wanted, size * SumTolerance(kernels, t.k)) << "at " << i << ", " << j;
    }
    for (int64_t j = t.n; j < c_stride && i + 1 < t.m; ++j) ASSERT_EQ(c[i * c_stride + j], 77.0f) << "wrote beyond a row";
  }
  EXPECT_TRUE(c.Intact());
}

TEST(HalfGemm, EveryTileHeightAndWidth) {
  for (const HalfKernels* kernels : AllHalfKernels()) {
    for (int64_t m = 1; m <= 70; ++m) {
      for (int64_t n : {1, 15, 16, 17, 32, 33, 49, 64, 65}) Check(*kernels, {m, n, 5});
    }
    for (int64_t m : {1, 2, 3, 7, 16, 17}) {
      for (int64_t n = 1; n <= 150; n += 3) Check(*kernels, {m, n, 3});
    }
    for (int64_t k : {0, 1, 2, 3, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 96, 255, 256, 300}) Check(*kernels, {19, 37, k});
    for (int64_t k : {1, 31, 32, 33, 300}) Check(*kernels, {1, 200, k});
  }
}

TEST(HalfGemm, Epilogues) {
  for (const HalfKernels* kernels : AllHalfKernels()) {
    for (Activation activation : {Activation::kNone, Activation::kRelu, Activation::kClip, Activation::kGelu}) {
      for (bool bias : {false, true}) {
        for (bool residual : {false, true}) {
          Check(*kernels, {1, 43, 6, bias, residual, activation});
          Check(*kernels, {5, 43, 6, bias, residual, activation});
          Check(*kernels, {49, 40, 70, bias, residual, activation});
        }
      }
    }
  }
}

// Big enough for every loop order: blocks of rows while B stays in a cache, and of all rows where it does not.
TEST(HalfGemm, LoopOrders) {
  for (const HalfKernels* kernels : AllHalfKernels()) {
    Check(*kernels, {20, 1030, 300});
    Check(*kernels, {150, 150, 1000});
    Check(*kernels, {300, 24, 100});
  }
}

TEST(HalfGemm, SplitsAreBitEqual) {
  for (const HalfKernels* kernels : AllHalfKernels()) {
    for (int64_t m : {1, 23, 49, 200}) {
      const int64_t n = 117, k = 150;
      std::vector<float> a(m * k), b(k * n), whole(m * n), parts(m * n);
      Guarded<char> packed(PackedSizeHalf(k, n)), scratch(GemmHalfScratchBytes(*kernels, m, n, k));
      Numbers numbers;
      numbers.Fill(a), numbers.Fill(b);
      PackHalf(kernels->format, b.data(), k, n, n, 1, packed.data());
      GemmHalf g;
      g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.packed = packed.data(), g.c = whole.data(), g.c_row_stride = n;
      RunGemmHalf(*kernels, g, 0, m, 0, PanelCount(n), scratch.data());
      for (int64_t rows : {1, 5, 16, 33}) {
        g.c = parts.data();
        std::fill(parts.begin(), parts.end(), 0.0f);
        RunInPieces(*kernels, g, rows, rows % 4 + 1, scratch.data());
        EXPECT_EQ(whole, parts) << kernels->name << " m " << m << " rows " << rows;
      }
    }
  }
}

// What the processor computes is what the emulation says: the order of sums, and the rounding of operands.
TEST(HalfGemm, TilesComputeWhatTheirEmulationDoes) {
  if (!Supports(DetectedCpuLevel(), CpuLevel::kAmx)) GTEST_SKIP() << "no AMX here";
  const HalfKernels &amx = PickHalf(HalfFormat::kBfloat16, CpuLevel::kAmx), &emulated = *EmulatedTilesBf16(CpuLevel::kAmx);
  const int64_t m = 37, n = 70, k = 330;
  std::vector<float> a(m * k), b(k * n), ours(m * n), theirs(m * n);
  Guarded<char> packed(PackedSizeHalf(k, n)), scratch(GemmHalfScratchBytes(amx, m, n, k));
  Numbers numbers;
  numbers.Fill(a), numbers.Fill(b);
  PackHalf(HalfFormat::kBfloat16, b.data(), k, n, n, 1, packed.data());
  GemmHalf g;
  g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.packed = packed.data(), g.c = ours.data(), g.c_row_stride = n;
  RunGemmHalf(amx, g, 0, m, 0, PanelCount(n), scratch.data());
  g.c = theirs.data();
  RunGemmHalf(emulated, g, 0, m, 0, PanelCount(n), scratch.data());
  EXPECT_EQ(ours, theirs);
}

// float16 sums as IEEE 754 has them: fused multiply-adds in the order of k, 64 of them, whose sum is added to a float32 one.
TEST(HalfGemm, LanesAddAsTheySay) {
  if (!Supports(DetectedCpuLevel(), CpuLevel::kDotprod)) GTEST_SKIP() << "no float16 arithmetic here";
  const HalfKernels& lanes = PickHalf(HalfFormat::kFloat16, CpuLevel::kDotprod);
  for (auto [m, n, k] : {std::array<int64_t, 3>{11, 21, 200}, {1, 90, 130}, {8, 16, 64}, {5, 40, 33}}) {
    std::vector<float> a(m * k), b(k * n), c(m * n);
    Guarded<char> packed(PackedSizeHalf(k, n)), scratch(GemmHalfScratchBytes(lanes, m, n, k));
    Numbers numbers;
    numbers.Fill(a), numbers.Fill(b);
    PackHalf(HalfFormat::kFloat16, b.data(), k, n, n, 1, packed.data());
    GemmHalf g;
    g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.packed = packed.data(), g.c = c.data(), g.c_row_stride = n;
    RunGemmHalf(lanes, g, 0, m, 0, PanelCount(n), scratch.data());
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t x = 0; x < k; x += 64) {
          Float16 part = ToFloat16(0.0f);
          for (int64_t y = x; y < std::min(k, x + 64); ++y) {
            const double product = double{RoundedTo(HalfFormat::kFloat16, a[i * k + y])} * double{RoundedTo(HalfFormat::kFloat16, b[y * n + j])};
            part = ToFloat16(RoundToOdd(double{ToFloat(part)} + product));
          }
          sum += ToFloat(part);
        }
        ASSERT_EQ(c[i * n + j], sum) << m << " x " << n << " x " << k << " at " << i << ", " << j;
      }
    }
  }
}

// Halfway cases, the edges of the range, infinities and NaN, as base/float_types.h rounds them. Denormal floats are left out: they
// may count as zeros.
TEST(HalfGemm, RoundsAsCastDoes) {
  std::vector<uint32_t> bits;
  for (uint32_t high : {0x0080u, 0x3F80u, 0x3F81u, 0x7F7Fu, 0x7F80u, 0xBF80u, 0xFF7Fu, 0xFF80u, 0x4049u}) {
    for (uint32_t low : {0x0000u, 0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) bits.push_back(high << 16 | low);
  }
  // Of float16: halfway between two, the largest, and what no longer is one; denormals, and halfway to the least of them.
  for (uint32_t b : {0x3F801000u, 0x3F800FFFu, 0x3F803000u, 0x477FE000u, 0x477FEFFFu, 0x477FF000u, 0xC77FF000u, 0x47800000u, 0x387FC000u, 0x38800000u, 0x387FFFFFu,
                     0x33800000u, 0x33000000u, 0x33000001u, 0x33C00000u, 0xB3C00000u, 0x36123456u}) {
    bits.push_back(b);
  }
  bits.push_back(0), bits.push_back(0x80000000u);
  for (uint32_t nan : {0x7FC00000u, 0x7FFFFFFFu, 0xFFC12345u}) bits.push_back(nan);
  std::vector<float> numbers;
  for (uint32_t b : bits) numbers.push_back(FloatOfBits(b));
  const int64_t n = static_cast<int64_t>(numbers.size());
  for (const HalfKernels* kernels : AllHalfKernels()) {
    for (int64_t count : {n, int64_t{1}, int64_t{16}, int64_t{17}, int64_t{33}}) {
      const Guarded<float> a(std::vector<float>(numbers.begin(), numbers.begin() + count));
      Guarded<char> out(count * kernels->block_bytes);
      kernels->load(a.data(), count, out.data());
      for (int64_t i = 0; i < count; ++i) {
        float is;
        if (kernels->block_bytes == 4) {
          memcpy(&is, out.data() + i * 4, 4);
        } else {
          uint16_t got;
          memcpy(&got, out.data() + i * 2, 2);
          is = kernels->format == HalfFormat::kBfloat16 ? ToFloat(Bfloat16{got}) : ToFloat(Float16{got});
        }
        const float wanted = RoundedTo(kernels->format, a[i]);
        if (wanted != wanted) {
          EXPECT_NE(is, is) << kernels->name << " " << bits[static_cast<size_t>(i)];
        } else {
          EXPECT_EQ(BitsOf(is), BitsOf(wanted)) << kernels->name << " " << std::hex << bits[static_cast<size_t>(i)];
        }
      }
    }
  }
}

// Every number of 16 bits as a weight, denormals, infinities and NaN among them, times one.
TEST(HalfGemm, WidensEveryWeight) {
  for (HalfFormat format : {HalfFormat::kBfloat16, HalfFormat::kFloat16}) {
    const int64_t n = 1 << 16;
    std::vector<float> b(n), c(n);
    for (int64_t j = 0; j < n; ++j) {
      const auto number = static_cast<uint16_t>(j);
      b[j] = format == HalfFormat::kBfloat16 ? ToFloat(Bfloat16{number}) : ToFloat(Float16{number});
    }
    std::vector<char> packed(PackedSizeHalf(1, n));
    PackHalf(format, b.data(), 1, n, n, 1, packed.data());
    for (const HalfKernels* kernels : AllHalfKernels(format)) {
      std::vector<float> a(3, 1.0f);
      Guarded<char> scratch(GemmHalfScratchBytes(*kernels, 1, n, 1));
      GemmHalf g;
      g.a = a.data(), g.a_row_stride = 1, g.m = 1, g.n = n, g.k = 1, g.packed = packed.data(), g.c = c.data(), g.c_row_stride = n;
      RunGemmHalf(*kernels, g, 0, 1, 0, PanelCount(n), scratch.data());
      for (int64_t j = 0; j < n; ++j) {
        if (std::isnan(b[j])) {
          EXPECT_TRUE(std::isnan(c[j])) << kernels->name << " " << j;
        } else if (std::fabs(b[j]) >= 0x1p-126f || b[j] == 0) {
          EXPECT_EQ(c[j], b[j]) << kernels->name << " " << j;
        }
      }
    }
  }
}

TEST(HalfGemm, PacksTransposedAndScaled) {
  const int64_t k = 77, n = 35;
  std::vector<float> b(k * n), turned(k * n), scaled(k * n);
  Numbers numbers;
  numbers.Fill(b);
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < n; ++j) turned[j * k + i] = b[i * n + j], scaled[i * n + j] = b[i * n + j] * 0.5f;
  }
  for (HalfFormat format : {HalfFormat::kBfloat16, HalfFormat::kFloat16}) {
    std::vector<char> plain(PackedSizeHalf(k, n), 1), other(PackedSizeHalf(k, n), 2);
    PackPanelsHalf(format, b.data(), k, n, n, 1, 0.5f, 0, PanelCount(n), plain.data());
    PackPanelsHalf(format, turned.data(), k, n, 1, k, 0.5f, 0, PanelCount(n), other.data());
    EXPECT_EQ(plain, other);
    PackHalf(format, scaled.data(), k, n, n, 1, other.data());
    EXPECT_EQ(plain, other);
  }
}

TEST(HalfGemm, StandsInForFloat32) {
  std::vector<CpuLevel> levels = FloatLevels();
  levels.push_back(DetectedCpuLevel());
  for (HalfFormat format : {HalfFormat::kBfloat16, HalfFormat::kFloat16}) {
    for (CpuLevel level : levels) {
      const GemmF32Kernels& kernels = GemmHalfAsF32(format, level);
      const HalfKernels& half = PickHalf(format, level);
      const int64_t m = 70, n = 37, k = 1000;
      std::vector<float> a(m * k), b(k * n), c(m * n), wanted(m * n);
      Guarded<char> packed(PackedSizeHalf(k, n)), scratch(GemmHalfScratchBytes(half, m, n, k));
      Numbers numbers;
      numbers.Fill(a), numbers.Fill(b);
      PackHalf(format, b.data(), k, n, n, 1, packed.data());
      GemmHalf whole;
      whole.a = a.data(), whole.a_row_stride = k, whole.m = m, whole.n = n, whole.k = k, whole.packed = packed.data();
      whole.c = wanted.data(), whole.c_row_stride = n;
      RunGemmHalf(half, whole, 0, m, 0, PanelCount(n), scratch.data());
      GemmF32 g;
      g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.c = c.data(), g.c_row_stride = n;
      UsePackedB(&g, reinterpret_cast<const float*>(packed.data()));
      kernels.run(g, 0, 50, 0, PanelCount(n));
      kernels.run(g, 50, m, 0, PanelCount(n));
      EXPECT_EQ(c, wanted) << CpuLevelName(level);
    }
  }
}

}  // namespace
}  // namespace linnet
