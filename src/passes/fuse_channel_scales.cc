// fuse_channel_scales: a 1x1 convolution takes in the product before it that scales the channels of its image.
//
//     Mul(x, s) → Conv (1x1)      becomes      linnet:ScaledConv(x, w, b, residual, s)
//
// where s has one number a channel, as in squeeze-and-excite networks. The operator scales the weights instead, so this is
// for images that have at least as many pixels as the convolution has outputs.
#include <algorithm>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

class ScaleFuser {
 public:
  explicit ScaleFuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) LINNET_TRY(Fuse(id));
    return Status();
  }

 private:
  const Shape& ShapeOf(ValueId id) const { return graph_.value(id).type.shape; }

  bool IsPicture(ValueId id) const {
    const Type& type = graph_.value(id).type;
    return type.is_tensor() && type.dtype == DType::kFloat && type.shape.rank() == 4;
  }

  static bool All(const Node& node, const char* list, int64_t value) {
    Result<std::vector<int64_t>> numbers = node.Ints(list);
    return numbers.ok() && std::all_of(numbers->begin(), numbers->end(), [&](int64_t n) { return n == value; });
  }

  bool IsPointwise(const Node& node) const {
    const Tensor* w = node.inputs.size() > 1 && node.inputs[1] != kNoValue ? ConstantOf(graph_, node.inputs[1]) : nullptr;
    if (!w || w->dtype() != DType::kFloat || w->shape().rank() != 4 || w->elements() == 0) return false;
    Result<int64_t> groups = node.Int("group", 1);
    return groups.ok() && *groups == 1 && w->shape()[2] * w->shape()[3] == 1 && All(node, "strides", 1) && All(node, "pads", 0);
  }

  /// Whether `scale` has one number for every channel of `x`, for all images or for each.
  bool Scales(ValueId scale, ValueId x) const {
    if (!IsPicture(scale) || !IsPicture(x)) return false;
    const Shape &s = ShapeOf(scale), &in = ShapeOf(x);
    return s[1] == 1 && s[2] == 1 && IsKnownDim(s[3]) && s[3] == in[3] && s[0] != kUnknownDim && (s[0] == 1 || s[0] == in[0]);
  }

  Status Fuse(NodeId id) {
    const Node& node = graph_.node(id);
    if (!node.Is("Conv", "linnet") || node.Has("slice_channels") || !IsPicture(node.inputs[0]) || !IsPointwise(node)) return Status();
    const Node* mul = SoleProducer(graph_, node.inputs[0], "Mul");
    if (!mul || mul->version < 7) return Status();
    const bool second = Scales(mul->inputs[1], mul->inputs[0]);
    if (!second && !Scales(mul->inputs[0], mul->inputs[1])) return Status();
    const ValueId x = mul->inputs[second ? 0 : 1], scale = mul->inputs[second ? 1 : 0];
    const Shape &in = ShapeOf(x), &w = ShapeOf(node.inputs[1]);
    if (!IsKnownDim(in[1]) || !IsKnownDim(in[2]) || in[1] * in[2] < w[0]) return Status();

    Node fused;
    fused.op = "ScaledConv";
    fused.domain = "linnet";
    fused.version = 1;
    fused.name = node.name;
    fused.inputs = node.inputs;
    fused.inputs[0] = x;
    fused.inputs.resize(4, kNoValue);
    fused.inputs.push_back(scale);
    fused.outputs = node.outputs;
    for (const char* name : {"activation", "alpha", "beta"}) {
      if (const Attribute* attribute = node.Find(name)) fused.attributes.push_back(*attribute);
    }
    const NodeId before = graph_.value(node.inputs[0]).producer;
    graph_.RemoveNode(id);
    graph_.RemoveNode(before);
    return graph_.AddNode(std::move(fused)).TakeStatus();
  }

  Graph& graph_;
};

}  // namespace

Status FuseChannelScales(Graph& graph, const PassContext& context) {
  // Products of bfloat16 operands are worth more than the scaling.
  if (context.precision != Precision::kFloat32) return Status();
  return ForEachGraph(graph, [](Graph& g) { return ScaleFuser(g).Run(); });
}

}  // namespace linnet
