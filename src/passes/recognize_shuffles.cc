// recognize_shuffles: finds the channel shuffles of ShuffleNet in their Reshapes and Transposes, so that they can work channels-last.
//
//     Reshape [N, g, C/g, S...] → Transpose → Reshape [N, C, S...]            becomes   linnet:ShuffleChannels
//     and of what follows, Slice along the channels, or Gather of one of
//     the parts [C/g] that the last Reshape puts first                        becomes   linnet:ShuffleChannels of some channels
//
// Gather reads the shape [C/g, 1, g, S...] of an N of 1, which may be missing in the others too.
#include <algorithm>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

class ShuffleFinder {
 public:
  explicit ShuffleFinder(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(const std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).alive && graph_.node(id).Is("Transpose")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  const Shape& ShapeOf(ValueId id) const { return graph_.value(id).type.shape; }

  /// Whether the dimensions of `shape` from `from` on are the spatial ones of `image`, one by one.
  static bool SameSpatial(const Shape& shape, int from, const Shape& image) {
    bool same = shape.rank() - from == image.rank() - 2;
    for (int d = from; same && d < shape.rank(); ++d) same = shape[d] == image[d - from + 2] && shape[d] != kUnknownDim;
    return same;
  }
  /// Whether the dimensions of `shape` from `from` on are the spatial ones of `image`, or as many elements.
  bool EndsIn(const Shape& shape, int from, const Shape& image) const {
    if (from > shape.rank()) return false;
    if (SameSpatial(shape, from, image)) return true;
    int64_t in_shape = 1, in_image = 1;
    for (int d = from; d < shape.rank(); ++d) {
      if (!IsKnownDim(shape[d]) || !CheckedMul(in_shape, shape[d], &in_shape)) return false;
    }
    for (int d = 2; d < image.rank(); ++d) {
      if (!IsKnownDim(image[d]) || !CheckedMul(in_image, image[d], &in_image)) return false;
    }
    return in_shape == in_image;
  }
  /// How many dimensions of `shape` are a batch as of `image`: 1, or 0 where that is 1; -1 where neither fits.
  int BatchDims(const Shape& shape, const Shape& image, int rank_without) const {
    if (shape.rank() == rank_without + 1 && shape[0] == image[0] && image[0] != kUnknownDim) return 1;
    return shape.rank() == rank_without && image[0] == 1 ? 0 : -1;
  }

  Status Visit(NodeId id) {
    const Node& turn = graph_.node(id);
    const Node* split = Producer(graph_, turn.inputs[0]);
    if (!split || !split->Is("Reshape") || !ReadOnce(graph_, turn.inputs[0]) || !ReadOnce(graph_, turn.outputs[0])) return Status();
    const Node& join = graph_.node(graph_.value(turn.outputs[0]).uses[0].node);
    if (!join.Is("Reshape") || join.inputs[0] != turn.outputs[0]) return Status();
    const ValueId x = split->inputs[0], y = join.outputs[0];
    const Shape &image = ShapeOf(x), &parts = ShapeOf(split->outputs[0]), &whole = ShapeOf(y);
    if (!image.has_rank() || !parts.has_rank() || !whole.has_rank() || image.rank() < 3 || !IsKnownDim(image[1]) || image[1] == 0) return Status();
    // [N,] groups, width, S...: which are the two that change places.
    LINNET_ASSIGN(const std::vector<int64_t> perm, turn.Ints("perm"));
    if (perm.size() != static_cast<size_t>(parts.rank())) return Status();
    int at = 0;
    while (at < parts.rank() && perm[static_cast<size_t>(at)] == at) ++at;
    if (at > 1 || at + 1 >= parts.rank() || BatchDims(parts, image, parts.rank() - at) != at) return Status();
    for (int d = at; d < parts.rank(); ++d) {
      if (perm[static_cast<size_t>(d)] != (d == at ? at + 1 : d == at + 1 ? at : d)) return Status();
    }
    const int64_t groups = parts[at], width = parts[at + 1];
    if (!IsKnownDim(groups) || !IsKnownDim(width) || groups * width != image[1] || !EndsIn(parts, at + 2, image)) return Status();

    if (SameSpatial(whole, 2, image) && whole[0] == image[0] && whole[0] != kUnknownDim && whole[1] == image[1]) return Whole(x, y, groups, width);
    // [width, 1, groups, S...], of which one of `width` at a time is taken.
    const bool parted = image[0] == 1 && image.is_static() && SameSpatial(whole, 3, image) && whole[0] == width && whole[1] == 1 && whole[2] == groups;
    return parted ? Parts(x, y, groups, width) : Status();
  }

  Status Make(ValueId x, ValueId y, const std::string& name, int64_t groups, int64_t first, int64_t count) {
    Node node;
    node.op = "ShuffleChannels";
    node.domain = "linnet";
    node.version = 1;
    node.name = name;
    node.inputs = {x};
    node.outputs = {y};
    node.Set("axis", int64_t{1});
    node.Set("groups", groups);
    node.Set("first", first);
    node.Set("count", count);
    return graph_.AddNode(std::move(node)).TakeStatus();
  }

  /// The shuffled image: slices of it that are whole columns of the matrix are made one by one, where all are.
  Status Whole(ValueId x, ValueId y, int64_t groups, int64_t width) {
    struct Cut {
      NodeId node;
      int64_t first, count;
    };
    std::vector<Cut> cuts;
    for (const Use& use : graph_.value(y).uses) {
      const std::optional<std::pair<int64_t, int64_t>> cut = use.node == kNoNode ? std::nullopt : CutOf(graph_.node(use.node), y, groups * width);
      if (!cut || cut->first % groups != 0 || cut->second % groups != 0 || cut->second == 0) {
        cuts.clear();
        break;
      }
      cuts.push_back({use.node, cut->first / groups, cut->second / groups});
    }
    if (cuts.empty()) {
      const NodeId join = graph_.value(y).producer;
      const std::string name = graph_.node(join).name;
      graph_.RemoveNode(join);
      return Make(x, y, name, groups, 0, width);
    }
    for (const Cut& cut : cuts) LINNET_TRY(Replace(cut.node, x, groups, cut.first, cut.count));
    return Status();
  }

  /// Channels [first, first + count) that a Slice takes of an image's `channels`, all else being whole.
  std::optional<std::pair<int64_t, int64_t>> CutOf(const Node& node, ValueId y, int64_t channels) const {
    const std::optional<SliceCuts> cuts = node.inputs[0] == y ? SliceCutsOf(graph_, node) : std::nullopt;
    if (!cuts || cuts->lists[0].size() != 1 || cuts->lists[2][0] != 1 || cuts->lists[3][0] != 1) return std::nullopt;
    auto place = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + channels : at, 0, channels); };
    const int64_t first = place(cuts->lists[0][0]), end = place(cuts->lists[1][0]);
    if (end <= first) return std::nullopt;
    return std::pair(first, end - first);
  }

  Status Parts(ValueId x, ValueId y, int64_t groups, int64_t width) {
    std::vector<std::pair<NodeId, int64_t>> taken;
    for (const Use& use : graph_.value(y).uses) {
      if (use.node == kNoNode) return Status();
      const Node& gather = graph_.node(use.node);
      if (!gather.Is("Gather") || gather.inputs[0] != y) return Status();
      LINNET_ASSIGN(const int64_t axis, gather.Int("axis", 0));
      const Tensor* index = ConstantOf(graph_, gather.inputs[1]);
      if (axis != 0 || !index || index->shape().rank() != 0) return Status();
      int64_t at = index->dtype() == DType::kInt64 ? index->as<int64_t>()[0] : index->dtype() == DType::kInt32 ? index->as<int32_t>()[0] : width;
      if (at < 0) at += width;
      if (at < 0 || at >= width) return Status();
      taken.emplace_back(use.node, at);
    }
    for (auto [node, at] : taken) LINNET_TRY(Replace(node, x, groups, at, 1));
    return Status();
  }

  /// Makes what `node` makes of channels of x.
  Status Replace(NodeId node, ValueId x, int64_t groups, int64_t first, int64_t count) {
    const std::string name = graph_.node(node).name;
    const ValueId out = graph_.node(node).outputs[0];
    graph_.RemoveNode(node);
    return Make(x, out, name, groups, first, count);
  }

  Graph& graph_;
};

}  // namespace

Status RecognizeShuffles(Graph& graph, const PassContext& context) {
  if (!context.table->Find("linnet", "ShuffleChannels", 1).ok()) return Status();   // not in this build
  return ForEachGraph(graph, [](Graph& g) { return ShuffleFinder(g).Run(); });
}

}  // namespace linnet
