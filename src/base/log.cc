// One line a message, written in one piece so that threads do not mix.
#include "base/log.h"

#include <atomic>

#include "base/knobs.h"
#include "base/system.h"

namespace linnet {
namespace {

constexpr int kUnread = -1;
std::atomic<int> wanted_level{kUnread};
std::atomic<LogSink> log_sink{nullptr};

}  // namespace

void WriteLogToStandardError(LogLevel level, std::string_view message) {
  constexpr const char* kNames[] = {"", "error: ", "warning: ", "", "debug: "};
  WriteStandardError(Cat("linnet: ", kNames[static_cast<int>(level)], message, "\n"));
}

bool LogEnabled(LogLevel level) {
  int wanted = wanted_level.load(std::memory_order_relaxed);
  if (wanted == kUnread) {
    Result<int> choice = KnobChoice(Knob::kLog);
    wanted = choice.ok() ? *choice : static_cast<int>(LogLevel::kWarning);
    int unread = kUnread;
    bool first = wanted_level.compare_exchange_strong(unread, wanted);
    if (first && !choice.ok()) WriteLog(LogLevel::kWarning, choice.status().message());
    if (!first) wanted = unread;
  }
  return static_cast<int>(level) <= wanted;
}

void SetLogLevel(LogLevel level) { wanted_level.store(static_cast<int>(level)); }
void SetLogSink(LogSink sink) { log_sink.store(sink); }

void WriteLog(LogLevel level, std::string_view message) {
  LogSink sink = log_sink.load();
  (sink ? sink : WriteLogToStandardError)(level, message);
}

}  // namespace linnet
