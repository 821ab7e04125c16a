// The C boundary: opening sessions and asking them about their model.
#include <algorithm>

#include "api/c_api.h"
#include "api/full_build.h"
#include "api/precision.h"
#include "base/file.h"

namespace linnet::api {

SessionParts::~SessionParts() {
  if (!session || settings.trace_path.empty()) return;
  Guard([&]() -> Status {
    LogScope scope(settings.has_log ? &settings.log : nullptr);
    std::string json = trace.Json();
    Status status = WriteFileAtomically(settings.trace_path, [&](Sink& sink) { return sink.Append(json); });
    if (!status.ok()) Log(LogLevel::kError, "the trace was not written: ", status.message());
    return Status();
  });
}

namespace {

/// The names of a port's symbolic dimensions; empty when it has none.
std::vector<std::string> SymbolsOf(const PortInfo& port, const SymbolTable& table) {
  std::vector<std::string> names;
  for (int d = 0; d < port.type.shape.rank(); ++d) {
    if (!IsSymbolDim(port.type.shape[d])) continue;
    names.resize(static_cast<size_t>(port.type.shape.rank()));
    names[static_cast<size_t>(d)] = std::string(table.name(port.type.shape[d]));
  }
  return names;
}

Status CopySettings(const LinnetOptions* handle, SessionSettings& to) {
  if (!handle) return Status();
  LINNET_USE(OptionsObject, options, handle);
  Lock lock(options->mutex);
  to.CopyFrom(options->settings);
  return Status();
}

/// Opens a session by `open`, which is given the core's options.
using OpenCore = FunctionRef<Result<std::unique_ptr<Session>>(const SessionOptions& core)>;
Status OpenSession(const LinnetOptions* options, LinnetSession** out, OpenCore open) {
  auto parts = std::make_shared<SessionParts>();
  LINNET_TRY(CopySettings(options, parts->settings));
  parts->settings.Connect();
  if (parts->settings.has_log) WantLogLevel(parts->settings.log.level);
  LogScope scope(parts->settings.has_log ? &parts->settings.log : nullptr);
  LINNET_ASSIGN(parts->session, open(parts->settings.core));

  const Session& session = *parts->session;
  for (size_t i = 0; i < session.inputs().size(); ++i) {
    parts->input_index.emplace_back(session.inputs()[i].name, static_cast<int>(i));
    parts->input_symbols.push_back(SymbolsOf(session.inputs()[i], session.symbols()));
  }
  for (size_t i = 0; i < session.outputs().size(); ++i) {
    parts->output_index.emplace_back(session.outputs()[i].name, static_cast<int>(i));
    parts->output_symbols.push_back(SymbolsOf(session.outputs()[i], session.symbols()));
    const Type& type = session.model().output_types[i];
    parts->plain_outputs.push_back(type.is_tensor() && type.dtype != DType::kUndefined && type.dtype != DType::kString);
  }
  std::sort(parts->input_index.begin(), parts->input_index.end());
  std::sort(parts->output_index.begin(), parts->output_index.end());
  Log(LogLevel::kInfo, "opened a model of ", session.model().nodes().size(), " prepared nodes, ", session.inputs().size(),
      " inputs and ", session.outputs().size(), " outputs for ", session.threads(), " threads; ",
      parts->session->budget().used_bytes(), " bytes in blocks");
  auto object = std::make_unique<SessionObject>();
  object->parts = std::move(parts);
  return GiveHandle(std::move(object), out);
}

/// Fills the caller's struct with port `index` of `ports`.
Status FillPort(const std::vector<PortInfo>& ports, const std::vector<std::vector<std::string>>& symbols, size_t index,
                const char* what, LinnetPort* to) {
  if (index >= ports.size()) return InvalidArgument(what, " ", index, " of ", ports.size());
  LinnetPort port = {};
  port.name = ports[index].name.c_str();
  port.name_size = ports[index].name.size();
  port.type = ToInfo(ports[index].type);
  for (size_t d = 0; d < symbols[index].size(); ++d) {
    if (!symbols[index][d].empty()) port.symbols[d] = symbols[index][d].c_str();
  }
  port.has_default = ports[index].has_default;
  return FillStruct(to, port);
}

/// Bytes that a caller lends; told when the last user has gone.
struct Borrowed {
  void (*release)(void* user);
  void* user;
  ~Borrowed() {
    if (release) release(user);
  }
};

}  // namespace
}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

LinnetCode LinnetSessionOpen(const char* path, const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(session);
    *session = nullptr;
    LINNET_NOT_NULL(path);
    return OpenSession(options, session, [&](const SessionOptions& core) { return Session::Open(path, core); });
  });
}

LinnetCode LinnetSessionFromMemory(const void* bytes, size_t size, const LinnetOptions* options,
                                   LinnetSession** session) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(session);
    *session = nullptr;
    LINNET_NOT_NULL(bytes);
    if (size > PTRDIFF_MAX) return InvalidArgument("a model of ", size, " bytes cannot be");
    return OpenSession(options, session,
                       [&](const SessionOptions& core) { return Session::FromMemory(bytes, size, nullptr, core); });
  });
}

LinnetCode LinnetSessionFromBorrowed(const void* bytes, size_t size, void (*release)(void* user), void* user,
                                     const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    std::unique_ptr<Borrowed> mine(new (std::nothrow) Borrowed{release, user});
    if (!mine) {
      if (release) release(user);
      return OutOfMemory("an allocation failed");
    }
    std::shared_ptr<const void> owner = std::shared_ptr<Borrowed>(std::move(mine));
    LINNET_NOT_NULL(session);
    *session = nullptr;
    LINNET_NOT_NULL(bytes);
    if (size > PTRDIFF_MAX) return InvalidArgument("a model of ", size, " bytes cannot be");
    return OpenSession(options, session, [&](const SessionOptions& core) {
      return Session::FromMemory(bytes, size, std::move(owner), core);
    });
  });
}

LinnetCode LinnetSessionClose(LinnetSession* session) LINNET_NOEXCEPT { return Close<SessionObject>(session); }

LinnetCode LinnetConvert(const char* model, const char* output, const LinnetOptions* options) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(model);
    LINNET_NOT_NULL(output);
    SessionSettings settings;
    LINNET_TRY(CopySettings(options, settings));
    settings.Connect();
    if (settings.has_log) WantLogLevel(settings.log.level);
    LogScope scope(settings.has_log ? &settings.log : nullptr);
    std::string_view path = output;
    if (path.ends_with(".linnet")) return ConvertModel(model, output, settings.core);
    if (path.ends_with(".onnx")) return WriteOptimizedOnnx(model, output, settings.core);
    return InvalidArgument("output ", Quote(path), " must end in .linnet or .onnx");
  });
}

LinnetCode LinnetSessionPortCounts(LinnetSession* session, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(SessionObject, object, session);
    if (inputs) *inputs = object->parts->session->inputs().size();
    if (outputs) *outputs = object->parts->session->outputs().size();
    return Status();
  });
}

LinnetCode LinnetSessionInput(LinnetSession* session, size_t index, LinnetPort* port) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(SessionObject, object, session);
    const SessionParts& parts = *object->parts;
    return FillPort(parts.session->inputs(), parts.input_symbols, index, "input", port);
  });
}

LinnetCode LinnetSessionOutput(LinnetSession* session, size_t index, LinnetPort* port) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(SessionObject, object, session);
    const SessionParts& parts = *object->parts;
    return FillPort(parts.session->outputs(), parts.output_symbols, index, "output", port);
  });
}

LinnetCode LinnetSessionInfo(LinnetSession* session, LinnetModelInfo* info) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(SessionObject, object, session);
    const ModelInfo& model = object->parts->session->info();
    LinnetModelInfo filled = {};
    filled.ir_version = model.ir_version;
    filled.model_version = model.model_version;
    filled.producer_name = model.producer_name.c_str();
    filled.producer_version = model.producer_version.c_str();
    filled.domain = model.domain.c_str();
    filled.graph_name = model.graph_name.c_str();
    filled.doc_string = model.doc_string.c_str();
    filled.opset_count = model.opsets.size();
    filled.metadata_count = model.metadata.size();
    filled.precision = PrecisionName(object->parts->session->precision());
    return FillStruct(info, filled);
  });
}

LinnetCode LinnetSessionOpset(LinnetSession* session, size_t index, const char** domain, int64_t* version) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(SessionObject, object, session);
    const auto& opsets = object->parts->session->info().opsets;
    if (index >= opsets.size()) return InvalidArgument("opset ", index, " of ", opsets.size());
    if (domain) *domain = opsets[index].first.c_str();
    if (version) *version = opsets[index].second;
    return Status();
  });
}

LinnetCode LinnetSessionMetadata(LinnetSession* session, size_t index, const char** key, const char** value) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(SessionObject, object, session);
    const auto& metadata = object->parts->session->info().metadata;
    if (index >= metadata.size()) return InvalidArgument("metadata ", index, " of ", metadata.size());
    if (key) *key = metadata[index].first.c_str();
    if (value) *value = metadata[index].second.c_str();
    return Status();
  });
}

LinnetCode LinnetSessionMemory(LinnetSession* session, int64_t* used, int64_t* peak) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(SessionObject, object, session);
    const MemoryBudget& budget = object->parts->session->budget();
    if (used) *used = budget.used_bytes();
    if (peak) *peak = budget.peak_bytes();
    return Status();
  });
}

LinnetCode LinnetSessionTrace(LinnetSession* session, LinnetValue** json) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(json);
    *json = nullptr;
    LINNET_USE(SessionObject, object, session);
    if (!object->parts->settings.profiling) return InvalidArgument("the session was opened without profiling");
    std::string text = object->parts->trace.Json();
    LINNET_ASSIGN(Tensor tensor, Tensor::Allocate(DType::kString, Shape::OfRank(0)));
    *tensor.mutable_as<std::string>() = std::move(text);
    return GiveValue(Datum::Of(std::move(tensor)), json);
  });
}
