// Matrix product of operands rounded to bfloat16, at every instruction set and on emulated tiles, against sums in double
// precision of operands rounded one by one, with unreadable memory behind each array.
#include "kernels/bf16/bf16_gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/float_types.h"
#include "bf16_test_util.h"
#include "guarded.h"

namespace linnet {
namespace {

struct Case {
  int64_t m, n, k;
  bool bias = true, residual = false;
  Activation activation = Activation::kNone;
};

/// Rows [0, m) in pieces of `rows`, panels in pieces of `panels`.
void RunInPieces(const Bf16Kernels& kernels, const GemmBf16& g, int64_t rows, int64_t panels, void* scratch) {
  for (int64_t i = 0; i < g.m; i += rows) {
    for (int64_t p = 0; p < PanelCount(g.n); p += panels) {
      RunGemmBf16(kernels, g, i, std::min(g.m, i + rows), p, std::min(PanelCount(g.n), p + panels), scratch);
    }
  }
}

void Check(const Bf16Kernels& kernels, const Case& t) {
  SCOPED_TRACE(testing::Message() << kernels.name << " m " << t.m << " n " << t.n << " k " << t.k << " activation "
                                  << static_cast<int>(t.activation));
  Numbers numbers;
  const int64_t a_stride = t.k + 3, c_stride = t.n + 5, r_stride = t.n + 1, b_stride = t.n + 2;
  Guarded<float> a(std::max<int64_t>(0, (t.m - 1) * a_stride + t.k)), b(std::max<int64_t>(0, (t.k - 1) * b_stride + t.n)), bias(t.n);
  Guarded<float> c((t.m - 1) * c_stride + t.n, 77.0f), residual((t.m - 1) * r_stride + t.n);
  Guarded<char> packed(PackedSizeBf16(t.k, t.n)), scratch(GemmBf16ScratchBytes(kernels, t.m, t.n, t.k));
  numbers.Fill(a), numbers.Fill(b), numbers.Fill(bias), numbers.Fill(residual);
  GemmBf16 g;
  g.a = a.data(), g.a_row_stride = a_stride;
  g.m = t.m, g.n = t.n, g.k = t.k;
  g.packed = packed.data();
  g.c = c.data(), g.c_row_stride = c_stride;
  g.epilogue.activation = t.activation;
  g.epilogue.alpha = t.activation == Activation::kClip ? -0.5f : 0.25f, g.epilogue.beta = 0.4f;
  if (t.bias) g.epilogue.bias = bias.data();
  if (t.residual) g.epilogue.residual = residual.data(), g.epilogue.residual_row_stride = r_stride;
  PackBf16(b.data(), t.k, t.n, b_stride, 1, packed.data());
  RunGemmBf16(kernels, g, 0, t.m, 0, PanelCount(t.n), scratch.data());
  for (int64_t i = 0; i < t.m; ++i) {
    for (int64_t j = 0; j < t.n; ++j) {
      double sum = 0, size = 1;
      for (int64_t x = 0; x < t.k; ++x) {
        const double y = RoundedToBf16(a[i * a_stride + x]) * RoundedToBf16(b[x * b_stride + j]);
        sum += y, size += std::fabs(y);
      }
      if (t.bias) sum += static_cast<double>(bias[j]);
      if (t.residual) sum += static_cast<double>(residual[i * r_stride + j]);
      double wanted = sum;
      if (t.activation == Activation::kRelu) wanted = std::max(sum, 0.0);
      if (t.activation == Activation::kClip) wanted = std::min(std::max(sum, -0.5), 0.4);
      if (t.activation == Activation::kGelu) wanted = sum * (1 + std::erf(sum / std::sqrt(2.0))) / 2;
      // Of float32 sums of exact products: far below what rounding the operands once more would change.
      ASSERT_NEAR(static_cast<double>(c[i * c_stride + j]), wanted, size * 1e-6) << "at " << i << ", " << j;
    }
    for (int64_t j = t.n; j < c_stride && i + 1 < t.m; ++j) ASSERT_EQ(c[i * c_stride + j], 77.0f) << "wrote beyond a row";
  }
  EXPECT_TRUE(c.Intact());
}

TEST(Bf16Gemm, EveryTileHeightAndWidth) {
  for (const Bf16Kernels* kernels : AllBf16Kernels()) {
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

TEST(Bf16Gemm, Epilogues) {
  for (const Bf16Kernels* kernels : AllBf16Kernels()) {
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
TEST(Bf16Gemm, LoopOrders) {
  for (const Bf16Kernels* kernels : AllBf16Kernels()) {
    Check(*kernels, {20, 1030, 300});
    Check(*kernels, {150, 150, 1000});
    Check(*kernels, {300, 24, 100});
  }
}

TEST(Bf16Gemm, SplitsAreBitEqual) {
  for (const Bf16Kernels* kernels : AllBf16Kernels()) {
    for (int64_t m : {1, 23, 49, 200}) {
      const int64_t n = 117, k = 150;
      std::vector<float> a(m * k), b(k * n), whole(m * n), parts(m * n);
      Guarded<char> packed(PackedSizeBf16(k, n)), scratch(GemmBf16ScratchBytes(*kernels, m, n, k));
      Numbers numbers;
      numbers.Fill(a), numbers.Fill(b);
      PackBf16(b.data(), k, n, n, 1, packed.data());
      GemmBf16 g;
      g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.packed = packed.data(), g.c = whole.data(), g.c_row_stride = n;
      RunGemmBf16(*kernels, g, 0, m, 0, PanelCount(n), scratch.data());
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
TEST(Bf16Gemm, TilesComputeWhatTheirEmulationDoes) {
  if (!Supports(DetectedCpuLevel(), CpuLevel::kAmx)) GTEST_SKIP() << "no AMX here";
  const Bf16Kernels &amx = PickBf16(CpuLevel::kAmx), &emulated = *EmulatedTilesBf16(CpuLevel::kAmx);
  const int64_t m = 37, n = 70, k = 330;
  std::vector<float> a(m * k), b(k * n), ours(m * n), theirs(m * n);
  Guarded<char> packed(PackedSizeBf16(k, n)), scratch(GemmBf16ScratchBytes(amx, m, n, k));
  Numbers numbers;
  numbers.Fill(a), numbers.Fill(b);
  PackBf16(b.data(), k, n, n, 1, packed.data());
  GemmBf16 g;
  g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.packed = packed.data(), g.c = ours.data(), g.c_row_stride = n;
  RunGemmBf16(amx, g, 0, m, 0, PanelCount(n), scratch.data());
  g.c = theirs.data();
  RunGemmBf16(emulated, g, 0, m, 0, PanelCount(n), scratch.data());
  EXPECT_EQ(ours, theirs);
}

// Halfway cases, the edges of the range, infinities and NaN, as base/float_types.h rounds them. Denormals are left out: they
// may count as zeros.
TEST(Bf16Gemm, RoundsAsCastDoes) {
  std::vector<uint32_t> bits;
  for (uint32_t high : {0x0080u, 0x3F80u, 0x3F81u, 0x7F7Fu, 0x7F80u, 0xBF80u, 0xFF7Fu, 0xFF80u, 0x4049u}) {
    for (uint32_t low : {0x0000u, 0x0001u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) bits.push_back(high << 16 | low);
  }
  bits.push_back(0), bits.push_back(0x80000000u);
  for (uint32_t nan : {0x7FC00000u, 0x7FFFFFFFu, 0xFFC12345u}) bits.push_back(nan);
  std::vector<float> numbers;
  for (uint32_t b : bits) numbers.push_back(FloatOfBits(b));
  const int64_t n = static_cast<int64_t>(numbers.size());
  for (const Bf16Kernels* kernels : AllBf16Kernels()) {
    for (int64_t count : {n, int64_t{1}, int64_t{16}, int64_t{17}, int64_t{33}}) {
      const Guarded<float> a(std::vector<float>(numbers.begin(), numbers.begin() + count));
      Guarded<char> out(count * kernels->block_bytes);
      kernels->load(a.data(), count, out.data());
      for (int64_t i = 0; i < count; ++i) {
        Bfloat16 got;
        memcpy(&got.bits, out.data() + i * kernels->block_bytes + (kernels->block_bytes == 4 ? 2 : 0), 2);
        const float wanted = ToFloat(ToBfloat16(a[i])), is = ToFloat(got);
        if (wanted != wanted) {
          EXPECT_NE(is, is) << kernels->name << " " << bits[static_cast<size_t>(i)];
        } else {
          EXPECT_EQ(BitsOf(is), BitsOf(wanted)) << kernels->name << " " << bits[static_cast<size_t>(i)];
        }
      }
    }
  }
}

TEST(Bf16Gemm, PacksTransposedAndScaled) {
  const int64_t k = 77, n = 35;
  std::vector<float> b(k * n), turned(k * n), scaled(k * n);
  Numbers numbers;
  numbers.Fill(b);
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < n; ++j) turned[j * k + i] = b[i * n + j], scaled[i * n + j] = b[i * n + j] * 0.5f;
  }
  std::vector<char> plain(PackedSizeBf16(k, n), 1), other(PackedSizeBf16(k, n), 2);
  PackPanelsBf16(b.data(), k, n, n, 1, 0.5f, 0, PanelCount(n), plain.data());
  PackPanelsBf16(turned.data(), k, n, 1, k, 0.5f, 0, PanelCount(n), other.data());
  EXPECT_EQ(plain, other);
  PackBf16(scaled.data(), k, n, n, 1, other.data());
  EXPECT_EQ(plain, other);
}

TEST(Bf16Gemm, StandsInForFloat32) {
  for (CpuLevel level : FloatLevels()) {
    const GemmF32Kernels& kernels = GemmBf16AsF32(level);
    const int64_t m = 70, n = 37, k = 1000;
    std::vector<float> a(m * k), b(k * n), c(m * n), wanted(m * n);
    Guarded<char> packed(PackedSizeBf16(k, n)), scratch(GemmBf16ScratchBytes(PickBf16(level), m, n, k));
    Numbers numbers;
    numbers.Fill(a), numbers.Fill(b);
    PackBf16(b.data(), k, n, n, 1, packed.data());
    GemmBf16 whole;
    whole.a = a.data(), whole.a_row_stride = k, whole.m = m, whole.n = n, whole.k = k, whole.packed = packed.data();
    whole.c = wanted.data(), whole.c_row_stride = n;
    RunGemmBf16(PickBf16(level), whole, 0, m, 0, PanelCount(n), scratch.data());
    GemmF32 g;
    g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.c = c.data(), g.c_row_stride = n;
    UsePackedB(&g, reinterpret_cast<const float*>(packed.data()));
    kernels.run(g, 0, 50, 0, PanelCount(n));
    kernels.run(g, 50, m, 0, PanelCount(n));
    EXPECT_EQ(c, wanted) << CpuLevelName(level);
  }
}

}  // namespace
}  // namespace linnet
