// fuse_log_softmax: LogSoftmax of the columns of an 8-bit matrix product becomes part of it.
//
//     LogSoftmax(linnet:MatMulIntegerToFloat(...))    becomes    linnet:MatMulIntegerToFloat(...)
//     {log_softmax=1}
//
// as at the end of a language model, whose many columns have left the caches when a product is done. For
// constant matrices.
#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

Status Fuse(Graph& graph) {
  LINNET_ASSIGN(const std::vector<NodeId> order, graph.Order());
  for (NodeId id : order) {
    const Node& node = graph.node(id);
    if (!node.alive || !node.Is("LogSoftmax") || !ReadOnce(graph, node.inputs[0])) continue;
    const Node* product = Producer(graph, node.inputs[0]);
    if (!product || !product->Is("MatMulIntegerToFloat", "linnet") || product->Has("log_softmax")) continue;
    const Type &x = graph.value(node.inputs[0]).type, &b = graph.value(product->inputs[1]).type;
    if (!x.is_tensor() || x.shape.rank() < 1 || !ConstantOf(graph, product->inputs[1]) ||
        b.shape.rank() != 2 || b.shape.elements() == 0)
      continue;
    LINNET_ASSIGN(const int64_t axis, node.Int("axis", node.version < 13 ? 1 : -1));
    if ((axis < 0 ? axis + x.shape.rank() : axis) != x.shape.rank() - 1)
      continue;  // before 13: all from the axis on
    Node made = *product;
    made.outputs = {node.outputs[0]};
    made.Set("log_softmax", int64_t{1});
    const NodeId product_id = graph.value(node.inputs[0]).producer;
    graph.RemoveNode(id);
    LINNET_TRY(ReplaceNode(graph, product_id, std::move(made)));
  }
  return Status();
}

}  // namespace

Status FuseLogSoftmax(Graph& graph, const PassContext&) {
  return ForEachGraph(graph, Fuse);
}

}  // namespace linnet
