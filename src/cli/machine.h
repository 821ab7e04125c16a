// What this machine can do at best, measured: the floor under every time.
#pragma once

#include <functional>

#include "base/cpu.h"
#include "cli/statistics.h"

namespace linnet::cli {

/// One thread's peaks at a CPU level.
struct MachinePeaks {
  double flops_per_ns = 0;                       ///< float32 multiplications and additions, GFLOP/s
  double byte_ops_per_ns = 0;                    ///< those of exact 8-bit products, Gop/s
  /// Reading, bytes a nanosecond (GB/s), for data of up to 256 KiB, up to 2 MiB, and beyond.
  double near_bytes_per_ns = 0, middle_bytes_per_ns = 0, far_bytes_per_ns = 0;

  double BytesPerNs(double bytes) const {
    return bytes <= (256 << 10) ? near_bytes_per_ns : bytes <= (2 << 20) ? middle_bytes_per_ns : far_bytes_per_ns;
  }
  /// The least time of a step on so many threads, ns: its arithmetic, or its bytes, whichever takes longer. Values lie in
  /// the cache that holds them, constants in the one that holds all `model_bytes` of them.
  double FloorNs(const StepCost& cost, double model_bytes, int threads) const {
    const double values = cost.bytes - cost.weight_bytes;
    const double arithmetic = 2 * cost.macs / ((cost.of_bytes ? byte_ops_per_ns : flops_per_ns) * threads);
    const double memory = values / BytesPerNs(values) + cost.weight_bytes / BytesPerNs(model_bytes);
    return arithmetic > memory ? arithmetic : memory;
  }
};

/// Takes about a tenth of a second; the best of several short runs counts.
MachinePeaks MeasurePeaks(CpuLevel level);

/// Measures arithmetic again, right after each of some runs of a model: at the clock that the processor has while it computes with
/// all of its width on numbers that change, which is lower than what the loop alone keeps.
void MeasureArithmeticBeside(CpuLevel level, const std::function<void()>& run, MachinePeaks* peaks);

}  // namespace linnet::cli
