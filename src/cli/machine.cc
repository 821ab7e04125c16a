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

/// The fastest tenth of many short pieces of work that all threads do at once. A thread that the system keeps waiting spoils its own
/// piece alone: `own` counts what each took by itself, else the time until all were done.
double PieceNs(int threads, int pieces, bool own, FunctionRef<void(int piece, int thread)> work) {
  std::vector<double> times;
  std::vector<double> of_threads(static_cast<size_t>(threads));
  for (int piece = 0; piece < pieces; ++piece) {
    const double all = TimeNs([&] {
      ThreadPool::Shared().ParallelFor(threads, 1, threads, [&](int64_t begin, int64_t end, int) {
        for (int64_t thread = begin; thread < end; ++thread) {
          of_threads[static_cast<size_t>(thread)] = TimeNs([&] { work(piece, static_cast<int>(thread)); });
        }
      });
    });
    if (own) times.insert(times.end(), of_threads.begin(), of_threads.end()); else times.push_back(all);
  }
  return Quantile(std::move(times), 0.1);
}

/// GB/s of so many threads that read `size` bytes over and over, in pieces of some microseconds: small ones several times a
/// piece, large ones a part of it.
double ReadingRate(const PeakKernels& kernels, const float* data, int64_t size, int threads, int least_pieces) {
  constexpr int64_t kPiece = 1 << 20;
  const int64_t unit = std::min(size, kPiece), parts = size / unit, times = kPiece / unit;
  const int64_t share = RoundUp(unit / 4 / threads, 128);
  const double ns = PieceNs(threads, static_cast<int>(std::max<int64_t>(least_pieces, 3 * parts)), false, [&](int piece, int thread) {
    const float* at = data + piece % parts * (unit / 4) + std::min(share * thread, unit / 4 - share);
    float sink = 0;
    for (int64_t i = 0; i < times; ++i) kernels.read(at, share, &sink);
  });
  return static_cast<double>(share * 4 * threads * times) / ns;
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

void MeasurePeaks(CpuLevel level, MachinePeaks* peaks, double model_bytes) {
  const PeakKernels& kernels = PickPeak(level);
  const Int8Peak bytes = PickInt8Peak(level);
  constexpr int kPieces = 40;
  constexpr int64_t kTurns = 50'000, kByteTurns = 20'000;
  const double ns = PieceNs(peaks->threads, kPieces, true, [&](int, int) {
    float sink = 1;
    kernels.multiply_add(kTurns, &sink);
  });
  const double byte_ns = PieceNs(peaks->threads, kPieces, true, [&](int, int) { bytes.multiply_add(kByteTurns); });
  peaks->flops_per_ns = std::max(peaks->flops_per_ns, static_cast<double>(kTurns * kernels.flops_per_turn) / ns);
  peaks->byte_ops_per_ns = std::max(peaks->byte_ops_per_ns, static_cast<double>(kByteTurns * bytes.ops_per_turn) / byte_ns);
  constexpr int64_t kLeast = 256 << 10, kUsual = 64 << 20, kMost = int64_t{1} << 30;
  std::vector<int64_t> sizes;
  for (int64_t size = kLeast; size <= kUsual; size *= 2) sizes.push_back(size);
  // What lies in a cache that all processors share, and other programs use, is not to be told from the size.
  const int64_t model = std::min(kMost, static_cast<int64_t>(model_bytes)) / kLeast * kLeast;
  if (model > kUsual) sizes.push_back(model);
  Result<Block> block = Block::Allocate(sizes.back());
  if (!block.ok()) return;
  memset(block->data(), 1, static_cast<size_t>(sizes.back()));
  const float* data = reinterpret_cast<const float*>(block->data());
  for (size_t at = 0; at < sizes.size(); ++at) {
    const int64_t size = sizes[at];
    if (at == peaks->reading.size()) peaks->reading.push_back({static_cast<double>(size), 0});
    double& rate = peaks->reading[at].bytes_per_ns;
    rate = std::max(rate, ReadingRate(kernels, data, size, peaks->threads, kPieces));
    if (peaks->threads > 1) rate = std::max(rate, ReadingRate(kernels, data, size, 1, kPieces));
  }
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
