// Preparation: the plain passes, then the opset.
#include "quantize/prepare.h"

#include <algorithm>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet::quantize {

/// Which LayerNormalization is there from.
static constexpr int kOpsetNormalization = 17;

namespace {

/// The other operand of `node`, a Mul or Add, where one is a constant float for each of the channels of an image, and the constant.
std::pair<ValueId, const Tensor*> BesideChannels(const Graph& graph, const Node& node) {
  for (size_t i = 0; i < 2 && node.inputs.size() == 2; ++i) {
    const Tensor* constant = ConstantOf(graph, node.inputs[i]);
    const ValueId x = node.inputs[1 - i];
    const Shape& image = graph.value(x).type.shape;
    if (!constant || constant->dtype() != DType::kFloat || !constant->has_data() || image.rank() < 3 || !IsKnownDim(image[1])) continue;
    const int axis = 1 - (image.rank() - constant->shape().rank());   // where its channels are
    if (axis < 0 || constant->elements() != image[1] || constant->shape()[axis] != image[1]) continue;
    return {x, constant};
  }
  return {kNoValue, nullptr};
}

}  // namespace

Status MakeConvolutions(Graph* graph) {
  LINNET_ASSIGN(const std::vector<NodeId> order, graph->Order());
  std::vector<char> below(static_cast<size_t>(graph->node_count()), 0);   // a convolution
  for (NodeId id : order) {
    const Node node = graph->node(id);
    for (ValueId in : node.inputs) {
      const NodeId producer = in == kNoValue ? kNoNode : graph->value(in).producer;
      if (producer != kNoNode && producer < static_cast<NodeId>(below.size()) && below[static_cast<size_t>(producer)]) below[static_cast<size_t>(id)] = 1;
    }
    const bool above = below[static_cast<size_t>(id)];
    if (node.Is("Conv")) below[static_cast<size_t>(id)] = 1;
    if (!above || !node.Is("Add")) continue;
    const auto [scaled, shift] = BesideChannels(*graph, node);
    const Node* mul = shift ? SoleProducer(*graph, scaled, "Mul") : nullptr;
    const auto [x, scale] = mul ? BesideChannels(*graph, *mul) : std::pair<ValueId, const Tensor*>();
    if (!scale) continue;
    const int64_t channels = scale->elements();
    Shape each = Shape::OfRank(graph->value(x).type.shape.rank());
    for (int d = 0; d < each.rank(); ++d) each[d] = d == 0 ? channels : 1;
    Tensor weights = scale->Reshaped(each);
    Tensor bias = shift->Reshaped(Shape({channels}));
    Node conv;
    conv.op = "Conv";
    conv.version = node.version;
    conv.name = mul->name;
    conv.inputs = {x, graph->AddConstant(graph->FreshName(Cat(node.name, "_scale")), std::move(weights)),
                   graph->AddConstant(graph->FreshName(Cat(node.name, "_shift")), std::move(bias))};
    conv.outputs = node.outputs;
    conv.Set("group", channels);
    conv.Set("kernel_shape", std::vector<int64_t>(static_cast<size_t>(each.rank() - 2), 1));
    const NodeId product = graph->value(scaled).producer;
    LINNET_TRY(ReplaceNode(*graph, id, std::move(conv)));
    graph->RemoveNode(product);
  }
  return Status();
}

bool IsQuantized(const Graph& graph) {
  for (NodeId id = 0; id < graph.node_count(); ++id) {
    const Node& node = graph.node(id);
    if (!node.alive) continue;
    for (const char* op : {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger",
                           "MatMulNBits", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulIntegerToFloat", "QGemm", "QAttention"}) {
      if (node.op == op) return true;
    }
    if (node.op.starts_with("QLinear")) return true;
    for (const Graph* inner : Graph::Subgraphs(node)) {
      if (IsQuantized(*inner)) return true;
    }
  }
  return false;
}

Status Prepare(OnnxModel* model, int opset, bool exactly) {
  Graph& graph = model->graph;
  if (IsQuantized(graph)) return InvalidArgument("the model is quantized already; give the float model it was made from");
  std::erase_if(graph.inputs, [&](ValueId id) { return graph.is_constant(id); });
  PassContext context;
  context.table = &OpTable::BuiltIn();
  PipelineOptions plain;
  plain.plain_onnx = true;
  LINNET_TRY(RunPipeline(graph, context, plain));
  // One operator instead of nine, whose inner numbers nobody need round.
  LINNET_ASSIGN(const bool normalizes, FindNormalizations(graph, context, exactly ? opset : std::max(opset, kOpsetNormalization)));
  LINNET_TRY(RaiseOpset(model, normalizes ? std::max(opset, kOpsetNormalization) : opset));
  if (exactly) LINNET_TRY(LowerOpset(model, opset));
  return InferTypes(graph, context);
}

}  // namespace linnet::quantize
