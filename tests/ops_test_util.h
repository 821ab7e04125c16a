// Running one operator in a test: Run("Add", 14, {a, b}) and friends, without any model.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/float_types.h"
#include "base/thread_pool.h"
#include "compile/model.h"
#include "ops/registry.h"
#include "run/state.h"

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
  /// The same through a model whose inputs are fed when it runs, except those in `constants`, on `threads` threads.
  std::vector<Tensor> RunFed(int outputs, std::vector<int> constants = {}, int threads = 1);
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

inline std::vector<Tensor> OpCall::RunFed(int outputs, std::vector<int> constants, int threads) {
  auto graph = std::make_shared<Graph>();
  std::vector<Fact> feeds, facts;
  Node copy = node;
  copy.inputs.clear();
  copy.outputs.clear();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Datum& input = inputs[i];
    const std::string name = "in" + std::to_string(i);
    const bool constant = std::find(constants.begin(), constants.end(), static_cast<int>(i)) != constants.end();
    facts.push_back({input.type, constant ? input.tensor.data() : nullptr});
    if (input.type.kind == Kind::kUnknown) {
      copy.inputs.push_back(kNoValue);
    } else if (constant) {
      copy.inputs.push_back(graph->AddConstant(name, input.tensor));
    } else {
      copy.inputs.push_back(graph->AddInput(name, input.type));
      feeds.push_back({input.type, input.tensor.data()});
    }
  }
  std::vector<Tensor> tensors(static_cast<size_t>(outputs));
  for (int i = 0; i < outputs; ++i) {
    copy.outputs.push_back(graph->AddValue("out" + std::to_string(i)));
    graph->AddOutput(copy.outputs.back());
  }
  std::vector<ValueId> ids = copy.outputs;
  auto run = [&]() -> Status {
    LINNET_ASSIGN(NodeId id, graph->AddNode(std::move(copy)));
    LINNET_ASSIGN(const OpDef* def, OpTable::BuiltIn().Find(node.domain, node.op, node.version));
    LINNET_ASSIGN(OpInstance op, OpInstance::Make(*def, node));
    std::vector<Fact> all(static_cast<size_t>(graph->value_count()));
    const Node& made = graph->node(id);
    for (size_t i = 0; i < facts.size(); ++i) {
      if (made.inputs[i] != kNoValue) all[static_cast<size_t>(made.inputs[i])] = facts[i];
    }
    InferContext context(all.data(), made.inputs.data(), static_cast<int>(made.inputs.size()), made.outputs.data(), outputs);
    LINNET_TRY(def->infer(op.state(), context));
    for (ValueId out : ids) graph->SetType(out, all[static_cast<size_t>(out)].type);
    CompileOptions options;
    options.table = &OpTable::BuiltIn();
    options.cpu = DetectedCpuLevel();
    options.threads = threads;
    LINNET_ASSIGN(std::unique_ptr<Model> model, Model::Make(graph, options));
    ThreadPool pool(threads);
    RunEnv env;
    env.pool = &pool;
    env.threads = threads;
    RunState state;
    std::vector<RunOutput> results(static_cast<size_t>(outputs));
    // Twice: the second run finds its plan made and its memory used.
    for (int turn = 0; turn < 2; ++turn) {
      LINNET_TRY(state.Run(*model, env, feeds.data(), static_cast<int>(feeds.size()), results.data(), outputs));
    }
    for (size_t i = 0; i < results.size(); ++i) tensors[i] = results[i].datum.tensor;
    return Status();
  };
  Status status = run();
  EXPECT_TRUE(status.ok()) << node.op << ": " << status.message();
  return tensors;
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
