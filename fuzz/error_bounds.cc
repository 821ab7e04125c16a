// What nodes make of errors.
#include "fuzz/error_bounds.h"

#include <math.h>

#include <algorithm>

#include "fuzz/random_model.h"

namespace linnet {
namespace {

bool OneOf(const std::string& op, std::initializer_list<const char*> names) {
  return std::find(names.begin(), names.end(), op) != names.end();
}

class Bounds {
 public:
  Bounds(const Graph& graph, const KnownValues& values, double precision)
      : graph_(graph), values_(values), precision_(precision), errors_(static_cast<size_t>(graph.value_count()), 0) {}

  std::vector<double> All() {
    Result<std::vector<NodeId>> order = graph_.Order();
    for (NodeId id : *order) {
      const Node& node = graph_.node(id);
      for (ValueId out : node.outputs) {
        if (out != kNoValue) errors_[static_cast<size_t>(out)] = Of(node, out);
      }
    }
    return errors_;
  }

 private:
  const Tensor* Known(ValueId id) const {
    auto at = values_.find(id);
    return at == values_.end() ? nullptr : &at->second;
  }
  double Error(const Node& node, size_t i) const {
    return i < node.inputs.size() && node.inputs[i] != kNoValue ? errors_[static_cast<size_t>(node.inputs[i])] : 0;
  }
  double Most(const Node& node) const {
    double most = 0;
    for (size_t i = 0; i < node.inputs.size(); ++i) most = fmax(most, Error(node, i));
    return most;
  }
  double Largest(ValueId id) const {
    double largest = 0;
    const Tensor* tensor = id == kNoValue ? nullptr : Known(id);
    for (int64_t i = 0; tensor && i < tensor->elements(); ++i) {
      if (isfinite(At(*tensor, i))) largest = fmax(largest, fabs(At(*tensor, i)));
    }
    return largest;
  }
  double Largest(const Node& node, size_t i) const { return i < node.inputs.size() ? Largest(node.inputs[i]) : 0; }
  double Least(ValueId id) const {
    double least = INFINITY;
    const Tensor* tensor = Known(id);
    for (int64_t i = 0; tensor && i < tensor->elements(); ++i) least = fmin(least, fabs(At(*tensor, i)));
    return least;
  }
  /// The largest sum of magnitudes over the indices of all axes but those from `first` to before `last`.
  double LargestSum(ValueId id, int first, int last) const {
    const Tensor* tensor = Known(id);
    if (!tensor) return INFINITY;
    const Shape& shape = tensor->shape();
    first = std::max(first, 0), last = std::min(last, shape.rank());
    const int64_t behind = shape.Product(last, shape.rank()), kept = last > first ? shape.Product(first, last) : 1;
    std::vector<double> sums(static_cast<size_t>(std::max<int64_t>(kept, 1)), 0);
    for (int64_t i = 0; i < tensor->elements(); ++i) sums[static_cast<size_t>(i / behind % kept)] += fabs(At(*tensor, i));
    return *std::max_element(sums.begin(), sums.end());
  }
  /// Of a product whose second operand sums up to `gain`; `other` is what the second operand's own error adds.
  double Product(const Node& node, double gain, double other) const {
    return gain * (Error(node, 0) + precision_ * Largest(node, 0)) + other + Error(node, 2) + precision_ * Largest(node, 2);
  }

  double Of(const Node& node, ValueId out) const {
    const Tensor* made = Known(out);
    const bool real = made && IsFloating(made->dtype());
    const double rounding = precision_ * Largest(out);
    const std::string& op = node.op;
    if (op == "QuantizeLinear" && Least(node.inputs[1]) == 0) return INFINITY;
    if (op == "QuantizeLinear") return floor(Error(node, 0) / Least(node.inputs[1]) + 1e-3) + 1;
    if (op == "DequantizeLinear") return Error(node, 0) * Largest(node, 1) + 1e-6 * Largest(out);
    if (OneOf(op, {"Reshape", "Transpose", "Split", "Slice", "Gather", "Pad", "Flatten", "Squeeze", "Unsqueeze", "MaxPool", "GlobalMaxPool", "Identity",
                   "DepthToSpace", "SpaceToDepth", "Concat", "Expand"})) {
      return Most(node);
    }
    if (!real) return Most(node) > 0 ? INFINITY : made && DTypeBits(made->dtype()) <= 16 ? 1 : 0;
    if (op == "Conv" || op == "ConvTranspose") {
      const Tensor* w = Known(node.inputs[1]);
      if (!w) return INFINITY;
      const int axis = op == "Conv" ? 0 : 1;
      const double depth = static_cast<double>(w->elements()) / static_cast<double>(std::max<int64_t>(w->shape()[axis], 1));
      return Product(node, LargestSum(node.inputs[1], axis, axis + 1), Error(node, 1) * depth * (Largest(node, 0) + Error(node, 0)));
    }
    if (op == "Gemm" || op == "MatMul") {
      const Tensor *a = Known(node.inputs[0]), *b = Known(node.inputs[1]);
      if (!a || !b) return INFINITY;
      const bool turned = node.Int("transB", 0).value() != 0;
      const int column = turned ? 0 : b->shape().rank() - 1;
      const double gain = b->shape().rank() < 2 ? LargestSum(node.inputs[1], 0, 0) : b->shape().rank() == 2
                              ? LargestSum(node.inputs[1], column, column + 1)
                              : LargestSum(node.inputs[1], 0, 0);
      const double depth = static_cast<double>(b->shape().rank() < 2 ? b->elements() : b->shape()[turned ? 1 : b->shape().rank() - 2]);
      return Product(node, gain, Error(node, 1) * depth * (Largest(node, 0) + Error(node, 0)));
    }
    if (OneOf(op, {"Add", "Sub", "Sum"})) {
      double sum = rounding;
      for (size_t i = 0; i < node.inputs.size(); ++i) sum += Error(node, i) + 1e-6 * Largest(node, i);
      return sum;
    }
    if (op == "Mul") return Error(node, 0) * (Largest(node, 1) + Error(node, 1)) + Error(node, 1) * Largest(node, 0) + rounding;
    if (OneOf(op, {"Relu", "Clip", "Tanh", "Sigmoid", "Softmax", "Max", "Min", "HardSigmoid"})) return Most(node) + rounding;
    if (OneOf(op, {"HardSwish", "Gelu", "Swish", "Mish"})) return 1.5 * Most(node) + rounding + precision_ * fmin(1, Largest(node, 0));
    if (OneOf(op, {"LeakyRelu", "Elu"})) return fmax(1, fabs(node.Float("alpha", 1).value())) * Most(node) + rounding;
    if (OneOf(op, {"AveragePool", "GlobalAveragePool", "ReduceMean"})) return Most(node) + precision_ * Largest(node, 0);
    if (op == "Resize") {
      const Tensor* x = Known(node.inputs[0]);
      const bool cubic = node.String("mode", "nearest").value() == "cubic";
      return (cubic ? pow(1.7, x ? x->shape().rank() : 4) : 1) * (Error(node, 0) + precision_ * Largest(node, 0));
    }
    // A state between two bytes may go to either: a step of 1/128 times weights, and what follows from it.
    if (op == "DynamicQuantizeLSTM" && Most(node) == 0) return 2e-3 * Largest(out);
    if (op == "MatMulNBits" && Most(node) == 0) return precision_ * fmax(1, Largest(out));
    if (op == "BatchNormalization") {
      const double epsilon = static_cast<double>(node.Float("epsilon", 1e-5f).value());
      const double gain = Largest(node, 1) / sqrt(Least(node.inputs[4]) + epsilon);
      return gain * (Error(node, 0) + precision_ * (Largest(node, 0) + Largest(node, 3))) + precision_ * Largest(node, 2) + rounding;
    }
    if (op == "LayerNormalization") return Normalization(node, out);
    return Most(node) > 0 ? INFINITY : rounding;
  }

  /// y = g (x - mean) / d: dy <= g (2 + |x - mean| / d) dx / d, with the least d of a row.
  double Normalization(const Node& node, ValueId out) const {
    const Tensor* x = Known(node.inputs[0]);
    if (!x) return INFINITY;
    const int rank = x->shape().rank();
    int64_t axis = node.Int("axis", -1).value();
    const int64_t n = x->shape().Product(static_cast<int>(axis < 0 ? axis + rank : axis), rank);
    const double epsilon = static_cast<double>(node.Float("epsilon", 1e-5f).value());
    double least = INFINITY;
    for (int64_t row = 0; n > 0 && row < x->elements() / n; ++row) {
      double sum = 0, squares = 0;
      for (int64_t i = 0; i < n; ++i) sum += At(*x, row * n + i);
      for (int64_t i = 0; i < n; ++i) squares += pow(At(*x, row * n + i) - sum / static_cast<double>(n), 2);
      least = fmin(least, sqrt(squares / static_cast<double>(n) + epsilon));
    }
    // The deviation itself may be less by what x is off.
    const double off = Error(node, 0) + 1e-6 * Largest(node, 0), d = fmax(least - off, sqrt(epsilon));
    return Largest(node, 1) * (2 + sqrt(static_cast<double>(n))) * off / d + precision_ * Largest(out);
  }

  const Graph& graph_;
  const KnownValues& values_;
  const double precision_;
  std::vector<double> errors_;
};

}  // namespace

std::vector<double> ErrorBounds(const Graph& graph, const KnownValues& values, double precision) {
  return Bounds(graph, values, precision).All();
}

}  // namespace linnet
