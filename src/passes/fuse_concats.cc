// fuse_concats: convolutions whose outputs are put behind each other channel by channel write where the Concat would.
//
//     a = Conv(x), b = Conv(y), c = Concat(a, b)      becomes      t = Conv(x) {slice 0}, c = Conv(y, into t) {slice 1}
//
// Each takes over the memory of the one before it.
#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

constexpr size_t kInto = 4;

class ConcatFuser {
 public:
  explicit ConcatFuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) LINNET_TRY(Fuse(id));
    return Status();
  }

 private:
  /// The channels that the convolution which makes `id` for one reader writes; 0 when it is no such convolution.
  int64_t ChannelsOf(ValueId id) const {
    const Node* conv = id == kNoValue ? nullptr : Producer(graph_, id);
    if (!conv || !conv->Is("Conv", "linnet") || conv->inputs.size() > 3 || conv->Has("slice_channels") || !ReadOnce(graph_, id)) return 0;
    const Tensor* w = ConstantOf(graph_, conv->inputs[1]);
    const Type& y = graph_.value(id).type;
    const bool picture = y.is_tensor() && y.dtype == DType::kFloat && y.shape.rank() == 4 &&
                         graph_.value(conv->inputs[0]).type.dtype == DType::kFloat;
    return picture && w && w->dtype() == DType::kFloat && w->shape().rank() == 4 && w->elements() > 0 ? w->shape()[0] : 0;
  }

  bool IsGraphOutput(ValueId id) const {
    for (const Use& use : graph_.value(id).uses) {
      if (use.node == kNoNode) return true;
    }
    return false;
  }

  Status Fuse(NodeId id) {
    const Node concat = graph_.node(id);
    if (!concat.Is("Concat") || concat.inputs.size() < 2 || concat.outputs[0] == kNoValue) return Status();
    // What lies in the caller's memory has not been the memory of another.
    if (IsGraphOutput(concat.outputs[0])) return Status();
    LINNET_ASSIGN(int64_t axis, concat.Int("axis", 1));
    if (axis != 3 && axis != -1) return Status();
    int64_t all = 0;
    for (ValueId input : concat.inputs) {
      const int64_t channels = ChannelsOf(input);
      if (channels == 0) return Status();
      all += channels;
    }
    // A value that stands there twice is not read once; the convolutions read nothing of each other.
    graph_.RemoveNode(id);
    ValueId into = kNoValue;
    int64_t first = 0;
    for (size_t i = 0; i < concat.inputs.size(); ++i) {
      const ValueId y = concat.inputs[i];
      const NodeId before = graph_.value(y).producer;
      const int64_t channels = ConstantOf(graph_, graph_.node(before).inputs[1])->shape()[0];
      Node conv = graph_.node(before);
      conv.Set("slice_channels", all);
      conv.Set("slice_first", first);
      if (into != kNoValue) {
        conv.inputs.resize(kInto, kNoValue);
        conv.inputs.push_back(into);
      }
      Type type = graph_.value(y).type;
      type.shape[3] = all;
      const bool last = i + 1 == concat.inputs.size();
      into = last ? concat.outputs[0] : graph_.AddValue(graph_.FreshName(graph_.value(y).name), type);
      conv.outputs = {into};
      graph_.RemoveNode(before);
      LINNET_TRY(graph_.AddNode(std::move(conv)).TakeStatus());
      first += channels;
    }
    return Status();
  }

  Graph& graph_;
};

}  // namespace

Status FuseConcats(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, [](Graph& g) { return ConcatFuser(g).Run(); });
}

}  // namespace linnet
