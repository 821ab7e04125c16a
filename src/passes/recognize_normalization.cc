// recognize_normalization: normalisations that exporters spell out become the operator they mean.
//
//     mean = ReduceMean(x)   d = x - mean   LayerNormalization   d / Sqrt(ReduceMean(d^2) + epsilon) * scale + bias
//                                           RMSNormalization     x / Sqrt(ReduceMean(x^2) + epsilon) * scale
//
// The mean is over the last dimensions; the square is Pow(d, 2) or d * d, the quotient Div, or a product with Reciprocal or
// with 1 / Sqrt. The bias may be missing. Inner values must have no other reader. Float only.
#include <limits>

#include "passes/passes.h"
#include "passes/patterns.h"

namespace linnet {
namespace {

class Recognizer {
 public:
  Recognizer(Graph& graph, int opset) : graph_(graph), opset_(opset) {}

  /// True when something was replaced, and its inner nodes are left unread.
  Result<bool> Run() {
    LINNET_ASSIGN(std::vector<NodeId> order, graph_.Order());
    for (NodeId id : order) {
      const Node& node = graph_.node(id);
      if (!node.alive || !node.Is("Mul") || node.inputs.size() != 2 || node.outputs[0] == kNoValue) continue;
      if (graph_.value(node.outputs[0]).type.dtype == DType::kFloat) LINNET_TRY(Visit(id));
    }
    return found_;
  }

 private:
  struct Found {
    ValueId x = kNoValue;
    int64_t axis = 0;        ///< the first normalised dimension
    float epsilon = 0;
    bool centred = false;
  };

  /// The first dimension of a mean over all the last ones of `of`, kept; -1 when `node` is something else.
  int64_t FirstMeanAxis(const Node* node, ValueId of) const {
    if (!node || !node->Is("ReduceMean") || node->inputs[0] != of) return -1;
    Result<int64_t> keep = node->Int("keepdims", 1);
    std::optional<std::vector<int64_t>> axes = AxesOf(graph_, *node, 1);
    const Shape& shape = graph_.value(of).type.shape;
    if (!keep.ok() || *keep == 0 || !axes || axes->empty() || !shape.has_rank()) return -1;
    const int64_t rank = shape.rank(), first = rank - static_cast<int64_t>(axes->size());
    uint64_t seen = 0;
    for (int64_t axis : *axes) {
      if (axis < 0) axis += rank;
      if (axis < first || axis >= rank) return -1;
      seen |= uint64_t{1} << axis;
    }
    return first >= 0 && __builtin_popcountll(seen) == static_cast<int>(axes->size()) ? first : -1;
  }

  /// What Sqrt(mean + epsilon) behind `id` is the root of: d^2 averaged from a dimension on. `readers`: of d, counted.
  bool IsDeviation(ValueId id, ValueId d, Found* found, size_t* readers) const {
    const Node* root = SoleProducer(graph_, id, "Sqrt");
    const Node* add = root ? SoleProducer(graph_, root->inputs[0], "Add") : nullptr;
    if (!add) return false;
    for (size_t i = 0; i < 2; ++i) {
      std::optional<float> epsilon = ScalarOf(graph_, add->inputs[i]);
      const Node* mean = SoleProducer(graph_, add->inputs[1 - i], "ReduceMean");
      if (!epsilon || !mean || !ReadOnce(graph_, mean->inputs[0])) continue;
      const Node* square = Producer(graph_, mean->inputs[0]);
      if (!square || square->inputs.size() != 2 || square->inputs[0] != d) continue;
      const bool power = square->Is("Pow") && ScalarOf(graph_, square->inputs[1]) == 2.0f;
      const bool product = square->Is("Mul") && square->inputs[1] == d;
      if (!power && !product) continue;
      found->epsilon = *epsilon;
      found->axis = FirstMeanAxis(mean, mean->inputs[0]);
      *readers = power ? 1 : 2;
      return found->axis >= 0;
    }
    return false;
  }

  /// Whether `id` is the normalised x, before scale and bias.
  bool IsNormalized(ValueId id, Found* found) const {
    const Node* node = Producer(graph_, id);
    if (!node || !ReadOnce(graph_, id) || node->inputs.size() != 2) return false;
    ValueId d = kNoValue;
    size_t readers = 0;
    if (node->Is("Div")) {
      d = node->inputs[0];
      if (!IsDeviation(node->inputs[1], d, found, &readers)) return false;
    } else if (node->Is("Mul")) {
      for (size_t i = 0; i < 2 && d == kNoValue; ++i) {
        ValueId root = kNoValue;
        if (const Node* reciprocal = SoleProducer(graph_, node->inputs[i], "Reciprocal")) root = reciprocal->inputs[0];
        const Node* quotient = SoleProducer(graph_, node->inputs[i], "Div");
        if (quotient && ScalarOf(graph_, quotient->inputs[0]) == 1.0f) root = quotient->inputs[1];
        if (root != kNoValue && IsDeviation(root, node->inputs[1 - i], found, &readers)) d = node->inputs[1 - i];
      }
    }
    if (d == kNoValue) return false;
    ++readers;
    found->x = d;
    found->centred = false;
    const Node* difference = Producer(graph_, d);
    if (difference && difference->Is("Sub") && graph_.value(d).uses.size() == readers) {
      const ValueId x = difference->inputs[0], mean = difference->inputs[1];
      if (ReadOnce(graph_, mean) && FirstMeanAxis(Producer(graph_, mean), x) == found->axis) {
        found->x = x;
        found->centred = true;
      }
    }
    return true;
  }

  /// A constant for each normalised element.
  bool IsParameter(ValueId id, const Found& found) const {
    const Tensor* constant = ConstantOf(graph_, id);
    const Shape& x = graph_.value(found.x).type.shape;
    if (!constant || constant->dtype() != DType::kFloat || constant->shape().rank() != x.rank() - found.axis) return false;
    for (int d = 0; d < constant->shape().rank(); ++d) {
      if (constant->shape()[d] != x[static_cast<int>(found.axis) + d]) return false;
    }
    return true;
  }

  Status Visit(NodeId id) {
    const Node scaled = graph_.node(id);
    for (size_t i = 0; i < 2; ++i) {
      Found found;
      const ValueId scale = scaled.inputs[1 - i];
      if (!IsNormalized(scaled.inputs[i], &found) || !IsParameter(scale, found)) continue;
      Node norm;
      norm.name = scaled.name;
      norm.inputs = {found.x, scale};
      norm.outputs = {scaled.outputs[0]};
      norm.Set("axis", found.axis);
      norm.Set("epsilon", found.epsilon);
      norm.op = found.centred ? "LayerNormalization" : "RMSNormalization";
      norm.version = found.centred ? 17 : 23;
      if (norm.version > opset_) continue;
      NodeId last = id;
      if (found.centred && ReadOnce(graph_, norm.outputs[0])) {
        const Use use = graph_.value(norm.outputs[0]).uses[0];
        const Node& add = graph_.node(use.node);
        const ValueId bias = add.Is("Add") ? OtherInput(add, norm.outputs[0]) : kNoValue;
        if (bias != kNoValue && IsParameter(bias, found)) {
          norm.inputs.push_back(bias);
          norm.outputs = {add.outputs[0]};
          last = use.node;
        }
      }
      found_ = true;
      return ReplaceNode(graph_, last, std::move(norm));
    }
    return Status();
  }

  Graph& graph_;
  const int opset_;   ///< the newest whose operators may be made
  bool found_ = false;
};

}  // namespace

Result<bool> FindNormalizations(Graph& graph, const PassContext& context, int opset) {
  bool found = false;
  LINNET_TRY(ForEachGraph(graph, [&](Graph& g) -> Status {
    LINNET_ASSIGN(const bool here, Recognizer(g, opset).Run());
    found = found || here;
    return Status();
  }));
  // Readers that nobody reads would keep later passes from seeing that a value is read once.
  if (found) LINNET_TRY(RemoveDeadCode(graph, context));
  return found;
}

Status RecognizeNormalization(Graph& graph, const PassContext& context) {
  return FindNormalizations(graph, context, std::numeric_limits<int>::max()).TakeStatus();
}

}  // namespace linnet
