// EmbedLayerNormalization (com.microsoft, version 1): the sum of the embeddings of words, positions and segments, normalized.
//
// Inputs input_ids [B, S], segment_ids, word_embedding [words, size], position_embedding, segment_embedding, gamma, beta, mask [B, S]
// and position_ids [B or 1, S]; outputs the normalized rows, the number of ones in each row of the mask, and the sum itself. Only types
// are known here: the pass `lower` makes Gathers and LayerNormalization of it.
#include <math.h>

#include "ops/scalar_helpers.h"

namespace linnet {
namespace {

struct EmbedLayerNormalization {
  enum { kIds, kSegments, kWord, kPosition, kSegment, kGamma, kBeta, kMask, kPositionIds };

  Status Parse(const Node& node) {
    LINNET_ASSIGN(float epsilon, node.Float("epsilon", 1e-12f));
    return isfinite(epsilon) && epsilon >= 0 ? Status() : InvalidModel("attribute epsilon is ", epsilon);
  }

  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 9));
    for (int i : {kWord, kPosition, kGamma, kBeta}) {
      if (!c.has_input(i)) return InvalidModel("required input ", i, " is missing");
    }
    if (c.has_input(kSegments) != c.has_input(kSegment)) return InvalidModel("segment_ids and segment_embedding go together");
    const Shape ids = c.shape(kIds).has_rank() ? c.shape(kIds) : Shape::OfRank(2);
    auto same = [](int64_t a, int64_t b) { return !IsKnownDim(a) || !IsKnownDim(b) || a == b; };
    for (int i : {kIds, kSegments, kMask, kPositionIds}) {
      LINNET_TRY(c.CheckType(i, Mask(DType::kInt32)));
      LINNET_TRY(c.CheckRank(i, 2));
      if (!c.has_input(i) || !c.shape(i).has_rank()) continue;
      const Shape& shape = c.shape(i);
      if (!same(shape[1], ids[1]) || (!same(shape[0], ids[0]) && (i != kPositionIds || shape[0] != 1))) {
        return InvalidModel("input ", i, " has shape ", ToString(shape), " where input_ids have ", ToString(ids));
      }
    }
    int64_t size = kUnknownDim;
    for (int i : {kWord, kPosition, kSegment, kGamma, kBeta}) {
      LINNET_TRY(c.CheckType(i, Mask(DType::kFloat) | Mask(DType::kFloat16) | Mask(DType::kBfloat16)));
      LINNET_TRY(c.CheckRank(i, i >= kGamma ? 1 : 2));
      if (!c.has_input(i) || !c.shape(i).has_rank()) continue;
      const Shape& shape = c.shape(i);
      const int64_t of = shape[shape.rank() - 1];
      if (!same(of, size)) return InvalidModel("input ", i, " has shape ", ToString(shape), " where rows of ", size, " numbers are expected");
      if (!IsKnownDim(size)) size = of;
      if (i == kPosition && !c.has_input(kPositionIds) && IsKnownDim(shape[0]) && IsKnownDim(ids[1]) && ids[1] > shape[0]) {
        return InvalidModel(ids[1], " words are more than the ", shape[0], " positions that have embeddings");
      }
    }
    LINNET_TRY(CheckSameType(c, {kWord, kPosition, kSegment, kGamma, kBeta}));
    LINNET_TRY(c.SetOutput(1, DType::kInt32, Shape{ids[0]}));
    LINNET_TRY(c.SetOutput(2, c.dtype(kWord), Shape{ids[0], ids[1], size}));
    return c.SetOutput(0, c.dtype(kWord), Shape{ids[0], ids[1], size});
  }
};

}  // namespace

LINNET_MS_OP(EmbedLayerNormalization, 1, EmbedLayerNormalization);

}  // namespace linnet
