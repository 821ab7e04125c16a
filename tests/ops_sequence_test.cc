// Recurrent networks, attention and Fourier transforms: identities that do not depend on this code, types, hostile values.
#include <cmath>
#include <complex>
#include <numbers>

#include "ops_test_util.h"

namespace linnet {
namespace {

using Ints = std::vector<int64_t>;
const Shape kScalar = Shape::OfRank(0);

std::vector<float> Wave(int64_t n, float step) {
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(std::sin(static_cast<float>(i) * step + 0.3f));
  return out;
}

struct Network {
  const char* op;
  int64_t gates;
};
const Network kNetworks[] = {{"LSTM", 4}, {"GRU", 3}, {"RNN", 1}};

/// x [seq, batch, 3], hidden size 5, `directions` as the attribute says.
OpCall NetworkCall(const Network& network, int64_t seq, int64_t batch, const char* direction, const std::vector<float>& x) {
  const int64_t d = std::string_view(direction) == "bidirectional" ? 2 : 1, g = network.gates * 5;
  OpCall call(network.op, 14);
  call.Set("hidden_size", int64_t{5}).Set("direction", std::string(direction));
  call.In<float>({seq, batch, 3}, x).In<float>({d, g, 3}, Wave(d * g * 3, 0.7f)).In<float>({d, g, 5}, Wave(d * g * 5, 1.3f));
  call.In<float>({d, 2 * g}, Wave(d * 2 * g, 2.1f));
  return call;
}

TEST(Recurrent, ReverseIsForwardOnTheReversedSequence) {
  for (const Network& network : kNetworks) {
    const auto x = Wave(4 * 2 * 3, 0.9f);
    std::vector<float> reversed;
    for (int t = 3; t >= 0; --t) reversed.insert(reversed.end(), x.begin() + t * 6, x.begin() + t * 6 + 6);
    Tensor forward = NetworkCall(network, 4, 2, "forward", reversed).RunFed(2, {1, 2, 3})[0];
    Tensor backward = NetworkCall(network, 4, 2, "reverse", x).RunFed(2, {}, 3)[0];
    for (int64_t t = 0; t < 4; ++t) {
      for (int64_t i = 0; i < 10; ++i) EXPECT_NEAR(backward.as<float>()[t * 10 + i], forward.as<float>()[(3 - t) * 10 + i], 1e-6);
    }
  }
}

TEST(Recurrent, ShortSequencesAreAsIfAlone) {
  for (const Network& network : kNetworks) {
    const auto x = Wave(5 * 2 * 3, 0.9f);
    OpCall call = NetworkCall(network, 5, 2, "bidirectional", x);
    call.In<int32_t>({2}, {5, 3});
    auto both = call.RunFed(2, {1, 2}, 4);
    std::vector<float> alone;
    for (int t = 0; t < 3; ++t) alone.insert(alone.end(), x.begin() + t * 6 + 3, x.begin() + t * 6 + 6);
    auto one = NetworkCall(network, 3, 1, "bidirectional", alone).RunAll(2);
    for (int64_t t = 0; t < 5; ++t) {
      for (int64_t d = 0; d < 2; ++d) {
        for (int64_t i = 0; i < 5; ++i) {
          const float y = both[0].as<float>()[((t * 2 + d) * 2 + 1) * 5 + i];
          if (t < 3) {
            EXPECT_NEAR(y, one[0].as<float>()[(t * 2 + d) * 5 + i], 1e-6);
          } else {
            EXPECT_EQ(y, 0);
          }
        }
      }
    }
    for (int64_t d = 0; d < 2; ++d) {
      for (int64_t i = 0; i < 5; ++i) EXPECT_NEAR(both[1].as<float>()[(d * 2 + 1) * 5 + i], one[1].as<float>()[d * 5 + i], 1e-6);
    }
  }
}

TEST(Recurrent, LayoutAndTypesOnlyChangeTheForm) {
  for (const Network& network : kNetworks) {
    const auto x = Wave(3 * 2 * 3, 0.9f);
    OpCall call = NetworkCall(network, 3, 2, "forward", x);
    Tensor y = call.Run();
    OpCall batch_first = call;
    std::vector<float> swapped(x.size());
    for (size_t t = 0; t < 3; ++t) {
      for (size_t b = 0; b < 2; ++b) {
        for (size_t i = 0; i < 3; ++i) swapped[(b * 3 + t) * 3 + i] = x[(t * 2 + b) * 3 + i];
      }
    }
    batch_first.inputs[0] = OpCall("", 1).In<float>({2, 3, 3}, swapped).inputs[0];
    Tensor z = batch_first.Set("layout", int64_t{1}).Run();
    ASSERT_EQ(z.shape(), (Shape{2, 3, 1, 5}));
    OpCall wide = call;
    for (Datum& input : wide.inputs) {
      std::vector<double> values(input.tensor.as<float>(), input.tensor.as<float>() + input.tensor.elements());
      input = OpCall("", 1).In<double>(input.tensor.shape(), values).inputs[0];
    }
    Tensor f64 = wide.RunFed(1, {1, 2})[0];
    for (int64_t t = 0; t < 3; ++t) {
      for (int64_t b = 0; b < 2; ++b) {
        for (int64_t i = 0; i < 5; ++i) {
          EXPECT_NEAR(z.as<float>()[(b * 3 + t) * 5 + i], y.as<float>()[(t * 2 + b) * 5 + i], 1e-6);
          EXPECT_NEAR(f64.as<double>()[(t * 2 + b) * 5 + i], y.as<float>()[(t * 2 + b) * 5 + i], 1e-5);
        }
      }
    }
  }
}

TEST(Recurrent, FunctionsHaveTheirParameters) {
  // One step of RNN with weight 1: f(x).
  auto run = [](const char* name, std::vector<float> alpha, std::vector<float> beta, float x) {
    OpCall call("RNN", 14);
    call.Set("activations", std::vector<std::string>{name});
    if (!alpha.empty()) call.Set("activation_alpha", alpha);
    if (!beta.empty()) call.Set("activation_beta", beta);
    return call.In<float>({1, 1, 1}, {x}).In<float>({1, 1, 1}, {1}).In<float>({1, 1, 1}, {0}).Run().as<float>()[0];
  };
  EXPECT_NEAR(run("tanh", {}, {}, 0.5f), std::tanh(0.5f), 1e-6);   // case does not matter
  EXPECT_NEAR(run("Affine", {2}, {3}, 0.5f), 4, 1e-6);
  EXPECT_NEAR(run("ScaledTanh", {2}, {3}, 0.5f), 2 * std::tanh(1.5f), 1e-6);
  EXPECT_NEAR(run("HardSigmoid", {}, {}, 0.5f), 0.6f, 1e-6);
  EXPECT_NEAR(run("LeakyRelu", {}, {}, -2), -0.02f, 1e-6);
  EXPECT_NEAR(run("ThresholdedRelu", {}, {}, 0.9f), 0, 1e-6);
  EXPECT_NEAR(run("Elu", {}, {}, -1), std::expm1(-1.0f), 1e-6);
  EXPECT_NEAR(run("Softsign", {}, {}, -1), -0.5f, 1e-6);
  EXPECT_NEAR(run("Softplus", {}, {}, 0), std::log(2.0f), 1e-6);
}

TEST(Recurrent, HostileAttributesAndLengths) {
  for (int64_t hidden : {int64_t{0}, int64_t{-1}, int64_t{4}, int64_t{1} << 40}) {
    OpCall call = NetworkCall(kNetworks[0], 1, 1, "forward", Wave(3, 1));
    EXPECT_NE(call.Set("hidden_size", hidden).Error(), "") << hidden;
  }
  for (int32_t length : {-1, 3, INT32_MAX, INT32_MIN}) {
    OpCall call = NetworkCall(kNetworks[1], 2, 1, "forward", Wave(6, 1));
    EXPECT_NE(call.In<int32_t>({1}, {length}).Error().find("sequence_lens"), std::string::npos) << length;
  }
  EXPECT_NE(NetworkCall(kNetworks[2], 1, 1, "sideways", Wave(3, 1)).Error(), "");
  EXPECT_NE(NetworkCall(kNetworks[2], 1, 1, "forward", Wave(3, 1)).Set("clip", std::nanf("")).Error(), "");
  EXPECT_NE(NetworkCall(kNetworks[2], 1, 1, "forward", Wave(3, 1)).Set("activations", std::vector<std::string>{"Tanh", "Tanh"}).Error(), "");
  Tensor none = NetworkCall(kNetworks[0], 0, 2, "forward", {}).Run();
  EXPECT_EQ(none.shape(), (Shape{0, 1, 2, 5}));
}

/// Attention by its formula in double; mask [queries, keys] added.
std::vector<double> Attend(const std::vector<float>& q, const std::vector<float>& k, const std::vector<float>& v, int64_t heads,
                           int64_t kv_heads, int64_t queries, int64_t keys, int64_t size, int64_t value_size, bool causal, int64_t offset) {
  std::vector<double> y;
  for (int64_t h = 0; h < heads; ++h) {
    const int64_t kv = h / (heads / kv_heads);
    for (int64_t i = 0; i < queries; ++i) {
      std::vector<double> p;
      double sum = 0;
      for (int64_t j = 0; j < keys; ++j) {
        double s = 0;
        for (int64_t d = 0; d < size; ++d) {
          s += static_cast<double>(q[static_cast<size_t>((h * queries + i) * size + d)]) * static_cast<double>(k[static_cast<size_t>((kv * keys + j) * size + d)]);
        }
        p.push_back(causal && j > i + offset ? 0 : std::exp(s / std::sqrt(static_cast<double>(size))));
        sum += p.back();
      }
      for (int64_t d = 0; d < value_size; ++d) {
        double out = 0;
        for (int64_t j = 0; j < keys; ++j) out += p[static_cast<size_t>(j)] / sum * static_cast<double>(v[static_cast<size_t>((kv * keys + j) * value_size + d)]);
        y.push_back(out);
      }
    }
  }
  return y;
}

TEST(Attention, ManySizesHeadsAndThreads) {
  struct Row {
    int64_t heads, kv_heads, queries, keys, size, value_size;
    bool causal;
  };
  for (const Row& r : {Row{2, 2, 3, 5, 4, 4, false}, Row{4, 2, 1, 9, 8, 16, false}, Row{6, 2, 40, 40, 16, 32, true}, Row{2, 1, 200, 200, 8, 24, true},
                       Row{3, 3, 9, 70, 5, 7, false}, Row{1, 1, 300, 17, 16, 16, false}}) {
    const auto q = Wave(r.heads * r.queries * r.size, 0.37f), k = Wave(r.kv_heads * r.keys * r.size, 0.53f), v = Wave(r.kv_heads * r.keys * r.value_size, 0.71f);
    const auto wanted = Attend(q, k, v, r.heads, r.kv_heads, r.queries, r.keys, r.size, r.value_size, r.causal, 0);
    OpCall call("Attention", 23);
    call.Set("is_causal", int64_t{r.causal});
    call.In<float>({1, r.heads, r.queries, r.size}, q).In<float>({1, r.kv_heads, r.keys, r.size}, k).In<float>({1, r.kv_heads, r.keys, r.value_size}, v);
    for (int threads : {1, 3}) {
      Tensor y = call.RunFed(1, {}, threads)[0];
      for (int64_t i = 0; i < y.elements(); ++i) ASSERT_NEAR(y.as<float>()[i], wanted[static_cast<size_t>(i)], 1e-5) << i;
    }
  }
}

TEST(Attention, ACacheIsAsTheWholeSequence) {
  const auto q = Wave(2 * 4 * 8, 0.37f), k = Wave(2 * 4 * 8, 0.53f), v = Wave(2 * 4 * 8, 0.71f);
  Tensor whole = OpCall("Attention", 23).Set("is_causal", int64_t{1}).In<float>({1, 2, 4, 8}, q).In<float>({1, 2, 4, 8}, k).In<float>({1, 2, 4, 8}, v).Run();
  auto part = [](const std::vector<float>& x, int64_t begin, int64_t end) {
    std::vector<float> out;
    for (int64_t h = 0; h < 2; ++h) out.insert(out.end(), x.begin() + h * 32 + begin * 8, x.begin() + h * 32 + end * 8);
    return out;
  };
  for (int outputs : {1, 3}) {
    auto last = OpCall("Attention", 23).Set("is_causal", int64_t{1}).In<float>({1, 2, 1, 8}, part(q, 3, 4)).In<float>({1, 2, 1, 8}, part(k, 3, 4))
                    .In<float>({1, 2, 1, 8}, part(v, 3, 4)).Skip().In<float>({1, 2, 3, 8}, part(k, 0, 3)).In<float>({1, 2, 3, 8}, part(v, 0, 3)).RunFed(outputs);
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t d = 0; d < 8; ++d) EXPECT_NEAR(last[0].as<float>()[h * 8 + d], whole.as<float>()[h * 32 + 24 + d], 1e-6);
    }
    if (outputs == 3) {
      EXPECT_EQ(Values<float>(last[1]), k);
    }
  }
}

TEST(Attention, HostileSizes) {
  auto call = [](int64_t q_heads, int64_t kv_heads) {
    return OpCall("Attention", 23).Set("q_num_heads", q_heads).Set("kv_num_heads", kv_heads).In<float>({1, 2, 6}, Wave(12, 1))
        .In<float>({1, 2, 6}, Wave(12, 1)).In<float>({1, 2, 6}, Wave(12, 1));
  };
  EXPECT_EQ(call(2, 2).Error(), "");
  for (int64_t heads : {int64_t{0}, int64_t{-1}, int64_t{4}, INT64_MIN, int64_t{1} << 40}) {
    EXPECT_NE(call(heads, 2).Error(), "") << heads;
    EXPECT_NE(call(2, heads).Error(), "") << heads;
  }
  EXPECT_NE(call(2, 3).Error(), "");
  for (int64_t valid : {int64_t{-1}, int64_t{3}, INT64_MAX}) {
    OpCall bad("Attention", 24);
    for (int i = 0; i < 3; ++i) bad.In<float>({1, 1, 2, 2}, {1, 2, 3, 4});
    EXPECT_NE(bad.Skip().Skip().Skip().In<int64_t>({1}, {valid}).Error().find("nonpad_kv_seqlen"), std::string::npos) << valid;
  }
  // No keys: nothing to see.
  OpCall none("Attention", 23);
  none.In<float>({1, 1, 2, 2}, {1, 2, 3, 4}).In<float>({1, 1, 0, 2}, {}).In<float>({1, 1, 0, 3}, {});
  EXPECT_EQ(Values<float>(none.Run()), std::vector<float>(6, 0.0f));
}

TEST(RotaryEmbedding, PositionsAreChecked) {
  auto call = [](int64_t position) {
    return OpCall("RotaryEmbedding", 23).In<float>({1, 1, 1, 2}, {3, 4}).In<float>({2, 1}, {1, 0}).In<float>({2, 1}, {0, 1}).In<int64_t>({1, 1}, {position});
  };
  EXPECT_EQ(Values<float>(call(1).Run()), (std::vector<float>{-4, 3}));   // a quarter turn
  for (int64_t position : {int64_t{2}, int64_t{-1}, INT64_MAX}) EXPECT_NE(call(position).Error().find("position_ids"), std::string::npos);
}

TEST(Fourier, EveryLengthIsItsDefinition) {
  for (int64_t n : {1, 2, 3, 4, 5, 6, 7, 8, 12, 30, 31, 37, 64, 74, 101, 211, 400, 1000}) {
    const auto x = Wave(2 * n, 0.77f);
    Tensor y = OpCall("DFT", 17).Set("axis", int64_t{1}).In<float>({1, n, 2}, x).RunFed(1)[0];
    OpCall inverse("DFT", 20);
    Tensor back = inverse.Set("inverse", int64_t{1}).In(y).RunFed(1)[0];
    for (int64_t k = 0; k < n; ++k) {
      std::complex<double> sum;
      for (int64_t j = 0; j < n; ++j) {
        sum += std::complex<double>(static_cast<double>(x[static_cast<size_t>(2 * j)]), static_cast<double>(x[static_cast<size_t>(2 * j + 1)])) *
               std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(j * k % n) / static_cast<double>(n));
      }
      ASSERT_NEAR(y.as<float>()[2 * k], sum.real(), 1e-6 * static_cast<double>(n)) << n << " " << k;
      ASSERT_NEAR(y.as<float>()[2 * k + 1], sum.imag(), 1e-6 * static_cast<double>(n)) << n << " " << k;
      ASSERT_NEAR(back.as<float>()[2 * k], x[static_cast<size_t>(2 * k)], 1e-6) << n;
    }
  }
}

TEST(Fourier, OneSidedIsHalfAndComesBack) {
  for (int64_t n : {2, 5, 8, 9}) {
    const auto x = Wave(n * 3, 0.77f);   // along the first of two axes
    Tensor half = OpCall("DFT", 20).Set("onesided", int64_t{1}).In<float>({n, 3, 1}, x).Skip().In<int64_t>(kScalar, {0}).RunFed(1)[0];
    ASSERT_EQ(half.shape(), (Shape{n / 2 + 1, 3, 2}));
    Tensor back = OpCall("DFT", 20).Set("onesided", int64_t{1}).Set("inverse", int64_t{1}).In(half).In<int64_t>(kScalar, {n}).In<int64_t>(kScalar, {0}).RunFed(1)[0];
    ASSERT_EQ(back.shape(), (Shape{n, 3, 1}));
    for (int64_t i = 0; i < n * 3; ++i) EXPECT_NEAR(back.as<float>()[i], x[static_cast<size_t>(i)], 1e-6);
  }
}

TEST(Fourier, HostileLengthsAndAxes) {
  auto call = [](int64_t length, int64_t axis) {
    return OpCall("DFT", 20).In<float>({1, 4, 1}, {1, 2, 3, 4}).In<int64_t>(kScalar, {length}).In<int64_t>(kScalar, {axis});
  };
  EXPECT_EQ(call(4, 1).Error(), "");
  for (int64_t length : {int64_t{0}, int64_t{-1}, int64_t{1} << 40, INT64_MIN}) EXPECT_NE(call(length, 1).Error(), "") << length;
  for (int64_t axis : {int64_t{2}, int64_t{-1}, int64_t{5}, INT64_MIN}) EXPECT_NE(call(4, axis).Error(), "") << axis;
  for (int64_t step : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    EXPECT_NE(OpCall("STFT", 17).In<float>({1, 4, 1}, {1, 2, 3, 4}).In<int64_t>(kScalar, {step}).Skip().In<int64_t>(kScalar, {2}).Error(), "") << step;
  }
  for (int64_t size : {int64_t{-1}, int64_t{1} << 40, INT64_MIN}) EXPECT_NE(OpCall("HannWindow", 17).In<int64_t>(kScalar, {size}).Error(), "");
  EXPECT_EQ(Values<float>(OpCall("HannWindow", 17).Set("periodic", int64_t{0}).In<int64_t>(kScalar, {1}).Run()), std::vector<float>{1});
  OpCall mel("MelWeightMatrix", 17);
  mel.In<int64_t>(kScalar, {4}).In<int64_t>(kScalar, {8}).In<int64_t>(kScalar, {100}).In<float>(kScalar, {0}).In<float>(kScalar, {1e9f});
  EXPECT_EQ(mel.Run().shape(), (Shape{5, 4}));   // bands far above the spectrum are empty
}

}  // namespace
}  // namespace linnet
