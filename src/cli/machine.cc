// Measuring peaks.
#include "cli/machine.h"

#include <string.h>

#include <algorithm>

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

}  // namespace linnet::cli
