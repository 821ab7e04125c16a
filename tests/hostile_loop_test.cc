// Runs that would not end: stopped by steps, time, memory or cancelling, soon and with the session usable afterwards.
#include <gtest/gtest.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include <thread>

#include "hostile_util.h"

namespace linnet::hostile {
namespace {

constexpr int64_t kForever = int64_t{1} << 62;

/// What bodies an endless loop may have: none, a cheap one, a doubling one, a collecting one, a nested one.
struct Endless {
  const char* name;
  const char* text;
};
const Endless kEndless[] = {
    {"empty", R"(graph (n: int64[], x: float[2]) -> (y) {
       y = Loop-16(n, _, x) {body=graph (i: int64[], c: bool[], v: float[2]) -> (c, v) {
       }} @endless
     })"},
    {"cheap", R"(graph (n: int64[], x: float[2]) -> (y) {
       y = Loop-16(n, _, x) {body=graph (i: int64[], c: bool[], v: float[2]) -> (c, w) {
         w = Neg-13(v)
       }} @endless
     })"},
    {"collecting", R"(graph (n: int64[], x: float[2]) -> (all) {
       y, all = Loop-16(n, _, x) {body=graph (i: int64[], c: bool[], v: float[2]) -> (c, v, w) {
         k = const int64[1]{500}
         w = Tile-13(v, k)
       }} @endless
     })"},
    {"nested", R"(graph (n: int64[], x: float[2]) -> (y) {
       y = Loop-16(n, _, x) {body=graph (i: int64[], c: bool[], v: float[2]) captures (m: int64[] = n) -> (c, w) {
         w = Loop-16(m, _, v) {body=graph (j: int64[], d: bool[], u: float[2]) -> (d, u) {
         }}
       }} @endless
     })"},
};
const char* const kDoubling = R"(graph (n: int64[], x: float[?]) -> (y) {
  y = Loop-16(n, _, x) {body=graph (i: int64[], c: bool[], v: float[...]) -> (c, w) {
    w = Concat-13(v, v) {axis=0}
  }} @endless
})";

Tensor Turns(int64_t n) { return Of<int64_t>(Shape::OfRank(0), {n}); }

void StillRuns(Session& session) {
  std::vector<Datum> results;
  Status status = RunSession(session, {Turns(1), Filled<float>(Shape{2}, 1)}, &results);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(HostileLoop, StepsEndIt) {
  for (const Endless& endless : kEndless) {
    SessionOptions options = Budgeted();
    options.time_limit_ns = INT64_MAX;
    options.memory_limit_bytes = INT64_MAX;
    options.step_limit = 10000;
    auto session = OpenText(endless.text, options);
    ASSERT_TRUE(session.ok()) << session.status().message();
    Stopwatch watch;
    Status status = RunSession(**session, {Turns(kForever), Filled<float>(Shape{2}, 1)});
    EXPECT_EQ(status.code(), Code::kLimitReached) << endless.name << ": " << status.message();
    ExpectParts(Why(status), {"step limit"});
    EXPECT_LT(watch.seconds(), 0.5 * kSlower) << endless.name;
    StillRuns(**session);
  }
}

TEST(HostileLoop, TimeEndsIt) {
  for (const Endless& endless : kEndless) {
    SessionOptions options = Budgeted();
    options.time_limit_ns = 50'000'000;
    options.memory_limit_bytes = INT64_MAX;
    auto session = OpenText(endless.text, options);
    ASSERT_TRUE(session.ok()) << session.status().message();
    Stopwatch watch;
    Status status = RunSession(**session, {Turns(kForever), Filled<float>(Shape{2}, 1)});
    EXPECT_EQ(status.code(), Code::kLimitReached) << endless.name;
    ExpectParts(Why(status), {"time limit"});
    EXPECT_GE(watch.seconds(), 0.05);
    // What was collected until then, some 100 MB in small pieces, is let go afterwards.
    const bool collects = std::string_view(endless.name) == "collecting";
    EXPECT_LT(watch.seconds(), (collects ? 0.3 : 0.1) * kSlower) << endless.name;
    StillRuns(**session);
  }
}

TEST(HostileLoop, MemoryEndsIt) {
  SessionOptions options = Budgeted();
  options.time_limit_ns = INT64_MAX;
  for (const char* text : {kDoubling, kEndless[2].text}) {
    auto session = OpenText(text, options);
    ASSERT_TRUE(session.ok()) << session.status().message();
    Stopwatch watch;
    Status status = RunSession(**session, {Turns(kForever), Filled<float>(Shape{2}, 1)});
    EXPECT_EQ(status.code(), Code::kLimitReached) << status.message();
    ExpectParts(Why(status), {"memory limit", "67108864", "'endless'"});
    EXPECT_LE((*session)->budget().peak_bytes(), options.memory_limit_bytes);
    EXPECT_LT(watch.seconds(), 5.0 * kSlower);
    StillRuns(**session);
  }
}

TEST(HostileLoop, CancellingEndsIt) {
  for (const Endless& endless : kEndless) {
    SessionOptions options = Budgeted();
    options.time_limit_ns = INT64_MAX;
    options.memory_limit_bytes = INT64_MAX;
    auto session = OpenText(endless.text, options);
    ASSERT_TRUE(session.ok()) << session.status().message();
    StopSource stop;
    RunOptions run;
    run.stop = &stop;
    int64_t cancelled_ns = 0;
    std::thread other([&] {
      usleep(20000);
      cancelled_ns = MonotonicNs();
      stop.cancelled = true;
    });
    Status status = RunSession(**session, {Turns(kForever), Filled<float>(Shape{2}, 1)}, nullptr, run);
    int64_t ended_ns = MonotonicNs();
    other.join();
    EXPECT_EQ(status.code(), Code::kCancelled) << endless.name << ": " << status.message();
    EXPECT_LT(static_cast<double>(ended_ns - cancelled_ns) / 1e9, 0.05 * kSlower) << endless.name;
    StillRuns(**session);
    // Cancelled before it starts.
    status = RunSession(**session, {Turns(1), Filled<float>(Shape{2}, 1)}, nullptr, run);
    EXPECT_EQ(status.code(), Code::kCancelled);
  }
}

/// One long step ends in the middle: a matrix product of about a minute.
TEST(HostileLoop, ALongStepIsStoppedToo) {
  for (int threads : {1, 2}) {
    SessionOptions options;
    options.threads = threads;
    options.time_limit_ns = 100'000'000;
    auto session = OpenText("graph (a: float[N,K], b: float[K,M]) -> (y) {\n y = MatMul-13(a, b)\n}", options);
    ASSERT_TRUE(session.ok()) << session.status().message();
    Tensor a = Filled<float>(Shape{6000, 6000}, 1e-3f);
    Stopwatch watch;
    Status status = RunSession(**session, {a, a});
    EXPECT_EQ(status.code(), Code::kLimitReached) << status.message();
    EXPECT_LT(watch.seconds(), 3.0 * kSlower);  // of ten and more; a busy machine may let a thread wait
    std::vector<Datum> results;
    Tensor small = Filled<float>(Shape{2, 2}, 1);
    status = RunSession(**session, {small, small}, &results);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(results[0].tensor.as<float>()[0], 2.0f);
  }
}

/// Steps whose one task is long: tables while planning, one transform, one row of output.
TEST(HostileLoop, AStepOfOneLongTaskIsStopped) {
  struct Case {
    const char* text;
    std::vector<Tensor> inputs;
    int wait_ms;
  };
  const char* const transform = "graph (x: float[1,N,1]) -> (y) {\n y = DFT-17(x)\n}";
  const char* const transposed = R"(graph (x: float[1,1,N], w: float[1,1,2]) -> (y) {
    y = ConvTranspose-11(x, w) {strides=[20000]}
  })";
  const Tensor prime = Filled<float>(Shape{1, 2000003, 1}, 1);
  const Case cases[] = {
      {transform, {prime}, 10},    // its tables
      {transform, {prime}, 400},   // its transform, or still its tables
      {transposed, {Filled<float>(Shape{1, 1, 4000}, 1), Filled<float>(Shape{1, 1, 2}, 1)}, 20},
  };
  for (const Case& one : cases) {
    SessionOptions options;
    options.threads = 1;
    auto session = OpenText(one.text, options);
    ASSERT_TRUE(session.ok()) << session.status().message();
    StopSource stop;
    RunOptions run;
    run.stop = &stop;
    // In time that this thread computes: a busy machine may let it wait.
    clockid_t clock;
    ASSERT_EQ(pthread_getcpuclockid(pthread_self(), &clock), 0);
    auto computed_ns = [clock] {
      timespec now;
      clock_gettime(clock, &now);
      return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
    };
    double at_cancel_ns = 0;
    std::thread other([&] {
      usleep(static_cast<useconds_t>(one.wait_ms * 1000));
      at_cancel_ns = computed_ns();
      stop.cancelled = true;
    });
    Status status = RunSession(**session, one.inputs, nullptr, run);
    const double at_end_ns = computed_ns();
    other.join();
    EXPECT_EQ(status.code(), Code::kCancelled) << one.text << one.wait_ms << status.message();
    EXPECT_LT((at_end_ns - at_cancel_ns) / 1e9, 0.05 * kSlower) << one.text << one.wait_ms;
  }
}

TEST(HostileLoop, BranchesThatDiffer) {
  auto session = OpenText(R"(graph (c: bool[], x: float[2]) -> (y) {
    y = If-16(c) {then_branch=graph () captures (x: float[2] = x) -> (u) {
      u = Cast-13(x) {to=11}
    }, else_branch=graph () captures (x: float[2] = x) -> (v) {
      v = Concat-13(x, x) {axis=0}
    }}
  })");
  ASSERT_TRUE(session.ok()) << session.status().message();
  for (bool condition : {true, false, true}) {
    std::vector<Datum> results;
    Status status = RunSession(**session, {Of<bool>(Shape::OfRank(0), {condition}), Filled<float>(Shape{2}, 3)}, &results);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(results[0].tensor.dtype(), condition ? DType::kDouble : DType::kFloat);
    EXPECT_EQ(results[0].tensor.elements(), condition ? 2 : 4);
  }
}

}  // namespace
}  // namespace linnet::hostile
