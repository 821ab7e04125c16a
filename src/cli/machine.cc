// Measuring peaks.
#include "cli/machine.h"

#include <fmt/format.h>
#include <string.h>

#include <algorithm>

#include "base/memory.h"
#include "base/thread_pool.h"
#include "kernels/peak.h"
#include "run/state.h"

namespace linnet::cli {
namespace {

double TimeNs(FunctionRef<void()> run) {
  const int64_t begin = MonotonicNs();
  run();
  return std::max(1.0, static_cast<double>(MonotonicNs() - begin));
}

double Quantile(std::vector<double> list, double q) {
  const auto at = list.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(list.size() - 1));
  std::nth_element(list.begin(), at, list.end());
  return *at;
}

/// Short pieces of work, done by all threads at once: the time of the fastest tenth of them.
double PieceNs(int threads, int pieces, FunctionRef<void(int piece, int thread)> work) {
  std::vector<double> times;
  for (int piece = 0; piece < pieces; ++piece) {
    times.push_back(TimeNs([&] {
      ThreadPool::Shared().ParallelFor(threads, 1, threads, [&](int64_t begin, int64_t end, int) {
        for (int64_t thread = begin; thread < end; ++thread) work(piece, static_cast<int>(thread));
      });
    }));
  }
  return Quantile(std::move(times), 0.1);
}

}  // namespace

double MachinePeaks::BytesPerNs(double bytes) const {
  double most = 0;
  for (size_t i = reading.size(); i > 0; --i) {
    most = std::max(most, reading[i - 1].bytes_per_ns);
    if (reading[i - 1].bytes <= bytes) break;
  }
  return most;
}

double MachinePeaks::FloorNs(const StepCost& cost, double model_bytes) const {
  const double values = cost.bytes - cost.weight_bytes;
  const double arithmetic = 2 * cost.macs / ((cost.of_bytes ? byte_ops_per_ns : flops_per_ns) * threads);
  if (reading.empty()) return arithmetic;
  return std::max(arithmetic, values / BytesPerNs(values) + cost.weight_bytes / BytesPerNs(model_bytes) +
                                  cost.walks * cost.walked_bytes / BytesPerNs(cost.walked_bytes));
}

std::string MachinePeaks::ReadingText() const {
  if (reading.empty()) return "reading not measured";
  return fmt::format("reading {:.0f}, {:.0f}, {:.0f} GB/s from near, middle, far", BytesPerNs(0), BytesPerNs(2 << 20),
                     BytesPerNs(reading.back().bytes));
}

MachinePeaks MeasurePeaks(CpuLevel level, int threads) {
  const PeakKernels& kernels = PickPeak(level);
  MachinePeaks peaks;
  peaks.threads = threads;
  constexpr int kPieces = 40;
  constexpr int64_t kTurns = 50'000;
  float sinks[ThreadPool::kThreadsMax * 16];   // a line of a cache each
  std::fill(std::begin(sinks), std::end(sinks), 1.0f);
  auto sink = [&](int thread) { return &sinks[thread * 16]; };
  peaks.flops_per_ns = static_cast<double>(kTurns * kernels.flops_per_turn) /
                       PieceNs(threads, kPieces, [&](int, int thread) { kernels.multiply_add(kTurns, sink(thread)); });
  const Int8Peak bytes = PickInt8Peak(level);
  constexpr int64_t kByteTurns = 20'000;
  peaks.byte_ops_per_ns = static_cast<double>(kByteTurns * bytes.ops_per_turn) /
                          PieceNs(threads, kPieces, [&](int, int) { bytes.multiply_add(kByteTurns); });
  // Every size is read round after round, in pieces of some microseconds: small ones several times a piece, large ones a part of it.
  constexpr int64_t kLeast = 256 << 10, kMost = 64 << 20, kPiece = 1 << 20;
  Result<Block> block = Block::Allocate(kMost);
  if (!block.ok()) return peaks;
  memset(block->data(), 1, kMost);
  const float* data = reinterpret_cast<const float*>(block->data());
  for (int64_t size = kLeast; size <= kMost; size *= 2) {
    const int64_t unit = std::min(size, kPiece), parts = size / unit, times = kPiece / unit;
    const int64_t share = RoundUp(unit / 4 / threads, 128);
    const double ns = PieceNs(threads, static_cast<int>(std::max<int64_t>(kPieces, 3 * parts)), [&](int piece, int thread) {
      const float* at = data + piece % parts * (unit / 4) + std::min(share * thread, unit / 4 - share);
      for (int64_t i = 0; i < times; ++i) kernels.read(at, share, sink(thread));
    });
    peaks.reading.push_back({static_cast<double>(size), static_cast<double>(share * 4 * threads * times) / ns});
  }
  return peaks;
}

void MeasureArithmeticBeside(CpuLevel level, const std::function<void()>& run, MachinePeaks* peaks) {
  constexpr int kRuns = 15;
  constexpr int64_t kMostNs = 300'000'000, kTurns = 1000;   // some microseconds, in which a clock does not change
  const PeakKernels& kernels = PickPeak(level);
  const Int8Peak bytes = PickInt8Peak(level);
  float sink = 1;
  std::vector<double> flops, byte_ops;
  auto best = [](FunctionRef<void()> work) { return std::min(TimeNs(work), TimeNs(work)); };
  const int64_t start = MonotonicNs();
  for (int i = 0; i < kRuns && (i < 3 || MonotonicNs() - start < kMostNs); ++i) {
    run();
    flops.push_back(static_cast<double>(kTurns * kernels.flops_per_turn) / best([&] { kernels.multiply_add(kTurns, &sink); }));
    byte_ops.push_back(static_cast<double>(kTurns * bytes.ops_per_turn) / best([&] { bytes.multiply_add(kTurns); }));
  }
  peaks->flops_per_ns = std::min(peaks->flops_per_ns, Quantile(std::move(flops), 0.5));
  peaks->byte_ops_per_ns = std::min(peaks->byte_ops_per_ns, Quantile(std::move(byte_ops), 0.5));
}

}  // namespace linnet::cli
