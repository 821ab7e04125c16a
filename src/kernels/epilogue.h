// What happens to a tile of results before it is stored: bias, residual addition, activation.
#pragma once

#include <stdint.h>

namespace linnet {

/// Elementwise functions fused into the float32 kernels. `alpha` and `beta` are Epilogue's.
enum class Activation : uint8_t {
  kNone = 0,     // none, relu and clip are applied in registers, the others to each tile after it is stored
  kRelu,         ///< max(x, 0)
  kClip,         ///< min(max(x, alpha), beta)
  kLeakyRelu,    ///< x < 0 ? alpha x : x
  kHardSigmoid,  ///< min(max(alpha x + beta, 0), 1)
  kHardSwish,    ///< x min(max(x / 6 + 1/2, 0), 1)
  kElu,          ///< x < 0 ? alpha (exp(x) - 1) : x
  kSelu,         ///< beta (x < 0 ? alpha (exp(x) - 1) : x)
  kSigmoid,
  kTanh,
  kSilu,      ///< x sigmoid(alpha x), alpha being 1 for SiLU proper
  kGelu,      ///< x (1 + erf(x / sqrt 2)) / 2
  kGeluTanh,  ///< its approximation by tanh
  kSoftplus,  ///< log(1 + exp(x))
  kMish,      ///< x tanh(softplus(x))
  kSteps,     ///< Pointwise::kSteps
};

/// y = activation(x + bias[column] + residual[row, column]).
struct Epilogue {
  /// n floats, or null.
  const float* bias = nullptr;
  /// Same shape as the result, or null. May be the result itself (same address and stride), not overlap it
  /// otherwise.
  const float* residual = nullptr;
  int64_t residual_row_stride = 0;
  Activation activation = Activation::kNone;
  float alpha = 0, beta = 0;
};

}  // namespace linnet
