// turn_transposed: transposed convolutions of bytes become convolutions, with any function before the rounding.
//
//     DQ, DQ [, DQ] → ConvTranspose [→ f] → Q     DQ, DQ [, DQ] → Conv [→ f] → Q → DepthToSpace [→ Slice]
//
// With strides s and kernels of k, output s q + r reads input q - j with weight r + s j, j < J = ceil(k / s): a convolution with kernels
// of J makes all outputs r < s of these as channels (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?"), of
// which pads cut off some pixels. Channels lie as [group][r][output of the group]; where DepthToSpace has no such order, or no such
// strides, it is two Reshapes and a Transpose.
#include <string.h>

#include <algorithm>

#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

using List = std::vector<int64_t>;

class Turner {
 public:
  explicit Turner(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).Is("ConvTranspose")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  /// What of a transposed convolution the graph says; all lists by spatial axis.
  struct Transposed {
    int64_t group = 1, in = 0, out = 0;   ///< channels of one group
    List size, strides, kernel, first, cut;   ///< kernels of the convolution; pixels that pads cut off before and behind
    int64_t pixels = 1;                   ///< that one pixel becomes
    int axes() const { return static_cast<int>(size.size()); }
  };

  Status Visit(NodeId id) {
    const Node op = graph_.node(id);
    const std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]), w = ByteWeights(graph_, op.inputs[1], 1);
    const Tensor* weights = w ? ConstantOf(graph_, w->q) : nullptr;
    if (!x || !weights || !weights->has_data() || op.outputs.size() != 1) return Status();
    LINNET_ASSIGN(const std::optional<Transposed> t, Read(op, weights->shape()));
    const std::optional<NodeId> quantize = t ? RoundedBy(op.outputs[0], weights->shape().rank()) : std::nullopt;
    if (!quantize) return Status();
    LINNET_ASSIGN(const std::optional<std::vector<Node>> behind, PixelsOf(op, *t));
    if (!behind) return Status();
    const Quantization& q = w->quantization;
    std::optional<std::vector<double>> bias;
    const int64_t channels = t->group * t->out;
    if (InputOf(op, 2) != kNoValue && !(bias = RealBias(graph_, op.inputs[2], channels))) return Status();

    Node read = *w->node;
    read.inputs.resize(2);
    LINNET_ASSIGN(Tensor moved, Moved(*weights, *t, q));
    read.inputs[0] = graph_.AddConstant(graph_.FreshName(graph_.value(w->q).name), std::move(moved));
    for (size_t i : {1, 2}) {
      const ValueId each = InputOf(*w->node, i);
      if (each == kNoValue) continue;
      read.inputs.resize(i + 1);
      read.inputs[i] = each;
      if (q.per_tensor()) continue;
      LINNET_ASSIGN(Tensor all, Repeated(graph_.value(each).constant, t->group * t->pixels, t->out, false));
      read.inputs[i] = graph_.AddConstant(graph_.FreshName(graph_.value(each).name), std::move(all));
    }
    if (!q.per_tensor()) read.Set("axis", int64_t{0});
    const ValueId real = graph_.AddValue(graph_.FreshName(graph_.value(op.inputs[1]).name));
    read.outputs = {real};
    LINNET_TRY(graph_.AddNode(std::move(read)).TakeStatus());

    Node conv;
    conv.op = "Conv";
    conv.version = 11;
    conv.name = op.name;
    conv.inputs = {op.inputs[0], real};
    conv.outputs = op.outputs;
    conv.Set("group", t->group);
    conv.Set("kernel_shape", t->kernel);
    List pads;
    for (int side = 0; side < 2; ++side) {
      for (int64_t k : t->kernel) pads.push_back(k - 1);
    }
    conv.Set("pads", pads);
    if (bias) {
      LINNET_ASSIGN(const ValueId repeated, BiasOf(op.inputs[2], *bias, *t));
      conv.inputs.push_back(repeated);
    }
    LINNET_TRY(ReplaceNode(graph_, id, std::move(conv)));
    for (ValueId value : region_) graph_.SetType(value, {});   // there are other channels now
    if (behind->empty()) return Status();

    Node rounds = graph_.node(*quantize);
    const ValueId out = rounds.outputs[0];
    const DType bytes = graph_.value(out).type.dtype;
    ValueId made = rounds.outputs[0] = graph_.AddValue(graph_.FreshName(graph_.value(out).name), Type::Tensor(bytes, Shape()));
    LINNET_TRY(ReplaceNode(graph_, *quantize, std::move(rounds)));
    for (size_t i = 0; i < behind->size(); ++i) {
      Node next = (*behind)[i];
      next.inputs[0] = made;
      made = i + 1 == behind->size() ? out : graph_.AddValue(graph_.FreshName(graph_.value(out).name), Type::Tensor(bytes, Shape()));
      next.outputs = {made};
      LINNET_TRY(graph_.AddNode(std::move(next)).TakeStatus());
    }
    return Status();
  }

  /// Nothing where it is of another kind, or kernels would be zeros for the most part.
  static Result<std::optional<Transposed>> Read(const Node& op, const Shape& weights) {
    const int axes = weights.rank() - 2;
    std::optional<Transposed> none;
    if (axes < 1 || axes > 2) return none;
    Transposed t;
    const List ones(static_cast<size_t>(axes), 1), zeros(static_cast<size_t>(axes), 0);
    LINNET_ASSIGN(t.group, op.Int("group", 1));
    LINNET_ASSIGN(const std::string auto_pad, op.String("auto_pad", "NOTSET"));
    LINNET_ASSIGN(t.strides, op.Ints("strides", ones));
    LINNET_ASSIGN(const List dilations, op.Ints("dilations", ones));
    LINNET_ASSIGN(const List pads, op.Ints("pads", List(2 * static_cast<size_t>(axes), 0)));
    LINNET_ASSIGN(const List more, op.Ints("output_padding", zeros));
    if (t.group < 1 || weights[0] % t.group != 0 || auto_pad != "NOTSET" || op.Has("output_shape") || dilations != ones ||
        t.strides.size() != ones.size() || pads.size() != 2 * ones.size() || more.size() != ones.size()) {
      return none;
    }
    t.in = weights[0] / t.group, t.out = weights[1];
    if (t.in < 1 || t.out < 1) return none;
    for (size_t d = 0; d < ones.size(); ++d) {
      const int64_t k = weights[static_cast<int>(d) + 2], s = t.strides[d];
      if (k < 1 || s < 1 || s > kGrowthMax * k) return none;
      t.size.push_back(k);
      t.kernel.push_back((k + s - 1) / s);
      t.first.push_back(pads[d]);
      t.cut.push_back(s * t.kernel[d] - k - more[d] + pads[d + ones.size()]);
      t.pixels *= s;
      if (pads[d] < 0 || pads[d + ones.size()] < 0 || more[d] < 0 || t.cut[d] < 0) return none;
    }
    return std::optional<Transposed>(std::move(t));
  }

  /// The one QuantizeLinear that all of `y`, of that rank, goes to, through functions of each number by itself.
  std::optional<NodeId> RoundedBy(ValueId y, int rank) {
    std::optional<NodeId> quantize;
    region_ = {y};
    const auto inside = [&](ValueId id) { return std::find(region_.begin(), region_.end(), id) != region_.end(); };
    std::vector<ValueId> others;
    for (size_t i = 0; i < region_.size(); ++i) {
      if (region_.size() > kRegionMax) return std::nullopt;
      for (const Use& use : graph_.value(region_[i]).uses) {
        if (use.node == kNoNode) return std::nullopt;
        const Node& node = graph_.node(use.node);
        if (node.Is("QuantizeLinear")) {
          if (use.index != 0 || quantize || !QuantizationBy(graph_, node)) return std::nullopt;
          quantize = use.node;
          continue;
        }
        const bool pair = node.Is("Add") || node.Is("Sub") || node.Is("Mul") || node.Is("Div") || node.Is("PRelu");
        if (!node.domain.empty() || node.outputs.size() != 1 || (!pair && !(IsUnaryElementwise(node) && use.index == 0))) return std::nullopt;
        for (ValueId in : node.inputs) {
          if (in == kNoValue || in == region_[i]) continue;
          const Tensor* constant = ConstantOf(graph_, in);
          if (!constant) others.push_back(in);
          if (constant && (constant->elements() != 1 || constant->shape().rank() > rank)) return std::nullopt;
        }
        if (!inside(node.outputs[0])) region_.push_back(node.outputs[0]);
      }
    }
    return std::all_of(others.begin(), others.end(), inside) ? quantize : std::nullopt;
  }

  static Result<Tensor> Moved(const Tensor& weights, const Transposed& t, const Quantization& q) {
    Shape shape{t.group * t.pixels * t.out, t.in};
    int64_t taps = 1, area = 1;
    for (size_t d = 0; d < t.size.size(); ++d) shape.Append(t.kernel[d]), taps *= t.kernel[d], area *= t.size[d];
    LINNET_ASSIGN(Tensor moved, Tensor::Allocate(weights.dtype(), shape));
    const uint8_t* from = weights.as<uint8_t>();
    uint8_t* to = moved.mutable_as<uint8_t>();
    for (int64_t row = 0; row < shape[0]; ++row) {
      const int64_t group = row / (t.pixels * t.out), pixel = row / t.out % t.pixels, o = row % t.out;
      const uint8_t zero = static_cast<uint8_t>(q.zeros[q.per_tensor() ? 0 : static_cast<size_t>(o)]);
      for (int64_t i = 0; i < t.in; ++i) {
        for (int64_t tap = 0; tap < taps; ++tap) {
          // From the last axis on.
          int64_t at = 0, step = 1, taps_left = tap, pixels_left = pixel;
          bool there = true;
          for (size_t d = t.size.size(); d-- > 0;) {
            const int64_t place = pixels_left % t.strides[d] + t.strides[d] * (t.kernel[d] - 1 - taps_left % t.kernel[d]);
            there = there && place < t.size[d];
            at += place * step;
            step *= t.size[d], taps_left /= t.kernel[d], pixels_left /= t.strides[d];
          }
          *to++ = there ? from[((group * t.in + i) * t.out + o) * area + at] : zero;
        }
      }
    }
    return moved;
  }

  /// So many times `count` elements, one behind the other: the same ones, or (`by_group`) as many times those of each group.
  static Result<Tensor> Repeated(const Tensor& each, int64_t times, int64_t count, bool by_group) {
    const int64_t groups = by_group ? each.elements() / count : 1, bytes = each.bytes() / each.elements() * count;
    LINNET_ASSIGN(Tensor all, Tensor::Allocate(each.dtype(), Shape({groups * times * count})));
    for (int64_t i = 0; i < groups * times; ++i) {
      memcpy(all.mutable_as<char>() + i * bytes, each.as<char>() + i / times * bytes, static_cast<size_t>(bytes));
    }
    return all;
  }

  /// The bias for all pixels: as it is written where it is integers, or real numbers.
  Result<ValueId> BiasOf(ValueId id, const std::vector<double>& real, const Transposed& t) {
    const std::optional<Dequantized> from = DequantizedFrom(graph_, id);
    if (!from) {
      LINNET_ASSIGN(Tensor all, Repeated(Tensor::Of<float>(Shape{static_cast<int64_t>(real.size())}, std::vector<float>(real.begin(), real.end())), t.pixels, t.out, true));
      return graph_.AddConstant(graph_.FreshName("bias"), std::move(all));
    }
    Node read = *from->node;
    for (size_t i = 0; i < read.inputs.size(); ++i) {
      const Tensor* each = ConstantOf(graph_, read.inputs[i]);
      if (!each || (i > 0 && from->quantization.per_tensor())) continue;
      LINNET_ASSIGN(Tensor all, Repeated(*each, t.pixels, t.out, true));
      read.inputs[i] = graph_.AddConstant(graph_.FreshName("bias"), std::move(all));
    }
    const ValueId out = graph_.AddValue(graph_.FreshName("bias"));
    read.outputs = {out};
    LINNET_TRY(graph_.AddNode(std::move(read)).TakeStatus());
    return out;
  }

  /// What makes pixels of the channels. Nothing where an axis would have to be known.
  Result<std::optional<std::vector<Node>>> PixelsOf(const Node& op, const Transposed& t) {
    std::vector<Node> nodes;
    auto add = [&](const char* name, std::vector<List> lists) {
      Node& node = nodes.emplace_back();
      node.op = name;
      node.version = 13;
      node.inputs = {kNoValue};
      for (const List& list : lists) node.inputs.push_back(graph_.AddConstant(graph_.FreshName("pixels"), Tensor::Ints(list)));
      return &node;
    };
    const bool square = t.axes() == 2 && t.strides[0] == t.strides[1], alone = t.out == 1;
    if (t.pixels == 1) {
      // Nothing to move.
    } else if (square && (t.group == 1 || (alone && op.version >= 11))) {
      Node* node = add("DepthToSpace", {});
      node->Set("blocksize", t.strides[0]);
      if (t.group > 1) node->Set("mode", std::string("CRD"));
    } else {
      // [n, group, r..., out, q...] → [n, group, out, (q, r)...]
      const Shape& x = graph_.value(op.inputs[0]).type.shape;
      List parted = {0, t.group}, perm = {0, 1, 2 + t.axes()}, joined = {0, t.group * t.out};
      parted.insert(parted.end(), t.strides.begin(), t.strides.end());
      parted.push_back(t.out);
      for (int d = 0; d < t.axes(); ++d) {
        const size_t i = static_cast<size_t>(d);
        int64_t length = !x.has_rank() || !IsKnownDim(x[d + 2]) ? -1 : x[d + 2] + t.kernel[i] - 1;
        if (d + 1 == t.axes()) length = -1;
        if (length < 0 && d + 1 < t.axes()) return std::optional<std::vector<Node>>();
        parted.push_back(length);
        perm.insert(perm.end(), {3 + t.axes() + d, 2 + d});
        joined.push_back(length < 0 ? -1 : length * t.strides[i]);
      }
      add("Reshape", {parted});
      add("Transpose", {})->Set("perm", perm);
      add("Reshape", {joined});
    }
    List first, ends, axes;
    for (int d = 0; d < t.axes(); ++d) {
      const size_t i = static_cast<size_t>(d);
      if (t.first[i] == 0 && t.cut[i] == 0) continue;
      first.push_back(t.first[i]), ends.push_back(t.cut[i] > 0 ? -t.cut[i] : INT64_MAX), axes.push_back(d + 2);
    }
    if (!axes.empty()) add("Slice", {first, ends, axes});
    return std::optional<std::vector<Node>>(std::move(nodes));
  }

  /// So many times its weights a convolution may have, and so many values may lie before the rounding.
  static constexpr int64_t kGrowthMax = 3;
  static constexpr size_t kRegionMax = 16;

  Graph& graph_;
  std::vector<ValueId> region_;   ///< values from the convolution to its rounding
};

}  // namespace

Status TurnTransposed(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    constexpr std::pair<const char*, int> kMade[] = {{"Conv", 11}, {"QLinearConv", 10}, {"DepthToSpace", 13}, {"Slice", 13}, {"Reshape", 13}, {"Transpose", 13}};
    const bool all = std::all_of(std::begin(kMade), std::end(kMade), [&](const auto& op) { return context.table->Find("", op.first, op.second).ok(); });
    if (!all || !HasQuantization(each)) return Status();
    LINNET_TRY(Turner(each).Run());
    return RemoveDeadCode(each, context);
  });
}

}  // namespace linnet
