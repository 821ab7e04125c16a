// Activations fused into convolutions and used by recurrent networks: by name, on scalars.
#pragma once

#include <cmath>

#include "graph/graph.h"
#include "kernels/epilogue.h"

namespace linnet {

struct FusedActivation {
  Activation kind = Activation::kNone;
  float alpha = 0, beta = 0;

  /// Reads the attributes activation ("" or absent: none), alpha and beta of an internal operator.
  Status Parse(const Node& node);
  void Set(Epilogue* epilogue) const {
    epilogue->activation = kind;
    epilogue->alpha = alpha;
    epilogue->beta = beta;
  }
};

/// The activation a name means ("Relu", "Clip", "HardSwish", ... as in Activation), or a failure.
Result<Activation> ActivationFromName(std::string_view name);

/// W is float or double.
template <class W>
W Activate(const FusedActivation& f, W x) {
  const W alpha = static_cast<W>(f.alpha), beta = static_cast<W>(f.beta), zero = 0, one = 1;
  auto clamp = [](W v, W low, W high) { return v < low ? low : v > high ? high : v; };   // NaN stays
  auto sigmoid = [](W v) { return W(1) / (W(1) + std::exp(-v)); };
  auto softplus = [](W v) { return v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v)); };
  switch (f.kind) {
    case Activation::kNone: return x;
    case Activation::kRelu: return x < zero ? zero : x;
    case Activation::kClip: return clamp(x, alpha, beta);
    case Activation::kLeakyRelu: return x < zero ? alpha * x : x;
    case Activation::kHardSigmoid: return clamp(alpha * x + beta, zero, one);
    case Activation::kHardSwish: return x * clamp(x / W(6) + W(0.5), zero, one);
    case Activation::kElu: return x < zero ? alpha * std::expm1(x) : x;
    case Activation::kSelu: return beta * (x < zero ? alpha * std::expm1(x) : x);
    case Activation::kSigmoid: return sigmoid(x);
    case Activation::kTanh: return std::tanh(x);
    case Activation::kSilu: return x * sigmoid(alpha * x);
    case Activation::kGelu: return x * (one + std::erf(x * W(0.70710678118654752440))) / W(2);
    case Activation::kGeluTanh:
      return x * (one + std::tanh(W(0.79788456080286535588) * (x + W(0.044715) * x * x * x))) / W(2);
    case Activation::kSoftplus: return softplus(x);
    case Activation::kMish: return x * std::tanh(softplus(x));
    case Activation::kSteps: return x != x ? zero : alpha * clamp(std::nearbyint(x / alpha), beta, beta + W(65535));
  }
  return x;
}

}  // namespace linnet
