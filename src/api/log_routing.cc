// The sink that splits messages among sessions and the process.
#include "api/log_routing.h"

#include <atomic>

#include "base/knobs.h"
#include "base/mutex.h"

namespace linnet::api {
namespace {

thread_local const LogTarget* session_log = nullptr;

LogTarget process_log;
std::atomic<bool> has_process_log{false};

/// Never destroyed: there may be messages while the process exits.
Mutex& ProcessMutex() {
  static Mutex* mutex = new Mutex();
  return *mutex;
}

void Send(const LogTarget& target, LogLevel level, std::string_view message) {
  if (level > target.level) return;
  if (!target.callback) return WriteLogToStandardError(level, message);
  std::string text(message);
  target.callback(target.user, static_cast<LinnetLogLevel>(level), text.c_str());
}

void Route(LogLevel level, std::string_view message) {
  if (session_log) return Send(*session_log, level, message);
  if (!has_process_log.load()) {
    // Nobody set a log for the process: what LINNET_LOG asks for goes to standard error.
    static const Result<int> choice = KnobChoice(Knob::kLog);
    LogLevel limit = choice.ok() ? static_cast<LogLevel>(*choice) : LogLevel::kWarning;
    if (level <= limit) WriteLogToStandardError(level, message);
    return;
  }
  LogTarget target;
  {
    Lock lock(ProcessMutex());
    target = process_log;
  }
  Send(target, level, message);
}

}  // namespace

void WantLogLevel(LogLevel level) {
  // What was wanted before stays wanted.
  if (!LogEnabled(level)) SetLogLevel(level);
  SetLogSink(Route);
}

void SetProcessLog(const LogTarget& target) {
  {
    Lock lock(ProcessMutex());
    process_log = target;
  }
  has_process_log.store(true);
  WantLogLevel(target.level);
}

LogScope::LogScope(const LogTarget* target) : before_(session_log) { session_log = target; }
LogScope::~LogScope() { session_log = before_; }

}  // namespace linnet::api
