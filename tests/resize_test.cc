// Resizing from tap tables against the definition.
#include "kernels/resize.h"

#include <gtest/gtest.h>
#include <math.h>

#include <algorithm>
#include <random>
#include <vector>

#include "guarded.h"
#include "ulp.h"

namespace linnet {
namespace {

struct Table {
  std::vector<int32_t> index;
  std::vector<float> weight;
  ResizeAxis Axis(int64_t taps) const {
    return {taps, index.data(), weight.empty() ? nullptr : weight.data()};
  }
};

// `orderly`: taps are neighbours and go from one end of the input to the other, as those of an interpolation.
Table RandomTable(std::mt19937& random, int64_t in, int64_t out, int64_t taps, bool nearest, bool inside, bool orderly) {
  Table table;
  for (int64_t i = 0; i < out; ++i) {
    const bool outside = !inside && random() % 6 == 0;
    for (int64_t t = 0; t < taps; ++t) {
      const int64_t at = orderly ? std::min(in - 1, i * in / out + t) : static_cast<int64_t>(random() % static_cast<uint64_t>(in));
      table.index.push_back(outside ? -1 : static_cast<int32_t>(at));
      if (!nearest)
        table.weight.push_back(random() % 4 == 0 ? 0 : static_cast<float>(random() % 100) / 50 - 1);
    }
  }
  return table;
}

TEST(Resize, RandomTables) {
  std::mt19937 random(13);
  for (int round = 0; round < 300; ++round) {
    const int64_t in_h = 1 + static_cast<int64_t>(random() % 6),
                  in_w = 1 + static_cast<int64_t>(random() % (round % 4 == 0 ? 40 : 9));
    const int64_t out_h = 1 + static_cast<int64_t>(random() % 8),
                  out_w = 1 + static_cast<int64_t>(random() % (round % 3 == 0 ? 70 : 8));
    const int64_t channels = round % 3 == 0 ? 1 : 1 + round % 50;
    const bool inside = round % 6 == 0;  // images of one channel without columns outside have a way of their own
    const bool nearest_rows = random() % 3 == 0, nearest_cols = random() % 3 == 0;
    const int64_t row_taps = nearest_rows ? 1 : 1 + static_cast<int64_t>(random() % 4);
    const int64_t col_taps = nearest_cols ? 1 : 1 + static_cast<int64_t>(random() % 4);
    const Table rows = RandomTable(random, in_h, out_h, row_taps, nearest_rows, false, false);
    const Table cols = RandomTable(random, in_w, out_w, col_taps, nearest_cols, inside, round % 5 != 0);
    ResizeArgs args;
    args.in_width = in_w, args.out_width = out_w, args.channels = channels, args.extrapolation = 7;
    args.out_is_far = round % 4 == 0;
    args.rows = rows.Axis(row_taps), args.cols = cols.Axis(col_taps);
    Guarded<float> x(in_h * in_w * channels), out(out_h * out_w * channels),
        scratch(ResizeScratchFloats(args));
    FillUniform(x.data(), x.size(), -1, 1, round + 1);
    args.x = x.data(), args.out = out.data(), args.scratch = scratch.data();
    for (CpuLevel level : FloatLevels()) {
      PickResize(level)(args, out_h / 2, out_h);
      PickResize(level)(args, 0, out_h / 2);
      for (int64_t y = 0; y < out_h; ++y) {
        for (int64_t z = 0; z < out_w; ++z) {
          for (int64_t c = 0; c < channels; ++c) {
            double expected = 0;
            for (int64_t i = 0; i < row_taps; ++i) {
              for (int64_t j = 0; j < col_taps; ++j) {
                const size_t ri = static_cast<size_t>(y * row_taps + i),
                             ci = static_cast<size_t>(z * col_taps + j);
                if (rows.index[ri] < 0 || cols.index[ci] < 0) continue;
                expected += (nearest_rows ? 1.0 : rows.weight[ri]) * (nearest_cols ? 1.0 : cols.weight[ci]) *
                            x[(rows.index[ri] * in_w + cols.index[ci]) * channels + c];
              }
            }
            if (rows.index[static_cast<size_t>(y * row_taps)] < 0 ||
                cols.index[static_cast<size_t>(z * col_taps)] < 0)
              expected = 7;
            ASSERT_NEAR(out[(y * out_w + z) * channels + c], expected, 1e-5) << "round " << round;
          }
        }
      }
      ASSERT_TRUE(out.Intact());
    }
  }
}

}  // namespace
}  // namespace linnet
