// Problems of `linnet kernels`: every kind of numbers has candidates that run, one of which models get.
#include "cli/kernel_problems.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace linnet::cli {
namespace {

void ExpectRuns(Problem& problem, Status status, int64_t macs, int picks) {
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(problem.macs, static_cast<double>(macs));
  EXPECT_EQ(std::count_if(problem.candidates.begin(), problem.candidates.end(), [](const Candidate& c) { return c.pick; }), picks);
  for (Candidate& candidate : problem.candidates) candidate.run();
}

constexpr Numbers kAll[] = {Numbers::kFloat32, Numbers::kInt8, Numbers::kBfloat16};

TEST(KernelProblems, Products) {
  for (Numbers numbers : kAll) {
    for (int64_t m : {1, 5, 33}) {
      Workspace memory;
      Problem problem;
      Status status = AddGemm({m, 37, 70}, numbers, DetectedCpuLevel(), memory, &problem);
      ExpectRuns(problem, std::move(status), m * 37 * 70, numbers == Numbers::kInt8 ? 2 : 1);
    }
  }
}

TEST(KernelProblems, Convolutions) {
  for (Numbers numbers : kAll) {
    for (const ConvProblem& p : {ConvProblem{14, 13, 24, 40, 3, 1, 1, 1}, ConvProblem{14, 13, 24, 40, 3, 2, 1, 1},
                                 ConvProblem{9, 9, 32, 16, 1, 1, 1, 1}, ConvProblem{9, 9, 24, 24, 3, 1, 1, 24}}) {
      Workspace memory;
      Problem problem;
      Status status = AddConv(p, numbers, DetectedCpuLevel(), memory, &problem);
      if (numbers == Numbers::kBfloat16 && p.groups > 1) {
        EXPECT_FALSE(status.ok());
        continue;
      }
      ExpectRuns(problem, std::move(status), p.Out(p.height) * p.Out(p.width) * p.filters * p.kernel * p.kernel * p.channels / p.groups, 1);
    }
  }
}

TEST(KernelProblems, RefusesWhatIsNone) {
  Workspace memory;
  Problem problem;
  EXPECT_FALSE(AddGemm({0, 1, 1}, Numbers::kFloat32, DetectedCpuLevel(), memory, &problem).ok());
  EXPECT_FALSE(AddGemm({1 << 24, 1 << 24, 1 << 24}, Numbers::kInt8, DetectedCpuLevel(), memory, &problem).ok());
  EXPECT_FALSE(AddConv({4, 4, 6, 6, 3, 1, 1, 4}, Numbers::kFloat32, DetectedCpuLevel(), memory, &problem).ok());
  EXPECT_FALSE(AddConv({1, 1, 1, 1, 2, 1, 1, 1}, Numbers::kInt8, DetectedCpuLevel(), memory, &problem).ok());
}

}  // namespace
}  // namespace linnet::cli
