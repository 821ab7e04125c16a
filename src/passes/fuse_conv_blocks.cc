// fuse_conv_blocks: a depthwise convolution takes in the convolution before it and the 1x1 convolution after it.
//
//     Conv (1x1) → Conv (depthwise) → Conv (1x1)      becomes      linnet:ConvBlock
//
// The images between them, several times as big as those around them, then exist a few rows at a time. Only where that
// pays (ops/conv_block_sizes.h), or where sizes are not known yet and the operator decides. Two parts are fused where the
// third is missing. The first layer of a network, which has a wider kernel and few channels, may be the part before.
#include "ops/conv_block_sizes.h"
#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

constexpr size_t kResidual = 3;
constexpr int64_t kFewChannels = 16;

class ConvBlockFuser {
 public:
  explicit ConvBlockFuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) LINNET_TRY(Fuse(id));
    return Status();
  }

 private:
  const Shape& ShapeOf(ValueId id) const { return graph_.value(id).type.shape; }
  bool HasInput(const Node& node, size_t i) const { return i < node.inputs.size() && node.inputs[i] != kNoValue; }

  /// The weights' shape when `node` is a float32 convolution of images with constant weights; rank -1 otherwise.
  Shape WeightsOf(const Node& node) const {
    if (!node.Is("Conv", "linnet") || node.inputs.size() < 2) return Shape();
    const Tensor* w = ConstantOf(graph_, node.inputs[1]);
    const Type& y = graph_.value(node.outputs[0]).type;
    if (!w || w->dtype() != DType::kFloat || w->shape().rank() != 4 || w->elements() == 0) return Shape();
    return y.is_tensor() && y.dtype == DType::kFloat && y.shape.rank() == 4 && ShapeOf(node.inputs[0]).rank() == 4 ? w->shape() : Shape();
  }

  bool All(const Node& node, const char* list, int64_t value) const {
    Result<std::vector<int64_t>> numbers = node.Ints(list);
    return numbers.ok() && std::all_of(numbers->begin(), numbers->end(), [&](int64_t n) { return n == value; });
  }
  bool OneGroup(const Node& node) const {
    Result<int64_t> groups = node.Int("group", 1);
    return groups.ok() && *groups == 1;
  }
  bool IsPointwise(const Node& node, const Shape& w) const {
    return w.rank() == 4 && w[2] == 1 && w[3] == 1 && OneGroup(node) && All(node, "strides", 1) && All(node, "pads", 0);
  }

  static int64_t At(const std::vector<int64_t>& list, int64_t fallback) { return list.empty() ? fallback : list[0]; }

  Status Fuse(NodeId id) {
    const Node& node = graph_.node(id);
    const Shape w = WeightsOf(node);
    if (w.rank() != 4 || w[1] != 1 || HasInput(node, kResidual)) return Status();
    LINNET_ASSIGN(int64_t groups, node.Int("group", 1));
    if (groups != w[0]) return Status();
    const ValueId x = node.inputs[0], y = node.outputs[0];

    const Node* expand = Producer(graph_, x);
    if (expand) {
      const Shape before = WeightsOf(*expand);
      const bool fits = IsPointwise(*expand, before) || (before.rank() == 4 && before[1] < kFewChannels && OneGroup(*expand));
      if (!fits || !ReadOnce(graph_, x) || HasInput(*expand, kResidual)) expand = nullptr;
    }
    const Node* project = ReadOnce(graph_, y) ? &graph_.node(graph_.value(y).uses[0].node) : nullptr;
    if (project && !(IsPointwise(*project, WeightsOf(*project)) && project->inputs[0] == y)) project = nullptr;
    if (!expand && !project) return Status();

    LINNET_ASSIGN(std::vector<int64_t> strides, node.Ints("strides"));
    LINNET_ASSIGN(std::vector<int64_t> dilations, node.Ints("dilations"));
    ConvBlockSizes sizes;
    sizes.expand = expand != nullptr, sizes.project = project != nullptr;
    const Shape &in = ShapeOf(x), &out = ShapeOf(y);
    sizes.batch = IsKnownDim(in[0]) ? in[0] : 1;
    sizes.in_h = in[1], sizes.in_w = in[2], sizes.out_h = out[1], sizes.out_w = out[2], sizes.channels = w[0];
    sizes.stride_h = At(strides, 1);
    sizes.window_h = (w[2] - 1) * At(dilations, 1) + 1;
    for (const Node* part : {expand, project}) {
      if (part) sizes.weight_floats += ConstantOf(graph_, part->inputs[1])->elements();
    }
    bool known = true;
    for (int64_t dim : {sizes.in_h, sizes.in_w, sizes.out_h, sizes.out_w}) known = known && IsKnownDim(dim);
    if (known && (sizes.batch * sizes.in_h * sizes.in_w * sizes.out_h * sizes.out_w == 0 || !sizes.StripsPay())) return Status();

    Node fused;
    fused.op = "ConvBlock";
    fused.domain = "linnet";
    fused.version = 1;
    fused.name = node.name;
    fused.inputs.assign(8, kNoValue);
    fused.inputs[0] = expand ? expand->inputs[0] : x;
    Add(expand, "expand_", 1, &fused);
    Add(&node, "depthwise_", 3, &fused);
    Add(project, "project_", 5, &fused);
    if (project && HasInput(*project, kResidual)) fused.inputs[7] = project->inputs[kResidual];
    while (fused.inputs.back() == kNoValue) fused.inputs.pop_back();
    fused.outputs = {project ? project->outputs[0] : y};
    if (project) graph_.RemoveNode(graph_.value(y).uses[0].node);
    const NodeId before = expand ? graph_.value(x).producer : kNoNode;
    graph_.RemoveNode(id);
    if (before != kNoNode) graph_.RemoveNode(before);
    return graph_.AddNode(std::move(fused)).TakeStatus();
  }

  /// One convolution's weights, bias and attributes as a part of the block.
  void Add(const Node* part, const std::string& prefix, size_t input, Node* fused) const {
    if (!part) return;
    fused->inputs[input] = part->inputs[1];
    if (HasInput(*part, 2)) fused->inputs[input + 1] = part->inputs[2];
    for (const Attribute& attribute : part->attributes) fused->attributes.push_back({prefix + attribute.name, attribute.payload});
  }

  Graph& graph_;
};

}  // namespace

Status FuseConvBlocks(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, [](Graph& g) { return ConvBlockFuser(g).Run(); });
}

}  // namespace linnet
