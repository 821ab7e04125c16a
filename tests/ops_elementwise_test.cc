// Elementwise operators: broadcasting of every form, types, old versions, hostile values. Expected values from the ONNX
// specification and numpy.
#include <cmath>
#include <limits>

#include "ops_test_util.h"

namespace linnet {
namespace {

const Shape kScalar = Shape::OfRank(0);
constexpr float kInf = std::numeric_limits<float>::infinity();

std::vector<float> Range(int64_t n, float start = 0) {
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(start + static_cast<float>(i));
  return out;
}

/// Element of `values` of shape `shape` at broadcast position `index` of `out`.
float At(const Shape& shape, const std::vector<float>& values, const Shape& out, int64_t flat) {
  int64_t index[kMaxRank];
  for (int d = out.rank() - 1; d >= 0; --d) {
    index[d] = flat % out[d];
    flat /= out[d];
  }
  int64_t at = 0;
  for (int d = 0; d < shape.rank(); ++d) {
    const int64_t i = index[d + out.rank() - shape.rank()];
    at = at * shape[d] + (shape[d] == 1 ? 0 : i);
  }
  return values[static_cast<size_t>(at)];
}

TEST(Elementwise, BroadcastsEveryForm) {
  const Shape shapes[][3] = {
      {{4, 3}, {4, 3}, {4, 3}},          {kScalar, kScalar, kScalar},
      {kScalar, {2, 3}, {2, 3}},              {{5}, kScalar, {5}},
      {{2, 3, 4}, {4}, {2, 3, 4}},       {{2, 3, 4}, {3, 1}, {2, 3, 4}},
      {{2, 1, 4}, {3, 1}, {2, 3, 4}},    {{1, 3}, {3, 1}, {3, 3}},
      {{2, 3, 4, 5}, {2, 1, 4, 1}, {2, 3, 4, 5}},
      {{1, 2, 1, 2, 1, 2}, {3, 1, 3, 1, 3, 1}, {3, 2, 3, 2, 3, 2}},
      {{1}, {1, 1, 1}, {1, 1, 1}},       {{0, 3}, {3}, {0, 3}},
      {{2, 1}, {0}, {2, 0}},             {{7, 1, 300}, {7, 2, 1}, {7, 2, 300}},
  };
  for (const auto& [a, b, out] : shapes) {
    SCOPED_TRACE(ToString(a) + " " + ToString(b));
    const auto x = Range(a.elements(), 1), y = Range(b.elements(), 100);
    Tensor z = OpCall("Sub", 14).In<float>(a, x).In<float>(b, y).Run();
    ASSERT_EQ(z.shape(), out);
    for (int64_t i = 0; i < out.elements(); ++i) ASSERT_EQ(z.as<float>()[i], At(a, x, out, i) - At(b, y, out, i)) << i;
  }
}

TEST(Elementwise, ThreeOperandsBroadcast) {
  Tensor z = OpCall("Where", 16).In<bool>({2, 1}, {true, false}).In<float>(kScalar, {1}).In<float>({3}, {7, 8, 9}).Run();
  EXPECT_EQ(z.shape(), (Shape{2, 3}));
  EXPECT_EQ(Values<float>(z), (std::vector<float>{1, 1, 1, 7, 8, 9}));
  Tensor s = OpCall("Where", 16).In<bool>({2}, {true, false}).In<std::string>({2}, {"a", "b"}).In<std::string>({1}, {"c"}).Run();
  EXPECT_EQ(Values<std::string>(s), (std::vector<std::string>{"a", "c"}));
}

TEST(Elementwise, LegacyBroadcasting) {
  OpCall add("Add", 6);
  add.Set("broadcast", int64_t{1}).Set("axis", int64_t{1}).In<float>({2, 3, 2}, Range(12)).In<float>({3}, {100, 200, 300});
  EXPECT_EQ(Values<float>(add.Run()), (std::vector<float>{100, 101, 202, 203, 304, 305, 106, 107, 208, 209, 310, 311}));
  OpCall scalar("Mul", 1);
  scalar.Set("broadcast", int64_t{1}).In<float>({2}, {1, 2}).In<float>({1}, {3});
  EXPECT_EQ(Values<float>(scalar.Run()), (std::vector<float>{3, 6}));
  OpCall without("Add", 6);
  without.In<float>({2, 3}, Range(6)).In<float>({3}, Range(3));
  EXPECT_NE(without.Error().find("broadcast"), std::string::npos);
  for (int64_t axis : {int64_t{2}, int64_t{-9}, INT64_MIN + 1, INT64_MAX}) {
    OpCall hostile("Add", 6);
    hostile.Set("broadcast", int64_t{1}).Set("axis", axis).In<float>({2, 3}, Range(6)).In<float>({3}, Range(3));
    EXPECT_NE(hostile.Error(), "");
  }
  OpCall prelu("PRelu", 6);
  prelu.In<float>({1, 2, 2}, {-1, 2, -3, -4}).In<float>({2}, {10, 100});
  EXPECT_EQ(Values<float>(prelu.Run()), (std::vector<float>{-10, 2, -300, -400}));
}

TEST(Elementwise, PReluSlopeMustFitInput) {
  OpCall prelu("PRelu", 16);
  prelu.In<float>({2}, {-1, 2}).In<float>({3, 2}, Range(6));
  EXPECT_NE(prelu.Error().find("slope"), std::string::npos);
}

TEST(Elementwise, IntegerArithmeticWraps) {
  EXPECT_EQ(Values<int8_t>(OpCall("Add", 14).In<int8_t>({2}, {127, -128}).In<int8_t>({2}, {1, -1}).Run()),
            (std::vector<int8_t>{-128, 127}));
  EXPECT_EQ(Values<int32_t>(OpCall("Mul", 14).In<int32_t>({1}, {INT32_MAX}).In<int32_t>({1}, {2}).Run()),
            (std::vector<int32_t>{-2}));
  EXPECT_EQ(Values<int64_t>(OpCall("Neg", 13).In<int64_t>({1}, {INT64_MIN}).Run()), (std::vector<int64_t>{INT64_MIN}));
  EXPECT_EQ(Values<int8_t>(OpCall("Abs", 13).In<int8_t>({2}, {-128, -5}).Run()), (std::vector<int8_t>{-128, 5}));
}

TEST(Elementwise, IntegerDivision) {
  EXPECT_EQ(Values<int32_t>(OpCall("Div", 14).In<int32_t>({4}, {7, -7, INT32_MIN, 0}).In<int32_t>({4}, {2, 2, -1, 5}).Run()),
            (std::vector<int32_t>{3, -3, INT32_MIN, 0}));
  EXPECT_EQ(Values<int64_t>(OpCall("Mod", 13).In<int64_t>({5}, {-4, 7, 5, INT64_MIN, -7}).In<int64_t>({5}, {3, -3, 8, -1, 7}).Run()),
            (std::vector<int64_t>{2, -2, 5, 0, 0}));
  EXPECT_EQ(Values<int64_t>(OpCall("Mod", 13).Set("fmod", int64_t{1}).In<int64_t>({3}, {-4, 7, INT64_MIN}).In<int64_t>({3}, {3, -3, -1}).Run()),
            (std::vector<int64_t>{-1, 1, 0}));
  EXPECT_NE(OpCall("Div", 14).In<int32_t>({2}, {1, 2}).In<int32_t>({2}, {1, 0}).Error().find("zero"), std::string::npos);
  EXPECT_NE(OpCall("Mod", 13).In<uint8_t>({1}, {1}).In<uint8_t>({1}, {0}).Error().find("zero"), std::string::npos);
  EXPECT_NE(OpCall("Mod", 13).In<float>({1}, {1}).In<float>({1}, {2}).Error().find("fmod"), std::string::npos);
  EXPECT_EQ(Values<float>(OpCall("Mod", 13).Set("fmod", int64_t{1}).In<float>({2}, {-4.5f, 5}).In<float>({2}, {3, -3}).Run()),
            (std::vector<float>{-1.5f, 2}));
}

TEST(Elementwise, HalvesRoundOnce) {
  Tensor sum = OpCall("Add", 14).In<Float16>({3}, ToHalves<Float16>({2048, 1, 65504})).In<Float16>(kScalar, ToHalves<Float16>({1})).Run();
  EXPECT_EQ(Halves(sum), (std::vector<float>{2048, 2, 65504}));
  Tensor b = OpCall("Mul", 14).In<Bfloat16>({2}, ToHalves<Bfloat16>({1.5f, 3})).In<Bfloat16>({2}, ToHalves<Bfloat16>({2, -1})).Run();
  EXPECT_EQ(Halves(b), (std::vector<float>{3, -3}));
  std::vector<float> many = Range(1000);
  Tensor e = OpCall("Add", 14).In<Float16>({1000}, ToHalves<Float16>(many)).In<Float16>({1000}, ToHalves<Float16>(many)).Run();
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(ToFloat(e.as<Float16>()[i]), 2 * many[static_cast<size_t>(i)]);
}

TEST(Elementwise, Pow) {
  EXPECT_EQ(Values<float>(OpCall("Pow", 15).In<float>({3}, {1, 2, 3}).In<int64_t>({3}, {4, 5, 6}).Run()), (std::vector<float>{1, 32, 729}));
  EXPECT_EQ(Values<int64_t>(OpCall("Pow", 15).In<int64_t>({3}, {1, 2, 3}).In<float>({3}, {4, 5, 6}).Run()), (std::vector<int64_t>{1, 32, 729}));
  EXPECT_EQ(Values<int32_t>(OpCall("Pow", 15).In<int32_t>({5}, {2, 0, -1, 7, 3}).In<int32_t>({5}, {31, -2, -3, -1, 40}).Run()),
            (std::vector<int32_t>{INT32_MIN, 0, -1, 0, 689956897}));  // 3^40 mod 2^32, as int32
  EXPECT_EQ(Values<float>(OpCall("Pow", 15).In<float>({2}, {3, -4}).In<int32_t>(kScalar, {2}).Run()), (std::vector<float>{9, 16}));
  EXPECT_EQ(Halves(OpCall("Pow", 15).In<Float16>({2}, ToHalves<Float16>({3, 4})).In<float>({2}, {2, 0.5f}).Run()), (std::vector<float>{9, 2}));
  EXPECT_EQ(Values<double>(OpCall("Pow", 15).In<double>(kScalar, {2}).In<uint8_t>({2}, {10, 0}).Run()), (std::vector<double>{1024, 1}));
}

TEST(Elementwise, ComparesWithNaN) {
  const std::vector<float> x{NAN, 1, 2}, y{NAN, NAN, 2};
  EXPECT_EQ(Values<bool>(OpCall("Equal", 19).In<float>({3}, x).In<float>({3}, y).Run()), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(Values<bool>(OpCall("LessOrEqual", 16).In<float>({3}, x).In<float>({3}, y).Run()), (std::vector<bool>{false, false, true}));
  EXPECT_EQ(Values<bool>(OpCall("Greater", 13).In<uint64_t>({2}, {UINT64_MAX, 0}).In<uint64_t>(kScalar, {1}).Run()), (std::vector<bool>{true, false}));
  EXPECT_EQ(Values<bool>(OpCall("Equal", 19).In<std::string>({2}, {"a", "b"}).In<std::string>({1}, {"b"}).Run()), (std::vector<bool>{false, true}));
}

TEST(Elementwise, Shifts) {
  EXPECT_EQ(Values<uint8_t>(OpCall("BitShift", 11).Set("direction", std::string("LEFT")).In<uint8_t>({4}, {1, 200, 3, 255}).In<uint8_t>({4}, {1, 1, 8, 255}).Run()),
            (std::vector<uint8_t>{2, 144, 0, 0}));
  EXPECT_EQ(Values<uint64_t>(OpCall("BitShift", 11).Set("direction", std::string("RIGHT")).In<uint64_t>({2}, {16, 16}).In<uint64_t>({2}, {4, 64}).Run()),
            (std::vector<uint64_t>{1, 0}));
  EXPECT_NE(OpCall("BitShift", 11).Set("direction", std::string("UP")).In<uint8_t>({1}, {1}).In<uint8_t>({1}, {1}).Error(), "");
}

TEST(Elementwise, VariadicChains) {
  EXPECT_EQ(Values<float>(OpCall("Sum", 13).In<float>({3}, {1, 2, 3}).In<float>({2, 1}, {10, 20}).In<float>(kScalar, {100}).Run()),
            (std::vector<float>{111, 112, 113, 121, 122, 123}));
  EXPECT_EQ(Values<float>(OpCall("Mean", 13).In<float>({2}, {1, 2}).In<float>({2}, {3, 4}).In<float>({2}, {5, 9}).Run()), (std::vector<float>{3, 5}));
  EXPECT_EQ(Values<double>(OpCall("Mean", 13).In<double>({2}, {1, 2}).In<double>({2}, {2, 4}).Run()), (std::vector<double>{1.5, 3}));
  EXPECT_EQ(Values<int8_t>(OpCall("Max", 13).In<int8_t>({3}, {1, -2, 3}).In<int8_t>({1}, {0}).Run()), (std::vector<int8_t>{1, 0, 3}));
  Tensor nan = OpCall("Min", 13).In<double>({2}, {NAN, 1}).In<double>({2}, {1, NAN}).Run();
  EXPECT_TRUE(std::isnan(nan.as<double>()[0]) && std::isnan(nan.as<double>()[1]));
  EXPECT_EQ(Values<float>(OpCall("Max", 8).In<float>({2}, {1, 2}).Run()), (std::vector<float>{1, 2}));
  EXPECT_NE(OpCall("Max", 13).Error(), "");
  EXPECT_NE(OpCall("Max", 13).In<float>({1}, {1}).Skip().Error(), "");
}

TEST(Elementwise, Clip) {
  EXPECT_EQ(Values<float>(OpCall("Clip", 13).In<float>({4}, {-kInf, -2, 2, kInf}).In<float>(kScalar, {-1}).Run()), (std::vector<float>{-1, -1, 2, kInf}));
  EXPECT_EQ(Values<int8_t>(OpCall("Clip", 13).In<int8_t>({3}, {-10, 0, 10}).Skip().In<int8_t>(kScalar, {5}).Run()), (std::vector<int8_t>{-10, 0, 5}));
  EXPECT_EQ(Values<float>(OpCall("Clip", 13).In<float>({2}, {-2, 9}).In<float>(kScalar, {2}).In<float>(kScalar, {1}).Run()), (std::vector<float>{1, 1}));
  EXPECT_EQ(Values<float>(OpCall("Clip", 6).Set("min", -1.0f).Set("max", 1.0f).In<float>({2}, {-2, 2}).Run()), (std::vector<float>{-1, 1}));
  EXPECT_EQ(Halves(OpCall("Clip", 13).In<Float16>({2}, ToHalves<Float16>({-2, 2})).In<Float16>(kScalar, ToHalves<Float16>({-1})).Run()), (std::vector<float>{-1, 2}));
  EXPECT_NE(OpCall("Clip", 13).In<float>({1}, {1}).In<float>({2}, {1, 2}).Error(), "");
  EXPECT_NE(OpCall("Clip", 13).In<float>({1}, {1}).In<double>(kScalar, {1}).Error(), "");
}

TEST(Elementwise, UnaryTypes) {
  for (const char* op : {"Exp", "Tanh", "Erf", "Softplus", "Mish", "Selu", "Celu", "Gelu", "Elu", "HardSwish", "Softsign", "Sin", "Acosh"}) {
    SCOPED_TRACE(op);
    const std::vector<float> x{0.25f, 0.5f, 1, 1.5f, 2, -0.75f, -3};
    std::vector<double> xd(x.begin(), x.end());
    auto f = Values<float>(OpCall(op, 24).In<float>({7}, x).Run());
    auto d = Values<double>(OpCall(op, 24).In<double>({7}, xd).Run());
    auto h = Halves(OpCall(op, 24).In<Float16>({7}, ToHalves<Float16>(x)).Run());
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(d[i])) {
        EXPECT_TRUE(std::isnan(f[i]) && std::isnan(h[i]));
        continue;
      }
      EXPECT_NEAR(f[i], d[i], 1e-6 * std::max(1.0, std::abs(d[i])));
      EXPECT_NEAR(h[i], d[i], 1e-3 * std::max(1.0, std::abs(d[i])));
    }
  }
  EXPECT_EQ(Values<int32_t>(OpCall("Relu", 14).In<int32_t>({2}, {-1, 5}).Run()), (std::vector<int32_t>{0, 5}));
  EXPECT_EQ(Values<uint8_t>(OpCall("Sign", 13).In<uint8_t>({2}, {0, 5}).Run()), (std::vector<uint8_t>{0, 1}));
  EXPECT_EQ(Values<int8_t>(OpCall("Shrink", 9).Set("lambd", 1.5f).Set("bias", 1.5f).In<int8_t>({3}, {-2, 1, 3}).Run()), (std::vector<int8_t>{0, 0, 1}));
  EXPECT_EQ(Values<bool>(OpCall("Not", 1).In<bool>({2}, {true, false}).Run()), (std::vector<bool>{false, true}));
  EXPECT_EQ(Values<uint16_t>(OpCall("BitwiseNot", 18).In<uint16_t>({1}, {1}).Run()), (std::vector<uint16_t>{65534}));
  EXPECT_EQ(Values<float>(OpCall("Selu", 1).In<float>({1}, {1}).Run()), (std::vector<float>{1.0507f}));
  EXPECT_EQ(Values<bool>(OpCall("IsInf", 20).Set("detect_negative", int64_t{0}).In<float>({3}, {-kInf, kInf, NAN}).Run()), (std::vector<bool>{false, true, false}));
  EXPECT_EQ(Values<bool>(OpCall("IsNaN", 20).In<double>({2}, {1e300, NAN}).Run()), (std::vector<bool>{false, true}));
}

TEST(Elementwise, InferKeepsWhatIsKnown) {
  const int64_t n = SymbolDim(0);
  OpCall add("Add", 14);
  auto infer = [&](const Shape& a, const Shape& b) {
    auto types = InferTypes(add, {{Type::Tensor(DType::kFloat, a)}, {Type::Tensor(DType::kFloat, b)}});
    EXPECT_TRUE(types.ok()) << types.status().message();
    return ToString((*types)[0]);
  };
  EXPECT_EQ(infer({n, 3}, {1}), "float[?,3]");
  EXPECT_EQ(infer({n, 3}, {n, 3}), "float[?,3]");
  EXPECT_EQ(infer({kUnknownDim, 3}, {4, 1}), "float[4,3]");
  EXPECT_EQ(infer(Shape(), {4, 1}), "float[...]");
  auto unknown = InferTypes(add, {{}, {Type::Tensor(DType::kFloat, {2})}});
  ASSERT_TRUE(unknown.ok());
  EXPECT_EQ(ToString((*unknown)[0]), "float[...]");
  EXPECT_FALSE(InferTypes(add, {{Type::Tensor(DType::kFloat, {2})}, {Type::Tensor(DType::kFloat, {3})}}).ok());
  EXPECT_FALSE(InferTypes(add, {{Type::Tensor(DType::kFloat, {2})}, {Type::Tensor(DType::kInt32, {2})}}).ok());
  EXPECT_FALSE(InferTypes(add, {{Type::Sequence(DType::kFloat)}, {Type::Tensor(DType::kFloat, {2})}}).ok());
}

TEST(Cast, NumbersAndStrings) {
  auto cast = [](DType to, int version = 25) { return OpCall("Cast", version).Set("to", static_cast<int64_t>(to)); };
  EXPECT_EQ(Values<uint8_t>(cast(DType::kUint8).In<float>({5}, {-1, 3.9f, 300, NAN, kInf}).Run()), (std::vector<uint8_t>{0, 3, 255, 0, 255}));
  EXPECT_EQ(Values<int64_t>(cast(DType::kInt64).In<double>({3}, {-1e30, 1e30, -2.7}).Run()), (std::vector<int64_t>{INT64_MIN, INT64_MAX, -2}));
  EXPECT_EQ(Values<int8_t>(cast(DType::kInt8).In<int16_t>({1}, {200}).Run()), (std::vector<int8_t>{-56}));
  EXPECT_EQ(Values<float>(cast(DType::kFloat).In<uint64_t>({1}, {UINT64_MAX}).Run()), (std::vector<float>{18446744073709551616.0f}));
  EXPECT_EQ(Values<double>(cast(DType::kDouble).In<uint64_t>({1}, {uint64_t{1} << 63}).Run()), (std::vector<double>{9223372036854775808.0}));
  EXPECT_EQ(Values<int64_t>(cast(DType::kInt64).In<uint64_t>({1}, {UINT64_MAX}).Run()), (std::vector<int64_t>{-1}));
  EXPECT_EQ(Values<bool>(cast(DType::kBool).In<float>({3}, {-0.0f, 0.1f, NAN}).Run()), (std::vector<bool>{false, true, true}));
  EXPECT_EQ(Halves(cast(DType::kFloat16).In<double>({1}, {1.0 + 0x1p-11 + 0x1p-40}).Run()), (std::vector<float>{1.0f + 0x1p-10f}));
  EXPECT_EQ(Values<std::string>(cast(DType::kString).In<float>({3}, {0.1f, 1, -kInf}).Run()), (std::vector<std::string>{"0.1", "1", "-INF"}));
  EXPECT_EQ(Values<std::string>(cast(DType::kString).In<uint64_t>({1}, {UINT64_MAX}).Run()), (std::vector<std::string>{"18446744073709551615"}));
  EXPECT_EQ(Values<float>(cast(DType::kFloat).In<std::string>({3}, {"3.14", "1e-5", "-inf"}).Run()), (std::vector<float>{3.14f, 1e-5f, -kInf}));
  EXPECT_EQ(Values<int64_t>(cast(DType::kInt64).In<std::string>({3}, {"9223372036854775807", "-12", "100.5"}).Run()), (std::vector<int64_t>{INT64_MAX, -12, 100}));
  EXPECT_NE(cast(DType::kInt32).In<std::string>({2}, {"1", "x\n"}).Error().find("element 1: 'x\\n'"), std::string::npos);
  EXPECT_EQ(Values<int32_t>(OpCall("Cast", 1).Set("to", std::string("INT32")).In<float>({1}, {5}).Run()), (std::vector<int32_t>{5}));
  EXPECT_NE(cast(static_cast<DType>(99)).In<float>({1}, {5}).Error(), "");
  EXPECT_EQ(Values<float>(cast(DType::kFloat).In<float>({2}, {5, 6}).Run()), (std::vector<float>{5, 6}));
  EXPECT_EQ(Values<int32_t>(OpCall("BitCast", 26).Set("to", int64_t{6}).In<float>({1}, {1}).Run()), (std::vector<int32_t>{0x3f800000}));
  EXPECT_NE(OpCall("BitCast", 26).Set("to", int64_t{7}).In<float>({1}, {1}).Error().find("bits"), std::string::npos);
}

TEST(Cast, PackedTypesRoundTrip) {
  for (DType packed : {DType::kInt4, DType::kUint4, DType::kInt2, DType::kUint2, DType::kFloat4e2m1}) {
    SCOPED_TRACE(DTypeName(packed));
    const bool is_signed = packed == DType::kInt4 || packed == DType::kInt2;
    const int64_t range = packed == DType::kFloat4e2m1 ? 3 : (int64_t{1} << DTypeBits(packed));
    const int64_t n = 1027;
    std::vector<float> x;
    for (int64_t i = 0; i < n; ++i) x.push_back(static_cast<float>(i % range - (is_signed ? range / 2 : 0)));
    Tensor small = OpCall("Cast", 25).Set("to", static_cast<int64_t>(packed)).In<float>({n}, x).Run();
    ASSERT_EQ(small.dtype(), packed);
    EXPECT_EQ(Values<float>(OpCall("Cast", 25).Set("to", int64_t{1}).In(small).Run()), x);
    EXPECT_EQ(Values<float>(OpCall("CastLike", 25).In(small).In<float>(kScalar, {0}).Run()), x);
  }
}

}  // namespace
}  // namespace linnet
