// MatMul, Gemm and their fused forms against plain sums, over shapes that take every form of W.
#include <cmath>

#include "ops_test_util.h"

namespace linnet {
namespace {

std::vector<float> Numbers(int64_t n, uint32_t seed) {
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) {
    seed = seed * 1664525 + 1013904223;
    out.push_back(static_cast<float>(static_cast<int>(seed >> 24) % 17 - 8));  // small integers: sums are exact
  }
  return out;
}

/// Y = op(X) op(W) with numpy.matmul's broadcasting, both of rank >= 2.
std::vector<float> Product(const Shape& xs, const std::vector<float>& x, bool tx, const Shape& ws,
                           const std::vector<float>& w, bool tw, const Shape& out) {
  const int64_t m = out[out.rank() - 2], n = out[out.rank() - 1];
  const int64_t k = xs[xs.rank() - (tx ? 2 : 1)];
  std::vector<float> y;
  auto matrix = [&](const Shape& shape, int64_t batch) {
    int64_t at = 0, stride = 1;
    for (int d = out.rank() - 3; d >= 0; --d) {
      const int own = d - (out.rank() - shape.rank());
      const int64_t i = batch % out[d];
      batch /= out[d];
      if (own < 0) continue;
      at += (shape[own] == 1 ? 0 : i) * stride;
      stride *= shape[own];
    }
    return at;
  };
  for (int64_t b = 0; b < out.Product(0, out.rank() - 2); ++b) {
    const float* xb = x.data() + matrix(xs, b) * m * k;
    const float* wb = w.data() + matrix(ws, b) * k * n;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t l = 0; l < k; ++l) sum += (tx ? xb[l * m + i] : xb[i * k + l]) * (tw ? wb[j * k + l] : wb[l * n + j]);
        y.push_back(sum);
      }
    }
  }
  return y;
}

struct ProductCase {
  Shape x, w, y;
};
const ProductCase kCases[] = {
    {{3, 4}, {4, 5}, {3, 5}},
    {{1, 7}, {7, 33}, {1, 33}},
    {{100, 20}, {20, 40}, {100, 40}},
    {{50, 9}, {9, 1}, {50, 1}},
    {{2, 3, 4}, {4, 5}, {2, 3, 5}},
    {{2, 3, 4}, {2, 4, 5}, {2, 3, 5}},
    {{2, 50, 4}, {2, 4, 5}, {2, 50, 5}},
    {{3, 4}, {6, 4, 5}, {6, 3, 5}},
    {{2, 1, 40, 4}, {3, 4, 17}, {2, 3, 40, 17}},
    {{2, 3, 5, 4}, {1, 1, 4, 6}, {2, 3, 5, 6}},
    {{5, 2, 9}, {5, 9, 1}, {5, 2, 1}},
    {{4, 0}, {0, 3}, {4, 3}},
    {{0, 4}, {4, 3}, {0, 3}},
    {{2, 3, 4}, {2, 4, 0}, {2, 3, 0}},
};

template <class T>
std::vector<T> To(const std::vector<float>& x) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>) {
    return ToHalves<T>(x);
  } else {
    return std::vector<T>(x.begin(), x.end());
  }
}
template <class T>
std::vector<float> Floats(const Tensor& y) {
  if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>) {
    return Halves(y);
  } else {
    auto values = Values<T>(y);
    return std::vector<float>(values.begin(), values.end());
  }
}

template <class T>
void CheckMatMul() {
  for (const ProductCase& t : kCases) {
    SCOPED_TRACE(std::string(DTypeName(kDTypeOf<T>)) + ToString(t.x) + ToString(t.w));
    auto x = Numbers(t.x.elements(), 1), w = Numbers(t.w.elements(), 2);
    if (kDTypeOf<T> == DType::kUint32) {
      for (float& v : x) v = std::abs(v);
      for (float& v : w) v = std::abs(v);
    }
    Tensor y = OpCall("MatMul", 13).In(t.x, To<T>(x)).In(t.w, To<T>(w)).Run();
    EXPECT_EQ(y.shape(), t.y);
    auto expected = Product(t.x, x, false, t.w, w, false, t.y);
    if (kDTypeOf<T> == DType::kBfloat16) {
      for (float& v : expected) v = ToFloat(ToBfloat16(v));
    }
    EXPECT_EQ(Floats<T>(y), expected);
    OpCall call("MatMul", 13);
    call.In(t.x, To<T>(x)).In(t.w, To<T>(w));
    EXPECT_EQ(Floats<T>(call.RunFed(1)[0]), expected);
    EXPECT_EQ(Floats<T>(call.RunFed(1, {}, 2)[0]), expected);
    EXPECT_EQ(Floats<T>(call.RunFed(1, {1}, 2)[0]), expected);
  }
}

TEST(MatMul, EveryTypeAndShape) {
  CheckMatMul<float>();
  CheckMatMul<double>();
  CheckMatMul<int32_t>();
  CheckMatMul<int64_t>();
  CheckMatMul<uint32_t>();
  CheckMatMul<Float16>();
  CheckMatMul<Bfloat16>();
}

TEST(MatMul, Vectors) {
  const auto x = Numbers(6, 1), v = Numbers(3, 2), u = Numbers(2, 3);
  auto xv = Product({2, 3}, x, false, {3, 1}, v, false, {2, 1});
  Tensor y = OpCall("MatMul", 13).In<float>({2, 3}, x).In<float>({3}, v).Run();
  EXPECT_EQ(y.shape(), (Shape{2}));
  EXPECT_EQ(Values<float>(y), xv);
  auto ux = Product({1, 2}, u, false, {2, 3}, x, false, {1, 3});
  y = OpCall("MatMul", 13).In<float>({2}, u).In<float>({2, 3}, x).Run();
  EXPECT_EQ(y.shape(), (Shape{3}));
  EXPECT_EQ(Values<float>(y), ux);
  y = OpCall("MatMul", 13).In<float>({3}, v).In<float>({3}, v).Run();
  EXPECT_EQ(y.shape(), Shape::OfRank(0));
  EXPECT_EQ(y.as<float>()[0], v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  y = OpCall("MatMul", 13).In<double>({2, 3}, To<double>(x)).In<double>({3}, To<double>(v)).Run();
  EXPECT_EQ(Floats<double>(y), xv);
}

TEST(MatMul, FusedTransposesAndScales) {
  for (bool tx : {false, true}) {
    for (bool tw : {false, true}) {
      for (int64_t m : {3, 60}) {
        SCOPED_TRACE(testing::Message() << tx << tw << m);
        const Shape x = tx ? Shape{2, 5, m} : Shape{2, m, 5}, w = tw ? Shape{2, 20, 5} : Shape{2, 5, 20};
        const auto xv = Numbers(x.elements(), 4), wv = Numbers(w.elements(), 5);
        auto expected = Product(x, xv, tx, w, wv, tw, {2, m, 20});
        OpCall call("FusedMatMul", 1, "com.microsoft");
        call.Set("transA", int64_t{tx}).Set("transB", int64_t{tw}).In<float>(x, xv).In<float>(w, wv);
        EXPECT_EQ(Values<float>(call.Run()), expected);
        EXPECT_EQ(Values<float>(call.RunFed(1)[0]), expected);
        call.Set("alpha", 0.5f);
        for (float& v : expected) v *= 0.5f;
        EXPECT_EQ(Values<float>(call.Run()), expected);
        EXPECT_EQ(Values<float>(call.RunFed(1)[0]), expected);
      }
    }
  }
}

TEST(MatMul, Refuses) {
  EXPECT_NE(OpCall("MatMul", 13).In<float>({2, 3}, Numbers(6, 1)).In<float>({2, 3}, Numbers(6, 1)).Error().find("inner"), std::string::npos);
  EXPECT_NE(OpCall("MatMul", 13).In<float>({2, 2, 3}, Numbers(12, 1)).In<float>({3, 3, 2}, Numbers(18, 1)).Error(), "");
  EXPECT_NE(OpCall("MatMul", 13).In<float>(Shape::OfRank(0), {1}).In<float>({1}, {1}).Error(), "");
  EXPECT_NE(OpCall("MatMul", 13).In<float>({1}, {1}).In<double>({1}, {1}).Error(), "");
}

TEST(MatMul, InfersSymbols) {
  OpCall call("MatMul", 13);
  const int64_t n = SymbolDim(0), s = SymbolDim(1);
  auto types = InferTypes(call, {{Type::Tensor(DType::kFloat, {n, s, 8})}, {Type::Tensor(DType::kFloat, {8, 16})}});
  ASSERT_TRUE(types.ok());
  EXPECT_EQ((*types)[0].shape, (Shape{n, s, 16}));
  types = InferTypes(call, {{Type::Tensor(DType::kFloat, Shape())}, {Type::Tensor(DType::kFloat, {8, 16})}});
  ASSERT_TRUE(types.ok());
  EXPECT_FALSE((*types)[0].shape.has_rank());
}

TEST(Gemm, EveryCombination) {
  const int64_t m = 9, k = 6, n = 20;
  const Shape c_shapes[] = {Shape(), Shape::OfRank(0), {1}, {n}, {1, n}, {m, 1}, {m, n}, {1, 1}};
  for (int flags = 0; flags < 8; ++flags) {
    const bool ta = flags & 1, tb = flags & 2;
    const float alpha = flags & 4 ? 0.5f : 1.0f, beta = flags & 4 ? 2.0f : 1.0f;
    for (const Shape& cs : c_shapes) {
      SCOPED_TRACE(testing::Message() << flags << ToString(cs));
      const Shape a = ta ? Shape{k, m} : Shape{m, k}, b = tb ? Shape{n, k} : Shape{k, n};
      const auto av = Numbers(m * k, 1), bv = Numbers(k * n, 2);
      auto expected = Product(a, av, ta, b, bv, tb, {m, n});
      std::vector<float> cv;
      if (cs.has_rank()) cv = Numbers(cs.elements(), 3);
      for (int64_t i = 0; i < m * n; ++i) {
        float c = 0;
        if (cs.has_rank()) {
          const int64_t row = cs.rank() == 2 && cs[0] == m ? i / n : 0, columns = cs.rank() == 0 ? 1 : cs[cs.rank() - 1];
          c = cv[static_cast<size_t>(row * columns + (columns == n ? i % n : 0))];
        }
        expected[static_cast<size_t>(i)] = alpha * expected[static_cast<size_t>(i)] + beta * c;
      }
      auto run = [&]<class T>() {
        OpCall call("Gemm", 13);
        call.Set("transA", int64_t{ta}).Set("transB", int64_t{tb}).Set("alpha", alpha).Set("beta", beta);
        call.In(a, To<T>(av)).In(b, To<T>(bv));
        if (cs.has_rank()) call.In(cs, To<T>(cv));
        EXPECT_EQ(Floats<T>(call.RunFed(1)[0]), expected);
        return Floats<T>(call.Run());
      };
      EXPECT_EQ(run.operator()<float>(), expected);
      EXPECT_EQ(run.operator()<double>(), expected);
      EXPECT_EQ(run.operator()<Float16>(), expected);
      if (alpha == 1) {
        EXPECT_EQ(run.operator()<int32_t>(), expected);
      }
    }
  }
}

TEST(Gemm, RefusesWideC) {
  OpCall call("Gemm", 13);
  call.In<float>({1, 2}, {1, 2}).In<float>({2, 1}, {1, 2}).In<float>({3, 1}, {1, 2, 3});
  EXPECT_NE(call.Error().find("does not broadcast"), std::string::npos);
}

TEST(Gemm, FusedFormOfPasses) {
  const auto x = Numbers(2 * 3 * 4, 1), w = Numbers(4 * 5, 2), bias = Numbers(5, 3), residual = Numbers(30, 4);
  auto expected = Product({6, 4}, x, false, {4, 5}, w, false, {6, 5});
  for (size_t i = 0; i < 30; ++i) expected[i] = std::max(0.0f, expected[i] + bias[i % 5] + residual[i]);
  OpCall call("Gemm", 1, "linnet");
  call.Set("activation", std::string("Relu")).In<float>({2, 3, 4}, x).In<float>({4, 5}, w).In<float>({5}, bias).In<float>({2, 3, 5}, residual);
  Tensor y = call.Run();
  EXPECT_EQ(y.shape(), (Shape{2, 3, 5}));
  EXPECT_EQ(Values<float>(y), expected);
  EXPECT_EQ(Values<float>(call.RunFed(1, {1, 2})[0]), expected);
  EXPECT_EQ(Values<float>(call.RunFed(1)[0]), expected);
  call.Set("activation", std::string("Nonsense"));
  EXPECT_NE(call.Error().find("Nonsense"), std::string::npos);
}

}  // namespace
}  // namespace linnet
