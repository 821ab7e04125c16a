// The subcommands of `linnet`; each file adds one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "api/session.h"
#include "format/requirements.h"

namespace linnet::cli {

/// Exit codes of every subcommand.
enum ExitCode : int {
  kSuccess = 0,
  kFailure = 1,       ///< the work was done and its answer is "no": a failing test case
  kUsage = 2,         ///< bad arguments
  kError = 3,         ///< a model or file could not be used
};

/// Options that several subcommands share.
struct CommonOptions {
  int threads = 0;
  std::string cpu, provider;
  std::string memory_limit, time_limit;
  int64_t step_limit = 0;
  int level = kOptimizeAll;
  std::vector<std::string> disabled_passes;
  std::string cache;
  bool untrusted = false;

  /// Adds --threads --cpu --provider --memory-limit --time-limit --step-limit --optimize --disable-pass --cache --untrusted.
  void AddTo(CLI::App& app);
  Result<SessionOptions> ToSession() const;
};

/// A subcommand reports its exit code through `exit_code` when CLI11 calls it.
void AddRunCommand(CLI::App& app, int* exit_code);
void AddInfoCommand(CLI::App& app, int* exit_code);
void AddClassifyCommand(CLI::App& app, int* exit_code);
void AddTestCommand(CLI::App& app, int* exit_code);
void AddBenchCommand(CLI::App& app, int* exit_code);
void AddConvertCommand(CLI::App& app, int* exit_code);
void AddQuantizeCommand(CLI::App& app, int* exit_code);
void AddCompareCommand(CLI::App& app, int* exit_code);
void AddRequirementsCommand(CLI::App& app, int* exit_code);
void AddInspectCommand(CLI::App& app, int* exit_code);
void AddKernelsCommand(CLI::App& app, int* exit_code);
void AddKnobsCommand(CLI::App& app, int* exit_code);
void AddVersionCommand(CLI::App& app, int* exit_code);

/// Adds what the configuration of a reduced build at `path` says. Fails naming the file and the line.
Status AddConfiguration(const std::string& path, Requirements* requirements);

/// Prints "linnet: error: <sentence>" to stderr and returns the exit code for it.
int Report(const Status& status);

}  // namespace linnet::cli
