// Strided copies and transpositions against element-by-element copying.
#include "kernels/copy.h"

#include <gtest/gtest.h>
#include <string.h>

#include <algorithm>
#include <random>
#include <vector>

#include "guarded.h"

namespace linnet {
namespace {

using Dims = std::vector<int64_t>;

// Copies as RunCopy should, one element at a time.
void Reference(int64_t bytes, const Dims& dims, const Dims& src_strides, const Dims& dst_strides,
               const char* src, char* dst, size_t axis = 0) {
  if (axis == dims.size()) {
    memcpy(dst, src, static_cast<size_t>(bytes));
    return;
  }
  for (int64_t i = 0; i < dims[axis]; ++i) {
    Reference(bytes, dims, src_strides, dst_strides, src + i * src_strides[axis] * bytes,
              dst + i * dst_strides[axis] * bytes, axis + 1);
  }
}

void Check(int64_t bytes, const Dims& dims, const Dims& src_strides, const Dims& dst_strides) {
  // The extents of both sides, so that both arrays end exactly with the last element touched.
  int64_t src_least = 0, src_most = 1, dst_most = 1, size = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    (src_strides[i] < 0 ? src_least : src_most) += (dims[i] - 1) * src_strides[i];
    dst_most += (dims[i] - 1) * dst_strides[i];
    size *= dims[i];
  }
  if (size == 0) return;
  Guarded<char> src((src_most - src_least) * bytes), expected(dst_most * bytes, 0x11),
      actual(dst_most * bytes, 0x11);
  std::mt19937 random(1);
  for (int64_t i = 0; i < src.size(); ++i) src[i] = static_cast<char>(random());
  const char* origin = src.data() - src_least * bytes;
  Reference(bytes, dims, src_strides, dst_strides, origin, expected.data());
  for (CpuLevel level : FloatLevels()) {
    CopyPlan plan;
    const Status status = MakeCopy(bytes, dims, src_strides, dst_strides, level, &plan);
    ASSERT_TRUE(status.ok()) << status.message();
    memset(actual.data(), 0x11, static_cast<size_t>(actual.size()));
    RunCopy(plan, origin, actual.data(), 0, plan.units);
    ASSERT_EQ(memcmp(actual.data(), expected.data(), static_cast<size_t>(actual.size())), 0)
        << CpuLevelName(level) << " element " << bytes << " kind " << static_cast<int>(plan.kind);
    memset(actual.data(), 0x11, static_cast<size_t>(actual.size()));
    for (int64_t begin = 0; begin < plan.units;) {
      const int64_t end = std::min(plan.units, begin + 1 + begin % 7);
      RunCopy(plan, origin, actual.data(), begin, end);
      begin = end;
    }
    ASSERT_EQ(memcmp(actual.data(), expected.data(), static_cast<size_t>(actual.size())), 0) << "in pieces";
    ASSERT_TRUE(actual.Intact());
  }
}

Dims Dense(const Dims& dims) {
  Dims strides(dims.size());
  int64_t inside = 1;
  for (size_t i = dims.size(); i-- > 0;) strides[i] = inside, inside *= dims[i];
  return strides;
}

TEST(Copy, TwoDimensionalTranspositionsAtAllRemainders) {
  for (int64_t bytes : {1, 2, 4, 8, 16}) {
    for (int64_t rows : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130}) {
      for (int64_t cols : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 63, 64, 67, 200}) {
        Check(bytes, {rows, cols}, {1, rows}, {cols, 1});
        Check(bytes, {rows, cols}, {1, rows + 3}, {cols + 5, 1});
      }
    }
  }
}

// Rows behind one another on either side, those of an image whose pixels have few channels.
TEST(Copy, FewChannelsOfAnyNumber) {
  for (int64_t bytes : {1, 2, 4, 8}) {
    for (int64_t channels = 1; channels <= 70; channels += channels < 20 ? 1 : 9) {
      for (int64_t pixels : {1, 5, 15, 16, 17, 31, 32, 40, 63, 64, 65, 79, 127, 128, 129, 300}) {
        Check(bytes, {pixels, channels}, {1, pixels}, {channels, 1});
        Check(bytes, {channels, pixels}, {1, channels}, {pixels, 1});
        Check(bytes, {channels, pixels}, {1, channels + 2}, {pixels + 1, 1});
        Check(bytes, {channels, pixels}, {1, -channels}, {pixels, 1});   // the last pixel first
      }
    }
  }
}

TEST(Copy, EverySecondToFifth) {
  for (int64_t bytes : {1, 2, 4, 8}) {
    for (int64_t step = 2; step <= 5; ++step) {
      for (int64_t count = 1; count < 150; count += count < 40 ? 1 : 7) {
        Check(bytes, {3, count}, {count * step + 1, step}, {count + 2, 1});
        Check(bytes, {2, count}, {count * step, -step}, {count, 1});
      }
    }
  }
}

TEST(Copy, ShortRowsOfAnyLength) {
  for (int64_t length = 1; length < 140; ++length) Check(1, {9, length}, {length + 3, 1}, {length + 1, 1});
}

TEST(Copy, RandomPermutations) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    Dims dims, permutation;
    int64_t size = 1;
    for (uint32_t i = 0, rank = 1 + random() % 6; i < rank; ++i) {
      const int64_t dim = 1 + static_cast<int64_t>(random() % (size > 500 ? 3 : 20));
      dims.push_back(dim), permutation.push_back(i), size *= dim;
    }
    std::shuffle(permutation.begin(), permutation.end(), random);
    const int64_t bytes = int64_t{1} << (random() % 5);
    Guarded<char> src(size * bytes), actual(size * bytes), expected(size * bytes);
    for (int64_t i = 0; i < src.size(); ++i) src[i] = static_cast<char>(random());
    Dims out_dims, strides;
    for (int64_t axis : permutation) {
      out_dims.push_back(dims[static_cast<size_t>(axis)]);
      strides.push_back(Dense(dims)[static_cast<size_t>(axis)]);
    }
    Reference(bytes, out_dims, strides, Dense(out_dims), src.data(), expected.data());
    for (CpuLevel level : FloatLevels()) {
      CopyPlan plan;
      ASSERT_TRUE(MakeTranspose(bytes, dims, permutation, level, &plan).ok());
      RunCopy(plan, src.data(), actual.data(), 0, plan.units);
      ASSERT_EQ(memcmp(actual.data(), expected.data(), static_cast<size_t>(actual.size())), 0);
    }
  }
}

TEST(Copy, RandomStrides) {
  std::mt19937 random(5);
  for (int round = 0; round < 600; ++round) {
    Dims dims, src_strides, dst_strides;
    int64_t size = 1;
    for (uint32_t i = 0, rank = random() % 6; i < rank; ++i) {
      const int64_t dim = 1 + static_cast<int64_t>(random() % (size > 500 ? 2 : 12));
      dims.push_back(dim), size *= dim;
    }
    // Expand, reverse, step and permute the source; leave gaps in the destination and permute it.
    dst_strides = src_strides = Dims(dims.size());
    std::vector<size_t> order(dims.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (random() % 2) std::shuffle(order.begin(), order.end(), random);
    int64_t inside = 1;
    for (size_t i : order) {
      src_strides[i] = inside * (random() % 4 == 0 ? 0 : random() % 4 == 0 ? -1 : random() % 5 == 0 ? 2 : 1);
      inside *= dims[i] * (random() % 5 == 0 ? 2 : 1);
    }
    if (random() % 3 == 0)
      std::shuffle(order.begin(), order.end(), random);
    else
      for (size_t i = 0; i < order.size(); ++i) order[i] = order.size() - 1 - i;
    inside = random() % 8 == 0 ? 2 : 1;
    for (size_t i : order) {
      dst_strides[i] = inside;
      inside = inside * dims[i] + (random() % 3 == 0 ? 3 : 0);
    }
    Check(int64_t{1} << (random() % 5), dims, src_strides, dst_strides);
  }
}

TEST(Copy, FewRowsOfAnyLength) {
  for (int64_t bytes : {1, 2, 4, 8}) {
    for (int64_t few : {2, 3, 4}) {
      for (int64_t n = 1; n < 70; n += n < 40 ? 1 : 7) {
        Check(bytes, {3, n, few}, {few * n + 5, 1, n + 2}, {few * n, few, 1});   // interleaved
        Check(bytes, {3, few, n}, {few * n, 1, few}, {few * (n + 2), n + 2, 1});
      }
    }
  }
}

TEST(Copy, LargePlanesSplitIntoPieces) {
  Check(4, {100000}, {1}, {1});
  Check(4, {100000}, {0}, {1});
  Check(1, {3, 70000}, {70000, -1}, {70000, 1});
  Check(4, {64, 56 * 56}, {1, 64}, {56 * 56, 1});
  Check(4, {56 * 56, 64}, {1, 56 * 56}, {64, 1});
  Check(4, {50000, 3}, {1, 50000}, {3, 1});
  Check(4, {3, 50000}, {1, 3}, {50000, 1});
  CopyPlan plan;
  ASSERT_TRUE(MakeCopy(4, Dims{1000000}, Dims{1}, Dims{1}, CpuLevel::kSse4, &plan).ok());
  EXPECT_GT(plan.units, 50);
  ASSERT_TRUE(MakeTranspose(4, Dims{1, 64, 112, 112}, Dims{0, 2, 3, 1}, CpuLevel::kSse4, &plan).ok());
  EXPECT_EQ(plan.rank, 0);
  EXPECT_GT(plan.units, 50);
}

TEST(Copy, RefusesWhatItCannotDo) {
  CopyPlan plan;
  EXPECT_EQ(MakeCopy(3, Dims{2}, Dims{1}, Dims{1}, CpuLevel::kSse4, &plan).code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeCopy(4, Dims{-2}, Dims{1}, Dims{1}, CpuLevel::kSse4, &plan).code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeTranspose(4, Dims{2, 3}, Dims{0, 0}, CpuLevel::kSse4, &plan).code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeTranspose(4, Dims{2, 3}, Dims{0, 2}, CpuLevel::kSse4, &plan).code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeTranspose(4, Dims{2, 3}, Dims{0}, CpuLevel::kSse4, &plan).code(), Code::kInvalidArgument);
  const Dims eleven(11, 2);
  Dims reversed(11);
  for (int64_t i = 0; i < 11; ++i) reversed[static_cast<size_t>(i)] = 10 - i;
  EXPECT_EQ(MakeTranspose(4, eleven, reversed, CpuLevel::kSse4, &plan).code(), Code::kUnsupported);
  ASSERT_TRUE(MakeCopy(4, Dims{2, 0}, Dims{1, 1}, Dims{1, 1}, CpuLevel::kSse4, &plan).ok());
  EXPECT_EQ(plan.units, 0);
}

}  // namespace
}  // namespace linnet
