// The C boundary: custom passes, and the editing of graphs they do.
#include <algorithm>

#include "api/lent_graph.h"

namespace linnet::api {

Status RunCustomPass(void* user, Graph& graph, const PassContext&) {
  const auto& pass = *static_cast<const CustomPassCallback*>(user);
  LinnetGraph lent(graph);
  return CallBack([&] { return pass.run(pass.user, &lent); });
}

namespace {

Status CheckValue(const LinnetGraph& lent, LinnetValueId value) {
  if (value >= 0 && value < lent.graph.value_count()) return Status();
  return InvalidArgument("value ", value, " does not exist in this graph");
}

Status CheckAt(const char* what, size_t index, size_t count) {
  return index < count ? Status() : InvalidArgument(what, " ", index, " of ", count);
}

}  // namespace
}  // namespace linnet::api

using namespace linnet;
using namespace linnet::api;

LinnetCode LinnetOptionsAddPass(LinnetOptions* options, const LinnetPass* pass) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LinnetPass given = {};
    LINNET_TRY(ReadStruct(pass, &given));
    if (!given.name || !given.name[0]) return InvalidArgument("the pass has no name");
    if (!given.run) return InvalidArgument("pass ", Quote(given.name), " lacks its run callback");
#if defined(LINNET_NO_ONNX)
    return Fail(Code::kNotInBuild, "rewriting graphs is not in this build; it runs .linnet files");
#else
    for (const Pass& built_in : BuiltInPasses()) {
      if (std::string_view(given.name) == built_in.name) return InvalidArgument("pass ", Quote(given.name), " is built in");
    }
    auto custom = std::make_shared<CustomPassCallback>();
    *custom = {given.name, given.user, given.run};
    LINNET_USE(OptionsObject, object, options);
    Lock lock(object->mutex);
    object->settings.passes.push_back(std::move(custom));
    return Status();
#endif
  });
}

LinnetCode LinnetGraphCounts(LinnetGraph* graph, size_t* nodes, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(graph);
    if (nodes) {
      LINNET_ASSIGN(graph->order, graph->graph.Order());
      *nodes = graph->order.size();
    }
    if (inputs) *inputs = graph->graph.inputs.size();
    if (outputs) *outputs = graph->graph.outputs().size();
    return Status();
  });
}

LinnetCode LinnetGraphNode(LinnetGraph* graph, size_t index, LinnetNode** node) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(node);
    *node = nullptr;
    LINNET_NOT_NULL(graph);
    LINNET_TRY(CheckAt("node", index, graph->order.size()));
    NodeId id = graph->order[index];
    if (graph->graph.node(id).alive) *node = graph->Lend(id);
    return Status();
  });
}

LinnetCode LinnetGraphInput(LinnetGraph* graph, size_t index, LinnetValueId* value) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(graph);
    LINNET_NOT_NULL(value);
    LINNET_TRY(CheckAt("input", index, graph->graph.inputs.size()));
    *value = graph->graph.inputs[index];
    return Status();
  });
}

LinnetCode LinnetGraphOutput(LinnetGraph* graph, size_t index, LinnetValueId* value) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(graph);
    LINNET_NOT_NULL(value);
    LINNET_TRY(CheckAt("output", index, graph->graph.outputs().size()));
    *value = graph->graph.outputs()[index];
    return Status();
  });
}

LinnetCode LinnetGraphValue(LinnetGraph* graph, LinnetValueId value, const char** name, LinnetTypeInfo* type,
                            size_t* readers) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(graph);
    LINNET_TRY(CheckValue(*graph, value));
    const Value& found = graph->graph.value(value);
    if (name) *name = found.name.c_str();
    if (type) *type = ToInfo(found.type);
    if (readers) *readers = found.uses.size();
    return Status();
  });
}

LinnetCode LinnetGraphProducer(LinnetGraph* graph, LinnetValueId value, LinnetNode** node) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(node);
    *node = nullptr;
    LINNET_NOT_NULL(graph);
    LINNET_TRY(CheckValue(*graph, value));
    NodeId producer = graph->graph.value(value).producer;
    if (producer != kNoNode) *node = graph->Lend(producer);
    return Status();
  });
}

LinnetCode LinnetGraphConstant(LinnetGraph* graph, LinnetValueId value, LinnetValue** contents) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(contents);
    *contents = nullptr;
    LINNET_NOT_NULL(graph);
    LINNET_TRY(CheckValue(*graph, value));
    const Value& found = graph->graph.value(value);
    if (!found.is_constant || graph->graph.is_input(value)) return Status();
    return GiveTensor(found.constant, contents);
  });
}

LinnetCode LinnetNodePortCounts(const LinnetNode* node, size_t* inputs, size_t* outputs) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    if (inputs) *inputs = found.inputs.size();
    if (outputs) *outputs = found.outputs.size();
    return Status();
  });
}

LinnetCode LinnetNodeInput(const LinnetNode* node, size_t index, LinnetValueId* value) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(value);
    LINNET_TRY(CheckAt("input", index, found.inputs.size()));
    *value = found.inputs[index];
    return Status();
  });
}

LinnetCode LinnetNodeOutput(const LinnetNode* node, size_t index, LinnetValueId* value) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(value);
    LINNET_TRY(CheckAt("output", index, found.outputs.size()));
    *value = found.outputs[index];
    return Status();
  });
}

LinnetCode LinnetNodeBody(const LinnetNode* node, size_t index, LinnetGraph** body) LINNET_NOEXCEPT {
  return WithNode(node, [&](const Node& found) -> Status {
    LINNET_NOT_NULL(body);
    *body = nullptr;
    if (!node->owner) return InvalidArgument("the bodies of this node are not lent here");
    std::vector<Graph*> bodies = Graph::Subgraphs(found);
    LINNET_TRY(CheckAt("body", index, bodies.size()));
    *body = node->owner->LendBody(*bodies[index]);
    return Status();
  });
}

LinnetCode LinnetGraphAddConstant(LinnetGraph* graph, const char* name, LinnetValue* tensor, LinnetValueId* value) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(graph);
    LINNET_NOT_NULL(value);
    LINNET_USE(ValueObject, object, tensor);
    if (!object->datum->type.is_tensor()) {
      return InvalidArgument("a constant must be a tensor, not ", ToString(object->datum->type));
    }
    *value = graph->graph.AddConstant(graph->graph.FreshName(name ? name : "constant"), object->datum->tensor);
    return Status();
  });
}

LinnetCode LinnetGraphAddNode(LinnetGraph* graph, const char* name, const char* domain, const char* op, int32_t version,
                              const LinnetValueId* inputs, size_t input_count, size_t output_count,
                              LinnetNode** node) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(graph);
    LINNET_NOT_NULL(op);
    if (input_count > 0) LINNET_NOT_NULL(inputs);
    if (output_count > INT16_MAX) return InvalidArgument("a node of ", output_count, " outputs cannot be made");
    Node made;
    made.name = name ? name : op;
    made.domain = domain ? domain : "";
    made.op = op;
    made.version = version;
    for (size_t i = 0; i < input_count; ++i) {
      if (inputs[i] != kNoValue) LINNET_TRY(CheckValue(*graph, inputs[i]));
      made.inputs.push_back(inputs[i]);
    }
    for (size_t i = 0; i < output_count; ++i) {
      made.outputs.push_back(graph->graph.AddValue(graph->graph.FreshName(made.name)));
    }
    LINNET_ASSIGN(NodeId id, graph->graph.AddNode(std::move(made)));
    if (node) *node = graph->Lend(id);
    return Status();
  });
}

LinnetCode LinnetGraphReplaceUses(LinnetGraph* graph, LinnetValueId from, LinnetValueId to) LINNET_NOEXCEPT {
  return Guard([&]() -> Status {
    LINNET_NOT_NULL(graph);
    LINNET_TRY(CheckValue(*graph, from));
    LINNET_TRY(CheckValue(*graph, to));
    graph->graph.ReplaceUses(from, to);
    return Status();
  });
}

LinnetCode LinnetNodeRemove(LinnetNode* node) LINNET_NOEXCEPT {
  return EditNode(node, [&](Node&) -> Status {
    node->owner->graph.RemoveNode(node->id);
    return Status();
  });
}

LinnetCode LinnetNodeSetOp(LinnetNode* node, const char* domain, const char* op, int32_t version) LINNET_NOEXCEPT {
  return EditNode(node, [&](Node& found) -> Status {
    LINNET_NOT_NULL(op);
    found.domain = domain ? domain : "";
    found.op = op;
    found.version = version;
    return Status();
  });
}

LinnetCode LinnetNodeSetInput(LinnetNode* node, size_t index, LinnetValueId value) LINNET_NOEXCEPT {
  return EditNode(node, [&](Node& found) -> Status {
    if (value != kNoValue) LINNET_TRY(CheckValue(*node->owner, value));
    if (index > found.inputs.size()) return InvalidArgument("input ", index, " of ", found.inputs.size());
    if (index == found.inputs.size()) {
      node->owner->graph.AddNodeInput(node->id, value);
    } else {
      node->owner->graph.SetInput(node->id, static_cast<int>(index), value);
    }
    return Status();
  });
}
