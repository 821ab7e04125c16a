// Attention on split numbers against double precision: as exact as sums in float32.
#include "kernels/half/split_attention.h"

#include <gtest/gtest.h>
#include <math.h>

#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

struct SplitCase {
  int64_t rows, keys, size, value_size;
  int mask;  ///< 0: none, 1: the same for all rows, 2: for each
};

std::vector<const SplitAttentionKernels*> AllKernels() {
  std::vector<const SplitAttentionKernels*> all;
  if (const SplitAttentionKernels* emulated = EmulatedSplitAttention(DetectedCpuLevel()))
    all.push_back(emulated);
  if (const SplitAttentionKernels* amx = PickSplitAttention(DetectedCpuLevel())) all.push_back(amx);
  return all;
}

struct Head {
  explicit Head(const SplitCase& t)
      : t(t),
        q((t.rows - 1) * (t.size + 3) + t.size),
        k((t.keys - 1) * (t.size + 1) + t.size),
        v((t.keys - 1) * (t.value_size + 5) + t.value_size),
        mask(t.mask == 2 ? (t.rows - 1) * (t.keys + 2) + t.keys : t.keys),
        y((t.rows - 1) * (t.value_size + 2) + t.value_size, 77.0f) {
    FillUniform(q.data(), q.size(), -3, 3, 1);
    FillUniform(k.data(), k.size(), -3, 3, 2);
    FillUniform(v.data(), v.size(), -1, 1, 3);
    FillUniform(mask.data(), mask.size(), -5, 5, 4);
    for (int64_t i = 3; i < mask.size(); i += 5) mask[i] = -INFINITY;
  }

  bool Run(const SplitAttentionKernels& kernels) {
    const SplitAttentionSizes sizes{t.keys, t.size, t.value_size};
    Guarded<std::byte> keys(SplitKeysBytes(sizes)), values(SplitValuesBytes(sizes)),
        scratch(SplitScratchBytes(sizes));
    const bool good = kernels.pack_keys(sizes, k.data(), t.size + 1, keys.data()) &
                      kernels.pack_values(sizes, v.data(), t.value_size + 5, values.data());
    SplitAttention block;
    block.sizes = sizes;
    block.keys = keys.data(), block.values = values.data();
    block.q = q.data(), block.q_stride = t.size + 3, block.rows = t.rows;
    if (t.mask) block.mask = mask.data(), block.mask_stride = t.mask == 2 ? t.keys + 2 : 0;
    block.scale = 0.25f;
    block.y = y.data(), block.y_stride = t.value_size + 2;
    const bool run = good && kernels.run(block, scratch.data());
    EXPECT_TRUE(keys.Intact() && values.Intact() && scratch.Intact() && y.Intact());
    return run;
  }

  std::vector<double> Row(int64_t r) const {
    std::vector<double> p, out;
    double most = -INFINITY, sum = 0;
    for (int64_t j = 0; j < t.keys; ++j) {
      double s = 0;
      for (int64_t i = 0; i < t.size; ++i)
        s += double{q[r * (t.size + 3) + i]} * double{k[j * (t.size + 1) + i]};
      p.push_back(s * 0.25 + (t.mask ? double{mask[(t.mask == 2 ? r * (t.keys + 2) : 0) + j]} : 0));
      most = fmax(most, p.back());
    }
    for (double& x : p) sum += x = exp(x - most);
    for (int64_t i = 0; i < t.value_size; ++i) {
      double o = 0;
      for (int64_t j = 0; j < t.keys; ++j)
        o += p[static_cast<size_t>(j)] / sum * double{v[j * (t.value_size + 5) + i]};
      out.push_back(o);
    }
    return out;
  }

  SplitCase t;
  Guarded<float> q, k, v, mask, y;
};

TEST(SplitAttention, IsAsExactAsFloats) {
  for (const SplitAttentionKernels* kernels : AllKernels()) {
    for (const SplitCase& t : {SplitCase{32, 64, 64, 64, 0},
                               {1, 1, 32, 32, 1},
                               {5, 31, 64, 32, 1},
                               {32, 33, 32, 64, 2},
                               {17, 48, 96, 32, 2},
                               {31, 130, 64, 96, 0},
                               {32, 384, 64, 64, 1}}) {
      Head head(t);
      ASSERT_TRUE(head.Run(*kernels));
      for (int64_t r = 0; r < t.rows; ++r) {
        const std::vector<double> expected = head.Row(r);
        for (int64_t i = 0; i < t.value_size; ++i) {
          ASSERT_NEAR(head.y[r * (t.value_size + 2) + i], expected[static_cast<size_t>(i)], 2e-6)
              << t.keys << " keys, " << r << ", " << i;
        }
        if (r + 1 == t.rows) continue;
        ASSERT_EQ(head.y[r * (t.value_size + 2) + t.value_size], 77.0f) << "wrote beyond a row";
      }
    }
  }
}

TEST(SplitAttention, RefusesWhatHasNoParts) {
  for (const SplitAttentionKernels* kernels : AllKernels()) {
    for (float bad : {INFINITY, -INFINITY, static_cast<float>(NAN)}) {
      for (int which : {0, 1, 2}) {
        Head head({20, 40, 32, 32, 0});
        Guarded<float>& at = which == 0 ? head.q : which == 1 ? head.k : head.v;
        at[at.size() - 1] = bad;
        EXPECT_FALSE(head.Run(*kernels));
        EXPECT_EQ(head.y[0], 77.0f);
      }
    }
  }
}

TEST(SplitAttention, ARowThatSeesNothingIsNan) {
  for (const SplitAttentionKernels* kernels : AllKernels()) {
    Head head({3, 40, 32, 32, 2});
    for (int64_t j = 0; j < 40; ++j) head.mask[42 + j] = -INFINITY;
    ASSERT_TRUE(head.Run(*kernels));
    EXPECT_TRUE(isnan(head.y[34]) && isfinite(head.y[0]) && isfinite(head.y[68]));
  }
}

}  // namespace
}  // namespace linnet
