// Floats times panels of bytes against double precision, at every level, whole and in parts.
#include "kernels/nbits/byte_panels.h"

#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>
#include <random>
#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

TEST(BytePanels, RowsTimesPanels) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t n : {1, 16, 17, 63, 80, 130}) {
      for (int64_t k : {0, 1, 7, 64}) {
        for (int variant = 0; variant < 8; ++variant) {
          const bool is_signed = variant & 1, with_zeros = variant & 2, with_bias = variant & 4;
          const int64_t columns = PanelCount(n) * kPanelColumns;
          std::mt19937 random(static_cast<unsigned>(n + k));
          Guarded<uint8_t> rows(n * k);
          Guarded<int8_t> bytes(PackedBytePanels(k, n));
          Guarded<float> scales(columns), bias(n);
          Guarded<int32_t> zeros(columns);
          for (int64_t i = 0; i < n * k; ++i) rows[i] = static_cast<uint8_t>(random());
          for (int64_t j = 0; j < n; ++j) scales[j] = 0.01f * static_cast<float>(1 + j % 7), zeros[j] = static_cast<int32_t>(random() % 256) - 128;
          FillUniform(bias.data(), n, -1, 1, 3);
          PackBytePanels(rows.data(), is_signed, k, n, bytes.data());
          const BytePanels w{k, n, bytes.data(), scales.data(), with_zeros ? zeros.data() : nullptr};
          for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 13, 20}) {
            Guarded<float> a(m * k), c(m * n), parts(m * n);
            FillUniform(a.data(), m * k, -1, 1, 2);
            MultiplyBytePanelsFn* run = PickMultiplyBytePanels(level);
            run(w, a.data(), k, m, with_bias ? bias.data() : nullptr, c.data(), n, 0, PanelCount(n));
            // Other tiles, the same bits.
            for (int64_t row = 0; row < m; row += 2) {
              for (int64_t panel = 0; panel < PanelCount(n); panel += 3) {
                run(w, a.data() + row * k, k, std::min<int64_t>(2, m - row), with_bias ? bias.data() : nullptr, parts.data() + row * n, n, panel,
                    std::min(panel + 3, PanelCount(n)));
              }
            }
            for (int64_t i = 0; i < m; ++i) {
              for (int64_t j = 0; j < n; ++j) {
                double sum = 0, size = 0;
                for (int64_t x = 0; x < k; ++x) {
                  const uint8_t byte = rows[j * k + x];
                  const int code = is_signed ? static_cast<int8_t>(byte) : byte - 128;
                  const double product = double{a[i * k + x]} * (code - (with_zeros ? zeros[j] : 0)) * double{scales[j]};
                  sum += product, size += fabs(product);
                }
                if (with_bias) sum += double{bias[j]};
                ASSERT_NEAR(c[i * n + j], sum, 2e-6 * (size + 1)) << "n " << n << " k " << k << " m " << m << " variant " << variant;
                ASSERT_EQ(c[i * n + j], parts[i * n + j]) << "n " << n << " k " << k << " m " << m;
              }
            }
            ASSERT_TRUE(c.Intact() && parts.Intact());
          }
          ASSERT_TRUE(bytes.Intact());
        }
      }
    }
  }
}

}  // namespace
}  // namespace linnet
