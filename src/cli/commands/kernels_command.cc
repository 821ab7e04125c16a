// linnet kernels: the candidates for one problem, timed beside what the machine can do at best.
#include <fmt/format.h>
#include <stdio.h>

#include <functional>

#include "base/knobs.h"
#include "base/memory.h"
#include "cli/commands/commands.h"
#include "cli/json.h"
#include "cli/machine.h"
#include "cli/terminal.h"
#include "cli/units.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/depthwise.h"
#include "kernels/gemm.h"
#include "run/state.h"

namespace linnet::cli {
namespace {

struct Candidate {
  CpuLevel level;
  std::string name;
  bool pick;
  std::function<void()> run;
  double ns = 0;
};

struct Problem {
  std::string title;
  double macs = 0, bytes = 0, weight_bytes = 0;
  std::vector<Candidate> candidates;
};

struct GemmProblem {
  int64_t m = 0, n = 0, k = 0;
};
struct ConvProblem {
  int64_t height = 0, width = 0, channels = 0, filters = 0;
  int64_t kernel = 3, stride = 1, dilation = 1, groups = 1;
};

/// Memory of one problem, filled with small numbers that are no denormals.
class Numbers {
 public:
  Result<float*> Make(int64_t count) {
    if (count < 0 || count > kFloatsMax) return LimitReached("a matrix of ", count, " numbers is too large to try");
    LINNET_ASSIGN(Block block, Block::Allocate(count * 4));
    float* data = reinterpret_cast<float*>(block.data());
    for (int64_t i = 0; i < count; ++i) data[i] = static_cast<float>(i % 17 - 8) / 16;
    blocks_.push_back(std::move(block));
    return data;
  }
  Result<std::byte*> Bytes(int64_t count) {
    LINNET_ASSIGN(Block block, Block::Allocate(count));
    blocks_.push_back(std::move(block));
    return blocks_.back().data();
  }

 private:
  static constexpr int64_t kFloatsMax = int64_t{1} << 30;
  std::vector<Block> blocks_;
};

/// Every level of this machine that has float kernels of its own, the best first.
std::vector<CpuLevel> Levels(CpuLevel best) {
  std::vector<CpuLevel> levels;
  for (CpuLevel level : {CpuLevel::kAvx512, CpuLevel::kAvx2, CpuLevel::kSse4}) {
    if (Supports(best, level)) levels.push_back(level);
  }
  if (levels.empty()) levels.push_back(best);
  return levels;
}

Status AddGemm(const GemmProblem& p, CpuLevel best, Numbers& numbers, Problem* problem) {
  if (p.m < 1 || p.n < 1 || p.k < 1) return InvalidArgument("M, N and K must be positive");
  problem->title = fmt::format("product of {} x {} and {} x {}", p.m, p.k, p.k, p.n);
  problem->macs = static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  problem->weight_bytes = 4.0 * static_cast<double>(p.k) * static_cast<double>(p.n);
  problem->bytes = problem->weight_bytes + 4.0 * static_cast<double>(p.m) * static_cast<double>(p.k + p.n);
  GemmF32 g;
  g.m = p.m, g.n = p.n, g.k = p.k;
  LINNET_ASSIGN(g.a, numbers.Make(p.m * p.k));
  LINNET_ASSIGN(float* b, numbers.Make(p.k * p.n));
  LINNET_ASSIGN(g.c, numbers.Make(p.m * p.n));
  LINNET_ASSIGN(float* packed, numbers.Make(PackedSizeF32(p.k, p.n)));
  LINNET_ASSIGN(float* scratch, numbers.Make(p.k * kPanelColumns));
  PackF32(b, p.k, p.n, p.n, 1, packed);
  g.a_row_stride = p.k, g.c_row_stride = p.n;
  const int64_t panels = PanelCount(p.n);
  for (CpuLevel level : Levels(best)) {
    const GemmF32Kernels* kernels = &PickGemmF32(level);
    const bool ours = level == Levels(best)[0];
    GemmF32 ready = g;
    UsePackedB(&ready, packed);
    auto packed_run = [=] { kernels->run(ready, 0, p.m, 0, panels); };
    problem->candidates.push_back({level, "constant B, packed ahead", ours, packed_run});
    problem->candidates.push_back({level, "B packed in the run", false, [=] {
                                     PackF32(b, p.k, p.n, p.n, 1, packed);
                                     packed_run();
                                   }});
    GemmF32 plain = g;
    plain.b = b, plain.b_row_stride = p.n;
    problem->candidates.push_back({level, "B read as it is", false, [=] { kernels->run_row_major(plain, 0, p.m, scratch); }});
    plain.b_row_stride = p.k;
    if (p.m <= 16) {
      problem->candidates.push_back({level, "transposed B, dot products", false, [=] { kernels->run_transposed(plain, 0, p.n); }});
    }
  }
  return Status();
}

Status AddConv(const ConvProblem& p, CpuLevel best, Numbers& numbers, Problem* problem) {
  for (int64_t size : {p.height, p.width, p.channels, p.filters, p.kernel, p.stride, p.dilation, p.groups}) {
    if (size < 1 || size > 1 << 20) return InvalidArgument("sizes must be in [1, ", 1 << 20, "], one is ", size);
  }
  if (p.channels % p.groups != 0 || p.filters % p.groups != 0) {
    return InvalidArgument(p.groups, " groups do not divide ", p.channels, " channels and ", p.filters, " filters");
  }
  const bool depthwise = p.groups == p.channels && p.filters == p.channels && p.groups > 1;
  const int64_t pad = (p.kernel - 1) * p.dilation / 2;
  auto out_of = [&](int64_t in) { return (in + 2 * pad - (p.kernel - 1) * p.dilation - 1) / p.stride + 1; };
  const int64_t out_h = out_of(p.height), out_w = out_of(p.width), taps = p.kernel * p.kernel;
  if (out_h < 1 || out_w < 1) return InvalidArgument("the kernel reaches beyond the padded image");
  problem->title = fmt::format("convolution of {} x {} x {} with {} filters of {} x {}, stride {}, {} group{}", p.height, p.width,
                               p.channels, p.filters, p.kernel, p.kernel, p.stride, p.groups, p.groups == 1 ? "" : "s");
  const double outputs = static_cast<double>(out_h) * static_cast<double>(out_w) * static_cast<double>(p.filters);
  problem->macs = outputs * static_cast<double>(taps * (p.channels / p.groups));
  problem->weight_bytes = 4.0 * static_cast<double>(p.filters) * static_cast<double>(taps * (p.channels / p.groups));
  problem->bytes = problem->weight_bytes + 4 * (outputs + static_cast<double>(p.height * p.width) * static_cast<double>(p.channels));
  LINNET_ASSIGN(float* input, numbers.Make(p.height * p.width * p.channels));
  LINNET_ASSIGN(float* weights, numbers.Make(p.filters * (p.channels / p.groups) * taps));
  LINNET_ASSIGN(float* output, numbers.Make(out_h * out_w * p.filters));
  const int64_t packed_floats = depthwise ? PackedDepthwiseSizeF32(p.channels, p.kernel, p.kernel)
                                          : PackedConvSizeF32(p.filters, p.channels, p.groups, p.kernel, p.kernel);
  LINNET_ASSIGN(float* packed, numbers.Make(packed_floats));
  if (depthwise) {
    DepthwiseF32 c;
    PackDepthwiseF32(weights, p.channels, p.kernel, p.kernel, packed);
    c.input = input, c.packed = packed, c.output = output;
    c.in_h = p.height, c.in_w = p.width, c.out_h = out_h, c.out_w = out_w, c.channels = p.channels;
    c.kernel_h = c.kernel_w = p.kernel, c.stride_h = c.stride_w = p.stride, c.dilation_h = c.dilation_w = p.dilation;
    c.pad_top = c.pad_left = pad;
    c.input_pixel_stride = c.output_pixel_stride = p.channels;
    c.input_row_stride = p.width * p.channels, c.input_batch_stride = p.height * c.input_row_stride;
    for (CpuLevel level : Levels(best)) {
      DepthwiseF32Fn* run = PickDepthwiseF32(level);
      problem->candidates.push_back({level, "depthwise", level == Levels(best)[0], [=] { run(c, 0, out_h, 0, p.channels); }});
    }
    return Status();
  }
  ConvF32 c;
  PackConvF32(weights, p.filters, p.channels, p.groups, p.kernel, p.kernel, packed);
  c.input = input, c.packed = packed, c.output = output;
  c.in_h = p.height, c.in_w = p.width, c.in_c = p.channels, c.out_h = out_h, c.out_w = out_w, c.out_c = p.filters;
  c.groups = p.groups;
  c.kernel_h = c.kernel_w = p.kernel, c.stride_h = c.stride_w = p.stride, c.dilation_h = c.dilation_w = p.dilation;
  c.pad_top = c.pad_left = pad;
  c.input_pixel_stride = p.channels, c.output_pixel_stride = p.filters;
  c.input_row_stride = p.width * p.channels, c.input_batch_stride = p.height * c.input_row_stride;
  for (CpuLevel level : Levels(best)) {
    const GemmF32Kernels* kernels = &PickGemmF32(level);
    LINNET_ASSIGN(std::byte* scratch, numbers.Bytes(ConvScratchBytes(*kernels, c)));
    problem->candidates.push_back({level, "panels", level == Levels(best)[0],
                                   [=] { RunConvF32(*kernels, c, 0, out_h * out_w, 0, ConvPanels(c), scratch); }});
  }
  return Status();
}

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

int Show(Problem& problem, CpuLevel best, double seconds, bool json_wanted) {
  const MachinePeaks peaks = MeasurePeaks(best);
  const double floor = peaks.FloorNs({problem.macs, problem.bytes, problem.weight_bytes}, problem.weight_bytes, 1);
  TimeAll(problem.candidates, seconds);
  if (json_wanted) {
    Json json;
    json["macs"] = problem.macs;
    json["floor_ns"] = floor;
    json["peak_gflops"] = peaks.flops_per_ns;
    for (const Candidate& candidate : problem.candidates) {
      json["candidates"].push_back({{"cpu", CpuLevelName(candidate.level)}, {"kernel", candidate.name}, {"ns", candidate.ns},
                                    {"gflops", 2 * problem.macs / candidate.ns}, {"pick", candidate.pick}});
    }
    fmt::print("{}", FormatJson(json));
    return kSuccess;
  }
  Terminal terminal(stdout);
  fmt::print("{}: {:.4g} million multiply-adds\n", problem.title, problem.macs / 1e6);
  fmt::print("floor {} on one thread: {:.0f} GFLOP/s at {}; reading {:.0f}, {:.0f}, {:.0f} GB/s from near, middle, far\n\n",
             FormatDurationNs(floor), peaks.flops_per_ns, CpuLevelName(best), peaks.near_bytes_per_ns,
             peaks.middle_bytes_per_ns, peaks.far_bytes_per_ns);
  Table table({{"cpu", Table::Align::kLeft}, {"kernel", Table::Align::kLeft}, {"time", Table::Align::kRight},
               {"GFLOP/s", Table::Align::kRight}, {"of peak", Table::Align::kRight}, {"", Table::Align::kLeft}});
  for (const Candidate& candidate : problem.candidates) {
    const double rate = 2 * problem.macs / candidate.ns;
    table.Row({CpuLevelName(candidate.level), candidate.name, FormatDurationNs(candidate.ns), fmt::format("{:.1f}", rate),
               fmt::format("{:.0f} %", 100 * rate / peaks.flops_per_ns),
               candidate.pick ? Table::Cell("pick", Color::kGreen) : Table::Cell("")});
  }
  fmt::print("{}", table.ToString(terminal));
  return kSuccess;
}

struct KernelOptions {
  GemmProblem gemm;
  ConvProblem conv;
  std::string input, cpu;
  double seconds = 1;
  bool json = false;
};

int RunKernels(const KernelOptions& options, bool conv) {
  Result<CpuLevel> level = options.cpu.empty() ? ChosenCpuLevel() : ParseCpuLevel(options.cpu);
  if (!level.ok()) return Report(level.status());
  Numbers numbers;
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
    status = AddConv(p, *level, numbers, &problem);
  } else {
    status = AddGemm(options.gemm, *level, numbers, &problem);
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
    command.Add("--cpu", options->cpu, "The best CPU level to try");
    command.Add("--seconds", options->seconds, "How long to measure (1)").Positive();
    command.Flag("--json", options->json, "Print one JSON object");
    command.OnRun([options, of_conv] { return RunKernels(*options, of_conv); });
  }
}

}  // namespace linnet::cli
