// What `linnet shrink` can build for, and what it needs to do so.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace linnet::cli {

struct ShrinkTarget {
  const char* name;
  const char* preset;               ///< of CMakePresets.json
  const char* compiler;             ///< C++
  const char* package;              ///< of Debian, which has the compiler
  const char* emulator;             ///< the program that runs the target's programs here; "": they run as they are
  const char* system_root;          ///< where the emulator finds the target's libraries
  std::vector<const char*> cpus;    ///< the processors it is to imitate
};

std::span<const ShrinkTarget> ShrinkTargets();

/// Fails naming the targets there are.
Result<const ShrinkTarget*> FindShrinkTarget(const std::string& name);

/// The folder of Linnet's sources: `given`, or, when that is "", the folder above this program that holds them, or an installation's
/// share/linnet/source.
Result<std::string> FindSources(const std::string& given);

/// Fails with one sentence when a program that the build needs is not there.
Status CheckBuildTools(const ShrinkTarget& target);

/// How a program of the target is started here, once for each processor; each with what is said about it. Empty when the
/// emulator is not there.
struct Runner {
  std::string cpu;                        ///< "" where nothing is imitated
  std::vector<std::string> command;       ///< what comes before the program
};
std::vector<Runner> RunnersOf(const ShrinkTarget& target, const std::vector<std::string>& cpus);

}  // namespace linnet::cli
