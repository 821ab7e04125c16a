// fuse_integer: operators between DequantizeLinear and QuantizeLinear become operators on integers.
//
//     DQ, DQ [, DQ] → Conv → Q                QLinearConv
//     DQ, DQ → MatMul → Q                     QLinearMatMul
//     DQ, DQ [, DQ] → Gemm → Q                QGemm
//     DQ, DQ → Add, Sub, Mul → Q              QLinearAdd, QLinearMul
//     DQ → GlobalAveragePool, AveragePool → Q QLinearGlobalAveragePool, QLinearAveragePool; a ReduceMean of all pixels likewise
//     DQ → GlobalMaxPool → Q                  MaxPool of bytes where sizes are known, and between other scales DQ → Q
//     DQ → Softmax → Q                        QLinearSoftmax
//     DQ → LayerNormalization → Q             linnet:QLinearLayerNormalization
//     DQ → Resize, interpolating → Q          Resize, of bytes, and between other scales DQ → Q, which becomes a table
//
// Where the bytes of one side are signed and those of the other are not, their highest bits are turned, by a table.
// A Relu or Clip before the QuantizeLinear becomes a Clip of integers, or nothing where the integers end there anyway.
// Products are summed exactly and rounded once, so results differ from the graph's by at most one step of the output.
// Biases that are not integers at the scale of the products are rounded to it: by half a product's step.
#include <algorithm>
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

    // Operators on bytes have one type.
    const bool one_type = op.Is("Softmax") || op.Is("LayerNormalization") || op.Is("Add") || op.Is("Sub") || op.Is("Mul") || op.Is("AveragePool") ||
                          op.Is("GlobalAveragePool") || op.Is("ReduceMean");
    const std::optional<Dequantized> from = one_type ? ByteOperand(graph_, op.inputs[0]) : std::nullopt;
    const bool turned = from && from->quantization.type != y->type;
    if (turned) {
      LINNET_ASSIGN(y, Turned(*y));
    }

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
    } else if (op.Is("Add") || op.Is("Sub") || op.Is("Mul")) {
      LINNET_TRY(Binary(op, *y, &fused, &fits));
    } else if (op.Is("GlobalAveragePool") || op.Is("AveragePool") || op.Is("ReduceMean")) {
      LINNET_TRY(Pool(op, *y, &fused, &fits));
    } else if (op.Is("GlobalMaxPool")) {
      LINNET_TRY(MostOf(op, quantize, *y, low == -INFINITY && high == INFINITY, &fused, &fits));
    }
    if (!fits) return Status();
    if (turned) {
      Node back, again = quantize;
      back.op = "DequantizeLinear";
      back.version = quantize.version;
      back.inputs = {kNoValue, y->scale, y->zero};
      behind_.push_back(std::move(back));
      behind_.push_back(std::move(again));
    }

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

  /// The same numbers in bytes of the other type.
  Result<Quantization> Turned(const Quantization& q) {
    Quantization out = q;
    out.type = q.type == DType::kInt8 ? DType::kUint8 : DType::kInt8;
    out.zeros[0] += q.type == DType::kInt8 ? 128 : -128;
    LINNET_ASSIGN(out.zero, Byte(out.type, out.zeros[0]));
    return out;
  }
  Result<ValueId> Byte(DType type, int64_t value) {
    LINNET_ASSIGN(Tensor scalar, Tensor::Allocate(type, Shape(std::initializer_list<int64_t>{})));
    *scalar.mutable_as<uint8_t>() = static_cast<uint8_t>(value);
    return graph_.AddConstant(graph_.FreshName("byte"), std::move(scalar));
  }

  /// Operand `real`, which comes from bytes `from`, in bytes of `type`, or (`negative`) its negative, whose bytes -1 - q all exist.
  /// fuse_integer_tables makes a table of it; constants are turned at once.
  Status TurnInto(DType type, bool negative, ValueId real, int version, Dequantized* from) {
    const Quantization old = from->quantization;
    if (old.type == type && !negative) return Status();
    Quantization& now = from->quantization;
    if (old.type != type) {
      LINNET_ASSIGN(now, Turned(old));
    }
    if (negative) {
      now.zeros[0] = type == DType::kInt8 ? -1 - now.zeros[0] : 255 - now.zeros[0];
      LINNET_ASSIGN(now.zero, Byte(type, now.zeros[0]));
    }
    const std::string name = graph_.value(from->q).name;
    if (const Tensor* bytes = ConstantOf(graph_, from->q)) {
      if (!bytes->has_data()) return Internal("packed bytes are not turned");
      const uint8_t mask = static_cast<uint8_t>((old.type == type ? 0 : 128) ^ (negative ? 255 : 0));
      LINNET_ASSIGN(Tensor other, Tensor::Allocate(type, bytes->shape()));
      for (int64_t i = 0; i < other.elements(); ++i) other.mutable_as<uint8_t>()[i] = bytes->as<uint8_t>()[i] ^ mask;
      from->q = graph_.AddConstant(graph_.FreshName(name), std::move(other));
      return Status();
    }
    const Type floats = graph_.value(real).type;
    if (negative) {
      LINNET_ASSIGN(real, graph_.AddNode("Neg", "", version, {real}, {}, floats, name));
    }
    LINNET_ASSIGN(from->q, graph_.AddNode("QuantizeLinear", "", version, {real, now.scale, now.zero}, {}, Type::Tensor(type, floats.shape), name));
    return Status();
  }

  /// A difference is the sum with the negative.
  Status Binary(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    std::optional<Dequantized> a = ByteOperand(graph_, op.inputs[0]), b = ByteOperand(graph_, op.inputs[1]);
    const char* name = op.op == "Mul" ? "QLinearMul" : "QLinearAdd";
    if (op.inputs.size() != 2 || !IsBroadcasting(op) || !a || !b || !Has(kMicrosoft, name)) return Status();
    if (a->quantization.type != y.type || (op.Is("Sub") && !Has("", "Neg", 13))) return Status();
    LINNET_TRY(TurnInto(y.type, op.Is("Sub"), op.inputs[1], b->node->version, &*b));
    fused->op = name;
    fused->domain = kMicrosoft;
    fused->version = 1;
    LINNET_TRY(AppendOperand(graph_, *a, fused));
    LINNET_TRY(AppendOperand(graph_, *b, fused));
    LINNET_TRY(AppendOutput(graph_, y, fused));
    *fits = true;
    return Status();
  }

  /// Bytes keep the order of what they mean.
  Status MostOf(const Node& op, const Node& quantize, const Quantization& y, bool unbounded, Node* fused, bool* fits) {
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]);
    const Shape& shape = graph_.value(op.inputs[0]).type.shape;
    if (!x || shape.rank() < 3 || quantize.version < 12 || !Has("", "MaxPool", quantize.version)) return Status();
    std::vector<int64_t> window;
    for (int d = 2; d < shape.rank(); ++d) window.push_back(shape[d]);
    if (!std::all_of(window.begin(), window.end(), [](int64_t size) { return IsKnownDim(size) && size > 0; })) return Status();
    const bool same = x->quantization.SameAs(y);
    if (!same && !unbounded) return Status();
    fused->op = "MaxPool";
    fused->version = quantize.version;
    fused->inputs = {x->q};
    fused->Set("kernel_shape", window);
    if (!same) {
      Node back = *x->node, again = quantize;
      behind_.push_back(std::move(back));
      behind_.push_back(std::move(again));
    }
    *fits = true;
    return Status();
  }

  /// Whether a ReduceMean is of all pixels, of channels first or last, and keeps their axes.
  std::optional<bool> LastOfMean(const Node& op) const {
    const std::optional<std::vector<int64_t>> axes = AxesOf(graph_, op, 1);
    const int rank = graph_.value(op.inputs[0]).type.shape.rank();
    Result<int64_t> keeps = op.Int("keepdims", 1);
    if (!axes || rank < 3 || static_cast<int>(axes->size()) != rank - 2 || !keeps.ok() || *keeps != 1) return std::nullopt;
    std::vector<int64_t> sorted = *axes;
    for (int64_t& axis : sorted) axis += axis < 0 ? rank : 0;
    std::sort(sorted.begin(), sorted.end());
    for (size_t i = 0; i < sorted.size(); ++i) {
      if (sorted[i] != sorted[0] + static_cast<int64_t>(i)) return std::nullopt;
    }
    return sorted[0] == 2 ? std::optional(false) : sorted[0] == 1 ? std::optional(true) : std::nullopt;
  }

  Status Pool(const Node& op, const Quantization& y, Node* fused, bool* fits) {
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]);
    const std::optional<bool> last = op.Is("ReduceMean") ? LastOfMean(op) : false;
    if (!last) return Status();
    const char* name = op.op == "AveragePool" ? "QLinearAveragePool" : "QLinearGlobalAveragePool";
    if (!x || x->quantization.type != y.type || !Has(kMicrosoft, name)) return Status();
    for (const Attribute& attribute : op.attributes) {
      if (attribute.name == "dilations") return Status();
    }
    fused->op = name;
    fused->domain = kMicrosoft;
    fused->version = 1;
    if (!op.Is("ReduceMean")) fused->attributes = op.attributes;
    if (*last) fused->Set("channels_last", int64_t{1});
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
