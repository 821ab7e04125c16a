// The C boundary: runs prepared once and repeated.
#include <atomic>

#include "api/run_parts.h"

namespace linnet::api {
namespace {

struct BindingObject : Object {
  static constexpr HandleKind kKind = HandleKind::kBinding;
  static constexpr const char* kName = "binding";

  struct Output {
    bool bound = false;
    Target target;
    std::shared_ptr<const Datum> value;   ///< of the last run
  };

  std::shared_ptr<SessionParts> parts;
  std::vector<Feed> feeds;
  std::vector<Fact> facts;
  std::vector<RunOutput> run_outputs;
  std::vector<Output> outputs;
  bool has_values = false;    ///< some bound output is made by the run, or copied
  bool has_refresh = false;   ///< some input needs Refresh
  bool unchecked = true;      ///< overlaps
  bool has_results = false;
  std::atomic<bool> busy{false};

  const std::string& OutputName(size_t i) const { return parts->session->outputs()[i].name; }
  const std::string& InputName(size_t i) const { return parts->session->inputs()[i].name; }
  Status CheckOverlaps();
  Status Run(const LinnetRunOptions* options);
};

Status BindingObject::CheckOverlaps() {
  Overlaps overlaps;
  for (size_t i = 0; i < feeds.size(); ++i) {
    const Type& type = facts[i].type;
    if (!type.is_tensor() || feeds[i].copy.has_data()) continue;
    LINNET_ASSIGN(int64_t bytes, ByteSize(type.dtype, type.shape.elements()));
    overlaps.AddInput(facts[i].data, static_cast<size_t>(bytes), feeds[i].value != nullptr, InputName(i));
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    overlaps.AddOutput(outputs[i].target.data, outputs[i].target.bytes, run_outputs[i], OutputName(i));
  }
  LINNET_TRY(overlaps.Check());
  unchecked = false;
  return Status();
}

Status BindingObject::Run(const LinnetRunOptions* options) {
  has_results = false;
  if (unchecked) LINNET_TRY(CheckOverlaps());
  for (size_t i = 0; has_refresh && i < feeds.size(); ++i) LINNET_TRY(Refresh(feeds[i]).At(Cat("input ", Quote(InputName(i)))));
  if (has_values) {
    for (size_t i = 0; i < outputs.size(); ++i) {
      outputs[i].value = nullptr;
      run_outputs[i].datum = Datum();
      if (outputs[i].bound) Prepare(outputs[i].target, run_outputs[i]);
    }
  }
  LINNET_TRY(Execute(*parts, facts.data(), run_outputs.data(), options));
  for (size_t i = 0; has_values && i < outputs.size(); ++i) {
    Output& output = outputs[i];
    if (!output.bound || run_outputs[i].data) continue;
    if (output.target.copied) {
      LINNET_TRY(CopyOut(output.target, run_outputs[i].datum).At(Cat("output ", Quote(OutputName(i)))));
      run_outputs[i].type = run_outputs[i].datum.type;
    } else {
      output.value = std::make_shared<const Datum>(std::move(run_outputs[i].datum));
      run_outputs[i].type = output.value->type;
    }
  }
  has_results = true;
  return Status();
}

/// Holds a binding for one thread at a time.
class BindingLock {
 public:
  explicit BindingLock(BindingObject& binding) : binding_(binding), taken_(!binding.busy.exchange(true)) {}
  ~BindingLock() {
    if (taken_) binding_.busy.store(false);
  }
  Status status() const {
    return taken_ ? Status() : InvalidArgument("the binding is in use by another thread; each thread needs its own");
  }

 private:
  BindingObject& binding_;
  bool taken_;
};

/// `body(binding)` under the binding's lock.
template <class Body>
LinnetCode WithBinding(LinnetBinding* handle, Body&& body) noexcept {
  return Guard([&]() -> Status {
    LINNET_USE(BindingObject, binding, handle);
    BindingLock lock(*binding);
    LINNET_TRY(lock.status());
    return body(*binding);
  });
}

}  // namespace
}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

LinnetCode LinnetBindingCreate(LinnetSession* session, LinnetBinding** binding) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(binding);
    *binding = nullptr;
    LINNET_USE(SessionObject, object, session);
    auto made = std::make_unique<BindingObject>();
    made->parts = object->parts;
    made->feeds.resize(made->parts->session->inputs().size());
    made->facts.resize(made->feeds.size());
    made->outputs.resize(made->parts->session->outputs().size());
    made->run_outputs.resize(made->outputs.size());
    for (RunOutput& output : made->run_outputs) output.wanted = false;
    return GiveHandle(std::move(made), binding);
  });
}
LinnetCode LinnetBindingClose(LinnetBinding* binding) LINNET_NOEXCEPT { return Close<BindingObject>(binding); }

LinnetCode LinnetBindingInput(LinnetBinding* handle, const LinnetInput* input) LINNET_NOEXCEPT {
  return WithBinding(handle, [&](BindingObject& binding) -> Status {
    LINNET_NOT_NULL(input);
    LINNET_ASSIGN(int index, IndexOf(binding.parts->input_index, input->name, "input"));
    size_t i = static_cast<size_t>(index);
    Feed feed;
    LINNET_TRY(MakeFeed(*input, &binding.parts->session->budget(), feed).At(Cat("input ", Quote(input->name))));
    binding.feeds[i] = std::move(feed);
    binding.facts[i] = binding.feeds[i].fact;
    binding.has_refresh = false;
    for (const Feed& each : binding.feeds) binding.has_refresh = binding.has_refresh || each.unaligned || each.check_bools;
    binding.unchecked = true;
    binding.has_results = false;
    return Status();
  });
}

LinnetCode LinnetBindingOutput(LinnetBinding* handle, const LinnetOutput* output) LINNET_NOEXCEPT {
  return WithBinding(handle, [&](BindingObject& binding) -> Status {
    LINNET_NOT_NULL(output);
    LINNET_ASSIGN(int index, IndexOf(binding.parts->output_index, output->name, "output"));
    size_t i = static_cast<size_t>(index);
    LINNET_ASSIGN(Target target, MakeTarget(*binding.parts, index, output->data, output->bytes));
    binding.outputs[i].bound = true;
    binding.outputs[i].target = target;
    Prepare(target, binding.run_outputs[i]);
    binding.has_values = false;
    for (const BindingObject::Output& each : binding.outputs) {
      binding.has_values = binding.has_values || (each.bound && (!each.target.data || each.target.copied));
    }
    binding.unchecked = true;
    binding.has_results = false;
    return Status();
  });
}

LinnetCode LinnetBindingRun(LinnetBinding* handle, const LinnetRunOptions* options) LINNET_NOEXCEPT {
  return WithBinding(handle, [&](BindingObject& binding) { return binding.Run(options); });
}

LinnetCode LinnetBindingResult(LinnetBinding* handle, const char* name, LinnetOutput* output) LINNET_NOEXCEPT {
  return WithBinding(handle, [&](BindingObject& binding) -> Status {
    LINNET_NOT_NULL(output);
    output->value = nullptr;
    LINNET_ASSIGN(int index, IndexOf(binding.parts->output_index, name, "output"));
    const BindingObject::Output& bound = binding.outputs[static_cast<size_t>(index)];
    if (!bound.bound) return InvalidArgument("output ", Quote(name), " is not bound");
    if (!binding.has_results) return InvalidArgument("the binding has not run successfully since it last changed");
    output->name = binding.OutputName(static_cast<size_t>(index)).c_str();
    output->data = bound.target.data;
    output->bytes = bound.target.bytes;
    output->type = ToInfo(binding.run_outputs[static_cast<size_t>(index)].type);
    if (!bound.value) return Status();
    return GiveHandle(std::make_unique<ValueObject>(bound.value), &output->value);
  });
}
