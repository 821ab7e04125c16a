// Other programs: starting them and waiting for them.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace linnet::cli {

/// Runs `command` (a program, looked for as a shell does, and its arguments) and gives its exit code; 128 + the signal's number when
/// a signal ended it. What it prints is appended to the file `log`; "" drops it. Fails when the program cannot be started.
Result<int> RunProcess(const std::vector<std::string>& command, const std::string& log = "");

/// Whether `program --version` can be run.
bool HaveProgram(const std::string& program);

/// Where this program's file is; "" when the system does not tell.
std::string ExecutablePath();

}  // namespace linnet::cli
