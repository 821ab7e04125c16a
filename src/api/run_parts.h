// What a run by name and a prepared binding have in common: inputs and outputs in the core's form, cancelling.
#pragma once

#include "api/c_api.h"

namespace linnet::api {

/// The stop source of a run in flight, in the list of its cancel handle.
struct Running {
  StopSource stop;
  Running *previous = nullptr, *next = nullptr;
};

struct CancelObject : Object {
  static constexpr HandleKind kKind = HandleKind::kCancel;
  static constexpr const char* kName = "cancel";

  void Add(Running& run) {
    Lock lock(mutex);
    run.stop.cancelled.store(cancelled);
    run.previous = nullptr;
    run.next = runs;
    if (runs) runs->previous = &run;
    runs = &run;
  }
  void Remove(Running& run) {
    Lock lock(mutex);
    if (run.next) run.next->previous = run.previous;
    (run.previous ? run.previous->next : runs) = run.next;
  }
  void Cancel() {
    Lock lock(mutex);
    cancelled = true;
    for (Running* run = runs; run; run = run->next) run->stop.cancelled.store(true);
  }
  void Reset() {
    Lock lock(mutex);
    cancelled = false;
  }

  Mutex mutex;
  bool cancelled = false;
  Running* runs = nullptr;
};

/// Runs the session on prepared facts and outputs, under the caller's run options (which may be null).
Status Execute(SessionParts& parts, const Fact* inputs, RunOutput* outputs, const LinnetRunOptions* options);

/// The position of a port by name, or a failure that lists some names. `what`: "input" or "output".
Result<int> IndexOf(const PortIndex& names, const char* name, const char* what);

/// One input as the core takes it, and what keeps its contents alive.
struct Feed {
  Fact fact;
  std::shared_ptr<const Datum> value;
  Tensor copy;                     ///< of strings or unaligned memory
  const void* unaligned = nullptr; ///< what a binding copies from before each run
  bool check_bools = false;
};

Status MakeFeed(const LinnetInput& input, MemoryBudget* budget, Feed& feed);
/// What must be looked at or copied before every run, since the caller's memory may have changed.
Status Refresh(Feed& feed);

/// Where an output goes.
struct Target {
  void* data = nullptr;   ///< the caller's memory, or null
  size_t bytes = 0;
  bool copied = false;    ///< the run makes a value, which is copied to `data` afterwards
};

/// The core writes straight into memory that suits it. Where the caller's is not aligned, or where it is not certain that
/// the elements are plain bytes, the run makes a value that is copied when its type is known.
Result<Target> MakeTarget(const SessionParts& parts, int index, void* data, size_t bytes);
/// The core's form of a target.
void Prepare(const Target& target, RunOutput& output);
/// Brings a value that the run made to where the caller wants it.
Status CopyOut(const Target& target, const Datum& datum);

/// Memory of a run, to see that what it writes overlaps nothing but the one input that begins where an output does.
class Overlaps {
 public:
  /// `name` outlives this object. `lent`: the contents of a value, which nobody may change.
  void AddInput(const void* data, size_t bytes, bool lent, const std::string& name);
  /// Check sets `output.over_input`.
  void AddOutput(const void* data, size_t bytes, RunOutput& output, const std::string& name);
  Status Check();

 private:
  struct Range {
    uintptr_t begin;
    size_t bytes;
    bool lent;
    RunOutput* output;   ///< null: an input
    const std::string* name;
  };
  std::vector<Range> ranges_;
};

}  // namespace linnet::api
