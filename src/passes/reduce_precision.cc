// reduce_precision: marks the products with constant weights that are worth computing on operands of 16 bits, where the
// session asks for that precision (ops/precision.h).
#include "ops/precision.h"

#include <algorithm>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

class Reducer {
 public:
  Reducer(Graph& graph, Precision precision) : graph_(graph), mark_(precision == Precision::kBfloat16 ? kPrecisionBf16 : kPrecisionFp16) {}

  Status Run() {
    for (NodeId id = 0; id < graph_.node_count(); ++id) {
      if (!graph_.node(id).alive) continue;
      LINNET_ASSIGN(bool pays, Pays(graph_.node(id)));
      if (pays) graph_.mutable_node(id).Set(kPrecisionAttribute, mark_);
    }
    return Status();
  }

 private:
  /// The shape of constant float32 weights; rank -1 when input i is nothing of that kind.
  Shape Weights(const Node& node, size_t i) const {
    if (i >= node.inputs.size() || node.inputs[i] == kNoValue) return Shape();
    const Tensor* w = ConstantOf(graph_, node.inputs[i]);
    return w && w->dtype() == DType::kFloat && w->elements() > 0 ? w->shape() : Shape();
  }

  /// Elements of the output but for one dimension; kUnknownDim when it is not known.
  int64_t RowsOf(const Node& node, int64_t columns) const {
    const Type& y = graph_.value(node.outputs[0]).type;
    return y.shape.is_static() && columns > 0 ? y.shape.elements() / columns : kUnknownDim;
  }

  Result<bool> Pays(const Node& node) const {
    if (node.outputs.empty() || node.outputs[0] == kNoValue) return false;
    const bool fused = node.Is("Gemm", "linnet") || node.Is("FusedMatMul", "com.microsoft");
    if (fused || node.Is("Gemm") || node.Is("MatMul")) return PaysOfMatrices(node);
    if (node.Is("Conv", "linnet")) return PaysOfConv(node);
    if (node.Is("ConvBlock", "linnet")) return PaysOfBlock(node);
    return false;
  }

  Result<bool> PaysOfMatrices(const Node& node) const {
    const Shape w = Weights(node, 1);
    if (w.rank() != 2) return false;
    LINNET_ASSIGN(int64_t transposed, node.Int("transB", 0));
    const int64_t n = w[transposed ? 0 : 1], k = w[transposed ? 1 : 0];
    return ReducingPays(RowsOf(node, n), n, k);
  }

  Result<bool> PaysOfConv(const Node& node) const {
    const Shape w = Weights(node, 1);
    if (w.rank() != 3 && w.rank() != 4) return false;
    LINNET_ASSIGN(int64_t groups, node.Int("group", 1));
    const Shape& y = graph_.value(node.outputs[0]).type.shape;   // of which the convolution may write some channels
    return groups == 1 && w[1] >= kFewChannels &&
           ReducingPays(RowsOf(node, y.rank() > 0 ? y[y.rank() - 1] : w[0]), w[0], w.elements() / w[0]);
  }

  /// Both outer parts of a block are reduced or none is: they are parts of one loop.
  Result<bool> PaysOfBlock(const Node& node) const {
    const Shape& y = graph_.value(node.outputs[0]).type.shape;
    const int64_t pixels = RowsOf(node, y.rank() == 4 ? y[3] : 0);
    bool pays = false;
    for (auto [input, prefix] : {std::pair<size_t, const char*>{1, "expand_"}, {5, "project_"}}) {
      if (input >= node.inputs.size() || node.inputs[input] == kNoValue) continue;
      const Shape w = Weights(node, input);
      if (w.rank() != 4 || w[2] != 1 || w[3] != 1 || w[1] > kReducedBlockChannelsMax) return false;
      if (w[1] < kFewChannels || w[0] < kFewChannels) return false;
      LINNET_ASSIGN(std::vector<int64_t> strides, node.Ints(Cat(prefix, "strides")));
      LINNET_ASSIGN(std::vector<int64_t> pads, node.Ints(Cat(prefix, "pads")));
      if (std::any_of(strides.begin(), strides.end(), [](int64_t x) { return x != 1; })) return false;
      if (std::any_of(pads.begin(), pads.end(), [](int64_t x) { return x != 0; })) return false;
      // The expanded image has at least the pixels of the output.
      pays = pays || ReducingPays(pixels, w[0], w[1]);
    }
    return pays;
  }

  static constexpr int64_t kFewChannels = 16;
  Graph& graph_;
  const std::string mark_;
};

}  // namespace

Status ReducePrecision(Graph& graph, const PassContext& context) {
  if (context.precision == Precision::kFloat32) return Status();
  return ForEachGraph(graph, [&](Graph& one) { return Reducer(one, context.precision).Run(); });
}

}  // namespace linnet
