// Many threads on one session: the same bits as alone, plans made and evicted under contention, cancelling, closing.
#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "hostile_util.h"
#include "run/context.h"

namespace linnet::hostile {
namespace {

const std::string kDigits = std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx";

Result<std::unique_ptr<Session>> OpenDigits(int threads) {
  SessionOptions options;
  options.threads = threads;
  return Session::Open(kDigits, options);
}

Tensor Image(const Session& session, int number) {
  Shape shape = session.inputs()[0].type.shape;
  for (int d = 0; d < shape.rank(); ++d) shape[d] = std::max<int64_t>(shape[d], 1);
  Tensor image = Filled<float>(shape, 0);
  for (int64_t i = 0; i < image.elements(); ++i) image.mutable_as<float>()[i] = static_cast<float>((i * 7 + number) % 13) / 13;
  return image;
}

std::string BitsOf(Session& session, const Tensor& image) {
  std::vector<Datum> results;
  Status status = RunSession(session, {image}, &results);
  if (!status.ok()) return std::string(status.message());
  return std::string(results[0].tensor.as<char>(), static_cast<size_t>(results[0].tensor.bytes()));
}

/// How often a loop calls its body when 16 items cost so many nanoseconds, after other calls have woken the workers.
int CallsOf(ThreadPool& pool, double item_ns) {
  NodeIo io;
  Step step;
  step.io = &io;
  RunEnv env;
  env.pool = &pool, env.threads = 2;
  const RunContext c(step, nullptr, nullptr, nullptr, nullptr, nullptr, env, nullptr);
  std::atomic<int> calls{0};
  EXPECT_TRUE(c.ParallelFor(16, 1, item_ns, [&](int64_t, int64_t, int) { calls.fetch_add(1); }).ok());
  return calls.load();
}

// Two threads save half of a loop, and handing it over costs about a microsecond whatever the loop is.
TEST(SessionThreads, LoopsThatAreNotWorthHandingOverRunInOnePiece) {
  ThreadPool pool(2);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(CallsOf(pool, 0), 1);
    EXPECT_EQ(CallsOf(pool, 1200 / 16), 1);
    EXPECT_GT(CallsOf(pool, 1e6), 1);
  }
}

TEST(SessionThreads, EightThreadsAThousandRunsEach) {
  auto session = OpenDigits(1);
  ASSERT_TRUE(session.ok()) << session.status().message();
  std::vector<Tensor> images;
  std::vector<std::string> expected;
  for (int i = 0; i < 8; ++i) {
    images.push_back(Image(**session, i));
    expected.push_back(BitsOf(**session, images.back()));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int run = 0; run < linnet_test::Repetitions(1000); ++run) {
        size_t which = static_cast<size_t>(t + run) % images.size();
        if (BitsOf(**session, images[which]) != expected[which]) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(SessionThreads, EveryNumberOfThreadsGivesTheSameBits) {
  std::string expected;
  for (int threads : {1, 2, 4}) {
    auto session = OpenDigits(threads);
    ASSERT_TRUE(session.ok()) << session.status().message();
    std::string bits = BitsOf(**session, Image(**session, 3));
    if (threads == 1) expected = bits;
    EXPECT_EQ(bits, expected) << threads << " threads";
  }
  // Callers that share the pool's workers.
  auto session = OpenDigits(4);
  ASSERT_TRUE(session.ok());
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      Tensor image = Image(**session, 3);
      for (int run = 0; run < 100; ++run) wrong += BitsOf(**session, image) != expected;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong.load(), 0);
}

/// More shapes than the cache of plans holds, asked for by several threads; parts of the model depend on contents.
TEST(SessionThreads, PlansAreMadeAndEvictedUnderContention) {
  SessionOptions options;
  options.threads = 2;
  auto session = OpenText(R"(graph (x: float[N,M]) -> (s, z) {
    k = const float[]{2}
    a = Mul-14(x, k)
    sh = Shape-15(a)
    c = Reshape-14(a, flat)
    flat = const int64[1]{-1}
    z = NonZero-13(c)
    f = Gather-13(c, first)
    first = const int64[1]{0}
    s = ReduceSum-13(a) {keepdims=0}
  })", options);
  ASSERT_TRUE(session.ok()) << session.status().message();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int run = 0; run < 400; ++run) {
        int64_t n = 1 + (run * 7 + t) % 12, m = 1 + (run * 3 + t * 5) % 11;
        Tensor x = Filled<float>(Shape{n, m}, 1);
        x.mutable_as<float>()[0] = 0;
        std::vector<Datum> results;
        Status status = RunSession(**session, {x}, &results);
        if (!status.ok() || results[0].tensor.as<float>()[0] != static_cast<float>(2 * (n * m - 1)) ||
            !(results[1].tensor.shape() == Shape{1, n * m - 1})) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

TEST(SessionThreads, CancelStorm) {
  SessionOptions options;
  options.threads = 2;
  auto session = OpenText(R"(graph (n: int64[], x: float[64,64]) -> (y) {
    y = Loop-16(n, _, x) {body=graph (i: int64[], c: bool[], v: float[64,64]) -> (c, w) {
      w = MatMul-13(v, v)
    }}
  })", options);
  ASSERT_TRUE(session.ok()) << session.status().message();
  const Tensor x = Filled<float>(Shape{64, 64}, 0.01f);
  std::atomic<int> cancelled{0}, other{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 10; ++round) {
        StopSource stop;
        RunOptions run;
        run.stop = &stop;
        std::thread canceller([&] {
          usleep(static_cast<useconds_t>(200 * (t + round)));
          for (int i = 0; i < 100; ++i) stop.cancelled = true;
        });
        Status status = RunSession(**session, {Of<int64_t>(Shape::OfRank(0), {int64_t{1} << 40}), x}, nullptr, run);
        canceller.join();
        ++(status.code() == Code::kCancelled ? cancelled : other);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cancelled.load(), 40);
  EXPECT_EQ(other.load(), 0);
  EXPECT_TRUE(RunSession(**session, {Of<int64_t>(Shape::OfRank(0), {2}), x}).ok());
}

TEST(SessionThreads, SessionsOpenAndCloseSideBySide) {
  std::string expected;
  {
    auto session = OpenDigits(2);
    ASSERT_TRUE(session.ok());
    expected = BitsOf(**session, Image(**session, 1));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        auto session = OpenDigits(2);
        if (!session.ok() || BitsOf(**session, Image(**session, 1)) != expected) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

/// An input with a default: the first thread that feeds it makes the model in which it is an input.
TEST(SessionThreads, DefaultsAreFedByOneThreadAndLeftOutByAnother) {
  auto session = OpenText("graph (x: float[2], k: float[2] = float[2]{1, 2}) -> (y) {\n y = Mul-14(x, k)\n}");
  ASSERT_TRUE(session.ok()) << session.status().message();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int run = 0; run < 100; ++run) {
        std::vector<Datum> results;
        std::vector<Tensor> inputs = {List<float>({3, 3})};
        if (t % 2) inputs.push_back(List<float>({5, 7}));
        Status status = RunSession(**session, inputs, &results);
        if (!status.ok() || results[0].tensor.as<float>()[1] != (t % 2 ? 21.0f : 6.0f)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace linnet::hostile
