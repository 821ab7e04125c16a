// SequenceMap: a subgraph applied to each element of a sequence (and of further sequences of the same length).
#include "ops/body.h"

namespace linnet {
namespace {

struct SequenceMap {
  Body body;

  Status Parse(const Node& node) {
    LINNET_TRY(body.Parse(node, "body"));
    if (body.input_count() != static_cast<int>(node.inputs.size()) || body.output_count() < static_cast<int>(node.outputs.size())) {
      return InvalidModel("the body has ", body.input_count(), " inputs and ", body.output_count(), " outputs where the node has ",
                          node.inputs.size(), " and ", node.outputs.size());
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(std::max(1, c.input_count()), INT32_MAX));
    if (c.type(0).kind != Kind::kUnknown && c.type(0).kind != Kind::kSequence) {
      return InvalidModel("input 0 is ", ToString(c.type(0)), " where a sequence is expected");
    }
    for (int i = 0; i < c.output_count(); ++i) LINNET_TRY(c.SetOutput(i, Type::Sequence(body.output_type(i).dtype)));
    return Status();
  }
  Status Prepare(PrepareContext& c) { return body.Prepare(c); }
  Status Run(RunContext& c) const {
    const size_t count = c.input_datum(0).items.size();
    std::vector<Fact> inputs = body.Inputs(c);
    for (int i = 0; i < c.input_count(); ++i) {
      inputs[static_cast<size_t>(i)] = c.input_fact(i);
      if (c.input_type(i).kind == Kind::kSequence && c.input_datum(i).items.size() != count) {
        return InvalidArgument("input ", i, " has ", c.input_datum(i).items.size(), " elements where input 0 has ", count);
      }
    }
    std::vector<Datum> sequences(static_cast<size_t>(c.output_count()));
    for (int k = 0; k < c.output_count(); ++k) {
      if (c.has_output(k)) sequences[static_cast<size_t>(k)].type = c.output_type(k);
    }
    for (size_t n = 0; n < count; ++n) {
      LINNET_TRY(c.CheckStop());
      for (int i = 0; i < c.input_count(); ++i) {
        if (c.input_type(i).kind == Kind::kSequence) inputs[static_cast<size_t>(i)] = FactOf(c.input_datum(i).items[n]);
      }
      std::vector<RunOutput> outputs(static_cast<size_t>(body.output_count()));
      LINNET_TRY(body.Run(c, inputs, outputs));
      for (size_t k = 0; k < sequences.size(); ++k) sequences[k].items.push_back(std::move(outputs[k].datum));
    }
    for (int k = 0; k < c.output_count(); ++k) LINNET_TRY(c.SetOutput(k, std::move(sequences[static_cast<size_t>(k)])));
    return Status();
  }
};

}  // namespace

LINNET_OP(SequenceMap, 17, SequenceMap);

}  // namespace linnet
