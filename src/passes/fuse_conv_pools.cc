// fuse_conv_pools: the first convolution of a network takes in the MaxPool behind it.
//
//     Conv of few channels → MaxPool      becomes      linnet:ConvPool
//
// The image between them, often the largest of a network, then exists a few rows at a time. Only where it would not stay in a
// second-level cache, and where all sizes are known.
#include "ops/conv_weights.h"
#include "ops/pool_helpers.h"
#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

constexpr size_t kResidual = 3;
constexpr int64_t kFewChannels = 16, kLeastOutputs = 16;   // fewer outputs have kernels of their own
constexpr int64_t kCacheBytes = 1 << 20;

class ConvPoolFuser {
 public:
  explicit ConvPoolFuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).Is("MaxPool", "linnet")) LINNET_TRY(Fuse(id));
    }
    return Status();
  }

 private:
  bool IsPicture(ValueId id) const {
    const Type& type = graph_.value(id).type;
    return type.is_tensor() && type.dtype == DType::kFloat && type.shape.rank() == 4 && type.shape.is_static() && type.shape.elements() > 0;
  }

  /// Whether a run would compute this convolution by direct sums of few channels, with an image behind it that is worth this.
  Result<bool> Pays(const Node& conv) const {
    const ValueId y = conv.outputs[0];
    if (!conv.Is("Conv", "linnet") || !ReadOnce(graph_, y) || InputOf(conv, kResidual) != kNoValue || conv.Has("precision")) return false;
    const Tensor* weights = ConstantOf(graph_, conv.inputs[1]);
    if (!weights || !IsPicture(conv.inputs[0]) || !IsPicture(y) || weights->dtype() != DType::kFloat || weights->shape().rank() != 4) return false;
    const Shape &w = weights->shape(), &image = graph_.value(y).type.shape;
    LINNET_ASSIGN(int64_t groups, conv.Int("group", 1));
    LINNET_ASSIGN(std::vector<int64_t> strides, conv.Ints("strides"));
    if (groups != 1 || w[1] >= kFewChannels || w[0] < kLeastOutputs) return false;
    const bool steps = std::any_of(strides.begin(), strides.end(), [](int64_t s) { return s != 1; });
    if (!steps && w[2] == 3 && w[3] == 3 && WayOf(w, image, 1, 1).tile != 0) return false;
    return image[1] * image[2] * image[3] * 4 > kCacheBytes;
  }

  /// Whether every window has an element of the image along both axes, and reaches over few rows: `image` and `pooled` with channels last.
  static bool Serves(const Node& pool, const Shape& image, const Shape& pooled) {
    Result<std::vector<int64_t>> kernel = pool.Ints("kernel_shape"), pads = pool.Ints("pads"), strides = pool.Ints("strides"), dilations = pool.Ints("dilations");
    Result<std::string> automatic = pool.String("auto_pad", "NOTSET");
    if (!kernel.ok() || kernel->size() != 2 || !pads.ok() || !strides.ok() || !dilations.ok() || !automatic.ok() || *automatic != "NOTSET") return false;
    auto at = [](const std::vector<int64_t>& list, size_t i, int64_t otherwise) { return i < list.size() ? list[i] : otherwise; };
    for (size_t i = 0; i < 2; ++i) {
      const int64_t pad = at(*pads, i, 0), in = image[static_cast<int>(i) + 1], out = pooled[static_cast<int>(i) + 1];
      const int64_t reach = ((*kernel)[i] - 1) * at(*dilations, i, 1);
      if (reach >= kConvPoolWindowMax || pad > reach || (out - 1) * at(*strides, i, 1) - pad >= in) return false;
    }
    return true;
  }

  Status Fuse(NodeId id) {
    const Node& pool = graph_.node(id);
    const Node* conv = Producer(graph_, pool.inputs[0]);
    if (!conv || pool.outputs.size() != 1 || !IsPicture(pool.outputs[0])) return Status();
    LINNET_ASSIGN(const bool pays, Pays(*conv));
    if (!pays || !Serves(pool, graph_.value(pool.inputs[0]).type.shape, graph_.value(pool.outputs[0]).type.shape)) return Status();
    Node fused = *conv;
    fused.op = "ConvPool", fused.version = 1;
    for (const Attribute& attribute : pool.attributes) fused.attributes.push_back({"pool_" + attribute.name, attribute.payload});
    fused.outputs = pool.outputs;
    const NodeId before = graph_.value(pool.inputs[0]).producer;
    graph_.RemoveNode(id);
    graph_.RemoveNode(before);
    return graph_.AddNode(std::move(fused)).TakeStatus();
  }

  Graph& graph_;
};

}  // namespace

Status FuseConvPools(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, [](Graph& g) { return ConvPoolFuser(g).Run(); });
}

}  // namespace linnet
