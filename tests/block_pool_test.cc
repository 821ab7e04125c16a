// Pooled memory of blocks: ranges never overlap, freed pages are used again and in the end given back.
#include "base/block_pool.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "base/memory.h"
#include "guarded.h"

namespace linnet {
namespace {

bool HasPool() {
  void* memory = TakePooled(kPooledBytesMin);
  return memory && GivePooled(memory);
}

int64_t ResidentBytes() {
  long long all = 0, resident = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%lld %lld", &all, &resident) != 2) resident = 0;
  if (file) fclose(file);
  return resident * static_cast<int64_t>(TestPageBytes());
}

class BlockPool : public testing::Test {
  void SetUp() override {
    if (!HasPool()) GTEST_SKIP() << "this build has no pool";
  }
};

TEST_F(BlockPool, RangesDoNotOverlap) {
  struct Piece {
    unsigned char* data;
    size_t bytes;
    unsigned char mark;
  };
  std::mt19937 random(1);
  std::vector<Piece> pieces;
  std::unique_ptr<KeepFreedPages> keep;
  for (int step = 0; step < 3000; ++step) {
    if (step % 500 == 0) keep = step % 1000 == 0 ? std::make_unique<KeepFreedPages>() : nullptr;
    if (pieces.size() < 40 || random() % 2) {
      const size_t bytes = kPooledBytesMin + random() % (random() % 20 == 0 ? 5'000'000 : 300'000);
      auto* data = static_cast<unsigned char*>(TakePooled(bytes));
      ASSERT_NE(data, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(data) % 64, 0u);
      pieces.push_back({data, bytes, static_cast<unsigned char>(step)});
      data[0] = data[bytes / 2] = data[bytes - 1] = pieces.back().mark;
    } else {
      std::swap(pieces[random() % pieces.size()], pieces.back());
      const Piece last = pieces.back();
      ASSERT_TRUE(last.data[0] == last.mark && last.data[last.bytes / 2] == last.mark && last.data[last.bytes - 1] == last.mark);
      ASSERT_TRUE(GivePooled(last.data));
      pieces.pop_back();
    }
  }
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.data < b.data; });
  for (size_t i = 1; i < pieces.size(); ++i) EXPECT_LE(pieces[i - 1].data + pieces[i - 1].bytes, pieces[i].data);
  for (const Piece& piece : pieces) EXPECT_TRUE(GivePooled(piece.data));
  int other = 0;
  EXPECT_FALSE(GivePooled(&other));
}

TEST_F(BlockPool, ResidentMemoryIsGivenBackWhenTheLastKeeperGoes) {
  constexpr int64_t kBytes = 1 << 20;
  constexpr int kCount = 100;
  const int64_t before = ResidentBytes();
  {
    KeepFreedPages keep;
    std::vector<void*> pieces;
    for (int i = 0; i < kCount; ++i) {
      pieces.push_back(TakePooled(kBytes));
      ASSERT_NE(pieces.back(), nullptr);
      memset(pieces.back(), 1, kBytes);
    }
    const int64_t full = ResidentBytes();
    EXPECT_GT(full - before, kCount * kBytes * 3 / 4);
    for (void* piece : pieces) GivePooled(piece);
    EXPECT_GT(ResidentBytes() - before, kCount * kBytes * 3 / 4);
    // The pages are there for the next.
    void* again = TakePooled(50 * kBytes);
    memset(again, 2, 50 * kBytes);
    EXPECT_LT(ResidentBytes(), full + 4 * kBytes);
    GivePooled(again);
  }
  EXPECT_LT(ResidentBytes() - before, 8 * kBytes);
}

TEST_F(BlockPool, ResidentMemoryKeptWithoutAKeeperIsBounded) {
  const int64_t before = ResidentBytes();
  std::vector<void*> pieces;
  for (int i = 0; i < 200; ++i) {
    pieces.push_back(TakePooled(1 << 20));
    memset(pieces.back(), 1, 1 << 20);
  }
  for (void* piece : pieces) GivePooled(piece);
  EXPECT_LT(ResidentBytes() - before, int64_t{40} << 20);
}

TEST_F(BlockPool, ThreadsShareIt) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < 500; ++i) {
        const int64_t bytes = static_cast<int64_t>(kPooledBytesMin + random() % 500'000);
        Result<Block> block = Block::Allocate(bytes);
        ASSERT_TRUE(block.ok());
        memset(block->data(), t, static_cast<size_t>(bytes));
        ASSERT_EQ(static_cast<int>(block->data()[bytes - 1]), t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(BlockBudget, IsWholeAfterLargeBlocks) {
  MemoryBudget budget(10 << 20);
  {
    Result<Block> one = Block::Allocate(6 << 20, &budget);
    ASSERT_TRUE(one.ok());
    EXPECT_FALSE(Block::Allocate(6 << 20, &budget).ok());
    EXPECT_EQ(budget.used_bytes(), 6 << 20);
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

}  // namespace
}  // namespace linnet
