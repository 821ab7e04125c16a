// The contract of an operator: one struct whose members are its parsed attributes and prepared state.
//
//     struct Softmax {
//       int64_t axis = -1;
//       Status Parse(const Node& node);               // attributes and version → members; validates them
//       Status Infer(InferContext& c) const;          // output types from input types (and known contents)
//       Status Prepare(PrepareContext& c);            // optional, once per model: kernels, packed weights; Parse's node lives
//       Status Bind(BindContext& c) const;            // optional, per shapes: parameters, scratch, views, in place
//       Status Run(RunContext& c) const;              // computes
//     };
//     LINNET_OP(Softmax, 13, Softmax);                // one line per schema version that changes the meaning
//
// `since` is the opset version from which the line holds; a node takes the highest `since` not above its version.
// Infer meets symbolic, unknown and known dimensions alike (graph/shape.h). It leaves a dimension kUnknownDim when it
// depends on contents that are not known *yet* (`c.data(i)` is null): the step is then inferred and bound when it
// runs, with all contents known. If a dimension is still unknown then (NonZero), Run calls RunContext::AllocateOutput.
// An Infer that sees an input of unknown kind or rank sets what it can (at least the dtype) and succeeds.
// Bind and Run only ever see static shapes (of tensors) and types that Infer accepted.
// Optional static members:
//     static constexpr bool kShapeOnly = true;        // outputs depend on input shapes alone (Shape, Size)
//     static constexpr bool kRandom = true;           // never folded, never merged
#pragma once

#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "base/cpu.h"
#include "base/function_ref.h"
#include "run/context.h"

namespace linnet {

struct OpName {
  const char* domain;
  const char* name;
  int since;
};

/// Views of a node's inputs and outputs for type inference.
class InferContext {
 public:
  InferContext(Fact* facts, const ValueId* inputs, int input_count, const ValueId* outputs, int output_count)
      : facts_(facts), inputs_(inputs), outputs_(outputs), input_count_(input_count), output_count_(output_count) {}

  int input_count() const { return input_count_; }
  int output_count() const { return output_count_; }
  bool has_input(int i) const { return i < input_count_ && inputs_[i] != kNoValue; }
  bool has_output(int i) const { return i < output_count_ && outputs_[i] != kNoValue; }
  const Fact& fact(int i) const { return facts_[inputs_[i]]; }
  const Type& type(int i) const { return fact(i).type; }
  const Shape& shape(int i) const { return type(i).shape; }
  DType dtype(int i) const { return type(i).dtype; }
  /// Contents of input i, null when not known.
  const void* data(int i) const { return fact(i).data; }
  template <class T>
  const T* data(int i) const { return static_cast<const T*>(data(i)); }

  /// True when input i is an int32 or int64 tensor whose contents and shape are known; then ReadInts gives them.
  bool KnowsInts(int i) const { return has_input(i) && data(i) && shape(i).is_static(); }
  /// The elements of a small integer tensor (at most kInlineInts of them), in order; fails for other types.
  static constexpr int kInlineInts = 64;
  struct SmallInts {
    int64_t values[kInlineInts];
    int count = 0;
    int64_t operator[](int i) const { return values[i]; }
    std::span<const int64_t> span() const { return {values, static_cast<size_t>(count)}; }
  };
  Result<SmallInts> ReadInts(int i) const;

  /// Checks input counts and that the required first `required` inputs are present.
  Status CheckInputs(int required, int max) const;
  /// Fails unless input i (when present) is a tensor of one of `mask`'s types (unknown dtype passes).
  Status CheckType(int i, uint32_t mask) const;
  /// Fails unless input i (when present, with rank) has this rank.
  Status CheckRank(int i, int rank) const;

  /// Sets output i (ignored when nobody asked for it); checks the shape's bounds.
  Status SetOutput(int i, const Type& type);
  Status SetOutput(int i, DType dtype, const Shape& shape) { return SetOutput(i, Type::Tensor(dtype, shape)); }
  const Type& output(int i) const { return facts_[outputs_[i]].type; }
  const Shape& output_shape(int i) const { return output(i).shape; }

 protected:
  Fact* facts_;
  const ValueId* inputs_;
  const ValueId* outputs_;
  int input_count_, output_count_;
};

/// Where packed weights live: made now, or found in a prepared model file.
class WeightStore {
 public:
  virtual ~WeightStore() = default;
  /// `bytes` of memory for (node, tag), `node` unique among the model and its bodies, 64-byte aligned, that live as long as the model. `fill` writes them; it is not
  /// called when a prepared file holds them already.
  virtual Result<const void*> Get(int64_t node, std::string_view tag, int64_t bytes, FunctionRef<Status(void*)> fill) = 0;
};

/// What Prepare sees: types without shapes of run-time inputs, contents of constant inputs.
class PrepareContext : public InferContext {
 public:
  PrepareContext(const InferContext& base, CpuLevel cpu, int threads, int64_t node, WeightStore* store)
      : InferContext(base), cpu_(cpu), threads_(threads), node_(node), store_(store) {}
  virtual ~PrepareContext() = default;

  CpuLevel cpu() const { return cpu_; }
  int threads() const { return threads_; }
  bool is_constant(int i) const { return has_input(i) && data(i) != nullptr; }
  /// Memory for weights in a kernel's own layout; see WeightStore.
  template <class Fill>
  Result<const void*> Weights(std::string_view tag, int64_t bytes, Fill&& fill) {
#if defined(LINNET_NO_ONNX)
    return store_->Get(node_, tag, bytes, NeverFill());   // files have all weights packed; what packs them is not compiled
#else
    return store_->Get(node_, tag, bytes, fill);
#endif
  }
  /// Says that Bind and Run never read input i (its contents were packed), so that it need not be kept.
  virtual void Drop(int i) = 0;
  /// Says that bytes [first, first + bytes) of constant input i are read next, and those before `first` not again by this node: of
  /// a large constant in a mapped file no more than that is resident at a time.
  virtual void Reading(int, int64_t /*first*/, int64_t /*bytes*/) {}
  /// The compiled body of a subgraph attribute of this node; owned by the model.
  virtual Result<PlanSource*> Body(const std::shared_ptr<Graph>& graph) = 0;

 private:
  struct NeverFill {
    Status operator()(void*) const;
  };

  CpuLevel cpu_;
  int threads_;
  int64_t node_;
  WeightStore* store_;
};

/// What Bind chose for one set of shapes. Plain data, valid wherever the node's inputs have the same types and contents.
struct Bound {
  static constexpr int kAliasesMax = 4;
  struct View {
    int8_t out, in;
    int64_t byte_offset;
    bool grows = false;   ///< of those in place: also where the caller's memory begins
  };
  const void* params = nullptr;
  int64_t scratch_bytes = 0;             ///< per worker
  int workers = 1;
  int alias_count = 0, in_place_count = 0;
  View alias_list[kAliasesMax], in_place_list[kAliasesMax];

  std::span<const View> aliases() const { return {alias_list, static_cast<size_t>(alias_count)}; }
  std::span<const View> in_places() const { return {in_place_list, static_cast<size_t>(in_place_count)}; }
};

/// What Bind may ask for. Outputs' types are set.
class BindContext : public InferContext {
 public:
  using View = Bound::View;
  static constexpr int kAliasesMax = Bound::kAliasesMax;
  BindContext(const InferContext& base, Bump* memory, int threads, StopSource* stop)
      : InferContext(base), memory_(memory), threads_(threads), stop_(stop) {}

  /// Plain data for Run, zero-initialised; lives as long as the plan. Null only when memory ran out.
  template <class P>
  P* Params() {
    static_assert(std::is_trivially_destructible_v<P>);
    P* params = new (Raw(sizeof(P))) P();
    bound_.params = params;
    return params;
  }
  /// More plan memory: tables whose size depends on shapes.
  template <class T>
  T* Table(int64_t count) { return static_cast<T*>(Raw(count * static_cast<int64_t>(sizeof(T)))); }

  /// Run needs `bytes_per_worker` of scratch for each of `workers`.
  void Scratch(int64_t bytes_per_worker, int workers = 1) {
    bound_.scratch_bytes = RoundUp(bytes_per_worker, static_cast<int64_t>(kAlignment));
    bound_.workers = workers;
  }
  /// Output `out` is input `in` under its own shape, `byte_offset` into it. When every output is an alias, Run is not
  /// called; where the planner cannot share memory it copies.
  void Alias(int out, int in, int64_t byte_offset = 0);
  /// Run works when output `out` has the very memory of input `in` (same byte size).
  void InPlace(int out, int in);
  /// As InPlace, and where `out`, which may be larger, begins in the caller's memory where input `in` does.
  void GrowInPlace(int out, int in);

  int threads() const { return threads_; }
  /// For long work: what ends the run that waits for this plan; may be null.
  StopSource* stop() const { return stop_; }

  // For the planner.
  const Bound& bound() const { return bound_; }
  bool out_of_memory() const { return out_of_memory_; }

 private:
  void* Raw(int64_t bytes);

  Bump* memory_;
  int threads_;
  StopSource* stop_;
  Bound bound_;
  bool out_of_memory_ = false;
};

/// An operator with its type erased: one row of the operator table.
struct OpDef {
  OpName name{"", "", 0};
  const void* user = nullptr;     ///< custom operators: their callbacks
  size_t state_bytes = 0;
  void (*construct)(void* state, const OpDef& def) = nullptr;
  void (*destroy)(void* state) = nullptr;
  Status (*parse)(void* state, const Node& node) = nullptr;
  Status (*infer)(const void* state, InferContext& context) = nullptr;
  Status (*prepare)(void* state, PrepareContext& context) = nullptr;   ///< may be null
  Status (*bind)(const void* state, BindContext& context) = nullptr;   ///< may be null
  Status (*run)(const void* state, RunContext& context) = nullptr;     ///< null: resolve lowers it before it runs
  bool shape_only = false;
  bool random = false;
};

/// kInfers: with Infer, and what planning asks of an operator.
template <class Op, bool kInfers = true>
OpDef MakeOpDef(const char* domain, const char* name, int since) {
  OpDef def;
  def.name = {domain, name, since};
  def.state_bytes = sizeof(Op);
  static_assert(alignof(Op) <= kAlignment);
  def.construct = [](void* state, const OpDef& self) {
    if constexpr (std::is_constructible_v<Op, const OpDef&>) {
      new (state) Op(self);
    } else {
      new (state) Op();
    }
  };
  def.destroy = [](void* state) { static_cast<Op*>(state)->~Op(); };
  def.parse = [](void* state, const Node& node) { return static_cast<Op*>(state)->Parse(node); };
  if constexpr (kInfers) def.infer = [](const void* state, InferContext& c) { return static_cast<const Op*>(state)->Infer(c); };
  if constexpr (requires(Op op, PrepareContext& c) { op.Prepare(c); }) {
    def.prepare = [](void* state, PrepareContext& c) { return static_cast<Op*>(state)->Prepare(c); };
  }
  if constexpr (requires(const Op op, BindContext& c) { op.Bind(c); }) {
    def.bind = [](const void* state, BindContext& c) { return static_cast<const Op*>(state)->Bind(c); };
  }
  if constexpr (requires(const Op op, RunContext& c) { op.Run(c); }) {
    def.run = [](const void* state, RunContext& c) { return static_cast<const Op*>(state)->Run(c); };
  }
  if constexpr (kInfers) {
    if constexpr (requires { Op::kShapeOnly; }) def.shape_only = Op::kShapeOnly;
    if constexpr (requires { Op::kRandom; }) def.random = Op::kRandom;
  }
  return def;
}

// The build scrapes these lines (cmake/operators.cmake); each defines the factory that the generated table lists. The
// third argument is a type, which may contain commas: LINNET_OP(Abs, 13, Unary<kAbs, kAnyNumber>);
#define LINNET_OP_(variant, domain, name, since, ...)            \
  OpDef LinnetOp_##variant##_##name##_##since();                 \
  OpDef LinnetOp_##variant##_##name##_##since() {                \
    return MakeOpDef<__VA_ARGS__>(domain, #name, since);         \
  }                                                              \
  static_assert(true)
#define LINNET_OP(name, since, ...) LINNET_OP_(, "", name, since, __VA_ARGS__)
#define LINNET_ML_OP(name, since, ...) LINNET_OP_(ML, "ai.onnx.ml", name, since, __VA_ARGS__)
#define LINNET_MS_OP(name, since, ...) LINNET_OP_(MS, "com.microsoft", name, since, __VA_ARGS__)
#define LINNET_PREVIEW_OP(name, since, ...) LINNET_OP_(PREVIEW, "ai.onnx.preview", name, since, __VA_ARGS__)
#define LINNET_TRAINING_OP(name, since, ...) LINNET_OP_(TRAINING, "ai.onnx.preview.training", name, since, __VA_ARGS__)
#define LINNET_INTERNAL_OP(name, since, ...) LINNET_OP_(INTERNAL, "linnet", name, since, __VA_ARGS__)

}  // namespace linnet
