// linnet_session.hpp: the second half of linnet.hpp: options, sessions, bindings. Include linnet.hpp.
#ifndef LINNET_LINNET_SESSION_HPP_
#define LINNET_LINNET_SESSION_HPP_

#include <functional>

#include "linnet.hpp"

namespace linnet {
inline namespace LINNET_CPP_NAMESPACE {

/// Worker threads that sessions share.
class ThreadPool {
 public:
  ThreadPool() = default;
#if LINNET_EXCEPTIONS
  explicit ThreadPool(int threads) : ThreadPool(Make(threads)) {}
#endif
  static Or<ThreadPool> Make(int threads) {
    ThreadPool pool;
    LinnetThreadPool* handle = nullptr;
    LINNET_CPP_TRY(LinnetThreadPoolCreate(threads, &handle));
    pool.handle_.reset(handle);
    return pool;
  }
  LinnetThreadPool* handle() const { return handle_.get(); }

 private:
  detail::Handle<LinnetThreadPool, LinnetThreadPoolClose> handle_;
};

/// How sessions are opened: Options().Threads(2).MemoryLimit(64 << 20). Without exceptions a wrong option is reported when a
/// session is opened.
class Options {
 public:
  Options() {
    LinnetOptions* handle = nullptr;
    Note(LinnetOptionsCreate(&handle));
    handle_.reset(handle);
  }
  Options& Threads(int threads) { return Note(LinnetOptionsSetThreads(handle(), threads)); }
  Options& Pool(const ThreadPool& pool) { return Note(LinnetOptionsSetThreadPool(handle(), pool.handle())); }
  Options& MemoryLimit(int64_t bytes) { return Note(LinnetOptionsSetMemoryLimit(handle(), bytes)); }
  Options& TimeLimitNs(int64_t nanoseconds) { return Note(LinnetOptionsSetTimeLimit(handle(), nanoseconds)); }
  Options& StepLimit(int64_t steps) { return Note(LinnetOptionsSetStepLimit(handle(), steps)); }
  Options& Optimization(int level) { return Note(LinnetOptionsSetOptimization(handle(), level)); }
  Options& DisablePass(const std::string& name) { return Note(LinnetOptionsDisablePass(handle(), name.c_str())); }
  Options& Cpu(const std::string& level) { return Note(LinnetOptionsSetCpu(handle(), level.c_str())); }
  Options& Provider(const std::string& name) { return Note(LinnetOptionsSetProvider(handle(), name.c_str())); }
  /// "f32", "bf16" or "fp16"; see LinnetOptionsSetPrecision.
  Options& Precision(const std::string& name) { return Note(LinnetOptionsSetPrecision(handle(), name.c_str())); }
  /// `path`: where the Chrome trace goes when the session ends; "": only to Session::Trace.
  Options& Profiling(const std::string& path = "") { return Note(LinnetOptionsSetProfiling(handle(), 1, path.c_str())); }
  Options& Untrusted(bool on = true) { return Note(LinnetOptionsSetUntrusted(handle(), on)); }
  Options& Read(bool on = true) { return Note(LinnetOptionsSetRead(handle(), on)); }
  Options& Verify(bool on = true) { return Note(LinnetOptionsSetVerify(handle(), on)); }
  Options& CacheFolder(const std::string& folder) { return Note(LinnetOptionsSetCacheFolder(handle(), folder.c_str())); }
  Options& ExternalDataFolder(const std::string& folder) {
    return Note(LinnetOptionsSetExternalDataFolder(handle(), folder.c_str()));
  }
  using LogFunction = std::function<void(LinnetLogLevel level, const char* message)>;
  Options& Log(LinnetLogLevel level, LogFunction function) {
    auto kept = std::make_shared<LogFunction>(std::move(function));
    kept_.push_back(kept);
    auto call = [](void* user, LinnetLogLevel message_level, const char* message) {
      (*static_cast<LogFunction*>(user))(message_level, message);
    };
    return Note(LinnetOptionsSetLog(handle(), level, call, kept.get()));
  }

  LinnetOptions* handle() const { return handle_.get(); }
  /// Keeps `object` alive as long as any session opened with these options from now on.
  void Keep(std::shared_ptr<void> object) { kept_.push_back(std::move(object)); }
  const std::vector<std::shared_ptr<void>>& kept() const { return kept_; }
  /// The first wrong option; its code is kOk when there is none.
  const Error& error() const { return error_; }
  Options& Note(LinnetCode code) {
    if (code == LINNET_OK || error_.code() != Code::kOk) return *this;
    error_ = Error(code, LinnetLastError());
#if LINNET_EXCEPTIONS
    throw Error(error_);
#else
    return *this;
#endif
  }

 private:
  detail::Handle<LinnetOptions, LinnetOptionsClose> handle_;
  std::vector<std::shared_ptr<void>> kept_;
  Error error_;
};

/// To cancel runs from another thread.
class Cancel {
 public:
  Cancel() {
    LinnetCancel* handle = nullptr;
    LinnetCancelCreate(&handle);
    handle_.reset(handle);
  }
  void Now() const { LinnetCancelNow(handle()); }
  void Reset() const { LinnetCancelReset(handle()); }
  LinnetCancel* handle() const { return handle_.get(); }

 private:
  detail::Handle<LinnetCancel, LinnetCancelClose> handle_;
};

/// An input or output of a model.
struct Port {
  std::string name;
  LinnetTypeInfo type = {};
  std::vector<std::string> symbols;   ///< one for each dimension, "" where it has no name
  bool has_default = false;
};

struct ModelInfo {
  int64_t ir_version = 0, model_version = 0;
  std::string producer_name, producer_version, domain, graph_name, doc_string, precision;
  std::vector<std::pair<std::string, int64_t>> opsets;
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// A model ready to run, from any number of threads.
class Session {
 public:
  Session() = default;
#if LINNET_EXCEPTIONS
  explicit Session(const std::string& path, const Options& options = {}) : Session(Open(path, options)) {}
#endif
  static Or<Session> Open(const std::string& path, const Options& options = {}) {
    return Made(options, [&](LinnetSession** handle) { return LinnetSessionOpen(path.c_str(), options.handle(), handle); });
  }
  /// The bytes are copied.
  static Or<Session> FromMemory(const void* bytes, size_t size, const Options& options = {}) {
    return Made(options,
                [&](LinnetSession** handle) { return LinnetSessionFromMemory(bytes, size, options.handle(), handle); });
  }

  /// Runs into the caller's memory, or into values.
  Or<void> Run(std::initializer_list<Input> inputs, std::initializer_list<Output> outputs, const Cancel* cancel = nullptr) const {
    return Run(inputs.begin(), inputs.size(), outputs.begin(), outputs.size(), cancel);
  }
  Or<void> Run(const std::vector<Input>& inputs, const std::vector<Output>& outputs, const Cancel* cancel = nullptr) const {
    return Run(inputs.data(), inputs.size(), outputs.data(), outputs.size(), cancel);
  }
  Or<void> Run(const Input* inputs, size_t input_count, const Output* outputs, size_t output_count,
               const Cancel* cancel = nullptr) const {
    std::vector<LinnetInput> in;
    std::vector<LinnetOutput> out;
    for (size_t i = 0; i < input_count; ++i) in.push_back(inputs[i].raw());
    for (size_t i = 0; i < output_count; ++i) {
      out.push_back(outputs[i].raw());
      LINNET_CPP_TRY(CheckElement(outputs[i]));
    }
    LinnetRunOptions options = {sizeof options, cancel ? cancel->handle() : nullptr};
    LINNET_CPP_TRY(LinnetRun(handle(), in.data(), in.size(), out.data(), out.size(), &options));
    for (size_t i = 0; i < output_count; ++i) outputs[i].Take(out[i]);
    return detail::Ok();
  }
  /// Runs and returns all outputs as values, in the model's order.
  Or<std::vector<Value>> Run(std::initializer_list<Input> inputs, const Cancel* cancel = nullptr) const {
    return Run(std::vector<Input>(inputs), cancel);
  }
  Or<std::vector<Value>> Run(const std::vector<Input>& inputs, const Cancel* cancel = nullptr) const {
    size_t count = 0;
    LINNET_CPP_TRY(LinnetSessionPortCounts(handle(), nullptr, &count));
    std::vector<LinnetInput> in;
    for (const Input& input : inputs) in.push_back(input.raw());
    std::vector<LinnetOutput> out(count);
    for (size_t i = 0; i < count; ++i) {
      LinnetPort port = {};
      port.struct_size = sizeof port;
      LINNET_CPP_TRY(LinnetSessionOutput(handle(), i, &port));
      out[i].name = port.name;
    }
    LinnetRunOptions options = {sizeof options, cancel ? cancel->handle() : nullptr};
    LINNET_CPP_TRY(LinnetRun(handle(), in.data(), in.size(), out.data(), count, &options));
    std::vector<Value> values;
    for (LinnetOutput& output : out) values.emplace_back(output.value);
    return values;
  }

  std::vector<Port> inputs() const { return Ports(true); }
  std::vector<Port> outputs() const { return Ports(false); }
  Or<ModelInfo> info() const {
    LinnetModelInfo raw = {};
    raw.struct_size = sizeof raw;
    LINNET_CPP_TRY(LinnetSessionInfo(handle(), &raw));
    ModelInfo info;
    info.ir_version = raw.ir_version;
    info.model_version = raw.model_version;
    info.producer_name = raw.producer_name;
    info.producer_version = raw.producer_version;
    info.domain = raw.domain;
    info.graph_name = raw.graph_name;
    info.doc_string = raw.doc_string;
    info.precision = raw.precision;
    const char *first = nullptr, *second = nullptr;
    int64_t version = 0;
    for (size_t i = 0; i < raw.opset_count; ++i) {
      LINNET_CPP_TRY(LinnetSessionOpset(handle(), i, &first, &version));
      info.opsets.emplace_back(first, version);
    }
    for (size_t i = 0; i < raw.metadata_count; ++i) {
      LINNET_CPP_TRY(LinnetSessionMetadata(handle(), i, &first, &second));
      info.metadata.emplace_back(first, second);
    }
    return info;
  }
  /// What profiling recorded so far, as a Chrome trace.
  Or<std::string> Trace() const {
    LinnetValue* raw = nullptr;
    LINNET_CPP_TRY(LinnetSessionTrace(handle(), &raw));
    Value value(raw);
    LinnetString text;
    LINNET_CPP_TRY(LinnetValueString(value.handle(), 0, &text));
    return std::string(text.data, text.size);
  }
  LinnetSession* handle() const { return handle_.get(); }
  const std::vector<std::shared_ptr<void>>& kept() const { return kept_; }

  /// Fails when the model says that an output has other elements than the container it goes to.
  LinnetCode CheckElement(const Output& output) const {
    if (output.element() == LINNET_UNDEFINED) return LINNET_OK;
    size_t count = 0;
    LinnetSessionPortCounts(handle(), nullptr, &count);
    std::string name = output.raw().name;
    for (size_t i = 0; i < count; ++i) {
      LinnetPort port = {};
      port.struct_size = sizeof port;
      LinnetSessionOutput(handle(), i, &port);
      if (name != port.name || port.type.element == LINNET_UNDEFINED || port.type.element == output.element()) continue;
      std::string sentence = "output '" + name + "' has elements of type " + LinnetElementTypeName(port.type.element) +
                             ", the caller's memory of type " + LinnetElementTypeName(output.element());
      return LinnetFail(LINNET_INVALID_ARGUMENT, sentence.c_str());
    }
    return LINNET_OK;
  }

 private:
  template <class OpenHandle>
  static Or<Session> Made(const Options& options, OpenHandle&& open) {
#if !LINNET_EXCEPTIONS
    if (options.error().code() != Code::kOk) return options.error();
#endif
    Session session;
    session.kept_ = options.kept();
    LinnetSession* handle = nullptr;
    LINNET_CPP_TRY(open(&handle));
    session.handle_.reset(handle);
    return session;
  }
  std::vector<Port> Ports(bool inputs) const {
    std::vector<Port> ports;
    size_t in = 0, out = 0;
    LinnetSessionPortCounts(handle(), &in, &out);
    for (size_t i = 0; i < (inputs ? in : out); ++i) {
      LinnetPort raw = {};
      raw.struct_size = sizeof raw;
      if ((inputs ? LinnetSessionInput : LinnetSessionOutput)(handle(), i, &raw) != LINNET_OK) break;
      Port port;
      port.name.assign(raw.name, raw.name_size);
      port.type = raw.type;
      port.has_default = raw.has_default != 0;
      for (int32_t d = 0; d < raw.type.rank; ++d) port.symbols.emplace_back(raw.symbols[d] ? raw.symbols[d] : "");
      ports.push_back(std::move(port));
    }
    return ports;
  }

  std::vector<std::shared_ptr<void>> kept_;   // outlives the handle
  detail::Handle<LinnetSession, LinnetSessionClose> handle_;
};

/// A run prepared once and repeated by one thread at a time. Bound memory is read and written by every run.
class Binding {
 public:
  Binding() = default;
#if LINNET_EXCEPTIONS
  explicit Binding(const Session& session) : Binding(Make(session)) {}
#endif
  static Or<Binding> Make(const Session& session) {
    Binding binding;
    binding.kept_ = session.kept();
    LinnetBinding* handle = nullptr;
    LINNET_CPP_TRY(LinnetBindingCreate(session.handle(), &handle));
    binding.handle_.reset(handle);
    return binding;
  }
  Or<void> In(const Input& input) {
    LinnetInput raw = input.raw();
    LINNET_CPP_TRY(LinnetBindingInput(handle(), &raw));
    return detail::Ok();
  }
  /// The container's memory; values come from Get.
  Or<void> Out(const Output& output) {
    LinnetOutput raw = output.raw();
    LINNET_CPP_TRY(LinnetBindingOutput(handle(), &raw));
    return detail::Ok();
  }
  Or<void> Run(const Cancel* cancel = nullptr) {
    LinnetRunOptions options = {sizeof options, cancel ? cancel->handle() : nullptr};
    LINNET_CPP_TRY(LinnetBindingRun(handle(), &options));
    return detail::Ok();
  }
  /// What the last run made of an output that was bound with `Output(name, static_cast<Value*>(nullptr))`.
  Or<Value> Get(const std::string& name) const {
    LinnetOutput output = {};
    LINNET_CPP_TRY(LinnetBindingResult(handle(), name.c_str(), &output));
    return Value(output.value);
  }
  LinnetBinding* handle() const { return handle_.get(); }

 private:
  std::vector<std::shared_ptr<void>> kept_;
  detail::Handle<LinnetBinding, LinnetBindingClose> handle_;
};

inline Or<void> Convert(const std::string& model, const std::string& output, const Options& options = {}) {
  LINNET_CPP_TRY(LinnetConvert(model.c_str(), output.c_str(), options.handle()));
  return detail::Ok();
}

}  // namespace LINNET_CPP_NAMESPACE
}  // namespace linnet

#endif  // LINNET_LINNET_SESSION_HPP_
