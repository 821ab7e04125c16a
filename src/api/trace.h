// What profiling recorded of a session's runs, and its form as a Chrome trace.
#pragma once

#include <string>
#include <vector>

#include "base/mutex.h"
#include "run/state.h"

namespace linnet::api {

/// Collects the spans of runs, from any number of threads. Bounded: what comes later is only counted.
class TraceLog {
 public:
  static constexpr size_t kSpansMax = 1'000'000;

  /// The spans of one run, which took from `begin_ns` to `end_ns`. Their nodes outlive the log.
  void Add(const Profiler& profiler, int64_t begin_ns, int64_t end_ns);
  /// Chrome's JSON format (chrome://tracing, ui.perfetto.dev): one complete event a run and a step, times from the first.
  std::string Json() const;

 private:
  struct Event {
    Profiler::Span span;   ///< io is null for a whole run
    int thread;
  };
  mutable Mutex mutex_;
  std::vector<Event> events_;
  size_t dropped_ = 0;
};

}  // namespace linnet::api
