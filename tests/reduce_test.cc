// Row and column reductions against double precision, at all remainders, with NaN and infinity at every
// position.
#include "kernels/reduce.h"

#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

double Reference(Reduction reduction, const std::vector<double>& x) {
  double sum = 0, absolute = 0, square = 0, product = 1, exponentials = 0, most = -INFINITY, least = INFINITY;
  bool nan = false;
  for (double v : x) {
    sum += v, absolute += fabs(v), square += v * v, product *= v, exponentials += exp(v);
    most = fmax(most, v), least = fmin(least, v);
    nan |= isnan(v);
  }
  if (nan) return NAN;
  switch (reduction) {
    case Reduction::kSum:
      return sum;
    case Reduction::kMean:
      return sum / static_cast<double>(x.size());
    case Reduction::kMax:
      return most;
    case Reduction::kMin:
      return least;
    case Reduction::kProd:
      return product;
    case Reduction::kL1:
      return absolute;
    case Reduction::kL2:
      return sqrt(square);
    case Reduction::kLogSum:
      return log(sum);
    case Reduction::kLogSumExp:
      return isinf(most) ? most : log(exponentials);
    case Reduction::kSumSquare:
      return square;
  }
  return 0;
}

class Reduce : public testing::TestWithParam<int> {
 protected:
  Reduction reduction() const { return static_cast<Reduction>(GetParam()); }

  void Expect(float actual, const std::vector<double>& values, const char* what) {
    const double expected = Reference(reduction(), values);
    double magnitude = 0;
    for (double v : values) magnitude += fabs(v);
    if (isfinite(expected)) {
      const double scale = reduction() == Reduction::kSum ? magnitude : fabs(expected);
      ASSERT_NEAR(actual, expected, 2e-6 * fmax(scale, 1e-3)) << what << " of " << values.size();
    } else {
      ASSERT_EQ(UlpDistance(actual, expected), 0) << what << ": " << actual << " for " << expected;
    }
  }
};

TEST_P(Reduce, RowsAtAllRemainders) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t n = 0; n <= 200; n = n < 70 ? n + 1 : n + 13) {
      Guarded<float> x(3 * n + 10), out(3);
      FillUniform(x.data(), x.size(), 0.5f, 1.5f, static_cast<int>(n) + 1);
      // Rows n + 5 apart; the last ends with the array.
      PickReduceRows(reduction(), level)(x.data(), n + 5, 3, n, out.data());
      for (int64_t r = 0; r < 3; ++r) {
        const float* row = x.data() + r * (n + 5);
        Expect(out[r], std::vector<double>(row, row + n), "row");
      }
      ASSERT_TRUE(out.Intact());
    }
  }
}

TEST_P(Reduce, ManyShortRowsAndSplits) {
  for (CpuLevel level : FloatLevels()) {
    ReduceRowsFn* reduce = PickReduceRows(reduction(), level);
    for (int64_t n = 1; n <= 6; ++n) {
      for (int64_t rows : {1, 4, 15, 16, 17, 50}) {
        for (float special : {1.0f, -0.0f, NAN, -INFINITY}) {
          Guarded<float> x(rows * n), out(rows);
          FillUniform(x.data(), x.size(), 0.5f, 1.5f, static_cast<int>(rows));
          for (int64_t i = 0; i < x.size(); i += 1 + i % 5) x[i] = special;
          reduce(x.data(), n, rows, n, out.data());
          for (int64_t r = 0; r < rows; ++r) {
            const float* row = x.data() + r * n;
            Expect(out[r], std::vector<double>(row, row + n), "row");
            float alone;
            reduce(row, n, 1, n, &alone);
            ASSERT_TRUE(memcmp(&alone, &out[r], 4) == 0 || (isnan(alone) && isnan(out[r]))) << n << ": " << alone << " and " << out[r];
          }
          ASSERT_TRUE(out.Intact());
        }
      }
    }
  }
}

TEST_P(Reduce, ColumnsAtAllRemaindersAndSplits) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t columns = 1; columns <= 150; columns = columns < 40 ? columns + 1 : columns + 27) {
      for (int64_t n : {0, 1, 3, 300}) {
        Guarded<float> x(n == 0 ? 0 : (n - 1) * (columns + 3) + columns), out(columns), parts(columns);
        FillUniform(x.data(), x.size(), 0.99f, 1.01f, static_cast<int>(columns));
        ReduceColumnsFn* reduce = PickReduceColumns(reduction(), level);
        reduce(x.data(), columns + 3, n, columns, out.data());
        for (int64_t c = 0; c < columns; ++c) {
          std::vector<double> column;
          for (int64_t i = 0; i < n; ++i) column.push_back(x[i * (columns + 3) + c]);
          Expect(out[c], column, "column");
        }
        const int64_t cut = columns / 3;
        reduce(x.data(), columns + 3, n, cut, parts.data());
        reduce(x.data() + cut, columns + 3, n, columns - cut, parts.data() + cut);
        ASSERT_EQ(memcmp(out.data(), parts.data(), static_cast<size_t>(columns) * 4), 0);
      }
    }
  }
}

TEST_P(Reduce, SpecialValuesAtEveryPosition) {
  for (CpuLevel level : FloatLevels()) {
    for (float special : {NAN, INFINITY, -INFINITY}) {
      for (int64_t n : {1, 5, 16, 67}) {
        for (int64_t at = 0; at < n; ++at) {
          Guarded<float> x(n), out(1);
          FillUniform(x.data(), n, 0.5f, 1.5f);
          x[at] = special;
          PickReduceRows(reduction(), level)(x.data(), n, 1, n, out.data());
          Expect(out[0], std::vector<double>(x.data(), x.data() + n), "row");
          PickReduceColumns(reduction(), level)(x.data(), 1, n, 1, out.data());
          Expect(out[0], std::vector<double>(x.data(), x.data() + n), "column");
        }
      }
    }
  }
}

TEST_P(Reduce, LongSumsStayAccurate) {
  if (reduction() == Reduction::kProd) return;
  const int64_t n = 1 << 18;
  std::vector<float> x(n);
  FillUniform(x.data(), n, 0, 1);
  const std::vector<double> values(x.begin(), x.end());
  for (CpuLevel level : FloatLevels()) {
    float out;
    PickReduceRows(reduction(), level)(x.data(), n, 1, n, &out);
    Expect(out, values, "row");
    PickReduceColumns(reduction(), level)(x.data(), 1, n, 1, &out);
    EXPECT_NEAR(out, Reference(reduction(), values), 1e-4 * fabs(out));
  }
}

INSTANTIATE_TEST_SUITE_P(All, Reduce, testing::Range(0, kReductionCount),
                         [](const auto& info) { return ReductionName(static_cast<Reduction>(info.param)); });

TEST(ReduceRange, LogSumExpDoesNotOverflow) {
  for (CpuLevel level : FloatLevels()) {
    const float x[] = {1000, 1000, -1000};
    float out;
    PickReduceRows(Reduction::kLogSumExp, level)(x, 3, 1, 3, &out);
    EXPECT_FLOAT_EQ(out, 1000 + logf(2));
    PickReduceColumns(Reduction::kLogSumExp, level)(x, 1, 3, 1, &out);
    EXPECT_FLOAT_EQ(out, 1000 + logf(2));
  }
}

}  // namespace
}  // namespace linnet
