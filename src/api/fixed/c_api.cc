// The C boundary of a build for models whose plans are in their files: opening, asking for names and shapes, running.
#include <string.h>

#include <algorithm>

#include "api/c_api.h"
#include "base/file.h"
#include "fixed/model.h"

namespace linnet::api {
namespace {

struct FixedOptions : Object {
  static constexpr HandleKind kKind = HandleKind::kOptions;
  static constexpr const char* kName = "options";
  std::atomic<int32_t> threads{0};
};

struct FixedSession : Object {
  static constexpr HandleKind kKind = HandleKind::kSession;
  static constexpr const char* kName = "session";
  std::unique_ptr<FixedModel> model;
};

/// A tensor that a run made.
struct FixedValue : Object {
  static constexpr HandleKind kKind = HandleKind::kValue;
  static constexpr const char* kName = "value";
  Type type;
  int64_t bytes = 0;
  Block contents;
};

/// Bytes that a caller lends; told when the last user has gone.
struct Borrowed {
  void (*release)(void* user);
  void* user;
  ~Borrowed() {
    if (release) release(user);
  }
};

using Ports = flatbuffers::Vector<flatbuffers::Offset<fbs::Port>>;

Status OpenSession(std::string_view bytes, std::shared_ptr<const void> owner, const LinnetOptions* options, LinnetSession** out) {
  int threads = 0;
  if (options) {
    LINNET_USE(FixedOptions, object, options);
    threads = object->threads;
  }
  auto session = std::make_unique<FixedSession>();
  LINNET_ASSIGN(session->model, FixedModel::Open(bytes, std::move(owner), threads));
  return GiveHandle(std::move(session), out);
}

/// From the caller's bytes, which are copied where `owner` is null or they are not aligned.
Status OpenBytes(const void* bytes, size_t size, std::shared_ptr<const void> owner, const LinnetOptions* options, LinnetSession** out) {
  if (size > PTRDIFF_MAX) return InvalidArgument("a model of ", size, " bytes cannot be");
  if (!owner || reinterpret_cast<uintptr_t>(bytes) % kAlignment != 0) {
    LINNET_ASSIGN(Block block, Block::Allocate(static_cast<int64_t>(size)));
    memcpy(block.data(), bytes, size);
    bytes = block.data();
    owner = std::make_shared<Block>(std::move(block));
  }
  return OpenSession({static_cast<const char*>(bytes), size}, std::move(owner), options, out);
}

LinnetCode PortOf(LinnetSession* handle, size_t index, bool output, LinnetPort* to) {
  return Guard([&]() -> Status {
    LINNET_USE(FixedSession, session, handle);
    const fbs::Model& head = session->model->head();
    const Ports& ports = output ? *head.outputs() : *head.inputs();
    if (index >= ports.size()) return InvalidArgument("port ", index, " of ", ports.size());
    const fbs::Port& from = *ports.Get(static_cast<uint32_t>(index));
    LinnetPort port = {};
    port.name = from.name() ? from.name()->c_str() : "";
    port.name_size = from.name() ? from.name()->size() : 0;
    LINNET_ASSIGN(Type type, session->model->PortType(from));
    port.type = ToInfo(type);
    for (int d = 0; d < type.shape.rank(); ++d) {
      if (IsSymbolDim(type.shape[d])) port.symbols[d] = head.symbols()->Get(static_cast<uint32_t>(SymbolIndex(type.shape[d])))->c_str();
    }
    return FillStruct(to, port);
  });
}

/// The position of a port by name.
Result<size_t> IndexOf(const Ports& ports, const char* name) {
  std::string known;
  for (uint32_t i = 0; name && i < ports.size(); ++i) {
    const std::string_view have = ports.Get(i)->name() ? ports.Get(i)->name()->string_view() : std::string_view();
    if (have == name) return static_cast<size_t>(i);
    if (i < 8) known += Cat(i > 0 ? ", " : "", Quote(have));
  }
  return InvalidArgument("there is no input or output ", name ? Quote(name) : "NULL", "; the model has ", known);
}

/// An input where the caller has it, or a copy when it lies badly.
Status Feed(const LinnetInput& input, Fact& fact, Block& copy) {
  if (input.value || input.type <= LINNET_UNDEFINED || input.type >= kDTypeCount || input.type == LINNET_STRING || input.rank < 0 ||
      input.rank > kMaxRank || (input.rank > 0 && !input.shape)) {
    return InvalidArgument("is no tensor of numbers in memory of the caller, which is all that this build takes");
  }
  Shape shape = Shape::OfRank(input.rank);
  for (int d = 0; d < input.rank; ++d) shape[d] = input.shape[d];
  LINNET_TRY(CheckShape(shape));
  fact.type = Type::Tensor(static_cast<DType>(input.type), shape);
  if (!shape.is_static()) return InvalidArgument("has shape ", ToString(shape));
  LINNET_ASSIGN(int64_t bytes, ByteSize(fact.type.dtype, shape.elements()));
  if (input.bytes != static_cast<size_t>(bytes) || (!input.data && bytes > 0)) {
    return InvalidArgument("is ", ToString(fact.type), ", which has ", bytes, " bytes, and comes with ", input.data ? input.bytes : 0);
  }
  fact.data = input.data;
  const size_t unit = std::clamp<size_t>(DTypeBytes(fact.type.dtype), 1, 8);
  if (reinterpret_cast<uintptr_t>(input.data) % unit != 0) {
    LINNET_ASSIGN(copy, Block::Allocate(bytes));
    memcpy(copy.data(), input.data, input.bytes);
    fact.data = copy.data();
  }
  unsigned char bits = 0;
  for (size_t i = 0; fact.type.dtype == DType::kBool && i < input.bytes; ++i) bits |= static_cast<const unsigned char*>(fact.data)[i];
  return bits <= 1 ? Status() : InvalidArgument("has a bool that is neither 0 nor 1");
}

struct Range {
  uintptr_t begin, bytes;
};

Status RunOnce(FixedModel& model, const LinnetInput* inputs, size_t input_count, LinnetOutput* outputs, size_t output_count) {
  const Ports &in = *model.head().inputs(), &out = *model.head().outputs();
  std::vector<Fact> facts(in.size());
  std::vector<Block> copies(in.size());
  for (size_t k = 0; k < input_count; ++k) {
    LINNET_ASSIGN(size_t i, IndexOf(in, inputs[k].name));
    if (facts[i].data) return InvalidArgument("input ", Quote(inputs[k].name), " is given twice");
    Status status = Feed(inputs[k], facts[i], copies[i]);
    if (!status.ok()) return std::move(status).At(Cat("input ", Quote(inputs[k].name)));
  }
  std::vector<Range> taken;   // memory that no output may lie in
  for (const Fact& fact : facts) {
    const int64_t bytes = fact.data ? ByteSize(fact.type.dtype, fact.type.shape.elements()).value() : 0;
    if (fact.data) taken.push_back({reinterpret_cast<uintptr_t>(fact.data), static_cast<uintptr_t>(bytes)});
  }
  LINNET_ASSIGN(const Plan* plan, model.Find(facts.data()));
  std::vector<FixedModel::Output> to = model.OutputsOf(*plan);
  std::vector<std::unique_ptr<FixedValue>> values(output_count);
  for (size_t k = 0; k < output_count; ++k) {
    LINNET_ASSIGN(size_t i, IndexOf(out, outputs[k].name));
    FixedModel::Output& target = to[i];
    if (target.data) return InvalidArgument("output ", Quote(outputs[k].name), " is asked for twice");
    target.data = outputs[k].data;
    outputs[k].type = ToInfo(*target.type);
    if (!target.data) {
      values[k] = std::make_unique<FixedValue>();
      values[k]->type = *target.type;
      values[k]->bytes = target.bytes;
      LINNET_ASSIGN(values[k]->contents, Block::Allocate(target.bytes));
      target.data = values[k]->contents.data();
    } else if (outputs[k].bytes < static_cast<size_t>(target.bytes) ||
               reinterpret_cast<uintptr_t>(target.data) % std::clamp<size_t>(DTypeBytes(target.type->dtype), 1, 8) != 0) {
      return InvalidArgument("output ", Quote(outputs[k].name), " is ", ToString(*target.type), " and needs ", target.bytes,
                             " bytes, aligned for them; the caller's memory has ", outputs[k].bytes);
    }
    const uintptr_t begin = reinterpret_cast<uintptr_t>(target.data);
    for (const Range& other : taken) {
      if (begin < other.begin + other.bytes && other.begin < begin + static_cast<uintptr_t>(target.bytes)) {
        return InvalidArgument("the memory of ", Quote(outputs[k].name), " overlaps other memory of the run");
      }
    }
    if (outputs[k].data) taken.push_back({begin, outputs[k].bytes});
  }
  LINNET_TRY(model.Run(*plan, facts.data(), to));
  for (size_t k = 0; k < output_count; ++k) {
    if (values[k]) LINNET_TRY(GiveHandle(std::move(values[k]), &outputs[k].value));
  }
  return Status();
}

}  // namespace
}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

int64_t LinnetTensorBytes(LinnetElementType type, int64_t elements) LINNET_NOEXCEPT {
  if (type <= LINNET_UNDEFINED || type >= kDTypeCount || type == LINNET_STRING || elements < 0) return -1;
  Result<int64_t> bytes = ByteSize(static_cast<DType>(type), elements);
  return bytes.ok() ? *bytes : -1;
}

LinnetCode LinnetOptionsCreate(LinnetOptions** options) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(options);
    *options = nullptr;
    return GiveHandle(std::make_unique<FixedOptions>(), options);
  });
}
LinnetCode LinnetOptionsClose(LinnetOptions* options) LINNET_NOEXCEPT { return Close<FixedOptions>(options); }
LinnetCode LinnetOptionsSetThreads(LinnetOptions* options, int32_t threads) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(FixedOptions, object, options);
    if (threads < 0) return InvalidArgument("the number of threads is ", threads);
    object->threads = threads;
    return Status();
  });
}

LinnetCode LinnetSessionOpen(const char* path, const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(session);
    *session = nullptr;
    LINNET_NOT_NULL(path);
    LINNET_ASSIGN(MappedFile::Ref file, MappedFile::Open(path));
    return OpenSession(file->bytes(), file, options, session).At(Quote(path));
  });
}
LinnetCode LinnetSessionFromMemory(const void* bytes, size_t size, const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(session);
    *session = nullptr;
    LINNET_NOT_NULL(bytes);
    return OpenBytes(bytes, size, nullptr, options, session);
  });
}
LinnetCode LinnetSessionFromBorrowed(const void* bytes, size_t size, void (*release)(void* user), void* user,
                                     const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    std::shared_ptr<const void> owner(new Borrowed{release, user}, [](Borrowed* borrowed) { delete borrowed; });
    LINNET_NOT_NULL(session);
    *session = nullptr;
    LINNET_NOT_NULL(bytes);
    return OpenBytes(bytes, size, std::move(owner), options, session);
  });
}
LinnetCode LinnetSessionClose(LinnetSession* session) LINNET_NOEXCEPT { return Close<FixedSession>(session); }

LinnetCode LinnetSessionPortCounts(LinnetSession* handle, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(FixedSession, session, handle);
    if (inputs) *inputs = session->model->head().inputs()->size();
    if (outputs) *outputs = session->model->head().outputs()->size();
    return Status();
  });
}
LinnetCode LinnetSessionInput(LinnetSession* session, size_t index, LinnetPort* port) LINNET_NOEXCEPT {
  return PortOf(session, index, false, port);
}
LinnetCode LinnetSessionOutput(LinnetSession* session, size_t index, LinnetPort* port) LINNET_NOEXCEPT {
  return PortOf(session, index, true, port);
}

LinnetCode LinnetRun(LinnetSession* handle, const LinnetInput* inputs, size_t input_count, LinnetOutput* outputs, size_t output_count,
                     const LinnetRunOptions*) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    if (output_count > 0) LINNET_NOT_NULL(outputs);
    for (size_t k = 0; k < output_count; ++k) outputs[k].value = nullptr;
    if (input_count > 0) LINNET_NOT_NULL(inputs);
    LINNET_USE(FixedSession, session, handle);
    return RunOnce(*session->model, inputs, input_count, outputs, output_count);
  });
}

LinnetCode LinnetValueType(LinnetValue* handle, LinnetTypeInfo* type) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(type);
    LINNET_USE(FixedValue, value, handle);
    *type = ToInfo(value->type);
    return Status();
  });
}
LinnetCode LinnetValueData(LinnetValue* handle, const void** data, size_t* bytes) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(FixedValue, value, handle);
    if (data) *data = value->contents.data();
    if (bytes) *bytes = static_cast<size_t>(value->bytes);
    return Status();
  });
}
LinnetCode LinnetValueClose(LinnetValue* value) LINNET_NOEXCEPT { return Close<FixedValue>(value); }
