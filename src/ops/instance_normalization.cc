// InstanceNormalization, GroupNormalization: each sample's channels, or groups of channels, by their own statistics.
//
//     y = (x - mean) / sqrt(variance + epsilon) scale + bias
//
// scale and bias are by channel, for GroupNormalization-18 by group.
#include <math.h>

#include "ops/channel_norm_helpers.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

struct GroupNormParams {
  int64_t samples = 1, channels = 1, inner = 1, groups = 1;
  int64_t scales = 1;   ///< values of scale and bias: channels or groups
};

template <bool instance>
struct GroupNormalization {
  float epsilon = 1e-5f;
  int64_t groups = 0;   ///< 0: as many as channels
  bool scale_by_group = false;
  ChannelKernels kernels;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(epsilon, node.Float("epsilon", 1e-5f));
    if (instance) return Status();
    scale_by_group = node.version < 21;
    LINNET_ASSIGN(groups, node.Int("num_groups", 0));
    if (groups <= 0) return InvalidModel("attribute 'num_groups' is ", groups, "; it must be above 0");
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(3, 3));
    for (int i = 0; i < 3; ++i) LINNET_TRY(c.CheckType(i, kAnyFloat));
    const Shape& x = c.shape(0);
    if (x.has_rank()) {
      if (x.rank() < 2) return InvalidModel("input has shape ", ToString(x), "; it needs a sample and a channel dimension");
      if (!instance && IsKnownDim(x[1]) && x[1] % groups != 0) {
        return InvalidModel(x[1], " channels do not divide into ", groups, " groups");
      }
      const int64_t scales = scale_by_group ? groups : x[1];
      for (int i = 1; i < 3; ++i) {
        if (c.shape(i).is_static() && IsKnownDim(scales) && c.shape(i).elements() != scales) {
          return InvalidModel("input ", i, " has shape ", ToString(c.shape(i)), " where ", scales, " values are expected");
        }
      }
    }
    return c.SetOutput(0, c.type(0));
  }

  Status Prepare(PrepareContext& c) {
    kernels.Pick(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    GroupNormParams& p = *c.Params<GroupNormParams>();
    const Shape& x = c.shape(0);
    p.samples = x[0];
    p.channels = x[1];
    p.inner = x.Product(2, x.rank());
    p.groups = instance ? p.channels : groups;
    p.scales = scale_by_group ? p.groups : p.channels;
    // Scales and shifts of all stretches, statistics of groups, scale and bias, and floats.
    c.Scratch(p.samples * p.channels * (8 * 2 + 4 * 2) + p.samples * p.groups * 16 + p.scales * 16);
    c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const GroupNormParams& p = c.params<GroupNormParams>();
    if (p.samples * p.channels * p.inner == 0) return Status();
    const int64_t stretches = p.samples * p.channels, rows = p.samples * p.groups;
    const int64_t channels_of_group = p.channels / p.groups;
    double* scale = reinterpret_cast<double*>(c.scratch());
    double *shift = scale + stretches, *mean = shift + stretches, *variance = mean + rows;
    double *gamma = variance + rows, *beta = gamma + p.scales;
    float* floats = reinterpret_cast<float*>(beta + p.scales);
    LoadDoubles(c.input_dtype(1), c.input(1), p.scales, gamma);
    LoadDoubles(c.input_dtype(2), c.input(2), p.scales, beta);
    LINNET_TRY(StretchMoments(c, kernels, c.input_dtype(0), c.input(0), rows, channels_of_group * p.inner, mean, variance));
    for (int64_t i = 0; i < stretches; ++i) {
      const int64_t channel = i % p.channels, group = channel / channels_of_group, row = i / p.channels * p.groups + group;
      const int64_t which = scale_by_group ? group : channel;
      scale[i] = gamma[which] / sqrt(variance[row] + static_cast<double>(epsilon));
      shift[i] = beta[which] - mean[row] * scale[i];
    }
    return ScaleStretches(c, kernels, c.input_dtype(0), c.input(0), c.output(0), stretches, p.inner, stretches, scale,
                          shift, floats);
  }
};

}  // namespace

LINNET_OP(InstanceNormalization, 1, GroupNormalization<true>);
LINNET_OP(GroupNormalization, 18, GroupNormalization<false>);

}  // namespace linnet
