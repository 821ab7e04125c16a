// The subcommands of `linnet`; each file adds one.
#pragma once

#include <string>

#include "api/session.h"
#include "cli/arguments.h"
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
  std::string cpu, provider, precision;
  std::string memory_limit, time_limit;
  int64_t step_limit = 0;
  int level = kOptimizeAll;
  std::vector<std::string> disabled_passes;
  std::string cache;
  bool read = false, verify = false, untrusted = false;

  /// Adds --threads --cpu --provider --precision --memory-limit --time-limit --step-limit --optimize --disable-pass --cache --read --verify
  /// --untrusted.
  void AddTo(Arguments& app);
  Result<SessionOptions> ToSession() const;
};

/// Each adds a subcommand.
void AddRunCommand(Arguments& root);
void AddInfoCommand(Arguments& root);
void AddClassifyCommand(Arguments& root);
void AddTestCommand(Arguments& root);
void AddBenchCommand(Arguments& root);
void AddConvertCommand(Arguments& root);
void AddQuantizeCommand(Arguments& root);
void AddCompareCommand(Arguments& root);
void AddRequirementsCommand(Arguments& root);
void AddShrinkCommand(Arguments& root);
void AddInspectCommand(Arguments& root);
void AddKernelsCommand(Arguments& root);
void AddKnobsCommand(Arguments& root);
void AddVersionCommand(Arguments& root);

/// Adds what the configuration of a reduced build at `path` says. Fails naming the file and the line.
Status AddConfiguration(const std::string& path, Requirements* requirements);

/// Prints "linnet: error: <sentence>" to stderr and returns the exit code for it.
int Report(const Status& status);

}  // namespace linnet::cli
