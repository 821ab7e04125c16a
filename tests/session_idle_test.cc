// What threads cost a model that is run now and then, as a sensor or a camera does.
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "api/session.h"

namespace linnet {
namespace {

double ProcessSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Processor time of `runs` runs of the digits model, 20 a second.
double CpuSeconds(int threads, int runs) {
  SessionOptions options;
  options.threads = threads;
  Result<std::unique_ptr<Session>> session = Session::Open(std::string(LINNET_SOURCE_DIR) + "/models/digits/digits.onnx", options);
  EXPECT_TRUE(session.ok()) << session.status().message();
  std::vector<float> image(28 * 28, 0.5f), probabilities(10);
  Fact input{Type::Tensor(DType::kFloat, {1, 1, 28, 28}), image.data()};
  double begin = 0;
  for (int i = -1; i < runs; ++i) {
    if (i == 0) begin = ProcessSeconds();  // the first run makes the plan and starts the threads
    RunOutput output;
    output.data = probabilities.data();
    output.capacity = 40;
    Status status = (*session)->Run(&input, &output);
    EXPECT_TRUE(status.ok()) << status.message();
    timespec pause{0, 50'000'000};
    nanosleep(&pause, nullptr);
  }
  return ProcessSeconds() - begin;
}

TEST(SessionIdle, FourThreadsCostHardlyMoreThanOne) {
  // The best of short turns: other work on the machine moves single ones, threads that do not sleep move all.
  double ratio = 1e9;
  for (int turn = 0; turn < 4; ++turn) ratio = std::min(ratio, CpuSeconds(4, 12) / CpuSeconds(1, 12));
  EXPECT_LE(ratio, 1.3);
}

}  // namespace
}  // namespace linnet
