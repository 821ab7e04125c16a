// LSTM and GRU cells against double precision.
#include "kernels/gates.h"

#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>
#include <vector>

#include "guarded.h"
#include "kernels/gemm.h"
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

TEST(Gates, PartsOfTheUnitsGiveTheBitsOfAll) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t n : {16, 37, 64}) {
      for (int64_t first : {int64_t{0}, int64_t{5}, int64_t{16}}) {
        const int64_t count = std::min<int64_t>(n - first, 21);
        if (count <= 0) continue;
        Guarded<float> x(4 * n), hg(4 * n), peepholes(3 * n), cell(n), h(n), before(n), part_cell(n), part_h(n);
        FillUniform(x.data(), 4 * n, -4, 4, 1);
        FillUniform(hg.data(), 4 * n, -4, 4, 2);
        FillUniform(peepholes.data(), 3 * n, -1, 1, 3);
        FillUniform(cell.data(), n, -2, 2, 4);
        FillUniform(part_cell.data(), n, -2, 2, 4);
        FillUniform(before.data(), n, -1, 1, 5);
        PickLstmCell(level)({n, x.data(), hg.data(), peepholes.data(), cell.data(), h.data()});
        LstmCellArgs lstm{count, x.data() + first, hg.data() + first, peepholes.data() + first, part_cell.data() + first,
                          part_h.data() + first};
        lstm.stride = n;
        PickLstmCell(level)(lstm);
        for (int64_t k = first; k < first + count; ++k) {
          ASSERT_EQ(h[k], part_h[k]);
          ASSERT_EQ(cell[k], part_cell[k]);
        }
        FillUniform(h.data(), n, -1, 1, 5);
        PickGruLinear(level)({n, x.data(), hg.data(), nullptr, h.data(), nullptr});
        GruCellArgs gru{count, x.data() + first, hg.data() + first, nullptr, part_h.data() + first, nullptr};
        gru.stride = n;
        gru.before = before.data() + first;
        PickGruLinear(level)(gru);
        for (int64_t k = first; k < first + count; ++k) ASSERT_EQ(h[k], part_h[k]);
      }
    }
  }
}

TEST(Gates, RowTimesPanels) {
  for (CpuLevel level : FloatLevels()) {
    for (int64_t n : {1, 16, 17, 63, 64, 80, 130}) {
      for (int64_t k : {1, 7, 64}) {
        std::vector<float> b(static_cast<size_t>(k * n));
        Guarded<float> a(k), packed(PackedSizeF32(k, n)), whole(n), parts(n);
        FillUniform(b.data(), k * n, -1, 1, 1);
        FillUniform(a.data(), k, -1, 1, 2);
        PackF32(b.data(), k, n, n, 1, packed.data());
        RowTimesPanelsFn* run = PickRowTimesPanels(level);
        run(a.data(), k, packed.data(), n, 0, PanelCount(n), whole.data());
        for (int64_t panel = 0; panel < PanelCount(n); panel += 3) {
          run(a.data(), k, packed.data(), n, panel, std::min(panel + 3, PanelCount(n)), parts.data());
        }
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t i = 0; i < k; ++i) sum += double{a[i]} * b[static_cast<size_t>(i * n + j)];
          ASSERT_NEAR(whole[j], sum, 1e-5) << "n " << n << " k " << k << " j " << j;
          ASSERT_EQ(whole[j], parts[j]);
        }
        ASSERT_TRUE(whole.Intact() && parts.Intact());
      }
    }
  }
}

}  // namespace
}  // namespace linnet
