// MeanVarianceNormalization: (x - mean) / (deviation + 1e-9) over some axes, as the operator's ONNX function has it.
#include <math.h>

#include <algorithm>

#include "ops/convert.h"
#include "ops/elementwise.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

struct MvnParams {
  BroadcastLoop loop;   ///< operand 0: the statistics, one for each kept coordinate
  int64_t lanes = 1;
};

struct MeanVarianceNormalization {
  int axis_count = 0;
  int64_t axes[kMaxRank];

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::vector<int64_t> list, node.Ints("axes", {0, 2, 3}));
    if (list.size() > static_cast<size_t>(kMaxRank)) return InvalidModel("attribute 'axes' lists ", list.size(), " axes");
    for (int64_t axis : list) axes[axis_count++] = axis;
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    for (int i = 0; i < axis_count && c.shape(0).has_rank(); ++i) {
      auto at = NormalizeAxis(axes[i], c.shape(0).rank());
      if (!at.ok()) return at.TakeStatus();
    }
    return c.SetOutput(0, c.type(0));
  }

  Status Bind(BindContext& c) const {
    MvnParams& p = *c.Params<MvnParams>();
    Shape kept = c.shape(0);
    for (int i = 0; i < axis_count; ++i) kept[static_cast<int>(axes[i] < 0 ? axes[i] + kept.rank() : axes[i])] = 1;
    p.loop = MakeBroadcastLoop(c.shape(0), {&kept, 1});
    p.lanes = kept.elements();
    c.Scratch(p.lanes * 16);
    c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const MvnParams& p = c.params<MvnParams>();
    const int64_t elements = p.loop.elements;
    if (elements == 0) return Status();
    double* mean = reinterpret_cast<double*>(c.scratch());
    double* deviation = mean + p.lanes;
    std::fill(mean, mean + 2 * p.lanes, 0.0);
    const double count = static_cast<double>(elements / p.lanes);
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() {
      const T* x = c.in<T>(0);
      T* y = c.out<T>(0);
      Walk(p.loop, [&](int64_t i, int64_t lane) { mean[lane] += Widen(x[i]); });
      for (int64_t k = 0; k < p.lanes; ++k) mean[k] /= count;
      Walk(p.loop, [&](int64_t i, int64_t lane) {
        const double centered = Widen(x[i]) - mean[lane];
        deviation[lane] += centered * centered;
      });
      for (int64_t k = 0; k < p.lanes; ++k) deviation[k] = sqrt(deviation[k] / count) + 1e-9;
      Walk(p.loop, [&](int64_t i, int64_t lane) { y[i] = Narrow<T>((Widen(x[i]) - mean[lane]) / deviation[lane]); });
      return Status();
    });
  }

 private:
  /// f(element, its lane) in order.
  template <class F>
  static void Walk(const BroadcastLoop& loop, F f) {
    const int64_t step = (loop.scalars & 1) ? 0 : 1;
    for (int64_t run = 0; run * loop.run < loop.elements; ++run) {
      int64_t lane = 0, rest = run;
      for (int d = loop.rank - 1; d >= 0; --d) {
        lane += rest % loop.dims[d] * loop.strides[0][d];
        rest /= loop.dims[d];
      }
      for (int64_t i = 0; i < loop.run; ++i) f(run * loop.run + i, lane + i * step);
    }
  }
};

}  // namespace

LINNET_OP(MeanVarianceNormalization, 9, MeanVarianceNormalization);

}  // namespace linnet
