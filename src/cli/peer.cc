// Calling ONNX Runtime's function table by slot number: the slots of its first version, which no later one moved.
#include "cli/peer.h"

#include <utility>

#include "cli/system.h"
#include "graph/shape.h"

namespace linnet {
namespace {

struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtValue;
struct OrtMemoryInfo;
struct OrtAllocator;
struct OrtTypeInfo;
struct OrtTensorInfo;

struct OrtApiBase {
  const void* const* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

constexpr uint32_t kApiVersion = 1;
constexpr int kQuiet = 4;            // log nothing but fatal errors
constexpr int kAllOptimisations = 99;
constexpr int kArenaAllocator = 1, kDefaultMemory = 0;
constexpr int kStringType = 8;

/// The functions used, typed; Load fills them from their slots.
struct Functions {
  int (*GetErrorCode)(const OrtStatus*);
  const char* (*GetErrorMessage)(const OrtStatus*);
  OrtStatus* (*CreateEnv)(int log_level, const char* log_id, OrtEnv**);
  OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*, OrtSession**);
  OrtStatus* (*CreateSessionFromArray)(const OrtEnv*, const void*, size_t, const OrtSessionOptions*, OrtSession**);
  OrtStatus* (*Run)(OrtSession*, const void* run_options, const char* const* input_names, const OrtValue* const* inputs,
                    size_t input_count, const char* const* output_names, size_t output_count, OrtValue** outputs);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);
  OrtStatus* (*SetSessionGraphOptimizationLevel)(OrtSessionOptions*, int);
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int);
  OrtStatus* (*SetInterOpNumThreads)(OrtSessionOptions*, int);
  OrtStatus* (*SessionGetInputCount)(const OrtSession*, size_t*);
  OrtStatus* (*SessionGetOutputCount)(const OrtSession*, size_t*);
  OrtStatus* (*SessionGetInputTypeInfo)(const OrtSession*, size_t, OrtTypeInfo**);
  OrtStatus* (*SessionGetOutputTypeInfo)(const OrtSession*, size_t, OrtTypeInfo**);
  OrtStatus* (*SessionGetInputName)(const OrtSession*, size_t, OrtAllocator*, char**);
  OrtStatus* (*SessionGetOutputName)(const OrtSession*, size_t, OrtAllocator*, char**);
  OrtStatus* (*CreateTensorAsOrtValue)(OrtAllocator*, const int64_t* dims, size_t rank, int type, OrtValue**);
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data, size_t bytes, const int64_t* dims,
                                               size_t rank, int type, OrtValue**);
  OrtStatus* (*IsTensor)(const OrtValue*, int*);
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);
  OrtStatus* (*FillStringTensor)(OrtValue*, const char* const*, size_t);
  OrtStatus* (*GetStringTensorDataLength)(const OrtValue*, size_t*);
  OrtStatus* (*GetStringTensorContent)(const OrtValue*, void*, size_t bytes, size_t* offsets, size_t count);
  OrtStatus* (*CastTypeInfoToTensorInfo)(const OrtTypeInfo*, const OrtTensorInfo**);
  OrtStatus* (*GetTensorElementType)(const OrtTensorInfo*, int*);
  OrtStatus* (*GetDimensionsCount)(const OrtTensorInfo*, size_t*);
  OrtStatus* (*GetDimensions)(const OrtTensorInfo*, int64_t*, size_t);
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorInfo**);
  OrtStatus* (*CreateCpuMemoryInfo)(int allocator_type, int memory_type, OrtMemoryInfo**);
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);
  void (*ReleaseEnv)(OrtEnv*);
  void (*ReleaseStatus)(OrtStatus*);
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);
  void (*ReleaseSession)(OrtSession*);
  void (*ReleaseValue)(OrtValue*);
  void (*ReleaseTypeInfo)(OrtTypeInfo*);
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorInfo*);
  void (*ReleaseSessionOptions)(OrtSessionOptions*);

  void Load(const void* const* slots) {
    auto take = [slots](auto& function, int slot) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(const_cast<void*>(slots[slot]));
    };
    take(GetErrorCode, 1), take(GetErrorMessage, 2), take(CreateEnv, 3), take(CreateSession, 7);
    take(CreateSessionFromArray, 8), take(Run, 9), take(CreateSessionOptions, 10);
    take(SetSessionGraphOptimizationLevel, 23), take(SetIntraOpNumThreads, 24), take(SetInterOpNumThreads, 25);
    take(SessionGetInputCount, 30), take(SessionGetOutputCount, 31);
    take(SessionGetInputTypeInfo, 33), take(SessionGetOutputTypeInfo, 34);
    take(SessionGetInputName, 36), take(SessionGetOutputName, 37);
    take(CreateTensorAsOrtValue, 48), take(CreateTensorWithDataAsOrtValue, 49), take(IsTensor, 50);
    take(GetTensorMutableData, 51), take(FillStringTensor, 52), take(GetStringTensorDataLength, 53);
    take(GetStringTensorContent, 54), take(CastTypeInfoToTensorInfo, 55), take(GetTensorElementType, 60);
    take(GetDimensionsCount, 61), take(GetDimensions, 62), take(GetTensorTypeAndShape, 65);
    take(CreateCpuMemoryInfo, 69), take(AllocatorFree, 76), take(GetAllocatorWithDefaultOptions, 78);
    take(ReleaseEnv, 92), take(ReleaseStatus, 93), take(ReleaseMemoryInfo, 94), take(ReleaseSession, 95);
    take(ReleaseValue, 96), take(ReleaseTypeInfo, 98), take(ReleaseTensorTypeAndShapeInfo, 99);
    take(ReleaseSessionOptions, 100);
  }

  /// The library's status as ours; takes it over.
  Status Check(OrtStatus* status) const {
    if (!status) return Status();
    constexpr Code kCodes[] = {Code::kOk,           Code::kInternal,     Code::kInvalidArgument, Code::kIo,
                               Code::kInvalidModel, Code::kInternal,     Code::kInternal,        Code::kInvalidModel,
                               Code::kInternal,     Code::kUnsupported,  Code::kInvalidModel,    Code::kInternal};
    int code = GetErrorCode(status);
    bool known = code > 0 && code < static_cast<int>(std::size(kCodes));
    Status out(known ? kCodes[code] : Code::kInternal, Cat("the peer: ", GetErrorMessage(status)));
    ReleaseStatus(status);
    return out;
  }
};

/// Releases a handle of the library with the function given.
template <class T>
class Owned {
 public:
  explicit Owned(void (*release)(T*)) : release_(release) {}
  Owned(Owned&& other) noexcept : release_(other.release_), handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(release_, other.release_);
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() { Reset(); }
  void Reset() {
    if (handle_) release_(handle_);
    handle_ = nullptr;
  }
  T* get() const { return handle_; }
  T** out() { return &handle_; }

 private:
  void (*release_)(T*);
  T* handle_ = nullptr;
};

Status ReadType(const Functions& api, const OrtTensorInfo* info, int* type, std::vector<int64_t>* dims) {
  size_t rank = 0;
  LINNET_TRY(api.Check(api.GetTensorElementType(info, type)));
  LINNET_TRY(api.Check(api.GetDimensionsCount(info, &rank)));
  dims->resize(rank);
  return api.Check(api.GetDimensions(info, dims->data(), rank));
}

/// Reads the declared inputs or outputs, by the three functions of that side.
Status ReadInfos(const Functions& api, const OrtSession* session, OrtAllocator* allocator,
                 OrtStatus* (*count)(const OrtSession*, size_t*),
                 OrtStatus* (*name)(const OrtSession*, size_t, OrtAllocator*, char**),
                 OrtStatus* (*type)(const OrtSession*, size_t, OrtTypeInfo**), std::vector<PeerValueInfo>* out) {
  size_t values = 0;
  LINNET_TRY(api.Check(count(session, &values)));
  for (size_t i = 0; i < values; ++i) {
    PeerValueInfo& info = out->emplace_back();
    char* text = nullptr;
    LINNET_TRY(api.Check(name(session, i, allocator, &text)));
    info.name = text;
    LINNET_TRY(api.Check(api.AllocatorFree(allocator, text)));
    Owned<OrtTypeInfo> declared(api.ReleaseTypeInfo);
    const OrtTensorInfo* tensor = nullptr;
    LINNET_TRY(api.Check(type(session, i, declared.out())));
    LINNET_TRY(api.Check(api.CastTypeInfoToTensorInfo(declared.get(), &tensor)));
    if (tensor) LINNET_TRY(ReadType(api, tensor, &info.type, &info.dims));
  }
  return Status();
}

/// Copies a tensor out of the library.
Status ReadTensor(const Functions& api, OrtValue* value, PeerTensor* out) {
  int is_tensor = 0;
  LINNET_TRY(api.Check(api.IsTensor(value, &is_tensor)));
  if (!is_tensor) return Unsupported("it is not a tensor");
  Owned<OrtTensorInfo> info(api.ReleaseTensorTypeAndShapeInfo);
  LINNET_TRY(api.Check(api.GetTensorTypeAndShape(value, info.out())));
  LINNET_TRY(ReadType(api, info.get(), &out->type, &out->dims));
  int64_t elements = 1;
  for (int64_t dim : out->dims) elements *= dim;
  size_t count = static_cast<size_t>(elements);
  if (out->type == kStringType) {
    size_t total = 0;
    LINNET_TRY(api.Check(api.GetStringTensorDataLength(value, &total)));
    std::string joined(total, '\0');
    std::vector<size_t> offsets(count + 1, total);
    LINNET_TRY(api.Check(api.GetStringTensorContent(value, joined.data(), total, offsets.data(), count)));
    for (size_t i = 0; i < count; ++i) out->strings.push_back(joined.substr(offsets[i], offsets[i + 1] - offsets[i]));
    return Status();
  }
  if (!IsKnown(out->type)) return Unsupported("its element type has number ", out->type);
  LINNET_ASSIGN(int64_t bytes, ByteSize(static_cast<DType>(out->type), elements));
  if (bytes == 0) return Status();
  void* data = nullptr;
  LINNET_TRY(api.Check(api.GetTensorMutableData(value, &data)));
  out->bytes.assign(static_cast<const char*>(data), static_cast<size_t>(bytes));
  return Status();
}

}  // namespace

struct Peer::Library {
  Functions api;
  OrtEnv* env = nullptr;
  OrtMemoryInfo* memory = nullptr;
  OrtAllocator* allocator = nullptr;

  ~Library() {
    if (memory) api.ReleaseMemoryInfo(memory);
    if (env) api.ReleaseEnv(env);
  }
};

struct PeerSession::Handles {
  explicit Handles(std::shared_ptr<Peer::Library> shared) : library(std::move(shared)), session(library->api.ReleaseSession) {}

  std::shared_ptr<Peer::Library> library;
  Owned<OrtSession> session;
  std::vector<Owned<OrtValue>> inputs, outputs;
  std::vector<const char*> input_names, output_names;
};

Result<std::shared_ptr<Peer>> Peer::Load(const std::string& path) {
  if (path.empty()) return InvalidArgument("no path of the ONNX Runtime library is given");
  Result<void*> function = cli::LoadFunction(path, "OrtGetApiBase");
  if (!function.ok()) return function.TakeStatus().At("cannot load the peer");
  auto base_of = reinterpret_cast<const OrtApiBase* (*)()>(*function);
  const OrtApiBase* base = base_of ? base_of() : nullptr;
  if (!base) return IoError("cannot load the peer: ", Quote(path), " does not have ONNX Runtime's C API");
  const void* const* slots = base->GetApi(kApiVersion);
  if (!slots) return IoError("cannot load the peer: version ", base->GetVersionString(), " lacks its first C API");
  std::shared_ptr<Peer> peer(new Peer);
  peer->version_ = base->GetVersionString();
  peer->library_ = std::make_shared<Library>();
  Library& library = *peer->library_;
  library.api.Load(slots);
  const Functions& api = library.api;
  LINNET_TRY(api.Check(api.CreateEnv(kQuiet, "linnet", &library.env)));
  LINNET_TRY(api.Check(api.CreateCpuMemoryInfo(kArenaAllocator, kDefaultMemory, &library.memory)));
  LINNET_TRY(api.Check(api.GetAllocatorWithDefaultOptions(&library.allocator)));
  return peer;
}

Peer::~Peer() = default;

Result<std::unique_ptr<PeerSession>> Peer::OpenModel(const std::string& path, const PeerOptions& options) const {
  return Create(&path, {}, options);
}

Result<std::unique_ptr<PeerSession>> Peer::OpenBytes(std::string_view model, const PeerOptions& options) const {
  return Create(nullptr, model, options);
}

Result<std::unique_ptr<PeerSession>> Peer::Create(const std::string* path, std::string_view model,
                                                  const PeerOptions& options) const {
  const Functions& api = library_->api;
  Owned<OrtSessionOptions> settings(api.ReleaseSessionOptions);
  LINNET_TRY(api.Check(api.CreateSessionOptions(settings.out())));
  LINNET_TRY(api.Check(api.SetIntraOpNumThreads(settings.get(), options.threads)));
  LINNET_TRY(api.Check(api.SetInterOpNumThreads(settings.get(), 1)));
  LINNET_TRY(api.Check(api.SetSessionGraphOptimizationLevel(settings.get(), kAllOptimisations)));

  std::unique_ptr<PeerSession> session(new PeerSession);
  session->handles_ = std::make_unique<PeerSession::Handles>(library_);
  OrtSession** out = session->handles_->session.out();
  LINNET_TRY(api.Check(
      path ? api.CreateSession(library_->env, path->c_str(), settings.get(), out)
           : api.CreateSessionFromArray(library_->env, model.data(), model.size(), settings.get(), out)));
  LINNET_TRY(ReadInfos(api, *out, library_->allocator, api.SessionGetInputCount, api.SessionGetInputName,
                       api.SessionGetInputTypeInfo, &session->inputs_));
  LINNET_TRY(ReadInfos(api, *out, library_->allocator, api.SessionGetOutputCount, api.SessionGetOutputName,
                       api.SessionGetOutputTypeInfo, &session->outputs_));
  for (const PeerValueInfo& info : session->outputs_) session->handles_->output_names.push_back(info.name.c_str());
  return session;
}

PeerSession::PeerSession() = default;
PeerSession::~PeerSession() = default;

Status PeerSession::SetInputs(std::vector<PeerTensor> inputs) {
  Handles& h = *handles_;
  const Functions& api = h.library->api;
  h.outputs.clear();
  h.inputs.clear();
  h.input_names.clear();
  fed_ = std::move(inputs);
  for (PeerTensor& tensor : fed_) {
    Owned<OrtValue>& value = h.inputs.emplace_back(api.ReleaseValue);
    auto at = [&](OrtStatus* status) { return api.Check(status).At(Cat("input ", Quote(tensor.name))); };
    h.input_names.push_back(tensor.name.c_str());
    if (tensor.type == kStringType) {
      std::vector<const char*> texts;
      for (const std::string& text : tensor.strings) texts.push_back(text.c_str());
      LINNET_TRY(at(api.CreateTensorAsOrtValue(h.library->allocator, tensor.dims.data(), tensor.dims.size(),
                                               tensor.type, value.out())));
      LINNET_TRY(at(api.FillStringTensor(value.get(), texts.data(), texts.size())));
    } else {
      LINNET_TRY(at(api.CreateTensorWithDataAsOrtValue(h.library->memory, tensor.bytes.data(), tensor.bytes.size(),
                                                       tensor.dims.data(), tensor.dims.size(), tensor.type,
                                                       value.out())));
    }
  }
  return Status();
}

Status PeerSession::Run() {
  Handles& h = *handles_;
  const Functions& api = h.library->api;
  bool first = h.outputs.empty();
  std::vector<const OrtValue*> inputs;
  for (const Owned<OrtValue>& value : h.inputs) inputs.push_back(value.get());
  std::vector<OrtValue*> outputs;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (first) h.outputs.emplace_back(api.ReleaseValue);
    // Only tensors of plain elements are written in place; the rest is made anew by every run.
    if (outputs_[i].type == 0 || outputs_[i].type == kStringType) h.outputs[i].Reset();
    outputs.push_back(h.outputs[i].get());
  }
  OrtStatus* status = api.Run(h.session.get(), nullptr, h.input_names.data(), inputs.data(), inputs.size(),
                              h.output_names.data(), outputs.size(), outputs.data());
  for (size_t i = 0; i < outputs.size(); ++i) *h.outputs[i].out() = outputs[i];
  if (status) h.outputs.clear();
  return api.Check(status);
}

Result<std::vector<PeerTensor>> PeerSession::Outputs() const {
  if (handles_->outputs.empty()) return InvalidArgument("the peer's session has not run");
  std::vector<PeerTensor> tensors(outputs_.size());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    tensors[i].name = outputs_[i].name;
    Status status = ReadTensor(handles_->library->api, handles_->outputs[i].get(), &tensors[i]);
    if (!status.ok()) return std::move(status).At(Cat("the peer's output ", Quote(tensors[i].name)));
  }
  return tensors;
}

Result<std::vector<PeerTensor>> PeerSession::Run(std::vector<PeerTensor> inputs) {
  LINNET_TRY(SetInputs(std::move(inputs)));
  LINNET_TRY(Run());
  return Outputs();
}

}  // namespace linnet
