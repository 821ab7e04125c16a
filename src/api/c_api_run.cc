// The C boundary: runs by name, and cancelling them.
#include "api/run_parts.h"

namespace linnet::api {
namespace {

Status RunOnce(SessionParts& parts, const LinnetInput* inputs, size_t input_count, LinnetOutput* outputs,
               size_t output_count, const LinnetRunOptions* options) {
  const Session& session = *parts.session;
  std::vector<Feed> feeds(session.inputs().size());
  std::vector<Fact> facts(feeds.size());
  std::vector<RunOutput> run_outputs(session.outputs().size());
  std::vector<Target> targets(output_count);
  std::vector<int> indices(output_count);
  Overlaps overlaps;
  for (size_t k = 0; k < input_count; ++k) {
    LINNET_ASSIGN(int index, IndexOf(parts.input_index, inputs[k].name, "input"));
    size_t i = static_cast<size_t>(index);
    const std::string& name = session.inputs()[i].name;
    if (facts[i].type.kind != Kind::kUnknown) return InvalidArgument("input ", Quote(name), " is given twice");
    Status status = MakeFeed(inputs[k], &parts.session->budget(), feeds[i]);
    if (status.ok()) status = Refresh(feeds[i]);
    if (!status.ok()) return std::move(status).At(Cat("input ", Quote(name)));
    facts[i] = feeds[i].fact;
    if (!inputs[k].value && !feeds[i].copy.has_data()) overlaps.AddInput(inputs[k].data, inputs[k].bytes, false, name);
  }
  for (RunOutput& output : run_outputs) output.wanted = false;
  for (size_t k = 0; k < output_count; ++k) {
    LINNET_ASSIGN(indices[k], IndexOf(parts.output_index, outputs[k].name, "output"));
    size_t i = static_cast<size_t>(indices[k]);
    const std::string& name = session.outputs()[i].name;
    if (run_outputs[i].wanted) return InvalidArgument("output ", Quote(name), " is asked for twice");
    LINNET_ASSIGN(targets[k], MakeTarget(parts, indices[k], outputs[k].data, outputs[k].bytes));
    Prepare(targets[k], run_outputs[i]);
    overlaps.AddOutput(outputs[k].data, outputs[k].bytes, run_outputs[i], name);
  }
  LINNET_TRY(overlaps.Check());
  LINNET_TRY(Execute(parts, facts.data(), run_outputs.data(), options));
  for (size_t k = 0; k < output_count; ++k) {
    RunOutput& made = run_outputs[static_cast<size_t>(indices[k])];
    if (made.data) {
      outputs[k].type = ToInfo(made.type);
      continue;
    }
    outputs[k].type = ToInfo(made.datum.type);
    if (targets[k].copied) {
      LINNET_TRY(CopyOut(targets[k], made.datum).At(Cat("output ", Quote(outputs[k].name))));
    } else {
      LINNET_TRY(GiveValue(std::move(made.datum), &outputs[k].value));
    }
  }
  return Status();
}

}  // namespace
}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

LinnetCode LinnetCancelCreate(LinnetCancel** cancel) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(cancel);
    *cancel = nullptr;
    return GiveHandle(std::make_unique<CancelObject>(), cancel);
  });
}
LinnetCode LinnetCancelClose(LinnetCancel* cancel) LINNET_NOEXCEPT { return Close<CancelObject>(cancel); }

LinnetCode LinnetCancelNow(LinnetCancel* cancel) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(CancelObject, object, cancel);
    object->Cancel();
    return Status();
  });
}
LinnetCode LinnetCancelReset(LinnetCancel* cancel) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(CancelObject, object, cancel);
    object->Reset();
    return Status();
  });
}

LinnetCode LinnetRun(LinnetSession* session, const LinnetInput* inputs, size_t input_count, LinnetOutput* outputs,
                     size_t output_count, const LinnetRunOptions* options) LINNET_NOEXCEPT {
  size_t cleared = 0;
  LinnetCode code = Guard([&]() -> Status {
    if (output_count > 0) LINNET_NOT_NULL(outputs);
    for (; cleared < output_count; ++cleared) outputs[cleared].value = nullptr;
    if (input_count > 0) LINNET_NOT_NULL(inputs);
    LINNET_USE(SessionObject, object, session);
    return RunOnce(*object->parts, inputs, input_count, outputs, output_count, options);
  });
  for (size_t k = 0; code != LINNET_OK && k < cleared; ++k) {
    if (!outputs[k].value) continue;
    CloseHandle(outputs[k].value, HandleKind::kValue);
    outputs[k].value = nullptr;
  }
  return code;
}
