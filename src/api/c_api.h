// What the files of the C boundary share: the objects behind handles.
#pragma once

#include <stdint.h>

#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/boundary.h"
#include "api/log_routing.h"
#include "api/session.h"
#include "api/trace.h"
#include "base/mutex.h"
#include "linnet/linnet_extend.h"

namespace linnet::api {

// Types ---------------------------------------------------------------------------------------------------------------

Result<Type> FromInfo(const LinnetTypeInfo& info);
/// A tensor type from a caller's numbers, checked: known element type, rank within bounds, dimensions >= 0.
Result<Type> TensorType(LinnetElementType type, const int64_t* shape, int32_t rank);
/// As LinnetTensorBytes; `dtype` is known.
Result<int64_t> CallerBytes(DType dtype, int64_t elements);
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
