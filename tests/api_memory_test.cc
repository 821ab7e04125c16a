// The C API when memory runs out: the n-th allocation of a call fails, for every n.
#include <stddef.h>
#include <string.h>

#include <string>
#include <vector>

#include "api_test_util.h"
#include "failing_malloc.h"

namespace linnet_test {
namespace {

class ApiMemory : public testing::Test {
  void SetUp() override {
    if (!linnet::CanFailAllocations()) GTEST_SKIP() << "this build's malloc cannot be told to fail";
  }
};

/// The call whose n-th allocation fails.
class Failing {
 public:
  explicit Failing(int64_t n) : n_(n) {}
  template <class Call>
  LinnetCode operator()(Call&& call) {
    linnet::FailAllocation(n_);
    LinnetCode code = call();
    reached_ = linnet::StopFailingAllocations();
    return code;
  }
  bool reached() const { return reached_; }

 private:
  int64_t n_;
  bool reached_ = false;
};

/// Gives `body` a call whose 1st, 2nd, ... allocation fails, until it needs fewer; it must succeed or say "out of memory".
/// Returns how many allocations it makes.
template <class Body>
int64_t FailEach(Body&& body) {
  for (int64_t n = 0; n < 100000; ++n) {
    Failing failing(n);
    LinnetCode code = body(failing);
    if (!failing.reached()) {
      EXPECT_EQ(code, LINNET_OK);
      return n;
    }
    // Some allocations are for something better, not for something needed.
    EXPECT_TRUE(code == LINNET_OK || code == LINNET_OUT_OF_MEMORY) << n << ": " << code;
  }
  ADD_FAILURE() << "does not end";
  return 0;
}

TEST_F(ApiMemory, EveryAllocationOfOpeningMayFail) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetThreads(options, 1));
  std::string path = DigitsPath();
  int64_t count = FailEach([&](Failing& failing) {
    LinnetSession* session = nullptr;
    LinnetCode code = failing([&] { return LinnetSessionOpen(path.c_str(), options, &session); });
    EXPECT_EQ(session != nullptr, code == LINNET_OK);
    EXPECT_EQ(LinnetSessionClose(session), LINNET_OK);
    return code;
  });
  EXPECT_GT(count, 100);
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST_F(ApiMemory, EveryAllocationOfARunMayFailAndTheSessionStaysUsable) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetThreads(options, 1));
  LinnetSession* session = nullptr;
  ASSERT_OK(LinnetSessionOpen(DigitsPath().c_str(), options, &session));
  std::vector<float> image = LastFloats(DigitsInputPath(), 28 * 28), expected = LastFloats(DigitsOutputPath(), 10);
  int64_t batch = 0;
  int64_t count = FailEach([&](Failing& failing) {
    // Each time other shapes, so that a plan is made too.
    int64_t shape[] = {1, 1, 28, 28};
    shape[0] = ++batch % 7 + 1;
    std::vector<float> images;
    images.resize(static_cast<size_t>(shape[0]) * 28 * 28);
    memcpy(images.data(), image.data(), image.size() * sizeof(float));
    LinnetInput input = FloatInput("image", images.data(), shape, 4);
    LinnetOutput output = Made("probabilities");
    LinnetCode code = failing([&] { return LinnetRun(session, &input, 1, &output, 1, nullptr); });
    EXPECT_EQ(output.value != nullptr, code == LINNET_OK);
    if (code == LINNET_OK) {
      const void* data = nullptr;
      EXPECT_EQ(LinnetValueData(output.value, &data, nullptr), LINNET_OK);
      for (size_t i = 0; i < 10; ++i) EXPECT_NEAR(static_cast<const float*>(data)[i], expected[i], 1e-5);
      EXPECT_EQ(LinnetValueClose(output.value), LINNET_OK);
    }
    return code;
  });
  EXPECT_GT(count, 5);
  EXPECT_OK(LinnetSessionClose(session));
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST_F(ApiMemory, ARepeatedBindingAllocatesNothing) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetThreads(options, 1));
  LinnetSession* session = nullptr;
  ASSERT_OK(LinnetSessionOpen(DigitsPath().c_str(), options, &session));
  LinnetBinding* binding = nullptr;
  ASSERT_OK(LinnetBindingCreate(session, &binding));
  std::vector<float> image = LastFloats(DigitsInputPath(), 28 * 28), probabilities(10);
  int64_t shape[] = {1, 1, 28, 28};
  LinnetInput input = FloatInput("image", image.data(), shape, 4);
  LinnetOutput output = Into("probabilities", probabilities.data(), probabilities.size() * sizeof(float));
  ASSERT_OK(LinnetBindingInput(binding, &input));
  ASSERT_OK(LinnetBindingOutput(binding, &output));
  ASSERT_OK(LinnetBindingRun(binding, nullptr));
  Failing first(0);
  EXPECT_EQ(first([&] { return LinnetBindingRun(binding, nullptr); }), LINNET_OK);
  EXPECT_FALSE(first.reached()) << "a repeated run allocates";
  EXPECT_OK(LinnetBindingClose(binding));
  EXPECT_OK(LinnetSessionClose(session));
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST_F(ApiMemory, EveryAllocationOfALoopMayFail) {
  LinnetSession* session = OpenText(
      "graph (n: int64[]) -> (all: float[T,2]) {\n go = const bool[]{true}\n start = const float[2]{1, 2}\n"
      " last, all = Loop-16(n, go, start) {body=graph b (i: int64[], c: bool[], v: float[2]) -> (c2, v2, v2) {\n"
      "   c2: bool[] = Identity-16(c)\n v2: float[2] = Add-16(v, v)\n }} }");
  FailEach([&](Failing& failing) {
    int64_t turns = 4;
    LinnetInput input = {};
    input.name = "n", input.type = LINNET_INT64, input.data = &turns, input.bytes = sizeof turns;
    float all[8];
    LinnetOutput output = Into("all", all, sizeof all);
    LinnetCode code = failing([&] { return LinnetRun(session, &input, 1, &output, 1, nullptr); });
    if (code == LINNET_OK) {
      EXPECT_EQ(all[7], 32);
    }
    return code;
  });
  EXPECT_OK(LinnetSessionClose(session));
}

}  // namespace
}  // namespace linnet_test
