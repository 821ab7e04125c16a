// Where messages go: to the log of the session at work in this thread, or else to the process's.
#pragma once

#include "base/log.h"
#include "linnet/linnet.h"

namespace linnet::api {

struct LogTarget {
  LogLevel level = LogLevel::kOff;
  LinnetLogCallback callback = nullptr;   ///< null: standard error
  void* user = nullptr;
};

/// Makes `target` the process's log.
void SetProcessLog(const LogTarget& target);
/// Sees to it that messages up to `level` are made at all.
void WantLogLevel(LogLevel level);

/// Messages of this thread go to `target` for the lifetime of this object; null: to the process's log.
class LogScope {
 public:
  explicit LogScope(const LogTarget* target);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  const LogTarget* before_;
};

}  // namespace linnet::api
