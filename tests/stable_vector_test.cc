// Arrays whose elements stay: every element at every size, copies that are their own, references that hold.
#include "base/stable_vector.h"

#include <gtest/gtest.h>

#include <string>

namespace linnet {
namespace {

TEST(StableVector, KeepsWhatItIsGivenWhereItIs) {
  StableVector<std::string> all;
  std::vector<const std::string*> places;
  for (size_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(all.size(), i);
    all.push_back("element " + std::to_string(i));
    places.push_back(&all.back());
  }
  for (size_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(all[i], "element " + std::to_string(i));
    ASSERT_EQ(&all[i], places[i]);
  }
}

TEST(StableVector, CopiesAreTheirOwnAndGrowToo) {
  for (size_t size : {0, 1, 15, 16, 17, 47, 48, 49, 1000}) {
    StableVector<int> all;
    for (size_t i = 0; i < size; ++i) all.push_back(static_cast<int>(i));
    StableVector<int> copy = all;
    ASSERT_EQ(copy.size(), size);
    for (size_t i = 0; i < size; ++i) copy[i] += 1;
    copy.push_back(-1);
    const int* last = &copy.back();
    for (int i = 0; i < 100; ++i) copy.push_back(i);
    EXPECT_EQ(*last, -1);
    EXPECT_EQ(&copy[size], last);
    for (size_t i = 0; i < size; ++i) ASSERT_EQ(all[i] + 1, copy[i]);
    StableVector<int> moved = std::move(copy);
    EXPECT_EQ(&moved[size], last);
    all = moved;
    EXPECT_EQ(all.size(), size + 101);
    EXPECT_EQ(all[size], -1);
  }
}

}  // namespace
}  // namespace linnet
