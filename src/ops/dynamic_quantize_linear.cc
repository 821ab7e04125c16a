// DynamicQuantizeLinear (11): x to uint8 with a scale and zero point from its own range, which always includes 0.
//
//     y_scale = (max(x, 0) - min(x, 0)) / 255      y_zero_point = saturate(round(-min(x, 0) / y_scale))
#include "ops/dynamic_quantizer.h"

namespace linnet {
namespace {

struct DynamicQuantizeLinear {
  DynamicQuantizer quantizer;

  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kFloat)));
    LINNET_TRY(c.SetOutput(0, DType::kUint8, c.shape(0)));
    LINNET_TRY(c.SetOutput(1, DType::kFloat, Shape::OfRank(0)));
    return c.SetOutput(2, DType::kUint8, Shape::OfRank(0));
  }

  Status Prepare(PrepareContext& c) {
    quantizer.Pick(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    c.Scratch(DynamicQuantizer::ScratchBytes(c.threads()));
    return Status();
  }

  Status Run(RunContext& c) const {
    float scale;
    uint8_t zero;
    LINNET_TRY(quantizer.Run(c, c.in<float>(0), c.input_shape(0).elements(), c.has_output(0) ? c.out<uint8_t>(0) : nullptr,
                             &scale, &zero, c.scratch()));
    if (c.has_output(1)) *c.out<float>(1) = scale;
    if (c.has_output(2)) *c.out<uint8_t>(2) = zero;
    return Status();
  }
};

}  // namespace

LINNET_OP(DynamicQuantizeLinear, 11, DynamicQuantizeLinear);

}  // namespace linnet
