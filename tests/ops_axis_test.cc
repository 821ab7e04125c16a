// Softmax, reductions, arg and cumulative operators: versions, types, arrangements of axes, NaN and nothing.
#include <cmath>
#include <limits>

#include "ops_test_util.h"

namespace linnet {
namespace {

const Shape kScalar = Shape::OfRank(0);
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> Counting(int64_t n, float start = 0) {
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(start + static_cast<float>(i));
  return out;
}

/// Reduces `x` over the axes in `mask` by accumulating in double.
std::vector<double> Expected(const std::string& op, const Shape& shape, const std::vector<float>& x, uint32_t mask) {
  int64_t kept = 1, reduced = 1;
  for (int d = 0; d < shape.rank(); ++d) ((mask >> d) & 1 ? reduced : kept) *= shape[d];
  std::vector<std::vector<double>> lanes(static_cast<size_t>(kept));
  for (int64_t flat = 0; flat < shape.elements(); ++flat) {
    int64_t rest = flat, lane = 0, stride = 1;
    for (int d = shape.rank() - 1; d >= 0; --d) {
      const int64_t i = rest % shape[d];
      rest /= shape[d];
      if ((mask >> d) & 1) continue;
      lane += i * stride;
      stride *= shape[d];
    }
    lanes[static_cast<size_t>(lane)].push_back(x[static_cast<size_t>(flat)]);
  }
  std::vector<double> out;
  for (const auto& lane : lanes) {
    double sum = 0, product = 1, squares = 0, magnitudes = 0, exponentials = 0, most = -INFINITY, least = INFINITY;
    for (double v : lane) {
      sum += v, product *= v, squares += v * v, magnitudes += std::abs(v), exponentials += std::exp(v);
      most = std::max(most, v), least = std::min(least, v);
    }
    const double n = static_cast<double>(lane.size());
    out.push_back(op == "ReduceSum"         ? sum
                  : op == "ReduceMean"      ? sum / n
                  : op == "ReduceMax"       ? most
                  : op == "ReduceMin"       ? least
                  : op == "ReduceProd"      ? product
                  : op == "ReduceL1"        ? magnitudes
                  : op == "ReduceL2"        ? std::sqrt(squares)
                  : op == "ReduceLogSum"    ? std::log(sum)
                  : op == "ReduceLogSumExp" ? std::log(exponentials)
                                            : squares);
  }
  return out;
}

constexpr const char* kReductions[] = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd",
                                       "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"};

TEST(Reduce, EveryArrangementAndType) {
  const Shape shape{2, 3, 1, 4, 5};
  std::vector<float> x;
  for (int64_t i = 0; i < shape.elements(); ++i) x.push_back(0.25f + static_cast<float>(i * 7 % 11) / 8);
  for (const char* op : kReductions) {
    for (uint32_t mask = 0; mask < 32; ++mask) {
      SCOPED_TRACE(testing::Message() << op << " " << mask);
      std::vector<int64_t> axes;
      for (int d = 0; d < 5; ++d) {
        if ((mask >> d) & 1) axes.push_back(d % 2 ? d - 5 : d);
      }
      const auto expected = Expected(op, shape, x, mask);
      auto check = [&]<class T>(double tolerance, int threads) {
        OpCall call(op, 18);
        call.Set("noop_with_empty_axes", int64_t{1}).Set("keepdims", int64_t{mask % 2});
        if constexpr (std::is_same_v<T, Float16>) {
          call.In(shape, ToHalves<T>(x));
        } else {
          call.In(shape, std::vector<T>(x.begin(), x.end()));
        }
        call.In(Tensor::Ints(axes));
        Tensor y = threads > 0 ? call.RunFed(1, {1}, threads)[0] : call.Run();
        ASSERT_EQ(y.elements(), static_cast<int64_t>(expected.size()));
        EXPECT_EQ(y.shape().rank(), mask % 2 ? 5 : 5 - static_cast<int>(axes.size()));
        for (size_t i = 0; i < expected.size(); ++i) {
          double value;
          if constexpr (std::is_same_v<T, Float16>) {
            value = ToFloat(y.as<T>()[i]);
          } else {
            value = y.as<T>()[i];
          }
          // Beyond the range of float16.
          if (std::abs(expected[i]) > 60000) continue;
          ASSERT_NEAR(value, expected[i], tolerance * std::max(1.0, std::abs(expected[i])));
        }
      };
      check.operator()<float>(1e-5, 0);
      check.operator()<double>(1e-12, 2);
      check.operator()<Float16>(2e-3, 0);
    }
  }
}

TEST(Reduce, AllAxesGivenWhenItRuns) {
  // Without kept dimensions the result is a scalar whatever the list says, and the list still says what is summed.
  OpCall all("ReduceSum", 13);
  all.Set("keepdims", int64_t{0}).In<float>({2, 3}, {1, 2, 3, 4, 5, 6}).In<int64_t>({2}, {1, -2});
  EXPECT_EQ(Values<float>(all.RunFed(1)[0]), std::vector<float>{21});
  OpCall twice("ReduceSum", 13);  // the same axis twice leaves the other one
  twice.Set("keepdims", int64_t{0}).In<float>({2, 3}, {1, 2, 3, 4, 5, 6}).In<int64_t>({2}, {1, -1});
  EXPECT_EQ(Values<float>(twice.RunFed(1)[0]), (std::vector<float>{6, 15}));
}

TEST(Reduce, Integers) {
  auto run = [](const char* op, std::vector<int32_t> x) {
    const Shape shape{static_cast<int64_t>(x.size())};
    return Values<int32_t>(OpCall(op, 18).Set("keepdims", int64_t{0}).In<int32_t>(shape, x).Run());
  };
  EXPECT_EQ(run("ReduceSum", {INT32_MAX, 1}), (std::vector<int32_t>{INT32_MIN}));
  EXPECT_EQ(run("ReduceMean", {1, 2, 4}), (std::vector<int32_t>{2}));
  EXPECT_EQ(run("ReduceL2", {3, 4}), (std::vector<int32_t>{5}));
  EXPECT_EQ(run("ReduceL1", {-3, 4}), (std::vector<int32_t>{7}));
  EXPECT_EQ(run("ReduceMax", {}), (std::vector<int32_t>{INT32_MIN}));
  EXPECT_EQ(run("ReduceProd", {}), (std::vector<int32_t>{1}));
  EXPECT_EQ(Values<uint8_t>(OpCall("ReduceMin", 18).In<uint8_t>({3}, {200, 7, 255}).Run()), (std::vector<uint8_t>{7}));
  EXPECT_EQ(Values<uint64_t>(OpCall("ReduceMax", 18).In<uint64_t>({2}, {UINT64_MAX, 1}).Run()), (std::vector<uint64_t>{UINT64_MAX}));
  EXPECT_EQ(Values<bool>(OpCall("ReduceMax", 20).In<bool>({2}, {false, true}).Run()), (std::vector<bool>{true}));
  EXPECT_EQ(Values<bool>(OpCall("ReduceMin", 20).In<bool>({2}, {false, true}).Run()), (std::vector<bool>{false}));
}

TEST(Reduce, NothingAndSpecialValues) {
  auto of_nothing = [](const char* op) { return OpCall(op, 18).In<float>({2, 0}, {}).In(Tensor::Ints(std::vector<int64_t>{1})).Run(); };
  EXPECT_EQ(Values<float>(of_nothing("ReduceSum")), (std::vector<float>{0, 0}));
  EXPECT_EQ(Values<float>(of_nothing("ReduceMax")), (std::vector<float>{-kInf, -kInf}));
  EXPECT_EQ(Values<float>(of_nothing("ReduceLogSumExp")), (std::vector<float>{-kInf, -kInf}));
  EXPECT_EQ(OpCall("ReduceSum", 13).In<float>({2, 0}, {}).In(Tensor::Ints(std::vector<int64_t>{0})).Run().shape(), (Shape{1, 0}));
  EXPECT_TRUE(std::isnan(Values<double>(OpCall("ReduceMax", 18).In<double>({3}, {1, NAN, 2}).Run())[0]));
  EXPECT_EQ(Values<double>(OpCall("ReduceLogSumExp", 18).In<double>({2}, {1000, 1000}).Run()), (std::vector<double>{1000 + std::log(2.0)}));
  EXPECT_EQ(Values<double>(OpCall("ReduceLogSumExp", 18).In<double>({2}, {-INFINITY, -INFINITY}).Run()), (std::vector<double>{-INFINITY}));
  EXPECT_EQ(Values<double>(OpCall("ReduceLogSumExp", 18).In<double>({2}, {INFINITY, 1}).Run()), (std::vector<double>{INFINITY}));
  EXPECT_EQ(Values<float>(OpCall("ReduceSum", 13).In<float>(kScalar, {5}).Run()), (std::vector<float>{5}));
}

TEST(Reduce, AxesOfOldAndNewVersions) {
  EXPECT_EQ(Values<float>(OpCall("ReduceMax", 13).Set("axes", std::vector<int64_t>{0}).Set("keepdims", int64_t{0}).In<float>({2, 2}, {1, 5, 3, 2}).Run()),
            (std::vector<float>{3, 5}));
  for (int64_t axis : {int64_t{2}, int64_t{-3}, INT64_MIN, INT64_MAX}) {
    EXPECT_NE(OpCall("ReduceSum", 13).In<float>({2, 2}, Counting(4)).In(Tensor::Ints(std::vector<int64_t>{axis})).Error(), "");
  }
  OpCall sum("ReduceSum", 13);
  auto infer = [&](const Type& axes, bool keep) {
    sum.Set("keepdims", int64_t{keep});
    auto types = InferTypes(sum, {{Type::Tensor(DType::kFloat, {SymbolDim(0), 3, 4})}, {axes}});
    EXPECT_TRUE(types.ok());
    return ToString((*types)[0].shape);
  };
  EXPECT_EQ(infer(Type::Tensor(DType::kInt64, {1}), true), "[?,?,?]");
  EXPECT_EQ(infer(Type::Tensor(DType::kInt64, {1}), false), "[?,?]");
  EXPECT_EQ(infer(Type::Tensor(DType::kInt64, {kUnknownDim}), false), "[...]");
  EXPECT_EQ(infer(Type::Tensor(DType::kInt64, {0}), false), "[]");
  // Axes that are known only when it runs.
  OpCall late("ReduceSum", 13);
  late.Set("keepdims", int64_t{0}).In<float>({2, 3}, Counting(6)).In(Tensor::Ints(std::vector<int64_t>{1}));
  Tensor y = late.RunFed(1)[0];
  EXPECT_EQ(y.shape(), (Shape{2}));
  EXPECT_EQ(Values<float>(y), (std::vector<float>{3, 12}));
}

TEST(Softmax, FlattensBeforeVersion13) {
  const std::vector<float> zeros(12, 0.0f);
  EXPECT_EQ(OpCall("Softmax", 11).In<float>({2, 3, 2}, zeros).Run().as<float>()[0], 1.0f / 6);
  EXPECT_EQ(OpCall("Softmax", 13).In<float>({2, 3, 2}, zeros).Run().as<float>()[0], 0.5f);
  EXPECT_FLOAT_EQ(OpCall("Softmax", 13).Set("axis", int64_t{1}).In<float>({2, 3, 2}, zeros).Run().as<float>()[0], 1.0f / 3);
  EXPECT_EQ(OpCall("Softmax", 11).Set("axis", int64_t{3}).In<float>({2, 3, 2}, zeros).Run().as<float>()[0], 1.0f);
  EXPECT_EQ(OpCall("Softmax", 13).In<float>(kScalar, {7}).Run().as<float>()[0], 1.0f);
  EXPECT_NE(OpCall("Softmax", 13).Set("axis", int64_t{3}).In<float>({2, 3, 2}, zeros).Error(), "");
  EXPECT_EQ(OpCall("Softmax", 13).In<float>({2, 0}, {}).Run().shape(), (Shape{2, 0}));
}

TEST(Softmax, TypesAgree) {
  const std::vector<float> x{1, 2, 3, -1, 0, 5, 2, 2, 2, 4, 4, -8};
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    for (int64_t axis : {0, 1, 2}) {
      SCOPED_TRACE(testing::Message() << op << axis);
      auto call = [&] { return OpCall(op, 13).Set("axis", axis); };
      const Shape shape{2, 3, 2};
      auto d = Values<double>(call().In(shape, std::vector<double>(x.begin(), x.end())).RunFed(1, {}, 2)[0]);
      auto f = Values<float>(call().In(shape, x).Run());
      auto h = Halves(call().In(shape, ToHalves<Float16>(x)).Run());
      ASSERT_EQ(d.size(), x.size());
      for (size_t i = 0; i < d.size(); ++i) {
        EXPECT_NEAR(f[i], d[i], 1e-6 * std::max(1.0, std::abs(d[i])));
        EXPECT_NEAR(h[i], d[i], 2e-3 * std::max(1.0, std::abs(d[i])));
      }
    }
  }
  EXPECT_NEAR(Values<double>(OpCall("Softmax", 13).In<double>({2}, {0, std::log(3.0)}).Run())[1], 0.75, 1e-15);
}

TEST(Softmax, HardmaxTakesTheFirst) {
  EXPECT_EQ(Values<float>(OpCall("Hardmax", 13).In<float>({2, 3}, {1, 3, 3, 5, 1, 1}).Run()), (std::vector<float>{0, 1, 0, 1, 0, 0}));
  EXPECT_EQ(Values<float>(OpCall("Hardmax", 13).Set("axis", int64_t{0}).In<float>({2, 2}, {1, 3, 3, 5}).Run()), (std::vector<float>{0, 0, 1, 1}));
}

TEST(ArgMax, TiesAndNaN) {
  auto arg = [](const char* op, bool last) { return OpCall(op, 13).Set("select_last_index", int64_t{last}).Set("keepdims", int64_t{0}); };
  const std::vector<float> x{2, 7, 7, 1, NAN, 0};
  EXPECT_EQ(Values<int64_t>(arg("ArgMax", false).Set("axis", int64_t{1}).In<float>({2, 3}, x).Run()), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(Values<int64_t>(arg("ArgMax", true).Set("axis", int64_t{1}).In<float>({2, 3}, x).Run()), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(Values<int64_t>(arg("ArgMin", false).In<float>({2, 3}, x).Run()), (std::vector<int64_t>{1, 1, 1}));
  EXPECT_EQ(Values<int64_t>(arg("ArgMin", true).Set("axis", int64_t{-1}).In<int8_t>({4}, {3, -1, -1, 0}).Run()), (std::vector<int64_t>{2}));
  EXPECT_NE(arg("ArgMax", false).In<float>({0, 3}, {}).Error().find("empty"), std::string::npos);
  EXPECT_EQ(arg("ArgMax", false).In<float>({3, 0}, {}).Run().shape(), (Shape{0}));
}

TEST(CumSum, DirectionsAndTypes) {
  auto run = [](int64_t exclusive, int64_t reverse) {
    OpCall call("CumSum", 14);
    call.Set("exclusive", exclusive).Set("reverse", reverse).In<int32_t>({3}, {1, 2, 3}).In<int64_t>(kScalar, {0});
    return Values<int32_t>(call.RunFed(1)[0]);
  };
  EXPECT_EQ(run(0, 0), (std::vector<int32_t>{1, 3, 6}));
  EXPECT_EQ(run(1, 0), (std::vector<int32_t>{0, 1, 3}));
  EXPECT_EQ(run(0, 1), (std::vector<int32_t>{6, 5, 3}));
  EXPECT_EQ(run(1, 1), (std::vector<int32_t>{5, 3, 0}));
  EXPECT_EQ(Values<float>(OpCall("CumProd", 26).In<float>({2, 2}, {1, 2, 3, 4}).In<int32_t>({1}, {-2}).Run()), (std::vector<float>{1, 2, 3, 8}));
  EXPECT_EQ(Values<int64_t>(OpCall("CumSum", 14).In<int64_t>({2}, {INT64_MAX, 1}).In<int64_t>(kScalar, {0}).Run()), (std::vector<int64_t>{INT64_MAX, INT64_MIN}));
  EXPECT_NE(OpCall("CumSum", 14).In<float>({2}, {1, 2}).In<int64_t>(kScalar, {1}).Error().find("axis 1"), std::string::npos);
  EXPECT_NE(OpCall("CumSum", 14).In<float>({2}, {1, 2}).In<int64_t>(kScalar, {INT64_MIN}).Error(), "");
}

}  // namespace
}  // namespace linnet
