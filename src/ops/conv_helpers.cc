// Attributes and shapes of convolutions.
#include "ops/conv_helpers.h"

namespace linnet {

Status ConvAttributes::Parse(const Node& node) {
  LINNET_TRY(window.Parse(node));
  LINNET_ASSIGN(groups, node.Int("group", 1));
  if (groups < 1 || groups >= kWindowMax) return InvalidModel("attribute group is ", groups);
  return Status();
}

Result<Shape> ConvAttributes::Infer(const Shape& x, const Shape& weights, Layout layout, Window* fitted) const {
  LINNET_TRY(CheckImage(x));
  if (weights.has_rank() && weights.rank() < 3) {
    return InvalidModel("weights have shape ", ToString(weights), " where [out, in / group, kernel...] is expected");
  }
  int64_t out_c = kUnknownDim;
  if (weights.has_rank()) {
    out_c = weights[0];
    if (IsKnownDim(out_c) && out_c % groups != 0) {
      return InvalidModel(out_c, " output channels do not divide into ", groups, " groups");
    }
    if (x.has_rank()) {
      int64_t in_c = x[ChannelAxis(layout, x.rank())], wanted = DimMul(weights[1], groups);
      if (IsKnownDim(in_c) && IsKnownDim(wanted) && in_c != wanted) {
        return InvalidModel("input has ", in_c, " channels where weights of shape ", ToString(weights), " and ", groups,
                            " groups need ", wanted);
      }
    }
  }
  if (!x.has_rank()) {
    int rank = weights.has_rank() ? weights.rank() : window.rank() < 0 ? -1 : window.rank() + 2;
    if (rank < 0) return Shape();
    Shape y = Shape::OfRank(rank);
    y[ChannelAxis(layout, rank)] = out_c;
    return y;
  }
  Window local;
  if (!fitted) fitted = &local;
  int kernel_rank = weights.has_rank() ? weights.rank() - 2 : 0;
  LINNET_TRY(window.Fit(x, layout, weights.has_rank() ? weights.begin() + 2 : nullptr, kernel_rank, fitted));
  int64_t spatial[kSpatialMax];
  for (int i = 0; i < fitted->rank; ++i) spatial[i] = fitted->axes[i].out;
  return ImageShape(layout, x[0], out_c, {spatial, static_cast<size_t>(fitted->rank)});
}

Status CheckVector(const InferContext& c, int i, std::string_view what, int64_t length) {
  if (!c.has_input(i) || !c.shape(i).has_rank()) return Status();
  const Shape& shape = c.shape(i);
  if (shape.rank() == 1 && (!IsKnownDim(shape[0]) || !IsKnownDim(length) || shape[0] == length)) return Status();
  return InvalidModel(what, " has shape ", ToString(shape), " where [", IsKnownDim(length) ? Cat(length) : "?",
                      "] is expected");
}

GemmGrain ConvGrain(const GemmF32Kernels& kernels, const ConvF32& conv, int threads) {
  constexpr int64_t kTiles = 4;   // of a share that is worth cutting
  constexpr int64_t kWeights = 1 << 18;
  const GemmGrain grain = ConvGrainF32(kernels, conv, threads);
  const int64_t pixels = conv.batch * conv.out_h * conv.out_w, tile = kernels.rows, share = DivUp(pixels, threads);
  if (ConvSplits(kernels, conv) || conv.groups > 1 || threads == 1 || share < std::min<int64_t>(12, 2 * tile)) return grain;
  const int64_t taps = conv.kernel_h * conv.kernel_w;
  if (taps == 1) return {share >= kTiles * tile ? tile : share, ConvPanels(conv)};
  // Parts of the panels would each gather all pixels; small weights are better read by every thread.
  if (grain.rows < pixels || taps * conv.in_c * conv.out_c > kWeights) return grain;
  return {std::min(pixels, RoundUp(share, conv.out_w)), ConvPanels(conv)};
}

}  // namespace linnet
