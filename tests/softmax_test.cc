// Softmax and LogSoftmax of rows and columns against double precision.
#include "kernels/softmax.h"

#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

std::vector<double> Reference(const std::vector<double>& z, bool logarithm) {
  double most = -INFINITY, sum = 0;
  for (double v : z) most = v > most || isnan(v) ? v : most;
  for (double v : z) sum += exp(v - most);
  std::vector<double> out;
  for (double v : z) out.push_back(logarithm ? v - most - log(sum) : exp(v - most) / sum);
  return out;
}

void ExpectRow(const float* actual, int64_t step, const std::vector<double>& z, bool logarithm) {
  const std::vector<double> expected = Reference(z, logarithm);
  for (size_t i = 0; i < z.size(); ++i) {
    const float a = actual[static_cast<int64_t>(i) * step];
    if (isfinite(expected[i])) {
      ASSERT_NEAR(a, expected[i], logarithm ? 2e-6 * fmax(1, fabs(expected[i])) : 1e-5 * expected[i] + 1e-37)
          << i << " of " << z.size();
    } else {
      ASSERT_EQ(UlpDistance(a, expected[i]), 0)
          << i << " of " << z.size() << ": " << a << " for " << expected[i];
    }
  }
}

TEST(Softmax, RowsWithScaleAndMask) {
  for (CpuLevel level : FloatLevels()) {
    for (bool logarithm : {false, true}) {
      for (int64_t n = 1; n <= 300; n = n < 70 ? n + 1 : n + 41) {
        for (int variant = 0; variant < 4; ++variant) {
          const int64_t rows = 3, stride = n + 2;
          Guarded<float> x((rows - 1) * stride + n), mask(n), out((rows - 1) * stride + n);
          FillUniform(x.data(), x.size(), -30, 30, static_cast<int>(n));
          FillUniform(mask.data(), n, -5, 0);
          if (n > 1) mask[n / 2] = -INFINITY;
          SoftmaxRowsArgs args{x.data(), stride, variant & 1 ? mask.data() : nullptr, 0, out.data(), stride,
                               rows,     n,      variant & 2 ? -0.125f : 1.0f};
          PickSoftmaxRows(logarithm, level)(args);
          for (int64_t r = 0; r < rows; ++r) {
            std::vector<double> z;
            for (int64_t i = 0; i < n; ++i)
              z.push_back(double{args.scale} * x[r * stride + i] + (variant & 1 ? mask[i] : 0.0f));
            ExpectRow(out.data() + r * stride, 1, z, logarithm);
          }
          args.out = x.data();
          PickSoftmaxRows(logarithm, level)(args);
          for (int64_t r = 0; r < rows; ++r) {
            ASSERT_EQ(memcmp(x.data() + r * stride, out.data() + r * stride, static_cast<size_t>(n) * 4), 0)
                << "in place";
          }
          ASSERT_TRUE(out.Intact());
        }
      }
    }
  }
}

TEST(Softmax, ColumnsAtAllRemainders) {
  for (CpuLevel level : FloatLevels()) {
    for (bool logarithm : {false, true}) {
      for (int64_t columns = 1; columns <= 140; columns = columns < 70 ? columns + 1 : columns + 23) {
        for (int64_t n : {1, 2, 9}) {
          Guarded<float> x(n * columns), out(n * columns);
          FillUniform(x.data(), x.size(), -30, 30, static_cast<int>(columns));
          PickSoftmaxColumns(logarithm, level)(x.data(), columns, n, columns, out.data());
          for (int64_t c = 0; c < columns; ++c) {
            std::vector<double> z;
            for (int64_t i = 0; i < n; ++i) z.push_back(x[i * columns + c]);
            ExpectRow(out.data() + c, columns, z, logarithm);
          }
          PickSoftmaxColumns(logarithm, level)(x.data(), columns, n, columns, x.data());
          ASSERT_EQ(memcmp(x.data(), out.data(), static_cast<size_t>(x.size()) * 4), 0) << "in place";
        }
      }
    }
  }
}

TEST(Softmax, NarrowRowsAtAllRemainders) {
  for (CpuLevel level : FloatLevels()) {
    for (bool logarithm : {false, true}) {
      for (int64_t n : {1, 2, 3, 7, 21, 32}) {
        for (int64_t rows : {1, 5, 63, 64, 65, 200}) {
          Guarded<float> x(n * rows), out(n * rows);
          FillUniform(x.data(), n * rows, -20, 20);
          const SoftmaxNarrowFn* narrow = PickSoftmaxNarrow(logarithm, level);
          narrow(x.data(), n, rows, out.data());
          for (int64_t r = 0; r < rows; ++r) {
            ExpectRow(out.data() + r * n, 1, std::vector<double>(x.data() + r * n, x.data() + (r + 1) * n), logarithm);
          }
          // Another split gives the same bits, also in place.
          const int64_t some = rows / 3;
          narrow(x.data(), n, some, x.data());
          narrow(x.data() + some * n, n, rows - some, x.data() + some * n);
          ASSERT_EQ(memcmp(x.data(), out.data(), static_cast<size_t>(x.size()) * 4), 0) << n << " " << rows;
        }
      }
    }
  }
}

TEST(Softmax, SpecialValuesAtEveryPosition) {
  for (CpuLevel level : FloatLevels()) {
    for (bool logarithm : {false, true}) {
      for (float special : {NAN, INFINITY, -INFINITY, 88.0f, -3e38f, 3e38f}) {
        for (int64_t n : {1, 3, 37}) {
          for (int64_t at = 0; at < n; ++at) {
            Guarded<float> x(n), rows(n), columns(n);
            FillUniform(x.data(), n, -1, 1);
            x[at] = special;
            const std::vector<double> z(x.data(), x.data() + n);
            SoftmaxRowsArgs args{x.data(), n, nullptr, 0, rows.data(), n, 1, n, 1};
            PickSoftmaxRows(logarithm, level)(args);
            ExpectRow(rows.data(), 1, z, logarithm);
            PickSoftmaxColumns(logarithm, level)(x.data(), 1, n, 1, columns.data());
            ExpectRow(columns.data(), 1, z, logarithm);
          }
        }
      }
    }
  }
}

TEST(LogSoftmaxInParts, IsTheWholes) {
  constexpr float kInf = INFINITY;
  for (CpuLevel level : FloatLevels()) {
    for (int64_t n : {1, 5, 33, 70, 200}) {
      for (float special : {0.0f, NAN, kInf, -kInf, 88.0f, -3e38f}) {
        for (int64_t count : {int64_t{1}, n / 2, n}) {   // so many columns of the second row are special
          const int64_t rows = 3, stride = n + 3, part = 32, parts = (n + part - 1) / part;
          Guarded<float> x((rows - 1) * stride + n), most(parts * rows), sum(parts * rows);
          Guarded<float> all_most(rows), log_sum(rows);
          FillUniform(x.data(), x.size(), -30, 30, static_cast<int>(n));
          if (special != 0) std::fill_n(x.data() + stride, count, special);
          std::vector<std::vector<double>> z;
          for (int64_t r = 0; r < rows; ++r) z.emplace_back(x.data() + r * stride, x.data() + r * stride + n);
          auto columns = [&](int64_t p) { return std::min(part, n - p * part); };
          for (int64_t p = 0; p < parts; ++p) {
            PickLogSumPart(level)(x.data() + p * part, stride, rows, columns(p), most.data() + p * rows,
                                  sum.data() + p * rows);
          }
          for (int64_t r = 0; r < rows; ++r) {
            LogSumTotal(most.data() + r, sum.data() + r, parts, rows, all_most.data() + r, log_sum.data() + r);
          }
          for (int64_t p = 0; p < parts; ++p) {
            PickLogSumShift(level)(x.data() + p * part, stride, rows, columns(p), all_most.data(), log_sum.data());
          }
          for (int64_t r = 0; r < rows; ++r) ExpectRow(x.data() + r * stride, 1, z[static_cast<size_t>(r)], true);
          ASSERT_TRUE(x.Intact() && most.Intact() && sum.Intact());
        }
      }
    }
  }
}

}  // namespace
}  // namespace linnet
