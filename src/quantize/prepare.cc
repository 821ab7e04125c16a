// Preparation: the plain passes, then the opset.
#include "quantize/prepare.h"

#include "passes/pass.h"

namespace linnet::quantize {

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
  LINNET_TRY(RaiseOpset(model, opset));
  if (exactly) LINNET_TRY(LowerOpset(model, opset));
  return InferTypes(graph, context);
}

}  // namespace linnet::quantize
