// Optional values: wrapped, unwrapped, asked for. Since version 18 plain tensors and sequences count as present.
#include "ops/movement.h"

namespace linnet {
namespace {

bool IsOptional(const Type& type) { return type.kind == Kind::kOptional || type.kind == Kind::kOptionalSequence; }

/// optional(T) for T and the other way round; unknown for what has no such type.
Type Wrapped(Type type) {
  type.kind = type.kind == Kind::kTensor ? Kind::kOptional : type.kind == Kind::kSequence ? Kind::kOptionalSequence : Kind::kUnknown;
  type.shape = Shape();
  return type;
}
Type Unwrapped(Type type) {
  type.kind = type.kind == Kind::kOptional ? Kind::kTensor : type.kind == Kind::kOptionalSequence ? Kind::kSequence : type.kind;
  return type;
}

struct Optional {
  Type element;   ///< of an empty optional

  Status Parse(const Node& node) {
    LINNET_ASSIGN(element, node.TypeOf("type"));
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(0, 1));
    const Type type = c.has_input(0) ? Wrapped(c.type(0)) : IsOptional(element) ? element : Wrapped(element);
    if (!c.has_input(0) && type.kind == Kind::kUnknown) return InvalidModel("has neither an input nor attribute 'type'");
    return c.SetOutput(0, type);
  }
  Status Run(RunContext& c) const {
    Datum value;
    if (c.has_input(0)) {
      LINNET_ASSIGN(value, c.CopyInput(0));
      value.type = Wrapped(value.type);
    } else {
      value.type = c.output_type(0);
    }
    value.present = c.has_input(0);
    return c.SetOutput(0, std::move(value));
  }
};

struct OptionalGetElement {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    Type type = Unwrapped(c.type(0));
    if (IsOptional(c.type(0))) type.shape = Shape();
    return c.SetOutput(0, type);
  }
  Status Bind(BindContext& c) const {
    if (c.type(0).is_tensor()) c.Alias(0, 0);
    return Status();
  }
  Status Run(RunContext& c) const {
    LINNET_ASSIGN(Datum value, c.CopyInput(0));
    if (!value.present) return InvalidArgument("the optional value is empty");
    value.type = value.type.kind == Kind::kOptional ? value.tensor.type() : Unwrapped(value.type);
    return c.SetOutput(0, std::move(value));
  }
};

struct OptionalHasElement {
  Status Parse(const Node&) { return Status(); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(0, 1));
    return c.SetOutput(0, DType::kBool, Shape::OfRank(0));
  }
  Status Run(RunContext& c) const {
    *c.out<bool>(0) = c.has_input(0) && (!IsOptional(c.input_type(0)) || c.input_datum(0).present);
    return Status();
  }
};

}  // namespace

LINNET_OP(Optional, 15, Optional);
LINNET_OP(OptionalGetElement, 15, OptionalGetElement);
LINNET_OP(OptionalHasElement, 15, OptionalHasElement);

}  // namespace linnet
