// Elementwise loops against double-precision formulas: accuracy over all floats, special values, remainders,
// aliasing.
#include "kernels/pointwise.h"

#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <numbers>
#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

constexpr float kInf = INFINITY, kNan = NAN;

struct Accuracy {
  Pointwise function;
  double (*reference)(double);
  double ulp_max;       ///< where the result is normal
  double absolute_max;  ///< relative to max(1, |x|); an alternative to ulp_max
  float least = -kInf, most = kInf;
  bool flushes = false;  ///< denormal results may be 0
  float alpha = 0, beta = 0;
};

double Relu(double x) {
  return isnan(x) || x > 0 ? x : 0;
}
double ClampUnit(double x) {
  return isnan(x) ? x : x < 0 ? 0 : x > 1 ? 1 : x;
}
double LogOnePlusExp(double x) {
  return log1p(exp(-fabs(x))) + (x < 0 ? 0 : x);
}
double TanhOfSoftplus(double x) {
  double w = exp(x < 30 ? x : 30) * (exp(x < 30 ? x : 30) + 2);
  return w / (w + 2);
}

constexpr float kBig = 3e38f;  // keeps -infinity out where a formula multiplies it by 0

const Accuracy kAccuracies[] = {
    {Pointwise::kAbs, [](double x) { return fabs(x); }, 0, 0},
    {Pointwise::kNeg, [](double x) { return -x; }, 0, 0},
    {Pointwise::kSqrt, [](double x) { return sqrt(x); }, 0.51, 0},
    {Pointwise::kExp, [](double x) { return exp(x); }, 1.3, 0},
    {Pointwise::kLog, [](double x) { return log(x); }, 0.9, 0},
    {Pointwise::kSigmoid, [](double x) { return 1 / (1 + exp(-x)); }, 2.4, 0, -kInf, kInf, true},
    {Pointwise::kTanh, [](double x) { return tanh(x); }, 2.7, 0},
    {Pointwise::kErf, [](double x) { return erf(x); }, 5.9, 0},
    {Pointwise::kRelu, Relu, 0, 0},
    {Pointwise::kLeakyRelu, [](double x) { return x < 0 ? double{0.1f} * x : x; }, 0.51, 0, -kInf, kInf,
     false, 0.1f},
    {Pointwise::kElu, [](double x) { return x < 0 ? 1.5 * expm1(x) : x; }, 2, 0, -kInf, kInf, false, 1.5f},
    {Pointwise::kSelu, [](double x) { return 1.25 * (x > 0 ? x : 1.5 * expm1(x)); }, 2.5, 0, -kInf, kInf,
     false, 1.5f, 1.25f},
    {Pointwise::kCelu, [](double x) { return Relu(x) + fmin(0, 2 * expm1(x / 2)); }, 2, 0, -kInf, kInf, false,
     2},
    {Pointwise::kHardSigmoid, [](double x) { return ClampUnit(0.25 * x + 0.5); }, 0.51, 0, -kInf, kInf, false,
     0.25f, 0.5f},
    {Pointwise::kHardSwish, [](double x) { return x * ClampUnit(x / 6 + 0.5); }, 0, 4e-7, -kBig, kInf},
    {Pointwise::kSoftplus, LogOnePlusExp, 1.9, 0, -kInf, kInf, true},
    {Pointwise::kSoftsign, [](double x) { return x / (1 + fabs(x)); }, 1.5, 0},
    {Pointwise::kThresholdedRelu, [](double x) { return x > 1.5 ? x : 0; }, 0, 0, -kInf, kInf, false, 1.5f},
    {Pointwise::kGelu, [](double x) { return x / 2 * erfc(-x * (std::numbers::sqrt2 / 2)); }, 0, 2.5e-7, -kBig, kInf},
    {Pointwise::kGeluTanh,
     [](double x) { return x / (1 + exp(-2 * sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x))); }, 0, 2.5e-7,
     -1e12, kInf},
    {Pointwise::kMish, [](double x) { return x * TanhOfSoftplus(x); }, 0, 2.5e-7, -kBig, kInf},
    {Pointwise::kSwish, [](double x) { return x / (1 + exp(-0.5 * x)); }, 0, 2.5e-7, -kBig, kInf, false,
     0.5f},
    {Pointwise::kReciprocal, [](double x) { return 1 / x; }, 0.51, 0},
    {Pointwise::kRsqrt, [](double x) { return 1 / sqrt(x); }, 1.5, 0},
    {Pointwise::kSquare, [](double x) { return x * x; }, 0.51, 0},
    {Pointwise::kFloor, [](double x) { return floor(x); }, 0, 0},
    {Pointwise::kCeil, [](double x) { return ceil(x); }, 0, 0},
    {Pointwise::kRound, [](double x) { return nearbyint(x); }, 0, 0},
    {Pointwise::kSign, [](double x) { return x > 0   ? 1
                                             : x < 0 ? -1
                                                     : x; }, 0, 0},
    {Pointwise::kShrink, [](double x) { return x < -2  ? x + 0.5
                                               : x > 2 ? x - 0.5
                                                       : 0; }, 0.51, 0, -kInf,
     kInf, false, 2, 0.5f},
    {Pointwise::kClip, [](double x) { return isnan(x) ? x : fmin(6, fmax(-1, x)); }, 0, 0, -kInf, kInf, false,
     -1, 6},
    {Pointwise::kAffine, [](double x) { return 2 * x + 1; }, 0.51, 0, -kInf, kInf, false, 2, 1},
    {Pointwise::kSteps, [](double x) { return isnan(x) ? 0 : 0.5 * fmin(64535, fmax(-1000, nearbyint(x / 0.5))); }, 0, 0, -kInf, kInf, false,
     0.5f, -1000},
    {Pointwise::kSin, [](double x) { return sin(x); }, 1, 0, -1e6f, 1e6f},
    {Pointwise::kCos, [](double x) { return cos(x); }, 1, 0, -1e6f, 1e6f},
    {Pointwise::kTan, [](double x) { return tan(x); }, 1, 0, -1e6f, 1e6f},
    {Pointwise::kAsin, [](double x) { return asin(x); }, 1, 0},
    {Pointwise::kAcos, [](double x) { return acos(x); }, 1, 0},
    {Pointwise::kAtan, [](double x) { return atan(x); }, 1, 0},
    {Pointwise::kSinh, [](double x) { return sinh(x); }, 2, 0},
    {Pointwise::kCosh, [](double x) { return cosh(x); }, 2, 0},
    {Pointwise::kAsinh, [](double x) { return asinh(x); }, 2, 0},
    {Pointwise::kAcosh, [](double x) { return x < 1 ? NAN : log1p(x - 1 + sqrt((x - 1) * (x + 1))); }, 2, 0},   // near 1 not all libraries' is exact
    {Pointwise::kAtanh, [](double x) { return atanh(x); }, 2, 0},
};

// Every 40009th bit pattern, and the surroundings of what is special.
std::vector<float> Samples() {
  std::vector<float> samples;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 40009) {
    const uint32_t low = static_cast<uint32_t>(bits);
    float x;
    memcpy(&x, &low, 4);
    samples.push_back(x);
  }
  for (float x : {0.0f,   1.0f,          0.5f,  1.5f,        2.0f,        2.5f,       3.0f,
                  3.925f, 9.01f,         20.0f, 87.33654f,   88.72284f,   103.97f,    1.17549435e-38f,
                  1e-45f, 3.4028235e38f, kInf,  0.70710678f, 1.41421356f, 8388608.0f, 16777216.0f}) {
    for (float near : {nextafterf(x, -kInf), x, nextafterf(x, kInf)}) {
      samples.push_back(near);
      samples.push_back(-near);
    }
  }
  samples.push_back(kNan);
  return samples;
}

TEST(Pointwise, UnaryAccuracyOnEveryLevel) {
  const std::vector<float> samples = Samples();
  std::vector<float> out(samples.size());
  for (const Accuracy& row : kAccuracies) {
    std::vector<double> expected(samples.size());
    for (size_t i = 0; i < samples.size(); ++i) expected[i] = row.reference(samples[i]);
    for (CpuLevel level : FloatLevels()) {
      PickPointwise(row.function, level)(out.data(), samples.data(), nullptr, nullptr,
                                         static_cast<int64_t>(samples.size()), 0, row.alpha, row.beta);
      double worst = 0;
      float at = 0;
      for (size_t i = 0; i < samples.size(); ++i) {
        const float x = samples[i];
        if (x < row.least || x > row.most) continue;
        if (kFlushesDenormals && fpclassify(x) == FP_SUBNORMAL) continue;
        if (row.flushes && out[i] == 0 && fabs(expected[i]) < 1.18e-38) continue;
        if (row.absolute_max > 0 && fabs(out[i] - expected[i]) <= row.absolute_max * fmax(1, fabs(x)))
          continue;
        const double distance = UlpDistance(out[i], expected[i]);
        if (!(distance <= worst)) worst = distance, at = x;
      }
      EXPECT_LE(worst, row.ulp_max) << PointwiseName(row.function) << " at " << at << " on "
                                    << CpuLevelName(level);
    }
  }
}

// What QuantizeLinear and DequantizeLinear are defined to do, each step rounded to float: the very bits, on every level.
TEST(Pointwise, StepsAreThoseOfSixteenBits) {
  std::vector<float> samples = Samples(), out(samples.size());
  for (float scale : {0.37f, 1.0f / 65535, 3.0517578e-05f, 0x1.fffffep-3f, 1e-30f, 1e25f, 3e-39f}) {
    if (kFlushesDenormals && fpclassify(scale) == FP_SUBNORMAL) continue;
    for (float low : {0.0f, -32768.0f, -65535.0f, -12345.0f}) {
      for (int i = 0; i < 2000; ++i) samples[static_cast<size_t>(i)] = (low + 33 * static_cast<float>(i) - 100.5f) * scale;   // halves, and beyond both ends
      for (CpuLevel level : FloatLevels()) {
        PickPointwise(Pointwise::kSteps, level)(out.data(), samples.data(), nullptr, nullptr, static_cast<int64_t>(samples.size()), 0, scale, low);
        for (size_t i = 0; i < samples.size(); ++i) {
          if (kFlushesDenormals && fpclassify(samples[i]) == FP_SUBNORMAL) continue;
          volatile float quotient = samples[i] / scale;
          const float stored = fminf(fmaxf(nearbyintf(quotient), low), low + 65535);
          const float expected = isnan(samples[i]) ? 0 : static_cast<float>(static_cast<int32_t>(stored)) * scale;
          ASSERT_EQ(memcmp(&out[i], &expected, sizeof(float)), 0)
              << out[i] << " for " << samples[i] << ", " << expected << " expected, scale " << scale << " from " << low << " on " << CpuLevelName(level);
        }
      }
    }
  }
}

TEST(Pointwise, TableCoversEveryUnaryFunction) {
  int unary = 0;
  for (int i = 0; i < kPointwiseCount; ++i) unary += PointwiseArity(static_cast<Pointwise>(i)) == 1;
  EXPECT_EQ(unary, static_cast<int>(std::size(kAccuracies)));
  for (int i = 0; i < kPointwiseCount; ++i)
    EXPECT_NE(PickPointwise(static_cast<Pointwise>(i), DetectedCpuLevel()), nullptr);
}

struct Operation {
  Pointwise function;
  double (*reference)(double x, double y, double z);
  double ulp_max;
};

double MinNan(double a, double b) {
  return isnan(a) || isnan(b) ? kNan : fmin(a, b);
}
double MaxNan(double a, double b) {
  return isnan(a) || isnan(b) ? kNan : fmax(a, b);
}

const Operation kOperations[] = {
    {Pointwise::kAdd, [](double x, double y, double) { return x + y; }, 0.51},
    {Pointwise::kSub, [](double x, double y, double) { return x - y; }, 0.51},
    {Pointwise::kMul, [](double x, double y, double) { return x * y; }, 0.51},
    {Pointwise::kDiv, [](double x, double y, double) { return x / y; }, 0.51},
    {Pointwise::kMin, [](double x, double y, double) { return MinNan(x, y); }, 0},
    {Pointwise::kMax, [](double x, double y, double) { return MaxNan(x, y); }, 0},
    {Pointwise::kPow, [](double x, double y, double) { return pow(x, y); }, 2},
    {Pointwise::kPRelu, [](double x, double y, double) { return x < 0 ? x * y : x; }, 0.51},
    {Pointwise::kFmod, [](double x, double y, double) { return fmod(x, y); }, 0},
    {Pointwise::kEqual, [](double x, double y, double) { return double(x == y); }, 0},
    {Pointwise::kLess, [](double x, double y, double) { return double(x < y); }, 0},
    {Pointwise::kLessOrEqual, [](double x, double y, double) { return double(x <= y); }, 0},
    {Pointwise::kGreater, [](double x, double y, double) { return double(x > y); }, 0},
    {Pointwise::kGreaterOrEqual, [](double x, double y, double) { return double(x >= y); }, 0},
    {Pointwise::kWhere, [](double x, double y, double z) { return x != 0 ? y : z; }, 0},
};

const float kSpecial[] = {0.0f,  -0.0f, 1.0f,  -1.0f, 0.5f,   2.0f,  -2.0f, 3.0f,
                          -3.5f, kInf,  -kInf, kNan,  kFlushesDenormals ? 1e-30f : 1e-40f, 3e38f, 1e-20f};
constexpr int64_t kSpecials = std::size(kSpecial);

TEST(Pointwise, BinarySpecialValuesInEveryForm) {
  std::vector<float> x, y, z;
  for (float a : kSpecial) {
    for (float b : kSpecial) x.push_back(a), y.push_back(b), z.push_back(7);
  }
  std::vector<float> out(x.size());
  for (const Operation& row : kOperations) {
    for (CpuLevel level : FloatLevels()) {
      PointwiseFn* fn = PickPointwise(row.function, level);
      fn(out.data(), x.data(), y.data(), z.data(), static_cast<int64_t>(x.size()), 0, 0, 0);
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_LE(UlpDistance(out[i], row.reference(x[i], y[i], z[i])), row.ulp_max)
            << PointwiseName(row.function) << "(" << x[i] << ", " << y[i] << ") on " << CpuLevelName(level);
      }
      for (float one : kSpecial) {
        float got[kSpecials];
        fn(got, &one, kSpecial, z.data(), kSpecials, 1, 0, 0);
        for (int64_t i = 0; i < kSpecials; ++i) {
          EXPECT_LE(UlpDistance(got[i], row.reference(one, kSpecial[i], 7)), row.ulp_max)
              << PointwiseName(row.function) << "(scalar " << one << ", " << kSpecial[i] << ")";
        }
        fn(got, kSpecial, &one, z.data(), kSpecials, 2, 0, 0);
        for (int64_t i = 0; i < kSpecials; ++i) {
          EXPECT_LE(UlpDistance(got[i], row.reference(kSpecial[i], one, 7)), row.ulp_max)
              << PointwiseName(row.function) << "(" << kSpecial[i] << ", scalar " << one << ")";
        }
      }
    }
  }
}

TEST(Pointwise, MulAddFusesOrRoundsOnce) {
  for (CpuLevel level : FloatLevels()) {
    Guarded<float> x(21), y(21), z(21), out(21);
    FillUniform(x.data(), 21, -2, 2, 1);
    FillUniform(y.data(), 21, -2, 2, 2);
    FillUniform(z.data(), 21, -2, 2, 3);
    for (uint32_t scalars = 0; scalars < 8; ++scalars) {
      PickPointwise(Pointwise::kMulAdd, level)(out.data(), x.data(), y.data(), z.data(), 21, scalars, 0, 0);
      for (int64_t i = 0; i < 21; ++i) {
        const double a = x[scalars & 1 ? 0 : i], b = y[scalars & 2 ? 0 : i], c = z[scalars & 4 ? 0 : i];
        EXPECT_NEAR(out[i], a * b + c, 5e-7);
      }
    }
  }
}

// Every function, every remainder, operands that end at an unreadable page, result in place and elsewhere.
TEST(Pointwise, RemaindersStayInsideAndInPlaceAgrees) {
  for (int index = 0; index < kPointwiseCount; ++index) {
    const Pointwise function = static_cast<Pointwise>(index);
    for (CpuLevel level : FloatLevels()) {
      PointwiseFn* fn = PickPointwise(function, level);
      Guarded<float> all_x(70), all_y(70), all_z(70), whole(70);
      FillUniform(all_x.data(), 70, 0.1f, 0.9f, 1);
      FillUniform(all_y.data(), 70, 0.1f, 0.9f, 2);
      FillUniform(all_z.data(), 70, 0.1f, 0.9f, 3);
      fn(whole.data(), all_x.data(), all_y.data(), all_z.data(), 70, 0, 0.25f, 0.75f);
      for (int64_t n = 0; n <= 70; n = n < 36 ? n + 1 : n + 17) {
        Guarded<float> x(n), y(n), z(n), out(n);
        memcpy(x.data(), all_x.data(), static_cast<size_t>(n) * 4);
        memcpy(y.data(), all_y.data(), static_cast<size_t>(n) * 4);
        memcpy(z.data(), all_z.data(), static_cast<size_t>(n) * 4);
        fn(out.data(), x.data(), y.data(), z.data(), n, 0, 0.25f, 0.75f);
        ASSERT_EQ(memcmp(out.data(), whole.data(), static_cast<size_t>(n) * 4), 0)
            << PointwiseName(function) << " n " << n;
        fn(x.data(), x.data(), y.data(), z.data(), n, 0, 0.25f, 0.75f);
        ASSERT_EQ(memcmp(x.data(), whole.data(), static_cast<size_t>(n) * 4), 0)
            << PointwiseName(function) << " n " << n;
        ASSERT_TRUE(out.Intact() && x.Intact());
      }
    }
  }
}

}  // namespace
}  // namespace linnet
