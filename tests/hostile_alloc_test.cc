// The n-th allocation fails, for every n, while a model is opened and while it runs: "out of memory", and nothing else.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "failing_malloc.h"
#include "hostile_util.h"

namespace linnet::hostile {
namespace {

/// Convolutions, shapes, a body, strings, a sequence: small, and nearly every part of the runtime.
const char* const kMixture = R"(graph mixture (x: float[N,2,4,4], n: int64[], s: string[?], k: float[2] = float[2]{1, 2}) -> (y, l, z, q, u) {
  w = const float[2,1,3,3]{1, 0, -1, 2, 0, -2, 1, 0, -1, 1, 2, 1, 0, 0, 0, -1, -2, -1}
  p = const float[3,2,1,1]{1, 2, 3, 4, 5, 6}
  a = Conv-11(x, w) {group=2, pads=[1, 1, 1, 1]}
  b = Relu-14(a)
  c = Conv-11(b, p)
  g = GlobalAveragePool-1(c)
  f = Flatten-13(g)
  m = const float[3,2]{1, 2, 3, 4, 5, 6}
  h = MatMul-13(f, m)
  y = Add-14(h, k)
  v = const float[2]{1, 2}
  l, all = Loop-16(n, _, v) {body=graph body (i: int64[], t: bool[], r: float[2]) -> (t, o, d) {
    o = Add-14(r, r)
    d = Neg-13(o)
  }}
  sh = Shape-15(all)
  z = ConstantOfShape-9(sh) {value=int64[1]{7}}
  q = StringConcat-20(s, s)
  seq = SplitToSequence-11(y) {axis=1, keepdims=1}
  u = ConcatFromSequence-11(seq) {axis=0}
})";

std::vector<Tensor> MixtureInputs() {
  std::vector<float> x(64);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) - 3;
  return {Of<float>(Shape{2, 2, 4, 4}, x), Of<int64_t>(Shape::OfRank(0), {3}), Of<std::string>(Shape{2}, {"a long string that needs memory", "b"})};
}

std::string Print(const std::vector<Datum>& results) {
  std::string out;
  for (const Datum& result : results) out += PrintTensor(result.tensor) + "\n";
  return out;
}

class EveryAllocation : public testing::Test {
 protected:
  void SetUp() override {
    if (!CanFailAllocations()) GTEST_SKIP() << "this build's allocator cannot be made to fail";
  }
};

TEST_F(EveryAllocation, WhileOpening) {
  const std::string bytes = OnnxOf(kMixture);
  for (int64_t more : {0, 3}) {
    int failed = 0, survived = 0;
    for (int64_t n = 0;; ++n) {
      SessionOptions options = Budgeted();
      Result<std::unique_ptr<Session>> session = Status();
      FailAllocation(n, more);
      session = OpenBytes(bytes, options);
      bool hit = StopFailingAllocations();
      if (!hit) {
        ASSERT_TRUE(session.ok()) << session.status().message();
        break;
      }
      if (session.ok()) {  // something optional was left out, and the model is right without it
        ++survived;
        std::vector<Datum> results;
        Status status = RunSession(**session, MixtureInputs(), &results);
        ASSERT_TRUE(status.ok()) << "allocation " << n << ": " << status.message();
        continue;
      }
      ++failed;
      ASSERT_EQ(session.status().code(), Code::kOutOfMemory) << "allocation " << n << ": " << session.status().message();
    }
    EXPECT_GT(failed, 500);
    EXPECT_LT(survived, failed);
  }
}

TEST_F(EveryAllocation, WhileRunning) {
  const std::string bytes = OnnxOf(kMixture);
  const std::vector<Tensor> inputs = MixtureInputs();
  std::string expected;
  {
    auto session = OpenBytes(bytes);
    ASSERT_TRUE(session.ok()) << session.status().message();
    std::vector<Datum> results;
    ASSERT_TRUE(RunSession(**session, inputs, &results).ok());
    expected = Print(results);
  }
  for (int64_t more : {0, 3}) {
    int failed = 0;
    for (int64_t n = 0;; ++n) {
      auto session = OpenBytes(bytes);
      ASSERT_TRUE(session.ok()) << session.status().message();
      std::vector<Fact> facts;
      for (const Tensor& tensor : inputs) facts.push_back({tensor.type(), tensor.data()});
      facts.emplace_back();  // the default
      std::vector<RunOutput> outputs((*session)->outputs().size());
      FailAllocation(n, more);
      Status status = (*session)->Run(facts.data(), outputs.data());
      bool hit = StopFailingAllocations();
      if (hit && !status.ok()) {
        ++failed;
        ASSERT_EQ(status.code(), Code::kOutOfMemory) << "allocation " << n << ": " << status.message();
      }
      if (!hit) {
        ASSERT_TRUE(status.ok()) << status.message();
      }
      // The session still works, twice.
      for (int turn = 0; turn < 2; ++turn) {
        std::vector<Datum> results;
        Status again = RunSession(**session, inputs, &results);
        ASSERT_TRUE(again.ok()) << "after allocation " << n << ": " << again.message();
        ASSERT_EQ(Print(results), expected) << "after allocation " << n;
      }
      if (!hit) break;
    }
    EXPECT_GT(failed, 50);
  }
}

TEST_F(EveryAllocation, OfTheDigitsModelNowAndThen) {
  const std::string path = std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx";
  SessionOptions options;
  options.threads = 2;
  for (int64_t n = 0;; n += 17) {
    FailAllocation(n);
    Result<std::unique_ptr<Session>> session = Session::Open(path, options);
    bool hit = StopFailingAllocations();
    if (!hit) {
      ASSERT_TRUE(session.ok()) << session.status().message();
      break;
    }
    if (!session.ok()) {
      ASSERT_EQ(session.status().code(), Code::kOutOfMemory) << "allocation " << n << ": " << session.status().message();
    }
  }
  auto session = Session::Open(path, options);
  ASSERT_TRUE(session.ok());
  const Tensor image = Filled<float>((*session)->inputs()[0].type.shape[0] < 0 ? Shape{1, 1, 28, 28} : (*session)->inputs()[0].type.shape, 0.25f);
  for (int64_t n = 0; n < 200; ++n) {
    Fact fact{image.type(), image.data()};
    RunOutput output;
    FailAllocation(n);
    Status status = (*session)->Run(&fact, &output);
    StopFailingAllocations();
    if (!status.ok()) {
      ASSERT_EQ(status.code(), Code::kOutOfMemory) << "allocation " << n << ": " << status.message();
    }
    RunOutput again;
    status = (*session)->Run(&fact, &again);
    ASSERT_TRUE(status.ok()) << status.message();
  }
}

}  // namespace
}  // namespace linnet::hostile
