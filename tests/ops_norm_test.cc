// Normalisations: every type against double sums, statistics, broadcast scales, old versions, refusals.
#include <cmath>

#include "ops_test_util.h"

namespace linnet {
namespace {

std::vector<float> Wave(int64_t n, float scale = 1, float shift = 0) {
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(shift + scale * static_cast<float>((i * 37 + 11) % 64 - 32) / 32);
  return out;
}

template <class T>
Tensor Make(const Shape& shape, const std::vector<float>& values) {
  OpCall call("Identity", 1);
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>) {
    call.In(shape, ToHalves<T>(values));
  } else {
    call.In(shape, std::vector<T>(values.begin(), values.end()));
  }
  return call.inputs[0].tensor;
}

std::vector<double> Doubles(const Tensor& t) {
  std::vector<double> out;
  for (int64_t i = 0; i < t.elements(); ++i) {
    switch (t.dtype()) {
      case DType::kFloat: out.push_back(t.as<float>()[i]); break;
      case DType::kDouble: out.push_back(t.as<double>()[i]); break;
      case DType::kFloat16: out.push_back(ToFloat(t.as<Float16>()[i])); break;
      default: out.push_back(ToFloat(t.as<Bfloat16>()[i])); break;
    }
  }
  return out;
}

void ExpectNear(const Tensor& y, const std::vector<double>& expected) {
  const double tolerance = y.dtype() == DType::kDouble ? 1e-9 : y.dtype() == DType::kFloat ? 2e-5 : y.dtype() == DType::kFloat16 ? 4e-3 : 3e-2;
  auto values = Doubles(y);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], expected[i], tolerance * std::max(1.0, std::abs(expected[i]))) << i;
}

struct Moments {
  double mean = 0, variance = 0;
};
Moments Of(const std::vector<double>& v) {
  Moments m;
  for (double x : v) m.mean += x / static_cast<double>(v.size());
  for (double x : v) m.variance += (x - m.mean) * (x - m.mean) / static_cast<double>(v.size());
  return m;
}

template <class T>
void CheckLayerNorm(const Shape& scale_shape, int64_t axis) {
  SCOPED_TRACE(testing::Message() << DTypeName(kDTypeOf<T>) << ToString(scale_shape) << axis);
  const Shape shape{2, 3, 4};
  Tensor x = Make<T>(shape, Wave(24, 3, 1)), scale = Make<T>(scale_shape, Wave(scale_shape.elements(), 1, 2));
  Tensor bias = Make<T>({4}, Wave(4, 2));
  const int64_t n = shape.Product(static_cast<int>(axis), 3), rows = 24 / n;
  const auto xs = Doubles(x), ss = Doubles(scale), bs = Doubles(bias);
  std::vector<double> y, means, inverses;
  for (int64_t r = 0; r < rows; ++r) {
    auto m = Of(std::vector<double>(xs.begin() + r * n, xs.begin() + (r + 1) * n));
    means.push_back(m.mean);
    inverses.push_back(1 / std::sqrt(m.variance + 1e-3));
    for (int64_t i = 0; i < n; ++i) {
      const int64_t flat = r * n + i, index[] = {flat / 12, flat / 4 % 3, flat % 4};
      int64_t at = 0;
      for (int d = 0; d < scale_shape.rank(); ++d) {
        at = at * scale_shape[d] + (scale_shape[d] == 1 ? 0 : index[d + 3 - scale_shape.rank()]);
      }
      y.push_back((xs[static_cast<size_t>(flat)] - m.mean) * inverses.back() * ss[static_cast<size_t>(at)] + bs[static_cast<size_t>(flat % 4)]);
    }
  }
  OpCall call("LayerNormalization", 17);
  call.Set("axis", axis - 3).Set("epsilon", 1e-3f).In(x).In(scale).In(bias);
  auto out = call.RunFed(3, {}, 2);
  ExpectNear(out[0], y);
  EXPECT_EQ(out[1].shape(), (axis == 2 ? Shape{2, 3, 1} : axis == 1 ? Shape{2, 1, 1} : Shape{1, 1, 1}));
  for (size_t r = 0; r < means.size(); ++r) {
    EXPECT_NEAR(out[1].as<float>()[r], means[r], 1e-5);
    EXPECT_NEAR(out[2].as<float>()[r], inverses[r], 1e-4);
  }
}

TEST(Norm, LayerNormalization) {
  for (int64_t axis : {0, 1, 2}) {
    for (const Shape& scale : {Shape{4}, Shape{3, 4}, Shape{1}, Shape{3, 1}, Shape{2, 1, 4}, Shape::OfRank(0)}) {
      CheckLayerNorm<float>(scale, axis);
      CheckLayerNorm<double>(scale, axis);
      CheckLayerNorm<Float16>(scale, axis);
      CheckLayerNorm<Bfloat16>(scale, axis);
    }
  }
  OpCall wide("LayerNormalization", 17);
  wide.In<float>({2, 2}, {1, 2, 3, 4}).In<float>({3, 2, 2}, std::vector<float>(12, 1));
  EXPECT_NE(wide.Error().find("does not broadcast"), std::string::npos);
  EXPECT_EQ(OpCall("LayerNormalization", 17).In<float>({0, 4}, {}).In<float>({4}, Wave(4)).Run().shape(), (Shape{0, 4}));
}

TEST(Norm, StatisticsWithoutY) {
  OpCall call("LayerNormalization", 17);
  call.In<float>({2, 2}, {1, 3, 5, 9}).In<float>({2}, {1, 1});
  call.node.inputs = {0, 1};
  call.node.outputs = {kNoValue, 2};
  auto result = Evaluate(OpTable::BuiltIn(), call.node, call.inputs);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(Values<float>((*result)[1].tensor), (std::vector<float>{2, 7}));
}

TEST(Norm, RmsNormalizationMixesTypes) {
  const auto x = Wave(12, 2);
  std::vector<double> y;
  for (int r = 0; r < 3; ++r) {
    double squares = 0;
    for (int i = 0; i < 4; ++i) squares += x[static_cast<size_t>(r * 4 + i)] * x[static_cast<size_t>(r * 4 + i)];
    for (int i = 0; i < 4; ++i) y.push_back(x[static_cast<size_t>(r * 4 + i)] / std::sqrt(squares / 4 + 1e-5) * 2);
  }
  const std::vector<float> twos(4, 2);
  ExpectNear(OpCall("RMSNormalization", 23).In(Make<float>({3, 4}, x)).In(Make<float>({4}, twos)).Run(), y);
  Tensor mixed = OpCall("RMSNormalization", 23).In(Make<Float16>({3, 4}, x)).In(Make<float>({4}, twos)).Run();
  EXPECT_EQ(mixed.dtype(), DType::kFloat);
  ExpectNear(mixed, y);
  ExpectNear(OpCall("RMSNormalization", 23).In(Make<double>({3, 4}, x)).In(Make<double>({1}, {2})).Run(), y);
}

TEST(Norm, SkipLayerNormalizationAddsFirst) {
  const auto x = Wave(12, 2), skip = Wave(4, 1, 3), gamma = Wave(4, 1, 2), beta = Wave(4), bias = Wave(4, 3);
  std::vector<double> y, sum;
  for (size_t r = 0; r < 3; ++r) {
    std::vector<double> row;
    for (size_t i = 0; i < 4; ++i) row.push_back(x[r * 4 + i] + skip[i] + bias[i]);
    auto m = Of(row);
    for (size_t i = 0; i < 4; ++i) y.push_back((row[i] - m.mean) / std::sqrt(m.variance + 1e-12) * gamma[i] + beta[i]);
    sum.insert(sum.end(), row.begin(), row.end());
  }
  OpCall call("SkipLayerNormalization", 1, "com.microsoft");
  call.In<float>({1, 3, 4}, x).In<float>({1, 1, 4}, skip).In<float>({4}, gamma).In<float>({4}, beta).In<float>({4}, bias);
  auto out = call.RunFed(4);
  ExpectNear(out[0], y);
  ExpectNear(out[3], sum);
  ExpectNear(call.Run(), y);
}

template <class T>
void CheckBatchNorm(const Shape& shape) {
  SCOPED_TRACE(testing::Message() << DTypeName(kDTypeOf<T>) << ToString(shape));
  const int64_t channels = shape.rank() > 1 ? shape[1] : 1, inner = shape.rank() > 1 ? shape.Product(2, shape.rank()) : 1;
  Tensor x = Make<T>(shape, Wave(shape.elements(), 2)), s = Make<T>({channels}, Wave(channels, 1, 2)), b = Make<T>({channels}, Wave(channels)),
         m = Make<T>({channels}, Wave(channels, 0.5f)), v = Make<T>({channels}, Wave(channels, 0.25f, 1));
  const auto xs = Doubles(x), ss = Doubles(s), bs = Doubles(b), ms = Doubles(m), vs = Doubles(v);
  std::vector<double> y, trained, means, variances;
  std::vector<std::vector<double>> by_channel(static_cast<size_t>(channels));
  auto channel = [&](size_t i) { return static_cast<size_t>(static_cast<int64_t>(i) / inner % channels); };
  for (size_t i = 0; i < xs.size(); ++i) by_channel[channel(i)].push_back(xs[i]);
  for (size_t i = 0; i < xs.size(); ++i) {
    const size_t c = channel(i);
    y.push_back((xs[i] - ms[c]) / std::sqrt(vs[c] + 1e-5) * ss[c] + bs[c]);
    auto batch = Of(by_channel[c]);
    trained.push_back((xs[i] - batch.mean) / std::sqrt(batch.variance + 1e-5) * ss[c] + bs[c]);
  }
  for (size_t c = 0; c < by_channel.size(); ++c) {
    means.push_back(ms[c] * 0.75 + Of(by_channel[c]).mean * 0.25);
    variances.push_back(vs[c] * 0.75 + Of(by_channel[c]).variance * 0.25);
  }
  ExpectNear(OpCall("BatchNormalization", 15).In(x).In(s).In(b).In(m).In(v).RunFed(1, {}, 2)[0], y);
  for (int version : {9, 14}) {
    OpCall call("BatchNormalization", version);
    call.Set("momentum", 0.75f).Set("training_mode", int64_t{1}).In(x).In(s).In(b).In(m).In(v);
    auto out = call.RunFed(3);
    ExpectNear(out[0], trained);
    ExpectNear(out[1], means);
    ExpectNear(out[2], variances);
  }
}

TEST(Norm, BatchNormalization) {
  for (const Shape& shape : {Shape{2, 3, 5}, Shape{4, 3}, Shape{6}, Shape{2, 3, 2, 2}}) {
    CheckBatchNorm<float>(shape);
    CheckBatchNorm<double>(shape);
    CheckBatchNorm<Float16>(shape);
  }
  // A mean and variance for every activation.
  OpCall old("BatchNormalization", 7);
  old.Set("spatial", int64_t{0}).Set("epsilon", 0.0f).In<float>({2, 1, 2}, {1, 2, 3, 4}).In<float>({1, 2}, {1, 2});
  old.In<float>({1, 2}, {0, 1}).In<float>({1, 2}, {1, 2}).In<float>({1, 2}, {1, 4});
  EXPECT_EQ(Values<float>(old.Run()), (std::vector<float>{0, 1, 2, 3}));
  OpCall wrong("BatchNormalization", 15);
  wrong.In<float>({1, 2}, {1, 2}).In<float>({3}, {1, 1, 1}).In<float>({2}, {1, 1}).In<float>({2}, {1, 1}).In<float>({2}, {1, 1});
  EXPECT_NE(wrong.Error().find("input 1"), std::string::npos);
}

template <class T>
void CheckGroupNorm(int64_t groups, int version) {
  SCOPED_TRACE(testing::Message() << DTypeName(kDTypeOf<T>) << groups << version);
  const Shape shape{2, 4, 3};
  const bool instance = groups == 0;
  const int64_t count = instance ? 4 : groups, scales = !instance && version < 21 ? groups : 4;
  Tensor x = Make<T>(shape, Wave(24, 2, 1)), s = Make<T>({scales}, Wave(scales, 1, 2)), b = Make<T>({scales}, Wave(scales));
  const auto xs = Doubles(x), ss = Doubles(s), bs = Doubles(b);
  std::vector<double> y;
  for (size_t i = 0; i < 24; ++i) {
    const size_t n = i / 12, c = i / 3 % 4, group = c / static_cast<size_t>(4 / count), length = static_cast<size_t>(12 / count);
    auto begin = xs.begin() + static_cast<int64_t>(n * 12 + group * length);
    auto m = Of(std::vector<double>(begin, begin + static_cast<int64_t>(length)));
    const size_t which = scales == 4 ? c : group;
    y.push_back((xs[i] - m.mean) / std::sqrt(m.variance + 1e-5) * ss[which] + bs[which]);
  }
  OpCall call(instance ? "InstanceNormalization" : "GroupNormalization", version);
  if (!instance) call.Set("num_groups", groups);
  ExpectNear(call.In(x).In(s).In(b).RunFed(1)[0], y);
}

TEST(Norm, InstanceAndGroup) {
  CheckGroupNorm<float>(0, 6);
  CheckGroupNorm<double>(0, 22);
  CheckGroupNorm<Float16>(0, 22);
  for (int64_t groups : {1, 2, 4}) {
    for (int version : {18, 21}) {
      CheckGroupNorm<float>(groups, version);
      CheckGroupNorm<double>(groups, version);
      CheckGroupNorm<Bfloat16>(groups, version);
    }
  }
  for (int64_t groups : {int64_t{0}, int64_t{3}, int64_t{-1}, INT64_MIN}) {
    OpCall call("GroupNormalization", 21);
    call.Set("num_groups", groups).In<float>({1, 4}, Wave(4)).In<float>({4}, Wave(4)).In<float>({4}, Wave(4));
    EXPECT_NE(call.Error(), "");
  }
}

TEST(Norm, Others) {
  EXPECT_EQ(Values<float>(OpCall("LpNormalization", 22).In<float>({2, 2}, {3, 4, 0, 0}).Run()), (std::vector<float>{0.6f, 0.8f, 0, 0}));
  EXPECT_EQ(Values<float>(OpCall("LpNormalization", 1).Set("p", int64_t{1}).Set("axis", int64_t{0}).In<float>({2, 2}, {1, -4, -3, 0}).Run()),
            (std::vector<float>{0.25f, -1, -0.75f, 0}));
  EXPECT_NE(OpCall("LpNormalization", 22).Set("p", int64_t{3}).In<float>({1}, {1}).Error(), "");
  // Windows of 3 channels: 0+1, 0+1+2, 1+2.
  OpCall lrn("LRN", 13);
  lrn.Set("size", int64_t{3}).Set("alpha", 3.0f).Set("beta", 1.0f).Set("bias", 0.0f).In<double>({1, 3, 1}, {1, 2, 4});
  EXPECT_EQ(Values<double>(lrn.Run()), (std::vector<double>{1.0 / 5, 2.0 / 21, 4.0 / 20}));
  EXPECT_NE(OpCall("LRN", 13).Set("size", int64_t{0}).In<float>({1, 1}, {1}).Error(), "");
  OpCall huge("LRN", 13);
  huge.Set("size", INT64_MAX).In<float>({1, 2}, {1, 2});
  EXPECT_EQ(huge.Error(), "");
  OpCall mvn("MeanVarianceNormalization", 13);
  mvn.Set("axes", std::vector<int64_t>{0, -1}).In<float>({2, 2, 1}, {1, 10, 3, 30});
  EXPECT_EQ(Values<float>(mvn.Run()), (std::vector<float>{-1, -1, 1, 1}));
}

TEST(Norm, Dropout) {
  const std::vector<float> x(1000, 2.0f);
  auto out = OpCall("Dropout", 13).In<float>({1000}, x).RunFed(2);
  EXPECT_EQ(Values<float>(out[0]), x);
  EXPECT_EQ(Values<bool>(out[1]), std::vector<bool>(1000, true));
  out = OpCall("Dropout", 7).In<float>({2}, {1, 2}).RunAll(2);
  EXPECT_EQ(Values<float>(out[1]), (std::vector<float>{1, 1}));
  auto train = [&](float ratio) {
    OpCall call("Dropout", 13);
    call.Set("seed", int64_t{5}).In<float>({1000}, x).In<float>(Shape::OfRank(0), {ratio}).In<bool>(Shape::OfRank(0), {true});
    return call;
  };
  out = train(0.25f).RunFed(2);
  int kept = 0;
  for (size_t i = 0; i < 1000; ++i) {
    const bool keep = out[1].as<bool>()[i];
    kept += keep;
    EXPECT_FLOAT_EQ(out[0].as<float>()[i], keep ? 2 / 0.75f : 0);
  }
  EXPECT_NEAR(kept, 750, 60);
  EXPECT_EQ(Values<float>(train(0.25f).RunAll(2)[0]), Values<float>(out[0]));
  EXPECT_EQ(Values<float>(train(0).RunAll(2)[0]), x);
  EXPECT_NE(train(1).Error().find("ratio"), std::string::npos);
  EXPECT_NE(train(NAN).Error().find("ratio"), std::string::npos);
}

}  // namespace
}  // namespace linnet
