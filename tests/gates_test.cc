// LSTM and GRU cells against double precision.
#include "kernels/gates.h"

#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

double Sigmoid(double x) {
  return 1 / (1 + exp(-x));
}

TEST(Gates, LstmCell) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t n = 1; n < 70; ++n) {
      for (int variant = 0; variant < 8; ++variant) {
        Guarded<float> x(4 * n), hg(4 * n), peepholes(3 * n), cell(n), before(n), h(n);
        FillUniform(x.data(), 4 * n, -4, 4, 1);
        FillUniform(hg.data(), 4 * n, -4, 4, 2);
        FillUniform(peepholes.data(), 3 * n, -1, 1, 3);
        FillUniform(cell.data(), n, -2, 2, 4);
        FillUniform(before.data(), n, -2, 2, 4);
        LstmCellArgs args{n,           x.data(), hg.data(), variant & 1 ? peepholes.data() : nullptr,
                          cell.data(), h.data()};
        args.input_forget = variant & 2;
        if (variant & 4) args.clip = 1.5f;
        PickLstmCell(level)(args);
        auto clip = [&](double v) { return std::clamp<double>(v, -args.clip, args.clip); };
        for (int64_t k = 0; k < n; ++k) {
          auto gate = [&](int64_t g) { return double{x[g * n + k]} + hg[g * n + k]; };
          auto peep = [&](int64_t g) { return variant & 1 ? double{peepholes[g * n + k]} : 0; };
          const double i = Sigmoid(clip(gate(0) + peep(0) * before[k]));
          const double f = variant & 2 ? 1 - i : Sigmoid(clip(gate(2) + peep(2) * before[k]));
          const double c = f * before[k] + i * tanh(clip(gate(3)));
          const double o = Sigmoid(clip(gate(1) + peep(1) * c));
          ASSERT_NEAR(cell[k], c, 1e-5) << "n " << n << " variant " << variant;
          ASSERT_NEAR(h[k], o * tanh(clip(c)), 1e-5) << "n " << n << " variant " << variant;
        }
        ASSERT_TRUE(cell.Intact() && h.Intact());
      }
    }
  }
}

TEST(Gates, GruCell) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t n = 1; n < 70; ++n) {
      for (int variant = 0; variant < 4; ++variant) {
        Guarded<float> x(3 * n), hg(3 * n), bias(n), before(n), h(n), reset(n);
        FillUniform(x.data(), 3 * n, -4, 4, 1);
        FillUniform(hg.data(), 3 * n, -4, 4, 2);
        FillUniform(bias.data(), n, -1, 1, 3);
        FillUniform(before.data(), n, -1, 1, 4);
        FillUniform(h.data(), n, -1, 1, 4);
        GruCellArgs args{n, x.data(), hg.data(), variant & 1 ? bias.data() : nullptr, h.data(), reset.data()};
        if (variant & 2) args.clip = 1.5f;
        auto clip = [&](double v) { return std::clamp<double>(v, -args.clip, args.clip); };
        auto gate = [&](int64_t g, int64_t k) { return double{x[g * n + k]} + hg[g * n + k]; };
        PickGruReset(level)(args);
        for (int64_t k = 0; k < n; ++k) ASSERT_NEAR(reset[k], Sigmoid(clip(gate(1, k))) * before[k], 1e-5);
        auto check = [&](bool linear) {
          for (int64_t k = 0; k < n; ++k) {
            const double r = Sigmoid(clip(gate(1, k))), z = Sigmoid(clip(gate(0, k)));
            const double recurrent =
                linear ? r * (double{hg[2 * n + k]} + (variant & 1 ? double{bias[k]} : 0)) : hg[2 * n + k];
            const double g = tanh(clip(x[2 * n + k] + recurrent));
            ASSERT_NEAR(h[k], (1 - z) * g + z * before[k], 1e-5) << "n " << n << " linear " << linear;
          }
        };
        PickGruUpdate(level)(args);
        check(false);
        FillUniform(h.data(), n, -1, 1, 4);
        PickGruLinear(level)(args);
        check(true);
        ASSERT_TRUE(h.Intact() && reset.Intact());
      }
    }
  }
}

}  // namespace
}  // namespace linnet
