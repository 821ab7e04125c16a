// fold_pads: a Pad with zeros before a convolution or an average becomes pads of that.
//
//     Pad(zero) → Conv                      Conv {pads}
//     Pad(x's zero point) → QLinearConv     the same, and ConvInteger
//     Pad(zero) → AveragePool               AveragePool {pads, count_include_pad=1}
//
// What surrounds an image there is what a convolution takes to be around it. Only spatial axes may gain, and none may lose.
#include <algorithm>

#include "ops/convert.h"
#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

constexpr int64_t kPadMax = 1 << 16;   // convolutions have limits

class Folder {
 public:
  explicit Folder(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(const std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      const bool quantized = node.Is("QLinearConv");
      if (!node.alive || !(node.Is("Conv") || node.Is("ConvInteger") || node.Is("AveragePool") || quantized)) continue;
      LINNET_TRY(Visit(id, quantized || node.Is("ConvInteger") ? InputOf(node, 2) : kNoValue));
    }
    return Status();
  }

 private:
  Status Visit(NodeId id, ValueId zero) {
    const Node& conv = graph_.node(id);
    const Node* pad = Producer(graph_, conv.inputs[0]);
    if (!pad || !pad->Is("Pad") || pad->version < 2) return Status();
    LINNET_ASSIGN(const std::string mode, pad->String("mode", "constant"));
    LINNET_ASSIGN(const std::string auto_pad, conv.String("auto_pad", "NOTSET"));
    const int rank = graph_.value(conv.inputs[0]).type.shape.rank();
    if (mode != "constant" || (auto_pad != "NOTSET" && auto_pad != "VALID") || rank < 3 || !PadsWith(*pad, zero)) return Status();
    const std::optional<std::vector<int64_t>> around = PadsOf(*pad, rank);
    const size_t spatial = static_cast<size_t>(rank) - 2;
    LINNET_ASSIGN(std::vector<int64_t> pads, conv.Ints("pads", std::vector<int64_t>(2 * spatial, 0)));
    if (!around || pads.size() != 2 * spatial) return Status();
    const bool average = conv.Is("AveragePool");
    LINNET_ASSIGN(const std::vector<int64_t> kernel, conv.Ints("kernel_shape", std::vector<int64_t>(spatial, kPadMax)));
    if (average) {
      // The zeros count; those of its own that do not would have to be told from them.
      LINNET_ASSIGN(const int64_t counts, conv.Int("count_include_pad", 0));
      LINNET_ASSIGN(const int64_t ceil_mode, conv.Int("ceil_mode", 0));
      const bool pads_itself = std::any_of(pads.begin(), pads.end(), [](int64_t each) { return each != 0; });
      if ((pads_itself && counts == 0) || ceil_mode != 0 || kernel.size() != spatial) return Status();
    }
    for (size_t side : {0, 1}) {
      for (size_t d = 0; d < spatial + 2; ++d) {
        const int64_t more = (*around)[side * (spatial + 2) + d];
        if (more < 0 || more > kPadMax || (d < 2 && more != 0)) return Status();
        if (d >= 2) pads[side * spatial + d - 2] += more;
        if (average && d >= 2 && pads[side * spatial + d - 2] >= kernel[d - 2]) return Status();   // an average of no pixel
      }
    }
    const ValueId source = pad->inputs[0];
    graph_.SetInput(id, 0, source);
    Node& changed = graph_.mutable_node(id);
    changed.Set("pads", pads);
    if (average) changed.Set("count_include_pad", int64_t{1});
    if (auto_pad == "VALID") changed.Set("auto_pad", std::string("NOTSET"));
    return Status();
  }

  /// Begins, then ends, of each axis; nullopt when they are not known.
  std::optional<std::vector<int64_t>> PadsOf(const Node& pad, int rank) const {
    std::optional<std::vector<int64_t>> pads;
    if (pad.version < 11) {
      Result<std::vector<int64_t>> list = pad.Ints("pads");
      if (list.ok()) pads = *list;
    } else {
      pads = IntsOf(graph_, InputOf(pad, 1));
    }
    const size_t n = static_cast<size_t>(rank);
    const ValueId axes_id = InputOf(pad, 3);
    if (!pads || axes_id == kNoValue) return pads && pads->size() == 2 * n ? pads : std::nullopt;
    const std::optional<std::vector<int64_t>> axes = IntsOf(graph_, axes_id);
    if (!axes || pads->size() != 2 * axes->size()) return std::nullopt;
    std::vector<int64_t> all(2 * n, 0);
    for (size_t i = 0; i < axes->size(); ++i) {
      const int64_t axis = (*axes)[i] < 0 ? (*axes)[i] + rank : (*axes)[i];
      if (axis < 0 || axis >= rank) return std::nullopt;
      all[static_cast<size_t>(axis)] += (*pads)[i];
      all[n + static_cast<size_t>(axis)] += (*pads)[axes->size() + i];
    }
    return all;
  }

  /// True when the border is zeros, or the zero point `zero` of bytes.
  bool PadsWith(const Node& pad, ValueId zero) const {
    const ValueId value = InputOf(pad, 2);
    const Type& type = graph_.value(pad.inputs[0]).type;
    if (type.dtype == DType::kFloat) {
      if (pad.version < 11) {
        Result<float> attribute = pad.Float("value", 0);
        return attribute.ok() && *attribute == 0;
      }
      return value == kNoValue || ScalarOf(graph_, value) == 0.0f;
    }
    const std::optional<int64_t> border = ByteOf(value, type.dtype), of_zero = ByteOf(zero, type.dtype);
    return border && of_zero && *border == *of_zero;
  }

  /// A constant of one byte; 0 where there is none.
  std::optional<int64_t> ByteOf(ValueId id, DType dtype) const {
    if (id == kNoValue) return 0;
    const Tensor* tensor = ConstantOf(graph_, id);
    if (!tensor || !tensor->has_data() || tensor->elements() != 1 || tensor->dtype() != dtype) return std::nullopt;
    if (dtype != DType::kInt8 && dtype != DType::kUint8) return std::nullopt;
    return LoadInteger(dtype, tensor->data(), 0);
  }

  Graph& graph_;
};

}  // namespace

Status FoldPads(Graph& graph, const PassContext& context) {
  LINNET_TRY(ForEachGraph(graph, [](Graph& each) { return Folder(each).Run(); }));
  return RemoveDeadCode(graph, context);
}

}  // namespace linnet
