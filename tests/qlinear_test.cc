// Elementwise 8-bit loops at every instruction set, for all pairs of bytes, against their definition step by step.
#include "kernels/int8/qlinear.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "guarded.h"
#include "int8_test_util.h"

namespace linnet {
namespace {

template <class T>
T Expected(QBinary op, const QBinaryArgs& args, T x, T y) {
  volatile float u = args.x.scale * static_cast<float>(x - args.x.zero), v = args.y.scale * static_cast<float>(y - args.y.zero);
  volatile float real = op == QBinary::kAdd ? u + v : u * v;
  const float rounded = std::nearbyint(real / args.out.scale) + static_cast<float>(args.out.zero);
  return static_cast<T>(std::min(std::max(rounded, static_cast<float>(args.low)), static_cast<float>(args.high)));
}

template <class T>
void AllPairs(QBinary op, const QBinaryArgs& args) {
  constexpr bool kSigned = std::is_signed_v<T>;
  for (CpuLevel level : IntegerLevels()) {
    QBinaryFn* run = PickQBinary(op, kSigned, level);
    Guarded<T> x(256 * 256), y(256 * 256), out(256 * 256);
    for (int i = 0; i < 256 * 256; ++i) x[i] = static_cast<T>(i), y[i] = static_cast<T>(i / 256);
    run(args, x.data(), y.data(), out.data(), 256 * 256, 0);
    for (int i = 0; i < 256 * 256; ++i) ASSERT_EQ(out[i], Expected<T>(op, args, x[i], y[i])) << CpuLevelName(level) << " " << static_cast<int>(x[i]) << ", " << static_cast<int>(y[i]) << " of " << static_cast<int>(op);
    for (int64_t n = 0; n < 40; ++n) {
      for (uint32_t scalars = 0; scalars < 4; ++scalars) {
        Guarded<T> a(scalars & 1 ? 1 : n, T(7)), b(scalars & 2 ? 1 : n, T(-9)), c(n);
        for (int64_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(i * 37 + 1);
        run(args, a.data(), b.data(), c.data(), n, scalars);
        for (int64_t i = 0; i < n; ++i) ASSERT_EQ(c[i], Expected<T>(op, args, a[scalars & 1 ? 0 : i], b[scalars & 2 ? 0 : i]));
        ASSERT_TRUE(c.Intact());
      }
    }
  }
}

TEST(QLinear, AllPairsOfBytes) {
  for (QBinary op : {QBinary::kAdd, QBinary::kMul}) {
    AllPairs<uint8_t>(op, {{0.0371f, 128}, {0.0113f, 3}, {0.0443f, 100}, 0, 255});
    AllPairs<uint8_t>(op, {{0.5f, 0}, {0.5f, 255}, {1.0f, 0}, 0, 200});    // halves
    AllPairs<int8_t>(op, {{0.25f, -128}, {0.75f, 127}, {0.5f, -1}, -128, 127});
    AllPairs<int8_t>(op, {{1e30f, 0}, {1e30f, 0}, {1e-30f, 0}, -100, 100});   // infinities, and 0/0
  }
}

TEST(QLinear, Table) {
  uint8_t table[256];
  for (int i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(i * 7 + i / 16 * 91 + 3);
  for (CpuLevel level : IntegerLevels()) {
    LookUpBytesFn* look_up = PickLookUpBytes(level);
    for (int64_t n : {0, 1, 17, 255, 256, 300, 512, 4133}) {
      Guarded<uint8_t> x(n), out(n);
      for (int64_t i = 0; i < n; ++i) x[i] = static_cast<uint8_t>(i * 11);
      look_up(table, x.data(), n, out.data());
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(out[i], table[x[i]]) << CpuLevelName(level) << " " << i << " of " << n;
      ASSERT_TRUE(out.Intact());
      look_up(table, x.data(), n, x.data());   // in place
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(x[i], out[i]);
    }
  }
}

template <class T>
void RowSums() {
  for (CpuLevel level : IntegerLevels()) {
    SumRowsFn* add = PickSumRows(std::is_signed_v<T>, level);
    for (int64_t n = 1; n < 150; ++n) {
      for (int64_t rows : {1, 5, 256, 700}) {
        if (rows > 5 && n % 7 != 0) continue;
        const int64_t stride = n + 3;
        Guarded<T> x((rows - 1) * stride + n, T(-1));   // of unsigned bytes the largest
        for (int64_t i = 0; i < x.size(); i += 1 + n % 5) x[i] = static_cast<T>(i * 89 + n);
        Guarded<int32_t> sums(n, 1000);
        add(x.data(), rows, stride, n, sums.data());
        for (int64_t i = 0; i < n; ++i) {
          int32_t expected = 1000;
          for (int64_t r = 0; r < rows; ++r) expected += x[r * stride + i];
          ASSERT_EQ(sums[i], expected) << CpuLevelName(level) << " " << i << " of " << n << ", " << rows << " rows";
        }
        ASSERT_TRUE(sums.Intact());
      }
    }
  }
}

TEST(QLinear, RowSums) {
  RowSums<uint8_t>();
  RowSums<int8_t>();
}

TEST(QLinear, SumsOfTaps) {
  for (CpuLevel level : IntegerLevels()) {
    for (int64_t n = 1; n < 70; ++n) {
      for (int64_t taps : {1, 2, 5}) {
        const int64_t pixels = 7, step = 2 * n, tap_step = 3 * n;
        Guarded<int32_t> x((pixels - 1) * step + (taps - 1) * tap_step + n + kSumsSlack), sums(pixels * n + kSumsSlack);
        for (int64_t i = 0; i < x.size(); ++i) x[i] = static_cast<int32_t>(i * 7919 % 1000 - 300);
        PickSumTaps(level)(x.data(), pixels, step, taps, tap_step, n, sums.data());
        for (int64_t i = 0; i < pixels * n; ++i) {
          int32_t expected = 0;
          for (int64_t t = 0; t < taps; ++t) expected += x[i / n * step + t * tap_step + i % n];
          ASSERT_EQ(sums[i], expected) << CpuLevelName(level) << " " << n;
        }
        ASSERT_TRUE(sums.Intact());
      }
    }
  }
}

template <class T>
void Means(const QMeanArgs& args) {
  for (CpuLevel level : IntegerLevels()) {
    QMeanFn* means = PickQMean(std::is_signed_v<T>, level);
    for (int64_t n : {0, 1, 3, 8, 9, 31, 5000}) {
      Guarded<int32_t> sums(n);
      for (int64_t i = 0; i < n; ++i) sums[i] = static_cast<int32_t>(i * 7919 % 5000 - 1200 + (i == 3 ? 0xfffff0 : 0));
      Guarded<T> out(n);
      means(args, sums.data(), n, out.data());
      for (int64_t i = 0; i < n; ++i) {
        volatile float mean = static_cast<float>(static_cast<double>(sums[i] - args.shift) / args.count), less = mean - args.less;
        volatile float real = args.scale * less, steps = real / args.out.scale;
        const float rounded = std::nearbyint(steps) + static_cast<float>(args.out.zero);
        const float low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
        ASSERT_EQ(out[i], static_cast<T>(std::min(std::max(rounded, low), high))) << CpuLevelName(level) << " " << sums[i];
      }
      ASSERT_TRUE(out.Intact());
    }
  }
}

TEST(QLinear, Means) {
  Means<uint8_t>({0.0371f, 9, 0, 9 * 13, {0.0254f, 7}});
  Means<uint8_t>({0.5f, 4, 128, 0, {0.25f, 255}});   // halves
  Means<int8_t>({0.0371f, 49, -3, 0, {0.0071f, -128}});
  Means<int8_t>({1e30f, 1, 0, 5, {1e-30f, 0}});      // infinities
}

template <class T>
void Softmax(float in_scale, ByteScale out) {
  QSoftmaxArgs args;
  args.out = out;
  for (int i = 0; i < 256; ++i) {
    args.real[i] = static_cast<float>(std::exp(-static_cast<double>(in_scale) * i));
    args.whole[i] = static_cast<uint32_t>(std::exp(-static_cast<double>(in_scale) * i) * (1 << 24) + 0.5);
  }
  for (int64_t n : {1, 2, 7, 8, 9, 16, 33, 49, 200, 1000}) {
    Guarded<T> x(n), y(n), first(n);
    for (int64_t i = 0; i < n; ++i) x[i] = static_cast<T>(i * 7919 % 211 - (n % 3 == 0 ? 128 : 0));
    double sum = 0;
    const T most = *std::max_element(x.data(), x.data() + n);
    for (int64_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(in_scale) * (x[i] - most));
    for (CpuLevel level : IntegerLevels()) {
      PickQSoftmax(std::is_signed_v<T>, level)(args, x.data(), n, y.data());
      for (int64_t i = 0; i < n; ++i) {
        const double real = std::exp(static_cast<double>(in_scale) * (x[i] - most)) / sum / out.scale + out.zero;
        const double held = std::min<double>(std::max<double>(real, std::numeric_limits<T>::min()), std::numeric_limits<T>::max());
        ASSERT_LE(std::fabs(y[i] - held), 0.501) << CpuLevelName(level) << " " << i << " of " << n;
        if (level == IntegerLevels()[0]) first[i] = y[i];
        ASSERT_EQ(y[i], first[i]) << CpuLevelName(level);
      }
      ASSERT_TRUE(y.Intact());
    }
  }
}

TEST(QLinear, Softmax) {
  Softmax<uint8_t>(0.05f, {1.0f / 256, 0});
  Softmax<uint8_t>(0.0003f, {1e-4f, 3});
  Softmax<int8_t>(0.4f, {1.0f / 256, -128});
  Softmax<int8_t>(1e30f, {1e-40f, -7});   // all but the largest are 0, which keeps its zero point
}

}  // namespace
}  // namespace linnet
