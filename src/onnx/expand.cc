// Expanding a call of a model-local function: its body's nodes are read into the graph of the call.
#include "onnx/graph_reader.h"

namespace linnet::onnx {

Status GraphReader::PassAttributes(const NodeView& node, const Function& function, Scope& scope, Scope& body,
                                   Frame& frame) {
  auto name_of = [&](std::string_view bytes, std::string_view* reference) {
    std::string_view name;
    Message message(bytes, context_.cursor);
    while (message.Next()) {
      switch (message.field()) {
        case attribute::kName: name = message.Bytes(); break;
        case attribute::kRefAttrName: *reference = message.Bytes(); break;
        default: message.Skip();
      }
    }
    return name;
  };
  for (std::string_view message : node.attributes) {
    std::string_view reference;
    std::string_view name = name_of(message, &reference);
    Argument argument{message, &scope};
    if (!reference.empty()) {
      if (!scope.frame) return InvalidModel("attribute ", Quote(name), " refers to a function's attribute, but is in none");
      auto given = scope.frame->attributes.find(reference);
      if (given == scope.frame->attributes.end()) continue;
      argument = given->second;
    }
    if (!frame.attributes.emplace(name, argument).second) {
      return InvalidModel("attribute ", Quote(name), " is given twice");
    }
  }
  for (std::string_view message : function.defaults) {
    std::string_view reference;
    std::string_view name = name_of(message, &reference);
    if (!reference.empty()) return InvalidModel("the default of attribute ", Quote(name), " is a reference");
    frame.attributes.emplace(name, Argument{message, &body});
  }
  return Status();
}

Status GraphReader::Expand(const NodeView& node, const Function& function, Scope& scope) {
  if (node.inputs.size() > function.inputs.size() || node.outputs.size() > function.outputs.size()) {
    return InvalidModel("a call with ", node.inputs.size(), " inputs and ", node.outputs.size(), " outputs of a function with ",
                        function.inputs.size(), " and ", function.outputs.size());
  }
  Frame frame{&function, std::string(node.name.empty() ? node.op : node.name), {}};
  if (scope.is_body()) frame.prefix = Cat(scope.frame->prefix, "/", frame.prefix);
  LINNET_TRY(context_.Charge(static_cast<int64_t>(frame.prefix.size() + sizeof(Scope))));
  Scope body{scope.graph, nullptr, &frame, scope.depth, scope.home};
  LINNET_TRY(PassAttributes(node, function, scope, body, frame));

  for (size_t i = 0; i < function.inputs.size(); ++i) {
    ValueId id = kNoValue;
    if (i < node.inputs.size() && !node.inputs[i].empty()) {
      LINNET_ASSIGN(id, Resolve(node.inputs[i], scope));
    }
    if (!body.names.emplace(function.inputs[i], Named{id}).second) {
      return InvalidModel("the function has two inputs named ", Quote(function.inputs[i]));
    }
  }
  std::vector<std::pair<ValueId, ValueId>> passed_through;
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    if (i >= node.outputs.size() || node.outputs[i].empty()) continue;
    ValueId id = scope.names[node.outputs[i]].id;
    auto [place, is_new] = body.names.emplace(function.outputs[i], Named{id, true});
    if (is_new) continue;
    if (place->second.awaited) return InvalidModel("the function lists output ", Quote(function.outputs[i]), " twice");
    if (place->second.id == kNoValue) {
      return InvalidModel("output ", Quote(function.outputs[i]), " is an input that the call leaves out");
    }
    passed_through.emplace_back(place->second.id, id);
  }

  Status status = DeclareOutputs(function.nodes, body);
  if (!status.ok()) return std::move(status).At(Cat("in function ", Quote(function.name)));
  for (std::string_view output : function.outputs) {
    auto named = body.names.find(output);
    if (named != body.names.end() && named->second.awaited) {
      return InvalidModel("function ", Quote(function.name), " never produces its output ", Quote(output));
    }
  }
  status = ReadNodes(function.nodes, body);
  if (!status.ok()) return std::move(status).At(Cat("in function ", Quote(function.name)));

  for (auto [from, to] : passed_through) {
    Node identity;
    identity.op = "Identity";
    int64_t version = opsets_.Find("");
    identity.version = static_cast<int>(version ? version : 1);
    identity.inputs = {from};
    identity.outputs = {to};
    LINNET_TRY(scope.graph.AddNode(std::move(identity)).TakeStatus());
  }
  return Status();
}

}  // namespace linnet::onnx
