// Turning callers' inputs and outputs into the core's, and running under a cancel handle.
#include "api/run_parts.h"

#include <string.h>

#include <algorithm>
#include <utility>

namespace linnet::api {

Status Execute(SessionParts& parts, const Fact* inputs, RunOutput* outputs, const LinnetRunOptions* options) {
  Running running;
  RunOptions run;
  run.stop = &running.stop;
  LinnetRunOptions given = {};
  if (options) LINNET_TRY(ReadStruct(options, &given));
  LogScope scope(parts.settings.has_log ? &parts.settings.log : nullptr);
  Profiler profiler;
  if (parts.settings.profiling) run.profiler = &profiler;
  int64_t begin_ns = parts.settings.profiling ? MonotonicNs() : 0;
  Status status;
  if (given.cancel) {
    LINNET_USE(CancelObject, cancel, given.cancel);
    struct Registered {
      Registered(CancelObject& cancel, Running& running) : cancel(cancel), running(running) { cancel.Add(running); }
      ~Registered() { cancel.Remove(running); }
      CancelObject& cancel;
      Running& running;
    } registered(*cancel, running);
    status = parts.session->Run(inputs, outputs, run);
  } else {
    status = parts.session->Run(inputs, outputs, run);
  }
  if (parts.settings.profiling) parts.trace.Add(profiler, begin_ns, MonotonicNs());
  return status;
}

Result<int> IndexOf(const PortIndex& names, const char* name, const char* what) {
  if (!name) return InvalidArgument("the name of an ", what, " is NULL");
  auto found = std::lower_bound(names.begin(), names.end(), std::pair(std::string_view(name), 0));
  if (found != names.end() && found->first == name) return found->second;
  std::string known;
  int count = 0;
  for (const auto& [other, index] : names) {
    if (++count > 8) {
      known += ", ...";
      break;
    }
    known += Cat(known.empty() ? "" : ", ", Quote(other));
  }
  return InvalidArgument("there is no ", what, " ", Quote(name), known.empty() ? "" : "; the model has ", known);
}

Status MakeFeed(const LinnetInput& input, MemoryBudget* budget, Feed& feed) {
  feed = Feed();
  if (input.value) {
    LINNET_USE(ValueObject, object, input.value);
    feed.value = object->datum;
    const Datum& datum = *feed.value;
    feed.fact = {datum.type, datum.type.is_tensor() ? datum.tensor.data() : static_cast<const void*>(&datum)};
    return Status();
  }
  LINNET_ASSIGN(feed.fact.type, TensorType(input.type, input.shape, input.rank));
  const Type& type = feed.fact.type;
  const int64_t elements = type.shape.elements();
  LINNET_ASSIGN(int64_t bytes, CallerBytes(type.dtype, elements));
  if (!input.data && bytes > 0) return InvalidArgument("is ", ToString(type), " and its data is NULL");
  if (input.bytes != static_cast<size_t>(bytes)) {
    return InvalidArgument("is ", ToString(type), ", which has ", bytes, " bytes, and comes with ", input.bytes);
  }
  if (type.dtype == DType::kString) {
    LINNET_ASSIGN(feed.copy, CopyIn(type, input.data, budget));
    feed.fact.data = feed.copy.data();
  } else if (!IsAligned(input.data, type.dtype)) {
    LINNET_ASSIGN(feed.copy, CopyIn(type, input.data, budget));
    feed.fact.data = feed.copy.data();
    feed.unaligned = input.data;
  } else {
    feed.fact.data = input.data;
  }
  feed.check_bools = type.dtype == DType::kBool;
  return Status();
}

Status Refresh(Feed& feed) {
  if (feed.unaligned) memcpy(feed.copy.mutable_data(), feed.unaligned, static_cast<size_t>(feed.copy.bytes()));
  if (feed.check_bools && !BoolsAreValid(feed.fact.data, feed.fact.type.shape.elements())) {
    return InvalidArgument("a bool element is neither 0 nor 1");
  }
  return Status();
}

Result<Target> MakeTarget(const SessionParts& parts, int index, void* data, size_t bytes) {
  Target target;
  target.data = data;
  target.bytes = bytes;
  if (!data) return target;
  const Type& type = parts.session->model().output_types[static_cast<size_t>(index)];
  bool plain = parts.plain_outputs[static_cast<size_t>(index)];
  if (type.kind != Kind::kUnknown && !type.is_tensor()) {
    return InvalidArgument("output ", Quote(parts.session->outputs()[static_cast<size_t>(index)].name), " is ",
                           ToString(type), "; only tensors go into the caller's memory");
  }
  if (type.dtype == DType::kString) {
    return InvalidArgument("output ", Quote(parts.session->outputs()[static_cast<size_t>(index)].name),
                           " has strings, which do not go into the caller's memory");
  }
  target.copied = !plain || !IsAligned(data, type.dtype);
  return target;
}

void Prepare(const Target& target, RunOutput& output) {
  output.wanted = true;
  output.data = target.copied ? nullptr : target.data;
  output.capacity = target.copied ? 0 : static_cast<int64_t>(std::min<uint64_t>(target.bytes, INT64_MAX));
}

Status CopyOut(const Target& target, const Datum& datum) {
  if (!datum.type.is_tensor() || datum.type.dtype == DType::kString) {
    return InvalidArgument("is ", ToString(datum.type), ", which does not go into the caller's memory");
  }
  int64_t bytes = datum.tensor.bytes();
  if (static_cast<size_t>(bytes) > target.bytes) {
    return InvalidArgument("is ", ToString(datum.type), " and needs ", bytes, " bytes; the caller's memory has ", target.bytes);
  }
  if (bytes > 0) memcpy(target.data, datum.tensor.data(), static_cast<size_t>(bytes));
  return Status();
}

void Overlaps::AddInput(const void* data, size_t bytes, bool lent, const std::string& name) {
  if (data && bytes > 0) ranges_.push_back({reinterpret_cast<uintptr_t>(data), bytes, lent, nullptr, &name});
}

void Overlaps::AddOutput(const void* data, size_t bytes, RunOutput& output, const std::string& name) {
  output.over_input = false;
  if (data && bytes > 0) ranges_.push_back({reinterpret_cast<uintptr_t>(data), bytes, false, &output, &name});
}

Status Overlaps::Check() {
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : !a.output && b.output;
  });
  // An output that begins where an input does counts as one with it.
  for (size_t i = 1; i < ranges_.size(); ++i) {
    Range &input = ranges_[i - 1], &range = ranges_[i];
    if (input.begin != range.begin || input.output || input.lent || !range.output) continue;
    range.output->over_input = true;
    range.bytes = std::max(range.bytes, std::exchange(input.bytes, 0));
  }
  const Range *farthest = nullptr, *written = nullptr;   // of all so far, and of what is written: those that end last
  for (const Range& range : ranges_) {
    const Range* other = range.output ? farthest : written;
    if (other && other->begin + other->bytes > range.begin) {
      return InvalidArgument("the memory of ", Quote(*range.name), " overlaps that of ", Quote(*other->name),
                             ", and a run writes one of them");
    }
    auto later = [&](const Range* best) { return !best || range.begin + range.bytes > best->begin + best->bytes; };
    if (later(farthest)) farthest = &range;
    if (range.output && later(written)) written = &range;
  }
  return Status();
}

}  // namespace linnet::api
