// Messages for people who look into what the runtime does: LINNET_LOG chooses how many, an embedder may take them over.
#pragma once

#include <stdint.h>

#include <string_view>

#include "base/text.h"

namespace linnet {

enum class LogLevel : uint8_t { kOff, kError, kWarning, kInfo, kDebug };

/// True when messages of this level are wanted; cheap enough to ask anywhere but in loops over elements.
bool LogEnabled(LogLevel level);
/// Overrides LINNET_LOG.
void SetLogLevel(LogLevel level);
/// Where messages go instead of standard error; null restores that. Called from any thread, must not throw.
using LogSink = void (*)(LogLevel level, std::string_view message);
void SetLogSink(LogSink sink);

void WriteLog(LogLevel level, std::string_view message);
/// What a sink that has no better place for a message does with it.
void WriteLogToStandardError(LogLevel level, std::string_view message);

/// Log(LogLevel::kInfo, "plan of ", steps, " steps"): parts as for Cat; built only when wanted.
template <class... Parts>
void Log(LogLevel level, const Parts&... parts) {
  if (LogEnabled(level)) WriteLog(level, Cat(parts...));
}

}  // namespace linnet
