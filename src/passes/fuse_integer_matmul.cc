// fuse_integer_matmul: a product of 8-bit matrices that becomes float and is scaled is one node.
//
//     Mul(Cast(MatMulInteger(a, b, a_zero, b_zero)), Mul(a_scale, b_scale))
//         becomes   linnet:MatMulIntegerToFloat(a, b, a_scale, b_scale, a_zero, b_zero)
//
// a_scale and a_zero are one number, b_scale is one number or one for each column. The sums are converted and multiplied as
// before, so that no rounding changes. fuse_epilogues adds what follows. com.microsoft's MatMulIntegerToFloat becomes the same.
#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

class IntegerMatMulFuser {
 public:
  explicit IntegerMatMulFuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(const std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).alive) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  Status Visit(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.Is("MatMulIntegerToFloat", "com.microsoft")) {
      Node made = node;
      made.domain = "linnet";
      made.version = 1;
      return ReplaceNode(graph_, id, std::move(made));
    }
    if (!node.Is("Mul") || node.inputs.size() != 2 || node.outputs[0] == kNoValue) return Status();
    for (int side : {0, 1}) {
      const ValueId sums = node.inputs[static_cast<size_t>(side)], scales = node.inputs[static_cast<size_t>(1 - side)];
      if (sums == scales) continue;
      const Node* cast = SoleProducer(graph_, sums, "Cast");
      if (!cast || graph_.value(sums).type.dtype != DType::kFloat) continue;
      const Node* product = SoleProducer(graph_, cast->inputs[0], "MatMulInteger");
      const Node* scale = Producer(graph_, scales);
      if (!product || !scale || !scale->Is("Mul") || scale->inputs.size() != 2) continue;
      const Type& y = graph_.value(sums).type;
      const Type& b = graph_.value(product->inputs[1]).type;
      if (!y.shape.has_rank() || !b.shape.has_rank() || b.shape.rank() < 2) continue;
      // The product of the scales must not give the result more dimensions than the sums have.
      if (!(graph_.value(node.outputs[0]).type.shape.rank() == y.shape.rank())) continue;
      const size_t at = IsOne(scale->inputs[0]) && IsColumns(scale->inputs[1], b) ? 0 : 1;
      if (!IsOne(scale->inputs[at]) || !IsColumns(scale->inputs[1 - at], b)) continue;
      const ValueId a_zero = InputOf(*product, 2), b_zero = InputOf(*product, 3);
      if (a_zero != kNoValue && !IsOne(a_zero)) continue;
      if (b_zero != kNoValue && !IsColumns(b_zero, b)) continue;
      Node made;
      made.op = "MatMulIntegerToFloat";
      made.domain = "linnet";
      made.version = 1;
      made.name = product->name;
      made.inputs = {product->inputs[0], product->inputs[1], scale->inputs[at], scale->inputs[1 - at], a_zero, b_zero};
      made.outputs = {node.outputs[0]};
      const NodeId cast_id = graph_.value(sums).producer, product_id = graph_.value(cast->inputs[0]).producer;
      graph_.RemoveNode(id);
      graph_.RemoveNode(cast_id);
      graph_.RemoveNode(product_id);
      return graph_.AddNode(std::move(made)).TakeStatus();
    }
    return Status();
  }

  /// A number, or a list of one.
  bool IsOne(ValueId id) const {
    const Type& type = graph_.value(id).type;
    return type.is_tensor() && type.shape.is_static() && type.shape.rank() <= 1 && type.shape.elements() == 1;
  }
  /// A number, or one for each column of a matrix of type `b`.
  bool IsColumns(ValueId id, const Type& b) const {
    if (IsOne(id)) return true;
    const Type& type = graph_.value(id).type;
    const int64_t columns = b.shape[b.shape.rank() - 1];
    return type.is_tensor() && type.shape.is_static() && type.shape.rank() == 1 && IsKnownDim(columns) && type.shape[0] == columns;
  }

  Graph& graph_;
};

}  // namespace

Status FuseIntegerMatMul(Graph& graph, const PassContext& context) {
  LINNET_TRY(ForEachGraph(graph, [](Graph& g) { return IntegerMatMulFuser(g).Run(); }));
  return RemoveDeadCode(graph, context);
}

}  // namespace linnet
