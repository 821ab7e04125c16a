// fuse_attention: the formula of scaled dot product attention becomes one node that never holds all scores.
//
//     Q ─ Transpose? ┐
//                    MatMul ─ · scale? ─ + mask? ─ Softmax ┐
//     K ─ Transpose ─┘                                     MatMul ─ Transpose?      →      linnet:Attention
//     V ─ Transpose? ──────────────────────────────────────┘
//
// The scale may sit at the scores, at Q, at K, or half at each, as a product or a quotient by a constant. Transpositions
// between [B,S,H,D] and [B,H,S,D] are folded into how the node walks its operands.
#include <math.h>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

using Permutation = std::vector<int64_t>;

class AttentionFuser {
 public:
  explicit AttentionFuser(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      if (graph_.node(id).Is("MatMul")) LINNET_TRY(Fuse(id));
    }
    return Status();
  }

 private:
  /// One operand: the value it is read from and where its positions are there.
  struct Operand {
    ValueId value;
    int64_t axis;
  };

  bool IsFloat4(ValueId id) const {
    const Type& type = graph_.value(id).type;
    return type.is_tensor() && type.dtype == DType::kFloat && type.shape.rank() == 4;
  }

  bool Permutes(const Node& node, const Permutation& wanted) const {
    Result<Permutation> perm = node.Ints("perm");
    return perm.ok() && *perm == wanted;
  }

  /// Takes products and quotients by a constant off `id`, multiplying `scale`.
  ValueId Unscaled(ValueId id, double* scale) const {
    for (;;) {
      const Node* node = SoleProducer(graph_, id, "Mul");
      bool divides = false;
      if (!node) {
        node = SoleProducer(graph_, id, "Div");
        divides = true;
      }
      if (!node || node->inputs.size() != 2) return id;
      ValueId rest = node->inputs[0];
      std::optional<float> factor = ScalarOf(graph_, node->inputs[1]);
      if (!factor && !divides) {
        factor = ScalarOf(graph_, node->inputs[0]);
        rest = node->inputs[1];
      }
      // A factor of higher rank would give its product more dimensions.
      if (!factor || !IsFloat4(rest) || !isfinite(*factor) || (divides && *factor == 0)) return id;
      *scale = divides ? *scale / *factor : *scale * *factor;
      id = rest;
    }
  }

  Operand Heads(ValueId id) const {
    const Node* node = Producer(graph_, id);
    if (node && node->Is("Transpose") && Permutes(*node, {0, 2, 1, 3}) && IsFloat4(node->inputs[0])) return {node->inputs[0], 1};
    return {id, 2};
  }

  /// K as the product has it, [B,H,D,T]; kNoValue when it is not a transposition of something with contiguous rows.
  Operand Keys(ValueId id, double* scale) const {
    id = Unscaled(id, scale);
    const Node* node = Producer(graph_, id);
    if (!node || !node->Is("Transpose") || !IsFloat4(node->inputs[0])) return {kNoValue, 2};
    ValueId source = Unscaled(node->inputs[0], scale);
    if (Permutes(*node, {0, 2, 3, 1})) return {source, 1};
    if (Permutes(*node, {0, 1, 3, 2})) return {source, 2};
    return {kNoValue, 2};
  }

  Status Fuse(NodeId id) {
    const Node& product = graph_.node(id);
    if (product.inputs.size() != 2 || !IsFloat4(product.outputs[0]) || !IsFloat4(product.inputs[1])) return Status();
    const Node* softmax = SoleProducer(graph_, product.inputs[0], "Softmax");
    if (!softmax || !IsFloat4(softmax->inputs[0])) return Status();
    LINNET_ASSIGN(int64_t axis, softmax->Int("axis", softmax->version < 13 ? 1 : -1));
    // Before version 13 the axes behind `axis` were normalised together, which is the same for the last one.
    if (axis != -1 && axis != 3) return Status();
    double scale = 1;
    ValueId scores = softmax->inputs[0], bias = kNoValue;
    if (const Node* add = SoleProducer(graph_, scores, "Add"); add && add->inputs.size() == 2) {
      // The scores are the side that a product of two four-dimensional values makes.
      for (int side = 0; side < 2 && bias == kNoValue; ++side) {
        double ignored = 1;
        ValueId below = Unscaled(add->inputs[static_cast<size_t>(side)], &ignored);
        ValueId other = add->inputs[static_cast<size_t>(1 - side)];
        const Type& type = graph_.value(other).type;
        bool fits = type.is_tensor() && type.dtype == DType::kFloat && type.shape.has_rank() && type.shape.rank() <= 4;
        if (!fits || !SoleProducer(graph_, below, "MatMul") || other == add->inputs[static_cast<size_t>(side)]) continue;
        scores = add->inputs[static_cast<size_t>(side)];
        bias = other;
      }
      if (bias == kNoValue) return Status();
    }
    const Node* inner = SoleProducer(graph_, Unscaled(scores, &scale), "MatMul");
    if (!inner || inner->inputs.size() != 2 || !IsFloat4(inner->inputs[0]) || !IsFloat4(inner->inputs[1])) return Status();
    Operand q = Heads(Unscaled(inner->inputs[0], &scale)), k = Keys(inner->inputs[1], &scale), v = Heads(product.inputs[1]);
    q.value = q.axis == 1 ? Unscaled(q.value, &scale) : q.value;
    if (k.value == kNoValue || !isfinite(static_cast<float>(scale))) return Status();

    Node fused;
    fused.op = "Attention";
    fused.domain = "linnet";
    fused.version = 1;
    fused.name = inner->name;
    fused.inputs = {q.value, k.value, v.value};
    if (bias != kNoValue) fused.inputs.push_back(bias);
    fused.Set("scale", static_cast<float>(scale));
    fused.Set("q_axis", q.axis);
    fused.Set("k_axis", k.axis);
    fused.Set("v_axis", v.axis);
    ValueId out = product.outputs[0];
    NodeId last = id;
    if (ReadOnce(graph_, out)) {
      NodeId reader = graph_.value(out).uses[0].node;
      if (graph_.node(reader).Is("Transpose") && Permutes(graph_.node(reader), {0, 2, 1, 3})) last = reader;
    }
    fused.Set("y_axis", int64_t{last == id ? 2 : 1});
    fused.outputs = {graph_.node(last).outputs[0]};
    if (last != id) graph_.RemoveNode(last);
    return ReplaceNode(graph_, id, std::move(fused));
  }

  Graph& graph_;
};

}  // namespace

Status FuseAttention(Graph& graph, const PassContext& context) {
  LINNET_TRY(ForEachGraph(graph, [](Graph& g) { return AttentionFuser(g).Run(); }));
  return RemoveDeadCode(graph, context);
}

}  // namespace linnet
