// fuse_integer_products: products of what DequantizeLinear makes, whose results stay real numbers, become products of integers.
//
//     DQ, DQ [, bias] → Conv          becomes   ConvInteger → Cast → Mul(scales) [→ Add(bias)]
//     DQ, DQ → MatMul                 becomes   com.microsoft:MatMulIntegerToFloat
//     DQ, DQ [, bias] → Gemm          the same
//
// fuse_integer has made QLinearConv and its like of those that are rounded to bytes at once. What is left is the last layer of a model,
// and whatever an activation follows; fuse_epilogues makes one node of all that, with the QuantizeLinear behind it. Weights and bias are
// constants. Sums are exact, and scaled once.
#include "passes/passes.h"
#include "passes/quantization.h"

namespace linnet {
namespace {

constexpr char kMicrosoft[] = "com.microsoft";

class Products {
 public:
  Products(Graph& graph, const PassContext& context) : graph_(graph), context_(context) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    const bool convs = Has("", "ConvInteger", 10) && Has("linnet", "ConvIntegerToFloat", 1) && Has("", "Cast", 13) && Has("", "Mul", 14) && Has("", "Add", 14);
    const bool products = Has(kMicrosoft, "MatMulIntegerToFloat", 1) && Has("linnet", "MatMulIntegerToFloat", 1);
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (!node.alive || node.outputs.size() != 1 || node.inputs.size() < 2) continue;
      if (convs && node.Is("Conv")) LINNET_TRY(Conv(id));
      if (products && (node.Is("MatMul") || node.Is("Gemm"))) LINNET_TRY(Product(id));
    }
    return Status();
  }

 private:
  bool Has(const char* domain, const char* op, int version) const { return context_.table->Find(domain, op, version).ok(); }

  /// Scales of the products, as a constant of the given shape, which has one element or as many as `w` has scales.
  ValueId Scales(const Quantization& x, const Quantization& w, const Shape& shape) {
    std::vector<float> scales;
    for (float each : w.scales) scales.push_back(x.scales[0] * each);
    return graph_.AddConstant(graph_.FreshName("scale"), Tensor::Of<float>(shape, scales));
  }

  /// A constant bias of so many real numbers; empty otherwise.
  std::vector<float> Bias(ValueId id, int64_t count) const {
    std::optional<std::vector<double>> real = RealBias(graph_, id, count);
    return real ? std::vector<float>(real->begin(), real->end()) : std::vector<float>();
  }

  Status Conv(NodeId id) {
    const Node op = graph_.node(id);
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]), w = ByteWeights(graph_, op.inputs[1], 0);
    const Tensor* weights = w ? ConstantOf(graph_, w->q) : nullptr;
    if (!x || !weights || weights->shape().rank() < 3 || weights->shape().rank() > 4) return Status();
    const int64_t channels = weights->shape()[0];
    Shape each = Shape::OfRank(weights->shape().rank() - 1);   // of a channel's number beside [C, height, width]
    for (int d = 0; d < each.rank(); ++d) each[d] = d == 0 ? channels : 1;
    std::vector<float> bias;
    if (InputOf(op, 2) != kNoValue) {
      bias = Bias(op.inputs[2], channels);
      if (bias.empty()) return Status();
    }
    const ValueId y = op.outputs[0];
    const Type type = graph_.value(y).type;
    Type sums = type;
    sums.dtype = DType::kInt32;
    LINNET_ASSIGN(const ValueId x_zero, ZeroPoint(graph_, x->quantization));
    LINNET_ASSIGN(const ValueId w_zero, ZeroPoint(graph_, w->quantization));
    graph_.RemoveNode(id);
    LINNET_ASSIGN(ValueId made, graph_.AddNode("ConvInteger", "", 10, {x->q, w->q, x_zero, w_zero}, op.attributes, sums, op.name));
    LINNET_ASSIGN(made, graph_.AddNode("Cast", "", 13, {made}, {{"to", static_cast<int64_t>(DType::kFloat)}}, type, op.name));
    const ValueId scales = Scales(x->quantization, w->quantization, w->quantization.per_tensor() ? Shape(std::initializer_list<int64_t>{}) : each);
    if (bias.empty()) return Last("Mul", {made, scales}, y);
    LINNET_ASSIGN(made, graph_.AddNode("Mul", "", 14, {made, scales}, {}, type, op.name));
    return Last("Add", {made, graph_.AddConstant(graph_.FreshName("bias"), Tensor::Of<float>(each, bias))}, y);
  }

  Status Product(NodeId id) {
    const Node op = graph_.node(id);
    int64_t turned = 0;
    if (op.Is("Gemm")) {
      LINNET_ASSIGN(const int64_t turned_a, op.Int("transA", 0));
      LINNET_ASSIGN(turned, op.Int("transB", 0));
      LINNET_ASSIGN(const float alpha, op.Float("alpha", 1));
      LINNET_ASSIGN(const float beta, op.Float("beta", 1));
      if (turned_a != 0 || alpha != 1 || beta != 1) return Status();
    }
    std::optional<Dequantized> x = ByteOperand(graph_, op.inputs[0]), w = ByteWeights(graph_, op.inputs[1], turned ? 0 : 1);
    const Tensor* weights = w ? ConstantOf(graph_, w->q) : nullptr;
    if (!x || !weights || !weights->has_data() || weights->shape().rank() != 2) return Status();
    if (graph_.value(op.inputs[0]).type.shape.rank() < 2) return Status();
    const int64_t columns = weights->shape()[turned ? 0 : 1];
    std::vector<float> bias;
    if (InputOf(op, 2) != kNoValue) {
      bias = Bias(op.inputs[2], columns);
      if (bias.empty()) return Status();
    }
    ValueId q = w->q;
    if (turned) {
      LINNET_ASSIGN(Tensor moved, Transposed(*weights));
      q = graph_.AddConstant(graph_.FreshName(graph_.value(q).name), std::move(moved));
    }
    Node made;
    made.op = "MatMulIntegerToFloat";
    made.domain = kMicrosoft;
    made.version = 1;
    made.name = op.name;
    LINNET_ASSIGN(const ValueId x_zero, ZeroPoint(graph_, x->quantization));
    LINNET_ASSIGN(const ValueId w_zero, ZeroPoint(graph_, w->quantization));
    made.inputs = {x->q, q, x->quantization.scale, w->quantization.scale, x_zero, w_zero};
    if (!bias.empty()) made.inputs.push_back(graph_.AddConstant(graph_.FreshName("bias"), Tensor::Of<float>(Shape{columns}, bias)));
    made.outputs = op.outputs;
    return ReplaceNode(graph_, id, std::move(made));
  }

  static Result<Tensor> Transposed(const Tensor& bytes) {
    const int64_t rows = bytes.shape()[0], columns = bytes.shape()[1];
    LINNET_ASSIGN(Tensor out, Tensor::Allocate(bytes.dtype(), Shape({columns, rows})));
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) out.mutable_as<uint8_t>()[j * rows + i] = bytes.as<uint8_t>()[i * columns + j];
    }
    return out;
  }

  /// The node, of version 14, that makes `out`.
  Status Last(const char* op, std::vector<ValueId> inputs, ValueId out) {
    Node node;
    node.op = op;
    node.version = 14;
    node.inputs = std::move(inputs);
    node.outputs = {out};
    return graph_.AddNode(std::move(node)).TakeStatus();
  }

  Graph& graph_;
  const PassContext& context_;
};

}  // namespace

Status FuseIntegerProducts(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [&](Graph& each) -> Status {
    if (!HasQuantization(each)) return Status();
    LINNET_TRY(Products(each, context).Run());
    return RemoveDeadCode(each, context);
  });
}

}  // namespace linnet
