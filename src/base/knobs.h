// Every switch of ours that comes from the environment, in one table: `linnet knobs` prints it.
#pragma once

#include <stdint.h>

#include <span>
#include <string>
#include <string_view>

#include "base/cpu.h"
#include "base/status.h"

namespace linnet {

enum class Knob : uint8_t { kCpu, kThreads, kLog, kPeer, kNoColor };

struct KnobRow {
  Knob knob;
  const char* name;      ///< of the environment variable
  const char* type;      ///< "text", "flag", "integer 0..64", or "one of: a b c"
  const char* fallback;  ///< what an unset or empty variable means
  const char* sentence;
};

/// The table, in the order of the enum.
std::span<const KnobRow> Knobs();

/// The variable's value, or its fallback. Valid until the environment changes.
std::string_view KnobText(Knob knob);
/// A knob of type "integer MIN..MAX"; fails naming the variable, its value and the range.
Result<int64_t> KnobInt(Knob knob);
/// A knob of type "one of: ..."; its position in that list.
Result<int> KnobChoice(Knob knob);
/// A knob of type "flag": set and not empty, as no-color.org defines it.
bool KnobFlag(Knob knob);

/// The level to pick kernels at: LINNET_CPU, or what the machine has.
Result<CpuLevel> ChosenCpuLevel();
/// The number of threads for sessions that ask for none: LINNET_THREADS, or what the process may use.
Result<int> ChosenThreads();

}  // namespace linnet
