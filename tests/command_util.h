// The command in the tests' own process.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/commands/commands.h"

namespace linnet_test {

struct Ran {
  int code = -1;
  std::string out, err;
};

/// Runs `linnet ARGUMENT...` with the commands that `add` adds.
inline Ran RunCommand(std::vector<std::string> arguments, void (*add)(linnet::cli::Arguments& root)) {
  Ran ran;
  std::vector<char*> argv;
  arguments.insert(arguments.begin(), "linnet");
  for (std::string& argument : arguments) argv.push_back(argument.data());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  ran.code = linnet::cli::RunCommandLine(static_cast<int>(argv.size()), argv.data(), "linnet", "", "", "", add);
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

}  // namespace linnet_test
