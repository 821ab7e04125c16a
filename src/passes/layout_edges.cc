// layout_edges: what remains of the transposes around channels-last operators goes where it costs least.
//
//     ToChannelsLast → Conv of few channels          becomes      Conv that reads channels first
//     Resize to a bigger image → ToChannelsFirst     becomes      ToChannelsFirst → Resize of ONNX's layout
//
// A convolution copies the rows of such an image anyway, for its padding, and transposes them on the way.
#include <algorithm>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

/// More channels are not worth a transpose a row.
constexpr int64_t kFewChannels = 4;

class Edges {
 public:
  explicit Edges(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (!graph_.node(id).alive) continue;
      const Node& node = graph_.node(id);
      if (node.inputs.empty() || node.inputs[0] == kNoValue || node.outputs.empty() || node.outputs[0] == kNoValue) continue;
      if (node.Is("Conv", "linnet") || node.Is("ConvPool", "linnet")) LINNET_TRY(ReadFirst(id, 1, ""));
      if (node.Is("ConvBlock", "linnet")) LINNET_TRY(ReadFirst(id, 1, "expand_"));
      if (node.Is("Resize", "linnet") || node.Is("Upsample", "linnet")) LINNET_TRY(WriteFirst(id));
    }
    return Status();
  }

 private:
  const Type& TypeOf(ValueId id) const { return graph_.value(id).type; }

  static bool IsPicture(const Type& type) { return type.is_tensor() && type.dtype == DType::kFloat && type.shape.rank() == 4; }

  /// The convolution whose weights are input `weights`, its attributes having `prefix`.
  Status ReadFirst(NodeId id, size_t weights, const std::string& prefix) {
    const Node& node = graph_.node(id);
    const ValueId x = node.inputs[0];
    const Node* transpose = Producer(graph_, x);
    if (!transpose || !transpose->Is("ToChannelsLast", "linnet") || !ReadOnce(graph_, x) || !IsPicture(TypeOf(x))) return Status();
    const Tensor* w = node.inputs[weights] == kNoValue ? nullptr : ConstantOf(graph_, node.inputs[weights]);
    if (!w || w->shape().rank() != 4) return Status();
    const Shape& shape = w->shape();
    LINNET_ASSIGN(int64_t groups, node.Int(prefix + "group", 1));
    // One channel is no transpose, and a 1x1 kernel copies no rows.
    if (groups != 1 || shape[1] < 2 || shape[1] > kFewChannels || shape[2] * shape[3] <= 1) return Status();
    // 3x3 steps of 1 may be computed in tiles, which read channels last.
    LINNET_ASSIGN(std::vector<int64_t> strides, node.Ints(prefix + "strides"));
    const bool steps = std::any_of(strides.begin(), strides.end(), [](int64_t s) { return s != 1; });
    if (!steps && shape[2] == 3 && shape[3] == 3) return Status();
    graph_.SetInput(id, 0, transpose->inputs[0]);
    graph_.mutable_node(id).Set(prefix + "channels_first", int64_t{1});
    return Status();
  }

  Status WriteFirst(NodeId id) {
    const Node& node = graph_.node(id);
    const ValueId x = node.inputs[0], y = node.outputs[0];
    if (!ReadOnce(graph_, y) || !IsPicture(TypeOf(x)) || !IsPicture(TypeOf(y))) return Status();
    const NodeId reader = graph_.value(y).uses[0].node;
    if (!graph_.node(reader).Is("ToChannelsFirst", "linnet")) return Status();
    LINNET_ASSIGN(int64_t antialias, node.Int("antialias", 0));
    LINNET_ASSIGN(std::string coordinates, node.String("coordinate_transformation_mode", ""));
    if (antialias || coordinates == "tf_crop_and_resize") return Status();   // what the loops of one channel do not do
    const Node* before = Producer(graph_, x);
    ValueId first = before && before->Is("ToChannelsLast", "linnet") ? before->inputs[0] : kNoValue;
    if (first == kNoValue && !Grows(TypeOf(x).shape, TypeOf(y).shape)) return Status();
    if (first == kNoValue) {
      Type type = TypeOf(x);
      const Shape last = type.shape;
      type.shape[1] = last[3], type.shape[2] = last[1], type.shape[3] = last[2];
      LINNET_ASSIGN(first, graph_.AddNode("ToChannelsFirst", "linnet", 1, {x}, {}, type, graph_.value(x).name));
    }
    Node resize = graph_.node(id);
    resize.domain.clear();
    resize.inputs[0] = first;
    resize.outputs = graph_.node(reader).outputs;
    graph_.RemoveNode(reader);
    graph_.RemoveNode(id);
    return graph_.AddNode(std::move(resize)).TakeStatus();
  }

  /// At least twice as many pixels, as far as is known.
  static bool Grows(const Shape& in, const Shape& out) {
    for (int d : {1, 2}) {
      if (!IsKnownDim(in[d]) || !IsKnownDim(out[d])) return false;
    }
    return out[1] * out[2] >= 2 * in[1] * in[2];
  }

  Graph& graph_;
};

}  // namespace

Status MoveLayoutEdges(Graph& graph, const PassContext& context) {
  LINNET_TRY(ForEachGraph(graph, [](Graph& g) { return Edges(g).Run(); }));
  return RemoveDeadCode(graph, context);
}

}  // namespace linnet
