// BatchNormalization: y = (x - mean) / sqrt(var + epsilon) scale + B for each channel (dimension 1).
//
// Statistics are inputs; in training they are those of the batch, and the running ones are updated:
//     running = input momentum + batch (1 - momentum)
// Training is attribute training_mode since version 14; before, it is asked for by naming more outputs than Y (unless
// is_test, of versions below 7): mean, var, saved_mean, saved_var. With spatial = 0 (below version 9) every activation
// has statistics of its own.
#include <math.h>

#include "ops/channel_norm_helpers.h"
#include "ops/for_type.h"

namespace linnet {
namespace {

struct BatchNormParams {
  int64_t outer = 1, channels = 1, inner = 1;
};

struct BatchNormalization {
  float epsilon = 1e-5f, momentum = 0.9f;
  bool spatial = true, training = false;
  int outputs_max = 3;
  ChannelKernels kernels;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(epsilon, node.Float("epsilon", 1e-5f));
    LINNET_ASSIGN(momentum, node.Float("momentum", 0.9f));
    if (node.version >= 14) {
      LINNET_ASSIGN(int64_t training_mode, node.Int("training_mode", 0));
      training = training_mode != 0;
      return Status();
    }
    outputs_max = 5;
    if (node.version < 9) {
      LINNET_ASSIGN(int64_t spatial_flag, node.Int("spatial", 1));
      spatial = spatial_flag != 0;
    }
    LINNET_ASSIGN(int64_t is_test, node.Int("is_test", 0));
    for (size_t i = 1; i < node.outputs.size(); ++i) training = training || (node.outputs[i] != kNoValue && is_test == 0);
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(5, 5));
    for (int i = 0; i < 5; ++i) LINNET_TRY(c.CheckType(i, kAnyFloat));
    if (c.output_count() > outputs_max) return InvalidModel("has ", c.output_count(), " outputs; at most ", outputs_max, " are defined");
    const Shape& x = c.shape(0);
    Shape statistics = spatial ? Shape::OfRank(1) : Shape();
    if (x.has_rank()) {
      if (x.rank() == 0) return InvalidModel("X has rank 0");
      if (spatial) {
        statistics[0] = x.rank() > 1 ? x[1] : 1;
      } else {
        statistics = Shape(x.dims().subspan(1));
      }
      for (int i = 1; i < 5; ++i) {
        const Shape& s = c.shape(i);
        if (!s.is_static() || !statistics.is_static()) continue;
        if (s.elements() != statistics.elements()) {
          return InvalidModel("input ", i, " has shape ", ToString(s), " where ", ToString(statistics), " is expected");
        }
      }
    }
    LINNET_TRY(c.SetOutput(0, c.type(0)));
    for (int i = 1; i < c.output_count(); ++i) LINNET_TRY(c.SetOutput(i, c.dtype(3), statistics));
    return Status();
  }

  Status Prepare(PrepareContext& c) {
    kernels.Pick(c.cpu());
    return Status();
  }

  Status Bind(BindContext& c) const {
    BatchNormParams& p = *c.Params<BatchNormParams>();
    const Shape& x = c.shape(0);
    p.outer = x[0];
    if (spatial && x.rank() > 1) {
      p.channels = x[1];
      p.inner = x.Product(2, x.rank());
    } else if (!spatial) {
      p.channels = x.Product(1, x.rank());
    }
    c.Scratch(p.channels * (4 * 8 + 2 * 4));
    if (!training) c.InPlace(0, 0);
    return Status();
  }

  Status Run(RunContext& c) const {
    const BatchNormParams& p = c.params<BatchNormParams>();
    const int64_t channels = p.channels;
    double* scale = reinterpret_cast<double*>(c.scratch());
    double *shift = scale + channels, *mean = shift + channels, *variance = mean + channels;
    float* floats = reinterpret_cast<float*>(variance + channels);
    const bool has_data = p.outer * p.inner > 0;
    LoadDoubles(c.input_dtype(3), c.input(3), channels, mean);
    LoadDoubles(c.input_dtype(4), c.input(4), channels, variance);
    if (training) {
      // Scale and shift serve as room for the statistics of the batch until these are where they belong.
      if (has_data) ChannelMoments(c.input_dtype(0), c.input(0), p.outer, channels, p.inner, scale, shift);
      for (int64_t i = 0; i < channels && has_data; ++i) {
        const double batch_mean = scale[i], batch_variance = shift[i], keep = momentum;
        scale[i] = mean[i] * keep + batch_mean * (1 - keep);
        shift[i] = variance[i] * keep + batch_variance * (1 - keep);
        mean[i] = batch_mean;
        variance[i] = batch_variance;
      }
      const double* results[] = {nullptr, has_data ? scale : mean, has_data ? shift : variance, mean, variance};
      for (int i = 1; i < c.output_count(); ++i) {
        if (!c.has_output(i)) continue;
        LINNET_TRY(ForType<kAnyFloat>(c.output_dtype(i), [&]<class T>() {
          for (int64_t k = 0; k < channels; ++k) c.out<T>(i)[k] = Narrow<T>(results[i][k]);
          return Status();
        }));
      }
    }
    if (!has_data || channels == 0 || !c.has_output(0)) return Status();
    LoadDoubles(c.input_dtype(1), c.input(1), channels, scale);
    LoadDoubles(c.input_dtype(2), c.input(2), channels, shift);
    for (int64_t i = 0; i < channels; ++i) {
      scale[i] /= sqrt(variance[i] + static_cast<double>(epsilon));
      shift[i] -= mean[i] * scale[i];
    }
    return ScaleStretches(c, kernels, c.input_dtype(0), c.input(0), c.output(0), p.outer * channels, p.inner, channels,
                          scale, shift, floats);
  }
};

}  // namespace

LINNET_OP(BatchNormalization, 1, BatchNormalization);

}  // namespace linnet
