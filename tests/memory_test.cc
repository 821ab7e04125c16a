// Blocks of memory: sizes that no machine has, and those that only a machine of 32 bits lacks.
#include "base/memory.h"

#include <gtest/gtest.h>

#include "graph/tensor.h"
#include "run/plan.h"

namespace linnet {
namespace {

TEST(Memory, SizesThatCannotExistAreRefused) {
  for (int64_t bytes : {int64_t{-1}, INT64_MAX, INT64_MAX - 63, INT64_MAX / 2, INT64_MAX / 4}) {
    MemoryBudget budget;
    EXPECT_FALSE(Block::Allocate(bytes, &budget).ok()) << bytes;
    EXPECT_EQ(budget.used_bytes(), 0);
  }
}

// 2^32 + 64 bytes are 64 where sizes have 32 bits: what is handed out must be all of it or nothing.
TEST(Memory, SizesAreNotCutTo32Bits) {
  if (sizeof(size_t) > 4) GTEST_SKIP() << "addresses have 64 bits here";
  for (int64_t bytes : {(int64_t{1} << 32) + 64, int64_t{1} << 32, (int64_t{1} << 32) - 1, int64_t{1} << 31, (int64_t{1} << 31) - 64}) {
    Result<Block> block = Block::Allocate(bytes);
    EXPECT_EQ(block.status().code(), Code::kOutOfMemory) << bytes;
    Bump bump;
    EXPECT_NE(bump.Take(64), nullptr);
    EXPECT_EQ(bump.Take(bytes), nullptr) << bytes;
  }
  EXPECT_FALSE(Tensor::Allocate(DType::kFloat, Shape{1 << 20, 1 << 10, 4}).ok());   // 2^34 bytes
}

}  // namespace
}  // namespace linnet
