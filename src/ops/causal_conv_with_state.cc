// CausalConvWithState: depthwise 1-D convolution over the past, with the last inputs carried from call to call.
//
//     padded = past_state (or zeros) ++ input        [B, C, k - 1 + L]
//     output = activation(depthwise convolution of padded + bias)        present_state = the last k - 1 of padded
//
// activation: none, silu or swish (the same). Weights are [C, 1, k].
#include <cmath>

#include "ops/conv_helpers.h"

namespace linnet {
namespace {

struct CausalConvWithState {
  bool silu = false;

  Status Parse(const Node& node) {
    LINNET_ASSIGN(std::string activation, node.String("activation", "none"));
    silu = activation == "silu" || activation == "swish";
    if (!silu && activation != "none") {
      return InvalidModel("attribute activation is ", Quote(activation), "; known: none, silu, swish");
    }
    return Status();
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(2, 4));
    for (int i = 0; i < c.input_count(); ++i) LINNET_TRY(c.CheckType(i, kAnyFloat));
    LINNET_TRY(CheckSameType(c, {0, 1, 2, 3}));
    for (int i : {0, 1, 3}) LINNET_TRY(c.CheckRank(i, 3));
    auto dim = [&](int input, int axis) {
      return c.has_input(input) && c.shape(input).has_rank() ? c.shape(input)[axis] : kUnknownDim;
    };
    int64_t batch = IsKnownDim(dim(0, 0)) || !IsKnownDim(dim(3, 0)) ? dim(0, 0) : dim(3, 0);
    int64_t channels = IsKnownDim(dim(0, 1)) || !IsKnownDim(dim(1, 0)) ? dim(0, 1) : dim(1, 0);
    const int64_t k = dim(1, 2);
    if (k == 0) return InvalidModel("weights have shape ", ToString(c.shape(1)));
    struct Check {
      int input, axis;
      int64_t wanted;
    };
    const Check checks[] = {{1, 0, channels}, {1, 1, 1}, {3, 0, batch}, {3, 1, channels}, {3, 2, DimSub(k, 1)}};
    for (const Check& check : checks) {
      int64_t is = dim(check.input, check.axis);
      if (IsKnownDim(is) && IsKnownDim(check.wanted) && is != check.wanted) {
        return InvalidModel("input ", check.input, " has shape ", ToString(c.shape(check.input)), "; dimension ", check.axis,
                            " should be ", check.wanted);
      }
    }
    LINNET_TRY(CheckVector(c, 2, "bias", channels));
    LINNET_TRY(c.SetOutput(0, c.dtype(0), Shape{batch, channels, dim(0, 2)}));
    return c.SetOutput(1, c.dtype(0), Shape{batch, channels, DimSub(k, 1)});
  }

  Status Run(RunContext& c) const {
    const Shape x = c.input_shape(0);
    return ForType<kAnyFloat>(c.input_dtype(0), [&]<class T>() -> Status {
      const int64_t length = x[2], k = c.input_shape(1)[2], past = k - 1;
      return c.ParallelFor(x[0] * x[1], 1, static_cast<double>(length * k) + 20, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const T* in = c.in<T>(0) + i * length;
          const T* before = c.has_input(3) ? c.in<T>(3) + i * past : nullptr;
          const T* weight = c.in<T>(1) + i % x[1] * k;
          const Wide<T> bias = c.has_input(2) ? Widen(c.in<T>(2)[i % x[1]]) : Wide<T>(0);
          auto padded = [&](int64_t t) { return t >= past ? in[t - past] : before ? before[t] : Narrow<T>(Wide<T>(0)); };
          for (int64_t t = 0; t < length && c.has_output(0); ++t) {
            Wide<T> sum = bias;
            for (int64_t j = 0; j < k; ++j) sum += Widen(weight[j]) * Widen(padded(t + j));
            if (silu) {
              // The definition rounds before it activates.
              const Wide<T> v = Widen(Narrow<T>(sum));
              sum = v / (1 + std::exp(-v));
            }
            c.out<T>(0)[i * length + t] = Narrow<T>(sum);
          }
          for (int64_t t = 0; t < past && c.has_output(1); ++t) c.out<T>(1)[i * past + t] = padded(length + t);
        }
      });
    });
  }
};

}  // namespace

LINNET_OP(CausalConvWithState, 27, CausalConvWithState);

}  // namespace linnet
