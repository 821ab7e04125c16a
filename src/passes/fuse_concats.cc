// fuse_concats: convolutions whose outputs are put behind each other channel by channel write where the Concat would.
//
//     a = Conv(x), b = Conv(y), c = Concat(a, b)      becomes      t = Conv(x) {slice 0}, c = Conv(y, into t) {slice 1}
//
// Each takes over the memory of the one before it; so does a transposed convolution. What anything else made is copied:
//
//     a = ConvTranspose(x), c = Concat(a, z)          becomes      t = ConvTranspose(x) {slice 0}, c = ConcatInto(z, into t) {slice 1}
//
// but only where it was there before the convolution ran, so that the picture of all channels does not lie about half empty.
#include <algorithm>

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
    made_at_.assign(static_cast<size_t>(graph_.value_count()), 0);
    for (size_t i = 0; i < order.size(); ++i) {
      for (ValueId id : graph_.node(order[i]).outputs) {
        if (id != kNoValue) made_at_[static_cast<size_t>(id)] = i + 1;
      }
    }
    for (NodeId id : order) LINNET_TRY(Fuse(id));
    return Status();
  }

 private:
  /// One input of a Concat: `first` of its channels on, written by the convolution that makes it, or copied.
  struct Part {
    ValueId value;
    int64_t first;
    bool written;
  };

  /// Channels of a float32 picture; 0 when the value is none, or they are not known.
  int64_t ChannelsOf(ValueId id) const {
    if (id == kNoValue) return 0;
    const Type& y = graph_.value(id).type;
    const bool picture = y.is_tensor() && y.dtype == DType::kFloat && y.shape.rank() == 4;
    return picture && IsKnownDim(y.shape[3]) ? y.shape[3] : 0;
  }

  /// Whether a convolution that can write a slice makes `id` for one reader.
  bool IsWritten(ValueId id) const {
    const Node* conv = Producer(graph_, id);
    const bool writes = conv && (conv->Is("Conv", "linnet") || conv->Is("ConvTranspose", "linnet"));
    if (!writes || conv->inputs.size() > 3 || conv->Has("slice_channels") || !ReadOnce(graph_, id)) return false;
    const Tensor* w = ConstantOf(graph_, conv->inputs[1]);
    return graph_.value(conv->inputs[0]).type.dtype == DType::kFloat && w && w->dtype() == DType::kFloat && w->shape().rank() == 4 &&
           w->elements() > 0;
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
    std::vector<Part> parts;
    int64_t all = 0;
    size_t copied_at = 0;
    for (ValueId input : concat.inputs) {
      const int64_t channels = ChannelsOf(input);
      if (channels == 0) return Status();
      parts.push_back({input, all, IsWritten(input)});
      if (!parts.back().written) copied_at = std::max(copied_at, made_at_[static_cast<size_t>(input)]);
      all += channels;
    }
    for (Part& part : parts) part.written = part.written && made_at_[static_cast<size_t>(part.value)] >= copied_at;
    // A value that stands there twice is not read once; the convolutions read nothing of each other, nor does what is copied of them.
    std::stable_partition(parts.begin(), parts.end(), [](const Part& part) { return part.written; });
    if (!parts[0].written) return Status();
    graph_.RemoveNode(id);
    ValueId into = kNoValue;
    for (const Part& part : parts) {
      Node node;
      if (part.written) {
        const NodeId before = graph_.value(part.value).producer;
        node = graph_.node(before);
        if (into != kNoValue) node.inputs.resize(kInto, kNoValue);
        graph_.RemoveNode(before);
      } else {
        node.op = "ConcatInto";
        node.domain = "linnet";
        node.version = 1;
        node.name = concat.name;
        node.inputs = {part.value};
      }
      if (into != kNoValue) node.inputs.push_back(into);
      node.Set("slice_channels", all);
      node.Set("slice_first", part.first);
      Type type = graph_.value(part.value).type;
      type.shape[3] = all;
      const bool last = &part == &parts.back();
      into = last ? concat.outputs[0] : graph_.AddValue(graph_.FreshName(graph_.value(part.value).name), type);
      node.outputs = {into};
      LINNET_TRY(graph_.AddNode(std::move(node)).TakeStatus());
    }
    return Status();
  }

  std::vector<size_t> made_at_;   ///< of a value: the number of the node that makes it, 0 for what is there before a run
  Graph& graph_;
};

}  // namespace

Status FuseConcats(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, [](Graph& g) { return ConcatFuser(g).Run(); });
}

}  // namespace linnet
