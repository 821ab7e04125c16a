// Where pieces of an arena lie: apart while they live together, and in not much more memory than that takes.
#include "compile/arena.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <random>

namespace linnet {
namespace {

struct Lived {
  int64_t piece, bytes;
  int begin, end;
};

/// Takes and gives pieces at random; returns the most bytes that lived at once.
int64_t Fill(ArenaLayout& arena, uint32_t seed, int events, int64_t unit, std::vector<Lived>* lived) {
  std::mt19937 random(seed);
  std::vector<size_t> alive;
  int64_t live = 0, most = 0;
  for (int i = 0; i < events; ++i) {
    if (!alive.empty() && random() % 5 < 2) {
      const size_t at = random() % alive.size();
      Lived& one = (*lived)[alive[at]];
      arena.Give(one.piece);
      one.end = i;
      live -= one.bytes;
      alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(at));
      continue;
    }
    const int64_t bytes = static_cast<int64_t>(1 + random() % 16) * unit;
    alive.push_back(lived->size());
    lived->push_back({arena.Take(bytes), bytes, i, events});
    live += bytes;
    most = std::max(most, live);
  }
  return most;
}

TEST(ArenaLayout, PiecesThatLiveTogetherLieApart) {
  ArenaLayout arena;
  for (uint32_t seed = 0; seed < 40; ++seed) {
    for (int64_t unit : {int64_t{64}, int64_t{1} << 20}) {
      arena.Clear();
      std::vector<Lived> lived;
      const int64_t most = Fill(arena, seed, 150, unit, &lived);
      const int64_t before = arena.peak_bytes();
      arena.Lay();
      EXPECT_LE(arena.peak_bytes(), before);
      EXPECT_GE(arena.peak_bytes(), most);
      for (size_t a = 0; a < lived.size(); ++a) {
        const int64_t from = arena.OffsetOf(lived[a].piece), to = from + lived[a].bytes;
        EXPECT_EQ(from % 64, 0);
        EXPECT_LE(to, arena.peak_bytes());
        for (size_t b = 0; b < a; ++b) {
          if (lived[a].begin > lived[b].end || lived[b].begin > lived[a].end) continue;
          const int64_t other = arena.OffsetOf(lived[b].piece);
          EXPECT_TRUE(other >= to || other + lived[b].bytes <= from) << seed << ": " << a << " and " << b;
        }
      }
    }
  }
}

TEST(ArenaLayout, LongLivedPieceInTheMiddleIsMoved) {
  // A small piece first, then one that lives on, then one that fits into no gap: in order of time that is 1 + 8 + 16 units.
  constexpr int64_t kUnit = 1 << 20;
  ArenaLayout arena;
  const int64_t small = arena.Take(kUnit), kept = arena.Take(8 * kUnit);
  arena.Give(small);
  arena.Take(16 * kUnit);
  EXPECT_EQ(arena.peak_bytes(), 25 * kUnit);
  arena.Lay();
  EXPECT_EQ(arena.peak_bytes(), 24 * kUnit);
  EXPECT_EQ(arena.OffsetOf(kept), 16 * kUnit);
}

}  // namespace
}  // namespace linnet
