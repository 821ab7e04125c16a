// fuse_integer: operators between DequantizeLinear and QuantizeLinear become operators on integers.
//
//     DQ, DQ [, DQ] → Conv → Q                QLinearConv
//     DQ, DQ → MatMul → Q                     QLinearMatMul
//     DQ, DQ [, DQ] → Gemm → Q                QGemm
//     DQ, DQ → Add, Mul → Q                   QLinearAdd, QLinearMul
//     DQ → GlobalAveragePool, AveragePool → Q QLinearGlobalAveragePool, QLinearAveragePool
//     DQ → Softmax → Q                        QLinearSoftmax
//     DQ → LayerNormalization → Q             linnet:QLinearLayerNormalization
//     DQ → Resize, interpolating → Q          Resize, of bytes, and between other scales DQ → Q, which becomes a table
//
// A Relu or Clip before the QuantizeLinear becomes a Clip of integers, or nothing where the integers end there anyway.
// Products are summed exactly and rounded once, so results differ from the graph's by at most one step of the output.
// Biases that are not integers at the scale of the products are rounded to it: by half a product's step.
#include <cmath>

#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

constexpr char kMicrosoft[] = "com.microsoft";

class Fuser {
 public:
  Fuser(Graph& graph, const PassContext& context) : graph_(graph), context_(context) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).Is("QuantizeLinear")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  bool Has(const char* domain, const char* op, int version = 1) const { return context_.table->Find(domain, op, version).ok(); }

  Status Visit(NodeId id) {
    const Node quantize = graph_.node(id);
    std::optional<Quantization> y = QuantizationBy(graph_, quantize);
    if (!y) return Status();
    float low = -INFINITY, high = INFINITY;
    std::vector<NodeId> gone = {id};
    ValueId value = quantize.inputs[0];
    while (PeelBounds(&value, &low, &high, &gone)) {
    }
    const Node* maker = Producer(graph_, value);
    if (!maker || !ReadOnce(graph_, value) || maker->outputs.size() != 1) return Status();
    const Node op = *maker;
    gone.push_back(graph_.value(value).producer);

    Node fused;
    fused.name = op.name;
    bool fits = false;
    behind_.clear();
    if (op.Is("Conv")) {
      LINNET_TRY(Conv(op, *y, &fused, &fits));
    } else if (op.Is("Softmax")) {
      LINNET_TRY(Softmax(op, *y, &fused, &fits));
    } else if (op.Is("LayerNormalization")) {
      LINNET_TRY(LayerNormalization(op, *y, &fused, &fits));
    } else if (op.Is("Resize")) {
      LINNET_TRY(Resize(op, quantize, *y, low == -INFINITY && high == INFINITY, &fused, &fits));
    } else if (op.Is("MatMul")) {
      LINNET_TRY(MatMul(op, *y, &fused, &fits));
    } else if (op.Is("Gemm")) {
      LINNET_TRY(Gemm(op, *y, &fused, &fits));
    } else if (op.Is("Add") || op.Is("Mul")) {
      LINNET_TRY(Binary(op, *y, &fused, &fits));
    } else if (op.Is("GlobalAveragePool") || op.Is("AveragePool")) {
      LINNET_TRY(Pool(op, *y, &fused, &fits));
    }
    if (!fits) return Status();

    const int64_t least = y->type == DType::kInt8 ? -128 : 0, most = least + 255;
    const int64_t first = y->Stored(low), last = y->Stored(high);
    const ValueId out = quantize.outputs[0];
    for (NodeId dead : gone) graph_.RemoveNode(dead);
    std::vector<Node> chain = {std::move(fused)};
    if (first > least || last < most) {
      Node clip;
      clip.op = "Clip";
      clip.version = 13;
      clip.inputs = {kNoValue};
      for (int64_t bound : {first, last}) {
        LINNET_ASSIGN(Tensor scalar, Tensor::Allocate(y->type, Shape(std::initializer_list<int64_t>{})));
        *scalar.mutable_as<uint8_t>() = static_cast<uint8_t>(bound);
        clip.inputs.push_back(graph_.AddConstant(graph_.FreshName("bound"), std::move(scalar)));
      }
      chain.push_back(std::move(clip));
    }
    for (Node& node : behind_) chain.push_back(std::move(node));
    return AddChain(std::move(chain), out);
  }

  /// Adds nodes that read each other's output first; the last makes `out`.
  Status AddChain(std::vector<Node> chain, ValueId out) {
    ValueId made = kNoValue;
    for (size_t i = 0; i < chain.size(); ++i) {
      if (i > 0) chain[i].inputs[0] = made;
      // Types are inferred when the pass is done.
      made = i + 1 == chain.size() ? out : graph_.AddValue(graph_.FreshName(graph_.value(out).name), {});
      chain[i].outputs = {made};
      LINNET_TRY(graph_.AddNode(std::move(chain[i])).TakeStatus());
    }
    return Status();
  }

  /// Steps over a Relu or a Clip by constants; what was outside of [low, high] stays so.
  bool PeelBounds(ValueId* value, float* low, float* high, std::vector<NodeId>* gone) const {
    const Node* node = Producer(graph_, *value);
    if (!node || !ReadOnce(graph_, *value)) return false;
    float least = -INFINITY, most = INFINITY;
    if (node->Is("Relu")) {
      least = 0;
    } else if (node->Is("Clip")) {
      const std::optional<ClipBounds> bounds = ClipBoundsOf(graph_, *node);
      if (!bounds) return false;
      least = bounds->low, most = bounds->high;
    } else {
      return false;
    }
    if (!(least <= most)) return false;
    const float outer_low = *low, outer_high = *high;
    *low = std::fmin(std::fmax(least, outer_low), outer_high);
    *high = std::fmin(std::fmax(most, outer_low), outer_high);
    gone->push_back(graph_.value(*value).producer);
    *value = node->inputs[0];
    return true;
  }

  /// The bias `id` as int32 at the scale of the products, for `channels` columns; kNoValue when it cannot be.
  Result<ValueId> Bias(ValueId id, const Quantization& x, const Quantization& w, int64_t channels) {
    auto scale = [&](size_t i) { return static_cast<double>(x.scales[0]) * w.scales[w.per_tensor() ? 0 : i]; };
    const std::optional<std::vector<double>> known = RealBias(graph_, id, channels);
    if (!known) return kNoValue;
    const std::vector<double>& real = *known;
    if (std::optional<Dequantized> from = DequantizedFrom(graph_, id)) {
      const Quantization& q = from->quantization;
      bool exact = ConstantOf(graph_, from->q)->shape().rank() == 1;
      for (size_t i = 0; i < real.size(); ++i) {
        const size_t at = q.per_tensor() ? 0 : i;
        exact = exact && q.zeros[at] == 0 && std::fabs(q.scales[at] - scale(i)) <= 1e-5 * scale(i);
      }
      if (exact) return from->q;
    }
    LINNET_ASSIGN(Tensor rounded, Tensor::Allocate(DType::kInt32, Shape({channels})));
    for (size_t i = 0; i < real.size(); ++i) {
      const double v = std::nearbyint(real[i] / scale(i));
      if (!(std::fabs(v) < 1 << 30)) return kNoValue;
      rounded.mutable_as<int32_t>()[i] = static_cast<int32_t>(v);
    }
    return graph_.AddConstant(graph_.FreshName("bias"), std::move(rounded));
  }

  Status Conv(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]), w = ByteWeights(graph_, op.inputs[1], 0);
    if (!x || !w || !Has("", "QLinearConv", 10)) return Status();
    fused->op = "QLinearConv";
    fused->version = 10;
    fused->attributes = op.attributes;
    LINNET_TRY(AppendOperand(graph_, *x, fused));
    LINNET_TRY(AppendOperand(graph_, *w, fused));
    LINNET_TRY(AppendOutput(graph_, y, fused));
    if (op.inputs.size() > 2 && op.inputs[2] != kNoValue) {
      const Shape& shape = graph_.value(w->q).type.shape;
      if (!shape.has_rank() || !IsKnownDim(shape[0])) return Status();
      LINNET_ASSIGN(ValueId bias, Bias(op.inputs[2], x->quantization, w->quantization, shape[0]));
      if (bias == kNoValue) return Status();
      fused->inputs.push_back(bias);
    }
    *fits = true;
    return Status();
  }

  Status Softmax(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]);
    if (!x || x->quantization.type != y.type || !Has(kMicrosoft, "QLinearSoftmax")) return Status();
    fused->op = "QLinearSoftmax";
    fused->domain = kMicrosoft;
    fused->version = 1;
    fused->attributes = op.attributes;
    fused->Set("opset", static_cast<int64_t>(op.version));
    LINNET_TRY(AppendOperand(graph_, *x, fused));
    LINNET_TRY(AppendOutput(graph_, y, fused));
    *fits = true;
    return Status();
  }

  Status LayerNormalization(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]);
    if (!x || x->quantization.type != y.type) return Status();
    const Shape& shape = graph_.value(op.inputs[0]).type.shape;
    LINNET_ASSIGN(int64_t axis, op.Int("axis", -1));
    if (axis < 0) axis += shape.rank();
    if (!shape.has_rank() || axis < 0 || axis >= shape.rank()) return Status();
    for (size_t i = 1; i < op.inputs.size(); ++i) {
      if (op.inputs[i] == kNoValue) continue;
      const Type& row = graph_.value(op.inputs[i]).type;
      if (row.dtype != DType::kFloat || !row.shape.is_static() || row.shape.rank() != shape.rank() - axis) return Status();
      for (int d = 0; d < row.shape.rank(); ++d) {
        if (row.shape[d] != shape[d + static_cast<int>(axis)]) return Status();
      }
    }
    fused->op = "QLinearLayerNormalization";
    fused->domain = "linnet";
    fused->version = 1;
    fused->attributes = op.attributes;
    LINNET_TRY(AppendOperand(graph_, *x, fused));
    fused->inputs.push_back(op.inputs[1]);
    LINNET_TRY(AppendOutput(graph_, y, fused));
    if (op.inputs.size() > 2) fused->inputs.push_back(op.inputs[2]);
    *fits = true;
    return Status();
  }

  /// Interpolated bytes are rounded once more between scales that differ, which stays within a step while the output's is more than half of
  /// the input's. Cubic ones leave the range of the input's bytes, which the output's may hold.
  Status Resize(const Node& op, const Node& quantize, const Quantization& y, bool unbounded, Node* fused, bool* fits) {
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]);
    if (!x || x->quantization.type != y.type || op.version < 11) return Status();
    LINNET_ASSIGN(std::string mode, op.String("mode", "nearest"));
    LINNET_ASSIGN(std::string where, op.String("coordinate_transformation_mode", "half_pixel"));
    const bool same = x->quantization.SameAs(y);
    const bool requantizes = unbounded && mode == "linear" && x->quantization.scales[0] < 2 * y.scales[0];
    if (mode == "nearest" || where == "tf_crop_and_resize" || !(same || requantizes)) return Status();
    *fused = op;
    fused->outputs.clear();
    fused->inputs[0] = x->q;
    if (!same) {
      Node back = *x->node, again = quantize;
      behind_.push_back(std::move(back));
      behind_.push_back(std::move(again));
    }
    *fits = true;
    return Status();
  }

  Status MatMul(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    const int columns = graph_.value(op.inputs[1]).type.shape.rank() - 1;
    std::optional<Dequantized> a = ByteOperand(graph_, op.inputs[0]), b = ByteWeights(graph_, op.inputs[1], columns);
    if (!a || !b || columns < 0 || !Has("", "QLinearMatMul", 10)) return Status();
    if (!b->quantization.per_tensor() && columns != 1) return Status();
    fused->op = "QLinearMatMul";
    fused->version = 10;
    LINNET_TRY(AppendOperand(graph_, *a, fused));
    LINNET_TRY(AppendOperand(graph_, *b, fused));
    LINNET_TRY(AppendOutput(graph_, y, fused));
    *fits = true;
    return Status();
  }

  Status Gemm(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    LINNET_ASSIGN(int64_t transpose_b, op.Int("transB", 0));
    LINNET_ASSIGN(float alpha, op.Float("alpha", 1));
    LINNET_ASSIGN(float beta, op.Float("beta", 1));
    const int64_t columns = transpose_b ? 0 : 1;
    std::optional<Dequantized> a = ByteOperand(graph_, op.inputs[0]), b = ByteWeights(graph_, op.inputs[1], columns);
    if (!a || !b || alpha != 1 || !Has(kMicrosoft, "QGemm")) return Status();
    ValueId bias = kNoValue;
    if (op.inputs.size() > 2 && op.inputs[2] != kNoValue) {
      const Shape& shape = graph_.value(b->q).type.shape;
      if (beta != 1 || shape.rank() != 2 || !IsKnownDim(shape[static_cast<int>(columns)])) return Status();
      LINNET_ASSIGN(bias, Bias(op.inputs[2], a->quantization, b->quantization, shape[static_cast<int>(columns)]));
      if (bias == kNoValue) return Status();
    }
    fused->op = "QGemm";
    fused->domain = kMicrosoft;
    fused->version = 1;
    for (const char* name : {"transA", "transB"}) {
      if (const Attribute* attribute = op.Find(name)) fused->attributes.push_back(*attribute);
    }
    LINNET_TRY(AppendOperand(graph_, *a, fused));
    LINNET_TRY(AppendOperand(graph_, *b, fused));
    fused->inputs.push_back(bias);
    LINNET_TRY(AppendOutput(graph_, y, fused));
    *fits = true;
    return Status();
  }

  Status Binary(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    std::optional<Dequantized> a = ByteOperand(graph_, op.inputs[0]), b = ByteOperand(graph_, op.inputs[1]);
    const char* name = op.op == "Add" ? "QLinearAdd" : "QLinearMul";
    if (op.inputs.size() != 2 || !IsBroadcasting(op) || !a || !b || !Has(kMicrosoft, name)) return Status();
    if (a->quantization.type != y.type || b->quantization.type != y.type) return Status();
    fused->op = name;
    fused->domain = kMicrosoft;
    fused->version = 1;
    LINNET_TRY(AppendOperand(graph_, *a, fused));
    LINNET_TRY(AppendOperand(graph_, *b, fused));
    LINNET_TRY(AppendOutput(graph_, y, fused));
    *fits = true;
    return Status();
  }

  Status Pool(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]);
    const char* name = op.op == "AveragePool" ? "QLinearAveragePool" : "QLinearGlobalAveragePool";
    if (!x || x->quantization.type != y.type || !Has(kMicrosoft, name)) return Status();
    for (const Attribute& attribute : op.attributes) {
      if (attribute.name == "dilations") return Status();
    }
    fused->op = name;
    fused->domain = kMicrosoft;
    fused->version = 1;
    fused->attributes = op.attributes;
    LINNET_TRY(AppendOperand(graph_, *x, fused));
    LINNET_TRY(AppendOutput(graph_, y, fused));
    *fits = true;
    return Status();
  }

  Graph& graph_;
  const PassContext& context_;
  std::vector<Node> behind_;   ///< of what is made of the operator: what follows it, input 0 the one before's output
};

}  // namespace

Status FuseInteger(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    if (!HasQuantization(each)) return Status();
    LINNET_TRY(Fuser(each, context).Run());
    return RemoveDeadCode(each, context);
  });
}

}  // namespace linnet
