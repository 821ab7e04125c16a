// recognize_activations: formulas that exporters spell out become the operator they mean.
//
//     Swish      x * Sigmoid(x)
//     HardSwish  x * HardSigmoid(x; 1/6, 1/2)  ·  x * Clip(x + 3, 0, 6) / 6, the division anywhere
//     Gelu       0.5 x (1 + Erf(x / sqrt 2)), the factors in any order
//     Mish       x * Tanh(Softplus(x))
//
// Inner values must have no other reader. Float only.
#include <math.h>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

bool Near(std::optional<float> value, double want) { return value && fabs(*value - want) <= 1e-3 * fabs(want); }

class Recognizer {
 public:
  explicit Recognizer(Graph& graph) : graph_(graph) {}

  Status Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (!node.alive || node.outputs.empty() || node.outputs[0] == kNoValue) continue;
      if (graph_.value(node.outputs[0]).type.dtype != DType::kFloat) continue;
      if (node.Is("Mul") || node.Is("Div")) LINNET_TRY(Visit(id));
    }
    return Status();
  }

 private:
  /// The operand of a two-input node whose other operand is a constant near `want`.
  ValueId BesideConstant(const Node& node, double want) const {
    for (size_t i = 0; i < node.inputs.size() && node.inputs.size() == 2; ++i) {
      if (Near(ScalarOf(graph_, node.inputs[i]), want)) return node.inputs[1 - i];
    }
    return kNoValue;
  }

  /// The x of HardSigmoid(x; 1/6, 1/2) spelled as an operator or as Clip(x + 3, 0, 6) scaled by `scale`.
  bool ClipOfPlusThree(ValueId id, ValueId x) const {
    const Node* clip = SoleProducer(graph_, id, "Clip");
    if (!clip) return false;
    const std::optional<ClipBounds> bounds = ClipBoundsOf(graph_, *clip);
    if (!bounds || bounds->low != 0 || bounds->high != 6) return false;
    const Node* add = SoleProducer(graph_, clip->inputs[0], "Add");
    return add && BesideConstant(*add, 3) == x;
  }

  bool IsSixth(const Node& node, ValueId* rest) const {
    if (node.Is("Div") && node.inputs.size() == 2 && Near(ScalarOf(graph_, node.inputs[1]), 6)) {
      *rest = node.inputs[0];
      return true;
    }
    if (node.Is("Mul")) {
      *rest = BesideConstant(node, 1.0 / 6);
      return *rest != kNoValue;
    }
    return false;
  }

  bool IsHardSigmoidOf(ValueId id, ValueId x) const {
    if (const Node* op = SoleProducer(graph_, id, "HardSigmoid")) {
      Result<float> alpha = op->Float("alpha", 0.2f), beta = op->Float("beta", 0.5f);
      return op->inputs[0] == x && alpha.ok() && Near(*alpha, 1.0 / 6) && beta.ok() && Near(*beta, 0.5);
    }
    const Node* scaled = Producer(graph_, id);
    ValueId rest;
    return scaled && ReadOnce(graph_, id) && IsSixth(*scaled, &rest) && ClipOfPlusThree(rest, x);
  }

  /// True for 1 + Erf(x / sqrt 2).
  bool IsErfPlusOne(ValueId id, ValueId x) const {
    const Node* add = SoleProducer(graph_, id, "Add");
    if (!add) return false;
    ValueId inner = BesideConstant(*add, 1);
    const Node* erf = inner == kNoValue ? nullptr : SoleProducer(graph_, inner, "Erf");
    if (!erf) return false;
    const Node* scaled = Producer(graph_, erf->inputs[0]);
    if (!scaled || !ReadOnce(graph_, erf->inputs[0])) return false;
    if (scaled->Is("Div")) return scaled->inputs[0] == x && Near(ScalarOf(graph_, scaled->inputs[1]), sqrt(2.0));
    return scaled->Is("Mul") && BesideConstant(*scaled, sqrt(0.5)) == x;
  }

  Status Replace(NodeId id, const char* op, int version, ValueId x) {
    Node unary;
    unary.op = op;
    unary.version = version;
    unary.name = graph_.node(id).name;
    unary.inputs = {x};
    unary.outputs = {graph_.node(id).outputs[0]};
    return ReplaceNode(graph_, id, std::move(unary));
  }

  Status Visit(NodeId id) {
    const Node node = graph_.node(id);
    ValueId product = kNoValue;
    // (x * Clip(x + 3, 0, 6)) / 6
    if (IsSixth(node, &product)) {
      if (const Node* mul = SoleProducer(graph_, product, "Mul")) {
        for (size_t i = 0; i < 2; ++i) {
          if (ClipOfPlusThree(mul->inputs[i], mul->inputs[1 - i])) return Replace(id, "HardSwish", 14, mul->inputs[1 - i]);
        }
      }
    }
    if (!node.Is("Mul") || node.inputs.size() != 2) return Status();
    // (x * (1 + erf)) * 0.5
    product = BesideConstant(node, 0.5);
    if (product != kNoValue) {
      if (const Node* mul = SoleProducer(graph_, product, "Mul")) {
        for (size_t i = 0; i < 2; ++i) {
          if (IsErfPlusOne(mul->inputs[i], mul->inputs[1 - i])) return Replace(id, "Gelu", 20, mul->inputs[1 - i]);
        }
      }
    }
    for (size_t i = 0; i < 2; ++i) {
      ValueId x = node.inputs[1 - i], gate = node.inputs[i];
      // (x * 0.5) * (1 + erf), and x * (0.5 * (1 + erf))
      if (const Node* half = SoleProducer(graph_, x, "Mul")) {
        ValueId inner = BesideConstant(*half, 0.5);
        if (inner != kNoValue && IsErfPlusOne(gate, inner)) return Replace(id, "Gelu", 20, inner);
      }
      if (const Node* half = SoleProducer(graph_, gate, "Mul")) {
        ValueId inner = BesideConstant(*half, 0.5);
        if (inner != kNoValue && IsErfPlusOne(inner, x)) return Replace(id, "Gelu", 20, x);
      }
      if (const Node* sigmoid = SoleProducer(graph_, gate, "Sigmoid")) {
        if (sigmoid->inputs[0] == x) return Replace(id, "Swish", 24, x);
      }
      if (IsHardSigmoidOf(gate, x)) return Replace(id, "HardSwish", 14, x);
      if (const Node* tanh = SoleProducer(graph_, gate, "Tanh")) {
        const Node* softplus = SoleProducer(graph_, tanh->inputs[0], "Softplus");
        if (softplus && softplus->inputs[0] == x) return Replace(id, "Mish", 18, x);
      }
    }
    return Status();
  }

  Graph& graph_;
};

}  // namespace

Status RecognizeActivations(Graph& graph, const PassContext& context) {
  return ForEachGraph(graph, [](Graph& g) { return Recognizer(g).Run(); });
}

}  // namespace linnet
