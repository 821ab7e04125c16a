// linnet:Pointwise: a program of elementwise functions with broadcasting, in one walk over the data.
//
// Inputs x0 ... x7 (float), at least one; attribute `program`: its instructions as text (ops/pointwise_function.h), the last of which
// is the output. What a group of elementwise operators becomes (passes/fuse_pointwise.cc); each function computes what the
// operator computes, in the same order.
#include "ops/op.h"
#include "ops/pointwise_function.h"

namespace linnet {
namespace {

struct PointwiseOp {
  PointwiseProgram program;
  PointwiseKernel kernel;
  float ns = 0;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::vector<std::string> lines, node.Strings("program"));
    for (const std::string& line : lines) LINNET_TRY(ParseInstruction(line, &program));
    if (program.instruction_count == 0) return InvalidModel("attribute 'program' has no instructions");
    for (int i = 0; i < program.instruction_count; ++i) ns += PointwiseNs(program.instructions[i].function);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(std::max(program.input_count, 1), std::max(program.input_count, 1)));
    Shape shape = c.shape(0);
    for (int i = 0; i < c.input_count(); ++i) {
      LINNET_TRY(c.CheckType(i, Mask(DType::kFloat)));
      LINNET_ASSIGN(shape, Broadcast(shape, c.shape(i)));
    }
    return c.SetOutput(0, DType::kFloat, shape);
  }

  Status Prepare(PrepareContext& c) { return PreparePointwise(program, c.cpu(), &kernel); }

  Status Bind(BindContext& c) const {
    PointwiseShape* shape = c.Params<PointwiseShape>();
    std::span<const int64_t> inputs[kPointwiseInputsMax];
    for (int i = 0; i < program.input_count; ++i) {
      inputs[i] = c.shape(i).dims();
      if (c.shape(i) == c.output_shape(0)) c.InPlace(0, i);
    }
    return MakePointwiseShape(c.output_shape(0).dims(), {inputs, static_cast<size_t>(program.input_count)}, shape);
  }

  Status Run(RunContext& c) const {
    const PointwiseShape& shape = c.params<PointwiseShape>();
    const float* inputs[kPointwiseInputsMax] = {};
    for (int i = 0; i < program.input_count; ++i) inputs[i] = c.in<float>(i);
    float* out = c.out<float>(0);
    return c.ParallelFor(shape.size, 4096, ns, [&](int64_t begin, int64_t end, int) {
      RunPointwise(kernel, shape, inputs, out, begin, end);
    });
  }
};

}  // namespace

LINNET_INTERNAL_OP(Pointwise, 1, PointwiseOp);

}  // namespace linnet
