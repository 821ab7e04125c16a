// Products with weights in blocks: kernels against double precision at every level, with buffers that end at an unreadable page,
// and what the operator says to nodes that do not fit.
#include "kernels/nbits/nbits.h"

#include <math.h>

#include "guarded.h"
#include "ops_test_util.h"
#include "ulp.h"

namespace linnet {
namespace {

struct Weights {
  NBits shape;
  std::vector<uint8_t> codes, zeros;   ///< as the operator has them
  std::vector<float> scales;

  int64_t Code(const std::vector<uint8_t>& from, int64_t row, int64_t at, int64_t row_bytes) const {
    const uint8_t byte = from[static_cast<size_t>(row * row_bytes + at * shape.bits / 8)];
    return shape.bits == 8 ? byte : byte >> (at % 2 * 4) & 15;
  }
  double At(int64_t k, int64_t n, bool with_zeros) const {
    const int64_t block = k / shape.block, row_bytes = shape.padded_k() * shape.bits / 8, zero_bytes = (shape.blocks() * shape.bits + 7) / 8;
    const int64_t zero = with_zeros ? Code(zeros, n, block, zero_bytes) : shape.bits == 4 ? 8 : 128;
    return static_cast<double>(Code(codes, n, k, row_bytes) - zero) * scales[static_cast<size_t>(n * shape.blocks() + block)];
  }
};

Weights Random(int bits, int64_t block, int64_t k, int64_t n) {
  Weights w;
  w.shape.bits = bits, w.shape.block = block, w.shape.k = k, w.shape.n = n;
  Numbers numbers;
  auto bytes = [&](std::vector<uint8_t>& to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to.push_back(static_cast<uint8_t>(128 + 127 * numbers.Next()));
  };
  bytes(w.codes, n * w.shape.padded_k() * bits / 8);
  bytes(w.zeros, n * ((w.shape.blocks() * bits + 7) / 8));
  for (int64_t i = 0; i < n * w.shape.blocks(); ++i) w.scales.push_back(0.02f + 0.01f * numbers.Next());
  return w;
}

TEST(NBits, CodesTimesRowsAndPanels) {
  for (int bits : {4, 8}) {
    for (auto [block, k, n] : {std::tuple<int64_t, int64_t, int64_t>{16, 16, 16}, {16, 5, 1}, {32, 100, 37}, {64, 64, 17}, {256, 300, 31}}) {
      Weights w = Random(bits, block, k, n);
      const int64_t panels = PanelCount(n), padded = w.shape.padded_k(), blocks = w.shape.blocks();
      Guarded<uint32_t> words(panels * w.shape.words_a_panel());
      Guarded<float> scales(panels * w.shape.scales_a_panel());
      Guarded<int8_t> zeros(panels * w.shape.scales_a_panel());
      PackNBits(w.codes.data(), w.shape, words.data());
      PackNBitsScales(w.scales.data(), w.shape, scales.data());
      PackNBitsZeros(w.zeros.data(), w.shape, zeros.data());
      for (bool with_zeros : {false, true}) {
        NBits packed = w.shape;
        packed.words = words.data(), packed.scales = scales.data();
        if (with_zeros) packed.zeros = zeros.data();
        for (CpuLevel level : FloatLevels()) {
          const NBitsKernels& kernels = PickNBits(level);
          for (int m = 1; m <= kNBitsRowsMax; ++m) {
            Guarded<float> a(m * padded), sums(m * blocks), bias(n), c(m * n);
            FillUniform(bias.data(), n, -1, 1, 3);
            FillUniform(a.data(), a.size(), -1, 1, m);
            for (int64_t i = 0; i < m; ++i) {
              for (int64_t x = k; x < padded; ++x) a[i * padded + x] = 0;
              for (int64_t b = 0; b < blocks; ++b) {
                sums[i * blocks + b] = 0;
                for (int64_t x = 0; x < block; ++x) sums[i * blocks + b] += a[i * padded + b * block + x];
              }
            }
            kernels.multiply(packed, a.data(), padded, with_zeros ? sums.data() : nullptr, m, bias.data(), c.data(), n, 0, panels);
            for (int64_t i = 0; i < m; ++i) {
              for (int64_t j = 0; j < n; ++j) {
                double expected = bias[j], size = 0;
                for (int64_t x = 0; x < k; ++x) {
                  const double product = a[i * padded + x] * w.At(x, j, with_zeros);
                  expected += product, size += fabs(product);
                }
                ASSERT_NEAR(c[i * n + j], expected, 3e-6 * (size + 1)) << CpuLevelName(level) << " bits " << bits << " row " << i << " column " << j;
              }
            }
            // One panel at a time gives the same bits.
            Guarded<float> again(m * n);
            for (int64_t p = 0; p < panels; ++p) {
              kernels.multiply(packed, a.data(), padded, with_zeros ? sums.data() : nullptr, m, bias.data(), again.data(), n, p, p + 1);
            }
            for (int64_t i = 0; i < m * n; ++i) ASSERT_EQ(c[i], again[i]);
          }
          Guarded<float> floats(k * kPanelColumns);
          for (int64_t p = 0; p < panels; ++p) {
            kernels.unpack(packed, p, floats.data());
            for (int64_t x = 0; x < k; ++x) {
              for (int64_t j = 0; j < kPanelColumns && p * kPanelColumns + j < n; ++j) {
                ASSERT_EQ(floats[x * kPanelColumns + j], static_cast<float>(w.At(x, p * kPanelColumns + j, with_zeros))) << CpuLevelName(level);
              }
            }
          }
        }
      }
    }
  }
}

TEST(MatMulNBits, RefusesWhatDoesNotFit) {
  auto call = [](int64_t k, int64_t n, int64_t bits, int64_t block) {
    OpCall out("MatMulNBits", 1, "com.microsoft");
    out.Set("K", k).Set("N", n).Set("bits", bits).Set("block_size", block);
    out.In<float>({1, 16}, std::vector<float>(16, 1)).In<uint8_t>({2, 1, 8}, std::vector<uint8_t>(16, 0x99)).In<float>({2, 1}, {1, 2});
    return out;
  };
  EXPECT_EQ(call(16, 2, 4, 16).Error(), "");
  struct {
    int64_t k, n, bits, block;
    const char* part;
  } const cases[] = {{16, 2, 2, 16, "2 bits"},        {16, 2, 9, 16, "bits is 9"},      {16, 2, 4, 8, "block_size is 8"}, {16, 2, 4, 24, "block_size is 24"},
                     {0, 2, 4, 16, "K and N"},        {16, -1, 4, 16, "K and N"},       {17, 2, 4, 16, "elements are expected"},
                     {16, 3, 4, 16, "are expected"},  {int64_t{1} << 62, 2, 4, 16, "a matrix of"}};
  for (const auto& c : cases) {
    OpCall one = call(c.k, c.n, c.bits, c.block);
    EXPECT_NE(one.Error().find(c.part), std::string::npos) << one.Error();
  }
  OpCall ordered = call(16, 2, 4, 16);
  ordered.Skip().In<int32_t>({16}, std::vector<int32_t>(16));
  EXPECT_NE(ordered.Error().find("g_idx"), std::string::npos) << ordered.Error();
  OpCall zeros = call(16, 2, 4, 16);
  zeros.In<uint8_t>({3}, {8, 8, 8});
  EXPECT_NE(zeros.Error().find("input 3 has shape"), std::string::npos) << zeros.Error();
}

}  // namespace
}  // namespace linnet
