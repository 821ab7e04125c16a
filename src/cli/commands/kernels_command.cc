// linnet kernels: the candidates for one problem, timed beside what the machine can do at best.
#include <fmt/format.h>
#include <stdio.h>

#include <map>
#include <string>

#include "base/knobs.h"
#include "cli/commands/commands.h"
#include "cli/json.h"
#include "cli/kernel_problems.h"
#include "cli/machine.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "run/state.h"

namespace linnet::cli {
namespace {

/// The best of runs in turns, so that every candidate meets the same machine.
void TimeAll(std::vector<Candidate>& candidates, double seconds) {
  const int64_t deadline = MonotonicNs() + static_cast<int64_t>(seconds * 1e9);
  for (int round = 0; round < 3 || MonotonicNs() < deadline; ++round) {
    for (Candidate& candidate : candidates) {
      const int64_t begin = MonotonicNs();
      candidate.run();
      const double ns = static_cast<double>(std::max<int64_t>(1, MonotonicNs() - begin));
      if (round == 0 || ns < candidate.ns) candidate.ns = ns;
    }
  }
}

/// The peak of what multiplies such numbers at this level. A tile of bfloat16 takes as long as one of bytes and has half the
/// summands; elsewhere bfloat16 is multiplied as floats.
double PeakOf(const MachinePeaks& peaks, Numbers numbers, CpuLevel best) {
  if (numbers == Numbers::kInt8) return peaks.byte_ops_per_ns;
  if (numbers == Numbers::kBfloat16 && Supports(best, CpuLevel::kAmx)) return peaks.byte_ops_per_ns / 2;
  return peaks.flops_per_ns;
}

int Show(Problem& problem, CpuLevel best, double seconds, bool json_wanted) {
  MachinePeaks peaks;
  MeasurePeaks(best, &peaks);
  const double peak = PeakOf(peaks, problem.numbers, best);
  const char* unit = problem.numbers == Numbers::kInt8 ? "Gop/s" : "GFLOP/s";
  peaks.flops_per_ns = peak;
  const double floor = peaks.FloorNs({problem.macs, problem.bytes, problem.weight_bytes}, problem.weight_bytes);
  TimeAll(problem.candidates, seconds);
  if (json_wanted) {
    Json json;
    json["macs"] = problem.macs;
    json["floor_ns"] = floor;
    json["peak_gflops"] = peak;
    for (const Candidate& candidate : problem.candidates) {
      json["candidates"].push_back({{"cpu", CpuLevelName(candidate.level)}, {"kernel", candidate.name}, {"ns", candidate.ns},
                                    {"gflops", 2 * problem.macs / candidate.ns}, {"pick", candidate.pick}});
    }
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }
  Terminal terminal(stdout);
  fmt::print("{}: {:.4g} million multiply-adds\n", problem.title, problem.macs / 1e6);
  fmt::print("floor {} on one thread: {:.0f} {} at {}; {}\n\n", FormatDurationNs(floor), peak, unit,
             CpuLevelName(best), peaks.ReadingText());
  Table table({{"cpu", Table::Align::kLeft}, {"kernel", Table::Align::kLeft}, {"time", Table::Align::kRight},
               {unit, Table::Align::kRight}, {"of peak", Table::Align::kRight}, {"", Table::Align::kLeft}});
  for (const Candidate& candidate : problem.candidates) {
    const double rate = 2 * problem.macs / candidate.ns;
    table.Row({CpuLevelName(candidate.level), candidate.name, FormatDurationNs(candidate.ns), fmt::format("{:.1f}", rate),
               fmt::format("{:.0f} %", 100 * rate / peak),
               candidate.pick ? Table::Cell("pick", Color::kGreen) : Table::Cell("")});
  }
  fmt::print("{}", table.ToString(terminal));
  return kSuccess;
}

struct KernelOptions {
  GemmProblem gemm;
  ConvProblem conv;
  std::string input, cpu, type = "f32";
  double seconds = 1;
  bool json = false;
};

int RunKernels(const KernelOptions& options, bool conv) {
  Result<CpuLevel> level = options.cpu.empty() ? ChosenCpuLevel() : ParseCpuLevel(options.cpu);
  if (!level.ok()) return Report(level.status());
  static const std::map<std::string, Numbers> kTypes = {
      {"f32", Numbers::kFloat32}, {"int8", Numbers::kInt8}, {"bf16", Numbers::kBfloat16}, {"fp16", Numbers::kFloat16}};
  const auto type = kTypes.find(options.type);
  if (type == kTypes.end()) return Report(InvalidArgument("type ", Quote(options.type), " is none of f32, int8, bf16 and fp16"));
  const Numbers numbers = type->second;
  Workspace memory;
  Problem problem;
  Status status;
  if (conv) {
    ConvProblem p = options.conv;
    char rest;
    long long h, w, c;
    if (sscanf(options.input.c_str(), "%lldx%lldx%lld%c", &h, &w, &c, &rest) != 3) {
      return Report(InvalidArgument("input ", Quote(options.input), " is no HEIGHTxWIDTHxCHANNELS, such as 56x56x64"));
    }
    p.height = h, p.width = w, p.channels = c;
    status = AddConv(p, numbers, *level, memory, &problem);
  } else {
    status = AddGemm(options.gemm, numbers, *level, memory, &problem);
  }
  if (!status.ok()) return Report(status);
  return Show(problem, *level, options.seconds, options.json);
}

}  // namespace

void AddKernelsCommand(Arguments& root) {
  auto options = std::make_shared<KernelOptions>();
  Arguments kernels = root.Command("kernels", "List and time the kernels for one problem, on one thread");
  kernels.RequireCommand();
  Arguments gemm = kernels.Command("gemm", "A matrix product: M rows, N columns, K summands");
  gemm.Add("M", options->gemm.m).Required();
  gemm.Add("N", options->gemm.n).Required();
  gemm.Add("K", options->gemm.k).Required();
  Arguments conv = kernels.Command("conv", "A convolution of one image, padded to keep its size at stride 1");
  conv.Add("input", options->input, "HEIGHTxWIDTHxCHANNELS").Required();
  conv.Add("filters", options->conv.filters, "Output channels").Required();
  conv.Add("--kernel", options->conv.kernel, "Height and width of the kernel (3)");
  conv.Add("--stride", options->conv.stride, "(1)");
  conv.Add("--dilation", options->conv.dilation, "(1)");
  conv.Add("--groups", options->conv.groups, "(1); as many as channels: depthwise");
  for (bool of_conv : {false, true}) {
    Arguments& command = of_conv ? conv : gemm;
    command.Add("--type", options->type, "f32 (default), int8 (bytes, exact sums), bf16 or fp16 (float32 rounded to bfloat16 or float16)");
    command.Add("--cpu", options->cpu, "The best CPU level to try");
    command.Add("--seconds", options->seconds, "How long to measure (1)").Positive();
    command.Flag("--json", options->json, "Print one JSON object");
    command.OnRun([options, of_conv] { return RunKernels(*options, of_conv); });
  }
}

}  // namespace linnet::cli
