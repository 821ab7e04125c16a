// DynamicQuantizeMatMul and DynamicQuantizeLSTM (com.microsoft) against their definitions, step by step in plain loops.
#include <cmath>
#include <random>

#include "ops_test_util.h"

namespace linnet {
namespace {

std::vector<float> Normal(std::mt19937& random, int64_t n) {
  std::normal_distribution<float> normal;
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(normal(random));
  return out;
}
std::vector<int8_t> Weights(std::mt19937& random, int64_t n) {
  std::vector<int8_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<int8_t>(random() % 256));
  return out;
}

/// What numbers become when they are quantized to uint8 by their own range and back, as ONNX defines DynamicQuantizeLinear.
std::vector<double> Requantized(const float* x, int64_t n) {
  float low = 0, high = 0;
  for (int64_t i = 0; i < n; ++i) low = std::min(low, x[i]), high = std::max(high, x[i]);
  const float scale = high > low ? (high - low) / 255 : 1;
  const float zero = std::nearbyint(std::clamp(-low / scale, 0.0f, 255.0f));
  std::vector<double> out;
  for (int64_t i = 0; i < n; ++i) {
    const double q = std::clamp(static_cast<double>(std::nearbyint(x[i] / scale)) + static_cast<double>(zero), 0.0, 255.0);
    out.push_back((q - static_cast<double>(zero)) * static_cast<double>(scale));
  }
  return out;
}

TEST(DynamicQuantizeMatMul, IsWhatItsStepsAre) {
  std::mt19937 random(3);
  for (int64_t rows : {1, 5, 40}) {
    const int64_t depth = 37, columns = 21;
    const std::vector<float> a = Normal(random, 2 * rows * depth), scales = Normal(random, columns), bias = Normal(random, columns);
    const std::vector<int8_t> b = Weights(random, depth * columns), zeros = Weights(random, columns);
    OpCall call("DynamicQuantizeMatMul", 1, "com.microsoft");
    call.In<float>({2, rows, depth}, a).In<int8_t>({depth, columns}, b).In<float>({columns}, scales);
    call.In<int8_t>({columns}, zeros).In<float>({columns}, bias);
    const std::vector<double> x = Requantized(a.data(), static_cast<int64_t>(a.size()));
    for (const std::vector<int>& constants : {std::vector<int>{}, std::vector<int>{1, 2, 3, 4}}) {
      const std::vector<float> y = Values<float>(call.RunFed(1, constants, 2)[0]);
      ASSERT_EQ(static_cast<int64_t>(y.size()), 2 * rows * columns);
      for (int64_t i = 0; i < 2 * rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          double sum = 0;
          for (int64_t k = 0; k < depth; ++k) sum += x[i * depth + k] * (b[k * columns + j] - zeros[j]);
          const double expected = sum * static_cast<double>(scales[j]) + static_cast<double>(bias[j]);
          ASSERT_NEAR(y[i * columns + j], expected, 1e-5 * (1 + std::abs(expected)) * 100);
        }
      }
    }
  }
}

/// One direction of an LSTM whose products are quantized, for tests small enough to write out.
struct PlainLstm {
  int64_t seq, batch, inputs, hidden;
  bool backwards;
  std::vector<double> Run(const std::vector<float>& x, const int8_t* w, const int8_t* r, const float* bias, float w_scale,
                          float r_scale, int w_zero, int r_zero, std::vector<float> h, std::vector<float> c,
                          const std::vector<int>& lengths) const {
    const int64_t gates = 4 * hidden;
    const std::vector<double> xq = Requantized(x.data(), static_cast<int64_t>(x.size()));
    std::vector<double> y(static_cast<size_t>(seq * batch * hidden));
    auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
    for (int64_t step = 0; step < seq; ++step) {
      const std::vector<double> hq = Requantized(h.data(), batch * hidden);
      for (int64_t b = 0; b < batch; ++b) {
        if (step >= lengths[b]) continue;
        const int64_t t = backwards ? lengths[b] - 1 - step : step;
        std::vector<double> g(static_cast<size_t>(gates));
        for (int64_t j = 0; j < gates; ++j) {
          g[j] = static_cast<double>(bias[j]) + static_cast<double>(bias[gates + j]);
          for (int64_t k = 0; k < inputs; ++k) g[j] += xq[(t * batch + b) * inputs + k] * (w[k * gates + j] - w_zero) * static_cast<double>(w_scale);
          for (int64_t k = 0; k < hidden; ++k) g[j] += hq[b * hidden + k] * (r[k * gates + j] - r_zero) * static_cast<double>(r_scale);
        }
        for (int64_t k = 0; k < hidden; ++k) {   // gates i o f c
          float& cell = c[b * hidden + k];
          cell = static_cast<float>(sigmoid(g[2 * hidden + k]) * static_cast<double>(cell) + sigmoid(g[k]) * std::tanh(g[3 * hidden + k]));
          h[b * hidden + k] = static_cast<float>(sigmoid(g[hidden + k]) * std::tanh(static_cast<double>(cell)));
          y[(t * batch + b) * hidden + k] = static_cast<double>(h[b * hidden + k]);
        }
      }
    }
    return y;
  }
};

TEST(DynamicQuantizeLstm, IsWhatItsStepsAre) {
  std::mt19937 random(5);
  for (const char* direction : {"forward", "reverse", "bidirectional"}) {
    for (const auto& [batch, hidden] : {std::pair<int64_t, int64_t>{1, 9}, {3, 9}, {1, 32}, {3, 48}}) {
      const int64_t seq = 6, inputs = 7, gates = 4 * hidden, directions = std::string(direction) == "bidirectional" ? 2 : 1;
      const std::vector<float> x = Normal(random, seq * batch * inputs), bias = Normal(random, directions * 2 * gates);
      const std::vector<float> h = Normal(random, directions * batch * hidden), c = Normal(random, directions * batch * hidden);
      const std::vector<int8_t> w = Weights(random, directions * inputs * gates), r = Weights(random, directions * hidden * gates);
      std::vector<float> w_scale(static_cast<size_t>(directions), 0.004f), r_scale(static_cast<size_t>(directions), 0.003f);
      std::vector<int8_t> w_zero(static_cast<size_t>(directions), 3), r_zero(static_cast<size_t>(directions), -2);
      std::vector<int> lengths(static_cast<size_t>(batch), 6);
      if (batch > 1) lengths[1] = 4;
      OpCall call("DynamicQuantizeLSTM", 1, "com.microsoft");
      call.Set("hidden_size", hidden).Set("direction", std::string(direction));
      call.In<float>({seq, batch, inputs}, x).In<int8_t>({directions, inputs, gates}, w).In<int8_t>({directions, hidden, gates}, r);
      call.In<float>({directions, 2 * gates}, bias).In<int32_t>({batch}, std::vector<int32_t>(lengths.begin(), lengths.end()));
      call.In<float>({directions, batch, hidden}, h).In<float>({directions, batch, hidden}, c).Skip();
      call.In<float>({directions}, w_scale).In<int8_t>({directions}, w_zero).In<float>({directions}, r_scale).In<int8_t>({directions}, r_zero);
      for (const std::vector<int>& constants : {std::vector<int>{}, std::vector<int>{1, 2}}) {
        const std::vector<Tensor> all = call.RunFed(3, constants, 2);
        const std::vector<float> y = Values<float>(all[0]);
        ASSERT_EQ(static_cast<int64_t>(y.size()), seq * directions * batch * hidden);
        for (int64_t d = 0; d < directions; ++d) {
          const PlainLstm plain{seq, batch, inputs, hidden, d == 1 || std::string(direction) == "reverse"};
          const int64_t state = d * batch * hidden;
          const std::vector<double> expected = plain.Run(
              x, w.data() + d * inputs * gates, r.data() + d * hidden * gates, bias.data() + d * 2 * gates, 0.004f, 0.003f, 3, -2,
              std::vector<float>(h.begin() + state, h.begin() + state + batch * hidden),
              std::vector<float>(c.begin() + state, c.begin() + state + batch * hidden), lengths);
          for (int64_t t = 0; t < seq; ++t) {
            for (int64_t i = 0; i < batch * hidden; ++i) {
              // A number that the range ends at may round to the neighbour: a step of h, 1/128, times weights.
              ASSERT_NEAR(y[((t * directions + d) * batch) * hidden + i], expected[t * batch * hidden + i], 1e-4) << direction << " " << t;
            }
          }
        }
      }
    }
  }
}

TEST(DynamicQuantizeLstm, RefusesWhatDoesNotFit) {
  OpCall call("DynamicQuantizeLSTM", 1, "com.microsoft");
  call.In<float>({1, 1, 2}, {1, 2}).In<int8_t>({1, 2, 4}, std::vector<int8_t>(8)).In<int8_t>({1, 1, 4}, std::vector<int8_t>(4));
  EXPECT_NE(call.Error(), "");
  for (int i = 0; i < 5; ++i) call.Skip();
  call.In<float>({1}, {1}).In<int8_t>({1}, {0}).In<float>({1}, {1}).In<int8_t>({1}, {0});
  EXPECT_EQ(call.Error(), "");
  call.Set("hidden_size", int64_t{3});
  EXPECT_NE(call.Error().find("should be"), std::string::npos) << call.Error();
}

}  // namespace
}  // namespace linnet
