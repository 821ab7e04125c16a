// If: one of two subgraphs, chosen by a condition.
//
// The branches may give different shapes; what they agree on is inferred. When the condition is known while a plan is
// made, only that branch counts.
#include "ops/body.h"

namespace linnet {
namespace {

struct If {
  Body then_body, else_body;

  Status Parse(const Node& node) {
    LINNET_TRY(then_body.Parse(node, "then_branch"));
    LINNET_TRY(else_body.Parse(node, "else_branch"));
    const int outputs = static_cast<int>(node.outputs.size());
    for (const Body* body : {&then_body, &else_body}) {
      if (body->input_count() != 0) return InvalidModel("a branch has ", body->input_count(), " inputs; it takes none");
      if (body->output_count() < outputs) return InvalidModel("a branch has ", body->output_count(), " outputs where the node has ", outputs);
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kBool)));
    if (c.shape(0).is_static() && c.shape(0).elements() != 1) {
      return InvalidArgument("the condition has shape ", ToString(c.shape(0)), " where one element is expected");
    }
    for (int i = 0; i < c.output_count(); ++i) {
      Type type;
      if (c.data(0)) {
        type = (*c.data<bool>(0) ? then_body : else_body).output_type(i);
      } else {
        type = Either(then_body.output_type(i), else_body.output_type(i));
      }
      LINNET_TRY(c.SetOutput(i, type));
    }
    return Status();
  }
  Status Prepare(PrepareContext& c) {
    LINNET_TRY(then_body.Prepare(c));
    return else_body.Prepare(c);
  }
  Status Run(RunContext& c) const {
    const Body& body = *c.in<bool>(0) ? then_body : else_body;
    std::vector<Fact> inputs = body.Inputs(c);
    std::vector<RunOutput> outputs(static_cast<size_t>(body.output_count()));
    for (int i = 0; i < body.output_count(); ++i) DirectOutput(c, i, outputs[static_cast<size_t>(i)]);
    LINNET_TRY(body.Run(c, inputs, outputs));
    for (int i = 0; i < c.output_count(); ++i) LINNET_TRY(FinishOutput(c, i, outputs[static_cast<size_t>(i)]));
    return Status();
  }
};

}  // namespace

LINNET_OP(If, 1, If);

}  // namespace linnet
