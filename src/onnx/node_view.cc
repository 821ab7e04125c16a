// Decoding NodeProto and OperatorSetIdProto.
#include "onnx/node_view.h"

#include "graph/names.h"

namespace linnet::onnx {

Status NodeView::Read(std::string_view bytes, Context& context) {
  name = op = domain = overload = std::string_view();
  inputs.clear();
  outputs.clear();
  attributes.clear();
  {
    Message message(bytes, context.cursor);
    while (message.Next()) {
      switch (message.field()) {
        case node::kInput: inputs.push_back(message.Bytes()); break;
        case node::kOutput: outputs.push_back(message.Bytes()); break;
        case node::kName: name = message.Bytes(); break;
        case node::kOpType: op = message.Bytes(); break;
        case node::kAttribute: attributes.push_back(message.Bytes()); break;
        case node::kDomain: domain = CanonicalDomain(message.Bytes()); break;
        case node::kOverload: overload = message.Bytes(); break;
        default: message.Skip();
      }
    }
  }
  while (!inputs.empty() && inputs.back().empty()) inputs.pop_back();
  for (std::string_view text : {name, op, domain, overload}) LINNET_TRY(context.CheckName(text));
  for (const auto* list : {&inputs, &outputs}) {
    for (std::string_view text : *list) {
      if (Status status = context.CheckName(text); !status.ok()) return std::move(status).At(Label());
    }
  }
  if (static_cast<int64_t>(attributes.size()) > context.limits.attributes_per_node) {
    return LimitReached(Label(), " has ", attributes.size(), " attributes; the limit is ",
                        context.limits.attributes_per_node);
  }
  if (op.empty()) return InvalidModel("a node named ", Quote(name), " has no operator");
  return Status();
}

std::string NodeView::Label() const {
  std::string label = PlainOrQuoted(domain.empty() ? std::string(op) : Cat(domain, ":", op));
  if (!name.empty()) return Cat(label, " ", Quote(name));
  for (std::string_view output : outputs) {
    if (!output.empty()) return Cat(label, " producing ", Quote(output));
  }
  return label;
}

Status Opsets::Add(std::string_view bytes, Context& context) {
  std::string_view domain;
  int64_t version = 0;
  {
    Message message(bytes, context.cursor);
    while (message.Next()) {
      switch (message.field()) {
        case opset::kDomain: domain = CanonicalDomain(message.Bytes()); break;
        case opset::kVersion: version = message.Int(); break;
        default: message.Skip();
      }
    }
  }
  LINNET_TRY(context.CheckName(domain));
  if (version < 1 || version > INT32_MAX) {
    return InvalidModel("version ", version, " of operator domain ", Quote(domain));
  }
  if (domain.empty() && version > kOpsetVersionMax) {
    return Unsupported("version ", version, " of operator domain ai.onnx; supported are 1 to ", kOpsetVersionMax);
  }
  int64_t& known = versions_[domain];
  known = std::max(known, version);
  return Status();
}

}  // namespace linnet::onnx
