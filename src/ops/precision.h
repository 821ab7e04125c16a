// Which products of a model run on operands of 16 bits: the attribute that marks them, and the rule that sets it.
//
// The pass reduce_precision marks nodes where a session asks for it; the mark stays in a prepared file, beside weights that
// are packed as it says. An operator takes it for what it can do and computes the rest in float32.
#pragma once

#include <optional>

#include "base/float_types.h"
#include "graph/graph.h"

namespace linnet {

inline constexpr char kPrecisionAttribute[] = "precision";
inline constexpr char kPrecisionBf16[] = "bf16", kPrecisionFp16[] = "fp16";

/// The mark of a node. Fails where this build has no such products.
Result<std::optional<HalfFormat>> ReducedFormat(const Node& node);

/// Whether m x k by k x n pays with constant weights in 16 bits; m is kUnknownDim where it is not known. Little work stays
/// in float32, as do operands of few channels, such as pictures: they cost accuracy and no time.
inline bool ReducingPays(int64_t m, int64_t n, int64_t k) {
  constexpr int64_t kNarrow = 16;
  constexpr double kWeights = 1 << 16, kWeightsOfSome = 1 << 14, kWork = 1 << 20;
  if (n < kNarrow || k < kNarrow) return false;
  const double weights = static_cast<double>(n) * static_cast<double>(k);
  return weights >= kWeights || (m < 0 ? weights >= kWeightsOfSome : weights * static_cast<double>(m) >= kWork);
}

/// Of linnet:ConvBlock: the widest product whose rows fit beside the strips (kernels/half/half_gemm.h).
inline constexpr int64_t kReducedBlockChannelsMax = 1920;

}  // namespace linnet
