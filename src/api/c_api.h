// What the files of the C boundary share: the guard around every entry point, and the objects behind handles.
#pragma once

#include <stdint.h>

#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/handles.h"
#include "api/log_routing.h"
#include "api/session.h"
#include "api/trace.h"
#include "base/mutex.h"
#include "linnet/linnet.h"
#include "linnet/linnet_extend.h"

namespace linnet::api {

/// Keeps the sentence of a failure for LinnetLastError. Allocates nothing.
LinnetCode KeepError(LinnetCode code, std::string_view sentence) noexcept;

/// Runs the body of an entry point and turns whatever comes out of it into a code.
template <class Body>
LinnetCode Guard(Body&& body) noexcept {
#if defined(__cpp_exceptions)
  try {
    Status status = body();
    return status.ok() ? LINNET_OK : KeepError(static_cast<LinnetCode>(status.code()), status.message());
  } catch (const std::bad_alloc&) {
    return KeepError(LINNET_OUT_OF_MEMORY, "an allocation failed");
  } catch (...) {
    return KeepError(LINNET_INTERNAL, "an exception reached the C boundary");
  }
#else
  Status status = body();
  return status.ok() ? LINNET_OK : KeepError(static_cast<LinnetCode>(status.code()), status.message());
#endif
}

/// What a callback returned, with the sentence it left through LinnetFail.
Status CallbackStatus(LinnetCode code);
/// Forgets earlier errors, so that a callback without a sentence does not get theirs.
void ForgetError();
template <class Callback>
Status CallBack(Callback&& callback) {
  ForgetError();
  return CallbackStatus(callback());
}

inline Status NullArgument(const char* name) { return InvalidArgument("argument '", name, "' is NULL"); }
inline Status NotOpen(const char* what) { return InvalidArgument("this is no open ", what, " handle"); }

#define LINNET_NOT_NULL(argument) \
  if (!(argument)) return ::linnet::api::NullArgument(#argument)
/// LINNET_USE(Session, session, handle): `session` is the object of an open handle for the rest of the block.
#define LINNET_USE(Type, name, handle)    \
  ::linnet::api::Use<Type> name(handle);  \
  if (!name) return ::linnet::api::NotOpen(Type::kName)

template <class T>
LinnetCode Close(const void* handle) noexcept {
  return Guard([&]() -> Status {
    if (!handle || CloseHandle(handle, T::kKind)) return Status();
    return NotOpen(T::kName);
  });
}

/// The first `min(size, struct_size)` bytes of `from` go to the caller's struct, which may be older and shorter.
template <class T>
Status FillStruct(T* to, T from) {
  if (!to) return InvalidArgument("a struct argument is NULL");
  size_t size = to->struct_size;
  if (size < sizeof(size_t)) return InvalidArgument("struct_size is ", size, "; set it to sizeof the struct");
  from.struct_size = size;
  __builtin_memcpy(static_cast<void*>(to), &from, size < sizeof(T) ? size : sizeof(T));
  return Status();
}
/// The caller's struct with what it lacks as zeros.
template <class T>
Status ReadStruct(const T* from, T* to) {
  if (!from) return InvalidArgument("a struct argument is NULL");
  size_t size = from->struct_size;
  if (size < sizeof(size_t)) return InvalidArgument("struct_size is ", size, "; set it to sizeof the struct");
  __builtin_memcpy(static_cast<void*>(to), from, size < sizeof(T) ? size : sizeof(T));
  return Status();
}

// Types ---------------------------------------------------------------------------------------------------------------

LinnetTypeInfo ToInfo(const Type& type);
Result<Type> FromInfo(const LinnetTypeInfo& info);
/// A tensor type from a caller's numbers, checked: known element type, rank within bounds, dimensions >= 0.
Result<Type> TensorType(LinnetElementType type, const int64_t* shape, int32_t rank);
/// As LinnetTensorBytes; `dtype` is known.
Result<int64_t> CallerBytes(DType dtype, int64_t elements);
/// What an address of a `dtype` must be a multiple of.
size_t AlignmentOf(DType dtype);
inline bool IsAligned(const void* data, DType dtype) {
  return reinterpret_cast<uintptr_t>(data) % AlignmentOf(dtype) == 0;
}
/// False when some byte of a tensor of bool is neither 0 nor 1.
bool BoolsAreValid(const void* data, int64_t count);
/// A copy of a caller's tensor in memory of ours; strings come as LinnetString.
Result<Tensor> CopyIn(const Type& type, const void* data, MemoryBudget* budget);

// Objects -------------------------------------------------------------------------------------------------------------

struct ValueObject : Object {
  static constexpr HandleKind kKind = HandleKind::kValue;
  static constexpr const char* kName = "value";
  explicit ValueObject(std::shared_ptr<const Datum> datum) : datum(std::move(datum)) {}
  std::shared_ptr<const Datum> datum;
};
Status GiveValue(Datum datum, LinnetValue** out);

struct PoolObject : Object {
  static constexpr HandleKind kKind = HandleKind::kThreadPool;
  static constexpr const char* kName = "thread pool";
  struct Pool {
    explicit Pool(int threads) : threads(threads), pool(threads) {}
    int threads;
    ThreadPool pool;
  };
  std::shared_ptr<Pool> pool;
};

struct CustomOperator;
struct CustomPassCallback {
  std::string name;
  void* user;
  LinnetCode (*run)(void* user, LinnetGraph* graph);
};

/// Everything options say. Sessions keep a copy, which keeps alive what their core points at.
struct SessionSettings {
  SessionOptions core;
  std::shared_ptr<PoolObject::Pool> pool;
  std::vector<std::shared_ptr<const CustomOperator>> operators;
  std::vector<std::shared_ptr<const CustomPassCallback>> passes;
  LogTarget log;
  bool has_log = false;
  bool profiling = false;
  std::string trace_path;
  std::unique_ptr<OpTable> table;   ///< of a session with custom operators

  SessionSettings() = default;
  /// Takes everything but the table, which Connect makes.
  void CopyFrom(const SessionSettings& other);
  /// Points `core` at the members that it needs. The settings must not move afterwards.
  void Connect();
};

struct OptionsObject : Object {
  static constexpr HandleKind kKind = HandleKind::kOptions;
  static constexpr const char* kName = "options";
  Mutex mutex;
  SessionSettings settings;
};

/// Names of ports with their positions, sorted.
using PortIndex = std::vector<std::pair<std::string_view, int>>;

/// A session with all it depends on; bindings share it with the handle.
struct SessionParts {
  ~SessionParts();
  SessionSettings settings;
  TraceLog trace;
  std::unique_ptr<Session> session;
  PortIndex input_index, output_index;
  std::vector<std::vector<std::string>> input_symbols, output_symbols;   ///< of each dimension; "" where it has none
  std::vector<char> plain_outputs;   ///< outputs whose elements are known not to be strings
};

struct SessionObject : Object {
  static constexpr HandleKind kKind = HandleKind::kSession;
  static constexpr const char* kName = "session";
  std::shared_ptr<SessionParts> parts;
};

/// Adds a table with the custom operators to settings that have any (c_api_operator.cc).
void BuildTable(SessionSettings& settings);
/// The callback of a custom pass as the pipeline calls it (c_api_graph.cc).
Status RunCustomPass(void* user, Graph& graph, const PassContext& context);

}  // namespace linnet::api

/// A node lent to a callback: of a graph under a pass, or one that exists alone.
struct LinnetNode {
  LinnetGraph* owner = nullptr;
  linnet::NodeId id = linnet::kNoNode;
  const linnet::Node* alone = nullptr;
  const linnet::Node& node() const;
};
