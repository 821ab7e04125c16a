// The table of environment variables, and reading them.
#include "base/knobs.h"

#include <errno.h>
#include <stdlib.h>

#include "base/thread_pool.h"

namespace linnet {
namespace {

constexpr KnobRow kKnobs[] = {
    {Knob::kCpu, "LINNET_CPU", "text", "",
     "CPU level kernels are picked at (sse4, avx2, avxvnni, avx512, avx512vnni, amx, neon, dotprod, i8mm, wasm); empty: "
     "the best this machine has"},
    {Knob::kThreads, "LINNET_THREADS", "integer 0..64", "0",
     "threads of a session that does not say how many; 0: as many as the process may use"},
    {Knob::kLog, "LINNET_LOG", "one of: off error warning info debug", "warning",
     "least serious kind of message written to standard error"},
    {Knob::kPeer, "LINNET_PEER", "text", "", "path of the ONNX Runtime library that comparisons load"},
    {Knob::kNoColor, "NO_COLOR", "flag", "", "when set, the command prints no colours"},
};

const KnobRow& Row(Knob knob) { return kKnobs[static_cast<size_t>(knob)]; }

Status Refuse(const KnobRow& row) {
  return InvalidArgument("environment variable ", row.name, " is ", Quote(KnobText(row.knob)), "; it must be ",
                         row.type);
}

}  // namespace

std::span<const KnobRow> Knobs() { return kKnobs; }

std::string_view KnobText(Knob knob) {
  const char* value = getenv(Row(knob).name);
  return value && *value ? value : Row(knob).fallback;
}

Result<int64_t> KnobInt(Knob knob) {
  const KnobRow& row = Row(knob);
  std::string value(KnobText(knob)), range(row.type);
  range = range.substr(range.find(' ') + 1);
  int64_t low = strtoll(range.c_str(), nullptr, 10);
  int64_t high = strtoll(range.c_str() + range.find("..") + 2, nullptr, 10);
  char* end = nullptr;
  errno = 0;
  int64_t number = strtoll(value.c_str(), &end, 10);
  if (errno != 0 || end == value.c_str() || *end || number < low || number > high) return Refuse(row);
  return number;
}

Result<int> KnobChoice(Knob knob) {
  const KnobRow& row = Row(knob);
  std::string_view value = KnobText(knob), choices = row.type;
  choices.remove_prefix(choices.find(": ") + 2);
  for (int index = 0;; ++index) {
    size_t space = choices.find(' ');
    if (choices.substr(0, space) == value) return index;
    if (space == std::string_view::npos) return Refuse(row);
    choices.remove_prefix(space + 1);
  }
}

bool KnobFlag(Knob knob) { return !KnobText(knob).empty(); }

Result<CpuLevel> ChosenCpuLevel() {
  std::string_view name = KnobText(Knob::kCpu);
  if (name.empty()) return DetectedCpuLevel();
  Result<CpuLevel> level = ParseCpuLevel(name);
  if (!level.ok()) return level.TakeStatus().At("environment variable LINNET_CPU");
  return level;
}

Result<int> ChosenThreads() {
  LINNET_ASSIGN(int64_t threads, KnobInt(Knob::kThreads));
  return threads > 0 ? static_cast<int>(threads) : ThreadPool::HardwareThreads();
}

}  // namespace linnet
