// Type inference over a whole graph: every operator's Infer, in order, with symbols where shapes are symbolic.
#include "passes/pass.h"

namespace linnet {
namespace {

/// What the body of a control-flow node knows of its inputs before it runs. ONNX models usually declare it; what they
/// leave out follows from the node.
void SeedBody(const Node& node, const Graph& outer, Graph& body) {
  auto outer_type = [&](size_t i) -> Type {
    return i < node.inputs.size() && node.inputs[i] != kNoValue ? outer.value(node.inputs[i]).type : Type();
  };
  auto seed = [&](size_t body_input, const Type& type) {
    if (body_input >= body.inputs.size()) return;
    ValueId id = body.inputs[body_input];
    const Type& declared = body.value(id).type;
    if (declared.kind == Kind::kUnknown || (declared.is_tensor() && declared.dtype == DType::kUndefined)) {
      body.SetType(id, type);
    }
  };
  if (node.op == "Loop") {
    seed(0, Type::Tensor(DType::kInt64, Shape::OfRank(0)));
    seed(1, Type::Tensor(DType::kBool, Shape::OfRank(0)));
    for (size_t i = 2; i < body.inputs.size(); ++i) {
      Type type = outer_type(i);
      type.shape = Shape();  // may change from turn to turn
      seed(i, type);
    }
  } else if (node.op == "Scan" || node.op == "SequenceMap") {
    size_t shift = node.op == "Scan" && node.version < 9 ? 1 : 0;
    for (size_t i = 0; i < body.inputs.size(); ++i) {
      Type type = outer_type(i + shift);
      if (type.kind == Kind::kSequence) type.kind = Kind::kTensor;
      type.shape = Shape();
      seed(i, type);
    }
  }
}

/// Names what is not known of the shape of `id`, so that equal sizes are seen to be equal further on. A name is the
/// value's, within `scope`, and therefore the same whenever types are inferred.
void NameUnknownDims(Graph& graph, ValueId id, const std::string& scope, Type* type) {
  if (!type->is_tensor()) return;
  for (int d = 0; d < type->shape.rank(); ++d) {
    if (type->shape[d] != kUnknownDim) continue;
    type->shape[d] = graph.symbols().Intern(Cat(kAnonymousDim, scope, graph.value(id).name, ":", d));
  }
}

/// `scope` tells the values of subgraphs apart: the ids of the nodes they belong to.
Status Infer(Graph& graph, const PassContext& context, InferVisitor* visitor, const std::string& scope) {
  LINNET_ASSIGN(std::vector<NodeId> order, graph.Order());
  std::vector<Fact> facts;
  facts.reserve(static_cast<size_t>(graph.value_count()));
  // Called again after a visitor's call, which may have added constants.
  auto grow = [&] {
    for (ValueId id = static_cast<ValueId>(facts.size()); id < graph.value_count(); ++id) {
      const Value& value = graph.value(id);
      Fact& fact = facts.emplace_back();
      if (value.producer == kNoNode) fact.type = value.type;
      if (value.is_constant && value.constant.has_data() && !graph.is_input(id)) fact.data = value.constant.data();
    }
  };
  grow();
  Status absent;   // the first operator that is not in this build: others are looked for with what is known without it
  for (NodeId id : order) {
    if (visitor) {
      if (Status status = visitor->Before(id, facts); !status.ok()) return std::move(status).At(graph.node(id).Label(graph));
      grow();
    }
    const Node& node = graph.node(id);
    std::vector<Graph*> bodies = Graph::Subgraphs(node);
    size_t capture = 0, inner_graphs = 0;
    for (Graph* body : bodies) {
      for (ValueId inner : body->captures) {
        if (capture < node.captures.size()) body->SetType(inner, facts[static_cast<size_t>(node.captures[capture++])].type);
      }
      for (ValueId outer : node.inputs) {
        if (outer != kNoValue) graph.SetType(outer, facts[static_cast<size_t>(outer)].type);
      }
      SeedBody(node, graph, *body);
      Status status = Infer(*body, context, nullptr, Cat(scope, id, "#", inner_graphs++, "."));
      if (status.ok()) continue;
      if (absent.ok()) absent = std::move(status);
      if (absent.code() != Code::kNotInBuild) return absent;
    }
    auto infer_node = [&]() -> Status {
      LINNET_ASSIGN(const OpDef* def, context.table->Find(node.domain, node.op, node.version));
      LINNET_ASSIGN(OpInstance op, OpInstance::Make(*def, node));
      InferContext infer(facts.data(), node.inputs.data(), static_cast<int>(node.inputs.size()), node.outputs.data(),
                         static_cast<int>(node.outputs.size()));
      LINNET_TRY(def->infer(op.state(), infer));
      // What a node without bodies makes of known inputs is known, but for outputs that its operator does not define.
      bool known = bodies.empty();
      for (ValueId input : node.inputs) known = known && (input == kNoValue || facts[static_cast<size_t>(input)].type.kind != Kind::kUnknown);
      for (size_t i = 0; known && i < node.outputs.size(); ++i) {
        ValueId out = node.outputs[i];
        if (out == kNoValue || graph.value(out).uses.empty() || facts[static_cast<size_t>(out)].type.kind != Kind::kUnknown) continue;
        return InvalidModel("output ", i, " ", Quote(graph.value(out).name), " is not defined by the operator");
      }
      return Status();
    };
    if (Status status = infer_node(); !status.ok()) {
      if (absent.ok()) absent = std::move(status).At(node.Label(graph));
      if (absent.code() != Code::kNotInBuild) return absent;
      continue;
    }
    for (ValueId output : node.outputs) {
      if (output != kNoValue) NameUnknownDims(graph, output, scope, &facts[static_cast<size_t>(output)].type);
    }
    if (visitor) {
      LINNET_TRY(visitor->After(id, facts));
      grow();
    }
  }
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Type& type = facts[static_cast<size_t>(id)].type;
    if (graph.value(id).producer != kNoNode && (absent.ok() || type.kind != Kind::kUnknown)) graph.SetType(id, type);
  }
  return absent;
}

}  // namespace

Status InferTypes(Graph& graph, const PassContext& context, InferVisitor* visitor) {
  return Infer(graph, context, visitor, "");
}

}  // namespace linnet
