// The C boundary: custom operators, which enter the operator table like the built-in ones.
#include <string.h>

#include "api/c_api.h"

namespace linnet::api {

struct CustomOperator {
  std::string domain, name;
  LinnetOperator callbacks = {};
};

namespace {

/// The state behind one node of a custom operator.
struct CustomState {
  const CustomOperator* op;
  void* user_state = nullptr;
  bool made = false;
};

}  // namespace
}  // namespace linnet::api

/// What infer sees; lent for the call.
struct LinnetInfer {
  linnet::InferContext& context;
};

/// What compute sees; lent for the call. `given` says which outputs it has provided.
struct LinnetCompute {
  linnet::RunContext& context;
  std::vector<char> given;
};

namespace linnet::api {
namespace {

Status ParseCustom(void* state, const Node& node) {
  auto& custom = *static_cast<CustomState*>(state);
  const LinnetOperator& callbacks = custom.op->callbacks;
  if (callbacks.create) {
    LinnetNode lent;
    lent.alone = &node;
    LINNET_TRY(CallBack([&] { return callbacks.create(callbacks.user, &lent, &custom.user_state); }));
  }
  custom.made = true;
  return Status();
}

Status InferCustom(const void* state, InferContext& context) {
  const auto& custom = *static_cast<const CustomState*>(state);
  const LinnetOperator& callbacks = custom.op->callbacks;
  LinnetInfer lent{context};
  return CallBack([&] { return callbacks.infer(callbacks.user, custom.user_state, &lent); });
}

Status ComputeCustom(const void* state, RunContext& context) {
  const auto& custom = *static_cast<const CustomState*>(state);
  LinnetCompute lent{context, std::vector<char>(static_cast<size_t>(context.output_count()), 0)};
  const LinnetOperator& callbacks = custom.op->callbacks;
  LINNET_TRY(CallBack([&] { return callbacks.compute(callbacks.user, custom.user_state, &lent); }));
  for (int i = 0; i < context.output_count(); ++i) {
    if (context.has_output(i) && !lent.given[static_cast<size_t>(i)]) {
      return InvalidArgument("its compute callback left output ", i, " without contents");
    }
  }
  return Status();
}

OpDef DefinitionOf(const CustomOperator& op) {
  OpDef def;
  def.name = {op.domain.c_str(), op.name.c_str(), op.callbacks.since_version};
  def.user = &op;
  def.state_bytes = sizeof(CustomState);
  def.construct = [](void* state, const OpDef& self) { new (state) CustomState{static_cast<const CustomOperator*>(self.user)}; };
  def.destroy = [](void* state) {
    auto& custom = *static_cast<CustomState*>(state);
    const LinnetOperator& callbacks = custom.op->callbacks;
    if (custom.made && callbacks.destroy) callbacks.destroy(callbacks.user, custom.user_state);
  };
  def.parse = ParseCustom;
  def.infer = InferCustom;
  def.run = ComputeCustom;
  def.random = op.callbacks.is_random != 0;
  return def;
}

Status CheckIndex(const char* what, size_t index, int count) {
  return index < static_cast<size_t>(count) ? Status() : InvalidArgument(what, " ", index, " of ", count);
}

/// Fails unless `have` is a case of what infer promised: later steps rely on it.
Status CheckPromise(const Type& promised, const Type& have, size_t output) {
  auto fail = [&] {
    return InvalidArgument("output ", output, " is ", ToString(have), " where infer said ", ToString(promised));
  };
  if (promised.kind == Kind::kUnknown) return Status();
  if (promised.kind != have.kind || promised.key != have.key) return fail();
  if (promised.dtype != DType::kUndefined && promised.dtype != have.dtype) return fail();
  if (!promised.is_tensor() || !promised.shape.has_rank()) return Status();
  if (promised.shape.rank() != have.shape.rank()) return fail();
  for (int d = 0; d < have.shape.rank(); ++d) {
    if (promised.shape[d] >= 0 && promised.shape[d] != have.shape[d]) return fail();
  }
  return Status();
}

bool IsStaticTensor(const Type& type) {
  return type.is_tensor() && type.dtype != DType::kUndefined && type.shape.is_static();
}

}  // namespace

void BuildTable(SessionSettings& settings) {
  if (settings.operators.empty()) return;
  settings.table = std::make_unique<OpTable>();
  for (const std::shared_ptr<const CustomOperator>& op : settings.operators) settings.table->Add(DefinitionOf(*op));
  settings.core.table = settings.table.get();
}

}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

LinnetCode LinnetOptionsAddOperator(LinnetOptions* options, const LinnetOperator* op) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    auto custom = std::make_shared<CustomOperator>();
    LINNET_TRY(ReadStruct(op, &custom->callbacks));
    const LinnetOperator& callbacks = custom->callbacks;
    if (!callbacks.name || !callbacks.name[0]) return InvalidArgument("the operator has no name");
    if (callbacks.since_version < 1) return InvalidArgument("the operator's version is ", callbacks.since_version);
    if (!callbacks.infer || !callbacks.compute) {
      return InvalidArgument("operator ", Quote(callbacks.name), " lacks its infer or its compute callback");
    }
    custom->name = callbacks.name;
    custom->domain = callbacks.domain ? callbacks.domain : "";
    if (custom->domain == "ai.onnx") custom->domain.clear();
    LINNET_USE(OptionsObject, object, options);
    Lock lock(object->mutex);
    object->settings.operators.push_back(std::move(custom));
    return Status();
  });
}

LinnetCode LinnetInferCounts(const LinnetInfer* infer, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(infer);
    if (inputs) *inputs = static_cast<size_t>(infer->context.input_count());
    if (outputs) *outputs = static_cast<size_t>(infer->context.output_count());
    return Status();
  });
}

LinnetCode LinnetInferInput(const LinnetInfer* infer, size_t index, LinnetTypeInfo* type) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(infer);
    LINNET_NOT_NULL(type);
    LINNET_TRY(CheckIndex("input", index, infer->context.input_count()));
    int i = static_cast<int>(index);
    *type = ToInfo(infer->context.has_input(i) ? infer->context.type(i) : Type());
    return Status();
  });
}

LinnetCode LinnetInferInputData(const LinnetInfer* infer, size_t index, const void** data, size_t* bytes) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(infer);
    LINNET_NOT_NULL(data);
    LINNET_TRY(CheckIndex("input", index, infer->context.input_count()));
    *data = nullptr;
    if (bytes) *bytes = 0;
    int i = static_cast<int>(index);
    if (!infer->context.has_input(i) || !infer->context.data(i)) return Status();
    const Type& type = infer->context.type(i);
    if (!IsStaticTensor(type) || type.dtype == DType::kString) return Status();
    LINNET_ASSIGN(int64_t size, ByteSize(type.dtype, type.shape.elements()));
    *data = infer->context.data(i);
    if (bytes) *bytes = static_cast<size_t>(size);
    return Status();
  });
}

LinnetCode LinnetInferOutput(LinnetInfer* infer, size_t index, const LinnetTypeInfo* type) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(infer);
    LINNET_NOT_NULL(type);
    LINNET_TRY(CheckIndex("output", index, infer->context.output_count()));
    LINNET_ASSIGN(Type made, FromInfo(*type));
    return infer->context.SetOutput(static_cast<int>(index), made);
  });
}

LinnetCode LinnetComputeCounts(const LinnetCompute* compute, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(compute);
    if (inputs) *inputs = static_cast<size_t>(compute->context.input_count());
    if (outputs) *outputs = static_cast<size_t>(compute->context.output_count());
    return Status();
  });
}

LinnetCode LinnetComputeInput(const LinnetCompute* compute, size_t index, LinnetTensor* tensor) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(compute);
    LINNET_NOT_NULL(tensor);
    const RunContext& context = compute->context;
    LINNET_TRY(CheckIndex("input", index, context.input_count()));
    *tensor = {};
    int i = static_cast<int>(index);
    if (!context.has_input(i) || !context.input_type(i).is_tensor()) return Status();
    const Type& type = context.input_type(i);
    tensor->type = static_cast<LinnetElementType>(type.dtype);
    tensor->rank = type.shape.rank();
    tensor->shape = type.shape.begin();
    if (type.dtype == DType::kString) return Status();
    LINNET_ASSIGN(int64_t bytes, ByteSize(type.dtype, type.shape.elements()));
    tensor->data = context.input(i);
    tensor->bytes = static_cast<size_t>(bytes);
    return Status();
  });
}

LinnetCode LinnetComputeInputValue(const LinnetCompute* compute, size_t index, LinnetValue** value) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(value);
    *value = nullptr;
    LINNET_NOT_NULL(compute);
    LINNET_TRY(CheckIndex("input", index, compute->context.input_count()));
    if (!compute->context.has_input(static_cast<int>(index))) return Status();
    LINNET_ASSIGN(Datum datum, compute->context.CopyInput(static_cast<int>(index)));
    return GiveValue(std::move(datum), value);
  });
}

LinnetCode LinnetComputeOutput(LinnetCompute* compute, size_t index, LinnetElementType type, const int64_t* shape, int32_t rank,
                               void** data) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(data);
    *data = nullptr;
    LINNET_NOT_NULL(compute);
    const RunContext& context = compute->context;
    LINNET_TRY(CheckIndex("output", index, context.output_count()));
    int i = static_cast<int>(index);
    LINNET_ASSIGN(Type made, TensorType(type, shape, rank));
    if (made.dtype == DType::kString) return InvalidArgument("output ", index, " has strings: give it as a value");
    if (!context.has_output(i)) return Status();
    LINNET_TRY(CheckPromise(context.output_type(i), made, index));
    if (IsStaticTensor(context.output_type(i))) {
      *data = context.output(i);
    } else if (compute->given[index]) {
      return InvalidArgument("output ", index, " was given already");
    } else {
      LINNET_ASSIGN(*data, context.AllocateOutput(i, made.dtype, made.shape));
    }
    compute->given[index] = 1;
    return Status();
  });
}

LinnetCode LinnetComputeOutputValue(LinnetCompute* compute, size_t index, LinnetValue* value) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(compute);
    const RunContext& context = compute->context;
    LINNET_TRY(CheckIndex("output", index, context.output_count()));
    LINNET_USE(ValueObject, object, value);
    int i = static_cast<int>(index);
    if (!context.has_output(i)) return Status();
    LINNET_TRY(CheckPromise(context.output_type(i), object->datum->type, index));
    if (IsStaticTensor(context.output_type(i))) {
      CopyElements(object->datum->type, object->datum->tensor.data(), context.output(i));
    } else {
      LINNET_TRY(context.SetOutput(i, *object->datum));
    }
    compute->given[index] = 1;
    return Status();
  });
}

LinnetCode LinnetComputeParallel(LinnetCompute* compute, int64_t n, double ns_per_item,
                                 void (*body)(void* user, int64_t begin, int64_t end), void* user) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(compute);
    LINNET_NOT_NULL(body);
    if (!(ns_per_item >= 0)) return InvalidArgument("the cost of an item is ", ns_per_item, " ns");
    return compute->context.ParallelFor(n, GrainFor(ns_per_item), ns_per_item,
                                        [&](int64_t begin, int64_t end, int) { body(user, begin, end); });
  });
}

LinnetCode LinnetComputeCheck(const LinnetCompute* compute) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(compute);
    return compute->context.CheckStop();
  });
}
