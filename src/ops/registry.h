// The operator table: which implementation a (domain, name, version) means.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "ops/op.h"

namespace linnet {

/// The factories of the built-in operators, null-terminated: generated from the LINNET_OP lines.
OpDef (*const* OperatorFactories())();
/// True when only the operators of a configuration are built in. Others may exist: this build cannot tell.
bool IsReducedBuild();
/// Of operators that are built in, the versions that a reduced build left out; terminated by a null name.
const OpName* VersionsLeftOut();
/// What the configuration of a reduced build says behind !globally_allowed_types; "" when it does not.
const char* AllowedTypes();

/// Operators by domain, name and version. Starts with the built-in ones; custom operators are added to a session's copy.
class OpTable {
 public:
  OpTable();
  void Add(const OpDef& def);
  /// The row with the highest `since` not above `version`, or a failure that names the nearest known versions, or says
  /// that this build left the operator out. "ai.onnx" and "" are the same domain.
  Result<const OpDef*> Find(std::string_view domain, std::string_view name, int version) const;
  const std::vector<OpDef>& rows() const { return rows_; }
  /// The built-in table.
  static const OpTable& BuiltIn();

 private:
  std::vector<OpDef> rows_;   ///< sorted by domain, name, since
};

/// `failure` as it was, or, when it says that an operator or an element type is not there, a failure that names all that
/// `graph` and its subgraphs have and `table` or this build lacks: operators, and operators of element types. It ends with the
/// lines to add to the configuration of a reduced build.
Status ListMissing(Status failure, const Graph& graph, const OpTable& table);

/// One operator instance: its definition and its parsed state.
class OpInstance {
 public:
  OpInstance() = default;
  OpInstance(OpInstance&& other) noexcept : def_(other.def_), state_(other.state_) { other.state_ = nullptr; }
  OpInstance& operator=(OpInstance&& other) noexcept {
    std::swap(def_, other.def_);
    std::swap(state_, other.state_);
    return *this;
  }
  ~OpInstance();
  /// Constructs and parses.
  static Result<OpInstance> Make(const OpDef& def, const Node& node);
  const OpDef& def() const { return *def_; }
  void* state() const { return state_; }
  explicit operator bool() const { return state_ != nullptr; }

 private:
  const OpDef* def_ = nullptr;
  void* state_ = nullptr;
};

/// The operator's Infer. Fails also where a type it meets or gives is one that a reduced build has no loops for: from then on
/// operators may rely on finding theirs.
Status InferTypes(const OpInstance& op, InferContext& c);

/// Runs one node on concrete inputs outside of any model: constant folding and tests. `inputs` may have null-typed
/// entries for omitted inputs. Fails for nodes with subgraphs.
Result<std::vector<Datum>> Evaluate(const OpTable& table, const Node& node, std::span<const Datum> inputs,
                                    MemoryBudget* budget = nullptr, int64_t output_bytes_max = INT64_MAX);

}  // namespace linnet
