// What this machine can do at best, measured: the floor under every time.
#pragma once

#include <functional>
#include <vector>

#include "base/cpu.h"
#include "cli/statistics.h"

namespace linnet::cli {

/// The peaks of some threads at a CPU level, measured while all of them work.
struct MachinePeaks {
  int threads = 1;
  double flops_per_ns = 0;                       ///< of one thread: float32 multiplications and additions, GFLOP/s
  double byte_ops_per_ns = 0;                    ///< of one thread: those of exact 8-bit products, Gop/s
  struct Reading {
    double bytes = 0, bytes_per_ns = 0;          ///< so much data, read over and over by all threads, each a part of its own: GB/s
  };
  std::vector<Reading> reading;                  ///< by size, growing; empty where there was no memory to measure with

  /// The most that data of so many bytes was seen to be read with: the rate of the largest size measured that is no larger, or of any
  /// above it that was faster, as what stays in a cache is read no slower than what does not.
  double BytesPerNs(double bytes) const;
  /// The least time of a step, ns: its arithmetic, or its bytes, whichever takes longer. Values lie in the cache that holds
  /// them, constants in the one that holds all `model_bytes` of them, recurrent weights after their first use in the one that holds them.
  double FloorNs(const StepCost& cost, double model_bytes) const;
  /// "reading 93, 31, 9 GB/s from near, middle, far": of the least that was measured, of 2 MiB, of the most.
  std::string ReadingText() const;
};

/// Measures, for peaks->threads threads; takes about a tenth of a second, longer for a model of more than 64 MB of constants, whose size
/// memory is read at too. Peaks that are there already stay where they are higher: who
/// measures at several moments is less at the mercy of what else the machine does. For the same reason each rate is that of the
/// fastest tenth of many short pieces, and all threads together are never slower than one alone.
void MeasurePeaks(CpuLevel level, MachinePeaks* peaks, double model_bytes = 0);

/// Measures arithmetic again, right after each of some runs of a model: at the clock that the processor has while it computes with
/// all of its width on numbers that change, which is lower than what the loop alone keeps.
void MeasureArithmeticBeside(CpuLevel level, const std::function<void()>& run, MachinePeaks* peaks);

}  // namespace linnet::cli
