// Product of 8-bit matrices at every instruction set against exact sums, with unreadable memory behind each array.
#include "kernels/int8/int8_gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <functional>

#include "guarded.h"
#include "int8_test_util.h"

namespace linnet {
namespace {

using To = FinishInt8::To;

struct Case {
  int64_t m, n, k;
  bool a_signed = false, b_signed = true;
  To to = To::kInt32;
  int a_zero = 0;
  bool column_zeros = false, bias = false, residual = false, extremes = false;
  Activation activation = Activation::kNone;
  bool transposed = false;
  bool from_zero = false;   ///< bytes without a zero point and bounds of their own, some of them halves before they are rounded
  Activated activated{};    ///< kActivated
  bool to_signed = false;
};

std::ostream& operator<<(std::ostream& out, const Case& t) {
  return out << "m " << t.m << " n " << t.n << " k " << t.k << (t.a_signed ? " s8" : " u8") << (t.b_signed ? " s8" : " u8")
             << " to " << static_cast<int>(t.to) << " a_zero " << t.a_zero << " column zeros " << t.column_zeros;
}

/// The product as the header defines it, and C as the kernels of each level make it.
class Product {
 public:
  explicit Product(const Case& t)
      : t_(t), a_((t.m - 1) * (t.k + 3) + t.k), b_(t.k * t.n), packed_(PackedSizeInt8(t.k, t.n), std::byte{0x55}),
        zeros_(PanelCount(t.n) * 16), bias_(t.n), scale_(PanelCount(t.n) * 16), float_bias_(PanelCount(t.n) * 16),
        residual_(t.m * (t.n + 1)) {
    Bytes bytes(static_cast<uint64_t>(t.m * 7919 + t.n * 104729 + t.k));
    for (int64_t i = 0; i < a_.size(); ++i) a_[i] = t.extremes ? (t.a_signed ? 0x80 : 0xff) : bytes.Next();
    for (int64_t i = 0; i < b_.size(); ++i) b_[i] = t.extremes ? (t.b_signed ? 0x80 : 0x00) : bytes.Next();
    for (int64_t j = 0; j < t.n; ++j) {
      zeros_[j] = static_cast<int8_t>(bytes.Next());
      bias_[j] = static_cast<int32_t>(bytes.Next()) * 1000 - 120000;
      scale_[j] = static_cast<float>(bytes.Next() + 1) * 1e-5f;
      float_bias_[j] = static_cast<float>(bytes.Next()) * 0.01f - 1;
    }
    if (t.from_zero) {
      // Panel 2 has a scale that is negative, panel 3 one that is large.
      for (int64_t j = 0; j < t.n; ++j) {
        scale_[j] = j % 2 ? static_cast<float>(bytes.Next()) * 6e-5f : std::ldexp(1.0f, static_cast<int>(-3 - j % 7));
        if (j == 40) scale_[j] = -0.01f;
        if (j == 50) scale_[j] = 1e20f;
      }
    }
    for (int64_t i = 0; i < residual_.size(); ++i) residual_[i] = static_cast<float>(bytes.Next()) * 0.01f - 1;
    PackInt8(b_.data(), t.b_signed, t.k, t.n, t.transposed ? 1 : t.n, t.transposed ? t.k : 1, packed_.data());
  }

  int64_t A(int64_t i, int64_t k) const {
    const uint8_t v = a_[i * (t_.k + 3) + k];
    return t_.a_signed ? static_cast<int8_t>(v) : v;
  }
  int64_t B(int64_t k, int64_t j) const {
    const uint8_t v = t_.transposed ? b_[j * t_.k + k] : b_[k * t_.n + j];
    return t_.b_signed ? static_cast<int8_t>(v) : v;
  }
  /// The zero point of column j as users of the kernel see it: that of packed unsigned weights is 128 less.
  int64_t BZero(int64_t j) const { return (t_.column_zeros ? zeros_[j] : 0) + (t_.b_signed ? 0 : 128); }

  int32_t Sum(int64_t i, int64_t j) const {
    uint64_t sum = static_cast<uint64_t>(static_cast<int64_t>(t_.bias ? bias_[j] : 0));
    for (int64_t k = 0; k < t_.k; ++k) sum += static_cast<uint64_t>((A(i, k) - t_.a_zero) * (B(k, j) - BZero(j)));
    return static_cast<int32_t>(static_cast<uint32_t>(sum));
  }

  template <class T>
  void Check(const Int8Kernels& kernels, int64_t row_grain, int64_t panel_grain) {
    SCOPED_TRACE(testing::Message() << kernels.name << " " << t_);
    const int64_t c_stride = t_.n + 5;
    Guarded<T> c((t_.m - 1) * c_stride + t_.n, T(77));
    Guarded<int32_t> offset(PanelCount(t_.n) * 16);
    OffsetsInt8(kernels, t_.a_signed, t_.a_zero, PackedSums(packed_.data()), t_.column_zeros ? zeros_.data() : nullptr,
                t_.bias ? bias_.data() : nullptr, t_.k, t_.n, offset.data());
    GemmInt8 g;
    g.a = a_.data(), g.a_row_stride = t_.k + 3, g.a_signed = t_.a_signed;
    g.m = t_.m, g.n = t_.n, g.k = t_.k;
    g.packed = packed_.data();
    g.near = row_grain == 5;
    g.finish.to = t_.to;
    g.finish.offset = offset.data();
    if (t_.column_zeros) g.finish.column_zero = zeros_.data();
    g.finish.scale = scale_.data();
    g.finish.zero = std::is_signed_v<T> ? -3 : 100;
    if constexpr (sizeof(T) == 1) {
      g.finish.low = static_cast<float>(std::numeric_limits<T>::min() - g.finish.zero + 2);
      g.finish.high = static_cast<float>(std::numeric_limits<T>::max() - g.finish.zero - 1);
      if (t_.from_zero) g.finish.zero = 0, g.finish.low = 0, g.finish.high = 255;
    }
    g.finish.c = c.data(), g.finish.c_row_stride = c_stride;
    if (t_.to == To::kFloat) {
      g.finish.epilogue.activation = t_.activation;
      g.finish.epilogue.alpha = -1, g.finish.epilogue.beta = 1.5f;
      if (t_.bias) g.finish.epilogue.bias = float_bias_.data();
      if (t_.residual) g.finish.epilogue.residual = residual_.data(), g.finish.epilogue.residual_row_stride = t_.n + 1;
    }
    const Guarded<uint8_t> table(TableOfBytes());
    if (t_.to == To::kActivated) {
      g.finish.epilogue.bias = float_bias_.data(), g.finish.epilogue.activation = t_.activated.activation, g.finish.epilogue.alpha = t_.activated.alpha;
      g.finish.to_signed = t_.to_signed;
      if (t_.to_signed) g.finish.zero = -3, g.finish.low = -124, g.finish.high = 129;
      if (t_.activated.table) g.finish.table = table.data(), g.finish.high = static_cast<float>(table.size() - 1);
    }
    Guarded<std::byte> scratch(GemmInt8ScratchBytes(kernels, t_.m, t_.k)), orders(OrdersBytesInt8(kernels, t_.k, t_.n));
    if (row_grain != 5) g.orders = orders.data();
    for (int64_t i = 0; i < t_.m; i += row_grain) {
      for (int64_t p = 0; p < PanelCount(t_.n); p += panel_grain) {
        RunGemmInt8(kernels, g, i, std::min(t_.m, i + row_grain), p, std::min(PanelCount(t_.n), p + panel_grain), scratch.data());
      }
    }
    for (int64_t i = 0; i < t_.m; ++i) {
      for (int64_t j = 0; j < t_.n; ++j) ASSERT_EQ(c[i * c_stride + j], (Expected<T>(g, i, j))) << "at " << i << ", " << j;
      for (int64_t j = t_.n; j < c_stride && i + 1 < t_.m; ++j) ASSERT_EQ(c[i * c_stride + j], T(77)) << "wrote beyond a row";
    }
    ASSERT_TRUE(c.Intact() && scratch.Intact() && orders.Intact());
  }

  template <class T>
  T Expected(const GemmInt8& g, int64_t i, int64_t j) const {
    const int32_t sum = Sum(i, j);
    if constexpr (std::is_same_v<T, int32_t>) {
      return sum;
    } else if constexpr (std::is_same_v<T, float>) {
      volatile float y = static_cast<float>(sum) * scale_[j];   // volatile: each step is rounded
      if (t_.bias) y = y + float_bias_[j];
      if (t_.residual) y = y + residual_[i * (t_.n + 1) + j];
      if (t_.activation == Activation::kClip) y = std::min(std::max(static_cast<float>(y), -1.0f), 1.5f);
      return y;
    } else if (t_.to == To::kActivated) {
      return static_cast<T>(ActivatedByteOf(g.finish, sum, scale_[j], float_bias_[j]));
    } else {
      const float y = std::min(std::max(static_cast<float>(sum) * scale_[j], g.finish.low), g.finish.high);
      return static_cast<T>(static_cast<int32_t>(std::nearbyint(y)) + g.finish.zero);
    }
  }

 private:
  Case t_;
  Guarded<uint8_t> a_, b_;
  Guarded<std::byte> packed_;
  Guarded<int32_t> zeros_, bias_;
  Guarded<float> scale_, float_bias_, residual_;
};

void Check(const Case& t) {
  Product product(t);
  for (const Int8Kernels* kernels : IntegerKernels()) {
    for (int64_t grain : {int64_t{1000}, int64_t{5}}) {
      switch (t.to) {
        case To::kInt32: product.Check<int32_t>(*kernels, grain, grain == 5 ? 3 : 1000); break;
        case To::kFloat: product.Check<float>(*kernels, grain, 1000); break;
        case To::kInt8: product.Check<int8_t>(*kernels, grain, 1000); break;
        case To::kUint8:
        case To::kActivated: product.Check<uint8_t>(*kernels, grain, 1000); break;
      }
    }
  }
}

TEST(GemmInt8, EveryTileAndRemainder) {
  for (int64_t m = 1; m <= 30; ++m) {
    for (int64_t n : {1, 7, 15, 16, 17, 33}) Check({m, n, 9});
  }
  for (int64_t n = 1; n <= 65; ++n) Check({5, n, 7, true});
  for (int64_t k = 1; k <= 70; ++k) {
    Check({7, 19, k});
    Check({7, 19, k, true});
  }
}

TEST(GemmInt8, BlocksOfTiles) {
  for (int64_t m : {15, 16, 17, 31, 32, 33, 48, 49, 65, 80}) {
    for (int64_t n : {16, 40, 81}) {
      for (int64_t k : {64, 129}) {
        Check({m, n, k, (m & 1) != 0, true, To::kUint8, 3, false, true});
        Check({m, n, k, (m & 1) != 0, true, To::kFloat, 3, k == 129, false, true});
      }
    }
  }
  Check({33, 260, 4100, false, true, To::kInt8, 128});   // B is larger than a cache
}

TEST(GemmInt8, ActivatedBytes) {
  for (const Activated& activated : AllActivated()) {
    for (bool to_signed : {false, true}) {
      for (int64_t m : {1, 6, 15, 33}) {
        for (int64_t n : {5, 16, 64, 81}) {
          Case t{m, n, m == 6 ? 30 : 64, to_signed, true, To::kActivated, 3, n == 81, n == 64};
          t.activated = activated, t.to_signed = to_signed;
          Check(t);
        }
      }
    }
  }
}

// A row alone, four panels at a time, whose bytes end anywhere.
TEST(GemmInt8, OneRow) {
  for (int64_t n : {64, 75, 130, 200}) {
    for (int64_t k : {4, 64, 66, 130}) {
      Check({1, n, k, false, true, To::kFloat, 3, k == 66, false, n == 130});
      Check({1, n, k, false, false, To::kUint8, 3, true, true});
    }
  }
}

TEST(GemmInt8, SignsZeroPointsAndBias) {
  for (bool a_signed : {false, true}) {
    for (bool b_signed : {false, true}) {
      for (bool zeros : {false, true}) {
        for (bool bias : {false, true}) {
          for (To to : {To::kInt32, To::kFloat, To::kInt8, To::kUint8}) {
            Check({13, 35, 21, a_signed, b_signed, to, a_signed ? -128 : 255, true, bias});
            Check({4, 16, 64, a_signed, b_signed, to, a_signed ? 5 : 128, zeros || !b_signed, bias});
          }
        }
      }
    }
  }
}

// Sums up to where a float's significand ends, and beyond.
TEST(GemmInt8, BytesFromZero) {
  for (int64_t k : {4, 8, 20, 27, 64, 160, 500, 509, 520, 1000}) {
    for (int64_t m : {1, 4, 6, 7, 13}) {
      Case t{m, 70, k, (k & 8) != 0, true, To::kUint8, (k & 8) != 0 ? 3 : 130, false, (m & 1) != 0};
      t.from_zero = true;
      Check(t);
      if (m != 7) continue;
      t.extremes = true;
      for (int zero : {-128, 127}) {
        t.a_zero = zero + (t.a_signed ? 0 : 128);
        Check(t);
      }
    }
  }
}

TEST(GemmInt8, Epilogues) {
  for (bool residual : {false, true}) {
    Check({9, 37, 20, false, true, To::kFloat, 3, false, true, residual, false, Activation::kClip});
    Check({9, 37, 20, false, true, To::kFloat, 3, false, false, residual, false, Activation::kNone});
  }
}

// Sums that saturate 16 bits in pairs, and that wrap 32 bits.
TEST(GemmInt8, Extremes) {
  for (bool a_signed : {false, true}) {
    for (int64_t k : {4, 64, 1000, 70000}) {
      Check({3, 17, k, a_signed, true, To::kInt32, a_signed ? 127 : 0, false, false, false, true});
      Check({7, 3, k, a_signed, false, To::kInt32, a_signed ? 127 : 0, true, false, false, true});
    }
  }
}

// The same with the rows that tiles have, and more summands than are sorted.
TEST(GemmInt8, ExtremesOfManyRows) {
  for (bool a_signed : {false, true}) {
    Check({15, 17, 1000, a_signed, true, To::kInt32, a_signed ? 127 : 0, false, false, false, true});
    Check({26, 3, 300, a_signed, false, To::kInt32, a_signed ? 127 : 0, true, false, false, true});
    Check({15, 3, 9000, a_signed, true, To::kInt32, a_signed ? 127 : 0, false, false, false, true});
  }
}

// Each sum of two weights, times each of some bytes: what just fits 16 bits, and what just does not.
TEST(GemmInt8, SumsOfPairsAroundTheLimit) {
  constexpr int64_t n = 16, k = 1024;
  std::vector<int8_t> b(k * n);
  for (int64_t i = 0; i < k; i += 2) {
    for (int64_t j = 0; j < n; ++j) {
      const int64_t sum = std::min<int64_t>(i / 2 - 256, 254), first = std::clamp<int64_t>(sum - (sum < 0 ? -128 : 127), -128, 127);
      b[i * n + j] = static_cast<int8_t>(first), b[(i + 1) * n + j] = static_cast<int8_t>(sum - first);
    }
  }
  std::vector<std::byte> packed(static_cast<size_t>(PackedSizeInt8(k, n)));
  PackInt8(b.data(), true, k, n, n, 1, packed.data());
  for (const Int8Kernels* kernels : IntegerKernels()) {
    // An order that was found for other rows, and other bytes.
    Guarded<std::byte> orders(OrdersBytesInt8(*kernels, k, n));
    for (const auto& [m, largest] : std::initializer_list<std::pair<int64_t, int>>{
             {17, 1}, {17, 64}, {17, 127}, {17, 128}, {17, 129}, {17, 160}, {17, 180}, {17, 200}, {17, 223}, {17, 240}, {17, 254}, {17, 255},
             {5, 255}, {9, 240}, {13, 160}, {1, 255}, {1, 254}, {1, 1}}) {
      SCOPED_TRACE(testing::Message() << kernels->name << ", " << m << " rows, bytes up to " << largest);
      std::vector<uint8_t> a(static_cast<size_t>(m * k));
      // Rows of the largest byte; rows where every other pair, or byte, is one less.
      for (int64_t i = 0; i < m * k; ++i) a[i] = static_cast<uint8_t>(largest - ((i / k) % 3 == 1 ? i / 2 % 2 : (i / k) % 3 == 2 ? i % 2 : 0));
      Guarded<int32_t> offset(n), c(m * n);
      OffsetsInt8(*kernels, false, 0, PackedSums(packed.data()), nullptr, nullptr, k, n, offset.data());
      Guarded<std::byte> scratch(GemmInt8ScratchBytes(*kernels, m, k));
      GemmInt8 g;
      g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.packed = packed.data();
      g.finish.offset = offset.data(), g.finish.c = c.data(), g.finish.c_row_stride = n;
      g.orders = orders.data();
      RunGemmInt8(*kernels, g, 0, m, 0, 1, scratch.data());
      for (int64_t i = 0; i < m; ++i) {
        int32_t sum = 0;
        for (int64_t x = 0; x < k; ++x) sum += a[i * k + x] * b[x * n];
        for (int64_t j = 0; j < n; ++j) ASSERT_EQ(c[i * n + j], sum) << "at " << i << ", " << j;
      }
    }
  }
}

TEST(GemmInt8, BlocksOfRows) {
  Check({150, 20, 3000});
  Check({40, 40, 5001, false, false, To::kUint8, 7, true});
}

TEST(GemmInt8, OneScale) {
  for (CpuLevel level : IntegerLevels()) {
    const int64_t n = 33, k = 4;
    std::vector<uint8_t> a(k, 3), b(k * n, 2);
    std::vector<std::byte> packed(static_cast<size_t>(PackedSizeInt8(k, n)));
    PackInt8(b.data(), true, k, n, n, 1, packed.data());
    Guarded<float> scale(16, 0.5f), c(n);
    Guarded<std::byte> scratch(GemmInt8ScratchBytes(PickInt8(level), 1, k));
    Guarded<int32_t> offset(PanelCount(n) * 16);
    OffsetsInt8(PickInt8(level), false, 0, PackedSums(packed.data()), nullptr, nullptr, k, n, offset.data());
    GemmInt8 g;
    g.a = a.data(), g.a_row_stride = k, g.m = 1, g.n = n, g.k = k, g.packed = packed.data();
    g.finish.offset = offset.data();
    g.finish.to = To::kFloat, g.finish.scale = scale.data(), g.finish.one_scale = true;
    g.finish.c = c.data(), g.finish.c_row_stride = n;
    RunGemmInt8(PickInt8(level), g, 0, 1, 0, PanelCount(n), scratch.data());
    for (int64_t j = 0; j < n; ++j) ASSERT_EQ(c[j], 12.0f);
  }
}

// What is not a number becomes the least of the bounds, in whole panels and beside them, in high tiles and in rows that are left.
TEST(GemmInt8, ScalesThatAreNoNumbers) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const int64_t m = 7, n = 40, k = 12;
  std::vector<uint8_t> a(m * k, 3), b(k * n, 2);
  for (int64_t i = 0; i < k; ++i) b[i * n + 5] = 0;   // a sum of zero
  std::vector<std::byte> packed(static_cast<size_t>(PackedSizeInt8(k, n)));
  PackInt8(b.data(), true, k, n, n, 1, packed.data());
  Guarded<float> scale(PanelCount(n) * 16, 0.25f);
  scale[3] = nan, scale[5] = inf, scale[6] = inf, scale[7] = -inf, scale[35] = nan;
  for (const Int8Kernels* kernels : IntegerKernels()) {
    SCOPED_TRACE(kernels->name);
    Guarded<int32_t> offset(PanelCount(n) * 16);
    OffsetsInt8(*kernels, false, 0, PackedSums(packed.data()), nullptr, nullptr, k, n, offset.data());
    Guarded<uint8_t> c(m * n);
    GemmInt8 g;
    g.a = a.data(), g.a_row_stride = k, g.m = m, g.n = n, g.k = k, g.packed = packed.data();
    g.finish.offset = offset.data(), g.finish.scale = scale.data();
    g.finish.to = To::kUint8, g.finish.low = -10, g.finish.high = 90, g.finish.zero = 20;
    g.finish.c = c.data(), g.finish.c_row_stride = n;
    Guarded<std::byte> scratch(GemmInt8ScratchBytes(*kernels, m, k));
    RunGemmInt8(*kernels, g, 0, m, 0, PanelCount(n), scratch.data());
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const int least = 10, most = 110, usual = 38;
        const int expected = j == 3 || j == 5 || j == 7 || j == 35 ? least : j == 6 ? most : usual;
        ASSERT_EQ(c[i * n + j], expected) << "at " << i << ", " << j;
      }
    }
    ASSERT_TRUE(c.Intact());
  }
}

TEST(GemmInt8, PacksTransposed) {
  Case t{5, 37, 11};
  t.transposed = true;
  Check(t);
}

// The layout that a prepared file carries, written out.
TEST(GemmInt8, PackedLayout) {
  const int64_t k = 6, n = 18;
  std::vector<uint8_t> b(k * n);
  for (int64_t i = 0; i < k * n; ++i) b[i] = static_cast<uint8_t>(i * 5);
  for (bool is_signed : {false, true}) {
    Guarded<std::byte> packed(PackedSizeInt8(k, n));
    PackInt8(b.data(), is_signed, k, n, n, 1, packed.data());
    for (int64_t j = 0; j < 32; ++j) {
      int32_t sum = 0;
      for (int64_t i = 0; i < 8; ++i) {
        const int stored = PackedPanels(packed.data(), n)[j / 16 * 8 * 16 + i / 4 * 64 + j % 16 * 4 + i % 4];
        const uint8_t w = i < k && j < n ? b[i * n + j] : 0;
        ASSERT_EQ(stored, i >= k || j >= n ? 0 : is_signed ? static_cast<int8_t>(w) : w - 128);
        sum += stored;
      }
      ASSERT_EQ(PackedSums(packed.data())[j], sum);
    }
  }
}

TEST(GemmInt8, GrainCoversTheProblem) {
  for (CpuLevel level : IntegerLevels()) {
    for (int64_t m : {1, 4, 49, 3136}) {
      for (int64_t n : {1, 16, 1000}) {
        for (int threads : {1, 2, 16}) {
          GemmGrain grain = GemmGrainInt8(PickInt8(level), m, n, 256, threads);
          EXPECT_TRUE(grain.rows >= 1 && grain.rows <= m && grain.panels >= 1 && grain.panels <= PanelCount(n));
        }
      }
    }
  }
}

}  // namespace
}  // namespace linnet
