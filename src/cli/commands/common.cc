// Options that several subcommands share.
#include <fmt/format.h>
#include <stdio.h>

#include "cli/commands/commands.h"
#include "cli/units.h"

namespace linnet::cli {

void CommonOptions::AddTo(Arguments& app) {
  app.Add("--threads", threads, "Most threads a run uses (0: all processors)").NotNegative();
  app.Add("--cpu", cpu, "Force a CPU level: sse4 avx2 avxvnni avx512 avx512vnni amx, neon dotprod i8mm, wasm");
  app.Add("--provider", provider, "Who runs the nodes: cpu or reference");
  app.Add("--precision", precision, "What products with constant weights are computed on: f32; bf16 or fp16 (faster where the processor has their instructions, less exact); half: fp16 on Arm, bf16 elsewhere");
  app.Add("--memory-limit", memory_limit, "Most memory for weights and activations, e.g. 256M");
  app.Add("--time-limit", time_limit, "Longest a run may take, e.g. 2s or 500ms");
  app.Add("--step-limit", step_limit, "Most node executions of a run").Positive();
  app.Add("--optimize", level, "0: lowering only, 1: basic rewrites, 2: everything").Range(0, 2);
  app.Add("--disable-pass", disabled_passes, "Switch a pass off by name (repeatable)");
  app.Add("--cache", cache, "A folder that keeps prepared models, so that they open faster the next time");
  app.Flag("--read", read, "Read the model's files instead of mapping them, so that later changes of them do no harm");
  app.Flag("--verify", verify, "Check the checksum of all of a .linnet file, weights included, before it is used");
  app.Flag("--untrusted", untrusted, "Read instead of map the model and apply strict limits");
}

Result<SessionOptions> CommonOptions::ToSession() const {
  SessionOptions options;
  options.threads = threads;
  options.cpu = cpu;
  options.provider = provider;
  options.precision = precision;
  options.untrusted = untrusted;
  options.read = read;
  options.verify = verify;
  options.cache_folder = cache;
  options.pipeline.level = level;
  options.pipeline.disabled = disabled_passes;
  if (!memory_limit.empty()) {
    LINNET_ASSIGN(options.memory_limit_bytes, ParseBytes(memory_limit));
  }
  if (!time_limit.empty()) {
    LINNET_ASSIGN(options.time_limit_ns, ParseDurationNs(time_limit));
  }
  if (step_limit > 0) options.step_limit = step_limit;
  return options;
}

int Report(const Status& status) {
  fmt::print(stderr, "linnet: {}: {}\n", CodeName(status.code()), status.message());
  return status.code() == Code::kInvalidArgument ? kUsage : kError;
}

}  // namespace linnet::cli
