// The targets, the sources and the tools.
#include "cli/shrink/target.h"

#include <filesystem>

#include "cli/process.h"

namespace linnet::cli {
namespace {

namespace fs = std::filesystem;

bool HoldsSources(const fs::path& folder) {
  std::error_code error;
  for (const char* part : {"CMakeLists.txt", "CMakePresets.json", "cmake/small.cmake", "src/ops", "include/linnet/linnet.h"}) {
    if (!fs::exists(folder / part, error)) return false;
  }
  return true;
}

}  // namespace

std::span<const ShrinkTarget> ShrinkTargets() {
  static const std::vector<ShrinkTarget> targets = {
      {"host", "mobile-host", "c++", "g++", "", "", {}},
      {"aarch64-linux", "mobile", "aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu", "qemu-aarch64", "/usr/aarch64-linux-gnu",
       {"cortex-a53", "cortex-a76", "max"}},
      {"arm-linux", "mobile-arm32", "arm-linux-gnueabihf-g++", "g++-arm-linux-gnueabihf", "qemu-arm", "/usr/arm-linux-gnueabihf",
       {"cortex-a15"}},
  };
  return targets;
}

Result<const ShrinkTarget*> FindShrinkTarget(const std::string& name) {
  std::string known;
  for (const ShrinkTarget& target : ShrinkTargets()) {
    if (name == target.name) return &target;
    known += Cat(known.empty() ? "" : " ", target.name);
  }
  return InvalidArgument("unknown target ", Quote(name), "; known: ", known);
}

Result<std::string> FindSources(const std::string& given) {
  std::error_code error;
  if (!given.empty()) {
    if (!HoldsSources(given)) return InvalidArgument("--source ", Quote(given), " does not hold Linnet's sources");
    return fs::absolute(given, error).lexically_normal().string();
  }
  fs::path folder = fs::path(ExecutablePath()).parent_path();
  for (; !folder.empty(); folder = folder.parent_path()) {
    if (HoldsSources(folder)) return folder.string();
    if (HoldsSources(folder / "share/linnet/source")) return (folder / "share/linnet/source").string();
    if (folder == folder.parent_path()) break;
  }
  return InvalidArgument("Linnet's sources, which the library is built from, are neither above this program nor in share/linnet/source of its "
                         "installation; say with --source where they are");
}

Status CheckBuildTools(const ShrinkTarget& target) {
  struct Tool {
    const char *program, *package;
  };
  for (const Tool& tool : {Tool{"cmake", "cmake"}, Tool{"ninja", "ninja-build"}, Tool{"flatc", "flatbuffers-compiler"},
                           Tool{target.compiler, target.package}}) {
    if (HaveProgram(tool.program)) continue;
    return InvalidArgument("building for ", target.name, " needs ", tool.program, ", which is not installed (Debian: apt-get install ",
                           tool.package, ")");
  }
  return Status();
}

std::vector<Runner> RunnersOf(const ShrinkTarget& target, const std::vector<std::string>& cpus) {
  if (!*target.emulator) return {Runner()};
  if (!HaveProgram(target.emulator)) return {};
  std::vector<std::string> wanted = cpus;
  if (wanted.empty()) wanted.assign(target.cpus.begin(), target.cpus.end());
  std::vector<Runner> runners;
  for (const std::string& cpu : wanted) {
    runners.push_back({cpu, {target.emulator, "-L", target.system_root, "-cpu", cpu}});
  }
  return runners;
}

}  // namespace linnet::cli
