// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss.
#include <math.h>

#include <algorithm>

#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

/// -weight[label] log_prob[label] at each position, 0 where the label is ignored; summed, or divided by the sum of weights.
Status Loss(Call& c, bool softmax) {
  Reals x = c.In(0);
  const Integers labels = c.In<int64_t>(1);
  const Reals weights = c.InOr(2, 1, Shape{x.shape[1]});
  if (softmax) {
    ForEachLane(x.shape, 1, [&](const Lane& lane) {
      double most = -INFINITY, sum = 0;
      for (int64_t i = 0; i < lane.n; ++i) most = std::max(most, x[lane[i]]);
      for (int64_t i = 0; i < lane.n; ++i) sum += exp(x[lane[i]] - most);
      for (int64_t i = 0; i < lane.n; ++i) x[lane[i]] -= most + log(sum);
    });
  }
  Reals losses(labels.shape);
  double total = 0, weight_total = 0;
  int64_t at = 0;
  Status status;
  ForEachLane(x.shape, 1, [&](const Lane& lane) {
    const int64_t label = labels[at];
    const bool ignored = c.HasAttribute("ignore_index") && label == c.Int("ignore_index", 0);
    if (!ignored && (label < 0 || label >= lane.n)) status = InvalidArgument("label ", label, " is outside [0, ", lane.n, ")");
    if (!ignored && status.ok()) {
      losses[at] = -weights[label] * x[lane[label]];
      total += losses[at];
      weight_total += weights[label];
    }
    ++at;
  });
  LINNET_TRY(std::move(status));
  const std::string reduction = c.Text("reduction", "mean");
  if (softmax) LINNET_TRY(c.Out(1, x));
  if (reduction == "none") return c.Out(0, losses);
  return c.Out(0, Reals(Shape::OfRank(0), reduction == "sum" ? total : total / weight_total));
}

Status NegativeLogLikelihoodLoss(Call& c) { return Loss(c, false); }
Status SoftmaxCrossEntropyLoss(Call& c) { return Loss(c, true); }

constexpr Row kRows[] = {
    {"NegativeLogLikelihoodLoss", NegativeLogLikelihoodLoss}, {"SoftmaxCrossEntropyLoss", SoftmaxCrossEntropyLoss},
};

}  // namespace

std::span<const Row> LossRows() { return kRows; }

}  // namespace linnet::reference
