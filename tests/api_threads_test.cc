// The C API: many threads, cancelling, limits, closing during use.
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "api_test_util.h"
#include "slower.h"

namespace linnet_test {
namespace {

using Clock = std::chrono::steady_clock;

int64_t MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count();
}

/// A loop that ends only when it is stopped: `n` turns, each of which adds 1 to a value of shape [width].
const char* const kLoop =
    "graph (n: int64[], start: float[W]) -> (end: float[W]) {\n"
    "  go = const bool[]{true}\n"
    "  end = Loop-16(n, go, start) {body=graph body (i: int64[], c: bool[], v: float[W]) -> (c2, v2) {\n"
    "    one = const float[]{1}\n"
    "    c2: bool[] = Identity-16(c)\n"
    "    v2: float[W] = Add-16(v, one)\n"
    "  }}\n"
    "}";

struct LoopRun {
  int64_t turns = INT64_MAX;
  float start[4] = {}, end[4] = {};
  LinnetCode operator()(LinnetSession* session, LinnetCancel* cancel = nullptr) {
    int64_t width[] = {4};
    LinnetInput inputs[2] = {{}, FloatInput("start", start, width, 1)};
    inputs[0].name = "n";
    inputs[0].type = LINNET_INT64;
    inputs[0].data = &turns;
    inputs[0].bytes = sizeof turns;
    LinnetOutput output = Into("end", end, sizeof end);
    LinnetRunOptions options = {sizeof options, cancel};
    return LinnetRun(session, inputs, 2, &output, 1, &options);
  }
};

TEST(ApiThreads, EightThreadsRunOneSessionBitEqual) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetThreads(options, 2));
  LinnetSession* session = nullptr;
  ASSERT_OK(LinnetSessionOpen(DigitsPath().c_str(), options, &session));
  EXPECT_OK(LinnetOptionsClose(options));
  std::vector<float> pictures = LastFloats(DigitsInputPath(), 4 * 28 * 28);
  float expected[4][10];
  auto run = [&](int picture, float* out) {
    int64_t shape[] = {1, 1, 28, 28};
    LinnetInput input = FloatInput("image", pictures.data() + picture * 28 * 28, shape, 4);
    LinnetOutput output = Into("probabilities", out, 10 * sizeof(float));
    return LinnetRun(session, &input, 1, &output, 1, nullptr);
  };
  for (int picture = 0; picture < 4; ++picture) ASSERT_OK(run(picture, expected[picture]));
  std::atomic<int> failures{0}, differences{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      float out[10];
      for (int i = 0; i < linnet_test::Repetitions(1000); ++i) {
        int picture = (i + t) % 4;
        if (run(picture, out) != LINNET_OK) ++failures;
        if (memcmp(out, expected[picture], sizeof out) != 0) ++differences;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures.load(), 0);
  EXPECT_EQ(differences.load(), 0);
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiThreads, CancelEndsAnEndlessLoop) {
  LinnetSession* session = OpenText(kLoop);
  LinnetCancel* cancel = nullptr;
  ASSERT_OK(LinnetCancelCreate(&cancel));
  LoopRun endless;
  Clock::time_point asked;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    asked = Clock::now();
    EXPECT_OK(LinnetCancelNow(cancel));
  });
  LinnetCode code = endless(session, cancel);
  std::string sentence = LinnetLastError();
  Clock::time_point ended = Clock::now();
  other.join();
  EXPECT_EQ(code, LINNET_CANCELLED) << sentence;
  EXPECT_LT(std::chrono::duration_cast<std::chrono::milliseconds>(ended - asked).count(), 50);
  // Cancelled before it starts; then the session works again, with and without the handle.
  LoopRun short_run;
  short_run.turns = 3;
  EXPECT_EQ(short_run(session, cancel), LINNET_CANCELLED);
  EXPECT_OK(short_run(session));
  EXPECT_OK(LinnetCancelReset(cancel));
  EXPECT_OK(short_run(session, cancel));
  EXPECT_EQ(short_run.end[3], 3);
  EXPECT_OK(LinnetCancelClose(cancel));
  EXPECT_FAILS(LinnetCancelNow(cancel), LINNET_INVALID_ARGUMENT, "no open cancel");
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiThreads, OneHandleCancelsManyRuns) {
  LinnetSession* session = OpenText(kLoop);
  LinnetCancel* cancel = nullptr;
  ASSERT_OK(LinnetCancelCreate(&cancel));
  std::vector<std::thread> threads;
  std::atomic<int> cancelled{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      LoopRun endless;
      if (endless(session, cancel) == LINNET_CANCELLED) ++cancelled;
    });
  }
  for (int i = 0; i < 100; ++i) EXPECT_OK(LinnetCancelNow(cancel));  // a storm
  EXPECT_OK(LinnetCancelClose(cancel));                              // while runs use it
  for (std::thread& thread : threads) thread.join();
  // A thread that came after the handle was closed was refused instead.
  EXPECT_LE(cancelled.load(), 4);
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiThreads, CloseDuringRunsIsSafe) {
  for (int round = 0; round < 20; ++round) {
    LinnetSession* session = OpenText(kLoop);
    std::atomic<int> wrong{0}, refused{0};
    std::atomic<bool> started{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          LoopRun run;
          run.turns = 20;
          LinnetCode code = run(session);
          started = true;
          if (code == LINNET_OK && run.end[0] != 20) ++wrong;
          if (code == LINNET_INVALID_ARGUMENT) ++refused;
          if (code != LINNET_OK && code != LINNET_INVALID_ARGUMENT) ++wrong;
        }
      });
    }
    while (!started) std::this_thread::yield();
    std::atomic<int> closed{0};
    std::thread closers[2];
    for (std::thread& closer : closers) closer = std::thread([&] { closed += LinnetSessionClose(session) == LINNET_OK; });
    for (std::thread& closer : closers) closer.join();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(wrong.load(), 0);
    EXPECT_EQ(closed.load(), 1);
    LoopRun late;
    EXPECT_EQ(late(session), LINNET_INVALID_ARGUMENT);
  }
}

TEST(ApiThreads, ABindingServesOneThreadAtATime) {
  LinnetSession* session = OpenText(kLoop);
  LinnetBinding* binding = nullptr;
  ASSERT_OK(LinnetBindingCreate(session, &binding));
  LinnetCancel* cancel = nullptr;
  ASSERT_OK(LinnetCancelCreate(&cancel));
  int64_t turns = INT64_MAX, width[] = {1};
  float start = 0, end = 0;
  LinnetInput n = {}, v = FloatInput("start", &start, width, 1);
  n.name = "n", n.type = LINNET_INT64, n.data = &turns, n.bytes = sizeof turns;
  LinnetOutput output = Into("end", &end, sizeof end);
  ASSERT_OK(LinnetBindingInput(binding, &n));
  ASSERT_OK(LinnetBindingInput(binding, &v));
  ASSERT_OK(LinnetBindingOutput(binding, &output));
  LinnetRunOptions options = {sizeof options, cancel};
  std::atomic<bool> going{false};
  std::thread other([&] {
    going = true;
    EXPECT_EQ(LinnetBindingRun(binding, &options), LINNET_CANCELLED);
  });
  while (!going) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FAILS(LinnetBindingRun(binding, &options), LINNET_INVALID_ARGUMENT, "another thread");
  EXPECT_FAILS(LinnetBindingInput(binding, &v), LINNET_INVALID_ARGUMENT, "another thread");
  EXPECT_OK(LinnetCancelNow(cancel));
  other.join();
  EXPECT_OK(LinnetCancelClose(cancel));
  EXPECT_OK(LinnetBindingClose(binding));
  EXPECT_OK(LinnetSessionClose(session));
}

TEST(ApiThreads, LimitsAreObeyedAndTheSessionStaysUsable) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetTimeLimit(options, 30'000'000));
  LinnetSession* timed = OpenText(kLoop, options);
  LoopRun endless, brief;
  brief.turns = 5;
  Clock::time_point begin = Clock::now();
  EXPECT_FAILS(endless(timed), LINNET_LIMIT_REACHED, "time limit");
  EXPECT_LT(MillisecondsSince(begin), 30 + 50);
  EXPECT_OK(brief(timed));
  EXPECT_EQ(brief.end[0], 5);
  EXPECT_OK(LinnetSessionClose(timed));

  ASSERT_OK(LinnetOptionsSetTimeLimit(options, 0));
  ASSERT_OK(LinnetOptionsSetStepLimit(options, 1000));
  LinnetSession* counted = OpenText(kLoop, options);
  EXPECT_FAILS(endless(counted), LINNET_LIMIT_REACHED, "step limit");
  EXPECT_OK(brief(counted));
  EXPECT_OK(LinnetSessionClose(counted));

  // 64 MB of output from a handful of bytes, under a limit of 1 MB.
  ASSERT_OK(LinnetOptionsSetStepLimit(options, 0));
  ASSERT_OK(LinnetOptionsSetMemoryLimit(options, 1 << 20));
  LinnetSession* small = OpenText("graph (s: int64[1]) -> (y: float[N]) { y: float[N] = ConstantOfShape-9(s) }", options);
  for (int64_t elements : {int64_t{16} << 20, int64_t{100}, int64_t{16} << 20, int64_t{100}}) {
    int64_t one[] = {1};
    LinnetInput input = {};
    input.name = "s", input.type = LINNET_INT64, input.rank = 1, input.shape = one, input.data = &elements, input.bytes = 8;
    LinnetOutput output = Made("y");
    LinnetCode code = LinnetRun(small, &input, 1, &output, 1, nullptr);
    if (elements == 100) {
      EXPECT_EQ(code, LINNET_OK) << LinnetLastError();
      EXPECT_OK(LinnetValueClose(output.value));
    } else {
      EXPECT_FAILS(code, LINNET_LIMIT_REACHED, "memory limit is 1048576 bytes");
      EXPECT_EQ(output.value, nullptr);
    }
  }
  EXPECT_OK(LinnetSessionClose(small));
  // Weights count too.
  ASSERT_OK(LinnetOptionsSetMemoryLimit(options, 1000));
  LinnetSession* session = nullptr;
  EXPECT_FAILS(LinnetSessionOpen(DigitsPath().c_str(), options, &session), LINNET_LIMIT_REACHED, "memory limit");
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST(ApiThreads, AForkedChildRunsAndCloses) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetThreads(options, 2));
  LinnetSession* session = nullptr;
  ASSERT_OK(LinnetSessionOpen(DigitsPath().c_str(), options, &session));
  std::vector<float> image = LastFloats(DigitsInputPath(), 28 * 28);
  float before[10], after[10];
  auto run = [&](float* out) {
    int64_t shape[] = {1, 1, 28, 28};
    LinnetInput input = FloatInput("image", image.data(), shape, 4);
    LinnetOutput output = Into("probabilities", out, 10 * sizeof(float));
    return LinnetRun(session, &input, 1, &output, 1, nullptr);
  };
  ASSERT_OK(run(before));
  pid_t child = fork();
  if (child == 0) {
    bool ok = run(after) == LINNET_OK && memcmp(before, after, sizeof before) == 0 && LinnetSessionClose(session) == LINNET_OK &&
              LinnetSessionOpen(DigitsPath().c_str(), options, &session) == LINNET_OK && run(after) == LINNET_OK &&
              LinnetSessionClose(session) == LINNET_OK && LinnetOptionsClose(options) == LINNET_OK;
    _exit(ok ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_OK(run(after));
  EXPECT_OK(LinnetSessionClose(session));
  EXPECT_OK(LinnetOptionsClose(options));
}

TEST(ApiThreads, OutputsGiveTheirBytesBackAfterTheSession) {
  LinnetOptions* options = nullptr;
  ASSERT_OK(LinnetOptionsCreate(&options));
  ASSERT_OK(LinnetOptionsSetMemoryLimit(options, 64 << 20));
  std::vector<LinnetValue*> values;
  for (int i = 0; i < 50; ++i) {
    LinnetSession* session = OpenText(kLoop, options);
    LoopRun run;
    int64_t turns = 2, width[] = {4};
    LinnetInput inputs[2] = {{}, FloatInput("start", run.start, width, 1)};
    inputs[0].name = "n", inputs[0].type = LINNET_INT64, inputs[0].data = &turns, inputs[0].bytes = sizeof turns;
    LinnetOutput output = Made("end");
    ASSERT_OK(LinnetRun(session, inputs, 2, &output, 1, nullptr));
    values.push_back(output.value);
    EXPECT_OK(LinnetSessionClose(session));
  }
  for (LinnetValue* value : values) EXPECT_OK(LinnetValueClose(value));
  EXPECT_OK(LinnetOptionsClose(options));
}

}  // namespace
}  // namespace linnet_test
