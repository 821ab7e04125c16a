// Running one operator in a test: Run("Add", 14, {a, b}) and friends, without any model.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/float_types.h"
#include "ops/registry.h"

namespace linnet {

/// A node with `inputs` inputs and `outputs` outputs; edit it, then Evaluate.
struct OpCall {
  OpCall(std::string_view op, int version, std::string_view domain = "") {
    node.op = op;
    node.version = version;
    node.domain = domain;
  }
  OpCall& Set(std::string_view name, Attribute::Payload payload) {
    node.Set(name, std::move(payload));
    return *this;
  }
  /// An omitted optional input.
  OpCall& Skip() {
    inputs.emplace_back();
    return *this;
  }
  OpCall& In(Tensor tensor) {
    inputs.push_back(Datum::Of(std::move(tensor)));
    return *this;
  }
  template <class T>
  OpCall& In(const Shape& shape, const std::vector<T>& values) {
    Result<Tensor> made = Tensor::Allocate(kDTypeOf<T>, shape);
    Tensor& tensor = *made;  // element by element: vector<bool> has no data()
    EXPECT_EQ(static_cast<size_t>(shape.elements()), values.size());
    for (size_t i = 0; i < values.size(); ++i) tensor.mutable_as<T>()[i] = values[i];
    return In(std::move(tensor));
  }
  Result<std::vector<Datum>> Try(int outputs = 1) {
    node.inputs.clear();
    for (size_t i = 0; i < inputs.size(); ++i) node.inputs.push_back(static_cast<ValueId>(i));
    node.outputs.clear();
    for (int i = 0; i < outputs; ++i) node.outputs.push_back(static_cast<ValueId>(inputs.size()) + i);
    return Evaluate(OpTable::BuiltIn(), node, inputs);
  }
  /// All outputs; a failure fails the test.
  std::vector<Tensor> RunAll(int outputs) {
    auto result = Try(outputs);
    EXPECT_TRUE(result.ok()) << node.op << ": " << result.status().message();
    std::vector<Tensor> tensors(static_cast<size_t>(outputs));
    for (size_t i = 0; result.ok() && i < tensors.size(); ++i) tensors[i] = (*result)[i].tensor;
    return tensors;
  }
  Tensor Run() { return RunAll(1)[0]; }
  /// The failure's sentence; empty on success.
  std::string Error() {
    auto result = Try();
    return std::string(result.status().message());
  }

  Node node;
  std::vector<Datum> inputs;
};

template <class T>
std::vector<T> Values(const Tensor& tensor) {
  EXPECT_EQ(tensor.dtype(), kDTypeOf<T>);
  if (tensor.dtype() != kDTypeOf<T> || !tensor.has_data()) return {};
  return std::vector<T>(tensor.as<T>(), tensor.as<T>() + tensor.elements());
}
inline std::vector<float> Halves(const Tensor& tensor) {
  std::vector<float> out;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    out.push_back(tensor.dtype() == DType::kFloat16 ? ToFloat(tensor.as<Float16>()[i]) : ToFloat(tensor.as<Bfloat16>()[i]));
  }
  return out;
}
template <class Half>
std::vector<Half> ToHalves(const std::vector<float>& values) {
  std::vector<Half> out;
  for (float v : values) {
    if constexpr (std::is_same_v<Half, Float16>) {
      out.push_back(ToFloat16(v));
    } else {
      out.push_back(ToBfloat16(v));
    }
  }
  return out;
}

/// Infers alone: output types for these input types (with contents where given).
inline Result<std::vector<Type>> InferTypes(OpCall& call, std::vector<Fact> inputs, int outputs = 1) {
  LINNET_ASSIGN(const OpDef* def, OpTable::BuiltIn().Find(call.node.domain, call.node.op, call.node.version));
  LINNET_ASSIGN(OpInstance op, OpInstance::Make(*def, call.node));
  std::vector<ValueId> in, out;
  for (size_t i = 0; i < inputs.size(); ++i) in.push_back(static_cast<ValueId>(i));
  for (int i = 0; i < outputs; ++i) out.push_back(static_cast<ValueId>(inputs.size()) + i);
  inputs.resize(inputs.size() + static_cast<size_t>(outputs));
  InferContext context(inputs.data(), in.data(), static_cast<int>(in.size()), out.data(), outputs);
  LINNET_TRY(def->infer(op.state(), context));
  std::vector<Type> types;
  for (ValueId id : out) types.push_back(inputs[static_cast<size_t>(id)].type);
  return types;
}

}  // namespace linnet
