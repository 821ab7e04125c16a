// ReverseSequence: the first sequence_lens[b] steps of each batch entry in reverse, the rest as they are.
#include "ops/movement.h"

namespace linnet {
namespace {

struct ReverseSequence {
  int64_t batch_axis = 1, time_axis = 0;

  struct Params {
    int64_t batch, time, inner;
    int64_t batch_step, time_step;
  };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(batch_axis, node.Int("batch_axis", 1));
    LINNET_ASSIGN(time_axis, node.Int("time_axis", 0));
    if (batch_axis < 0 || batch_axis > 1 || time_axis != 1 - batch_axis) {
      return InvalidModel("batch_axis ", batch_axis, " and time_axis ", time_axis, " must be 0 and 1 in either order");
    }
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 2));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt64)));
    LINNET_TRY(c.CheckRank(1, 1));
    const Shape &in = c.shape(0), &lens = c.shape(1);
    if (in.has_rank()) {
      if (in.rank() < 2) return InvalidArgument("input has shape ", ToString(in), " where a rank of 2 or more is expected");
      int64_t batch = in[static_cast<int>(batch_axis)];
      if (lens.has_rank() && IsKnownDim(lens[0]) && IsKnownDim(batch) && lens[0] != batch) {
        return InvalidArgument(lens[0], " sequence lengths for a batch of ", batch);
      }
    }
    return c.SetOutput(0, c.type(0));
  }
  Status Bind(BindContext& c) const {
    const Shape& in = c.shape(0);
    auto* p = c.Params<Params>();
    p->inner = in.Product(2, in.rank());
    p->batch = in[static_cast<int>(batch_axis)];
    p->time = in[static_cast<int>(time_axis)];
    p->batch_step = batch_axis == 0 ? in[1] * p->inner : p->inner;
    p->time_step = time_axis == 0 ? in[1] * p->inner : p->inner;
    return Status();
  }
  Status Run(RunContext& c) const {
    const auto& p = c.params<Params>();
    const int64_t* lens = c.in<int64_t>(1);
    for (int64_t b = 0; b < p.batch; ++b) {
      if (lens[b] < 0 || lens[b] > p.time) {
        return InvalidArgument("sequence length ", lens[b], " of batch entry ", b, " is outside 0 to ", p.time);
      }
    }
    if (p.inner == 0) return Status();
    return ForWidth(c.input_dtype(0), [&]<class T>() {
      double ns = 2 + 0.1 * sizeof(T) * static_cast<double>(p.inner);
      return c.ParallelFor(p.batch * p.time, 1, ns, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          int64_t b = i / p.time, t = i % p.time, from = t < lens[b] ? lens[b] - 1 - t : t;
          CopyRun(c.out<T>(0) + b * p.batch_step + t * p.time_step, c.in<T>(0) + b * p.batch_step + from * p.time_step, p.inner);
        }
      });
    });
  }
};

}  // namespace

LINNET_OP(ReverseSequence, 10, ReverseSequence);

}  // namespace linnet
