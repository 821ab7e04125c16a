// Normalisations: elements shifted and scaled by statistics of their channel, row, group or neighbourhood.
#include <math.h>

#include <algorithm>

#include "providers/reference/elementwise.h"
#include "providers/reference/families.h"

namespace linnet::reference {
namespace {

struct Moments {
  double mean = 0, variance = 0, square = 0;   ///< square: the mean of squares
};

/// The moments of each group of elements; group(index) numbers them.
template <class F>
std::vector<Moments> MomentsOf(const Reals& x, int64_t groups, F group) {
  std::vector<Moments> out(U(groups));
  std::vector<double> counts(U(groups), 0);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    const size_t g = U(group(index, at));
    counts[g] += 1;
    out[g].mean += x[at];
    out[g].square += x[at] * x[at];
  });
  for (size_t g = 0; g < out.size(); ++g) out[g].mean /= counts[g], out[g].square /= counts[g];
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    const size_t g = U(group(index, at));
    out[g].variance += (x[at] - out[g].mean) * (x[at] - out[g].mean) / counts[g];
  });
  return out;
}

/// y = (x - mean) / sqrt(variance + epsilon) * scale + bias for each channel; in training with the statistics of the batch,
/// and running = running * momentum + batch * (1 - momentum).
Status BatchNormalization(Call& c) {
  const Reals x = c.In(0), scale = c.In(1), bias = c.In(2);
  Reals mean = c.In(3), variance = c.In(4);
  const double epsilon = c.Float("epsilon", 1e-5f), momentum = c.Float("momentum", 0.9f);
  bool training = c.Flag("training_mode");
  for (int o = 1; c.version() < 14 && o < c.outputs(); ++o)
    training = training || (c.Wants(o) && !(c.version() < 7 && c.Flag("is_test")));
  const bool spatial = c.version() >= 9 || c.Flag("spatial", true);
  const int64_t entries = x.shape.Product(1, x.shape.rank());
  auto channel = [&](const Index& index, int64_t at) { return !spatial ? at % entries : x.shape.rank() > 1 ? index[1] : 0; };
  if (training) {
    const std::vector<Moments> batch = MomentsOf(x, mean.size(), channel);
    Reals running[2] = {mean, variance};
    for (int64_t i = 0; i < mean.size() && x.size() > 0; ++i) {
      mean[i] = batch[U(i)].mean;
      variance[i] = batch[U(i)].variance;
      running[0][i] = running[0][i] * momentum + mean[i] * (1 - momentum);
      running[1][i] = running[1][i] * momentum + variance[i] * (1 - momentum);
    }
    const Reals* results[] = {&running[0], &running[1], &mean, &variance};
    for (int o = 1; o < c.outputs(); ++o) LINNET_TRY(c.Out(o, *results[o - 1]));
  }
  Reals y(x.shape);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    const int64_t k = channel(index, at);
    y[at] = (x[at] - mean[k]) / sqrt(variance[k] + epsilon) * scale[k] + bias[k];
  });
  return c.Out(0, y);
}

/// Everything from `axis` on is a row. Outputs 1 and 2 are the mean and 1 / deviation of rows.
Status NormalizeRows(Call& c, Reals x, int scale_input, int bias_input, bool rms) {
  const int axis = c.Axis(-1), rank = x.shape.rank();
  const double epsilon = c.Float("epsilon", 1e-5f);
  const int64_t length = x.shape.Product(axis, rank);
  Shape rows = x.shape;
  for (int d = axis; d < rank; ++d) rows[d] = 1;
  const std::vector<Moments> moments = MomentsOf(x, rows.elements(), [&](const Index&, int64_t at) { return at / length; });
  Reals mean(rows), inverse(rows);
  for (int64_t i = 0; i < mean.size(); ++i) {
    mean[i] = rms ? 0 : moments[U(i)].mean;
    inverse[i] = 1 / sqrt((rms ? moments[U(i)].square : moments[U(i)].variance) + epsilon);
  }
  for (int64_t at = 0; at < x.size(); ++at) x[at] = (x[at] - mean[at / length]) * inverse[at / length];
  if (c.Has(scale_input)) x = Combine(x, c.In(scale_input), Times<double>);
  if (bias_input >= 0 && c.Has(bias_input)) x = Combine(x, c.In(bias_input), Plus<double>);
  LINNET_TRY(c.Out(0, x));
  if (rms) return Status();
  LINNET_TRY(c.Out(1, mean));
  return c.Out(2, inverse);
}
Status LayerNormalization(Call& c) { return NormalizeRows(c, c.In(0), 1, 2, false); }
Status RmsNormalization(Call& c) { return NormalizeRows(c, c.In(0), 1, -1, true); }

/// Groups of channels (each channel a group of its own: InstanceNormalization) of one image are normalised together.
Status NormalizeGroups(Call& c, int64_t groups, bool scale_of_group) {
  const Reals scale = c.In(1), bias = c.In(2);
  Reals x = c.In(0);
  const double epsilon = c.Float("epsilon", 1e-5f);
  const int64_t per_group = x.shape[1] / groups;
  auto group = [&](const Index& index, int64_t) { return index[0] * groups + index[1] / per_group; };
  const std::vector<Moments> moments = MomentsOf(x, x.shape[0] * groups, group);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    const Moments& m = moments[U(group(index, at))];
    const int64_t k = scale_of_group ? index[1] / per_group : index[1];
    x[at] = (x[at] - m.mean) / sqrt(m.variance + epsilon) * scale[k] + bias[k];
  });
  return c.Out(0, x);
}
Status InstanceNormalization(Call& c) { return NormalizeGroups(c, c.shape(0)[1], false); }
/// Version 18 has one scale for each group, 21 one for each channel.
Status GroupNormalization(Call& c) { return NormalizeGroups(c, c.Int("num_groups", 1), c.version() < 21); }

/// A lane of zeros stays one.
Status LpNormalization(Call& c) {
  Reals x = c.In(0);
  const int64_t p = c.Int("p", 2);
  ForEachLane(x.shape, c.Axis(-1), [&](const Lane& lane) {
    double sum = 0;
    for (int64_t i = 0; i < lane.n; ++i) sum += p == 1 ? fabs(x[lane[i]]) : x[lane[i]] * x[lane[i]];
    const double norm = p == 1 ? sum : sqrt(sum);
    for (int64_t i = 0; i < lane.n && norm != 0; ++i) x[lane[i]] /= norm;
  });
  return c.Out(0, x);
}

Status MeanVarianceNormalization(Call& c) {
  Reals x = c.In(0);
  std::vector<int64_t> axes = c.Ints("axes");
  if (!c.HasAttribute("axes")) axes = {0, 2, 3};
  Shape kept = x.shape;
  for (int64_t axis : axes) kept[AxisOf(axis, kept.rank())] = 1;
  auto group = [&](const Index& index, int64_t) { return BroadcastOffsetOf(kept, index, kept.rank()); };
  const std::vector<Moments> moments = MomentsOf(x, kept.elements(), group);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    const Moments& m = moments[U(group(index, at))];
    x[at] = (x[at] - m.mean) / (sqrt(m.variance) + 1e-9);
  });
  return c.Out(0, x);
}

/// Divided by (bias + alpha / size * the sum of squares of the `size` channels around) ^ beta.
Status Lrn(Call& c) {
  const Reals x = c.In(0);
  const double alpha = c.Float("alpha", 1e-4f), beta = c.Float("beta", 0.75f), bias = c.Float("bias", 1);
  const int64_t size = c.Int("size", 1);
  Reals y(x.shape);
  ForEachIndex(x.shape, [&](const Index& index, int64_t at) {
    double sum = 0;
    for (int64_t k = std::max<int64_t>(0, index[1] - (size - 1) / 2); k <= std::min(x.shape[1] - 1, index[1] + size / 2); ++k) {
      Index near = index;
      near[1] = k;
      sum += x[near] * x[near];
    }
    y[at] = x[at] / pow(bias + alpha / static_cast<double>(size) * sum, beta);
  });
  return c.Out(0, y);
}

constexpr Row kRows[] = {
    {"BatchNormalization", BatchNormalization}, {"LayerNormalization", LayerNormalization},
    {"RMSNormalization", RmsNormalization}, {"SimplifiedLayerNormalization", RmsNormalization},
    {"InstanceNormalization", InstanceNormalization}, {"GroupNormalization", GroupNormalization},
    {"LpNormalization", LpNormalization}, {"MeanVarianceNormalization", MeanVarianceNormalization}, {"LRN", Lrn},
};

}  // namespace

std::span<const Row> NormalizationRows() { return kRows; }

}  // namespace linnet::reference
