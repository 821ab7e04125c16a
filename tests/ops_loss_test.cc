// Losses, determinants, gated activations and optimizers: small cases worked out by hand, types, refusals.
#include <cmath>

#include "ops_test_util.h"

namespace linnet {
namespace {

OpCall Nll(const char* reduction) { return OpCall("NegativeLogLikelihoodLoss", 13).Set("reduction", std::string(reduction)); }

TEST(Loss, NegativeLogLikelihood) {
  // [N, C, d] = [2, 3, 2]: the example of the specification.
  const std::vector<float> x{1, 2, 2, 2, 3, 2, 0, 1, 2, 2, 1, 2};
  auto with = [&](OpCall call) { return call.In<float>({2, 3, 2}, x).In<int64_t>({2, 2}, {2, 1, 0, 2}); };
  EXPECT_EQ(Values<float>(with(Nll("none")).Run()), (std::vector<float>{-3, -2, 0, -2}));
  EXPECT_EQ(Values<float>(with(Nll("sum")).Run()), (std::vector<float>{-7}));
  EXPECT_EQ(Values<float>(with(Nll("mean")).Run()), (std::vector<float>{-1.75f}));
  EXPECT_FLOAT_EQ(Values<float>(with(Nll("sum")).In<float>({3}, {0.2f, 0.3f, 0.1f}).Run())[0], -1.1f);
  EXPECT_FLOAT_EQ(Values<float>(with(Nll("mean")).In<float>({3}, {0.2f, 0.3f, 0.1f}).Run())[0], -1.1f / 0.7f);
}

TEST(Loss, IgnoresAnIndex) {
  auto call = [](const char* reduction) {
    return Nll(reduction).Set("ignore_index", int64_t{-5}).In<double>({3, 2}, {1, 2, 3, 4, 5, 6}).In<int32_t>({3}, {1, -5, 0});
  };
  EXPECT_EQ(Values<double>(call("none").Run()), (std::vector<double>{-2, 0, -5}));
  EXPECT_EQ(Values<double>(call("mean").Run()), (std::vector<double>{-3.5}));
  EXPECT_EQ(Values<double>(call("mean").In<double>({2}, {3, 1}).Run()), (std::vector<double>{-17.0 / 4}));
  EXPECT_TRUE(std::isnan(Values<double>(Nll("mean").Set("ignore_index", int64_t{0}).In<double>({1, 2}, {1, 2}).In<int32_t>({1}, {0}).Run())[0]));
}

TEST(Loss, LabelsMustBeClasses) {
  for (int64_t label : {int64_t{2}, int64_t{-1}, INT64_MIN, INT64_MAX}) {
    EXPECT_NE(Nll("sum").In<float>({1, 2}, {1, 2}).In<int64_t>({1}, {label}).Error().find("outside [0, 2)"), std::string::npos);
  }
  EXPECT_NE(Nll("sum").In<float>({1, 2}, {1, 2}).In<int64_t>({2}, {0, 0}).Error(), "");
  EXPECT_NE(Nll("sum").In<float>({1, 2}, {1, 2}).In<int64_t>({1}, {0}).In<float>({3}, {1, 1, 1}).Error(), "");
  EXPECT_NE(Nll("most").In<float>({1, 2}, {1, 2}).In<int64_t>({1}, {0}).Error(), "");
  EXPECT_EQ(Values<float>(Nll("sum").In<float>({0, 2}, {}).In<int64_t>({0}, {}).Run()), (std::vector<float>{0}));
}

TEST(Loss, SoftmaxCrossEntropy) {
  OpCall call("SoftmaxCrossEntropyLoss", 13);
  call.In<double>({2, 2}, {0, std::log(3.0), 1000, 1000}).In<int64_t>({2}, {1, 0});
  auto out = call.RunFed(2, {}, 2);
  EXPECT_NEAR(out[0].as<double>()[0], (std::log(4.0 / 3) + std::log(2.0)) / 2, 1e-12);
  EXPECT_EQ(out[1].shape(), (Shape{2, 2}));
  EXPECT_NEAR(out[1].as<double>()[0], -std::log(4.0), 1e-12);
  EXPECT_NEAR(out[1].as<double>()[3], -std::log(2.0), 1e-12);
  OpCall half("SoftmaxCrossEntropyLoss", 13);
  half.Set("reduction", std::string("none")).In<Float16>({1, 2, 1}, ToHalves<Float16>({0, 0})).In<int32_t>({1, 1}, {1});
  EXPECT_NEAR(Halves(half.Run())[0], std::log(2.0), 1e-3);
}

TEST(Det, SmallMatrices) {
  EXPECT_NEAR(Values<double>(OpCall("Det", 11).In<double>({3, 3}, {0, 2, 1, 3, 0, 4, 5, 6, 0}).Run())[0], 58, 1e-12);
  EXPECT_EQ(Values<float>(OpCall("Det", 22).In<float>({2, 2, 2}, {1, 2, 3, 4, 1, 2, 2, 4}).RunFed(1)[0]), (std::vector<float>{-2, 0}));
  EXPECT_EQ(Values<float>(OpCall("Det", 22).In<float>({0, 0}, {}).Run()), (std::vector<float>{1}));
  EXPECT_NE(OpCall("Det", 22).In<float>({2, 3}, {1, 2, 3, 4, 5, 6}).Error().find("square"), std::string::npos);
}

TEST(Gated, ActivationsAndProducts) {
  const std::vector<float> a{-1, 0, 2}, b{3, 4, 5};
  auto swish = [](double x, double alpha) { return x / (1 + std::exp(-alpha * x)); };
  auto f = Values<float>(OpCall("SwiGLU", 28).Set("alpha", 2.0f).In<float>({3}, a).In<float>({3}, b).RunFed(1)[0]);
  auto d = Values<double>(OpCall("SwiGLU", 28).Set("alpha", 2.0f).In<double>({3}, {-1, 0, 2}).In<double>({3}, {3, 4, 5}).Run());
  auto h = Halves(OpCall("SwiGLU", 28).Set("alpha", 2.0f).In<Float16>({3}, ToHalves<Float16>(a)).In<Float16>({3}, ToHalves<Float16>(b)).Run());
  for (size_t i = 0; i < 3; ++i) {
    const double expected = swish(a[i], 2) * b[i];
    EXPECT_NEAR(f[i], expected, 1e-5);
    EXPECT_NEAR(d[i], expected, 1e-12);
    EXPECT_NEAR(h[i], expected, 1e-2);
  }
  EXPECT_NE(OpCall("SwiGLU", 28).In<float>({3}, a).In<float>({1}, {1}).Error(), "");
  auto gelu = [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); };
  auto bias = Values<float>(OpCall("BiasGelu", 1, "com.microsoft").In<float>({2, 3}, {1, 2, 3, 4, 5, -6}).In<float>({3}, a).RunFed(1)[0]);
  for (size_t i = 0; i < 6; ++i) EXPECT_NEAR(bias[i], gelu((i == 5 ? -6 : static_cast<double>(i) + 1) + a[i % 3]), 1e-5);
  auto fast = Values<float>(OpCall("FastGelu", 1, "com.microsoft").In<float>({3}, a).Run());
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(fast[i], gelu(a[i]), 2e-3);
}

TEST(Optimizers, OneStep) {
  const Shape scalar = Shape::OfRank(0);
  auto start = [&](const char* op, int64_t t) {
    OpCall c(op, 1, "ai.onnx.preview.training");
    c.Set("norm_coefficient", 0.5f).In<double>(scalar, {0.1}).In<int64_t>(scalar, {t});
    return c;
  };
  // G' = 0.5 * 2 + 3 = 4.
  auto adagrad = start("Adagrad", 4).Set("decay_factor", 0.25f).In<double>({1}, {2}).In<double>({1}, {3}).In<double>({1}, {9}).RunAll(2);
  EXPECT_NEAR(adagrad[1].as<double>()[0], 25, 1e-6);
  EXPECT_NEAR(adagrad[0].as<double>()[0], 2 - 0.05 * 4 / 5, 1e-6);
  auto momentum = start("Momentum", 0).Set("alpha", 0.5f).Set("beta", 7.0f).Set("mode", std::string("nesterov")).In<double>({1}, {2}).In<double>({1}, {3}).In<double>({1}, {2}).RunAll(2);
  EXPECT_NEAR(momentum[1].as<double>()[0], 5, 1e-6);
  EXPECT_NEAR(momentum[0].as<double>()[0], 2 - 0.1 * (4 + 2.5), 1e-6);
  auto adam = start("Adam", 1).Set("alpha", 0.5f).Set("beta", 0.75f).In<double>({1}, {2}).In<double>({1}, {3}).In<double>({1}, {0}).In<double>({1}, {0}).RunAll(3);
  EXPECT_NEAR(adam[1].as<double>()[0], 2, 1e-6);
  EXPECT_NEAR(adam[2].as<double>()[0], 4, 1e-6);
  EXPECT_NEAR(adam[0].as<double>()[0], 2 - 0.1 * 0.5 / 0.5 * 2 / 2, 1e-6);
  EXPECT_NE(start("Adam", 1).In<double>({1}, {2}).Error().find("groups of 4"), std::string::npos);
  EXPECT_NE(start("Momentum", 0).In<double>({1}, {2}).In<double>({1}, {3}).In<double>({1}, {2}).Error().find("mode"), std::string::npos);
}

}  // namespace
}  // namespace linnet
