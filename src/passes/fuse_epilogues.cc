// fuse_epilogues: what follows a matrix product or convolution element by element happens while its tile is in registers.
//
//     y = linnet:Conv(x, w)     →  + bias (a constant per column)
//     z = Add(y, r)             →  + residual, a tensor of the same shape
//     u = Relu(z)               →  activation
//
// A QLinearAdd of the bytes of linnet:QLinearConv and a tensor of the same shape becomes more inputs of it, and a Clip by constants
// behind it the bounds of its bytes.
//
// MatMul and Gemm with a two-dimensional right side become linnet:Gemm here, which has the same epilogue, and
// Mul(Cast(linnet:ConvInteger(...)), scale) becomes linnet:ConvIntegerToFloat.
#include <math.h>
#include <string.h>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

constexpr const char kIntegerProduct[] = "MatMulIntegerToFloat", kIntegerConv[] = "ConvIntegerToFloat";

/// Which inputs of an operator with an epilogue are the bias and the residual.
size_t BiasOf(const Node& node) { return node.op == kIntegerProduct ? 6 : node.op == kIntegerConv ? 5 : 2; }
size_t ResidualOf(const Node& node) { return BiasOf(node) + 1; }

struct ActivationRule {
  const char* op;
  const char* activation;
  const char* alpha;       ///< attribute that becomes alpha; null: none
  float alpha_default;
  const char* beta;
  float beta_default;
};

constexpr ActivationRule kActivations[] = {
    {"Relu", "Relu", nullptr, 0, nullptr, 0},
    {"LeakyRelu", "LeakyRelu", "alpha", 0.01f, nullptr, 0},
    {"Sigmoid", "Sigmoid", nullptr, 0, nullptr, 0},
    {"Tanh", "Tanh", nullptr, 0, nullptr, 0},
    {"HardSigmoid", "HardSigmoid", "alpha", 0.2f, "beta", 0.5f},
    {"HardSwish", "HardSwish", nullptr, 0, nullptr, 0},
    {"Elu", "Elu", "alpha", 1.0f, nullptr, 0},
    {"Selu", "Selu", "alpha", 1.67326319217681884765625f, "gamma", 1.05070102214813232421875f},
    {"Softplus", "Softplus", nullptr, 0, nullptr, 0},
    {"Mish", "Mish", nullptr, 0, nullptr, 0},
    {"Swish", "Silu", "alpha", 1.0f, nullptr, 0},
    {"Steps", "Steps", "alpha", 1.0f, "beta", 0},
};

class EpilogueFuser {
 public:
  explicit EpilogueFuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).alive) LINNET_TRY(MakeGemm(id));
      if (graph_.node(id).Is("Mul")) LINNET_TRY(MakeIntegerConv(id));
      if (graph_.node(id).Is("QLinearAdd", "com.microsoft")) LINNET_TRY(AddBytes(id));
      if (graph_.node(id).Is("Clip")) LINNET_TRY(BoundBytes(id));
    }
    LINNET_ASSIGN(order, graph_.Order());
    for (NodeId id : order) {
      while (graph_.node(id).alive && CanFuse(graph_.node(id))) {
        LINNET_ASSIGN(NodeId fused, FuseReader(id));
        if (fused == kNoNode) break;
        id = fused;
      }
    }
    return Status();
  }

 private:
  bool CanFuse(const Node& node) const {
    if (!node.Is("Conv", "linnet") && !node.Is("ConvTranspose", "linnet") && !node.Is("Gemm", "linnet") &&
        !node.Is(kIntegerProduct, "linnet") && !node.Is(kIntegerConv, "linnet")) {
      return false;
    }
    if (node.Has("activation")) return false;
    const Type& type = graph_.value(node.outputs[0]).type;
    return type.is_tensor() && type.dtype == DType::kFloat && type.shape.has_rank();
  }

  /// MatMul(x, w) and Gemm(x, w, c) with a matrix w as linnet:Gemm(x, w, bias).
  Status MakeGemm(NodeId id) {
    const Node& node = graph_.node(id);
    bool matmul = node.Is("MatMul"), gemm = node.Is("Gemm");
    if ((!matmul && !gemm) || node.inputs.size() < 2) return Status();
    const Type& x = graph_.value(node.inputs[0]).type;
    const Tensor* w = ConstantOf(graph_, node.inputs[1]);
    if (!w || w->dtype() != DType::kFloat || w->shape().rank() != 2 || !x.is_tensor() || x.shape.rank() < 2) return Status();
    int64_t trans_b = 0;
    ValueId bias = kNoValue;
    if (gemm) {
      LINNET_ASSIGN(int64_t trans_a, node.Int("transA", 0));
      LINNET_ASSIGN(trans_b, node.Int("transB", 0));
      LINNET_ASSIGN(float alpha, node.Float("alpha", 1.0f));
      LINNET_ASSIGN(float beta, node.Float("beta", 1.0f));
      if (trans_a || alpha != 1.0f) return Status();
      if (node.inputs.size() > 2 && node.inputs[2] != kNoValue && beta != 0.0f) {
        bias = VectorBias(node.inputs[2], trans_b ? w->shape()[0] : w->shape()[1]);
        if (bias == kNoValue || beta != 1.0f) return Status();
      }
    }
    Node made;
    made.op = "Gemm";
    made.domain = "linnet";
    made.version = 1;
    made.name = node.name;
    made.inputs = {node.inputs[0], node.inputs[1]};
    if (bias != kNoValue) made.inputs.push_back(bias);
    made.outputs = {node.outputs[0]};
    if (trans_b) made.Set("transB", int64_t{1});
    return ReplaceNode(graph_, id, std::move(made));
  }

  /// Mul(Cast(linnet:ConvInteger(x, w, zero points)), scale) with one scale, or a constant one for each channel.
  Status MakeIntegerConv(NodeId id) {
    const Node& mul = graph_.node(id);
    if (mul.version < 7 || mul.inputs.size() != 2 || mul.inputs[0] == mul.inputs[1]) return Status();
    for (size_t side : {0, 1}) {
      const Node* cast = SoleProducer(graph_, mul.inputs[side], "Cast");
      const Node* conv = cast && graph_.value(mul.inputs[side]).type.dtype == DType::kFloat ? Producer(graph_, cast->inputs[0]) : nullptr;
      if (!conv || !conv->Is("ConvInteger", "linnet") || !ReadOnce(graph_, cast->inputs[0])) continue;
      const Type& sums = graph_.value(cast->inputs[0]).type;
      ValueId scale = mul.inputs[1 - side];
      const Type& type = graph_.value(scale).type;
      if (!sums.shape.has_rank() || type.dtype != DType::kFloat || !type.shape.is_static() || type.shape.rank() > sums.shape.rank()) continue;
      if (type.shape.elements() != 1 || type.shape.rank() > 1) {
        const int64_t columns = sums.shape[sums.shape.rank() - 1];
        scale = IsKnownDim(columns) ? VectorBias(scale, columns) : kNoValue;
        if (scale == kNoValue) continue;
      }
      Node made = *conv;
      made.op = kIntegerConv;
      made.version = 1;
      made.inputs.resize(4, kNoValue);
      made.inputs.push_back(scale);
      made.outputs = {mul.outputs[0]};
      const NodeId cast_id = graph_.value(mul.inputs[side]).producer, conv_id = graph_.value(cast->inputs[0]).producer;
      graph_.RemoveNode(id);
      graph_.RemoveNode(cast_id);
      graph_.RemoveNode(conv_id);
      return graph_.AddNode(std::move(made)).TakeStatus();
    }
    return Status();
  }

  /// QLinearAdd(linnet:QLinearConv(...), r) or the other way round, r of the same shape.
  Status AddBytes(NodeId id) {
    constexpr size_t kScale = 6, kAdded = 9, kOperand = 3;   // where an operand of QLinearAdd is 3 inputs: tensor, scale, zero point
    const Node sum = graph_.node(id);
    for (size_t side : {size_t{0}, kOperand}) {
      const size_t other = kOperand - side;
      const Node* conv = Producer(graph_, sum.inputs[side]);
      if (!conv || !conv->Is("QLinearConv", "linnet") || conv->Has("q_min") || conv->Has("q_max") || !ReadOnce(graph_, sum.inputs[side])) continue;
      if (InputOf(*conv, kAdded) != kNoValue) continue;
      // The convolution's bytes mean the same to both: the very same numbers, or equal constants.
      if (!SameConstant(InputOf(*conv, kScale), InputOf(sum, side + 1)) || !SameConstant(InputOf(*conv, kScale + 1), InputOf(sum, side + 2))) continue;
      LINNET_ASSIGN(int64_t groups, conv->Int("group", 1));
      const Type& y = graph_.value(sum.inputs[side]).type;
      if (groups != 1 || sum.inputs[other] == sum.inputs[side] || !SameShape(graph_.value(sum.inputs[other]).type, y)) continue;
      const Type& w = graph_.value(conv->inputs[3]).type;
      if (!w.shape.is_static() || w.shape[0] == 1) continue;
      Node made = *conv;
      made.inputs.resize(kAdded, kNoValue);
      for (size_t i = 0; i < kOperand; ++i) made.inputs.push_back(InputOf(sum, other + i));
      for (size_t i = 6; i < 8; ++i) made.inputs.push_back(InputOf(sum, i));
      made.outputs = {sum.outputs[0]};
      return Replace(graph_.value(sum.inputs[side]).producer, id, std::move(made)).TakeStatus();
    }
    return Status();
  }

  bool SameConstant(ValueId a, ValueId b) const {
    if (a == b) return true;
    const Tensor *x = a == kNoValue ? nullptr : ConstantOf(graph_, a), *y = b == kNoValue ? nullptr : ConstantOf(graph_, b);
    return x && y && x->dtype() == y->dtype() && x->elements() == 1 && y->elements() == 1 && x->has_data() && y->has_data() &&
           memcmp(x->data(), y->data(), static_cast<size_t>(x->bytes())) == 0;
  }

  /// Clip(linnet:QLinearConv(...)) of bytes, by constants.
  Status BoundBytes(NodeId id) {
    const Node& clip = graph_.node(id);
    const Node* conv = Producer(graph_, clip.inputs[0]);   // whose output is bytes
    if (!conv || !conv->Is("QLinearConv", "linnet") || conv->Has("q_min") || conv->Has("q_max") || !ReadOnce(graph_, clip.inputs[0])) return Status();
    const std::optional<ClipBounds> bounds = ClipBoundsOf(graph_, clip);
    if (!bounds || !(bounds->low <= bounds->high)) return Status();
    Node made = *conv;
    // Bytes are whole, and so are their bounds; those beyond all bytes bound nothing.
    made.Set("q_min", static_cast<int64_t>(fmaxf(bounds->low, -128)));
    made.Set("q_max", static_cast<int64_t>(fminf(bounds->high, 255)));
    made.outputs = {clip.outputs[0]};
    return Replace(graph_.value(clip.inputs[0]).producer, id, std::move(made)).TakeStatus();
  }

  /// `id` as a constant vector of `columns`, when it is one number a column of the last axis; kNoValue otherwise.
  ValueId VectorBias(ValueId id, int64_t columns) {
    const Tensor* tensor = id == kNoValue ? nullptr : ConstantOf(graph_, id);
    if (!tensor || tensor->dtype() != DType::kFloat || !tensor->has_data()) return kNoValue;
    const Shape& shape = tensor->shape();
    if (shape.rank() == 1 && shape[0] == columns) return id;
    std::vector<float> bias(static_cast<size_t>(columns));
    if (tensor->elements() == 1) {
      bias.assign(bias.size(), *tensor->as<float>());
    } else if (shape.rank() > 1 && shape[shape.rank() - 1] == columns && tensor->elements() == columns) {
      bias.assign(tensor->as<float>(), tensor->as<float>() + columns);
    } else {
      return kNoValue;
    }
    return graph_.AddConstant(graph_.FreshName("bias"), Tensor::Of<float>(Shape{columns}, bias));
  }

  bool HasInput(const Node& node, size_t index) const {
    return index < node.inputs.size() && node.inputs[index] != kNoValue;
  }

  /// Replaces the producer `id` and its one reader by one node; kNoNode when they do not fit.
  Result<NodeId> FuseReader(NodeId id) {
    const Node& node = graph_.node(id);
    ValueId y = node.outputs[0];
    if (!ReadOnce(graph_, y)) return kNoNode;
    NodeId reader_id = graph_.value(y).uses[0].node;
    const Node& reader = graph_.node(reader_id);
    const Type& type = graph_.value(y).type;
    if (reader.outputs.empty() || reader.outputs[0] == kNoValue) return kNoNode;
    const Type& out_type = graph_.value(reader.outputs[0]).type;
    if (!(out_type.dtype == DType::kFloat) || out_type.shape.rank() != type.shape.rank()) return kNoNode;
    Node fused = node;
    fused.outputs = {reader.outputs[0]};
    const size_t at_bias = BiasOf(node), at_residual = ResidualOf(node);

    if (reader.Is("Add") && reader.version >= 7) {
      ValueId other = OtherInput(reader, y);
      if (other == kNoValue || other == y) return kNoNode;
      int64_t columns = type.shape[type.shape.rank() - 1];
      if (!HasInput(node, at_bias) && !HasInput(node, at_residual) && columns >= 0) {
        ValueId bias = VectorBias(other, columns);
        if (bias != kNoValue && graph_.value(other).type.shape.rank() <= type.shape.rank()) {
          fused.inputs.resize(std::max(fused.inputs.size(), at_bias + 1), kNoValue);
          fused.inputs[at_bias] = bias;
          return Replace(id, reader_id, std::move(fused));
        }
      }
      if (HasInput(node, at_residual) || !SameShape(graph_.value(other).type, type)) return kNoNode;
      fused.inputs.resize(at_residual + 1, kNoValue);
      fused.inputs[at_residual] = other;
      return Replace(id, reader_id, std::move(fused));
    }
    if (!SetActivation(reader, y, &fused)) return kNoNode;
    return Replace(id, reader_id, std::move(fused));
  }

  static bool SameShape(const Type& a, const Type& b) {
    if (!(a.is_tensor() && a.dtype == b.dtype && a.shape == b.shape) || !a.shape.has_rank()) return false;
    for (int64_t dim : a.shape) {
      if (dim == kUnknownDim) return false;
    }
    return true;
  }

  bool SetActivation(const Node& reader, ValueId y, Node* fused) const {
    if ((!reader.domain.empty() && !reader.Is("Steps", "linnet")) || reader.inputs[0] != y) return false;
    if (reader.op == "Clip") {
      const std::optional<ClipBounds> bounds = ClipBoundsOf(graph_, reader);
      if (!bounds) return false;
      // max then min, as ONNX defines an empty range.
      fused->Set("activation", std::string("Clip"));
      fused->Set("alpha", bounds->low);
      fused->Set("beta", bounds->high);
      return true;
    }
    if (reader.op == "Gelu") {
      Result<std::string> approximate = reader.String("approximate", "none");
      if (!approximate.ok()) return false;
      fused->Set("activation", std::string(*approximate == "tanh" ? "GeluTanh" : "Gelu"));
      return true;
    }
    if (reader.inputs.size() != 1) return false;
    for (const ActivationRule& rule : kActivations) {
      if (reader.op != rule.op) continue;
      fused->Set("activation", std::string(rule.activation));
      if (rule.alpha) {
        Result<float> alpha = reader.Float(rule.alpha, rule.alpha_default);
        if (!alpha.ok()) return false;
        fused->Set("alpha", *alpha);
      }
      if (rule.beta) {
        Result<float> beta = reader.Float(rule.beta, rule.beta_default);
        if (!beta.ok()) return false;
        fused->Set("beta", *beta);
      }
      return true;
    }
    return false;
  }

  Result<NodeId> Replace(NodeId producer, NodeId reader, Node fused) {
    graph_.RemoveNode(reader);
    graph_.RemoveNode(producer);
    return graph_.AddNode(std::move(fused));
  }

  Graph& graph_;
};

}  // namespace

Status FuseEpilogues(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [](Graph& g) { return EpilogueFuser(g).Run(); });
}

}  // namespace linnet
