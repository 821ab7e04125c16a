// Measuring peaks.
#include "cli/machine.h"

#include <string.h>

#include <algorithm>
#include <vector>

#include "base/memory.h"
#include "kernels/peak.h"
#include "run/state.h"

namespace linnet::cli {
namespace {

template <class F>
double BestNs(int runs, F&& run) {
  double best = 1e18;
  for (int i = 0; i < runs; ++i) {
    const int64_t begin = MonotonicNs();
    run();
    best = std::min(best, static_cast<double>(MonotonicNs() - begin));
  }
  return std::max(best, 1.0);
}

}  // namespace

MachinePeaks MeasurePeaks(CpuLevel level) {
  const PeakKernels& kernels = PickPeak(level);
  MachinePeaks peaks;
  float sink = 1;
  constexpr int64_t kTurns = 100'000;
  peaks.flops_per_ns = static_cast<double>(kTurns * kernels.flops_per_turn) / BestNs(20, [&] { kernels.multiply_add(kTurns, &sink); });
  const Int8Peak bytes = PickInt8Peak(level);
  constexpr int64_t kByteTurns = 20'000;
  peaks.byte_ops_per_ns = static_cast<double>(kByteTurns * bytes.ops_per_turn) / BestNs(20, [&] { bytes.multiply_add(kByteTurns); });
  constexpr int64_t kFar = 64 << 20;
  Result<Block> block = Block::Allocate(kFar);
  if (!block.ok()) return peaks;
  memset(block->data(), 1, kFar);
  const float* data = reinterpret_cast<const float*>(block->data());
  auto reading = [&](int64_t bytes, int64_t times) {
    const double ns = BestNs(8, [&] {
      for (int64_t i = 0; i < times; ++i) kernels.read(data, bytes / 4, &sink);
    });
    return static_cast<double>(bytes * times) / ns;
  };
  peaks.near_bytes_per_ns = reading(256 << 10, 16);
  peaks.middle_bytes_per_ns = reading(2 << 20, 4);
  peaks.far_bytes_per_ns = reading(kFar, 1);
  return peaks;
}

void MeasureArithmeticBeside(CpuLevel level, const std::function<void()>& run, MachinePeaks* peaks) {
  constexpr int kRuns = 15;
  constexpr int64_t kMostNs = 300'000'000, kTurns = 1000;   // some microseconds, in which a clock does not change
  const PeakKernels& kernels = PickPeak(level);
  const Int8Peak bytes = PickInt8Peak(level);
  float sink = 1;
  std::vector<double> flops, byte_ops;
  const int64_t start = MonotonicNs();
  for (int i = 0; i < kRuns && (i < 3 || MonotonicNs() - start < kMostNs); ++i) {
    run();
    flops.push_back(static_cast<double>(kTurns * kernels.flops_per_turn) / BestNs(2, [&] { kernels.multiply_add(kTurns, &sink); }));
    byte_ops.push_back(static_cast<double>(kTurns * bytes.ops_per_turn) / BestNs(2, [&] { bytes.multiply_add(kTurns); }));
  }
  auto median = [](std::vector<double>& list) {
    std::nth_element(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(list.size() / 2), list.end());
    return list[list.size() / 2];
  };
  peaks->flops_per_ns = std::min(peaks->flops_per_ns, median(flops));
  peaks->byte_ops_per_ns = std::min(peaks->byte_ops_per_ns, median(byte_ops));
}

}  // namespace linnet::cli
