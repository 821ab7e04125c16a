// Recording spans and writing them as JSON.
#include "api/trace.h"

#include <stdio.h>

#include <algorithm>
#include <atomic>

namespace linnet::api {
namespace {

int ThreadNumber() {
  static std::atomic<int> count{0};
  thread_local int number = 0;
  if (number == 0) number = count.fetch_add(1) + 1;
  return number;
}

/// Text between JSON's quotes. Bytes that are no UTF-8 on their own stay: readers of traces replace them.
void AppendEscaped(std::string& out, std::string_view text) {
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out += c;
    }
  }
}

/// Microseconds with the nanoseconds behind the point, whatever the locale.
void AppendMicroseconds(std::string& out, int64_t ns) {
  char text[32];
  snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(ns / 1000), static_cast<long long>(ns % 1000));
  out += text;
}

}  // namespace

void TraceLog::Add(const Profiler& profiler, int64_t begin_ns, int64_t end_ns) {
  int thread = ThreadNumber();
  Lock lock(mutex_);
  if (events_.size() + profiler.spans.size() + 1 > kSpansMax) {
    dropped_ += profiler.spans.size() + 1;
    return;
  }
  events_.push_back({{nullptr, begin_ns, end_ns, 0}, thread});
  for (const Profiler::Span& span : profiler.spans) events_.push_back({span, thread});
}

std::string TraceLog::Json() const {
  Lock lock(mutex_);
  int64_t first = INT64_MAX;
  for (const Event& event : events_) first = std::min(first, event.span.begin_ns);
  std::string out = "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"spans_dropped\":" + Cat(dropped_) + "},\"traceEvents\":[";
  bool comma = false;
  for (const Event& event : events_) {
    const Profiler::Span& span = event.span;
    out += comma ? ",\n{\"name\":\"" : "\n{\"name\":\"";
    comma = true;
    AppendEscaped(out, span.io ? std::string_view(span.io->op) : "run");
    out += span.io ? "\",\"cat\":\"step\",\"ph\":\"X\",\"pid\":1,\"tid\":" : "\",\"cat\":\"run\",\"ph\":\"X\",\"pid\":1,\"tid\":";
    out += Cat(event.thread) + ",\"ts\":";
    AppendMicroseconds(out, span.begin_ns - first);
    out += ",\"dur\":";
    AppendMicroseconds(out, span.end_ns - span.begin_ns);
    if (span.io) {
      out += ",\"args\":{\"node\":\"";
      AppendEscaped(out, span.io->label);
      out += "\",\"depth\":" + Cat(span.depth) + "}";
    }
    out += "}";
  }
  return out + "\n]}\n";
}

}  // namespace linnet::api
