// From Q and DQ around operators to operators on integers: elementwise ones and moves here, products by the pass that does so
// when models are optimised.
#include "quantize/qoperator.h"

#include <algorithm>
#include <map>

#include "ops/convert.h"
#include "passes/passes.h"
#include "passes/quantization.h"
#include "quantize/edit.h"
#include "quantize/prepare.h"

namespace linnet::quantize {
namespace {

constexpr char kMicrosoft[] = "com.microsoft";
/// Operators that move elements and that ONNX Runtime has for integers of 8 bits.
constexpr const char* kMoves[] = {"MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Gather", "Identity", "Expand", "Tile"};

class Converter {
 public:
  Converter(Graph& graph, int opset) : graph_(graph), opset_(opset) {}

  /// Before the products are made.
  Status Elements() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (node.Is("QuantizeLinear")) rounded_[node.outputs[0]] = {node.inputs[1], node.inputs[2]};
      if (!node.alive || !node.domain.empty() || node.inputs.empty()) continue;
      if (std::any_of(std::begin(kMoves), std::end(kMoves), [&](const char* op) { return node.op == op; })) {
        LINNET_TRY(Move(id));
      } else if (node.op == "Sigmoid" || node.op == "LeakyRelu" || node.op == "Softmax") {
        LINNET_TRY(Function(id));
      } else if (node.op == "Concat") {
        LINNET_TRY(Concat(id));
      }
    }
    return Status();
  }

  /// Behind them: products whose results stay real numbers.
  Status Products() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).alive && graph_.node(id).Is("Gemm")) LINNET_TRY(Gemm(id));
    }
    return Status();
  }

  /// ONNX Runtime has no product of signed activations with unsigned weights, which overrides can ask for.
  Status CheckProducts() const {
    for (NodeId id = 0; id < graph_.node_count(); ++id) {
      const Node& node = graph_.node(id);
      if (!node.alive || (node.op != "QLinearConv" && node.op != "QLinearMatMul" && node.op != "QGemm")) continue;
      if (graph_.value(node.inputs[0]).type.dtype != DType::kInt8 || graph_.value(node.inputs[3]).type.dtype != DType::kUint8) continue;
      return Unsupported("there is no operator on integers for activations s8 with weights u8; take other types or format qdq").At(node.Label(graph_));
    }
    return Status();
  }

  /// What old opsets have no operators for: bounds of bytes become bounds of numbers, weights with a scale a channel that nothing has taken
  /// as integers become floats.
  Status Older() {
    const int count = graph_.node_count();
    for (NodeId id = 0; id < count; ++id) {
      const Node node = graph_.node(id);
      if (node.Is("Clip") && opset_ < kOpsetByteClip && IsByte(graph_.value(node.inputs[0]).type.dtype)) LINNET_TRY(RealBounds(id));
      if (!node.Is("DequantizeLinear") || opset_ >= kOpsetPerChannel || graph_.value(node.inputs[1]).type.shape.rank() != 1) continue;
      std::optional<Dequantized> from = DequantizedFrom(graph_, node.outputs[0]);
      const Tensor* codes = from ? ConstantOf(graph_, from->q) : nullptr;
      if (!codes) return Unsupported("opset ", opset_, " has one scale a tensor there").At(node.Label(graph_));
      LINNET_ASSIGN(Tensor real, RealNumbers(*codes, from->quantization));
      graph_.RemoveNode(id);
      graph_.SetConstant(node.outputs[0], std::move(real));
    }
    return Status();
  }

  /// Nodes of one version, and how many are still between DequantizeLinear and QuantizeLinear.
  int Finish() {
    int left = 0;
    for (NodeId id = 0; id < graph_.node_count(); ++id) {
      Node& node = graph_.mutable_node(id);
      if (!node.alive || !node.domain.empty()) continue;
      node.version = opset_;
      if (node.op == "QuantizeLinear" || node.op == "DequantizeLinear") continue;
      left += std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId in) { return DequantizedFrom(graph_, in).has_value(); });
    }
    return left;
  }

 private:
  /// The QuantizeLinear that alone reads `id`.
  struct Rounded {
    NodeId node = kNoNode;
    Quantization quantization;
  };
  std::optional<Rounded> RoundedBy(ValueId id) const {
    const std::vector<Use>& uses = graph_.value(id).uses;
    if (uses.size() != 1 || uses[0].node == kNoNode || uses[0].index != 0) return std::nullopt;
    std::optional<Quantization> quantization = QuantizationBy(graph_, graph_.node(uses[0].node));
    if (!quantization) return std::nullopt;
    return Rounded{uses[0].node, std::move(*quantization)};
  }

  Status Move(NodeId id) {
    Node made = graph_.node(id);
    std::optional<Dequantized> x = ByteOperand(graph_, made.inputs[0]);
    if (!x || (made.op == "MaxPool" && (made.outputs.size() > 1 || opset_ < 12))) return Status();
    std::vector<Rounded> rounded;
    for (ValueId out : made.outputs) {
      if (out == kNoValue) return Status();
      std::optional<Rounded> one = RoundedBy(out);
      if (!one || !one->quantization.SameAs(x->quantization)) return Status();
      rounded.push_back(std::move(*one));
    }
    graph_.RemoveNode(id);
    made.inputs[0] = x->q;
    for (size_t i = 0; i < rounded.size(); ++i) {
      made.outputs[i] = graph_.node(rounded[i].node).outputs[0];
      graph_.RemoveNode(rounded[i].node);
    }
    return graph_.AddNode(std::move(made)).TakeStatus();
  }

  Status Replace(NodeId id, const Rounded& rounded, Node made) {
    made.domain = kMicrosoft;
    made.version = 1;
    made.name = graph_.node(id).name;
    made.outputs = {graph_.node(rounded.node).outputs[0]};
    graph_.RemoveNode(rounded.node);
    graph_.RemoveNode(id);
    return graph_.AddNode(std::move(made)).TakeStatus();
  }

  Status Function(NodeId id) {
    const Node& node = graph_.node(id);
    std::optional<Dequantized> x = ByteOperand(graph_, node.inputs[0]);
    std::optional<Rounded> y = RoundedBy(node.outputs[0]);
    if (!x || !y || x->quantization.type != y->quantization.type) return Status();
    Node made;
    made.op = "QLinear" + node.op;
    made.attributes = node.attributes;
    if (node.op == "Softmax") made.attributes.push_back({"opset", static_cast<int64_t>(opset_)});
    LINNET_TRY(AppendOperand(graph_, *x, &made));
    LINNET_TRY(AppendOutput(graph_, y->quantization, &made));
    return Replace(id, *y, std::move(made));
  }

  Status Concat(NodeId id) {
    const Node& node = graph_.node(id);
    std::optional<Rounded> y = RoundedBy(node.outputs[0]);
    if (!y) return Status();
    std::vector<Dequantized> parts;
    bool same = true;
    for (ValueId in : node.inputs) {
      std::optional<Dequantized> x = ByteOperand(graph_, in);
      if (!x || x->quantization.type != y->quantization.type) return Status();
      same = same && x->quantization.SameAs(y->quantization);
      parts.push_back(std::move(*x));
    }
    Node made;
    made.attributes = node.attributes;
    if (same) {
      // Nothing to rescale: the operator itself joins bytes.
      made.op = "Concat";
      made.version = opset_;
      made.name = node.name;
      for (const Dequantized& x : parts) made.inputs.push_back(x.q);
      made.outputs = {graph_.node(y->node).outputs[0]};
      graph_.RemoveNode(y->node);
      graph_.RemoveNode(id);
      return graph_.AddNode(std::move(made)).TakeStatus();
    }
    made.op = "QLinearConcat";
    LINNET_TRY(AppendOutput(graph_, y->quantization, &made));
    for (const Dequantized& x : parts) LINNET_TRY(AppendOperand(graph_, x, &made));
    return Replace(id, *y, std::move(made));
  }

  /// QGemm without a scale for its result gives floats.
  Status Gemm(NodeId id) {
    const Node node = graph_.node(id);
    LINNET_ASSIGN(int64_t transposed, node.Int("transB", 0));
    LINNET_ASSIGN(float alpha, node.Float("alpha", 1));
    LINNET_ASSIGN(float beta, node.Float("beta", 1));
    std::optional<Dequantized> a = ByteOperand(graph_, node.inputs[0]), b = ByteWeights(graph_, node.inputs[1], transposed ? 0 : 1);
    if (!a || !b || alpha != 1 || beta != 1) return Status();
    std::optional<Dequantized> bias;
    if (node.inputs.size() > 2 && node.inputs[2] != kNoValue) {
      bias = DequantizedFrom(graph_, node.inputs[2]);
      // QuantizeStatic gives biases the scale of the sums.
      if (!bias || bias->quantization.type != DType::kInt32 || graph_.value(bias->q).type.shape.rank() != 1) return Status();
    }
    Node made;
    made.op = "QGemm";
    made.domain = kMicrosoft;
    made.version = 1;
    made.name = node.name;
    for (const char* name : {"transA", "transB"}) {
      if (const Attribute* attribute = node.Find(name)) made.attributes.push_back(*attribute);
    }
    LINNET_TRY(AppendOperand(graph_, *a, &made));
    LINNET_TRY(AppendOperand(graph_, *b, &made));
    if (bias) made.inputs.push_back(bias->q);
    made.outputs = node.outputs;
    graph_.RemoveNode(id);
    return graph_.AddNode(std::move(made)).TakeStatus();
  }

  /// Bytes → Clip: DequantizeLinear → Clip → QuantizeLinear with the scale that the bytes have.
  Status RealBounds(NodeId id) {
    const Node clip = graph_.node(id);
    const auto rounded = rounded_.find(clip.outputs[0]);
    if (rounded == rounded_.end()) return Unsupported("opset ", opset_, " has no Clip of bytes").At(clip.Label(graph_));
    const auto [scale, zero] = rounded->second;
    const float step = *ConstantOf(graph_, scale)->as<float>();
    const Type bytes = graph_.value(clip.inputs[0]).type, real = Type::Tensor(DType::kFloat, bytes.shape);
    auto code = [&](ValueId value) { return LoadInteger(bytes.dtype, ConstantOf(graph_, value)->data(), 0); };
    Edit edit(graph_, opset_);
    std::vector<ValueId> inputs;
    LINNET_ASSIGN(inputs.emplace_back(), edit.Add("DequantizeLinear", {clip.inputs[0], scale, zero}, {}, real, clip.name + "_dequantized"));
    for (size_t i : {1, 2}) {
      const float bound = static_cast<float>(code(clip.inputs[i]) - code(zero)) * step;
      inputs.push_back(graph_.AddConstant(graph_.FreshName("bound"), Tensor::Scalar(bound)));
    }
    std::vector<Attribute> attributes;
    if (opset_ < 11) {
      attributes = {{"min", ConstantOf(graph_, inputs[1])->as<float>()[0]}, {"max", ConstantOf(graph_, inputs[2])->as<float>()[0]}};
      inputs.resize(1);
    }
    LINNET_ASSIGN(ValueId bounded, edit.Add("Clip", std::move(inputs), std::move(attributes), real, clip.name + "_bounded"));
    graph_.RemoveNode(id);
    return edit.AddFor("QuantizeLinear", {bounded, scale, zero}, clip.outputs[0], clip.name);
  }

  static Result<Tensor> RealNumbers(const Tensor& codes, const Quantization& q) {
    LINNET_ASSIGN(Tensor real, Tensor::Allocate(DType::kFloat, codes.shape()));
    const int64_t count = static_cast<int64_t>(q.scales.size());
    int64_t inner = 1;
    for (int d = static_cast<int>(q.axis) + 1; d < codes.shape().rank(); ++d) inner *= codes.shape()[d];
    for (int64_t i = 0; i < codes.elements(); ++i) {
      const size_t at = static_cast<size_t>(i / inner % count);
      real.mutable_as<float>()[i] = static_cast<float>(LoadInteger(q.type, codes.data(), i) - q.zeros[at]) * q.scales[at];
    }
    return real;
  }

  Graph& graph_;
  const int opset_;
  std::map<ValueId, std::pair<ValueId, ValueId>> rounded_;   ///< scale and zero point, by what QuantizeLinear made
};

}  // namespace

Result<int> ToQOperator(OnnxModel* model) {
  PassContext context;
  context.table = &OpTable::BuiltIn();
  LINNET_TRY(TurnTransposed(model->graph, context));
  LINNET_TRY(InferTypes(model->graph, context));
  Converter converter(model->graph, OpsetOf(*model));
  LINNET_TRY(converter.Elements());
  LINNET_TRY(FuseInteger(model->graph, context));
  LINNET_TRY(converter.Products());
  LINNET_TRY(converter.CheckProducts());
  LINNET_TRY(RemoveDeadCode(model->graph, context));
  LINNET_TRY(InferTypes(model->graph, context));
  LINNET_TRY(converter.Older());
  const int left = converter.Finish();
  LINNET_ASSIGN(model->graph, model->graph.Compacted());
  LINNET_TRY(InferTypes(model->graph, context));
  return left;
}

}  // namespace linnet::quantize
