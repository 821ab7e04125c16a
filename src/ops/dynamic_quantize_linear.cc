// DynamicQuantizeLinear (11): x to uint8 with a scale and zero point from its own range, which always includes 0.
//
//     y_scale = (max(x, 0) - min(x, 0)) / 255      y_zero_point = saturate(round(-min(x, 0) / y_scale))
#include <cmath>

#include "kernels/convert.h"
#include "ops/op.h"

namespace linnet {
namespace {

struct DynamicQuantizeLinear {
  QuantizeFn* quantize = nullptr;

  Status Parse(const Node&) { return Status(); }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, Mask(DType::kFloat)));
    LINNET_TRY(c.SetOutput(0, DType::kUint8, c.shape(0)));
    LINNET_TRY(c.SetOutput(1, DType::kFloat, Shape::OfRank(0)));
    return c.SetOutput(2, DType::kUint8, Shape::OfRank(0));
  }

  Status Prepare(PrepareContext& c) {
    quantize = PickQuantize(DType::kUint8, c.cpu());
    return Status();
  }

  Status Run(RunContext& c) const {
    const float* x = c.in<float>(0);
    const int64_t n = c.input_shape(0).elements();
    float low = 0, high = 0;
    for (int64_t i = 0; i < n; ++i) {
      low = x[i] < low ? x[i] : low;
      high = x[i] > high ? x[i] : high;
    }
    // All zeros (or nothing) would give a scale of 0.
    float scale = high > low ? (high - low) / 255.0f : 1.0f;
    float zero = std::nearbyint(std::min(std::max(-low / scale, 0.0f), 255.0f));
    if (!(zero == zero)) zero = 0;
    if (c.has_output(1)) *c.out<float>(1) = scale;
    if (c.has_output(2)) *c.out<uint8_t>(2) = static_cast<uint8_t>(zero);
    if (!c.has_output(0)) return Status();
    return c.ParallelFor(n, 4096, 0.1, [&](int64_t begin, int64_t end, int) {
      quantize(x + begin, c.out<uint8_t>(0) + begin, end - begin, scale, static_cast<int32_t>(zero));
    });
  }
};

}  // namespace

LINNET_OP(DynamicQuantizeLinear, 11, DynamicQuantizeLinear);

}  // namespace linnet
