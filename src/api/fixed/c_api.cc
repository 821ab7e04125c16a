// The C boundary of a build for models whose plans are in their files: opening, asking for names and shapes, running.
#include <string.h>

#include <algorithm>

#include "api/boundary.h"
#include "base/file.h"
#include "fixed/fields.h"
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
  ~FixedSession() override {
    model.reset();
    if (release) release(user);
  }
  // Where the model's bytes are: a mapped file, a copy of the caller's memory, or memory that is the caller's still.
  MappedFile::Ref file;
  Block copy;
  void (*release)(void* user) = nullptr;
  void* user = nullptr;
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

Status OpenSession(std::unique_ptr<FixedSession> session, std::string_view bytes, const LinnetOptions* options, LinnetSession** out) {
  int threads = 0;
  if (options) {
    LINNET_USE(FixedOptions, object, options);
    threads = object->threads;
  }
  session->model = std::make_unique<FixedModel>();
  LINNET_TRY(session->model->Open(bytes, threads));
  return GiveHandle(std::move(session), out);
}

/// From the caller's bytes, which are copied where they are not `lent` or not aligned. What `session` has is given back whatever happens.
Status OpenBytes(std::unique_ptr<FixedSession> session, const void* bytes, size_t size, bool lent, const LinnetOptions* options, LinnetSession** out) {
  LINNET_NOT_NULL(out);
  *out = nullptr;
  LINNET_NOT_NULL(bytes);
  if (size > PTRDIFF_MAX) return InvalidArgument("a model of ", size, " bytes cannot be");
  if (!lent || reinterpret_cast<uintptr_t>(bytes) % kAlignment != 0) {
    LINNET_ASSIGN(session->copy, Block::Allocate(static_cast<int64_t>(size)));
    memcpy(session->copy.data(), bytes, size);
    bytes = session->copy.data();
  }
  return OpenSession(std::move(session), {static_cast<const char*>(bytes), size}, options, out);
}

LinnetCode PortOf(LinnetSession* handle, size_t index, bool output, LinnetPort* to) {
  return Guard([&]() -> Status {
    LINNET_USE(FixedSession, session, handle);
    const FixedModel& model = *session->model;
    const size_t count = static_cast<size_t>(output ? model.output_count() : model.input_count());
    if (index >= count) return InvalidArgument("port ", index, " of ", count);
    const void* from = model.port(static_cast<int>(index), output);
    LinnetPort port = {};
    const std::string_view name = fixed::Text(from, fbs::Port::VT_NAME);
    port.name = name.data();
    port.name_size = name.size();
    port.type = ToInfo(fixed::ReadType(fixed::Follow(from, fbs::Port::VT_TYPE)));
    for (int d = 0; d < port.type.rank; ++d) {
      if (IsSymbolDim(port.type.shape[d])) port.symbols[d] = model.symbol(port.type.shape[d]).data();
    }
    return FillStruct(to, port);
  });
}

/// The position of a port by name.
Result<size_t> IndexOf(const FixedModel& model, bool output, const char* name) {
  std::string known;
  const int count = output ? model.output_count() : model.input_count();
  for (int i = 0; name && i < count; ++i) {
    const std::string_view have = fixed::Text(model.port(i, output), fbs::Port::VT_NAME);
    if (have == name) return static_cast<size_t>(i);
    if (i < 8) known += Cat(i > 0 ? ", " : "", Quote(have));
  }
  return InvalidArgument("there is no input or output ", name ? Quote(name) : "NULL", "; the model has ", known);
}

int64_t BytesOf(const Fact& fact) { return fact.data ? ByteSize(fact.type.dtype, fact.type.shape.elements()).value() : 0; }

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
  if (!IsAligned(input.data, fact.type.dtype)) {
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

/// What is known of an output while a run is made ready.
struct Target {
  std::unique_ptr<FixedValue> value;   ///< that the run makes
  Range range;
};

Status RunOnce(FixedModel& model, const LinnetInput* inputs, size_t input_count, LinnetOutput* outputs, size_t output_count) {
  std::vector<Fact> facts(static_cast<size_t>(model.input_count()));
  std::vector<Block> copies(facts.size());
  for (size_t k = 0; k < input_count; ++k) {
    LINNET_ASSIGN(size_t i, IndexOf(model, false, inputs[k].name));
    if (facts[i].data) return InvalidArgument("input ", Quote(inputs[k].name), " is given twice");
    Status status = Feed(inputs[k], facts[i], copies[i]);
    if (!status.ok()) return std::move(status).At(Cat("input ", Quote(inputs[k].name)));
  }
  LINNET_ASSIGN(const FixedModel::Plan* plan, model.PlanFor(facts.data()));
  std::vector<void*> to(static_cast<size_t>(model.output_count()));
  std::vector<Target> targets(output_count);
  for (size_t k = 0; k < output_count; ++k) {
    LinnetOutput& output = outputs[k];
    LINNET_ASSIGN(size_t i, IndexOf(model, true, output.name));
    if (to[i]) return InvalidArgument("output ", Quote(output.name), " is asked for twice");
    const Type& type = model.OutputType(*plan, static_cast<int>(i));
    output.type = ToInfo(type);
    const int64_t bytes = ByteSize(type.dtype, type.shape.elements()).value();
    to[i] = output.data;
    Range& range = targets[k].range;
    if (!to[i]) {
      auto value = std::make_unique<FixedValue>();
      value->type = type;
      value->bytes = bytes;
      LINNET_ASSIGN(value->contents, Block::Allocate(bytes));
      to[i] = value->contents.data();
      targets[k].value = std::move(value);
    } else if (output.bytes < static_cast<size_t>(bytes) || !IsAligned(to[i], type.dtype)) {
      return InvalidArgument("output ", Quote(output.name), " is ", ToString(type), " and needs ", bytes,
                             " bytes, aligned for them; the caller's memory has ", output.bytes);
    }
    range = {reinterpret_cast<uintptr_t>(to[i]), static_cast<uintptr_t>(bytes)};
    auto overlaps = [&](uintptr_t begin, uintptr_t size) { return range.begin < begin + size && begin < range.begin + range.bytes; };
    bool taken = false;
    for (const Fact& fact : facts) taken = taken || overlaps(reinterpret_cast<uintptr_t>(fact.data), static_cast<uintptr_t>(BytesOf(fact)));
    for (size_t other = 0; other < k; ++other) taken = taken || overlaps(targets[other].range.begin, targets[other].range.bytes);
    if (taken) return InvalidArgument("the memory of ", Quote(output.name), " overlaps other memory of the run");
  }
  LINNET_TRY(model.Run(*plan, facts.data(), to.data()));
  for (size_t k = 0; k < output_count; ++k) {
    if (targets[k].value) LINNET_TRY(GiveHandle(std::move(targets[k].value), &outputs[k].value));
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
    auto made = std::make_unique<FixedSession>();
    LINNET_ASSIGN(made->file, MappedFile::Open(path));
    const std::string_view bytes = made->file->bytes();
    return OpenSession(std::move(made), bytes, options, session).At(Quote(path));
  });
}
LinnetCode LinnetSessionFromMemory(const void* bytes, size_t size, const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT {
  return Guard([&]() -> Status { return OpenBytes(std::make_unique<FixedSession>(), bytes, size, false, options, session); });
}
LinnetCode LinnetSessionFromBorrowed(const void* bytes, size_t size, void (*release)(void* user), void* user,
                                     const LinnetOptions* options, LinnetSession** session) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    auto made = std::make_unique<FixedSession>();
    made->release = release;
    made->user = user;
    return OpenBytes(std::move(made), bytes, size, true, options, session);
  });
}
LinnetCode LinnetSessionClose(LinnetSession* session) LINNET_NOEXCEPT { return Close<FixedSession>(session); }

LinnetCode LinnetSessionPortCounts(LinnetSession* handle, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_USE(FixedSession, session, handle);
    if (inputs) *inputs = static_cast<size_t>(session->model->input_count());
    if (outputs) *outputs = static_cast<size_t>(session->model->output_count());
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
