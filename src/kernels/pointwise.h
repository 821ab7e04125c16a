// Elementwise functions over runs of float: one loop per function, picked once for the processor.
#pragma once

#include <stdint.h>

#include "base/cpu.h"

namespace linnet {

/// What an element becomes. x, y, z are the operands in order; alpha and beta the two parameters.
/// ONNX names verbatim where ONNX has the function. Accuracy: kernels/math-inl.h.
enum class Pointwise : uint8_t {
  // One operand.
  kAbs,
  kNeg,
  kSqrt,
  kExp,
  kLog,
  kSigmoid,
  kTanh,
  kErf,
  kRelu,
  kLeakyRelu,    ///< x < 0 ? alpha x : x
  kElu,          ///< x < 0 ? alpha (e^x - 1) : x
  kSelu,         ///< beta (x <= 0 ? alpha (e^x - 1) : x); beta is ONNX's gamma
  kCelu,         ///< max(0, x) + min(0, alpha (e^(x / alpha) - 1))
  kHardSigmoid,  ///< max(0, min(1, alpha x + beta))
  kHardSwish,    ///< x max(0, min(1, x / 6 + 1/2))
  kSoftplus,
  kSoftsign,
  kThresholdedRelu,  ///< x > alpha ? x : 0
  kGelu,             ///< with erf
  kGeluTanh,         ///< Gelu with approximate="tanh"
  kMish,
  kSwish,  ///< x sigmoid(alpha x)
  kReciprocal,
  kRsqrt,  ///< 1 / sqrt(x)
  kSquare,
  kFloor,
  kCeil,
  kRound,  ///< half to even
  kSign,
  kShrink,  ///< x < -alpha ? x + beta : x > alpha ? x - beta : 0; alpha is ONNX's lambd, beta its bias
  kClip,    ///< min(beta, max(alpha, x))
  kAffine,  ///< alpha x + beta
  kSteps,   ///< alpha max(beta, min(beta + 65535, round(x / alpha))), half to even: 16 bits of scale alpha > 0, as a number again; NaN gives 0
  kSin,
  kCos,
  kTan,
  kAsin,
  kAcos,
  kAtan,
  kSinh,
  kCosh,
  kAsinh,
  kAcosh,
  kAtanh,
  // Two operands.
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMin,  ///< NaN when either is NaN
  kMax,
  kPow,
  kPRelu,  ///< x < 0 ? y x : x
  kFmod,   ///< remainder with the sign of x: ONNX Mod with fmod=1
  kEqual,  ///< comparisons give 1 or 0
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  // Three operands.
  kMulAdd,  ///< x y + z
  kWhere,   ///< x != 0 ? y : z
};
inline constexpr int kPointwiseCount = static_cast<int>(Pointwise::kWhere) + 1;

/// "Exp", "LeakyRelu", ...
const char* PointwiseName(Pointwise function);
/// Number of operands, 1 to 3.
int PointwiseArity(Pointwise function);

/// out[i] = f(x[i], y[i], z[i]) for 0 <= i < n; n >= 0.
///
/// Bit k of `scalars` says that operand k is one value, at index 0, for all i. Operands beyond the function's
/// arity are ignored and may be null; so are alpha and beta where the function has none. `out` may be one of
/// the operands that are not scalars (in place); otherwise it must not overlap them. Touches nothing outside
/// [0, n).
///
/// Unless said otherwise NaN in gives NaN out, and infinities give the limits of the formula as written.
using PointwiseFn = void(float* out, const float* x, const float* y, const float* z, int64_t n,
                         uint32_t scalars, float alpha, float beta);

PointwiseFn* PickPointwise(Pointwise function, CpuLevel level);

}  // namespace linnet
