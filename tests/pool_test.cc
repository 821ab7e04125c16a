// Pooling against the definition, over random geometries, channel remainders and special values.
#include "kernels/pool/pool.h"

#include <gtest/gtest.h>
#include <math.h>
#include <string.h>

#include <limits>
#include <random>
#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

double Reference(PoolKind kind, const PoolArgs& a, int64_t image, const int64_t (&pixel)[3],
                 int64_t channel) {
  double most = -INFINITY, sum = 0, power = 0;
  bool nan = false;
  int64_t inside = 0, padded = 0;
  for (int64_t z = 0; z < a.kernel[0]; ++z) {
    for (int64_t y = 0; y < a.kernel[1]; ++y) {
      for (int64_t x = 0; x < a.kernel[2]; ++x) {
        const int64_t tap[3] = {z, y, x};
        int64_t at[3];
        bool in_image = true, in_padded = true;
        for (int i = 0; i < 3; ++i) {
          at[i] = pixel[i] * a.stride[i] - a.pad_begin[i] + tap[i] * a.dilation[i];
          in_image &= at[i] >= 0 && at[i] < a.in[i];
          in_padded &= at[i] < a.in[i] + a.pad_end[i];
        }
        padded += in_padded;
        if (!in_image) continue;
        ++inside;
        const double v =
            static_cast<const float*>(a.x)[(((image * a.in[0] + at[0]) * a.in[1] + at[1]) * a.in[2] + at[2]) * a.channels + channel];
        nan |= isnan(v);
        most = fmax(most, v), sum += v, power += pow(fabs(v), static_cast<double>(a.p));
      }
    }
  }
  if (nan) return NAN;
  if (kind == PoolKind::kMax) return most;
  if (kind == PoolKind::kLp) return pow(power, 1.0 / static_cast<double>(a.p));
  const int64_t divisor = a.count_include_pad ? padded : inside;
  return divisor == 0 ? 0 : sum / static_cast<double>(divisor);
}

TEST(Pool, RandomGeometries) {
  std::mt19937 random(11);
  auto pick = [&](int64_t least, int64_t most) {
    return least + static_cast<int64_t>(random() % static_cast<uint64_t>(most - least + 1));
  };
  for (int round = 0; round < 260; ++round) {
    PoolArgs args;
    const bool wide = round >= 150 && round < 180;   // windows of many taps, lines of many pixels
    const bool square = round >= 180;                // of two or three taps a side, in images with many NaN
    const int64_t batch = pick(1, 2);
    args.channels = wide ? pick(1, 75) : round < 70 ? round + 1 : pick(1, 140);
    args.p = pick(1, 3);
    args.count_include_pad = random() % 2;
    int64_t in_size = batch * args.channels, out_rows = batch;
    const int64_t side = pick(2, 3), step = pick(1, 2);
    for (int i = wide || pick(0, 3) ? 1 : 0; i < 3; ++i) {
      args.kernel[i] = pick(1, 4), args.stride[i] = pick(1, 3), args.dilation[i] = pick(1, 2);
      args.pad_begin[i] = pick(0, 2), args.pad_end[i] = pick(0, 2);
      args.in[i] = pick(1, 9);
      if (wide) args.kernel[i] = pick(2, 13), args.pad_begin[i] = pick(0, 7), args.pad_end[i] = pick(0, 7);
      if (wide && i == 2) args.in[i] = pick(1, 150);
      if (square) args.kernel[i] = i == 0 ? 1 : side, args.stride[i] = step, args.dilation[i] = 1, args.in[i] = pick(1, i == 0 ? 4 : 20);
      const int64_t room =
          args.in[i] + args.pad_begin[i] + args.pad_end[i] - (args.kernel[i] - 1) * args.dilation[i] - 1;
      // As with ceil_mode, the last window may reach beyond the padding.
      args.out_dims[i] = room < 0 ? 1 : (room + (random() % 2 ? args.stride[i] - 1 : 0)) / args.stride[i] + 1;
    }
    for (int64_t dim : args.in) in_size *= dim;
    out_rows *= args.out_dims[0] * args.out_dims[1];
    Guarded<float> x(in_size), out(out_rows * args.out_dims[2] * args.channels);
    FillUniform(x.data(), x.size(), -2, 2, round + 1);
    if (round % 5 == 0) x[pick(0, in_size - 1)] = NAN;
    for (int64_t i = 0; i < in_size && square; ++i) {
      if (random() % 25 == 0) x[i] = random() % 3 ? NAN : -INFINITY;
    }
    args.x = x.data(), args.out = out.data();
    for (PoolKind kind : {PoolKind::kMax, PoolKind::kAverage, PoolKind::kLp}) {
      for (CpuLevel level : FloatLevels()) {
        const int64_t cut = out_rows / 2;
        PoolFn* pool = kind == PoolKind::kMax ? PickMaxPool(PoolElement::kFloat, level) : PickPool(kind, level);
        pool(args, cut, out_rows);
        pool(args, 0, cut);
        for (int64_t at = 0; at < out.size(); ++at) {
          int64_t rest = at / args.channels, pixel[3];
          for (int i = 2; i >= 0; --i) pixel[i] = rest % args.out_dims[i], rest /= args.out_dims[i];
          const double expected = Reference(kind, args, rest, pixel, at % args.channels);
          if (isfinite(expected)) {
            ASSERT_NEAR(out[at], expected, 1e-6 * fmax(4, fabs(expected))) << "round " << round << " kind " << static_cast<int>(kind);
          } else {
            ASSERT_EQ(UlpDistance(out[at], expected), 0) << "round " << round;
          }
        }
        ASSERT_TRUE(out.Intact());
      }
    }
  }
}

template <class T>
void CheckMaximaOfBytes(PoolElement element, int rounds) {
  std::mt19937 random(7);
  auto pick = [&](int64_t least, int64_t most) { return least + static_cast<int64_t>(random() % static_cast<uint64_t>(most - least + 1)); };
  for (int round = 0; round < rounds; ++round) {
    PoolArgs args;
    const bool far = round % 10 == 9;   // windows too wide for a line of columns, or nearly so
    args.channels = round < 140 || far ? round % 70 + 1 : pick(71, 300);
    int64_t in_size = 1, out_rows = 1;
    for (int i = pick(0, 4) ? 1 : 0; i < 3; ++i) {
      const bool wide = i == 2 && far;
      args.kernel[i] = wide ? pick(20, 700) : pick(1, far ? 2 : 5), args.stride[i] = pick(1, 3), args.dilation[i] = pick(1, 2);
      args.pad_begin[i] = wide ? pick(0, 600) : pick(0, 5), args.pad_end[i] = wide ? pick(700, 1400) : pick(0, 5);
      args.in[i] = pick(1, i == 2 ? 60 : far ? 2 : 9);
      const int64_t room = args.in[i] + args.pad_begin[i] + args.pad_end[i] - (args.kernel[i] - 1) * args.dilation[i] - 1;
      args.out_dims[i] = room < 0 ? 1 : room / args.stride[i] + 1;
      in_size *= args.in[i];
    }
    in_size *= args.channels, out_rows = args.out_dims[0] * args.out_dims[1];
    Guarded<T> x(in_size), out(out_rows * args.out_dims[2] * args.channels);
    std::vector<float> same(static_cast<size_t>(in_size));
    for (int64_t i = 0; i < in_size; ++i) x[i] = static_cast<T>(random()), same[static_cast<size_t>(i)] = x[i];
    std::vector<T> expected(static_cast<size_t>(out.size()));
    args.x = same.data();
    for (int64_t at = 0; at < out.size(); ++at) {
      int64_t rest = at / args.channels, pixel[3];
      for (int i = 2; i >= 0; --i) pixel[i] = rest % args.out_dims[i], rest /= args.out_dims[i];
      const double most = Reference(PoolKind::kMax, args, rest, pixel, at % args.channels);
      expected[static_cast<size_t>(at)] = isfinite(most) ? static_cast<T>(most) : std::numeric_limits<T>::lowest();
    }
    args.x = x.data(), args.out = out.data();
    for (CpuLevel level : FloatLevels()) {
      const int64_t cut = out_rows / 2;
      PickMaxPool(element, level)(args, cut, out_rows);
      PickMaxPool(element, level)(args, 0, cut);
      ASSERT_EQ(memcmp(out.data(), expected.data(), expected.size()), 0) << "round " << round;
      ASSERT_TRUE(out.Intact());
    }
  }
}

TEST(Pool, MaximaOfBytes) {
  CheckMaximaOfBytes<uint8_t>(PoolElement::kUint8, 170);
  CheckMaximaOfBytes<int8_t>(PoolElement::kInt8, 170);
}

}  // namespace
}  // namespace linnet
