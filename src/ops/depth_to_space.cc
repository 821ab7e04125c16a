// DepthToSpace and SpaceToDepth: blocks of pixels become channels, or the other way round; a transpose of six axes.
//
//     DepthToSpace DCR   [n, by, bx, c, h, w] → [n, c, h, by, w, bx]
//                  CRD   [n, c, by, bx, h, w] → [n, c, h, by, w, bx]      (since version 11)
//     SpaceToDepth       [n, c, h, by, w, bx] → [n, by, bx, c, h, w]
//
// linnet:DepthToSpace and linnet:SpaceToDepth, which the layout pass makes, are the same with channels last.
#include "ops/movement.h"
#include "ops/window_helpers.h"

namespace linnet {
namespace {

Status ParseBlock(const Node& node, int64_t* block) {
  LINNET_ASSIGN(*block, node.Int("blocksize", 0));
  if (*block < 1 || *block > kDimMax) return InvalidModel("attribute 'blocksize' is ", *block);
  return Status();
}

/// Input 0 seen as `in`, read in the order of axes `perm`.
Status BindTranspose(BindContext& c, const CopyOfInput& op, const Shape& in, const int (&perm)[6]) {
  Strides from(in);
  Shape out = Shape::OfRank(6);
  for (int i = 0; i < 6; ++i) out[i] = in[perm[i]];
  Strides to(out);
  auto* copy = c.Params<StridedCopy>();
  for (int i = 0; i < 6; ++i) copy->Add(out[i], from[perm[i]], to[i]);
  op.Finish(c, copy);
  return Status();
}

template <Layout layout>
struct DepthToSpace : CopyOfInput {
  int64_t block = 1;
  bool depth_first = true;   ///< DCR

  Status Parse(const Node& node) {
    LINNET_TRY(ParseBlock(node, &block));
    LINNET_ASSIGN(std::string mode, node.String("mode", "DCR"));
    if (mode != "DCR" && mode != "CRD") return InvalidModel("attribute 'mode' is ", Quote(mode), "; known: DCR, CRD");
    depth_first = mode == "DCR";
    return Status();
  }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckRank(0, 4));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) return c.SetOutput(0, c.dtype(0), Shape::OfRank(4));
    const int64_t area = block * block, channels = in[ChannelAxis(layout, 4)];
    if (IsKnownDim(channels) && channels % area != 0) return InvalidArgument(channels, " channels do not split into blocks of ", block, " by ", block);
    const int64_t sides[] = {DimMul(in[SpatialAxis(layout, 0)], block), DimMul(in[SpatialAxis(layout, 1)], block)};
    return c.SetOutput(0, c.dtype(0), ImageShape(layout, in[0], DimDiv(channels, area), sides));
  }
  Status Bind(BindContext& c) const {
    const Shape& in = c.shape(0);
    const int64_t channels = c.output_shape(0)[ChannelAxis(layout, 4)];
    if constexpr (layout == Layout::kChannelsLast) {
      if (depth_first) return BindTranspose(c, *this, {in[0], in[1], in[2], block, block, channels}, {0, 1, 3, 2, 4, 5});
      return BindTranspose(c, *this, {in[0], in[1], in[2], channels, block, block}, {0, 1, 4, 2, 5, 3});
    }
    if (depth_first) return BindTranspose(c, *this, {in[0], block, block, channels, in[2], in[3]}, {0, 3, 4, 1, 5, 2});
    return BindTranspose(c, *this, {in[0], channels, block, block, in[2], in[3]}, {0, 1, 4, 2, 5, 3});
  }
};

template <Layout layout>
struct SpaceToDepth : CopyOfInput {
  int64_t block = 1;

  Status Parse(const Node& node) { return ParseBlock(node, &block); }
  Status Infer(InferContext& c) const {
    LINNET_TRY(c.CheckInputs(1, 1));
    LINNET_TRY(c.CheckType(0, kWholeBytes));
    LINNET_TRY(c.CheckRank(0, 4));
    const Shape& in = c.shape(0);
    if (!in.has_rank()) return c.SetOutput(0, c.dtype(0), Shape::OfRank(4));
    int64_t sides[2];
    for (int i = 0; i < 2; ++i) {
      const int axis = SpatialAxis(layout, i);
      if (IsKnownDim(in[axis]) && in[axis] % block != 0) {
        return InvalidArgument("axis ", axis, " of size ", in[axis], " does not split into blocks of ", block);
      }
      sides[i] = DimDiv(in[axis], block);
    }
    return c.SetOutput(0, c.dtype(0), ImageShape(layout, in[0], DimMul(in[ChannelAxis(layout, 4)], block * block), sides));
  }
  Status Bind(BindContext& c) const {
    const Shape &in = c.shape(0), &out = c.output_shape(0);
    if constexpr (layout == Layout::kChannelsLast) {
      return BindTranspose(c, *this, {in[0], out[1], block, out[2], block, in[3]}, {0, 1, 3, 2, 4, 5});
    }
    return BindTranspose(c, *this, {in[0], in[1], out[2], block, out[3], block}, {0, 3, 5, 1, 2, 4});
  }
};

}  // namespace

LINNET_OP(DepthToSpace, 1, DepthToSpace<Layout::kChannelsFirst>);
LINNET_OP(SpaceToDepth, 1, SpaceToDepth<Layout::kChannelsFirst>);
LINNET_INTERNAL_OP(DepthToSpace, 1, DepthToSpace<Layout::kChannelsLast>);
LINNET_INTERNAL_OP(SpaceToDepth, 1, SpaceToDepth<Layout::kChannelsLast>);

}  // namespace linnet
