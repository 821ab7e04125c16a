// NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss: how far [N, C, d1 ...] scores are from class labels [N, d1 ...].
//
//     loss = -weight[label] log_prob[label]       log_prob: the input, or its LogSoftmax over C
//
// 0 where the label is ignore_index. reduction: "none"; "sum"; "mean", divided by the sum of the weights (1 each without
// a weight input, 0 for ignored ones). SoftmaxCrossEntropyLoss offers the log-probabilities as its second output. Sums are
// made in double, in order.
#include <math.h>

#include <algorithm>

#include "ops/arithmetic.h"
#include "ops/convert.h"
#include "ops/for_type.h"
#include "ops/op.h"

namespace linnet {
namespace {

enum class LossReduction { kNone, kSum, kMean };

struct LossParams {
  int64_t samples = 0, classes = 0, inner = 0;
};

template <bool softmax>
struct Loss {
  LossReduction reduction = LossReduction::kMean;
  bool ignores = false;
  int64_t ignore_index = 0;

  Status Parse(const Node& node) {
    ignores = node.Has("ignore_index");
    LINNET_ASSIGN(ignore_index, node.Int("ignore_index", 0));
    LINNET_ASSIGN(std::string name, node.String("reduction", "mean"));
    if (name == "none") {
      reduction = LossReduction::kNone;
    } else if (name == "sum") {
      reduction = LossReduction::kSum;
    } else if (name != "mean") {
      return InvalidModel("attribute 'reduction' is ", Quote(name), "; known are 'none', 'sum' and 'mean'");
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 3));
    LINNET_TRY(c.CheckType(0, kAnyFloat));
    LINNET_TRY(c.CheckType(1, Mask(DType::kInt32) | Mask(DType::kInt64)));
    LINNET_TRY(c.CheckType(2, kAnyFloat));
    LINNET_TRY(c.CheckRank(2, 1));
    const Shape &x = c.shape(0), &labels = c.shape(1);
    Shape losses;
    if (x.has_rank()) {
      if (x.rank() < 2) return InvalidModel("scores have shape ", ToString(x), "; they need a sample and a class dimension");
      losses = Shape::OfRank(0);
      for (int d = 0; d < x.rank(); ++d) {
        if (d != 1) losses.Append(x[d]);
      }
      if (labels.has_rank()) {
        bool differs = labels.rank() != losses.rank();
        for (int d = 0; !differs && d < labels.rank(); ++d) {
          differs = IsKnownDim(labels[d]) && IsKnownDim(losses[d]) && labels[d] != losses[d];
        }
        if (differs) return InvalidModel("labels of shape ", ToString(labels), " for scores of shape ", ToString(x));
      }
      if (c.has_input(2) && c.shape(2).is_static() && IsKnownDim(x[1]) && c.shape(2)[0] != x[1]) {
        return InvalidModel(c.shape(2)[0], " weights for ", x[1], " classes");
      }
    } else {
      losses = labels;
    }
    LINNET_TRY(c.SetOutput(0, c.dtype(0), reduction == LossReduction::kNone ? losses : Shape::OfRank(0)));
    return softmax ? c.SetOutput(1, c.type(0)) : Status();
  }

  Status Bind(BindContext& c) const {
    const Shape& x = c.shape(0);
    LossParams& p = *c.Params<LossParams>();
    p = {x[0], x[1], x.Product(2, x.rank())};
    // The loss and weight of every position, and a lane of scores for each worker.
    c.Scratch(p.samples * p.inner * 16 + c.threads() * p.classes * 8);
    return Status();
  }

  Status Run(RunContext& c) const {
    const LossParams& p = c.params<LossParams>();
    const int64_t positions = p.samples * p.inner;
    for (int64_t i = 0; i < positions; ++i) {
      const int64_t label = LoadInteger(c.input_dtype(1), c.input(1), i);
      if ((ignores && label == ignore_index) || (label >= 0 && label < p.classes)) continue;
      return InvalidArgument("label ", label, " at element ", i, " is outside [0, ", p.classes, ")");
    }
    double* losses = reinterpret_cast<double*>(c.scratch());
    double *weights = losses + positions, *lanes = weights + positions;
    LINNET_TRY(ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() {
      return c.ParallelFor(positions, 1, static_cast<double>(p.classes) * (softmax ? 15 : 0.1) + 5, [&](int64_t begin, int64_t end, int worker) {
        for (int64_t i = begin; i < end; ++i) Position<T>(c, p, i, lanes + worker * p.classes, &losses[i], &weights[i]);
      });
    }));
    if (!c.has_output(0)) return Status();
    double sum = 0, weight_sum = 0;
    for (int64_t i = 0; i < positions; ++i) sum += losses[i], weight_sum += weights[i];
    const double reduced = reduction == LossReduction::kMean ? sum / weight_sum : sum;
    const bool keeps_all = reduction == LossReduction::kNone;
    StoreOptions options;
    options.dtype = c.output_dtype(0);
    FindStore(Stage::kDouble, options.dtype)(keeps_all ? losses : &reduced, keeps_all ? positions : 1, c.output(0), 0, options);
    return Status();
  }

 private:
  /// Loss and weight of one position; its log-probabilities to output 1.
  template <class T>
  void Position(const RunContext& c, const LossParams& p, int64_t i, double* lane, double* loss, double* weight) const {
    const int64_t base = i / p.inner * p.classes * p.inner + i % p.inner;
    const T* x = c.in<T>(0) + base;
    const int64_t label = LoadInteger(c.input_dtype(1), c.input(1), i);
    const bool ignored = ignores && label == ignore_index;
    double log_sum = 0;
    if (softmax) {
      double most = -INFINITY, sum = 0;
      for (int64_t k = 0; k < p.classes; ++k) {
        lane[k] = Widen(x[k * p.inner]);
        most = std::max(most, lane[k]);
      }
      for (int64_t k = 0; k < p.classes; ++k) sum += exp(lane[k] - most);
      log_sum = most + log(sum);
      if (c.has_output(1)) {
        T* out = c.out<T>(1) + base;
        for (int64_t k = 0; k < p.classes; ++k) out[k * p.inner] = Narrow<T>(lane[k] - log_sum);
      }
    }
    *weight = ignored ? 0 : 1;
    if (!ignored && c.has_input(2)) FindLoad(c.input_dtype(2), Stage::kDouble)(c.input(2), label, 1, weight);
    *loss = ignored ? 0 : *weight * (log_sum - Widen(x[label * p.inner]));
  }
};

}  // namespace

LINNET_OP(NegativeLogLikelihoodLoss, 12, Loss<false>);
LINNET_OP(SoftmaxCrossEntropyLoss, 12, Loss<true>);

}  // namespace linnet
