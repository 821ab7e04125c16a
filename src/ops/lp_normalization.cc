// LpNormalization: lanes along an axis divided by their L1 or L2 norm; a lane of zeros stays one.
#include <math.h>

#include "ops/axis_helpers.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

struct LpNormalization {
  int64_t axis = -1, p = 2;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(axis, node.Int("axis", -1));
    LINNET_ASSIGN(p, node.Int("p", 2));
    if (p != 1 && p != 2) return InvalidModel("attribute 'p' is ", p, "; only 1 and 2 are defined");
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    if (c.shape(0).has_rank()) {
      auto at = NormalizeAxis(axis, c.shape(0).rank());
      if (!at.ok()) return at.TakeStatus();
    }
    return c.SetOutput(0, c.type(0));
  }

  Status Bind(BindContext& c) const {
    AxisSplit& split = *c.Params<AxisSplit>();
    split = SplitAt(c.shape(0), static_cast<int>(axis < 0 ? axis + c.shape(0).rank() : axis));
    c.Scratch(c.dtype(0) == DType::kDouble ? LaneBytes<double>(split) : LaneBytes<float>(split), c.threads());
    c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() {
      return ForEachLane(c, c.params<AxisSplit>(), c.in<T>(0), c.out<T>(0), 2, [&](Wide<T>* lane, int64_t n) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) {
          const double value = lane[i];
          sum += p == 1 ? fabs(value) : value * value;
        }
        const double norm = p == 1 ? sum : sqrt(sum);
        if (norm == 0) return;
        for (int64_t i = 0; i < n; ++i) lane[i] = static_cast<Wide<T>>(lane[i] / norm);
      });
    });
  }
};

}  // namespace

LINNET_OP(LpNormalization, 1, LpNormalization);

}  // namespace linnet
