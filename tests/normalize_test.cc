// Normalisation loops against double precision.
#include "kernels/normalize.h"

#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

struct Moments {
  double mean = 0, variance = 0, square = 0;
};

Moments Of(const std::vector<double>& v) {
  Moments moments;
  for (double x : v)
    moments.mean += x / static_cast<double>(v.size()),
        moments.square += x * x / static_cast<double>(v.size());
  for (double x : v)
    moments.variance += (x - moments.mean) * (x - moments.mean) / static_cast<double>(v.size());
  return moments;
}

TEST(Normalize, LayerAndRmsNormAtAllRemainders) {
  for (CpuLevel level : FloatLevels()) {
    for (bool rms : {false, true}) {
      for (int64_t n = 1; n <= 300; n = n < 70 ? n + 1 : n + 61) {
        for (int variant = 0; variant < 8; ++variant) {
          const int64_t rows = 2;
          Guarded<float> x(rows * n), residual(rows * n), scale(n), bias(n), out(rows * n), sum(rows * n),
              mean(rows), inv(rows);
          FillUniform(x.data(), x.size(), 9, 11, 1);
          FillUniform(residual.data(), x.size(), -1, 1, 2);
          FillUniform(scale.data(), n, 0.5f, 2, 3);
          FillUniform(bias.data(), n, -1, 1, 4);
          NormRowsArgs args;
          args.x = x.data(), args.out = out.data(), args.rows = rows, args.n = n, args.epsilon = 1e-3f;
          if (variant & 1) args.scale = scale.data(), args.mean = mean.data(), args.inv_std = inv.data();
          if (variant & 2) args.bias = bias.data();
          if (variant & 4) args.residual = residual.data();
          if (variant == 7) args.sum = sum.data();
          (rms ? PickRmsNorm(level) : PickLayerNorm(level))(args);
          for (int64_t r = 0; r < rows; ++r) {
            std::vector<double> v;
            for (int64_t i = r * n; i < (r + 1) * n; ++i)
              v.push_back(double{x[i]} + (variant & 4 ? double{residual[i]} : 0));
            const Moments moments = Of(v);
            const double expected_mean = rms ? 0 : moments.mean;
            const double expected_inv = 1 / sqrt((rms ? moments.square : moments.variance) + args.epsilon);
            for (int64_t i = 0; i < n; ++i) {
              const double expected =
                  (v[i] - expected_mean) * expected_inv * (variant & 1 ? scale[i] : 1.0f) +
                  (variant & 2 ? bias[i] : 0.0f);
              ASSERT_NEAR(out[r * n + i], expected, 1e-4) << "n " << n << " variant " << variant;
              if (variant == 7) {
                ASSERT_NEAR(sum[r * n + i], v[i], 1e-6);
              }
            }
            if (variant & 1) {
              ASSERT_NEAR(mean[r], expected_mean, 1e-5);
              ASSERT_NEAR(inv[r], expected_inv, 1e-4 * expected_inv);
            }
          }
          args.out = x.data();
          (rms ? PickRmsNorm(level) : PickLayerNorm(level))(args);
          ASSERT_EQ(memcmp(x.data(), out.data(), static_cast<size_t>(x.size()) * 4), 0) << "in place";
          ASSERT_TRUE(out.Intact());
        }
      }
    }
  }
}

TEST(Normalize, MomentsOfRowsAndColumns) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t columns = 1; columns <= 100; columns = columns < 36 ? columns + 1 : columns + 31) {
      const int64_t n = 40;
      Guarded<float> x(n * columns), mean(columns), variance(columns), row_mean(n), row_variance(n);
      FillUniform(x.data(), x.size(), 100, 101, static_cast<int>(columns));
      PickColumnMoments(level)(x.data(), columns, n, columns, mean.data(), variance.data());
      PickRowMoments(level)(x.data(), columns, n, columns, row_mean.data(), row_variance.data());
      for (int64_t c = 0; c < columns; ++c) {
        std::vector<double> v;
        for (int64_t i = 0; i < n; ++i) v.push_back(x[i * columns + c]);
        ASSERT_NEAR(mean[c], Of(v).mean, 1e-4);
        ASSERT_NEAR(variance[c], Of(v).variance, 1e-5);
      }
      for (int64_t i = 0; i < n; ++i) {
        const Moments moments = Of(std::vector<double>(x.data() + i * columns, x.data() + (i + 1) * columns));
        ASSERT_NEAR(row_mean[i], moments.mean, 1e-4);
        ASSERT_NEAR(row_variance[i], moments.variance, 1e-5);
      }
    }
  }
}

TEST(Normalize, AffineColumnsAtAllRemainders) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t columns = 1; columns <= 50; ++columns) {
      Guarded<float> x(3 * columns), scale(columns), bias(columns), out(2 * (columns + 1) + columns);
      FillUniform(x.data(), x.size(), -2, 2, 1);
      FillUniform(scale.data(), columns, -2, 2, 2);
      FillUniform(bias.data(), columns, -2, 2, 3);
      PickAffineColumns(level)(x.data(), columns, 3, columns, scale.data(), bias.data(), out.data(),
                               columns + 1);
      for (int64_t i = 0; i < 3; ++i) {
        for (int64_t c = 0; c < columns; ++c) {
          ASSERT_NEAR(out[i * (columns + 1) + c], double{x[i * columns + c]} * scale[c] + bias[c], 1e-6);
        }
      }
    }
  }
}

}  // namespace
}  // namespace linnet
