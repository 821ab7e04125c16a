// fold_batch_norm: a BatchNormalization (or a Mul or Add by a per-channel constant) behind a convolution goes into its
// weights and bias; one that stands alone becomes a Mul and an Add.
//
//     BN(conv(x, W, b)) = conv(x, W * s, (b - mean) * s + B)     s = scale / sqrt(var + epsilon), one per output channel
//
// fold_integer_batch_norm: the same where W are bytes behind a DequantizeLinear, whose scales are multiplied, and x comes from bytes.
#include <math.h>
#include <string.h>

#include <algorithm>

#include "ops/convert.h"
#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

/// y = x * scale + shift, one pair a channel.
struct Affine {
  std::vector<float> scale, shift;
};

void Scale(float* x, int64_t count, float by) {
  constexpr int64_t kTogether = 16;
  int64_t i = 0;
  for (; i + kTogether <= count; i += kTogether) {
    for (int64_t j = 0; j < kTogether; ++j) x[i + j] *= by;
  }
  for (; i < count; ++i) x[i] *= by;
}

const Tensor* FloatConstant(const Graph& graph, ValueId id) {
  const Tensor* tensor = id == kNoValue ? nullptr : ConstantOf(graph, id);
  return tensor && tensor->dtype() == DType::kFloat && tensor->has_data() ? tensor : nullptr;
}

std::optional<Affine> BatchNormAffine(const Graph& graph, const Node& node) {
  if (!node.Is("BatchNormalization") || node.inputs.size() != 5) return std::nullopt;
  for (size_t i = 1; i < node.outputs.size(); ++i) {
    if (node.outputs[i] != kNoValue && !graph.value(node.outputs[i]).uses.empty()) return std::nullopt;
  }
  Result<int64_t> training = node.Int("training_mode", 0), spatial = node.Int("spatial", 1), test = node.Int("is_test", 1);
  Result<float> epsilon = node.Float("epsilon", 1e-5f);
  if (!training.ok() || *training != 0 || !spatial.ok() || *spatial != 1 || !epsilon.ok()) return std::nullopt;
  if (node.version < 7 && (!node.Has("is_test") || !test.ok() || *test == 0)) return std::nullopt;
  const Tensor* parts[4];
  for (size_t i = 0; i < 4; ++i) {
    parts[i] = FloatConstant(graph, node.inputs[i + 1]);
    if (!parts[i] || parts[i]->shape().rank() != 1 || parts[i]->elements() != parts[0]->elements()) return std::nullopt;
  }
  Affine affine;
  for (int64_t c = 0; c < parts[0]->elements(); ++c) {
    double s = parts[0]->as<float>()[c] / sqrt(static_cast<double>(parts[3]->as<float>()[c]) + *epsilon);
    affine.scale.push_back(static_cast<float>(s));
    affine.shift.push_back(static_cast<float>(parts[1]->as<float>()[c] - parts[2]->as<float>()[c] * s));
  }
  return affine;
}

/// A constant that broadcasts over [N, C, spatial...] as one number a channel (or one for all).
std::optional<std::vector<float>> PerChannel(const Graph& graph, ValueId id, int rank, int64_t channels) {
  const Tensor* tensor = FloatConstant(graph, id);
  if (!tensor || tensor->shape().rank() > rank) return std::nullopt;
  std::vector<float> out(static_cast<size_t>(channels));
  if (tensor->elements() == 1) {
    out.assign(out.size(), *tensor->as<float>());
    return out;
  }
  const Shape& shape = tensor->shape();
  int channel_axis = 1 - (rank - shape.rank());
  if (channel_axis < 0 || channel_axis >= shape.rank() || shape[channel_axis] != channels || tensor->elements() != channels) {
    return std::nullopt;
  }
  out.assign(tensor->as<float>(), tensor->as<float>() + channels);
  return out;
}

class BatchNormFolder {
 public:
  /// `bytes`: into weights of bytes, else into those of floats.
  BatchNormFolder(Graph& graph, bool bytes) : graph_(graph), bytes_(bytes) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).alive) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  Status Visit(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.outputs.empty() || node.outputs[0] == kNoValue) return Status();
    if (std::optional<Affine> affine = BatchNormAffine(graph_, node)) {
      ValueId x = node.inputs[0];
      if (Convolution(x) && (bytes_ ? AbsorbIntoBytes(x, *affine) : Absorb(x, *affine))) {
        Replace(id, x);
        return Status();
      }
      return bytes_ ? Status() : Expand(id, *affine);
    }
    bool mul = node.Is("Mul") && node.version >= 7, add = node.Is("Add") && node.version >= 7;
    if (!mul && !add) return Status();
    for (ValueId x : node.inputs) {
      const Node* conv = Convolution(x);
      if (!conv) continue;
      int rank = graph_.value(conv->inputs[1]).type.shape.rank();
      int64_t channels = ChannelsOf(*conv);
      std::optional<std::vector<float>> constant = PerChannel(graph_, OtherInput(node, x), rank, channels);
      if (!constant) continue;
      Affine affine;
      affine.scale = mul ? *constant : std::vector<float>(constant->size(), 1.0f);
      affine.shift = add ? *constant : std::vector<float>(constant->size(), 0.0f);
      if (bytes_ ? AbsorbIntoBytes(x, affine) : Absorb(x, affine)) Replace(id, x);
      return Status();
    }
    return Status();
  }

  void Replace(NodeId id, ValueId by) {
    ValueId out = graph_.node(id).outputs[0];
    graph_.ReplaceUses(out, by);
    graph_.RemoveNode(id);
  }

  /// The convolution with constant weights that produces `x` for one reader alone.
  const Node* Convolution(ValueId x) const {
    const Node* conv = Producer(graph_, x);
    if (!conv || !(conv->Is("Conv") || conv->Is("ConvTranspose")) || conv->inputs.size() < 2 || !ReadOnce(graph_, x)) return nullptr;
    if (bytes_) {
      const std::optional<Dequantized> w = ByteWeights(graph_, conv->inputs[1], ChannelAxis(*conv));
      return w && ConstantOf(graph_, w->q) && ByteOperand(graph_, conv->inputs[0]) ? conv : nullptr;
    }
    const Tensor* w = FloatConstant(graph_, conv->inputs[1]);
    if (!w || w->shape().rank() < 3) return nullptr;
    if (conv->inputs.size() > 2 && conv->inputs[2] != kNoValue) {
      const Tensor* bias = FloatConstant(graph_, conv->inputs[2]);
      if (!bias || bias->elements() != ChannelsOf(*conv)) return nullptr;
    }
    return conv;
  }

  int64_t GroupOf(const Node& conv) const {
    Result<int64_t> group = conv.Int("group", 1);
    return group.ok() ? *group : 1;
  }
  static int ChannelAxis(const Node& conv) { return conv.op == "Conv" ? 0 : 1; }
  int64_t ChannelsOf(const Node& conv) const {
    const Shape& w = graph_.value(conv.inputs[1]).type.shape;
    return conv.op == "Conv" ? w[0] : w[1] * GroupOf(conv);
  }

  /// Scales the weights of the convolution behind `x` and shifts its bias.
  bool Absorb(ValueId x, const Affine& affine) {
    NodeId id = graph_.value(x).producer;
    const Node& conv = graph_.node(id);
    int64_t channels = ChannelsOf(conv);
    if (static_cast<int64_t>(affine.scale.size()) != channels) return false;
    const Tensor& w = graph_.value(conv.inputs[1]).constant;
    Result<Tensor> scaled = Tensor::Allocate(DType::kFloat, w.shape());
    if (!scaled.ok()) return false;
    // Conv weights are [M, C/g, k...]; ConvTranspose weights [C, M/g, k...] with output channel g * M/g + m.
    int64_t outer = w.shape()[0], middle = w.shape()[1], kernel = w.elements() / std::max<int64_t>(outer * middle, 1);
    int64_t inputs_per_group = outer / std::max<int64_t>(GroupOf(conv), 1);
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t m = 0; m < middle; ++m) {
        int64_t channel = conv.op == "Conv" ? o : o / std::max<int64_t>(inputs_per_group, 1) * middle + m;
        float s = affine.scale[static_cast<size_t>(channel)];
        // All rows of an output channel at once, from any address.
        const int64_t count = conv.op == "Conv" ? middle * kernel : kernel;
        float* to = scaled->mutable_as<float>() + (o * middle + m) * kernel;
        memcpy(to, w.as<std::byte>() + (o * middle + m) * kernel * 4, static_cast<size_t>(count) * 4);
        Scale(to, count, s);
        if (conv.op == "Conv") break;
      }
    }
    bool has_bias = conv.inputs.size() > 2 && conv.inputs[2] != kNoValue;
    std::vector<float> bias(affine.shift);
    for (int64_t c = 0; has_bias && c < channels; ++c) {
      size_t i = static_cast<size_t>(c);
      bias[i] += graph_.value(conv.inputs[2]).constant.as<float>()[c] * affine.scale[i];
    }
    ValueId old_w = conv.inputs[1];
    graph_.SetInput(id, 1, graph_.AddConstant(graph_.FreshName(graph_.value(old_w).name), std::move(*scaled)));
    SetBias(id, bias);
    if (graph_.value(old_w).uses.empty()) {
      graph_.value(old_w).constant.LetPagesGo();
      graph_.ClearConstant(old_w);
    }
    return true;
  }

  void SetBias(NodeId id, const std::vector<float>& bias) {
    const ValueId made = graph_.AddConstant(graph_.FreshName("bias"), Tensor::Of<float>(Shape{static_cast<int64_t>(bias.size())}, bias));
    if (graph_.node(id).inputs.size() > 2) {
      graph_.SetInput(id, 2, made);
    } else {
      graph_.AddNodeInput(id, made);
    }
  }

  /// Scales stay positive: bytes of a channel that a negative number turns round become -1 - q, which exists for every q, as does the zero
  /// point's, or -q where there is no -128. A channel so small that its bias would not fit beside its sums gets larger steps.
  bool AbsorbIntoBytes(ValueId x, const Affine& affine) {
    const NodeId id = graph_.value(x).producer;
    const Node conv = graph_.node(id);
    const int axis = ChannelAxis(conv);
    const std::optional<Dequantized> in = ByteOperand(graph_, conv.inputs[0]), w = ByteWeights(graph_, conv.inputs[1], axis);
    const Tensor* from = ConstantOf(graph_, w->q);
    const int64_t channels = ChannelsOf(conv);
    if (!from->has_data() || static_cast<int64_t>(affine.scale.size()) != channels || from->shape()[axis] != channels) return false;
    std::vector<double> bias(affine.scale.size(), 0);
    if (InputOf(conv, 2) != kNoValue) {
      std::optional<std::vector<double>> given = RealBias(graph_, conv.inputs[2], channels);
      if (!given) return false;
      bias = std::move(*given);
    }
    const Quantization& q = w->quantization;
    Result<Tensor> codes = Tensor::Allocate(q.type, from->shape()), zeros = Tensor::Allocate(q.type, Shape{channels});
    if (!codes.ok() || !zeros.ok()) return false;
    const int64_t outer = from->shape().Product(0, axis), inner = from->shape().Product(axis + 1, from->shape().rank());
    std::vector<float> scales, biases;
    for (int64_t c = 0; c < channels; ++c) {
      const size_t i = static_cast<size_t>(c), at = q.per_tensor() ? 0 : i;
      const double by = affine.scale[i], scale = fabs(by) * q.scales[at], shift = bias[i] * by + affine.shift[i];
      constexpr double kBiasMost = 1 << 29, kScaleLeast = 1e-30;
      const double least = fmax(fabs(shift) / (kBiasMost * in->quantization.scales[0]), kScaleLeast);
      if (!isfinite(scale) || !isfinite(shift) || !(least < 1e30) || !(scale < 1e30)) return false;
      const bool smaller = scale < least, turned = by < 0;
      const double step = smaller ? fmax(least, 2 * scale) : scale;
      const int64_t zero = q.zeros[at], middle = q.type == DType::kInt8 ? 0 : 128;
      auto each = [&](auto&& body) {
        for (int64_t o = 0; o < outer; ++o) {
          for (int64_t k = 0; k < inner; ++k) body((o * channels + c) * inner + k);
        }
      };
      bool lowest = zero != 0 || q.type != DType::kInt8;   // -q does not exist
      each([&](int64_t k) { lowest = lowest || from->as<int8_t>()[k] == -128; });
      auto code = [&](int64_t k) -> int64_t {
        const int64_t old = LoadInteger(q.type, from->data(), k);
        if (smaller) return middle + std::clamp<int64_t>(llrint(static_cast<double>(old - zero) * (turned ? -scale : scale) / step), -128, 127);
        return !turned ? old : lowest ? ~old : -old;
      };
      uint8_t* to = codes->mutable_as<uint8_t>();
      each([&](int64_t k) { to[k] = static_cast<uint8_t>(code(k)); });
      zeros->mutable_as<uint8_t>()[c] = static_cast<uint8_t>(smaller ? middle : !turned ? zero : lowest ? ~zero : -zero);
      scales.push_back(static_cast<float>(step)), biases.push_back(static_cast<float>(shift));
    }
    Node made = *w->node;
    made.version = std::max(made.version, 13);
    made.Set("axis", static_cast<int64_t>(axis));
    const std::string name = graph_.value(w->q).name;
    const ValueId read = graph_.AddValue(graph_.FreshName(graph_.value(conv.inputs[1]).name), graph_.value(conv.inputs[1]).type);
    made.inputs = {graph_.AddConstant(graph_.FreshName(name), std::move(*codes)), graph_.AddConstant(graph_.FreshName("scale"), Tensor::Of<float>(Shape{channels}, scales)),
                   graph_.AddConstant(graph_.FreshName("zero_point"), std::move(*zeros))};
    made.outputs = {read};
    if (!graph_.AddNode(std::move(made)).ok()) return false;
    graph_.SetInput(id, 1, read);
    SetBias(id, biases);
    return true;
  }

  /// A lone BatchNormalization as Mul and Add, which further passes know how to move and fuse.
  Status Expand(NodeId id, const Affine& affine) {
    const Node& node = graph_.node(id);
    const Type type = graph_.value(node.inputs[0]).type;
    if (!type.is_tensor() || !type.shape.has_rank() || type.shape.rank() < 2 || type.dtype != DType::kFloat) return Status();
    int64_t channels = static_cast<int64_t>(affine.scale.size());
    Shape shape = Shape::OfRank(type.shape.rank() - 1);
    for (int d = 0; d < shape.rank(); ++d) shape[d] = d == 0 ? channels : 1;
    ValueId x = node.inputs[0], out = node.outputs[0];
    std::string name = node.name.empty() ? std::string("BatchNormalization") : node.name;
    graph_.RemoveNode(id);
    ValueId scale = graph_.AddConstant(graph_.FreshName("scale"), Tensor::Of<float>(shape, affine.scale));
    ValueId shift = graph_.AddConstant(graph_.FreshName("shift"), Tensor::Of<float>(shape, affine.shift));
    LINNET_ASSIGN(ValueId scaled, graph_.AddNode("Mul", "", 14, {x, scale}, {}, type, name + "/Mul"));
    Node add;
    add.op = "Add";
    add.version = 14;
    add.name = name + "/Add";
    add.inputs = {scaled, shift};
    add.outputs = {out};
    return graph_.AddNode(std::move(add)).TakeStatus();
  }

  Graph& graph_;
  const bool bytes_;
};

}  // namespace

Status FoldBatchNorm(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [](Graph& g) { return BatchNormFolder(g, false).Run(); });
}

Status FoldIntegerBatchNorm(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& g) -> Status {
    if (!HasQuantization(g)) return Status();
    LINNET_TRY(BatchNormFolder(g, true).Run());
    return RemoveDeadCode(g, context);
  });
}

}  // namespace linnet
