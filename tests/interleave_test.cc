// Rows in turns and every second element against element-by-element copying, at the ends of memory.
#include "kernels/move/interleave.h"

#include <gtest/gtest.h>

#include "guarded.h"
#include "kernels/transpose.h"

namespace linnet {
namespace {

template <class T>
void Check(CpuLevel level) {
  for (int64_t count = 8 / static_cast<int64_t>(sizeof(T)); count < 140; count += count < 40 ? 1 : 7) {
    SCOPED_TRACE(testing::Message() << CpuLevelName(level) << ", elements of " << sizeof(T) << " bytes, " << count << " of them");
    constexpr int64_t kRows = 3;
    const int64_t row = 2 * count;
    Guarded<T> from(kRows * row), to(kRows * row), half(kRows * count);
    for (int64_t i = 0; i < from.size(); ++i) from.data()[i] = static_cast<T>(i * 2654435761u >> 3);
    PickInterleave(sizeof(T), level)(from.data(), row, count, to.data(), kRows, count);
    for (int64_t i = 0; i < to.size(); ++i) ASSERT_EQ(to.data()[i], from.data()[i / row * row + i % 2 * count + i % row / 2]) << i;
    if (sizeof(T) > 4) continue;
    for (int64_t odd : {0, 1}) {
      constexpr int64_t kSize = sizeof(T);
      PickTakeEvery(kSize, 2, level)(from.data() + odd, row * kSize, half.data(), count * kSize, kRows, count);
      for (int64_t i = 0; i < half.size(); ++i) ASSERT_EQ(half.data()[i], from.data()[2 * i + odd]) << i;
    }
  }
}

TEST(Interleave, AnyLengthAndElement) {
  for (CpuLevel level : FloatLevels()) {
    Check<uint8_t>(level);
    Check<uint16_t>(level);
    Check<uint32_t>(level);
    Check<uint64_t>(level);
  }
  EXPECT_EQ(PickInterleave(16, DetectedCpuLevel()), nullptr);
  EXPECT_EQ(PickTakeEvery(3, 2, DetectedCpuLevel()), nullptr);
}

}  // namespace
}  // namespace linnet
