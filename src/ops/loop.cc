// Loop: a subgraph run turn by turn, while a condition holds and up to a number of turns.
//
//     body(turn, condition, carried...) → (condition, carried..., collected...)
//
// Carried values go from turn to turn and may change their shapes; collected ones are put behind each other. The body's
// condition ends the loop even when the condition input is left out: the specification says it is then ignored, but
// models are written against runtimes that look at it. Endless loops end at the run's limits.
#include "ops/body.h"

namespace linnet {
namespace {

struct Loop {
  Body body;
  int carried = 0, collected = 0;

  Status Parse(const Node& node) {
    LINNET_TRY(body.Parse(node, "body"));
    carried = std::max(0, static_cast<int>(node.inputs.size()) - 2);
    collected = body.output_count() - 1 - carried;
    if (body.input_count() != carried + 2) {
      return InvalidModel("the body has ", body.input_count(), " inputs where ", carried + 2, " are expected");
    }
    if (collected < 0) return InvalidModel("the body has ", body.output_count(), " outputs for ", carried, " carried values");
    if (static_cast<int>(node.outputs.size()) > carried + collected) {
      return InvalidModel("has ", node.outputs.size(), " outputs where the body gives ", carried + collected);
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckType(0, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckType(1, Mask(DType::kBool)));
    for (int i = 0; i < 2; ++i) {
      if (c.has_input(i) && c.shape(i).is_static() && c.shape(i).elements() != 1) {
        return InvalidArgument("input ", i, " has shape ", ToString(c.shape(i)), " where one element is expected");
      }
    }
    for (int i = 0; i < carried; ++i) {
      if (!c.has_input(i + 2)) return InvalidModel("required input ", i + 2, " is missing");
      const Type &before = c.type(i + 2), &after = body.output_type(1 + i);
      Type type = after.kind == Kind::kUnknown ? before : after;
      if (type.dtype == DType::kUndefined) type.dtype = before.dtype;
      LINNET_TRY(c.SetOutput(i, RankOnly(before.shape.rank() == type.shape.rank() ? type : WithoutShape(type))));
    }
    for (int i = carried; i < c.output_count(); ++i) {
      Type type = RankOnly(body.output_type(1 + i));
      Shape shape;
      if (type.shape.has_rank() && type.shape.rank() < kMaxRank) shape = Shape::OfRank(type.shape.rank() + 1);
      LINNET_TRY(c.SetOutput(i, type.dtype, shape));
    }
    return Status();
  }
  static Type WithoutShape(Type type) {
    type.shape = Shape();
    return type;
  }
  Status Prepare(PrepareContext& c) { return body.Prepare(c); }

  /// A scalar in the rank that the body declares: some exporters write [1].
  Fact ScalarInput(int i, DType dtype, const void* data) const {
    return {Type::Tensor(dtype, body.input_type(i).shape.rank() == 1 ? Shape{1} : Shape::OfRank(0)), data};
  }

  Status Run(RunContext& c) const {
    const int64_t most = c.has_input(0) ? *c.in<int64_t>(0) : INT64_MAX;
    bool condition = c.has_input(1) ? *c.in<bool>(1) : true;
    int64_t turn = 0;

    std::vector<Fact> inputs = body.Inputs(c);
    inputs[0] = ScalarInput(0, DType::kInt64, &turn);
    inputs[1] = ScalarInput(1, DType::kBool, &condition);
    for (int i = 0; i < carried; ++i) inputs[static_cast<size_t>(i + 2)] = c.input_fact(i + 2);
    // The body reads one set of carried values while it writes the other.
    std::vector<RunOutput> outputs(static_cast<size_t>(body.output_count())), previous(static_cast<size_t>(1 + carried));
    std::vector<Collected> parts(static_cast<size_t>(collected), Collected(0));
    for (size_t i = 0; i < parts.size(); ++i) outputs[1 + static_cast<size_t>(carried) + i].wanted = c.has_output(carried + static_cast<int>(i));
    bool next = condition;
    outputs[0].data = &next;
    outputs[0].capacity = 1;

    for (; turn < most && condition; ++turn) {
      LINNET_TRY(c.CheckStop());
      for (size_t i = 0; i < parts.size(); ++i) {
        RunOutput& output = outputs[1 + static_cast<size_t>(carried) + i];
        if (output.wanted) LINNET_TRY(parts[i].Before(c, turn, output));
      }
      LINNET_TRY(body.Run(c, inputs, outputs));
      for (size_t i = 0; i < parts.size(); ++i) {
        RunOutput& output = outputs[1 + static_cast<size_t>(carried) + i];
        if (output.wanted) LINNET_TRY(parts[i].After(c, turn, output));
      }
      if (outputs[0].type.dtype != DType::kBool || outputs[0].type.shape.elements() != 1) {
        return InvalidModel("the body's condition is ", ToString(outputs[0].type), " where a bool is expected");
      }
      condition = next;
      for (size_t i = 1; i <= static_cast<size_t>(carried); ++i) {
        std::swap(outputs[i], previous[i]);
        inputs[i + 1] = FactOf(previous[i].datum);
      }
    }

    for (int i = 0; i < carried; ++i) {
      if (!c.has_output(i)) continue;
      Datum last;
      if (turn > 0) {
        last = std::move(previous[static_cast<size_t>(1 + i)].datum);
      } else {
        LINNET_ASSIGN(last, c.CopyInput(i + 2));
      }
      LINNET_TRY(c.SetOutput(i, std::move(last)));
    }
    for (int i = 0; i < collected; ++i) {
      if (!c.has_output(carried + i)) continue;
      LINNET_ASSIGN(Tensor all, parts[static_cast<size_t>(i)].Take(c, body.output_type(1 + carried + i)));
      LINNET_TRY(c.SetOutput(carried + i, Datum::Of(std::move(all))));
    }
    return Status();
  }
};

}  // namespace

LINNET_OP(Loop, 1, Loop);

}  // namespace linnet
