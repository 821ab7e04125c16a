// Memory that is asked for ahead: which parts of it, and of which weights.
#include "base/ahead.h"

#include <gtest/gtest.h>

#include <vector>

#include "run/state.h"

namespace linnet {
namespace {

TEST(Ahead, PartsFollowOneAnother) {
  const char memory[400] = {};
  Ahead ahead;
  ahead.Add(memory, 100);
  ahead.Add(memory + 200, 100);
  AheadPart first(ahead, 0, 1, 2), second(ahead, 3, 4, 2);   // the fourth item of two threads with two each
  EXPECT_EQ(first.Take(60), memory);
  EXPECT_EQ(first.Take(40), memory + 60);
  EXPECT_EQ(first.Take(1), nullptr);
  EXPECT_EQ(second.Take(100), memory + 200);
  EXPECT_EQ(second.Take(1), nullptr);
}

TEST(Ahead, WhatAPieceHasTooLittleOfIsPassedOver) {
  const char memory[400] = {};
  Ahead ahead;
  ahead.Add(memory, 100);
  ahead.Add(memory + 200, 100);
  AheadPart all(ahead, 0, 1, 1);
  EXPECT_EQ(all.Take(70), memory);
  EXPECT_EQ(all.Take(70), memory + 200);
  EXPECT_EQ(all.Take(70), nullptr);
  AheadPart middle(AheadPart(ahead, 0, 1, 1), 1, 2, 4);
  EXPECT_EQ(middle.Take(50), memory + 50);
  EXPECT_EQ(middle.Take(1), nullptr);
  EXPECT_EQ(AheadPart().Take(1), nullptr);
  EXPECT_EQ(AheadPart(Ahead(), 0, 1, 1).Take(1), nullptr);
}

TEST(Ahead, WeightsOfLaterStepsOnce) {
  constexpr int64_t kBig = 700 << 10;
  const std::vector<char> memory(3 * kBig);
  const std::vector<WeightSpan> spans = {{memory.data(), kBig}, {memory.data() + kBig, kBig}, {memory.data() + 2 * kBig, kBig}};
  NodeIo first, second;
  first.weights = second.weights = &spans;
  first.weights_used = 1, second.weights_used = 2;
  RunState state;
  Ahead ahead = state.NextWeights(first, 1000);
  ASSERT_EQ(ahead.count, 1);
  EXPECT_EQ(ahead.pieces[0].data, memory.data() + kBig);
  EXPECT_EQ(ahead.bytes, 1000);
  // No more than a mebibyte waits to be used: the rest of the second, and a part of the third.
  ahead = state.NextWeights(first, 10 * kBig);
  ASSERT_EQ(ahead.count, 2);
  EXPECT_EQ(ahead.pieces[0].data, memory.data() + kBig + 1000);
  EXPECT_EQ(ahead.pieces[1].data, memory.data() + 2 * kBig);
  EXPECT_EQ(ahead.bytes, (1 << 20) - 1000);
  EXPECT_EQ(state.NextWeights(first, 1000).count, 0);
  // Those of the second are used by now.
  ahead = state.NextWeights(second, 10 * kBig);
  ASSERT_EQ(ahead.count, 1);
  EXPECT_EQ(ahead.pieces[0].data + ahead.bytes, memory.data() + 3 * kBig);
  EXPECT_EQ(state.NextWeights(second, 1000).count, 0);
}

}  // namespace
}  // namespace linnet
